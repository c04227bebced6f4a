"""Shares of the arrivals of a handoff: falling silent, and going back a stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from cxlib.fragmentation.additive import Cells, Floats, add_up
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import (
    BY_DESIGN,
    LEAST_SPREAD,
    SOURCE_VARIANCE,
    Grid,
    no_cells,
    share_frame,
    transition_codes,
)
from cxlib.fragmentation.expectation import MIN_N, expect_cells
from cxlib.fragmentation.returns import find_habit, ways_on
from cxlib.fragmentation.strata import STRATA_STEP


def judge_abandonment(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often customers fall silent after a handoff (`mark`: at 7, 14 or 30 days)."""
    n, total = ("n", "silent") if mark is None else (f"n_{mark}", f"silent_{mark}")
    goals = arrivals.places.filter("is_goal")["place"]
    table = counted_rows(arrivals.arrivals, n, total, "silent").filter(
        ~pl.col("target").is_in(goals.implode())
    )
    return judge_share(arrivals, table, n, total, "silent", ("n", "silent"))


def judge_backtracking(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go back a stage after a handoff, among those who went on."""
    stage = pl.lit(arrivals.places["stage_index"]).gather(pl.col("target").cast(pl.UInt32))
    table = counted_rows(arrivals.arrivals, "fresh", "back", "back").filter(
        stage.is_between(1, 254)
    )
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    habit = _habit_of_going_back(arrivals, grid)
    judged = judge_share(arrivals, table, "fresh", "back", "back", ("fresh", "back"), habit)
    return judged.filter(pl.col("observed") < BY_DESIGN)


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

    ``spread``: the columns of ``arrivals.spread`` that say how customers differ; ``shift``: what is
    added to the expectation of each transition, in logits.
    """
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    cells = _collapse(grid, table, n, total, offset)
    if shift is not None:
        cells = replace(cells, offset=cells.offset + shift[cells.cell])
    size = np.bincount(cells.cell, cells.n, minlength=len(grid))
    judged = (size >= MIN_N) & grid.apart & ~grid.rare
    inflation = _design_effect(arrivals, *spread)
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


def _design_effect(arrivals: Arrivals, n: str, total: str) -> float:
    """How much more the shares vary over buckets of customers than independent arrivals would.

    Pooled over all large cells, because 32 buckets say little about one cell.
    """
    spread = arrivals.spread
    cell = transition_codes(spread, len(arrivals.places))
    counted, outcome = (spread[c].to_numpy().astype(np.float64) for c in (n, total))
    size = np.bincount(cell, counted)
    share = np.bincount(cell, outcome) / np.maximum(size, 1)
    large = (size >= 200) & (share >= 0.01) & (share <= 0.99)
    if large.sum() < 5:
        return 1.0
    squares = np.bincount(cell, (outcome - counted * share[cell]) ** 2)[large]
    independent = (size * share * (1 - share))[large]
    return max(1.0, float((squares / independent).mean()) * 32 / 31)


def _habit_of_going_back(arrivals: Arrivals, grid: Grid) -> Floats:
    """What the log's habit of returning to the channel before adds to backtracking, in logits.

    A share m of customers returns to the channel they came from wherever they are; where that
    channel lies in earlier stages, they go back a stage without anything being broken.
    """
    ways = ways_on(arrivals)
    m = find_habit(arrivals, ways)
    if m < 0.005:
        return np.zeros(len(grid))
    onward = ways.sum(0)
    stage = arrivals.places["stage_index"].to_numpy().astype(np.int64)
    lower = (stage[None, :] < stage[:, None]).astype(np.float64)
    member = (grid.channels[:, None] == grid.channels[None, :]).astype(np.float64)
    in_channel = onward @ member.T
    back_in_channel = (onward * lower) @ member.T
    back = (onward * lower).sum(1) / np.maximum(onward.sum(1), 1)
    there = back_in_channel[grid.target, grid.source] / np.maximum(
        in_channel[grid.target, grid.source], 1
    )
    reached = in_channel[grid.target, grid.source] > 0
    base = np.clip(back[grid.target], 0.005, 0.995)
    with_habit = np.clip(base + m * (there - base), 0.005, 0.995)
    logits = np.log(with_habit / (1 - with_habit)) - np.log(base / (1 - base))
    return np.where(reached, logits, 0.0)
