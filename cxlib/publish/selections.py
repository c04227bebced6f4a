"""Which selections are answered, and how the counts of all of them are rounded together.

Selections are the segments and periods a visitor of a dashboard may choose. A count is rounded in
the smallest parts that they are made of (a segment in one period), and every answer is the sum of
its parts: the published numbers are the exact ones of another log, in which every group has none or
at least k (``docs/decisions/0001-small-groups.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.contracts import DIMENSION, UNKNOWN
from cxlib.errors import CxError
from cxlib.periods import Periods
from cxlib.publish.small_groups import smallest_shown
from cxlib.store import Workspace
from cxlib.summary import NONE, Selection, Summary

MOST_PERIODS = 12
"""More than this are put together, into the next longer unit: every range of them is answered.
A year of months has 78 ranges."""

MOST_ROWS = 2_000_000
"""Most transitions that all selections together may have; where there would be more, periods are
put together too (see ``docs/decisions/0005-published-periods.md``)."""

_LONGER = {"day": "week", "week": "month", "month": "quarter"}
_EVERY = {"week": "1w", "month": "1mo", "quarter": "1q"}


def list_selections(segments: tuple[tuple[str, str], ...], periods: int) -> tuple[Selection, ...]:
    """List every selection by its number: each segment or all, each range of periods or all."""
    ranges = [(a, b) for a in range(periods) for b in range(a, periods) if b - a + 1 < periods]
    return tuple(
        Selection(segment=segment, period=period)
        for segment in (None, *segments)
        for period in (None, *ranges)
    )


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen: segments (dimension and value) and published periods (first days).

    `spans` are the first and last period of the summary in each; `until` is the day to which there
    is data, as midnight UTC.
    """

    segments: tuple[tuple[str, str], ...]
    periods: tuple[date, ...]
    period_unit: str
    spans: tuple[tuple[int, int], ...]
    until: datetime = datetime(1, 1, 1, tzinfo=UTC)

    def selections(self) -> tuple[Selection, ...]:
        """Return every selection, in the order of their numbers."""
        return list_selections(self.segments, len(self.periods))

    def of_summary(self, where: Selection) -> Selection:
        """Return a selection of published periods in periods of the summary."""
        if where.period is None:
            return Selection(segment=where.segment)
        first, last = where.period
        return Selection(segment=where.segment, period=(self.spans[first][0], self.spans[last][1]))


def find_choices(workspace: Workspace, summary: Summary, *, k: int) -> Choices:
    """Find what may be chosen in a summary of a workspace."""
    segments = tuple(
        (dimension, value)
        for dimension in summary.segment_names
        for value in summary.segments[DIMENSION + dimension].unique().sort()
        if value not in (None, UNKNOWN)
        and count_customers(summary, (dimension, value)) >= smallest_shown(k)
    )
    moves = summary.steps.select(pl.struct("place", "next").n_unique()).item()
    most = MOST_ROWS // max(1, moves * (1 + len(segments)))
    groups, unit = _group(summary.periods, most_ranges=most)
    periods = _begin_and_end(summary, groups, k=k)
    days = tuple(periods)
    until = _last_day(workspace, k=k) or datetime(*days[-1].timetuple()[:3], tzinfo=UTC)
    return Choices(segments, days, unit, tuple(periods.values()), until)


def count_customers(summary: Summary, segment: tuple[str, str] | None = None) -> int:
    """Count the customers of a segment, or of the log: each in the first period that has them."""
    first = (pl.col("level") == "all") & (pl.col("previous_period") == NONE)
    everybody = summary.reach.filter(first)
    if segment is not None:
        dimension, value = segment
        of = summary.segments.filter(pl.col(DIMENSION + dimension) == value)
        everybody = everybody.join(of, on="segment", how="semi")
    return int(everybody["customers"].sum())


Spans = dict[date, tuple[int, int]]
"""First and last period of the summary by the first day of a published period."""


def _group(periods: Periods, *, most_ranges: int) -> tuple[Spans, str]:
    """Put periods together into longer ones until they are few enough to answer every range."""
    unit: str = periods.unit
    groups: Spans = {start: (i, i) for i, start in enumerate(periods.starts)}

    def too_many(count: int) -> bool:
        return count > MOST_PERIODS or count * (count + 1) // 2 > most_ranges

    while too_many(len(groups)) and unit in _LONGER:
        unit = _LONGER[unit]
        merged: Spans = {}
        starts = pl.Series(list(groups)).dt.truncate(_EVERY[unit])
        for key, (first, last) in zip(starts, groups.values(), strict=True):
            merged[key] = (merged[key][0], last) if key in merged else (first, last)
        groups = merged
    return groups, unit


def _begin_and_end(summary: Summary, groups: Spans, *, k: int) -> Spans:
    """Count a first or last period that tells of few customers in the one beside it."""
    everybody = summary.reach.filter(pl.col("level") == "all")
    before = pl.col("previous_period")

    def enough(first: int, last: int) -> bool:
        new = (before < first) | (before == NONE)
        there = everybody.filter(pl.col("period").is_between(first, last), new)
        return int(there["customers"].sum()) >= smallest_shown(k)

    spans = list(groups.values())
    end = spans[-1][1]
    begun = next((i for i, s in enumerate(spans) if enough(0, s[1])), len(spans) - 1)
    ended = next((i for i in range(len(spans) - 1, begun, -1) if enough(spans[i][0], end)), begun)
    kept = spans[begun : ended + 1]
    kept[0] = (0, kept[0][1])
    kept[-1] = (kept[-1][0], end)
    return dict(zip(list(groups)[begun : ended + 1], kept, strict=True))


