"""What customers said: every answer is kept, on its own scale, beside the contact it speaks of."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from cxlib.encode import MAX_ENVIRONMENTS, RARER
from cxlib.ingest import read_customers, read_events, read_ratings
from cxlib.journey_map import parse_journey_map
from cxlib.store import Workspace, build_workspace

MAP = """\
version: 1
name: Shop
columns: {customer: who, occurred_at: at, touchpoint: what, rating: said, scale: scale,
          comment: why, amount: money, environment: [device], segments: [plan, mood]}
rating_scales: [{name: nps, min: 0, max: 10}, {name: csat, min: 1, max: 5}]
ratings: {columns: {customer: client, rated_at: answered, rating: stars, scale: on, touchpoint: of}}
customers: {columns: {customer: account}}
journey: {gap: 30d, goal: [pay]}
stages: [a, b]
touchpoints:
  - {name: page, stage: a, kind: product}
  - {name: pay, stage: b, kind: purchase}
"""

LOG = """\
who,at,what,said,scale,why,money,device,plan,mood
ann,2025-01-01 10:00,page,9,nps,good,,phone,gold,
ann,2025-01-01 10:00,page,2,CSAT ,slow,,phone,gold,
ann,2025-01-01 10:00,page,9,nps,good,,phone,gold,
ann,2025-01-02 10:00,pay,,,,12.5,laptop,gold,calm
bob,2025-01-01 11:00,page,7,,fine,,phone,silver,calm
bob,2025-01-03 11:00,pay,11,nps,,3,,gold,angry
cy,2025-01-03 12:00,page,4,ces,,,phone,,
"""

SURVEY = """\
client,answered,stars,on,of
ann,2025-01-03 10:00,5,csat,pay
ann,2025-01-03 11:00,10,nps,
ann,2025-01-01 12:00,3,csat,page
bob,2025-01-05 11:00,4,csat,
bob,2024-12-31 11:00,4,csat,
zoe,2025-01-05 11:00,4,csat,
bob,2025-01-05 11:00,6,csat,
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    journey_map = parse_journey_map(MAP)
    for name, text in (
        ("log", LOG),
        ("survey", SURVEY),
        ("people", "account,plan,city\nann,,Ulm\n"),
    ):
        (tmp_path / f"{name}.csv").write_text(text)
    return build_workspace(
        read_events(tmp_path / "log.csv", journey_map),
        tmp_path / "shop",
        customers=read_customers(tmp_path / "people.csv", journey_map),
        ratings=read_ratings(tmp_path / "survey.csv", journey_map),
    )


def told(workspace: Workspace) -> pl.DataFrame:
    names = workspace.customers().select("customer", "name")
    answers = workspace.ratings().join(names, on="customer", how="left", maintain_order="left")
    places = workspace.places.lazy()
    return answers.join(places, on="place", how="left", maintain_order="left").collect()


def test_every_answer_is_kept_on_its_scale_beside_its_contact(shop: Workspace) -> None:
    rows = told(shop).select(
        "name", "scale", "rating", "source", "joined_by", "touchpoint", "is_counted"
    )
    assert Counter(rows.rows()) == Counter(
        [
            ("ann", "nps", 9.0, "log", "log", "page", True),
            ("ann", "csat", 2.0, "log", "log", "page", True),
            ("bob", "nps", 7.0, "log", "log", "page", True),
            ("cy", "ces", 4.0, "log", "log", "page", True),
            ("ann", "csat", 5.0, "survey", "touchpoint", "pay", True),
            ("ann", "nps", 10.0, "survey", "last contact", "pay", True),
            ("ann", "csat", 3.0, "survey", "touchpoint", "page", False),
            ("bob", "csat", 4.0, "survey", "last contact", "pay", True),
            ("bob", "csat", 4.0, "survey", None, None, False),
            (None, "csat", 4.0, "survey", None, None, False),
        ]
    )


def test_views_go_on_with_one_scale_and_the_report_counts_the_rest(shop: Workspace) -> None:
    events = shop.events().sort("customer", "occurred_at").collect()
    assert events.select("customer", "touchpoint", "rating", "comment").rows() == [
        ("ann", "page", 9.0, "good"),
        ("ann", "pay", 10.0, None),
        ("bob", "page", 7.0, "fine"),
        ("bob", "pay", None, None),
        ("cy", "page", None, None),
    ]
    report = shop.report
    assert report["rows_in"] == 7 == report["contacts"] + sum(report["set_aside"].values())
    assert report["set_aside"] == {
        "duplicate": 1,
        "another answer about one contact (kept with the ratings)": 1,
    }
    assert report["cleared"] == {"rating is outside 0 to 10 of nps": 1}
    assert report["ratings"] == {
        "given": 6,
        "attached": 3,
        "unknown_customer": 1,
        "no_contact_before": 1,
        "superseded": 1,
        "by_touchpoint": 2,
        "by_last_contact": 2,
    }
    assert report["tables_set_aside"] == {"ratings: rating is outside 1 to 5 of csat": 1}
    assert any("scale 'ces'" in hint for hint in report["hints"])
    assert len(shop.quarantine()) == 3


