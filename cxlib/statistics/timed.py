"""How long it takes until something happens: quantiles of times that were counted by bin.

Each row of counts carries the least and the most of its times: a row of one or two is exact. A
quantile is read from these, weighed as Aalen and Johansen weigh the events of their bin; its
interval ends no nearer than what was recorded. Woodruff (1952), doi:10.1080/01621459.1952.10483443;
Brookmeyer & Crowley (1982), doi:10.2307/2530286
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.statistics.competing_risks import CompetingRisks, incidence
from cxlib.statistics.rates import Interval, divide, rate_interval
from cxlib.statistics.resampling import (
    Counts,
    Estimates,
    effective_buckets,
    jackknife_se,
)

_MOST_POINTS = 16
"""Points that stand for the times of one row between its least and its most."""

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Events of one cause: rows of counts ``n`` with the least and the most of their times, in
    seconds.
    """

    cell: NDArray[Any]
    bucket: NDArray[Any]
    bin: NDArray[Any]
    n: NDArray[Any]
    least: NDArray[Any]
    most: NDArray[Any]

    @classmethod
    def of(cls, cell: Any, bucket: Any, bins: Any, n: Any, least: Any, most: Any) -> Timed:
        """From arrays or columns of any number type."""
        whole = [np.asarray(x) for x in (cell, bucket, bins)]
        whole = [x if x.dtype.kind in "iu" else x.astype(np.int64) for x in whole]
        return cls(*whole, *map(np.asarray, (n, least, most)))

    @classmethod
    def of_rows(cls, cell: Any, rows: pl.DataFrame) -> Timed:
        """From rows of a summary: ``bucket``, ``bin``, ``n``, ``least``, ``most``."""
        return cls.of(cell, *(rows[c].to_numpy() for c in ("bucket", "bin", "n", "least", "most")))

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Timed:
        """The rows that are kept, or those with these numbers."""
        row = kept if isinstance(kept, slice) or kept.dtype != bool else np.flatnonzero(kept)
        ends = self.n[row], self.least[row], self.most[row]
        return Timed(self.cell[row], self.bucket[row], self.bin[row], *ends)


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """The events of each cell's bin of interest, in order of cell and time."""

    cell: NDArray[np.int64]
    bucket: NDArray[np.int64]
    at: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Timed) -> _Points:
        n, least, most = (x.astype(np.float64) for x in (rows.n, rows.least, rows.most))
        cell, bucket = rows.cell.astype(np.int64), rows.bucket.astype(np.int64)
        parts = np.clip(n, 1, _MOST_POINTS).astype(np.int64)
        row = np.repeat(np.arange(len(parts)), parts)
        number = np.arange(len(row)) - np.repeat(np.cumsum(parts) - parts, parts)
        share = number / np.maximum(parts[row] - 1, 1)
        at = least[row] + share * (most - least)[row]
        order = np.lexsort((at, cell[row]))
        row = row[order]
        return cls(cell[row], bucket[row], at[order], (n / parts)[row])


def time_quantile(
    rows: Timed, curve: Estimates, weight: Estimates, share: float | Estimates = 0.5
) -> Estimates:
    """Time by which a share of those to whom a cause happens have met it, in seconds; NaN: nobody.

    Read from every event behind its incidence ``curve``.
    """
    low, high = _Near.of(rows, curve, share).between(rows, curve, weight)
    return (low + high) / 2


