"""Opening hours: how they are written, and how much of a wait was open time.

A touchpoint is *open* when the clock on the wall, in the zone of the journey map, shows a time
within its hours, on a date that is not closed. *Open time* is what really passes meanwhile: hours
that cover a change of clocks last one hour longer or less. It is looked up in a table of all
ranges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

_DAY, _WEEK = 24 * 60, 7 * 24 * 60
_SECOND = 1_000_000
_DAYS = {
    name: number
    for number, day in enumerate(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    )
    for name in (day, day[:3])
}
_PART = re.compile(
    r"(?:(?P<first>[a-z]+)(?:\s*-\s*(?P<last>[a-z]+))?)?\s*"
    r"(?:(?P<opens>\d{1,2}:[0-5]\d)\s*-\s*(?P<closes>\d{1,2}:[0-5]\d))?"
)

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Hours of a week, as written and as ranges in minutes since Monday 00:00; empty: always."""

    text: str
    week: tuple[tuple[int, int], ...]

    @property
    def share(self) -> float:
        """Share of a week that is open."""
        return sum(end - start for start, end in self.week) / _WEEK if self.week else 1.0


ALWAYS = OpeningHours("always", ())  # whatever the hours of its channel
MISFIT = 0.2
"""Share of a touchpoint's contacts outside its opening hours above which they are not believed:
hours read on a clock two hours off put so many of a ten-hour day outside."""


def parse_opening_hours(text: str) -> OpeningHours:
    """Read opening hours: ``always``, or days with ranges of hours; what is wrong, a ValueError."""
    if text.strip().lower() == ALWAYS.text:
        return ALWAYS
    wrong = ValueError(
        f"{text.strip()!r} is no days with hours; write for example Mon-Fri 08:00-18:00, "
        "Sat 09:00-13:00. What passes midnight or Sunday is two ranges, and none may overlap"
    )
    days: list[int] = []
    timed = True
    week: list[tuple[int, int]] = []
    for part in text.lower().replace("–", "-").split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or not part.strip():
            raise wrong
        if found["first"]:
            last = _DAYS.get(found["last"] or found["first"], -1)
            named = list(range(_DAYS.get(found["first"], len(_DAYS)), last + 1))
            if not named:
                raise wrong
            days = named + ([] if timed else days)
            timed = False
        if found["opens"]:
            start, end = _minute(found["opens"]), _minute(found["closes"])
            if not days or not start < end <= _DAY:
                raise wrong
            week += [(day * _DAY + start, day * _DAY + end) for day in days]
            timed = True
    week.sort()
    if not timed or any(later[0] < earlier[1] for earlier, later in pairwise(week)):
        raise wrong
    return OpeningHours(text.strip(), tuple(week))


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the places of a log are open, on the clock of a time zone; None: no hours."""

    time_zone: str
    closed_dates: tuple[date, ...]
    hours: tuple[OpeningHours | None, ...]

    def open_waits(self, place: pl.Series, at: pl.Series, wait: pl.Series) -> pl.Series:
        """Give the open time of waits that ended `at` their places; without hours the wait."""
        ends, lasted = _microseconds(at), _microseconds(wait)
        counted = lasted.copy()
        for hours, rows in self.rows_by_hours(place):
            begun = ends[rows] - lasted[rows]
            table = self._table(hours, begun, ends[rows])
            counted[rows] = table.until(ends[rows]) - table.until(begun)
        return pl.Series(wait.name, counted).cast(pl.Duration("us"))

    def is_open(self, place: pl.Series, at: pl.Series) -> pl.Series:
        """Say of each instant (Datetime, UTC) whether its place is open; null: it has no hours."""
        instants = _microseconds(at)
        known, found = np.zeros(len(at), bool), np.zeros(len(at), bool)
        for hours, rows in self.rows_by_hours(place):
            known[rows] = True
            found[rows] = self._table(hours, instants[rows], instants[rows]).holds(instants[rows])
        return pl.Series(found).set(pl.Series(~known), None)

    def after(self, place: int, begun: pl.Series, open_time: pl.Series) -> pl.Series:
        """Give the instants at which a place has been open for so long since `begun`."""
        hours = self.hours[place]
        if hours is None:
            return begun + open_time
        since, amount = _microseconds(begun), _microseconds(open_time)
        # twice the usual time and a year: enough for any closed dates
        latest = since + (amount / hours.share * 2).astype(np.int64) + 366 * 86_400 * _SECOND
        table = self._table(hours, since, latest)
        return pl.Series(begun.name, table.when(table.until(since) + amount)).cast(begun.dtype)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of a week that is open, by place; 1 where it has no hours."""
        return np.array([1.0 if hours is None else hours.share for hours in self.hours])

    def rows_by_hours(self, place: pl.Series) -> list[tuple[OpeningHours, Ints]]:
        """Give each set of opening hours with the rows at places that keep it."""
        kinds = list(dict.fromkeys(hours for hours in self.hours if hours is not None))
        kind_of = np.array([-1 if h is None else kinds.index(h) for h in self.hours], np.int64)
        kind = kind_of[place.to_numpy()]
        return [
            (hours, rows) for i, hours in enumerate(kinds) if len(rows := np.flatnonzero(kind == i))
        ]

    def _table(self, hours: OpeningHours, first: Ints, last: Ints) -> _OpenTime:
        years = [
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at))).year
            for at in (first.min(), last.max())
        ]
        return _open_time(hours.week, self.closed_dates, self.time_zone, years[0], years[1])


