"""Event logs in XES (IEEE 1849), plain or gzipped, streamed: one trace in memory at a time.

A trace is a customer. Its attributes become columns called ``case:…``, those of its events columns of their own key, as
text; log-level defaults (globals), extensions and classifiers are skipped, nested attributes left out.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import IO

import polars as pl
from lxml import etree

from cxlib.errors import InputError
from cxlib.ingest.sources import Source, cut_off
from cxlib.ingest.tables import LINE, NONE_MALFORMED, POSITION, RawTable

__all__ = ["read_xes"]

_VALUES = frozenset(("string", "date", "int", "float", "boolean", "id"))


def read_xes(source: Source) -> RawTable:
    """Read a XES log.

    Returns
    -------
    RawTable
        A row for each event, in the order of the file, every value as text; `POSITION` counts the
        events of a trace from 1.

    Raises
    ------
    InputError
        Where the XML is broken or cut off, or holds no event.
    """
    columns: dict[str, list[str | None]] = {}
    positions: list[int] = []
    try:
        with _open(source) as file:
            for trace in _traces(file):
                _append(trace, columns, positions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
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
        schema={**{name: pl.String for name in columns}, POSITION: pl.Int64},
    )
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(LINE)
    return RawTable(source, frame.lazy().with_columns(lines), NONE_MALFORMED)


def _open(source: Source) -> IO[bytes]:
    return gzip.open(source.path) if source.gzipped else source.path.open("rb")  # type: ignore[return-value]


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
    of_trace: dict[str, str] = {}
    events = []
    for child in trace:
        kind = child.tag.rpartition("}")[2]
        if kind == "event":
            events.append(child)
        elif kind in _VALUES:
            of_trace["case:" + child.get("key", "")] = child.get("value", "")
    for position, event in enumerate(events, 1):
        values = dict(of_trace)
        for attribute in event:
            if attribute.tag.rpartition("}")[2] in _VALUES:
                values[attribute.get("key", "")] = attribute.get("value", "")
        row = len(positions)
        for key, value in values.items():
            column = columns.setdefault(key, [])
            if len(column) < row:
                column.extend([None] * (row - len(column)))
            column.append(value or None)
        positions.append(position)
