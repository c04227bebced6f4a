"""Absorbing chains: equal to journeys walked one by one, and to counting by hand."""

import numpy as np
import pytest

from cxlib.statistics.absorbing import (
    end_shares,
    expected_sums,
    removal_effects,
    transition_shares,
    visits,
)

RNG = np.random.default_rng(11)
MOVES = RNG.integers(1, 40, (5, 6)).astype(float)  # start and 4 states; 4 states and 2 ends
WAITS = RNG.uniform(1, 9, (5, 6))


def walk(shares: np.ndarray, journeys: int, away: int | None = None) -> tuple[np.ndarray, ...]:
    """Walk journeys step by step: shares of ends, mean visits, mean time."""
    states = shares.shape[0] - 1
    rng = np.random.default_rng(3)
    ends, seen, time = np.zeros(shares.shape[1] - states), np.zeros(states), 0.0
    at = np.zeros(journeys, dtype=int)
    cumulated = shares.cumsum(axis=1)
    while len(at):
        to = (rng.random(len(at))[:, None] > cumulated[at]).sum(axis=1)
        time += WAITS[at, to].sum()
        if away is not None:
            to = np.where(to == away, states + 1, to)
        inside = to < states
        seen += np.bincount(to[inside], minlength=states)
        ends += np.bincount(to[~inside] - states, minlength=len(ends))
        at = to[inside] + 1
    return ends / journeys, seen / journeys, np.array(time / journeys)


def test_the_chain_equals_journeys_walked_one_by_one() -> None:
    shares = transition_shares(MOVES)
    ends, seen, time = walk(shares, 200_000)
    assert end_shares(shares) == pytest.approx(ends, abs=0.005)  # 4 standard errors of a share
    assert visits(shares) == pytest.approx(seen, rel=0.02)
    assert expected_sums(shares, WAITS) == pytest.approx(time, rel=0.02)


def test_a_state_taken_out_loses_whoever_comes_to_it() -> None:
    shares = transition_shares(MOVES)
    effects = removal_effects(shares, end=0, lost=1)
    whole = walk(shares, 200_000)[0][0]
    for state in range(4):
        without = walk(shares, 200_000, away=state)[0][0]
        assert effects[state] == pytest.approx(1 - without / whole, abs=0.02)


def test_ends_add_up_and_counts_are_solved_together() -> None:
    many = RNG.integers(0, 30, (7, 5, 6)).astype(float)
    together = end_shares(transition_shares(many))
    assert together.sum(axis=-1) == pytest.approx(np.ones(7))
    for k in range(7):
        assert together[k] == pytest.approx(end_shares(transition_shares(many[k])))


def test_a_state_that_nobody_leaves_is_no_error() -> None:
    moves = MOVES.copy()
    moves[2] = 0
    shares = end_shares(transition_shares(moves))
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(1)
