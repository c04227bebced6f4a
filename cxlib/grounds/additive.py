"""The additive model behind `cxlib.grounds.expectation`, at given weights of the cells.

Every cell (a transition) has one effect of each block: of its source, of its target, and so on. A
change of filter fits some 150 times: what is said in more words than it needs is faster so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Family = Literal["share", "mean"]

_MANY, _WEAK = 12, 25.0
_DETERMINED = 0.2
"""Share of an effect that the data must determine before it tells how much such effects differ."""

_FIRST_STEPS, _STEPS, _SMALL_STEP = 25, 4, 1e-3
"""Most Newton steps of the first round and of the others, and the step that is the last."""

_SIDE_BY_SIDE = 2_000_000
"""Numbers that the information matrices of fits side by side may hold."""

_LAST_BUT_ONE = 0.03
"""Step after which the next one, which is about its square, is likely to be the last."""


@dataclass(frozen=True, slots=True)
class Block:
    """One group of effects: the level of each cell, and the prior variance of the effects.

    Where not ``fixed``, the variance is estimated, starting from ``variance``.
    """

    levels: Codes
    variance: float = _WEAK
    fixed: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Rows of one signal, summed by cell and by value of the fixed strata (``offset``).

    ``n`` arrivals, ``total`` with the outcome (or sum of the values); by cell ``variance`` of one
    value (1 for shares), and ``doubt``: variance of an estimated offset.
    """

    cell: Codes
    n: Floats
    total: Floats
    offset: Floats
    variance: Floats
    doubt: Floats | None = None


class At(NamedTuple):
    """Where a fit stands, by cell: expected sum, information, score (observed less expected)."""

    expected: Floats
    info: Floats
    score: Floats


