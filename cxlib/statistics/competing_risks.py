"""What happens next, and when, if the log ends before all has happened: competing risks on bins.

A contact may be followed by another, by silence, by the goal or by a loss: each of these *causes*
keeps the others from happening. Where the log ends before any, it is *censored*: counting shares
would call it lost, leaving it out would favour what happens soon. Arrays end in ``[causes, bins]``
or ``[bins]``; a censoring is spread evenly over its bin, a time over the logarithm of time.

Aalen & Johansen (1978); Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712; life table: Cutler &
Ederer (1958), doi:10.1016/0021-9681(58)90126-7
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlib.statistics.rates import Interval, jackknife_rate, rate
from cxlib.statistics.resampling import Counts, Estimates, leave_one_out, merge_cells

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


def counted_until(edges: ArrayLike, seconds: float) -> Estimates:
    """Part of each bin that lies before a time; bins begin at ``edges``, in seconds.

    The first bin is one instant, the last is open and counts at an infinite time only.
    """
    starts = np.asarray(edges, dtype=np.float64)
    if np.isinf(seconds):
        return np.ones(len(starts))
    index = max(int(np.searchsorted(starts, seconds, side="right")) - 1, 0)
    part = (np.arange(len(starts)) < max(index, 1)).astype(np.float64)
    if 0 < index < len(starts) - 1:
        part[index] = np.log(seconds / starts[index]) / np.log(starts[index + 1] / starts[index])
    return part


class CompetingRisks:
    """Cases ``[cells, buckets, causes + 1, bins]`` by what came first; the last: nothing so far.

    Bins begin at ``edges``, in seconds.
    """

    def __init__(self, counts: Counts, *, edges: ArrayLike) -> None:
        self.counts, self.edges = counts, edges
        self.events, self.censored = counts[:, :, :-1], counts[:, :, -1]
        self.cases: Counts = counts.sum(axis=(2, 3))
        self._known: dict[float, tuple[Estimates, Estimates]] = {}

    def merged(self, cell: NDArray[np.int64], cells: int) -> CompetingRisks:
        """The same of coarser cells: ``cell`` is the one that each of these is in."""
        return CompetingRisks(merge_cells(self.counts, cell, cells), edges=self.edges)

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

    def _incidence(self, seconds: float) -> tuple[Estimates, Estimates]:
        """Chance of each cause by a time, ``[cells, causes]``, and without one bucket each."""
        if seconds not in self._known:
            part = counted_until(self.edges, seconds)
            whole = self.total @ (self.weight * part)[..., None]
            without = np.empty(self.events.shape[:3])
            for some in self._blocks():
                weight = self.weight_without[some] * part
                # all events at the weights without a bucket, less its own events at these
                own = self.events[some] @ weight[..., None]
                without[some] = weight @ self.total[some].transpose(0, 2, 1) - own[..., 0]
            self._known[seconds] = whole[..., 0], without
        return self._known[seconds]

    def _blocks(self) -> Iterator[slice]:
        cells = range(0, len(self.counts), _BLOCK)
        return (slice(first, first + _BLOCK) for first in cells)

    def chance(
        self, *causes: int, seconds: float = np.inf, customers: ArrayLike | None = None
    ) -> Interval:
        """Chance of any of these causes by ``seconds``; NaN for a cell that nobody is in."""
        whole, without = (x[..., list(causes)].sum(axis=-1) for x in self._incidence(seconds))
        return jackknife_rate(whole, without, self.cases, customers=customers)

    def still_open(self, *, customers: ArrayLike | None = None) -> Interval:
        """Share of the cases of which nothing is known yet."""
        return rate(self.censored.sum(axis=-1), self.cases, customers=customers)
