"""Where customers went next: the ways on from each arrival, and who goes back by habit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import WINDOWS, Arrivals
from cxlib.grounds.additive import Floats, add_up
from cxlib.grounds.cases import once
from cxlib.grounds.cells import channel_codes, transition_codes
from cxlib.grounds.expectation import MIN_N, weighted_median

Flags = NDArray[np.bool_]

MIN_OTHERS = 30
"""Customers from elsewhere without whom there is no telling where b leads by itself."""

_ASTRAY, _CLEARLY = 0.12, 5.0
"""Share of a source's customers who go another way at b than the others, and its distance from
chance in standard errors, beyond which the source is no measure of what is normal there."""


@dataclass(frozen=True, slots=True, eq=False)
class Returns:
    """By source and target: returns, and of those from elsewhere how many go there and how many."""

    count: Floats
    going: Floats
    coming: Floats

    @property
    def chance(self) -> Floats:
        """Share of those from elsewhere who go there."""
        return np.clip((self.going + 0.5) / (self.coming + 1.0), 1e-4, 0.98)


def count_returns(ways: Floats, home: Flags, own: Flags, usual: Flags) -> Returns:
    """Count returns; ``home[a, x]`` says whether going to x is going back to a."""
    back_to = (home & own[None, :]).astype(np.float64)
    elsewhere = (~home).astype(np.float64)
    normal = ways * usual[:, :, None]
    to_home = normal @ back_to.T
    going = np.einsum("stk,sk->kt", to_home, elsewhere)
    coming = elsewhere.T @ normal.sum(2)
    return Returns(np.einsum("stx,sx->st", ways, back_to), going, coming)


def habit_of(n: Floats, count: Floats, share: Floats) -> float:
    """The log's general habit of going back: weighted median of the excess over chance."""
    large = n >= 50
    if large.sum() < 20:
        return 0.0
    excess = (count[large] / n[large] - share[large]) / (1 - share[large])
    return max(0.0, weighted_median(excess, np.sqrt(n[large])))


def find_habit(arrivals: Arrivals) -> float:
    """Find the share of customers who return to the channel they came from wherever they are."""
    channels, ways = channel_codes(arrivals), ways_on(arrivals)
    own = of_customers(arrivals.places).to_numpy()
    same = channels[:, None] == channels[None, :]
    returns = count_returns(ways, same, own, usual_sources(arrivals))
    n = ways.sum(2)
    use = ~same & own[None, :] & own[:, None] & (n >= 50) & (returns.coming >= MIN_OTHERS)
    return habit_of(n[use], returns.count[use], returns.chance[use])


@once
def ways_on(arrivals: Arrivals) -> Floats:
    """Count fresh arrivals that went on, by source, target and next place."""
    table, size = arrivals.onward, len(arrivals.places)
    code = transition_codes(table, size) * size + table["next"].to_numpy()
    return add_up(table["n"].to_numpy(), code, size**3).reshape(size, size, size)


def of_customers(places: pl.DataFrame) -> pl.Series:
    """Places where the customer makes the contact, not the company.

    A mailing that comes in between is no step of the customer, and nothing to go back from.
    """
    return places["initiated_by"] == "customer"


@once
def usual_sources(arrivals: Arrivals) -> Flags:
    """Find the sources whose customers go the ways of the others, one outlier after the other.

    By source and target. Where more than a third would go, customers differ by nature there, and
    none is left out.
    """
    ways = ways_on(arrivals)
    usual = np.ones(ways.shape[:2], dtype=bool)
    for target in range(ways.shape[1]):
        counts = ways[:, target, :]
        large = counts.sum(1) >= MIN_N
        most = int(large.sum()) // 3
        alike = np.ones(len(counts), dtype=bool)
        for _ in range(most + 1):
            astray = _find_astray(counts, alike, large)
            if astray is None:
                break
            alike[astray] = False
        if (~alike).sum() <= most:
            usual[:, target] = alike
    return usual


def _find_astray(counts: Floats, alike: Flags, large: Flags) -> int | None:
    """The source that goes its own way most clearly, if any does."""
    n = counts.sum(1)
    others = (counts * alike[:, None]).sum(0)[None, :] - counts * alike[:, None]
    m = others.sum(1)
    candidates = np.flatnonzero(large & alike & (m >= MIN_OTHERS))
    if not len(candidates):
        return None
    mine, theirs = n[candidates, None], m[candidates, None]
    seen, normal = counts[candidates] / mine, others[candidates] / theirs
    apart = 0.5 * np.abs(seen - normal).sum(1)
    together = (counts[candidates] + others[candidates]) / (mine + theirs)
    # ways that hardly anyone takes make the sum of squares erratic
    common = together * np.minimum(mine, theirs) >= 3
    spread = np.maximum(together, 1e-9) * (1 / mine + 1 / theirs)
    squares = np.where(common, (seen - normal) ** 2 / spread, 0.0).sum(1)
    degrees = np.maximum(common.sum(1) - 1, 1)
    clear = (squares - degrees) / np.sqrt(2 * degrees)
    clear = np.where(apart > _ASTRAY, clear, 0.0)
    best = int(np.argmax(clear))
    return int(candidates[best]) if clear[best] > _CLEARLY else None


def shorter_windows(part: Arrivals) -> list[int]:
    """Windows shorter than the silence, in days, that fit three times into the log."""
    fitting = [mark for mark in WINDOWS if 3 * mark <= part.settings.span]
    return [m.days for m in fitting if timedelta(days=m.days) < part.settings.silence]


def judge_shorter(
    part: Arrivals, judge: Callable[[Arrivals], pl.DataFrame], *counted: str
) -> list[pl.DataFrame]:
    """Judge by what came next within fewer days; also `counted` columns are those within these."""
    found = []
    for days in shorter_windows(part):
        arrivals = part.arrivals.with_columns(pl.col(f"{c}_{days}").alias(c) for c in counted)
        onward = part.onward.with_columns(n=pl.col(f"n_{days}")).filter(pl.col("n") > 0)
        found.append(judge(replace(part, arrivals=arrivals, onward=onward)))
    return found
