"""Who answers: weights for those who did, a test of who did not, and how much it would take.

A mean rating is that of those who answered. Three things can be said about the others:

- `answer_chances` and `mean_of_everybody`: what the mean would be if answering depended only on
  what the log knows (augmented inverse-probability weights).
- `tilt_of_answers`: what it would be if answering depended only on the *rating*. What happened in
  the journey goes with the rating and, given the rating, is taken to have no say in whether
  somebody answers; so it tells what those would have said who did not (a shadow variable). The same
  comparison is a test: where answering has nothing to do with the rating, it has nothing to do with
  what predicts the rating either.
- `points_to_change`: how much lower (or higher) those who did not answer would have to rate to
  change a verdict, whatever the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.rates import Interval, mean_interval
from cxlib.statistics.resampling import Estimates, effective_buckets, jackknife_se

__all__ = ["Tilt", "answer_chances", "mean_of_everybody", "points_to_change", "tilt_of_answers"]

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RIDGE = 1.0
_LEAST_CHANCE = 0.01
_STEPS = 50


def answer_chances(features: Rows, answered: Flags) -> Estimates:
    """Chance that each row was answered: logistic regression, drawn to the mean by a small ridge.

    Parameters
    ----------
    features
        ``[rows, features]``; scaled inside.
    answered
        Whether each row has an answer.

    Examples
    --------
    >>> chances = answer_chances(np.array([[0.0], [0.0], [1.0], [1.0]] * 50),
    ...                          np.array([True, False, True, True] * 50))
    >>> chances[:3].round(1).tolist()
    [0.5, 0.5, 1.0]
    """
    x = _scaled(features)
    y = answered.astype(np.float64)
    beta = np.zeros(x.shape[1])
    beta[0] = np.log((y.mean() + 1e-6) / (1 - y.mean() + 1e-6))
    ridge = np.full(x.shape[1], _RIDGE)
    ridge[0] = 0.0
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        weight = np.maximum(p * (1 - p), 1e-9)
        gradient = x.T @ (y - p) - ridge * beta
        step = np.linalg.solve((x * weight[:, None]).T @ x + np.diag(ridge + 1e-9), gradient)
        beta += np.clip(step, -4, 4)
        if np.abs(step).max() < 1e-8:
            break
    chance: Estimates = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
    return np.maximum(chance, _LEAST_CHANCE)


def _scaled(features: Rows) -> Rows:
    """A one, and the columns that move, each with mean 0 and spread 1."""
    spread = features.std(axis=0)
    moves = spread > 1e-12
    kept = (features[:, moves] - features[:, moves].mean(axis=0)) / spread[moves]
    return np.column_stack([np.ones(len(features)), kept])


def _predicted(features: Rows, answered: Flags, score: Rows) -> Rows:
    """What each row would be expected to say, from those who answered (least squares, ridge)."""
    x = _scaled(features)
    own, told = x[answered], score[answered]
    slope = np.linalg.solve(
        own.T @ own + _RIDGE * np.eye(x.shape[1]),
        own.T @ (told - told.mean()),
    )
    return x @ slope + told.mean()


def mean_of_everybody(
    features: Rows,
    answered: Flags,
    score: Rows,
    bucket: NDArray[np.integer],
    *,
    buckets: int,
) -> tuple[Interval, float]:
    r"""Mean rating if everybody had answered, as far as the log knows who did not.

    .. math:: \frac1N \sum_i \left( m(x_i) + \frac{r_i (y_i - m(x_i))}{\pi(x_i)} \right)

    Parameters
    ----------
    features
        What the log knows of each contact ``[rows, features]``.
    answered, score
        Whether it was rated, and the rating (anything where it was not).
    bucket, buckets
        Customer bucket of each row, and how many there are.

    Returns
    -------
    mean
        One entry, with its jackknife interval over customer buckets.
    effective
        Kish's effective number of answers: (Σ w)² / Σ w².

    References
    ----------
    Robins, Rotnitzky & Zhao (1994), doi:10.1080/01621459.1994.10476818
    """
    chance = answer_chances(features, answered)
    model = _predicted(features, answered, score)
    rest = np.where(answered, (np.where(answered, score, 0.0) - model) / chance, 0.0)
    value = np.bincount(bucket, model + rest, minlength=buckets)
    rows = np.bincount(bucket, minlength=buckets).astype(np.float64)
    estimate = value.sum() / max(rows.sum(), 1.0)
    left = rows.sum() - rows
    without = np.divide(value.sum() - value, left, out=np.full(buckets, np.nan), where=left > 0)
    se = jackknife_se(np.array([estimate]), without[None, :])
    answers = np.bincount(bucket[answered], minlength=buckets).astype(np.float64)
    low, high = mean_interval([estimate], se, buckets=effective_buckets(answers[None, :]))
    weight = 1 / chance[answered]
    effective = float(weight.sum() ** 2 / max((weight**2).sum(), 1e-12))
    return Interval(np.array([estimate]), low, high, se), effective


@dataclass(frozen=True, slots=True)
class Tilt:
    """How answering seems to depend on the rating.

    Attributes
    ----------
    slope, slope_low, slope_high
        Change of the log odds to answer per point of the rating (95 % over customers).
    mean, mean_low, mean_high
        Mean rating of everybody if answering depends on the rating alone.
    plain
        Mean of the answers given.
    """

    slope: float
    slope_low: float
    slope_high: float
    mean: float
    mean_low: float
    mean_high: float
    plain: float

    @property
    def depends(self) -> bool:
        """Whether the slope's interval leaves out 0."""
        return bool(self.slope_low > 0 or self.slope_high < 0)

    @property
    def off(self) -> float:
        """By how many points the plain mean seems to be too high."""
        return self.plain - self.mean


