"""Ways from and to a touchpoint, against journeys split by hand."""

from collections import Counter
from itertools import groupby

import polars as pl
import pytest
from journey_oracle import contact, make_workspace, outcome, random_log, split

import cxlib as cx
from cxlib.errors import InputError, UnknownNameError
from cxlib.measures.path_tree import BEGINS, ENDS, measure_path_tree, measure_path_trees
from cxlib.summary import Selection


def ways(log, rule, start, *, forwards, depth):
    """The steps from the first contact at the start, or back from the last one, in plain loops."""
    until = max(c.at for c in log)
    for journey in split(log, rule):
        names = [name for name, _ in groupby(c.touchpoint for c in journey.contacts)]
        if start not in names:
            continue
        if forwards:
            after = [*names[names.index(start) + 1 :], ENDS[outcome(journey, rule, until)]]
        else:
            after = [*names[: len(names) - 1 - names[::-1].index(start)][::-1], BEGINS]
        yield tuple(after[:depth])


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("start", ["page", "support"])
def test_branches_match_journeys_split_by_hand(log, rule, workspace, start, forwards):
    depth = 3
    taken = list(ways(log, rule, start, forwards=forwards, depth=depth))
    counted = Counter(way[:step] for way in taken for step in range(1, len(way) + 1))
    found = measure_path_tree(workspace, start=start, forwards=forwards, depth=depth, most=1_000)
    assert found.journeys == len(taken) > 0
    told = {}
    for row in found.table.filter(pl_is_named(found)).iter_rows(named=True):
        names = row["path"].split(" → ")
        told[tuple(names[1:] if forwards else names[-2::-1])] = row["journeys"]
    few = 0.01 * len(taken)
    assert told == {
        w: n for w, n in counted.items() if n >= few or w[-1] in (*ENDS.values(), BEGINS)
    }


def pl_is_named(found):
    return found.table["end"].fill_null("") != "rarer"


@pytest.mark.parametrize("forwards", [True, False])
def test_branches_of_a_step_add_up_to_the_step_before(workspace, forwards):
    found = measure_path_tree(workspace, start="page", forwards=forwards, most=2)
    rows = found.table.rows(named=True)
    assert any(row["end"] == "rarer" for row in rows)
    for number, row in enumerate([{"step": 0, "journeys": found.journeys, "end": None}, *rows]):
        below = []
        for other in rows[number:]:
            if other["step"] <= row["step"]:
                break
            if other["step"] == row["step"] + 1:
                below.append(other)
        if below:
            assert sum(b["journeys"] for b in below) == row["journeys"]
            assert {b["of"] for b in below} == {row["journeys"]}
            assert sum(b["share"] for b in below) == pytest.approx(1)
        elif row["end"] is None:
            assert row["step"] == 3
    assert all(r["overall_low"] <= r["overall"] <= r["overall_high"] for r in rows)


def test_a_journey_counts_once_and_an_open_one_is_open(tmp_path):
    log = [
        contact("a", d, name) for d, name in enumerate(["page", "page", "basket", "page", "pay"])
    ]
    log += [contact("b", 50, "page"), contact("c", 0, "page"), contact("d", 60, "ad")]
    workspace = make_workspace(tmp_path / "shop", log)
    after = measure_path_tree(workspace, start="page", depth=1).table
    assert dict(after.select("name", "journeys").iter_rows()) == {
        "basket": 1,
        "(ends in silence)": 1,
        "(still open)": 1,
    }
    before = measure_path_tree(workspace, start="page", forwards=False, depth=1)
    assert dict(before.table.select("name", "journeys").iter_rows()) == {BEGINS: 2, "basket": 1}
    said = before.sentences()[0]
    assert said.startswith(
        "Before page comes (the journey begins) most often: in 67\N{NO-BREAK SPACE}%"
    )
    assert said.endswith("of 3 journeys")


def test_what_is_not_there_is_one_sentence(workspace):
    with pytest.raises(UnknownNameError, match=r"no touchpoint 'pag'.*Did you mean 'page'"):
        measure_path_tree(workspace, start="pag")
    with pytest.raises(InputError, match="at least 1"):
        measure_path_tree(workspace, start="page", depth=0)


def test_nobody_comes_through_where_nobody_does(tmp_path):
    log = [contact("a", 0, "page"), contact("b", 0, "support"), contact("b", 1, "ad")]
    workspace = make_workspace(tmp_path / "shop", log)
    found = measure_path_tree(workspace, start="ad", where=Selection(channel="web"))
    assert (found.journeys, found.all_journeys, len(found.table)) == (0, 1, 0)
    assert found.sentences() == ["No journey comes through ad in this selection"]
    assert len(cx.plot(found).data[0].ids) == 1


def test_the_figure_has_every_branch_under_its_own(tmp_path):
    workspace = make_workspace(tmp_path / "shop", random_log(3))
    found = measure_path_tree(workspace, start="page", depth=2)
    trace = cx.plot(found).data[0]
    below = Counter()
    for parent, value in zip(trace.parents, trace.values, strict=True):
        below[parent] += value
    total = dict(zip(trace.ids, trace.values, strict=True))
    assert below.pop("") == found.journeys
    assert all(below[parent] == total[parent] for parent in below)


@pytest.mark.parametrize("forwards", [True, False])
def test_the_trees_of_all_touchpoints_are_those_of_each(log, rule, workspace, forwards):
    found = measure_path_trees(workspace, depth=2).table
    for start in {c.touchpoint for c in log}:
        taken = list(ways(log, rule, start, forwards=forwards, depth=2))
        counted = Counter(way[:step] for way in taken for step in range(1, len(way) + 1))
        here = found.filter(
            pl.col("start") == start, pl.col("direction") == ("after" if forwards else "before")
        )
        told = {}
        for row in here.iter_rows(named=True):
            names = row["path"].split(" → ")
            way = tuple(names[1:] if forwards else names[-2::-1])
            told[way] = row["journeys"]
            assert row["before"] == (counted[way[:-1]] if way[:-1] else len(taken))
            assert row["share"] == pytest.approx(row["journeys"] / row["before"])
        assert told == counted
        one = measure_path_tree(workspace, start=start, forwards=forwards, depth=2, most=1_000)
        order = one.table.filter(pl.col("end").ne_missing("rarer"))["path"].to_list()
        assert [p for p in here["path"].to_list() if p in set(order)] == order
