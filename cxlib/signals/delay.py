"""Delay: customers who wait longer between the two contacts of a transition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.open_hours import OpenHours
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.grounds.additive import Block, Floats, add_up
from cxlib.grounds.cells import Grid, Sums, judge_mean, no_cells, share_moved
from cxlib.grounds.comparing import spread_over_customers
from cxlib.grounds.faults import Fault, Site, row_before
from cxlib.grounds.judged import Z95, natural_p
from cxlib.grounds.kinds import Counts, Signal
from cxlib.grounds.strata import LOG_STEP
from cxlib.grounds.ways import shorter_windows

MIN_WAITS = 100
"""Waits below which a handoff's wait is not judged."""

_FAR = 50.0

_SHORTEST, _LONGEST = 0.05, 0.5
"""Quantiles at which waits are drawn in: the lower half decides, because the upper half also holds
customers who had left and came back to begin anew."""

_CHANNEL_PAIRS = 1.0
"""Where the search for the variance of the effects of channel pairs begins, in squared logs."""

DELAYED = 3.5
"""Factor of the planted delay."""


def judge_delay(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the wait between the two contacts of a handoff, on a logarithmic scale.

    Compared is the mean logarithm, drawn in to each handoff's 5 % quantile and median (winsorised);
    ``observed`` is the median. Counted are waits whose first contact was followed for the silence;
    where the target has opening hours, in open time, unless its contacts do not keep to these
    hours.
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
    sums, median, sd = _draw_in(grid, table, hours)
    widening = spread_over_customers(arrivals, "wait_n", "wait_sum", "wait_sq")
    widening /= (_LONGEST - _SHORTEST) ** 2
    large = sums.n >= MIN_WAITS
    # from web to web people go on at once, from branch to branch it takes a day
    pairs = grid.channels[grid.source] * (grid.channels.max() + 1) + grid.channels[grid.target]
    pair_effects = Block(pairs, _CHANNEL_PAIRS, fixed=False)
    found, judged = judge_mean(grid, sums, large, widening, 1.0, [pair_effects])[:2]
    # where next to nothing is known, the ends of the interval are beyond any number
    effect, wide = np.clip(found.deviation, -_FAR, _FAR), Z95 * np.minimum(found.spread, _FAR)
    target, ends = pl.Series(grid.target), (effect, effect - wide, effect + wide)
    by, low, high = (_as_counted(hours, target, median, excess) for excess in ends)
    return grid.told(
        judged,
        n=found.n,
        observed=np.exp(median) / 3600,
        expected=np.exp(median - by) / 3600,
        effect=np.exp(by),
        low=np.exp(low),
        high=np.exp(high),
        z=found.z,
        p=natural_p(found.z),
        touched=share_moved(effect - wide, sd),
    )


def _draw_in(
    grid: Grid, table: pl.DataFrame, hours: OpenHours | None
) -> tuple[Sums, Floats, Floats]:
    """By cell, sums of the logarithms of the waits, drawn in; their median, their spread."""
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
    error = grid.sums(n * table["error_wait"].to_numpy())
    sums = Sums(size, raw - shift, raw, (waits * drawn**2).sum(1), error)
    return sums, high[:, 0], np.sqrt(np.maximum(variance, 1e-3))


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
    return median - hours.usually_take(
        target, hours.usually_take(target, median) - excess, back=True
    )


def _quantile(waits: Floats, value: Floats, q: float) -> Floats:
    """Quantile of binned log waits of each cell, evenly spread within its bin."""
    rank, all_ = waits.cumsum(1), waits.sum(1, keepdims=True)
    first = np.argmax((rank >= q * all_) & (waits > 0), axis=1)[:, None]
    here, upto = (np.take_along_axis(x, first, axis=1) for x in (waits, rank))
    within = (q * all_ - (upto - here)) / here
    return (value[first] + (within - 0.5) * LOG_STEP)[:, 0]


_DATES = "times are dates only (midnight), so waits are not known"


def _windows(part: Arrivals) -> list[pl.DataFrame]:
    hours = part.settings.open_hours
    # where open time is counted, a week has as many hours as it is open
    share = np.ones(len(part.places)) if hours is None else hours.calendar.shares
    target = pl.col("target").cast(pl.UInt32)
    waits = []
    for days in shorter_windows(part):
        limit = np.searchsorted(np.array(BIN_EDGES), days * 86_400.0 * share)
        waits.append(part.waits.filter(pl.col("bin") < pl.lit(pl.Series(limit)).gather(target)))
    return [judge_delay(replace(part, waits=kept)) for kept in waits if len(kept)]


def prolong_waits(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let the wait of the handoff grow; all later contacts come later by as much."""
    shift = pl.duration(microseconds=pl.col("_longer").cum_sum().over("customer"))
    longer = rows.with_columns(_longer(rows, site).alias("_longer"))
    return longer.with_columns(occurred_at=pl.col("occurred_at") + shift).drop("_longer")


def _longer(rows: pl.DataFrame, site: Site) -> pl.Series:
    """By how many microseconds each wait grows: open time by its factor, where that is counted."""
    hit = rows.select(site.arrived()).to_series()
    times = rows.select(at="occurred_at", before=row_before(pl.col("occurred_at"))).filter(hit)
    at, before = times["at"], times["before"]
    if site.open_hours is None:
        more = (at - before).dt.total_microseconds() * (DELAYED - 1)
    else:
        calendar, target = site.open_hours.calendar, rows["place"].filter(hit)
        waited = calendar.open_waits(target, at, at - before).dt.total_microseconds()
        longer = (waited * DELAYED).cast(pl.Duration("us"))
        # who came outside the hours has waited for no open hour, and comes when they did
        more = (calendar.after(site.target, before, longer) - at).dt.total_microseconds().clip(0)
    none = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(rows))
    return none.scatter(hit.arg_true(), more.cast(pl.Int64))


DELAY = Signal(
    name="delay",
    number=2,
    title="long wait",
    unit="ratio of medians (observed and expected in hours)",
    family="wait",
    enough="100 waits",
    least=1.25,
    needs=lambda part: _DATES if part.settings.midnight_share > 0.9 else "",
    counts=Counts(
        "history_waits",
        begun="begun_waits",
        around="environment_waits",
    ),
    judge=judge_delay,
    settings=_windows,
    says="takes {} times as long",
    advice="Ask {owner} what customers wait for between the two, and who could shorten it.",
    tells="made to wait",
    fault=Fault(DELAYED, prolong_waits, ordinary=1.0),
    follows_customers=True,
    draws="waits",
    filters=("source_not_followed",),
)
