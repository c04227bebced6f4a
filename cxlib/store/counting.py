"""What one bucket of customers adds to the summary.

Keys are packed into one 64-bit number and sorted: that counts them and puts the table in order at
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from cxlib.bins import bin_of, part_of
from cxlib.journeys import NO_STAGE
from cxlib.store.selection import channel_names
from cxlib.store.tables import NONE, Table
from cxlib.store.walk import DONE, Scope, changes, follow_contacts, longest

Numbers = npt.NDArray[Any]

LEVELS = pl.Enum(["all", "stage", "channel", "place"])
OUTCOMES = pl.Enum(["progress", "goal", "lost", "silent", "open", "done"])

TABLES = {
    "steps": Table(
        ("bucket", "segment", "period", "place", "next", "bin", "part"),
        "every contact",
        channel="place",
        meaning=2,
    ),
    "contacts": Table(("bucket", "segment", "period", "place"), "every contact", channel="place"),
    "reach": Table(
        ("bucket", "level", "key", "period", "previous_period", "segment"),
        "customers, once in each period in which they were there",
        channel="key",
    ),
    "starts": Table(
        ("bucket", "segment", "period", "place", "first_journey", "outcome", "bin", "part"),
        "every journey",
        channel="place",
    ),
    "stages": Table(
        ("bucket", "segment", "period", "stage", "outcome", "bin", "part"),
        "every stage that a journey rose to",
    ),
}
"""The tables of the summary (`cxlib.summary`); the bucket comes first, so that parts of a log lie
under one another."""


def count_bucket(rows: pl.DataFrame, scope: Scope) -> dict[str, pl.DataFrame]:
    """Count the journeys of one bucket: `TABLES` by name, sorted by their keys."""
    followed = follow_contacts(rows, scope=scope)
    columns = _physical(followed, TABLES["steps"].keys[1:])
    steps = _tally(columns, time=followed["wait"].to_numpy())
    ends = _ends(followed, scope)
    tables = {
        "steps": steps,
        "contacts": _sum_contacts(followed, steps),
        "reach": _count_reach(rows, scope),
        "starts": _count_starts(followed, ends, scope),
        "stages": _count_stages(followed, ends, scope),
    }
    bucket = pl.lit(rows["bucket"][0], pl.UInt8).alias("bucket")
    keys = {name: table.keys for name, table in TABLES.items()}
    return {
        name: table.with_columns(bucket).select(*keys[name], pl.all().exclude(keys[name]))
        for name, table in tables.items()
    }


class _Key:
    """Columns of small whole numbers in one, the first highest, each in the bits that it needs."""

    def __init__(self, columns: Mapping[str, Numbers]) -> None:
        self.widths = {c: int(v.max()).bit_length() if len(v) else 0 for c, v in columns.items()}
        if "part" in columns:  # tells rows apart, and may do so less well
            others = sum(self.widths.values()) - self.widths["part"]
            self.widths["part"] = min(self.widths["part"], max(64 - others, 0))
            columns = {**columns, "part": columns["part"] & (2 ** self.widths["part"] - 1)}
        bits = sum(self.widths.values())
        assert bits <= 64  # places, segments and periods are bounded where they are numbered
        self._dtype: type[np.unsignedinteger[Any]] = np.uint32 if bits <= 32 else np.uint64
        rows = len(next(iter(columns.values())))
        self.packed: Numbers = np.zeros(rows, dtype=self._dtype)
        for column, values in columns.items():
            self.packed <<= self._dtype(self.widths[column])
            self.packed |= values.astype(self._dtype, copy=False)

    def unpack(self, packed: Numbers) -> dict[str, Numbers]:
        """Give back the columns of packed keys."""
        values = {}
        for column, width in reversed(self.widths.items()):
            values[column] = packed & self._dtype(2**width - 1)
            packed = packed >> self._dtype(width)
        return {c: values[c] for c in self.widths}


def _physical(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, Numbers]:
    return {c: frame[c].to_physical().to_numpy() for c in columns}


def _firsts(ordered: Numbers) -> npt.NDArray[np.int64]:
    """Row numbers at which a sorted array takes a new value."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def _tally(
    columns: Mapping[str, Numbers], count: str = "n", *, time: Numbers | None = None
) -> pl.DataFrame:
    """Count the rows for each combination of values, sorted by them; with a ``time`` (microseconds)
    also the least and the most of it, in seconds.
    """
    key = _Key(columns)
    order = None if time is None else np.argsort(key.packed)
    if order is None:
        key.packed.sort()
    packed = key.packed if order is None else key.packed[order]
    first = _firsts(packed)[: len(packed)]
    counts = np.diff(first, append=len(packed))
    found = [_column(c, v) for c, v in key.unpack(packed[first]).items()]
    found.append(pl.Series(count, counts).cast(pl.UInt32))
    if time is not None:
        seconds = time[order] / 1_000_000
        for name, extreme in (("least", np.minimum), ("most", np.maximum)):
            values = extreme.reduceat(seconds, first) if len(first) else seconds
            found.append(pl.Series(name, values).cast(pl.Float32))
    return pl.DataFrame(found)


