"""What customers say on a scale: means, top boxes and net promoter scores, with intervals.

The number of answers is reduced to how many independent ones would tell as much, and three are
added that nobody gave, so that an interval covers for ten answers and does not collapse where all
are the same. The estimate stays that of the answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.rates import Z95, Interval, divide, t_quantile, wilson
from cxlib.statistics.resampling import Estimates

_ADDED = 3.0
"""Answers added before an interval is taken (Rocks 2016, for the net promoter score)."""

_ALIKE = 0.3
"""Usual correlation of a customer's answers."""


def _quantile(answers: ArrayLike, units: ArrayLike) -> Estimates:
    """Normal for independent answers; Student's t where customers answered more than once."""
    n, size = np.asarray(answers, dtype=np.float64), np.asarray(units, dtype=np.float64)
    return np.where(size < n * (1 - 1e-9), t_quantile(size), Z95)


def independent_answers(
    cell: NDArray[np.integer], customer: NDArray[np.integer], value: ArrayLike, *, cells: int
) -> Estimates:
    r"""How many independent answers would tell as much as those given, by cell.

    .. math:: n_{eff} = n \frac{\sum_i e_i^2 \, (n / (n - 1))^2}
                           {\sum_c (\sum_{i \in c} e_i)^2 \, (n / (n - n_c))^2}

    with deviations e of n answers, n_c of them of customer c: the jackknife over customers, for
    what few of them say much of pulls the mean towards itself. Where a few answer very often,
    their sums tell little of how far customers differ: the size is lowered by Student's t of the
    degrees of freedom, with v the variance of a sum if answers of a customer correlate by ρ,

    .. math:: df = 1 + \frac{(\sum_c v_c)^2}{\sum_c v_c^2}, \quad v_c = n_c (1 + (n_c - 1) \rho)

    Kish (1965), Survey Sampling, section 8.2; Korn & Graubard (1998), Survey Methodology 24,
    193-201; Bell & McCaffrey (2002), Survey Methodology 28, 169-181.
    """
    values = np.asarray(value, dtype=np.float64)
    n = np.bincount(cell, minlength=cells).astype(np.float64)
    mean = divide(np.bincount(cell, values, minlength=cells), n)
    apart = values - mean[cell]
    key = cell.astype(np.int64) * (int(np.max(customer, initial=0)) + 1) + customer
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    home = cell[first]
    summed = np.bincount(group, apart, minlength=len(first))
    customers = np.bincount(home, minlength=cells).astype(np.float64)
    single = np.bincount(cell, apart**2, minlength=cells)
    own = np.bincount(group, minlength=len(first)).astype(np.float64)
    others = n[home] - own
    pull = np.where(others > 0, divide(n[home] - 1, others), 1.0)
    clustered = np.bincount(home, (pull * summed) ** 2, minlength=cells)
    size = np.where(clustered > 1e-12, n * divide(single, np.maximum(clustered, 1e-12)), customers)
    size = np.clip(np.where(single > 1e-12, size, customers), np.minimum(n, 1.0), n)
    # how alike a customer's answers are, drawn to the usual where few say more than one
    pairs = np.bincount(home, own * (own - 1), minlength=cells)
    more = np.bincount(home, own > 1, minlength=cells)
    alike = divide((np.bincount(home, summed**2, minlength=cells) - single) * n, pairs * single)
    alike = np.clip(np.where(np.isnan(alike), _ALIKE, alike), 0, 1)
    alike += (_ALIKE - alike) * 3 / (more + 3)
    varies = own * (1 + (own - 1) * alike[home])
    total, squares = (np.bincount(home, v, minlength=cells) for v in (varies, varies**2))
    freedom = 1 + divide(total**2, squares)
    lowered = size * np.minimum(t_quantile(size) / t_quantile(np.nan_to_num(freedom)), 1.0)
    return np.clip(np.where(pairs > 0, lowered, size), np.minimum(n, 1.0), n)


