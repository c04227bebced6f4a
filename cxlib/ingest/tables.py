"""Tables as they stand: files of any format as frames in which an id stays an id.

Text files are read as text in every column, so that no id becomes a number, no leading zero is lost
and a customer called NA stays a customer. Only an empty cell is null.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from itertools import islice

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.delimited import BAD_BYTES, read_delimited
from cxlib.ingest.raw import LINE, NONE_MALFORMED, POSITION, RawTable, as_json, damaged
from cxlib.ingest.sources import Source, read_bytes
from cxlib.ingest.text import LOST, Text, read_text
from cxlib.map_reading import Reading

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
    text = read_text(read_bytes(source), name=str(source), encoding=reading.encoding)
    if not text.data.strip():
        raise InputError(f"{source}: the file is empty; export it again")
    if source.format == "jsonl":
        return _read_json_lines(source, text)
    return read_delimited(source, text, reading, wanted)


def _read_parquet(source: Source) -> RawTable:
    try:
        data = io.BytesIO(read_bytes(source)) if source.gzipped else source.path
        schema = pl.read_parquet_schema(data)
        if isinstance(data, io.BytesIO):
            data.seek(0)
        frame = pl.scan_parquet(data, row_index_name=LINE, row_index_offset=1, glob=False)
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise damaged(source, error) from None
    if not rows:
        raise InputError(f"{source}: the file has columns but no rows; export it again")
    flat = [name for name, dtype in schema.items() if not dtype.is_nested()]
    return RawTable(source, frame.select(*flat, pl.col(LINE).cast(pl.Int64)))


def _read_json_lines(source: Source, text: Text) -> RawTable:
    if text.data.lstrip()[:1] == b"[":
        raise InputError(f"{source}: this is one JSON list; write one object per line instead")
    lines = pl.read_lines(text.data).to_series().str.strip_chars()
    lines = lines.filter(lines != "")
    keys = _json_keys(lines)
    if not keys:
        raise InputError(f"{source}: no line is a JSON object with keys; write one object per line")
    frame, malformed = _parse_json(text.data, keys), NONE_MALFORMED
    if frame is None or text.bad_bytes:
        rows = pl.DataFrame({"raw": lines}).with_row_index(LINE, 1).cast({LINE: pl.Int64})
        is_object = rows["raw"].str.starts_with("{") & (
            rows["raw"].str.json_path_match("$").is_not_null()
        )
        lost = rows["raw"].str.contains(LOST, literal=True)
        reason = (
            pl.when(~is_object)
            .then(pl.lit("malformed row: no JSON object"))
            .when(lost)
            .then(pl.lit(BAD_BYTES))
        )
        marked = rows.with_columns(reason.alias("reason"))
        malformed = marked.filter(pl.col("reason").is_not_null()).select("reason", LINE, "raw")
        good = marked.filter(pl.col("reason").is_null())
        frame = _parse_json("\n".join(good["raw"].to_list()).encode(), keys)
        if frame is None:
            raise InputError(
                f"{source}: the lines cannot be read as JSON objects; export them again"
            )
        frame = frame.with_columns(good[LINE])
    else:
        frame = frame.with_row_index(LINE, 1).cast({LINE: pl.Int64})
    # JSON has a null of its own beside the empty text; both are an empty cell.
    texts = [pl.when(pl.col(k) != "").then(pl.col(k)) for k in keys]
    return RawTable(source, frame.lazy().with_columns(texts), malformed, text.encoding)


def _parse_json(data: bytes, keys: list[str]) -> pl.DataFrame | None:
    try:
        return pl.read_ndjson(data, schema=dict.fromkeys(keys, pl.String))
    except pl.exceptions.PolarsError:
        return None


def _json_keys(lines: pl.Series) -> list[str]:
    """Return the keys of the first five thousand objects, in their order."""
    keys: dict[str, None] = {}
    for line in islice(lines, 5000):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(row))
    return list(keys)
