"""Predictions held against what came: how much closer they were than going by the past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Amount, Columns, Count, Day, Label, Share
from cxlib.statistics.rates import mean_interval
from cxlib.statistics.resampling import (
    BUCKETS,
    Counts,
    Estimates,
    dense_counts,
    effective_buckets,
    jackknife,
)

PREDICTED: dict[str, Any] = {"at": pl.Date, "bucket": pl.Int64}
PREDICTED |= dict.fromkeys(("weight", "came", "predicted"), pl.Float64)
"""Columns of predictions made again: the date, the bucket of the customer or handoff (these are
independent of one another), what it weighs, what came, and what had been predicted."""

RECORD = Columns(
    "one row per date and rival, and one for all dates (`at` null)",
    about=Label("handoffs, or customers under way"),
    at=Day("when it was predicted"),
    rival=Label("what it is held against", heading="held against"),
    n=Count("predictions", heading="predicted"),
    predicted=Share("mean of the predictions"),
    came=Share("mean of what came"),
    error=Amount("mean squared error; of customers the Brier score"),
    rival_error=Amount("the same of the rival"),
    gain=Share("1 - error / error of the rival", heading="closer by", interval=True),
)


def hold_against(made: pl.DataFrame, about: str) -> pl.DataFrame:
    """Compare predictions with every rival (further columns), at each date and over all."""
    rivals = [name for name in made.columns if name not in PREDICTED]
    dates: Sequence[object] = made["at"].unique().sort().to_list()
    rows = []
    for at in [*dates, None] if dates else []:
        part = made if at is None else made.filter(pl.col("at") == at)
        means = part.select(
            ((pl.col("weight") * pl.col(c)).sum() / pl.col("weight").sum()).alias(c)
            for c in ("predicted", "came")
        ).row(0)
        losses = [_losses(part, name) for name in ("predicted", *rivals)]
        whole = part["weight"].sum()
        for rival, theirs in zip(rivals, losses[1:], strict=True):
            gain, se = jackknife(np.stack([losses[0], theirs], axis=-1), _skill)
            buckets = effective_buckets(_losses(part, None))
            low, high = mean_interval(gain, se, buckets=buckets)
            rows.append(
                {
                    "about": about, "at": at, "rival": rival, "n": len(part),
                    "predicted": means[0], "came": means[1],
                    "error": losses[0].sum() / whole, "rival_error": theirs.sum() / whole,
                    "gain": gain[0], "gain_low": low[0], "gain_high": high[0],
                }
            )  # fmt: skip
    return RECORD.frame(rows)


def _losses(part: pl.DataFrame, name: str | None) -> Counts:
    """Squared errors by bucket; the weights themselves where no prediction is named."""
    off = pl.lit(1.0) if name is None else (pl.col(name) - pl.col("came")) ** 2
    values = part.select(pl.col("weight") * off).to_series()
    return dense_counts({"bucket": (part["bucket"], BUCKETS)}, values)[None, :]


def _skill(sums: Counts) -> Estimates:
    return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1e-12)


def why_not_told(record: pl.DataFrame) -> str | None:
    """Say why a prediction is not worth telling by its record; None where it is.

    It has to be closer to what came than every rival, by more than chance.
    """
    total = record.filter(pl.col("at").is_null())
    if total.is_empty():
        return "it cannot be held against what came: the log is too short or too small for that"
    beaten = total["gain_low"].fill_nan(None).fill_null(0.0) > 0
    rivals = total.filter(~beaten)["rival"].to_list()
    if not rivals:
        return None
    return f"at past dates forecasts were not clearly better than {' or '.join(rivals)}"
