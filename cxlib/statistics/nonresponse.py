"""Who answers: weights for those who did, a test of who did not, and how much it would take.

A mean rating is that of those who answered. Three things can be said about the others:

- `Answering` and `mean_of_everybody`: what the mean would be if answering depended only on
  what the log knows (augmented inverse-probability weights).
- `tilt_of_answers`: what it would be if answering depended only on the *rating*. What happened in
  the journey goes with the rating and, given the rating, is taken to have no say in whether
  somebody answers; so it tells what those would have said who did not (a shadow variable). The same
  comparison is a test: where answering has nothing to do with the rating, it has nothing to do with
  what predicts the rating either, nor with how late an answer comes.
- `points_to_change`: how much lower (or higher) those who did not answer would have to rate to
  change a verdict, whatever the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import LEVEL, Interval, divide, mean_interval, t_quantile
from cxlib.statistics.resampling import BUCKETS, Estimates, effective_buckets, jackknife_se
from cxlib.statistics.scores import independent_answers

__all__ = ["Answering", "Tilt", "mean_of_everybody", "points_to_change", "tilt_of_answers"]

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RIDGE = 1.0
_LEAST_CHANCE = 0.001
_STEPS = 50
_FEWEST = 30
"""Answers from which on it can be told whether answering depends on the rating."""

_LEAST_EXPLAINED = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """Who answers, and what they say: two regressions on what the log knows of each contact.

    Attributes
    ----------
    centre, spread
        Of each feature, to scale it by; features that stand still have an infinite spread.
    odds
        Logistic coefficients of the chance to answer, the constant first.
    slope
        Linear coefficients of the rating among those who answered, the constant first.
    """

    centre: Rows
    spread: Rows
    odds: Rows
    slope: Rows

    @classmethod
    def fit(cls, features: Rows, answered: Flags, score: Rows) -> Answering:
        """Fit both, drawn to their means by a small ridge.

        Parameters
        ----------
        features
            ``[rows, features]``.
        answered, score
            Whether each row was rated, and the rating (anything where it was not).
        """
        centre, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 1e-12, spread, np.inf)
        x = _scaled(features, centre, spread)
        ridge = np.full(x.shape[1], _RIDGE)
        ridge[0] = 1e-9
        own = x[answered]
        slope = np.linalg.solve(own.T @ own + np.diag(ridge), own.T @ score[answered])
        y = answered.astype(np.float64)
        odds = np.zeros(x.shape[1])
        odds[0] = np.log((y.mean() + 1e-6) / (1 - y.mean() + 1e-6))
        for _ in range(_STEPS):
            p = _logistic(x @ odds)
            weight = np.maximum(p * (1 - p), 1e-9)
            pull = np.where(np.arange(len(odds)) > 0, ridge * odds, 0.0)
            step = np.linalg.solve(
                (x * weight[:, None]).T @ x + np.diag(ridge), x.T @ (y - p) - pull
            )
            odds += np.clip(step, -4, 4)
            if np.abs(step).max() < 1e-8:
                break
        return cls(centre, spread, odds, np.asarray(slope, dtype=np.float64))

    def chances(self, features: Rows) -> Estimates:
        """Chance of each row to be answered."""
        x = _scaled(features, self.centre, self.spread)
        return np.maximum(_logistic(x @ self.odds), _LEAST_CHANCE)

    def expected(self, features: Rows) -> Estimates:
        """What each row would be expected to say, from those who answered."""
        said: Estimates = _scaled(features, self.centre, self.spread) @ self.slope
        return said

    def completed(self, features: Rows, answered: Flags, score: Rows) -> Estimates:
        r"""Per row, the term whose mean is that of everybody's rating.

        .. math:: m(x) + r (y - m(x)) / \pi(x)
        """
        model = self.expected(features)
        rest = (np.where(answered, score, model) - model) / self.chances(features)
        return model + rest


def _scaled(features: Rows, centre: Rows, spread: Rows) -> Rows:
    """A one, and the features, each with mean 0 and spread 1."""
    return np.column_stack([np.ones(len(features)), (features - centre) / spread])


def _logistic(x: Rows) -> Estimates:
    chance: Estimates = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return chance


def mean_of_everybody(
    completed: Rows,
    cell: NDArray[np.integer],
    customer: NDArray[np.integer],
    *,
    cells: int,
    answers: ArrayLike,
) -> Interval:
    """Mean rating by cell if everybody had answered, as far as the log knows who did not.

    Parameters
    ----------
    completed
        What `Answering.completed` gives, per contact.
    cell, customer
        Cell and customer of each contact.
    cells
        Number of cells.
    answers
        Independent answers in each cell (degrees of freedom).

    References
    ----------
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

    Attributes
    ----------
    off
        By how many points the answers seem too high for everybody at the same touchpoints.
    seen_from
        Size of `off` that would have been seen more often than not: half of its 95 % interval.
    mean, mean_low, mean_high
        Mean rating of everybody if answering depends on the rating alone.
    p
        Chance of such an `off` where answering has nothing to do with the rating.
    source
        What it shows in: "journeys", or "late answers".
    lean, surprise
        Of each contact: points by which its journey points above the answers of its stratum; that,
        from the mean of the stratum, times 1 or 0 for rated or not less the share of those rated.
    """

    off: float
    seen_from: float
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
        return self.p <= 1 - LEVEL

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
    r"""Estimate how answering depends on the rating, from what goes with the rating.

    The *shadow* s of a contact is the rating y that its journey points to, within strata, where
    surveys may be sent as they like. Given the rating, it is taken to have no say in who answers.
    So the regression of s on y is among the silent what it is among the answers, and how far their
    shadows lie apart tells how far their ratings do:

    .. math:: \bar y_{silent} - \bar y_{answers} =
              (\bar s_{silent} - \bar s_{answers}) / \gamma, \quad
              \gamma = \operatorname{Cov}(s, y) / \operatorname{Var}(y)

    Late answers are asked, too: the silent are taken to be like the last who answered. What
    shows more clearly is told, its p value doubled where both could be asked.

    Parameters
    ----------
    features
        What goes with the rating and, given the rating, is taken to have no say in who answers
        ``[rows, features]``.
    stratum
        Stratum of each contact (its touchpoint).
    answered, score
        Whether it was rated, and the rating (anything where it was not).
    customer, bucket
        Customer and customer bucket of each row.
    delay
        From the contact to its answer, in any unit (anything where there is none); None: unknown.

    Returns
    -------
    Tilt or None
        None where the features predict so little, or there are so few answers, that nothing can be
        said.

    References
    ----------
    D'Haultfœuille (2010), A new instrumental method for dealing with endogenous selection.
    doi:10.1016/j.jeconom.2009.06.005; Miao & Tchetgen Tchetgen (2016), On varieties of doubly
    robust estimators under missingness not at random with a shadow variable.
    doi:10.1093/biomet/asw016; Armstrong & Overton (1977), Estimating nonresponse bias in mail
    surveys. doi:10.1177/002224377701400320 (late answers)
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
    source, _, way = ways[int(np.nanargmin(chances))]
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
        seen_from=float(high[0] - low[0]) / 2,
        mean=float(np.clip(mean[0], *ends)),
        mean_low=float(np.clip(low[1], *ends)),
        mean_high=float(np.clip(high[1], *ends)),
        p=min(1.0, float(np.nanmin(chances)) * len(ways)),
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


