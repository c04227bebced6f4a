"""Many cells are many tests: false-discovery rate, and shrinkage of small cells.

Of 120 cells without any effect, 6 have p < 0.05. Whatever is mined from many cells is judged by
its q value, the number of tests is said, and the estimates of small cells are drawn towards what
cells are like in general before they are ranked.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cxlib.errors import CxError
from cxlib.statistics.heterogeneity import between_variance
from cxlib.statistics.rates import Interval, divide
from cxlib.statistics.resampling import Estimates

__all__ = ["false_discovery_rate", "p_values", "selected_families", "shrink_effects"]


def p_values(effect: ArrayLike, se: ArrayLike, *, df: ArrayLike = np.inf) -> Estimates:
    """Two-sided p values of effects against zero, from their standard errors (Student's t).

    NaN where the standard error is 0 or unknown: nothing was tested there.

    Examples
    --------
    >>> p_values([1.96, 0.0, 1.0], [1.0, 1.0, 0.0]).round(3).tolist()
    [0.05, 1.0, nan]
    """
    from scipy.special import ndtr, stdtr

    size = -np.abs(divide(effect, se))
    degrees = np.maximum(np.asarray(df, dtype=np.float64), 1.0)
    return 2 * np.where(np.isinf(degrees), ndtr(size), stdtr(np.minimum(degrees, 1e9), size))


def false_discovery_rate(
    p: ArrayLike, *, dependence: Literal["positive", "any"] = "positive"
) -> Estimates:
    """Give q values: the false-discovery rate at which each test would just be called a finding.

    Parameters
    ----------
    p
        p values of all tests made, found or not; NaN where no test could be made (it stays NaN
        and is not counted).
    dependence
        "positive": Benjamini-Hochberg, right for independent or positively dependent tests.
        "any": Benjamini-Yekutieli, right whatever the dependence, and larger by the factor 1 +
        1/2 + ... + 1/m.

    Returns
    -------
    numpy.ndarray
        q values, in the order of ``p``.

    Raises
    ------
    CxError
        When a p value lies outside [0, 1].

    References
    ----------
    Benjamini & Hochberg (1995). doi:10.1111/j.2517-6161.1995.tb02031.x
    Benjamini & Yekutieli (2001). doi:10.1214/aos/1013699998

    Examples
    --------
    >>> false_discovery_rate([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    given = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(given)
    values = given[tested]
    if values.size and (values.min() < 0 or values.max() > 1):
        raise CxError("a p value lies outside 0 to 1")
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, values.size + 1)
    factor = (1 / ranks).sum() if dependence == "any" else 1.0
    raised = values[order] * values.size * factor / ranks
    q = np.empty_like(values)
    q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    result = np.full_like(given, np.nan)
    result[tested] = q
    return result


def selected_families(p: ArrayLike, family: ArrayLike) -> Estimates:
    """Give q values of tests that come in families, such that one cause is found once.

    Families are selected by their Simes p value (Benjamini-Hochberg over families), and the tests
    of each selected one by Benjamini-Hochberg within it, at a level lowered by the share of
    families that were selected. So ten tests that echo one cause make no more room for chance in
    other families than one test does.

    Parameters
    ----------
    p
        p values of all tests made.
    family
        Of each test.

    References
    ----------
    Benjamini & Bogomolov (2014), Selective inference on multiple families of hypotheses.
    doi:10.1111/rssb.12028

    Examples
    --------
    >>> selected_families([0.001, 0.001, 0.2, 0.9], ["a", "a", "b", "b"]).round(4).tolist()
    [0.002, 0.002, 0.4, 0.9]
    """
    values = np.asarray(p, dtype=np.float64)
    names, number = np.unique(np.asarray(family), return_inverse=True)
    within = np.ones(len(values))
    for code in range(len(names)):
        within[number == code] = false_discovery_rate(values[number == code])
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

    Parameters
    ----------
    effect, se
        Effects of the cells and their standard errors; a cell with an unknown or zero standard
        error is left as it is and does not take part.

    Returns
    -------
    Interval
        Posterior mean and 95 % interval per cell. The variance between the cells is estimated by
        moments (DerSimonian-Laird).

    References
    ----------
    DerSimonian & Laird (1986), Meta-analysis in clinical trials. doi:10.1016/0197-2456(86)90046-2

    Examples
    --------
    >>> shrink_effects([0.0, 4.0], [1.0, 1.0]).estimate.round(2).tolist()
    [0.25, 3.75]
    """
    y, s = np.asarray(effect, dtype=np.float64), np.asarray(se, dtype=np.float64)
    used = np.isfinite(y) & np.isfinite(s) & (s > 0)
    if used.sum() < 2:
        return Interval(y, y - 1.959964 * s, y + 1.959964 * s, s)
    between = between_variance(y[used], s[used])
    weight = 1 / (s[used] ** 2 + between)
    centre = (weight * y[used]).sum() / weight.sum()
    keep = between / (between + s[used] ** 2)
    estimate, spread = y.copy(), s.copy()
    estimate[used] = keep * y[used] + (1 - keep) * centre
    # the second term: the centre itself is estimated
    spread[used] = np.sqrt(keep * s[used] ** 2 + (1 - keep) ** 2 / weight.sum())
    return Interval(estimate, estimate - 1.959964 * spread, estimate + 1.959964 * spread, spread)
