"""Moves of journeys before their first goal: the additive counts that what-if is worked out from.

Only contacts that were watched for a whole gap say how journeys move on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.errors import NotMeasurableError
from cxlib.statistics.resampling import BUCKETS, leave_one_out
from cxlib.store import Workspace
from cxlib.store.walk import around, changes, follow_contacts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOWHERE: Ints = np.zeros(0, dtype=np.int64)
_GOAL, _ENDED = -1, -2
"""What stands in ``next`` for a goal, and for no further contact."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Counted moves as arrays; on the first axis all customers, then all but one bucket each.

    ``moves``, ``seconds``, ``amounts`` ``[1 + buckets, 1 + S, S + 2]``: moves, sums of waits, sums
    of the amounts at the goal; row 0 is the start, the last two columns the goal and no goal.
    ``journeys``: scaled to the size of the log. ``states`` ``[1 + P, P]``: state of a contact at a
    place, by the place before; the last row is for contacts that begin a journey.
    """

    moves: Floats
    seconds: Floats
    amounts: Floats
    journeys: Floats
    states: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Moves by customer bucket, the two places before and the place after.

    ``table``: ``before`` is the number of places at a journey's begin, ``next`` -1 the goal, -2 no
    further contact. ``starts``: how journeys begin. ``waits``: of moves onwards by length of the
    wait (quarters of an octave), and how many of them reach a goal later. ``worth_sq``: mean square
    of an amount at a goal; None where the log has no amounts.
    """

    table: pl.DataFrame
    starts: pl.DataFrame
    waits: pl.DataFrame
    places: pl.DataFrame
    worth_sq: float | None

    def at(self, name: str, column: str = "touchpoint") -> Ints:
        """Numbers of the places of a touchpoint or channel."""
        return np.flatnonzero((self.places[column] == name).fill_null(False).to_numpy())

    @property
    def scale(self) -> float:
        """Journeys per journey whose first contact was watched for the gap."""
        begun = self.starts.filter(pl.col("next") >= 0)["n"].sum()
        watched = self.table.filter(pl.col("before") == len(self.places))["n"].sum()
        return float(begun) / max(float(watched), 1.0)

    def first_order(self, source: Ints = NOWHERE, target: Ints = NOWHERE) -> Chain:
        """Places as states; contacts at `target` that come from `source` are states apart."""
        size = len(self.places)
        states = np.tile(np.arange(size), (size + 1, 1))
        if len(source):
            states[np.ix_(source, target)] = size + np.arange(len(target))
        return self._chain(states, buckets=True)

    def second_order(self) -> Chain | None:
        """Pairs of contacts as states, of all customers together; None where they are too many."""
        size = len(self.places)
        pairs = self.table.select("before", "place").unique().sort("before", "place")
        if len(pairs) > 1_200:
            return None
        states = np.full((size + 1, size), len(pairs))  # a pair that was never seen to move on
        states[pairs["before"].to_numpy(), pairs["place"].to_numpy()] = np.arange(len(pairs))
        return self._chain(states, buckets=False)

    def _chain(self, states: Ints, *, buckets: bool) -> Chain:
        count, parts = int(states.max()) + 1, BUCKETS if buckets else 1
        begin = {"before": -1, "place": len(self.places), "seconds": 0.0}
        rows = pl.concat(
            [
                self.table,
                self.starts.with_columns(pl.lit(v).alias(c) for c, v in begin.items())
                .select(self.table.columns)
                .cast(dict(self.table.schema)),  # type: ignore[arg-type]
            ]
        )
        bucket, before, place, following = (
            rows[c].to_numpy() for c in ("bucket", "before", "place", "next")
        )
        begins = before < 0
        row = np.where(begins, 0, 1 + states[before, np.minimum(place, len(self.places) - 1)])
        column = np.where(
            following >= 0, states[place, following], np.where(following == _GOAL, count, count + 1)
        )
        shape = (parts, 1 + count, count + 2)
        flat = ((bucket if buckets else 0) * shape[1] + row) * shape[2] + column
        summed = (
            np.bincount(flat, rows[c].to_numpy(), minlength=int(np.prod(shape)))
            .astype(np.float64)
            .reshape(shape)
            for c in ("n", "seconds", "amount")
        )
        if not buckets:
            n, seconds, amounts = summed
            return Chain(n, seconds, amounts, n[:, 0].sum(axis=1), states)
        n, seconds, amounts = (
            np.concatenate([x.sum(0)[None], leave_one_out(x, axis=0)]) for x in summed
        )
        scale = np.append(1.0, np.full(BUCKETS, BUCKETS / (BUCKETS - 1)))
        return Chain(n, seconds, amounts, n[:, 0].sum(axis=1) * scale, states)


