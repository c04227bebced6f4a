"""What the terminal shows: JSON for machines, tables and progress for people.

Answers go to stdout, everything else to stderr, so that ``cx map WORKSPACE --json > map.json``
holds JSON and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_records", "print_json", "print_table", "say", "working"]

Tell = Callable[[str], None]
_WIDE = 200


def say(text: str) -> None:
    """Write a line beside the answer, to stderr."""
    typer.echo(text, err=True)


@contextmanager
def working(text: str) -> Iterator[Tell]:
    """Show what is going on while it goes on; yields what takes the next line.

    A spinner on a terminal; plain lines where stderr goes to a file or a log.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{text} …")
        yield lambda line: say(f"  {line}")
        return
    with console.status(f"{text} …") as status:
        yield lambda line: status.update(f"{text}: {line}")


def as_records(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Turn a table into plain values for JSON.

    Durations become seconds, in a field named so (``wait`` → ``wait_seconds``); instants ISO 8601
    texts; what is not known, None.

    Examples
    --------
    >>> import polars as pl
    >>> as_records(pl.DataFrame({"wait": [timedelta(minutes=2)], "share": [float("nan")]}))
    [{'wait_seconds': 120.0, 'share': None}]
    """
    return [
        {
            f"{name}_seconds" if table.schema[name] == _duration() else name: _plain(value)
            for name, value in row.items()
        }
        for row in table.iter_rows(named=True)
    ]


def _duration() -> Any:
    import polars as pl

    return pl.Duration


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: no NaN, no infinity, no dates."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case timedelta():
            return value.total_seconds()
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case _:
            return value


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    typer.echo(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=1))


def print_table(
    rows: Sequence[Mapping[str, str]], *, title: str, note: str = "", most: int = 40
) -> None:
    """Print rows of texts as a table to stdout; the keys of the first row are the headings.

    Parameters
    ----------
    rows
        One mapping per row, all with the same keys.
    title, note
        A line above and one below.
    most
        Rows shown; below the table stands how many more there are.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(Text(title))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ():
        is_number = all(_looks_like_number(row[name]) for row in rows)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows[:most]:
        table.add_row(*(Text(cell) for cell in row.values()))
    if rows:
        console.print(table)
    if len(rows) > most:
        console.print(Text(f"and {len(rows) - most:,} more rows; --json prints all"))
    if note:
        console.print(Text(note))


def _looks_like_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "–-+" or not cell
