"""Suspected losses: what is planted on the only way to a touchpoint is named, what is alike not."""

import numpy as np
import polars as pl
import pytest

from cxlib.opportunities.moves import Moves
from cxlib.opportunities.suspects import find_suspects

STEPS = ["landing", "list", "item", "cart", "address", "delivery", "payment", "pay"]
STAGE = [0, 1, 1, 2, 2, 2, 2, 3]
LANDING, LIST, ITEM, CART, ADDRESS, DELIVERY, PAYMENT, PAY = range(8)


def places():
    return pl.DataFrame(
        {
            "touchpoint": STEPS,
            "stage_index": pl.Series(STAGE, dtype=pl.UInt8),
            "initiated_by": ["customer"] * 8,
            "is_goal": [name == "pay" for name in STEPS],
            "is_lost": [False] * 8,
        }
    )


def hub(leave):
    """Contacts come to a list by six ways; of each so many leave there as `leave` says."""
    moves, rows = funnel(), []
    for way, share in enumerate(leave):
        rows += [(way, LIST, -2, round(500 * share)), (way, LIST, CART, round(500 * (1 - share)))]
    more = pl.DataFrame(rows, schema=["before", "place", "next", "n"], orient="row")
    more = more.with_columns(wait=60.0, seconds=60.0, amount=0.0, bucket=0)
    table = pl.concat([moves.table, more.select(moves.table.columns).cast(moves.table.schema)])
    return Moves(table, moves.starts, moves.waits, moves.places, None)


def funnel(*, leave=None, aside=None, waits=None):
    """Ten thousand journeys straight down; at each step a tenth leave, or as many as `leave` says,
    and some go to a place aside: ``aside[step] = (place, share)``.
    """
    leave, aside, waits = leave or {}, aside or {}, waits or {}
    rows, n, before = [], 10_000.0, len(STEPS)
    for step in range(PAY):
        gone = n * leave.get(step, 0.1)
        place, share = aside.get(step, (LANDING, 0.0))
        off = n * share
        onward = n - gone - off
        told = [(-2, gone), (place, off), (-1 if step + 1 == PAY else step + 1, onward)]
        rows += [(before, step, to, round(x), waits.get((step, to), 60.0)) for to, x in told if x]
        n, before = onward, step
    table = pl.DataFrame(rows, schema=["before", "place", "next", "n", "wait"], orient="row")
    table = table.with_columns(seconds=pl.col("n") * pl.col("wait"), amount=0.0, bucket=0)
    starts = pl.DataFrame({"bucket": [0], "next": [LANDING], "n": [10_000], "amount": [0.0]})
    return Moves(table, starts, table.head(0), places(), None)


def test_a_funnel_whose_steps_are_alike_gives_no_suspects():
    assert find_suspects(funnel()) == []


@pytest.mark.parametrize("step", [ADDRESS, DELIVERY, PAYMENT])
def test_what_leaves_on_the_only_way_to_a_step_is_named_with_what_it_costs(step):
    moves = funnel(leave={step: 0.4})
    [first, *others] = find_suspects(moves)
    assert (first["source"], first["target"]) == (STEPS[step - 1], STEPS[step])
    assert (first["kind"], others) == ("leave", [])
    assert first["observed"] == pytest.approx(0.4, abs=1e-3)
    assert first["expected"] == pytest.approx(0.1, abs=0.01)
    # thirty more of a hundred leave, and of those who go on 0.9 a step would have come to the goal
    lost = 10_000 * 0.9**step * 0.3 * 0.9 ** (PAY - 1 - step)
    assert 0 < first["low"] < lost < first["high"]
    assert first["gain"] == pytest.approx(lost, rel=0.02)


def test_those_sent_back_count_by_what_the_goal_is_less_likely_there():
    moves = funnel(aside={DELIVERY: (LIST, 0.3)})
    [first, *_] = find_suspects(moves)
    assert (first["source"], first["target"]) == ("address", "delivery")
    assert first["kind"] == "aside"
    assert 0 < first["low"] < first["gain"] < first["affected"]


def test_a_loss_beside_a_planned_handoff_that_leaves_and_goes_aside_is_the_plans():
    moves = funnel(leave={PAYMENT: 0.3}, aside={PAYMENT: (LANDING, 0.2)})
    [first, *_] = find_suspects(moves, [("payment", "pay")])
    assert (first["source"], first["target"], first["kind"]) == ("payment", "pay", "unplanned")
    [unplanned, *_] = find_suspects(moves)
    assert (unplanned["source"], unplanned["target"]) == ("delivery", "payment")


def test_who_begins_with_an_ad_has_not_been_lost_by_it():
    assert find_suspects(funnel(leave={LANDING: 0.7})) == []


def test_journeys_that_could_not_be_watched_are_counted_as_well():
    moves = funnel(leave={DELIVERY: 0.4})
    twice = Moves(moves.table, moves.starts.with_columns(n=20_000), moves.waits, moves.places, None)
    gains = [find_suspects(m)[0]["gain"] for m in (moves, twice)]
    assert gains[1] == pytest.approx(2 * gains[0])


def test_company_contacts_and_losses_of_the_map_are_not_compared_with_the_others():
    moves = funnel(leave={DELIVERY: 0.4})
    named = np.array(STEPS) == "delivery"
    sent = moves.places.with_columns(
        initiated_by=pl.when(pl.Series(named)).then(pl.lit("company")).otherwise("initiated_by")
    )
    ended = moves.places.with_columns(is_lost=pl.Series(named))
    for told in (sent, ended):
        assert find_suspects(Moves(moves.table, moves.starts, moves.waits, told, None)) == []


@pytest.mark.parametrize("seed", range(6))
def test_what_lies_within_the_natural_variety_of_a_stage_may_gain_nothing(seed):
    rng = np.random.default_rng(seed)
    own = {step: 0.12 * float(np.exp(rng.normal(0, 0.35))) for step in range(1, PAY)}
    assert all(row["low"] == 0 < row["gain"] for row in find_suspects(funnel(leave=own)))


def test_where_more_leave_by_whichever_way_they_came_that_may_be_by_nature():
    ways = [0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
    by_all = next(row for row in find_suspects(hub(ways)) if "list" in (row["source"]))
    assert (by_all["target"], by_all["of_way"]) == (None, False)
    assert by_all["low"] == 0 < by_all["gain"]
    assert by_all["worth"] == by_all["likely"] / 4
    # of one way among several it is a loss of that way
    ways = [0.1, 0.1, 0.7, 0.1, 0.1, 0.1]
    by_one = next(row for row in find_suspects(hub(ways)) if row["target"] == "list")
    assert (by_one["source"], by_one["of_way"]) == ("item", True)
    assert by_one["worth"] == by_one["likely"] > 0


def test_few_touchpoints_that_differ_much_say_little_of_what_is_natural():
    few = {CART: 0.02, ADDRESS: 0.25, DELIVERY: 0.08, PAYMENT: 0.6}
    alike = {CART: 0.1, ADDRESS: 0.1, DELIVERY: 0.1, PAYMENT: 0.6}
    apart, beside = (
        next(row for row in find_suspects(funnel(leave=leave)) if row["target"] == "payment")
        for leave in (few, alike)
    )
    assert apart["low"] == 0 < beside["low"]
