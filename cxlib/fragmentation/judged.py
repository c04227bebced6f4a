"""The five signals that are judged against like handoffs: from arrivals to effects with intervals.

Each function takes arrivals and gives one frame, a row per transition with at least `MIN_N`
arrivals: ``source``, ``target``, ``n``, ``observed``, ``expected``, ``effect``, ``low``, ``high``,
``z`` (harm counts positive), ``p`` (one-sided, towards harm), ``touched`` (share of the customers
who are worse off, lower end of its interval).

==============  =====================================  =================  =========================
signal          observed among arrivals at b from a    effect             unit
==============  =====================================  =================  =========================
abandonment     silent for longer than the silence     observed−expected  share of arrivals
backtracking    next stage below the highest reached   observed−expected  share of those who went on
ping_pong       next contact back in a's channel (or   observed−expected  share of those who went on
                at a itself, where that is clearer)
delay           typical wait a → b, in hours           observed/expected  ratio
perception_dip  mean rating at b                       observed−expected  points of the scale
==============  =====================================  =================  =========================
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.bins import BIN_EDGES
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.expectation import (
    MIN_N,
    Block,
    Cells,
    Expectation,
    expect_cells,
    fit_strata,
    natural_spread,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MIN_RATINGS = 20
"""Ratings below which a handoff's rating is not judged."""

_Z95 = 1.959964
_SOURCE_VARIANCE = 0.1
_TRIM = 0.1


