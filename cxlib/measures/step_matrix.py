"""The step matrix: where journeys are at their first, second, third … contact."""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.columns import Columns, Count, Label, Rank, Tables
from cxlib.errors import InputError
from cxlib.outcomes import OF_ALL_JOURNEYS
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import OUTCOMES, By, Journeys, name_places, read_journeys
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, Counts
from cxlib.store import Workspace
from cxlib.summary import Selection


@result
class StepMatrix(Result):
    """What `measure_step_matrix` returns; ``names`` of contacts are in map order."""

    journeys: int
    names: tuple[str, ...]

    title = "Step matrix"
    tables = Tables(
        table=Columns(
            "one row per step and name that occurs at it, in order of step, map, and ends",
            step=Rank("from 1"),
            kind=Label('"contact" or "ended"'),
            name=Label('of the contact, or the end: "goal", "declined", "silent", "done", "open"'),
            journeys=Count("that are there", each="journeys"),
            share=OF_ALL_JOURNEYS,
        )
    )
    figures = Columns(
        journeys=Count("in the part asked about, of which all shares are", each="journeys")
    )


@answers(StepMatrix)
def measure_step_matrix(
    workspace: Workspace,
    *,
    by: By = "touchpoint",
    where: Selection | None = None,
    steps: int = 10,
) -> StepMatrix:
    """Measure what share of the journeys is where at each step.

    Step s of a journey is its s-th contact. Journeys that have ended before step s stay in the
    count with what became of them, and those still running with "open", so that every step adds
    up to all journeys.

    Parameters
    ----------
    by
        What a contact is called: its touchpoint, place, channel, stage or owner.
    where
        Segment; periods in which the journey began; channel of its first contact.
    steps
        Number of steps.

    Raises
    ------
    InputError
        When `steps` is below 1.

    Examples
    --------
    >>> found = measure_step_matrix(workspace, by="stage", steps=2)
    >>> found.table.select("step", "name", "journeys").rows()[:2]
    [(1, 'awareness', 52), (1, 'exploration', 77)]
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}")
    names, name_of = name_places(workspace.places, by)
    counted = np.zeros((steps, len(names) + len(OUTCOMES), BUCKETS))
    for journeys in read_journeys(workspace, where=where):
        counted += _count(journeys, name_of[journeys.place], counted.shape)
    everyone = counted[0].sum(axis=0)
    called = [*names, *OUTCOMES]
    kinds = ["contact"] * len(names) + ["ended"] * len(OUTCOMES)
    flat = counted.reshape(-1, BUCKETS)
    table = pl.DataFrame(
        {
            "step": pl.Series(np.repeat(np.arange(1, steps + 1), len(called))).cast(pl.UInt32),
            "kind": kinds * steps,
            "name": called * steps,
            "journeys": pl.Series(flat.sum(axis=1)).cast(pl.UInt32),
        }
        | interval_columns("share", rate(flat, np.broadcast_to(everyone, flat.shape)))
    )
    return StepMatrix(
        table=table.filter(pl.col("journeys") > 0),
        journeys=int(everyone.sum()),
        names=tuple(names),
    )


def _count(found: Journeys, codes: np.ndarray, shape: tuple[int, int, int]) -> Counts:
    """Count journeys by step, name and bucket, ended ones by outcome after the names."""
    steps, called, _ = shape
    here, left = np.zeros((2, *shape))
    position = np.arange(len(codes)) - found.first[found.number]
    early, short = position < steps, found.lengths < steps
    np.add.at(here, (position[early], codes[early], found.bucket[early]), 1)
    ended = called - len(OUTCOMES) + found.outcome[short]
    np.add.at(left, (found.lengths[short], ended, found.bucket[found.first[short]]), 1)
    return here + left.cumsum(axis=0)
