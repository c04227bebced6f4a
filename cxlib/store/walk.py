"""The one walk: what came before every contact and what came after it, said once for the project.

A *transition* is a contact directly followed by another of the same journey. Every table counts
these transitions, all of them or those that a named filter leaves. Rows come sorted by customer,
time and order within one instant, so that the contact before is the row before; nothing outside
this module shifts rows of the store.

`follow_contacts` looks ahead: where the journey went on, or how it ended. `look_back` says the same
of the same transitions from their other end: where each contact came from. `visits` leaves
reloads out, for what is asked about the contacts around a transition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cxlib.bins import N_BINS, bin_of, part_of
from cxlib.journeys import NO_STAGE
from cxlib.opening_hours import Calendar

OPEN, SILENT, LOST, DONE = 65_535, 65_534, 65_533, 65_532
"""Codes in ``next`` for contacts that no further contact of the journey followed."""

RELOAD = timedelta(seconds=60)  # the same touchpoint so soon is a reload, not another visit


@dataclass(frozen=True, slots=True)
class Scope:
    """What the walk needs to know of the workspace.

    `gap`: silence that ends a journey; `goal_stage`: the last stage that holds a goal, beyond which
    nothing is left to reach; `exact`: whether durations are kept apart within their bins, as a
    small log allows (`cxlib.bins.part_of`).
    """

    places: pl.DataFrame
    gap: timedelta | None
    observed_until: datetime
    goal_stage: int | None = None
    exact: bool = True

    def is_beyond(self, place: pl.Expr) -> pl.Expr:
        """Whether a place lies in a stage after the goal's."""
        if self.goal_stage is None:
            return pl.lit(False)
        stage = pl.col("stage_index")
        flag = self.places.select((stage > self.goal_stage) & (stage != NO_STAGE)).to_series()
        return pl.lit(flag).gather(place.cast(pl.UInt32))

    def of_place(self, column: str, place: str = "place") -> pl.Expr:
        """What the places table says of the place in a column."""
        return pl.lit(self.places[column]).gather(pl.col(place).cast(pl.UInt32))


def follow_contacts(rows: pl.DataFrame, *, scope: Scope) -> pl.DataFrame:
    """Say of every contact what came after it in its journey, and after how long.

    Adds to rows of the store ``next`` (the next contact's place, or OPEN, SILENT, LOST, DONE),
    ``wait`` (microseconds to the next contact of the journey; to the customer's next contact or the
    end of observation where the journey ended here), ``bin`` of the wait (the last one where it
    took the whole gap to know that nothing came), ``part`` of the bin where another contact came,
    and ``latest``: no further contact of the customer was seen.

    After a goal or a loss, too, a contact may still come as long as the gap has not passed: until
    then it is OPEN, so that chances of going on are not too low near the end of the log. Where
    journeys have no gap, DONE and LOST are known at once.
    """
    until = pl.lit(scope.observed_until).dt.epoch("us")
    instant = pl.col("occurred_at").to_physical()
    followed = (pl.col("journey") == pl.col("journey").shift(-1)).fill_null(False)
    observed = (pl.col("customer") == pl.col("customer").shift(-1)).fill_null(False)
    silent = pl.col("wait") > longest(scope.gap)
    # the next journey's first contact ends the waiting as well
    settled = pl.lit(True) if scope.gap is None else silent | ~pl.col("latest")
    done = pl.col("reached") | scope.is_beyond(pl.col("place"))
    ends = {DONE: settled & done, LOST: settled & pl.col("lost"), SILENT: silent}
    codes = [pl.when(flag).then(pl.lit(code, pl.UInt16)) for code, flag in ends.items()]
    end = pl.coalesce(*codes, pl.lit(OPEN, pl.UInt16))
    at_once = pl.lit(scope.gap is None) & pl.col("next").is_in([DONE, LOST])
    known_after = (
        pl.when(at_once)
        .then(0)
        .when(silent & ~pl.col("_followed"))
        .then(pl.lit(N_BINS - 1))
        .otherwise(bin_of(pl.col("wait") / 1_000_000))
    )
    return (
        rows.lazy()
        .with_columns(
            wait=pl.when(observed).then(instant.shift(-1)).otherwise(until) - instant,
            _followed=followed,
            latest=~observed,
        )
        .with_columns(next=pl.when("_followed").then(pl.col("place").shift(-1)).otherwise(end))
        .with_columns(
            bin=known_after.cast(pl.UInt8),
            part=pl.when("_followed")
            .then(part_of(pl.col("wait"), exact=scope.exact))
            .otherwise(pl.lit(0, pl.UInt16)),
        )
        .drop("_followed")
        .collect()
    )