def with_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of arrivals and waits what its strata alone would change (columns ``by_*``).

    Fitted once per log on all arrivals; a filter then only sums rows.
    """
    if "strata" in arrivals.cache:
        kept: Arrivals = arrivals.cache["strata"]
        return kept
    table = arrivals.arrivals
    added = {
        "by_silent": _strata(table, "n", "silent", "share"),
        "by_back": _strata(table, "onward", "back", "share"),
        "by_rating": _strata(table, "rating_n", "rating_sum", "mean"),
    }
    enriched = replace(
        arrivals, arrivals=table.with_columns(**added), waits=_waits_with_strata(arrivals), cache={}
    )
    arrivals.cache["strata"] = enriched
    return enriched


def _strata(table: pl.DataFrame, n: str, total: str, family: str) -> pl.Series:
    used = (table[n] > 0).to_numpy()
    part = table.filter(pl.Series(used))
    codes = {
        c: part[c].to_numpy().astype(np.int64)
        for c in ("source", "target", "high", "reached", "position", "segment", "period")
    }
    within = (codes["target"] * 256 + codes["high"]) * 2 + codes["reached"]
    result = np.zeros(len(table))
    result[used] = fit_strata(
        [within, codes["position"], codes["segment"], codes["period"]],
        [codes["source"], codes["target"]],
        n=part[n].to_numpy().astype(np.float64),
        total=part[total].to_numpy().astype(np.float64),
        family="share" if family == "share" else "mean",
    )
    return pl.Series(np.round(result * 10) / 10)


def _waits_with_strata(arrivals: Arrivals) -> pl.DataFrame:
    table = arrivals.waits.with_columns(value=pl.lit(_LOG_MIDDLE).gather(pl.col("bin")))
    keys = ["source", "target", "segment", "period"]
    part = (
        table.group_by(keys)
        .agg(pl.col("n").sum(), total=(pl.col("n") * pl.col("value")).sum())
        .sort(keys)
    )
    codes = {c: part[c].to_numpy().astype(np.int64) for c in keys}
    offset = fit_strata(
        [codes["segment"], codes["period"]],
        [codes["source"], codes["target"]],
        n=part["n"].to_numpy().astype(np.float64),
        total=part["total"].to_numpy().astype(np.float64),
        family="mean",
    )
    both = part.select(keys).with_columns(by_wait=pl.Series(offset))
    return table.join(both, on=keys, how="left", maintain_order="left")


def _log_middles() -> Floats:
    """Logarithm of the geometric middle of each bin, in seconds; half a second for the first."""
    edges = np.array(BIN_EDGES)
    middle = np.sqrt(np.maximum(edges[:-1], 0.25) * edges[1:])
    return np.log(np.append(middle, edges[-1] * 1.15))


_LOG_MIDDLE = pl.Series(_log_middles())


class _Grid:
    """The transitions of a log as cells, with what the model needs to know of each."""

    def __init__(self, arrivals: Arrivals, table: pl.DataFrame) -> None:
        code = table["source"].cast(pl.Int64) * 65_536 + table["target"].cast(pl.Int64)
        keys, self.cell = np.unique(code.to_numpy(), return_inverse=True)
        self.source, self.target = keys // 65_536, keys % 65_536
        places = arrivals.places
        stage = places["stage_index"].to_numpy().astype(np.int64)
        channel = places["channel"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
        self.channels = channel
        self.apart = self.source != self.target
        self.stages = stage[self.source] * 256 + stage[self.target]
        self.same_channel = (channel[self.source] == channel[self.target]).astype(np.int64)

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
    table = arrivals.arrivals.filter((pl.col("onward") > 0) & pl.col("high").is_between(1, 254))
    return _judge_share(arrivals, table, "onward", "back", "by_back", ("onward", "back"))


def _judge_share(
    arrivals: Arrivals,
    table: pl.DataFrame,
    n: str,
    total: str,
    offset: str,
    spread: tuple[str, str],
) -> pl.DataFrame:
    if table.is_empty():
        return _nothing()
    grid = _Grid(arrivals, table)
    cells = _collapse(grid, table, n, total, offset)
    size = np.bincount(cells.cell, cells.n, minlength=len(grid))
    judged = (size >= MIN_N) & grid.apart
    inflation = _design_effect(arrivals.spread, *spread)
    found = expect_cells(
        cells, grid.blocks(_SOURCE_VARIANCE), family="share", judged=judged, inflation=inflation
    )
    return _share_frame(grid, found, judged, inflation)


def _share_frame(
    grid: _Grid, found: Expectation, judged: NDArray[np.bool_], inflation: float
) -> pl.DataFrame:
    """Effects in points. A cell must stand out both on the logit scale and in points.

    Natural differences are additive in logits where they come from who arrives, and in points
    where a fixed share of customers does something else; requiring both guards against either.
    """
    from scipy.special import bdtrc, ndtr

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
    tail = np.where(count > 0, bdtrc(np.maximum(count - 1, 0), n, share), 1.0)
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
            "p": np.maximum(ndtr(-z), tail),
            "touched": np.maximum(effect - _Z95 * spread, 0.0),
        }
    ).filter(pl.Series(judged))


def judge_ping_pong(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go straight back to the channel (or touchpoint) they came from.

    The expectation of a → b → a's channel is how often those who came to b from other channels go
    there (first order), plus the log's general habit of going back, plus source and target effects.
    Company-initiated contacts neither send anyone back nor are gone back to. Two readings (same
    channel, same touchpoint) are tested and paid for twice; the clearer one is reported.
    """
    table = arrivals.onward.group_by("source", "target", "next").agg(pl.col("n").sum())
    own = (arrivals.places["initiated_by"] == "customer").to_numpy()
    size = len(own)
    if table.is_empty():
        return _nothing()
    ways = np.zeros((size, size, size))
    s, t, x = (table[c].to_numpy().astype(np.int64) for c in ("source", "target", "next"))
    ways[s, t, x] = table["n"].to_numpy()
    n = ways.sum(2)
    pairs = pl.DataFrame({"source": np.nonzero(n)[0], "target": np.nonzero(n)[1]})
    grid = _Grid(arrivals, pairs)
    fair = (grid.same_channel == 0) & own[grid.target] & own[grid.source]
    if not fair.any():
        return _nothing()
    readings = [
        _judge_return(grid, n, *_returns(ways, grid.channels, own, by_channel), fair)
        for by_channel in (True, False)
    ]
    both = pl.concat(readings).sort("p", "source", "target")
    best = both.unique(["source", "target"], keep="first", maintain_order=True)
    return best.with_columns(p=(2 * pl.col("p")).clip(0, 1)).sort("source", "target")


