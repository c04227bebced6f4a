"""A funnel over chosen steps: who reaches each step after the one before it, and who stops
where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Count, Customers, Label, Rank, Share, Tables, Wait
from cxlib.errors import InputError, UnknownNameError
from cxlib.outcomes import whole_numbers
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import Journeys, read_journeys
from cxlib.statistics.competing_risks import CompetingRisks
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts
from cxlib.statistics.timed import Timed, time_to_cause
from cxlib.store import Workspace
from cxlib.summary import BIN_EDGES, Selection

__all__ = ["Funnel", "measure_funnel"]

Rows = NDArray[np.int64]

#: What becomes of a journey after a step: the next step, or one of the ends.
_NEXT, _DECLINED, _SILENT, _DONE, _OPEN = range(5)
_ENDS = ("declined", "silent", "done", "open")
_NEVER = np.iinfo(np.int64).min


@result
class Funnel(Result):
    """What `measure_funnel` returns.

    Attributes
    ----------
    steps
        The steps asked for.
    within
        The time within which all steps had to be taken; None for any time.
    """

    steps: tuple[str, ...]
    journeys: int
    customers: int
    within: timedelta | None

    title = "Funnel"
    tables = Tables(
        table=Columns(
            "one row per step",
            step=Rank("from 1"),
            name=Label("of the step"),
            journeys=Count("reached the step in order, in one journey", each="journeys"),
            customers=Customers("with such a journey"),
            share=Share(
                "of the journeys at the first step that have reached this one so far",
                heading="so far",
                interval=True,
            ),
            rate=Share(
                "chance of getting here from the step before, open journeys allowed for; null at "
                "the first step",
                heading="of the step before",
                interval=True,
            ),
            time=Wait(
                "median time from the step before, of those who get here",
                heading="median time",
                of="journeys",
                each="journeys",
                interval=True,
            ),
            declined_n=Count("of those who stop here: met a loss", each="journeys", detail=True),
            silent_n=Count("went silent", each="journeys", detail=True),
            done_n=Count("at the goal, without the next step", each="journeys", detail=True),
            open_n=Count("can still go on; null at the last step", each="journeys", detail=True),
        )
    )
    figures = Columns(
        journeys=Count("in the part asked about, whether they reach a step or not"),
        customers=Customers("of these journeys"),
    )


@answers(Funnel)
def measure_funnel(
    workspace: Workspace,
    *,
    steps: Sequence[str],
    where: Selection | None = None,
    within: timedelta | None = None,
) -> Funnel:
    r"""Measure how many customers and journeys take the given steps in order.

    A journey reaches step k when it has a contact of step k after a contact at which it had
    reached step k - 1; other contacts may lie between. The path A, B, A has taken the steps A, B.
    With ``within``, the steps must fit into that time, counted from any first step, not only from
    the earliest.

    The rate from one step to the next is a cumulative incidence (Aalen-Johansen): journeys in
    which the next step can still come are censored, and the others ended by silence, by a loss,
    or after the goal.

    .. math:: F = \sum_t \hat S(t-) \frac{d_{next}(t)}{Y(t)}

    Parameters
    ----------
    workspace
        The workspace; the store is read once.
    steps
        Names of touchpoints; or of a stage or channel as ``stage:NAME``, ``channel:NAME``. A name
        that is no touchpoint but a stage or a channel is taken as that.
    where
        Segment; periods in which the journey began; channel of its first contact.
    within
        Most time from the first to the last of the steps.

    Returns
    -------
    Funnel

    Raises
    ------
    InputError
        Without any step, or with a time that is not positive.
    UnknownNameError
        For a step that is no touchpoint, stage or channel here.

    References
    ----------
    Putter, Fiocco & Geskus (2007), doi:10.1002/sim.2712

    Examples
    --------
    >>> found = measure_funnel(workspace, steps=["ad", "page", "pay"])
    >>> found.table.select("name", "journeys", "customers").rows()
    [('ad', 54, 50), ('page', 7, 6), ('pay', 2, 2)]
    """
    if not steps:
        raise InputError("a funnel needs at least one step; name touchpoints in order")
    if within is not None and within <= timedelta():
        raise InputError(f"within must be a positive time, not {within}")
    matches = np.stack([_match(workspace, step) for step in steps])
    tally = _Tally.empty(len(steps))
    for journeys in read_journeys(workspace, where=where):
        tally.add(journeys, matches, within)
    return Funnel(
        table=_table(tuple(steps), tally),
        steps=tuple(steps),
        journeys=int(tally.all_journeys.sum()),
        customers=int(tally.all_customers.sum()),
        within=within,
        observed_until=workspace.observed_until,
        where=where,
    )


def _match(workspace: Workspace, step: str) -> NDArray[np.bool_]:
    """Whether each place is meant by a step."""
    places = workspace.places
    rule = workspace.journey_map
    known = {
        "touchpoint": {*places["touchpoint"], *(t.name for t in rule.touchpoints)},
        "stage": {*places["stage"], *rule.stages},
        "channel": set(places["channel"]),
    }
    for kind, names in known.items():
        if step in names:
            return (places[kind] == step).to_numpy()
        if step.startswith(f"{kind}:") and (name := step.removeprefix(f"{kind}:").strip()) in names:
            return (places[kind] == name).to_numpy()
    raise UnknownNameError("step", step, sorted(known["touchpoint"]))


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Counts by step and bucket (`stopped`: by step and end), added up bucket by bucket."""

    journeys: Counts
    customers: Counts
    sequels: Counts
    stopped: Counts
    all_journeys: Counts
    all_customers: Counts
    times: list[tuple[int, int, NDArray[np.float64]]] = field(default_factory=list)

    @property
    def timed(self) -> Timed:
        """The times from one step to the next, each as it was observed."""
        sizes = [len(seconds) for *_, seconds in self.times]
        step, bucket = (np.repeat([t[i] for t in self.times], sizes) for i in (0, 1))
        seconds = np.concatenate([np.zeros(0), *(t[2] for t in self.times)])
        return Timed.of(step, bucket, _bins(seconds), np.ones(len(seconds)), seconds, seconds)

    @classmethod
    def empty(cls, steps: int) -> _Tally:
        return cls(
            journeys=np.zeros((steps, BUCKETS)),
            customers=np.zeros((steps, BUCKETS)),
            sequels=np.zeros((steps, BUCKETS, 5, len(BIN_EDGES))),
            stopped=np.zeros((steps, 5)),
            all_journeys=np.zeros(BUCKETS),
            all_customers=np.zeros(BUCKETS),
        )

    def add(self, found: Journeys, matches: NDArray[np.bool_], within: timedelta | None) -> None:
        """Add the journeys of one bucket."""
        b = found.bucket
        self.all_journeys[b] += len(found.first)
        self.all_customers[b] += len(np.unique(found.customer[found.first]))
        taken = matches[:, found.place]
        begin = np.repeat(found.first, found.lengths)
        reached = first_completions(found.at, begin, taken, within)
        for k, rows in enumerate(reached):
            self.journeys[k, b] += len(rows)
            self.customers[k, b] += len(np.unique(found.customer[rows]))
            if k:
                sequels, stopped, seconds = _sequels(found, reached[k - 1], rows)
                self.sequels[k, b] += sequels
                self.times.append((k, b, seconds))
                self.stopped[k - 1] += stopped


