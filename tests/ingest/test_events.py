"""From raw rows to contacts: recognition by the map, emptied values, a report that adds up."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxlib.contracts import EVENTS, QUARANTINE
from cxlib.errors import InputError
from cxlib.ingest import read_events
from cxlib.journey_map import JourneyMap, parse_journey_map
from cxlib.map_model import Touchpoint

RULES = """\
version: 1
name: Rules
columns: {customer: client, occurred_at: when, touchpoint: contact, channel: via, stage: phase}
stages: [awareness, exploration]
touchpoints:
  - {name: spam, stage: awareness, initiated_by: company, match: {contact: "^mail", kind: "x"}}
  - {name: mail, stage: awareness, channel: email, initiated_by: company, match: {contact: mail}}
  - {name: visit, stage: exploration, channel: web, owner: marketing}
  - {name: visiting, stage: exploration, match: {contact: "visit"}}
"""
CONTACTS = ["mail", "e-mail", "visit", " visit", "Visit", "visits", "call", "mailbox"]
KINDS = ["x", "ax", "y", ""]


def recognised(contact: str, kind: str, touchpoints: tuple[Touchpoint, ...]) -> Touchpoint | None:
    """The oracle: the map's rules in a few plain lines."""
    raw = {"contact": contact.strip(), "kind": kind}
    for touchpoint in touchpoints:
        if touchpoint.match is None and raw["contact"] == touchpoint.name:
            return touchpoint
        if touchpoint.match is not None and all(
            re.search(pattern, raw[column]) for column, pattern in touchpoint.match.items()
        ):
            return touchpoint
    return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(CONTACTS),
            st.sampled_from(KINDS),
            st.sampled_from(["", "web", "shop"]),
            st.sampled_from(["", "awareness", "elsewhere"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_touchpoint_channel_and_stage_are_what_the_rules_say(
    rows: list[tuple[str, str, str, str]], tmp_path: Path
) -> None:
    rules = parse_journey_map(RULES)
    lines = [f"c{i},2026-01-01,{','.join(row)}" for i, row in enumerate(rows)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["client,when,contact,kind,via,phase", *lines]) + "\n")
    ingested = read_events(path, rules)
    expected = []
    unmapped: Counter[str] = Counter()
    for contact, kind, via, phase in rows:
        touchpoint = recognised(contact, kind, rules.touchpoints)
        planned = touchpoint or Touchpoint(contact.strip())
        unmapped[contact.strip()] += touchpoint is None
        stage = phase if phase in rules.stages else "unmapped"
        expected.append(
            (
                planned.name,
                via or planned.channel or "unknown",
                stage if phase else (planned.stage or "unmapped"),
                planned.owner,
                planned.initiated_by,
            )
        )
    events = ingested.events.sort(pl.col("customer").str.slice(1).cast(pl.Int64)).collect()
    got = events.select("touchpoint", "channel", "stage", "owner", "initiated_by").rows()
    assert got == expected
    report = ingested.report
    assert {u.name: u.contacts for u in report.unmapped} == {k: n for k, n in unmapped.items() if n}
    assert report.unknown_stages.get("elsewhere", 0) == sum(r[3] == "elsewhere" for r in rows)


def test_a_name_in_another_case_is_reported_with_its_neighbour(shop: JourneyMap, write) -> None:
    rows = [
        {"client": "a", "when": "2026-01-01", "contact": c, "via": ""} for c in ("Visit", "visit")
    ]
    (unmapped,) = read_events(write("l.csv", rows), shop).report.unmapped
    assert (unmapped.name, unmapped.contacts, unmapped.nearest) == ("Visit", 1, "visit")


def test_rows_left_out_by_keep_are_counted(tmp_path: Path) -> None:
    text = RULES.replace("stages:", 'keep: {kind: "^(x|y)$"}\nstages:')
    path = tmp_path / "log.csv"
    rows = [f"c,2026-01-0{i + 1},visit,{kind},web," for i, kind in enumerate(["x", "y", "xy", ""])]
    path.write_text("\n".join(["client,when,contact,kind,via,phase", *rows]) + "\n")
    report = read_events(path, parse_journey_map(text)).report
    assert (report.rows_in, report.contacts, report.left_out) == (4, 2, 2)


VALUES = """\
version: 1
name: Values
rating_scale: {name: csat, min: 1, max: 5}
time_zone: Europe/Berlin
stages: [s]
touchpoints: [{name: visit, stage: s}]
"""


def values_log(tmp_path: Path, header: str, rows: list[str]) -> Path:
    path = tmp_path / "log.csv"
    lines = [f"c{i};2026-01-01 10:00;visit;{row}" for i, row in enumerate(rows)]
    path.write_text("\n".join([f"customer;occurred_at;touchpoint;{header}", *lines]) + "\n")
    return path


def test_ratings_off_the_scale_are_emptied_and_the_contact_stays(tmp_path: Path) -> None:
    written = ["1", "5", "4,5", "3.5", "", "0", "6", "good", "nan"]
    path = values_log(tmp_path, "rating", written)
    ingested = read_events(path, parse_journey_map(VALUES))
    ratings = ingested.events.sort("customer").collect()["rating"].to_list()
    assert ratings == [1.0, 5.0, 4.5, 3.5, None, None, None, None, None]
    assert ingested.report.cleared == {"rating is no number": 2, "rating is outside 1 to 5": 2}
    assert ingested.report.contacts == 9


def test_ends_sequences_costs_and_texts_are_read(tmp_path: Path) -> None:
    rows = [
        "2026-01-01 10:30;3;1,50;great;phone;bill",
        "2026-01-01 09:00;x;-;;;",
        "never;;2;;;",
        ";1;;;;",
    ]
    path = values_log(tmp_path, "ended_at;sequence;cost;comment;environment;issue", rows)
    ingested = read_events(path, parse_journey_map(VALUES))
    events = ingested.events.sort("customer").collect()
    ended = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
    assert events["ended_at"].to_list() == [ended, None, None, None]
    assert events["sequence"].to_list() == [3, 0, 0, 1]
    assert events["cost"].to_list() == [1.5, None, 2.0, None]
    assert events.row(0, named=True)["issue"] == "bill"
    assert ingested.report.cleared == {
        "ended_at is before the contact": 1,
        "ended_at cannot be read": 1,
        "sequence is no whole number": 1,
        "cost is no number": 1,
    }


def test_raw_columns_called_like_ours_do_not_get_mixed_up(tmp_path: Path) -> None:
    text = VALUES.replace(
        "stages:", "columns: {customer: touchpoint, touchpoint: customer}\nstages:"
    )
    path = tmp_path / "log.csv"
    path.write_text("customer,occurred_at,touchpoint,row\nvisit,2026-01-01,Ann,9\n")
    events = read_events(path, parse_journey_map(text)).events.collect()
    assert events.select("customer", "touchpoint").rows() == [("Ann", "visit")]


def test_events_without_a_touchpoint_column_need_a_rule(tmp_path: Path) -> None:
    text = VALUES.replace("{name: visit, stage: s}", "{name: visit, stage: s, match: {url: shop}}")
    path = tmp_path / "log.csv"
    path.write_text("customer,occurred_at,url\na,2026-01-01,shop/1\na,2026-01-02,blog\n")
    ingested = read_events(path, parse_journey_map(text))
    assert ingested.events.collect()["touchpoint"].to_list() == ["visit"]
    assert ingested.quarantine["reason"].to_list() == ["touchpoint is empty"]


def test_a_column_the_map_asks_for_must_be_in_one_file_at_least(shop: JourneyMap, write) -> None:
    with_via = write("a.csv")
    without = write("b.jsonl", [{"client": "x", "when": "2026-01-01", "contact": "payment"}])
    events = read_events([with_via, without], shop).events.collect()
    assert events.filter(customer="x")["channel"].to_list() == ["till"]
    with pytest.raises(
        InputError, match=r"columns\.channel names column 'via', which no file of the log has"
    ):
        read_events(without, shop)


_CELL = st.sampled_from(["", "a", "2026-01-01", "x", "1948-05-05", "2099-01-01", "visit", " "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(st.lists(_CELL, min_size=2, max_size=7), min_size=1, max_size=15))
def test_every_row_is_accounted_for_whatever_stands_in_it(
    rows: list[list[str]], shop: JourneyMap, tmp_path: Path
) -> None:
    path = tmp_path / "mess.csv"
    good = ["g,2026-01-01,visit,web"] * (len(rows) + 1)
    path.write_text("\n".join(["client,when,contact,via", *good, *map(",".join, rows)]) + "\n")
    blank = sum(not "".join(row).strip() for row in rows)
    ingested = read_events(path, shop)
    report = ingested.report
    assert report.rows_in == len(good) + len(rows) - blank
    assert report.rows_in == report.contacts + report.left_out + sum(report.set_aside.values())
    assert ingested.quarantine.height == sum(report.set_aside.values())
    QUARANTINE.validate(ingested.quarantine)
    events = EVENTS.validate(ingested.events.collect())
    expected = [
        row
        for row in rows
        # Separators at the end of a line, that is empty fields too many, are no fault.
        if len(row) >= 4
        and not "".join(row[4:]).strip()
        and row[0].strip()
        and row[1] == "2026-01-01"
        and row[2].strip()
    ]
    assert events.height == len(good) + len(expected)


def test_a_blank_name_an_early_end_and_a_strange_initiator_are_told(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text(
        "customer,occurred_at,touchpoint,ended_at,initiated_by\n"
        "a,2026-01-02T10:00:00Z,visit,2026-01-02T09:00:00Z,Customer\n"
        "b,2026-01-02T10:00:00Z, \u200b ,,company\n"
        "c,2026-01-02T10:00:00Z,visit,,x\n"
        "d,2026-01-02T10:00:00Z,visit,,\n"
    )
    read = read_events(path, parse_journey_map("version: 1\nname: x\ntouchpoints: [{name: visit}]"))
    assert read.report.set_aside == {"touchpoint is empty": 1}
    assert read.report.cleared == {
        "ended_at is before the contact": 1,
        "initiated_by is neither customer nor company": 1,
    }
    assert read.events.collect()["initiated_by"].to_list() == ["customer"] * 3


def test_what_a_wide_row_says_once_counts_once(tmp_path):
    """Stars and an amount of three orders stand at the last step that each order took."""
    (tmp_path / "orders.csv").write_text(
        "client,ordered,paid,delivered,stars,quantity,price\n"
        "ann,2025-01-06,2025-01-07,2025-01-09,5,2,10\n"
        "ben,2025-01-06,2025-01-08,,2,1,30\n"
        "cem,2025-01-07,,,,3,5\n"
    )
    text = (
        "version: 1\nname: orders\n"
        "columns: {customer: client, rating: stars, amount: quantity * price}\n"
        "unpivot: {times: {ordered: ordered, paid: paid, delivered: delivered}}\n"
        "time_zone: UTC\nstages: [a]\n"
        "touchpoints: [{name: ordered, stage: a}, {name: paid, stage: a}, "
        "{name: delivered, stage: a}]\n"
    )
    events = read_events(tmp_path / "orders.csv", parse_journey_map(text)).events.collect()
    assert len(events) == 6
    told = events.drop_nulls("amount").sort("customer")
    assert told.select("customer", "touchpoint", "rating", "amount").rows() == [
        ("ann", "delivered", 5.0, 20.0),
        ("ben", "paid", 2.0, 30.0),
        ("cem", "ordered", None, 15.0),
    ]
    assert events["rating"].drop_nulls().len() == 2
