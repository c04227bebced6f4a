"""JSON in its shapes; a key within an object is a column by its dotted path."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial, reduce
from operator import mul
from typing import Any

import polars as pl

from cxlib.errors import InputError
from cxlib.ingest.cells import read_numbers
from cxlib.ingest.delimited import BAD_BYTES
from cxlib.ingest.object_centric import as_objects, events_of_objects
from cxlib.ingest.raw import LINE, NONE_MALFORMED, RawTable, Row, flat_row, json_text
from cxlib.ingest.sources import Source
from cxlib.ingest.text import LOST, Text
from cxlib.map_model import Reading

KEY = "(key)"  # column of the keys of an object that holds a list for each
NO_OBJECT = "malformed row: no JSON object"
_NONE = "no line is a JSON object with keys; write one object per line, or one list of objects"


def read_json(source: Source, text: Text, reading: Reading) -> RawTable:
    """Read JSON; what stands beside the list that `records` names stands in each of its rows."""
    lines = pl.read_lines(text.data).to_series()
    filled = lines.filter(lines.str.strip_chars() != "")
    several = len(filled) > 1 and reading.records is None and not text.bad_bytes
    frame, total = _fast(text.data) if several else None, None
    aside: list[tuple[str, int, str]] = []
    if frame is None or frame.height != len(filled):
        document, first = None, filled[0].strip()
        if len(filled) == 1 or not (first.startswith("{") and parsed(first) is not None):
            document = _document(text.data)
        if document is not None:
            numbered = [(0, row) for row in _rows_of(document, reading.records, str(source))]
        else:
            numbered, aside = _by_line(filled, reading.records, is_whole=not text.bad_bytes)
        if not numbered:
            is_cut = first.startswith("[") and len(text.data) > 2
            why = "the JSON breaks off or is damaged; fetch the file again" if is_cut else _NONE
            raise InputError(f"{source}: {why}")
        keys = dict.fromkeys(key for _, row in numbered for key in row)
        frame = pl.DataFrame([row for _, row in numbered], schema=dict.fromkeys(keys, pl.String))
        if document is None and reading.records is None:
            number = pl.Series(LINE, [number for number, _ in numbered], dtype=pl.Int64)
            frame, total = frame.with_columns(number), len(lines)
    else:
        total = len(lines)
    if not frame.width:
        raise InputError(f"{source}: the objects of this file have no keys; export it again")
    if LINE not in frame.columns:
        frame = frame.with_row_index(LINE, 1).cast({LINE: pl.Int64})
    # JSON has a null of its own beside the empty text; both are an empty cell.
    cells = pl.exclude(LINE)
    frame = frame.with_columns(pl.when(cells != "").then(cells))
    malformed = pl.DataFrame(aside, schema=NONE_MALFORMED.schema, orient="row")
    return RawTable(source, frame.lazy(), malformed, text.encoding, lines=total)


def flat_columns(schema: pl.Schema) -> list[pl.Expr]:
    """Return expressions that give each field of a struct, at any depth, by its dotted path."""

    def flat(name: str, expr: pl.Expr, dtype: pl.DataType) -> Iterator[pl.Expr]:
        if isinstance(dtype, pl.Struct):
            for field in dtype.fields:
                inner = expr.struct.field(field.name)
                yield from flat(f"{name}.{field.name}", inner, field.dtype)  # type: ignore[arg-type]
        elif not dtype.is_nested():
            yield expr.alias(name)

    return [e for name, dtype in schema.items() for e in flat(name, pl.col(name), dtype)]


def _fast(data: bytes) -> pl.DataFrame | None:

    def as_text(dtype: pl.DataType) -> pl.DataType:
        if isinstance(dtype, pl.Struct) and dtype.fields:
            return pl.Struct({f.name: as_text(f.dtype) for f in dtype.fields})  # type: ignore[arg-type]
        return pl.String()

    try:
        schema = pl.scan_ndjson(io.BytesIO(data), infer_schema_length=None).collect_schema()
        frame = pl.read_ndjson(data, schema={name: as_text(t) for name, t in schema.items()})
        flat = flat_columns(frame.schema)
        names = {e.meta.output_name() for e in flat}
        return frame.select(flat) if 0 < len(flat) == len(names) else None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _by_line(
    lines: pl.Series, records: str | None, *, is_whole: bool
) -> tuple[list[tuple[int, Row]], list[tuple[str, int, str]]]:
    rows: list[tuple[int, Row]] = []
    aside: list[tuple[str, int, str]] = []
    for number, line in enumerate(lines, 1):
        value = parsed(line)
        if not isinstance(value, dict):
            aside.append((NO_OBJECT, number, line))
        elif not is_whole and LOST in line:
            aside.append((BAD_BYTES, number, line))
        else:
            rows += [(number, row) for row in _exploded(value, records)]
    return rows, aside


def parsed(line: str) -> Any:
    """Return what a JSON text holds, numbers as they are written; None where it is none."""
    try:
        return json.loads(line, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _document(data: bytes) -> list[Any] | None:
    """Return the values of a text that is JSON as a whole: one, or several in a row."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    text, at, values = data.decode("utf-8", "replace").strip(), 0, []
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        values.append(value)
        while at < len(text) and text[at] in " \t\n,":
            at += 1
    return values


