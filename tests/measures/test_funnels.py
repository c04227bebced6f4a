"""Funnels over chosen steps, against greedy loops over journeys split by hand."""

from datetime import timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journey_oracle import START, contact, journey_map, make_workspace, random_log, split

from cxlib.errors import InputError, UnknownNameError
from cxlib.measures.funnels import first_completions, measure_funnel
from cxlib.summary import Selection


def takes(contacts, steps, within=None):
    """Whether some contacts, in order, are the steps and fit into the time: by trying them all."""
    for chosen in combinations(contacts, len(steps)):
        fits = within is None or chosen[-1].at - chosen[0].at <= within
        if fits and all(c.touchpoint == s for c, s in zip(chosen, steps, strict=True)):
            return True
    return False


def by_step(found, column):
    return found.table[column].to_list()


STEPS = ["ad", "page", "basket", "pay"]


@pytest.mark.parametrize("within", [None, timedelta(days=3), timedelta(days=20)])
def test_counts_match_trying_every_choice_of_contacts(log, rule, workspace, within):
    journeys = split(log, rule)
    found = measure_funnel(workspace, steps=STEPS[:3], within=within)
    for k in range(1, 4):
        there = [j for j in journeys if takes(j.contacts, STEPS[:k], within)]
        assert by_step(found, "journeys")[k - 1] == len(there)
        assert by_step(found, "customers")[k - 1] == len({j.customer for j in there})
    assert found.journeys == len(journeys)
    assert found.customers == len({c.customer for c in log})


def test_the_last_occurrence_does_not_hide_a_conversion(tmp_path):
    log = [contact("x", 0, "ad"), contact("x", 1, "page"), contact("x", 2, "ad")]
    found = measure_funnel(make_workspace(tmp_path / "w", log), steps=["ad", "page"])
    assert by_step(found, "journeys") == [1, 1]


def test_a_first_step_too_early_does_not_hide_a_later_one_in_time(tmp_path):
    log = [contact("x", 0, "ad"), contact("x", 9, "ad"), contact("x", 10, "page")]
    made = make_workspace(tmp_path / "w", log)
    assert by_step(
        measure_funnel(made, steps=["ad", "page"], within=timedelta(days=2)), "journeys"
    ) == [1, 1]


def test_the_same_step_twice_needs_two_contacts(tmp_path):
    log = [contact("x", 0, "ad"), contact("y", 0, "ad"), contact("y", 1, "ad")]
    found = measure_funnel(make_workspace(tmp_path / "w", log), steps=["ad", "ad"])
    assert by_step(found, "journeys") == [2, 1]


paths = st.lists(st.sampled_from("ABC"), min_size=1, max_size=8)


@given(
    st.lists(paths, min_size=1, max_size=6),
    st.lists(st.sampled_from("ABC"), min_size=1, max_size=4),
)
@settings(max_examples=150)
def test_greedy_rows_match_a_plain_loop(walks, steps):
    begin = np.repeat(np.cumsum([0, *map(len, walks)])[:-1], [len(w) for w in walks])
    letters = np.array([x for w in walks for x in w])
    found = first_completions(
        np.arange(len(letters)), begin, np.stack([letters == s for s in steps]), None
    )
    expected = [[] for _ in steps]
    at = 0
    for walk in walks:
        k = 0
        for i, letter in enumerate(walk):
            if k < len(steps) and letter == steps[k]:
                expected[k].append(at + i)
                k += 1
        at += len(walk)
    assert [rows.tolist() for rows in found] == expected


