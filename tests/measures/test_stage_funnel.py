"""The stage funnel, against journeys walked by hand."""

from collections import Counter
from datetime import timedelta

import pytest
from journey_oracle import STAGES, START, contact, journey_map, make_workspace, split

from cxlib.errors import InputError
from cxlib.measures.stage_funnel import measure_stage_funnel
from cxlib.summary import Selection

OUTCOMES = ("progress", "goal", "declined", "silent", "done", "open")


def sequels(log, rule):
    """(stage, what came first) of every rise of every journey."""
    until = max(c.at for c in log)
    for journey in split(log, rule):
        highest = -1
        contacts = journey.contacts
        for i, c in enumerate(contacts):
            if c.stage_index is None or c.stage_index <= highest:
                continue
            highest = c.stage_index
            yield highest, first_sequel(journey, i, rule, until)


def first_sequel(journey, i, rule, until):
    """What came first after contact i: only a journey's first goal and first loss settle it."""
    contacts, stage = journey.contacts, journey.contacts[i].stage_index
    met = {}
    for k, c in enumerate(contacts):
        for name, touchpoints in (("goal", rule.journey.goal), ("declined", rule.journey.lost)):
            if c.touchpoint in touchpoints:
                met.setdefault(name, k)
    further = [k for k, c in enumerate(contacts) if k > i and (c.stage_index or 0) > stage]
    if any(k < i for k in met.values()) and not further:
        return "done"
    ahead = [
        (k, rank, name)
        for rank, name in ((0, "declined"), (2, "goal"))
        if (k := met.get(name, -1)) >= i
    ]
    # a loss is a loss even in a later stage; a goal there is first of all progress
    ahead += [(k, 1, "progress") for k in further[:1]]
    if ahead:
        return min(ahead)[2]
    if stage > STAGES.index("conversion"):
        return "done"
    silence = journey.ended_by_next or until - contacts[-1].at
    return "silent" if silence > rule.journey.gap else "open"


def test_counts_match_journeys_walked_by_hand(log, rule, summary):
    expected = Counter(sequels(log, rule))
    found = measure_stage_funnel(summary)
    assert found.table["stage"].to_list() == list(STAGES)
    journeys = split(log, rule)
    assert found.journeys == len(journeys)
    for index, row in enumerate(found.table.iter_rows(named=True)):
        counted = {name: row[f"{name}_n"] for name in OUTCOMES}
        assert counted == {name: expected[index, name] for name in OUTCOMES}
        assert row["journeys"] == sum(counted.values())
        assert row["customers"] == len({c.customer for c in log if c.stage_index == index})
        assert row["began"] == sum(j.contacts[0].stage_index == index for j in journeys)


def test_chances_add_up_and_intervals_hold_them(summary):
    table = measure_stage_funnel(summary).table
    for row in table.iter_rows(named=True):
        assert row["further"] == pytest.approx(row["progress"] + row["goal"])
        assert row["further"] + row["lost"] + row["done"] <= 1 + 1e-9
        for x in ("further", "progress", "goal", "lost", "done", "open"):
            assert 0 <= row[f"{x}_low"] <= row[x] <= row[f"{x}_high"] <= 1


def test_not_yet_is_not_lost(tmp_path):
    log = []
    for i in range(100):
        log.append(contact(f"old{i}", 0, "ad"))
        if i < 60:
            log.append(contact(f"old{i}", 5, "page"))
        log.append(contact(f"new{i}", 99.5, "ad"))
    rule = journey_map(until=START + timedelta(days=100))
    made = measure_stage_funnel(make_workspace(tmp_path / "w", log, rule=rule).summary())
    awareness = made.table.row(0, named=True)
    assert awareness["further"] == pytest.approx(0.6)
    assert awareness["lost"] == pytest.approx(0.4)
    assert awareness["open"] == pytest.approx(0.5)
    assert awareness["time"] / timedelta(days=5) == pytest.approx(1, rel=0.35)


def test_a_channel_cannot_be_chosen(summary):
    with pytest.raises(InputError, match="across channels"):
        measure_stage_funnel(summary, where=Selection(channel="web"))


def test_periods_count_the_stages_entered_in_them(summary):
    parts = [
        measure_stage_funnel(summary, where=Selection(period=(p, p))).table["journeys"]
        for p in range(len(summary.periods))
    ]
    assert sum(parts).to_list() == measure_stage_funnel(summary).table["journeys"].to_list()
