"""The five signals that are judged against like handoffs: from arrivals to effects with intervals.

Each function takes arrivals and gives one frame, a row per transition with at least `MIN_N`
arrivals: ``source``, ``target``, ``n``, ``observed``, ``expected``, ``effect``, ``low``, ``high``,
``z`` (harm counts positive), ``p`` (one-sided, towards harm), ``touched`` (share of the customers
who are worse off, lower end of its interval).

==============  =====================================  =================  =========================
signal          observed among arrivals at b from a    effect             unit
==============  =====================================  =================  =========================
abandonment     silent for longer than the silence     observed−expected  share of arrivals
backtracking    next stage before the target's         observed−expected  share of those who went on
ping_pong       next contact back in a's channel       observed−expected  share of those who went on
delay           median wait a → b, in hours            observed/expected  ratio
perception_dip  mean rating at b                       observed−expected  points of the scale
==============  =====================================  =================  =========================
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.expectation import (
    MIN_N,
    Block,
    Cells,
    Expectation,
    expect_cells,
    natural_spread,
)
from cxlib.fragmentation.strata import LOG_STEP

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MIN_RATINGS = 25
"""Ratings below which a handoff's rating is not judged."""

MIN_WAITS = 100
"""Waits below which a handoff's wait is not judged."""

_Z95 = 1.959964
_SOURCE_VARIANCE = 0.1
_LEAST_SPREAD = 0.05
"""Natural spread between handoffs that is always allowed for: in logits; twice that, as a share of
the standard deviation, for ratings and log waits."""

_SHORTEST, _LONGEST = 0.05, 0.5
"""Quantiles at which waits are drawn in: the lower half decides, because the upper half also holds
customers who had left and came back to begin anew."""

_NULL_DF = 40
"""Degrees of freedom of the empirical null: the natural spread is itself estimated."""


class _Grid:
    """The transitions of a log as cells, with what the model needs to know of each."""

    def __init__(self, arrivals: Arrivals, table: pl.DataFrame) -> None:
        code = table["source"].cast(pl.Int64) * 65_536 + table["target"].cast(pl.Int64)
        keys, self.cell = np.unique(code.to_numpy(), return_inverse=True)
        self.source, self.target = keys // 65_536, keys % 65_536
        places = arrivals.places
        stage = places["stage_index"].to_numpy().astype(np.int64)
        channel = _channel_codes(arrivals)
        self.channels = channel
        self.apart = self.source != self.target
        self.rare = self._is_rare(arrivals)
        self.stages = stage[self.source] * 256 + stage[self.target]
        self.same_channel = (channel[self.source] == channel[self.target]).astype(np.int64)

    def _is_rare(self, arrivals: Arrivals) -> NDArray[np.bool_]:
        """Paths that hardly anyone takes, of those who leave a and of those who arrive at b.

        They hold customers who came back by chance to begin anew rather than a handoff.
        """
        size = len(arrivals.places)
        counts = np.zeros((size, size))
        table = arrivals.arrivals
        index = (table["source"].to_numpy(), table["target"].to_numpy())
        np.add.at(counts, index, table["n"].to_numpy())
        of_source = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        of_target = counts / np.maximum(counts.sum(0, keepdims=True), 1)
        least = min(0.01, 0.2 / size)
        share = np.maximum(of_source, of_target)[self.source, self.target]
        return np.asarray(share < least)

    def blocks(self, source_variance: float) -> list[Block]:
        return [
            Block(self.target),
            Block(self.source, source_variance, fixed=False),
            Block(self.stages, source_variance, fixed=False),
            Block(self.same_channel, 1.0),
        ]

    def __len__(self) -> int:
        return len(self.source)


