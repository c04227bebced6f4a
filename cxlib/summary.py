"""The one pass: journeys counted once, so that every later question is a sum over a few numbers.

Counts, sums and histograms only: summaries of two sets of customers add up to that of both, and it
grows with the journey map, not with the customers. Every table also has ``segment``, ``period`` and
``bucket``:

``steps``
    Contacts by ``place``, ``next`` (place of the next contact of the journey, or an end code),
    ``bin`` and ``part`` (of the wait, or of the follow-up where nothing came); ``n``, ``least`` and
    ``most`` (of these times, in seconds).
``contacts``
    By ``place``: ``contacts``, sums and numbers of ratings, time in the contact and costs.
``reach``
    ``customers`` by ``level`` ("all", "stage", "channel", "place"), ``key`` and
    ``previous_period`` (the customer's period before this one at the same key, 65535 if none).
    Those of the periods p…q are the ones whose previous period lies before p: exact, and additive.
``starts``
    Journeys, in the period they began: ``place`` of the first contact, ``first_journey``,
    ``outcome`` (goal, lost, silent, open, done), and the time to it as in ``steps``.
``stages``
    Journeys by ``stage`` they rose to, ``outcome`` (progress, or as above), and the time to it.

*open* is censored (observed for less than ``gap`` since), *silent* went quiet for longer, *lost*
met one of the map's losses, *done* had reached the goal (or began beyond its stage). What took the
whole gap to know stands in the last bin of ``steps``, after all that could come before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.bins import BIN_EDGES, bin_of
from cxlib.periods import Periods
from cxlib.segments import segment_names
from cxlib.store.counting import TABLES, count_bucket
from cxlib.store.engines import Run, count_here
from cxlib.store.selection import Chosen, Selection, channel_names
from cxlib.store.tables import NONE, read_tables, select, write_tables
from cxlib.store.walk import DONE, LOST, OPEN, SILENT

if TYPE_CHECKING:
    from cxlib.store import Workspace

__all__ = [
    "BIN_EDGES",
    "DONE",
    "LOST",
    "NONE",
    "OPEN",
    "SILENT",
    "TABLES",
    "Selection",
    "Summary",
    "beside",
    "bin_of",
    "channel_names",
    "part_and_name",
    "summarise",
]


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The journey summary: what the numbers in its tables mean, and the tables (see the module)."""

    places: pl.DataFrame
    segments: pl.DataFrame
    periods: Periods
    stage_names: tuple[str, ...]
    gap: timedelta | None
    observed_until: datetime
    steps: pl.DataFrame
    contacts: pl.DataFrame
    reach: pl.DataFrame
    starts: pl.DataFrame
    stages: pl.DataFrame
    parts: int = 1
    """How many parts of a log lie beside one another in it (see `beside`)."""

    @property
    def part_of(self) -> NDArray[np.int64]:
        """The part that each place is in."""
        places = len(self.places)
        return np.arange(places) // max(places // self.parts, 1)

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names; ``reach.key`` at level "channel" is a position in here."""
        return channel_names(self.places)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segment dimensions."""
        return segment_names(self.segments)

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The additive tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    def select(self, where: Selection | None) -> Summary:
        """Keep the part of the summary that `where` names; unknown names are errors."""
        if where is None or where == Selection():
            return self
        chosen = Chosen.of(where, places=self.places, segments=self.segments, periods=self.periods)
        kept: dict[str, Any] = {**select(self.tables, TABLES, chosen)}
        return replace(self, **kept)

    def write(self, folder: str | Path) -> None:
        """Write the summary to a folder, complete or not at all."""
        about = {
            "periods": self.periods.to_dict(),
            "days": self.periods.days and [day.isoformat() for day in self.periods.days],
            "stage_names": self.stage_names,
            "gap_seconds": None if self.gap is None else self.gap.total_seconds(),
            "observed_until": self.observed_until.isoformat(),
        }
        frames = {"places": self.places, "segments": self.segments, **self.tables}
        write_tables(folder, frames, TABLES, about)

    @classmethod
    def read(cls, folder: str | Path) -> Summary:
        """Read what `write` wrote; a `WorkspaceError` where it was counted otherwise."""
        read, about = read_tables(folder, TABLES, also=("places", "segments"))
        frames: dict[str, Any] = {**read}
        gap = about["gap_seconds"]
        told = [date.fromisoformat(day) for day in about.get("days") or ()]
        days = (told[0], told[1]) if told else None
        return cls(
            periods=replace(Periods.from_dict(about["periods"]), days=days),
            stage_names=tuple(about["stage_names"]),
            gap=None if gap is None else timedelta(seconds=gap),
            observed_until=datetime.fromisoformat(about["observed_until"]),
            **frames,
        )


