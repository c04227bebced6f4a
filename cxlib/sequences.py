"""Journeys contact by contact, for the questions that counts cannot answer.

A small log is walked once, and kept. A large one is read one bucket of customers at a time: memory
is that of a 32nd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib import encode
from cxlib.contracts import DIMENSION
from cxlib.errors import UnknownNameError
from cxlib.segments import dimension_values, segment_names
from cxlib.store import Workspace
from cxlib.store.selection import Chosen, Selection
from cxlib.store.walk import Scope, around, changes, follow_contacts, look_back, open_waits

OUTCOMES = ("goal", "declined", "silent", "done", "open")
"""What became of a journey: the goal, or declined (a loss of the map), what came first; silent
for longer than the gap; done: began
beyond the goal's stage; open: still running at the end of the log."""

By = Literal["touchpoint", "place", "channel", "stage", "owner"]
"""What a contact is called."""

GROUPS = ("touchpoint", "stage", "transition", "channel", "owner", "period", "promise")
"""What contacts can be told apart by, beside segments and environments."""

PROMISE = ("in time", "late")
"""How what was planned can come; other contacts are in none of these groups."""

ENVIRONMENT = "environment."
"""What the store's column of an environment begins with."""

_COLUMNS = (
    *("customer", "bucket", "occurred_at", "sequence", "place", "journey", "position"),
    *("reached", "lost", "segment", "period"),
)

MOST_KEPT = 1_000_000
"""Contacts up to which a log is kept in memory once it was asked for (some 60 MB)."""

_NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True, eq=False)
class Journeys:
    """Chosen journeys of whole buckets of customers, contact by contact.

    By contact, sorted by customer and time: ``place``, ``at`` (microseconds since 1970),
    ``customer``, ``bucket``, ``number`` of its journey here. By journey: the row of its ``first``
    and ``last`` contact; ``outcome``, a position in `OUTCOMES`; ``settled_at``, since when no
    contact of it can come (the end of the gap, the customer's next journey, or of observation);
    ``still_open``, whether one can still come.
    """

    place: NDArray[np.int64]
    at: NDArray[np.int64]
    customer: NDArray[np.int64]
    bucket: NDArray[np.int64]
    number: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    outcome: NDArray[np.int64]
    settled_at: NDArray[np.int64]
    still_open: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of contacts of each journey."""
        return self.last - self.first + 1


def read_journeys(workspace: Workspace, *, where: Selection | None = None) -> Iterable[Journeys]:
    """Read the chosen journeys, some buckets of customers after the others.

    Periods are those in which a journey began; the channel is that of its first contact.
    """
    chosen = _choose(workspace, where)

    def read() -> Iterator[Journeys]:
        for rows in _followed(workspace):
            kept = _keep_journeys(rows, chosen)
            if len(kept):
                yield _journeys(kept, workspace.scope)

    if not is_kept(workspace):
        return read()
    file = workspace.log_folder / "places.parquet"
    return workspace.keep("journeys", file, lambda: [*read()], of=where)


def walk_contacts(workspace: Workspace) -> pl.DataFrame:
    """Every contact of the store with its ``row``, and what came before and after it."""

    def read() -> pl.DataFrame:
        rows = workspace.store().select(_COLUMNS).collect()
        walked = look_back(rows, scope=workspace.scope).collect()
        return follow_contacts(walked, scope=workspace.scope).with_row_index("row")

    if not is_kept(workspace):
        return read()
    return workspace.keep("walked", workspace.log_folder / "places.parquet", read)


def is_kept(workspace: Workspace) -> bool:
    """Whether a log is small enough for what is made of its contacts to stay in memory."""
    return bool(workspace.manifest["counts"]["contacts"] <= MOST_KEPT)


def _followed(workspace: Workspace) -> Iterator[pl.DataFrame]:
    """The contacts of one bucket after the other with what came next; of a small log, of all."""
    if is_kept(workspace):
        yield walk_contacts(workspace)
        return
    for file in workspace.bucket_files():
        rows = pl.read_parquet(file, columns=list(_COLUMNS))
        yield follow_contacts(rows, scope=workspace.scope)


def read_contacts(
    workspace: Workspace, *, where: Selection | None = None
) -> Iterator[pl.DataFrame]:
    """Read the chosen contacts with what came next, some buckets after the others.

    ``customer``, ``place``, ``next``, ``wait`` and ``open_wait``: see `cxlib.store.walk`.
    """
    places = workspace.places
    calendar = workspace.journey_map.calendar(places["touchpoint"], places["channel"])
    for rows in _followed(workspace):
        kept = choose_contacts(workspace, rows, where)
        yield open_waits(kept, calendar).select("customer", "place", "next", "wait", "open_wait")


def own_places(workspace: Workspace) -> pl.Expr:
    """Whether a customer comes to a place by his own act: he begins it, and it is no delivery."""
    begun = workspace.places.filter(
        (pl.col("initiated_by") == "customer") & (pl.col("kind").fill_null("") != "delivery")
    )
    return pl.col("place").is_in(begun["place"].implode())


def choose_contacts(
    workspace: Workspace, rows: pl.DataFrame, where: Selection | None
) -> pl.DataFrame:
    """Keep the contacts that a selection names; rows carry segment, period and place."""
    tests = _choose(workspace, where).tests()
    return rows.filter(*tests) if tests else rows


def name_places(places: pl.DataFrame, by: By) -> tuple[list[str], NDArray[np.int64]]:
    """Give the names of contacts in map order, and the position of every place's name.

    Places are named "touchpoint (channel)"; where the map names no owner, it is "none".
    """
    if by == "place":
        called = places.select(pl.format("{} ({})", "touchpoint", "channel")).to_series()
    else:
        called = places[by].fill_null("none")
    names = called.unique(maintain_order=True).to_list()
    index = called.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return names, index.to_numpy()


def name_groups(workspace: Workspace, rows: pl.DataFrame, by: str) -> tuple[list[str], pl.Series]:
    """Give what groups of contacts are called, in map order, and the group of each; null: in none.

    ``rows`` have ``place``, ``previous``, ``segment``, ``period`` and ``environment.NAME``; ``by``
    is one of `GROUPS`, or a segment or an environment of the log (as ``segment.NAME`` or
    ``environment.NAME`` where it is called like one of these).
    """
    places, dimensions = workspace.places, segment_names(workspace.segments)
    touchpoints = encode.name_places(places)
    if by == "touchpoint":
        labels, codes = touchpoints, rows["place"]
    elif by in ("stage", "channel", "owner"):
        labels, codes = places[by].fill_null("none"), rows["place"]
    elif by == "transition":
        both = rows.select(
            place.replace_strict(places["place"], touchpoints, default=None)
            for place in (pl.col("previous"), pl.col("place"))
        )
        pair = rows["previous"].cast(pl.Int64) * 65_536 + rows["place"].cast(pl.Int64)
        known = both.select(pl.format("{} → {}", "previous", "place").alias("name"), code=pair)
        known = known.drop_nulls("code").unique("code").sort("code")
        labels = known["name"]
        codes = pair.replace_strict(known["code"], range(len(known)), default=None)
    elif by == "period":
        labels = pl.Series([workspace.periods.label(i) for i in range(len(workspace.periods))])
        codes = rows["period"]
    elif by == "promise":
        return [*PROMISE], comes_late(workspace).cast(pl.UInt32)
    elif (dimension := by if by in dimensions else by.removeprefix(DIMENSION)) in dimensions:
        labels, codes = dimension_values(workspace.segments, dimension), rows["segment"]
    elif (environment := environment_column(by)) in rows.columns:
        labels = rows[environment].cast(pl.String).drop_nulls().unique().sort()
        return labels.to_list(), _position(rows[environment].cast(pl.String), labels)
    else:
        present = workspace.store().collect_schema().names()
        environments = (c.removeprefix(ENVIRONMENT) for c in present if c.startswith(ENVIRONMENT))
        known_names = (*GROUPS, *dimensions, *environments)
        raise UnknownNameError("way to tell contacts apart", by, known_names)
    names = labels.unique(maintain_order=True)
    return names.to_list(), _position(labels, names).gather(codes.cast(pl.UInt32))


def _position(values: pl.Series, names: pl.Series) -> pl.Series:
    return values.replace_strict(names, range(len(names)), return_dtype=pl.UInt32, default=None)


def environment_column(by: str) -> str:
    """Name of the store's column of an environment, given with or without what it begins with."""
    return by if by.startswith(ENVIRONMENT) else ENVIRONMENT + by


def comes_late(workspace: Workspace) -> pl.Series:
    """Of each contact of the store: whether the planned step that it waits for, or that came last
    in its journey, came after the promised date or the deadline, or is overdue at the end of the
    log; null: none was planned, or it is not due yet.
    """
    if not is_kept(workspace):
        return _late(workspace)
    file = workspace.log_folder / "places.parquet"
    return workspace.keep("late", file, lambda: _late(workspace))


