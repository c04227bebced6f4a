"""The plan against what happened, held to plain loops over the contacts of each customer."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from journey_oracle import START, contact, journey_map, make_workspace, random_log, split

from cxlib.errors import InputError, NotMeasurableError
from cxlib.map_model import PlannedHandoff
from cxlib.opportunities.cjml import read_cjml
from cxlib.opportunities.plan import KINDS, measure_plan

PLAN = (
    PlannedHandoff("page", "basket", timedelta(days=5)),
    PlannedHandoff("ad", "page", timedelta(days=20)),
)
UNTIL = START + timedelta(days=130)


def planned(plan=PLAN):
    return replace(journey_map(until=UNTIL), planned_handoffs=plan)


def by_hand(log, rule, plan):
    number = {}
    for n, journey in enumerate(split(log, rule)):
        number |= {id(c): n for c in journey.contacts}
    named = {t for p in rule.planned_handoffs for t in (p.source, p.target)}
    counts = Counter()
    for customer in {c.customer for c in log}:
        mine = sorted((c for c in log if c.customer == customer), key=lambda c: c.at)
        for i, c in enumerate(mine):
            if c.touchpoint != plan.source:
                continue
            after = next((x for x in mine[i + 1 :] if x.touchpoint == plan.target), None)
            due = c.at + plan.deadline
            earlier = []
            for x in reversed(mine[:i]):
                if x.touchpoint == plan.source:
                    break
                earlier.append(x)
            between = [x for x in mine[i + 1 :] if x.at <= due]
            if after is not None and after.at <= due:
                between = mine[i + 1 : mine.index(after)]
                direct = all(x.touchpoint == plan.source for x in between)
                kind = "kept" if direct else "detoured"
            elif due > UNTIL:
                kind = "open"
            elif after is not None and number[id(after)] == number[id(c)]:
                kind = "late"
            elif any(
                x.touchpoint == plan.target and number[id(x)] == number[id(c)] for x in earlier
            ):
                kind = "out_of_order"
            else:
                kind = "missing"
                counts["reached_goal"] += any(x.touchpoint == "pay" for x in between)
            counts[kind] += 1
            counts["ad_hoc"] += any(x.touchpoint not in named for x in between)
    return counts


@pytest.mark.parametrize("seed", [3, 8])
def test_every_arrival_is_counted_once_as_plain_loops_count_it(tmp_path, seed):
    log, rule = random_log(seed, customers=150), planned()
    found = measure_plan(make_workspace(tmp_path / "ws", log, rule=rule))
    for plan, row in zip(PLAN, found.table.to_dicts(), strict=True):
        expected = by_hand(log, rule, plan)
        assert {k: row[k] for k in (*KINDS, "ad_hoc", "reached_goal")} == {
            k: expected[k] for k in (*KINDS, "ad_hoc", "reached_goal")
        }
        assert sum(row[k] for k in KINDS) == row["arrivals"]
        off = row["late"] + row["out_of_order"] + row["missing"]
        assert row["deviating"] == pytest.approx(off / (row["arrivals"] - row["open"]))
        assert row["deviating_low"] <= row["deviating"] <= row["deviating_high"]
    named = sum(c.touchpoint in {"ad", "page", "basket"} for c in log)
    assert found.coverage == pytest.approx(named / len(log))


def test_one_arrival_of_each_kind(tmp_path):
    days = {
        "kept": [(0, "page"), (1, "basket")],
        "detoured": [(0, "page"), (1, "visit"), (2, "basket")],
        "late": [(0, "page"), (9, "basket")],
        "out_of_order": [(0, "basket"), (1, "page")],
        "missing": [(0, "page"), (1, "ad")],
        "open": [(127, "page")],
    }
    log = [contact(kind, day, name) for kind, told in days.items() for day, name in told]
    found = measure_plan(make_workspace(tmp_path / "ws", log, rule=planned(PLAN[:1])))
    row = found.table.row(0, named=True)
    assert {k: row[k] for k in KINDS} == dict.fromkeys(KINDS, 1)
    # visit and ad are named by no plan here
    assert row["ad_hoc"] == 2
    assert any("page → basket: 60 %" in s.replace("\xa0", " ") for s in found.sentences())


def test_without_a_plan_it_says_how_to_write_one(workspace_without_plan):
    with pytest.raises(NotMeasurableError, match="planned_handoffs"):
        measure_plan(workspace_without_plan)


@pytest.fixture
def workspace_without_plan(tmp_path):
    return make_workspace(tmp_path / "ws", random_log(1, customers=10))


def test_a_target_that_fails_is_kept_and_failed(tmp_path):
    """Reached in time, and then done again, refused, or simply gone on from."""
    log = []
    for n, after in enumerate(("basket", "refused", "pay", None)):
        log += [contact(f"c{n}", 10 * n, "page"), contact(f"c{n}", 10 * n + 1, "basket")]
        log += [contact(f"c{n}", 10 * n + 2, after)] if after else []
    found = measure_plan(make_workspace(tmp_path / "ws", log, rule=planned(PLAN[:1])))
    row = found.table.row(0, named=True)
    assert (row["arrivals"], row["kept"], row["failed"]) == (4, 4, 2)


CJML = """<?xml version="1.0"?>
<CJML version="2.0"{space}>
  <plannedJourney><journeyID>J1</journeyID>
    <actors><endUser actorID="A1"><actorName>Customer & friend</actorName></endUser></actors>
    <touchpoints>
      <plannedCommunicationPoint><touchpointID>T1</touchpointID>
        <initiator><refersTo actorIDref="A1"/><initiatorLabel>  Ad </initiatorLabel></initiator>
      </plannedCommunicationPoint>
      <plannedAction><touchpointID>T2</touchpointID>
        <initiator><refersTo actorIDref="gone"/><initiatorLabel>Picks goods</initiatorLabel>
        </initiator></plannedAction>
      <plannedCommunicationPoint><touchpointID>T3</touchpointID>
        <initiator><initiatorLabel>reads</initiatorLabel></initiator>
        <receiver><receiverLabel>PAGE</receiverLabel></receiver></plannedCommunicationPoint>
      <plannedAction><touchpointID>basket</touchpointID></plannedAction>
    </touchpoints></plannedJourney>
  <actualJourney><touchpoints><actualAction><touchpointID>pay</touchpointID></actualAction>
  </touchpoints></actualJourney>
