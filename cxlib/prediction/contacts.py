"""What is known of a journey at each of its contacts, and what became of it afterwards.

What is known only afterwards (the rating, the time in the touchpoint) is left out on purpose.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from cxlib.contracts import DIMENSION
from cxlib.journeys import NO_STAGE
from cxlib.store.walk import Scope, around, look_back, next_where

if TYPE_CHECKING:
    from cxlib.store import Workspace

OUTCOMES = ("on", "silent", "back")
"""What came next: went on; no contact by the customer within the horizon; went back a stage."""

NUMBERS = (
    "log_wait",
    "log_age",
    "log_position",
    "log_contacts",
    "journeys",
    "ping_pongs",
    "turns_back",
    "below_high",
    "hour",
)
"""Numeric features; ``log_wait`` and ``log_age`` (since the journey began) are of seconds."""

CLASSES = ("place", "source", "handoff", "stage_high", "weekday")
"""Features that are classes; the segment dimensions come on top, as ``segment.NAME``."""

TRAINING_CUSTOMERS = 20_000
"""Customers whose contacts are learned from; of a larger log an even sample of about so many."""

_MOST_CONTACTS = 100
"""Contacts of one customer that are described: whoever makes more is not one person."""


def read_contacts(
    workspace: Workspace, horizon: timedelta, *, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read what can be learned from, and the last own contact of everybody still under way; of a
    log of more than `TRAINING_CUSTOMERS` every k-th is learned from.
    """
    step = -(-int(workspace.manifest["counts"]["customers"]) // TRAINING_CUSTOMERS)
    labelled, present = [], []
    for file in workspace.bucket_files():
        described = describe_contacts(pl.read_parquet(file), workspace, horizon)
        sampled = pl.col("followed") & (pl.col("customer") % step == seed % step)
        labelled.append(described.filter(sampled))
        present.append(described.filter(~pl.col("followed") & pl.col("latest")))
    return pl.concat(labelled), pl.concat(present)


def describe_contacts(rows: pl.DataFrame, workspace: Workspace, horizon: timedelta) -> pl.DataFrame:
    """Describe every contact that a customer made on the way to the goal, and label it.

    ``outcome``: position in `OUTCOMES`, null where not ``followed`` for the whole horizon;
    ``return_after``: seconds to the customer's next own contact; ``latest``: it is the last one.
    """
    places, until = workspace.places, workspace.observed_until
    scope = Scope(places, horizon, until)
    channel = scope.of_place("channel")
    seen = (
        look_back(rows, scope=scope)
        .filter(~pl.col("reload"))
        .with_columns(
            _own=scope.of_place("initiated_by") == "customer",
            _stage=scope.of_place("stage_index").cast(pl.UInt8),
        )
    )
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    at, stage, high = pl.col("occurred_at"), pl.col("_stage"), pl.col("stage_high")
    placed = (stage != NO_STAGE) & (high != NO_STAGE)
    since = at - around(at, -1, within="customer")
    within = pl.col("same_journey")
    first_row = pl.when(since.is_not_null()).then(0).otherwise(row).cum_max()
    journey_row = pl.when(within).then(0).otherwise(row).cum_max()
    returned = (channel == around(channel, -2)) & (channel != around(channel, -1))
    linked = within & (since <= horizon)
    local = at.dt.convert_time_zone(workspace.periods.time_zone)
    return_at, next_stage, next_journey = (
        next_where(pl.col("_own"), value) for value in (at, stage, pl.col("journey"))
    )
    known = seen.with_columns(
        _contact=row - first_row,
        source=pl.when(linked).then(pl.col("previous").cast(pl.Int32)).fill_null(-1),
        log_wait=_seconds(since).log1p(),
        log_age=_seconds(at - at.gather(journey_row)).log1p(),
        log_position=pl.col("position").cast(pl.Float64).log1p(),
        log_contacts=(row - first_row).cast(pl.Float64).log1p(),
        journeys=pl.col("journey") - pl.col("journey").gather(first_row),
        ping_pongs=_so_far(returned),
        turns_back=_so_far(within & placed & (stage < high)),
        below_high=pl.when(placed).then(high.cast(pl.Int32) - stage.cast(pl.Int32)).otherwise(0),
        hour=local.dt.hour(),
        weekday=local.dt.weekday(),
        latest=return_at.is_null(),
        return_after=_seconds(return_at - at),
        followed=until - at >= horizon,
        _back=(
            (next_journey == pl.col("journey"))
            & (next_stage < high)
            & (next_stage != NO_STAGE)
            & (high != NO_STAGE)
        ).fill_null(False),
    ).with_columns(
        handoff=pl.format("{} {}", "source", "place"),
        outcome=pl.when("followed").then(
            pl.when((pl.col("return_after") > horizon.total_seconds()).fill_null(True))
            .then(1)
            .when("_back")
            .then(2)
            .otherwise(0)
            .cast(pl.UInt8)
        ),
    )
    goals = places.filter(pl.col("is_goal") & (pl.col("stage_index") != NO_STAGE))["stage_index"]
    on_the_way = (stage <= (goals.max() if len(goals) else NO_STAGE)) | (stage == NO_STAGE)
    at_risk = pl.col("_own") & ~pl.col("reached") & ~pl.col("lost") & on_the_way
    segments = workspace.segments
    return (
        known.filter(at_risk & (pl.col("_contact") < _MOST_CONTACTS))
        .join(segments.lazy(), on="segment", how="left", maintain_order="left")
        .select(
            *("customer", "journey", "bucket", "occurred_at", *NUMBERS, *CLASSES),
            *(name for name in segments.columns if name.startswith(DIMENSION)),
            *("followed", "outcome", "return_after", "latest"),
        )
        .collect()
    )


def _so_far(flag: pl.Expr) -> pl.Expr:
    return flag.fill_null(False).cast(pl.Int32).cum_sum().over("journey")


def _seconds(length: pl.Expr) -> pl.Expr:
    return length.dt.total_microseconds() / 1e6
