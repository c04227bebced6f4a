"""Rates, means, ratios and differences with 95 % intervals over customers.

Rates of 0 and 1, small cells and cells that hang on a few customers are the rule in a journey log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.resampling import (
    Counts,
    Estimates,
    effective_buckets,
    jackknife_se,
    leave_one_out,
)

LEVEL = 0.95
"""Level of every interval in the package."""

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Estimates, the ends of their 95 % intervals and standard errors; NaN: nothing is known."""

    estimate: Estimates
    low: Estimates
    high: Estimates
    se: Estimates

    @property
    def parts(self) -> tuple[Estimates, ...]:
        """Estimate, low, high and error."""
        return self.estimate, self.low, self.high, self.se

    @classmethod
    def below(cls, parts: Iterable[Interval]) -> Interval:
        """Put the estimates of several sets of cells below one another."""
        rows = [np.empty((4, 0)), *(np.stack(part.parts) for part in parts)]
        return cls(*np.concatenate(rows, axis=1))

    def where(self, known: Any) -> Interval:
        """NaN in all other places."""
        return Interval(*(np.where(known, part, np.nan) for part in self.parts))


def divide(numerator: ArrayLike, denominator: ArrayLike) -> Estimates:
    """Element by element; NaN, without a warning, where the denominator is not positive."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def t_quantile(df: ArrayLike) -> Estimates:
    """Two-sided 95 % quantile of Student's t, with at least one degree of freedom."""
    from scipy.special import ndtri, stdtrit

    upper = 1 - (1 - LEVEL) / 2
    degrees = np.maximum(np.asarray(df, dtype=np.float64), 1.0)
    return np.where(np.isinf(degrees), ndtri(upper), stdtrit(np.minimum(degrees, 1e9), upper))


def wilson(
    rate: ArrayLike, size: ArrayLike, *, quantile: ArrayLike = Z95
) -> tuple[Estimates, Estimates]:
    r"""Wilson's score interval of a rate from ``size`` independent units (0 or NaN: 0 to 1).

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Wilson (1927), doi:10.1080/01621459.1927.10502953
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
    """Independent units that would give a rate this standard error: p (1 - p) / se².

    Where the error says nothing (a rate of 0 or 1, one bucket), the customers, or contacts. Kish
    (1965), Survey Sampling, section 8.2; Korn & Graubard (1998), Survey Methodology 24, 193-201.
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
    """Wilson's interval at the effective size, with Student's t of ``buckets`` - 1 degrees."""
    p, s = np.asarray(estimate, dtype=np.float64), np.asarray(se, dtype=np.float64)
    size = effective_size(p, s, contacts=contacts, customers=customers)
    df = np.inf if buckets is None else np.asarray(buckets, dtype=np.float64) - 1
    return wilson(p, size, quantile=t_quantile(np.where(s > 1e-12, df, np.inf)))


def jackknife_rate(
    estimate: Estimates, without: Estimates, contacts: Counts, *, customers: ArrayLike | None = None
) -> Interval:
    """Interval of rates ``[cells]`` of ``contacts`` ``[cells, buckets]`` from those without each
    bucket.
    """
    n = contacts.sum(axis=1)
    estimate = np.where(n > 0, estimate, np.nan)
    alone = n[:, None] - contacts <= 0
    se = jackknife_se(estimate, np.where(alone, np.nan, without))
    buckets = effective_buckets(contacts)
    low, high = rate_interval(estimate, se, contacts=n, buckets=buckets, customers=customers)
    return Interval(estimate, low, high, se)


def rate(successes: Counts, contacts: Counts, *, customers: ArrayLike | None = None) -> Interval:
    """Share of ``contacts`` that are ``successes``, both ``[cells, buckets]``."""
    estimate = divide(successes.sum(axis=1), contacts.sum(axis=1))
    without = divide(leave_one_out(successes), leave_one_out(contacts))
    return jackknife_rate(estimate, without, contacts, customers=customers)


def ratio(numerator: Counts, denominator: Counts) -> Interval:
    """Ratio of sums ``[cells, buckets]``, such as a mean; no ends where one bucket carries it."""
    estimate = divide(numerator.sum(axis=1), denominator.sum(axis=1))
    without = divide(leave_one_out(numerator), leave_one_out(denominator))
    se = jackknife_se(estimate, without)
    low, high = mean_interval(estimate, se, buckets=effective_buckets(denominator))
    return Interval(estimate, low, high, se)


def mean_interval(
    estimate: ArrayLike, se: ArrayLike, *, buckets: ArrayLike
) -> tuple[Estimates, Estimates]:
    """Estimate plus and minus Student's t times its error; NaN below two effective buckets."""
    m, s, b = (np.asarray(x, dtype=np.float64) for x in (estimate, se, buckets))
    half = np.where(b < 1.5, np.nan, t_quantile(b - 1) * s)
    return m - half, m + half


def difference_of_rates(
    first: tuple[ArrayLike, ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike, ArrayLike]
) -> tuple[Estimates, Estimates, Estimates]:
    """First minus second of two independent groups, from (rate, low, high) of each, with its ends.

    The squared distances of each rate to the near end of its own interval add up: Newcombe (1998),
    method 10, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """
    p1, l1, u1 = (np.asarray(x, dtype=np.float64) for x in first)
    p2, l2, u2 = (np.asarray(x, dtype=np.float64) for x in second)
    low = p1 - p2 - np.sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2)
    high = p1 - p2 + np.sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
    return p1 - p2, low, high
