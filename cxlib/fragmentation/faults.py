"""Faults of stated size, planted on one handoff of a copy of the log.

Each fault changes the customers who arrive at a target from a source, and nobody else, by what is
stated: a share of them leaves, is sent back a stage or to where they came from, has to come again
or to ask for help, waits longer, or rates lower. Shares are of all who arrived (left, came again,
asked) or of those who went on (sent back), beyond what happened there before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.fragmentation.later import flags_of
from cxlib.journeys import NO_STAGE

if TYPE_CHECKING:
    from cxlib.fragmentation.open_hours import OpenHours

ABANDONED = 0.22
"""Share of arrivals that the planted abandonment ends."""

SENT_BACK = 0.3
"""Share of those who went on that is planted to go back: a stage, or to where they came from."""

AGAIN = 0.3
"""Share of arrivals that is planted to come again (task, contact) or to need help afterwards."""

DELAYED = 3.5
"""Factor of the planted delay."""

MARKED_DOWN = 2.5
"""Points (of a scale ten points wide) of the planted drop of ratings."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a fault is planted.

    Attributes
    ----------
    source, target
        Places.
    observed
        What was measured of the signal there, as a share where it is one.
    places
        The places table.
    open_hours
        Opening hours that waits are counted in, if any.
    """

    source: int
    target: int
    observed: float
    places: pl.DataFrame
    open_hours: OpenHours | None = None

    def arrived(self) -> pl.Expr:
        """Whether a row of the store is an arrival at the target from the source."""
        before = (pl.col("place").shift(1) == self.source) & _same_customer(1)
        return ((pl.col("place") == self.target) & before).fill_null(False)

    def share_of_rest(self, size: float) -> float:
        """Share of those not hit before who must be hit, so that `size` of all are, on top."""
        return size / max(1 - self.observed, size)


Plant = Callable[[pl.DataFrame, Site], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes
    ----------
    size
        As measured by its signal: share, ratio of waits, or rating points.
    plant
        Rows of the store, with a random number in ``_dice``, and the site → changed rows.
    ordinary
        The effect of a handoff without a fault.
    highest
        What may have been observed there before, so that there is room for the fault.
    needs
        Cases on the handoff without which it is not tried.
    """

    size: float
    plant: Plant
    ordinary: float = 0.0
    highest: float = float("inf")
    needs: int = 300


def end_journeys(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who would have gone on leave for good: what followed is taken out."""
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(ABANDONED))
    ended = pl.when(hit).then(pl.col("occurred_at")).min().over("customer")
    return rows.with_columns(_ended=ended).filter(
        pl.col("_ended").is_null() | (pl.col("occurred_at") <= pl.col("_ended"))
    )


def prolong_waits(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let the wait of the handoff grow; all later contacts come later by as much."""
    shift = pl.duration(microseconds=pl.col("_longer").cum_sum().over("customer"))
    longer = rows.with_columns(_longer(rows, site).alias("_longer"))
    return longer.with_columns(occurred_at=pl.col("occurred_at") + shift).drop("_longer")


def _longer(rows: pl.DataFrame, site: Site) -> pl.Series:
    """By how many microseconds each wait grows: open time by its factor, where that is counted."""
    hit = rows.select(site.arrived()).to_series()
    at, before = rows["occurred_at"].filter(hit), rows["occurred_at"].shift(1).filter(hit)
    if site.open_hours is None:
        more = (at - before).dt.total_microseconds() * (DELAYED - 1)
    else:
        calendar, target = site.open_hours.calendar, rows["place"].filter(hit)
        waited = calendar.open_waits(target, at, at - before).dt.total_microseconds()
        longer = (waited * DELAYED).cast(pl.Duration("us"))
        # who came outside the hours has waited for no open hour, and comes when they did
        more = (calendar.after(site.target, before, longer) - at).dt.total_microseconds().clip(0)
    none = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(rows))
    return none.scatter(hit.arg_true(), more.cast(pl.Int64))


