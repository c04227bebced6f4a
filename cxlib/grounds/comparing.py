"""Two groups of cases compared within strata: Mantel-Haenszel for shares, the same for means.

Per unit (a place, a transition, a stage step) and *arm* (the value of a column), summed over strata
with n of N cases in the arm and S of all with the outcome::

    score        U = sum(s - n S / N)
    information  V = sum(n (N - n) S (N - S) / (N² (N - 1)))        (shares)
    weight       W = sum(n (N - n) / N)
    difference   sum((s (N - n) - (S - s) n) / N) / W

``U / V`` is the log odds ratio to first order (Peto), for means ``U / W`` is the difference. Mantel
& Haenszel (1959), doi:10.1093/jnci/22.4.719; Greenland & Robins (1985), doi:10.2307/2530643
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Codes, Floats, add_up
from cxlib.grounds.cases import kept
from cxlib.statistics.resampling import BUCKETS

LEAST_CASES = 50
"""Cases in an arm, and outside it, below which it is not compared."""

WAY = ("source", "target")
_MANY, _VARIED, _FEWEST_UNITS = 200, 0.0099, 5
"""Cases of a unit, and variance of one (of a share: 1 %), from which on it tells how cases of one
customer go together; and so many units must tell."""


class Arms(NamedTuple):
    """By arm: cases, their total, those of the rest and theirs; share of the cases in strata that
    hold others; the sums above, and of the difference the variance; variance of one value.
    """

    n: Floats
    total: Floats
    rest: Floats
    other: Floats
    overlap: Floats
    score: Floats
    info: Floats
    weight: Floats
    difference: Floats
    variance: Floats
    value_variance: Floats


def compare_arms(
    arm: Codes, stratum: Codes, n: Floats, s: Floats, q: Floats | None = None, *, unit: Codes
) -> Arms:
    """Compare every arm with the rest of its unit, within strata.

    One row per arm and stratum: ``n`` cases, ``s`` the sum of their outcome; of means ``q`` that of
    its squares, and ``unit`` what an arm is of. Strata are of one unit.
    """
    size = int(arm.max(initial=-1)) + 1

    def summed(values: Floats) -> Floats:
        return add_up(values, arm, size)

    whole, total = (np.bincount(stratum, x)[stratum] for x in (n, s))
    rest, other = whole - n, total - s
    weights = n * rest / whole
    weight, difference = summed(weights), summed((s * rest - other * n) / whole)
    score, count = summed(s - n * total / whole), summed(n)
    divisor = np.maximum(weight, 1e-9)
    if q is None:
        infos = weights * total * (whole - total) / (whole * np.maximum(whole - 1, 1.0))
        spread = np.maximum(s * (n - s), 0) * rest**3 + np.maximum(other * (rest - other), 0) * n**3
        spread = np.where(rest > 0, spread / np.maximum(n * rest, 1e-9) / whole**2, 0.0)
        info, value = summed(infos), np.ones(size)
        variance = np.maximum(summed(spread), info) / divisor**2
    else:
        sizes, sums, squares = (np.bincount(unit, x) for x in (n, s, q))
        of_unit = (squares - sums**2 / np.maximum(sizes, 1e-9)) / np.maximum(sizes, 1e-9)
        value = np.zeros(size)
        value[arm] = np.maximum(of_unit, 1e-3)[unit]
        score, info, variance = score / value, weight / value, value / divisor
    overlap, apart = summed(np.where(rest > 0, n, 0.0)) / count, difference / divisor
    arms, rests, others = summed(s), summed(rest), summed(other)
    return Arms(count, arms, rests, others, overlap, score, info, weight, apart, variance, value)


def spread_over_customers(
    part: Arrivals, n: str, total: str, squares: str = "", *, at: Sequence[str] = WAY
) -> float:
    """Design effect of the whole log for these columns: a part has too few customers to tell."""
    table = part.spread if total in part.spread.columns else part.repeats_spread
    key = ("design effect", total, *at)
    return kept(part.of_log, key, lambda: design_effect(table, n, total, squares, at=at))


def design_effect(
    spread: pl.DataFrame, n: str, total: str, squares: str = "", *, at: Sequence[str] = WAY
) -> float:
    """How much more sums vary over buckets of customers than those of independent cases would.

    Pooled over all units (transitions, or places: `at`) with enough cases: 32 buckets say little
    about one. Random groups: Wolter (2007), doi:10.1007/978-0-387-35099-8, chapter 2
    """
    of_way = [pl.col(c).sum().over(WAY) for c in (n, total, squares or total)]
    mean = of_way[1] / of_way[0]
    variance = mean * (1 - mean) if not squares else of_way[2] / of_way[0] - mean**2
    rest = pl.col(total) - pl.col(n) * mean
    units = (
        spread.filter(pl.col(n) > 0)
        .select(*WAY, "bucket", n, rest=rest, usual=pl.col(n) * variance)
        .group_by(*at, "bucket", maintain_order=True)
        .agg(pl.col(n, "rest", "usual").sum())
        .group_by(*at, maintain_order=True)
        .agg(pl.col(n, "usual").sum(), apart=(pl.col("rest") ** 2).sum())
        .filter(pl.col(n) >= _MANY, pl.col("usual") >= _VARIED * pl.col(n))
    )
    if len(units) < _FEWEST_UNITS:
        return 1.0
    ratio = (units["apart"] / units["usual"]).to_numpy().mean()
    return max(1.0, float(ratio) * BUCKETS / (BUCKETS - 1))


_TERMS = 64
_NEGLIGIBLE = 1e-17


def tail_of_counts(count: Floats, n: Floats, share: Floats, others: Floats) -> Floats:
    """Chance of at least `count` of n, where the share is that of so many others: beta-binomial."""
    from scipy.special import betaln, gammaln

    tail = np.ones(len(n))
    at = np.flatnonzero(count > n * share)
    a, b = share[at] * others[at] + 1e-9, (1 - share[at]) * others[at] + 1e-9
    first, most = count[at], n[at]
    choose = gammaln(most + 1) - gammaln(first + 1) - gammaln(most - first + 1)
    term = np.exp(choose + betaln(first + a, most - first + b) - betaln(a, b))
    found = term.copy()
    while len(at):
        # each count's chance from the one before it
        k = first[:, None] + np.arange(_TERMS)
        left = np.maximum(most[:, None] - k, 0.0)
        ratio = left * (k + a[:, None]) / ((k + 1) * np.maximum(left - 1 + b[:, None], 1e-9))
        terms = term[:, None] * np.cumprod(ratio, axis=1)
        found += terms.sum(1)
        tail[at] = np.minimum(1.0, found)
        # of those that are left, each is at most so much of the one before
        k, left = k[:, -1], left[:, -1]
        most_kept = left / np.maximum(left - 1 + b, 1e-9) * np.maximum(1, (k + a) / (k + 1))
        first, term = first + _TERMS, terms[:, -1]
        more = (first < most) & (term * most_kept > _NEGLIGIBLE * found * (1 - most_kept))
        at, a, b, first, most, term, found = (x[more] for x in (at, a, b, first, most, term, found))
    return tail
