"""What is to be expected of a handoff, from all the others: a robust additive model.

Customers who come from a touchpoint a differ from others (personas, campaigns, hard cases), and a
touchpoint b treats everyone who arrives in its own way. Both act on every handoff they take part
in: a → x for every x, and x → b for every x. What is special about a → b is what remains.

For a cell (a, b), with ``g`` the logit for shares and the identity for means::

    g(expected) = strata + source(a) + target(b) + stages(a, b) + same channel(a, b)

- ``strata`` (position in the journey, highest stage and goal reached, segment, period) is fitted
  once on all arrivals and then held fixed;
- the source and stage effects are random effects whose variance is estimated (EM), so that a
  source with one dominant target does not swallow that target's fault;
- the fit is robust: cells far from the bulk lose their weight (Huber, then Tukey's biweight), and
  no cell weighs more than the natural spread ``tau`` between cells allows, so that neither several
  broken arrivals at one touchpoint nor one huge cell set the expectation of the others;
- a cell's own pull on its expectation is removed exactly to first order (leave-one-out);
- ``tau`` is estimated from the bulk of the cells (an empirical null): handoffs differ naturally,
  and only what stands out from that is a finding.

References
----------
Efron (2004), Large-scale simultaneous hypothesis testing: the choice of a null hypothesis.
doi:10.1198/016214504000000089
Huber & Ronchetti (2009), Robust Statistics. doi:10.1002/9780470434697
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Family = Literal["share", "mean"]

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

_MANY = 12
_REFIT = 0.5
"""Share beyond which a cell's expectation is fitted anew without it: to first order is not enough
for a target that nearly everyone reaches from one source."""

_ROUNDS, _STILL = 12, 0.003
"""Most rounds of fitting and weighing, and the change below which there are no more."""

_FULL_WEIGHT, _NO_WEIGHT = 2.0, 4.5
_WEAK = 25.0
_DETERMINED = 0.2
"""Share of an effect that the data must determine before it tells how much such effects differ."""


@dataclass(frozen=True, slots=True)
class Block:
    """One group of effects: the level of each cell, and the prior variance of the effects.

    ``fixed`` blocks keep their (weak) prior; for the others the variance is estimated, starting
    from ``variance`` and never below a hundredth of it.
    """

    levels: Codes
    variance: float = _WEAK
    fixed: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Rows of one signal, summed by cell and by value of the fixed strata.

    Attributes
    ----------
    cell
        Cell of each row.
    n, total
        Arrivals, and the number with the outcome (share) or the sum of the values (mean).
    offset
        Value of the strata on the model's scale.
    variance
        Of one value (mean), per cell; 1 for shares, whose variance the model knows.
    doubt
        Variance of the offset itself, per cell, where it is an estimate.
    """

    cell: Codes
    n: Floats
    total: Floats
    offset: Floats
    variance: Floats
    doubt: Floats | None = None


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
    tau: float
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

        What hardly anybody did elsewhere is expected of hardly anybody, but not surely so: upwards
        the share has more room than the slope of the logit says.
        """
        share = np.clip(self.expected, 1e-4, 1 - 1e-4)
        doubt = np.sqrt(self.model_variance)
        upper = 1 / (1 + (1 - share) / share * np.exp(-doubt))
        return np.maximum(upper - share, share * (1 - share) * doubt)

    @property
    def z(self) -> Floats:
        """Deviation in standard errors, natural spread included."""
        return self.deviation / np.sqrt(self.variance + self.tau**2)


def expect_cells(
    cells: Cells,
    blocks: Sequence[Block],
    *,
    family: Family,
    judged: NDArray[np.bool_],
    inflation: float = 1.0,
    least_spread: float = 0.0,
) -> Expectation:
    """Fit the robust additive model and give every cell's expectation without the cell itself.

    Parameters
    ----------
    cells
        The rows.
    blocks
        Effects; levels are per cell.
    family
        "share" (logit) or "mean" (identity).
    judged
        Cells from which the natural spread is estimated.
    inflation
        Variance of customers' behaviour relative to independent draws (design effect).
    least_spread
        Natural spread that is assumed where the bulk of the cells, small as they are, shows none.
    """
    model = _Model(cells, blocks, family)
    size = len(judged)
    weight = np.full(size, 1.0 / inflation)
    prior = np.array([b.variance for b in blocks])
    doubt = np.zeros(size) if cells.doubt is None else cells.doubt
    beta = np.zeros(model.design.shape[1])
    tau = 0.0
    for turn in range(_ROUNDS):
        before, widest = beta, tau
        beta, hessian = model.solve(beta, weight, prior)
        inverse = np.linalg.inv(hessian)
        info, score, _ = model.scores(beta)
        pull = (model.design @ inverse * model.design).sum(1)
        own = np.minimum(weight * info * pull, 0.95)
        bulk = judged & (own <= _MOST_OWN)
        deviation = score / info / (1 - own)
        of_model = pull / (1 - own) + doubt
        variance = inflation / info + of_model
        tau = max(least_spread, natural_spread(deviation[bulk], variance[bulk]))
        z = np.abs(deviation) / np.sqrt(variance + tau**2)
        weight = _robust_weight(z, turn) / (inflation + info * (tau**2 + doubt))
        prior = model.update_prior(prior, beta, np.asarray(inverse, dtype=np.float64))
        if turn > 3 and np.abs(beta - before).max() < _STILL and abs(tau - widest) < _STILL:
            break
    expected = model.mean_without(beta, deviation - score / info)
    for cell in np.flatnonzero(judged & (own > _REFIT)):
        expected[cell], deviation[cell], info_then, doubt_then = model.without(
            int(cell), beta, weight, prior
        )
        of_model[cell] = doubt_then + doubt[cell]
        variance[cell] = inflation / info_then + of_model[cell]
    observed = model.sums(cells.total) / np.maximum(model.n, 1)
    return Expectation(model.n, observed, expected, deviation, variance, of_model, tau, family)


def _robust_weight(z: Floats, turn: int) -> Floats:
    if turn < 2:
        return np.minimum(1.0, 1.5 / np.maximum(z, 1e-9))
    inside = np.clip((z - _FULL_WEIGHT) / (_NO_WEIGHT - _FULL_WEIGHT), 0, 1)
    return (1 - inside**2) ** 2


class _Model:
    """The additive model on one set of cells: likelihood by row, effects by cell."""

    def __init__(self, cells: Cells, blocks: Sequence[Block], family: Family) -> None:
        self.cells, self.blocks, self.family = cells, blocks, family
        self.size = len(cells.variance)
        self.n = self.sums(cells.n)
        parts, owner = [np.ones((self.size, 1))], [-1]
        for index, block in enumerate(blocks):
            _, level = np.unique(block.levels, return_inverse=True)
            parts.append(np.eye(level.max() + 1)[level])
            owner += [index] * (level.max() + 1)
        self.design = np.concatenate(parts, axis=1)
        self.owner = np.array(owner)

    def sums(self, values: Floats) -> Floats:
        return np.bincount(self.cells.cell, values, minlength=self.size).astype(np.float64)

    def _rows(self, shift: Floats) -> tuple[Floats, Floats]:
        """Expected value and information of one arrival, by row, at a value of the cell effects."""
        line = self.cells.offset + shift[self.cells.cell]
        if self.family == "mean":
            return line, 1 / self.cells.variance[self.cells.cell]
        share = 1 / (1 + np.exp(-np.clip(line, -15, 15)))
        return share, np.maximum(share * (1 - share), 1e-6)

    def scores(self, beta: Floats) -> tuple[Floats, Floats, Floats]:
        """Information, score (observed minus expected) and expected sum, by cell."""
        expected, info = self._rows(self.design @ beta)
        residual = self.cells.total - self.cells.n * expected
        if self.family == "mean":
            residual = residual * info
        total = np.maximum(self.sums(self.cells.n * info), 1e-9)
        return total, self.sums(residual), self.sums(self.cells.n * expected)

    def solve(self, beta: Floats, weight: Floats, prior: Floats) -> tuple[Floats, Floats]:
        """Penalised Newton steps; effects, and their information."""
        penalty = np.where(self.owner < 0, 1e-6, 1 / np.maximum(prior[self.owner], 1e-9))
        for _ in range(25 if not beta.any() else 4):
            info, score, _ = self.scores(beta)
            hessian = self.design.T @ (self.design * (info * weight)[:, None]) + np.diag(penalty)
            step = np.linalg.solve(hessian, self.design.T @ (weight * score) - penalty * beta)
            beta = beta + (step if self.family == "mean" else np.clip(step, -2, 2))
            if self.family == "mean" or np.abs(step).max() < 1e-3:
                break
        return beta, hessian

    def update_prior(self, prior: Floats, beta: Floats, inverse: Floats) -> Floats:
        """One step for the variances of the random blocks (MacKay's fixed point, trimmed).

        Effects count as far as the data determine them; EM, which counts them all, needs hundreds
        of steps to see that sources do not differ. Of many effects the largest sixth is left out,
        so that a few broken handoffs do not pass for sources that differ.
        """
        updated = prior.copy()
        known = 1 - np.diag(inverse) / np.maximum(prior[self.owner], 1e-9)
        for index, block in enumerate(self.blocks):
            mine = (self.owner == index) & (known > _DETERMINED)
            if block.fixed or (self.owner == index).sum() < 3:
                continue
            squares = np.sort(beta[mine] ** 2 / known[mine])
            kept = squares[: len(squares) - (len(squares) // 6 if len(squares) >= _MANY else 0)]
            variance = (
                float(kept.mean()) * _trimmed_share(len(kept), len(squares)) if len(kept) else 0
            )
            updated[index] = np.clip(variance, block.variance / 400, 4 * block.variance)
        return updated

    def without(
        self, cell: int, beta: Floats, weight: Floats, prior: Floats
    ) -> tuple[float, float, float, float]:
        """Fit without a cell: its expected value, deviation, information, and model variance."""
        others = weight.copy()
        others[cell] = 0.0
        beta, hessian = self.solve(beta, others, prior)
        info, score, total = self.scores(beta)
        line = self.design[cell]
        expected = float(total[cell] / max(self.n[cell], 1))
        return (
            expected,
            score[cell] / info[cell],
            info[cell],
            float(line @ np.linalg.solve(hessian, line)),
        )

    def mean_without(self, beta: Floats, pull: Floats) -> Floats:
        """Expected share or mean of each cell after its own pull on the fit is taken back."""
        expected, _ = self._rows(self.design @ beta - pull)
        return self.sums(self.cells.n * expected) / np.maximum(self.n, 1)


@lru_cache(maxsize=256)
def _trimmed_share(kept: int, all_: int) -> float:
    """What the mean of the `kept` smallest of `all_` squared normal values is multiplied by."""
    from scipy.stats import chi2

    if kept == all_:
        return 1.0  # also where there is none
    share = kept / all_
    return float(share / chi2.cdf(chi2.ppf(share, 1), 3))


def natural_spread(deviation: Floats, variance: Floats) -> float:
    """Estimate the natural standard deviation between cells from the bulk of them.

    The spread at which the median, and at which the upper quartile, of the squared standardised
    deviations is what it is under a normal law; the larger of the two, so that heavy shoulders
    count. Up to a quarter of the cells may be broken without moving it much.
    """
    from scipy.special import chdtri

    if len(deviation) < 8:
        return 0.15
    centred = (deviation - np.median(deviation)) ** 2
    found = 0.0
    for quantile in (0.5, 0.75):
        wanted = float(chdtri(1, 1 - quantile))
        limit = (1 - quantile) * len(centred)

        def too_wide(spread: float, wanted: float = wanted, limit: float = limit) -> bool:
            outside = np.count_nonzero(centred > wanted * (variance + spread**2))
            return bool(outside > limit)

        if not too_wide(0.0):
            continue
        low, high = 0.0, 5.0
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if too_wide(middle) else (low, middle)
        found = max(found, high)
    return found


def fit_strata(  # noqa: PLR0913 (the parts of one regression)
    strata: Sequence[Codes],
    penalties: Sequence[float],
    handoff: Codes,
    *,
    target: Codes,
    n: Floats,
    total: Floats,
    family: Family,
    value_variance: float = 1.0,
    rounds: int = 12,
) -> tuple[Floats, Floats]:
    """Fit what strata change *within* handoffs; give it per row, with its standard error.

    Every handoff has an effect of its own here, which is then dropped. So a broken handoff cannot
    lend its fault to a stratum that mostly its own customers are in.

    Parameters
    ----------
    strata
        Levels of each stratum variable; their summed effects are returned, centred.
    penalties
        How strongly each variable's effects are drawn to 0 (in units of information).
    handoff, target
        The handoff of each row, and where it leads.
    n, total, family
        As in `Cells`.
    value_variance
        Of one value within a handoff (mean).
    """
    import scipy.sparse as sp

    count = len(n)
    if count == 0:
        return np.zeros(0), np.zeros(0)
    columns: list[Any] = [sp.csr_matrix(np.ones((count, 1)))]
    weights, keep_flags = [1e-6], [False]
    last = len(strata)
    for index, codes in enumerate((*strata, handoff)):
        _, level = np.unique(codes, return_inverse=True)
        ones = (np.ones(count), (np.arange(count), level))
        columns.append(sp.csr_matrix(ones, shape=(count, level.max() + 1)))
        weights += [0.05 if index == last else penalties[index]] * (level.max() + 1)
        keep_flags += [index != last] * (level.max() + 1)
    design = sp.hstack(columns).tocsr()
    keep, penalty = np.array(keep_flags), np.array(weights)
    beta = np.zeros(design.shape[1])
    for _ in range(rounds if family == "share" else 1):
        line = design @ beta
        if family == "share":
            share = 1 / (1 + np.exp(-np.clip(line, -15, 15)))
            info, score = n * np.maximum(share * (1 - share), 1e-6), total - n * share
        else:
            info, score = n / value_variance, (total - n * line) / value_variance
        hessian = (design.T @ sp.diags(info) @ design).toarray() + np.diag(penalty)
        step = np.linalg.solve(hessian, design.T @ score - penalty * beta)
        beta = beta + (np.clip(step, -2, 2) if family == "share" else step)
        if np.abs(step).max() < 1e-3:
            break
    shown = design[:, keep]
    part = shown @ beta[keep]
    spread_of = np.linalg.inv(hessian)[np.ix_(keep, keep)]
    error = _errors(shown, spread_of, n, handoff, target)
    return part - np.average(part, weights=n), error


def _errors(rows: Any, covariance: Floats, n: Floats, handoff: Codes, target: Codes) -> Floats:
    """Standard error of what strata say of a handoff against the others at its target, per row.

    What all handoffs at a target have in common is its own affair: only what sets one apart from
    the others is taken from the strata on trust.
    """
    import scipy.sparse as sp

    def mean_rows(levels: Codes) -> tuple[Floats, Codes]:
        _, index = np.unique(levels, return_inverse=True)
        weights = sp.csr_matrix((n, (index, np.arange(len(n)))))
        return (weights @ rows).toarray() / np.asarray(weights.sum(1)), index

    of_handoff, cell = mean_rows(handoff)
    of_target, place = mean_rows(target)
    at = np.zeros(len(of_handoff), dtype=np.int64)
    at[cell] = place
    apart = of_handoff - of_target[at]
    variance = np.einsum("ij,jk,ik->i", apart, covariance, apart)
    return np.sqrt(np.maximum(variance, 0.0))[cell]