def mean_score(
    n: ArrayLike,
    total: ArrayLike,
    squares: ArrayLike,
    *,
    scale: tuple[float, float],
    size: ArrayLike | None = None,
) -> Interval:
    """Mean of answers on a bounded scale, from their number, sum and sum of squares by cell.

    ``size`` is what `independent_answers` gives; without it all count as independent.
    """
    count, sums, square = (np.asarray(x, dtype=np.float64) for x in (n, total, squares))
    low, high = scale
    units = count if size is None else np.asarray(size, dtype=np.float64)
    mean = divide(sums, count)
    own = np.maximum(divide(square, count) - mean**2, 0.0)
    weight = units + _ADDED
    centre = (units * mean + _ADDED * (mean / 2 + (low + high) / 4)) / weight
    second = units * (own + mean**2) + _ADDED * ((own + mean**2) / 2 + (low**2 + high**2) / 4)
    variance = np.maximum(divide(second, weight) - centre**2, 0.0) * weight / (weight - 1)
    se = np.sqrt(variance / weight)
    half = _quantile(count, units) * se
    below, above = np.clip(centre - half, low, high), np.clip(centre + half, low, high)
    return Interval(mean, np.minimum(below, mean), np.maximum(above, mean), se)


def top_box(n: ArrayLike, in_box: ArrayLike, *, size: ArrayLike | None = None) -> Interval:
    """Share of answers in the best (or any other) box of a scale, with Wilson's interval."""
    count = np.asarray(n, dtype=np.float64)
    share = divide(in_box, count)
    units = count if size is None else np.asarray(size, dtype=np.float64)
    low, high = wilson(share, units)
    return Interval(share, low, high, np.sqrt(divide(share * (1 - share), units)))


def share_of_group(chosen: NDArray[np.bool_], customer: NDArray[np.integer]) -> Interval:
    """Share of one group's answers that are chosen, the customer being the unit."""
    one = np.zeros(len(chosen), dtype=np.int64)
    size = independent_answers(one, customer, chosen, cells=1)
    return top_box([len(chosen)], [chosen.sum()], size=size)


def mean_of_group(
    values: Estimates, customer: NDArray[np.integer], *, scale: tuple[float, float]
) -> Interval:
    """Mean of one group's answers, the customer being the unit."""
    one = np.zeros(len(values), dtype=np.int64)
    size = independent_answers(one, customer, values, cells=1)
    return mean_score([len(values)], [values.sum()], [(values**2).sum()], scale=scale, size=size)


def net_promoter_score(
    detractors: ArrayLike,
    passives: ArrayLike,
    promoters: ArrayLike,
    *,
    size: ArrayLike | None = None,
) -> Interval:
    r"""Net promoter score with the adjusted Wald interval, in points from -100 to 100.

    With ¾ added to detractors and promoters each and 1½ to the passives, n' = n + 3, shares p of
    promoters and d of detractors:

    .. math:: p - d \pm z \sqrt{\frac{p + d - (p - d)^2}{n'}}

    ``size`` is what `independent_answers` gives for promoters = 1, passives = 0, detractors = -1.
    Rocks (2016), arXiv:1601.07235
    """
    d, m, p = (np.asarray(x, dtype=np.float64) for x in (detractors, passives, promoters))
    n = d + m + p
    score = divide(p - d, n)
    units = n if size is None else np.minimum(np.asarray(size, dtype=np.float64), n)
    thinned = divide(units, n)
    weight = units + _ADDED
    share_p = (p * thinned + _ADDED / 4) / weight
    share_d = (d * thinned + _ADDED / 4) / weight
    centre = share_p - share_d
    se = np.sqrt((share_p + share_d - centre**2) / weight)
    half = _quantile(n, units) * se
    low = np.minimum(np.clip(centre - half, -1, 1), score)
    high = np.maximum(np.clip(centre + half, -1, 1), score)
    return Interval(*(100 * x for x in (score, low, high, se)))
