"""What is known of a journey at each of its contacts, and what became of it afterwards.

Every feature is computed from the contact itself and the customer's contacts before it: running
counts and shifts by earlier rows, never by later ones. What is known only afterwards (the rating,
the time in the touchpoint, the total number of contacts) is left out on purpose. Robots, too, are
recognised by what they have done so far.

The label needs follow-up: a contact later than the end of observation minus the horizon has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from cxlib.journeys import NO_STAGE
from cxlib.segments import DIMENSION
from cxlib.store.walk import Scope as Walk
from cxlib.store.walk import around, look_back, next_where

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
    "weekday",
)
"""Numeric features; ``log_wait`` and ``log_age`` (since the journey began) are of seconds."""

CLASSES = ("place", "source", "channel", "stage_high", "handover", "weekday_class")
"""Features that are classes; the segment dimensions come on top, as ``segment.NAME``."""

TRAINING_CUSTOMERS = 40_000
"""Customers whose contacts are learned from; of a larger log an even sample of about so many."""

_MOST_CONTACTS = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """What `describe_contacts` needs to know of the log.

    Attributes
    ----------
    places, segments
        As in the workspace.
    time_zone
        Where hours and weekdays are read.
    observed_until
        End of observation, UTC.
    horizon
        Silence that counts as having left; the label looks no further ahead.
    """

    places: pl.DataFrame
    segments: pl.DataFrame
    time_zone: str
    observed_until: datetime
    horizon: timedelta

    @classmethod
    def of(cls, workspace: Workspace, horizon: timedelta) -> Scope:
        """The scope of a workspace."""
        return cls(
            workspace.places,
            workspace.segments,
            workspace.periods.time_zone,
            workspace.observed_until,
            horizon,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the features that are classes, segments included."""
        return (*CLASSES, *(c for c in self.segments.columns if c.startswith(DIMENSION)))

    def _lookup(self, column: str) -> pl.Expr:
        return pl.lit(self.places[column]).gather(pl.col("place").cast(pl.UInt32))

    @property
    def _last_stage(self) -> int:
        """Stage of the goal: beyond it nothing is left to be reached."""
        goals = self.places.filter(pl.col("is_goal") & (pl.col("stage_index") != NO_STAGE))
        return int(goals["stage_index"].max()) if len(goals) else NO_STAGE  # type: ignore[arg-type]