def _late(workspace: Workspace) -> pl.Series:
    store = workspace.store()
    columns = {"occurred_at", "place", "customer", "journey", "due_at"}
    rows = store.select(sorted(columns & {*store.collect_schema().names()})).collect()
    rows = rows.with_columns(pl.lit(-1, pl.Int8).alias("nothing → planned"))
    at, until = pl.col("occurred_at"), pl.lit(workspace.observed_until)
    for planned in workspace.journey_map.planned_handoffs:
        here, there = (
            pl.col("place").is_in(workspace.places.filter(touchpoint=name)["place"].implode())
            for name in (planned.source, planned.target)
        )
        due = at + planned.deadline
        if planned.promised and "due_at" in rows.columns:
            due = pl.coalesce("due_at", due)
        rows = rows.with_columns(here=here, due=due, came=pl.when(there).then(at))
        rows = rows.with_columns(pl.col("came").backward_fill().over("customer"))
        late = (pl.coalesce("came", until) > pl.col("due")).cast(pl.Int8)
        known = pl.col("came").is_not_null() | (pl.col("due") < until)
        told = pl.when("here").then(pl.when(known).then(late).otherwise(-1))
        rows = rows.with_columns(told.alias(f"{planned.source} → {planned.target}"))
    worst = rows.select(pl.col("^.* → .*$").forward_fill().over("journey")).max_horizontal()
    return (worst > 0).set(worst < 0, None)


def meets_finding(workspace: Workspace, found: pl.DataFrame) -> pl.Series:
    """Of each contact of the store: whether it lies where, when and in the group of a finding.

    Findings (``cx.find_breaks(workspace).found``) about whole stages are left out: nearly all would
    meet them.
    """
    columns = workspace.store().collect_schema().names()
    kept = [c for c in columns if c.startswith(ENVIRONMENT)]
    rows = (
        workspace.store()
        .select("occurred_at", "place", "journey", "segment", "period", *kept)
        .collect()
    )
    before, place = around("place", -1), pl.col("place").cast(pl.Int64)
    here = rows.select(
        place=place,
        previous=pl.when(~changes("journey")).then(before.cast(pl.Int64)),
        day=pl.col("occurred_at").dt.date(),
    )
    rows = rows.with_columns(here["previous"])
    met = pl.col("place") < 0  # none
    groups: dict[str, tuple[list[str], pl.Series]] = {}
    for row in found.filter(pl.col("source_place") >= 0).iter_rows(named=True):
        there = pl.col("place") == row["source_place"]
        if row["target_place"] >= 0:
            there = pl.col("previous") == row["source_place"]
            there &= pl.col("place") == row["target_place"]
        if row["since"] is not None:
            there &= pl.col("day") >= row["since"]
        if row["affected_until"] is not None:
            there &= pl.col("day") < row["affected_until"]
        if (by := row["group"]) is not None:
            if by not in groups:
                groups[by] = name_groups(workspace, rows, by)
            names, number = groups[by]
            value = names.index(str(row["value"])) if str(row["value"]) in names else -1
            there &= pl.lit(number == value)
        met |= there.fill_null(False)
    return here.select(met=met).to_series()


def _choose(workspace: Workspace, where: Selection | None) -> Chosen:
    return Chosen.of(
        where, places=workspace.places, segments=workspace.segments, periods=workspace.periods
    )


def _keep_journeys(rows: pl.DataFrame, chosen: Chosen) -> pl.DataFrame:
    """Keep the journeys whose first contact fits."""
    tests = chosen.tests()
    if not tests:
        return rows
    fits = rows.filter(changes("journey")).filter(*tests)["journey"]
    return rows.filter(pl.col("journey").is_in(fits.implode()))


def _journeys(rows: pl.DataFrame, scope: Scope) -> Journeys:
    begins = rows.select(changes("journey")).to_series().to_numpy()
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(begins)) - 1
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
        place=rows["place"].to_numpy().astype(np.int64),
        at=at,
        customer=rows["customer"].to_numpy().astype(np.int64),
        bucket=rows["bucket"].to_numpy().astype(np.int64),
        number=np.cumsum(begins) - 1,
        first=first,
        last=last,
        outcome=outcome,
        settled_at=at[last] + np.minimum(wait, gap),
        still_open=rows["latest"].to_numpy()[last] & ~silent & ~settled,
    )
