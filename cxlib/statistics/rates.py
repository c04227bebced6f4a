"""Rates, means, ratios and differences with 95 % intervals over customers.

Rates of 0 and 1, small cells and cells that hang on a few customers are the rule, not the
exception, in a journey log. The intervals here stay inside [0, 1], do not collapse at 0 and 1,
and widen when few buckets carry the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.resampling import (
    Counts,
    Estimates,
    effective_buckets,
    jackknife_se,
    leave_one_out,
)

__all__ = [
    "LEVEL",
    "Interval",
    "difference_of_rates",
    "divide",
    "effective_size",
    "mean_interval",
    "rate",
    "rate_interval",
    "ratio",
    "t_quantile",
    "wilson",
]

#: Level of every interval in the package.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """An estimate with its interval, one entry per cell; NaN where nothing was observed.

    Attributes
    ----------
    estimate, low, high
        The estimate and the ends of its 95 % interval.
    se
        Standard error over customers.
    """

    estimate: Estimates
    low: Estimates
    high: Estimates
    se: Estimates


def divide(numerator: ArrayLike, denominator: ArrayLike) -> Estimates:
    """Element by element; NaN, without a warning, where the denominator is not positive.

    Examples
    --------
    >>> divide([1.0, 1.0], [4.0, 0.0]).tolist()
    [0.25, nan]
    """
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def t_quantile(df: ArrayLike, *, level: float = LEVEL) -> Estimates:
    """Two-sided quantile of Student's t, with at least one degree of freedom.

    Examples
    --------
    >>> t_quantile([1.0, 31.0, np.inf]).round(2).tolist()
    [12.71, 2.04, 1.96]
    """
    from scipy.special import ndtri, stdtrit

    upper = 1 - (1 - level) / 2
    degrees = np.maximum(np.asarray(df, dtype=np.float64), 1.0)
    finite = np.minimum(degrees, 1e9)
    return np.where(np.isinf(degrees), ndtri(upper), stdtrit(finite, upper))


def wilson(
    rate: ArrayLike, size: ArrayLike, *, quantile: ArrayLike = 1.959963984540054
) -> tuple[Estimates, Estimates]:
    r"""Wilson's score interval for a rate from ``size`` independent units.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Parameters
    ----------
    rate
        Observed rates in [0, 1]; NaN stays NaN.
    size
        Number of units, need not be whole. 0 or NaN gives the interval 0 to 1 where a rate is
        given.
    quantile
        Quantile z of the wanted level.

    Returns
    -------
    low, high
        The ends of the interval, within [0, 1] and around the rate.

    References
    ----------
    Wilson (1927), Probable inference. doi:10.1080/01621459.1927.10502953

    Examples
    --------
    >>> low, high = wilson([0.0, 0.5], [10, 10])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.237], [0.278, 0.763])
    """
    p = np.asarray(rate, dtype=np.float64)
    n = np.nan_to_num(np.asarray(size, dtype=np.float64), nan=0.0)
    z2 = np.asarray(quantile, dtype=np.float64) ** 2
    # multiplied through by n, so that n = 0 needs no special case
    half = np.sqrt(z2 * (np.maximum(p * (1 - p), 0) * n + z2 / 4))
    low = (p * n + z2 / 2 - half) / (n + z2)
    high = (p * n + z2 / 2 + half) / (n + z2)
    return np.minimum(np.clip(low, 0, 1), p), np.maximum(np.clip(high, 0, 1), p)


def effective_size(
    rate: ArrayLike, se: ArrayLike, *, contacts: ArrayLike, customers: ArrayLike | None = None
) -> Estimates:
    """How many independent units would give a rate this standard error: p (1 - p) / se^2.

    Parameters
    ----------
    rate, se
        Rate and its standard error over customers.
    contacts
        What the rate is a share of; the effective size never exceeds it.
    customers
        Distinct customers behind it, where known: taken where the rate is 0 or 1 or one bucket
        holds everything, so that the standard error says nothing. Without it, ``contacts``.

    Returns
    -------
    numpy.ndarray
        Effective sizes, between 1 (where there is a contact at all) and ``contacts``.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2 (design effect); Korn & Graubard (1998), Survey
    Methodology 24, 193-201.

    Examples
    --------
    >>> size = effective_size([0.5, 0.0], [0.1, 0.0], contacts=[100, 100], customers=[40, 40])
    >>> size.round(9).tolist()
    [25.0, 40.0]
    """
    p, s, n = (np.asarray(x, dtype=np.float64) for x in (rate, se, contacts))
    units = n if customers is None else np.minimum(n, np.asarray(customers, dtype=np.float64))
    variance = np.maximum(p * (1 - p), 0)
    says_something = (s > 1e-12) & (variance > 1e-12)
    size = np.divide(variance, s * s, out=np.zeros(np.broadcast(p, s, n).shape), where=s > 1e-12)
    size = np.where(says_something, size, units)
    return np.minimum(np.maximum(size, np.minimum(n, 1.0)), n)


def rate_interval(
    estimate: ArrayLike,
    se: ArrayLike,
    *,
    contacts: ArrayLike,
    buckets: ArrayLike | None = None,
    customers: ArrayLike | None = None,
) -> tuple[Estimates, Estimates]:
    """95 % interval of a rate: Wilson's, at the effective sample size that the jackknife shows.

    Parameters
    ----------
    estimate, se
        Rate and its standard error over customers.
    contacts
        Number of contacts (journeys, ...) that the rate is a share of.
    buckets
        Effective number of customer buckets behind it: one less is the degrees of freedom of
        Student's t. Not used where the standard error says nothing (rates of 0 and 1).
    customers
        Distinct customers behind it, where known.

    Returns
    -------
    low, high
        The ends of the interval.

    Examples
    --------
    >>> low, high = rate_interval([0.2], [0.04], contacts=[400], buckets=[32.0])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.131], [0.293])
    """
    p, s = np.asarray(estimate, dtype=np.float64), np.asarray(se, dtype=np.float64)
    size = effective_size(p, s, contacts=contacts, customers=customers)
    df = np.inf if buckets is None else np.asarray(buckets, dtype=np.float64) - 1
    df = np.where(s > 1e-12, df, np.inf)
    return wilson(p, size, quantile=t_quantile(df))


def rate(successes: Counts, contacts: Counts, *, customers: ArrayLike | None = None) -> Interval:
    """Share of ``contacts`` that are ``successes``, with its interval over customers.

    Parameters
    ----------
    successes, contacts
        Counts ``[cells, buckets]``.
    customers
        Distinct customers of every cell, where known.

    Returns
    -------
    Interval
        One entry per cell.

    Examples
    --------
    Sixteen customers with one contact each, one per bucket, half of them successes:

    >>> contacts = np.ones((1, 16))
    >>> result = rate(np.repeat([[1.0, 0.0]], 8, axis=0).reshape(1, 16), contacts)
    >>> result.estimate.tolist(), result.low.round(2).tolist(), result.high.round(2).tolist()
    ([0.5], [0.26], [0.74])
    """
    n = contacts.sum(axis=1)
    estimate = divide(successes.sum(axis=1), n)
    without = divide(leave_one_out(successes), leave_one_out(contacts))
    se = jackknife_se(estimate, without)
    low, high = rate_interval(
        estimate, se, contacts=n, buckets=effective_buckets(contacts), customers=customers
    )
    return Interval(estimate, low, high, se)


def ratio(numerator: Counts, denominator: Counts) -> Interval:
    """A mean or any ratio of sums, with its interval over customers (jackknife, Student's t).

    Parameters
    ----------
    numerator, denominator
        Sums ``[cells, buckets]``, for example the sum of ratings and their number.

    Returns
    -------
    Interval
        One entry per cell; the interval of a ratio that one bucket carries alone is unknown: NaN
        at both ends.

    Examples
    --------
    >>> result = ratio(np.array([[8.0, 10.0, 6.0]]), np.array([[1.0, 1.0, 1.0]]))
    >>> result.estimate.tolist(), result.low.round(2).tolist(), result.high.round(2).tolist()
    ([8.0], [3.03], [12.97])
    """
    estimate = divide(numerator.sum(axis=1), denominator.sum(axis=1))
    without = divide(leave_one_out(numerator), leave_one_out(denominator))
    se = jackknife_se(estimate, without)
    low, high = mean_interval(estimate, se, buckets=effective_buckets(denominator))
    return Interval(estimate, low, high, se)


def mean_interval(
    estimate: ArrayLike, se: ArrayLike, *, buckets: ArrayLike
) -> tuple[Estimates, Estimates]:
    """95 % interval of a mean: estimate plus and minus Student's t times its standard error.

    Parameters
    ----------
    estimate, se
        The mean and its standard error over customers.
    buckets
        Effective number of customer buckets behind it. Below two, no interval can be given: NaN.

    Returns
    -------
    low, high
        The ends of the interval.

    Examples
    --------
    >>> [end.round(1).tolist() for end in mean_interval([7.0], [0.5], buckets=[32.0])]
    [[6.0], [8.0]]
    """
    m, s, b = (np.asarray(x, dtype=np.float64) for x in (estimate, se, buckets))
    half = np.where(b < 1.5, np.nan, t_quantile(b - 1) * s)
    return m - half, m + half


def difference_of_rates(
    first: tuple[ArrayLike, ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike, ArrayLike]
) -> tuple[Estimates, Estimates, Estimates]:
    """First minus second rate of two independent groups, from (rate, low, high) of each.

    Returns
    -------
    difference, low, high
        Newcombe's hybrid score interval: the squared distances of each rate to the near end of
        its own interval add up.

    References
    ----------
    Newcombe (1998), Interval estimation for the difference between independent proportions:
    method 10. doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I

    Examples
    --------
    Newcombe's own example (a), 56 of 70 against 48 of 80:

    >>> a, b = 56 / 70, 48 / 80
    >>> d = difference_of_rates((a, *wilson(a, 70)), (b, *wilson(b, 80)))
    >>> [float(x.round(4)) for x in d]
    [0.2, 0.0524, 0.3339]
    """
    p1, l1, u1 = (np.asarray(x, dtype=np.float64) for x in first)
    p2, l2, u2 = (np.asarray(x, dtype=np.float64) for x in second)
    difference = p1 - p2
    low = difference - np.sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2)
    high = difference + np.sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
    return difference, low, high
