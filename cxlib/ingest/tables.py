"""Files of any format as frames in which an id stays an id.

Text is text in every column: no leading zero is lost, a customer called NA stays one.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import polars as pl
from lxml import etree

from cxlib.errors import InputError, listed, there_are
from cxlib.ingest.delimited import part_rows, read_delimited
from cxlib.ingest.dialects import VALUE
from cxlib.ingest.nested import add_named, flat_columns, read_json
from cxlib.ingest.object_centric import read_objects
from cxlib.ingest.raw import LINE, NONE_MALFORMED, POSITION, SHOWN, RawTable, damaged, named_columns
from cxlib.ingest.sources import DAMAGED, Source, as_file, cut_off, open_source, read_bytes
from cxlib.ingest.text import Text, read_text
from cxlib.map_model import COLUMNS, BesideTheLog, JourneyMap, Reading


def read_source(
    source: Source,
    journey_map: JourneyMap | None = None,
    *,
    beside: BesideTheLog | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> RawTable:
    """Read one file of any format as it stands; what the map says of its files helps."""
    reading = journey_map.reading if journey_map is not None else Reading()
    if beside is not None:
        kept = Reading(encoding=reading.encoding, decimal=reading.decimal)
        reading = beside.reading if beside.reading != Reading() else kept
    reading = replace(
        reading, separator=separator or reading.separator, encoding=encoding or reading.encoding
    )
    if journey_map is None or source.format == "xes":
        return read_table(source, reading)
    table = read_table(source, reading, wanted=(*COLUMNS, *journey_map.named_columns()))
    return with_named(table, journey_map, reading)


def with_named(table: RawTable, journey_map: JourneyMap, reading: Reading) -> RawTable:
    """Return a table with the columns that a map names and that can be made from those it has."""
    if table.source.format == "xes":
        return table
    decimal = reading.decimal or table.source.decimal
    return add_named(table, journey_map.named_columns(), decimal=decimal)


def read_table(source: Source, reading: Reading, *, wanted: Collection[str] = ()) -> RawTable:
    """Read a file; the columns `wanted` help to find its separator, header or sheet."""
    if source.format == "xes":
        return read_xes(source)
    if source.format == "parquet":
        return _read_parquet(source)
    if source.format == "objects":
        return read_objects(source)
    if source.format == "workbook":
        return read_workbook(source, reading, wanted)
    text = read_text(read_bytes(source), name=str(source), encoding=reading.encoding)
    head = text.data.lstrip()[:15].lower()
    if not head:
        raise InputError(f"{source}: the file is empty; export it again")
    if head.startswith((b"<!doctype html", b"<html", b"<table")):
        raise InputError(f"{source}: this is a web page, no table; export the log as CSV or XLSX")
    if head.startswith((b"<?xml", b"<log")):
        raise InputError(f"{source}: this is XML; an event log in XES is called .xes")
    if source.format == "jsonl" or (source.format == "csv" and head.startswith((b'{"', b"[{"))):
        return read_json(source, text, reading)
    lines, text = pl.read_lines(text.data).to_series(), replace(text, data=b"")
    if is_weblog(lines):
        return read_weblog(source, text, lines)
    return read_delimited(source, text, lines, reading, wanted)


def _read_parquet(source: Source) -> RawTable:
    try:
        data = as_file(source)
        schema = pl.read_parquet_schema(data)
        if isinstance(data, io.BytesIO):
            data.seek(0)
        frame = pl.scan_parquet(data, row_index_name=LINE, row_index_offset=1, glob=False)
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise damaged(source, error) from None
    if not rows:
        raise InputError(f"{source}: the file has columns but no rows; export it again")
    return RawTable(
        source, frame.select(*flat_columns(pl.Schema(schema)), pl.col(LINE).cast(pl.Int64))
    )


NO_REQUEST = "malformed row: no request of a web server"
_QUOTED = r'(?P<{}>(?:[^"\\]|\\.)*)"'
_REQUEST = (
    r'"(?:(?P<method>[A-Z]{3,9}) (?P<path>[^ "?]*)(?:\?(?P<query>[^ "]*))? (?P<protocol>[^ "]*)"'
    rf"|{_QUOTED.format('request')})"
)
_FORM = (
    r"^(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>\d+/\w+/\d+:[^\]]+)\] "
    rf"{_REQUEST} (?P<status>\d{{3}}|-) (?P<size>\d+|-)"
    rf'(?: "{_QUOTED.format("referer")} "{_QUOTED.format("user_agent")})?'
)


def is_weblog(lines: pl.Series) -> bool:
    """Whether lines from the whole file are mostly requests as web servers write them."""
    few = lines.gather_every(len(lines) // 100 + 1)
    return bool(few.str.contains(_FORM).mean() > 0.5) if len(few) else False  # type: ignore[operator]


def read_weblog(source: Source, text: Text, lines: pl.Series) -> RawTable:
    """Read requests; what the server writes as ``-`` is empty."""
    rows = lines.str.extract_groups(_FORM).struct.unnest().with_row_index(LINE, 1)
    cell = pl.exclude(LINE)
    rows = rows.with_columns(
        pl.col(LINE).cast(pl.Int64), pl.when(~cell.is_in(["-", ""])).then(cell)
    )
    is_read, is_blank = rows["host"].is_not_null(), lines.str.strip_chars() == ""
    aside = rows.select(LINE).with_columns(raw=lines.str.slice(0, SHOWN))
    aside = aside.filter(~is_read & ~is_blank)
    malformed = aside.select(pl.lit(NO_REQUEST).alias("reason"), LINE, "raw")
    named = rows.filter(is_read)
    used = [c for c in named.columns if named[c].null_count() < named.height]
    return RawTable(
        source, named.select(used).lazy(), malformed, text.encoding, None, lines=len(lines)
    )


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


def main_sheets(source: Source) -> tuple[str, ...]:
    """Return the sheets of one header beside which all others of a workbook are small; none where
    there is no other.
    """
    sheets = {name: cells for name, cells in _sheets(source).items() if cells.height}
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, cells in sheets.items():
        rows, _ = _table(cells, name, Reading(), ())
        alike.setdefault(tuple(rows.drop(LINE).columns), []).append(name)
    rows_of = sorted((sum(sheets[n].height for n in names), names) for names in alike.values())
    few, (most, names) = sum(n for n, _ in rows_of[:-1]), (rows_of or [(0, [])])[-1]
    return tuple(names) if len(sheets) > 1 and 3 * few < most else ()


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
    filled = rows.with_columns(_without_midnight(pl.when(cell.str.strip_chars() != "").then(cell)))
    return part_rows(filled.filter(~pl.all_horizontal(cell.is_null())), names)


def _without_midnight(cell: pl.Expr) -> pl.Expr:
    """A workbook gives dates the time 00:00, and times of day the date of its first day."""
    bare = cell.str.replace(r"^(?:1899-12-3[01]|1900-01-0[01]) (\d{2}:\d{2})", "$1")
    timed = bare.str.contains(r"^\d{4}-\d{2}-\d{2} (?:[^0]|0[^0]|00:[^0]|00:0[^0])")
    date = bare.str.replace(r"^(\d{4}-\d{2}-\d{2}) 00:00:00(?:\.0+)?$", "$1")
    return pl.when(timed.any()).then(bare).otherwise(date)


_MOST = 100_000  # events that are held one by one
_VALUES = frozenset(("string", "date", "int", "float", "boolean", "id"))


def read_xes(source: Source) -> RawTable:
    """Read a XES log: a row for each event in the order of the file, every value as text."""
    rows: list[dict[str, Any]] = []
    frames: list[pl.DataFrame] = []
    try:
        with open_source(source) as file:
            for trace in _traces(file):
                rows += _rows(trace)
                if len(rows) > _MOST:
                    frames.append(_framed(rows))
                    rows = []
    except DAMAGED as error:
        raise cut_off(source, error) from None
    except etree.XMLSyntaxError as error:
        raise InputError(
            f"{source}: the XML breaks off or is damaged ({error.msg}); fetch it again"
        ) from None
    frame = pl.concat([*frames, _framed(rows)], how="diagonal")
    if not frame.height:
        raise InputError(f"{source}: there is no trace with events in this log")
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(LINE)
    return RawTable(source, frame.lazy().with_columns(lines))


def _framed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = dict.fromkeys((key for row in rows for key in row), pl.String)
    return pl.DataFrame(rows, schema={**schema, POSITION: pl.Int64})


def _traces(file: IO[bytes]) -> Iterator[etree._Element]:
    # Entities are left alone and nothing is fetched: a log is data, not a document.
    parser = etree.iterparse(
        file, events=("end",), tag=("{*}trace", "trace"), resolve_entities=False,
        no_network=True, huge_tree=True, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    for _, trace in parser:
        yield trace
        trace.clear()
        while trace.getprevious() is not None:
            del trace.getparent()[0]


def _rows(trace: etree._Element) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    of_trace: dict[str, str | None] = {}
    for child in trace:
        kind = _local(child.tag)
        if kind == "event":
            values: dict[str, Any] = {}
            for attribute in child:
                # The first of two attributes of one key counts: an event has one activity and time.
                if _local(attribute.tag) in _VALUES:
                    values.setdefault(attribute.get("key", ""), attribute.get("value") or None)
            rows.append({POSITION: len(rows) + 1, **values})
        elif kind in _VALUES:
            of_trace["case:" + child.get("key", "")] = child.get("value") or None
    return [{**row, **of_trace} for row in rows]


@cache
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
