"""How a text table is written, found out on all of it, and its lines as rows.

Every line ends in a row, in a longer row, or aside with its number. Read one by one are cells that
go over several lines, and quotation marks behind a backslash (Spark, MySQL, Hive) or bare in a cell
(``12" screen``).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from cxlib.errors import InputError

_COMMON = (",", ";", "\t", "|", "\x01", "\x1f", "\x1e", "^", "~", "¦", "§", "¬", "þ")
_LAST = (":", " ")
UNIT = "\x1f"  # stands for a separator of several bytes while a file is read

_SAMPLE = 2000
_HEAD = 60
_LONG = 500_000  # characters of a line that are looked at
_TOLD = re.compile(r"""^["' \t]*sep\s*=\s*(\\t|tab|[^\w\s"']|[\t ])["']?\W*$""", re.IGNORECASE)
VALUE = re.compile(r"[-+$€£]?\d[\d.,:/ T+-]*Z?")


class Dialect(NamedTuple):
    """What stands between the cells of a text table, and around them where that is needed."""

    separator: str
    quote: str = '"'


def told_separator(line: str) -> str | None:
    r"""Return the separator that a first line of ``sep=;`` tells a spreadsheet, in any writing.

    Examples
    --------
    >>> told_separator("SEP=;"), told_separator('"sep=,",,'), told_separator("separator;of")
    (';', ',', None)
    """
    if (match := _TOLD.match(line)) is None:
        return None
    return "\t" if match[1].lower() in ("\\t", "tab") else match[1]


def find_dialect(
    lines: pl.Series, *, name: str, separator: str | None = None, wanted: Collection[str] = ()
) -> Dialect:
    """Return how a table of these lines is written, where its separator may be known."""
    sample = _sampled(lines)
    quote = _quote(sample)
    if separator is not None:
        separator = {"\\t": "\t", "tab": "\t"}.get(separator.lower(), separator)
        if not 0 < len(separator) <= 4 or re.search(r"""["'\r\n\w]""", separator):
            raise InputError(
                f"{name}: the separator must be a mark such as ; or tab, not {separator!r}"
            )
        return Dialect(separator, quote)
    bare = without_quoted(sample, quote)
    scores = {s: _score(sample, bare, s, quote, wanted) for s in _COMMON}
    if max(scores.values()) < 0.1:
        bare = bare.str.strip_chars_end(" ")
        scores |= {s: _score(sample, bare, s, quote, wanted) for s in _LAST}
    best = max(scores, key=scores.__getitem__)
    # the separator twice, or with another mark, where it always stands so
    single = bare.str.count_matches(best, literal=True)
    for longer in (best * 2, f"~{best}~", f"{best}~{best}"):
        several = bare.str.count_matches(longer, literal=True)
        if several.sum() and (single == several * longer.count(best)).all():
            return Dialect(longer, quote)
    return Dialect(best, quote)


def without_quoted(lines: pl.Series, quote: str) -> pl.Series:
    """Return lines without what stands between quotation marks, or behind a backslash, so that
    separators count.
    """
    if lines.str.contains("\\", literal=True).any():
        lines = lines.str.replace_all(r"\\[^\w\\\"']", "")
    q = re.escape(quote)
    return lines.str.replace_all(rf"{q}(?:[^{q}\\]|\\.|{q}{q})*{q}", "x")


def widths(bare: pl.Series, separator: str) -> pl.Series:
    """Return the number of cells in each line without quotation marks."""
    return bare.str.count_matches(separator, literal=True) + 1


def find_header(
    lines: pl.Series, dialect: Dialect, *, wanted: Collection[str] = ()
) -> tuple[int, int]:
    """Return the index of the header's line, and the usual number of cells of a row."""
    sample = without_quoted(_sampled(lines), dialect.quote)
    head = [(line, _cells(line, dialect)) for line in lines.head(_HEAD).str.slice(0, _LONG)]
    asked = {name.lower() for name in wanted}
    for index, (_, row) in enumerate(head):
        if len({cell.lower() for cell in row} & asked) > 1:
            return index, len(row)
    usual = _usual_width(sample, dialect.separator)
    for index, (line, row) in enumerate(head):
        filled = sum(map(bool, row))
        narrow = len(row) < usual and not (usual == len(row) + 1 and len(row) > 1)
        comment = line.lstrip().startswith(("#", "//")) and filled < usual
        if line.strip() and not narrow and not comment and (usual == 1 or 2 * filled > usual):
            return index, usual
    return next((i for i, line in enumerate(lines) if line.strip()), 0), usual