def test_not_yet_is_not_lost(tmp_path):
    """30 of 60 old journeys take the step after 10 days, 60 are a day old: 50 %, not 25 %."""
    log = []
    for i in range(60):
        log.append(contact(f"old{i}", 0, "ad"))
        if i % 2:
            log.append(contact(f"old{i}", 10, "page"))
        log.append(contact(f"new{i}", 99, "ad"))
    rule = journey_map(until=START + timedelta(days=100))
    made = make_workspace(tmp_path / "w", log, rule=rule)
    found = measure_funnel(made, steps=["ad", "page", "pay"]).table
    first, second, _ = found.iter_rows(named=True)
    assert first["journeys"] == 120
    assert (first["open_n"], first["silent_n"], first["declined_n"], first["done_n"]) == (
        60,
        30,
        0,
        0,
    )
    assert second["rate"] == pytest.approx(0.5)
    assert second["rate_low"] < 0.5 < second["rate_high"]
    assert second["share"] == pytest.approx(0.25)
    assert second["time"] / timedelta(days=10) == pytest.approx(1, rel=0.35)
    assert first["rate"] is None


def test_what_stops_a_journey_adds_up(workspace):
    table = measure_funnel(workspace, steps=STEPS).table
    rows = list(table.iter_rows(named=True))
    for here, onward in pairwise(rows):
        stopped = sum(here[f"{k}_n"] for k in ("declined", "silent", "done", "open"))
        assert here["journeys"] - onward["journeys"] == stopped
    assert rows[-1]["open_n"] is None
    for x in ("share", "rate"):
        for value, low, high in table.select(x, f"{x}_low", f"{x}_high").drop_nulls().rows():
            assert 0 <= low <= value <= high <= 1


def test_steps_may_be_stages_and_channels(log, rule, workspace):
    journeys = split(log, rule)
    stages = measure_funnel(workspace, steps=["exploration", "stage:conversion"])
    there = [j for j in journeys if any(c.stage == "exploration" for c in j.contacts)]
    assert by_step(stages, "journeys")[0] == len(there)
    phone = measure_funnel(workspace, steps=["channel: phone"])
    there = [j for j in journeys if any(c.channel == "phone" for c in j.contacts)]
    assert by_step(phone, "journeys") == [len(there)]
    assert measure_funnel(workspace, steps=["phone"]).table["journeys"].to_list() == [len(there)]


def test_a_step_of_the_map_that_never_happened_is_zero_and_an_unknown_one_an_error(tmp_path):
    made = make_workspace(tmp_path / "w", [contact("x", 0, "ad")])
    found = measure_funnel(made, steps=["ad", "pay"])
    assert by_step(found, "journeys") == [1, 0]
    assert by_step(found, "share")[1] == 0
    with pytest.raises(UnknownNameError, match=r"there is no step 'payy'.*Did you mean 'pay'"):
        measure_funnel(made, steps=["ad", "payy"])
    with pytest.raises(InputError, match="at least one step"):
        measure_funnel(made, steps=[])
    with pytest.raises(InputError, match="positive time"):
        measure_funnel(made, steps=["ad"], within=timedelta(0))


def test_a_selection_chooses_journeys_by_their_first_contact(log, rule, workspace):
    journeys = [
        j
        for j in split(log, rule)
        if j.contacts[0].channel == "store" and j.contacts[0].at.month in (1, 2)
    ]
    found = measure_funnel(
        workspace, steps=["page"], where=Selection(channel="store", period=(0, 1))
    )
    assert found.journeys == len(journeys)
    assert by_step(found, "journeys") == [sum(takes(j.contacts, ["page"]) for j in journeys)]
    with pytest.raises(UnknownNameError, match="no channel 'stoer'"):
        measure_funnel(workspace, steps=["page"], where=Selection(channel="stoer"))
    with pytest.raises(InputError, match="outside the log"):
        measure_funnel(workspace, steps=["page"], where=Selection(period=(0, 99)))
    with pytest.raises(UnknownNameError, match="segment dimension"):
        measure_funnel(workspace, steps=["page"], where=Selection(segment=("age", "old")))


def test_row_order_does_not_matter(tmp_path, rule):
    log = random_log(12, 40)
    both = [
        measure_funnel(make_workspace(tmp_path / str(i), rows, rule=rule), steps=STEPS).table
        for i, rows in enumerate((log, log[::-1]))
    ]
    assert both[0].equals(both[1])
