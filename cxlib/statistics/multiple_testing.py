"""Many cells are many tests: whether they differ, false-discovery rate, shrinkage of small ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.rates import Z95, Interval, divide, t_quantile
from cxlib.statistics.resampling import Estimates


def between_variance(mean: Estimates, se: Estimates) -> float:
    """Variance of the true means beyond that of chance, by moments; at least 0.

    DerSimonian & Laird (1986), doi:10.1016/0197-2456(86)90046-2
    """
    w = 1 / se**2
    centre = (w * mean).sum() / w.sum()
    scatter = (w * (mean - centre) ** 2).sum() - (len(mean) - 1)
    return float(max(scatter / (w.sum() - (w * w).sum() / w.sum()), 0.0))


def heterogeneity(mean: ArrayLike, se: ArrayLike, n: ArrayLike) -> tuple[float, float]:
    """Give p of Welch's test that means are equal, and the standard deviation of the true ones.

    ``n`` are independent cases. Welch (1951), doi:10.1093/biomet/38.3-4.330
    """
    from scipy.special import fdtrc

    m, s, size = (np.asarray(x, dtype=np.float64) for x in (mean, se, n))
    groups, w = len(m), 1 / s**2
    rest = ((1 - w / w.sum()) ** 2 / np.maximum(size - 1, 1)).sum()
    centre = (w * m).sum() / w.sum()
    between = (w * (m - centre) ** 2).sum() / (groups - 1)
    within = 1 + 2 * (groups - 2) / (groups**2 - 1) * rest
    p = fdtrc(groups - 1, (groups**2 - 1) / (3 * rest), between / within)
    return float(p), float(np.sqrt(between_variance(m, s)))


def gap_of_means(mean: ArrayLike, se: ArrayLike, n: ArrayLike) -> Interval:
    """Distance of the highest mean from the lowest, with an interval that allows for the choice.

    Studentised range (of two groups: Welch); the lower end is 0 where the gap may be chance. Games
    & Howell (1976), doi:10.3102/10769986001002113
    """
    from scipy.stats import studentized_range

    m, s, size = (np.asarray(x, dtype=np.float64) for x in (mean, se, n))
    ends = [int(m.argmax()), int(m.argmin())]
    variance, df = s[ends] ** 2, np.maximum(size[ends] - 1, 1)
    apart = float(np.sqrt(variance.sum()))
    freedom = variance.sum() ** 2 / (variance**2 / df).sum()
    if len(m) == 2:
        half = float(t_quantile(freedom)) * apart
    else:
        half = float(studentized_range.ppf(0.95, len(m), freedom)) / np.sqrt(2) * apart
    gap = np.array([m[ends[0]] - m[ends[1]]])
    return Interval(gap, np.maximum(gap - half, 0.0), gap + half, np.array([apart]))


def p_values(effect: ArrayLike, se: ArrayLike, *, df: ArrayLike = np.inf) -> Estimates:
    """Two-sided p values of effects against zero (Student's t); NaN where the error is 0 or
    unknown.
    """
    from scipy.special import ndtr, stdtr

    size = -np.abs(divide(effect, se))
    degrees = np.maximum(np.asarray(df, dtype=np.float64), 1.0)
    return 2 * np.where(np.isinf(degrees), ndtr(size), stdtr(np.minimum(degrees, 1e9), size))


def false_discovery_rate(p: ArrayLike) -> Estimates:
    """Give q values: the false-discovery rate at which each test would just be called a finding.

    Of all tests made; NaN where none could be made stays NaN and is not counted. Benjamini &
    Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    given = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(given)
    q = np.full_like(given, np.nan)
    q[tested] = _step_up(given[tested], np.zeros(tested.sum(), dtype=np.int64))
    return q


def _step_up(p: Estimates, family: NDArray[np.int64]) -> Estimates:
    """Benjamini and Hochberg within each family."""
    order = np.lexsort((p, family))
    size = np.bincount(family)
    rank = np.arange(len(p)) - (np.cumsum(size) - size)[family[order]]
    table = np.full((len(size), int(size.max(initial=0))), np.inf)
    table[family[order], rank] = p[order] * size[family[order]] / (rank + 1)
    least = np.minimum.accumulate(table[:, ::-1], axis=1)[:, ::-1]
    q = np.empty(len(p))
    q[order] = np.minimum(least[family[order], rank], 1.0)
    return q


def selected_families(p: ArrayLike, family: ArrayLike) -> Estimates:
    """Give q values of tests that come in families, such that one cause is found once.

    Families are selected by their Simes p value, and tests within each at a level lowered by the
    share selected. Benjamini & Bogomolov (2014), doi:10.1111/rssb.12028
    """
    values = np.asarray(p, dtype=np.float64)
    names, number = np.unique(np.asarray(family), return_inverse=True)
    within = _step_up(values, number)
    simes = np.ones(len(names))
    np.minimum.at(simes, number, within)
    of_family = false_discovery_rate(simes)
    order = np.sort(of_family)
    selected = np.arange(1, len(names) + 1)
    # the smallest level at which the family is selected, and the test within it
    levels = np.maximum(order[None, :], within[:, None] * len(names) / selected[None, :])
    levels = np.where(order[None, :] >= of_family[number][:, None], levels, 1.0)
    return np.asarray(np.minimum(levels.min(1, initial=1.0), 1.0))


def shrink_effects(effect: ArrayLike, se: ArrayLike) -> Interval:
    """Effects of small cells, drawn towards the mean effect (empirical Bayes, normal).

    The variance between cells is by moments; a cell with an unknown or zero error stays as it is.
    """
    y, s = np.asarray(effect, dtype=np.float64), np.asarray(se, dtype=np.float64)
    used = np.isfinite(y) & np.isfinite(s) & (s > 0)
    if used.sum() < 2:
        return Interval(y, y - Z95 * s, y + Z95 * s, s)
    between = between_variance(y[used], s[used])
    weight = 1 / (s[used] ** 2 + between)
    centre = (weight * y[used]).sum() / weight.sum()
    keep = between / (between + s[used] ** 2)
    estimate, spread = y.copy(), s.copy()
    estimate[used] = keep * y[used] + (1 - keep) * centre
    # the second term: the centre itself is estimated
    spread[used] = np.sqrt(keep * s[used] ** 2 + (1 - keep) ** 2 / weight.sum())
    return Interval(estimate, estimate - Z95 * spread, estimate + Z95 * spread, spread)
