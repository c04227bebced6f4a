"""Tables as they stand: files of any format as frames in which an id stays an id.

Text is text in every column: no leading zero is lost, a customer called NA stays one.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import replace

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.delimited import read_delimited
from cxlib.ingest.nested import add_named, flat_columns, read_json
from cxlib.ingest.raw import LINE, RawTable, damaged
from cxlib.ingest.sources import Source, as_file, read_bytes
from cxlib.ingest.text import read_text
from cxlib.ingest.weblogs import is_weblog, read_weblog
from cxlib.ingest.workbooks import read_workbook
from cxlib.ingest.xes import read_xes
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
    decimal = reading.decimal or ("." if table.source.is_typed else None)
    return add_named(table, journey_map.named_columns(), decimal=decimal)


def read_table(source: Source, reading: Reading, *, wanted: Collection[str] = ()) -> RawTable:
    """Read a file; the columns `wanted` help to find its separator, header or sheet."""
    if source.format == "xes":
        return read_xes(source)
    if source.format == "parquet":
        return _read_parquet(source)
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
    lines = pl.read_lines(text.data).to_series()
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
