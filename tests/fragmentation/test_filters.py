"""One definition of a transition: the summary, loops in plain Python and the findings agree."""

from collections import Counter
from datetime import timedelta

import polars as pl
import pytest
from fragmentation.walks import count, walk_log
from journey_oracle import journey_map, make_workspace, random_log, split

from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation import measure_fragmentation, read_arrivals
from cxlib.fragmentation.by_period import FILTERS
from cxlib.measures.transitions import measure_transitions
from cxlib.summary import Selection

RULES = {
    "gap": journey_map(),
    "no gap": journey_map(gap=None),
    "one journey": journey_map(gap=timedelta(days=12), restart=False),
}


def both_counts(workspace, where=None):
    """Transitions by touchpoint and channel, as each of the two counts them."""
    found = measure_transitions(workspace.summary(), by="place", where=where).table
    arrivals = read_arrivals(workspace).select(where)
    summed = arrivals.transitions.group_by("source", "target").agg(pl.col("transitions").sum())
    return tuple(
        {row[:2]: row[2] for row in table.select("source", "target", n).iter_rows()}
        for table, n in ((found, "n"), (summed, "transitions"))
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_transitions_are_the_same_wherever_they_are_counted(tmp_path, rule, seed):
    log = random_log(seed)
    people = pl.DataFrame({"customer": [f"c{i:03}" for i in range(0, 60, 2)], "kind": "even"})
    workspace = make_workspace(tmp_path / "ws", log, rule=RULES[rule], customers=people)
    oracle = Counter()
    for journey in split(log, RULES[rule]):
        for before, after in zip(journey.contacts, journey.contacts[1:], strict=False):
            oracle[before.touchpoint, before.channel, after.touchpoint, after.channel] += 1
    ours, theirs = both_counts(workspace)
    place = workspace.places.select("touchpoint", "channel").rows()
    assert {(*place[s], *place[t]): n for (s, t), n in ours.items()} == dict(oracle)
    assert theirs == ours
    last = len(workspace.periods) - 1
    for where in (
        Selection(segment=("kind", "even")),
        Selection(period=(1, last)),
        Selection(segment=("kind", "unknown"), period=(0, 1)),
    ):
        ours, theirs = both_counts(workspace, where)
        assert theirs == ours
        assert 0 < sum(ours.values()) < sum(oracle.values())


def test_every_row_of_the_findings_says_why_not_all_transitions_count():
    arrivals = count(walk_log(3, fault=("ping_pong", 5, 8), customers=4_000))
    found = measure_fragmentation(arrivals)
    summed = {
        row[:2]: row[2]
        for row in arrivals.transitions.group_by("source", "target")
        .agg(pl.col("transitions").sum())
        .iter_rows()
    }
    signals, removed_by = set(), Counter()
    for row in found.to_dicts():
        if row["ground"] != "like":  # a wait or a date is of one group, or of one time
            continue
        removed = {f["filter"]: f["removed"] for f in row["filters"]}
        assert row["transitions"] == summed[row["source_place"], row["target_place"]]
        assert row["n"] + sum(removed.values()) == row["transitions"]
        assert min(removed.values(), default=1) > 0
        assert set(removed) <= set(FILTERS)
        signals.add(row["signal"])
        removed_by.update(removed)
    assert {"abandonment", "delay", "ping_pong", "perception_dip"} <= signals
    assert {"not_followed", "not_rated", "nothing_after", "itself_a_return"} <= set(removed_by)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        (Selection(channel="webb"), UnknownNameError),
        (Selection(segment=("persona", "x")), UnknownNameError),
        (Selection(period=(0, 999)), InputError),
    ],
)
@pytest.mark.parametrize("customers", [4_000, 100])
def test_a_wrong_name_is_an_error_and_never_an_answer(where, error, customers):
    with pytest.raises(error):
        measure_fragmentation(count(walk_log(3, customers=customers)), where=where)
