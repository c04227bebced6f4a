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

from cxlib.statistics.rates import Interval, divide, rate_interval
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
    "cause_quantile",
    "cumulative_incidence",
    "incidence_interval",
    "incidence_of_some",
    "kaplan_meier",
    "quantile",
    "quantile_interval",
    "restricted_mean",
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


def kaplan_meier(events: Counts, censored: Counts, *, evenly: bool = True) -> Estimates:
    """Share without the event at the end of every bin ``[..., bins]``; 1 where nobody was seen.

    Parameters are those of `risks`.

    Examples
    --------
    >>> kaplan_meier(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.75, 0.0]
    """
    return risks(events, censored, evenly=evenly).survival


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


def quantile(curve: Estimates, edges: ArrayLike, share: float = 0.5) -> Estimates:
    """First time at which a cumulative curve ``[..., bins]`` reaches ``share``, in seconds.

    Parameters
    ----------
    curve, edges
        See `at_time`.
    share
        0.5 for the median.

    Returns
    -------
    numpy.ndarray
        Seconds; NaN where the curve never gets there. Inside a bin the time is interpolated on the
        logarithm; in the open bin it is the bin's start.

    Examples
    --------
    >>> curves = np.array([[0.2, 0.8, 0.8], [0.0, 0.1, 0.3]])
    >>> quantile(curves, [0.0, 10.0, 1000.0]).round(6).tolist()
    [100.0, nan]
    """
    starts = np.asarray(edges, dtype=np.float64)
    reached = curve >= share - 1e-12
    index = reached.argmax(axis=-1)
    before = np.maximum(index - 1, 0)
    high = np.take_along_axis(curve, index[..., None], axis=-1)[..., 0]
    low = np.take_along_axis(curve, before[..., None], axis=-1)[..., 0]
    step = high - low
    part = np.clip(np.divide(share - low, step, out=np.ones_like(step), where=step > 0), 0, 1)
    start = starts[index]
    # the open bin has no end to interpolate towards
    end = starts[np.minimum(index + 1, len(starts) - 1)]
    positive = np.where(start > 0, start, 1.0)
    inside = start * np.where(start > 0, end / positive, 1.0) ** part
    return np.where(reached.any(axis=-1), np.where(index == 0, starts[0], inside), np.nan)


def cause_quantile(curve: Estimates, edges: ArrayLike, share: float = 0.5) -> Estimates:
    """Quantile of the time to a cause among those it happens to: where the curve reaches
    ``share`` of its own end.

    Examples
    --------
    >>> cause_quantile(np.array([0.0, 0.2, 0.4]), [0.0, 10.0, 1000.0], 0.25).round(6).item()
    100.0
    """
    return quantile(divide(curve, curve[..., -1:]), edges, share)


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


def quantile_interval(
    curve: Estimates,
    without: Estimates,
    *,
    edges: ArrayLike,
    happened: Counts,
    share: float = 0.5,
) -> Interval:
    """Time at which a cumulative curve reaches ``share``, with an interval by inversion.

    Parameters
    ----------
    curve
        Cumulative curve ``[cells, bins]``. Divide it by its end first for the time among those to
        whom the cause happens.
    without
        The same without one bucket each ``[cells, buckets, bins]``.
    edges
        Where each bin begins, in seconds (see `at_time`).
    happened
        Events behind the curve ``[cells, buckets]``.
    share
        0.5 for the median.

    Returns
    -------
    Interval
        In seconds: all times at which the curve's own pointwise interval holds ``share``
        (Brookmeyer & Crowley). ``low`` or ``high`` is NaN where the log ends before that end of
        the interval. ``se`` is NaN, as the interval is not made from one.

    References
    ----------
    Brookmeyer & Crowley (1982), A confidence interval for the median survival time.
    doi:10.2307/2530286

    Examples
    --------
    >>> per_bucket = np.zeros((1, 32, 3))
    >>> per_bucket[0, :16, 1], per_bucket[0, 16:, 2] = 1, 1
    >>> curve = per_bucket.sum(axis=1).cumsum(axis=-1) / 32
    >>> without = leave_one_out(per_bucket).cumsum(axis=-1) / 31
    >>> found = quantile_interval(
    ...     curve, without, edges=[0.0, 60.0, 600.0], happened=per_bucket.sum(axis=-1)
    ... )
    >>> found.estimate.tolist(), found.low.round().tolist(), found.high.round().tolist()
    ([600.0], [298.0], [600.0])
    """
    n = happened.sum(axis=1)
    se = jackknife_se(curve, without)
    low, high = rate_interval(
        curve, se, contacts=n[:, None], buckets=effective_buckets(happened)[:, None]
    )
    # a step of the curve that nobody's leaving explains is not a step of its interval
    low = np.maximum.accumulate(np.nan_to_num(low, nan=0.0), axis=-1)
    high = np.maximum.accumulate(np.nan_to_num(high, nan=0.0), axis=-1)
    estimate = quantile(np.nan_to_num(curve, nan=0.0), edges, share)
    known = np.isfinite(estimate)
    earliest = np.where(known, quantile(high, edges, share), np.nan)
    latest = np.where(known, quantile(low, edges, share), np.nan)
    return Interval(estimate, earliest, latest, np.full_like(estimate, np.nan))


def restricted_mean(survival: Estimates, edges: ArrayLike, seconds: float) -> Estimates:
    """Mean time without the event within the first ``seconds``: area under the survival curve.

    Parameters
    ----------
    survival
        Kaplan-Meier survival ``[..., bins]``.
    edges
        See `at_time`.
    seconds
        The horizon; finite.

    Returns
    -------
    numpy.ndarray
        Seconds ``[...]``. An event inside a bin is placed at the mean of times that are even over
        the logarithm of the bin.

    References
    ----------
    Royston & Parmar (2013), Restricted mean survival time. doi:10.1186/1471-2288-13-152

    Examples
    --------
    Half of the events at once, the other half never:

    >>> restricted_mean(np.array([0.5, 0.5]), [0.0, 100.0], 60.0).item()
    30.0
    """
    starts = np.asarray(edges, dtype=np.float64)
    inner = starts[(starts > 0) & (starts < seconds)]
    points = np.append(inner, seconds)
    # the curve just before each point: the first bin is one instant, at the first edge
    values = np.stack([at_time(survival, starts, float(t)) for t in points], axis=-1)
    left = values[..., :-1] - values[..., 1:]
    ratio = points[1:] / points[:-1]
    middle = np.diff(points) / np.where(ratio > 1, np.log(ratio), 1.0)
    at_once = 1 - values[..., 0]
    return np.asarray(
        at_once * starts[0] + (left * middle).sum(axis=-1) + values[..., -1] * seconds
    )
