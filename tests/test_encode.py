"""Cleaning and numbering contacts: duplicates, robots, ratings, segments, places."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace, random_log

from cxlib.answers import attach_ratings
from cxlib.contracts import QUARANTINE
from cxlib.encode import encode_events
from cxlib.errors import InputError
from cxlib.segments import MAX_SEGMENTS, assign_segments, segment_codes, segment_names


def events_of(log):
    """EVENTS of contacts; `row` is equal for equal contacts, as a hash of the raw row is."""
    rows = [
        {
            "customer": c.customer,
            "occurred_at": c.at,
            "sequence": 0,
            "touchpoint": c.touchpoint,
            "channel": c.channel,
            "stage": c.stage,
            "owner": None,
            "initiated_by": "customer",
            "rating": c.rating,
            "row": abs(hash(c)),
        }
        for c in log
    ]
    instant = pl.Datetime("us", "UTC")
    schema = {"occurred_at": instant, "owner": pl.String, "rating": pl.Float64, "row": pl.UInt64}
    return pl.DataFrame(rows, schema_overrides=schema).lazy()


def test_exact_duplicates_are_set_aside_and_counted():
    log = random_log(5, customers=30)
    again = [*log, *log[:20], *log[:5]]
    Random(1).shuffle(again)
    encoded = encode_events(events_of(again), journey_map=journey_map())
    assert len(encoded.events) == len(log)
    assert encoded.counts["duplicates"] == 25
    aside = encoded.set_aside
    assert aside["reason"].to_list() == ["duplicate"] * 25
    assert set(aside["customer"]) <= {c.customer for c in log}
    assert aside.schema == QUARANTINE.schema


def test_two_different_rows_at_one_instant_are_a_tie_not_a_duplicate():
    log = [contact("anna", 1, "page", rating=3.0), contact("anna", 1, "page", rating=4.0)]
    encoded = encode_events(events_of(log), journey_map=journey_map())
    assert len(encoded.events) == 2
    assert encoded.counts["tied_timestamps"] == 1


@pytest.mark.parametrize(("contacts", "robots"), [(500, 0), (501, 1)])
def test_a_robot_has_more_contacts_than_the_map_allows_on_one_day(contacts, robots):
    log = [contact("bot", i / 1440, "page") for i in range(contacts)]
    log += [contact("anna", 2 * i, "page") for i in range(600)]  # many, but never many a day
    encoded = encode_events(events_of(log), journey_map=journey_map())
    assert encoded.counts["robots"] == robots
    assert encoded.counts["robot_contacts"] == contacts * robots
    assert len(encoded.events) + len(encoded.set_aside) == len(log)
    assert ("bot" in encoded.customers["name"].to_list()) == (not robots)


@pytest.mark.parametrize(
    ("contacts", "seconds", "robots"), [(50, 4, 1), (50, 6, 0), (49, 4, 0), (50, 0, 0), (200, 4, 1)]
)
def test_a_robot_is_quicker_than_a_person(contacts, seconds, robots):
    day = 86_400
    log = [contact("bot", i * seconds / day, "page", rating=float(i)) for i in range(contacts)]
    # as quick for a while, but not on the whole
    log += [contact("anna", 1 + i * 4 / day, "page", rating=float(i)) for i in range(60)]
    log += [contact("anna", 9, "page"), contact("ben", 3, "page")]
    encoded = encode_events(events_of(log), journey_map=journey_map())
    assert encoded.counts["robots"] == robots
    assert len(encoded.events) + len(encoded.set_aside) == len(log)
    slow = journey_map()
    slow = replace(slow, journey=replace(slow.journey, robot_pace=timedelta(days=1)))
    assert encode_events(events_of(log), journey_map=slow).counts["robots"] == 1 + (
        contacts >= 50 and seconds > 0
    )


def test_a_log_of_robots_only_is_an_error_not_an_empty_store():
    log = [contact("bot", i / 1440, "page") for i in range(501)]
    with pytest.raises(InputError, match="no contact is left"):
        encode_events(events_of(log), journey_map=journey_map())


def test_ids_stay_text_and_buckets_are_even():
    names = ["NA", "007", "7", "null", " x"] + [f"c{i}" for i in range(6400)]
    encoded = encode_events(
        events_of([contact(n, 1, "page") for n in names]), journey_map=journey_map()
    )
    assert sorted(encoded.customers["name"]) == sorted(names)
    per_bucket = encoded.customers["bucket"].value_counts()["count"]
    # 200 expected in each of 32: five standard deviations of a binomial count
    assert len(per_bucket) == 32
    assert per_bucket.min() > 200 - 70
    assert per_bucket.max() < 200 + 70


def test_places_come_in_the_order_of_the_map_and_carry_its_properties():
    log = [
        contact("a", 1, "support"),
        contact("a", 2, "pay"),
        contact("a", 3, "ad"),
        contact("a", 4, "page", channel="app"),
        contact("a", 5, "nowhere"),
    ]
    places = encode_events(events_of(log), journey_map=journey_map()).places
    assert places["touchpoint"].to_list() == ["ad", "page", "pay", "support", "nowhere"]
    assert places["stage_index"].to_list() == [0, 1, 2, 3, 255]
    assert places["is_goal"].to_list() == [False, False, True, False, False]
    assert places["channel"].to_list() == ["web", "app", "web", "phone", "web"]


def answers(*rows):
    schema = {
        "customer": pl.String,
        "rated_at": pl.Datetime("us", "UTC"),
        "rating": pl.Float64,
        "touchpoint": pl.String,
    }
    made = [(n, START + timedelta(days=d), float(r), t) for n, d, r, t in rows]
    return pl.DataFrame(made, schema=schema, orient="row")


def test_an_answer_goes_to_the_latest_contact_it_can_speak_of():
    log = [
        contact("anna", 1, "page"),
        contact("anna", 2, "visit"),
        contact("anna", 3, "page"),
        contact("ben", 1, "page", rating=9.0),
    ]
    encoded = encode_events(events_of(log), journey_map=journey_map())
    told = attach_ratings(
        encoded,
        answers(
            ("anna", 2.5, 4, None),  # the visit of day 2
            ("anna", 4, 7, "page"),  # the page of day 3 ...
            ("anna", 5, 8, "page"),  # ... said again later: this one counts
            ("anna", 0.5, 1, None),  # before any contact
            ("anna", 99, 2, "visit"),  # too late
            ("ben", 2, 1, "page"),  # the log has a rating there already
            ("zoe", 2, 1, None),  # nobody
        ),
        within=timedelta(days=30),
    )
    named = told.events.join(encoded.customers, on="customer").sort("name", "occurred_at")
    assert named["rating"].to_list() == [None, 4.0, 8.0, 9.0]
    assert told.counts == {
        "given": 7,
        "attached": 2,
        "unknown_customer": 1,
        "no_contact_before": 2,
        "superseded": 2,
        "by_touchpoint": 3,
        "by_last_contact": 1,
    }


def test_customers_without_a_segment_are_unknown():
    numbered = pl.DataFrame({"customer": [0, 1], "name": ["a", "b"], "bucket": [0, 1]})
    table = pl.DataFrame({"customer": ["b"], "persona": ["early"], "region": [None]})
    table = table.with_columns(pl.col("region").cast(pl.String))
    customers, segments, left_out, rarer = assign_segments(numbered, table)
    told = customers.join(segments, on="segment").sort("name")
    assert told.select("name", "segment.persona", "segment.region").rows() == [
        ("a", "unknown", "unknown"),
        ("b", "early", "unknown"),
    ]
    assert (left_out, rarer) == ((), {})


def test_a_column_of_free_text_is_left_out_of_the_segments():
    n = MAX_SEGMENTS + 10
    numbered = pl.DataFrame({"customer": range(n), "name": [f"c{i}" for i in range(n)]})
    table = pl.DataFrame(
        {
            "customer": numbered["name"],
            "street": [f"street {i}" for i in range(n)],
            "persona": ["early", "late"] * (n // 2),
        }
    )
    _, segments, left_out, _ = assign_segments(numbered, table)
    assert segments.columns == ["segment", "segment.persona"]
    assert left_out == ("street",)


def test_ingesting_again_keeps_what_was_published(tmp_path):
    make_workspace(tmp_path / "ws", [contact("anna", 1, "page")])
    shown = tmp_path / "ws" / "published" / "first"
    shown.mkdir(parents=True)
    (shown / "manifest.json").write_text("{}")
    again = make_workspace(tmp_path / "ws", [contact("anna", 1, "page"), contact("ben", 2, "ad")])
    assert again.manifest["counts"]["customers"] == 2
    assert (shown / "manifest.json").read_text() == "{}"


def test_a_workspace_without_ratings_has_no_column_of_them(tmp_path):
    log = [contact("anna", 1, "page"), contact("ben", 1, "visit")]
    workspace = make_workspace(tmp_path / "ws", log)
    assert "rating" not in workspace.store().collect_schema()
    assert workspace.events().collect().height == 2


def test_names_of_dimensions_never_meet():
    numbered = pl.DataFrame({"customer": [0, 1], "name": ["a", "b"], "bucket": [0, 1]})
    table = pl.DataFrame(
        {"customer": ["a", "b"], "x": ["1", "2"], "segment.x": ["3", "4"], "segment.y": ["5", "6"]}
    )
    _, segments, _, _ = assign_segments(numbered, table)
    assert segment_names(segments) == ("x", "segment.x", "y")
    assert segment_codes(segments, "segment.x", "4") == segment_codes(segments, "x", "2")


def test_what_most_contacts_say_of_their_place_holds():
    """Alphabetically the first would be "a team" and "company"."""
    log = [contact(f"c{i}", i, "page") for i in range(9)]
    said = [("the team", "customer")] * 5 + [("a team", "company")] * 3 + [(None, None)]
    owner, initiated_by = zip(*said, strict=True)
    events = (
        events_of(log)
        .collect()
        .with_columns(owner=pl.Series(owner, dtype=pl.String), initiated_by=pl.Series(initiated_by))
    )
    places = encode_events(events.lazy(), journey_map=journey_map()).places
    page = places.row(by_predicate=pl.col("touchpoint") == "page", named=True)
    assert (page["owner"], page["initiated_by"]) == ("the team", "customer")
