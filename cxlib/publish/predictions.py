"""What could break next in a snapshot: predictions and their record, small groups protected.

For everybody only: a segment has too few arrivals in a period for a forecast of its own. The rules
are those of `cxlib.publish.small_groups`: counts of customers are multiples of k, shares and
excesses go in steps of k of the customers they rest on (of an excess: those of one span of time,
and not all who ever took the handoff), and what rests on fewer than k is left out. No customer's
own risk is ever written, and no instant: when the log begins tells when somebody came.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.publish.answers import NUMBER, read_answer, write_answers
from cxlib.publish.checks import check_numbers, check_texts
from cxlib.publish.rounding import smallest_shown
from cxlib.publish.small_groups import (
    Kind,
    Rule,
    protect,
    protect_customers,
    protect_effect,
    protect_number,
)

if TYPE_CHECKING:
    from cxlib.fragmentation import Arrivals
    from cxlib.prediction import Prediction
    from cxlib.store import Workspace

__all__ = ["NAME", "check_predictions", "read_predictions", "write_predictions"]

NAME = "predictions"

LABEL, CUSTOMERS, SHARE = Rule(Kind.LABEL), Rule(Kind.CUSTOMERS), Rule(Kind.SHARE)
_CHANCE = 0.1
_FRAMES = {"table": ("n",), "under_way": ("customers",), "record": ()}


def write_predictions(folder: Path, workspace: Workspace, *, k: int, until: datetime) -> None:
    """Predict, hold the predictions against the past, protect all of it, write it."""
    from cxlib.fragmentation import read_arrivals
    from cxlib.prediction import predict_breaks

    found = predict_breaks(workspace)
    frames = {
        "table": _protect_handoffs(found.table, read_arrivals(workspace), k=k),
        "under_way": _protect_under_way(found.under_way, k=k),
        "record": _protect_record(found.record, k=k),
    }
    given: dict[str, Any] = {
        f.name: getattr(found, f.name)
        for f in fields(found)
        if f.name not in ("where", "customers", *frames)
    }
    given |= {
        "customers_under_way": protect_number(found.customers_under_way, k, k=k),
        "observed_until": until,
    }
    for reason in ("handoff_reason", "customer_reason"):
        # some count contacts exactly; that there are too few of them is enough
        if any(sign.isdigit() for sign in given[reason] or ""):
            given[reason] = "the log is too short or too small"
    numbered = {n: f.with_columns(pl.lit(0, pl.UInt32).alias(NUMBER)) for n, f in frames.items()}
    write_answers(folder, NAME, numbered, [given])


def read_predictions(folder: Path) -> Prediction:
    """Read back the predictions of a snapshot.

    Raises
    ------
    WorkspaceError
        The snapshot was published without them.
    """
    from cxlib.prediction import Prediction
    from cxlib.summary import Selection

    if not (folder / f"{NAME}.json").is_file():
        raise WorkspaceError("this snapshot holds no predictions; publish again with them")
    found: Prediction = read_answer(folder, NAME, Prediction, 0, Selection())
    return found


def _protect_handoffs(table: pl.DataFrame, arrivals: Arrivals, *, k: int) -> pl.DataFrame:
    from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER

    keys = ["source_place", "target_place"]
    if table.is_empty():
        return table.select(c for c in table.columns if c not in keys)
    people = (
        arrivals.arrivals.group_by(source_place="source", target_place="target")
        .agg(pl.col("customers", "n").sum().cast(pl.Int64))
        .with_columns(each=pl.col("customers") / pl.col("n"))
        .drop("n")
        .cast(dict.fromkeys(keys, pl.Int64))
    )
    known = (
        table.join(people, on=keys, how="left", maintain_order="left")
        .with_columns(behind=(pl.col("n") * pl.col("each")).floor())
        .filter(pl.min_horizontal("customers", "behind") >= smallest_shown(k))
    )
    step = (k / protect_customers(pl.col("behind").cast(pl.Int64), k=k)).clip(0.005)
    base = MAX_PER_CUSTOMER * k
    arrived = (pl.col("n") / base).round() * base
    made = known.with_columns(
        n=pl.when(arrived >= 2 * k).then(arrived).cast(pl.Int64),
        **protect_effect("excess", step),
        chance=((pl.col("chance") / _CHANCE).round() * _CHANCE).round(2),
    )
    # as whoever reads the rounded numbers would say
    could = (pl.col("chance") > 0.5) & (pl.col("excess_low") > 0)
    return made.with_columns(could_break=could).select(c for c in table.columns if c not in keys)


def _protect_under_way(table: pl.DataFrame, *, k: int) -> pl.DataFrame:
    rules = dict.fromkeys(table.columns, LABEL) | {"customers": CUSTOMERS, "risk_now": SHARE}
    safe = protect(table, rules, customers="customers", k=k)
    return safe.filter(pl.col("customers").is_not_null())


def _protect_record(record: pl.DataFrame, *, k: int) -> pl.DataFrame:
    """Round what adds up over customers; handoffs are counted by the hundred arrivals.

    The dates are parts of the time from the first contact to the last: from several of them one
    could tell on what day the first customer came.
    """
    about_customers = pl.col("predicted").is_not_null() & (pl.col("about") != "handoffs")
    shares = ["predicted", "came"]
    rules = dict.fromkeys(record.columns, LABEL) | {"n": CUSTOMERS} | dict.fromkeys(shares, SHARE)
    month = record.with_columns(pl.col("at").dt.truncate("1mo"))
    customers = protect(month.filter(about_customers), rules, customers="n", k=k)
    numbers = ["error", "rival_error", "gain", "gain_low", "gain_high"]
    handoffs = month.filter(~about_customers).with_columns(pl.col(shares).round(2))
    # a customer adds at most 1 to a sum of squares over hundreds
    rounded = pl.concat([handoffs, customers]).with_columns(pl.col(numbers).round(2))
    return rounded.filter(pl.col("n").is_not_null())


def check_predictions(folder: Path, ids: pl.Series, *, k: int) -> str:
    """Look the predictions over as they lie on disk; return what was checked.

    Raises
    ------
    WorkspaceError
        A figure could tell on fewer than k customers, or a text is a customer's id.
    """
    for name, numbers in _FRAMES.items():
        frame = pl.read_parquet(folder / f"{NAME}.{name}.parquet")
        check_numbers(frame, numbers, name=f"{NAME}, {name}", k=k)
        check_texts(frame, ids, name=f"{NAME}, {name}")
        if any(isinstance(dtype, pl.Datetime) for dtype in frame.dtypes):
            raise WorkspaceError(
                f"{NAME}, {name}: an instant of a contact would be published; the snapshot is not "
                "served. This is a fault of cxlib: please report it."
            )
    return f"every prediction rests on at least {k} customers and is rounded as all figures are"
