"""First points of contact: where journeys begin, and how often and how soon they reach the goal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Column, Columns, Count, Customers, Label, Share, Tables, Wait
from cxlib.errors import InputError
from cxlib.results import Result, answers, interval_columns, result
from cxlib.statistics.competing_risks import (
    at_time,
    cumulative_incidence,
)
from cxlib.statistics.rates import Interval, rate, rate_interval
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    dense_counts,
    effective_buckets,
    jackknife_se,
    leave_one_out,
)
from cxlib.statistics.timed import Timed, time_to_cause
from cxlib.summary import BIN_EDGES, Selection, Summary

__all__ = ["FirstContacts", "measure_first_contacts"]

#: The summary's outcomes, and what they are called here: lost is declined or silent.
_OUTCOMES = ("goal", "lost", "silent", "done", "open")
_COUNTED = ("goal_n", "declined_n", "silent_n", "done_n", "open_n")
_OPEN = 4


_BEGINNING: dict[str, Column] = {
    "journeys": Count("that begin so", each="journeys"),
    "first_journeys": Customers(
        "of them, each customer's first in the log", adds_up=True, detail=True
    ),
    "share": Share("of all journeys", of="journeys", each="journeys", total="total", interval=True),
    "goal": Share(
        "chance of the goal; null where the map has none",
        of="journeys",
        cases=("goal_n",),
        open="open_n",
        interval=True,
    ),
    "lost": Share(
        "chance of loss or silence before it; null where the map has no goal, or a time is given",
        of="journeys",
        cases=("silent_n", "declined_n"),
        open="open_n",
        interval=True,
    ),
    "time_to_goal": Wait(
        "median of those who get there", of="goal_n", each="journeys", interval=True
    ),
    "goal_n": Count("reached the goal", each="journeys", detail=True),
    "declined_n": Count("met a loss of the map", each="journeys", detail=True),
    "silent_n": Count("went silent for longer than the gap", each="journeys", detail=True),
    "done_n": Count("began beyond the goal's stage", each="journeys", detail=True),
    "open_n": Count("still running", heading="open", each="journeys"),
}


@result
class FirstContacts(Result):
    """What `measure_first_contacts` returns.

    Attributes
    ----------
    within
        The time within which the goal was to be reached; None for any time.
    """

    by_channel: pl.DataFrame
    whole: pl.DataFrame
    journeys: int
    within: timedelta | None

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
    within: timedelta | None = None,
    first_journeys_only: bool = False,
) -> FirstContacts:
    r"""Measure which contacts journeys begin with, and how often and how soon they reach the goal.

    The chance of the goal is the cumulative incidence :math:`F_{goal}` (Aalen-Johansen),
    competing with loss and silence, journeys still running being censored; the time to it is the
    median among the journeys that get there. "Begins with" is an association: who begins with an
    advice call may differ from who begins with an ad.

    Parameters
    ----------
    summary
        The journey summary.
    where
        Segment, periods (in which the journey began) and channel of the first contact.
    within
        Count the goal only when reached within this time of the first contact.
    first_journeys_only
        Only the first journey of each customer in the log: where customers were first met, as far
        as the log reaches back.

    Returns
    -------
    FirstContacts

    Raises
    ------
    InputError
        When `within` is not a positive time.

    References
    ----------
    Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712; Brookmeyer & Crowley (1982),
    doi:10.2307/2530286

    Examples
    --------
    >>> found = measure_first_contacts(summary, within=timedelta(days=30))
    >>> found.table.select("touchpoint", "channel", "journeys", "goal_n").row(0)
    ('visit', 'store', 34, 5)
    """
    if within is not None and within <= timedelta():
        msg = f"within must be a positive time, not {within}"
        raise InputError(msg)
    chosen = summary.select(where)
    places = chosen.places
    starts = chosen.starts.filter(pl.col("first_journey")) if first_journeys_only else chosen.starts
    channels = list(chosen.channels)
    channel_of = places["channel"].replace_strict(
        channels, range(len(channels)), return_dtype=pl.Int64
    )
    place, part = np.arange(len(places)), chosen.part_of
    ask = _Question(starts, within, bool(places["is_goal"].any()), part)
    by_place = places.select("place", "stage", "touchpoint", "channel", "owner").hstack(
        ask.answer(place, len(places))
    )
    by_channel = pl.DataFrame({"channel": channels}, schema={"channel": pl.String}).hstack(
        ask.answer(channel_of.to_numpy(), len(channels))
    )
    began = pl.col("journeys") > 0
    return FirstContacts(
        table=by_place.filter(began).sort("journeys", "place", descending=[True, False]),
        by_channel=by_channel.filter(began),
        whole=ask.answer(part, chosen.parts),
        journeys=int(starts["n"].sum()),
        within=within,
        observed_until=chosen.observed_until,
        where=where,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """The journeys asked about, and what is asked of them."""

    starts: pl.DataFrame
    within: timedelta | None
    has_goal: bool
    part_of: NDArray[np.int64]

    def answer(self, cell_of: NDArray[np.int64], cells: int) -> pl.DataFrame:
        """Answer for sets of places: ``cell_of[place]`` is the set that a place is in."""
        counted = self._count(cell_of, cells)
        per_bucket = counted.sum(axis=(2, 3))
        first = self.starts["first_journey"].to_numpy()
        n = self.starts["n"].to_numpy()
        cell = cell_of[self.starts["place"].to_numpy()]
        began_first = dense_counts({"cell": (cell, cells)}, n * first)
        columns = {
            "journeys": pl.Series(per_bucket.sum(axis=1)).cast(pl.UInt32),
            "first_journeys": pl.Series(began_first).cast(pl.UInt32),
        }
        part = np.zeros(cells, dtype=np.int64)
        part[cell_of] = self.part_of
        everyone = np.zeros((part.max(initial=0) + 1, BUCKETS))
        np.add.at(everyone, part, per_bucket)
        columns |= interval_columns("share", rate(per_bucket, everyone[part]))
        columns |= self._chances(counted, cell)
        columns |= {
            name: pl.Series(counted[:, :, k].sum(axis=(1, 2))).cast(pl.UInt32)
            for k, name in enumerate(_COUNTED)
        }
        return pl.DataFrame(columns)

    def _count(self, cell_of: NDArray[np.int64], cells: int) -> Counts:
        """Journeys by cell, bucket, outcome and bin of the time to it."""
        names = self.starts["outcome"].cast(pl.String)
        outcome = names.replace_strict(_OUTCOMES, range(len(_OUTCOMES)), return_dtype=pl.Int64)
        return dense_counts(
            {
                "cell": (cell_of[self.starts["place"].to_numpy()], cells),
                "bucket": (self.starts["bucket"], BUCKETS),
                "outcome": (outcome, len(_OUTCOMES)),
                "bin": (self.starts["bin"], len(BIN_EDGES)),
            },
            self.starts["n"],
        )

    def _chances(self, counted: Counts, cell: NDArray[np.int64]) -> dict[str, pl.Series]:
        """Chance of the goal and of losing the customer before it, and the time to the goal."""
        events, censored = counted[:, :, :_OPEN], counted[:, :, _OPEN]
        curves = cumulative_incidence(events.sum(axis=1), censored.sum(axis=1))
        without = cumulative_incidence(leave_one_out(events), leave_one_out(censored))
        seconds = np.inf if self.within is None else self.within.total_seconds()
        per_bucket = counted.sum(axis=(2, 3))
        alone = (per_bucket.sum(axis=1, keepdims=True) - per_bucket) <= 0

        def chance(of: list[int], *, known: bool) -> Interval:
            estimate = at_time(curves[:, of].sum(axis=1), BIN_EDGES, seconds)
            loo = at_time(without[:, :, of].sum(axis=2), BIN_EDGES, seconds)
            n = per_bucket.sum(axis=1)
            estimate = np.where((n > 0) & known, estimate, np.nan)
            se = jackknife_se(estimate, np.where(alone, np.nan, loo))
            low, high = rate_interval(
                estimate, se, contacts=n, buckets=effective_buckets(per_bucket)
            )
            return Interval(estimate, low, high, se)

        reached = (self.starts["outcome"] == _OUTCOMES[0]).to_numpy()
        columns = ("bucket", "bin", "n", "least", "most")
        goals = Timed.of(cell, *(self.starts[c].to_numpy() for c in columns)).where(reached)
        time = time_to_cause(goals, events, censored, cause=0)
        return (
            interval_columns("goal", chance([0], known=self.has_goal))
            | interval_columns("lost", chance([1, 2], known=self.has_goal and self.within is None))
            | interval_columns("time_to_goal", time, as_duration=True)
        )