def time_interval(
    rows: Timed, events: Counts, weight: Estimates, weight_without: Estimates
) -> Interval:
    """Median time to a cause among those to whom it happens, in seconds; ``se`` is NaN.

    ``events`` of the cause are ``[cells, buckets, bins]``; ``weight`` is what one adds, with all
    buckets and without each (`cxlib.statistics.competing_risks.event_weights`).
    """
    cells, buckets, length = events.shape
    half, cell = np.full(cells, 0.5), np.arange(cells)
    curve = np.cumsum(events.sum(axis=1) * weight, axis=-1)
    near = _Near.of(rows, curve, half)
    bins, inside, points = near.bins, near.inside, near.points
    estimate = np.mean(near.between(rows, curve, weight), axis=0)
    known = np.isfinite(estimate)
    by_then = points.at <= estimate[points.cell] * (1 + _CLOSE)
    place = points.cell[by_then] * buckets + points.bucket[by_then]
    counted = np.bincount(place, points.weight[by_then], cells * buckets).reshape(cells, buckets)
    others = counted.sum(axis=1, keepdims=True) - counted
    before = events * (np.arange(length) < bins[:, None])[:, None]
    early, end = (incidence(e, weight, weight_without) for e in (before, events))
    reached = divide(early[0] + weight[cell, bins] * counted.sum(axis=1), end[0])
    without = divide(early[1] + weight_without[cell, :, bins] * others, end[1])
    happened = events.sum(axis=-1)
    # the estimate is where the curve is at one half: a step there does not make it surer
    low, high = rate_interval(
        half,
        jackknife_se(reached, without),
        contacts=happened.sum(axis=1),
        buckets=effective_buckets(happened),
    )
    ends = (_Near.of(rows, curve, np.clip(end, 0, 1)) for end in (low, high))
    (earliest, _), (_, latest) = (end.between(rows, curve, weight) for end in ends)
    within = (inside.n >= 3) & (inside.least < estimate[inside.cell])
    within &= inside.most > estimate[inside.cell]
    np.minimum.at(earliest, inside.cell[within], inside.least[within])
    np.maximum.at(latest, inside.cell[within], inside.most[within])
    alone = known & ((happened > 0).sum(axis=1) < 2)
    unknown = ~known | alone
    return Interval(
        estimate,
        np.where(unknown, np.nan, np.fmin(earliest, estimate)),
        np.where(unknown, np.nan, np.fmax(latest, estimate)),
        np.full(cells, np.nan),
    )


def time_to_cause(rows: Timed, found: CompetingRisks, *causes: int) -> Interval:
    """Median time to any of several causes, from every event of them (`time_interval`)."""
    return time_interval(rows, found.some(*causes), found.weight, found.weight_without)


def _bin_of_share(curve: Estimates, share: Estimates) -> NDArray[np.int64]:
    """The bin in which each cell's curve reaches a share of its own end."""
    wanted = share * curve[:, -1]
    return np.asarray((curve >= wanted[:, None] * (1 - _CLOSE)).argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """Where each cell's curve reaches a share of its end: the bin, its rows, and their events."""

    share: Estimates
    bins: NDArray[np.int64]
    inside: Timed
    points: _Points

    @classmethod
    def of(cls, rows: Timed, curve: Estimates, share: float | Estimates) -> _Near:
        bins = _bin_of_share(curve, np.broadcast_to(share, len(curve)))
        inside = rows.where(rows.bin == bins[rows.cell])
        return cls(np.broadcast_to(share, len(curve)), bins, inside, _Points.of(inside))

    def between(
        self, rows: Timed, curve: Estimates, weight: Estimates
    ) -> tuple[Estimates, Estimates]:
        """First time by which the curve is at the share, and first after which it is beyond it."""
        cells, share, bins, points = len(curve), self.share, self.bins, self.points
        first = np.searchsorted(points.cell, np.arange(cells))
        last = np.searchsorted(points.cell, np.arange(cells), side="right") - 1
        missing = (last < first) | ~(curve[:, -1] > 0)
        if not len(points.at):
            return np.full(cells, np.nan), np.full(cells, np.nan)
        at_bin = (np.arange(cells), bins)
        before = np.where(bins > 0, curve[np.arange(cells), np.maximum(bins - 1, 0)], 0.0)
        needed = divide(share * curve[:, -1] - before, weight[at_bin])
        counted = np.cumsum(points.weight)
        base = np.where(missing, 0.0, counted[np.minimum(first, len(counted) - 1)])
        base -= np.where(missing, 0.0, points.weight[np.minimum(first, len(counted) - 1)])
        slack = _CLOSE * np.maximum(counted[-1], 1.0)
        wanted = base + np.where(missing, 0.0, needed)
        low = np.clip(np.searchsorted(counted, wanted - slack), first, np.maximum(last, 0))
        beyond = np.searchsorted(counted, wanted + slack, side="right")
        high = np.clip(beyond, first, np.maximum(last, 0))
        later = points.at[high]
        if (beyond_all := beyond > last).any():
            later = np.where(beyond_all, _least_after(rows, bins, beyond_all), later)
        found_low = np.where(missing, np.nan, points.at[low])
        return found_low, np.where(missing, np.nan, np.fmax(later, found_low))


def _least_after(rows: Timed, bins: NDArray[np.int64], asked: NDArray[np.bool_]) -> Estimates:
    """First time after a bin of the cells that are asked for; NaN where none comes."""
    after = rows.where(asked[rows.cell])
    after = after.where(after.bin > bins[after.cell])
    least = np.full(len(bins), np.inf)
    np.minimum.at(least, after.cell, after.least)
    return np.where(np.isfinite(least), least, np.nan)
