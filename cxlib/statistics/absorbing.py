r"""Absorbing Markov chains on counts: where journeys end, how long they take, what changes do.

Moves are counts ``[…, 1 + S, S + E]``: rows are the start and S states, columns the S states and E
ends; any axes before them (left-out buckets, settings of a slider) are solved in one call.

.. math:: N = (I - Q)^{-1}, \quad \text{ends} = s N R, \quad \text{time} = s N \, \text{diag}(P w')

with the moves Q among states, R to ends and s from the start. Kemeny & Snell (1976), Finite Markov
Chains, chapter 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.resampling import Estimates

Moves = NDArray[np.float64]


def transition_shares(moves: Moves) -> Estimates:
    """Shares of each row's moves; a state that nobody leaves counts as left to the last end."""
    total = moves.sum(axis=-1, keepdims=True)
    shares = np.divide(moves, total, out=np.zeros_like(moves), where=total > 0)
    shares[..., -1] += total[..., 0] <= 0
    return shares


def visits(shares: Estimates) -> Estimates:
    """Expected visits of each state per journey, ``[…, S]``."""
    states = shares.shape[-2] - 1
    among = shares[..., 1:, :states]
    left: Estimates = np.eye(states) - np.swapaxes(among, -1, -2)
    found = np.linalg.solve(left, shares[..., 0, :states, None])[..., 0]
    return np.asarray(found, dtype=np.float64)


def end_shares(shares: Estimates) -> Estimates:
    """Share of journeys that end in each end, ``[…, E]``."""
    states = shares.shape[-2] - 1
    ends: Estimates = np.einsum("...s,...se->...e", visits(shares), shares[..., 1:, states:])
    return ends + shares[..., 0, states:]


def expected_sums(shares: Estimates, per_move: Estimates) -> Estimates:
    """Expected sum over a journey of what every move brings (time, cost): their means by move."""
    brought = (shares * per_move).sum(axis=-1)
    inside: Estimates = np.asarray((visits(shares) * brought[..., 1:]).sum(axis=-1))
    return inside + brought[..., 0]


def removal_effects(shares: Estimates, *, end: int, lost: int) -> Estimates:
    r"""Share of the journeys that end in `end` which would be lost if a state were taken out.

    .. math:: 1 - P(\text{end} \mid \text{whoever comes to the state is lost}) / P(\text{end})

    ``[…, S]``; NaN where no journey ends there. Anderl et al. (2016),
    doi:10.1016/j.ijresmar.2016.03.001
    """
    states = shares.shape[-2] - 1
    whole = end_shares(shares)[..., end]
    without = []
    for state in range(states):
        # all that the state's visitors would have done becomes a move to the end of the lost
        away = shares.copy()
        away[..., 1 + state, :] = 0.0
        away[..., 1 + state, states + lost] = 1.0
        without.append(end_shares(away)[..., end])
    left = np.stack(without, axis=-1)
    base = np.broadcast_to(whole[..., None], left.shape)
    kept = np.divide(left, base, out=np.full(left.shape, np.nan), where=base > 0)
    return 1 - kept
