"""Shares of the arrivals of a handoff, held against what similar handoffs let expect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Cells, Floats, add_up
from cxlib.grounds.cells import (
    LEAST_SPREAD,
    SOURCE_VARIANCE,
    Grid,
    no_cells,
    share_frame,
)
from cxlib.grounds.comparing import spread_over_customers
from cxlib.grounds.expectation import MIN_N, expect_cells
from cxlib.grounds.strata import STRATA_STEP


def counted_rows(table: pl.DataFrame, n: str, total: str, offset: str) -> pl.DataFrame:
    """Rows with any arrival that counts, and of their columns those that `judge_share` reads."""
    columns = ("source", "target", n, total, f"by_{offset}", f"error_{offset}")
    return table.select(columns).filter(pl.col(n) > 0)


def judge_share(
    arrivals: Arrivals,
    table: pl.DataFrame,
    n: str,
    total: str,
    offset: str,
    spread: tuple[str, str],
    shift: Floats | None = None,
) -> pl.DataFrame:
    """Judge the share `total` of `n`, by transition, in a table with strata (``by_`` `offset`).

    ``spread``: columns for the design effect; ``shift``: added in logits.
    """
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    cells = _collapse(grid, table, n, total, offset)
    if shift is not None:
        cells = replace(cells, offset=cells.offset + shift[cells.cell])
    size = np.bincount(cells.cell, cells.n, minlength=len(grid))
    judged = (size >= MIN_N) & grid.apart & ~grid.rare
    inflation = spread_over_customers(arrivals, *spread)
    found = expect_cells(
        cells,
        grid.blocks(SOURCE_VARIANCE),
        family="share",
        judged=judged,
        inflation=inflation,
        least_spread=LEAST_SPREAD,
    )
    return share_frame(grid, found, judged, inflation)


def _collapse(grid: Grid, table: pl.DataFrame, n: str, total: str, offset: str) -> Cells:
    """Rows of one signal summed by cell and value of the strata."""
    counted, counted_total = (table[c].to_numpy().astype(np.float64) for c in (n, total))
    level = np.rint(table[f"by_{offset}"].to_numpy() / STRATA_STEP).astype(np.int64)
    lowest = level.min()
    width = level.max() - lowest + 1
    code = grid.cell * width + (level - lowest)
    rows = np.bincount(code, minlength=len(grid) * width)
    used = np.flatnonzero(rows)
    cell, value = np.divmod(used, width)
    error = grid.sums(counted * table[f"error_{offset}"].to_numpy())
    size = grid.sums(counted)
    return Cells(
        cell,
        add_up(counted, code, len(rows))[used],
        add_up(counted_total, code, len(rows))[used],
        (value + lowest) * STRATA_STEP,
        np.ones(len(grid)),
        # variance of a cell's strata: the errors of its rows taken as going together
        (error / np.maximum(size, 1)) ** 2,
    )
