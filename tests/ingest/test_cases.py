"""Small inputs that stand for a kind of fault each, beside the repository: each with its answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cxlib.ingest import Ingested, read_events, read_ratings
from cxlib.journey_map import JourneyMap, parse_journey_map, read_journey_map


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the cases beside the repository are not here")
    return folder


def map_of(cases: Path, name: str) -> JourneyMap:
    own = cases / f"{name.split('.', maxsplit=1)[0]}.yaml"
    return read_journey_map(own if own.is_file() else cases / "map.yaml")


def read(cases: Path, name: str) -> Ingested:
    return read_events(cases / name, map_of(cases, name))


TEN = datetime(2024, 3, 5, 10, tzinfo=UTC)
LAST = datetime(2024, 3, 16, 19, 8, 27, tzinfo=UTC)
WHOLE = [
    ("backslash-quotes.csv", 40, TEN, datetime(2024, 3, 5, 10, 39, tzinfo=UTC)),
    ("inch-marks.csv", 40, TEN, LAST),
    ("sep-upper.csv", 40, TEN, LAST),
    ("preamble.csv", 40, TEN, LAST),
    ("odd-iso.csv", 40, TEN, LAST),
    ("epoch-us.csv", 40, TEN, LAST),
    ("excel-serial.csv", 40, TEN, LAST),
    ("nfd-names.csv", 40, TEN, LAST),
    ("cost-de.csv", 40, TEN, LAST),
    ("midnight-without-time.csv", 40, datetime(2024, 3, 5, tzinfo=UTC), LAST),
    ("cet-cest.csv", 40, datetime(2024, 3, 5, 9, tzinfo=UTC), None),
    ("month-first-sorted.csv.gz", 2000, datetime(2024, 1, 1, 8, tzinfo=UTC), None),
    ("late-key.jsonl.gz", 6000, datetime(2024, 3, 5, tzinfo=UTC), None),
]


@pytest.mark.parametrize(("name", "rows", "first", "last"), WHOLE, ids=lambda v: str(v)[:30])
def test_every_row_is_read_and_none_is_lost(
    name: str, rows: int, first: datetime, last: datetime | None, cases: Path
) -> None:
    report = read(cases, name).report
    assert (report.rows_in, report.contacts) == (rows, rows)
    assert not report.unmapped
    assert not report.cleared
    assert report.first_at is not None
    assert report.last_at is not None
    assert report.first_at.replace(second=0) == first
    if last is not None:
        assert abs((report.last_at - last).total_seconds()) < 2


def test_ten_customers_at_nine_midnights(cases: Path) -> None:
    for name in ("backslash-quotes.csv", "midnight-without-time.csv", "inch-marks.csv"):
        assert read(cases, name).checked().customers == 10
    at = read(cases, "midnight-without-time.csv").events.collect()["occurred_at"]
    assert int((at.dt.truncate("1d") == at).sum()) == 9


def test_month_first_is_told_by_all_of_the_file(cases: Path) -> None:
    report = read(cases, "month-first-sorted.csv.gz").checked()
    assert report.customers == 500
    assert report.last_at is not None
    assert f"{report.last_at:%Y-%m-%d}" == "2024-01-20"
    told = map_of(cases, "").to_yaml() + 'time_format: "%d/%m/%Y %H:%M"\n'
    wrong = read_events(cases / "month-first-sorted.csv.gz", parse_journey_map(told)).report
    assert sum(wrong.set_aside.values()) == 800
    assert any('all 2,000 values fit "%m/%d/%Y %H:%M"' in hint for hint in wrong.hints)


def test_a_header_in_the_middle_is_one_row_aside(cases: Path) -> None:
    report = read(cases, "epoch-ms-header-again.csv").report
    assert (report.contacts, dict(report.set_aside)) == (40, {"the header again": 1})


def test_values_are_what_people_mean(cases: Path) -> None:
    costs = read(cases, "cost-de.csv").events.collect()["cost"]
    assert (costs.len() - costs.null_count(), round(costs.sum(), 2)) == (40, 46184.0)
    ratings = read(cases, "late-key.jsonl.gz").events.collect()["rating"]
    assert ratings.len() - ratings.null_count() == 800


def test_names_that_look_alike_are_one(cases: Path) -> None:
    goal = map_of(cases, "nfd-names.csv").journey.goal
    events = read(cases, "nfd-names.csv").events.collect()
    assert events.filter(pl.col("touchpoint").is_in(goal)).height == 20


def test_nested_events_by_their_paths(cases: Path) -> None:
    text = (cases / "map.yaml").read_text().replace(
        "customer: customer, occurred_at: time",
        "customer: properties.distinct_id, occurred_at: properties.time",
    )  # fmt: skip
    report = read_events(cases / "mixpanel-nested.jsonl", parse_journey_map(text)).checked()
    assert (report.contacts, report.customers) == (40, 10)


def test_ids_that_are_none_are_told_and_one_line_sets_them_aside(cases: Path) -> None:
    report = read(cases, "placeholder-ids.csv").report
    (hint,) = (hint for hint in report.hints if "not_a_customer" in hint)
    assert "'null'" in hint
    assert "99 of 400 rows" in hint
    told = map_of(cases, "placeholder-ids.csv").to_yaml() + "not_a_customer: [null]\n"
    report = read_events(cases / "placeholder-ids.csv", parse_journey_map(told)).checked()
    assert (report.contacts, report.customers) == (301, 151)
    assert sum(report.set_aside.values()) == 99


def test_a_column_that_was_renamed_is_one_column(cases: Path) -> None:
    told = parse_journey_map(
        "version: 1\nname: t\nstages: [s]\ntouchpoints: [{name: page_viewed, stage: s}]\n"
        "columns: {customer: [client_id, clientId], occurred_at: timestamp, touchpoint: event_name}"
    )
    days = [cases / "renamed-column-day1.csv", cases / "renamed-column-day2.csv"]
    ingested = read_events(days, told)
    assert (ingested.report.rows_in, ingested.report.contacts) == (300, 270)
    assert {Path(f).name for f in ingested.quarantine["file"]} == {"renamed-column-day2.csv"}


@pytest.mark.parametrize(
    ("log", "survey", "told", "ratings", "aside"),
    [
        ("survey-log.csv", "survey-ratings.csv", "survey-ratings.yaml", 30, 2),
        ("own-rating-names-log.csv", "own-rating-names-survey.csv", "own-rating-names.yaml", 40, 0),
    ],
)
def test_a_survey_has_names_of_its_own(
    log: str, survey: str, told: str, ratings: int, aside: int, cases: Path
) -> None:
    journey_map = read_journey_map(cases / told)
    answers = read_ratings(cases / survey, journey_map)
    assert (answers.rows.height, answers.quarantine.height) == (ratings, aside)
    assert read_events(cases / log, journey_map).report.contacts > 0


def test_damaged_ids_are_told(cases: Path) -> None:
    told = parse_journey_map(
        "version: 1\nname: t\nstages: [s]\ntouchpoints: [{name: Display, stage: s}]\n"
        "columns: {customer: full_visitor_id, occurred_at: visit_start_time, "
        "touchpoint: channel_grouping}"
    )
    hints = read_events(cases / "no-touchpoint-column.csv", told).report.hints
    assert any("E+18" in hint and "damaged" in hint for hint in hints)
