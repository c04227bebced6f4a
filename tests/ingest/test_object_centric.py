"""One object-centric log in each of its writings gives the same rows."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from cxlib.errors import InputError
from cxlib.ingest.raw import LINE
from cxlib.ingest.sources import find_sources
from cxlib.ingest.tables import read_source

OBJECTS: list[tuple[str, str, dict[str, str], list[str]]] = [
    ("c1", "Customer", {"plan": "free"}, []),
    ("c2", "Customer", {"plan": "a & b"}, []),
    ("o1", "Order", {}, ["c1"]),
    ("o2", "Order", {}, ["c2"]),
    ("i1", "Item", {}, []),
    ("i2", "Item", {}, []),
]
EVENTS: list[tuple[str, str, str, dict[str, str], list[str]]] = [
    ("e1", "place", "2024-01-02T10:00:00Z", {"by": "web"}, ["o1", "i1", "i2"]),
    ("e2", "pay", "2024-01-02T11:00:00Z", {}, ["o1"]),
    ("e3", "place", "2024-01-03T10:00:00Z", {"by": 'ph"one'}, ["o2"]),
    ("e4", "idle", "2024-01-04T10:00:00Z", {}, []),
]
ROWS = [
    {"id": "e1", "type": "place", "time": "2024-01-02T10:00:00Z", "by": "web", "Order": "o1",
     "Customer": "c1", "Customer.plan": "free", "(several).Item": '["i1", "i2"]'},
    {"id": "e2", "type": "pay", "time": "2024-01-02T11:00:00Z", "Order": "o1", "Customer": "c1",
     "Customer.plan": "free"},
    {"id": "e3", "type": "place", "time": "2024-01-03T10:00:00Z", "by": 'ph"one', "Order": "o2",
     "Customer": "c2", "Customer.plan": "a & b"},
    {"id": "e4", "type": "idle", "time": "2024-01-04T10:00:00Z"},
]  # fmt: skip


def as_json() -> bytes:
    def item(name: str, kind: str, told: dict[str, str], about: list[str]) -> dict[str, Any]:
        return {
            "id": name,
            "type": kind,
            "attributes": [{"name": k, "value": v} for k, v in told.items()],
            "relationships": [{"objectId": other, "qualifier": ""} for other in about],
        }

    events = [{**item(n, k, told, about), "time": at} for n, k, at, told, about in EVENTS]
    return json.dumps({"objects": [item(*one) for one in OBJECTS], "events": events}).encode()


def as_xml(start: str = "<log>", mark: str = "relationship") -> bytes:
    def inside(told: dict[str, str], about: list[str]) -> str:
        said = (
            f'<attribute name="{k}">{v.replace("&", "&amp;")}</attribute>' for k, v in told.items()
        )
        others = (f'<{mark} object-id="{other}" qualifier=""/>' for other in about)
        return f"<attributes>{''.join(said)}</attributes><objects>{''.join(others)}</objects>"

    objects = (f"<object id='{n}' type='{k}'>{inside(t, a)}</object>" for n, k, t, a in OBJECTS)
    events = (
        f"<event id='{n}' type='{k}' time={quoteattr(at)}>{inside(t, a)}</event>"
        for n, k, at, t, a in EVENTS
    )
    types = "<event-types><event-type name='pay'><attributes/></event-type></event-types>"
    body = f"<objects>{''.join(objects)}</objects><events>{''.join(events)}</events>"
    return f"<?xml version='1.0' encoding='UTF-8'?>{start}{types}{body}</log>".encode()


def as_database(path: Path) -> bytes:
    database = sqlite3.connect(path)
    for kind, items in (("event", EVENTS), ("object", OBJECTS)):
        database.execute(f"CREATE TABLE {kind} (ocel_id TEXT PRIMARY KEY, ocel_type TEXT)")
        database.execute(f"CREATE TABLE {kind}_map_type (ocel_type TEXT, ocel_type_map TEXT)")
        for name in dict.fromkeys(item[1] for item in items):
            mapped = name.title()
            database.execute(f"INSERT INTO {kind}_map_type VALUES (?, ?)", (name, mapped))
            keys = dict.fromkeys(k for item in items if item[1] == name for k in item[-2])
            more = "".join(f', "{key}" TEXT' for key in keys)
            table = f'"{kind}_{mapped}"'
            database.execute(f"CREATE TABLE {table} (ocel_id TEXT, ocel_time TEXT{more})")
            for item in (item for item in items if item[1] == name):
                at = item[2] if kind == "event" else "1970-01-01T00:00:00Z"
                values = [item[0], at, *(item[-2].get(k) for k in keys)]
                marks = ", ".join("?" * len(values))
                database.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        database.executemany(f"INSERT INTO {kind} VALUES (?, ?)", [item[:2] for item in items])
    for table, one, other, items in (
        ("event_object", "ocel_event_id", "ocel_object_id", EVENTS),
        ("object_object", "ocel_source_id", "ocel_target_id", OBJECTS),
    ):
        database.execute(f"CREATE TABLE {table} ({one} TEXT, {other} TEXT, ocel_qualifier TEXT)")
        pairs = [(item[0], about, "") for item in items for about in item[-1]]
        database.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", pairs)
    database.commit()
    database.close()
    return path.read_bytes()


WRITINGS: dict[str, Callable[[Path], bytes]] = {
    "log.json": lambda _: as_json(),
    "log.xml": lambda _: as_xml(),
    "log.xmlocel": lambda _: as_xml(mark="object"),
    "named.xml": lambda _: as_xml(start='<log xmlns="urn:any">'),
    "log.sqlite": lambda path: as_database(path / "made"),
    "log.db": lambda path: as_database(path / "made"),
    "log.sqlite.gz": lambda path: gzip.compress(as_database(path / "made")),
    "log.xml.gz": lambda _: gzip.compress(as_xml()),
}


@pytest.mark.parametrize("name", WRITINGS)
def test_an_object_centric_log_is_the_same_in_each_writing(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WRITINGS[name](tmp_path))
    rows = read_source(*find_sources(tmp_path / name)).frame.collect().drop(LINE)
    told = [{k: v for k, v in row.items() if v is not None} for row in rows.to_dicts()]
    assert told == ROWS


def test_the_first_version_is_read_too(tmp_path: Path) -> None:
    events = {
        n: {"ocel:activity": k, "ocel:timestamp": at, "ocel:omap": about, "ocel:vmap": told}
        for n, k, at, told, about in EVENTS
    }
    objects = {n: {"ocel:type": k, "ocel:ovmap": told} for n, k, told, _ in OBJECTS}
    log = {"ocel:global-log": {}, "ocel:events": events, "ocel:objects": objects}
    (tmp_path / "log.jsonocel").write_text(json.dumps(log))
    rows = read_source(*find_sources(tmp_path)).frame.collect()
    assert rows["type"].to_list() == ["place", "pay", "place", "idle"]
    assert rows["Order"].to_list() == ["o1", "o1", "o2", None]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.xml", as_xml()[:300], "the XML breaks off or is damaged"),
        ("log.xml", b"<?xml version='1.0'?><invoices/>", "this XML holds no event log"),
        ("log.sqlite", b"SQLite format 3\0" + b"x" * 200, "the database is damaged"),
        ("log.sqlite", None, "this database holds no event log"),
    ],
)
def test_what_is_no_whole_log_is_said(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is None:
        database = sqlite3.connect(tmp_path / name)
        database.execute("CREATE TABLE orders (id TEXT)")
        database.commit()
        database.close()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_source(*find_sources(tmp_path / name))


def test_xml_beside_a_log_that_is_none_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("customer,event,time\nc1,a,2024-01-01\n")
    (tmp_path / "settings.xml").write_text("<settings/>")
    assert [source.path.name for source in find_sources(tmp_path)] == ["log.csv"]