def lower_ratings(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Take points off every rating given on arrival."""
    lower = pl.when(site.arrived()).then(pl.col("rating") - MARKED_DOWN)
    return rows.with_columns(rating=lower.otherwise(pl.col("rating")))


def send_to_source(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let the next contact of a share of those who went on be at the source again."""
    return _redirect(rows, site, pl.lit(site.source))


def send_back_a_stage(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let the next contact of a share of those who went on be in an earlier stage.

    Where there is another channel in earlier stages than the source's, they are sent there: what
    is planted is going back a stage, and not going back to where they came from.
    """
    places = site.places
    stage, channel = (places[c].to_list() for c in ("stage_index", "channel"))
    ways = [
        place
        for place, own in zip(places["place"], places["initiated_by"], strict=True)
        if own == "customer" and stage[place] < stage[site.target] and stage[place] != NO_STAGE
    ]
    ways = [p for p in ways if channel[p] != channel[site.source]] or ways
    if not ways:
        return rows
    # another digit of the same dice says where to
    number = (pl.col("_dice") * 1e6).cast(pl.Int64) % len(ways)
    there = pl.lit(pl.Series(ways, dtype=pl.Int64)).gather(number.shift(1).fill_null(0))
    return _redirect(rows, site, there)


def come_again(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who arrived be at the same touchpoint once more a day later."""
    return _insert(rows, site, site.target, timedelta(days=1))


def ask_for_help(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who arrived turn to an assisted touchpoint ten minutes later."""
    helping = np.flatnonzero(flags_of(site.places, "assisted"))
    return rows if not len(helping) else _insert(rows, site, helping[0], timedelta(minutes=10))


def _insert(rows: pl.DataFrame, site: Site, place: int, later: timedelta) -> pl.DataFrame:
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(AGAIN))
    extra = rows.filter(hit).with_columns(
        pl.lit(place).cast(rows.schema["place"]).alias("place"), pl.col("occurred_at") + later
    )
    # nothing is observed after the end
    return pl.concat([rows, extra.filter(pl.col("occurred_at") <= rows["occurred_at"].max())])


def _redirect(rows: pl.DataFrame, site: Site, there: pl.Expr) -> pl.DataFrame:
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(SENT_BACK))
    sent = (hit.shift(1) & _same_customer(1)).fill_null(False)
    place = rows.schema["place"]
    return rows.with_columns(
        place=pl.when(sent).then(there.cast(place)).otherwise(pl.col("place")).cast(place)
    )


def _same_customer(steps: int) -> pl.Expr:
    return pl.col("customer").shift(steps) == pl.col("customer")


FAULTS: Mapping[str, Fault] = {
    "abandonment": Fault(ABANDONED, end_journeys, highest=1 - 2 * ABANDONED),
    "backtracking": Fault(SENT_BACK, send_back_a_stage, highest=1 - 2 * SENT_BACK),
    "ping_pong": Fault(SENT_BACK, send_to_source, highest=1 - 2 * SENT_BACK),
    "repeated_task": Fault(AGAIN, come_again, highest=1 - 2 * AGAIN),
    "repeat_contact": Fault(AGAIN, come_again, highest=1 - 2 * AGAIN),
    "self_service_leak": Fault(AGAIN, ask_for_help, highest=1 - 2 * AGAIN),
    "delay": Fault(DELAYED, prolong_waits, ordinary=1.0),
    # few answer, so that few handoffs have more ratings than a judgement needs
    "perception_dip": Fault(-MARKED_DOWN, lower_ratings, needs=0),
}
"""The fault that is planted for each signal."""


def plant_fault(rows: pl.DataFrame, fault: Fault, site: Site, *, seed: int) -> pl.DataFrame:
    """Plant a fault in rows of the store, which stay sorted by customer and time."""
    dice = pl.Series("_dice", np.random.default_rng(seed).random(len(rows)))
    changed = fault.plant(rows.with_columns(dice), site)
    return changed.sort("customer", "occurred_at", maintain_order=True).select(rows.columns)
