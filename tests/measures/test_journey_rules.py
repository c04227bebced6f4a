"""The same answers under other journey rules: no gap, no goal, no restart, a longer watch."""

from collections import Counter
from datetime import timedelta

import pytest
from journey_oracle import START, follow, journey_map, make_workspace, random_log, split

from cxlib.measures.first_contacts import measure_first_contacts
from cxlib.measures.funnels import measure_funnel
from cxlib.measures.overview import measure_overview
from cxlib.measures.paths import measure_paths
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.measures.transitions import measure_transitions

RULES = {
    "no gap, one journey a customer": {"gap": None, "restart": False},
    "no gap": {"gap": None},
    "no goal": {"goal": (), "lost": ()},
    "no restart": {"restart": False},
    "short gap": {"gap": timedelta(hours=6)},
    "watched for longer": {"until": START + timedelta(days=160)},
}


@pytest.fixture(scope="module", params=RULES.values(), ids=RULES.keys())
def ruled(request, tmp_path_factory):
    rule, log = journey_map(**request.param), random_log(31, 80)
    return make_workspace(tmp_path_factory.mktemp("rules") / "w", log, rule=rule), log, rule


def outcome(journey, rule, until):
    for c in journey.contacts:
        if c.touchpoint in rule.journey.goal:
            return "goal"
        if c.touchpoint in rule.journey.lost:
            return "declined"
    if rule.journey.goal and journey.contacts[0].stage == "aftersales":
        return "done"
    silence = journey.ended_by_next or until - journey.contacts[-1].at
    gap = rule.journey.gap
    return "silent" if gap is not None and silence > gap else "open"


def test_starts_are_ends_are_journeys(ruled):
    workspace, log, rule = ruled
    summary = workspace.summary()
    journeys = split(log, rule)
    until = max([rule.observed_until or START, *(c.at for c in log)])
    expected = Counter(outcome(j, rule, until) for j in journeys)
    whole = measure_first_contacts(summary).whole.row(0, named=True)
    names = ("goal", "declined", "silent", "done", "open")
    assert {k: whole[f"{k}_n"] for k in names} == {k: expected[k] for k in names}
    assert measure_overview(summary).journeys == len(journeys)
    found = measure_paths(workspace, top=10_000)
    assert {k: found.table[f"{k}_n"].sum() for k in names} == {k: expected[k] for k in names}
    assert found.journeys == len(journeys)


def test_contacts_are_followed_as_by_hand(ruled):
    workspace, log, rule = ruled
    summary = workspace.summary()
    followed = follow(log, rule)
    expected = Counter(f.sequel for f in followed)
    whole = measure_touchpoints(summary).whole.row(0, named=True)
    for sequel in ("went_on", "silent", "declined", "done", "open"):
        assert whole[f"{sequel}_n"] == expected[sequel]
    pairs = Counter((f.contact.touchpoint, f.target.touchpoint) for f in followed if f.target)
    table = measure_transitions(summary).table
    assert {r[:2]: r[2] for r in table.select("source", "target", "n").rows()} == pairs


def test_what_a_funnel_loses_adds_up(ruled):
    workspace, log, rule = ruled
    table = measure_funnel(workspace, steps=["page", "basket"]).table
    first, second = table.iter_rows(named=True)
    stopped = sum(first[f"{k}_n"] for k in ("declined", "silent", "done", "open"))
    assert first["journeys"] - second["journeys"] == stopped
    assert first["journeys"] == sum(
        any(c.touchpoint == "page" for c in j.contacts) for j in split(log, rule)
    )
    if rule.journey.gap is None:
        assert first["silent_n"] == 0
