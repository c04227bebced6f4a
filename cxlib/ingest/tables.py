"""Tables as they stand: files of any format as frames in which an id stays an id.

Text files are read as text in every column, so that no id becomes a number, no leading zero is lost
and a customer called NA stays a customer. Only an empty cell is null.
"""

from __future__ import annotations

import io
from collections.abc import Collection

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.delimited import read_delimited
from cxlib.ingest.nested import flat_columns, read_json
from cxlib.ingest.raw import LINE, NONE_MALFORMED, POSITION, RawTable, as_json, damaged
from cxlib.ingest.sources import Source, as_file, read_bytes
from cxlib.ingest.text import Text, read_text
from cxlib.ingest.workbooks import read_workbook
from cxlib.map_model import Reading

__all__ = ["LINE", "NONE_MALFORMED", "POSITION", "RawTable", "as_json", "read_table"]


def read_table(
    source: Source, reading: Reading | None = None, *, wanted: Collection[str] = ()
) -> RawTable:
    """Read a CSV, TSV, JSON lines or Parquet file; Parquet stays on disk until it is collected.

    Parameters
    ----------
    source
        The file.
    reading
        What is known of it.
    wanted
        Names of columns that are asked for; they help to find separator and header.

    Raises
    ------
    InputError
        Where the file has no header or no rows, or is not of its kind.
    """
    reading = reading or Reading()
    if source.format == "parquet":
        return _read_parquet(source)
    if source.format == "workbook":
        return read_workbook(source, reading, wanted)
    text = read_text(read_bytes(source), name=str(source), encoding=reading.encoding)
    if not text.data.strip():
        raise InputError(f"{source}: the file is empty; export it again")
    head = text.data.lstrip()[:15].lower()
    if head.startswith((b"<!doctype html", b"<html", b"<table")):
        raise InputError(f"{source}: this is a web page, no table; export the log as CSV or XLSX")
    if head.startswith((b"<?xml", b"<log")):
        raise InputError(f"{source}: this is XML; an event log in XES is called .xes")
    if source.format == "jsonl" or (source.format == "csv" and _is_json(text)):
        return read_json(source, text, reading)
    return read_delimited(source, text, reading, wanted)


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
    flat = flat_columns(pl.Schema(schema))
    return RawTable(source, frame.select(*flat, pl.col(LINE).cast(pl.Int64)))


def _is_json(text: Text) -> bool:
    """Whether a file that is called a text table holds JSON in truth."""
    return text.data.lstrip()[:2] in (b'{"', b"[{")
