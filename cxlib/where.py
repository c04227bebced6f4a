"""A part of a log, in the words of the log: names that are checked, and days as people write them.

`Where` is what is typed; `Where.of` looks it up in a log and gives the `Selection` in numbers that
the tables of the walk are narrowed by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import polars as pl

from cxlib.errors import InputError, UnknownNameError
from cxlib.periods import Periods
from cxlib.segments import segment_codes
from cxlib.summary import Selection, channel_names

__all__ = ["Where", "read_days"]

_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


class Log(Protocol):
    """A workspace, or its summary."""

    @property
    def places(self) -> pl.DataFrame:
        """Every place with its channel."""

    @property
    def segments(self) -> pl.DataFrame:
        """Every combination of segment values."""

    @property
    def periods(self) -> Periods:
        """The periods that contacts are counted by."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Where:
    """Which part of a log to look at.

    Attributes
    ----------
    segment
        The segment of the customers: its dimension and its value.
    since, until
        First and last time, both included: a year, a month or a day as text ("2025",
        "2025-03", "2025-03-14"), a date, or an instant.
    channel
        Contacts in this channel only (journeys: those that began in it).
    environment
        Contacts in this environment only: its name and its value. Only `cx.compare` knows it.

    Raises
    ------
    InputError
        More than one segment is named, or a time cannot be read.

    Examples
    --------
    >>> Where(segment={"persona": "explorer"}, since="2025-03", channel="app")
    Where(segment={'persona': 'explorer'}, since='2025-03', channel='app')
    >>> Where(until="next year")
    Traceback (most recent call last):
    cxlib.errors.InputError: until='next year' cannot be read; write 2025, 2025-03 or 2025-03-14
    """

    segment: Mapping[str, str] | None = None
    since: str | date | None = None
    until: str | date | None = None
    channel: str | None = None
    environment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("segment", "environment"):
            named: Mapping[str, str] | None = getattr(self, name)
            if named is not None and len(named) != 1:
                raise InputError(
                    f"{name}={dict(named)!r} names {len(named)} dimensions; name one, "
                    'such as {"persona": "explorer"}'
                )
        for name in ("since", "until"):
            _days(getattr(self, name), name, "UTC")

    def __repr__(self) -> str:
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return f"Where({', '.join(f'{n}={value!r}' for n, value in named if value is not None)})"

    def of(self, log: Log) -> Selection | None:
        """Look it up in a workspace or its summary; None where it names nothing.

        Raises
        ------
        UnknownNameError
            The log has no such segment, value or channel; says which names are near.
        InputError
            The time lies outside the log, or begins or ends within a period; says which ranges
            can be answered.
        """
        if self.environment is not None:
            raise InputError(
                f"environment={dict(self.environment)!r}: parts of a log by environment are put "
                "side by side by cx.compare, for touchpoints; ratings by environment are measured "
                'by cx.measure_perception(ws, by="environment.NAME")'
            )
        pair = None
        if self.segment is not None:
            ((dimension, value),) = self.segment.items()
            pair = dimension, str(value)
            segment_codes(log.segments, *pair)  # refuses what is not there
        if self.channel is not None and self.channel not in channel_names(log.places):
            raise UnknownNameError("channel", self.channel, channel_names(log.places))
        span = None
        if self.since is not None or self.until is not None:
            zone = log.periods.time_zone
            first, last = _days(self.since, "since", zone), _days(self.until, "until", zone)
            span = log.periods.between(
                first[0] if first else date.min,
                last[1] if last else date.max,
                named=f"since={self.since!r}, until={self.until!r}",
            )
        where = Selection(segment=pair, period=span, channel=self.channel)
        return None if where == Selection() else where


def _days(given: str | date | None, name: str, zone: str) -> tuple[date, date] | None:
    """First and last day of what is given."""
    if given is None:
        return None
    if isinstance(given, datetime):
        local = given if given.tzinfo is None else given.astimezone(ZoneInfo(zone))
        return local.date(), local.date()
    if isinstance(given, date):
        return given, given
    try:
        return read_days(given)
    except ValueError:
        raise InputError(
            f"{name}={given!r} cannot be read; write 2025, 2025-03 or 2025-03-14"
        ) from None


def read_days(text: str) -> tuple[date, date]:
    """Return the first and last day of a year, a month or a day; ValueError: it is none of these.

    >>> [str(day) for day in read_days("2025-02")]
    ['2025-02-01', '2025-02-28']
    """
    found = _DAY.fullmatch(str(text).strip())
    if found is None:
        raise ValueError
    year, month, day = (int(part) if part else None for part in found.groups())
    assert year is not None
    first = date(year, month or 1, day or 1)
    if day is not None:
        return first, first
    following = date(year + 1, 1, 1) if month in (None, 12) else date(year, month + 1, 1)
    return first, following - timedelta(days=1)