def _column(name: str, values: Numbers) -> pl.Series:
    if name == "outcome":
        return pl.Series(name, OUTCOMES.categories.gather(values.astype(np.uint32)), dtype=OUTCOMES)
    small = {"bin": pl.UInt8, "stage": pl.UInt8, "first_journey": pl.Boolean}
    return pl.Series(name, values).cast(small.get(name, pl.UInt16))


def _sum_contacts(followed: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Contacts from the counted steps; sums from the few rows that carry something to sum."""
    key = ["place", "segment", "period"]
    table = steps.group_by(key).agg(contacts=pl.col("n").sum())
    seconds = (pl.col("ended_at") - pl.col("occurred_at")).dt.total_microseconds() / 1_000_000
    sums: dict[str, list[pl.Expr]] = {
        "rating": [*rating_sums()],
        "ended_at": [pl.len().alias("dwell_n"), seconds.sum().alias("dwell_seconds")],
        "cost": [pl.col("cost").sum().alias("cost_sum")],
    }
    dtypes = {"rating": pl.Float64, "cost": pl.Float64, "ended_at": pl.Datetime("us", "UTC")}
    absent = (pl.lit(None, t).alias(c) for c, t in dtypes.items() if c not in followed.columns)  # type: ignore[arg-type]
    followed = followed.with_columns(absent)
    for column, aggregates in sums.items():
        told = followed.drop_nulls(column).group_by(key).agg(aggregates)
        table = table.join(told, on=key, how="left")
    return table.sort("segment", "period", "place").with_columns(
        pl.col("rating_n", "dwell_n").fill_null(0).cast(pl.UInt32),
        pl.col("rating_sum", "rating_sq", "dwell_seconds", "cost_sum").fill_null(0.0),
        pl.col("contacts").cast(pl.UInt32),
    )


def rating_sums() -> tuple[pl.Expr, ...]:
    """``rating_n``, ``rating_sum`` and ``rating_sq`` of those who were rated."""
    rating = pl.col("rating").cast(pl.Float64)
    return (
        rating.is_not_null().sum().cast(pl.Int64).alias("rating_n"),
        rating.sum().alias("rating_sum"),
        (rating * rating).sum().alias("rating_sq"),
    )


def _count_reach(rows: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """Distinct customers by level, key and period, with the period they were there before."""
    customer = rows["customer"] - rows["customer"][0]
    segment = rows.filter(changes("customer"))["segment"].to_numpy()
    present = rows.select(customer, "place", "period")
    present = present.filter(changes("customer", "place", "period"))
    names = channel_names(scope.places)
    codes = {name: number for number, name in enumerate(names)}
    keys = {
        "all": pl.Series([0] * len(scope.places)),
        "stage": scope.places["stage_index"],
        "channel": scope.places["channel"].replace_strict(codes),
        "place": scope.places["place"],
    }
    customer, place, period = _physical(present, ("customer", "place", "period")).values()
    return pl.concat(
        _count_customers(customer, key.cast(pl.UInt16).to_numpy()[place], period, segment).select(
            pl.lit(level, LEVELS).alias("level"), pl.all()
        )
        for level, key in keys.items()
    )


def _count_customers(
    customer: Numbers, key: Numbers, period: Numbers, segment: Numbers
) -> pl.DataFrame:
    seen = _Key({"customer": customer, "key": key, "period": period})
    seen.packed.sort()
    ordered = seen.packed[_firsts(seen.packed)]
    told = seen.unpack(ordered)
    # the row before may be the same customer at the same key: in the period before this one
    place = ordered >> ordered.dtype.type(seen.widths["period"])
    previous = np.full(len(ordered), NONE, dtype=np.uint16)
    again = np.flatnonzero(place[1:] == place[:-1])
    previous[again + 1] = told["period"][again]
    columns = {"key": told["key"], "period": told["period"], "previous_period": previous}
    return _tally({**columns, "segment": segment[told["customer"]]}, "customers")


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """How each journey of a bucket ended; arrays by journey, instants in microseconds."""

    first: int
    silent: Numbers
    settled_at: Numbers
    reached_at: Numbers
    lost_at: Numbers

    def of(self, journeys: Numbers) -> _Ends:
        """The same for each row of a table, by the row's journey."""
        row = journeys - self.first
        taken = (a[row] for a in (self.silent, self.settled_at, self.reached_at, self.lost_at))
        return _Ends(self.first, *taken)


def _ends(followed: pl.DataFrame, scope: Scope) -> _Ends:
    instant = pl.col("occurred_at").to_physical()
    silent = pl.col("wait") > longest(scope.gap)
    settled_at = instant + pl.when(silent).then(longest(scope.gap)).otherwise("wait")
    ends = followed.filter(pl.col("next") >= DONE).select(
        "journey", silent=silent, settled_at=settled_at
    )
    first = int(ends["journey"][0])
    met = {}
    for flag in ("reached", "lost"):
        # flags stay up once they are up: the first contact that carries it put it up
        at = followed.filter(pl.col(flag) & changes("journey", flag)).select(
            pl.col("journey") - first, at=instant
        )
        met[flag] = np.full(len(ends), _NEVER)
        met[flag][at["journey"].to_numpy()] = at["at"].to_numpy()
    return _Ends(
        first, ends["silent"].to_numpy(), ends["settled_at"].to_numpy(), met["reached"], met["lost"]
    )


_NEVER = np.int64(2**62)


def _outcomes(
    since: Numbers,
    ends: _Ends,
    *,
    done: Numbers,
    progress_at: Numbers | None = None,
    below_goal: Numbers | None = None,
    exact: bool,
) -> tuple[dict[str, Numbers], Numbers]:
    """What came first of journeys watched from `since` on, the bin of the time, and the time."""
    goal = np.where(ends.reached_at >= since, ends.reached_at, _NEVER)
    lost = np.where(ends.lost_at >= since, ends.lost_at, _NEVER)
    ahead = np.full(len(since), _NEVER) if progress_at is None else progress_at
    at = np.minimum(np.minimum(goal, lost), ahead)
    met = at < _NEVER
    # a goal in a later stage is met by going on to that stage, at the same instant; a loss there
    # is a loss all the same
    onward = met & (ahead == at) & (goal == at) & (False if below_goal is None else below_goal)
    code = {name: OUTCOMES.categories.to_list().index(name) for name in OUTCOMES.categories}
    outcome = np.select(
        [done, onward, met & (goal == at), met & (lost == at), met, ends.silent],
        [code[o] for o in ("done", "progress", "goal", "lost", "progress", "silent")],
        code["open"],
    )
    time = np.where(done, 0, np.where(met, at, ends.settled_at) - since)
    micros = pl.lit(pl.Series(time))
    bins = pl.select(bin=bin_of(micros / 1_000_000), part=part_of(micros, exact=exact))
    return {"outcome": outcome.astype(np.uint8), **_physical(bins, bins.columns)}, time


def _count_starts(followed: pl.DataFrame, ends: _Ends, scope: Scope) -> pl.DataFrame:
    """One count per journey, by its first contact and what became of it."""
    starts = followed.filter(pl.col("position") == 0).select(
        "segment",
        "period",
        "place",
        first_journey=changes("customer"),
        _since=pl.col("occurred_at").to_physical(),
        _beyond=scope.is_beyond(pl.col("place")),
        _journey="journey",
    )
    own = ends.of(starts["_journey"].to_numpy())
    never = np.minimum(own.reached_at, own.lost_at) == _NEVER
    done = starts["_beyond"].to_numpy() & never
    told, time = _outcomes(starts["_since"].to_numpy(), own, done=done, exact=scope.exact)
    key = _physical(starts, ("segment", "period", "place", "first_journey"))
    return _tally({**key, **told}, time=time)


def _count_stages(followed: pl.DataFrame, ends: _Ends, scope: Scope) -> pl.DataFrame:
    """One count per journey and stage it rose to, by what came first from there."""
    rose = followed.filter(
        changes("journey", "stage_high") & (pl.col("stage_high") != NO_STAGE)
    ).select(
        "segment",
        "period",
        stage="stage_high",
        _since=pl.col("occurred_at").to_physical(),
        _journey="journey",
    )
    since, journey = rose["_since"].to_numpy(), rose["_journey"].to_numpy()
    own = ends.of(journey)
    ahead = np.full(len(rose), _NEVER)
    goes_on = np.flatnonzero(journey[1:] == journey[:-1])
    ahead[goes_on] = since[goes_on + 1]
    stage = rose["stage"].to_numpy()
    goal_stage = NO_STAGE if scope.goal_stage is None else scope.goal_stage
    met_before = np.minimum(own.reached_at, own.lost_at) < since
    meets = np.any([(since <= at) & (at < _NEVER) for at in (own.reached_at, own.lost_at)], axis=0)
    # a loss that the map places beyond the goal ended the journey in the stage it came from
    lost_on_entry = (stage > goal_stage) & (own.lost_at == since)
    nothing_left = met_before | lost_on_entry | ((stage > goal_stage) & ~meets)
    told, time = _outcomes(
        since,
        own,
        done=nothing_left & (ahead == _NEVER),
        progress_at=ahead,
        below_goal=(stage < goal_stage) & (scope.goal_stage is not None),
        exact=scope.exact,
    )
    return _tally({**_physical(rose, ("segment", "period", "stage")), **told}, time=time)
