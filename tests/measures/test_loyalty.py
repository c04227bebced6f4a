"""Who comes back: against journeys in plain Python, and against lifelines."""

import json
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace
from typer.testing import CliRunner

from cxlib.cli.app import app
from cxlib.errors import InputError
from cxlib.measures.loyalty import DAYS, measure_loyalty
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
    lines = []
    for journeys in journeys_of(workspace).values():
        if not keep(journeys[0][0]):
            continue
        if outcome == "return":
            starts = [journeys[0][-1]["occurred_at"]]
            starts += [j[0]["occurred_at"] for j in journeys[1:2]]
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
