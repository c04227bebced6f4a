"""The one pass: journeys counted once, so that every later question is a sum over a few numbers.

The summary is made of counts, sums and histograms only, so that summaries of two sets of customers
add up to the summary of both. It grows with the journey map, not with the number of customers.

Tables (every one also has ``segment`` UInt16, ``period`` UInt16 and ``bucket`` UInt8):

``steps``
    One count per contact: ``place``, ``next`` (the next contact's place in the same journey, or an
    end code), ``bin`` (of the wait, or of the follow-up where nothing came), ``part`` (of the bin),
    ``n``, ``least`` and ``most`` (of these times, in seconds).
``contacts``
    ``place``; ``contacts``, ``rating_n``, ``rating_sum``, ``rating_sq``, ``dwell_n``,
    ``dwell_seconds``, ``cost_sum``.
``reach``
    ``level`` ("all", "stage", "channel", "place"), ``key``, ``previous_period`` (the customer's
    period before this one at the same key, 65535 if none), ``customers``. Distinct customers of the
    periods p…q are the sum over these periods of those whose previous period lies before p: exact,
    and still additive over customers.
``starts``
    One count per journey, in the period it began: ``place`` of the first contact,
    ``first_journey``, ``outcome`` (goal, lost, silent, open, done), ``bin`` and ``part`` of the
    time to it, ``n``, ``least``, ``most``.
``stages``
    One count per journey and stage it rose to: ``stage``, ``outcome`` (progress, goal, lost,
    silent, open, done), ``bin`` and ``part`` of the time from the first contact in the stage to it,
    ``n``, ``least``, ``most``.

End codes and outcomes: *open* is censored (observed for less than ``gap`` since), *silent* went
quiet for longer than ``gap``, *lost* met one of the map's losses, *done* had reached the goal (or
began beyond its stage) and so has nothing left to lose. What took the whole gap to know stands in
the last bin of ``steps``, after all that could come before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.bins import BIN_EDGES, bin_of
from cxlib.errors import InputError
from cxlib.periods import Periods
from cxlib.segments import segment_names
from cxlib.store.counting import TABLES, count_bucket
from cxlib.store.engines import Run, count_here
from cxlib.store.selection import Chosen, Selection, channel_names
from cxlib.store.tables import NONE, Dictionaries, merge, read_tables, select, write_tables
from cxlib.store.walk import DONE, LOST, OPEN, SILENT

if TYPE_CHECKING:
    from cxlib.store import Workspace

__all__ = [
    "BIN_EDGES",
    "DONE",
    "LOST",
    "NONE",
    "OPEN",
    "SILENT",
    "TABLES",
    "Selection",
    "Summary",
    "bin_of",
    "channel_names",
    "merge_summaries",
    "summarise",
]


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The journey summary: what the numbers in its tables mean, and the tables (see the module)."""

    places: pl.DataFrame
    segments: pl.DataFrame
    periods: Periods
    stage_names: tuple[str, ...]
    gap: timedelta | None
    observed_until: datetime
    steps: pl.DataFrame
    contacts: pl.DataFrame
    reach: pl.DataFrame
    starts: pl.DataFrame
    stages: pl.DataFrame

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names; ``reach.key`` at level "channel" is a position in here."""
        return channel_names(self.places)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segment dimensions."""
        return segment_names(self.segments)

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The additive tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    def select(self, where: Selection | None) -> Summary:
        """Keep the part of the summary that `where` names.

        Raises
        ------
        UnknownNameError
            For a segment, value or channel that the summary does not have.
        InputError
            For a period that it does not cover.
        """
        if where is None or where == Selection():
            return self
        chosen = Chosen.of(where, places=self.places, segments=self.segments, periods=self.periods)
        kept: dict[str, Any] = {**select(self.tables, TABLES, chosen)}
        return replace(self, **kept)

    def write(self, folder: str | Path) -> None:
        """Write the summary to a folder, complete or not at all."""
        about = {
            "periods": self.periods.to_dict(),
            "days": self.periods.days and [day.isoformat() for day in self.periods.days],
            "stage_names": self.stage_names,
            "gap_seconds": None if self.gap is None else self.gap.total_seconds(),
            "observed_until": self.observed_until.isoformat(),
        }
        frames = {"places": self.places, "segments": self.segments, **self.tables}
        write_tables(folder, frames, TABLES, about)

    @classmethod
    def read(cls, folder: str | Path) -> Summary:
        """Read what `write` wrote.

        Raises
        ------
        WorkspaceError
            When the folder holds no summary, or one that was counted otherwise.
        """
        frames, about = read_tables(folder, TABLES, also=("places", "segments"))
        gap = about["gap_seconds"]
        told = [date.fromisoformat(day) for day in about.get("days") or ()]
        days = (told[0], told[1]) if told else None
        return cls(
            periods=replace(Periods.from_dict(about["periods"]), days=days),
            stage_names=tuple(about["stage_names"]),
            gap=None if gap is None else timedelta(seconds=gap),
            observed_until=datetime.fromisoformat(about["observed_until"]),
            **frames,
        )


def summarise(workspace: Workspace, *, run: Run = count_here) -> Summary:
    """Count the journeys of a workspace: one pass, one bucket of customers at a time.

    Buckets share no customer, so their tables are put under one another without adding anything
    up, and memory is that of one bucket (a 32nd of the log) and of the result.

    Parameters
    ----------
    workspace
        The log as journeys.
    run
        Where buckets are counted (`cxlib.store.engines`).
    """
    parts = run(workspace.bucket_files(), partial(count_bucket, scope=workspace.scope))
    # each part is sorted, and the bucket is the first key: no table has to be sorted as a whole
    tables = {n: pl.concat([p[n] for p in parts]) for n in TABLES}
    return Summary(
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        stage_names=workspace.journey_map.stages,
        gap=workspace.gap,
        observed_until=workspace.observed_until,
        **tables,
    )


def merge_summaries(summaries: Sequence[Summary]) -> Summary:
    """Add up summaries of different customers: equal to the summary of all of them together.

    Raises
    ------
    InputError
        When there is none, or they differ in stages, gap, end of observation, or unit of period,
        so that their counts do not mean the same.
    """
    if not summaries:
        msg = "there is no summary to merge"
        raise InputError(msg)
    for name, value in (
        ("stages", lambda s: s.stage_names),
        ("gap", lambda s: s.gap),
        ("end of observation", lambda s: s.observed_until),
    ):
        found = {repr(value(s)) for s in summaries}
        if len(found) > 1:
            msg = f"summaries with different {name} cannot be merged: {', '.join(sorted(found))}"
            raise InputError(msg)
    parts = [(s.tables, Dictionaries(s.places, s.segments, s.periods)) for s in summaries]
    frames, both = merge(parts, TABLES)
    told: dict[str, Any] = {
        "places": both.places,
        "segments": both.segments,
        "periods": both.periods,
        **frames,
    }
    return replace(summaries[0], **told)