def open_waits(followed: pl.DataFrame, calendar: Calendar | None) -> pl.DataFrame:
    """Add ``open_wait``: microseconds for which the next place was open meanwhile.

    Null where no contact of the journey followed, or none at a place with opening hours.
    """
    found = pl.Series("open_wait", [None], dtype=pl.Int64).new_from_index(0, len(followed))
    if calendar is None:
        return followed.with_columns(found)
    timed = [place for place, hours in enumerate(calendar.hours) if hours is not None]
    rows = followed["next"].is_in(timed).arg_true()
    ended = followed.select(
        "next", wait=pl.col("wait").cast(pl.Duration("us")), at="occurred_at"
    ).filter(pl.Series(followed["next"].is_in(timed)))
    counted = calendar.open_waits(ended["next"], ended["at"] + ended["wait"], ended["wait"])
    return followed.with_columns(found.scatter(rows, counted.to_physical()))


def longest(gap: timedelta | None) -> int:
    """The gap in microseconds; longer than any log where journeys have none."""
    return 2**62 if gap is None else round(gap.total_seconds() * 1_000_000)


def look_back(rows: pl.DataFrame | pl.LazyFrame, *, scope: Scope) -> pl.LazyFrame:
    """Say of every contact what came before it in its journey: the same transitions from there.

    Adds ``same_journey`` (a contact of the journey came before), ``previous`` (its place; null at
    the start), ``waited`` (since it), ``left_in`` (period of that contact: a transition is counted
    where it was left), ``ordered`` (the order of the two is known: they do not share one instant,
    or the source states it), ``reload`` (the same place within `RELOAD`) and ``followed_for`` (from
    the contact to the end of observation).
    """
    same = (pl.col("journey") == pl.col("journey").shift(1)).fill_null(False)
    since = pl.col("occurred_at") - pl.col("occurred_at").shift(1)
    later = (since > timedelta()) | (pl.col("sequence") > pl.col("sequence").shift(1))
    again = (pl.col("place") == pl.col("place").shift(1)) & (since <= RELOAD)
    return rows.lazy().with_columns(
        same_journey=same,
        previous=pl.when(same).then(pl.col("place").shift(1)),
        waited=pl.when(same).then(since),
        left_in=pl.when(same).then(pl.col("period").shift(1)),
        ordered=same & later,
        reload=same & again,
        followed_for=pl.lit(scope.observed_until) - pl.col("occurred_at"),
    )


def visits(seen: pl.LazyFrame, *, scope: Scope, silence: timedelta) -> pl.LazyFrame:
    """Leave reloads out of what `look_back` gives, and say of every visit what lies around it.

    Adds ``number`` (of the customer's visits, from 0), ``returned`` (the visit is itself a return:
    to the place two before, or to its channel from another one), ``next`` (place of the next visit
    of the journey within `silence`, null without one), ``until_next``, ``next_stage``, and
    ``return_after`` (to the customer's next contact of their own, of whatever journey; null without
    one).
    """
    instant = pl.col("occurred_at")
    place = pl.col("place")
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    first = (pl.col("customer") != pl.col("customer").shift(1)).fill_null(True)
    linked = pl.col("same_journey") & (pl.col("waited") <= silence)
    ahead = instant.shift(-1) - instant
    goes_on = (pl.col("journey") == pl.col("journey").shift(-1)) & (ahead <= silence)
    channel = scope.of_place("channel")
    away = channel.shift(1) != channel
    home = (place.shift(2) == place) | (away & (channel.shift(2) == channel))
    return_at = next_where(scope.of_place("initiated_by") == "customer", instant)
    return seen.filter(~pl.col("reload")).with_columns(
        number=row - pl.when(first).then(row).otherwise(0).cum_max(),
        returned=(linked & linked.shift(1) & (place.shift(1) != place) & home).fill_null(False),
        next=pl.when(goes_on).then(place.shift(-1)),
        until_next=pl.when(goes_on).then(ahead),
        next_stage=pl.when(goes_on).then(scope.of_place("stage_index").cast(pl.UInt8).shift(-1)),
        return_after=return_at - instant,
    )


def around(value: str | pl.Expr, steps: int, *, within: str = "journey") -> pl.Expr:
    """Value `steps` rows after this one (before it: negative) in the same journey or customer.

    Null beyond the ends of the journey; of rows that were filtered, those that are left.
    """
    here = pl.col(value) if isinstance(value, str) else value
    same = (pl.col(within) == pl.col(within).shift(-steps)).fill_null(False)
    return pl.when(same).then(here.shift(-steps))


def next_where(flag: pl.Expr, value: pl.Expr) -> pl.Expr:
    """Value at the customer's next row with `flag`, after this one; null without one."""
    here, who = (
        pl.when(flag).then(v).shift(-1).backward_fill() for v in (value, pl.col("customer"))
    )
    return pl.when(who == pl.col("customer")).then(here)


def changes(*columns: str) -> pl.Expr:
    """Whether a row differs from the one before it in any of the columns."""
    return pl.any_horizontal(pl.col(c) != pl.col(c).shift(1) for c in columns).fill_null(True)
