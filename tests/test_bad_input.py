"""Bad input: one clear error, or a counted quarantine; never a traceback, never a wrong figure."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cxlib.contracts import QUARANTINE
from cxlib.errors import InputError, MapError
from cxlib.ingest import Ingested, read_customers, read_events, read_ratings
from cxlib.ingest.sources import find_sources, open_source
from cxlib.journey_map import JourneyMap, parse_journey_map, read_journey_map

MAP = """\
version: 1
name: Shop
rating_scale: {name: csat, min: 0, max: 10}
stages: [exploration, conversion]
touchpoints:
  - {name: visit, stage: exploration}
  - {name: payment, stage: conversion}
"""
HEADER = "customer,occurred_at,touchpoint"
GOOD = "ann,2026-01-05T10:00:00Z,visit"


@pytest.fixture
def shop() -> JourneyMap:
    return parse_journey_map(MAP)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def read(log: Path, shop: JourneyMap, *rows: str, header: str = HEADER) -> Ingested:
    log.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_events(log, shop)


def refused(path: Path, shop: JourneyMap, **options: str) -> str:
    """Read a log that must be refused; returns the one sentence that says why."""
    with pytest.raises(InputError) as caught:
        read_events(path, shop, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def test_missing_column_names_what_there_is_and_the_nearest(log: Path, shop: JourneyMap) -> None:
    log.write_text("costumer,occurred_at,touchpoint\na,2026-01-01,visit\n")
    message = refused(log, shop)
    assert message.startswith(f"{log}: column 'customer'")
    assert "there are: costumer, occurred_at, touchpoint. Did you mean 'costumer'?" in message
    assert "columns: {customer: …}" in message


def test_unreadable_dates_are_set_aside_or_refused(log: Path, shop: JourneyMap) -> None:
    ingested = read(log, shop, GOOD, GOOD, "bob,last week,visit", "cid,,visit")
    assert ingested.report.set_aside == {"time cannot be read": 1, "time is empty": 1}
    first = ingested.quarantine.row(0, named=True)
    assert (first["line"], first["customer"], first["occurred_at"]) == (3, "bob", "last week")
    assert json.loads(first["raw"]) == {
        "customer": "bob",
        "occurred_at": "last week",
        "touchpoint": "visit",
    }
    log.write_text(f"{HEADER}\na,last week,visit\nb,last week,visit\n{GOOD}\n")
    assert "column 'occurred_at': 2 time(s) cannot be read, first 'last week'" in refused(log, shop)


def test_implausible_dates_are_set_aside_unless_the_map_allows_them(
    log: Path, shop: JourneyMap
) -> None:
    rows = ["old,1948-06-20,visit", "new,2099-01-01,visit", "edge,1989-12-31T23:59:59Z,visit"]
    ingested = read(log, shop, GOOD, *rows)
    assert ingested.events.collect()["customer"].to_list() == ["ann"]
    assert ingested.report.set_aside["implausible time, before 1990-01-01"] == 2
    assert ingested.report.set_aside["implausible time, in the future"] == 1
    wide = parse_journey_map(MAP + "earliest: 1900-01-01\nlatest: 2100-01-01\n")
    assert read(log, wide, GOOD, *rows).report.contacts == 4


def test_mixed_offsets_are_one_clock(log: Path, shop: JourneyMap) -> None:
    times = ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-29T00:30:00Z"]
    ingested = read(log, shop, *(f"{c},{t},visit" for c, t in zip("abc", times, strict=True)))
    got = ingested.events.sort("customer").collect()["occurred_at"].to_list()
    hours = [(0, 30), (1, 30), (0, 30)]
    assert got == [datetime(2026, 3, 29, h, m, tzinfo=UTC) for h, m in hours]


def test_null_customers_are_set_aside_and_na_is_a_customer(log: Path, shop: JourneyMap) -> None:
    names = ["NA", "null", "None", "nan", "N/A", "-", "", "   ", '""']
    ingested = read(log, shop, *(f"{name},2026-01-01,visit" for name in names))
    assert ingested.events.collect()["customer"].to_list() == names[:6]
    assert ingested.report.set_aside == {"customer is empty": 3}
    assert ingested.quarantine["line"].to_list() == [7, 8, 9]


def test_ids_keep_leading_zeros_and_all_digits(log: Path, shop: JourneyMap) -> None:
    ids = ["007", "7", "00123456789012345678901", "9.44E+18", "1e5", "+1", "true"]
    ingested = read(log, shop, *(f"{i},2026-01-01,visit" for i in ids))
    assert ingested.events.collect()["customer"].to_list() == ids
    assert "damaged" in ingested.report.hints[0]


def test_ids_that_were_floats_are_named(log: Path, shop: JourneyMap, tmp_path: Path) -> None:
    ingested = read(log, shop, "17850.0,2026-01-01,visit")
    assert "ids end in '.0'" in ingested.report.hints[0]
    frame = pl.DataFrame({"customer": [9.44e18], "occurred_at": ["2026-01-01"]})
    path = tmp_path / "ids.parquet"
    frame.with_columns(touchpoint=pl.lit("visit")).write_parquet(path)
    assert "ids are floating point numbers" in refused(path, shop)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n \n", "the file is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (HEADER.encode() + b"\r\n\r\n\r\n", "has a header but no rows"),
        (b"PK\x03\x04\x14\x00", "the archive is damaged"),
        (b"\x00\x01\x02\x00\x03binary\x00", "not a text file"),
        (f"{HEADER},customer\n{GOOD},x\n".encode(), "'customer' stands twice"),
        (f'{HEADER}\n"ann,2026-01-01,visit\n'.encode(), "never closed"),
        (f"{HEADER}\n,2026-01-01,visit\n".encode(), "no row of the log became a contact"),
    ],
)
def test_files_that_are_no_log_give_one_clear_error(
    content: bytes, says: str, log: Path, shop: JourneyMap
) -> None:
    log.write_bytes(content)
    assert says in refused(log, shop)


def test_paths_that_lead_nowhere(tmp_path: Path, shop: JourneyMap) -> None:
    assert "there is no log in this folder" in refused(tmp_path, shop)
    (tmp_path / "notes.md").write_text("x")
    assert "notes.md: this kind of file cannot be read" in refused(tmp_path, shop)
    assert "no file matches" in refused(tmp_path / "*.csv", shop)
    assert "cannot be read; readable are CSV" in refused(tmp_path / "notes.md", shop)
    (tmp_path / "march.csv").write_text(f"{HEADER}\n{GOOD}\n")
    assert "Did you mean 'march.csv'?" in refused(tmp_path / "marhc.csv", shop)
    with pytest.raises(InputError, match="no log was named"):
        read_events([], shop)


@pytest.mark.parametrize("keep", [5, 20, 60, 0.5, -4])
def test_a_truncated_gzip_is_named(keep: float, tmp_path: Path, shop: JourneyMap) -> None:
    rows = "\n".join(f"{i},2026-01-01T{i % 24:02}:00:00Z,visit" for i in range(2000))
    data = gzip.compress(f"{HEADER}\n{rows}\n".encode())
    path = tmp_path / "log.csv.gz"
    path.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else int(keep)])
    assert "the gzip ends too early" in refused(path, shop)
    damaged = bytearray(data)
    damaged[-6] ^= 0xFF
    path.write_bytes(bytes(damaged))
    assert "the gzip is damaged" in refused(path, shop)


def test_a_truncated_parquet_is_named(tmp_path: Path, shop: JourneyMap) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "no whole Parquet file" in refused(path, shop)


def test_rows_of_another_width_are_set_aside(log: Path, shop: JourneyMap) -> None:
    ingested = read(log, shop, GOOD, f"{GOOD},more", f"{GOOD},more,still", "bob,2026-01-01", GOOD)
    assert ingested.report.set_aside == {
        "malformed row: too many fields": 2,
        "malformed row: too few fields": 1,
    }
    assert ingested.quarantine.sort("line")["line"].to_list() == [2, 3, 4]
    assert ingested.report.contacts == 2
    QUARANTINE.validate(ingested.quarantine)


def test_latin_1_is_read_and_said(log: Path, shop: JourneyMap) -> None:
    log.write_bytes(f"{HEADER}\nZoë Müller,2026-01-01,visit\n".encode("latin-1"))
    ingested = read_events(log, shop)
    assert ingested.events.collect()["customer"].to_list() == ["Zoë Müller"]
    assert ingested.report.files[0].encoding == "cp1252"
    assert "encoding" in refused(log, shop, encoding="klingon")
    assert "is not ascii" in refused(log, shop, encoding="ascii")


def test_single_bad_bytes_in_utf_8_are_set_aside(log: Path, shop: JourneyMap) -> None:
    rows = [f"{HEADER}\nZoë,2026-01-01,visit\nJürgen,2026-01-01,visit\n".encode()]
    log.write_bytes(b"".join([*rows, b"M\xfcller,2026-01-01,visit\n"]))
    ingested = read_events(log, shop)
    assert ingested.report.set_aside == {"bytes that are no characters": 1}
    assert sorted(ingested.events.collect()["customer"]) == ["Jürgen", "Zoë"]


def test_unsorted_duplicated_and_tied_rows_are_counted(log: Path, shop: JourneyMap) -> None:
    rows = [
        "b,2026-01-02,visit",
        "a,2026-01-03,visit",
        "a,2026-01-01,visit",
        "a,2026-01-01,payment",
    ]
    ingested = read(log, shop, *rows, rows[1], rows[1])
    report = ingested.checked()
    assert (report.rows_in, report.contacts) == (6, 4)
    assert (report.duplicates, report.tied_timestamps, report.customers) == (2, 1, 2)
    assert report.set_aside == {"duplicate": 2}
    turned = read(log, shop, rows[1], *reversed([*rows, rows[1]]))
    columns = ["customer", "occurred_at", "touchpoint", "row"]
    first, second = (i.events.select(columns).sort(columns).collect() for i in (ingested, turned))
    assert first.equals(second)


def test_a_customer_with_100_000_events_is_read_whole(log: Path, shop: JourneyMap) -> None:
    rows = [f"robot,2026-01-01T00:00:00.{i:06}Z,visit" for i in range(100_000)]
    ingested = read(log, shop, GOOD, *rows)
    assert ingested.events.filter(customer="robot").select(pl.len()).collect().item() == 100_000


def test_json_that_is_none_is_set_aside(tmp_path: Path, shop: JourneyMap) -> None:
    good = json.dumps({"customer": 7, "occurred_at": "2026-01-01", "touchpoint": "visit"})
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([good, "{broken", "[1]", "", good, "null"]))
    ingested = read_events(path, shop)
    assert ingested.report.set_aside == {"malformed row: no JSON object": 3}
    assert ingested.events.collect()["customer"].to_list() == ["7", "7"]
    path.write_text(f"[{good}]")
    assert read_events(path, shop).report.contacts == 1
    path.write_text(f"[{good}, 5]")
    assert "1 of 2 elements are no JSON objects" in refused(path, shop)
    path.write_text("null\n")
    assert "no line is a JSON object" in refused(path, shop)


def test_dates_only_are_said(log: Path, shop: JourneyMap) -> None:
    report = read(log, shop, "a,2026-01-01,visit", "b,2026-01-02,visit").report
    assert report.midnight_share == 1
    assert "dates only" in report.hints[0]
    assert report.without_offset == 2


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("stage: conversion", "stage: convertion", "Did you mean 'conversion'"),
        ("name: payment", "name: visit", "listed twice"),
    ],
)
def test_maps_with_an_unknown_stage_or_a_touchpoint_twice(
    right: str, wrong: str, says: str
) -> None:
    with pytest.raises(MapError, match=says):
        parse_journey_map(MAP.replace(right, wrong), path="map.yaml")


def test_a_planned_handoff_to_nowhere() -> None:
    plan = "planned_handoffs: [{source: visit, target: till, deadline: 1d}]\n"
    with pytest.raises(MapError, match=r"line 8, .*there is no touchpoint 'till'"):
        parse_journey_map(MAP + plan, path="map.yaml")


def test_bad_tables_of_customers(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("kunde,region\na,north\n")
    with pytest.raises(InputError, match="'customer' is missing; there are: kunde, region"):
        read_customers(path)
    for rows, says in [
        ("a,north\na,south\nb,south\n", "2 of 3 rows .* rows of this customer differ; first row 1"),
        (",north\n,south\nb,south\n", "customer is empty; first row 1"),
        ("a\n", "1 of 1 rows cannot be used, most because: malformed row: too few fields"),
    ]:
        path.write_text("customer,region\n" + rows)
        with pytest.raises(InputError, match=says):
            read_customers(path)


def test_bad_tables_of_ratings(tmp_path: Path, shop: JourneyMap) -> None:
    path = tmp_path / "ratings.csv"
    for row, says in [
        ("a,2026-01-01,11", "1 of 1 rows .* rating is outside 0 to 10; first row 1: .*11"),
        ("a,2026-01-01,good", "rating is no number; .*good"),
        ("a,someday,5", "someday"),
        (",2026-01-01,5", "customer is empty"),
        ("a,,5", "time is empty"),
    ]:
        path.write_text(f"customer,rated_at,rating\n{row}\n")
        with pytest.raises(InputError, match=says):
            read_ratings(path, shop)


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.jsonl.gz", "bomb.xes.gz"])
def test_a_gzip_bomb_ends_in_a_sentence_long_before_memory_does(name, tmp_path, shop):
    head = {"csv": b"customer,occurred_at,touchpoint\n", "jsonl": b"", "xes": b"<log><trace>"}
    with gzip.open(tmp_path / name, "wb", compresslevel=9) as file:
        file.write(head[name.split(".")[1]])
        for _ in range(150):
            file.write(b" " * 2**20)
    read = []
    source = find_sources(tmp_path / name)[0]
    with open_source(source) as file:
        parts = iter(lambda: file.read(2**20), b"")
        with pytest.raises(InputError, match=r"more than 100 times its own size.*gunzip -k"):
            read.extend(len(part) for part in parts)
    assert sum(read) < 110 * 10**6
    assert "gunzip" in refused(tmp_path / name, shop)


def test_a_log_that_packs_well_is_no_bomb(tmp_path, shop):
    rows = [f"{n},2025-01-{n % 28 + 1:02d} 10:00:00,{'a' * 2000}" for n in range(100)]
    with gzip.open(tmp_path / "log.csv.gz", "wt", compresslevel=9) as file:
        file.write("\n".join(["customer,occurred_at,touchpoint", *rows]))
    assert read_events(tmp_path / "log.csv.gz", shop).report.rows_in == 100


def test_brackets_within_brackets_end_in_a_sentence(tmp_path, shop):
    for text in ("version: 1\nname: " + "[" * 5000, "a: " + "{b: " * 5000):
        (tmp_path / "deep.yaml").write_text(text)
        with pytest.raises(MapError, match=r"deep\.yaml.*nested too deeply"):
            read_journey_map(tmp_path / "deep.yaml")
