"""Damaged files of every format: a log is read, or refused in one sentence."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxlib.errors import CxError
from cxlib.ingest import propose_map, read_customers, read_events
from cxlib.journey_map import JourneyMap, parse_journey_map

ROWS = [
    {"client": f"é{i}", "when": f"2026-01-0{i}", "contact": "visit", "via": 'w"e,b'}
    for i in range(1, 8)
]
FRAME = pl.DataFrame(ROWS)
EVENT = (
    '<trace><string key="concept:name" value="é"/><event><string key="client" value="1"/>'
    '<date key="when" value="2026-01-01T00:00:00Z"/><string key="contact" value="visit"/>'
    '<string key="via" value="x"/></event></trace>'
)


def parquet() -> bytes:
    buffer = io.BytesIO()
    FRAME.write_parquet(buffer)
    return buffer.getvalue()


WHOLE = {
    "log.csv": FRAME.write_csv().encode(),
    "log.tsv": FRAME.write_csv(separator="\t").encode(),
    "log.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "log.xes": f"<log>{EVENT * 3}</log>".encode(),
    "log.parquet": parquet(),
}
WHOLE |= {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in WHOLE.items()}

_DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "insert", "drop"]),
        st.floats(0, 1),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b'"', b"\n", b",", b"\x00"])),
    ),
    max_size=4,
)


def damaged(data: bytes, damage: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, what in damage:
        at = int(where * len(data))
        if kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + what + data[at:]
        elif kind == "flip":
            data = data[:at] + what + data[at + len(what) :]
        else:
            data = data[:at] + data[at + len(what) :]
    return data


@pytest.mark.parametrize("name", WHOLE)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(damage=_DAMAGE)
def test_damaged_files_are_read_or_refused_in_one_sentence(
    name: str, damage: list[tuple[str, float, bytes]], shop: JourneyMap, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(WHOLE[name], damage))
    refusals = []
    try:
        ingested = read_events(path, shop)
        report = ingested.report
        assert report.rows_in == report.contacts + sum(report.set_aside.values())
        assert ingested.events.collect().height == report.contacts
    except CxError as error:
        refusals.append(str(error))
    try:
        parse_journey_map(propose_map(path).text)
    except CxError as error:
        refusals.append(str(error))
    try:
        read_customers(path, shop)
    except CxError as error:
        refusals.append(str(error))
    assert all("\n" not in refusal for refusal in refusals)
