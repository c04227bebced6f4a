"""Small logs that other tools were reported to read wrongly, each with the right answer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from cxlib.ingest import propose_map, read_events, read_ratings
from cxlib.journey_map import JourneyMap, parse_journey_map, read_journey_map


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the small logs are not redistributed")
    return folder


def proposal(*paths: Path) -> tuple[JourneyMap, str, pl.DataFrame]:
    made = propose_map(list(paths))
    journey_map = parse_journey_map(made.text)
    return journey_map, made.text, read_events(list(paths), journey_map).events.collect()


def test_a_cohort_is_no_customer(cases: Path) -> None:
    journey_map, _, events = proposal(cases / "cohort-is-not-customer.csv")
    assert journey_map.columns["customer"] == "user_id"
    assert events["customer"].n_unique() == 80
    assert journey_map.journey.goal == ("purchase",)
    assert "acquisition_channel" in journey_map.set_of("segments")
    assert "channel" not in journey_map.columns


def test_stages_that_differ_by_case(cases: Path) -> None:
    journey_map, _, events = proposal(cases / "mixed-case-stages.csv")
    assert journey_map.stages == ("homepage", "productpage", "checkout")
    assert {t.name for t in journey_map.touchpoints} == set(events["touchpoint"])
    assert {"homepage View", "productpage View", "checkout Purchase"} <= set(events["touchpoint"])
    assert journey_map.journey.goal == ("checkout Purchase",)


def test_a_number_of_pages_is_no_contact(cases: Path) -> None:
    journey_map, text, _ = proposal(cases / "no-touchpoint-column.csv")
    assert journey_map.columns["touchpoint"] == "channel_grouping"
    for said in (
        "no column names a contact",
        "'1.00E+18' were shortened",
        "270 of 360 rows (75.0%)",
    ):
        assert said in text


def test_places_that_share_a_name_have_channels(cases: Path) -> None:
    journey_map, _, events = proposal(cases / "one-touchpoint-many-channels.csv")
    assert journey_map.columns["channel"] == "channel"
    assert events.select("touchpoint", "channel").n_unique() == 6
    assert journey_map.journey.goal == ("conversion",)


def test_a_change_of_team_is_a_handoff(cases: Path) -> None:
    journey_map, _, events = proposal(cases / "owner-changes.csv")
    assert journey_map.columns["owner"] == "team"
    assert set(events["owner"]) == {"desk", "lev 2"}


def test_a_log_shorter_than_the_usual_gap(cases: Path) -> None:
    journey_map, _, _ = proposal(cases / "log-shorter-than-gap.csv")
    assert journey_map.journey.gap is not None
    assert journey_map.journey.gap <= timedelta(days=13) / 3
    assert journey_map.journey.goal == ("checkout_completed",)
    month = parse_journey_map(journey_map.to_yaml().replace("gap: 4d", "gap: 30d"))
    assert month.journey.gap == timedelta(days=30)
    hints = read_events(cases / "log-shorter-than-gap.csv", month).report.hints
    assert any("longer than a third of the log" in hint for hint in hints)


def test_a_time_column_for_each_step(cases: Path) -> None:
    journey_map, _, events = proposal(cases / "wide-timestamps.csv")
    counted = dict(events["touchpoint"].value_counts().iter_rows())
    assert sorted(counted.values()) == [110, 110, 120, 120]
    assert journey_map.columns["customer"] == "customer_id"
    assert "order_estimated_delivery_date" not in journey_map.unpivot.times.values(), "a promise"
    assert journey_map.columns["due_at"] == "order_estimated_delivery_date"


def test_a_column_that_was_renamed(cases: Path) -> None:
    paths = [cases / "renamed-column-day1.csv", cases / "renamed-column-day2.csv"]
    journey_map, _, _ = proposal(*paths)
    assert set(journey_map.names_of("customer")) == {"client_id", "clientId"}
    report = read_events(paths, journey_map).report
    assert (report.rows_in, report.set_aside) == (300, {"customer is empty": 30})
    [told] = [hint for hint in report.hints if hint.startswith("customer is empty: all 30 rows")]
    assert "renamed-column-day2.csv, 20.0% of its rows" in told


@pytest.mark.parametrize(
    ("log", "ratings", "journey_map", "read", "aside"),
    [
        ("survey-log.csv", "survey-ratings.csv", "survey-ratings.yaml", 30, 2),
        ("own-rating-names-log.csv", "own-rating-names-survey.csv", "own-rating-names.yaml", 40, 0),
    ],
)
def test_a_ratings_table_has_names_of_its_own(
    cases: Path, log: str, ratings: str, journey_map: str, read: int, aside: int
) -> None:
    written = read_journey_map(cases / journey_map)
    answers = read_ratings(cases / ratings, written)
    assert (len(answers.rows), len(answers.quarantine)) == (read, aside)
    assert read_events(cases / log, written).report.set_aside == {}


def test_ids_that_are_no_ids(cases: Path) -> None:
    written = read_journey_map(cases / "placeholder-ids.yaml")
    hints = read_events(cases / "placeholder-ids.csv", written).report.hints
    assert any("'null'" in hint and "99 of 400" in hint for hint in hints)
