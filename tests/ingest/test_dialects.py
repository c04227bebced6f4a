"""Workbooks, archives, nested JSON, columns within columns: whatever holds a log is read."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from cxlib.errors import InputError
from cxlib.ingest import read_events
from cxlib.ingest.raw import RawTable
from cxlib.ingest.sources import find_sources
from cxlib.ingest.tables import read_table
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.map_model import Reading

MAP = """\
version: 1
name: Nested
columns: {customer: CUSTOMER, occurred_at: TIME, touchpoint: EVENT}
stages: [s]
touchpoints: [{name: visit, stage: s}, {name: buy, stage: s}]
"""
ROWS = [
    {"id": f"{i:03}", "at": f"2026-01-0{1 + i % 9}T10:00:00Z", "what": ("visit", "buy")[i % 2]}
    for i in range(20)
]


def named(customer: str, time: str, event: str, more: str = "") -> JourneyMap:
    text = MAP.replace("CUSTOMER", customer).replace("TIME", time).replace("EVENT", event)
    return parse_journey_map(text + more)


def raw(path: Path, **reading: Any) -> RawTable:
    (source,) = find_sources(path)
    return read_table(source, Reading(**reading))


def contacts(path: Path, journey_map: JourneyMap) -> list[tuple[Any, ...]]:
    events = read_events(path, journey_map).events.collect()
    return sorted(events.select("customer", "occurred_at", "touchpoint").rows())


EXPECTED = sorted(
    (r["id"], dt.datetime.fromisoformat(r["at"].replace("Z", "+00:00")), r["what"]) for r in ROWS
)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("\n".join(json.dumps({"e": r["what"], "p": r}) for r in ROWS), ""),
        ("\n".join(json.dumps({"e": r["what"], "p": {"a": {}, **r}}) for r in ROWS) + "\n", ""),
        (json.dumps([{"e": r["what"], "p": r} for r in ROWS], indent=2), ""),
        (json.dumps({"data": [{"e": r["what"], "p": r} for r in ROWS], "n": 20}), ""),
        (json.dumps({"m": {}, "result": {"rows": [{"e": r["what"], "p": r} for r in ROWS]}}), ""),
        ("\n".join(json.dumps({"e": r["what"], "p": r}, indent=1) for r in ROWS), ""),
        (json.dumps({"columns": ["e", "p"], "data": [[r["what"], r] for r in ROWS]}), ""),
    ],
)  # fmt: skip
def test_nested_json_is_read_by_dotted_paths(text: str, more: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(text)
    assert contacts(path, named("p.id", "p.at", "e", more)) == EXPECTED
    (tmp_path / "log.json.gz").write_bytes(gzip.compress(text.encode()))
    assert contacts(tmp_path / "log.json.gz", named("p.id", "p.at", "e", more)) == EXPECTED


def test_a_list_within_gives_a_contact_for_each_element(tmp_path: Path) -> None:
    visits = [
        {"user": {"id": f"u{i}"}, "at": "x", "actions": [
            {"at": f"2026-01-01T10:0{i}:00Z", "type": "visit"},
            {"at": f"2026-01-01T11:0{i}:00Z", "type": "buy"},
        ]}
        for i in range(5)
    ]  # fmt: skip
    told = named("user.id", "actions.at", "type", "reading: {records: actions}\n")
    for name, text in (
        ("a.jsonl", "\n".join(map(json.dumps, visits))),
        ("b.json", json.dumps(visits)),
    ):
        (tmp_path / name).write_text(text)
        got = contacts(tmp_path / name, told)
        assert len(got) == 10
        assert {c for c, _, _ in got} == {f"u{i}" for i in range(5)}
    # The path with the list in front means the same.
    told = named("user.id", "actions.at", "actions.type", "reading: {records: actions}\n")
    assert len(contacts(tmp_path / "b.json", told)) == 10


def test_which_list_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"users": [{"id": 1}], "events": ROWS}))
    with pytest.raises(InputError, match=r"which list .* reading: \{records: users\}; .* events"):
        read_events(path, named("id", "at", "what"))
    told = named("id", "at", "what", "reading: {records: events}\n")
    assert contacts(path, told) == EXPECTED


def test_numbers_in_json_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ids = ["9440000000000000001", "12345678901234567890123", "17850"]
    for before in ("", "not json\n"):
        path.write_text(before + "\n".join(f'{{"a": {{"id": {i}}}}}' for i in ids))
        assert raw(path).collect()["a.id"].to_list() == ids


def test_a_key_that_comes_late_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"id": "a"}) for _ in range(9000)]
    path.write_text("\n".join([*lines, json.dumps({"id": "b", "x": {"late": 5}})]))
    assert raw(path).columns == ["id", "x.late"]
    path.write_text("\n".join([*lines, json.dumps({"id": {"b": 1}}), "{"]))
    table = raw(path)
    assert table.columns == ["id", "id.b"]
    assert table.malformed.height == 1


def test_json_in_a_cell_and_columns_put_together(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    frame = pl.DataFrame(
        {
            "props": [json.dumps({"user": {"id": r["id"]}, "$k": [r["what"]]}) for r in ROWS],
            "day": [r["at"][:10] for r in ROWS],
            "clock": [r["at"][11:19] for r in ROWS],
        }
    )
    frame.write_csv(path)
    assert contacts(path, named("props.user.id", "day + clock", "props.$k.0")) == EXPECTED
    nested = pl.DataFrame({"u": [{"id": r["id"]} for r in ROWS], "e": [r["what"] for r in ROWS]})
    nested = nested.with_columns(at=pl.Series([r["at"] for r in ROWS]))
    nested.write_parquet(tmp_path / "log.parquet")
    assert contacts(tmp_path / "log.parquet", named("u.id", "at", "e")) == EXPECTED


def workbook(path: Path, *, titles: int = 0, more: bool = False, split: bool = False) -> Path:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet("Contacts")
    when = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
    for i in range(titles):
        sheet.write(i, 0, f"Report {i}")
    names = ["id", "day", "clock", "what"] if split else ["id", "at", "what", "n"]
    sheet.write_row(titles, 0, names)
    for i, r in enumerate(ROWS, titles + 1):
        at = dt.datetime.fromisoformat(r["at"][:19])
        sheet.write_string(i, 0, r["id"])
        if split:
            sheet.write_datetime(i, 1, at.replace(hour=0), when)
            sheet.write_datetime(i, 2, at.time(), when)
            sheet.write(i, 3, r["what"])
        else:
            sheet.write_datetime(i, 1, at, when)
            sheet.write_row(i, 2, [r["what"], 17850])
    if more:
        book.add_worksheet("Notes").write_row(0, 0, ["made", "by", "hand"])
        copy = book.add_worksheet("More")
        copy.write_row(0, 0, ["id", "at", "what"])
        copy.write_row(1, 0, ["x", "2026-01-01T10:00:00Z", "visit"])
    book.close()
    return path


@pytest.mark.parametrize("titles", [0, 3])
def test_a_workbook_is_read_ids_as_text_dates_as_dates(titles: int, tmp_path: Path) -> None:
    path = workbook(tmp_path / "log.xlsx", titles=titles)
    assert contacts(path, named("id", "at", "what")) == EXPECTED
    assert contacts(path, named("n", "at", "what"))[0][0] == "17850"
    split = workbook(tmp_path / "split.xlsx", titles=titles, split=True)
    assert contacts(split, named("id", "day + clock", "what")) == EXPECTED


def test_which_sheet_is_asked_for(tmp_path: Path) -> None:
    path = workbook(tmp_path / "log.xlsx", more=True)
    with pytest.raises(InputError, match=r"which sheet\? .*sheet: Contacts.* Contacts, More"):
        read_events(path, named("id", "at", "what"))
    told = named("id", "at", "what", "reading: {sheet: Contacts}\n")
    assert contacts(path, told) == EXPECTED
    report = read_events(path, told).report
    assert any("not read: Notes, More" in hint for hint in report.hints)
    both = named("id", "at", "what", "reading: {sheet: [Contacts, Mo*]}\n")
    assert len(contacts(path, both)) == 21
    with pytest.raises(InputError, match=r"there is no sheet 'Contcts'.*Did you mean 'Contacts'"):
        read_events(path, named("id", "at", "what", "reading: {sheet: Contcts}\n"))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged"):
        read_events(path, told)


def test_archives_and_their_members(tmp_path: Path) -> None:
    told = named("id", "at", "what")
    text = pl.DataFrame(ROWS).write_csv()
    workbook(tmp_path / "one.xlsx")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("days/1.csv", text)
        archive.writestr(
            "days/2.jsonl.gz", gzip.compress("\n".join(map(json.dumps, ROWS)).encode())
        )
        archive.write(tmp_path / "one.xlsx", "book.xlsx")
        archive.writestr("__MACOSX/._1.csv", b"\x00")
        archive.writestr("readme.md", "x")
    assert len(contacts(tmp_path / "all.zip", told)) == 60
    assert contacts(tmp_path / "all.zip" / "days" / "1.csv", told) == EXPECTED
    assert len(contacts(tmp_path / "all.zip" / "days" / "*", told)) == 40
    with pytest.raises(InputError, match=r"no 'days/3.csv' in this archive.*Did you mean 'days/1"):
        read_events(tmp_path / "all.zip" / "days" / "3.csv", told)
    (tmp_path / "log.csv").write_bytes((tmp_path / "all.zip").read_bytes())
    assert len(contacts(tmp_path / "log.csv", told)) == 60


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files_are_unpacked_whatever_they_are_called(
    ending: str, pack: Any, tmp_path: Path
) -> None:
    data = pack(pl.DataFrame(ROWS).write_csv().encode())
    for name in (f"log.csv{ending}", "log.csv"):
        (tmp_path / name).write_bytes(data)
        assert contacts(tmp_path / name, named("id", "at", "what")) == EXPECTED
    (tmp_path / "log.csv").write_bytes(data[:-20])
    with pytest.raises(InputError, match="the copy was cut off"):
        read_events(tmp_path / "log.csv", named("id", "at", "what"))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["3.000", "1.355,90", "12,50", "250,00"], [3000, 1355.9, 12.5, 250]),
        (["1,234", "5.5", "7"], [1234, 5.5, 7]),
        (["€ 1 234,50", "12,00-", "(1.000,00)"], [1234.5, -12, -1000]),
        (["$1,234.56", "CHF 1'234.50", "USD 3"], [1234.56, 1234.5, 3]),
        (["0.125", "0.250"], [0.125, 0.25]),
        (["4,5", "3.5", "-"], [4.5, 3.5, None]),
    ],
)
def test_costs_as_people_write_them(
    cells: list[str], expected: list[float | None], tmp_path: Path
) -> None:
    lines = [f"{i};2026-01-01;visit;{cell}" for i, cell in enumerate(cells)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["id;at;what;cost", *lines]))
    ingested = read_events(path, named("id", "at", "what"))
    assert ingested.events.sort("customer").collect()["cost"].to_list() == expected


def test_a_decimal_mark_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("id;at;what;cost\na;2026-01-01;visit;3.000\nb;2026-01-01;visit;12.500\n")
    with pytest.raises(InputError, match=r"'3\.000' is 3 or 3,000\? .*decimal: \".\""):
        read_events(path, named("id", "at", "what"))
    for mark, total in ((".", 15.5), (",", 15500)):
        told = named("id", "at", "what", f'reading: {{decimal: "{mark}"}}\n')
        assert read_events(path, told).events.collect()["cost"].sum() == total
    # On a scale from 0 to 10 it is told.
    rated = named("id", "at", "what", "rating_scale: {name: nps, min: 0, max: 10}\n")
    path.write_text("id;at;what;rating\na;2026-01-01;visit;3.000\n")
    assert read_events(path, rated).events.collect()["rating"].to_list() == [3]
