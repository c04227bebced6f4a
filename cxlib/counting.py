"""What one bucket of customers adds to the summary: the only code that touches every contact.

Rows come sorted by customer and time, so "the next contact" is a shift. Keys are packed into one
64-bit number before counting: grouping by one integer is several times faster than by six columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cxlib.bins import bin_of
from cxlib.journeys import NO_STAGE

OPEN, SILENT, LOST, DONE = 65_535, 65_534, 65_533, 65_532
"""Codes in ``steps.next`` for contacts that no further contact of the journey followed."""

NONE = 65_535
"""``reach.previous_period`` of a customer's first period."""

LEVELS = pl.Enum(["all", "stage", "channel", "place"])
OUTCOMES = pl.Enum(["progress", "goal", "lost", "silent", "open", "done"])

KEYS = {
    "steps": ("place", "next", "bin", "segment", "period", "bucket"),
    "contacts": ("place", "segment", "period", "bucket"),
    "reach": ("level", "key", "period", "previous_period", "segment", "bucket"),
    "starts": ("place", "first_journey", "outcome", "bin", "segment", "period", "bucket"),
    "stages": ("stage", "outcome", "bin", "segment", "period", "bucket"),
}
"""Key columns of each table, in the order in which it is sorted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What counting a bucket needs to know of the workspace.

    Attributes
    ----------
    places
        The places table.
    gap
        Silence that ends a journey, or None.
    observed_until
        End of observation, UTC.
    """

    places: pl.DataFrame
    gap: timedelta | None
    observed_until: datetime

    @property
    def goal_stage(self) -> int | None:
        """The last stage that holds a goal; a contact beyond it has nothing left to reach."""
        known = pl.col("stage_index") != NO_STAGE
        goal = self.places.filter(pl.col("is_goal") & known)["stage_index"].to_list()
        return max(goal, default=None)

    def is_beyond(self, place: pl.Expr) -> pl.Expr:
        """Whether a place lies in a stage after the goal's."""
        if self.goal_stage is None:
            return pl.lit(False)
        stage = pl.col("stage_index")
        flag = self.places.select((stage > self.goal_stage) & (stage != NO_STAGE)).to_series()
        return pl.lit(flag).gather(place.cast(pl.UInt32))


def count_bucket(rows: pl.DataFrame, scope: Scope) -> dict[str, pl.DataFrame]:
    """Count the journeys of one bucket.

    Parameters
    ----------
    rows
        The store's rows of one bucket (see `cxlib.store`).
    scope
        Places, gap and end of observation.

    Returns
    -------
    dict
        The tables of `cxlib.summary`, by name.
    """
    followed = follow_contacts(rows, scope=scope)
    steps = _count_steps(followed)
    tables = {
        "steps": steps,
        "contacts": _sum_contacts(followed, steps),
        "reach": _count_reach(rows, scope),
        "starts": _count_starts(followed, scope),
        "stages": _count_stages(followed, scope),
    }
    bucket = pl.lit(rows["bucket"][0], pl.UInt8).alias("bucket")
    return {
        name: table.with_columns(bucket).select(*KEYS[name], pl.all().exclude(KEYS[name]))
        for name, table in tables.items()
    }


def follow_contacts(rows: pl.DataFrame, *, scope: Scope) -> pl.DataFrame:
    """Say of every contact what came after it in its journey, and after how long.

    Returns
    -------
    polars.DataFrame
        The rows with ``next`` (UInt16: the next contact's place, or OPEN, SILENT, LOST, DONE),
        ``wait`` (Int64, microseconds to the next contact of the journey; to the customer's next
        contact or the end of observation where the journey ended here) and ``bin`` (of the wait;
        SILENT counts at the gap, LOST and DONE at once).
    """
    until = pl.lit(_micros(scope.observed_until))
    instant = pl.col("occurred_at").to_physical()
    followed = (pl.col("journey") == pl.col("journey").shift(-1)).fill_null(False)
    observed = (pl.col("customer") == pl.col("customer").shift(-1)).fill_null(False)
    longest = _longest(scope.gap)
    end = (
        pl.when(pl.col("reached") | scope.is_beyond(pl.col("place")))
        .then(pl.lit(DONE, pl.UInt16))
        .when("lost")
        .then(pl.lit(LOST, pl.UInt16))
        .when(pl.col("wait") > longest)
        .then(pl.lit(SILENT, pl.UInt16))
        .otherwise(pl.lit(OPEN, pl.UInt16))
    )
    counted_wait = (
        pl.when((pl.col("next") == DONE) | (pl.col("next") == LOST))
        .then(0)
        .otherwise(pl.min_horizontal("wait", pl.lit(longest)))
    )
    return (
        rows.lazy()
        .with_columns(
            wait=pl.when(observed).then(instant.shift(-1)).otherwise(until) - instant,
            _followed=followed,
        )
        .with_columns(next=pl.when("_followed").then(pl.col("place").shift(-1)).otherwise(end))
        .with_columns(bin=bin_of(counted_wait / 1_000_000))
        .drop("_followed")
        .collect()
    )


