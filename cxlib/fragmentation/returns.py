"""Ping-pong: customers who go straight back to where they came from.

Judged twice for every handoff a → b: returns to the touchpoint a itself, and returns to any
touchpoint of a's channel. The clearer of the two speaks, and pays for having been chosen.

The expectation is how often those who came to b *from elsewhere* go there (first order), plus the
log's general habit of going back. Elsewhere leaves out the sources whose customers go astray at b:
one broken arrival must not decide what is normal there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.fragmentation.additive import Block, Cells, Floats, add_up
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import (
    BY_DESIGN,
    LEAST_SPREAD,
    NULL_DF,
    Z95,
    Grid,
    channel_codes,
    no_cells,
    share_frame,
    transition_codes,
)
from cxlib.fragmentation.expectation import MIN_N, expect_cells

Flags = NDArray[np.bool_]

MIN_OTHERS = 30
"""Customers from elsewhere without whom there is no telling where b leads by itself."""

_LEAST_SHARE = 0.01
"""Natural spread of the share who go back that is always allowed for."""

_ASTRAY, _CLEARLY = 0.12, 5.0
"""Share of a source's customers who go another way at b than the others, and its distance from
chance in standard errors, beyond which the source is no measure of what is normal there."""


def judge_ping_pong(arrivals: Arrivals) -> pl.DataFrame:
    """Judge how often customers go straight back to the touchpoint or channel they came from.

    Company-initiated contacts neither send anyone back nor are gone back to.
    """
    if arrivals.onward.is_empty():
        return no_cells()
    ways = ways_on(arrivals)
    n = ways.sum(2)
    pairs = pl.DataFrame({"source": np.nonzero(n)[0], "target": np.nonzero(n)[1]})
    grid = Grid(arrivals, pairs)
    own = _own(arrivals)
    fair = (grid.same_channel == 0) & own[grid.target] & own[grid.source]
    if not fair.any():
        return no_cells()
    usual = _usual(arrivals, ways)
    same_channel = grid.channels[:, None] == grid.channels[None, :]
    alone = (same_channel & own[None, :]).sum(1) == 1
    frames = []
    spread: Floats | float = 0.0
    for home in (np.eye(len(own), dtype=bool), same_channel):
        returns = _count_returns(ways, home, own, usual)
        frame, spread = _judge_returns(grid, n, returns, fair, spread)
        twice = np.where(alone[frame["source"].to_numpy()], 1.0, 2.0)
        frames.append(frame.with_columns(p=(pl.col("p") * pl.Series(twice)).clip(upper_bound=1.0)))
    clearest = pl.concat(frames).sort("p", "z", descending=[False, True])
    one = clearest.unique(["source", "target"], keep="first").sort("source", "target")
    return one.filter(pl.col("observed") < BY_DESIGN)


@dataclass(frozen=True, slots=True, eq=False)
class _Returns:
    """By source and target: returns, and of those from elsewhere how many go there and how many."""

    count: Floats
    going: Floats
    coming: Floats

    @property
    def chance(self) -> Floats:
        return np.clip((self.going + 0.5) / (self.coming + 1.0), 1e-4, 0.98)


def _count_returns(ways: Floats, home: Flags, own: Flags, usual: Flags) -> _Returns:
    """Count returns; ``home[a, x]`` says whether going to x is going back to a."""
    back_to = (home & own[None, :]).astype(np.float64)
    elsewhere = (~home).astype(np.float64)
    normal = ways * usual[:, :, None]
    to_home = normal @ back_to.T
    going = np.einsum("stk,sk->kt", to_home, elsewhere)
    coming = elsewhere.T @ normal.sum(2)
    return _Returns(np.einsum("stx,sx->st", ways, back_to), going, coming)


def _judge_returns(
    grid: Grid, n: Floats, returns: _Returns, fair: Flags, least: Floats | float
) -> tuple[pl.DataFrame, Floats]:
    """Judge twice: sources may differ in odds (who comes), or by a share who go back anywhere.

    A handoff must stand out from both; the more cautious of the two answers is given, and by how
    much the share naturally differs, in points. ``least``: the same of returns to the touchpoint,
    which are part of those to its channel.
    """
    at = (grid.source, grid.target)
    cells = _Cells(grid, n[at], returns.count[at], returns.coming[at], returns.chance[at], fair)
    in_odds, spread = _in_odds(cells, least)
    both = pl.concat([in_odds, _in_shares(cells)])
    cautious = both.sort("p", "z", descending=[True, False]).unique(
        ["source", "target"], keep="first", maintain_order=True
    )
    return cautious, spread


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The transitions: arrivals, returns, those from elsewhere, and their share who go there."""

    grid: Grid
    size: Floats
    count: Floats
    others: Floats
    chance: Floats
    fair: Flags

    @property
    def use(self) -> Flags:
        return self.fair & (self.size >= 10) & (self.others >= MIN_OTHERS)

    @property
    def judged(self) -> Flags:
        return self.use & (self.size >= MIN_N) & self.grid.apart & ~self.grid.rare

    def blocks(self, variance: float) -> list[Block]:
        grid = self.grid
        levels = (grid.source, grid.target, grid.channels[grid.source])
        return [Block(level, variance, fixed=False) for level in levels]

    def weighed(self, values: Floats) -> Floats:
        """Cells that are not judged stay in the frame without weight."""
        return np.where(self.use, values, 0.0)


