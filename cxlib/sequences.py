"""Journeys contact by contact, for the questions that counts cannot answer.

Funnels over chosen steps, whole paths and exact waits need the order of more than two contacts.
They read the store, one bucket of customers at a time, so that memory is that of a 32nd of the
log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.counting import Scope, follow_contacts
from cxlib.errors import InputError, UnknownNameError
from cxlib.segments import segment_codes
from cxlib.store import Workspace
from cxlib.summary import Selection, channel_names

__all__ = ["OUTCOMES", "By", "Journeys", "name_places", "read_contacts", "read_journeys"]

OUTCOMES = ("goal", "declined", "silent", "done", "open")
"""What became of a journey: the goal, or declined (a loss of the map), what came first; silent
for longer than the gap; done: began
beyond the goal's stage; open: still running at the end of the log."""

By = Literal["touchpoint", "place", "channel", "stage", "owner"]
"""What a contact is called."""

_COLUMNS = ("customer", "occurred_at", "place", "journey", "reached", "lost", "segment", "period")
_NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True, eq=False)
class Journeys:
    """The chosen journeys of one bucket of customers, contact by contact.

    Attributes
    ----------
    bucket
        Number of the bucket.
    place
        Place of each contact; contacts are sorted by customer and time.
    at
        Time of each contact, microseconds since 1970.
    customer, journey
        Customer and journey of each contact.
    first, last
        Row of the first and last contact of each journey.
    outcome
        Position in `OUTCOMES`, for each journey.
    settled_at
        Since when no further contact of the journey can come, microseconds: the end of the gap,
        or the customer's next journey; of a journey still open the end of observation.
    still_open
        Whether a further contact can still come: the customer's last journey, observed for less
        than the gap since its last contact (without a gap: that has met neither goal nor loss).
    """

    bucket: int
    place: NDArray[np.int64]
    at: NDArray[np.int64]
    customer: NDArray[np.int64]
    journey: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    outcome: NDArray[np.int64]
    settled_at: NDArray[np.int64]
    still_open: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of contacts of each journey."""
        return self.last - self.first + 1


def read_journeys(workspace: Workspace, *, where: Selection | None = None) -> Iterator[Journeys]:
    """Read the chosen journeys, one bucket of customers after the other.

    Parameters
    ----------
    workspace
        The workspace.
    where
        Segment; periods in which a journey began; channel of its first contact.

    Yields
    ------
    Journeys
        Of every bucket that has any.

    Raises
    ------
    UnknownNameError, InputError
        For a selection that the workspace does not have.
    """
    scope = workspace.scope
    chosen = _Chosen.of(workspace, where)
    for file in workspace.bucket_files():
        rows = follow_contacts(pl.read_parquet(file, columns=list(_COLUMNS)), scope=scope)
        ends = pl.col("customer") != pl.col("customer").shift(-1)
        kept = chosen.keep_journeys(rows.with_columns(final=ends.fill_null(True)))
        if len(kept):
            yield _journeys(int(file.stem), kept, scope)


def read_contacts(
    workspace: Workspace, *, where: Selection | None = None
) -> Iterator[pl.DataFrame]:
    """Read the chosen contacts with what came next, one bucket of customers after the other.

    Parameters
    ----------
    workspace
        The workspace.
    where
        Segment, periods and channel of the contact.

    Yields
    ------
    polars.DataFrame
        ``customer``, ``place``, ``next`` and ``wait`` (see `cxlib.counting.follow_contacts`).
    """
    scope = workspace.scope
    chosen = _Chosen.of(workspace, where)
    for file in workspace.bucket_files():
        rows = follow_contacts(pl.read_parquet(file, columns=list(_COLUMNS)), scope=scope)
        yield chosen.keep_contacts(rows).select("customer", "place", "next", "wait")


def name_places(places: pl.DataFrame, by: By) -> tuple[list[str], NDArray[np.int64]]:
    """Give the names of contacts in map order, and the position of every place's name.

    Places are named "touchpoint (channel)"; where the map names no owner, it is "none".

    Examples
    --------
    >>> places = pl.DataFrame({"touchpoint": ["ad", "ad"], "channel": ["web", "app"]})
    >>> name_places(places, "channel")[0], name_places(places, "touchpoint")[1].tolist()
    (['web', 'app'], [0, 0])
    """
    if by == "place":
        called = places.select(pl.format("{} ({})", "touchpoint", "channel")).to_series()
    else:
        called = places[by].fill_null("none")
    names = called.unique(maintain_order=True).to_list()
    index = called.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return names, index.to_numpy()


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A selection in the store's numbers."""

    segments: list[int] | None
    period: tuple[int, int] | None
    places: list[int] | None

    @classmethod
    def of(cls, workspace: Workspace, where: Selection | None) -> _Chosen:
        where = where or Selection()
        segments = places = None
        if where.segment is not None:
            segments = segment_codes(workspace.segments, *where.segment)
        if where.channel is not None:
            names = channel_names(workspace.places)
            if where.channel not in names:
                raise UnknownNameError("channel", where.channel, names)
            at = pl.col("channel") == where.channel
            places = workspace.places.filter(at)["place"].to_list()
        if where.period is not None:
            first, last = where.period
            if not 0 <= first <= last < len(workspace.periods):
                count = len(workspace.periods)
                msg = f"period {first} to {last} is outside the log; it has 0 to {count - 1}"
                raise InputError(msg)
        return cls(segments, where.period, places)

    def keep_contacts(self, rows: pl.DataFrame) -> pl.DataFrame:
        tests = self._tests()
        return rows.filter(*tests) if tests else rows

    def keep_journeys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Keep the journeys whose first contact fits."""
        tests = self._tests()
        if not tests:
            return rows
        new = pl.col("journey") != pl.col("journey").shift(1)
        fits = rows.filter(new.fill_null(True)).filter(*tests)["journey"]
        return rows.filter(pl.col("journey").is_in(fits.implode()))

    def _tests(self) -> list[pl.Expr]:
        tests = []
        if self.segments is not None:
            tests.append(pl.col("segment").is_in(self.segments))
        if self.period is not None:
            tests.append(pl.col("period").is_between(*self.period))
        if self.places is not None:
            tests.append(pl.col("place").is_in(self.places))
        return tests


def _journeys(bucket: int, rows: pl.DataFrame, scope: Scope) -> Journeys:
    journey = rows["journey"].to_numpy().astype(np.int64)
    first = np.flatnonzero(np.concatenate(([True], journey[1:] != journey[:-1])))
    last = np.append(first[1:], len(journey)) - 1
    at = rows["occurred_at"].to_physical().to_numpy()
    # flags stay up once they are up: the more contacts carry it, the earlier it went up
    goal = np.add.reduceat(rows["reached"].to_numpy().astype(np.int64), first)
    lost = np.add.reduceat(rows["lost"].to_numpy().astype(np.int64), first)
    beyond = rows.select(scope.is_beyond(pl.col("place")).alias("beyond"))["beyond"]
    began_beyond = (
        np.zeros(len(first), dtype=bool) if len(beyond) < len(rows) else beyond.to_numpy()[first]
    )
    gap = _NEVER if scope.gap is None else scope.gap // timedelta(microseconds=1)
    wait = rows["wait"].to_numpy()[last]
    silent = wait > gap
    ends = [(goal > 0) & (goal >= lost), lost > 0, began_beyond, silent]
    outcome = np.select(ends, [0, 1, 3, 2], default=4)
    # contacts may still come after the goal, but not where nothing but the goal ends a journey
    settled = ((goal > 0) | (lost > 0)) & (scope.gap is None)
    return Journeys(
        bucket=bucket,
        place=rows["place"].to_numpy().astype(np.int64),
        at=at,
        customer=rows["customer"].to_numpy().astype(np.int64),
        journey=journey,
        first=first,
        last=last,
        outcome=outcome,
        settled_at=at[last] + np.minimum(wait, gap),
        still_open=rows["final"].to_numpy()[last] & ~silent & ~settled,
    )
