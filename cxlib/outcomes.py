"""What became of journeys, counted from the summary for estimates and for columns of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl
from numpy.typing import ArrayLike

from cxlib.bins import BIN_EDGES
from cxlib.columns import Column, Count, Share
from cxlib.statistics.competing_risks import CompetingRisks
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts

ENDS = ("goal", "lost", "silent", "done", "open")
"""What becomes of a journey from its beginning: lost met a loss of the map, silent did not."""


ENDS_COUNTED: dict[str, Column] = {
    "goal_n": Count("reached the goal", each="journeys", detail=True),
    "declined_n": Count("met a loss of the map", each="journeys", detail=True),
    "silent_n": Count("went silent for longer than the gap", each="journeys", detail=True),
    "done_n": Count("had nothing left to reach", each="journeys", detail=True),
    "open_n": Count("still running", heading="open", each="journeys"),
}
"""Columns that count journeys by these."""


OF_ALL_JOURNEYS = Share(
    "of all journeys", of="journeys", each="journeys", total="total", interval=True
)


def count_outcomes(
    rows: pl.DataFrame, outcomes: Sequence[str], cell: ArrayLike, cells: int
) -> CompetingRisks:
    """Count rows of the summary by cell, bucket, outcome (the last: open) and time to it."""
    names = rows["outcome"].cast(pl.String)
    number = names.replace_strict(outcomes, range(len(outcomes)), return_dtype=pl.Int64)
    axes = {
        "cell": (cell, cells),
        "outcome": (number, len(outcomes)),
        "bucket": (rows["bucket"], BUCKETS),
        "bin": (rows["bin"], len(BIN_EDGES)),
    }
    return CompetingRisks(dense_counts(axes, rows["n"]).swapaxes(1, 2))


def count_journeys(starts: pl.DataFrame, cell: ArrayLike, cells: int) -> CompetingRisks:
    """Count journeys by what became of them, one of `ENDS`."""
    return count_outcomes(starts, ENDS, cell, cells)


def whole_numbers(counts: Counts) -> pl.Series:
    """One whole number per cell: sums over all other axes."""
    return pl.Series(counts.sum(axis=tuple(range(1, counts.ndim)))).cast(pl.UInt32)


def outcome_columns(found: CompetingRisks, names: Iterable[str]) -> dict[str, pl.Series]:
    """Cases by outcome, as columns of these names."""
    return {name: whole_numbers(found.together[:, k]) for k, name in enumerate(names)}
