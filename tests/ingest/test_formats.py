"""The same log gives the same contacts, whatever it is written in."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxlib.contracts import EVENTS
from cxlib.ingest import read_events
from cxlib.ingest.cells import tidied
from cxlib.ingest.dialects import find_dialect
from cxlib.journey_map import JourneyMap

EXPECTED = [
    # customer, occurred_at, touchpoint, channel, stage, owner
    ("007", datetime(2026, 1, 2, 10, tzinfo=UTC), "visit", "app", "exploration", "marketing"),
    ("9440000000000000001", datetime(2026, 1, 3, tzinfo=UTC), "riddle", "web", "unmapped", None),
    ("NA", datetime(2026, 1, 1, 9, tzinfo=UTC), "payment", "till", "conversion", None),
    ("Zoë", datetime(2026, 1, 1, 10, tzinfo=UTC), "visit", "web", "exploration", "marketing"),
]
COLUMNS = ["customer", "occurred_at", "touchpoint", "channel", "stage", "owner"]

WAYS = [
    ("log.csv", {}),
    ("log.csv", {"separator": ";"}),
    ("log.csv", {"separator": "|"}),
    ("log.csv.gz", {"separator": "\t"}),
    ("log.tsv", {}),
    ("log.csv", {"encoding": "utf-8-sig"}),
    ("log.csv", {"encoding": "utf-16"}),
    ("log.csv", {"encoding": "utf-16-le"}),
    ("log.csv", {"encoding": "cp1252"}),
    ("log.jsonl", {}),
    ("log.jsonl.gz", {}),
    ("log.jsonl", {"encoding": "latin-1"}),
    ("log.parquet", {}),
]


@pytest.mark.parametrize(("name", "options"), WAYS, ids=str)
def test_every_format_gives_the_same_contacts(
    name: str, options: dict[str, str], shop: JourneyMap, write
) -> None:
    ingested = read_events(write(name, **options), shop)
    events = EVENTS.validate(ingested.events.collect())
    assert events.sort("customer").select(COLUMNS).rows() == EXPECTED
    assert ingested.quarantine.is_empty()
    (file,) = ingested.report.files
    assert file.rows == 4
    if "separator" in options:
        assert file.separator == options["separator"]
    if options.get("encoding", "").startswith(("cp1252", "latin")):
        assert file.encoding == "cp1252"
    elif "encoding" in options:
        assert file.encoding == options["encoding"]


def test_several_files_globs_and_folders_add_up(shop: JourneyMap, write, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden.csv").write_text("never read")
    (tmp_path / "notes.md").write_text("never read")
    paths = [write("a.csv"), write("b.jsonl.gz"), write("deep/c.parquet")]
    by_list = read_events([*paths, paths[0]], shop)
    by_folder = read_events(tmp_path, shop)
    by_glob = read_events(tmp_path / "**" / "*.*[ztv]", shop)
    assert by_list.report.rows_in == by_folder.report.rows_in == 12
    assert {Path(f.name).name for f in by_glob.report.files} == {"a.csv", "b.jsonl.gz", "c.parquet"}
    assert by_folder.checked().duplicates == 8


def test_a_row_has_one_hash_whatever_the_order_of_rows_columns_and_files(
    shop: JourneyMap, write
) -> None:
    rows = [
        {"client": "a", "when": "2026-01-01", "contact": "visit", "via": "web"},
        {"client": "b", "when": "2026-01-01", "contact": "visit", "via": None},
    ]
    turned = [dict(reversed(r.items())) for r in reversed(rows)]
    without = [{k: v for k, v in rows[1].items() if k != "via"}]
    first, second, third = (
        read_events(write(name, content), shop)
        .events.select("customer", "row")
        .sort("customer")
        .collect()
        .rows()
        for name, content in (
            ("1.csv", rows),
            ("2.jsonl", turned),
            ("3.jsonl", [*without, rows[0]]),
        )
    )
    assert first == second == third
    assert len({row for _, row in first}) == 2


def test_quoted_cells_keep_separators_line_ends_and_quotes(
    shop: JourneyMap, tmp_path: Path
) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "client,when,contact,via,note\n"
        '"a,b",2026-01-01,visit,web,"two\nlines, ""quoted"""\n'
        '" c ",2026-01-01,"visit",,\n'
        "\n"
        "d,2026-01-01,visit,web\n"
    )
    ingested = read_events(path, shop)
    assert sorted(ingested.events.collect()["customer"]) == ["a,b", "c"]
    assert ingested.quarantine.select("reason", "line").rows() == [
        ("malformed row: too few fields", 4)
    ]


def test_excel_says_its_separator_in_the_first_line(shop: JourneyMap, tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes(b"sep=;\r\nclient;when;contact;via\r\n1,5;2026-01-01;visit;web\r\n")
    assert read_events(path, shop).events.collect()["customer"].to_list() == ["1,5"]


def test_numbers_in_parquet_become_ids_without_a_point(shop: JourneyMap, tmp_path: Path) -> None:
    when = [datetime.fromisoformat("2026-01-01T12:00")] * 2
    frame = pl.DataFrame({"when": when, "contact": ["visit"] * 2, "via": ["web"] * 2})
    path = tmp_path / "n.parquet"
    frame.with_columns(client=pl.Series([17850, 2**62])).write_parquet(path)
    ids = read_events(path, shop).events.collect()["customer"].to_list()
    assert sorted(ids) == ["17850", str(2**62)]
    frame.with_columns(client=pl.Series([17850.0, None])).write_parquet(path)
    ingested = read_events(path, shop)
    assert ingested.events.collect()["customer"].to_list() == ["17850"]
    assert "floating point" in ingested.report.hints[0]
    assert ingested.report.set_aside == {"customer is empty": 1}


def test_dates_categories_and_nested_columns_of_parquet_are_read(
    shop: JourneyMap, tmp_path: Path
) -> None:
    frame = pl.DataFrame(
        {
            "client": pl.Series(["a", "a"], dtype=pl.Categorical),
            "when": [date(2026, 1, 1)] * 2,
            "contact": pl.Series(["visit", "payment"], dtype=pl.Enum(["visit", "payment"])),
            "via": [None, None],
            "items": [[1], [2, 3]],
            "details": [{"x": 1}, {"x": 2}],
        }
    )
    frame.write_parquet(tmp_path / "d.parquet")
    events = read_events(tmp_path / "d.parquet", shop).events.collect()
    assert sorted(events["channel"]) == ["till", "web"]
    assert events["occurred_at"].unique().to_list() == [datetime(2026, 1, 1, tzinfo=UTC)]


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    cells=st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=8),
    separator=st.sampled_from(",;\t|"),
)
def test_any_cell_survives_csv(
    cells: list[tuple[str, str]], separator: str, shop: JourneyMap, tmp_path: Path
) -> None:
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerow(["client", "when", "contact", "via"])
        for client, via in cells:
            writer.writerow([f"x{client}x", "2026-01-01", "visit", f"x{via}x"])
    events = read_events(path, shop, separator=separator).events.collect()
    clients, vias = (
        tidied(pl.Series([f"x{row[at]}x" for row in cells], dtype=pl.String)) for at in (0, 1)
    )
    assert sorted(events["customer"]) == sorted(clients)
    assert sorted(events["channel"]) == sorted(vias)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_told_from_commas_in_the_text(separator: str) -> None:
    rows = [separator.join([f"{i}", "x, y", f'"q{separator}r"']) for i in range(20)]
    lines = pl.Series([separator.join("abc"), *rows])
    assert find_dialect(lines, name="t").separator == separator
