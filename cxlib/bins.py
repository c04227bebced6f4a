"""Durations as 64 bins: fine enough for medians, few enough to be added up.

Bin 0 holds waits below one second; bins 1 to 63 are even on a logarithmic scale from one second to
400 days, each about a third longer than the one before; the last also holds all that is longer.
"""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl

N_BINS = 64
LONGEST = timedelta(days=400)

_STEP = math.log(LONGEST.total_seconds()) / (N_BINS - 2)

BIN_EDGES: tuple[float, ...] = (0.0, *(math.exp(i * _STEP) for i in range(N_BINS - 1)))
"""Lower edges of the bins, in seconds; bin ``i`` is ``[BIN_EDGES[i], BIN_EDGES[i + 1])``."""


PARTS = 8
"""Into how many parts a bin is cut where what lies within it matters: each is 4 % wide."""

_PRIME = 65_521


def part_of(micros: pl.Expr, *, exact: bool = False) -> pl.Expr:
    """Give the part (UInt16) of its bin that a duration in microseconds lies in.

    ``exact``: a number that tells nearly all durations of a bin apart, so that rows of counts are
    rows of one duration; of how many a log has depends whether that is worth it.
    """
    if exact:
        return (micros % _PRIME).cast(pl.UInt16)
    raw = pl.max_horizontal(micros / 1_000_000, pl.lit(1.0)).log() / _STEP + 1e-9
    part = ((raw - raw.floor()) * PARTS).floor()
    return pl.when(raw >= N_BINS - 2).then(0).otherwise(part).cast(pl.UInt16)


def bin_of(seconds: pl.Expr) -> pl.Expr:
    """Give the bin (UInt8) of a duration in seconds (any number type); negative counts as 0."""
    raw = pl.max_horizontal(seconds, pl.lit(1.0)).log() / _STEP
    # the tiny term keeps an edge itself in the bin that begins with it, whatever the rounding
    index = (raw + 1e-9).floor() + 1
    return pl.when(seconds < 1).then(0).otherwise(index.clip(1, N_BINS - 1)).cast(pl.UInt8)
