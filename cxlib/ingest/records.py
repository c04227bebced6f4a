"""From lines to rows: every line ends in a row, in a longer row, or aside with its number.

Read one by one are cells that go over several lines, and quotation marks behind a backslash (Spark,
MySQL, Hive) or bare in a cell (``12" screen``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from cxlib.ingest.dialects import Dialect, widths, without_quoted

_LONGEST = 20_000  # lines that one row may go over
MOST = 10_000_000  # characters of a line that is cut in plain Python

TOO_LONG = f"malformed row: it cannot be cut into cells, and is longer than {MOST:,} characters"
TOO_MANY = "malformed row: too many fields"
TOO_FEW = "malformed row: too few fields"
UNCLOSED = "malformed row: a quotation mark is opened and never closed"


@dataclass(slots=True)
class Records:
    """What the lines of a table are; cells and reasons are by the index of a row's first line."""

    plain: pl.Series
    rows: dict[int, list[str]] = field(default_factory=dict)
    aside: dict[int, str] = field(default_factory=dict)
    swallowed: list[int] = field(default_factory=list)


def split_lines(lines: pl.Series, dialect: Dialect, *, width: int) -> Records:
    """Return what each line under the header is; lines of blanks are neither rows nor aside. A row
    has `width` cells; further ones are no fault where they are empty.
    """
    sep, quote = dialect.separator, dialect.quote
    q, s = re.escape(quote), re.escape(sep)
    blank = lines.str.strip_chars(" " + sep) == ""
    marked = lines.str.contains(quote, literal=True)
    escaped = lines.str.contains("\\", literal=True)
    plain = _fits(lines, sep, width) & ~marked & ~blank
    if marked.any():
        # every quotation mark opens a cell, closes it, or stands doubled in one
        cell = f"(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{q}{s}]*)"
        some = lines.filter(marked)
        good = some.str.contains(f"^{cell}(?:{s}{cell})*$")
        good &= _fits(without_quoted(some, quote), sep, width)
        plain = plain.scatter(marked.arg_true(), good) & ~blank
    odd = ~plain & ~blank
    if lines.filter(odd & escaped).str.contains(rf"\\(?:{q}|{s}|$)").any():
        # The file writes backslashes before marks: then also where a line looks plain without.
        odd |= ~blank & lines.str.contains(rf"\\[\\{q}{s}]")
    records, reader = Records(plain & ~odd), Splitter(sep, quote)
    if odd.any():
        reason = (
            pl.when(widths(lines, sep) > width).then(pl.lit(TOO_MANY)).otherwise(pl.lit(TOO_FEW))
        )
        reasons = pl.select(pl.when(~marked & ~escaped).then(reason)).to_series()
        taken = -1
        for start, counted in zip(odd.arg_true(), reasons.filter(odd), strict=True):
            if start <= taken:
                continue
            fault = counted or (TOO_LONG if len(lines[start]) > MOST else None)
            found = fault or reader.read_row(lines, records.plain, start, width)
            if isinstance(found, str):
                records.aside[start] = found
            else:
                records.rows[start], taken = found
                records.swallowed.extend(range(start + 1, taken + 1))
        records.plain = records.plain.scatter(records.swallowed, False)
    return records


def _fits(bare: pl.Series, separator: str, width: int) -> pl.Series:
    counted = widths(bare, separator)
    wider = (counted > width).arg_true()
    trimmed = widths(bare.gather(wider).str.strip_chars_end(separator + " "), separator)
    return (counted == width).scatter(wider, trimmed <= width)


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
        while (match := pattern.match(text, at)) is not None:
            quoted, plain = match.groups()
            said = plain if quoted is None else quoted
            if pattern is self.escaped:
                said = self._unescape.sub(lambda m: m[1] or m[2], said)
            elif quoted is not None:
                said = quoted.replace(self.quote * 2, self.quote)
            cells.append(said)
            at = match.end()
            if at == len(text):
                return cells
            if text[at] != self.sep:
                return None
            at += 1
        return None

    def cut_to(self, text: str, pattern: re.Pattern[str], width: int) -> list[str] | None:
        """Return the cells where they are as many as a row has; further ones must be empty."""
        cells = self.cut(text, pattern)
        if cells is None or len(cells) < width or any(cell.strip() for cell in cells[width:]):
            return None
        return cells[:width]

    def read_row(
        self, lines: pl.Series, plain: pl.Series, start: int, width: int
    ) -> tuple[list[str], int] | str:
        """Return cells and last line of the row that begins on a line, or why it is none."""
        text, q = lines[start], self.quote
        ways = [self.strict, self.escaped] if "\\" in text else [self.strict]
        if f"\\{q}" in text or "\\\\" in text or f"\\{self.sep}" in text:
            ways.reverse()
        for pattern in ways:
            if (cells := self.cut_to(text, pattern, width)) is not None:
                return cells, start
        if (found := self._read_long_row(lines, plain, start, width)) is not None:
            return found
        cells = self.cut(text, self.loose) or [text]
        fitting = self.cut_to(text, self.loose, width)
        # a cell begins with a mark that nothing closes
        begins = any(cell.lstrip().startswith(q) for cell in fitting or cells)
        is_left_open = begins and text.count(q) % 2 == 1
        if fitting is not None and (self.sep == "\t" or not is_left_open):
            return fitting, start
        if is_left_open or len(cells) == width:
            return UNCLOSED
        return TOO_MANY if len(cells) > width else TOO_FEW

    def _read_long_row(
        self, lines: pl.Series, plain: pl.Series, start: int, width: int
    ) -> tuple[list[str], int] | None:
        """Join lines while a quotation mark, or a line end behind a backslash, is open."""
        text, alone = lines[start], 0
        if self.quote not in text and not text.endswith("\\"):
            return None
        could_end = text.count(self.sep) + 1 == width
        for last in range(start + 1, min(start + _LONGEST, len(lines))):
            line = lines[last]
            # A mark that was left open swallows rows that are whole by themselves.
            is_row = plain[last] or (could_end and line.count(self.sep) + 1 == width)
            alone += is_row and width > 2
            if (alone > 3 and 2 * alone > last - start) or len(text) + len(line) >= MOST:
                return None
            goes_on = text.endswith("\\")
            text += "\n" + line
            if self.quote not in line and (line.endswith("\\") or not goes_on):
                continue
            for pattern in (self.strict, self.escaped):
                cells = self.cut_to(text, pattern, width)
                if cells is not None and 2 * alone <= last - start:
                    return cells, last
        return None
