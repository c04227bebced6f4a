"""Means over the arrivals of a handoff: the wait before, and the rating at the target."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.bins import N_BINS
from cxlib.fragmentation.additive import Cells, Floats, add_up
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import LEAST_SPREAD, NULL_DF, Z95, Grid, no_cells
from cxlib.fragmentation.expectation import Expectation, expect_cells
from cxlib.fragmentation.open_hours import OpenHours
from cxlib.fragmentation.strata import LOG_STEP

MIN_RATINGS = 25
"""Ratings below which a handoff's rating is not judged."""

MIN_WAITS = 100
"""Waits below which a handoff's wait is not judged."""

RATING_SOURCES = 0.25
"""Where the search for the variance of source effects on ratings begins, in squared points."""

_FAR = 50.0

_SHORTEST, _LONGEST = 0.05, 0.5
"""Quantiles at which waits are drawn in: the lower half decides, because the upper half also holds
customers who had left and came back to begin anew."""


def judge_delay(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the wait between the two contacts of a handoff, on a logarithmic scale.

    Compared is the mean logarithm of the waits, drawn in to each handoff's 5 % quantile and median
    (winsorised): where a wait grows by a factor, it grows by its logarithm, and customers who had
    left and came back weeks later do not move it. ``observed`` is the median. Waits are counted
    only where the contact before was observed for the whole silence, so that short waits are not
    over-represented at the end of the log. Where the target has opening hours they are counted in
    open time, and not judged where its contacts do not keep to these hours.
    """
    own = pl.lit(arrivals.places["initiated_by"]).gather(pl.col("target").cast(pl.UInt32))
    # when a mailing comes is the sender's schedule, not a wait of the customer
    table = arrivals.waits.filter(own == "customer")
    hours = arrivals.settings.open_hours
    if hours is not None:
        table = table.filter(~pl.col("target").is_in(list(hours.misfits)))
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    drawn = _draw_in(grid, table, hours)
    widening = 1 / (_LONGEST - _SHORTEST) ** 2
    large = drawn["n"].to_numpy() >= MIN_WAITS
    found, judged = judge_mean(grid, drawn, large, widening, 1.0)[:2]
    sd, median = drawn["sd"].to_numpy(), drawn["median"].to_numpy()
    spread = np.sqrt(found.variance + found.tau**2)
    # where next to nothing is known, the ends of the interval are beyond any number
    effect = np.clip(found.deviation, -_FAR, _FAR)
    spread = np.minimum(spread, _FAR)
    target = pl.Series(grid.target)
    by, low, high = (
        _as_counted(hours, target, median, excess)
        for excess in (effect, effect - Z95 * spread, effect + Z95 * spread)
    )
    return pl.DataFrame(
        {
            "source": grid.source,
            "target": grid.target,
            "n": found.n,
            "observed": np.exp(median) / 3600,
            "expected": np.exp(median - by) / 3600,
            "effect": np.exp(by),
            "low": np.exp(low),
            "high": np.exp(high),
            **_towards_harm(found.z, effect - Z95 * spread, sd),
        }
    ).filter(pl.Series(judged))


def _draw_in(grid: Grid, table: pl.DataFrame, hours: OpenHours | None) -> pl.DataFrame:
    """Sums of the logarithms of the waits, drawn in, by cell."""
    bins, n = table["bin"].to_numpy().astype(np.int64), table["n"].to_numpy().astype(np.float64)
    value = np.zeros(N_BINS)
    value[bins] = table["value"].to_numpy()
    waits = add_up(n, grid.cell * N_BINS + bins, len(grid) * N_BINS).reshape(-1, N_BINS)
    low, high = (_quantile(waits, value, q)[:, None] for q in (_SHORTEST, _LONGEST))
    drawn = np.maximum(np.minimum(value, high), low)
    drawn, unbound = (_as_time_passes(hours, grid, x) for x in (drawn, value[None, :]))
    shift = grid.sums(n * table["by_wait"].to_numpy())
    size = waits.sum(1)
    raw = (waits * drawn).sum(1)
    variance = (waits * unbound**2).sum(1) / size - ((waits * unbound).sum(1) / size) ** 2
    return pl.DataFrame(
        {
            "n": size,
            "total": raw - shift,
            "square": (waits * drawn**2).sum(1),
            "raw": raw,
            "error": grid.sums(n * table["error_wait"].to_numpy()),
            "median": high[:, 0],
            "sd": np.sqrt(np.maximum(variance, 1e-3)),
        }
    )


def _as_time_passes(hours: OpenHours | None, grid: Grid, waits: Floats) -> Floats:
    """Turn open time into the time it usually takes, for what is compared: by cell and bin."""
    if hours is None:
        return waits
    waits = np.broadcast_to(waits, (len(grid), N_BINS))
    target = pl.Series(np.repeat(grid.target, N_BINS))
    return hours.usually_take(target, waits.ravel()).reshape(waits.shape)


def _as_counted(
    hours: OpenHours | None, target: pl.Series, median: Floats, excess: Floats
) -> Floats:
    """Turn the excess of a median, as time passes, back into one of open time."""
    if hours is None:
        return excess
    return median - hours.open_within(target, hours.usually_take(target, median) - excess)


def _quantile(waits: Floats, value: Floats, q: float) -> Floats:
    """Quantile of binned log waits of each cell, evenly spread within its bin."""
    rank, all_ = waits.cumsum(1), waits.sum(1, keepdims=True)
    first = np.argmax((rank >= q * all_) & (waits > 0), axis=1)[:, None]
    here, upto = (np.take_along_axis(x, first, axis=1) for x in (waits, rank))
    within = (q * all_ - (upto - here)) / here
    return (value[first] + (within - 0.5) * LOG_STEP)[:, 0]


def judge_ratings(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the ratings that customers gave at the target of a handoff."""
    table = arrivals.arrivals.filter(pl.col("rating_n") > 0)
    if table.is_empty():
        return no_cells()
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
            error=(n * pl.col("error_rating")).sum(),
        )
        .sort(keys)
    )
    grid = Grid(arrivals, summed)
    large = summed["n"].to_numpy() >= MIN_RATINGS
    found, judged, sd = judge_mean(grid, summed, large, 1.0, RATING_SOURCES)
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
            "low": effect - Z95 * spread,
            "high": effect + Z95 * spread,
            **_towards_harm(-found.z, -(effect + Z95 * spread), sd),
        }
    ).filter(pl.Series(judged))


