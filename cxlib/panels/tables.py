"""Results as tables on a page, and as files to take away."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

__all__ = ["Column", "csv_link", "html_table"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people: its heading, and how a row is written in it."""

    heading: str
    write: Callable[[dict[str, Any]], str]
    number: bool = True


def html_table(table: pl.DataFrame, columns: Sequence[Column], *, caption: str) -> str:
    """Write a table as HTML that scrolls sideways within its own box."""
    kinds = [' class="number"' if column.number else "" for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column.heading)}</th>'
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{escape(column.write(row))}</td>"
            for column, kind in zip(columns, kinds, strict=True)
        )
        + "</tr>"
        for row in table.iter_rows(named=True)
    )
    return (
        '<div class="cx-scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="cx-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def csv_link(table: pl.DataFrame, *, file: str, text: str = "Download as CSV") -> str:
    """Write a link that holds the table itself: no server has to keep a file for it.

    Durations are written in seconds, in columns named so.
    """
    flat = table.select(
        pl.col(name).dt.total_seconds().alias(f"{name}_seconds") if dtype == pl.Duration else name
        for name, dtype in table.schema.items()
    )
    content = base64.b64encode(flat.write_csv().encode()).decode()
    return (
        f'<a class="cx-download" download="{escape(file)}" '
        f'href="data:text/csv;charset=utf-8;base64,{content}">{escape(text)}</a>'
    )