def points_to_change(
    mean: ArrayLike, low: ArrayLike, high: ArrayLike, *, response: ArrayLike, against: ArrayLike
) -> Estimates:
    r"""By how many points those who did not answer would have to differ to change a verdict.

    With response rate r and non-responders δ points from their like, the mean of everybody moves by
    (1 − r) δ. A verdict is that the interval lies above, below, or around what it is compared with;
    it changes when an end of the interval meets that.

    Parameters
    ----------
    mean, low, high
        Estimate of everybody's mean, with its interval.
    response
        Share of contacts that were rated.
    against
        What the mean is compared with (others' mean, an own past, a target).

    Returns
    -------
    numpy.ndarray
        Points, positive; infinite where everybody answered.

    Examples
    --------
    >>> points_to_change([2.0], [1.8], [2.2], response=[0.2], against=[3.0]).round(6).tolist()
    [1.0]
    """
    m, lower, upper, r, other = (
        np.asarray(v, dtype=np.float64) for v in (mean, low, high, response, against)
    )
    margin = np.minimum(np.abs(other - upper), np.abs(lower - other))
    silent = np.maximum(1 - r, 0.0)
    away = np.full(np.broadcast(m, r).shape, np.inf)
    np.divide(margin, silent, out=away, where=silent > 0)
    return np.where(np.isnan(m) | np.isnan(other), np.nan, away)
