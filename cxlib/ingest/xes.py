"""Event logs in XES (IEEE 1849), plain or gzipped, streamed: one trace in memory at a time.

A trace is a customer; its attributes become columns called ``case:…``, those of its events columns
of their own key. Log-level defaults, extensions, classifiers and nested attributes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import IO

import polars as pl
from lxml import etree

from cxlib.errors import InputError
from cxlib.ingest.raw import LINE, POSITION, RawTable
from cxlib.ingest.sources import DAMAGED, Source, cut_off, open_source

_VALUES = frozenset(("string", "date", "int", "float", "boolean", "id"))


def read_xes(source: Source) -> RawTable:
    """Read a XES log: a row for each event in the order of the file, every value as text."""
    columns: dict[str, list[str | None]] = {}
    positions: list[int] = []
    try:
        with open_source(source) as file:
            for trace in _traces(file):
                _append(trace, columns, positions)
    except DAMAGED as error:
        raise cut_off(source, error) from None
    except etree.XMLSyntaxError as error:
        raise InputError(
            f"{source}: the XML breaks off or is damaged ({error.msg}); fetch it again"
        ) from None
    if not positions:
        raise InputError(f"{source}: there is no trace with events in this log")
    for values in columns.values():
        values.extend([None] * (len(positions) - len(values)))
    frame = pl.DataFrame(
        {**columns, POSITION: positions},
        schema={**dict.fromkeys(columns, pl.String), POSITION: pl.Int64},
    )
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(LINE)
    return RawTable(source, frame.lazy().with_columns(lines))


def _traces(file: IO[bytes]) -> Iterator[etree._Element]:
    """Yield each trace once it is complete, and forget it afterwards."""
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


def _append(
    trace: etree._Element, columns: dict[str, list[str | None]], positions: list[int]
) -> None:
    """Add a row to the columns for each event; columns shorter than the row end in empty cells."""
    start = row = len(positions)
    of_trace: dict[str, str | None] = {}
    for child in trace:
        kind = _local(child.tag)
        if kind == "event":
            values: dict[str, str | None] = {}
            for attribute in child:
                # The first of two attributes of one key counts: an event has one activity and time.
                if _local(attribute.tag) in _VALUES:
                    values.setdefault(attribute.get("key", ""), attribute.get("value") or None)
            for key, value in values.items():
                _pad(columns, key, row).append(value)
            row += 1
        elif kind in _VALUES:
            of_trace["case:" + child.get("key", "")] = child.get("value") or None
    for key, value in of_trace.items():
        _pad(columns, key, start).extend([value] * (row - start))
    positions.extend(range(1, row - start + 1))


def _pad(columns: dict[str, list[str | None]], key: str, row: int) -> list[str | None]:
    """Return a column with an empty cell for every row before this one that has none."""
    column = columns.setdefault(key, [])
    column.extend([None] * (row - len(column)))
    return column


@cache
def _local(tag: str) -> str:
    """Name of a tag without its namespace."""
    return tag.rpartition("}")[2]
