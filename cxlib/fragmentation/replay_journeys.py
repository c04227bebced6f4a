"""Journeys predicted again at past dates, from what was known then, and held against what came.

Two questions are replayed at every date T. Of contacts after T: what becomes of each of them, said
at the contact (`JourneyTest.predictions`). Of customers under way at T: who of them fragments, said
at T, when some had been silent for weeks (`JourneyTest.under_way`). Models are learned from
contacts before T minus the horizon: their label windows end before T (the embargo).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.fragmentation.risk import (
    MIN_LABELLED,
    MIN_OUTCOMES,
    RiskModel,
    calibration_error,
    choose_model,
    update_for_silence,
)
from cxlib.results import interval_columns
from cxlib.statistics.rates import Interval, mean_interval, rate, ratio
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    Estimates,
    dense_counts,
    effective_buckets,
    jackknife,
)

Floats = NDArray[np.float64]

MIN_TESTED = 200
"""Contacts after a date below which it is not tested."""

_GROUPS = 10
PREDICTIONS = {
    "fold": pl.Int64,
    "bucket": pl.Int64,
    "customer": pl.UInt32,
    "fragmented": pl.Float64,
    "risk": pl.Float64,
    "base": pl.Float64,
    "habit": pl.Float64,
}
"""Columns of predictions: what came (1: fragmented), and what three ways of predicting said."""


@dataclass(frozen=True, slots=True, eq=False)
class JourneyTest:
    """Predictions made at one date, with the columns of `PREDICTIONS`.

    Attributes
    ----------
    start, end
        The date, and the end of the test window, UTC.
    trained_on, model
        Contacts learned from, and the kind of model.
    predictions
        One row per contact of the window, predicted at the contact.
    under_way
        One row per customer under way at ``start``, predicted then (``base``: from the silence
        alone; ``habit``: from the silence and the past rate of the handoff).
    """

    start: datetime
    end: datetime
    trained_on: int
    model: str
    predictions: pl.DataFrame
    under_way: pl.DataFrame


def replay_journeys(
    labelled: pl.DataFrame, *, horizon: timedelta, folds: int, seed: int = 0
) -> list[JourneyTest]:
    """Learn before T minus the embargo, predict the contacts of the window after T; several T.

    The windows are the last sixth to half of the time with labels (one sixth each, at most half
    in all); dates with too little before or after them are left out.
    """
    first: datetime = labelled["occurred_at"].min()  # type: ignore[assignment]
    last: datetime = labelled["occurred_at"].max()  # type: ignore[assignment]
    width = min((last - first) / 6, (last - first) / (2 * folds))
    tests = []
    for fold in range(folds):
        start = last - (folds - fold) * width
        end = start + width
        instant = pl.col("occurred_at")
        train = labelled.filter(instant < start - horizon)
        newest = fold == folds - 1
        test = labelled.filter(
            (instant >= start) & ((instant <= end) if newest else (instant < end))
        )
        broken = int((train["outcome"] > 0).sum())
        if (
            len(train) < MIN_LABELLED
            or len(test) < MIN_TESTED
            or min(broken, len(train) - broken) < MIN_OUTCOMES
        ):
            continue
        model, _ = choose_model(train, horizon=horizon, seed=seed)
        predictions = _predictions(
            test,
            fold + 1,
            risk=1 - model.predict(test)[:, 0],
            base=np.full(len(test), broken / len(train)),
            habit=past_rate(train, test),
        )
        waiting = _predict_under_way(labelled, train, model, fold + 1, start, horizon)
        tests.append(JourneyTest(start, end, len(train), model.kind, predictions, waiting))
    return tests


def find_under_way(labelled: pl.DataFrame, at: datetime, horizon: timedelta) -> pl.DataFrame:
    """Give the contacts that were the latest of their customers at a date, within the horizon."""
    instant = pl.col("occurred_at")
    returned = instant + pl.duration(microseconds=pl.col("return_after") * 1e6)
    return labelled.filter(
        (instant < at) & (instant > at - horizon) & (returned >= at).fill_null(True)
    )


def _predict_under_way(
    labelled: pl.DataFrame,
    train: pl.DataFrame,
    model: RiskModel,
    fold: int,
    at: datetime,
    horizon: timedelta,
) -> pl.DataFrame:
    """Predict, as of a date, which customers under way fragment, in three ways."""
    present = find_under_way(labelled, at, horizon)
    elapsed = (pl.lit(at) - pl.col("occurred_at")).dt.total_microseconds() / 1e6
    silent_for = present.select(d=elapsed)["d"].to_numpy()
    counts = np.bincount(train["outcome"].to_numpy(), minlength=3).astype(np.float64)
    silent = counts[1] / max(counts[1] + counts[2], 1.0)

    def now(shares: Floats) -> Floats:
        return 1 - update_for_silence(shares, silent_for, train)[:, 0]

    past = past_rate(train, present)
    return _predictions(
        present,
        fold,
        risk=now(model.predict(present)),
        base=now(np.tile(counts / counts.sum(), (len(present), 1))),
        habit=now(np.column_stack([1 - past, past * silent, past * (1 - silent)])),
    )


def _predictions(
    test: pl.DataFrame, fold: int, *, risk: Floats, base: Floats, habit: Floats
) -> pl.DataFrame:
    return test.select(
        fold=pl.lit(fold, pl.Int64),
        bucket=pl.col("bucket").cast(pl.Int64),
        customer="customer",
        fragmented=(pl.col("outcome") > 0).cast(pl.Float64),
        risk=pl.Series(risk, dtype=pl.Float64),
        base=pl.Series(base, dtype=pl.Float64),
        habit=pl.Series(habit, dtype=pl.Float64),
    )


def past_rate(train: pl.DataFrame, test: pl.DataFrame, *, weight: float = 50.0) -> Floats:
    """The handoff's own share in training, drawn towards its touchpoint's, and that to the mean.

    What a table of past drop-off rates would predict; ``weight`` is the number of contacts that
    the coarser rate counts for.
    """
    broken = (pl.col("outcome") > 0).cast(pl.Float64)
    mean = float(train.select(broken.mean()).item())
    at = train.group_by("place").agg(n=pl.len(), s=broken.sum())
    at = at.select("place", place_rate=(pl.col("s") + weight * mean) / (pl.col("n") + weight))
    pair = train.group_by("source", "place").agg(n=pl.len(), s=broken.sum())
    joined = (
        test.select("source", "place")
        .join(at, on="place", how="left", maintain_order="left")
        .join(pair, on=["source", "place"], how="left", maintain_order="left")
        .with_columns(pl.col("place_rate").fill_null(mean), pl.col("n", "s").fill_null(0))
    )
    shares = joined.select(p=(pl.col("s") + weight * pl.col("place_rate")) / (pl.col("n") + weight))
    return shares["p"].to_numpy().astype(np.float64)


def score_tests(tests: Sequence[JourneyTest]) -> pl.DataFrame:
    """One row per test and one for all: contacts predicted at the contact (see `Backtest`)."""
    rows = [(str(i), [t]) for i, t in enumerate(tests, start=1)]
    rows += [("all", list(tests))] if tests else []
    frames = [
        pl.DataFrame(
            {
                "fold": [name],
                "from": [part[0].start],
                "until": [part[-1].end],
                "trained_on": [part[-1].trained_on],
                "contacts": [sum(len(t.predictions) for t in part)],
                "model": [", ".join(sorted({t.model for t in part}))],
            }
        ).hstack(score(pl.concat([t.predictions for t in part])))
        for name, part in rows
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def score_under_way(tests: Sequence[JourneyTest]) -> pl.DataFrame:
    """One row per date and one for all: customers under way then (see `Backtest`)."""
    asked = [t for t in tests if len(t.under_way) >= MIN_TESTED]
    rows = [(str(i), [t]) for i, t in enumerate(asked, start=1)]
    rows += [("all", asked)] if asked else []
    frames = [
        pl.DataFrame({"fold": [name], "at": [part[0].start]}).hstack(
            score(pl.concat([t.under_way for t in part]))
        )
        for name, part in rows
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def score(predictions: pl.DataFrame) -> pl.DataFrame:
    """Give one row: what was predicted, what came, and how far apart the two were."""
    row = predictions.select(
        customers=pl.col("customer").n_unique(),
        base_rate=pl.col("base").mean(),
        fragmented=pl.col("fragmented").mean(),
        predicted=pl.col("risk").mean(),
    ).with_columns(calibration_error=pl.lit(_calibration_error(predictions)))
    return row.with_columns(
        *(
            column
            for name, interval in brier_scores(predictions).items()
            for column in interval_columns(name, interval).values()
        )
    )


def _calibration_error(predictions: pl.DataFrame) -> float:
    return calibration_error(
        predictions["fragmented"].to_numpy(), predictions["risk"].to_numpy(), groups=_GROUPS
    )


def brier_scores(predictions: pl.DataFrame) -> dict[str, Interval]:
    """Brier score, skill against the base rate and gain over the past rate, over customers."""
    y = predictions["fragmented"].to_numpy()
    bucket = predictions["bucket"].to_numpy()

    def losses(column: str) -> Counts:
        values = (predictions[column].to_numpy() - y) ** 2
        return dense_counts({"bucket": (bucket, BUCKETS)}, values)[None, :]

    n = dense_counts({"bucket": (bucket, BUCKETS)}, np.ones(len(y)))[None, :]
    ours = losses("risk")
    return {
        "brier": ratio(ours, n),
        "skill": _one_minus(ours, losses("base"), n),
        "gain": _one_minus(ours, losses("habit"), n),
    }


def _one_minus(ours: Counts, theirs: Counts, n: Counts) -> Interval:
    def skill(sums: Counts) -> Estimates:
        return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1e-12)

    estimate, se = jackknife(np.stack([ours, theirs], axis=-1), skill)
    low, high = mean_interval(estimate, se, buckets=effective_buckets(n))
    return Interval(estimate, low, high, se)


def calibration_table(predictions: pl.DataFrame, *, groups: int = _GROUPS) -> pl.DataFrame:
    """Predicted and observed share in groups of equally many predictions (see `Backtest`)."""
    order = np.argsort(predictions["risk"].to_numpy(), kind="stable")
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.arange(len(order)) * groups // max(len(order), 1)
    bucket = predictions["bucket"].to_numpy()
    axes = {"group": (group, groups), "bucket": (bucket, BUCKETS)}
    n = dense_counts(axes, np.ones(len(order)))
    broken = dense_counts(axes, predictions["fragmented"].to_numpy())
    summed = np.bincount(group, predictions["risk"].to_numpy(), minlength=groups)
    observed = rate(broken, n)
    table = pl.DataFrame(
        {
            "group": np.arange(1, groups + 1),
            "contacts": n.sum(1).astype(np.int64),
            "predicted": summed / np.maximum(n.sum(1), 1),
            **interval_columns("observed", observed),
        }
    ).filter(pl.col("contacts") > 0)
    within = pl.col("predicted").is_between(pl.col("observed_low"), pl.col("observed_high"))
    return table.with_columns(inside=within)
