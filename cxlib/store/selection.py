"""Which part of a log is asked about, checked against what the log has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from cxlib.errors import InputError, UnknownNameError
from cxlib.periods import Periods
from cxlib.segments import segment_codes


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a log to look at: dimension and value of a segment, first and last period.

    And one channel: its contacts (journeys: those that began in it; transitions: those that left
    it; findings: those with either end in it).
    """

    segment: tuple[str, str] | None = None
    period: tuple[int, int] | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A selection in the store's numbers: of combinations of segment values, first and last period,
    the channel's places, and the channel. None where everything is meant.
    """

    segments: list[int] | None = None
    period: tuple[int, int] | None = None
    places: list[int] | None = None
    channel: int | None = None

    @classmethod
    def of(
        cls,
        where: Selection | None,
        *,
        places: pl.DataFrame,
        segments: pl.DataFrame,
        periods: Periods,
    ) -> Chosen:
        """Look a selection up; an unknown name or a period outside the log raises."""
        where = where or Selection()
        codes = None if where.segment is None else segment_codes(segments, *where.segment)
        first, last = where.period or (0, 0)
        if not 0 <= first <= last < len(periods):
            raise InputError(
                f"period {first} to {last} is outside the log, which has the {len(periods)} "
                f"{periods.unit}s 0 ({periods.label(0)}) to {len(periods) - 1} "
                f"({periods.label(len(periods) - 1)})"
            )
        if where.channel is None:
            return cls(codes, where.period)
        names = channel_names(places)
        if where.channel not in names:
            raise UnknownNameError("channel", where.channel, names)
        here = places.filter(pl.col("channel") == where.channel)["place"].to_list()
        return cls(codes, where.period, here, names.index(where.channel))

    def tests(self, keys: Iterable[str] = ("segment", "period", "place")) -> list[pl.Expr]:
        """Conditions on rows with these of the columns ``segment``, ``period`` and ``place``."""
        tests = []
        if self.segments is not None and "segment" in keys:
            tests.append(pl.col("segment").is_in(self.segments))
        if self.period is not None and "period" in keys:
            tests.append(pl.col("period").is_between(*self.period))
        if self.places is not None and "place" in keys:
            tests.append(pl.col("place").is_in(self.places))
        return tests


def channel_names(places: pl.DataFrame) -> tuple[str, ...]:
    """Channels in the order in which the journey map first uses them."""
    return tuple(places["channel"].unique(maintain_order=True))