def tilt_of_answers(
    features: Rows,
    answered: Flags,
    score: Rows,
    bucket: NDArray[np.integer],
    *,
    buckets: int,
) -> Tilt | None:
    r"""Estimate how answering depends on the rating, from what goes with the rating.

    The chance to answer is taken as logit π(y) = a + b (y − ȳ), and a and b are such that those who
    answered, weighed with 1/π(y), are like everybody in number and in the rating that their
    journeys predict:

    .. math:: \sum_i \left(\frac{r_i}{\pi(y_i)} - 1\right) (1, \hat y(x_i)) = 0

    Parameters
    ----------
    features, answered, score, bucket, buckets
        As for `mean_of_everybody`.

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
    doi:10.1093/biomet/asw016
    """
    if answered.sum() < 50 or answered.all():
        return None
    predicted = _predicted(features, answered, score)
    own = score[answered]
    told = np.corrcoef(predicted[answered], own)[0, 1] if predicted[answered].std() > 1e-9 else 0.0
    # a tenth of correlation, or three standard errors of none
    if not told > max(0.05, 3 / np.sqrt(answered.sum())):
        return None
    spread = max(float(own.std()), 1e-9)
    y = (own - own.mean()) / spread
    shadow = np.column_stack(
        [np.ones(len(predicted)), (predicted - predicted.mean()) / max(predicted.std(), 1e-9)]
    )
    everybody = np.column_stack(
        [np.bincount(bucket, shadow[:, k], minlength=buckets) for k in range(2)]
    )
    inside, home = shadow[answered], bucket[answered]

    def solve(kept: Rows, target: Rows, start: Rows) -> Rows:
        theta = start.copy()
        for _ in range(_STEPS):
            odds = np.exp(-np.clip(theta[0] + theta[1] * y, -20, 20))  # 1/π − 1
            moment = ((1 + odds) * kept) @ inside - target
            weighed = (odds * kept)[:, None] * inside
            slope = -np.column_stack([weighed.sum(axis=0), weighed.T @ y])
            try:
                step = np.linalg.solve(slope, moment)
            except np.linalg.LinAlgError:
                break
            theta -= np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < 1e-9:
                break
        return np.clip(theta, -20, 20)

    def mean_at(theta: Rows, kept: Rows) -> float:
        weight = (1 + np.exp(-np.clip(theta[0] + theta[1] * y, -20, 20))) * kept
        return float((weight * own).sum() / weight.sum())

    ones = np.ones(len(own))
    share = answered.mean()
    start = np.array([np.log(share / (1 - share)), 0.0])
    theta = solve(ones, everybody.sum(axis=0), start)
    thetas, means = [], []
    for b in range(buckets):
        kept = (home != b).astype(np.float64)
        left = solve(kept, everybody.sum(axis=0) - everybody[b], theta)
        thetas.append(left[1])
        means.append(mean_at(left, kept))
    mean = mean_at(theta, ones)
    se = jackknife_se(np.array([theta[1], mean]), np.array([thetas, means]))
    counts = np.bincount(home, minlength=buckets).astype(np.float64)
    low, high = mean_interval([theta[1], mean], se, buckets=effective_buckets(counts[None, :]))
    return Tilt(
        slope=float(theta[1]) / spread,
        slope_low=float(low[0]) / spread,
        slope_high=float(high[0]) / spread,
        mean=mean,
        mean_low=float(np.maximum(low[1], own.min())),
        mean_high=float(np.minimum(high[1], own.max())),
        plain=float(own.mean()),
    )


def points_to_change(
    mean: ArrayLike, low: ArrayLike, high: ArrayLike, *, response: ArrayLike, against: ArrayLike
) -> Estimates:
    r"""By how many points those who did not answer would have to differ to change a verdict.

    With response rate r and non-responders δ points from their like, the mean of everybody moves by
    (1 − r) δ. A verdict is that the interval lies above, or below, what it is compared with; it
    changes when the interval's near end meets it.

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
        Points, positive; 0 where there is no verdict (the interval holds what it is compared with);
        infinite where everybody answered.

    Examples
    --------
    >>> points_to_change([2.0], [1.8], [2.2], response=[0.2], against=[3.0]).round(6).tolist()
    [1.0]
    """
    m, lower, upper, r, other = (
        np.asarray(v, dtype=np.float64) for v in (mean, low, high, response, against)
    )
    margin = np.where(m < other, other - upper, lower - other)
    silent = np.maximum(1 - r, 0.0)
    away = np.full(np.broadcast(m, r).shape, np.inf)
    np.divide(np.maximum(margin, 0.0), silent, out=away, where=silent > 0)
    return np.where(np.isnan(m) | np.isnan(other), np.nan, away)