def _in_odds(cells: _Cells, least: Floats | float) -> tuple[pl.DataFrame, Floats]:
    size, count, share = cells.size, cells.count, cells.chance
    habit = _habit(size[cells.use], count[cells.use], share[cells.use])
    share = share + habit * (1 - share)
    rows = Cells(
        np.arange(len(size)),
        cells.weighed(size),
        cells.weighed(count),
        np.log(share / (1 - share)),
        np.ones(len(size)),
        1 / (np.maximum(cells.others, 1) * share * (1 - share)),
    )
    found = expect_cells(
        rows,
        cells.blocks(0.1),
        family="share",
        judged=cells.judged,
        least_spread=LEAST_SPREAD,
        clear_too=True,
    )
    usual = np.clip(found.expected, 1e-4, 1 - 1e-4)
    slope = usual * (1 - usual)
    # a channel that is little more than the touchpoint differs as much as the touchpoint does
    found = replace(found, tau=np.maximum(found.tau, least / slope))
    frame = share_frame(cells.grid, found, cells.judged, 1.0, compared_with=cells.others)
    return frame, np.asarray(found.tau * slope)


def _in_shares(cells: _Cells) -> pl.DataFrame:
    """Judge the share m who go back whatever they would have done: chance + m (1 - chance)."""
    from scipy.special import stdtr

    size, chance = np.maximum(cells.size, 1), cells.chance
    sent = (cells.count / size - chance) / (1 - chance)
    seen = (cells.count + chance) / (size + 1)
    variance = np.maximum(seen * (1 - seen), 1 / size) / (1 - chance) ** 2
    rows = Cells(
        np.arange(len(size)),
        cells.weighed(size),
        cells.weighed(size * sent),
        np.zeros(len(size)),
        variance,
        chance / (np.maximum(cells.others, 1) * (1 - chance)),
    )
    found = expect_cells(
        rows, cells.blocks(0.0025), family="mean", judged=cells.judged, least_spread=_LEAST_SHARE
    )
    spread = np.sqrt(found.variance + found.tau**2)
    kept = 1 - chance
    effect = found.deviation * kept
    return pl.DataFrame(
        {
            "source": cells.grid.source,
            "target": cells.grid.target,
            "n": found.n,
            "observed": cells.count / size,
            "expected": cells.count / size - effect,
            "effect": effect,
            "low": effect - Z95 * spread * kept,
            "high": effect + Z95 * spread * kept,
            "z": found.z,
            "p": stdtr(NULL_DF, -found.z),
            "touched": np.maximum(effect - Z95 * spread * kept, 0.0),
        }
    ).filter(pl.Series(cells.judged))


def _habit(n: Floats, count: Floats, share: Floats) -> float:
    """The log's general habit of going back: weighted median of the excess over chance."""
    large = n >= 50
    if large.sum() < 20:
        return 0.0
    excess = (count[large] / n[large] - share[large]) / (1 - share[large])
    order = np.argsort(excess)
    weight = np.cumsum(np.sqrt(n[large])[order])
    return float(max(0.0, excess[order][np.searchsorted(weight, weight[-1] / 2)]))


def find_habit(arrivals: Arrivals, ways: Floats) -> float:
    """Find the share of customers who return to the channel they came from wherever they are."""
    channels, own = channel_codes(arrivals), _own(arrivals)
    same = channels[:, None] == channels[None, :]
    returns = _count_returns(ways, same, own, _usual(arrivals, ways))
    n = ways.sum(2)
    use = ~same & own[None, :] & own[:, None] & (n >= 50) & (returns.coming >= MIN_OTHERS)
    return _habit(n[use], returns.count[use], returns.chance[use])


def ways_on(arrivals: Arrivals) -> Floats:
    """Count fresh arrivals that went on, by source, target and next place."""
    if "ways" not in arrivals.cache:
        table, size = arrivals.onward, len(arrivals.places)
        code = transition_codes(table, size) * size + table["next"].to_numpy()
        ways = add_up(table["n"].to_numpy(), code, size**3)
        arrivals.cache["ways"] = ways.reshape(size, size, size)
    kept: Floats = arrivals.cache["ways"]
    return kept


def _own(arrivals: Arrivals) -> Flags:
    return np.asarray((arrivals.places["initiated_by"] == "customer").to_numpy())


def _usual(arrivals: Arrivals, ways: Floats) -> Flags:
    """Sources whose customers go the ways of the others, by source and target: found once."""
    if "usual" not in arrivals.cache:
        arrivals.cache["usual"] = _find_usual(ways)
    kept: Flags = arrivals.cache["usual"]
    return kept


def _find_usual(ways: Floats) -> Flags:
    """Find the sources whose customers go the ways of the others.

    The source that stands out most is left out, and the others are compared again. Where more than
    a third of the sources would go, customers differ by nature there, and none is left out.
    """
    usual = np.ones(ways.shape[:2], dtype=bool)
    for target in range(ways.shape[1]):
        counts = ways[:, target, :]
        large = counts.sum(1) >= MIN_N
        most = int(large.sum()) // 3
        kept = np.ones(len(counts), dtype=bool)
        for _ in range(most + 1):
            astray = _find_astray(counts, kept, large)
            if astray is None:
                break
            kept[astray] = False
        if (~kept).sum() <= most:
            usual[:, target] = kept
    return usual


def _find_astray(counts: Floats, kept: Flags, large: Flags) -> int | None:
    """The source that goes its own way most clearly, if any does."""
    n = counts.sum(1)
    others = (counts * kept[:, None]).sum(0)[None, :] - counts * kept[:, None]
    m = others.sum(1)
    candidates = np.flatnonzero(large & kept & (m >= MIN_OTHERS))
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
