"""Which customers now under way will fall silent, or go back a stage.

One penalised multinomial regression says at each contact what becomes of it. A customer who has
been silent for 25 of 30 days is nearly lost whatever the touchpoint: for the silence d since the
contact, S(d) being the share of the returning who took longer than d,

    P(silent | d) = P(silent) / (P(silent) + P(on) S_on(d) + P(back) S_back(d))
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from cxlib.contracts import DIMENSION
from cxlib.numbers import decimal, plural
from cxlib.prediction.contacts import CLASSES, NUMBERS, OUTCOMES
from cxlib.prediction.record import PREDICTED

if TYPE_CHECKING:
    from cxlib.store import Workspace

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
    if len(labelled) < MIN_LABELLED:
        return (
            f"{plural(len(labelled), 'contact')} were followed for {days}, fewer than "
            f"{decimal(MIN_LABELLED)}"
        )
    if not _enough(labelled):
        broken = int((labelled["outcome"] > 0).sum())
        return (
            f"after {decimal(broken)} of {plural(len(labelled), 'contact')} the journey "
            f"fragmented; {MIN_OUTCOMES} of either outcome are needed"
        )
    return None


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
    place = {
        c: pl.lit(workspace.places[c]).gather("place") for c in ("touchpoint", "channel", "stage")
    }
    names = workspace.customers().select("customer", "name").collect()
    return (
        known.join(names, on="customer", how="left", maintain_order="left")
        .select(
            customer="name",
            **place,
            occurred_at="occurred_at",
            silent_for="silent_for",
            risk=pl.Series(1 - shares[:, 0], dtype=pl.Float64),
            risk_now=pl.Series(1 - now[:, 0], dtype=pl.Float64),
        )
        .sort("risk_now", "customer", descending=[True, False])
    )


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