def describe_contacts(rows: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """Describe every contact that a customer made on the way to the goal, and label it.

    Parameters
    ----------
    rows
        Rows of the store, sorted; all contacts of their customers.
    scope
        What is known of the log.

    Returns
    -------
    polars.DataFrame
        ``customer``, ``journey``, ``bucket``, ``occurred_at``, the `NUMBERS` and the classes of the
        scope; ``followed`` (observed for the whole horizon), ``outcome`` (position in `OUTCOMES`;
        null where not followed), ``return_after`` (seconds to the customer's next own contact,
        within the end of observation), ``latest`` (the customer's last own contact).

        Contacts initiated by the company, after the goal or a loss, beyond the goal's stage, and
        repetitions within a minute are no rows of their own.
    """
    seen = _mark(rows, scope)
    with_history = _add_history(seen, scope)
    labelled = _add_outcome(with_history, scope)
    at_risk = (
        pl.col("_own")
        & ~pl.col("reached")
        & ~pl.col("lost")
        & ((pl.col("_stage") <= scope._last_stage) | (pl.col("_stage") == NO_STAGE))
    )
    kept = labelled.filter(at_risk & (pl.col("_contact") < _MOST_CONTACTS))
    named = kept.join(
        scope.segments.lazy(),
        on="segment",
        how="left",
        maintain_order="left",
    )
    return named.select(
        "customer",
        "journey",
        "bucket",
        "occurred_at",
        *NUMBERS,
        *scope.classes,
        "followed",
        "outcome",
        "return_after",
        "latest",
    ).collect()


def _mark(rows: pl.DataFrame, scope: Scope) -> pl.LazyFrame:
    """Drop repetitions within a minute; add what the journey map says of each contact."""
    channels = scope.places["channel"].unique(maintain_order=True).to_list()
    code = scope.places["channel"].replace_strict(
        channels, range(len(channels)), return_dtype=pl.Int32
    )
    return (
        look_back(rows, scope=Walk(scope.places, scope.horizon, scope.observed_until))
        .filter(~pl.col("reload"))
        .with_columns(
            _own=scope._lookup("initiated_by") == "customer",
            _stage=scope._lookup("stage_index").cast(pl.UInt8),
            _owner=scope._lookup("owner").fill_null(""),
            channel=pl.lit(code).gather(pl.col("place").cast(pl.UInt32)),
        )
    )


def _add_history(contacts: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    at = pl.col("occurred_at")
    since = at - around(at, -1, within="customer")
    known, within = since.is_not_null(), pl.col("same_journey")
    linked = within & (since <= scope.horizon)
    channel, stage = pl.col("channel"), pl.col("_stage")
    changed = channel != around(channel, -1)
    returned = (channel == around(channel, -2)) & changed
    fell = within & (stage < pl.col("stage_high")) & (stage != NO_STAGE)
    local = pl.col("occurred_at").dt.convert_time_zone(scope.time_zone)
    seconds = _seconds(pl.col("occurred_at"))
    first_row = pl.when(known).then(0).otherwise(row).cum_max()
    journey_row = pl.when(within).then(0).otherwise(row).cum_max()
    return contacts.with_columns(
        _contact=row - first_row,
        source=pl.when(linked).then(pl.col("previous").cast(pl.Int32)).fill_null(-1),
        handover=pl.when(~linked)
        .then(0)
        .when(changed)
        .then(3)
        .when(pl.col("_owner") != around("_owner", -1))
        .then(2)
        .otherwise(1)
        .fill_null(0),
        log_wait=(since.dt.total_microseconds() / 1e6).log1p(),
        log_age=(seconds - seconds.gather(journey_row)).log1p(),
        log_position=pl.col("position").cast(pl.Float64).log1p(),
        ping_pongs=returned.fill_null(False).cast(pl.Int32).cum_sum().over("journey"),
        turns_back=fell.fill_null(False).cast(pl.Int32).cum_sum().over("journey"),
        below_high=pl.when((stage != NO_STAGE) & (pl.col("stage_high") != NO_STAGE))
        .then(pl.col("stage_high").cast(pl.Int32) - stage.cast(pl.Int32))
        .otherwise(0),
        hour=local.dt.hour(),
        weekday=local.dt.weekday(),
        weekday_class=local.dt.weekday(),
    ).with_columns(
        log_contacts=pl.col("_contact").cast(pl.Float64).log1p(),
        journeys=pl.col("journey") - pl.col("journey").gather(first_row),
    )


def _add_outcome(contacts: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """Label by the customer's next own contact. Nothing here is a feature."""

    def ahead(value: str) -> pl.Expr:
        return next_where(pl.col("_own"), pl.col(value))

    horizon = scope.horizon.total_seconds()
    follow_up = (pl.lit(scope.observed_until) - pl.col("occurred_at")).dt.total_microseconds() / 1e6
    stage = pl.col("_next_stage")
    back = (
        (pl.col("_next_journey") == pl.col("journey"))
        & (stage != NO_STAGE)
        & (pl.col("stage_high") != NO_STAGE)
        & (stage < pl.col("stage_high"))
    ).fill_null(False)
    return contacts.with_columns(
        latest=ahead("occurred_at").is_null(),
        _next_stage=ahead("_stage"),
        _next_journey=ahead("journey"),
        return_after=_seconds(ahead("occurred_at")) - _seconds(pl.col("occurred_at")),
        followed=follow_up >= horizon,
    ).with_columns(
        outcome=pl.when("followed").then(
            pl.when((pl.col("return_after") > horizon).fill_null(True))
            .then(1)
            .when(back)
            .then(2)
            .otherwise(0)
            .cast(pl.UInt8)
        )
    )


def _seconds(instant: pl.Expr) -> pl.Expr:
    return instant.dt.epoch("us").cast(pl.Float64) / 1e6


def read_contacts_at_risk(
    workspace: Workspace, horizon: timedelta, *, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Read the labelled contacts of a sample of customers, and the present contacts of all.

    Returns
    -------
    labelled
        Contacts followed for the whole horizon, of every customer or, in a log of more than
        `TRAINING_CUSTOMERS`, of every k-th (customers are numbered by a hash of their id, so
        that every k-th is a fair sample).
    present
        The last own contact of every customer who is still within the horizon: no label, scored.
    step
        That k.
    """
    scope = Scope.of(workspace, horizon)
    customers = int(workspace.manifest["counts"]["customers"])
    step = -(-customers // TRAINING_CUSTOMERS)
    labelled, present = [], []
    for file in workspace.bucket_files():
        described = describe_contacts(pl.read_parquet(file), scope)
        sampled = pl.col("followed") & (pl.col("customer") % step == seed % step)
        labelled.append(described.filter(sampled))
        present.append(described.filter(~pl.col("followed") & pl.col("latest")))
    return pl.concat(labelled), pl.concat(present), step


def say_days(length: timedelta) -> str:
    """Write a length of time in whole days, or in hours below two days."""
    days = length.total_seconds() / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
