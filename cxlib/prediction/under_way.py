"""Which customers now under way will fall silent, or go back a stage.

One penalised multinomial regression says at each contact what becomes of it. A customer who has
been silent for 25 of 30 days is nearly lost whatever the touchpoint: for the silence d since the
contact, S(d) being the share of the returning who took longer than d,

    P(silent | d) = P(silent) / (P(silent) + P(on) S_on(d) + P(back) S_back(d))
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from cxlib.contracts import DIMENSION
from cxlib.journeys import NO_STAGE
from cxlib.numbers import decimal, plural
from cxlib.prediction.record import PREDICTED
from cxlib.store import Workspace
from cxlib.store.walk import Scope, around, look_back, next_where

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


def read_contacts(workspace: Workspace, horizon: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read what can be learned from, and the last own contact of everybody still under way; of a
    log of more than `TRAINING_CUSTOMERS` every k-th is learned from.
    """
    step = -(-int(workspace.manifest["counts"]["customers"]) // TRAINING_CUSTOMERS)
    labelled, present = [], []
    for file in workspace.bucket_files():
        described = describe_contacts(pl.read_parquet(file), workspace, horizon)
        sampled = pl.col("followed") & (pl.col("customer") % step == 0)
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
        log_wait=_in_seconds(since).log1p(),
        log_age=_in_seconds(at - at.gather(journey_row)).log1p(),
        log_position=pl.col("position").cast(pl.Float64).log1p(),
        log_contacts=(row - first_row).cast(pl.Float64).log1p(),
        journeys=pl.col("journey") - pl.col("journey").gather(first_row),
        ping_pongs=_so_far(returned),
        turns_back=_so_far(within & placed & (stage < high)),
        below_high=pl.when(placed).then(high.cast(pl.Int32) - stage.cast(pl.Int32)).otherwise(0),
        hour=local.dt.hour(),
        weekday=local.dt.weekday(),
        latest=return_at.is_null(),
        return_after=_in_seconds(return_at - at),
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


def _in_seconds(length: pl.Expr) -> pl.Expr:
    return length.dt.total_microseconds() / 1e6


Floats = NDArray[np.float64]

SILENCE, HABIT = "their silence alone", "silence and past rate of the handoff"
"""What the prediction is held against."""

MIN_LABELLED = 1_000
"""Followed contacts below which no model is fitted."""

MIN_OUTCOMES = 50
"""Contacts after which journeys fragmented, and after which they went on, below which none is."""

MIN_TESTED = 200
"""Customers under way at a date below which it is not tested."""

_DATES = 4
_WEIGHT = 50.0
"""Contacts that the coarser rate counts for where a handoff's own is drawn to it."""


def why_not_learnable(labelled: pl.DataFrame, span: timedelta, horizon: timedelta) -> str | None:
    """Say why nothing can be learned from these contacts; None where it can."""
    days = f"{decimal(horizon.days)} days"
    if span < 2 * horizon:
        covered = span.total_seconds() / 86_400
        return (
            f"the log covers {covered:.0f} days, and to see what became of a contact takes {days}; "
            f"at least {decimal(2 * horizon.days)} days are needed"
        )
    contacts = plural(len(labelled), "contact")
    if len(labelled) < MIN_LABELLED:
        return f"{contacts} were followed for {days}, fewer than {decimal(MIN_LABELLED)}"
    broken = f"after {decimal(int((labelled['outcome'] > 0).sum()))} of {contacts} the journey"
    needed = f"{MIN_OUTCOMES} of either outcome are needed"
    return None if _enough(labelled) else f"{broken} fragmented; {needed}"


def _enough(labelled: pl.DataFrame) -> bool:
    broken = int((labelled["outcome"] > 0).sum())
    return len(labelled) >= MIN_LABELLED and MIN_OUTCOMES <= broken <= len(labelled) - MIN_OUTCOMES


def fit_risk(labelled: pl.DataFrame) -> Any:
    """Fit what becomes of a contact; handoffs and other classes that are rare count as one."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = OneHotEncoder(
        min_frequency=20, max_categories=300, handle_unknown="infrequent_if_exist"
    )
    columns = make_column_transformer(
        (encoder, _classes(labelled)), (StandardScaler(), list(NUMBERS))
    )
    model = make_pipeline(columns, LogisticRegression(C=0.3, max_iter=2_000, tol=1e-3))
    return model.fit(_features(labelled), labelled["outcome"].to_numpy())


def predict_shares(model: Any, contacts: pl.DataFrame) -> Floats:
    """Probabilities ``[contacts, 3]`` of `OUTCOMES`, at the contact."""
    found = np.zeros((len(contacts), len(OUTCOMES)))
    if len(contacts):
        found[:, model.classes_.astype(np.int64)] = model.predict_proba(_features(contacts))
    return found


def _classes(contacts: pl.DataFrame) -> list[str]:
    return [*CLASSES, *(name for name in contacts.columns if name.startswith(DIMENSION))]


def _features(contacts: pl.DataFrame) -> pl.DataFrame:
    words, codes = cs.by_name(_classes(contacts)) & cs.string(), cs.by_name(_classes(contacts))
    return contacts.select(
        # whole numbers: classes are told apart a hundred times faster than as words
        (codes - words).cast(pl.Int64).fill_null(-1),
        words.fill_null("").hash().reinterpret(signed=True),
        pl.col(NUMBERS).cast(pl.Float64).fill_null(0.0),
    )


def update_for_silence(shares: Floats, silent_for: Floats, labelled: pl.DataFrame) -> Floats:
    """Probabilities of the outcomes, given that nothing was heard for ``silent_for`` seconds.

    How long those take who go on or go back is taken from the labelled contacts.
    """
    still = shares.copy()
    for outcome in (0, 2):
        times = labelled.filter(pl.col("outcome") == outcome)["return_after"].sort().to_numpy()
        later = len(times) - np.searchsorted(times, silent_for, side="right")
        # half a customer keeps a share from becoming exactly 0
        still[:, outcome] *= (later + 0.5) / (len(times) + 0.5)
    total = still.sum(1, keepdims=True)
    return np.divide(still, total, out=np.zeros_like(still), where=total > 0)


def past_rate(train: pl.DataFrame, test: pl.DataFrame) -> Floats:
    """The handoff's own share in training, drawn towards its touchpoint's, and that to the mean.

    What a table of past drop-off rates would predict: the same as before.
    """
    broken = (pl.col("outcome") > 0).cast(pl.Float64)
    rate = pl.lit(train.select(broken.mean()).item(), pl.Float64)
    frame = test.select("place", "handoff")
    for key in ("place", "handoff"):
        counted = train.group_by(key).agg(n=pl.len(), s=broken.sum())
        frame = frame.join(counted, on=key, how="left", maintain_order="left")
        s, n = pl.col("s").fill_null(0), pl.col("n").fill_null(0)
        frame = frame.with_columns(rate=(s + _WEIGHT * rate) / (n + _WEIGHT)).drop("n", "s")
        rate = pl.col("rate")
    return frame["rate"].to_numpy()


def score_under_way(
    present: pl.DataFrame, model: Any, labelled: pl.DataFrame, workspace: Workspace
) -> pl.DataFrame:
    """One row per customer under way: where they are, their risk at the contact and now."""
    known = present.with_columns(silent_for=workspace.observed_until - pl.col("occurred_at"))
    shares = predict_shares(model, known)
    now = update_for_silence(shares, _seconds(known), labelled)
    names = workspace.customers().select("customer", "name").collect()
    named = known.join(names, on="customer", how="left", maintain_order="left").select(
        pl.col("name").alias("customer"),
        *(pl.lit(workspace.places[c]).gather("place") for c in ("touchpoint", "channel", "stage")),
        "occurred_at",
        "silent_for",
        risk=pl.Series(1 - shares[:, 0], dtype=pl.Float64),
        risk_now=pl.Series(1 - now[:, 0], dtype=pl.Float64),
    )
    return named.sort("risk_now", "customer", descending=[True, False])


def replay_under_way(
    labelled: pl.DataFrame, *, horizon: timedelta, until: datetime
) -> pl.DataFrame:
    """Predict, as of past dates, which customers under way then fragment; three ways.

    A model learns from contacts whose label windows end before the date (the embargo).
    """
    found = []
    for back in range(_DATES, 0, -1):
        at = until - horizon * (back + 1)
        train = labelled.filter(pl.col("occurred_at") < at - horizon)
        present = find_under_way(labelled, at, horizon)
        if len(present) < MIN_TESTED or not _enough(train):
            continue
        counts = np.bincount(train["outcome"].to_numpy(), minlength=3).astype(np.float64)
        silent = counts[1] / (counts[1] + counts[2])
        habit = past_rate(train, present)
        ways = {
            "predicted": predict_shares(fit_risk(train), present),
            SILENCE: np.tile(counts / counts.sum(), (len(present), 1)),
            HABIT: np.column_stack([1 - habit, habit * silent, habit * (1 - silent)]),
        }
        since = _seconds(present.with_columns(silent_for=pl.lit(at) - pl.col("occurred_at")))
        now = {name: 1 - update_for_silence(p, since, train)[:, 0] for name, p in ways.items()}
        found.append(
            present.select(
                at=pl.lit(at.date()),
                bucket=pl.col("bucket").cast(pl.Int64),
                weight=pl.lit(1.0),
                came=(pl.col("outcome") > 0).cast(pl.Float64),
                **{name: pl.Series(p, dtype=pl.Float64) for name, p in now.items()},
            )
        )
    schema = PREDICTED | dict.fromkeys((SILENCE, HABIT), pl.Float64)
    return pl.concat(found) if found else pl.DataFrame(schema=schema)


def find_under_way(labelled: pl.DataFrame, at: datetime, horizon: timedelta) -> pl.DataFrame:
    """Give the contacts that were the latest of their customers at a date, within the horizon."""
    instant = pl.col("occurred_at")
    returned = instant + pl.duration(microseconds=pl.col("return_after") * 1e6)
    return labelled.filter(
        (instant < at) & (instant > at - horizon) & (returned >= at).fill_null(True)
    )


def _seconds(frame: pl.DataFrame) -> Floats:
    return frame["silent_for"].dt.total_microseconds().to_numpy() / 1e6