def first_completions(
    at: Rows, begin: Rows, taken: NDArray[np.bool_], within: timedelta | None
) -> list[Rows]:
    """Find the row at which each journey first completes each step.

    Parameters
    ----------
    at
        Time of each contact, microseconds.
    begin
        First row of each contact's journey.
    taken
        Whether each contact is one of each step's ``[steps, contacts]``.
    within
        Most time from the first step on, or None.

    Returns
    -------
    list
        For each step the rows, one per journey that completes it, in order.

    Examples
    --------
    The path A, B, A completes A, then B:

    >>> taken = np.array([[True, False, True], [False, True, False]])
    >>> rows = first_completions(np.arange(3), np.zeros(3, dtype=int), taken, None)
    >>> [r.tolist() for r in rows]
    [[0], [1]]
    """
    limit = None if within is None else within // timedelta(microseconds=1)
    row = np.arange(len(at))
    # the latest first step from which a chain has come to this contact; _NEVER where there is none
    since = np.where(taken[0], at, _NEVER)
    found = []
    for k in range(len(taken)):
        if k:
            latest = np.maximum.accumulate(np.where(since != _NEVER, row, -1))
            before = np.append(-1, latest[:-1])
            came = since[before]
            fits = taken[k] & (before >= begin)
            if limit is not None:
                fits &= (at - np.where(before >= begin, came, at)) <= limit
            since = np.where(fits, came, _NEVER)
        rows = np.flatnonzero(since != _NEVER)
        found.append(rows[np.diff(begin[rows], prepend=-1) != 0])
    return found