def summarise(workspace: Workspace, *, run: Run = count_here) -> Summary:
    """Count the journeys of a workspace: one pass, one bucket of customers at a time.

    ``run`` says where buckets are counted (`cxlib.store.engines`). They share no customer, so that
    their tables are put under one another, and memory is that of one bucket and of the result.
    """
    parts = run(workspace.bucket_files(), partial(count_bucket, scope=workspace.scope))
    # each part is sorted, and the bucket is the first key: no table has to be sorted as a whole
    tables: dict[str, Any] = {n: pl.concat([p[n] for p in parts]) for n in TABLES}
    return Summary(
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        stage_names=workspace.journey_map.stages,
        gap=workspace.gap,
        observed_until=workspace.observed_until,
        **tables,
    )


_MARK = "\x1f"
"""Between the number of a part and a name in it."""


def beside(whole: Summary, periods: Sequence[tuple[int, int]]) -> Summary:
    """Put ranges of periods of one log beside one another, to be measured all at once.

    Each part has its own places, stages and channels, named by its number and what they are called
    (`part_and_name` takes that apart). Customers may be in several parts: only measures of places,
    stages and channels can be asked, and for everything.
    """
    count, places = len(periods), len(whole.places)
    stages, channels = len(whole.stage_names), len(whole.channels)

    def part(column: str = "place") -> pl.Expr:
        return pl.col(column).cast(pl.UInt32)

    def stage(column: str) -> pl.Expr:
        there = part(column) < stages
        return (
            pl.when(there)
            .then(part(column) + pl.col("_part") * stages)
            .otherwise(count * stages + pl.col("_part"))
        )

    level, place = pl.col("level").cast(pl.String), part() + pl.col("_part") * places
    onward = pl.when(pl.col("next") < DONE).then(pl.col("_part") * places).otherwise(0)
    moves: dict[str, dict[str, pl.Expr]] = {
        "steps": {"place": place, "next": part("next") + onward},
        "contacts": {"place": place},
        "reach": {
            "key": pl.when(level == "place")
            .then(part("key") + pl.col("_part") * places)
            .when(level == "stage")
            .then(stage("key"))
            .when(level == "channel")
            .then(part("key") + pl.col("_part") * channels)
            .otherwise(pl.col("_part")),
            # everybody is counted in the first period seen
            "previous_period": pl.lit(NONE, pl.UInt16),
        },
        "starts": {"place": place},
        "stages": {"stage": stage("stage")},
    }
    numbers = pl.Series("_part", range(count), dtype=pl.UInt32)
    frames: dict[str, Any] = {}
    for name, table in whole.tables.items():
        ordered = table.sort("period", maintain_order=True)
        ends = np.searchsorted(ordered["period"].to_numpy(), [(a, b + 1) for a, b in periods])
        rows = [ordered.slice(a, b - a) for a, b in ends.tolist()]
        if name == "reach":
            before = pl.col("previous_period")
            new = [(before < a) | (before == NONE) for a, _ in periods]
            rows = [part.filter(test) for part, test in zip(rows, new, strict=True)]
        own = np.repeat(np.arange(count, dtype=np.uint32), [len(part) for part in rows])
        stacked = pl.concat(rows, rechunk=True).with_columns(_part=pl.Series(own))
        frames[name] = stacked.with_columns(**moves[name]).drop("_part")
    mark = pl.col("_part").cast(pl.String).str.zfill(5) + _MARK
    named = numbers.to_frame().join(whole.places, how="cross", maintain_order="left_right")
    frames["places"] = named.with_columns(
        place=place,
        stage=mark + pl.col("stage"),
        channel=mark + pl.col("channel"),
        stage_index=stage("stage_index"),
    ).select(whole.places.columns)
    names = tuple(f"{n:05d}{_MARK}{name}" for n in range(count) for name in whole.stage_names)
    return replace(whole, stage_names=names, parts=count, **frames)


def part_and_name(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Return the part, and the name in it, of a column of `beside`; other names stay."""
    told = pl.col(column).str
    return told.head(5).cast(pl.UInt32, strict=False), told.replace(rf"^\d{{5}}{_MARK}", "")
