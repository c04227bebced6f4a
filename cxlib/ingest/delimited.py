"""Text tables: CSV, TSV and their many relatives; every line is accounted for.

What is plain goes to Polars, which is fast; what is not is read line by line (`dialects`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise, zip_longest

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest import dialects
from cxlib.ingest.cells import tidy
from cxlib.ingest.raw import LINE, SHOWN, RawTable, as_json, named_columns
from cxlib.ingest.sources import Source
from cxlib.ingest.text import LOST, Text
from cxlib.map_model import Reading

AGAIN = "the header again"
FURTHER = "a further line of the header"
BAD_BYTES = "bytes that are no characters"


def read_delimited(
    source: Source, text: Text, lines: pl.Series, reading: Reading, wanted: Collection[str] = ()
) -> RawTable:
    """Read a text table; arguments as at `read_table`."""
    name = str(source)
    kept, told = _without_comments(lines, reading)
    separator = reading.separator or told or ("\t" if source.format == "tsv" else None)
    kept = _cut_at_columns(_unwrapped(kept))
    dialect = dialects.find_dialect(kept, name=name, separator=separator, wanted=wanted)
    said = dialect.separator
    if len(said.encode()) > 1:
        kept = kept.str.replace_all(said, dialects.UNIT, literal=True)
        dialect = dialects.Dialect(dialects.UNIT, dialect.quote)
    if reading.skip_lines is None and not reading.header:
        at, usual = dialects.find_header(kept, dialect, wanted=wanted)
    else:
        at, usual = next((i for i, line in enumerate(kept) if line.strip()), 0), 0
    if len(kept) and len(kept[at]) > dialects.MOST:
        raise InputError(
            f"{name}: line {at + 1:,} should be the header and has {len(kept[at]):,} characters: "
            "this is no table; export it with one row in each line, or say `skip_lines`"
        )
    cells, below = (list(reading.header), at) if reading.header else _header(kept, at, dialect)
    hints = []
    if (
        not reading.header
        and not set(cells) & set(wanted)
        and _is_row(cells, kept.slice(below), dialect)
    ):
        cells, below, usual = [""] * len(cells), at, len(cells)
        hints.append(
            f"{name}: the file has no header, its first line is a row as the others are; the "
            f"columns are called column 1 to column {len(cells)}"
        )
    body = kept.slice(below)
    columns = named_columns(_fitted(cells, body, dialect, usual), name=name, wanted=wanted)
    records = dialects.split_lines(body, dialect, width=len(columns))
    rows, malformed, blank = _table(body, records, columns, dialect, bool(text.bad_bytes))
    read = rows.height + malformed.height
    if not read:
        raise InputError(f"{name}: the file has a header but no rows; export it again")
    counted = len(body) - blank - len(records.swallowed)
    if counted != read:
        raise InputError(
            f"{name}: {read:,} rows were read where the lines say {counted:,}; nothing is read by "
            "halves: export the file again, or say how it is written (`reading` in the map)"
        )
    if said != dialect.separator:
        rows = rows.with_columns(
            pl.exclude(LINE).str.replace_all(dialects.UNIT, said, literal=True)
        )
    cut = [i for i, why in records.aside.items() if why != dialects.BELOW]
    if cut:
        numbers = sorted(i + len(lines) - len(body) + 1 for i in cut)
        shown = ", ".join(f"{n:,}" for n in numbers[:5]) + (", …" if len(numbers) > 5 else "")
        hints.append(
            f"{name}: {len(numbers):,} line(s) cannot be cut into cells and are set aside: {shown}"
        )
    if text.zeros:
        hints.append(f"{name}: {text.zeros:,} zero byte(s) were taken out")
    return RawTable(source, rows.lazy(), malformed, text.encoding, said, len(lines), tuple(hints))


def _without_comments(lines: pl.Series, reading: Reading) -> tuple[pl.Series, str | None]:
    """Return the lines without those that the map skips, and a separator told in the first one."""
    if reading.skip_lines:
        lines = lines.slice(reading.skip_lines)
    if reading.comment:
        lines = lines.filter(~lines.str.strip_chars_start().str.starts_with(reading.comment))
    first = next((i for i, line in enumerate(lines.head(5)) if line.strip()), None)
    told = dialects.told_separator(lines[first].lstrip("\ufeff")) if first is not None else None
    return (lines if told is None or first is None else lines.slice(first + 1)), told


def _unwrapped(lines: pl.Series) -> pl.Series:
    """Take the marks away where every line as a whole stands in quotation marks."""
    if not lines.head(9).str.contains(r'^\s*("|$)').all():
        return lines
    filled = lines.filter(lines.str.strip_chars() != "")
    whole = filled.str.contains(r'^"(?:[^"]|"")*"[;,\s]*$')
    inside = filled.head(200).str.contains(r"[,;\t|]").mean()
    if not len(filled) or not whole.all() or inside < 0.9:  # type: ignore[operator]
        return lines
    bare = lines.str.strip_chars_end(";, \t").str.replace(r'^"', "").str.replace(r'"$', "")
    return bare.str.replace_all('""', '"', literal=True)


_RULE = r"^\s*-+(?: +-+)+\s*$"


def _cut_at_columns(lines: pl.Series) -> pl.Series:
    """Cut lines of columns of one width each, as databases print them, where a rule of dashes says
    the columns, or where no line has anything but a blank.
    """
    filled = lines.filter(lines.str.strip_chars() != "")
    some = filled.gather_every(len(filled) // 500 + 1)
    rule = filled.head(20).filter(filled.head(20).str.contains(_RULE))
    if len(rule):
        starts = [match.start() for match in re.finditer("-+", rule[0])]
    elif len(some) < 9 or any(some.str.contains(m, literal=True).mean() > 0.5 for m in ",;\t|~^"):  # type: ignore[operator]
        return lines
    else:
        taken = "".join(
            " " if set(at) <= {" "} else "x" for at in zip_longest(*some, fillvalue=" ")
        )
        ends = (match.start() for match in re.finditer("x+", taken))
        # one blank parts a date and its time as well: then the header must say so
        starts = [
            at for at in ends if "  " in f"  {taken}"[at : at + 2] or filled[0][at:][:1].strip()
        ]
        if len(starts) < 3 or not some.str.contains(r"\S {2,}\S").all():
            return lines
    cells = [
        pl.col("line").str.slice(start, end and end - start).str.strip_chars()
        for start, end in pairwise([*starts, None])
        if start is not None
    ]
    cut = pl.concat_str(cells, separator=dialects.UNIT)
    return lines.alias("line").to_frame().select(cut).to_series()


def _header(lines: pl.Series, at: int, dialect: dialects.Dialect) -> tuple[list[str], int]:
    splitter = dialects.Splitter(dialect.separator, dialect.quote)
    for below in range(at + 1, min(at + 20, len(lines)) + 1):
        cells = splitter.cut("\n".join(lines[at:below]), splitter.strict)
        if cells is not None:
            return cells, below
    cells = splitter.cut(lines[at], splitter.loose) if len(lines) else None
    return cells or [], at + 1


def names_apart(text: Text, *, is_tabbed: bool) -> tuple[str, ...]:
    """Return the names of columns where they are all that a file holds, in one line."""
    lines = pl.Series([line for line in text.data.decode().splitlines() if line.strip()][:2])
    if len(lines) != 1:
        return ()
    dialect = dialects.find_dialect(lines, name="", separator="\t" if is_tabbed else None)
    cells = tuple(cell.strip() for cell in _header(lines, 0, dialect)[0])
    return cells if 1 < len(cells) == len(set(cells)) else ()


def _is_row(cells: list[str], body: pl.Series, dialect: dialects.Dialect) -> bool:
    """Whether what stands where the header should is a row: its long numbers, dates and times are
    written as nearly all others of their columns.
    """
    told = [i for i, cell in enumerate(cells) if re.fullmatch(r"\d{5,}|\d+[-/.:]\d+[-/.:].*", cell)]
    if not told:
        return False
    splitter = dialects.Splitter(dialect.separator, dialect.quote)
    few = (line for line in body.head(200) if line.strip() and len(line) < dialects.MOST)
    rows = [splitter.cut(line, splitter.strict) or [] for line in few]
    first, *outlines = ([re.sub(r"\d+", "9", c.strip()) for c in row] for row in (cells, *rows))
    alike = [sum(row[i : i + 1] == [first[i]] for row in outlines) for i in told]
    return min(alike) >= 0.5 * len(rows) and max(alike) >= 0.9 * len(rows) > 0


def _fitted(cells: list[str], body: pl.Series, dialect: dialects.Dialect, usual: int) -> list[str]:
    """Return the header as wide as the rows."""
    if cells and cells[0].startswith("#") and len(cells) > 1:
        cells = [cells[0].lstrip("# "), *cells[1:]]
    while len(cells) > max(usual, 1) and usual and not cells[-1].strip():
        cells = cells[:-1]
    if usual == len(cells) + 1 and len(cells) > 1:
        bare = dialects.without_quoted(
            body.filter(body.str.strip_chars() != "").head(5000), dialect.quote
        )
        filled = dialects.widths(
            bare.str.strip_chars_end(dialect.separator + " "), dialect.separator
        )
        if len(filled) and (filled == usual).mean() > 0.9:  # type: ignore[operator]
            return ["(row)", *cells]
    return cells


def _table(
    body: pl.Series,
    records: dialects.Records,
    columns: list[str],
    dialect: dialects.Dialect,
    has_lost: bool,
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    number = pl.repeat(1, len(body), dtype=pl.Int64, eager=True)
    blank = dialects.is_blank(body, dialect.separator)
    if records.swallowed:
        number = number.scatter(records.swallowed, 0)
        blank = blank.scatter(records.swallowed, False)
    number = number.cum_sum()
    plain = pl.DataFrame([body, number.alias(LINE)]).filter(records.plain)
    schema = dict.fromkeys(columns, pl.String)
    parts = [
        _parsed(block[body.name], schema, dialect).with_columns(block[LINE])
        for block in plain.iter_slices(_BLOCK)
    ]
    frame = pl.concat(parts or [pl.DataFrame(schema={**schema, LINE: pl.Int64})])
    if records.rows:
        others = pl.DataFrame(list(records.rows.values()), schema=schema, orient="row")
        at = number.gather(list(records.rows))
        others = others.with_columns(_EMPTIED, at.alias(LINE))
        frame = pl.concat([frame, others]).sort(LINE)
    nothing = pl.all_horizontal(pl.exclude(LINE).is_null())
    blocks = [frame.clear(), *frame.iter_slices(_BLOCK)]
    empty = pl.concat([block.select(nothing) for block in blocks]).to_series()
    rows = frame.filter(~empty) if empty.any() else frame
    aside = list(records.aside)
    reasons = pl.Series("reason", list(records.aside.values()), dtype=pl.String)
    raw = body.gather(aside).str.slice(0, SHOWN).alias("raw")
    malformed = pl.DataFrame([reasons, number.gather(aside).alias(LINE), raw])
    rows, marked = part_rows(rows, columns, has_lost=has_lost)
    blanks = int(blank.sum()) + int(empty.sum())
    return rows, pl.concat([malformed, marked]).sort(LINE), blanks


_BLOCK = 100_000  # lines that are cut at once, which holds no second copy of a long file
# an empty cell is null, and so is the null of a database
_EMPTIED = pl.when((pl.all() != "") & (pl.all() != "\\N")).then(pl.all())


def _parsed(
    plain: pl.Series, schema: dict[str, type[pl.String]], dialect: dialects.Dialect
) -> pl.DataFrame:
    data, mark = plain.str.join("\n").item().encode(), dialect.quote.encode()
    frame = pl.read_csv(
        data,
        has_header=False,
        separator=dialect.separator,
        quote_char=dialect.quote if mark in data else None,
        schema=schema,
        null_values=["\\N"],
        extra_columns="ignore",
        missing_columns="insert",
    ).rechunk()
    if frame.height != len(plain):
        # Proved, not believed: what Polars cannot account for is cut in plain Python.
        splitter = dialects.Splitter(dialect.separator, dialect.quote)
        cells = [splitter.cut(line, splitter.strict) or [] for line in plain]
        frame = pl.DataFrame([c[: len(schema)] for c in cells], schema=schema, orient="row")
    elif mark * 2 not in data and mark + b"\\N" not in data:
        return frame
    return frame.with_columns(_EMPTIED)


def _further_headers(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return the first rows, at most three, with words where others hold numbers or times."""
    # a look at a hundred thousand cells from the whole file, by blocks, which copies none of it
    every = 1 + rows.height * len(columns) // 100_000
    some = (block.gather_every(every) for block in rows.select(columns).iter_slices(_BLOCK))
    below = pl.concat([rows.clear().select(columns), *some]).slice(3)
    if below.height < 5:
        return rows.clear()

    def is_typed(column: str) -> bool:
        cells = below[column].drop_nulls()
        fits = cells.str.contains(rf"^{dialects.VALUE.pattern}$").mean() or 0
        return len(cells) > 0.5 * below.height and bool(fits >= 0.95)  # type: ignore[operator]

    first = zip(columns, rows.head(1).select(columns).row(0), strict=True)
    if any(cell and dialects.VALUE.fullmatch(cell) and is_typed(c) for c, cell in first):
        return rows.clear()
    typed = [c for c in columns if is_typed(c)]
    for at, row in enumerate(rows.head(4).select(typed).iter_rows()):
        filled = [cell for cell in row if cell]
        if (
            not filled
            or any(dialects.VALUE.fullmatch(c) for c in filled)
            or len(typed) == 1 == len(filled)
        ):
            return rows.head(at)
    return rows.clear()


def part_rows(
    rows: pl.DataFrame, columns: list[str], *, has_lost: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part rows from those that are none, though they have as many cells: set aside, with why."""
    named = [c for c in columns if not c.startswith(("column ", "(row)"))] or columns
    # a filter over all columns would hold a second copy of them
    again = rows[rows[named[0]].str.contains(named[0], literal=True).arg_true()]
    again = again.filter(pl.all_horizontal(tidy(pl.col(c)) == c for c in named))
    more, lost = _further_headers(rows, columns), again.clear()
    if has_lost:
        bad = pl.any_horizontal(pl.col(columns).str.contains(LOST, literal=True).fill_null(False))
        lost = rows.filter(bad).join(again, on=LINE, how="anti")
    found = [
        part.select(pl.lit(reason).alias("reason"), LINE, raw=as_json(part.select(columns)))
        for reason, part in ((AGAIN, again), (FURTHER, more), (BAD_BYTES, lost))
    ]
    marked = pl.concat(found)
    if marked.height:
        rows = rows.join(marked, on=LINE, how="anti", maintain_order="left")
    return rows, marked
