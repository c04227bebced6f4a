"""What the terminal shows: answers on stdout, all else on stderr, nothing that it would obey."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from cxlib.numbers import MISSING, sentence_case, unbroken
from cxlib.tables import Written, plain
from cxlib.visible import escape_json, visible

Tell = Callable[[str], None]
_WIDE = 200
_NARROWEST, _SENTENCE, _BETWEEN = 14, 36, 3
"""Letters of the narrowest column of words, and of sentences; what stands between two columns."""


def echo(*lines: str) -> None:
    """Write lines of the answer, to stdout; a line break within one is shown, not obeyed."""
    if lines:
        typer.echo("\n".join(map(visible, lines)))


def say(*lines: str) -> None:
    """Write lines beside the answer, to stderr."""
    if lines:
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
    """Print rows of texts, all with the same keys (the headings), as a table to stdout."""
    headings = tuple(rows[0]) if rows else ()
    numbers = (all(not r[h] or r[h][0] in "0123456789–-+" for r in rows) for h in headings)
    written = Written(headings, tuple(tuple(row.values()) for row in rows), tuple(numbers))
    print_written(written, title=title, note=note, most=most)


def print_written(
    written: Written, *, title: str, note: str | Sequence[str] = (), most: int | None = None
) -> None:
    """Print a table to stdout; of a long one, where `most` is given, the first rows.

    A column in which nothing is known is left out: of a log without ratings, that of the ratings.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(Text(visible(sentence_case(title))))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    written = _known(written)
    shown = _columns_that_fit(written, written.rows[:most], console.width)
    for column, width in shown.items():
        table.add_column(
            Text(visible(written.headings[column])),
            justify="right" if written.is_number[column] else "left",
            overflow="fold",
            width=width,
        )
    for row in written.rows[:most]:
        table.add_row(*(Text(_folded(visible(row[c]), width)) for c, width in shown.items()))
    if written.rows:
        console.print(table)
    if most is not None and len(written.rows) > most:
        console.print(Text(f"and {len(written.rows) - most:,} more rows; --json prints all"))
    if left_out := [h for n, h in enumerate(written.headings) if n not in shown]:
        named = visible(", ".join(left_out))
        console.print(Text(f"too wide for this terminal: {named}; --json prints all"))
    for line in [note] if isinstance(note, str) else note:
        console.print(Text(_folded(visible(sentence_case(line)), console.width)))


def _known(written: Written) -> Written:
    """The columns in which something is known."""
    rows, every = written.rows, range(len(written.headings))
    kept = [n for n in every if not rows or any(row[n] not in ("", MISSING) for row in rows)]

    def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[n] for n in kept) if values else ()

    columns = of(written.headings), tuple(map(of, rows)), of(written.is_number)
    return Written(*columns, of(written.weight))


def _folded(text: str, width: int) -> str:
    """Break a text into lines between words, and never within a figure."""
    from rich.cells import cell_len

    lines: list[list[str]] = [[]]
    for word in unbroken(text).split(" "):
        if lines[-1] and cell_len(" ".join([*lines[-1], word])) > width:
            lines.append([])
        lines[-1].append(word)
    folded = "\n".join(" ".join(line) for line in lines)
    return "".join("\n" if at == "\n" else letter for at, letter in zip(folded, text, strict=True))


def _columns_that_fit(
    written: Written, rows: Sequence[Sequence[str]], width: int
) -> dict[int, int]:
    """Widths of the columns that a terminal has room for; a number is never broken.

    Those of least weight go first, and before them what says the same in every row.
    """
    from rich.cells import cell_len

    from cxlib.columns import Text

    columns = range(len(written.headings))
    cells = [[cell_len(visible(row[c])) for row in rows] for c in columns]
    longest = [max(of, default=0) for of in cells]
    words = [max(map(cell_len, visible(h).split()), default=0) for h in written.headings]
    weights = written.weight or (0,) * len(columns)
    least = []
    for c in columns:
        is_sentence = weights[c] == Text.weight
        most = min(_SENTENCE, width // 2) if is_sentence else _NARROWEST
        needed = longest[c] if written.is_number[c] else min(longest[c], most)
        least.append(max(needed, words[c]))
    same = [len(rows) > 1 and len({row[c] for row in rows}) == 1 for c in columns]
    shown: list[int] = []
    room = width - 2
    for c in sorted(columns, key=lambda c: (same[c], -weights[c], c)):
        if least[c] + _BETWEEN * bool(shown) <= room or not shown:
            room -= least[c] + _BETWEEN * bool(shown)
            shown.append(c)
    widths = {c: least[c] for c in sorted(shown)}
    for c, narrow in widths.items():  # what is left goes to headings and words, from the left
        wanted = max(longest[c], cell_len(visible(written.headings[c])))
        widths[c] += min(max(wanted - narrow, 0), max(room, 0))
        room -= widths[c] - narrow
    return widths