def read_moves(workspace: Workspace) -> Moves:
    """Moves of a workspace, counted once for as long as it is open."""
    file = workspace.log_folder / "places.parquet"
    return workspace.keep("moves", file, lambda: _count(workspace))


def _count(workspace: Workspace) -> Moves:
    if not workspace.journey_map.journey.goal:
        raise NotMeasurableError(
            "what a change is worth is counted in conversions, and the map names no goal; name its "
            "touchpoints there (`journey: {goal: [...]}`)"
        )
    scope = workspace.scope
    present = workspace.store().collect_schema().names()
    amount = pl.col("amount") if "amount" in present else pl.lit(None, pl.Float64).alias("amount")
    kept = ("customer", "bucket", "occurred_at", "place", "journey", "reached", "lost")
    rows = follow_contacts(workspace.store().select(*kept, amount).collect(), scope=scope)
    size = len(scope.places)
    begins, place = changes("journey"), pl.col("place").cast(pl.Int64)
    ends = pl.col("next") >= 65_532
    converts = ~ends & around("reached", 1).fill_null(False)
    worth = pl.col("amount").fill_null(0.0)
    rows = rows.with_columns(
        begins=begins,
        beyond=scope.is_beyond(pl.col("place").first().over("journey")),
        later=pl.col("reached").any().over("journey"),
        before=pl.when(begins).then(size).otherwise(around(place, -1)),
        place=place,
        next=pl.when(ends)
        .then(_ENDED)
        .when(converts)
        .then(_GOAL)
        .otherwise(pl.col("next").cast(pl.Int64)),
        amount=pl.when(converts).then(around(worth, 1)).otherwise(0.0),
        own=worth,
    ).filter(~pl.col("beyond"))
    starts = rows.filter("begins").select(
        pl.col("bucket").cast(pl.Int64),
        next=pl.when("reached").then(_GOAL).otherwise("place"),
        amount=pl.when("reached").then("own").otherwise(0.0),
    )
    moving = rows.filter(~pl.col("reached"))
    watched = moving
    if scope.gap is not None:
        watched = moving.filter(pl.col("occurred_at") + scope.gap <= scope.observed_until)
    if watched.is_empty() and len(moving):
        raise NotMeasurableError(
            "no contact before a goal could be watched for the whole gap that ends a journey: the "
            "log is too short for what-if; it takes a longer log or a shorter `journey: {gap: ...}`"
        )
    seconds = pl.when(pl.col("next") != _ENDED).then(pl.col("wait") / 1e6).otherwise(0.0)
    moved = watched.with_columns(pl.col("bucket", "before").cast(pl.Int64), seconds=seconds)
    summed = {"n": pl.len().cast(pl.Int64), "amount": pl.col("amount").sum()}

    def counted(frame: pl.DataFrame, *keys: str, **more: pl.Expr) -> pl.DataFrame:
        return frame.group_by(keys).agg(**summed, **more).sort(keys)

    table = counted(moved, "bucket", "before", "place", "next", seconds=pl.col("seconds").sum())
    starts = counted(starts, "bucket", "next")
    gone = moved.filter(pl.col("next") != _ENDED, pl.col("seconds") >= 1)
    gone = gone.with_columns(bin=(4 * pl.col("seconds").log(2)).floor().cast(pl.Int64))
    waits = counted(
        gone, "place", "next", "bin", seconds=pl.col("seconds").sum(), later=pl.col("later").sum()
    ).drop("amount")
    goals = rows.filter("reached", pl.col("own") > 0)["own"]
    worth_sq = float((goals**2).mean()) if len(goals) else None  # type: ignore[arg-type]
    return Moves(table, starts, waits, scope.places, worth_sq)
