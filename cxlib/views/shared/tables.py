"""Tables of a view, whose cells are written in the view's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cxlib.tables import Written

__all__ = ["Column", "html_table"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people: its heading, and how a row is written in it."""

    heading: str
    write: Callable[[dict[str, Any]], str]
    number: bool = True


def html_table(table: pl.DataFrame, columns: Sequence[Column], *, caption: str) -> str:
    """Write a table as HTML that scrolls sideways within its own box."""
    written = Written(
        headings=tuple(column.heading for column in columns),
        is_number=tuple(column.number for column in columns),
        rows=tuple(
            tuple(column.write(row) for column in columns) for row in table.iter_rows(named=True)
        ),
    )
    return written.to_html(caption=caption, scrolls=True)