def _bins(seconds: NDArray[np.float64]) -> Rows:
    return np.searchsorted(np.asarray(BIN_EDGES), seconds, side="right") - 1


def _sequels(
    found: Journeys, before: Rows, here: Rows
) -> tuple[Counts, Counts, NDArray[np.float64]]:
    """What became of the journeys at one step, up to the next.

    Returns
    -------
    sequels
        Journeys by cause and bin of the time to it. A journey to which contacts may still come is
        censored, whatever else it has met: what is seen late must not be settled early.
    stopped
        Journeys without the next step by end, as they stand.
    seconds
        Times of those who took it.
    """
    number = np.repeat(np.arange(len(found.first)), found.lengths)
    journey = number[before]
    arrived = np.full(len(found.first), -1)
    arrived[number[here]] = here
    row = arrived[journey]
    waiting = found.still_open[journey]
    end = np.array([_DONE, _DECLINED, _SILENT, _DONE, _OPEN])[found.outcome[journey]]
    cause = np.where(row >= 0, _NEXT, np.where(waiting, _OPEN, end))
    until = np.where(row >= 0, found.at[row], found.settled_at[journey])
    seconds = np.maximum(until - found.at[before], 0) / 1e6
    bins = _bins(seconds)
    sequels = dense_counts(
        {"cause": (cause, 5), "bin": (bins, len(BIN_EDGES))}, np.ones(len(cause))
    )
    standing = np.where(waiting & (end == _DONE), _OPEN, end)[row < 0]
    ended = dense_counts({"end": (standing, 5)}, np.ones(len(standing)))
    return sequels, ended, seconds[row >= 0]


def _table(steps: tuple[str, ...], tally: _Tally) -> pl.DataFrame:
    found = CompetingRisks(tally.sequels, edges=BIN_EDGES)
    at_first = np.broadcast_to(tally.journeys[:1], tally.journeys.shape)
    columns = {
        "step": pl.Series(range(1, len(steps) + 1), dtype=pl.UInt32),
        "name": pl.Series(steps, dtype=pl.String),
        "journeys": whole_numbers(tally.journeys),
        "customers": whole_numbers(tally.customers),
    }
    columns |= interval_columns("share", rate(tally.journeys, at_first))
    columns |= interval_columns("rate", found.chance(_NEXT))
    columns |= interval_columns("time", time_to_cause(tally.timed, found, _NEXT), as_duration=True)
    for end, name in zip((_DECLINED, _SILENT, _DONE, _OPEN), _ENDS, strict=True):
        counted = [int(n) for n in tally.stopped[:-1, end]]
        columns[f"{name}_n"] = pl.Series([*counted, None], dtype=pl.UInt32)
    return pl.DataFrame(columns)
