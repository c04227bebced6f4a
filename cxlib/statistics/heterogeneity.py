"""Whether several means differ, how much they truly do, and how far the extreme two lie apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.rates import Interval, t_quantile
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
