"""Workbooks (Excel, OpenDocument) through fastexcel: ids as text, dates as dates."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from pathlib import Path

import polars as pl

from cxlib.errors import InputError, listed, there_are
from cxlib.ingest.delimited import part_rows
from cxlib.ingest.dialects import VALUE
from cxlib.ingest.raw import LINE, NONE_MALFORMED, RawTable, named_columns
from cxlib.ingest.sources import Source, as_file
from cxlib.map_model import Reading


def read_workbook(source: Source, reading: Reading, wanted: Collection[str] = ()) -> RawTable:
    """Read a sheet of a workbook, or several one under another."""
    sheets = _sheets(source)
    chosen = _chosen(source, sheets, reading, wanted)
    frames, malformed, before = [], [NONE_MALFORMED], 0
    for name in chosen:
        rows, aside = _table(sheets[name], f"{source}, sheet {name!r}", reading, wanted)
        frames.append(rows.with_columns(pl.col(LINE) + before))
        malformed.append(aside.with_columns(pl.col(LINE) + before))
        before += sheets[name].height
    rows = pl.concat(frames, how="diagonal")
    if not rows.height:
        raise InputError(f"{source}: the sheet has a header but no rows; export it again")
    others = [name for name in sheets if name not in chosen and sheets[name].height]
    said = f"{source}: read is sheet {', '.join(map(repr, chosen))}; not read: {listed(others)}"
    hints = (said,) if others else ()
    return RawTable(source, rows.lazy(), pl.concat(malformed), hints=hints)


def main_sheet(source: Source) -> str | None:
    """Return the sheet beside which all others of a workbook are small."""
    rows = {name: cells.height for name, cells in _sheets(source).items() if cells.height}
    most, *others = sorted(rows, key=lambda name: -rows[name]) or [""]
    return most if others and 3 * rows[others[0]] < rows[most] else None


def _sheets(source: Source) -> dict[str, pl.DataFrame]:
    import fastexcel

    file = as_file(source)
    try:
        book = fastexcel.read_excel(str(file) if isinstance(file, Path) else file.read())
        sheets = {}
        for name in book.sheet_names:
            sheet = book.load_sheet(name, header_row=None, dtypes="string")
            cells = sheet.to_polars() if sheet.width else pl.DataFrame()
            sheets[name] = cells.cast(pl.String)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        why = "is locked by a password" if "assword" in str(error) else "is damaged or none"
        raise InputError(f"{source}: the workbook {why}; save it again, or as CSV") from None
    return sheets


def _chosen(
    source: Source, sheets: dict[str, pl.DataFrame], reading: Reading, wanted: Collection[str]
) -> list[str]:
    there = [name for name, cells in sheets.items() if cells.height]
    if not there:
        raise InputError(f"{source}: all sheets of the workbook are empty; export it again")
    for asked in reading.sheet:
        if not fnmatch.filter(sheets, asked):
            raise InputError(f"{source}: there is no sheet {asked!r}; {there_are(sheets, asked)}")
    if reading.sheet:
        return [n for n in there if any(fnmatch.fnmatchcase(n, asked) for asked in reading.sheet)]
    if len(there) == 1:
        return there
    fitting = [name for name in there if _asked_row(sheets[name], 0, wanted) is not None] or there
    if len(fitting) == 1:
        return fitting
    raise InputError(
        f"{source}: which sheet? Write into the map reading: {{sheet: {fitting[0]}}}, or "
        f'{{sheet: "*"}} for all of them; there are: {listed(fitting)}'
    )


def _asked_row(cells: pl.DataFrame, start: int, wanted: Collection[str]) -> int | None:
    """Return the first row that holds more than one of the columns that are asked for."""
    head = enumerate(cells.slice(start, 60).iter_rows(), start)
    return next((i for i, row in head if len(set(row) & set(wanted)) > 1), None)


def _table(
    cells: pl.DataFrame, name: str, reading: Reading, wanted: Collection[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    start = reading.skip_lines or 0
    if (at := _asked_row(cells, start, wanted)) is None:
        head = list(enumerate(cells.slice(start, 60).iter_rows(), start))
        full = (i for i, row in head if 2 * sum(bool((c or "").strip()) for c in row) > cells.width)
        at = next(full, next((i for i, row in head if any(row)), start))
    below = cells.slice(at + 1, 1).row(0) if at + 1 < cells.height else ()
    inside = [cell for cell, title in zip(below, cells.row(at), strict=False) if not title]
    # its gaps are filled by words of the next row, which names each of the columns under a heading
    at += bool(inside) and not all(below) and all(c and not VALUE.match(c) for c in inside)
    titles = [(title or "").strip() for title in cells.row(at)]
    shared, named = cells.row(at - 1) if at > start else (), [t for t in titles if t]
    if len({*named}) < len(named) and sum(map(bool, shared)) > 1:
        # under a heading that several columns share: both name the column
        above = ""
        for i, title in enumerate(titles):
            above = (shared[i] or "").strip() or above
            titles[i] = f"{above} {title}".strip()
    titled = list(zip(cells.columns, titles, strict=True))
    body = cells.slice(at + 1).with_row_index(LINE, 1).cast({LINE: pl.Int64})
    titled = [(c, title) for c, title in titled if title or body[c].null_count() < body.height]
    used, titles = [c for c, _ in titled], [title for _, title in titled]
    names = named_columns(titles, name=name, wanted=wanted)
    cell = pl.exclude(LINE)
    rows = body.select(LINE, *(pl.col(c).alias(n) for c, n in zip(used, names, strict=True)))
    filled = rows.with_columns(pl.when(cell.str.strip_chars() != "").then(cell))
    return part_rows(filled.filter(~pl.all_horizontal(cell.is_null())), names)
