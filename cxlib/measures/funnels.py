"""A funnel over chosen steps: who reaches each after the one before it, and who stops where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Count, Customers, Label, Rank, Share, Tables, Wait
from cxlib.errors import InputError, UnknownNameError
from cxlib.outcomes import whole_numbers
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import Journeys, read_journeys
from cxlib.statistics.competing_risks import CompetingRisks, Timed, time_to_cause
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS
from cxlib.store import Workspace
from cxlib.summary import BIN_EDGES, Selection

Rows = NDArray[np.int64]

#: What becomes of a journey after a step: the next step, or one of the ends.
_NEXT, _DECLINED, _SILENT, _DONE, _OPEN = range(5)
_ENDS = {"declined_n": _DECLINED, "silent_n": _SILENT, "done_n": _DONE, "open_n": _OPEN}
_NEVER = np.iinfo(np.int64).min


@result
class Funnel(Result):
    """What `measure_funnel` returns; ``within`` is the time given, None for any."""

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
    """Measure how many customers and journeys take the given steps in order.

    A journey reaches step k when it has a contact of step k after a contact at which it had
    reached step k - 1; other contacts may lie between. The path A, B, A has taken the steps A, B.
    With ``within``, the steps must fit into that time, counted from any first step, not only from
    the earliest.

    The rate from one step to the next is a cumulative incidence (Aalen-Johansen): journeys in
    which the next step can still come are censored, and the others ended by silence, by a loss,
    or after the goal.

    Parameters
    ----------
    steps
        Names of touchpoints; or of a stage or channel as ``stage:NAME``, ``channel:NAME``. A name
        that is no touchpoint but a stage or a channel is taken as that.
    where
        Segment; periods in which the journey began; channel of its first contact.
    within
        Most time from the first to the last of the steps.

    Raises
    ------
    InputError
        Without any step, or with a time that is not positive.
    UnknownNameError
        For a step that is no touchpoint, stage or channel here.

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
    reached, people = np.zeros((2, len(steps), BUCKETS))
    sequels = np.zeros((len(steps), BUCKETS, _OPEN + 1, len(BIN_EDGES)))
    stopped = np.zeros((len(steps), _OPEN + 1), dtype=np.int64)
    everybody = np.zeros(2, dtype=np.int64)
    times = [np.zeros((3, 0))]
    for found in read_journeys(workspace, where=where):
        begin = found.first[found.number]
        everybody += len(found.first), len(np.unique(found.customer[found.first]))
        taken = first_completions(found.at, begin, matches[:, found.place], within)
        for k, rows in enumerate(taken):
            reached[k] += np.bincount(found.bucket[rows], minlength=BUCKETS)
            new = np.diff(found.customer[rows], prepend=-1) != 0
            people[k] += np.bincount(found.bucket[rows[new]], minlength=BUCKETS)
            if k:
                cause, seconds, ended = _sequels(found, taken[k - 1], rows)
                home = found.bucket[taken[k - 1]]
                np.add.at(sequels[k], (home, cause, _bins(seconds)), 1)
                stopped[k - 1] += np.bincount(ended, minlength=_OPEN + 1)
                onward = cause == _NEXT
                own = seconds[onward]
                times.append(np.stack([np.full(len(own), k), home[onward], own]))
    step, home, seconds = np.concatenate(times, axis=1)
    waits = Timed.of(step, home, _bins(seconds), np.ones(len(seconds)), seconds, seconds)
    risks = CompetingRisks(sequels)
    columns = {
        "step": pl.Series(range(1, len(steps) + 1), dtype=pl.UInt32),
        "name": pl.Series(steps, dtype=pl.String),
        "journeys": whole_numbers(reached),
        "customers": whole_numbers(people),
    }
    columns |= interval_columns("share", rate(reached, np.broadcast_to(reached[:1], reached.shape)))
    columns |= interval_columns("rate", risks.chance(_NEXT))
    columns |= interval_columns("time", time_to_cause(waits, risks, _NEXT), as_duration=True)
    for name, end in _ENDS.items():
        columns[name] = pl.Series([*stopped[:-1, end].tolist(), None], dtype=pl.UInt32)
    return Funnel(
        table=pl.DataFrame(columns),
        steps=tuple(steps),
        journeys=int(everybody[0]),
        customers=int(everybody[1]),
        within=within,
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


def first_completions(
    at: Rows, begin: Rows, taken: NDArray[np.bool_], within: timedelta | None
) -> list[Rows]:
    """Find for each step the rows, one per journey, at which it is first completed.

    ``begin`` is the first row of each contact's journey, ``taken`` ``[steps, contacts]`` whether it
    is one of the step. The path A, B, A completes A, then B.
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


def _sequels(found: Journeys, before: Rows, here: Rows) -> tuple[Rows, NDArray[np.float64], Rows]:
    """What became of the journeys at one step, after how long; and the end of those that stopped.

    A journey to which contacts may still come is censored, whatever else it has met: what is seen
    late must not be settled early.
    """
    journey = found.number[before]
    arrived = np.full(len(found.first), -1)
    arrived[found.number[here]] = here
    row = arrived[journey]
    waiting = found.still_open[journey]
    end = np.array([_DONE, _DECLINED, _SILENT, _DONE, _OPEN])[found.outcome[journey]]
    cause = np.where(row >= 0, _NEXT, np.where(waiting, _OPEN, end))
    until = np.where(row >= 0, found.at[row], found.settled_at[journey])
    seconds = np.maximum(until - found.at[before], 0) / 1e6
    return cause, seconds, np.where(waiting & (end == _DONE), _OPEN, end)[row < 0]