def test_columns_of_the_log_become_environments_money_and_segments(shop: Workspace) -> None:
    events = shop.events().sort("customer", "occurred_at").collect()
    assert events["environment.device"].to_list() == ["phone", "laptop", "phone", None, "phone"]
    assert events["amount"].to_list() == [None, 12.5, None, 3.0, None]
    assert shop.store().collect_schema()["environment.device"] == pl.Enum(["laptop", "phone"])
    people = shop.customers().collect().join(shop.segments, on="segment").sort("name")
    assert people.select("name", "segment.plan", "segment.mood", "segment.city").rows() == [
        ("ann", "gold", "calm", "Ulm"),
        ("bob", "silver", "calm", "unknown"),
        ("cy", "unknown", "unknown", "unknown"),
    ]
    assert shop.report["segments_varying"] == {"plan": 1, "mood": 1}
    assert shop.places.sort("place")["kind"].to_list() == ["product", "purchase"]


def test_the_answers_do_not_depend_on_the_order_of_the_lines(
    tmp_path: Path, shop: Workspace
) -> None:
    journey_map = parse_journey_map(MAP)
    for seed in range(3):
        for name, text in (("log", LOG), ("survey", SURVEY)):
            header, *lines = text.splitlines()
            Random(seed).shuffle(lines)
            (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]))
        again = build_workspace(
            read_events(tmp_path / "log.csv", journey_map),
            tmp_path / "again",
            customers=read_customers(tmp_path / "people.csv", journey_map),
            ratings=read_ratings(tmp_path / "survey.csv", journey_map),
        )
        assert told(again).equals(told(shop))
        assert again.store().collect().equals(shop.store().collect())


def test_answers_find_the_contact_that_a_loop_finds(tmp_path: Path) -> None:
    dice = Random(7)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    contacts = [
        (f"c{dice.randrange(12)}", start + timedelta(minutes=m), dice.choice(["page", "pay"]))
        for m in dice.sample(range(100_000), 150)
    ]
    said = [
        (
            f"c{dice.randrange(14)}",
            start + timedelta(minutes=m),
            dice.randint(1, 5),
            dice.choice(["nps", "csat"]),
            dice.choice(["page", "pay", ""]),
        )
        for m in dice.sample(range(120_000), 120)
    ]
    (tmp_path / "log.csv").write_text(
        "who,at,what,device,plan,mood\n" + "".join(f"{c},{t},{p},,,\n" for c, t, p in contacts)
    )
    (tmp_path / "survey.csv").write_text(
        "client,answered,stars,on,of\n"
        + "".join(f"{c},{t},{r},{s},{p}\n" for c, t, r, s, p in said)
    )
    text = MAP.replace(
        "rating: said, scale: scale,\n          comment: why, amount: money, ", ""
    ).replace("gap: 30d", "gap: 10d")
    journey_map = parse_journey_map(text)
    made = build_workspace(
        read_events(tmp_path / "log.csv", journey_map),
        tmp_path / "shop",
        ratings=read_ratings(tmp_path / "survey.csv", journey_map),
    )
    expected = Counter()
    for who, at, rating, scale, of in said:
        before = [
            (t, p)
            for c, t, p in contacts
            if c == who and t <= at <= t + timedelta(days=10) and of in ("", p)
        ]
        expected[who, at, float(rating), scale, max(before, default=(None, None))] += 1
    found = Counter()
    known = {c for c, _, _ in contacts}
    for row in told(made).iter_rows(named=True):
        contact_at = row["occurred_at"] and row["occurred_at"]
        found[
            row["name"],
            row["rated_at"],
            row["rating"],
            row["scale"],
            (contact_at, row["touchpoint"]),
        ] += 1
    by_known = Counter({(k[0] if k[0] in known else None, *k[1:]): v for k, v in expected.items()})
    assert found == by_known
    counted = told(made).filter("is_counted")
    assert counted.select("row", "scale").is_unique().all()
    assert len(counted) == told(made).drop_nulls("row").select("row", "scale").n_unique()


def test_more_values_of_an_environment_than_can_be_kept_apart_go_together(tmp_path: Path) -> None:
    values = [f"url {i}" for i in range(MAX_ENVIRONMENTS + 7)] + ["url 0", "url 1"]
    rows = "".join(
        f"c,2025-01-{1 + i % 28:02} 10:{i % 60:02}:{i // 60 % 60:02},page,{v},gold,\n"
        for i, v in enumerate(values)
    )
    (tmp_path / "log.csv").write_text("who,at,what,device,plan,mood\n" + rows)
    text = MAP.replace("rating: said, scale: scale,\n          comment: why, amount: money, ", "")
    text = text.replace("journey: {", "journey: {max_contacts_per_day: 9999, ")
    made = build_workspace(
        read_events(tmp_path / "log.csv", parse_journey_map(text)), tmp_path / "w"
    )
    seen = made.events().collect()["environment.device"]
    assert seen.n_unique() == MAX_ENVIRONMENTS + 1
    assert (seen == RARER).sum() == 7
    assert (seen == "url 0").sum() == 2
    assert made.report["environments_rarer"] == {"device": 7}