class AdditiveModel:
    """The additive model on one set of cells: likelihood by row, effects by cell.

    ``design`` says which effects a cell has, ``pairs`` which pairs of them: few numbers per cell.
    """

    def __init__(self, cells: Cells, blocks: Sequence[Block], family: Family) -> None:
        self.cells, self.blocks, self.family = cells, blocks, family
        self.size = len(cells.variance)
        self.n, self.total = self.sums(cells.n), self.sums(cells.total)
        self.base = self.sums(cells.n * cells.offset)
        effect, self.owner = _number_effects(self.size, blocks)
        count = len(self.owner)
        self.design = np.zeros((self.size, count))
        np.put_along_axis(self.design, effect, 1.0, axis=1)
        self.pairs = (effect[:, :, None] * count + effect[:, None, :]).reshape(self.size, -1)
        self.mine = [self.owner == index for index in range(len(blocks))]

    def sums(self, values: Floats) -> Floats:
        """Sums of rows, by cell."""
        return add_up(values, self.cells.cell, self.size)

    def expect(self, line: Floats) -> tuple[Floats, Floats]:
        """Expected sum and information at a value of the cells' effects, by cell."""
        if self.family == "mean":
            info = self.n / self.cells.variance
            return self.base + self.n * line, np.broadcast_to(info, line.shape)
        logit = self.cells.offset + line[..., self.cells.cell]
        share = 1 / (1 + np.exp(-np.minimum(np.maximum(logit, -15), 15)))
        info = np.maximum(share * (1 - share), 1e-6)
        return self.sums(self.cells.n * share), self.sums(self.cells.n * info)

    def look(self, beta: Floats) -> At:
        """Where a fit with these effects stands."""
        expected, info = self.expect(beta @ self.design.T)
        score = self.total - expected
        if self.family == "mean":
            score = score / self.cells.variance
        return At(expected, np.maximum(info, 1e-9), score)

    def penalty(self, prior: Floats) -> Floats:
        """How strongly each effect is drawn to 0, at these variances of the blocks."""
        return np.where(self.owner < 0, 1e-6, 1 / np.maximum(prior[self.owner], 1e-9))

    def information(self, at: At, weight: Floats, penalty: Floats) -> Floats:
        """Penalised information on the effects: a matrix (of several fits: one of each)."""
        count = len(self.owner)
        of_pairs = np.repeat(at.info * weight, self.pairs.shape[1], axis=-1)
        summed = add_up(of_pairs, self.pairs.ravel(), count**2)
        information = summed.reshape(*weight.shape[:-1], count, count)
        information[..., np.arange(count), np.arange(count)] += penalty
        return information

    def slope(self, beta: Floats, at: At, weight: Floats, penalty: Floats) -> Floats:
        """Slope of the penalised likelihood."""
        return (weight * at.score) @ self.design - penalty * beta

    def solve(
        self, beta: Floats, at: At, weight: Floats, prior: Floats
    ) -> tuple[Floats, At, Floats]:
        """Penalised Newton steps from where a fit stands; the effects, and their covariance."""
        penalty, largest = self.penalty(prior), np.inf
        for _ in range(_STEPS if beta.any() else _FIRST_STEPS):
            information = self.information(at, weight, penalty)
            slope = self.slope(beta, at, weight, penalty)
            # the covariance costs more than a step: it is wanted of the last one only
            last = self.family == "mean" or largest < _LAST_BUT_ONE
            covariance = np.linalg.inv(information) if last else None
            step = np.linalg.solve(information, slope) if covariance is None else covariance @ slope
            step = self.bounded(step)
            beta, largest = beta + step, np.abs(step).max()
            at = self.look(beta)
            if self.family == "mean" or largest < _SMALL_STEP:
                break
        if covariance is None:
            covariance = np.linalg.inv(information)
        return beta, at, np.asarray(covariance, dtype=np.float64)

    def bounded(self, step: NDArray[np.floating]) -> Floats:
        """A step that does not leap over where the logit is nearly straight."""
        farthest = np.inf if self.family == "mean" else 2.0
        return np.minimum(np.maximum(step, -farthest), farthest, dtype=np.float64)

    def update_prior(self, prior: Floats, beta: Floats, covariance: Floats) -> Floats:
        """One step for the variances of the random blocks (MacKay's fixed point, trimmed).

        Effects count as far as the data determine them; of many, the largest sixth is left out, so
        that a few broken handoffs do not pass for sources that differ.
        """
        updated = prior.copy()
        known = 1 - np.diag(covariance) / np.maximum(prior[self.owner], 1e-9)
        tells = known > _DETERMINED
        for index, block in enumerate(self.blocks):
            if block.fixed or np.count_nonzero(self.mine[index]) < 3:
                continue
            mine = self.mine[index] & tells
            squares = np.sort(beta[mine] ** 2 / known[mine])
            size = len(squares) - (len(squares) // 6 if len(squares) >= _MANY else 0)
            share = _trimmed_share(size, len(squares))
            variance = float(squares[:size].mean()) * share if size else 0
            updated[index] = min(max(variance, block.variance / 400), 4 * block.variance)
        return updated

    def without(
        self, chosen: Codes, beta: Floats, weight: Floats, prior: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Expected values, deviations, informations and variances without each cell in turn, as
        many fits side by side as a few megabytes hold.
        """
        at_once = max(1, _SIDE_BY_SIDE // len(self.owner) ** 2)
        parts = [
            self._without(chosen[first : first + at_once], beta, weight, self.penalty(prior))
            for first in range(0, len(chosen), at_once)
        ]
        expected, deviation, info, variance = (np.concatenate(p) for p in zip(*parts, strict=True))
        return expected, deviation, info, variance

    def _without(
        self, chosen: Codes, beta: Floats, weight: Floats, penalty: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        fits = np.arange(len(chosen))
        others = np.tile(weight, (len(chosen), 1))
        others[fits, chosen] = 0.0
        lines = self.design[chosen]
        step, variance = self._first_step(chosen, beta, weight, penalty)
        betas = beta + self.bounded(step)
        at = self.look(betas)
        for _ in range(_STEPS - 1 if self.family == "share" else 0):
            slope = self.slope(betas, at, others, penalty)
            information = self.information(at, others, penalty)
            solved = np.linalg.solve(information, np.stack([slope, lines], axis=-1))
            step, variance = self.bounded(solved[..., 0]), (lines * solved[..., 1]).sum(1)
            betas = betas + step
            at = self.look(betas)
            if np.abs(step).max() < _SMALL_STEP:
                break
        expected, info, score = (part[fits, chosen] for part in at)
        return expected / np.maximum(self.n[chosen], 1), score / info, info, variance

    def _first_step(
        self, chosen: Codes, beta: Floats, weight: Floats, penalty: Floats
    ) -> tuple[Floats, Floats]:
        """First Newton step without each chosen cell, and the variance of the model there."""
        # a cell taken out is a matrix of rank one (Sherman and Morrison); means need no second step
        at, lines = self.look(beta), self.design[chosen]
        covariance = np.linalg.inv(self.information(at, weight, penalty))
        slope = self.slope(beta, at, weight, penalty)
        slopes = slope - (weight * at.score)[chosen, None] * lines
        spread, taken = lines @ covariance, (weight * at.info)[chosen]
        pull = (spread * lines).sum(1)
        left = np.maximum(1 - taken * pull, 1e-9)
        again = taken * (slopes * spread).sum(1) / left
        return slopes @ covariance + again[:, None] * spread, pull / left

    def mean_without(self, beta: Floats, pull: Floats) -> Floats:
        """Expected share or mean of each cell after its own pull on the fit is taken back."""
        return self.expect(beta @ self.design.T - pull)[0] / np.maximum(self.n, 1)


def add_up(values: Floats, number: Codes, size: int) -> Floats:
    """Sums of `values` by their number, in the order of the values; for each row of them apart."""
    rows = len(values) if values.ndim > 1 else 1
    if rows > 1:
        number = (np.arange(rows)[:, None] * size + number).ravel()
    summed = np.bincount(number, values.ravel(), rows * size)
    return summed.reshape(*values.shape[:-1], size).astype(np.float64, copy=False)


def _number_effects(size: int, blocks: Sequence[Block]) -> tuple[Codes, Codes]:
    """Number the effects: those of each cell, and of each effect its block (-1: the intercept)."""
    columns, owner = [np.zeros(size, dtype=np.int64)], [-1]
    for index, block in enumerate(blocks):
        found, level = np.unique(block.levels, return_inverse=True)
        columns.append(len(owner) + level)
        owner += [index] * len(found)
    return np.column_stack(columns), np.array(owner)


@lru_cache(maxsize=256)
def _trimmed_share(kept: int, all_: int) -> float:
    """What the mean of the `kept` smallest of `all_` squared normal values is multiplied by."""
    from scipy.special import chdtr, chdtri

    if kept == all_:
        return 1.0  # also where there is none
    share = kept / all_
    return float(share / chdtr(3, chdtri(1, 1 - share)))
