"""Transitions as cells, and the judges of shares and means: of each what the others let expect.

Every judge sums the rows of its signal by cell (a → b), asks `cxlib.grounds.expectation` what to
expect of each, and gives a row per cell with at least `MIN_N` arrivals: ``source``, ``target``,
``n``, ``observed``, ``expected``, ``effect``, ``low``, ``high``, ``z`` (harm counts positive),
``p`` (one-sided), ``touched`` (share of the customers who are worse off, lower end).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.repeats import MARKS
from cxlib.grounds.additive import Block, Cells, Codes, Floats, add_up
from cxlib.grounds.cases import once
from cxlib.grounds.comparing import spread_over_customers
from cxlib.grounds.expectation import MIN_N, Expectation, expect_cells, natural_spread, tail_scale
from cxlib.grounds.judged import Z95, natural_p
from cxlib.grounds.strata import STRATA_STEP, strata_columns, stratum_codes

SOURCE_VARIANCE = 0.1
"""Where the search for the variance of source effects in shares begins, in squared logits."""

LEAST_SPREAD = 0.05
"""Natural spread between handoffs that is always allowed for: in logits; twice that, as a share of
the standard deviation, for ratings and log waits."""

BY_DESIGN = 0.45
"""Share of those who would not have gone back elsewhere, but do so here, from which on that is how
the journey is built (to look something up, to pay once more), or the map's order of stages is not
the customers': what nearly everybody does is no breakage."""

NEARLY_ALL, MOST = 0.95, 0.5
"""Share going back, and share expected to, from which on going back is no breakage either."""


_TOLD = dict.fromkeys(("source", "target"), pl.Int64) | dict.fromkeys(
    ("n", "observed", "expected", "effect", "low", "high", "z", "p", "touched"), pl.Float64
)


class Grid:
    """The transitions of a log as cells, with what the model needs to know of each."""

    def __init__(self, arrivals: Arrivals, table: pl.DataFrame) -> None:
        places = arrivals.places
        size = len(places)
        code = transition_codes(table, size)
        seen = np.bincount(code, minlength=size**2) > 0
        self.cell = (np.cumsum(seen) - 1)[code]
        self.source, self.target = at = np.divmod(np.flatnonzero(seen), size)
        stage = places["stage_index"].to_numpy().astype(np.int64)
        self.channels = channel = channel_codes(arrivals)
        self.apart = self.source != self.target
        self.stages = stage[self.source] * 256 + stage[self.target]
        self.same_channel = (channel[self.source] == channel[self.target]).astype(np.int64)
        # paths that hardly anyone takes: customers who came back by chance to begin anew
        counts = arrivals_by_way(arrivals)
        of_source = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        of_target = counts / np.maximum(counts.sum(0, keepdims=True), 1)
        self.rare = np.maximum(of_source, of_target)[at] < min(0.01, 0.2 / size)

    def blocks(self, source_variance: float) -> list[Block]:
        """Give the effects of the model: target, source and its channel, stages, same channel."""
        return [
            Block(self.target),
            Block(self.source, source_variance, fixed=False),
            Block(self.channels[self.source], source_variance, fixed=False),
            Block(self.stages, source_variance, fixed=False),
            Block(self.same_channel, 1.0),
        ]

    def sums(self, values: Floats) -> Floats:
        """Sums of rows of the table, by cell."""
        return add_up(values, self.cell, len(self))

    def frame(
        self,
        judged: NDArray[np.bool_],
        *,
        effect: Floats,
        spread: Floats,
        z: Floats,
        **told: Floats,
    ) -> pl.DataFrame:
        """The frame of a judge: effects, with the standard errors of their intervals."""
        low, high = effect - Z95 * spread, effect + Z95 * spread
        columns = {"effect": effect, "low": low, "high": high, "z": z, "p": natural_p(z)}
        return self.told(judged, **columns | {"touched": np.maximum(low, 0.0)} | told)

    def told(self, judged: NDArray[np.bool_], **columns: Floats) -> pl.DataFrame:
        """The frame of a judge, of the cells that are judged."""
        columns |= {"source": self.source, "target": self.target}
        return pl.DataFrame({name: columns[name][judged] for name in _TOLD}, schema=_TOLD)

    def __len__(self) -> int:
        return len(self.source)


