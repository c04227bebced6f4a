"""Paths and exact waits, against journeys split by hand."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import groupby
from statistics import median

import numpy as np
import pytest
from journey_oracle import contact, follow, make_workspace, outcome, random_log, split

from cxlib.errors import InputError
from cxlib.measures import paths
from cxlib.measures.paths import measure_paths
from cxlib.measures.waits import measure_waits
from cxlib.sequences import OUTCOMES
from cxlib.summary import Selection


@pytest.mark.parametrize("by", ["touchpoint", "channel"])
def test_paths_match_journeys_split_by_hand(log, rule, workspace, by):
    until = max(c.at for c in log)
    there = defaultdict(list)
    for j in split(log, rule):
        names = [getattr(c, by) for c in j.contacts]
        there[tuple(k for k, _ in groupby(names))].append(j)
    found = measure_paths(workspace, by=by, top=10_000)
    assert found.paths == len(there) == len(found.table)
    assert found.others == 0
    expected = {}
    for path, journeys in there.items():
        more = len(path) - 12
        text = " → ".join(path[:12]) + (f" → … ({more} more)" if more > 0 else "")
        ends = Counter(outcome(j, rule, until) for j in journeys)
        days = [j.contacts[-1].at - j.contacts[0].at for j in journeys]
        expected[text] = (
            len(path),
            len(journeys),
            len({j.customer for j in journeys}),
            *(ends[o] for o in OUTCOMES),
            timedelta(seconds=median(d.total_seconds() for d in days)),
        )
    columns = ["contacts", "journeys", "customers", *(f"{o}_n" for o in OUTCOMES), "duration"]
    rows = {r[0]: r[1:] for r in found.table.select("path", *columns).rows()}
    assert rows == expected


def test_what_is_not_shown_is_counted(workspace):
    every = measure_paths(workspace, top=10_000)
    few = measure_paths(workspace, top=3)
    assert few.table.equals(every.table.head(3))
    assert few.others == every.paths - 3
    assert few.others_journeys == every.table["journeys"][3:].sum()
    assert few.others_share + few.table["share"].sum() == pytest.approx(1)


def test_journeys_by_outcome_add_up(workspace):
    parts = [measure_paths(workspace, outcome=o).journeys for o in OUTCOMES]
    assert sum(parts) == measure_paths(workspace).journeys
    lost = measure_paths(workspace, outcome="declined").table
    assert lost["declined_n"].to_list() == lost["journeys"].to_list()
    with pytest.raises(InputError, match="no outcome 'won'"):
        measure_paths(workspace, outcome="won")
    with pytest.raises(InputError, match="at least 1"):
        measure_paths(workspace, top=0)


def test_fingerprints_tell_paths_apart_by_order_and_length():
    """All 5,461 paths over four names up to six contacts long, each with a number of its own."""
    walks = [[]]
    codes, lengths = [], []
    for _ in range(6):
        walks = [[*w, c] for w in walks for c in range(4)]
        for w in walks:
            codes += w
            lengths.append(len(w))
    first = np.cumsum([0, *lengths])[:-1]
    found = paths._fingerprints(np.array(codes), first, np.array(lengths))
    assert len(np.unique(found)) == len(lengths) == 5460


def test_exact_waits_match_contacts_followed_by_hand(log, rule, workspace):
    seen = defaultdict(list)
    for f in follow(log, rule):
        if f.target:
            seen[f.contact.touchpoint, f.target.touchpoint].append(f)
    found = measure_waits(workspace)
    assert found.contacts == len(log)
    assert len(found.table) == len(seen)
    for r in found.table.iter_rows(named=True):
        here = seen[r["source"], r["target"]]
        assert r["n"] == len(here)
        assert r["customers"] == len({f.contact.customer for f in here})
        exact = median(f.wait / timedelta(microseconds=1) for f in here)
        assert r["wait"] / timedelta(microseconds=1) == pytest.approx(exact, abs=1)
        assert r["wait_quarter"] <= r["wait"] <= r["wait_three_quarters"]


def test_waits_of_a_part_are_those_of_its_sources(log, rule, workspace):
    found = measure_waits(workspace, by="channel", where=Selection(channel="phone", period=(1, 3)))
    here = [
        f
        for f in follow(log, rule)
        if f.contact.channel == "phone" and f.contact.at.month in (2, 3, 4)
    ]
    assert found.contacts == len(here)
    assert found.table["n"].sum() == sum(f.target is not None for f in here)
    assert set(found.table["source"]) == {"phone"}


def test_a_part_without_any_journey_gives_empty_tables(tmp_path):
    log = [contact("a", 0, "ad"), contact("b", 40, "page", channel="app")]
    made = make_workspace(tmp_path / "w", log)
    nowhere = Selection(channel="app", period=(0, 0))
    assert measure_paths(made, where=nowhere).table.is_empty()
    assert measure_waits(made, where=nowhere).table.is_empty()


def test_row_order_does_not_matter(tmp_path, rule):
    log = random_log(14, 40)
    made = [make_workspace(tmp_path / str(i), r, rule=rule) for i, r in enumerate((log, log[::-1]))]
    for measure in (measure_paths, measure_waits):
        assert measure(made[0]).table.equals(measure(made[1]).table)
