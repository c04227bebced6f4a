"""Exports of many systems: what a proposed map must get right, and that nothing proposed is "
"refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import yaml

from cxlib.errors import InputError
from cxlib.ingest import propose_map, read_events, read_ratings, tables_beside
from cxlib.ingest.propose import Proposal
from cxlib.journey_map import JourneyMap, parse_journey_map

START = datetime(2025, 1, 6, 9, tzinfo=UTC)


def write(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    text = io.StringIO(newline="")
    rows = list(rows)
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8")
    return path


def proposed(*paths: Path) -> tuple[JourneyMap, Proposal]:
    """Propose a map; it must say what `cx check` says, and not be refused."""
    proposal = propose_map(list(paths))
    journey_map = parse_journey_map(proposal.text)
    report = read_events(list(paths), journey_map).checked()
    assert report == proposal.report
    assert f"{report.contacts:,} of {report.rows_in:,} rows kept" in proposal.text
    assert all(doubt in " ".join(proposal.text.split()) for doubt in proposal.doubts)
    return journey_map, proposal


def at(days: float) -> str:
    return f"{START + timedelta(days=days):%Y-%m-%d %H:%M:%S}"


def clicks(seed: int = 1, *, customers: int = 120, **more: object) -> list[dict[str, object]]:
    """A web log: visits of minutes, weeks apart; some buy."""
    dice, rows = Random(seed), []
    for customer in range(customers):
        day = dice.uniform(0, 60)
        plan = dice.choice(["free", "pro"])
        for visit in range(dice.randint(1, 4)):
            steps = ["home", "search", "product page", "basket", "checkout error", "payment"]
            for step in range(dice.randint(2, 6)):
                row = {
                    "user_agent": dice.choice(["Firefox", "Chrome"]),
                    "user_id": f"u{customer:04}",
                    "session_id": f"s{customer:04}{visit}",
                    "event": steps[step],
                    "timestamp": at(day + step / 1000),
                    "device": dice.choice(["phone", "desktop"]),
                    "plan": plan,
                    "campaign_cohort": plan[0] + "1",
                    "page_views": dice.randint(1, 40),
                    **more,
                }
                rows.append(row)
            day += dice.uniform(8, 25)
    return rows


def test_customer_segments_environment_goal_and_gap_of_a_web_log(tmp_path: Path) -> None:
    journey_map, proposal = proposed(write(tmp_path / "web.csv", clicks()))
    columns = journey_map.columns
    assert (columns["customer"], columns["touchpoint"]) == ("user_id", "event")
    assert journey_map.set_of("segments") == ("plan", "campaign_cohort")
    assert set(journey_map.set_of("environment")) == {"device", "user_agent"}
    assert "page_views" not in columns.values()
    assert "runners-up: session_id" in proposal.text
    assert journey_map.journey.goal == ("payment",)
    # visits are minutes long and more than a week apart: the valley lies between
    gap = journey_map.journey.gap
    assert gap is not None
    assert timedelta(hours=6) <= gap <= timedelta(days=8)
    assert "their valley lies at about" in proposal.text


def test_a_gap_is_never_longer_than_a_third_of_the_log(tmp_path: Path) -> None:
    for days in (0.2, 2, 13, 40, 100, 400):
        rows = [
            {"client": f"c{i % 40}", "time": at(days * i / 400), "event": ["a", "b", "c"][i % 3]}
            for i in range(401)
        ]
        journey_map, proposal = proposed(write(tmp_path / "l.csv", rows))
        assert journey_map.journey.gap is not None
        assert journey_map.journey.gap <= timedelta(days=days) / 3
        assert not any("longer than a third" in doubt for doubt in proposal.doubts)


@pytest.mark.parametrize(
    ("names", "goal"),
    [
        (["visit", "payment_details", "purchase", "payment_error"], ("purchase",)),
        (
            ["page_viewed", "checkout_started", "checkout_completed", "refund"],
            ("checkout_completed",),
        ),
        (["login", "loan requested", "loan declined", "loan approved"], ("loan approved",)),
        (["purchase", "approved", "delivered"], ("delivered",)),
        (["impression", "click", "conversion"], ("conversion",)),
        (["anruf", "angebot gesendet", "bestellung storniert", "kauf"], ("kauf",)),
        (["visit", "pay by card", "pay by invoice"], ("pay by card", "pay by invoice")),
        (["one", "two", "three"], ()),
    ],
)
def test_the_goal_is_an_outcome(tmp_path: Path, names: list[str], goal: tuple[str, ...]) -> None:
    rows = [
        {"customer": f"c{c}", "time": at(c + s / 24), "event": name}
        for c in range(30)
        for s, name in enumerate(names)
        if not name.startswith("pay by") or (c % 2 == 0) == ("card" in name)
    ]
    journey_map, proposal = proposed(write(tmp_path / "l.csv", rows))
    assert set(journey_map.journey.goal) == set(goal)
    assert goal or "the map has no goal" in " ".join(proposal.doubts)


def test_what_ends_a_case_is_lost_though_more_is_cancelled_with_it(tmp_path: Path) -> None:
    ends = {0: ["granted"], 1: ["case cancelled", "offer cancelled"], 2: ["case declined"]}
    ends[3] = ["offer cancelled", "offer sent", "granted"]
    ends |= {4: ends[3], 5: ends[3], 6: ends[3]}
    rows = [
        {"case": f"c{c}", "time": at(c + s / 24), "event": name, "agent": 100 + (c + s) % 9}
        for c in range(140)
        for s, name in enumerate(["application", "check", "offer sent", *ends[c % 7]])
    ]
    journey_map, _ = proposed(write(tmp_path / "l.csv", rows))
    assert set(journey_map.journey.lost) == {"case cancelled", "case declined"}
    # a desk is a desk, whether it has a name or a number
    assert journey_map.set_of("environment") == ("agent",)


def test_the_outcome_of_a_case_does_not_come_in_the_middle_of_it(tmp_path: Path) -> None:
    names = ["receipt", "confirmation adjusted", "advice", "letter", "filed away"]
    rows = [
        {"case": f"c{c}", "time": at(c + s / 24), "event": name}
        for c in range(60)
        for s, name in enumerate(names)
    ]
    journey_map, proposal = proposed(write(tmp_path / "l.csv", rows))
    assert journey_map.journey.goal == ()
    assert "'confirmation adjusted' comes 25% into a case" in " ".join(proposal.doubts)


def test_names_that_differ_by_case_are_one(tmp_path: Path) -> None:
    dice = Random(3)
    rows = [
        {
            "id": f"c{c}",
            "when": at(c + s),
            "activity": dice.choice([name, name.upper()]),
            "phase": dice.choice([phase, phase.title()]),
        }
        for c in range(60)
        for s, (name, phase) in enumerate(
            [("visit", "exploration"), ("basket", "conversion"), ("payment", "conversion")]
        )
    ]
    path = write(tmp_path / "l.csv", rows)
    journey_map, _ = proposed(path)
    assert [s.lower() for s in journey_map.stages] == ["exploration", "conversion"]
    assert {t.name.lower() for t in journey_map.touchpoints} == {"visit", "basket", "payment"}
    assert len(journey_map.touchpoints) == 3
    report = read_events(path, journey_map).report
    assert report.unmapped == ()
    assert report.unknown_stages == {}


def test_stage_and_action_name_a_contact_together_where_one_is_not_enough(tmp_path: Path) -> None:
    rows = [
        {"Customer": f"c{c}", "Day": at(c), "Stage": stage, "Action": action}
        for c in range(40)
        for stage in ("home", "Product (all)", "checkout")
        for action in ("View", "Click", "Buy!")
        if action != "Buy!" or stage == "checkout"
    ]
    path = write(tmp_path / "l.csv", rows)
    journey_map, _ = proposed(path)
    assert journey_map.stages == ("home", "Product (all)", "checkout")
    assert len(journey_map.touchpoints) == 7
    events = read_events(path, journey_map).events.collect()
    seen = events.group_by("touchpoint", "stage").len()
    assert len(seen) == 7
    assert set(seen["len"]) == {40}


def wide(n: int = 80) -> list[dict[str, object]]:
    return [
        {
            "shipment": f"s{i:03}",
            "account_no": f"a{i // 2:03}",
            "state": "done" if i % 3 else "open",
            "shipment_booked_at": at(i),
            "shipment_picked_up_at": at(i + 1.2),
            "shipment_delivered_at": at(i + 3) if i % 3 else "",
            "shipment_expected_date": at(i + 9),
            "shipment_updated_at": at(i + 9),
        }
        for i in range(n)
    ]


def test_a_time_for_each_step_is_unpivoted(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.csv", wide())
    journey_map, proposal = proposed(path)
    assert journey_map.unpivot is not None
    assert dict(journey_map.unpivot.times) == {
        "booked": "shipment_booked_at",
        "picked up": "shipment_picked_up_at",
        "delivered": "shipment_delivered_at",
    }
    assert journey_map.columns["customer"] == "account_no"
    assert journey_map.journey.goal == ("delivered",)
    # what was promised is no step, but by when the goal is due
    assert journey_map.columns["due_at"] == "shipment_expected_date"
    (plan,) = journey_map.planned_handoffs
    assert (plan.source, plan.target, plan.promised) == ("booked", "delivered", True)
    ingested = read_events(path, journey_map)
    events = ingested.events.collect()
    assert dict(events["touchpoint"].value_counts().iter_rows()) == {
        "booked": 80, "picked up": 80, "delivered": 53,
    }  # fmt: skip
    assert proposal.report.contacts == 213
    assert "state" not in {t.name for t in journey_map.touchpoints}
    # a silence between the steps of one shipment never ends a journey
    assert journey_map.journey.gap is not None
    assert journey_map.journey.gap > timedelta(days=3)


def test_a_wide_row_without_any_step_is_set_aside_with_its_line(tmp_path: Path) -> None:
    rows = wide(20)
    for name in ("booked", "picked_up", "delivered"):
        rows[4][f"shipment_{name}_at"] = ""
    rows[7]["account_no"] = ""
    path = write(tmp_path / "wide.csv", rows)
    journey_map = parse_journey_map(propose_map(write(tmp_path / "good.csv", wide(20))).text)
    ingested = read_events(path, journey_map)
    aside = ingested.quarantine.select("reason", "line").sort("line").rows()
    assert aside[0] == ("no step was taken: every column of `unpivot` is empty", 5)
    assert {line for reason, line in aside if reason == "customer is empty"} == {8}
    report = ingested.report
    assert report.rows_in == report.contacts + sum(report.set_aside.values())


def test_flags_of_a_funnel_are_steps_and_properties_are_not(tmp_path: Path) -> None:
    rows = [
        {
            "user_id": f"u{i:04}",
            "signup_date": at(i / 10),
            "saw_home": 1,
            "did_search": int(i % 2 == 0),
            "did_pay": int(i % 8 == 0),
            "is_member": i % 3 % 2,
        }
        for i in range(400)
    ]
    path = write(tmp_path / "flags.csv", rows)
    journey_map, _ = proposed(path)
    assert journey_map.unpivot is not None
    assert list(journey_map.unpivot.flags.values())[:3] == ["saw_home", "did_search", "did_pay"]
    assert "is_member" not in journey_map.unpivot.flags.values()
    events = read_events(path, journey_map).events.collect()
    assert dict(events["touchpoint"].value_counts().iter_rows()) == {
        "saw home": 400, "search": 200, "pay": 50,
    } or events.height == 650  # fmt: skip
    assert events.filter(customer="u0000").sort("sequence")["sequence"].to_list() == [1, 2, 3]


def test_lines_of_a_basket_are_one_contact_and_their_amounts_add_up(tmp_path: Path) -> None:
    dice = Random(5)
    rows = [
        {
            "InvoiceNo": f"{536000 + i}",
            "StockCode": f"{dice.randint(10000, 10040)}",
            "Description": dice.choice(["mug", "lamp", "candle"]),
            "Quantity": 2,
            "InvoiceDate": at(i / 3),
            "LineTotal": dice.choice([2.5, 4, 10, 7.25, 3]),
            "CustomerID": f"{12000 + i % 30}",
            "Country": "France" if i % 30 < 9 else "Spain",
        }
        for i in range(150)
        for _ in range(1 + i % 4)
    ]
    path = write(tmp_path / "retail.csv", rows)
    journey_map, proposal = proposed(path)
    assert journey_map.one_per == ("InvoiceNo",)
    assert journey_map.columns["customer"] == "CustomerID"
    assert journey_map.columns["amount"] == "LineTotal"
    assert "Country" in journey_map.set_of("segments")
    events = read_events(path, journey_map).events.collect()
    assert events.height == proposal.report.contacts == 150
    assert events["amount"].sum() == pytest.approx(sum(float(str(r["LineTotal"])) for r in rows))
    assert set(events["touchpoint"]) == {"purchase"}


def test_tables_that_belong_together_are_joined(tmp_path: Path) -> None:
    dice = Random(6)
    write(
        tmp_path / "people.csv",
        ({"person_id": f"p{i}", "region": "north" if i % 2 else "south"} for i in range(60)),
    )
    orders = [
        {
            "order_id": f"o{i}",
            "person_id": f"p{i % 60}",
            **{k: v for k, v in row.items() if k.startswith("ship")},
        }
        for i, row in enumerate(wide(120))
    ]
    for row in orders:
        del row["shipment"]
    write(tmp_path / "orders.csv", orders)
    write(
        tmp_path / "stars.csv",
        (
            {"order_id": f"o{i}", "answered_at": at(i + 4), "stars": dice.randint(1, 5)}
            for i in range(0, 120, 2)
        ),
    )
    paths = sorted(tmp_path.glob("*.csv"))
    journey_map, proposal = proposed(*paths)
    assert [(j.table, dict(j.by)) for j in journey_map.join] == [
        ("people.csv", {"person_id": "person_id"})
    ]
    assert journey_map.columns["customer"] == "person_id"
    assert journey_map.set_of("segments") == ("region",)
    assert journey_map.ratings.table == "stars.csv"
    assert "people.csv has one row for each 'person_id'" in proposal.text.lower()
    beside = tables_beside(paths, journey_map)
    answers = read_ratings(beside["ratings"], journey_map, beside=paths).rows
    assert len(answers) == 60
    assert set(answers["customer"]) <= {f"p{i}" for i in range(60)}
    assert answers.filter(customer="p2")["rated_at"].min() == START + timedelta(days=6)


def test_a_table_for_each_step_and_one_date_for_each_customer(tmp_path: Path) -> None:
    for step, every in (("landing", 1), ("form", 2), ("signed", 10)):
        write(
            tmp_path / f"{step}_table.csv",
            ({"visitor_id": f"v{i}", f"{step}_page": f"{step}_page"} for i in range(0, 400, every)),
        )
    write(
        tmp_path / "visitors.csv",
        (
            {"visitor_id": f"v{i}", "day": f"2025-0{1 + i % 4}-1{i % 9}", "device": "ab"[i % 2]}
            for i in range(400)
        ),
    )
    journey_map, _ = proposed(*sorted(tmp_path.glob("*.csv")))
    assert journey_map.ties_as_listed
    assert journey_map.names_of("touchpoint") == ("landing_page", "form_page", "signed_page")
    assert journey_map.columns["occurred_at"] == "day"
    assert journey_map.set_of("segments") == ("device",)
    events = read_events(sorted(tmp_path.glob("*.csv")), journey_map).events.collect()
    assert events.height == 400 + 200 + 40
    one = events.filter(customer="v0").sort("sequence")["touchpoint"].to_list()
    assert one == ["landing_page", "form_page", "signed_page"]


def test_a_join_that_would_multiply_rows_is_refused_with_the_key(tmp_path: Path) -> None:
    write(
        tmp_path / "log.csv",
        ({"customer": f"c{i % 5}", "time": at(i), "event": "ab"[i % 2]} for i in range(40)),
    )
    write(tmp_path / "side.csv", ({"customer": f"c{i % 3}", "x": i} for i in range(6)))
    text = propose_map(tmp_path / "log.csv").text
    joined = parse_journey_map(
        text.replace("columns:", "join: {table: side, by: customer}\ncolumns:")
    )
    paths = [tmp_path / "log.csv", tmp_path / "side.csv"]
    with pytest.raises(InputError, match=r"would multiply rows.*'customer', first 'c0'"):
        read_events(paths, joined)
    with pytest.raises(InputError, match=r"table 'side', which is not among the files"):
        read_events(paths[:1], joined)


def test_a_renamed_column_is_one_column_with_two_names(tmp_path: Path) -> None:
    rows = clicks(customers=40)
    one = write(tmp_path / "a.csv", rows[: len(rows) // 2])
    renamed = [
        {("userId" if k == "user_id" else k): v for k, v in r.items()}
        for r in rows[len(rows) // 2 :]
    ]
    two = write(tmp_path / "b.csv", renamed)
    journey_map, proposal = proposed(one, two)
    assert journey_map.names_of("customer") == ("user_id", "userId")
    assert proposal.report.contacts == len(rows)


def test_where_no_column_names_a_contact_it_says_so(tmp_path: Path) -> None:
    counts = [
        {"visitor_id": f"v{i % 50}", "visit_time": at(i / 9), "page_views": i % 7, "week": i % 52,
         "grouping": ["Direct", "Search", "Social"][i % 3]}
        for i in range(400)
    ]  # fmt: skip
    journey_map, proposal = proposed(write(tmp_path / "a.csv", counts))
    assert journey_map.columns["touchpoint"] == "grouping"
    assert "no column names a contact" in proposal.text
    none = [{k: v for k, v in row.items() if k != "grouping"} for row in counts]
    with pytest.raises(InputError, match="no column names a contact"):
        propose_map(write(tmp_path / "b.csv", none))


def test_a_table_of_customers_is_no_log(tmp_path: Path) -> None:
    churn = [
        {"customerID": f"{i:04}-ABC", "gender": "FM"[i % 2], "tenure": i % 70, "Contract": "Month",
         "MonthlyCharges": 20.5 + i, "Churn": ["Yes", "No"][i % 2]}
        for i in range(200)
    ]  # fmt: skip
    with pytest.raises(InputError, match="occurred_at"):
        propose_map(write(tmp_path / "churn.csv", churn))


def test_every_line_that_is_a_guess_is_marked(tmp_path: Path) -> None:
    for name, rows in (("web", clicks(customers=30)), ("wide", wide())):
        body = propose_map(write(tmp_path / f"{name}.csv", rows)).text.split("version: 1\n")[1]
        sections = ("name:", "columns:", "journey:", "touchpoints:", "planned_handoffs:")
        unmarked = [x for x in body.splitlines() if "guess" not in x and not x.startswith(sections)]
        assert unmarked == []
        yaml.safe_load(body)


@pytest.mark.parametrize(
    ("whose", "kind"),
    [("touchpoint", None), ("customer", "segments"), ("contact", "environment")],
)
def test_an_owner_that_the_touchpoint_does_not_say_is_compared(
    tmp_path: Path, whose: str, kind: str | None
) -> None:
    """A team for each touchpoint, for each ticket, or whoever is there."""
    dice, rows = Random(7), []
    for ticket in range(120):
        at = START + timedelta(hours=dice.uniform(0, 2_000))
        for number, what in enumerate(("opened", "triaged", "worked", "closed")):
            team = {"touchpoint": number % 3, "customer": ticket % 3}.get(whose, dice.randrange(3))
            who = ("desk", "lev 2", "field")[team]
            rows.append({"ticket": f"T{ticket}", "at": at, "activity": what, "team": who})
            at += timedelta(hours=dice.expovariate(0.2))
    journey_map, _ = proposed(write(tmp_path / "log.csv", rows))
    assert journey_map.columns["owner"] == "team"
    sets = {kind: journey_map.set_of(kind) for kind in ("segments", "environment")}
    assert [k for k, names in sets.items() if "team" in names] == ([kind] if kind else [])
