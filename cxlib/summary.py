"""The one pass: journeys counted once, so that every later question is a sum over a few numbers.

The summary is made of counts, sums and histograms only, so that summaries of two sets of customers
add up to the summary of both. It grows with the journey map, not with the number of customers.

Tables (every one also has ``segment`` UInt16, ``period`` UInt16 and ``bucket`` UInt8):

``steps``
    One count per contact: ``place``, ``next`` (the next contact's place in the same journey, or an
    end code), ``bin`` (of the wait, or of the follow-up where nothing came), ``n``.
``contacts``
    ``place``; ``contacts``, ``rating_n``, ``rating_sum``, ``rating_sq``, ``dwell_n``,
    ``dwell_seconds``, ``cost_sum``.
``reach``
    ``level`` ("all", "stage", "channel", "place"), ``key``, ``previous_period`` (the customer's
    period before this one at the same key, 65535 if none), ``customers``. Distinct customers of the
    periods p…q are the sum over these periods of those whose previous period lies before p: exact,
    and still additive over customers.
``starts``
    One count per journey, in the period it began: ``place`` of the first contact,
    ``first_journey``, ``outcome`` (goal, lost, silent, open, done), ``bin`` of the time to it,
    ``n``.
``stages``
    One count per journey and stage it rose to: ``stage``, ``outcome`` (progress, goal, lost,
    silent, open, done), ``bin`` of the time from the first contact in the stage to it, ``n``.

End codes and outcomes: *open* is censored (observed for less than ``gap`` since), *silent* went
quiet for longer than ``gap``, *lost* met one of the map's losses, *done* had reached the goal (or
began beyond its stage) and so has nothing left to lose. What took the whole gap to know stands in
the last bin of ``steps``, after all that could come before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.bins import BIN_EDGES, bin_of
from cxlib.counting import (
    DONE,
    KEYS,
    LOST,
    NONE,
    OPEN,
    SILENT,
    channel_names,
    count_bucket,
)
from cxlib.durable import keep_folder
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.periods import Periods
from cxlib.segments import segment_codes, segment_names

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
    "bin_of",
    "channel_names",
    "merge_summaries",
    "summarise",
]

TABLES = tuple(KEYS)

FORMAT = 3
"""What the tables mean; a summary counted by another meaning is counted again."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a summary to look at.

    Attributes
    ----------
    segment
        Dimension and value, for example ``("persona", "explorer")``.
    period
        First and last period number, both included.
    channel
        Contacts in this channel only (journeys: those that began in it).
    """

    segment: tuple[str, str] | None = None
    period: tuple[int, int] | None = None
    channel: str | None = None


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

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names; ``reach.key`` at level "channel" is a position in here."""
        return channel_names(self.places)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segment dimensions."""
        return segment_names(self.segments)

    def select(self, where: Selection | None) -> Summary:
        """Keep the part of the summary that `where` names.

        Raises
        ------
        UnknownNameError
            For a segment, value or channel that the summary does not have.
        InputError
            For a period that it does not cover.
        """
        if where is None or where == Selection():
            return self
        kept: dict[str, Any] = {name: self._rows(name, where) for name in TABLES}
        return replace(self, **kept)

    def _rows(self, name: str, where: Selection) -> pl.DataFrame:
        table: pl.DataFrame = getattr(self, name)
        tests: list[pl.Expr] = []
        if where.segment is not None:
            tests.append(pl.col("segment").is_in(segment_codes(self.segments, *where.segment)))
        if where.period is not None:
            first, last = self._checked(where.period)
            tests.append(pl.col("period").is_between(first, last))
            if name == "reach":
                before = pl.col("previous_period")
                tests.append((before < first) | (before == NONE))
        if where.channel is not None and name != "stages":
            places = self._channel_places(where.channel)
            if name == "reach":
                key = self.channels.index(where.channel)
                tests.append(
                    ((pl.col("level") == "place") & pl.col("key").is_in(places))
                    | ((pl.col("level") == "channel") & (pl.col("key") == key))
                )
            else:
                tests.append(pl.col("place").is_in(places))
        return table.filter(*tests) if tests else table

    def _checked(self, period: tuple[int, int]) -> tuple[int, int]:
        first, last = period
        if not 0 <= first <= last < len(self.periods):
            msg = (
                f"period {first} to {last} is outside the log, which has the {len(self.periods)} "
                f"{self.periods.unit}s 0 ({self.periods.label(0)}) to {len(self.periods) - 1}"
            )
            raise InputError(msg)
        return first, last

    def _channel_places(self, channel: str) -> list[int]:
        if channel not in self.channels:
            raise UnknownNameError("channel", channel, self.channels)
        return self.places.filter(pl.col("channel") == channel)["place"].to_list()

    def write(self, folder: str | Path) -> None:
        """Write the summary to a folder, complete or not at all."""
        meta = {
            "format": FORMAT,
            "periods": self.periods.to_dict(),
            "stage_names": self.stage_names,
            "gap_seconds": None if self.gap is None else self.gap.total_seconds(),
            "observed_until": self.observed_until.isoformat(),
        }

        def write(fresh: Path) -> None:
            for name in ("places", "segments", *TABLES):
                getattr(self, name).write_parquet(fresh / f"{name}.parquet")
            (fresh / "summary.json").write_text(json.dumps(meta, indent=1), "utf-8")

        keep_folder(Path(folder), write)

    @classmethod
    def read(cls, folder: str | Path) -> Summary:
        """Read what `write` wrote.

        Raises
        ------
        WorkspaceError
            When the folder holds no summary.
        """
        folder = Path(folder)
        if not (folder / "summary.json").is_file():
            msg = f"{folder} holds no journey summary; make it with `cxlib.summary.summarise`"
            raise WorkspaceError(msg)
        meta = json.loads((folder / "summary.json").read_text("utf-8"))
        if meta.get("format") != FORMAT:
            msg = f"{folder} was counted by another version of cxlib; make it anew with `summarise`"
            raise WorkspaceError(msg)
        tables = {
            n: pl.read_parquet(folder / f"{n}.parquet") for n in ("places", "segments", *TABLES)
        }
        gap = meta["gap_seconds"]
        return cls(
            periods=Periods.from_dict(meta["periods"]),
            stage_names=tuple(meta["stage_names"]),
            gap=None if gap is None else timedelta(seconds=gap),
            observed_until=datetime.fromisoformat(meta["observed_until"]),
            **tables,
        )


def summarise(workspace: Workspace) -> Summary:
    """Count the journeys of a workspace: one pass, one bucket of customers at a time.

    Buckets share no customer, so their tables are put under one another without adding anything
    up, and memory is that of one bucket (a 32nd of the log) and of the result.
    """
    scope = workspace.scope
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        parts = list(
            pool.map(lambda f: count_bucket(pl.read_parquet(f), scope), workspace.bucket_files())
        )
    # each part is sorted, and the bucket is the first key: no table has to be sorted as a whole
    tables = {n: pl.concat([p[n] for p in parts]) for n in TABLES}
    return Summary(
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        stage_names=workspace.journey_map.stages,
        gap=workspace.gap,
        observed_until=workspace.observed_until,
        **tables,
    )


def merge_summaries(summaries: Sequence[Summary]) -> Summary:
    """Add up summaries of different customers: equal to the summary of all of them together.

    Raises
    ------
    InputError
        When there is none, or they differ in stages, gap, end of observation, or unit of period,
        so that their counts do not mean the same.
    """
    if not summaries:
        msg = "there is no summary to merge"
        raise InputError(msg)
    first = summaries[0]
    _check_alike(summaries)
    places = _union([s.places for s in summaries], "place", _PLACE_ORDER)
    segments = _union([s.segments for s in summaries], "segment", first.segments.columns[1:])
    starts = sorted({day for s in summaries for day in s.periods.starts})
    periods = replace(first.periods, starts=tuple(starts)).filled()
    tables: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    for summary in summaries:
        moved = _Renumbered(summary, places, segments, periods)
        for name in TABLES:
            tables[name].append(moved.table(name))
    merged: dict[str, Any] = {
        name: pl.concat(parts).group_by(KEYS[name]).agg(pl.all().sum()).sort(KEYS[name])
        for name, parts in tables.items()
    }
    return replace(first, places=places, segments=segments, periods=periods, **merged)


_PLACE_ORDER = ("stage_index", "map_order", "touchpoint", "channel", "stage")


def _check_alike(summaries: Sequence[Summary]) -> None:
    for name, value in (
        ("stages", lambda s: s.stage_names),
        ("gap", lambda s: s.gap),
        ("end of observation", lambda s: s.observed_until),
        ("unit of period", lambda s: (s.periods.unit, s.periods.time_zone)),
        ("segment dimensions", lambda s: s.segment_names),
    ):
        found = {repr(value(s)) for s in summaries}
        if len(found) > 1:
            msg = f"summaries with different {name} cannot be merged: {', '.join(sorted(found))}"
            raise InputError(msg)


def _union(tables: list[pl.DataFrame], number: str, order: Sequence[str]) -> pl.DataFrame:
    """One dictionary from several: the rows of all, numbered anew."""
    both = pl.concat([t.drop(number) for t in tables]).unique()
    if order:
        both = both.sort(order)
    return both.select(pl.int_range(pl.len(), dtype=pl.UInt16).alias(number), pl.all())


class _Renumbered:
    """A summary's tables with the numbers of merged dictionaries."""

    def __init__(
        self, summary: Summary, places: pl.DataFrame, segments: pl.DataFrame, periods: Periods
    ) -> None:
        self._summary = summary
        self._place = _renumber(summary.places, places, "place", ("touchpoint", "channel", "stage"))
        self._segment = _renumber(summary.segments, segments, "segment", segments.columns[1:])
        self._period = {i: periods.starts.index(d) for i, d in enumerate(summary.periods.starts)}
        channels = channel_names(places)
        self._channel = {i: channels.index(c) for i, c in enumerate(summary.channels)}

    def table(self, name: str) -> pl.DataFrame:
        frame: pl.DataFrame = getattr(self._summary, name)
        changes = {"segment": self._segment, "period": self._period}
        if "place" in frame.columns:
            changes["place"] = self._place
        if name == "steps":
            changes["next"] = self._place | {c: c for c in (OPEN, SILENT, LOST, DONE)}
        if name == "reach":
            changes["previous_period"] = self._period | {NONE: NONE}
            key = pl.col("key")
            frame = frame.with_columns(
                pl.when(pl.col("level") == "place")
                .then(key.replace(self._place))
                .when(pl.col("level") == "channel")
                .then(key.replace(self._channel))
                .otherwise(key)
            )
        return frame.with_columns(
            pl.col(c).replace_strict(m, return_dtype=pl.UInt16) for c, m in changes.items()
        )


def _renumber(
    old: pl.DataFrame, new: pl.DataFrame, number: str, names: Sequence[str]
) -> dict[int, int]:
    if not names:
        return {0: 0}
    both = old.join(new, on=list(names), suffix="_new", how="left")
    return dict(zip(both[number], both[f"{number}_new"], strict=True))
