"""How a text table is written, found out on lines taken from the whole file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection
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
    if lines.str.contains('"', literal=True).any():
        marks = lines.str.replace_all(r'\\"', "").str.count_matches('"', literal=True)
        # An odd number of marks opens a cell that goes on in the next line, or closes it.
        closed = marks.cast(pl.UInt64).cum_sum() % 2 == 0
        alone = lines.filter(closed & closed.shift(1, fill_value=True))
        lines = alone if len(alone) else lines
    filled = lines.filter(lines.str.strip_chars() != "")
    if len(filled) > 2 * _SAMPLE:
        spread = filled.gather_every(len(filled) // _SAMPLE, _HEAD)
        filled = pl.concat([filled.head(_HEAD), spread])
    return filled.str.slice(0, _LONG)


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
