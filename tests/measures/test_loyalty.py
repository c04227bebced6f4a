"""Who comes back: against journeys in plain Python, and against lifelines."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace
from typer.testing import CliRunner

from cxlib.cli.app import app
from cxlib.errors import InputError, NotMeasurableError
from cxlib.measures.loyalty import DAYS, measure_loyalty
from cxlib.sequences import meets_finding
from cxlib.summary import Selection


@pytest.fixture(scope="module")
def found(workspace):
    return measure_loyalty(workspace)


def journeys_of(workspace):
    """Per customer the journeys, each a list of contacts in words."""
    people = {}
    for row in workspace.events().collect().to_dicts():
        people.setdefault(row["customer"], {}).setdefault(row["journey"], []).append(row)
    return {who: [j[k] for k in sorted(j)] for who, j in people.items()}


def expected(workspace, outcome, keep=lambda first: True):
    """Days and events of every customer who can have the outcome."""
    until = workspace.observed_until
    begun = workspace.places.filter(pl.col("initiated_by") == "customer")
    own = set(begun.select("touchpoint", "channel").iter_rows())
    lines = []
    for journeys in journeys_of(workspace).values():
        if not keep(journeys[0][0]):
            continue
        if outcome == "return":
            starts = [journeys[0][-1]["occurred_at"]]
            later = [c for j in journeys[1:] for c in j if (c["touchpoint"], c["channel"]) in own]
            starts += [c["occurred_at"] for c in later[:1]]
        else:
            goals = [[c["occurred_at"] for c in j if c["touchpoint"] == "pay"] for j in journeys]
            starts = [g[0] for g in goals if g][:2]
            if not starts:
                continue
        end = starts[1] if len(starts) == 2 else until
        lines.append(((end - starts[0]) / timedelta(days=1), len(starts) == 2))
    return lines


@pytest.mark.parametrize("outcome", ["return", "repeat_goal"])
@pytest.mark.parametrize(
    ("by", "group", "keep"),
    [
        ("all", "all", lambda first: True),
        ("touchpoint", "ad", lambda first: first["touchpoint"] == "ad"),
        ("channel", "store", lambda first: first["channel"] == "store"),
    ],
)
def test_shares_are_kaplan_meier_of_the_customers(found, workspace, outcome, by, group, keep):
    lifelines = pytest.importorskip("lifelines")
    lines = expected(workspace, outcome, keep)
    time, happened = (list(x) for x in zip(*lines, strict=True))
    fitter = lifelines.KaplanMeierFitter().fit(time, happened)
    rows = found.table.filter(
        pl.col("outcome") == outcome, pl.col("by") == by, pl.col("group") == group
    )
    assert len(rows) == len(DAYS) - 1  # the log is shorter than two years
    for row in rows.to_dicts():
        assert row["n"] == len(lines)
        assert row["events"] == sum(h for t, h in lines if t <= row["days"])
        if row["share"] is None:
            assert max(time) < row["days"]
            continue
        share = 1 - fitter.survival_function_at_times(row["days"]).item()
        assert row["share"] == pytest.approx(share, abs=1e-9)
        assert row["share_low"] <= row["share"] <= row["share_high"]


def test_groups_of_one_kind_add_up_and_differences_are_to_the_others(found):
    week = found.table.filter(pl.col("days") == 7)
    for (outcome, by), rows in week.group_by("outcome", "by"):
        whole = week.filter(pl.col("outcome") == outcome, pl.col("by") == "all")["n"][0]
        if not by.startswith("rating."):
            assert rows["n"].sum() == whole, by
    assert week.filter(pl.col("by") == "all")["difference"].null_count() == 2


def looks(share_back, *, ratings=lambda c: None, seed=1, customers=400):
    """A log of one visit each, and for some a second one after 40 to 80 days."""
    dice = Random(seed)
    log = []
    for number in range(customers):
        name, day = f"c{number}", dice.uniform(0, 100)
        log.append(contact(name, day, "page", rating=ratings(number)))
        if dice.random() < share_back(number):
            log.append(contact(name, day + dice.uniform(40, 80), "ad"))
    return log


def test_a_group_that_comes_back_more_often_is_told(tmp_path):
    people = pl.DataFrame(
        {
            "customer": [f"c{i}" for i in range(400)],
            "plan": ["gold" if i % 2 else "basic" for i in range(400)],
        }
    )
    rule = journey_map(until=START + timedelta(days=300))
    log = looks(lambda i: 0.6 if i % 2 else 0.2)
    found = measure_loyalty(make_workspace(tmp_path / "ws", log, rule=rule, customers=people))
    gold = found.table.filter(
        pl.col("by") == "segment.plan", pl.col("group") == "gold", pl.col("days") == 90
    ).row(0, named=True)
    assert gold["difference_low"] <= 0.4 <= gold["difference_high"]
    assert gold["difference_low"] > 0.2
    assert any("plan gold" in s or "plan basic" in s for s in found.sentences())


def test_a_late_delivery_and_a_newsletter_bring_nobody_back(tmp_path):
    log = []
    for number in range(40):
        log.append(contact(f"c{number}", 0, "pay"))
        log.append(contact(f"c{number}", 80, "newsletter" if number % 2 else "parcel"))
        if number < 10:  # and these come of themselves, later
            log.append(contact(f"c{number}", 81, "page"))
    rule = journey_map(until=START + timedelta(days=400))
    parcel = replace(rule.touchpoints[0], name="parcel", kind="delivery", channel="web")
    rule = replace(rule, touchpoints=(*rule.touchpoints, parcel))
    back = measure_loyalty(make_workspace(tmp_path / "ws", log, rule=rule)).table
    whole = back.filter(pl.col("outcome") == "return", pl.col("by") == "all")
    events = dict(whole.select("days", "events").iter_rows())
    assert events[30] == 0
    assert events[90] == events[365] == 10


def test_a_rating_counts_only_once_it_is_given(tmp_path):
    """Who is pleased on his second visit was not pleased, as far as the first curve goes."""
    dice = Random(3)
    log = []
    for number in range(300):
        name, day = f"c{number}", dice.uniform(0, 60)
        log.append(contact(name, day, "page", rating=float(dice.choice([2, 9]))))
        if dice.random() < 0.5:
            later = day + dice.uniform(40, 80)
            log.append(contact(name, later, "page", rating=10.0))
    rule = journey_map(until=START + timedelta(days=300))
    found = measure_loyalty(make_workspace(tmp_path / "ws", log, rule=rule))
    rows = found.table.filter(
        pl.col("by").str.starts_with("rating."), pl.col("days") == 90, pl.col("outcome") == "return"
    )
    assert dict(rows.select("group", "n").rows()) == {
        "low": sum(1 for c in log if c.rating == 2),
        "high": sum(1 for c in log if c.rating == 9),
    }
    for row in rows.to_dicts():
        assert row["share_low"] < 0.5 < row["share_high"]


def finding(workspace, source, target, **more):
    """One finding, as `cx.find_breaks` tells of it."""
    number = dict(workspace.places.select("touchpoint", "place").rows())
    row = {"source_place": number[source], "target_place": number.get(target, -1)}
    row |= {"group": None, "value": None, "since": None, "affected_until": None, **more}
    return pl.DataFrame([row], schema_overrides={"since": pl.Date, "affected_until": pl.Date})


def test_who_met_a_finding_is_compared_with_his_like(tmp_path):
    """The long journeys come back more and meet the finding more: all but 20 points are theirs."""
    dice = Random(5)
    log, lines = [], []
    for number in range(1200):
        name, day, long = f"c{number}", dice.uniform(0, 60), number % 2
        met = dice.random() < (0.8 if long else 0.2)
        steps = ["page"] * (8 if long else 2) + (["visit", "basket"] if met else ["ad", "basket"])
        for step in steps:
            log.append(contact(name, day, step))
            day += 0.1
        back = dice.random() < (0.8 if long else 0.3) - 0.2 * met
        lines.append((long, met, back))
        if back:
            log.append(contact(name, day + dice.uniform(40, 80), "ad", cost=1.0))
    rule = journey_map(until=START + timedelta(days=300))
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    found = measure_loyalty(workspace, findings=finding(workspace, "visit", "basket"))
    rows = found.table.filter(
        pl.col("by") == "finding", pl.col("days") == 90, pl.col("outcome") == "return"
    )
    none, met = rows.sort("group", descending=True).to_dicts()
    assert (met["n"], met["alike"]) == (sum(m for _, m, _ in lines),) * 2
    assert met["difference_low"] <= -0.2 <= met["difference_high"] < 0
    assert none["difference"] == pytest.approx(-met["difference"])
    # by hand: the difference in each kind of journey, weighted by n1 n0 / (n1 + n0)
    total = weights = 0.0
    for long in (0, 1):
        one, zero = ([b for w, m, b in lines if w == long and m == side] for side in (True, False))
        weight = len(one) * len(zero) / (len(one) + len(zero))
        total += weight * (sum(one) / len(one) - sum(zero) / len(zero))
        weights += weight
    assert met["difference"] == pytest.approx(total / weights)
    crude = met["share"] - none["share"]
    assert crude > 0  # who is not compared with his like seems to come back more for it
    assert any("their like" in s for s in found.sentences())


def test_a_difference_without_its_like_is_withheld(tmp_path):
    """Whoever met the finding had ten contacts, all others two: nobody is alike."""
    log = []
    for number in range(200):
        steps = ["page"] * 8 + ["visit", "basket"] if number % 2 else ["ad", "basket"]
        log += [contact(f"c{number}", number / 5 + i / 10, s) for i, s in enumerate(steps)]
        if number % 3 == 0:
            log.append(contact(f"c{number}", number / 5 + 50, "ad"))
    rule = journey_map(until=START + timedelta(days=300))
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    found = measure_loyalty(workspace, findings=finding(workspace, "visit", "basket"))
    rows = found.table.filter(pl.col("by") == "finding", pl.col("outcome") == "return")
    assert set(rows["group"]) == {"met", "none"}
    assert rows["difference"].null_count() == len(rows)
    assert rows["alike"].unique().to_list() == [0]


def test_a_finding_is_met_where_when_and_in_the_group_it_is_about(workspace):
    rows = workspace.store().collect().to_dicts()
    names = dict(workspace.places.select("place", "touchpoint").rows())
    day = START.date() + timedelta(days=40)
    for source, target, more in (
        ("page", "basket", {}),
        ("page", None, {}),
        ("page", "basket", {"since": day}),
        ("page", "basket", {"affected_until": day}),
        ("page", "basket", {"group": "channel", "value": "store"}),
    ):
        told = meets_finding(workspace, finding(workspace, source, target, **more)).to_list()
        channel = dict(workspace.places.select("place", "channel").rows())
        last = {}
        for row, met in zip(rows, told, strict=True):
            before = last.get((row["customer"], row["journey"]))
            here = row["place"]
            number = finding(workspace, source, target)
            if target is None:
                expected = here == number["source_place"][0]
            else:
                expected = (before, here) == number.select("source_place", "target_place").row(0)
            at = row["occurred_at"].date()
            expected &= more.get("since", at) <= at
            expected &= at < more.get("affected_until", at + timedelta(days=1))
            expected &= "group" not in more or channel[here] == more["value"]
            assert met == expected, (names[here], more)
            last[row["customer"], row["journey"]] = here


def test_of_cases_nobody_can_come_back(tmp_path):
    rule = journey_map(gap=None, restart=False, until=START + timedelta(days=300))
    cases = make_workspace(tmp_path / "ws", looks(lambda i: 0.5), rule=rule)
    with pytest.raises(NotMeasurableError, match="another column says whose journeys"):
        measure_loyalty(cases)


def test_figures_say_whom_they_rest_on(found):
    """What is published of a group rests on those still at risk there, and among the others."""
    for _, rows in found.table.group_by("outcome", "by", "days"):
        if rows["by"][0].startswith(("segment.", "channel", "touchpoint")):
            all_ = rows["at_risk"].sum()
            for row in rows.iter_rows(named=True):
                assert row["smaller"] == min(row["at_risk"], all_ - row["at_risk"])


def test_no_days_below_one(workspace):
    with pytest.raises(InputError, match="days must be"):
        measure_loyalty(workspace, days=[0])


def test_the_command_prints_the_rows_as_json(workspace):
    run = CliRunner().invoke(app, ["loyalty", str(workspace.path), "--json"])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.output)
    assert {"by", "group", "outcome", "days", "n", "share", "low", "high", "events"} <= set(rows[0])
    assert {r["outcome"] for r in rows} == {"return", "repeat_goal"}
    shown = CliRunner().invoke(app, ["loyalty", str(workspace.path)])
    assert "came back after their first journey" in shown.output


def test_where_chooses_customers_by_their_first_contact(found, workspace):
    store = Selection(channel="store")
    part = measure_loyalty(workspace, where=store).table
    own = part.filter(pl.col("by") == "all").drop("by", "group", "difference")
    same = found.table.filter(pl.col("by") == "channel", pl.col("group") == "store")
    keys = ["outcome", "days", "n", "events", "share", "share_low", "share_high"]
    assert own.select(keys).rows() == same.select(keys).rows()
    early = measure_loyalty(workspace, where=Selection(period=(0, 0))).table
    began = sum(
        journeys[0][0]["occurred_at"] < START + timedelta(days=31)
        for journeys in journeys_of(workspace).values()
    )
    assert early.filter(pl.col("by") == "all", pl.col("outcome") == "return")["n"][0] == began
