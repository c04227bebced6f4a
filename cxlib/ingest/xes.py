"""Event logs in XES (IEEE 1849), plain or gzipped, streamed: one trace in memory at a time.

A trace is a customer; its attributes become columns called ``case:…``, those of its events columns
of their own key. Log-level defaults, extensions, classifiers and nested attributes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import IO, Any

import polars as pl
from lxml import etree

from cxlib.errors import InputError
from cxlib.ingest.raw import LINE, POSITION, RawTable
from cxlib.ingest.sources import DAMAGED, Source, cut_off, open_source

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
