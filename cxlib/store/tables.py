"""Additive tables: declared once, and then added up, selected, renumbered, written and read alike.

A table is what the walk is summed into: keys, and for each combination of them counts and sums of
the contacts that a named filter leaves. Tables of different customers add up. What is kept beside
the sums are extremes, the least and the most of a duration, which are merged as such.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from cxlib.durable import check_files, hash_files, keep_folder, read_sealed, seal
from cxlib.errors import InputError, WorkspaceError
from cxlib.periods import Periods
from cxlib.segments import segment_names
from cxlib.store.selection import Chosen, channel_names
from cxlib.store.walk import DONE, LOST, OPEN, SILENT

__all__ = [
    "NONE",
    "Dictionaries",
    "Table",
    "Tables",
    "add_up",
    "merge",
    "read_tables",
    "select",
    "write_tables",
]

NONE = 65_535
"""``previous_period`` of a customer's first period."""

_PLACES = ("place", "source", "target", "next")
_EXTREMES = {"least": pl.Expr.min, "most": pl.Expr.max}


@dataclass(frozen=True, slots=True)
class Table:
    """What is counted, and by what.

    Attributes
    ----------
    keys
        Key columns, in the order in which the table is sorted. Their names say what they number:
        ``place``, ``source``, ``target``, ``next`` are places, ``segment``, ``period``,
        ``previous_period`` what they say. Columns ``least`` and ``most`` are extremes; all other
        columns are sums.
    of
        The filter in words: which contacts, transitions or journeys are counted.
    channel
        The key that a filter by channel is about; None: the table is left whole.
    meaning
        Raised by one whenever the numbers come to mean something else.
    """

    keys: tuple[str, ...]
    of: str
    channel: str | None = None
    meaning: int = 1


Tables = Mapping[str, Table]
Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True, eq=False)
class Dictionaries:
    """What the numbers in the keys mean."""

    places: pl.DataFrame
    segments: pl.DataFrame
    periods: Periods


def add_up(parts: Sequence[pl.DataFrame], table: Table) -> pl.DataFrame:
    """Add up tables of different customers."""
    both = pl.concat(parts)
    values = [c for c in both.columns if c not in table.keys]
    summed = [_EXTREMES.get(c, pl.Expr.sum)(pl.col(c)) for c in values]
    return both.group_by(table.keys).agg(summed).sort(table.keys)


def select(frames: Frames, tables: Tables, chosen: Chosen) -> dict[str, pl.DataFrame]:
    """Keep the rows of every table that a selection means."""
    kept = {}
    for name, table in tables.items():
        tests: list[pl.Expr] = []
        if chosen.segments is not None and "segment" in table.keys:
            tests.append(pl.col("segment").is_in(chosen.segments))
        if chosen.period is not None and "period" in table.keys:
            tests.append(pl.col("period").is_between(*chosen.period))
        if chosen.period is not None and "previous_period" in table.keys:
            before = pl.col("previous_period")
            tests.append((before < chosen.period[0]) | (before == NONE))
        if chosen.places is not None and table.channel is not None:
            tests.append(_of_channel(table.channel, chosen))
        kept[name] = frames[name].filter(*tests) if tests else frames[name]
    return kept


def _of_channel(key: str, chosen: Chosen) -> pl.Expr:
    here = pl.col(key).is_in(chosen.places or [])
    if key in _PLACES:
        return here
    level = pl.col("level")
    return ((level == "place") & here) | ((level == "channel") & (pl.col(key) == chosen.channel))


_FORMAT = 2
"""Of what is kept with the tables: hashes of their files."""


def version_of(tables: Tables) -> int:
    """A number that changes with every declaration: what was counted otherwise is counted anew."""
    said = json.dumps({n: [t.keys, t.of, t.meaning] for n, t in tables.items()})
    return zlib.crc32(said.encode())


def write_tables(
    folder: str | Path, frames: Frames, tables: Tables, about: Mapping[str, Any]
) -> None:
    """Write tables and what is known about them to a folder, complete or not at all."""

    def write(fresh: Path) -> None:
        for name, frame in frames.items():
            frame.write_parquet(fresh / f"{name}.parquet")
        content = {"format": _FORMAT, "version": version_of(tables), **about}
        told = seal({**content, "files": hash_files(fresh)})
        (fresh / f"{Path(folder).name}.json").write_text(told, "utf-8")

    keep_folder(Path(folder), write)


