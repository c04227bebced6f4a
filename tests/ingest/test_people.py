"""Tables of customers and of ratings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cxlib.contracts import CUSTOMERS, RATINGS
from cxlib.ingest import read_customers, read_ratings
from cxlib.journey_map import JourneyMap, parse_journey_map

SCALE = "rating_scale: {name: csat, min: 0, max: 10}\nstages:"


def test_every_other_column_is_a_segment_as_text(shop: JourneyMap, write) -> None:
    rows = [
        {"client": "007", "region": "north", "age": "30", "empty": ""},
        {"client": "NA", "region": "", "age": "n/a", "empty": ""},
        {"client": "007", "region": "north", "age": "30", "empty": ""},
    ]
    for name in ("c.csv", "c.tsv.gz", "c.jsonl", "c.parquet"):
        customers = CUSTOMERS.validate(read_customers(write(name, rows), shop))
        assert customers.rows() == [("007", "north", "30", None), ("NA", None, "n/a", None)]


def test_numbers_in_segments_become_text(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"customer": 7, "age": 30}\n')
    assert read_customers(tmp_path / "c.jsonl").rows() == [("7", "30")]


def test_ratings_have_times_in_utc_and_only_answers_count(shop: JourneyMap, write) -> None:
    rows = [
        {"client": "a", "when": "2026-01-01T10:00:00+01:00", "rating": "10", "contact": "visit"},
        {"client": "a", "when": "2026-01-02", "rating": "", "contact": ""},
        {"client": "NA", "when": "2026-01-01", "rating": "7,5", "contact": ""},
    ]
    with_scale = parse_journey_map(shop.to_yaml().replace("stages:", SCALE))
    ratings = RATINGS.validate(read_ratings(write("r.csv", rows, separator=";"), with_scale))
    assert ratings.rows() == [
        ("NA", datetime(2026, 1, 1, tzinfo=UTC), 7.5, None, None),
        ("a", datetime(2026, 1, 1, 9, tzinfo=UTC), 10.0, "visit", None),
    ]


def test_ratings_may_use_our_own_names(shop: JourneyMap, write) -> None:
    row = {"customer": "a", "rated_at": "2026-01-01", "rating": "3", "comment": "meh"}
    assert read_ratings(write("r.jsonl", [row]), shop)["comment"].to_list() == ["meh"]