class _OpenTime(NamedTuple):
    """Open ranges in microseconds UTC, and the open time before each; none overlap."""

    starts: Ints
    ends: Ints
    before: Ints

    def until(self, at: Ints) -> Ints:
        i = np.searchsorted(self.starts, at, "right") - 1
        return self.before[i] + np.minimum(at, self.ends[i]) - self.starts[i]

    def holds(self, at: Ints) -> NDArray[np.bool_]:
        """Whether instants lie within a range, its end not included."""
        return at < self.ends[np.searchsorted(self.starts, at, "right") - 1]

    def when(self, open_time: Ints) -> Ints:
        """First instants up to which there was so much open time."""
        reached = self.before + self.ends - self.starts
        i = np.searchsorted(reached, open_time, "left").clip(0, len(reached) - 1)
        return self.starts[i] + np.minimum(open_time, reached[i]) - self.before[i]


@lru_cache(maxsize=64)
def _open_time(
    week: tuple[tuple[int, int], ...],
    closed: tuple[date, ...],
    time_zone: str,
    first_year: int,
    last_year: int,
) -> _OpenTime:
    """Lay out the open ranges of whole years, one day wider at either end than UTC needs."""
    first = (date(first_year, 1, 1) - date(1970, 1, 1)).days - 1
    last = (date(last_year + 1, 1, 1) - date(1970, 1, 1)).days + 1
    days = np.setdiff1d(np.arange(first, last), [(day - date(1970, 1, 1)).days for day in closed])
    weekday = (days + 3) % 7  # 1970 began on a Thursday
    parts = [
        days[weekday == start // _DAY, None] * _DAY + [start % _DAY, end - start // _DAY * _DAY]
        for start, end in week
    ]
    wall = np.concatenate(parts) * 60
    wall = wall[np.argsort(wall[:, 0])]
    clock = _clock_changes(time_zone, first, last)
    pieces = [np.full((1, 2), first * 86_400)]
    for (since, offset), (until, _) in pairwise(clock):
        part = np.clip(wall - offset, since, until)
        pieces.append(part[part[:, 1] > part[:, 0]])
    starts, ends = (np.concatenate(pieces).T * _SECOND).astype(np.int64)
    return _OpenTime(starts, ends, np.concatenate([[0], np.cumsum(ends - starts)[:-1]]))


def _clock_changes(time_zone: str, first: int, last: int) -> list[tuple[int, int]]:
    """Since when (seconds UTC) the clock is how many seconds ahead of UTC; ends with the end."""
    days = np.arange(first, last + 1) * 86_400
    offsets = _offsets(days, time_zone)
    changes = [(int(days[0]), int(offsets[0]))]
    for i in np.flatnonzero(np.diff(offsets)):
        minutes = np.arange(days[i], days[i + 1] + 60, 60)
        at = _offsets(minutes, time_zone)
        changes += [(int(minutes[j + 1]), int(at[j + 1])) for j in np.flatnonzero(np.diff(at))]
    return [*changes, (int(days[-1]), 0)]


def _offsets(seconds: Ints, time_zone: str) -> Ints:
    instants = pl.from_epoch(pl.Series(seconds), "s").dt.replace_time_zone("UTC")
    wall = instants.dt.convert_time_zone(time_zone).dt.replace_time_zone(None)
    ahead = wall - instants.dt.replace_time_zone(None)
    return ahead.dt.total_seconds().to_numpy().astype(np.int64)


def _microseconds(values: pl.Series) -> Ints:
    return values.dt.cast_time_unit("us").cast(pl.Int64).to_numpy()
