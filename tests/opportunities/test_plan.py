"""The plan against what happened, held to plain loops over the contacts of each customer."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace, random_log, split

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.errors import CxError, InputError, NotMeasurableError
from cxlib.ingest import read_events
from cxlib.journey_map import parse_journey_map
from cxlib.map_model import PlannedHandoff
from cxlib.measures.perception import measure_perception
from cxlib.opportunities.cjml import read_cjml
from cxlib.opportunities.plan import KINDS, measure_plan
from cxlib.opportunities.priorities import list_priorities
from cxlib.signals.broken_handoff import measure_plan as judge_plan
from cxlib.store import build_workspace

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


def test_a_promised_date_counts_instead_of_the_deadline_and_late_ones_are_rated_apart(tmp_path):
    """Dates of each contact's own, against plain counting; whoever has none keeps the deadline."""
    dice, rows, expected, said = Random(7), [], Counter(), {"kept": [], "late": []}
    for who in range(400):
        name, day, takes = f"c{who:03}", dice.uniform(0, 60), dice.choice([1.5, 3.5, 6.5])
        due = None if who % 10 == 0 else timedelta(days=dice.choice([2, 4]))
        kind = "kept" if timedelta(days=takes) <= (due or timedelta(days=5)) else "late"
        stars = dice.choice([4, 5] if kind == "kept" else [1, 2, 3])
        source = contact(name, day, "page")
        rows.append(replace(source, due_at=due and source.at + due))
        rows.append(contact(name, day + takes, "basket", rating=float(stars)))
        expected[kind] += 1
        said[kind].append(stars)
    plan = (PlannedHandoff("page", "basket", timedelta(days=5), promised=True),)
    rule = replace(planned(plan), columns={"due_at": "due"})
    workspace = make_workspace(tmp_path / "ws", rows, rule=rule)
    found = measure_plan(workspace)
    (row,) = found.table.to_dicts()
    assert (row["kept"], row["late"], row["promised"]) == (expected["kept"], expected["late"], 360)
    for kind, stars in said.items():
        assert row[f"rated_{kind}"] == pytest.approx(sum(stars) / len(stars))
        assert row[f"rated_{kind}_low"] < row[f"rated_{kind}"] < row[f"rated_{kind}_high"]
    assert "after the promised date, and are rated" in found.sentences()[-1]
    told = measure_perception(workspace, by="promise")
    assert told.table["group"].to_list() == ["in time", "late"]
    assert told.table["n"].to_list() == [expected["kept"], expected["late"]]
    assert told.table["mean"].to_list() == pytest.approx([row["rated_kept"], row["rated_late"]])
    assert told.sentences()[0].startswith("Whose planned step comes in time gives 4.")
    lines = list_priorities(workspace).table.filter(source="page", target="basket")
    assert lines.filter(pl.col("what").str.contains("after the promised date")).height == 1
    # and so it is judged: nobody is censored, so that the share broken is plain counting
    judged = judge_plan(read_arrivals(workspace)).row(0, named=True)
    assert judged["value"] == pytest.approx(expected["late"] / 400)
    # by the deadline alone other arrivals are late
    (plain,) = measure_plan(workspace, plan=[replace(plan[0], promised=False)]).table.to_dicts()
    assert plain["promised"] == 0
    assert plain["late"] != row["late"]


def test_promised_days_end_with_the_day_and_need_a_column(tmp_path):
    log = tmp_path / "log.csv"
    lines = ["who,at,what,due", "a,2025-01-01 08:00,page,2025-01-03", "a,2025-01-03 20:00,basket,"]
    lines += ["b,2025-01-01 08:00,page,2025-01-03", "b,2025-01-04 01:00,basket,"]
    log.write_text("\n".join(lines))
    text = "\n".join(
        [
            "version: 1", "name: shop", "observed_until: 2025-02-01", "time_zone: Europe/Berlin",
            "columns: {customer: who, occurred_at: at, touchpoint: what, due_at: due}",
            "stages: [visit]", "touchpoints:", "  - {name: page, stage: visit}",
            "  - {name: basket, stage: visit}", "planned_handoffs:",
            "  - {source: page, target: basket, deadline: 1d, promised: true}",
        ]
    )  # fmt: skip
    workspace = build_workspace(
        read_events([log], journey_map=parse_journey_map(text)), tmp_path / "ws"
    )
    (row,) = measure_plan(workspace).table.to_dicts()
    assert (row["kept"], row["late"]) == (1, 1)
    with pytest.raises(CxError, match="nothing says by when"):
        parse_journey_map(text.replace(", due_at: due", ""))
