"""From lines to rows: every line ends in a row, in a longer row, or aside with its number.

Lines that can be read in one way only, and that is nearly all of them in nearly every file, are
left to Polars. The others are read one by one: cells that go over several lines, quotation marks
behind a backslash (Spark, MySQL, Hive), or bare in a cell (``12" screen``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from cxlib.ingest.dialects import Dialect, widths, without_quoted

_LONGEST = 20_000
"""Lines that one row may go over."""

_MOST = 10_000_000
"""Characters of a line that is cut in plain Python."""

TOO_LONG = f"malformed row: it cannot be cut into cells, and is longer than {_MOST:,} characters"
TOO_MANY = "malformed row: too many fields"
TOO_FEW = "malformed row: too few fields"
UNCLOSED = "malformed row: a quotation mark is opened and never closed"


@dataclass(slots=True)
class Records:
    """Whether a line is a row as it stands; cells of other rows, by their first line; why lines are
    set aside; and lines within a cell of a row that begins above them.
    """

    plain: pl.Series
    rows: dict[int, list[str]] = field(default_factory=dict)
    aside: dict[int, str] = field(default_factory=dict)
    swallowed: list[int] = field(default_factory=list)


def split_lines(lines: pl.Series, dialect: Dialect, *, width: int) -> Records:
    """Return what each line under the header is; lines of blanks are neither rows nor aside.

    A row has `width` cells; further ones are no fault where they are empty. The separator is of one
    character.
    """
    sep, quote = dialect.separator, dialect.quote
    blank = lines.str.strip_chars(" " + sep) == ""
    marked = lines.str.contains(quote, literal=True)
    escaped = lines.str.contains("\\", literal=True)
    fits = _fits(lines, sep, width)
    plain = fits & ~marked & ~blank
    if marked.any():
        at = marked.arg_true()
        some = lines.gather(at)
        whole = some.str.contains(_whole_line(sep, quote))
        good = whole & _fits(without_quoted(some, quote), sep, width)
        plain = plain.scatter(at, good & ~blank.gather(at))
    records = Records(plain)
    odd = ~plain & ~blank
    if escaped.any() and (odd & escaped).any():
        # The file writes backslashes before marks: then also where a line looks plain without.
        q, s = re.escape(quote), re.escape(sep)
        before = lines.filter(odd & escaped).str.contains(rf"\\(?:{q}|{s}|$)")
        if before.any():
            odd |= ~blank & escaped & lines.str.contains(rf"\\[\\{q}{s}]")
            records.plain = plain & ~odd
    if odd.any():
        bare = ~marked & ~escaped
        many = widths(lines, sep) > width
        reasons = pl.select(
            pl.when(bare & many).then(pl.lit(TOO_MANY)).when(bare).then(pl.lit(TOO_FEW))
        ).to_series()
        at = odd.arg_true()
        pairs = zip(at.to_list(), reasons.gather(at).to_list(), strict=True)
        _read_odd(lines, list(pairs), records, Splitter(sep, quote), width)
    return records


def _fits(bare: pl.Series, separator: str, width: int) -> pl.Series:
    counted = widths(bare, separator)
    fits = counted == width
    if (counted > width).any():
        fits |= widths(bare.str.strip_chars_end(separator + " "), separator) <= width
        fits &= counted >= width
    return fits


def _whole_line(sep: str, quote: str) -> str:
    """A line in which every quotation mark opens a cell, closes it, or stands doubled in one."""
    q, s = re.escape(quote), re.escape(sep)
    cell = f"(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{q}{s}]*)"
    return f"^{cell}(?:{s}{cell})*$"


class Splitter:
    """Cuts one row into cells, in the ways that there are."""

    def __init__(self, sep: str, quote: str) -> None:
        q, s = re.escape(quote), re.escape(sep)
        end = rf"[ ]*(?={s}|\Z)"
        blanks = "[ ]*" if sep != " " else ""
        bare = rf"(?!{blanks}{q})((?:(?!{s})[^\n])*)"
        self.strict = re.compile(rf"{blanks}{q}([^{q}]*(?:{q}{q}[^{q}]*)*){q}{end}|{bare}", re.S)
        self.escaped = re.compile(
            rf"{blanks}{q}([^{q}\\]*(?:(?:\\.|{q}{q})[^{q}\\]*)*){q}{end}"
            rf"|(?!{blanks}{q})((?:(?!{s})[^\\\n]|\\.)*)",
            re.S,
        )
        self.loose = re.compile(rf"{blanks}{q}([^\n]*?){q}{end}|((?:(?!{s})[^\n])*)", re.S)
        self._unescape = re.compile(rf"\\([\\{q}{s}\n])|{q}({q})")
        self.sep, self.quote = sep, quote

    def cut(self, text: str, pattern: re.Pattern[str]) -> list[str] | None:
        """Return the cells of a row in one of the ways, None where it cannot be cut so."""
        cells: list[str] = []
        at = 0
        while True:
            match = pattern.match(text, at)
            if match is None:
                return None
            quoted, plain = match.groups()
            if pattern is self.escaped:
                said = quoted if quoted is not None else plain
                cells.append(self._unescape.sub(lambda m: m[1] or m[2], said))
            elif quoted is not None:
                cells.append(quoted.replace(self.quote * 2, self.quote))
            else:
                cells.append(plain)
            at = match.end()
            if at == len(text):
                return cells
            if text[at] != self.sep:
                return None
            at += 1


def _read_odd(
    lines: pl.Series,
    odd: list[tuple[int, str | None]],
    records: Records,
    splitter: Splitter,
    width: int,
) -> None:
    """Read odd lines one by one; one whose fault is known is it only where no row holds it."""
    taken = -1
    for start, counted in odd:
        if start <= taken:
            continue
        fault = counted or (TOO_LONG if len(lines[start]) > _MOST else None)
        if fault is not None:
            records.aside[start] = fault
            continue
        cells, last = _read_row(lines, records.plain, start, splitter, width)
        if cells is None:
            records.aside[start] = _reason(lines[start], splitter, width)
            continue
        records.rows[start] = cells
        records.swallowed.extend(range(start + 1, last + 1))
        taken = last
    if records.swallowed:
        records.plain = records.plain.scatter(records.swallowed, False)


def _read_row(
    lines: pl.Series, plain: pl.Series, start: int, splitter: Splitter, width: int
) -> tuple[list[str] | None, int]:
    """Return the cells of the row that begins on a line, and its last line; None: it is no row."""
    text = lines[start]
    ways = [splitter.strict, splitter.escaped] if "\\" in text else [splitter.strict]
    if _writes_escapes(text, splitter):
        ways.reverse()
    for pattern in ways:
        if (cells := _fitting(splitter.cut(text, pattern), width)) is not None:
            return cells, start
    found = _read_long_row(lines, plain, start, splitter, width)
    if found is not None:
        return found
    cells = _fitting(splitter.cut(text, splitter.loose), width)
    if cells is not None and splitter.sep != "\t" and _is_left_open(cells, text, splitter):
        return None, start
    return cells, start


def _writes_escapes(text: str, splitter: Splitter) -> bool:
    return f"\\{splitter.quote}" in text or "\\\\" in text or f"\\{splitter.sep}" in text


def _read_long_row(
    lines: pl.Series, plain: pl.Series, start: int, splitter: Splitter, width: int
) -> tuple[list[str], int] | None:
    """Join lines while a quotation mark, or a line end behind a backslash, is open."""
    text, alone = lines[start], 0
    if splitter.quote not in text and not text.endswith("\\"):
        return None
    could_end = text.count(splitter.sep) + 1 == width
    for last in range(start + 1, min(start + _LONGEST, len(lines))):
        line = lines[last]
        # A mark that was left open swallows rows that are whole by themselves.
        is_row = plain[last] or (could_end and line.count(splitter.sep) + 1 == width)
        alone += is_row and width > 2
        if alone > 3 and 2 * alone > last - start:
            return None
        text += "\n" + line
        if len(text) > _MOST:
            return None
        if splitter.quote not in line and (
            line.endswith("\\") or not text.endswith("\\" + "\n" + line)
        ):
            continue
        for pattern in (splitter.strict, splitter.escaped):
            cells = _fitting(splitter.cut(text, pattern), width)
            if cells is not None and 2 * alone <= last - start:
                return cells, last
    return None


def _fitting(cells: list[str] | None, width: int) -> list[str] | None:
    """Return cells where they are as many as a row has; further ones only where all are empty."""
    if cells is None or len(cells) < width or any(cell.strip() for cell in cells[width:]):
        return None
    return cells[:width]


def _is_left_open(cells: list[str], text: str, splitter: Splitter) -> bool:
    """Whether a cell begins with a quotation mark that nothing closes."""
    return any(cell.lstrip().startswith(splitter.quote) for cell in cells) and (
        text.count(splitter.quote) % 2 == 1
    )


def _reason(text: str, splitter: Splitter, width: int) -> str:
    cells = splitter.cut(text, splitter.loose) or [text]
    if _is_left_open(cells, text, splitter):
        return UNCLOSED
    if len(cells) > width:
        return TOO_MANY
    return TOO_FEW if len(cells) < width else UNCLOSED
