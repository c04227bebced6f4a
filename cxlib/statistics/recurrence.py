"""What happens again, and what it is worth: exact times, one line per customer, and censoring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.rates import Interval, mean_interval, rate_interval
from cxlib.statistics.resampling import Counts, Estimates


@dataclass(frozen=True, slots=True, eq=False)
class EventCurve:
    """By each time: ``share`` with the event, customers with it, and those followed without it."""

    share: Interval
    events: Counts
    at_risk: Counts


def event_curve(time: ArrayLike, happened: ArrayLike, at: ArrayLike) -> EventCurve:
    r"""Share with an event by each time: one minus Kaplan-Meier, each customer one unit.

    .. math:: 1 - \prod_{t_i \le t} \left(1 - \frac{d_i}{Y_i}\right)

    The interval is Wilson's at the size of Greenwood's variance. Kaplan & Meier (1958),
    doi:10.1080/01621459.1958.10501452; Korn & Graubard (1998), Survey Methodology 24, 193-201
    """
    times, event = np.asarray(time, dtype=np.float64), np.asarray(happened, dtype=bool)
    order = np.lexsort((~event, times))
    times, event = times[order], event[order]
    n = len(times)
    left = n - np.arange(n)
    survival = np.append(1.0, np.cumprod(1 - event / left))
    terms = np.divide(event, left * (left - 1.0), out=np.zeros(n), where=left > 1)
    greenwood = np.append(0.0, np.cumsum(terms))
    by = np.searchsorted(times, at, side="right")
    at_risk = (n - np.searchsorted(times, at, side="left")).astype(np.float64)
    events = np.append(0, np.cumsum(event))[by].astype(np.float64)
    known = (n > 0) & ((at_risk > 0) | (survival[by] <= 0))
    share = np.where(known, 1 - survival[by], np.nan)
    se = np.where(known, survival[by] * np.sqrt(greenwood[by]), np.nan)
    # where all or none have the event, Greenwood's variance is 0 and says nothing
    units = np.where(share >= 1, events, at_risk)
    low, high = rate_interval(share, se, contacts=np.maximum(events + at_risk, 1), customers=units)
    return EventCurve(Interval(share, low, high, se), events, at_risk)


def mean_cumulative(
    time: ArrayLike, who: ArrayLike, amount: ArrayLike, followed: ArrayLike, at: ArrayLike
) -> Interval:
    r"""Mean of what customers have added up to by each time, whoever is followed how long.

    .. math:: M(t) = \sum_{t_i \le t} \frac{a_i}{Y(t_i)}

    with the number :math:`Y` still followed, and the robust variance over customers; NaN where none
    or one is followed so long. Lawless & Nadeau (1995), doi:10.1080/00401706.1995.10484300
    """
    when, value = (np.asarray(x, dtype=np.float64) for x in (time, amount))
    until, person = np.asarray(followed, dtype=np.float64), np.asarray(who, dtype=np.int64)
    inside = when <= until[person] if len(person) else np.zeros(0, dtype=bool)
    order = np.flatnonzero(inside)[np.argsort(when[inside], kind="stable")]
    when, value, person = when[order], value[order], person[order]
    ends = np.sort(until)

    def followed_at(t: ArrayLike) -> Estimates:
        return (len(ends) - np.searchsorted(ends, t, side="left")).astype(np.float64)

    at_risk = followed_at(when)
    step = value / at_risk
    total = np.append(0.0, np.cumsum(step))
    drift = np.append(0.0, np.cumsum(step / at_risk))
    mean, se = [], []
    for t in np.atleast_1d(np.asarray(at, dtype=np.float64)):
        by = np.searchsorted(when, t, side="right")
        own = np.bincount(person[:by], step[:by], minlength=len(until)).astype(np.float64)
        own -= drift[np.searchsorted(when, np.minimum(until, t), side="right")]
        seen = followed_at(t) > 0
        mean.append(total[by] if seen else np.nan)
        se.append(np.sqrt((own**2).sum()) if seen else np.nan)
    estimate, spread = np.array(mean), np.array(se)
    low, high = mean_interval(estimate, spread, buckets=followed_at(at))
    return Interval(estimate, low, high, spread)
