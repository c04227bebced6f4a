"""What happens next, and when, if the log ends before all has happened: competing risks on bins.

A contact may be followed by another, by silence, by the goal or by a loss: each of these *causes*
keeps the others from happening. Where the log ends before any, it is *censored*: counting shares
would call it lost, leaving it out would favour what happens soon. Arrays end in ``[causes, bins]``
or ``[bins]``; a censoring is spread evenly over its bin, a time over the logarithm of time.

Each row of counts carries the least and the most of its times: a row of one or two is exact. A
quantile is read from these, weighed as Aalen and Johansen weigh the events of their bin; its
interval ends no nearer than what was recorded.

Aalen & Johansen (1978); Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712; life table: Cutler &
Ederer (1958), doi:10.1016/0021-9681(58)90126-7; quantiles: Woodruff (1952),
doi:10.1080/01621459.1952.10483443; Brookmeyer & Crowley (1982), doi:10.2307/2530286
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.rates import Interval, divide, jackknife_rate, rate, rate_interval
from cxlib.statistics.resampling import (
    Counts,
    Estimates,
    effective_buckets,
    jackknife_se,
    leave_one_out,
    merge_cells,
)

_BLOCK = 16
"""Cells worked on at a time: so many, by bucket and bin, stay in the cache of a processor."""


def event_weights(events: Counts, censored: Counts) -> Estimates:
    """What one event adds to the incidence of its cause, by bin: survival before by those at risk.

    Half of the censorings of a bin are at risk in it (life table), all of the first, an instant.
    """
    at_risk = np.cumsum((events + censored)[..., ::-1], axis=-1)[..., ::-1]
    at_risk[..., 1:] -= censored[..., 1:] / 2
    divisor = np.where(at_risk > 0, at_risk, np.inf)
    weight = np.ones_like(divisor)
    np.cumprod(1 - events[..., :-1] / divisor[..., :-1], axis=-1, out=weight[..., 1:])
    weight /= divisor
    return weight


def cumulative_incidence(events: Counts, censored: Counts) -> Estimates:
    r"""Aalen-Johansen: probability that each cause has happened by the end of the bin.

    .. math:: F_k(t) = \sum_{s \le t} \hat S(s-) \frac{d_k(s)}{Y(s)}
    """
    weight = event_weights(events.sum(axis=-2), censored)
    return np.cumsum(events * weight[..., None, :], axis=-1)


def incidence(
    events: Counts, weight: Estimates, weight_without: Estimates
) -> tuple[Estimates, Estimates]:
    """Chance that what was counted happens, ``[cells]``, and without one bucket each.

    From events ``[cells, buckets, bins]`` and what one adds (`event_weights`) with all buckets and
    without each.
    """
    total = events.sum(axis=1)
    own = np.einsum("cbt,cbt->cb", events, weight_without)
    without = (weight_without @ total[..., None])[..., 0] - own
    return (total * weight).sum(axis=-1), without


class CompetingRisks:
    """Cases ``[cells, buckets, causes + 1, bins]`` by what came first; the last: nothing so far."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.events, self.censored = counts[:, :, :-1], counts[:, :, -1]
        self.cases: Counts = counts.sum(axis=(2, 3))

    def merged(self, cell: NDArray[np.int64], cells: int) -> CompetingRisks:
        """The same of coarser cells: ``cell`` is the one that each of these is in."""
        return CompetingRisks(merge_cells(self.counts, cell, cells))

    @cached_property
    def together(self) -> Counts:
        """Cases of all buckets, ``[cells, causes + 1, bins]``."""
        return self.counts.sum(axis=1)

    @property
    def total(self) -> Counts:
        """Events of all buckets, ``[cells, causes, bins]``."""
        return self.together[:, :-1]

    @cached_property
    def weight(self) -> Estimates:
        """What one event adds in each cell, ``[cells, bins]``."""
        return event_weights(self.total.sum(axis=1), self.together[:, -1])

    @cached_property
    def weight_without(self) -> Estimates:
        """The same without one bucket each, ``[cells, buckets, bins]``."""
        found = np.empty_like(self.censored, order="C")
        for some in self._blocks():
            events = leave_one_out(self.events[some].sum(axis=2))
            found[some] = event_weights(events, leave_one_out(self.censored[some]))
        return found

    def some(self, *causes: int) -> Counts:
        """Events of any of these causes, ``[cells, buckets, bins]``."""
        return self.events[:, :, list(causes)].sum(axis=2)

    def curve(self, *causes: int) -> Estimates:
        """Cumulative incidence of any of these causes, ``[cells, bins]``."""
        return np.cumsum(self.total[:, list(causes)].sum(axis=1) * self.weight, axis=-1)

    @cached_property
    def _incidence(self) -> tuple[Estimates, Estimates]:
        """Chance of each cause, ``[cells, causes]``, and without one bucket each."""
        whole = self.total @ self.weight[..., None]
        without = np.empty(self.events.shape[:3])
        for some in self._blocks():
            weight = self.weight_without[some]
            # all events at the weights without a bucket, less its own events at these
            own = self.events[some] @ weight[..., None]
            without[some] = weight @ self.total[some].transpose(0, 2, 1) - own[..., 0]
        return whole[..., 0], without

    def _blocks(self) -> Iterator[slice]:
        cells = range(0, len(self.counts), _BLOCK)
        return (slice(first, first + _BLOCK) for first in cells)

    def chance(self, *causes: int, customers: ArrayLike | None = None) -> Interval:
        """Chance of any of these causes; NaN for a cell that nobody is in."""
        whole, without = (x[..., list(causes)].sum(axis=-1) for x in self._incidence)
        return jackknife_rate(whole, without, self.cases, customers=customers)

    def still_open(self, *, customers: ArrayLike | None = None) -> Interval:
        """Share of the cases of which nothing is known yet."""
        return rate(self.censored.sum(axis=-1), self.cases, customers=customers)


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
    rows: Timed,
    events: Counts,
    weight: Estimates,
    weight_without: Estimates,
    *,
    end: tuple[Estimates, Estimates] | None = None,
) -> Interval:
    """Median time to a cause among those to whom it happens, in seconds; ``se`` is NaN.

    ``events`` of the cause are ``[cells, buckets, bins]``; ``weight`` is what one adds, with all
    buckets and without each (`cxlib.statistics.competing_risks.event_weights`); ``end`` is their
    `incidence`, where that is known.
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
    early = incidence(before, weight, weight_without)
    end = end or incidence(events, weight, weight_without)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """Where each cell's curve reaches a share of its end: the bin, its rows, and their events."""

    share: Estimates
    bins: NDArray[np.int64]
    inside: Timed
    points: _Points

    @classmethod
    def of(cls, rows: Timed, curve: Estimates, share: float | Estimates) -> _Near:
        shares = np.broadcast_to(share, len(curve))
        reached = curve >= (shares * curve[:, -1])[:, None] * (1 - _CLOSE)
        bins = reached.argmax(axis=1)
        inside = rows.where(rows.bin == bins[rows.cell])
        return cls(shares, bins, inside, _Points.of(inside))

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
