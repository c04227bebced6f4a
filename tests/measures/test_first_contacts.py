"""Where journeys begin and whether they get there, against journeys split by hand."""

from collections import Counter
from datetime import timedelta
from statistics import median

import polars as pl
import pytest
from journey_oracle import (
    START,
    aalen_johansen,
    contact,
    journey_map,
    make_workspace,
    random_log,
    split,
)

from cxlib.measures.first_contacts import measure_first_contacts
from cxlib.measures.overview import measure_overview
from cxlib.summary import Selection


def outcome(journey, rule, until):
    """What came first of a journey, and after how long."""
    first = journey.contacts[0]
    for c in journey.contacts:
        if c.touchpoint in rule.journey.goal:
            return "goal", c.at - first.at
        if c.touchpoint in rule.journey.lost:
            return "declined", c.at - first.at
    if first.stage == "aftersales":
        return "done", timedelta()
    last = journey.contacts[-1]
    silence = journey.ended_by_next or until - last.at
    if silence > rule.journey.gap:
        return "silent", last.at + rule.journey.gap - first.at
    return "open", until - first.at


def test_counts_match_journeys_split_by_hand(log, rule, summary):
    until = max(c.at for c in log)
    journeys = split(log, rule)
    found = measure_first_contacts(summary)
    assert found.journeys == len(journeys) == found.whole["journeys"].item()
    seen = {(r["touchpoint"], r["channel"]): r for r in found.table.iter_rows(named=True)}
    begin = {}
    for j in journeys:
        begin.setdefault((j.contacts[0].touchpoint, j.contacts[0].channel), []).append(j)
    assert seen.keys() == begin.keys()
    for place, there in begin.items():
        row = seen[place]
        ends = Counter(outcome(j, rule, until)[0] for j in there)
        assert row["journeys"] == len(there)
        assert row["first_journeys"] == sum(j.first for j in there)
        assert row["share"] == pytest.approx(len(there) / len(journeys))
        for name in ("goal", "declined", "silent", "done", "open"):
            assert row[f"{name}_n"] == ends[name], (place, name)


def test_chances_are_near_aalen_johansen_at_exact_times(log, rule, summary):
    """Bins are a third wide; on 300 journeys their rounding is worth less than a point or two."""
    until = max(c.at for c in log)
    told = [outcome(j, rule, until) for j in split(log, rule)]
    exact = aalen_johansen([(t.total_seconds(), None if o == "open" else o) for o, t in told])
    whole = measure_first_contacts(summary).whole.row(0, named=True)
    assert whole["goal"] == pytest.approx(exact["goal"], abs=0.02)
    assert whole["lost"] == pytest.approx(exact["declined"] + exact["silent"], abs=0.02)
    days = [t / timedelta(days=1) for o, t in told if o == "goal"]
    assert whole["time_to_goal"] / timedelta(days=1) == pytest.approx(median(days), rel=0.5)


def test_journeys_still_running_do_not_lower_the_chance(tmp_path):
    """Of 100 old journeys 40 pay on day 10; 100 began yesterday. The chance is 40 %, not 20 %."""
    log = []
    for i in range(100):
        log.append(contact(f"old{i}", 0, "ad"))
        if i < 40:
            log.append(contact(f"old{i}", 10, "pay"))
        log.append(contact(f"new{i}", 99, "ad"))
    rule = journey_map(until=START + timedelta(days=100))
    made = measure_first_contacts(make_workspace(tmp_path / "w", log, rule=rule).summary())
    row = made.whole.row(0, named=True)
    assert row["goal"] == pytest.approx(0.4)
    assert row["open_n"] == 100
    assert row["goal_low"] > 0.25


def test_first_journeys_only_keeps_one_journey_a_customer(log, summary):
    found = measure_first_contacts(summary, first_journeys_only=True)
    assert found.journeys == len({c.customer for c in log})
    assert found.table["first_journeys"].to_list() == found.table["journeys"].to_list()


def test_a_map_without_a_goal_has_no_chance_of_it(tmp_path):
    rule = journey_map(goal=(), lost=())
    made = make_workspace(tmp_path / "w", random_log(3, 20), rule=rule).summary()
    assert measure_first_contacts(made).table["goal"].null_count() > 0
    assert measure_first_contacts(made).whole["lost"].item() is None


def test_shares_sum_to_one_in_any_part_of_the_log(summary):
    for where in (None, Selection(period=(1, 3)), Selection(channel="web")):
        found = measure_first_contacts(summary, where=where)
        assert found.table["share"].sum() == pytest.approx(1)
        assert found.by_channel["share"].sum() == pytest.approx(1)
        for x in ("share", "goal", "lost"):
            for value, low, high in found.table.select(x, f"{x}_low", f"{x}_high").rows():
                assert 0 <= low <= value <= high <= 1


def test_the_overview_counts_starts_as_journeys(log, rule, summary):
    found = measure_overview(summary)
    journeys = split(log, rule)
    value = dict(found.table.select("measure", "value").rows())
    assert (found.journeys, found.contacts) == (len(journeys), len(log))
    assert found.customers == value["customers"] == len({c.customer for c in log})
    assert value["contacts per journey"] == pytest.approx(len(log) / len(journeys))
    assert value["journeys per customer"] == pytest.approx(len(journeys) / found.customers)
    ends = sum(value[k] for k in ("goal", "lost", "done"))
    assert value["lost"] == pytest.approx(value["declined"] + value["silent"])
    assert 0.9 < ends <= 1 + 1e-9
    until = max(c.at for c in log)
    running = sum(outcome(j, rule, until)[0] == "open" for j in journeys)
    assert value["open"] == pytest.approx(running / len(journeys))
    part = measure_overview(summary, where=Selection(period=(0, 0)))
    january = {c.customer for c in log if c.at.month == 1}
    assert part.customers == len(january)
    assert "contacts per journey" not in part.table["measure"].to_list()
    assert isinstance(part.table, pl.DataFrame)
