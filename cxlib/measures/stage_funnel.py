"""The stage funnel: how many journeys come to each stage, and how many get further from there."""

from __future__ import annotations

import polars as pl

from cxlib.columns import Columns, Count, Customers, Label, Share, Tables, Wait
from cxlib.errors import InputError
from cxlib.outcomes import count_outcomes, outcome_columns, whole_numbers
from cxlib.results import (
    Result,
    answers,
    distinct_customers,
    interval_columns,
    numbers,
    result,
)
from cxlib.statistics.competing_risks import Timed, time_to_cause
from cxlib.statistics.resampling import dense_counts
from cxlib.summary import Selection, Summary

#: The summary's outcomes, and what they are called here: lost is declined or silent.
_OUTCOMES = ("progress", "goal", "lost", "silent", "done", "open")
_COUNTED = ("progress_n", "goal_n", "declined_n", "silent_n", "done_n", "open_n")
_CHANCES = {"further": (0, 1), "progress": (0,), "goal": (1,), "lost": (2, 3), "done": (4,)}


def _chance(about: str, *cases: str, detail: bool = False) -> Share:
    """Of what comes after a journey rose to a stage, where some journeys are still open."""
    return Share(about, of="journeys", cases=cases, open="open_n", interval=True, detail=detail)


@result
class StageFunnel(Result):
    """What `measure_stage_funnel` returns."""

    journeys: int

    title = "Stage funnel"
    tables = Tables(
        table=Columns(
            "one row per stage of the map, in order",
            stage=Label("of the journey map"),
            customers=Customers("with any contact in the stage"),
            journeys=Count("that rose to it", each="journeys"),
            began=Count("whose first contact is in it", each="journeys"),
            further=_chance(
                "chance of progress or goal; further + lost + done = 1", "progress_n", "goal_n"
            ),
            progress=_chance("chance of a higher stage", "progress_n", detail=True),
            goal=_chance("chance of the goal", "goal_n", detail=True),
            lost=_chance(
                "chance of loss or silence; what is missing to 1 is not known yet",
                *("silent_n", "declined_n"),
            ),
            done=_chance("nothing left to reach", "done_n"),
            open=Share(
                "whose sequel is not known yet, apart from these chances",
                of="journeys",
                cases=("open_n",),
                interval=True,
            ),
            time=Wait(
                "median time to progress or goal of those who get further",
                of="progress_n",
                each="journeys",
                interval=True,
            ),
            progress_n=Count("rose to a higher stage", each="journeys", detail=True),
            goal_n=Count("reached the goal", each="journeys", detail=True),
            declined_n=Count("met a loss", each="journeys", detail=True),
            silent_n=Count("went silent", each="journeys", detail=True),
            done_n=Count("had nothing left to reach", each="journeys", detail=True),
            open_n=Count("still running", each="journeys", detail=True),
        )
    )
    figures = Columns(
        journeys=Count("begun, those without any stage of the map included", each="journeys")
    )


@answers(StageFunnel)
def measure_stage_funnel(summary: Summary, *, where: Selection | None = None) -> StageFunnel:
    """Measure how many journeys rise to each stage, and what comes first from there.

    A journey counts in a stage when it first rises to it (going back to an earlier stage is no new
    entry; a stage passed over is not entered). From there the first of progress to a higher
    stage, the goal, a loss and silence are competing risks (Aalen-Johansen); journeys still running
    are censored.

    Parameters
    ----------
    where
        Segment and periods (in which the stage was entered). Stages lie across channels, so a
        channel cannot be chosen here.

    Raises
    ------
    InputError
        When a channel is chosen.

    Examples
    --------
    >>> measure_stage_funnel(summary).table.select("stage", "journeys", "began").rows()[:2]
    [('awareness', 53, 52), ('exploration', 92, 77)]
    """
    if where is not None and where.channel is not None:
        msg = (
            "the stage funnel lies across channels; choose a segment or periods, or ask "
            "measure_touchpoints for one channel"
        )
        raise InputError(msg)
    chosen = summary.select(where)
    cells = len(chosen.stage_names)
    customers = distinct_customers(chosen, where=where, level="stage", cells=cells + 1)[:cells]
    found = count_outcomes(chosen.stages, _OUTCOMES, chosen.stages["stage"].to_numpy(), cells)
    stage = chosen.places["stage_index"].to_numpy()[chosen.starts["place"].to_numpy()]
    placed = stage < cells
    began = dense_counts({"stage": (stage[placed], cells)}, chosen.starts["n"].to_numpy()[placed])
    ahead = chosen.stages.filter(pl.col("outcome").is_in(_OUTCOMES[:2]))
    time = time_to_cause(Timed.of_rows(ahead["stage"], ahead), found, 0, 1)
    columns = {
        "stage": pl.Series(chosen.stage_names, dtype=pl.String),
        "customers": numbers(customers).cast(pl.UInt32),
        "journeys": whole_numbers(found.cases),
        "began": whole_numbers(began),
    }
    for name, causes in _CHANCES.items():
        columns |= interval_columns(name, found.chance(*causes))
    columns |= interval_columns("open", found.still_open())
    columns |= interval_columns("time", time, as_duration=True)
    return StageFunnel(
        table=pl.DataFrame(columns | outcome_columns(found, _COUNTED)),
        journeys=int(chosen.starts["n"].sum()),
    )


measure_stages = measure_stage_funnel
"""The name at the front door."""
