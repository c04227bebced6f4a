"""What is to be expected of a handoff, from all the others: a robust additive model.

For a cell (a, b), with ``g`` the logit for shares and the identity for means::

    g(expected) = strata + source(a) + target(b) + stages(a, b) + same channel(a, b)

Strata are fitted once and held fixed; source and stage effects are random; cells far from the bulk
lose their weight (Huber, then Tukey's biweight), and none weighs more than the natural spread
``tau`` between cells allows; a cell's own pull is taken out (leave-one-out); ``tau`` comes from the
bulk of the cells (an empirical null). Why: `docs/decisions/0007-expectations-of-handoffs.md`.

Efron (2004), doi:10.1198/016214504000000089; Huber & Ronchetti (2009), doi:10.1002/9780470434697
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxlib.grounds.additive import AdditiveModel, Block, Cells, Family, Floats

MIN_N = 50
"""Arrivals below which a handoff is not judged."""

MOST_DOUBT = 1.0
"""Standard error of an expectation (in logits, log waits, rating points) beyond which the
answer is withheld: too few other handoffs are like this one. For shares it is enough that the
standard error is below a tenth of this as a share: of what hardly ever happens, logits say little.
"""

_MOST_OWN = 0.7
"""Share of the information on a cell's expectation that may come from the cell itself, for the cell
to tell how much handoffs differ."""

_REFIT = 0.5
"""Share beyond which a cell's expectation is fitted anew without it: to first order is not enough
for a target that nearly everyone reaches from one source."""

_ROUNDS, _STILL = 12, 0.003
"""Most rounds of fitting and weighing, and the change below which there are no more."""

_CLEAR = 24
"""Cells that chance blurs little, from which on they are asked alone how much they differ."""

_WIDEST = 5.0
"""Largest natural spread that is considered."""

_FULL_WEIGHT, _NO_WEIGHT = 2.0, 4.5


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Per cell: n, observed, expected, deviation on the model's scale with its variance, and tau.

    ``model_variance`` is that part of the variance which is the expectation's.
    """

    n: Floats
    observed: Floats
    expected: Floats
    deviation: Floats
    variance: Floats
    model_variance: Floats
    tau: float | Floats
    family: Family

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Whether enough other handoffs are like this one to say what to expect of it."""
        doubt = np.sqrt(self.model_variance)
        if self.family == "share":
            doubt = np.minimum(doubt, 10 * self.doubt_in_points)
        return doubt <= MOST_DOUBT

    @property
    def doubt_in_points(self) -> Floats:
        """How much larger an expected share could well be: one standard error up.

        Upwards, what hardly anybody did elsewhere has more room than the slope of the logit says.
        """
        share = np.clip(self.expected, 1e-4, 1 - 1e-4)
        doubt = np.sqrt(self.model_variance)
        upper = 1 / (1 + (1 - share) / share * np.exp(-doubt))
        return np.maximum(upper - share, share * (1 - share) * doubt)

    @property
    def spread(self) -> Floats:
        """Standard error of the deviation, natural spread included."""
        return np.sqrt(self.variance + self.tau**2)

    @property
    def z(self) -> Floats:
        """Deviation in standard errors."""
        return self.deviation / self.spread


def expect_cells(
    cells: Cells,
    blocks: Sequence[Block],
    *,
    family: Family,
    judged: NDArray[np.bool_],
    inflation: float = 1.0,
    least_spread: float = 0.0,
    clear_too: bool = False,
) -> Expectation:
    """Fit the robust additive model and give every cell's expectation without the cell itself.

    The natural spread comes from the cells `judged`, and is `least_spread` at least; `inflation`:
    variance of customers' behaviour relative to independent draws; `clear_too`: see
    `natural_spread`.
    """
    model = AdditiveModel(cells, blocks, family)
    weight = np.full(model.size, 1.0 / inflation)
    prior = np.array([b.variance for b in blocks])
    doubt = np.zeros(model.size) if cells.doubt is None else cells.doubt
    beta, tau = np.zeros(len(model.owner)), 0.0
    at = model.look(beta)
    for turn in range(_ROUNDS):
        before, widest = beta, tau
        beta, at, covariance = model.solve(beta, at, weight, prior)
        # variance of what the effects say of each cell
        pull = covariance.ravel()[model.pairs].sum(1)
        own = np.minimum(weight * at.info * pull, 0.95)
        bulk = judged & (own <= _MOST_OWN)
        deviation = at.score / at.info / (1 - own)
        of_model = pull / (1 - own) + doubt
        variance = inflation / at.info + of_model
        tau = natural_spread(deviation[bulk], variance[bulk], clear_too=clear_too)
        tau = max(least_spread, tau)
        z = np.abs(deviation) / np.sqrt(variance + tau**2)
        weight = _robust_weight(z, turn) / (inflation + at.info * (tau**2 + doubt))
        prior = model.update_prior(prior, beta, covariance)
        if turn > 3 and np.abs(beta - before).max() < _STILL and abs(tau - widest) < _STILL:
            break
    expected = model.mean_without(beta, deviation - at.score / at.info)
    refit = np.flatnonzero(judged & (own > _REFIT))
    if len(refit):
        expected[refit], deviation[refit], info_then, doubt_then = model.without(
            refit, beta, weight, prior
        )
        of_model[refit] = doubt_then + doubt[refit]
        variance[refit] = inflation / info_then + of_model[refit]
    observed = model.total / np.maximum(model.n, 1)
    return Expectation(model.n, observed, expected, deviation, variance, of_model, tau, family)


def _robust_weight(z: Floats, turn: int) -> Floats:
    if turn < 2:
        return np.minimum(1.0, 1.5 / np.maximum(z, 1e-9))
    inside = np.clip((z - _FULL_WEIGHT) / (_NO_WEIGHT - _FULL_WEIGHT), 0, 1)
    return (1 - inside**2) ** 2


LEAST_FOR_TAIL = 30
"""Cells from which on the harmless side tells how far cells lie apart by nature."""

STATED_FOR = 6.0
"""Units for which a stated default counts beside those that tell how much they differ."""


def stated_spread(deviation: Floats, variance: Floats, *, default: float, units: int) -> float:
    """Natural spread where few can tell: mean variance of a stated default and of what they show.

    Only their median is asked, and more than the default is not believed: most may be broken.
    """
    if len(deviation) < 3:
        return default
    found = min(_spread_at(deviation, variance, 0.5), default**2)
    return float(np.sqrt((units * found + STATED_FOR * default**2) / (units + STATED_FOR)))


_SPREADS, _CUT = np.geomspace(0.02, _WIDEST, 80), 3.0
"""Natural spreads that are tried, and standard deviations from which on a unit is not of the
bulk."""


def drawn_spread(deviation: Floats, variance: Floats, *, default: float) -> float:
    """Natural spread as the bulk shows it, drawn to a stated default by what it cannot tell.

    Units count by their likelihood, of a normal law cut off where the bulk ends (`_CUT`): of what
    hardly anybody does chance blurs some by ten times as much as others, and a quantile of all of
    them would take the chance of those for nature.
    """
    from scipy.special import ndtr

    square, spread = _SPREADS[:, None] ** 2 + variance, _WIDEST
    stated = STATED_FOR * (np.log(_SPREADS) + (default / _SPREADS) ** 2 / 2)
    for _ in range(_ROUNDS):
        end = _CUT * np.sqrt(variance + spread**2)
        bulk = np.abs(deviation) < end
        wide = square[:, bulk]
        loss = (np.log(wide) + deviation[bulk] ** 2 / wide) / 2
        loss += np.log(2 * ndtr(end[bulk] / np.sqrt(wide)) - 1)
        before, spread = spread, float(_SPREADS[(loss.sum(1) + stated).argmin()])
        if spread == before:
            break
    return spread


def median(values: Floats) -> float:
    """The median; numpy's own takes longer than the rest of what it is needed for."""
    ends = [(len(values) - 1) // 2, len(values) // 2]
    low, high = np.partition(values, ends)[ends]
    return float((low + high) / 2)


def weighted_median(values: Floats, weight: Floats) -> float:
    """The median of values that weigh unlike."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _spread_at(deviation: Floats, variance: Floats, quantile: float) -> float:
    """Variance at which a quantile of the squared standardised deviations is a normal law's."""
    from scipy.special import chdtri

    # a cell is outside as long as the spread, squared, is below this
    limit = (deviation - median(deviation)) ** 2 / chdtri(1, 1 - quantile) - variance
    inside = len(limit) - 1 - int((1 - quantile) * len(limit))
    limit.partition(inside)
    return max(0.0, float(limit[inside]))


def tail_scale(z: Floats) -> float:
    """By how much the harmless side of standardised deviations is wider than a normal law's.

    Nobody plants a fault that makes things better. The median over the extreme ranks, at least 1.
    """
    from scipy.special import ndtri

    if len(z) < LEAST_FOR_TAIL:
        return 1.0
    rank = np.arange(2, max(4, len(z) // 25) + 1)
    ratio = np.sort(z)[rank - 1] / ndtri((rank - 0.5) / len(z))
    return max(1.0, float(np.median(ratio)))


def natural_spread(deviation: Floats, variance: Floats, *, clear_too: bool = False) -> float:
    """Natural standard deviation between cells, from the bulk of them.

    The larger of the spreads at which the median, and the upper quartile, of the squared
    standardised deviations are a normal law's; ``clear_too``: also of the half that chance blurs
    least, alone.
    """
    if len(deviation) < 8:
        return 0.15
    least = 0.0
    clear = variance <= median(variance)
    if clear_too and clear.sum() >= _CLEAR:
        least = natural_spread(deviation[clear], variance[clear])
    found = max(_spread_at(deviation, variance, quantile) for quantile in (0.5, 0.75))
    return max(least, min(float(np.sqrt(found)), _WIDEST))
