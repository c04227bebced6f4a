"""Who answers: weights for those who did, a test of who did not, and how much it would take.

A mean rating is that of those who answered. Three things can be said about the others:

- `Answering` and `mean_of_everybody`: what the mean would be if answering depended only on
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

from cxlib.statistics.rates import Interval, divide, mean_interval, t_quantile
from cxlib.statistics.resampling import Estimates, effective_buckets, jackknife_se
from cxlib.statistics.scores import independent_answers

__all__ = ["Answering", "Tilt", "mean_of_everybody", "points_to_change", "tilt_of_answers"]

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RIDGE = 1.0
_LEAST_CHANCE = 0.001
_STEPS = 50
_MOST_TILT = 4.0


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
    stratum: NDArray[np.integer],
    answered: Flags,
    score: Rows,
    bucket: NDArray[np.integer],
    *,
    buckets: int,
) -> Tilt | None:
    r"""Estimate how answering depends on the rating, from what goes with the rating.

    Within each stratum, where surveys may be sent as they like, the chance to answer is taken as
    logit π(y) = a + b y. Then those who did not answer are those who did, weighed with
    exp(-b y); b is such that this gives them the ratings that their journeys predict:

    .. math:: \sum_s (N_s - n_s) \left( \frac{\sum_{i \in s} r_i e^{-b y_i} \hat y(x_i)}
              {\sum_{i \in s} r_i e^{-b y_i}} - \bar{\hat y}_{s, r = 0} \right) = 0

    Parameters
    ----------
    features
        What goes with the rating and, given the rating, is taken to have no say in who answers
        ``[rows, features]``.
    stratum
        Stratum of each contact (its touchpoint).
    answered, score
        Whether it was rated, and the rating (anything where it was not).
    bucket, buckets
        Customer bucket of each row, and how many there are.

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
    doi:10.1093/biomet/asw016; Kim & Yu (2011), exponential tilting. doi:10.1198/jasa.2011.tm10104
    """
    rated = np.bincount(stratum, answered, minlength=int(stratum.max(initial=0)) + 1)
    kept = rated[stratum] >= 5
    features, stratum, answered = features[kept], stratum[kept], answered[kept]
    score, bucket = score[kept], bucket[kept]
    if answered.sum() < 50 or answered.all():
        return None
    _, stratum = np.unique(stratum, return_inverse=True)
    strata = int(stratum.max()) + 1
    own, home, at = score[answered], bucket[answered], stratum[answered]

    def centred(values: Rows, group: NDArray[np.integer], by: Rows) -> Rows:
        """Values less the mean of those who answered in the same stratum."""
        mean = np.bincount(at, by, minlength=strata) / np.bincount(at, minlength=strata)
        return values - mean[group]

    x = np.column_stack([centred(f, stratum, f[answered]) for f in features.T])
    spread = np.sqrt((x[answered] ** 2).mean(axis=0))
    x = x[:, spread > 1e-9] / spread[spread > 1e-9]
    said = centred(own, at, own)
    inside = x[answered]
    slope = np.linalg.solve(inside.T @ inside + _RIDGE * np.eye(x.shape[1]), inside.T @ said)
    shadow = x @ slope
    told = shadow[answered]
    together = np.sqrt((told**2).sum() * (said**2).sum())
    # the least that tells anything: three standard errors of no correlation at all
    if together <= 0 or (told @ said) / together < max(0.05, 3 / np.sqrt(len(own))):
        return None
    unit = max(float(own.std()), 1e-9)
    silent = ~answered
    survey = _Survey(
        told=told,
        own=own,
        y=said / unit,
        at=at,
        home=home,
        missing=_by_stratum(stratum[silent], bucket[silent], None, (strata, buckets)),
        hidden=_by_stratum(stratum[silent], bucket[silent], shadow[silent], (strata, buckets)),
    )
    b, means = survey.solve(buckets)
    estimate = np.array([b[-1], means[-1]])
    se = jackknife_se(estimate, np.array([b[:-1], means[:-1]]))
    counts = np.bincount(home, minlength=buckets).astype(np.float64)
    low, high = mean_interval(estimate, se, buckets=effective_buckets(counts[None, :]))
    return Tilt(
        slope=float(b[-1]) / unit,
        slope_low=float(low[0]) / unit,
        slope_high=float(high[0]) / unit,
        mean=float(means[-1]),
        mean_low=float(max(low[1], own.min())),
        mean_high=float(min(high[1], own.max())),
        plain=float(own.mean()),
    )


def _by_stratum(
    stratum: NDArray[np.integer],
    bucket: NDArray[np.integer],
    values: Rows | None,
    shape: tuple[int, int],
) -> Rows:
    flat = np.bincount(stratum * shape[1] + bucket, values, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Survey:
    """Answers (shadow, rating, scaled rating, stratum, bucket), and the silent by stratum."""

    told: Rows
    own: Rows
    y: Rows
    at: NDArray[np.integer]
    home: NDArray[np.integer]
    missing: Rows
    hidden: Rows

    def balance(self, b: float, without: int) -> tuple[float, float]:
        """Balance of the equation without a bucket, and the mean rating that `b` gives."""
        keep = self.home != without
        weight = np.exp(-np.clip(b * self.y, -30, 30)) * keep
        w, ws, wy, plain, n = (
            np.bincount(self.at, v, minlength=len(self.missing))
            for v in (weight, weight * self.told, weight * self.own, self.own * keep, keep)
        )
        others = np.arange(self.missing.shape[1]) != without
        gone, lost = self.missing[:, others].sum(axis=1), self.hidden[:, others].sum(axis=1)
        there = w > 0
        gap = (gone[there] * ws[there] / w[there] - lost[there]).sum()
        rating = (plain[there] + gone[there] * wy[there] / w[there]).sum()
        return float(gap), float(rating / (n[there] + gone[there]).sum())

    def solve(self, buckets: int) -> tuple[Rows, Rows]:
        """Return the tilt and the mean rating without each bucket, and last with all of them."""
        from scipy.optimize import brentq

        found = []
        for without in range(buckets + 1):
            ends = [self.balance(b, without)[0] for b in (-_MOST_TILT, _MOST_TILT)]
            # the balance falls as b rises: those who rate high and answer more weigh less
            if ends[0] * ends[1] >= 0:
                b = _MOST_TILT if ends[1] > 0 else -_MOST_TILT
            else:
                b = brentq(lambda b, k=without: self.balance(b, k)[0], -_MOST_TILT, _MOST_TILT)
            found.append((b, self.balance(b, without)[1]))
        tilts, means = np.array(found).T
        return tilts, means


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