def read_tables(
    folder: str | Path, tables: Tables, *, also: Iterable[str] = ()
) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Read what `write_tables` wrote: the frames, and what is known about them.

    Raises
    ------
    WorkspaceError
        When the folder holds none, they were declared otherwise, or a file has changed since.
    """
    folder = Path(folder)
    file = folder / f"{folder.name}.json"
    if not file.is_file():
        raise WorkspaceError(f"{folder} holds no counted tables; open the workspace to count them")
    text = file.read_text("utf-8", errors="replace")
    if f'"version": {version_of(tables)},' not in text:
        raise WorkspaceError(
            f"{folder} was counted by another version of cxlib; open the workspace to count anew"
        )
    try:
        about = read_sealed(text, formats=range(_FORMAT, _FORMAT + 1))
    except ValueError as error:
        raise WorkspaceError(f"{file} is damaged; open the workspace to count anew") from error
    check_files(folder, about["files"])
    names = (*tables, *also)
    return {n: pl.read_parquet(file.with_name(f"{n}.parquet")) for n in names}, about


_PLACE = ("touchpoint", "channel", "stage")
_PLACE_ORDER = ("stage_index", "map_order", *_PLACE)


def merge(
    parts: Sequence[tuple[Frames, Dictionaries]], tables: Tables
) -> tuple[dict[str, pl.DataFrame], Dictionaries]:
    """Add up the tables of different customers, whose numbers may mean different things."""
    told = [d for _, d in parts]
    _check_alike(told)
    dimensions = told[0].segments.columns[1:]
    starts = sorted({day for d in told for day in d.periods.starts})
    first = told[0].periods
    both = Dictionaries(
        _union([d.places for d in told], "place", _PLACE_ORDER),
        _union([d.segments for d in told], "segment", dimensions),
        Periods(first.unit, tuple(starts), first.time_zone, _days(told)).filled(),
    )
    moved = [(frames, _Renumbered(old, both)) for frames, old in parts]
    merged = {
        name: add_up([numbers.table(frames[name]) for frames, numbers in moved], table)
        for name, table in tables.items()
    }
    return merged, both


def _days(told: Sequence[Dictionaries]) -> tuple[date, date] | None:
    days = [d.periods.days for d in told]
    known = [d for d in days if d is not None]
    if len(known) < len(days):
        return None
    return min(first for first, _ in known), max(last for _, last in known)


def _check_alike(told: Sequence[Dictionaries]) -> None:
    for name, values in (
        ("unit of period", {(d.periods.unit, d.periods.time_zone) for d in told}),
        ("segment dimensions", {segment_names(d.segments) for d in told}),
    ):
        if len(values) > 1:
            said = ", ".join(sorted(map(repr, values)))
            raise InputError(f"counts with different {name} cannot be merged: {said}")


def _union(tables: list[pl.DataFrame], number: str, order: Sequence[str]) -> pl.DataFrame:
    """One dictionary from several: the rows of all, numbered anew."""
    if all(t.equals(tables[0]) for t in tables):
        return tables[0]
    both = pl.concat([t.drop(number) for t in tables]).unique(maintain_order=True)
    known = [c for c in order if c in both.columns]
    if known:
        both = both.sort(known)
    return both.select(pl.int_range(pl.len(), dtype=pl.UInt16).alias(number), pl.all())


class _Renumbered:
    """Tables with the numbers of merged dictionaries."""

    def __init__(self, old: Dictionaries, new: Dictionaries) -> None:
        place = _renumber(old.places, new.places, "place", _PLACE)
        period = {i: new.periods.starts.index(d) for i, d in enumerate(old.periods.starts)}
        channels = channel_names(new.places)
        self._place = place
        self._channel = {i: channels.index(c) for i, c in enumerate(channel_names(old.places))}
        dimensions = old.segments.columns[1:]
        ends = {code: code for code in (OPEN, SILENT, LOST, DONE)}
        self._maps = {
            **dict.fromkeys(_PLACES, place),
            "next": place | ends,
            "source": place | ends,
            "segment": _renumber(old.segments, new.segments, "segment", dimensions),
            "period": period,
            "previous_period": period | {NONE: NONE},
        }

    def table(self, frame: pl.DataFrame) -> pl.DataFrame:
        if "level" in frame.columns:
            key = pl.col("key")
            frame = frame.with_columns(
                pl.when(pl.col("level") == "place")
                .then(key.replace(self._place))
                .when(pl.col("level") == "channel")
                .then(key.replace(self._channel))
                .otherwise(key)
            )
        return frame.with_columns(
            pl.col(c).replace_strict(numbers, return_dtype=frame.schema[c])
            for c, numbers in self._maps.items()
            if c in frame.columns
        )


def _renumber(
    old: pl.DataFrame, new: pl.DataFrame, number: str, names: Sequence[str]
) -> dict[int, int]:
    if not names:
        return {0: 0}
    both = old.join(new, on=list(names), suffix="_new", how="left")
    return dict(zip(both[number], both[f"{number}_new"], strict=True))