</CJML>"""


@pytest.mark.parametrize("space", ["", ' xmlns="http://cjml.no/2"'])
def test_a_plan_in_cjml_is_read_in_the_order_of_the_file(tmp_path, space):
    file = tmp_path / "plan.xml"
    file.write_text(CJML.replace("{space}", space), encoding="utf-8")
    handoffs, left_out = read_cjml(file, planned(), deadline=timedelta(days=3))
    # the map's deadlines stay; an unescaped "&" and a reference to nobody do no harm
    assert handoffs == (PLAN[1], PLAN[0])
    assert left_out == ("Picks goods",)
    alone, _ = read_cjml(file, journey_map(), deadline=timedelta(days=3))
    assert {p.deadline for p in alone} == {timedelta(days=3)}
    log = [contact("c", 0, "ad"), contact("c", 1, "page"), contact("c", 2, "basket")]
    made = make_workspace(tmp_path / "ws", log, rule=journey_map(until=UNTIL))
    assert measure_plan(made, plan=alone).table["kept"].to_list() == [1, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CJML, "give one for all: --deadline"),
        (CJML.replace("CJML", "XES"), "is no CJML file"),
        (CJML.replace("2.0", "3.0"), "version 2 can be read"),
        (CJML.replace("PAGE", "x").replace(">basket<", ">y<"), "call them alike"),
        ("", "is no CJML file"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / "plan.xml").write_text(text.replace("{space}", ""), encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        read_cjml(tmp_path / "plan.xml", journey_map())


def test_nothing_outside_the_file_is_read(tmp_path):
    (tmp_path / "secret.txt").write_text("page", encoding="utf-8")
    entity = f'<!DOCTYPE CJML [<!ENTITY x SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'
    text = CJML.replace("{space}", "").replace("<CJML", entity + "<CJML", 1).replace("PAGE", "&x;")
    (tmp_path / "plan.xml").write_text(text, encoding="utf-8")
    read, _ = read_cjml(tmp_path / "plan.xml", journey_map(), deadline=timedelta(days=1))
    assert [(p.source, p.target) for p in read] == [("ad", "basket")]
