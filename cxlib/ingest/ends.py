"""First and last contacts that stand far from all others: a wrong clock must not decide for all.

The end of observation says who is lost and who is still open. Where the journey map does not state
it, it is the last contact's time, and one row with a wrong clock moves it for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from cxlib.journey_map import JourneyMap

__all__ = ["hints_on_ends"]

_RESOLUTION = "1h"
_FEW = 3
"""So many rows at an end may stand apart, or a two-hundredth of the rows where that is more."""
_LEAST = timedelta(days=1)
"""Shorter distances are not told of."""


def hints_on_ends(contacts: pl.DataFrame, journey_map: JourneyMap) -> Iterator[str]:
    """Say which few first or last contacts stand far from the others, and what to do.

    The few contacts at an end are told of when they keep a longer distance to the rest than f times
    the longest silence in the middle of the log, and than a day. Contacts that come at random, m
    silences in the middle of them, do so with probability m!·f!/(m+f)!, which is below 0.1 % with
    f = 3 from m = 17 on; f = 10 is asked of shorter logs, and nothing is told of less than three.

    Parameters
    ----------
    contacts
        With ``occurred_at``; no contact is after a stated end of observation.
    journey_map
        Whose `observed_until`, `earliest` and `latest` settle what is told here.
    """
    hours = (
        contacts.lazy()
        .group_by(pl.col("occurred_at").dt.truncate(_RESOLUTION).alias("at"))
        .agg(rows=pl.len())
        .sort("at")
        .with_columns(before=pl.col("rows").cum_sum() - pl.col("rows"))
        .collect(engine="streaming")
    )
    rows = len(contacts)
    few = min(max(_FEW, rows // 200), rows // 4)
    after = rows - hours["before"]
    silence = hours["at"].diff()  # before the contacts of each hour
    middle = silence.filter((hours["before"] > few) & (after > few)).drop_nulls()
    if len(middle) < 3:
        return
    longest: timedelta = middle.max()  # type: ignore[assignment]
    far = max((3 if len(middle) >= 17 else 10) * longest, _LEAST)
    hours = hours.with_columns(after=after, silence=silence, previous=pl.col("at").shift(1))
    apart = hours.filter(pl.col("silence") > far)
    last = apart.filter(pl.col("after") <= few).head(1)
    first = apart.filter(pl.col("before") <= few).tail(1)
    end, zone = journey_map.observed_until, journey_map.time_zone or "UTC"
    if len(last) and end is None:
        yield _last(last.row(0, named=True), rows, zone)
    if len(first) and journey_map.earliest is None:
        yield _first(first.row(0, named=True), rows, zone)
    newest: datetime = hours["at"][-1]
    if end is not None and end - newest > far:
        stated = _day(end - timedelta(microseconds=1), zone)  # a date alone is the end of that day
        yield (
            f"the last contact is {_days(end - newest)} before the stated observed_until ({stated})"
            ": whoever came last then counts as silent since; say until when the log is complete"
        )


def _last(row: dict[str, Any], rows: int, zone: str) -> str:
    return (
        f"{_told(row['after'], rows, 'last')} {_days(row['silence'])} after all others, from "
        f"{_day(row['at'], zone)} on: the end of observation rests on them, so that customers who "
        "were silent in between count as lost. If their clock is wrong, write into the map "
        f"`observed_until: {_day(row['previous'], zone)}`, and they are set aside"
    )


def _first(row: dict[str, Any], rows: int, zone: str) -> str:
    return (
        f"{_told(row['before'], rows, 'first')} {_days(row['silence'])} before all others, up to "
        f"{_day(row['previous'], zone)}: the log begins with them. If their clock is wrong, write "
        f"into the map `earliest: {_day(row['at'], zone)}`, and they are set aside"
    )


def _told(few: int, rows: int, which: str) -> str:
    return (
        f"the {which} contact (of {rows:,}) stands"
        if few == 1
        else f"the {which} {few:,} contacts (of {rows:,}) stand"
    )


def _day(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d}"


def _days(length: timedelta) -> str:
    return f"{length.days:,} day{'' if length.days == 1 else 's'}"
