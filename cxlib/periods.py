"""Calendar periods: what a contact is counted by, and what a period filter picks from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl

from cxlib.errors import InputError

Unit = Literal["day", "week", "month", "quarter"]

_LONGEST: tuple[tuple[Unit, timedelta], ...] = (
    ("day", timedelta(days=14)),
    ("week", timedelta(days=100)),
    ("month", timedelta(days=36 * 31)),
)
_EVERY: dict[Unit, str] = {"day": "1d", "week": "1w", "month": "1mo", "quarter": "1q"}


@dataclass(frozen=True, slots=True)
class Periods:
    """Consecutive periods of one unit, numbered from 0; weeks begin on Monday.

    ``starts`` are their first days in `time_zone`; ``days`` the first and last day with any
    contact, where that is known.
    """

    unit: Unit
    starts: tuple[date, ...]
    time_zone: str
    days: tuple[date, date] | None = field(default=None, compare=False, repr=False)

    def index_of(self, instant: pl.Expr) -> pl.Expr:
        """Give the number of the period an instant (Datetime UTC) falls in, as UInt16."""
        local = instant.dt.convert_time_zone(self.time_zone)
        after = pl.lit(pl.Series(self.starts)).search_sorted(local.dt.date(), side="right")
        return (after - 1).cast(pl.UInt16)

    @property
    def end(self) -> date:
        """The last day of the last period."""
        following = pl.lit(self.starts[-1]).dt.offset_by(_EVERY[self.unit])
        last: date = pl.select(following.dt.offset_by("-1d")).item()
        return last

    def between(self, first: date, last: date, *, named: str) -> tuple[int, int]:
        """Return the first and last period of exactly these days, both included.

        ``named``: how they were asked for. A time that ends before it begins, lies outside the log,
        or begins or ends within a period is an `InputError` that names the nearest exact ranges.
        """
        if last < first:
            raise InputError(f"{named} ends before it begins")
        low, high = self.days or (self.starts[0], self.end)
        if last < low or first > high:
            raise InputError(f"{named} lies outside the log, which runs from {low} to {high}")
        ends = [*(start - timedelta(days=1) for start in self.starts[1:]), self.end]
        spans = [(max(a, low), min(b, high)) for a, b in zip(self.starts, ends, strict=True)]
        met = [i for i, (a, b) in enumerate(spans) if a <= last and first <= b]
        whole = [i for i in met if first <= spans[i][0] and spans[i][1] <= last]
        if met and met == whole:
            return met[0], met[-1]
        near = [(i[0], i[-1]) for i in (met, whole) if i]
        ranges = " and ".join(f"{self.starts[a]}..{ends[b]}" for a, b in near)
        say = (
            "ranges that can be answered are" if len(near) > 1 else "range that can be answered is"
        )
        raise InputError(
            f"{named} begins or ends within a {self.unit}, and contacts are counted by whole "
            f"{self.unit}s; the nearest {say} {ranges}"
        )

    def label(self, index: int) -> str:
        """Name a period for people: "3 Aug 2025", "week of 4 Aug 2025", "Aug 2025", "Q3 2025"."""
        start = self.starts[index]
        day = f"{start.day} {start:%b %Y}"
        return {
            "day": day,
            "week": f"week of {day}",
            "month": f"{start:%b %Y}",
            "quarter": f"Q{(start.month + 2) // 3} {start.year}",
        }[self.unit]

    def __len__(self) -> int:
        return len(self.starts)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "unit": self.unit,
            "starts": [s.isoformat() for s in self.starts],
            "time_zone": self.time_zone,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Periods:
        """From what `to_dict` gave."""
        starts = tuple(date.fromisoformat(s) for s in content["starts"])
        return cls(content["unit"], starts, content["time_zone"])


def choose_periods(
    first: datetime, last: datetime, *, unit: Unit | None = None, time_zone: str = "UTC"
) -> Periods:
    """Cut the time from `first` to `last` into days, weeks, months or quarters.

    Without a stated unit, the shortest that gives at most about three dozen.
    """
    zone = ZoneInfo(time_zone)
    begin, end = first.astimezone(zone).date(), last.astimezone(zone).date()
    fitting: list[Unit] = [u for u, longest in _LONGEST if last - first <= longest]
    chosen: Unit = unit or (fitting[0] if fitting else "quarter")
    return Periods(chosen, _starts(begin, end, chosen), time_zone, (begin, end))


def _starts(first: date, last: date, unit: Unit) -> tuple[date, ...]:
    """First days of the periods from that of one day to that of another."""
    every = _EVERY[unit]
    begin = pl.lit(first).dt.truncate(every)
    return tuple(pl.select(pl.date_range(begin, pl.lit(last), every)).to_series())
