"""What the terminal shows: JSON for machines, tables and progress for people.

Answers go to stdout, everything else to stderr, so that ``cx map WORKSPACE --json > map.json``
holds JSON and nothing else. All that `cx` writes passes through here, and a terminal obeys nothing
in it: see `cxlib.visible`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from cxlib.tables import Written, as_records, plain
from cxlib.visible import escape_json, visible

__all__ = [
    "as_records",
    "echo",
    "print_file",
    "print_json",
    "print_table",
    "print_written",
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


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1)
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
    headings = tuple(rows[0]) if rows else ()
    written = Written(
        headings=headings,
        rows=tuple(tuple(row.values()) for row in rows),
        is_number=tuple(all(_looks_like_number(row[name]) for row in rows) for name in headings),
    )
    print_written(written, title=title, note=note, most=most)


def print_written(
    written: Written, *, title: str, note: str | Sequence[str] = (), most: int | None = None
) -> None:
    """Print a table to stdout; of a long one, where `most` is given, the first rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(Text(visible(title)))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, is_number in zip(written.headings, written.is_number, strict=True):
        table.add_column(
            Text(visible(heading)), justify="right" if is_number else "left", overflow="fold"
        )
    for row in written.rows[:most]:
        table.add_row(*(Text(visible(cell)) for cell in row))
    if written.rows:
        console.print(table)
    if most is not None and len(written.rows) > most:
        console.print(Text(f"and {len(written.rows) - most:,} more rows; --json prints all"))
    for line in [note] if isinstance(note, str) else note:
        console.print(Text(visible(line)))


def _looks_like_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "–-+" or not cell
