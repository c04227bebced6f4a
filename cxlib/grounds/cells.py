"""Transitions as cells: what the judges share.

Every judge sums the rows of its signal by cell (a → b), asks `cxlib.grounds.expectation` what to
expect of each, and gives a row per cell with at least `MIN_N` arrivals: ``source``, ``target``,
``n``, ``observed``, ``expected``, ``effect``, ``low``, ``high``, ``z`` (harm counts positive),
``p`` (one-sided), ``touched`` (share of the customers who are worse off, lower end).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Block, Codes, Floats, add_up
from cxlib.grounds.cases import once
from cxlib.grounds.expectation import Expectation, natural_spread, tail_scale
from cxlib.grounds.judged import Z95, natural_p

SOURCE_VARIANCE = 0.1
"""Where the search for the variance of source effects in shares begins, in squared logits."""

LEAST_SPREAD = 0.05
"""Natural spread between handoffs that is always allowed for: in logits; twice that, as a share of
the standard deviation, for ratings and log waits."""

BY_DESIGN = 0.45
"""Share of those who would not have gone back elsewhere, but do so here, from which on that is how
the journey is built (to look something up, to pay once more), or the map's order of stages is not
the customers': what nearly everybody does is no breakage."""

NEARLY_ALL, MOST = 0.95, 0.5
"""Share going back, and share expected to, from which on going back is no breakage either."""


_TOLD = dict.fromkeys(("source", "target"), pl.Int64) | dict.fromkeys(
    ("n", "observed", "expected", "effect", "low", "high", "z", "p", "touched"), pl.Float64
)


class Grid:
    """The transitions of a log as cells, with what the model needs to know of each."""

    def __init__(self, arrivals: Arrivals, table: pl.DataFrame) -> None:
        places = arrivals.places
        size = len(places)
        code = transition_codes(table, size)
        seen = np.bincount(code, minlength=size**2) > 0
        self.cell = (np.cumsum(seen) - 1)[code]
        self.source, self.target = np.divmod(np.flatnonzero(seen), size)
        stage = places["stage_index"].to_numpy().astype(np.int64)
        channel = channel_codes(arrivals)
        self.channels = channel
        self.apart = self.source != self.target
        self.rare = self._is_rare(arrivals)
        self.stages = stage[self.source] * 256 + stage[self.target]
        self.same_channel = (channel[self.source] == channel[self.target]).astype(np.int64)

    def _is_rare(self, arrivals: Arrivals) -> NDArray[np.bool_]:
        """Paths that hardly anyone takes: customers who came back by chance to begin anew."""
        counts, size = arrivals_by_way(arrivals), len(arrivals.places)
        of_source = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        of_target = counts / np.maximum(counts.sum(0, keepdims=True), 1)
        least = min(0.01, 0.2 / size)
        share = np.maximum(of_source, of_target)[self.source, self.target]
        return np.asarray(share < least)

    def blocks(self, source_variance: float) -> list[Block]:
        """Give the effects of the model: target, source and its channel, stages, same channel."""
        return [
            Block(self.target),
            Block(self.source, source_variance, fixed=False),
            Block(self.channels[self.source], source_variance, fixed=False),
            Block(self.stages, source_variance, fixed=False),
            Block(self.same_channel, 1.0),
        ]

    def sums(self, values: Floats) -> Floats:
        """Sums of rows of the table, by cell."""
        return add_up(values, self.cell, len(self))

    def frame(
        self,
        judged: NDArray[np.bool_],
        *,
        effect: Floats,
        spread: Floats,
        z: Floats,
        **told: Floats,
    ) -> pl.DataFrame:
        """The frame of a judge: effects, with the standard errors of their intervals."""
        low, high = effect - Z95 * spread, effect + Z95 * spread
        columns = {"effect": effect, "low": low, "high": high, "z": z, "p": natural_p(z)}
        return self.told(judged, **columns | {"touched": np.maximum(low, 0.0)} | told)

    def told(self, judged: NDArray[np.bool_], **columns: Floats) -> pl.DataFrame:
        """The frame of a judge, of the cells that are judged."""
        columns |= {"source": self.source, "target": self.target}
        return pl.DataFrame({name: columns[name][judged] for name in _TOLD}, schema=_TOLD)

    def __len__(self) -> int:
        return len(self.source)


@once
def arrivals_by_way(arrivals: Arrivals) -> Floats:
    """Arrivals by source and target."""
    table, size = arrivals.arrivals, len(arrivals.places)
    counts = add_up(table["n"].to_numpy(), transition_codes(table, size), size**2)
    return counts.reshape(size, size)


def transition_codes(table: pl.DataFrame, places: int) -> Codes:
    """Number of the transition of each row: by source, then by target."""
    ends = (table[end].to_numpy().astype(np.int64) for end in ("source", "target"))
    return next(ends) * places + next(ends)


def channel_codes(arrivals: Arrivals) -> Codes:
    """Number the channels, and give the channel of every place."""
    channels = arrivals.places["channel"].to_list()
    order = {name: code for code, name in enumerate(dict.fromkeys(channels))}
    return np.array([order[name] for name in channels], dtype=np.int64)


def share_frame(
    grid: Grid,
    found: Expectation,
    judged: NDArray[np.bool_],
    inflation: float,
) -> pl.DataFrame:
    """Effects in points; a cell must stand out both in logits and in points.

    Differences are additive in logits where they come from who arrives, and in points where a fixed
    share of customers does something else.
    """
    judged = judged & found.comparable
    n = np.maximum(found.n, 1)
    share = np.clip(found.expected, 1e-4, 1 - 1e-4)
    seen = np.clip((found.observed * n + share) / (n + 1), 1e-4, 1 - 1e-4)
    slope = share * (1 - share)
    of_model = found.doubt_in_points**2
    variance = seen * (1 - seen) / n * inflation + of_model
    under_null = np.maximum(variance, slope / n * inflation + of_model)
    effect = found.observed - found.expected
    centre = float(np.median(effect[judged])) if judged.any() else 0.0
    tau = natural_spread(effect[judged] - centre, under_null[judged])
    in_points = (effect - max(centre, 0.0)) / np.sqrt(under_null + tau**2)
    z = np.minimum(found.z, in_points)
    z = z / tail_scale(z[judged])
    spread = np.sqrt(variance + (slope * found.tau) ** 2)
    seen_of = {"n": found.n, "observed": found.observed, "expected": found.expected}
    return grid.frame(judged, effect=effect, spread=spread, z=z, **seen_of)


def no_cells() -> pl.DataFrame:
    """Give the frame of a judge that has nothing to judge."""
    return pl.DataFrame(schema=_TOLD)