def _micros(instant: datetime) -> int:
    return int(pl.select(pl.lit(instant, pl.Datetime("us", "UTC")).to_physical()).item())


def _longest(gap: timedelta | None) -> int:
    """The gap in microseconds; longer than any log where journeys have none."""
    return 2**62 if gap is None else round(gap.total_seconds() * 1_000_000)


def _packed(**widths: int) -> tuple[pl.Expr, list[pl.Expr]]:
    """Pack columns into one UInt64, first column highest; and the expressions that unpack it."""
    packed: pl.Expr = pl.lit(0, pl.UInt64)
    shift = 0
    unpack = []
    for column, width in reversed(widths.items()):
        packed = packed | (pl.col(column).cast(pl.UInt64) * 2**shift)
        unpack.append(((pl.col("packed") // 2**shift) % 2**width).alias(column))
        shift += width
    assert shift <= 64  # a programmer's slip, not a user's
    return packed.alias("packed"), unpack[::-1]


def _count_steps(followed: pl.DataFrame) -> pl.DataFrame:
    packed, unpack = _packed(place=12, next=16, bin=6, segment=8, period=12)
    return (
        followed.select(packed)
        .group_by("packed")
        .agg(n=pl.len())
        .select(*unpack, "n")
        .cast(
            {
                "place": pl.UInt16,
                "next": pl.UInt16,
                "bin": pl.UInt8,
                "segment": pl.UInt16,
                "period": pl.UInt16,
                "n": pl.UInt32,
            }
        )
    )


def _sum_contacts(followed: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Contacts from the counted steps; sums from the few rows that carry something to sum."""
    key = ["place", "segment", "period"]
    table = steps.group_by(key).agg(contacts=pl.col("n").sum())
    rating = pl.col("rating").cast(pl.Float64)
    seconds = (pl.col("ended_at") - pl.col("occurred_at")).dt.total_microseconds() / 1_000_000
    sums: dict[str, list[pl.Expr]] = {
        "rating": [
            pl.len().alias("rating_n"),
            rating.sum().alias("rating_sum"),
            (rating * rating).sum().alias("rating_sq"),
        ],
        "ended_at": [pl.len().alias("dwell_n"), seconds.sum().alias("dwell_seconds")],
        "cost": [pl.col("cost").sum().alias("cost_sum")],
    }
    for column, aggregates in sums.items():
        source = (
            followed
            if column in followed.columns
            else followed.clear().with_columns(
                pl.lit(
                    None, pl.Float64 if column != "ended_at" else pl.Datetime("us", "UTC")
                ).alias(column)
            )
        )
        told = source.drop_nulls(column).group_by(key).agg(aggregates)
        table = table.join(told, on=key, how="left")
    return table.with_columns(
        pl.col("rating_n", "dwell_n").fill_null(0).cast(pl.UInt32),
        pl.col("rating_sum", "rating_sq", "dwell_seconds", "cost_sum").fill_null(0.0),
        pl.col("contacts").cast(pl.UInt32),
    )


def _count_reach(rows: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """Distinct customers by level, key and period, with the period they were there before."""
    segment_of = rows.filter(_changes("customer")).select("customer", "segment")
    first = rows["customer"][0]
    present = rows.filter(_changes("customer", "place", "period")).select(
        "place", "period", customer=pl.col("customer") - first
    )
    places = scope.places
    names = places["channel"].unique(maintain_order=True)
    channels = places["channel"].replace_strict(names, range(len(names)), return_dtype=pl.UInt16)
    keys = {
        "place": places["place"],
        "channel": channels,
        "stage": places["stage_index"].cast(pl.UInt16),
        "all": pl.Series([0] * len(places), dtype=pl.UInt16),
    }
    parts = []
    for level, key in keys.items():
        present = present.with_columns(key=pl.lit(key).gather(pl.col("place").cast(pl.UInt32)))
        parts.append(_count_customers(present, level, segment_of["segment"]))
    return pl.concat(parts)


def _count_customers(present: pl.DataFrame, level: str, segment: pl.Series) -> pl.DataFrame:
    packed, unpack = _packed(customer=32, key=16, period=12)
    seen = present.select(packed).to_series().unique().sort().to_frame("packed").select(*unpack)
    again = (pl.col("customer") == pl.col("customer").shift(1)) & (
        pl.col("key") == pl.col("key").shift(1)
    )
    told = seen.with_columns(
        previous_period=pl.when(again.fill_null(False))
        .then(pl.col("period").shift(1))
        .otherwise(NONE),
        segment=pl.lit(segment).gather(pl.col("customer").cast(pl.UInt32)),
    )
    packed, unpack = _packed(key=16, period=12, previous_period=16, segment=8)
    return (
        told.select(packed)
        .group_by("packed")
        .agg(customers=pl.len())
        .select(
            pl.lit(level, LEVELS).alias("level"),
            *(e.cast(pl.UInt16) for e in unpack),
            pl.col("customers").cast(pl.UInt32),
        )
    )


def _changes(*columns: str) -> pl.Expr:
    """Whether a row differs from the one before it in any of the columns."""
    return pl.any_horizontal(pl.col(c) != pl.col(c).shift(1) for c in columns).fill_null(True)


def _ends(followed: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """One row per journey: whether it fell silent, when that was settled, when it met its end."""
    instant = pl.col("occurred_at").to_physical()
    silent = pl.col("wait") > _longest(scope.gap)
    ends = followed.filter(pl.col("next") >= DONE).select(
        "journey",
        _silent=silent,
        _settled_at=instant + pl.when(silent).then(_longest(scope.gap)).otherwise("wait"),
    )
    for flag in ("reached", "lost"):
        before = pl.col(flag).shift(1) & ~_changes("journey")
        met = followed.filter(pl.col(flag) & ~before.fill_null(False)).select(
            "journey", instant.alias(f"_{flag}_at")
        )
        ends = ends.join(met, on="journey", how="left", maintain_order="left")
    return ends


def _outcome(
    *, done: pl.Expr, progress: pl.Expr | None = None, below_goal: pl.Expr | None = None
) -> list[pl.Expr]:
    """What came first of a journey watched from ``since`` on, and the bin of the time to it."""
    since = pl.col("since")
    goal = pl.when(pl.col("_reached_at") >= since).then("_reached_at")
    lost = pl.when(pl.col("_lost_at") >= since).then("_lost_at")
    ahead = progress if progress is not None else pl.lit(None, pl.Int64)
    at = pl.min_horizontal(goal, lost, ahead)
    # a goal in a later stage is met by going on to that stage, at the same instant
    onward = (
        (ahead == at) & (goal == at) & (below_goal if below_goal is not None else pl.lit(False))
    )
    outcome = (
        pl.when(done)
        .then(pl.lit("done"))
        .when(onward)
        .then(pl.lit("progress"))
        .when(goal == at)
        .then(pl.lit("goal"))
        .when(lost == at)
        .then(pl.lit("lost"))
        .when(ahead == at)
        .then(pl.lit("progress"))
        .when("_silent")
        .then(pl.lit("silent"))
        .otherwise(pl.lit("open"))
    )
    time = pl.when(done).then(0).otherwise(pl.coalesce(at, "_settled_at") - since)
    return [outcome.cast(OUTCOMES).alias("outcome"), bin_of(time / 1_000_000).alias("bin")]


def _count_starts(followed: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """One count per journey, by its first contact and what became of it."""
    starts = followed.filter(pl.col("position") == 0).select(
        "place",
        "segment",
        "period",
        "journey",
        since=pl.col("occurred_at").to_physical(),
        first_journey=_changes("customer"),
    )
    never = pl.col("_reached_at").is_null() & pl.col("_lost_at").is_null()
    return (
        starts.join(_ends(followed, scope), on="journey", how="left", maintain_order="left")
        .with_columns(_outcome(done=scope.is_beyond(pl.col("place")) & never))
        .group_by("place", "first_journey", "outcome", "bin", "segment", "period")
        .agg(n=pl.len().cast(pl.UInt32))
    )


def _count_stages(followed: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """One count per journey and stage it rose to, by what came first from there."""
    rose = (
        followed.filter(_changes("journey", "stage_high") & (pl.col("stage_high") != NO_STAGE))
        .select(
            "journey",
            "segment",
            "period",
            stage="stage_high",
            since=pl.col("occurred_at").to_physical(),
        )
        .with_columns(
            _next=pl.when(pl.col("journey") == pl.col("journey").shift(-1)).then(
                pl.col("since").shift(-1)
            )
        )
    )
    goal_stage = scope.goal_stage
    beyond = pl.lit(False) if goal_stage is None else pl.col("stage") > goal_stage
    below = pl.lit(False) if goal_stage is None else pl.col("stage") < goal_stage
    settled_before = pl.min_horizontal("_reached_at", "_lost_at") < pl.col("since")
    met_now = pl.max_horizontal("_reached_at", "_lost_at") >= pl.col("since")
    done = (settled_before | (beyond & ~met_now.fill_null(False))).fill_null(False)
    return (
        rose.join(_ends(followed, scope), on="journey", how="left", maintain_order="left")
        .with_columns(
            _outcome(
                done=done & pl.col("_next").is_null(), progress=pl.col("_next"), below_goal=below
            )
        )
        .group_by("stage", "outcome", "bin", "segment", "period")
        .agg(n=pl.len().cast(pl.UInt32))
    )
