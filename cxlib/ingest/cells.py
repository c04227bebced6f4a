"""Single cells: ids that stay ids, numbers as people write them."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cxlib.errors import InputError

__all__ = ["Ids", "as_number", "read_ids", "text_of"]

_EXACT = 2**53
"""Whole numbers above this are not all representable in floating point: ids there are damaged."""


class Ids(NamedTuple):
    """Ids as text, null where empty, and what to look at."""

    values: pl.Series
    hints: tuple[str, ...]


def text_of(column: str | pl.Expr) -> pl.Expr:
    """Return a column as text without blanks around it; null where nothing is left."""
    expr = pl.col(column) if isinstance(column, str) else column
    stripped = expr.cast(pl.String).str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def read_ids(raw: pl.Series, *, where: str) -> Ids:
    """Return ids as text: ``007`` and ``NA`` stay what they are, only an empty cell is null.

    Ids that a tool before us turned into floating point are turned back where that is certain, with
    a hint, and refused where digits may be lost.

    Raises
    ------
    InputError
        Where ids are fractions, or floating point too large to be exact.
    """
    hints: tuple[str, ...] = ()
    if raw.dtype.is_float():
        present = raw.drop_nulls()
        damaged = present.filter((present != present.floor()) | (present.abs() > _EXACT))
        if len(damaged):
            raise InputError(
                f"{where}: ids are floating point numbers, first {damaged[0]!r}, and digits may be "
                "lost; export the column as text"
            )
        raw = raw.cast(pl.Int64)
        hints = (f"{where}: ids were floating point numbers, read as whole ones; export as text",)
    values = raw.to_frame("id").select(text_of("id")).to_series()
    head = values.drop_nulls().head(1000)
    if len(head) and head.str.contains(r"^\d+\.0$").all():
        hints = (
            f"{where}: ids end in '.0', first {head[0]!r}: a tool turned them into floating point; "
            "export them as text, or they will not match other tables",
        )
    elif len(head) and head.str.contains(r"^\d(\.\d+)?[eE]\+\d+$").any():
        hints = (
            f"{where}: ids such as {head[0]!r} were shortened by a spreadsheet and are damaged",
        )
    return Ids(values, hints)


def as_number(column: str) -> pl.Expr:
    """Return a column as Float64, null where it is no finite number; ``4,5`` is read as 4.5."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    point = text.str.replace(r"^([+-]?\d+),(\d{1,2})$", "$1.$2")
    number = point.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)
