"""Object-centric logs (OCEL 2.0 as XML, JSON or SQLite, OCEL 1.0 as JSON) as rows of events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import polars as pl
from lxml import etree

from cxlib.errors import InputError
from cxlib.ingest.raw import LINE, RawTable, flat_row
from cxlib.ingest.sources import DAMAGED, Source, cut_off, open_source, read_bytes

Item = dict[str, Any]


def read_objects(source: Source) -> RawTable:
    """Read an object-centric log that is XML or a database: a row for each event."""
    try:
        with open_source(source) as file:
            is_database = file.read(6) == b"SQLite"
        found = _from_database(source) if is_database else _from_xml(source)
    except etree.XMLSyntaxError as error:
        raise InputError(
            f"{source}: the XML breaks off or is damaged ({error.msg}); fetch it again"
        ) from None
    except sqlite3.Error as error:
        raise InputError(f"{source}: the database is damaged ({error}); fetch it again") from None
    except DAMAGED as error:
        raise cut_off(source, error) from None
    rows = list(events_of_objects(found))
    if not rows:
        what = "database" if is_database else "XML"
        raise InputError(f"{source}: this {what} holds no event log; export the table as CSV")
    frame = pl.DataFrame(rows, schema=dict.fromkeys((k for r in rows for k in r), pl.String))
    filled = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return RawTable(source, filled.with_row_index(LINE, 1).cast({LINE: pl.Int64}).lazy())


def as_objects(value: Any) -> dict[str, list[Item]] | None:
    """Return the events and objects of a log that is JSON, of 1.0 as 2.0 writes them."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("ocel:events"), dict) and isinstance(value.get("ocel:objects"), dict):
        written = ("activity", "timestamp", "omap", "vmap"), ("type", "", "", "ovmap")
        return {
            kind: [_of_first(name, item, *keys) for name, item in value[f"ocel:{kind}"].items()]
            for kind, keys in zip(("events", "objects"), written, strict=True)
        }
    return value if {"events", "objects"} <= {*value} else None


def _of_first(name: str, item: Mapping[str, Any], *keys: str) -> Item:
    kind, at, others, attributes = (item.get(f"ocel:{key}") for key in keys)
    return {
        "id": name,
        "type": kind,
        **({"time": at} if at else {}),
        "relationships": [{"objectId": other} for other in others or ()],
        "attributes": [{"name": k, "value": v} for k, v in (attributes or {}).items()],
    }


def events_of_objects(log: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """Yield the events of an object-centric log (OCEL 2.0), with a column for each type of object:
    the one that an event is about, by itself or through others, and what is known of it.
    """
    objects = {found["id"]: found for found in log["objects"]}

    def beside(item: Item) -> list[str]:
        told = (r["objectId"] for r in item.get("relationships") or ())
        return [name for name in told if name in objects]

    def said(item: Item) -> Item:
        return {a["name"]: a.get("value") for a in item.get("attributes") or ()}

    for event in log["events"]:
        nearest: dict[str, list[str]] = {}
        level, seen = beside(event), set[str]()
        while level:
            here: dict[str, list[str]] = {}
            for name in dict.fromkeys(level):
                here.setdefault(objects[name]["type"], []).append(name)
            nearest = here | nearest
            seen |= {*level}
            level = [n for name in level for n in beside(objects[name]) if n not in seen]
        row = {k: v for k, v in event.items() if k not in ("relationships", "attributes")}
        several = {kind: names for kind, names in nearest.items() if len(names) > 1}
        for kind, names in nearest.items():
            if kind not in several:
                known = said(objects[names[0]])
                row |= {kind: names[0], **{f"{kind}.{k}": v for k, v in known.items()}}
        yield flat_row(said(event) | row | ({"(several)": several} if several else {}))


def _from_xml(source: Source) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {"event": [], "object": []}
    with open_source(source) as file:
        parser = etree.iterparse(
            file, tag=("{*}event", "event", "{*}object", "object"), resolve_entities=False,
            no_network=True, huge_tree=True, remove_comments=True, remove_pis=True,
        )  # fmt: skip
        for _, element in parser:
            if element.get("id") is None:  # of what another is about
                continue
            attributes = element.iter("{*}attribute", "attribute")
            told = (other.get("object-id") for other in element.iter())
            item = {
                **{k: element.get(k) for k in ("id", "type", "time") if element.get(k)},
                "attributes": [{"name": a.get("name", ""), "value": a.text} for a in attributes],
                "relationships": [{"objectId": name} for name in told if name],
            }
            found[etree.QName(element).localname].append(item)
            element.clear()
    return {"events": found["event"], "objects": found["object"]}


def _from_database(source: Source) -> dict[str, list[Item]]:
    path = f"{source.path.resolve().as_uri()}?mode=ro&immutable=1"
    connected = sqlite3.connect(path if source.is_plain else ":memory:", uri=source.is_plain)
    with closing(connected) as database:
        if not source.is_plain:
            database.deserialize(read_bytes(source))
        database.row_factory = sqlite3.Row
        there = {n for (n,) in database.execute("SELECT name FROM sqlite_master")}

        def table(name: str) -> list[Item]:
            quoted = name.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"') if name in there else ()
            return [dict(row) for row in rows]

        found: dict[str, dict[str, Item]] = {}
        for kind in ("event", "object"):
            own = {r["ocel_id"]: {"id": r["ocel_id"], "type": r["ocel_type"]} for r in table(kind)}
            for mapped in table(f"{kind}_map_type"):
                for row in table(f"{kind}_{mapped['ocel_type_map']}"):
                    item = own.get(row["ocel_id"], {})
                    if kind == "event":
                        item["time"] = row["ocel_time"]
                    item.setdefault("attributes", []).extend(
                        {"name": k, "value": v}
                        for k, v in row.items()
                        if v is not None and not k.startswith("ocel_")
                    )
            found[kind] = own
        links = (("event", "event_object", "ocel_event_id", "ocel_object_id"),
                 ("object", "object_object", "ocel_source_id", "ocel_target_id"))  # fmt: skip
        for kind, name, one, other in links:
            for row in table(name):
                item = found[kind].get(row[one], {})
                item.setdefault("relationships", []).append({"objectId": row[other]})
    return {f"{kind}s": list(items.values()) for kind, items in found.items()}
