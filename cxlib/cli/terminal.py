"""What the terminal shows: JSON for machines, tables and progress for people.

Answers go to stdout, everything else to stderr, so that ``cx map WORKSPACE --json > map.json``
holds JSON and nothing else. All that `cx` writes passes through here, and a terminal obeys nothing
in it: see `cxlib.visible`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from cxlib.visible import escape_json, visible

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "as_records",
    "echo",
    "print_file",
    "print_json",
    "print_table",
    "say",
    "working",
]

Tell = Callable[[str], None]
_WIDE = 200


def echo(*lines: str) -> None:
    """Write lines of the answer, to stdout; a line break within one is shown, not obeyed."""
    typer.echo("\n".join(map(visible, lines)))


def say(*lines: str) -> None:
    """Write lines beside the answer, to stderr."""
    typer.echo("\n".join(map(visible, lines)), err=True)


def print_file(text: str) -> None:
    """Write what is to be kept as a file: exactly into a file or a pipe, safely on a terminal."""
    if sys.stdout.isatty():
        echo(*text.removesuffix("\n").split("\n"))
    else:
        typer.echo(text, nl=False)


@contextmanager
def working(text: str) -> Iterator[Tell]:
    """Show what is going on while it goes on; yields what takes the next line.

    A spinner on a terminal; plain lines where stderr goes to a file or a log.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{text} …")
        yield lambda line: say(f"  {line}")
        return
    with console.status(f"{text} …") as status:
        yield lambda line: status.update(Text(f"{text}: {visible(line)}"))


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
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=1)
    typer.echo(escape_json(text))


def print_table(
    rows: Sequence[Mapping[str, str]], *, title: str, note: str | Sequence[str] = (), most: int = 40
) -> None:
    """Print rows of texts as a table to stdout; the keys of the first row are the headings.

    Parameters
    ----------
    rows
        One mapping per row, all with the same keys.
    title
        A line above.
    note
        A line below, or several.
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
    console.print(Text(visible(title)))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ():
        is_number = all(_looks_like_number(row[name]) for row in rows)
        table.add_column(
            Text(visible(name)), justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows[:most]:
        table.add_row(*(Text(visible(cell)) for cell in row.values()))
    if rows:
        console.print(table)
    if len(rows) > most:
        console.print(Text(f"and {len(rows) - most:,} more rows; --json prints all"))
    for line in [note] if isinstance(note, str) else note:
        console.print(Text(visible(line)))


def _looks_like_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "–-+" or not cell
