"""Ping-pong: customers who go straight back to where they came from.

Judged for returns to the touchpoint a itself, and to any of its channel; the clearer speaks, and
pays for the choice. The expectation is how often those who came to b *from elsewhere* go there,
without the sources whose customers go astray at b, plus the log's general habit of going back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Block, Cells, Floats
from cxlib.grounds.cells import LEAST_SPREAD, Grid, no_cells, share_frame
from cxlib.grounds.expectation import MIN_N, expect_cells
from cxlib.grounds.faults import SENT_BACK, Fault, redirect
from cxlib.grounds.kinds import Counts, Signal
from cxlib.grounds.ways import (
    MIN_OTHERS,
    Flags,
    Returns,
    count_returns,
    habit_of,
    judge_shorter,
    of_customers,
    usual_sources,
    ways_on,
)

_LEAST_SHARE = 0.01
"""Natural spread of the share who go back that is always allowed for."""


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
    own = of_customers(arrivals.places).to_numpy()
    one_channel = arrivals.places["channel"].n_unique() == 1
    away = grid.apart if one_channel else grid.same_channel == 0
    fair = away & own[grid.target] & own[grid.source]
    if not fair.any():
        return no_cells()
    usual = usual_sources(arrivals)
    same_channel = grid.channels[:, None] == grid.channels[None, :]
    alone = (same_channel & own[None, :]).sum(1) == 1
    frames = []
    spread: Floats | float = 0.0
    homes = (np.eye(len(own), dtype=bool), same_channel)
    for home in homes[:1] if one_channel else homes:
        returns = count_returns(ways, home, own, usual)
        frame, spread = _judge_returns(grid, n, returns, fair, spread)
        once = alone[frame["source"].to_numpy()] | one_channel
        twice = np.where(once, 1.0, 2.0)
        frames.append(frame.with_columns(p=(pl.col("p") * pl.Series(twice)).clip(upper_bound=1.0)))
    clearest = pl.concat(frames).sort("p", "z", descending=[False, True])
    return clearest.unique(["source", "target"], keep="first").sort("source", "target")


def _judge_returns(
    grid: Grid, n: Floats, returns: Returns, fair: Flags, least: Floats | float
) -> tuple[pl.DataFrame, Floats]:
    """Judge twice (sources may differ in odds, or by a share who go back anywhere), give the more
    cautious answer, and by how much the share naturally differs, in points (``least``: at least).
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
    habit = habit_of(size[cells.use], count[cells.use], share[cells.use])
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
    frame = share_frame(cells.grid, found, cells.judged, 1.0)
    return frame, np.asarray(found.tau * slope)


def _in_shares(cells: _Cells) -> pl.DataFrame:
    """Judge the share m who go back whatever they would have done: chance + m (1 - chance)."""
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
    observed, effect = cells.count / size, found.deviation * (1 - chance)
    return cells.grid.frame(
        cells.judged,
        n=found.n,
        observed=observed,
        expected=observed - effect,
        effect=effect,
        spread=found.spread * (1 - chance),
        z=found.z,
    )


PING_PONG = Signal(
    name="ping_pong",
    number=4,
    title="sent back where they came from",
    unit="share of those who went on",
    counts=Counts(
        "histories",
        "came",
        "pinged",
        around="environments",
        places=of_customers,
        sources=of_customers,
    ),
    judge=judge_ping_pong,
    settings=lambda part: judge_shorter(part, judge_ping_pong),
    says="sends {} more back where they came from",
    advice="Ask {owner} what could not be settled here, and settle it or do not send them.",
    tells="sent back where they came from",
    fault=Fault(
        SENT_BACK,
        lambda rows, site: redirect(rows, site, pl.lit(site.source)),
        highest=1 - 2 * SENT_BACK,
    ),
    sends_back=True,
    compares_alone=True,
    draws="next",
    filters=("not_followed", "nothing_after", "itself_a_return"),
)