def _returns(
    ways: Floats, channels: Codes, own: NDArray[np.bool_], by_channel: bool
) -> tuple[Floats, Floats]:
    """Returns a → b → a per pair, and the share of those from elsewhere who go there."""
    size = len(channels)
    kind = channels if by_channel else np.arange(size)
    member = (kind[:, None] == kind[None, :]) & own[None, :]
    to_kind = np.einsum("stx,kx->stk", ways, member.astype(np.float64))
    back = np.einsum("sts->st", to_kind)
    total = ways.sum(2)
    # sources of another channel (another touchpoint) than the one gone back to
    other = (kind[:, None] != kind[None, :]).astype(np.float64)
    going = np.einsum("stk,sk->kt", to_kind, other)
    coming = np.einsum("st,sk->kt", total, other)
    kinds = len(np.unique(kind))
    return back, (going + 0.5) / (coming + 0.5 * kinds)


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
    judged = use & (size >= MIN_N) & grid.apart
    blocks = [Block(grid.source, 0.25), Block(grid.target, 0.25)]
    found = expect_cells(cells, blocks, family="share", judged=judged)
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

    Typical wait: the geometric mean after the shortest and the longest tenth of each handoff's
    waits are drawn in (winsorised). Waits are counted only where the contact before was observed
    for the whole silence, so that short waits are not over-represented at the end of the log.
    """
    table = arrivals.waits
    if table.is_empty():
        return _nothing()
    keys = ["source", "target"]
    value, n = pl.col("value"), pl.col("n")
    drawn = (
        table.sort("source", "target", "bin")
        .with_columns(rank=n.cum_sum().over(keys) - n / 2, all=n.sum().over(keys))
        .with_columns(
            low=value.filter(pl.col("rank") >= _TRIM * pl.col("all")).min().over(keys),
            high=value.filter(pl.col("rank") <= (1 - _TRIM) * pl.col("all")).max().over(keys),
        )
        .with_columns(
            value=pl.max_horizontal(pl.min_horizontal("value", "high"), "low"),
        )
        .group_by(keys)
        .agg(
            n.sum().cast(pl.Float64),
            total=(n * (value - pl.col("by_wait"))).sum(),
            square=(n * value * value).sum(),
            raw=(n * value).sum(),
            shift=(n * pl.col("by_wait")).sum(),
        )
        .sort(keys)
    )
    grid = _Grid(arrivals, drawn)
    found, judged, sd = _judge_mean(grid, drawn, MIN_N, 1.3, 1.0)
    shift = (drawn["shift"] / drawn["n"]).to_numpy()
    spread = np.sqrt(found.variance + found.tau**2)
    effect = found.deviation
    return pl.DataFrame(
        {
            "source": grid.source,
            "target": grid.target,
            "n": found.n,
            "observed": np.exp(found.observed + shift) / 3600,
            "expected": np.exp(found.expected + shift) / 3600,
            "effect": np.exp(effect),
            "low": np.exp(effect - _Z95 * spread),
            "high": np.exp(effect + _Z95 * spread),
            **_towards_harm(found.z, effect - _Z95 * spread, sd),
        }
    ).filter(pl.Series(judged))


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
    judged = large & grid.apart
    found = expect_cells(cells, grid.blocks(source_variance), family="mean", judged=judged)
    return found, judged, np.sqrt(variance)


def _towards_harm(z: Floats, least: Floats, sd: Floats) -> dict[str, Floats]:
    """Columns z, p, touched: a shift of d moves Φ(d / sd) − ½ of the customers past the middle."""
    from scipy.special import ndtr

    touched = np.maximum(ndtr(np.maximum(least, 0.0) / sd) - 0.5, 0.0)
    return {"z": z, "p": ndtr(-z), "touched": touched}


def _nothing() -> pl.DataFrame:
    numbers = ("n", "observed", "expected", "effect", "low", "high", "z", "p", "touched")
    return pl.DataFrame(
        schema={"source": pl.Int64, "target": pl.Int64} | dict.fromkeys(numbers, pl.Float64)
    )
