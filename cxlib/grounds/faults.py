"""Faults of stated size, planted on one handoff of a copy of the log.

Each changes the customers who arrive at a target from a source, and nobody else. Shares are of all
who arrived (left, came again, asked) or of those who went on (sent back), beyond what was before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cxlib.arrivals.open_hours import OpenHours

SENT_BACK = 0.3
"""Share of those who went on that is planted to go back: a stage, or to where they came from."""

AGAIN = 0.3
"""Share of arrivals that is planted to come again (task, contact) or to need help afterwards."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a fault is planted: ``observed`` is the share measured there; waits count in
    ``open_hours``; it breaks from ``since`` on, and for ``segments`` only (combinations of segment
    values).
    """

    source: int
    target: int
    observed: float
    places: pl.DataFrame
    open_hours: OpenHours | None = None
    since: datetime | None = None
    segments: tuple[int, ...] | None = None

    def arrived(self) -> pl.Expr:
        """Whether a row of the store is an arrival at the target from the source."""
        before = (pl.col("place").shift(1) == self.source) & same_customer(1)
        hit = (pl.col("place") == self.target) & before
        if self.since is not None:
            hit = hit & (pl.col("occurred_at") >= self.since)
        if self.segments is not None:
            hit = hit & pl.col("segment").is_in(self.segments)
        return hit.fill_null(False)

    def share_of_rest(self, size: float) -> float:
        """Share of those not hit before who must be hit, so that `size` of all are, on top."""
        return size / max(1 - self.observed, size)


Plant = Callable[[pl.DataFrame, Site], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: its ``size`` as its signal measures it, and how it is planted.

    ``ordinary``: the effect of a handoff without one; ``highest``: what may have been observed
    there, so that there is room; ``needs``: cases without which it is not tried.
    """

    size: float
    plant: Plant
    ordinary: float = 0.0
    highest: float = float("inf")
    needs: int = 300


def come_again(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who arrived be at the same touchpoint once more a day later."""
    return insert(rows, site, site.target, timedelta(days=1))


def insert(rows: pl.DataFrame, site: Site, place: int, later: timedelta) -> pl.DataFrame:
    """Let a share of those who arrived make one more contact at a place, so much later."""
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(AGAIN))
    extra = rows.filter(hit).with_columns(
        pl.lit(place).cast(rows.schema["place"]).alias("place"), pl.col("occurred_at") + later
    )
    # nothing is observed after the end
    return pl.concat([rows, extra.filter(pl.col("occurred_at") <= rows["occurred_at"].max())])


def redirect(rows: pl.DataFrame, site: Site, there: pl.Expr) -> pl.DataFrame:
    """Let the next contact of a share of those who went on be at another place."""
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(SENT_BACK))
    sent = (hit.shift(1) & same_customer(1)).fill_null(False)
    place = rows.schema["place"]
    return rows.with_columns(
        place=pl.when(sent).then(there.cast(place)).otherwise(pl.col("place")).cast(place)
    )


def row_before(value: pl.Expr) -> pl.Expr:
    """The value in the row before."""
    return value.shift(1)


def same_customer(steps: int) -> pl.Expr:
    """Whether the row so many steps before (negative: after) is the same customer's."""
    return pl.col("customer").shift(steps) == pl.col("customer")


def plant_fault(rows: pl.DataFrame, fault: Fault, site: Site, *, seed: int) -> pl.DataFrame:
    """Plant a fault in rows of the store, which stay sorted by customer and time."""
    dice = pl.Series("_dice", np.random.default_rng(seed).random(len(rows)))
    changed = fault.plant(rows.with_columns(dice), site)
    return changed.sort("customer", "occurred_at", maintain_order=True).select(rows.columns)