def _sampled(lines: pl.Series) -> pl.Series:
    """Return lines from the whole file; of a file with long cells those that are rows alone."""
    filled = lines.str.contains(r"\S")
    if lines.str.contains('"', literal=True).any():
        marks, kept = (lines.str.count_matches(mark, literal=True) for mark in ('"', '\\"'))
        # An odd number of marks opens a cell that goes on in the next line, or closes it.
        closed = (marks - kept).cast(pl.UInt64).cum_sum() % 2 == 0
        alone = closed & closed.shift(1, fill_value=True)
        filled = filled & alone if alone.any() else filled
    at = filled.arg_true()
    if len(at) > 2 * _SAMPLE:
        at = pl.concat([at.head(_HEAD), at.gather_every(len(at) // _SAMPLE, _HEAD)])
    return lines.gather(at).str.slice(0, _LONG)


def _quote(sample: pl.Series) -> str:
    """Return the single quotation mark where cells stand in it throughout, else the double one."""
    if not len(sample) or sample.str.contains('"', literal=True).any():
        return '"'
    around = sample.str.contains(r"^[^\w]*'[^']*'\s*(?:\W.*'[^']*'\s*)?$")
    return "'" if around.mean() > 0.9 else '"'  # type: ignore[operator]


def _usual_width(bare: pl.Series, separator: str) -> int:
    full = Counter(widths(bare, separator).to_list()).most_common(1)
    if full and full[0][1] >= 0.5 * len(bare):
        return int(full[0][0])
    # Of widths that are about as frequent the larger: rows whose last cells are empty are narrow.
    counted = Counter(widths(bare.str.strip_chars_end(separator), separator).to_list())
    most = max(counted.values(), default=0)
    return max((int(width) for width, n in counted.items() if 4 * n >= most), default=1)


def _score(
    sample: pl.Series, bare: pl.Series, separator: str, quote: str, wanted: Collection[str]
) -> float:
    """How evenly a separator cuts the lines, times how many cells that gives."""
    counted = Counter(widths(bare, separator).to_list())
    width, alike = counted.most_common(1)[0] if counted else (1, 0)
    if width == 1:
        return 0.0
    share = alike / len(bare)
    head = [_cells(line, Dialect(separator, quote)) for line in sample.head(_HEAD)]
    if any(len(set(row) & set(wanted)) > 1 for row in head):
        return 100.0 * share + width
    index, first = next(((i, r) for i, r in enumerate(head) if len(r) == width), (1, []))
    score = share * math.log2(width) * (0.5 if index else 1.0)
    return score * (0.3 if any(VALUE.fullmatch(cell) for cell in first) else 1.0)


def _cells(line: str, dialect: Dialect) -> list[str]:
    """Cut one line roughly: enough to tell a header from a title."""
    q, sep = re.escape(dialect.quote), re.escape(dialect.separator)
    found = re.findall(rf"(?:^|{sep})\s*(?:{q}((?:[^{q}]|{q}{q})*){q}|((?:(?!{sep}).)*))", line)
    return [(quoted or plain).strip().lstrip("\ufeff") for quoted, plain in found]


_LONGEST = 20_000  # lines that one row may go over
MOST = 10_000_000  # characters of a line that is cut in plain Python

TOO_LONG = f"malformed row: it cannot be cut into cells, and is longer than {MOST:,} characters"
TOO_MANY = "malformed row: too many fields"
TOO_FEW = "malformed row: too few fields"
BELOW = "a footer below the table"
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
    blank = is_blank(lines, sep)
    marked = lines.str.contains(quote, literal=True)
    escaped = lines.str.contains("\\", literal=True)
    plain, bare = ~blank, (~blank & ~marked).arg_true()
    plain = plain.scatter(bare, _fits(lines.gather(bare), sep, width))
    if marked.any():
        # every quotation mark opens a cell, closes it, or stands doubled in one
        cell = f"(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{q}{s}]*)"
        some = lines.filter(marked)
        good = some.str.contains(f"^{cell}(?:{s}{cell})*$")
        good &= _fits(without_quoted(some, quote), sep, width)
        plain = plain.scatter(marked.arg_true(), good)
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
        last = max([*records.plain.arg_true().tail(1), *records.rows, *records.swallowed, -1])
        below = [i for i, why in sorted(records.aside.items()) if i > last and why == TOO_FEW]
        # words in one cell behind an empty line are no row that was cut off
        first = without_quoted(lines.gather(below[:1]), quote)
        if blank.slice(last + 1, 1).any() and not first.str.contains(sep, literal=True).any():
            records.aside |= dict.fromkeys(below, BELOW)
    return records


def is_blank(lines: pl.Series, separator: str) -> pl.Series:
    """Whether lines hold nothing but blanks and separators, or are rules of dashes."""
    s = re.escape(separator)
    is_ruled = lines.str.contains(rf"^[{s}|+ ]*(?:-{{3}}|={{3}}|_{{3}})[-=_{s}|+ ]*$")
    return is_ruled | ~lines.str.contains(f"[^ {s}]")


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
