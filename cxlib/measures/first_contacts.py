"""First points of contact: where journeys begin, and how often and how soon they reach the goal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Column, Columns, Count, Customers, Label, Share, Tables, Wait
from cxlib.outcomes import (
    ENDS,
    ENDS_COUNTED,
    OF_ALL_JOURNEYS,
    count_journeys,
    outcome_columns,
    whole_numbers,
)
from cxlib.results import Result, answers, interval_columns, result
from cxlib.statistics.competing_risks import CompetingRisks, Timed, time_to_cause
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import Counts, dense_counts, merge_cells
from cxlib.summary import Selection, Summary

_BEGINNING: dict[str, Column] = {
    "journeys": Count("that begin so", each="journeys"),
    "first_journeys": Customers(
        "of them, each customer's first in the log", adds_up=True, detail=True
    ),
    "share": OF_ALL_JOURNEYS,
    "goal": Share(
        "chance of the goal; null where the map has none",
        of="journeys",
        cases=("goal_n",),
        open="open_n",
        interval=True,
    ),
    "lost": Share(
        "chance of loss or silence before it; null where the map has no goal",
        of="journeys",
        cases=("silent_n", "declined_n"),
        open="open_n",
        interval=True,
    ),
    "time_to_goal": Wait(
        "median of those who get there", of="goal_n", each="journeys", interval=True
    ),
    **ENDS_COUNTED,
}


@result
class FirstContacts(Result):
    """What `measure_first_contacts` returns."""

    by_channel: pl.DataFrame
    whole: pl.DataFrame
    journeys: int

    title = "First points of contact"
    tables = Tables(
        table=Columns(
            "one row per place that journeys begin with, the most frequent first",
            place=Label("number in the summary", detail=True),
            stage=Label("of the journey map", detail=True),
            touchpoint=Label("of the first contact"),
            channel=Label("of the first contact"),
            owner=Label("who answers for it", detail=True),
            **_BEGINNING,
        ),
        by_channel=Columns(
            "the same by channel", channel=Label("of the first contact"), **_BEGINNING
        ),
        whole=Columns("the same for all journeys, in one row", **_BEGINNING),
    )
    figures = Columns(journeys=Count("that began in the part asked about", each="journeys"))


@answers(FirstContacts)
def measure_first_contacts(
    summary: Summary,
    *,
    where: Selection | None = None,
    first_journeys_only: bool = False,
) -> FirstContacts:
    r"""Measure which contacts journeys begin with, and how often and how soon they reach the goal.

    The chance of the goal is the cumulative incidence :math:`F_{goal}` (Aalen-Johansen),
    competing with loss and silence, journeys still running being censored; the time to it is the
    median among the journeys that get there. "Begins with" is an association: who begins with an
    advice call may differ from who begins with an ad.

    Parameters
    ----------
    where
        Segment, periods (in which the journey began) and channel of the first contact.
    first_journeys_only
        Only the first journey of each customer in the log: where customers were first met, as far
        as the log reaches back.

    Examples
    --------
    >>> found = measure_first_contacts(summary)
    >>> found.table.select("touchpoint", "channel", "journeys", "goal_n").row(0)
    ('visit', 'store', 34, 5)
    """
    chosen = summary.select(where)
    places = chosen.places
    starts = chosen.starts.filter(pl.col("first_journey")) if first_journeys_only else chosen.starts
    channels = list(chosen.channels)
    channel_of = (
        places["channel"]
        .replace_strict(channels, range(len(channels)), return_dtype=pl.Int64)
        .to_numpy()
    )
    begun = _Begun.of(starts, len(places))
    goal_known = bool(places["is_goal"].any())
    part_of_channel = np.zeros(len(channels), dtype=np.int64)
    part_of_channel[channel_of] = chosen.part_of
    in_channels = begun.merged(channel_of, len(channels))
    everybody = in_channels.merged(part_of_channel, chosen.parts)

    def answer(cells: _Begun, part_of: NDArray[np.int64]) -> pl.DataFrame:
        return cells.measure(everybody.found.cases[part_of], goal_known=goal_known)

    by_place = places.select("place", "stage", "touchpoint", "channel", "owner").hstack(
        answer(begun, chosen.part_of)
    )
    by_channel = pl.DataFrame({"channel": channels}, schema={"channel": pl.String}).hstack(
        answer(in_channels, part_of_channel)
    )
    began = pl.col("journeys") > 0
    return FirstContacts(
        table=by_place.filter(began).sort("journeys", "place", descending=[True, False]),
        by_channel=by_channel.filter(began),
        whole=answer(everybody, np.arange(chosen.parts)),
        journeys=int(starts["n"].sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """Journeys by where they began, counted: what became of them, first ones, times to the goal."""

    found: CompetingRisks
    first: Counts
    goals: Timed

    @classmethod
    def of(cls, starts: pl.DataFrame, places: int) -> _Begun:
        place = starts["place"].to_numpy()
        goals = starts.filter(pl.col("outcome") == ENDS[0])
        return cls(
            count_journeys(starts, place, places),
            dense_counts({"place": (place, places)}, starts["n"] * starts["first_journey"]),
            Timed.of_rows(goals["place"], goals),
        )

    def merged(self, cell_of: NDArray[np.int64], cells: int) -> _Begun:
        """Sets of places: ``cell_of[place]`` is the set that a place is in."""
        return _Begun(
            self.found.merged(cell_of, cells),
            merge_cells(self.first, cell_of, cells),
            replace(self.goals, cell=cell_of[self.goals.cell]),
        )

    def measure(self, whole: Counts, *, goal_known: bool) -> pl.DataFrame:
        """Measure them; ``whole`` are all journeys of which each cell has a share."""
        found = self.found
        goal, lost = found.chance(0), found.chance(1, 2)
        time = time_to_cause(self.goals, found, 0)
        return pl.DataFrame(
            {"journeys": whole_numbers(found.cases), "first_journeys": whole_numbers(self.first)}
            | interval_columns("share", rate(found.cases, whole))
            | interval_columns("goal", goal.where(goal_known))
            | interval_columns("lost", lost.where(goal_known))
            | interval_columns("time_to_goal", time, as_duration=True)
            | outcome_columns(found, ENDS_COUNTED)
        )