def judge_mean(
    grid: Grid,
    summed: pl.DataFrame,
    large: NDArray[np.bool_],
    widening: float,
    source_variance: float,
) -> tuple[Expectation, NDArray[np.bool_], Floats]:
    """Hold the mean of every cell against its expectation.

    Parameters
    ----------
    grid
        The cells.
    summed
        Per cell: ``n`` values, their ``total`` less what strata alone would change, ``raw`` total
        and sum of squares ``square`` (of which the variance of a value is taken), and ``error``, n
        times the standard error of the strata.
    large
        Cells with enough values to be judged.
    widening
        Factor on the variance of a value.
    source_variance
        Where the search for the variance of source effects begins.

    Returns
    -------
    tuple
        The expectation, the cells that are judged, and the standard deviation of one value.
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
        grid.blocks(source_variance),
        family="mean",
        judged=judged,
        least_spread=2 * LEAST_SPREAD * pooled**0.5,
    )
    return found, judged & found.comparable, np.sqrt(variance)


def _towards_harm(z: Floats, least: Floats, sd: Floats) -> dict[str, Floats]:
    """Columns z, p, touched: a shift of d moves Φ(d / sd) − ½ of the customers past the middle."""
    from scipy.special import ndtr, stdtr

    touched = np.maximum(ndtr(np.maximum(least, 0.0) / sd) - 0.5, 0.0)
    return {"z": z, "p": stdtr(NULL_DF, -z), "touched": touched}
