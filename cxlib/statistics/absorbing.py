r"""Absorbing Markov chains on counts: where journeys end, how long they take, what changes do.

A chain is given as counted moves: rows are the start and S states, columns the S states and E ends.

.. math:: N = (I - Q)^{-1}, \quad \text{ends} = s N R, \quad \text{time} = s N \, \text{diag}(P w')

with the moves Q among states, R to ends and s from the start. Any number of axes may come before
the two of the moves: one solution for every left-out bucket of customers, or every setting of a
slider, costs one call.

References
----------
Kemeny & Snell (1976), Finite Markov Chains, chapter 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.resampling import Estimates

__all__ = [
    "end_shares",
    "expected_sums",
    "redirect",
    "removal_effects",
    "transition_shares",
    "visits",
]

Moves = NDArray[np.float64]


def transition_shares(moves: Moves) -> Estimates:
    """Shares of each row's moves; a state that nobody leaves counts as left to the last end.

    Parameters
    ----------
    moves
        ``[..., 1 + S, S + E]`` counts of moves: row 0 from the start, row 1 + i from state i.

    Examples
    --------
    >>> transition_shares(np.array([[3.0, 1.0], [0.0, 0.0]])).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    total = moves.sum(axis=-1, keepdims=True)
    shares = np.divide(moves, total, out=np.zeros_like(moves), where=total > 0)
    shares[..., -1] += total[..., 0] <= 0
    return shares


def visits(shares: Estimates) -> Estimates:
    """Expected visits of each state per journey, ``[..., S]``.

    Parameters
    ----------
    shares
        What `transition_shares` gives.

    Examples
    --------
    A state that half of its visitors come back to is visited twice:

    >>> visits(transition_shares(np.array([[4.0, 0.0], [4.0, 4.0]]))).tolist()
    [2.0]
    """
    states = shares.shape[-2] - 1
    among = shares[..., 1:, :states]
    left: Estimates = np.eye(states) - np.swapaxes(among, -1, -2)
    found = np.linalg.solve(left, shares[..., 0, :states, None])[..., 0]
    return np.asarray(found, dtype=np.float64)


def end_shares(shares: Estimates) -> Estimates:
    """Share of journeys that end in each end, ``[..., E]``.

    Examples
    --------
    >>> moves = np.array([[10.0, 0, 0], [0, 3, 7]])
    >>> end_shares(transition_shares(moves)).round(9).tolist()
    [0.3, 0.7]
    """
    states = shares.shape[-2] - 1
    ends: Estimates = np.einsum("...s,...se->...e", visits(shares), shares[..., 1:, states:])
    return ends + shares[..., 0, states:]


def expected_sums(shares: Estimates, per_move: Estimates) -> Estimates:
    """Expected sum over a journey of something that every move brings: time, cost, contacts.

    Parameters
    ----------
    shares
        What `transition_shares` gives.
    per_move
        ``[..., 1 + S, S + E]`` mean of what a move brings. Mean waits suffice for the mean time
        of a semi-Markov journey; where waits are censored they have to be restricted means.

    Examples
    --------
    >>> shares = transition_shares(np.array([[4.0, 0.0], [4.0, 4.0]]))
    >>> float(expected_sums(shares, np.array([[0.0, 0.0], [3.0, 1.0]])))
    4.0
    """
    brought = (shares * per_move).sum(axis=-1)
    inside: Estimates = np.asarray((visits(shares) * brought[..., 1:]).sum(axis=-1))
    return inside + brought[..., 0]


def removal_effects(shares: Estimates, *, end: int, lost: int) -> Estimates:
    r"""What share of the journeys that end in `end` would be lost if a state were taken out.

    .. math:: 1 - P(\text{end} \mid \text{whoever comes to the state is lost}) / P(\text{end})

    Parameters
    ----------
    shares
        What `transition_shares` gives.
    end, lost
        Number of the end that counts, and of the end that those sent away go to.

    Returns
    -------
    numpy.ndarray
        ``[..., S]``; NaN where no journey ends there.

    References
    ----------
    Anderl et al. (2016), Mapping the customer journey. doi:10.1016/j.ijresmar.2016.03.001

    Examples
    --------
    >>> moves = np.array([[5.0, 5, 0, 0], [0, 0, 2, 3], [0, 0, 3, 2]])
    >>> removal_effects(transition_shares(moves), end=0, lost=1).round(9).tolist()
    [0.4, 0.6]
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


def redirect(shares: Estimates, *, source: int, column: int, share: float) -> Estimates:
    """Give one move of a state another share; its other moves make room in proportion.

    Parameters
    ----------
    shares
        What `transition_shares` gives.
    source
        Row of the move: 0 the start, 1 + i state i.
    column
        Its column: a state, or S + an end.
    share
        The new share, 0 to 1.

    Examples
    --------
    >>> shares = np.array([[0.0, 1.0, 0.0], [0.2, 0.2, 0.6]])
    >>> redirect(shares, source=1, column=2, share=0.2)[1].tolist()
    [0.4, 0.4, 0.2]
    """
    changed = shares.copy()
    old = shares[..., source, column]
    rest = np.divide(1 - share, 1 - old, out=np.zeros_like(old), where=old < 1)
    changed[..., source, :] *= rest[..., None]
    changed[..., source, column] = np.where(old < 1, share, 1.0)
    return changed