@once
def arrivals_by_way(arrivals: Arrivals) -> Floats:
    """Arrivals by source and target."""
    table, size = arrivals.arrivals, len(arrivals.places)
    counts = add_up(table["n"].to_numpy(), transition_codes(table, size), size**2)
    return counts.reshape(size, size)


def transition_codes(table: pl.DataFrame, places: int) -> Codes:
    """Number of the transition of each row: by source, then by target."""
    ends = (table[end].to_numpy().astype(np.int64) for end in ("source", "target"))
    return next(ends) * places + next(ends)


def channel_codes(arrivals: Arrivals) -> Codes:
    """Number the channels, and give the channel of every place."""
    channels = arrivals.places["channel"].to_list()
    order = {name: code for code, name in enumerate(dict.fromkeys(channels))}
    return np.array([order[name] for name in channels], dtype=np.int64)


def share_frame(
    grid: Grid, found: Expectation, judged: NDArray[np.bool_], inflation: float
) -> pl.DataFrame:
    """Effects in points; a cell must stand out both in logits and in points.

    Differences are additive in logits where they come from who arrives, and in points where a fixed
    share of customers does something else.
    """
    judged = judged & found.comparable
    n = np.maximum(found.n, 1)
    share = np.clip(found.expected, 1e-4, 1 - 1e-4)
    seen = np.clip((found.observed * n + share) / (n + 1), 1e-4, 1 - 1e-4)
    slope = share * (1 - share)
    of_model = found.doubt_in_points**2
    variance = seen * (1 - seen) / n * inflation + of_model
    under_null = np.maximum(variance, slope / n * inflation + of_model)
    effect = found.observed - found.expected
    centre = float(np.median(effect[judged])) if judged.any() else 0.0
    tau = natural_spread(effect[judged] - centre, under_null[judged])
    in_points = (effect - max(centre, 0.0)) / np.sqrt(under_null + tau**2)
    z = np.minimum(found.z, in_points)
    z = z / tail_scale(z[judged])
    spread = np.sqrt(variance + (slope * found.tau) ** 2)
    seen_of = {"n": found.n, "observed": found.observed, "expected": found.expected}
    return grid.frame(judged, effect=effect, spread=spread, z=z, **seen_of)


def no_cells() -> pl.DataFrame:
    """The frame of a judge that has nothing to judge."""
    return pl.DataFrame(schema=_TOLD)


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


COLUMNS = ("task", "contact", "leak")
"""Columns of ``repeats`` that count a signal (``_n``: the arrivals it is a share of)."""


@once
def with_repeat_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of ``repeats`` what its strata alone would change (``by_*``, ``error_*``)."""
    if "by_task" in arrivals.repeats.columns:
        return arrivals
    table = arrivals.repeats
    code = stratum_codes(table)
    strata = [(code[n], 1.0) for n in ("reach", "position", "segment", "period")]
    counted = {name: f"{name}_n" for name in COLUMNS} | {"leak_before": "leak_n"}
    columns = [c for name, n in counted.items() for c in strata_columns(table, n, name, strata)]
    return replace(arrivals, repeats=table.with_columns(columns))


def judge_again(
    arrivals: Arrivals, name: str, mark: int | None = None, *, total: str | None = None
) -> pl.DataFrame:
    """Judge the share of arrivals after which `name` happened again (`mark`: another window)."""
    column = name if mark is None else f"{name}_{mark}"
    n, counted = f"{column}_n", total or column
    table = counted_rows(arrivals.repeats, n, counted, total or name)
    return judge_share(arrivals, table, n, counted, total or name, (f"{name}_n", name))


def judge_windows(
    arrivals: Arrivals, name: str, judge: Callable[..., pl.DataFrame] = judge_again
) -> list[pl.DataFrame]:
    """The same within the other windows of a signal that fit three times into the log."""
    fitting = [i for i, mark in enumerate(MARKS[name]) if 3 * mark <= arrivals.settings.span]
    return [judge(arrivals, name, mark) for mark in fitting]
