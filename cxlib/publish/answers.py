"""Answers on disk: finished results of many selections, in Parquet and JSON.

``NAME.FIELD.parquet`` holds one frame of a measure's results, those of all selections below one
another, ``NAME.json`` the other fields; ``selections.parquet`` says what the numbers mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.summary import Selection

_ROWS = 20_000
"""Rows that are read at a time: selections lie one below the other, so that few must be read."""
_MOST_KEPT = 2**21
"""Largest file, in bytes, that a session keeps in memory; of larger ones it reads a selection."""

SELECTIONS = "selections.parquet"
NUMBER = "_selection"


def write_selections(folder: Path, selections: Sequence[Selection]) -> None:
    """Write what the numbers of the selections mean; periods are published periods."""
    rows = [
        (number, *(where.segment or (None, None)), *(where.period or (None, None)))
        for number, where in enumerate(selections)
    ]
    columns = {NUMBER: pl.UInt32, "dimension": pl.String, "value": pl.String}
    columns |= {"first": pl.UInt16, "last": pl.UInt16}
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(folder / SELECTIONS)


def write_answers(
    folder: Path, name: str, frames: Mapping[str, pl.DataFrame], others: Sequence[Mapping[str, Any]]
) -> None:
    """Write the answers of one measure: its frames, and its other fields by selection."""
    for field, frame in frames.items():
        file = folder / f"{name}.{field}.parquet"
        frame.write_parquet(file, compression="zstd", row_group_size=_ROWS)
    plain = [{field: _to_json(value) for field, value in one.items()} for one in others]
    (folder / f"{name}.json").write_text(json.dumps(plain), encoding="utf-8")


def read_answer(folder: Path, name: str, result: type[Any], number: int, where: Selection) -> Any:
    """Read back the result of one selection.

    WorkspaceError: there is none, or one of a version in which the result was another one.
    """
    if not (folder / f"{name}.json").is_file():
        raise WorkspaceError(f"this snapshot holds no {name}; publish again: cx publish")
    files, others = _kept(folder, name)
    given = {f: _from_json(v) for f, v in others[number].items()}
    for file in files:
        whole = _frame(file) if file.stat().st_size <= _MOST_KEPT else pl.scan_parquet(file)
        rows = whole.lazy().filter(pl.col(NUMBER) == number).drop(NUMBER).collect()
        given[file.name.split(".")[1]] = rows
    known = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(result)}
    needed = {field for field, is_needed in known.items() if is_needed}
    another = WorkspaceError(
        f"{name} in {folder.name} was published by another version of cxlib; publish again"
    )
    if not needed <= {*given, "where"} <= known.keys():
        raise another
    try:
        return result(**given, where=where)
    except TypeError:  # its columns were others
        raise another from None


_frame = lru_cache(maxsize=64)(pl.read_parquet)


@lru_cache(maxsize=64)
def _kept(folder: Path, name: str) -> tuple[tuple[Path, ...], list[dict[str, Any]]]:
    """The files of a measure's frames, and its other fields by selection."""
    others = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return tuple(sorted(folder.glob(f"{name}.*.parquet"))), others


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"instant": value.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, tuple | list):
        return {"items": [_to_json(v) for v in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a result with a field of type {type(value).__name__} cannot be published")


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "instant" in value:
        return datetime.fromisoformat(value["instant"])
    if "seconds" in value:
        return timedelta(seconds=value["seconds"])
    return tuple(_from_json(v) for v in value["items"])
