"""Results as tables on a page, and as files to take away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cxlib.markup import html_text

__all__ = ["Column", "csv_text", "html_table"]


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
        f'<th scope="col"{kind}>{html_text(column.heading)}</th>'
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{html_text(column.write(row))}</td>"
            for column, kind in zip(columns, kinds, strict=True)
        )
        + "</tr>"
        for row in table.iter_rows(named=True)
    )
    return (
        '<div class="cx-scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="cx-table"><caption>{html_text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def csv_text(table: pl.DataFrame, origin: Mapping[str, str]) -> str:
    """Write a table as CSV, where it comes from in the last columns of every row.

    Durations are written in seconds, in columns named so. A name that a spreadsheet would take for
    a formula gets an apostrophe in front: names come from the log, and the file leaves the house.
    """
    durations = [
        pl.col(name).dt.total_seconds().alias(f"{name}_seconds") if dtype == pl.Duration else name
        for name, dtype in table.schema.items()
    ]
    named = pl.selectors.string()
    safe = pl.when(named.str.contains(r"^[=+\-@\t\r]")).then("'" + named).otherwise(named)
    columns = [pl.lit(value).alias(name) for name, value in origin.items()]
    return table.select(durations).with_columns(safe.name.keep()).with_columns(columns).write_csv()
