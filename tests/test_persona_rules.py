"""Personas by the rules of the map: who is which, counted by hand, and what a wrong rule says."""

from collections import Counter, defaultdict

import polars as pl
import pytest
from journey_oracle import START, contact, make_workspace
from typer.testing import CliRunner

import cxlib as cx
from cxlib.cli import app
from cxlib.errors import InputError, MapError, UnknownNameError
from cxlib.ingest import read_events
from cxlib.journey_map import parse_journey_map
from cxlib.persona_rules import NO_PERSONA
from cxlib.store import build_workspace

MAP = """\
version: 1
name: Shop
columns: {customer: who, occurred_at: at, touchpoint: step, segments: [region], rating: stars}
rating_scale: {name: stars, min: 1, max: 5}
journey: {gap: 20d, goal: [pay]}
touchpoints:
  - {name: page, channel: web, owner: online}
  - {name: visit, channel: store, owner: retail}
  - {name: call, channel: phone, owner: service}
  - {name: pay, channel: web, owner: online}
  - {name: letter, channel: post, owner: service}
personas:
"""
RULES = """\
  - {name: caller, when: phone at least 2 times}
  - {name: northern web fan, when: [web at least 60 %, region is north, never visit]}
  - {name: shop goer, when: [retail at least 1 time, call at most 0 times, region is not north]}
  - {name: pen friend, when: letter at least 1 time}
"""


def customers():
    steps = ["page", "visit", "call", "pay"]
    for n in range(300):
        path = [steps[(n * 7 + i * i * (n % 5 + 1)) % 4] for i in range(2 + n % 6)]
        yield f"c{n}", ("north", "south", "")[n % 3], path


def expected(region, path):
    channel = {"page": "web", "pay": "web", "visit": "store", "call": "phone"}
    where = Counter(channel[step] for step in path)
    if where["phone"] >= 2:
        return "caller"
    if where["web"] >= 0.6 * len(path) and region == "north" and not where["store"]:
        return "northern web fan"
    if where["store"] and not where["phone"] and region == "south":
        return "shop goer"
    return NO_PERSONA


def write_log(folder):
    lines = ["who,at,step,region,stars"]
    for n, (who, region, path) in enumerate(customers()):
        lines += [
            f"{who},2025-01-{1 + n % 20:02}T{10 + i:02}:00:00Z,{step},{region},{1 + (n + i) % 5}"
            for i, step in enumerate(path)
        ]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return folder / "log.csv"


def build(folder, rules=RULES, **more):
    journey_map = parse_journey_map(MAP + rules)
    log = read_events([write_log(folder)], journey_map=journey_map)
    return build_workspace(log, folder / "ws", **more)


def test_every_customer_has_the_first_persona_that_fits(tmp_path):
    shop = build(tmp_path)
    told = shop.customers().select("name", "segment").collect().join(shop.segments, on="segment")
    assert dict(told.select("name", "segment.persona").iter_rows()) == {
        who: expected(region, path) for who, region, path in customers()
    }
    assert set(told["segment.persona"]) == {"caller", "northern web fan", "shop goer", NO_PERSONA}


def test_a_persona_is_a_segment_everywhere(tmp_path):
    (tmp_path / "map.yaml").write_text(MAP + RULES)
    log, ws = write_log(tmp_path), tmp_path / "ws"
    for asked in (
        ["ingest", log, "--map", tmp_path / "map.yaml", "--out", ws],
        ["perception", ws, "--by", "persona"],
        ["findings", ws, "--segment", "persona=caller"],
        ["loyalty", ws, "--segment", "persona=shop goer"],
    ):
        done = CliRunner().invoke(app, [str(a) for a in asked])
        assert done.exit_code == 0, done.output
    shop = cx.open(ws)
    counted = Counter(expected(region, path) for _, region, path in customers())
    for persona, n in counted.items():
        where = cx.Where(segment={"persona": persona})
        assert cx.measure_touchpoints(shop, where=where).customers == n
    said = cx.measure_perception(shop, by="persona").table
    answers = defaultdict(list)
    for n, (_, region, path) in enumerate(customers()):
        answers[expected(region, path)] += [1 + (n + i) % 5 for i in range(len(path))]
    assert dict(said.select("group", "n").iter_rows()) == {k: len(v) for k, v in answers.items()}
    # the map that is written again says the same
    again = parse_journey_map(shop.journey_map.to_yaml())
    assert again.personas == shop.journey_map.personas


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("  - {name: a, when: often phone}\n", "is no condition"),
        ("  - {name: a, when: phone at least two times}\n", "phone at least 2 times"),
        ("  - {name: a, when: []}\n", "has no condition"),
        ("  - {name: a}\n", "'when'"),
        ("  - {name: a, when: never web}\n  - {name: a, when: never phone}\n", "listed twice"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_line(rules, said):
    with pytest.raises(MapError, match=said) as raised:
        parse_journey_map(MAP + rules)
    assert "line 1" in str(raised.value)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("phon at least 2 times", "Did you mean 'phone'"),
        ("regoin is north", "segment 'regoin'"),
        ("region is nort", "Did you mean 'north'"),
    ],
)
def test_a_name_that_the_log_does_not_have_is_refused(tmp_path, rule, said):
    with pytest.raises(UnknownNameError, match=said):
        build(tmp_path, f"  - {{name: a, when: {rule}}}\n")


def test_customers_that_have_a_persona_keep_it_or_the_map_says_nothing(tmp_path):
    table = pl.DataFrame({"customer": ["c0"], "persona": ["regular"]})
    with pytest.raises(InputError, match="have a segment 'persona' already"):
        build(tmp_path, customers=table)
    plain = make_workspace(tmp_path / "plain", [contact("c0", 0, "visit")])
    assert plain.segment_names == ()
    assert plain.observed_until >= START
