"""Columns that a map names and a file holds in others: paths into JSON, parts put together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial, reduce
from operator import mul

import polars as pl

from cxlib.ingest.numbers import read_numbers
from cxlib.ingest.raw import RawTable

__all__ = ["add_named"]


def add_named(table: RawTable, names: Iterable[str], *, decimal: str | None = None) -> RawTable:
    """Return a table with the columns that are asked for and can be made from those it has.

    ``payload.user.id`` is the value at ``user.id`` of the JSON text in column ``payload``;
    ``Date + Time`` are the cells of both columns with a blank between them; ``Quantity * Price``
    the product of their numbers, written with the `decimal` mark. A column of that very name comes
    first.
    """
    there = dict.fromkeys(table.columns)
    made: dict[str, pl.Expr] = {}
    for name in dict.fromkeys(names):
        if name in there:
            continue
        mark = next((m for m in (" + ", " * ") if m in name), None)
        if mark is not None:
            found = [_one(part.strip(), there) for part in name.split(mark)]
            parts = [part for part in found if part is not None]
            if len(parts) < len(found):
                continue
            if mark == " * ":
                several = pl.struct(p.alias(str(i)) for i, p in enumerate(parts))
                product = partial(_product, decimal=decimal)
                made[name] = several.map_batches(product, return_dtype=pl.String)
            else:
                texts = [_without_midnight(part) for part in parts]
                made[name] = pl.concat_str(texts, separator=" ", ignore_nulls=True)
        elif (inner := _one(name, there)) is not None:
            made[name] = inner
    if not made:
        return table
    filled = {n: pl.when(e.str.strip_chars() != "").then(e) for n, e in made.items()}
    return replace(table, frame=table.frame.with_columns(e.alias(n) for n, e in filled.items()))


def _one(name: str, there: dict[str, None]) -> pl.Expr | None:
    if name in there:
        return pl.col(name).cast(pl.String)
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        column, path = ".".join(parts[:cut]), parts[cut:]
        if column in there:
            found = partial(_at_path, path=tuple(path))
            return pl.col(column).cast(pl.String).map_batches(found, return_dtype=pl.String)
        # Keys of the list that holds the contacts stand by their own names.
        own = ".".join(path)
        if own in there:
            return pl.col(own).cast(pl.String)
    return None


def _product(cells: pl.Series, decimal: str | None) -> pl.Series:
    """Multiply the numbers of columns; null where one of them is none."""
    factors = [read_numbers(part, decimal=decimal).values for part in cells.struct.unnest()]
    written = reduce(mul, factors).round(9).cast(pl.String)
    return written.str.replace(".", decimal or ".", literal=True)


def _without_midnight(part: pl.Expr) -> pl.Expr:
    """A workbook gives a date the time 00:00, and a time of day the date of its first day."""
    date = part.str.replace(r"^(\d{4}-\d{2}-\d{2}) 00:00:00(?:\.0+)?$", "$1")
    return date.str.replace(r"^(?:1899-12-3[01]|1900-01-0[01]) (\d{2}:\d{2})", "$1")


def _at_path(cells: pl.Series, path: tuple[str, ...]) -> pl.Series:
    """Return what stands at a path of JSON texts; null where a text is none."""

    def at(text: str | None) -> str | None:
        try:
            value = json.loads(text or "", parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            return None
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value if value is None or isinstance(value, str) else json.dumps(value)

    distinct = cells.unique()
    found = pl.Series([at(text) for text in distinct], dtype=pl.String)
    return cells.replace_strict(distinct, found, return_dtype=pl.String)
