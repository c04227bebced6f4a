"""What happens next, and when, if the log ends before all has happened: competing risks on binned
times.

A contact may be followed by another contact, by silence, by the goal or by a loss: each of these
*causes* keeps the others from happening. Where the log ends before any of them, the contact is
*censored*: "not yet" is not "no". Counting shares would call it lost; leaving it out would favour
what happens soon. The estimators here do neither.

Times come as counts per bin. A time inside a bin is read as spread evenly over the logarithm of
time, and a censoring as spread evenly over its bin. Arrays are ``[..., causes, bins]`` and ``[...,
bins]``; any axes before (cells, buckets) are carried along, so that the estimates without one
bucket each come from the same call.

References
----------
Kaplan & Meier (1958), Nonparametric estimation from incomplete observations.
doi:10.1080/01621459.1958.10501452 Aalen & Johansen (1978), An empirical transition matrix for
non-homogeneous Markov chains based on censored observations. Putter, Fiocco & Geskus (2007),
Tutorial in biostatistics: competing risks and multi-state models. doi:10.1002/sim.2712
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.rates import Interval, rate_interval
from cxlib.statistics.resampling import (
    Counts,
    Estimates,
    effective_buckets,
    jackknife_se,
    leave_one_out,
)

__all__ = [
    "Risks",
    "at_time",
    "cumulative_incidence",
    "incidence_interval",
    "incidence_of_some",
    "risks",
]


@dataclass(frozen=True, slots=True, eq=False)
class Risks:
    """What every cumulative incidence of one group shares.

    Attributes
    ----------
    at_risk
        Still without any event or censoring in the bin ``[..., bins]``.
    survival
        Kaplan-Meier share without any event at the end of the bin ``[..., bins]``.
    weight
        Survival at the start of the bin over the number at risk ``[..., bins]``: what one event
        in this bin adds to the cumulative incidence of its cause.
    """

    at_risk: Counts
    survival: Estimates
    weight: Estimates


def risks(events: Counts, censored: Counts, *, evenly: bool = True) -> Risks:
    """Number at risk, survival and weight of an event, from events of any cause and censorings.

    Parameters
    ----------
    events
        Events of all causes together ``[..., bins]``.
    censored
        Censorings ``[..., bins]``.
    evenly
        Take the censorings as spread evenly over their bin, so that half of them are at risk in it
        (life table). False: as after every event of their bin, which is exact where a bin is one
        instant, and too low in wide bins. The first bin always is an instant.

    References
    ----------
    Cutler & Ederer (1958), Maximum utilization of the life table method in analyzing survival.
    doi:10.1016/0021-9681(58)90126-7

    Examples
    --------
    >>> found = risks(np.array([1.0, 0.0, 1.0]), np.array([0.0, 2.0, 0.0]))
    >>> found.at_risk.tolist(), found.survival.tolist()
    ([4.0, 2.0, 1.0], [0.75, 0.75, 0.0])
    """
    leaving = events + censored
    at_risk = np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1]
    if evenly:
        at_risk[..., 1:] -= censored[..., 1:] / 2
    hazard = np.divide(events, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    survival = np.cumprod(1 - hazard, axis=-1)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    weight = np.divide(before, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    return Risks(at_risk, survival, weight)


def cumulative_incidence(events: Counts, censored: Counts, *, evenly: bool = True) -> Estimates:
    r"""Aalen-Johansen estimate: probability that the cause has happened by the end of the bin.

    .. math:: F_k(t) = \sum_{s \le t} \hat S(s-) \frac{d_k(s)}{Y(s)}

    Parameters
    ----------
    events
        Events ``[..., causes, bins]``; all causes that can happen.
    censored
        Censorings ``[..., bins]``.
    evenly
        See `risks`.

    Returns
    -------
    numpy.ndarray
        ``[..., causes, bins]``. Over the causes it adds up to one minus Kaplan-Meier survival.

    Examples
    --------
    Of four contacts one goes on in the first bin, two are censored in it, and the last falls
    silent in the second:

    >>> cumulative_incidence(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, 0.0])).tolist()
    [[0.25, 0.25], [0.0, 0.75]]
    """
    found = risks(events.sum(axis=-2), censored, evenly=evenly)
    return np.cumsum(events * found.weight[..., None, :], axis=-1)


def incidence_of_some(events: Counts, shared: Risks) -> Estimates:
    """Cumulative incidence ``[..., bins]`` of one cause among many, given what its group shares.

    For causes too many to lie dense on an axis (the targets of every touchpoint): ``events`` has
    one row per cause, and ``shared`` the matching rows of the group's `Risks`.

    Examples
    --------
    >>> shared = risks(np.array([2.0, 1.0]), np.array([1.0, 0.0]))
    >>> incidence_of_some(np.array([1.0, 0.0]), shared).tolist()
    [0.25, 0.25]
    """
    return np.cumsum(events * shared.weight, axis=-1)


def at_time(curve: Estimates, edges: ArrayLike, seconds: float) -> Estimates:
    """Value of a cumulative curve ``[..., bins]`` at one time.

    Parameters
    ----------
    curve
        Cumulative incidence (or survival) at the end of every bin.
    edges
        Where each bin begins, in seconds, increasing: bin i holds the times from ``edges[i]`` to
        just below ``edges[i + 1]``. The first bin is taken as one instant, the last is open.
    seconds
        The time asked for. Inside a bin the curve is read as even over the logarithm of time; the
        open bin counts at an infinite time only.

    Returns
    -------
    numpy.ndarray
        The curve without its last axis.

    Examples
    --------
    >>> at_time(np.array([0.0, 0.4, 0.6]), [0.0, 10.0, 1000.0], 100.0).round(6).item()
    0.2
    """
    starts = np.asarray(edges, dtype=np.float64)
    index = int(np.searchsorted(starts, seconds, side="right")) - 1
    if np.isinf(seconds) or index <= 0:
        return curve[..., -1 if np.isinf(seconds) else 0]
    if index == len(starts) - 1:
        return curve[..., -2]
    share = np.log(seconds / starts[index]) / np.log(starts[index + 1] / starts[index])
    return curve[..., index - 1] + share * (curve[..., index] - curve[..., index - 1])


def incidence_interval(
    events: Counts,
    censored: Counts,
    *,
    edges: ArrayLike,
    seconds: float = np.inf,
    customers: ArrayLike | None = None,
) -> Interval:
    """Cumulative incidence of every cause by ``seconds``, with its interval over customers.

    Parameters
    ----------
    events
        ``[cells, buckets, causes, bins]``.
    censored
        ``[cells, buckets, bins]``.
    edges
        Where each bin begins, in seconds (see `at_time`).
    seconds
        The time by which the cause has to have happened.
    customers
        Distinct customers ``[cells]``, where known.

    Returns
    -------
    Interval
        ``[cells, causes]``; NaN for a cell that nobody is in.

    Examples
    --------
    >>> events = np.zeros((1, 32, 2, 2))
    >>> events[0, :16, 0, 1], events[0, 16:, 1, 1] = 1, 1
    >>> found = incidence_interval(events, np.zeros((1, 32, 2)), edges=[0.0, 1.0])
    >>> found.estimate.tolist(), found.low.round(2).tolist(), found.high.round(2).tolist()
    ([[0.5, 0.5]], [[0.33, 0.33]], [[0.67, 0.67]])
    """
    per_bucket = events.sum(axis=(-1, -2)) + censored.sum(axis=-1)
    n = per_bucket.sum(axis=1)
    whole = cumulative_incidence(events.sum(axis=1), censored.sum(axis=1))
    without = cumulative_incidence(leave_one_out(events), leave_one_out(censored))
    alone = (n[:, None] - per_bucket)[..., None] <= 0
    estimate = np.where(n[:, None] > 0, at_time(whole, edges, seconds), np.nan)
    loo = np.where(alone, np.nan, at_time(without, edges, seconds))
    se = jackknife_se(estimate, loo)
    low, high = rate_interval(
        estimate,
        se,
        contacts=n[:, None],
        buckets=effective_buckets(per_bucket)[:, None],
        customers=None if customers is None else np.asarray(customers, dtype=np.float64)[:, None],
    )
    return Interval(estimate, low, high, se)
