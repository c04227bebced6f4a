"""Shares of the arrivals of a handoff: falling silent, and going back a stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import (
    BY_DESIGN,
    LEAST_SPREAD,
    SOURCE_VARIANCE,
    Codes,
    Floats,
    Grid,
    no_cells,
    share_frame,
)
from cxlib.fragmentation.expectation import MIN_N, Cells, expect_cells
from cxlib.fragmentation.returns import find_habit, ways_on


def judge_abandonment(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often customers fall silent after a handoff (`mark`: at 7, 14 or 30 days)."""
    n, total = ("n", "silent") if mark is None else (f"n_{mark}", f"silent_{mark}")
    goals = arrivals.places.filter("is_goal")["place"]
    table = arrivals.arrivals.filter((pl.col(n) > 0) & ~pl.col("target").is_in(goals.implode()))
    return judge_share(arrivals, table, n, total, "silent", ("n", "silent"))


def judge_backtracking(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go back a stage after a handoff, among those who went on."""
    stage = pl.lit(arrivals.places["stage_index"]).gather(pl.col("target").cast(pl.UInt32))
    table = arrivals.arrivals.filter((pl.col("fresh") > 0) & stage.is_between(1, 254))
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    habit = _habit_of_going_back(arrivals, grid)
    judged = judge_share(arrivals, table, "fresh", "back", "back", ("fresh", "back"), habit)
    return judged.filter(pl.col("observed") < BY_DESIGN)


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
    inflation = _design_effect(arrivals.spread, *spread)
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
    summed = (
        table.with_columns(cell=pl.Series(grid.cell))
        .group_by("cell", f"by_{offset}")
        .agg(
            pl.col(n).sum().cast(pl.Float64),
            pl.col(total).sum().cast(pl.Float64),
            error=(pl.col(n) * pl.col(f"error_{offset}")).sum(),
        )
        .sort("cell", f"by_{offset}")
    )
    cell = summed["cell"].to_numpy()
    return Cells(
        cell,
        summed[n].to_numpy(),
        summed[total].to_numpy(),
        summed[f"by_{offset}"].to_numpy(),
        np.ones(len(grid)),
        _doubt(cell, summed[n].to_numpy(), summed["error"].to_numpy(), len(grid)),
    )


def _doubt(cell: Codes, n: Floats, error: Floats, size: int) -> Floats:
    """Variance of a cell's strata: the errors of its rows taken as going together."""
    mean = np.bincount(cell, error, size) / np.maximum(np.bincount(cell, n, size), 1)
    return np.asarray(mean**2)


def _design_effect(spread: pl.DataFrame, n: str, total: str) -> float:
    """How much more the shares vary over buckets of customers than independent arrivals would.

    Pooled over all large cells, because 32 buckets say little about one cell.
    """
    keys = ["source", "target"]
    share = pl.col(total).sum().over(keys) / pl.col(n).sum().over(keys)
    cells = (
        spread.with_columns(share=share, all=pl.col(n).sum().over(keys))
        .filter((pl.col("all") >= 200) & pl.col("share").is_between(0.01, 0.99))
        .group_by(keys)
        .agg(
            ratio=((pl.col(total) - pl.col(n) * pl.col("share")) ** 2).sum()
            / (pl.col("all").first() * pl.col("share").first() * (1 - pl.col("share").first()))
            * (32 / 31)
        )
    )
    return max(1.0, float(cells["ratio"].mean())) if len(cells) >= 5 else 1.0  # type: ignore[arg-type]


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
