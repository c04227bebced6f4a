"""Who answers: weights for those who did, a test of who did not, and how much it would take.

What everybody's mean would be if answering depended only on what the log knows
(`completed_ratings`), or only on the *rating* (`tilt_of_answers`, a shadow variable); and how much
lower the silent would have to rate to change a verdict, whatever the reason (`points_to_change`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import Interval, divide, mean_interval, t_quantile
from cxlib.statistics.resampling import BUCKETS, Estimates, effective_buckets, jackknife_se
from cxlib.statistics.scores import independent_answers

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RIDGE = 1.0
_LEAST_CHANCE = 0.001
_MOST_STEPS = 50
_FEWEST = 30
"""Answers from which on it can be told whether answering depends on the rating."""

_LEAST_EXPLAINED = 0.02
_CHANCE = 0.04
"""Of surveys where answering has nothing to do with the rating: those doubted. Five in a hundred,
one of which is left to the groups of a survey."""

_ONE_SIDED = 0.8392
"""A one-sided 95 % limit's distance by that of a two-sided one's."""

_MOST_CORRELATED = 0.5
"""Correlation of answering with the rating that no survey is thought to have."""


def completed_ratings(features: Rows, answered: Flags, score: Rows, fitted: Flags) -> Estimates:
    """Per contact, the term whose mean is that of everybody's rating: m(x) + r (y - m(x)) / π(x).

    The rating m that ``features`` point to among those who answered, and the chance π to answer,
    told from the rows that are ``fitted``; both ridge regressions. An answer is held against the
    rating that all others point to (leave-one-out: Allen 1974, doi:10.1080/00401706.1974.10489157):
    a regression keeps close to few answers, and their errors would seem too small.
    """
    from scipy.special import expit

    middle, spread = features[fitted].mean(axis=0), features[fitted].std(axis=0)
    x = (features - middle) / np.where(spread > 1e-9 * (1 + np.abs(middle)), spread, 1.0)
    centre, usual = x[answered].mean(axis=0), score[answered].mean()
    own = x[answered] - centre
    turn = np.linalg.inv(own.T @ own + np.eye(x.shape[1]))
    model = (x - centre) @ (turn @ (own.T @ (score[answered] - usual))) + usual
    leverage = 1 / len(own) + ((own @ turn) * own).sum(axis=1)
    off = score[answered] - model[answered]
    model[answered] -= off * leverage / np.maximum(1 - leverage, 1e-9)
    chance = np.full(len(x), answered.mean())
    if 0 < answered[fitted].mean() < 1:
        with_constant = np.column_stack([x, np.ones(len(x))])
        chance = expit(with_constant @ _logistic(with_constant[fitted], answered[fitted]))
    rest = np.where(answered, score, model) - model
    completed: Estimates = model + rest / np.maximum(chance, _LEAST_CHANCE)
    return completed


def _logistic(x: Rows, happened: Flags) -> Rows:
    """Coefficients of a logistic regression, the last one's a constant's, by Newton's method.

    Half of the squares of all others are its penalty. It begins where a part of the rows ends.
    """
    from scipy.special import expit

    part, slope = happened[::8], np.zeros(x.shape[1])
    if min(part.sum(), len(part) - part.sum()) >= 5 * len(slope):
        slope = _logistic(x[::8], part)
    penalty = np.append(np.ones(x.shape[1] - 1), 0.0)

    def loss(at: Rows) -> float:
        odds = x @ at
        return float(np.logaddexp(0, odds).sum() - odds @ happened + penalty @ at**2 / 2)

    best = loss(slope)
    for _ in range(_MOST_STEPS):
        chance = expit(x @ slope)
        gradient = x.T @ (chance - happened) + penalty * slope
        weighed = x * np.sqrt(chance * (1 - chance))[:, None]
        curvature = weighed.T @ weighed + np.diag(penalty)  # half the work, being its own mirror
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(slope)), gradient)
        while (now := loss(slope - step)) > best + 1e-9 * abs(best):
            step = step / 2
        slope, best = slope - step, now
        if gradient @ step <= 1e-10:  # the next step is its square
            break
    return slope


def mean_of_everybody(
    completed: Rows,
    cell: NDArray[np.integer],
    customer: NDArray[np.integer],
    *,
    cells: int,
    answers: ArrayLike,
) -> Interval:
    """Mean of `completed_ratings` by cell; ``answers``: independent ones (degrees of freedom).

    Robins, Rotnitzky & Zhao (1994), doi:10.1080/01621459.1994.10476818
    """
    n = np.bincount(cell, minlength=cells).astype(np.float64)
    mean = divide(np.bincount(cell, completed, minlength=cells), n)
    units = independent_answers(cell, customer, completed, cells=cells)
    spread = divide(np.bincount(cell, (completed - mean[cell]) ** 2, minlength=cells), n)
    se = np.sqrt(divide(spread, units))
    half = t_quantile(np.asarray(answers, dtype=np.float64) - 1) * se
    return Interval(mean, mean - half, mean + half, se)


@dataclass(frozen=True, slots=True, eq=False)
class Tilt:
    """How answering seems to depend on the rating.

    ``off``: by how many points answers seem too high for everybody at the same touchpoints;
    ``at_most``: so far off at most, too high or too low (95 %); ``mean``: everybody's, if answering
    depends on the rating alone; ``source``: "journeys", or "late answers". By contact, ``lean``: by
    how many points its journey points above the answers of its stratum; ``surprise``: that times
    rated or not, less what is usual.
    """

    off: float
    at_most: float
    mean: float
    mean_low: float
    mean_high: float
    p: float
    source: str
    lean: Rows
    surprise: Rows

    @property
    def depends(self) -> bool:
        """Whether answering depends on the rating by more than chance."""
        return self.p <= _CHANCE

    def by_cell(
        self,
        cell: NDArray[np.integer],
        customer: NDArray[np.integer],
        answered: Flags,
        *,
        cells: int,
    ) -> tuple[Estimates, Estimates]:
        """Give `off` by cell, and the q value of answering that depends on the rating there."""
        p = _chance(self.surprise, cell, customer, cells=cells)
        few = np.bincount(cell, answered, minlength=cells) < _FEWEST
        gone = np.bincount(cell, np.where(answered, 0.0, self.lean), minlength=cells)
        off = -divide(gone, np.bincount(cell, minlength=cells))
        return off, false_discovery_rate(np.where(few, np.nan, p))


def tilt_of_answers(
    features: Rows,
    stratum: NDArray[np.integer],
    answered: Flags,
    score: Rows,
    customer: NDArray[np.integer],
    bucket: NDArray[np.integer],
    *,
    delay: Rows | None = None,
) -> Tilt | None:
    r"""Estimate how answering depends on the rating; None where too little is known to tell.

    The *shadow* s of a contact is the rating y that its ``features`` point to, within strata; with
    the regression of s on y the same among the silent as among the answers,

    .. math:: \bar y_{silent} - \bar y_{rated} = (\bar s_{silent} - \bar s_{rated}) / \gamma, \quad
              \gamma = \operatorname{Cov}(s, y) / \operatorname{Var}(y)

    Late answers (``delay``) are asked, too: the silent are like the last who answered. They can
    show that answering depends on the rating, and never that it does not: who answers late need not
    be like who never does. The p value of the clearer is doubled where both could be asked.

    D'Haultfœuille (2010), doi:10.1016/j.jeconom.2009.06.005; Miao & Tchetgen Tchetgen (2016),
    doi:10.1093/biomet/asw016; Armstrong & Overton (1977), doi:10.1177/002224377701400320 (late
    answers)
    """
    if answered.sum() < _FEWEST or answered.all():
        return None
    kept = np.bincount(stratum, answered)[stratum] >= 2
    x, at, rated, who = features[kept], stratum[kept], answered[kept], customer[kept]
    home, y = bucket[kept], np.where(answered, score, 0.0)[kept]
    everybody = np.ones(len(y), dtype=bool)
    lean, surprise = np.zeros(len(score)), np.zeros(len(score))
    ways: list[tuple[str, Rows, Callable[[Flags], float]]] = []
    if (own := _lean(x, at, rated, y, tell=True)) is not None:

        def by_journeys(some: Flags) -> float:
            points = _lean(x[some], at[some], rated[some], y[some])
            return 0.0 if points is None else -float(points[~rated[some]].sum() / some.sum())

        lean[kept] = own
        usual = _within(rated * 1.0, at, everybody)
        surprise[kept] = (own - _within(own, at, everybody)) * (rated - usual)
        ways.append(("journeys", surprise[kept], by_journeys))
    if delay is not None:
        order = _order(delay[kept], at, rated)

        def by_lateness(some: Flags) -> float:
            o, said = order * some, (y - _within(y, at, rated & some)) * (rated & some)
            last = divide(o @ said, o @ o)  # points from the first answers to the last
            return -float(last / 2 * (some & ~rated).sum() / some.sum())

        terms = order * (y - _within(y, at, rated))
        ways += [("late answers", terms, by_lateness)] if order.any() else []
    if not ways:
        return None
    one = np.zeros(len(y), dtype=np.int64)
    chances = [float(_chance(terms, one, who, cells=1)[0]) for _, terms, _ in ways]
    p = min(1.0, float(np.nanmin(chances)) * len(ways))
    clearer = int(np.nanargmin(chances)) if p <= _CHANCE else 0
    source, _, way = ways[clearer]
    if source != "journeys" and p > _CHANCE:
        return None
    parts = [everybody] + [home != b for b in range(BUCKETS)]
    off = np.array([way(part) for part in parts])
    # everybody's mean if those of a touchpoint were all like its answers, less what that is off
    mean = np.array([_within(y, at, rated & part)[part].mean() for part in parts]) - off
    estimate = np.array([off[0], mean[0]])
    counts = np.bincount(home[rated], minlength=BUCKETS).astype(np.float64)
    low, high = mean_interval(
        estimate,
        jackknife_se(estimate, np.array([off[1:], mean[1:]])),
        buckets=effective_buckets(counts[None, :]),
    )
    ends = y[rated].min(), y[rated].max()
    return Tilt(
        off=float(off[0]),
        at_most=abs(float(off[0])) + _ONE_SIDED * float(high[0] - low[0]) / 2,
        mean=float(np.clip(mean[0], *ends)),
        mean_low=float(np.clip(low[1], *ends)),
        mean_high=float(np.clip(high[1], *ends)),
        p=p,
        source=source,
        lean=lean,
        surprise=surprise,
    )


def _within(values: Rows, stratum: NDArray[np.integer], chosen: Flags) -> Rows:
    """Of each row the mean of the chosen values in its stratum."""
    most = int(stratum.max(initial=0)) + 1
    sums, n = (np.bincount(stratum, v, minlength=most) for v in (values * chosen, chosen * 1.0))
    mean: Rows = (sums / np.maximum(n, 1.0))[stratum]
    return mean


def _lean(
    x: Rows, stratum: NDArray[np.integer], answered: Flags, score: Rows, *, tell: bool = False
) -> Rows | None:
    """Points by which the journey of each contact points above the answers of its stratum.

    None where the features stand still, or (`tell`) go with the rating too little.
    """
    x = np.column_stack([f - _within(f, stratum, answered) for f in x.T])
    spread = np.sqrt((x[answered] ** 2).mean(axis=0))
    x = x[:, spread > 1e-9] / spread[spread > 1e-9]
    own, said = x[answered], (score - _within(score, stratum, answered))[answered]
    slope = np.linalg.solve(own.T @ own + _RIDGE * np.eye(x.shape[1]), own.T @ said)
    shadow = x @ slope
    told, free = shadow[answered], len(said) - len(np.unique(stratum))
    together = np.sqrt((told @ told) * (said @ said))
    # the least that tells anything: three standard errors of no correlation at all
    least = max(0.05, 3 / np.sqrt(len(said))) if tell else 0.0
    if together <= 0 or free <= x.shape[1] or (told @ said) / together <= least:
        return None
    unexplained = 1 - (told @ said) / (said @ said)
    gamma = 1 - unexplained * free / (free - x.shape[1])
    lean: Rows = shadow / max(gamma, _LEAST_EXPLAINED)
    return lean


def _order(delay: Rows, stratum: NDArray[np.integer], answered: Flags) -> Rows:
    """Place of each answer among those of its stratum, from -1/2 (first) to 1/2 (last); else 0."""
    order = np.zeros(len(delay))
    for one in np.unique(stratum[answered]):
        own = np.flatnonzero(answered & (stratum == one))
        _, at, n = np.unique(delay[own], return_inverse=True, return_counts=True)
        order[own] = ((np.cumsum(n) - n / 2) / len(own))[at] - 0.5
    return order


def _chance(
    terms: Rows, cell: NDArray[np.integer], customer: NDArray[np.integer], *, cells: int
) -> Estimates:
    """P value by cell of a sum of terms that are 0 on average, the customer being the unit."""
    people = int(customer.max(initial=0)) + 1
    pair, at = np.unique(cell * people + customer, return_inverse=True)
    sums, home = np.bincount(at, terms), pair // people
    total, square = (np.bincount(home, v, minlength=cells) for v in (sums, sums**2))
    return p_values(total, np.sqrt(square))


def reach_of_silence(spread: float, response: ArrayLike) -> Estimates:
    r"""Points by which the mean of the answers can be off, whoever answers.

    .. math:: \bar y_{rated} - \bar y = \rho \sqrt{(1 - f) / f} \sigma

    with the response f, the ratings' ``spread`` σ and the correlation ρ of rating and answering,
    here the largest that is plausible. Meng (2018), doi:10.1214/18-AOAS1161SF
    """
    f = np.asarray(response, dtype=np.float64)
    return _MOST_CORRELATED * spread * np.sqrt(divide(1 - f, f))


def points_to_change(margin: ArrayLike, response: ArrayLike) -> Estimates:
    """By how many points those who did not answer would have to differ to change a verdict.

    A verdict changes when the near end of its interval, ``margin`` points away, meets what it is
    compared with; infinite where everybody answered.
    """
    far, silent = np.asarray(margin, dtype=np.float64), 1 - np.asarray(response, dtype=np.float64)
    away = np.divide(far, silent, out=np.full(far.shape, np.inf), where=silent > 0)
    return np.where(np.isnan(far), np.nan, away)
