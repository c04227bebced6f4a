"""Means over the arrivals of a handoff: the wait before, and the rating at the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxlib.grounds.additive import Block, Cells, Floats
from cxlib.grounds.cells import LEAST_SPREAD, Grid
from cxlib.grounds.expectation import Expectation, expect_cells

MIN_RATINGS = 25
"""Ratings below which a handoff's rating is not judged."""

RATING_SOURCES = 0.25
"""Where the search for the variance of source effects on ratings begins, in squared points."""


class Sums(NamedTuple):
    """Sums by cell: values, their ``total`` less what strata alone would change, and ``raw``, their
    squares, and ``error``: n times the standard error of the strata.
    """

    n: Floats
    total: Floats
    raw: Floats
    square: Floats
    error: Floats


def judge_mean(
    grid: Grid,
    sums: Sums,
    large: NDArray[np.bool_],
    widening: float,
    source_variance: float,
    further: Sequence[Block] = (),
) -> tuple[Expectation, NDArray[np.bool_], Floats]:
    """Hold the mean of every cell against its expectation; which are judged, and the sd of a value.

    `widening`: design effect of the customers.
    """
    n = sums.n
    variance = np.maximum(sums.square / n - (sums.raw / n) ** 2, 0.0)
    pooled = float((variance * n)[large].sum() / n[large].sum()) if large.any() else 1.0
    # small cells borrow the common variance; winsorising makes waits look too regular
    variance = widening * np.maximum((variance * n + pooled * 20) / (n + 20), 1e-3)
    every, doubt = np.arange(len(grid)), (sums.error / n) ** 2
    judged = large & grid.apart & ~grid.rare
    found = expect_cells(
        Cells(every, n, sums.total, np.zeros(len(grid)), variance, doubt),
        [*grid.blocks(source_variance), *further],
        family="mean",
        judged=judged,
        least_spread=2 * LEAST_SPREAD * pooled**0.5,
    )
    return found, judged & found.comparable, np.sqrt(variance / widening)


def share_moved(least: Floats, sd: Floats) -> Floats:
    """Share of the customers whom a shift of the mean moves past the middle: Φ(d / sd) − ½."""
    from scipy.special import ndtr

    return np.maximum(ndtr(np.maximum(least, 0.0) / sd) - 0.5, 0.0)
