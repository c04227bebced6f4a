"""Means over the arrivals of a handoff: the wait before, and the rating at the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.grounds.additive import Block, Cells, Floats
from cxlib.grounds.cells import LEAST_SPREAD, Grid
from cxlib.grounds.expectation import Expectation, expect_cells

MIN_RATINGS = 25
"""Ratings below which a handoff's rating is not judged."""

RATING_SOURCES = 0.25
"""Where the search for the variance of source effects on ratings begins, in squared points."""


def judge_mean(
    grid: Grid,
    summed: pl.DataFrame,
    large: NDArray[np.bool_],
    widening: float,
    source_variance: float,
    further: Sequence[Block] = (),
) -> tuple[Expectation, NDArray[np.bool_], Floats]:
    """Hold the mean of every cell against its expectation; which are judged, and the sd of a value.

    `summed`, per cell: ``n``, ``total`` less what strata alone would change, ``raw`` total,
    ``square``, and ``error``: n times the standard error of the strata.
    """
    n = summed["n"].to_numpy()
    mean = (summed["raw"] / summed["n"]).to_numpy()
    variance = np.maximum((summed["square"] / summed["n"]).to_numpy() - mean**2, 0.0)
    pooled = float((variance * n)[large].sum() / n[large].sum()) if large.any() else 1.0
    # small cells borrow the common variance; winsorising makes waits look too regular
    variance = widening * np.maximum((variance * n + pooled * 20) / (n + 20), 1e-3)
    cells = Cells(
        np.arange(len(grid)),
        n,
        summed["total"].to_numpy(),
        np.zeros(len(grid)),
        variance,
        (summed["error"].to_numpy() / n) ** 2,
    )
    judged = large & grid.apart & ~grid.rare
    found = expect_cells(
        cells,
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