def _collapse(grid: _Grid, table: pl.DataFrame, n: str, total: str, offset: str) -> Cells:
    """Rows of one signal summed by cell and value of the strata."""
    summed = (
        table.with_columns(cell=pl.Series(grid.cell))
        .group_by("cell", offset)
        .agg(pl.col(n).sum(), pl.col(total).sum())
        .sort("cell", offset)
    )
    return Cells(
        summed["cell"].to_numpy(),
        summed[n].to_numpy().astype(np.float64),
        summed[total].to_numpy().astype(np.float64),
        summed[offset].to_numpy(),
        np.ones(len(grid)),
    )


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


def judge_abandonment(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often customers fall silent after a handoff (`mark`: at 7, 14 or 30 days)."""
    n, total = ("n", "silent") if mark is None else (f"n_{mark}", f"silent_{mark}")
    goals = arrivals.places.filter("is_goal")["place"]
    table = arrivals.arrivals.filter((pl.col(n) > 0) & ~pl.col("target").is_in(goals.implode()))
    return _judge_share(arrivals, table, n, total, "by_silent", ("n", "silent"))


def judge_backtracking(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go back a stage after a handoff, among those who went on."""
    stage = pl.lit(arrivals.places["stage_index"]).gather(pl.col("target").cast(pl.UInt32))
    table = arrivals.arrivals.filter((pl.col("fresh") > 0) & stage.is_between(1, 254))
    if table.is_empty():
        return _nothing()
    grid = _Grid(arrivals, table)
    habit = _habit_of_going_back(arrivals, grid)
    return _judge_share(arrivals, table, "fresh", "back", "by_back", ("fresh", "back"), habit)


def _judge_share(
    arrivals: Arrivals,
    table: pl.DataFrame,
    n: str,
    total: str,
    offset: str,
    spread: tuple[str, str],
    shift: Floats | None = None,
) -> pl.DataFrame:
    if table.is_empty():
        return _nothing()
    grid = _Grid(arrivals, table)
    cells = _collapse(grid, table, n, total, offset)
    if shift is not None:
        cells = replace(cells, offset=cells.offset + shift[cells.cell])
    size = np.bincount(cells.cell, cells.n, minlength=len(grid))
    judged = (size >= MIN_N) & grid.apart & ~grid.rare
    inflation = _design_effect(arrivals.spread, *spread)
    found = expect_cells(
        cells,
        grid.blocks(_SOURCE_VARIANCE),
        family="share",
        judged=judged,
        inflation=inflation,
        least_spread=_LEAST_SPREAD,
    )
    return _share_frame(grid, found, judged, inflation)


def _share_frame(
    grid: _Grid, found: Expectation, judged: NDArray[np.bool_], inflation: float
) -> pl.DataFrame:
    """Effects in points. A cell must stand out both on the logit scale and in points.

    Natural differences are additive in logits where they come from who arrives, and in points
    where a fixed share of customers does something else; requiring both guards against either.
    """
    from scipy.special import betainc, stdtr

    judged = judged & found.comparable
    n = np.maximum(found.n, 1)
    share = np.clip(found.expected, 1e-4, 1 - 1e-4)
    seen = np.clip((found.observed * n + share) / (n + 1), 1e-4, 1 - 1e-4)
    slope = share * (1 - share)
    of_model = slope**2 * found.model_variance
    variance = seen * (1 - seen) / n * inflation + of_model
    under_null = np.maximum(variance, slope / n * inflation + of_model)
    effect = found.observed - found.expected
    centre = float(np.median(effect[judged])) if judged.any() else 0.0
    tau = natural_spread(effect[judged] - centre, under_null[judged])
    in_points = (effect - max(centre, 0.0)) / np.sqrt(under_null + tau**2)
    z = np.minimum(found.z, in_points)
    # the normal law is too kind to small counts: never below the binomial tail itself
    count = np.round(found.observed * n)
    least = np.maximum(count, 1)
    tail = np.where(count > 0, betainc(least, np.maximum(n - least, 0) + 1, share), 1.0)
    spread = np.sqrt(variance + np.minimum(slope * found.tau, tau) ** 2)
    return pl.DataFrame(
        {
            "source": grid.source,
            "target": grid.target,
            "n": found.n,
            "observed": found.observed,
            "expected": found.expected,
            "effect": effect,
            "low": effect - _Z95 * spread,
            "high": effect + _Z95 * spread,
            "z": z,
            "p": np.maximum(stdtr(_NULL_DF, -z), tail),
            "touched": np.maximum(effect - _Z95 * spread, 0.0),
        }
    ).filter(pl.Series(judged))


def _habit_of_going_back(arrivals: Arrivals, grid: _Grid) -> Floats:
    """What the log's habit of returning to the channel before adds to backtracking, in logits.

    A share m of customers returns to the channel they came from wherever they are; where that
    channel lies in earlier stages, they go back a stage without anything being broken.
    """
    ways = _ways(arrivals)
    m = _habit_of(arrivals, ways)
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


def _ways(arrivals: Arrivals) -> Floats:
    """Fresh arrivals that went on, by source, target and next place."""
    table = arrivals.onward.group_by("source", "target", "next").agg(pl.col("n").sum())
    size = len(arrivals.places)
    ways = np.zeros((size, size, size))
    index = tuple(table[c].to_numpy().astype(np.int64) for c in ("source", "target", "next"))
    ways[index] = table["n"].to_numpy()
    return ways


def _habit_of(arrivals: Arrivals, ways: Floats) -> float:
    channels = _channel_codes(arrivals)
    own = (arrivals.places["initiated_by"] == "customer").to_numpy()
    back, chance = _returns(ways, channels, own)
    n = ways.sum(2)
    use = (channels[:, None] != channels[None, :]) & own[None, :] & own[:, None] & (n >= 50)
    return _habit(n[use], back[use], np.clip(chance[use], 1e-4, 0.98))


def _channel_codes(arrivals: Arrivals) -> Codes:
    names = arrivals.places["channel"].unique(maintain_order=True)
    order = {name: code for code, name in enumerate(names)}
    return np.array([order[c] for c in arrivals.places["channel"]], dtype=np.int64)


def judge_ping_pong(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go straight back to the channel (or touchpoint) they came from.

    The expectation of a → b → a's channel is how often those who came to b from other channels go
    there (first order), plus the log's general habit of going back, plus source and target effects.
    Company-initiated contacts neither send anyone back nor are gone back to.
    """
    if arrivals.onward.is_empty():
        return _nothing()
    own = (arrivals.places["initiated_by"] == "customer").to_numpy()
    ways = _ways(arrivals)
    n = ways.sum(2)
    pairs = pl.DataFrame({"source": np.nonzero(n)[0], "target": np.nonzero(n)[1]})
    grid = _Grid(arrivals, pairs)
    fair = (grid.same_channel == 0) & own[grid.target] & own[grid.source]
    if not fair.any():
        return _nothing()
    back, chance = _returns(ways, grid.channels, own)
    return _judge_return(grid, n, back, chance, fair)


def _returns(ways: Floats, channels: Codes, own: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Returns to a's channel after a → b; share of those from other channels who go there."""
    member = ((channels[:, None] == channels[None, :]) & own[None, :]).astype(np.float64)
    to_channel = np.einsum("stx,kx->stk", ways, member)
    other = (channels[:, None] != channels[None, :]).astype(np.float64)
    going = np.einsum("stk,sk->kt", to_channel, other)
    coming = np.einsum("st,sk->kt", ways.sum(2), other)
    kinds = len(np.unique(channels))
    return np.einsum("sts->st", to_channel), (going + 0.5) / (coming + 0.5 * kinds)


def _judge_return(
    grid: _Grid, n: Floats, back: Floats, chance: Floats, fair: NDArray[np.bool_]
) -> pl.DataFrame:
    size = n[grid.source, grid.target]
    count = back[grid.source, grid.target]
    share = np.clip(chance[grid.source, grid.target], 1e-4, 0.98)
    use = fair & (size >= 10)
    share = share + _habit(size[use], count[use], share[use]) * (1 - share)
    # cells that are not judged stay in the frame without weight
    cells = Cells(
        np.arange(len(grid)),
        np.where(use, size, 0.0),
        np.where(use, count, 0.0),
        np.log(share / (1 - share)),
        np.ones(len(grid)),
    )
    judged = use & (size >= MIN_N) & grid.apart & ~grid.rare
    blocks = [Block(grid.source, 0.25), Block(grid.target, 0.25)]
    found = expect_cells(cells, blocks, family="share", judged=judged, least_spread=_LEAST_SPREAD)
    return _share_frame(grid, found, judged, 1.0)


def _habit(n: Floats, count: Floats, share: Floats) -> float:
    """The log's general habit of going back: weighted median of the excess over chance."""
    large = n >= 50
    if large.sum() < 20:
        return 0.0
    excess = (count[large] / n[large] - share[large]) / (1 - share[large])
    order = np.argsort(excess)
    weight = np.cumsum(np.sqrt(n[large])[order])
    return float(max(0.0, excess[order][np.searchsorted(weight, weight[-1] / 2)]))


def judge_delay(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the wait between the two contacts of a handoff, on a logarithmic scale.

    Compared is the mean logarithm of the waits, drawn in to each handoff's 5 % quantile and median
    (winsorised): where a wait grows by a factor, it grows by its logarithm, and customers who had
    left and came back weeks later do not move it. ``observed`` is the median. Waits are counted
    only where the contact before was observed for the whole silence, so that short waits are not
    over-represented at the end of the log.
    """
    own = pl.lit(arrivals.places["initiated_by"]).gather(pl.col("target").cast(pl.UInt32))
    # when a mailing comes is the sender's schedule, not a wait of the customer
    table = arrivals.waits.filter(own == "customer")
    if table.is_empty():
        return _nothing()
    keys = ["source", "target"]
    value, n = pl.col("value"), pl.col("n")
    limits = (
        table.group_by(*keys, "bin")
        .agg(n.sum(), value.first())
        .sort(*keys, "bin")
        .with_columns(rank=n.cum_sum().over(keys), all=n.sum().over(keys))
        .group_by(keys)
        .agg(low=_quantile(_SHORTEST), high=_quantile(_LONGEST))
    )
    drawn = (
        table.join(limits, on=keys)
        .with_columns(
            unbound=value,
            value=pl.max_horizontal(pl.min_horizontal("value", "high"), "low"),
        )
        .group_by(keys)
        .agg(
            n.sum().cast(pl.Float64),
            total=(n * (value - pl.col("by_wait"))).sum(),
            square=(n * value * value).sum(),
            raw=(n * value).sum(),
            shift=(n * pl.col("by_wait")).sum(),
            median=pl.col("high").first(),
            sd=(
                (n * pl.col("unbound") ** 2).sum() / n.sum()
                - ((n * pl.col("unbound")).sum() / n.sum()) ** 2
            )
            .clip(1e-3)
            .sqrt(),
        )
        .sort(keys)
    )
    grid = _Grid(arrivals, drawn)
    widening = 1 / (_LONGEST - _SHORTEST) ** 2
    found, judged = _judge_mean(grid, drawn, MIN_WAITS, widening, 1.0)[:2]
    sd, median = drawn["sd"].to_numpy(), drawn["median"].to_numpy()
    spread = np.sqrt(found.variance + found.tau**2)
    effect = found.deviation
    return pl.DataFrame(
        {
            "source": grid.source,
            "target": grid.target,
            "n": found.n,
            "observed": np.exp(median) / 3600,
            "expected": np.exp(median - effect) / 3600,
            "effect": np.exp(effect),
            "low": np.exp(effect - _Z95 * spread),
            "high": np.exp(effect + _Z95 * spread),
            **_towards_harm(found.z, effect - _Z95 * spread, sd),
        }
    ).filter(pl.Series(judged))


def _quantile(q: float) -> pl.Expr:
    """Quantile of binned log waits, evenly spread within its bin."""
    reached = pl.col("rank") >= q * pl.col("all")
    first = {c: pl.col(c).filter(reached).first() for c in ("value", "rank", "n", "all")}
    within = (q * first["all"] - (first["rank"] - first["n"])) / first["n"]
    return first["value"] + (within - 0.5) * LOG_STEP


def judge_ratings(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the ratings that customers gave at the target of a handoff."""
    table = arrivals.arrivals.filter(pl.col("rating_n") > 0)
    if table.is_empty():
        return _nothing()
    keys = ["source", "target"]
    n = pl.col("rating_n")
    summed = (
        table.group_by(keys)
        .agg(
            n=n.sum().cast(pl.Float64),
            total=(pl.col("rating_sum") - n * pl.col("by_rating")).sum(),
            square=pl.col("rating_sq").sum(),
            raw=pl.col("rating_sum").sum(),
            shift=(n * pl.col("by_rating")).sum(),
        )
        .sort(keys)
    )
    grid = _Grid(arrivals, summed)
    found, judged, sd = _judge_mean(grid, summed, MIN_RATINGS, 1.0, 0.25)
    shift = (summed["shift"] / summed["n"]).to_numpy()
    spread = np.sqrt(found.variance + found.tau**2)
    effect = found.deviation
    return pl.DataFrame(
        {
            "source": grid.source,
            "target": grid.target,
            "n": found.n,
            "observed": found.observed + shift,
            "expected": found.expected + shift,
            "effect": effect,
            "low": effect - _Z95 * spread,
            "high": effect + _Z95 * spread,
            **_towards_harm(-found.z, -(effect + _Z95 * spread), sd),
        }
    ).filter(pl.Series(judged))


def _judge_mean(
    grid: _Grid, summed: pl.DataFrame, least: int, widening: float, source_variance: float
) -> tuple[Expectation, NDArray[np.bool_], Floats]:
    n = summed["n"].to_numpy()
    mean = (summed["raw"] / summed["n"]).to_numpy()
    variance = np.maximum((summed["square"] / summed["n"]).to_numpy() - mean**2, 0.0)
    large = n >= least
    pooled = float((variance * n)[large].sum() / n[large].sum()) if large.any() else 1.0
    # small cells borrow the common variance; winsorising makes waits look too regular
    variance = widening * np.maximum((variance * n + pooled * 20) / (n + 20), 1e-3)
    cells = Cells(
        np.arange(len(grid)),
        n,
        summed["total"].to_numpy(),
        np.zeros(len(grid)),
        variance,
    )
    judged = large & grid.apart & ~grid.rare
    found = expect_cells(
        cells,
        grid.blocks(source_variance),
        family="mean",
        judged=judged,
        least_spread=2 * _LEAST_SPREAD * pooled**0.5,
    )
    return found, judged & found.comparable, np.sqrt(variance)


def _towards_harm(z: Floats, least: Floats, sd: Floats) -> dict[str, Floats]:
    """Columns z, p, touched: a shift of d moves Φ(d / sd) − ½ of the customers past the middle."""
    from scipy.special import ndtr, stdtr

    touched = np.maximum(ndtr(np.maximum(least, 0.0) / sd) - 0.5, 0.0)
    return {"z": z, "p": stdtr(_NULL_DF, -z), "touched": touched}


def _nothing() -> pl.DataFrame:
    numbers = ("n", "observed", "expected", "effect", "low", "high", "z", "p", "touched")
    return pl.DataFrame(
        schema={"source": pl.Int64, "target": pl.Int64} | dict.fromkeys(numbers, pl.Float64)
    )
