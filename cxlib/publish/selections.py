"""Which selections are answered: the segments and periods a visitor of a dashboard may choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from cxlib.contracts import UNKNOWN
from cxlib.periods import Periods
from cxlib.publish.rounding import smallest_shown
from cxlib.segments import DIMENSION
from cxlib.summary import NONE, Selection, Summary

__all__ = ["Choices", "find_choices"]

MOST_PERIODS = 12
"""More than this are put together, into the next longer unit: every range of them is answered.
A year of months has 78 ranges."""

MOST_ROWS = 2_000_000
"""Most transitions that all selections together may have; where there would be more, periods are
put together too (see ``docs/decisions/0005-published-periods.md``)."""

_LONGER = {"day": "week", "week": "month", "month": "quarter"}


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen.

    Attributes
    ----------
    segments
        Dimension and value of every segment that is large enough to be shown.
    periods
        First days of the published periods.
    period_unit
        Their length: day, week, month or quarter, as far as they are that short.
    spans
        First and last period of the summary in each published period.
    """

    segments: tuple[tuple[str, str], ...]
    periods: tuple[date, ...]
    period_unit: str
    spans: tuple[tuple[int, int], ...]

    def selections(self) -> tuple[Selection, ...]:
        """Return every selection: each segment or all, each range of published periods or all."""
        count = len(self.periods)
        ranges = [(a, b) for a in range(count) for b in range(a, count) if b - a + 1 < count]
        return tuple(
            Selection(segment=segment, period=period)
            for segment in (None, *self.segments)
            for period in (None, *ranges)
        )

    def of_summary(self, where: Selection) -> Selection:
        """Return a selection of published periods in periods of the summary."""
        if where.period is None:
            return Selection(segment=where.segment)
        first, last = where.period
        return Selection(segment=where.segment, period=(self.spans[first][0], self.spans[last][1]))


def find_choices(summary: Summary, *, k: int) -> Choices:
    """Find what may be chosen in a summary: segments large enough to be shown, and periods."""
    segments = _segments(summary, k=k)
    moves = summary.steps.select(pl.struct("place", "next").n_unique()).item()
    most = MOST_ROWS // max(1, moves * (1 + len(segments)))
    return Choices(segments, *_group(summary.periods, most_ranges=most))


def _segments(summary: Summary, *, k: int) -> tuple[tuple[str, str], ...]:
    # Everybody counts once: in the first period in which they came.
    first = (pl.col("level") == "all") & (pl.col("previous_period") == NONE)
    everybody = summary.reach.filter(first)
    per_code = everybody.group_by("segment").agg(pl.col("customers").sum().cast(pl.Int64))
    named = summary.segments.join(per_code, on="segment", how="left")
    found: list[tuple[str, str]] = []
    for dimension in summary.segment_names:
        value = pl.col(DIMENSION + dimension).alias("value")
        sizes = named.group_by(value).agg(pl.col("customers").sum()).sort("value")
        kept = sizes.filter(
            (pl.col("customers") >= smallest_shown(k)) & (pl.col("value") != UNKNOWN)
        )
        found += [(dimension, value) for value in kept["value"].to_list()]
    return tuple(found)


def _group(
    periods: Periods, *, most_ranges: int
) -> tuple[tuple[date, ...], str, tuple[tuple[int, int], ...]]:
    """Put periods together into longer ones until they are few enough to answer every range."""
    unit: str = periods.unit
    groups = {start: (i, i) for i, start in enumerate(periods.starts)}

    def too_many(count: int) -> bool:
        return count > MOST_PERIODS or count * (count + 1) // 2 > most_ranges

    while too_many(len(groups)) and unit in _LONGER:
        unit = _LONGER[unit]
        merged: dict[date, tuple[int, int]] = {}
        for start, (first, last) in groups.items():
            key = _floor(start, unit)
            merged[key] = (merged[key][0], last) if key in merged else (first, last)
        groups = merged
    return tuple(groups), unit, tuple(groups.values())


def _floor(day: date, unit: str) -> date:
    if unit == "week":
        return date.fromordinal(day.toordinal() - day.weekday())
    size = 3 if unit == "quarter" else 1
    return date(day.year, (day.month - 1) // size * size + 1, 1)
