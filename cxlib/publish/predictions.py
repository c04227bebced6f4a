"""What could break next in a snapshot, for everybody: small groups protected.

Excesses rest on the customers of one span of time, not on all who ever took the handoff. Neither a
customer's own risk is written nor an instant: when the log begins tells when somebody came.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

import polars as pl

from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER, read_arrivals
from cxlib.columns import Columns, Customers, Label, Share
from cxlib.prediction import Prediction, predict_breaks
from cxlib.publish.answers import NUMBER
from cxlib.publish.rounding import in_steps, protect_number, smallest_shown, steps_of_shares
from cxlib.publish.small_groups import protect
from cxlib.store import Workspace

NAME = "predictions"

_CHANCE = 0.1


def protect_predictions(
    workspace: Workspace, *, k: int, until: datetime
) -> tuple[dict[str, pl.DataFrame], list[dict[str, Any]]]:
    """Predict, hold the predictions against the past, protect all of it."""
    found = predict_breaks(workspace)
    under_way = protect(found.under_way, Prediction.tables["under_way"], k=k)
    frames = {
        "table": _protect_handoffs(workspace, found.table, k=k),
        "under_way": under_way.filter(pl.col("customers").is_not_null()),
        "record": _protect_record(found.record, k=k),
    }
    given: dict[str, Any] = {f.name: getattr(found, f.name) for f in fields(found)}
    for name in ("where", "customers", *frames):
        del given[name]
    given["customers_under_way"] = protect_number(found.customers_under_way, k, k=k)
    given["observed_until"] = until
    for reason in ("handoff_reason", "customer_reason"):
        # some count contacts exactly; that there are too few of them is enough
        if any(sign.isdigit() for sign in given[reason] or ""):
            given[reason] = "the log is too short or too small"
    everybody = pl.lit(0, pl.UInt32).alias(NUMBER)
    return {name: frame.with_columns(everybody) for name, frame in frames.items()}, [given]


def _protect_handoffs(workspace: Workspace, table: pl.DataFrame, *, k: int) -> pl.DataFrame:
    keys = ["source_place", "target_place"]
    if table.is_empty():
        return table.drop(keys, strict=False)
    people = (
        read_arrivals(workspace)
        .arrivals.group_by(source_place="source", target_place="target")
        .agg(pl.col("customers", "n").sum().cast(pl.Int64))
        .cast(dict.fromkeys(keys, pl.Int64))
        .select(*keys, "customers", each=pl.col("customers") / pl.col("n"))
    )
    known = (
        table.join(people, on=keys, how="left", maintain_order="left")
        .with_columns(behind=(pl.col("n") * pl.col("each")).floor())
        .filter(pl.min_horizontal("customers", "behind") >= smallest_shown(k))
    )
    base = MAX_PER_CUSTOMER * k
    arrived = (pl.col("n") / base).round() * base
    made = known.with_columns(
        n=pl.when(arrived >= 2 * k).then(arrived).cast(pl.Int64),
        chance=((pl.col("chance") / _CHANCE).round() * _CHANCE).round(2),
        **in_steps(
            "excess",
            ("excess_low", "excess_high"),
            steps_of_shares(pl.col("behind").cast(pl.Int64), k=k),
        ),
    )
    # as whoever reads the rounded numbers would say
    could = (pl.col("chance") > 0.5) & (pl.col("excess_low") > 0)
    return made.with_columns(could_break=could).select(c for c in table.columns if c not in keys)


def _protect_record(record: pl.DataFrame, *, k: int) -> pl.DataFrame:
    """Round what adds up over customers; handoffs are counted by the hundred arrivals.

    Dates are parts of the time from the first contact on: several would tell its day.
    """
    shares = dict.fromkeys(("predicted", "came"), Share("mean"))
    numbers = ("error", "rival_error", "gain", "gain_low", "gain_high")
    names = dict.fromkeys(("about", "at", "rival", *numbers), Label("of the record"))
    month = record.with_columns(pl.col("at").dt.truncate("1mo"))
    about_customers = pl.col("predicted").is_not_null() & (pl.col("about") != "handoffs")
    columns = Columns(**names, n=Customers("predictions"), **shares)
    customers = protect(month.filter(about_customers), columns, k=k)
    handoffs = month.filter(~about_customers).with_columns(pl.col(*shares).round(2))
    # a customer adds at most 1 to a sum of squares over hundreds
    rounded = pl.concat([handoffs, customers]).with_columns(pl.col(numbers).round(2))
    return rounded.filter(pl.col("n").is_not_null())
