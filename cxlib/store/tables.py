"""Additive tables: declared once, and then added up, selected, written and read alike.

A table is what the walk is summed into: keys, and for each combination of them counts and sums of
the contacts that a named filter leaves. Tables of different customers add up. What is kept beside
the sums are extremes, the least and the most of a duration, which are merged as such.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxlib.durable import check_files, hash_files, keep_folder, read_sealed, seal
from cxlib.errors import WorkspaceError
from cxlib.store.selection import Chosen

NONE = 65_535  # ``previous_period`` of a customer's first period
_PLACES = ("place", "source", "target", "next")
_EXTREMES = {"least": pl.Expr.min, "most": pl.Expr.max}


@dataclass(frozen=True, slots=True)
class Table:
    """What is counted (`of`, in words), and by which keys, in the order of the table.

    Their names say what they number: ``place``, ``source``, ``target``, ``next`` are places,
    ``segment``, ``period``, ``previous_period`` what they say. Columns ``least`` and ``most`` are
    extremes, all others sums. A filter by channel is about the key `channel`; without one the table
    is left whole. `meaning` is raised by one whenever the numbers come to mean something else.
    """

    keys: tuple[str, ...]
    of: str
    channel: str | None = None
    meaning: int = 1


Tables = Mapping[str, Table]
Frames = Mapping[str, pl.DataFrame]


def add_up(parts: Sequence[pl.DataFrame], table: Table) -> pl.DataFrame:
    """Add up tables of different customers."""
    both = pl.concat(parts)
    values = [c for c in both.columns if c not in table.keys]
    if all(dtype.is_integer() for dtype in both.schema.values()) and not {*values} & {*_EXTREMES}:
        bits = {key: int(both[key].max() or 0).bit_length() for key in table.keys}  # type: ignore[arg-type]
        if sum(bits.values()) < 64:
            return _add_up_counts(both, bits, values)
    summed = [_EXTREMES.get(c, pl.Expr.sum)(pl.col(c)) for c in values]
    return both.group_by(table.keys).agg(summed).sort(table.keys)


def _add_up_counts(
    both: pl.DataFrame, bits: Mapping[str, int], values: Sequence[str]
) -> pl.DataFrame:
    """The same of whole numbers: one packed key is sorted in half the time that grouping takes."""
    packed = np.zeros(len(both), dtype=np.int64)
    for key, width in bits.items():
        packed = packed << width | both[key].to_numpy().astype(np.int64)
    order = np.argsort(packed)
    first = np.flatnonzero(np.diff(packed[order], prepend=-1))
    sums = {c: np.add.reduceat(both[c].to_numpy()[order], first) for c in values if len(first)}
    return both.select(*bits, *values)[order[first]].with_columns(
        pl.Series(c, x, dtype=both.schema[c]) for c, x in sums.items()
    )


def select(frames: Frames, tables: Tables, chosen: Chosen) -> dict[str, pl.DataFrame]:
    """Keep the rows of every table that a selection means."""
    kept = {}
    for name, table in tables.items():
        tests = chosen.tests({*table.keys} - {"place"})
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


_FORMAT = 2  # of what is kept with the tables: hashes of their files


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

    WorkspaceError: the folder holds none, they were declared otherwise, or a file has changed.
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