def _rows_of(values: list[Any], records: str | None, name: str) -> list[Row]:
    if len(values) == 1 and (log := as_objects(values[0])) is not None:
        return list(events_of_objects(log))
    beyond = records is not None and records.partition(".")[0]
    if len(values) == 1 and isinstance(values[0], dict) and beyond not in values[0]:
        (value,) = values
        names, cells = value.get("columns"), value.get("data")
        is_split = isinstance(names, list) and isinstance(cells, list)
        if is_split and all(isinstance(row, list) for row in cells):
            return [flat_row(dict(zip(names, row, strict=False))) for row in cells]
        lists = list(_lists(value))
        by_key = lists == list(value) and len(lists) > 2
        if by_key and len({frozenset(value[k][0]) for k in lists}) == 1:
            # lists by the id of what they are about
            values = [{KEY: key, **e} for key, elements in value.items() for e in elements]
            lists = []
        if len(lists) > 1:
            raise InputError(
                f"{name}: which list holds the contacts? Write into the map reading: "
                f"{{records: {lists[0]}}}; there are: {', '.join(lists)}"
            )
        if lists:
            inner: Any = value
            for key in lists[0].split("."):
                inner = inner[key]
            values = inner
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    objects = [value for value in values if isinstance(value, dict)]
    if objects and len(objects) < len(values):
        raise InputError(
            f"{name}: {len(values) - len(objects):,} of {len(values):,} elements are no JSON "
            "objects; write a list of objects, or one object per line"
        )
    return [row for value in objects for row in _exploded(value, records)]


def _lists(value: dict[str, Any], prefix: str = "", depth: int = 3) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, list) and inner and all(isinstance(e, dict) for e in inner):
            yield f"{prefix}{key}"
        elif isinstance(inner, dict) and depth:
            yield from _lists(inner, f"{prefix}{key}.", depth - 1)


def _exploded(row: dict[str, Any], records: str | None) -> list[Row]:
    """Return a row for each element of the list at a path, with what stands beside the list."""
    if records is None:
        return [flat_row(row)]
    # by path: what stands beside the list, and its elements; a list on the way has several
    found: list[tuple[Row, Any]] = [({}, row)]
    for key in records.split("."):
        found = [
            (beside | flat_row({k: v for k, v in value.items() if k != key}), element)
            for beside, value in found
            if isinstance(value, dict) and value.get(key) is not None
            for element in (value[key] if isinstance(value[key], list) else [value[key]])
        ]
    rows = []
    for beside, element in found:
        own = flat_row(element) if isinstance(element, dict) else {records: json_text(element)}
        named = {(f"{records}.{k}" if k in beside else k): v for k, v in own.items()}
        rows.append({**beside, **named})
    return rows or [flat_row(row)]  # without the list no contact, but counted


def add_named(table: RawTable, names: Iterable[str], *, decimal: str | None = None) -> RawTable:
    """Return a table with the columns that are asked for and can be made from those it has.
    ``payload.user.id`` of JSON text in ``payload``, ``Date + Time`` with a blank between them,
    ``Quantity * Price`` as a number with the `decimal` mark.
    """
    there, made = table.columns, []
    for name in dict.fromkeys(names):
        mark = next((m for m in (" + ", " * ") if m in name), "\x00")
        parts = [column_at(part.strip(), there) for part in name.split(mark)]
        if name in there or any(part is None for part in parts):
            continue
        found = [part for part in parts if part is not None]
        if mark == " * ":
            several = pl.struct(part.alias(str(i)) for i, part in enumerate(found))
            product = partial(_product, decimal=decimal)
            made.append(several.map_batches(product, return_dtype=pl.String).alias(name))
            continue
        made_of = found[0]
        if mark == " + ":
            made_of = pl.concat_str(found, separator=" ", ignore_nulls=True)
        made.append(pl.when(made_of.str.strip_chars() != "").then(made_of).alias(name))
    return replace(table, frame=table.frame.with_columns(made)) if made else table


def column_at(name: str, there: list[str]) -> pl.Expr | None:
    """Return what a dotted path means: a column, or what stands in the JSON text of one."""
    if name in there:
        return pl.col(name).cast(pl.String)
    parts = name.split(".")
    cuts = [(".".join(parts[:cut]), parts[cut:]) for cut in range(len(parts) - 1, 0, -1)]
    for column, path in cuts:
        if column in there:
            found = partial(_at_path, path=path)
            return pl.col(column).cast(pl.String).map_batches(found, return_dtype=pl.String)
    # Keys of the list that holds the contacts stand by their own names.
    own = next((key for _, path in cuts if (key := ".".join(path)) in there), None)
    return None if own is None else pl.col(own).cast(pl.String)


def _product(cells: pl.Series, decimal: str | None) -> pl.Series:
    factors = [read_numbers(part, decimal=decimal) for part in cells.struct.unnest()]
    written = reduce(mul, factors).round(9).cast(pl.String)
    return written.str.replace(".", decimal or ".", literal=True)


def _at_path(cells: pl.Series, path: list[str]) -> pl.Series:
    """Return what stands at a path of JSON texts; null where a text is none."""

    def at(text: str | None) -> str | None:
        value = parsed(text or "")
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return json_text(value)

    distinct = cells.unique()
    found = pl.Series([at(text) for text in distinct], dtype=pl.String)
    return cells.replace_strict(distinct, found, return_dtype=pl.String)
