"""Who was rated: every arrival, rated or not, by what came after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from cxlib.journeys import NO_STAGE
from cxlib.store.counting import rating_sums

AFTER = ("left", "turned back", "went on", "open")
"""What came after an arrival, in the order of its codes: silent for the whole silence; in touch
again, next at a lower stage or where they had come from; in touch again otherwise; neither yet at
the end of observation."""


def count_responses(
    followed: pl.DataFrame, *, keys: Sequence[str], silence: timedelta
) -> pl.DataFrame:
    """Count arrivals and their ratings by what came after them; empty where nobody was rated.

    ``n`` has also those who were not followed for the silence.
    """
    if followed["rating"].null_count() == len(followed):
        followed = followed.clear()
    again = (pl.col("return_after") <= silence).fill_null(False)
    known = (pl.col("stage") != NO_STAGE) & (pl.col("next_stage") != NO_STAGE)
    lower = known & (pl.col("next_stage") < pl.col("stage"))
    turned = (lower | (pl.col("next") == pl.col("source"))).fill_null(False)
    after = (
        pl.when(again & turned)
        .then(1)
        .when(again)
        .then(2)
        .when(pl.col("follow_up") >= silence)
        .then(0)
        .otherwise(3)
    )
    return (
        followed.lazy()
        .with_columns(after=after.cast(pl.UInt8))
        .group_by(keys)
        .agg(pl.len().cast(pl.Int64).alias("n"), *rating_sums())
        .collect()
    )
