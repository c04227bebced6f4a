"""What happens next, and when, if the log ends before all has happened: competing risks on bins.

A contact may be followed by another contact, by silence, by the goal or by a loss: each of these
*causes* keeps the others from happening. Where the log ends before any of them, it is *censored*:
counting shares would call it lost, and leaving it out would favour what happens soon.

Times are counts per bin, ``[…, causes, bins]``; any axes before are carried along. A censoring is
taken as spread evenly over its bin, and a time inside a bin as even over the logarithm of time.

Aalen & Johansen (1978); Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712; life table: Cutler &
Ederer (1958), doi:10.1016/0021-9681(58)90126-7
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from cxlib.statistics.rates import Interval, jackknife_rate, rate
from cxlib.statistics.resampling import Counts, Estimates, leave_one_out

__all__ = [
    "CompetingRisks",
    "Risks",
    "at_time",
    "cumulative_incidence",
    "incidence_of_some",
    "risks",
]


@dataclass(frozen=True, slots=True, eq=False)
class Risks:
    """What all causes of one group share, by bin.

    ``at_risk`` are those still without event or censoring, ``survival`` is the Kaplan-Meier share
    without any event at the end, and ``weight`` what one event adds to the incidence of its cause:
    survival at the start over the number at risk.
    """

    at_risk: Counts
    survival: Estimates
    weight: Estimates


def risks(events: Counts, censored: Counts, *, evenly: bool = True) -> Risks:
    """Number at risk, survival and weight from events of any cause and censorings, ``[…, bins]``.

    Not ``evenly``: censorings come after every event of their bin, which is exact where a bin is
    one instant, as the first always is.
    """
    leaving = events + censored
    at_risk = np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1]
    if evenly:
        at_risk[..., 1:] -= censored[..., 1:] / 2
    hazard = np.divide(events, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    survival = np.cumprod(1 - hazard, axis=-1)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    weight = np.divide(before, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    return Risks(at_risk, survival, weight)


def cumulative_incidence(events: Counts, censored: Counts, *, evenly: bool = True) -> Estimates:
    r"""Aalen-Johansen: probability that each cause has happened by the end of the bin.

    .. math:: F_k(t) = \sum_{s \le t} \hat S(s-) \frac{d_k(s)}{Y(s)}
    """
    found = risks(events.sum(axis=-2), censored, evenly=evenly)
    return np.cumsum(events * found.weight[..., None, :], axis=-1)


def incidence_of_some(events: Counts, shared: Risks) -> Estimates:
    """Cumulative incidence ``[…, bins]`` of one cause, from what its group shares."""
    return np.cumsum(events * shared.weight, axis=-1)


def at_time(curve: Estimates, edges: ArrayLike, seconds: float) -> Estimates:
    """Value of a cumulative curve ``[…, bins]`` at one time; bins begin at ``edges``, in seconds.

    The first bin is one instant, the last is open and counts at an infinite time only.
    """
    starts = np.asarray(edges, dtype=np.float64)
    index = int(np.searchsorted(starts, seconds, side="right")) - 1
    if np.isinf(seconds) or index <= 0:
        return curve[..., -1 if np.isinf(seconds) else 0]
    if index == len(starts) - 1:
        return curve[..., -2]
    share = np.log(seconds / starts[index]) / np.log(starts[index + 1] / starts[index])
    return curve[..., index - 1] + share * (curve[..., index] - curve[..., index - 1])


class CompetingRisks:
    """Cases by cell and customer bucket, with what came first, and when.

    ``counts`` are ``[cells, buckets, causes + 1, bins]``, the last "cause" being nothing so far;
    bins begin at ``edges``, in seconds.
    """

    def __init__(self, counts: Counts, *, edges: ArrayLike) -> None:
        self.counts, self.edges = counts, edges
        self.events, self.censored = counts[:, :, :-1], counts[:, :, -1]
        self.cases: Counts = counts.sum(axis=(2, 3))

    @cached_property
    def risk(self) -> Risks:
        """Of each cell, ``[cells, bins]``."""
        return risks(self.events.sum(axis=(1, 2)), self.censored.sum(axis=1))

    @cached_property
    def risk_without(self) -> Risks:
        """Of each cell without one bucket each, ``[cells, buckets, bins]``."""
        return risks(leave_one_out(self.events.sum(axis=2)), leave_one_out(self.censored))

    def some(self, *causes: int) -> Counts:
        """Events of any of these causes, ``[cells, buckets, bins]``."""
        return self.events[:, :, list(causes)].sum(axis=2)

    def curve(self, *causes: int) -> Estimates:
        """Cumulative incidence of any of these causes, ``[cells, bins]``."""
        return incidence_of_some(self.some(*causes).sum(axis=1), self.risk)

    def curves_without(self, *causes: int) -> Estimates:
        """The same without one bucket each, ``[cells, buckets, bins]``."""
        return incidence_of_some(leave_one_out(self.some(*causes)), self.risk_without)

    def chance(
        self, *causes: int, seconds: float = np.inf, customers: ArrayLike | None = None
    ) -> Interval:
        """Chance of any of these causes by ``seconds``; NaN for a cell that nobody is in."""
        whole = at_time(self.curve(*causes), self.edges, seconds)
        without = at_time(self.curves_without(*causes), self.edges, seconds)
        return jackknife_rate(whole, without, self.cases, customers=customers)

    def still_open(self, *, customers: ArrayLike | None = None) -> Interval:
        """Share of the cases of which nothing is known yet."""
        return rate(self.censored.sum(axis=-1), self.cases, customers=customers)