def _last_day(workspace: Workspace, *, k: int) -> datetime | None:
    """The day to which there is data: stated, or the last with enough customers on or after it."""
    zone = ZoneInfo(workspace.periods.time_zone)
    stated, number = workspace.journey_map.observed_until, smallest_shown(k)
    if stated is not None and stated == workspace.observed_until:
        # written as a day it is the midnight after it
        latest = stated - timedelta(microseconds=1)
    else:
        last = pl.concat(
            pl.scan_parquet(file).group_by("customer").agg(pl.col("occurred_at").max())
            for file in workspace.bucket_files()
        )
        found = last.select(pl.col("occurred_at").top_k(number)).collect().to_series()
        if len(found) < number:
            return None
        latest = found.min()  # type: ignore[assignment]
    day = latest.astimezone(zone)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


Numbers = NDArray[np.int64]


def round_together(
    exact: Numbers, base: Numbers, choices: Choices, *, distinct: bool = False
) -> Numbers:
    """Round one count (by row and selection) of all selections to multiples of each row's base.

    `distinct` counts are of customers, of whom each counts once in a range of periods; others add
    up over periods, and so do the rounded ones. Those of the values of a segment and of the rest
    add up to those of everybody. Everybody and the whole time is rounded to the nearest multiple,
    so is any range from the first period on; the others are within a few steps.
    """
    if not exact.size:
        return exact
    weights, inverse = _parts(choices, distinct=distinct)
    groups = 1 + len(choices.segments)
    counts = exact.reshape(len(exact), groups, -1) @ inverse.T
    rounded = np.zeros_like(counts)
    # every sum from the first period on is off by half a step at most
    upto = (np.cumsum(counts[:, 0], axis=-1) + base[:, None] // 2) // base[:, None]
    rounded[:, 0] = np.diff(upto, axis=-1, prepend=0) * base[:, None]
    dimensions: dict[str, list[int]] = {}
    for number, (dimension, _) in enumerate(choices.segments, start=1):  # everybody is 0
        dimensions.setdefault(dimension, []).append(number)
    for values in dimensions.values():
        rest = counts[:, 0] - counts[:, values].sum(axis=1)
        together = np.concatenate([counts[:, values], rest[:, None]], axis=1)
        rounded[:, values] = _apportion(together, rounded[:, 0], base)[:, :-1]
    return (rounded @ weights.T).reshape(exact.shape)


def _parts(choices: Choices, *, distinct: bool) -> tuple[Numbers, Numbers]:
    """Return which parts (a period, of `distinct` also that before) each range is the sum of."""
    count = max(1, len(choices.periods))
    parts = [(p, -1) for p in range(count)]
    if distinct:
        # To and fro, so that what is left over in one part is made up for in one close by.
        parts += [(p, q) for p in range(count) for q in range(p)[:: 1 if p % 2 else -1]]
    ranges = [where.period or (0, count - 1) for where in choices.selections()]
    ranges = ranges[: len(ranges) // (1 + len(choices.segments))]
    weights = np.array([[a <= p <= b and q < a for p, q in parts] for a, b in ranges], np.int64)
    # As many ranges as parts, or more where counts add up over periods: then single ones will do.
    if distinct:
        return weights, np.rint(np.linalg.pinv(weights)).astype(np.int64)
    singles = np.zeros((count, len(ranges)), dtype=np.int64)
    for period in range(count):
        singles[period, ranges.index((period, period))] = 1
    return weights, singles


def _apportion(counts: Numbers, totals: Numbers, base: Numbers) -> Numbers:
    """Divide totals (row, part) among values (row, value, part), those furthest behind first."""
    given = np.zeros_like(counts)
    owed = np.zeros(counts.shape[:2])
    for part in range(counts.shape[2]):
        owed += counts[:, :, part] / base[:, None]
        given[:, :, part] = _whole(owed, totals[:, part] // base)
        owed -= given[:, :, part]
    return given * base[:, None, None]


def _whole(owed: NDArray[np.float64], units: Numbers) -> Numbers:
    """Give out `units` in each row: as many as are owed, the rest by the largest remainder."""
    given = np.maximum(np.floor(owed + 1e-9), 0).astype(np.int64)
    while True:
        missing = units - given.sum(axis=1)
        if not missing.any():
            return given
        remainder = owed - given
        # the furthest behind first where units are missing; the furthest ahead first where too
        # many were given out, of those who have any
        order = np.where(missing[:, None] > 0, -remainder, remainder)
        order = np.where((missing[:, None] < 0) & (given == 0), np.inf, order)
        rank = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1, kind="stable")
        chosen = (rank < np.abs(missing)[:, None]) & np.isfinite(order)
        if not chosen.any():
            raise CxError("the counts of the values of a segment are more than those of everybody")
        given += np.sign(missing)[:, None] * chosen
