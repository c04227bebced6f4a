"""Tables of customers and of ratings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cxlib.contracts import CUSTOMERS, QUARANTINE, RATINGS
from cxlib.ingest import IngestedTable, IngestReport, read_customers, read_events, read_ratings
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.store import build_workspace

SCALE = "rating_scale: {name: csat, min: 0, max: 10}\nstages:"


def test_every_other_column_is_a_segment_as_text(shop: JourneyMap, write) -> None:
    rows = [
        {"client": "007", "region": "north", "age": "30", "empty": ""},
        {"client": "NA", "region": "", "age": "n/a", "empty": ""},
        {"client": "007", "region": "north", "age": "30", "empty": ""},
    ]
    for name in ("c.csv", "c.tsv.gz", "c.jsonl", "c.parquet"):
        customers = CUSTOMERS.validate(read_customers(write(name, rows), shop).rows)
        assert customers.rows() == [("007", "north", "30", None), ("NA", None, "n/a", None)]


def test_numbers_in_segments_become_text(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"customer": 7, "age": 30}\n')
    assert read_customers(tmp_path / "c.jsonl").rows.rows() == [("7", "30")]


def test_ratings_have_times_in_utc_and_only_answers_count(shop: JourneyMap, write) -> None:
    rows = [
        {"client": "a", "when": "2026-01-01T10:00:00+01:00", "rating": "10", "contact": "visit"},
        {"client": "a", "when": "2026-01-02", "rating": "", "contact": ""},
        {"client": "NA", "when": "2026-01-01", "rating": "7,5", "contact": ""},
    ]
    with_scale = parse_journey_map(shop.to_yaml().replace("stages:", SCALE))
    ratings = RATINGS.validate(read_ratings(write("r.csv", rows, separator=";"), with_scale).rows)
    assert ratings.rows() == [
        ("NA", datetime(2026, 1, 1, tzinfo=UTC), 7.5, "csat", None, None),
        ("a", datetime(2026, 1, 1, 9, tzinfo=UTC), 10.0, "csat", "visit", None),
    ]


def test_ratings_may_use_our_own_names(shop: JourneyMap, write) -> None:
    row = {"customer": "a", "rated_at": "2026-01-01", "rating": "3", "comment": "meh"}
    assert read_ratings(write("r.jsonl", [row]), shop).rows["comment"].to_list() == ["meh"]


def aside(table: IngestedTable) -> list[tuple[str, int, str | None]]:
    quarantine = QUARANTINE.validate(table.quarantine)
    return quarantine.select("reason", "line", "customer").sort("line", "reason").rows()


def test_rows_that_say_nothing_sure_of_a_customer_are_set_aside(tmp_path: Path) -> None:
    rows = "a,north,1\n,north,1\nb,south,1\nb,north,1\nc,south,1\nc,south,1\nd\ne,north,1\n"
    (tmp_path / "c.csv").write_text("customer,region,age\n" + rows + "f,west,2\n")
    read = read_customers(tmp_path / "c.csv")
    assert read.rows["customer"].to_list() == ["a", "c", "e", "f"]
    assert aside(read) == [
        ("customer is empty", 2, None),
        ("rows of this customer differ", 3, "b"),
        ("rows of this customer differ", 4, "b"),
        ("malformed row: too few fields", 7, None),
    ]


def test_customers_that_differ_between_files_are_set_aside_in_both(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("customer,region\na,north\nb,south\nc,south\n")
    (tmp_path / "2.csv").write_text("customer,region\nb,south\na,west\nd,south\n")
    read = read_customers([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert read.rows["customer"].to_list() == ["b", "c", "d"]
    files = [Path(file).name for file in read.quarantine["file"]]
    assert list(zip(files, read.quarantine["line"], strict=True)) == [("1.csv", 1), ("2.csv", 2)]


def test_answers_that_cannot_be_used_are_set_aside(tmp_path: Path, shop: JourneyMap) -> None:
    with_scale = parse_journey_map(shop.to_yaml().replace("stages:", SCALE))
    good = "".join(f"b,2026-01-0{day},5\n" for day in range(1, 8))
    bad = "a,2026-01-01,11\na,2026-01-01,good\na,someday,5\n,2026-01-01,5\na,,5\na,2026-01-01,\n"
    (tmp_path / "r.csv").write_text("customer,rated_at,rating\n" + good + bad)
    read = read_ratings(tmp_path / "r.csv", with_scale)
    assert read.rows.height == 7
    assert aside(read) == [
        ("rating is outside 0 to 10", 8, "a"),
        ("rating is no number", 9, "a"),
        ("time cannot be read", 10, "a"),
        ("customer is empty", 11, None),
        ("time is empty", 12, "a"),
    ]


def test_the_workspace_keeps_and_the_report_counts_what_was_set_aside(
    tmp_path: Path, shop: JourneyMap, write
) -> None:
    log = [
        {"client": c, "when": f"2026-01-0{d}", "contact": "visit", "via": "web"}
        for c in "ab"
        for d in (1, 2)
    ]
    people = [{"client": c, "region": "north"} for c in ("a", "", "b")]
    answers = [{"client": "a", "when": "2026-01-03", "rating": r} for r in ("9", "bad", "7")]
    ingested = read_events(write("log.csv", log), shop)
    made = build_workspace(
        ingested,
        tmp_path / "w",
        customers=read_customers(write("c.csv", people), shop),
        ratings=read_ratings(write("r.csv", answers), shop),
    )
    counted = {"customers: customer is empty": 1, "ratings: rating is no number": 1}
    assert made.report["tables_set_aside"] == counted
    assert made.report["rows_in"] == 4 == made.report["contacts"]
    assert made.quarantine()["reason"].to_list() == ["customer is empty", "rating is no number"]
    text = IngestReport.from_dict(made.report).to_text()
    assert "  ratings: rating is no number  1" in text
