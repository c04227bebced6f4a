"""What could break next in a snapshot: forecasts and their backtest, small groups protected.

For everybody only: a segment has too few arrivals in a period for a forecast of its own. The rules
are those of `cxlib.publish.small_groups`: counts of customers are multiples of k, shares and
excesses go in steps of k of the customers they rest on (of an excess: those of one span of time,
and not all who ever took the handoff), and what rests on fewer than k is left out. No customer's
own risk is ever written, and no instant: when the log begins tells when somebody came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
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
    from cxlib.fragmentation import Arrivals, Backtest, HandoffForecast, JourneyRisk
    from cxlib.store import Workspace
    from cxlib.summary import Selection

__all__ = ["NAME", "Predictions", "check_predictions", "read_predictions", "write_predictions"]

NAME = "predictions"

LABEL, CUSTOMERS, SHARE = Rule(Kind.LABEL), Rule(Kind.CUSTOMERS), Rule(Kind.SHARE)
_CHANCE = 0.1
_FRAMES = ("handoffs", "touchpoints", "by_risk", "under_way", "overlap")


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What `Snapshot.predictions` returns.

    Attributes
    ----------
    handoffs
        ``source``, ``target``, ``source_channel``, ``target_channel``, ``stage``, ``owner``,
        ``customers`` (who ever took it), ``n`` (arrivals to expect in the next period; null where
        few), ``excess`` with ``_low`` and ``_high`` (over like handoffs, share of arrivals, 95 %),
        ``chance`` (of more than 5 points, in steps of 10 %), ``could_break`` (above one half).
    touchpoints
        Where customers now under way stand: ``touchpoint``, ``channel``, ``stage``, ``customers``,
        ``risk_now`` (share of them expected to fall silent or to go back a stage).
    by_risk
        ``at_least``, ``below`` (risk now), ``customers`` under way.
    under_way
        Backtest of these customers, one row per date and one for all (``fold`` "all"): ``at``
        (first day of its month), ``customers``, ``predicted``, ``fragmented`` (shares), ``brier``,
        and ``skill`` with ``_low`` and ``_high`` (by how much it is better than going by their
        silence alone).
    overlap
        Backtest of the handoffs by ``method``: ``hits`` of the ``of`` worst that were named, what
        ``by_chance`` would be, ``rmse`` of the sizes (null for rankings), and ``forecast_is``: how
        the forecast names them compared with this method (in its own row: with chance), "better",
        "worse" or "alike" beyond chance; null where there is nothing to compare.
    signal
        What the handoffs are forecast for.
    horizon
        Silence that counts as having left.
    customers
        Customers now under way.
    handoff_reason, reason
        Why there is no forecast of handoffs, or of customers; None where there is one.
    observed_until
        End of observation, UTC.
    """

    handoffs: pl.DataFrame
    touchpoints: pl.DataFrame
    by_risk: pl.DataFrame
    under_way: pl.DataFrame
    overlap: pl.DataFrame
    signal: str
    horizon: timedelta
    customers: int
    handoff_reason: str | None
    reason: str | None
    observed_until: datetime
    where: Selection | None = None


def write_predictions(folder: Path, workspace: Workspace, *, k: int, until: datetime) -> None:
    """Predict, hold the predictions against the past, protect all of it, write it."""
    from cxlib.fragmentation import (
        backtest_risk,
        predict_handoffs,
        predict_journey_risk,
        read_arrivals,
    )

    arrivals = read_arrivals(workspace)
    handoffs, risk = predict_handoffs(arrivals), predict_journey_risk(workspace)
    test = backtest_risk(workspace, signal=handoffs.signal)
    frames = {
        "handoffs": _protect_handoffs(handoffs, arrivals, k=k),
        "touchpoints": _protect_touchpoints(risk, k=k),
        "by_risk": _protect_bands(risk, k=k),
        "under_way": _protect_under_way(test, k=k),
        "overlap": _judge_rankings(test.overlap),
    }
    others: dict[str, Any] = {
        "signal": handoffs.signal,
        "horizon": risk.horizon,
        "customers": protect_number(len(risk.table), k, k=k),
        # the reasons count contacts exactly; that there are too few of them is enough
        "handoff_reason": None if handoffs.reason is None else "the log is too short or too small",
        "reason": None if risk.reason is None else "the log is too short or too small",
        "observed_until": until,
    }
    numbered = {
        name: f.with_columns(pl.lit(0, pl.UInt32).alias(NUMBER)) for name, f in frames.items()
    }
    write_answers(folder, NAME, numbered, [others])


def read_predictions(folder: Path) -> Predictions:
    """Read back the predictions of a snapshot.

    Raises
    ------
    WorkspaceError
        The snapshot was published without them.
    """
    from cxlib.summary import Selection

    if not (folder / f"{NAME}.json").is_file():
        raise WorkspaceError("this snapshot holds no predictions; publish again with them")
    found: Predictions = read_answer(folder, NAME, Predictions, 0, Selection())
    return found


def _protect_handoffs(found: HandoffForecast, arrivals: Arrivals, *, k: int) -> pl.DataFrame:
    from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER

    keys = ["source_place", "target_place"]
    people = (
        arrivals.arrivals.group_by(source_place="source", target_place="target")
        .agg(pl.col("customers", "n").sum().cast(pl.Int64))
        .with_columns(each=pl.col("customers") / pl.col("n"))
        .drop("n")
        .cast(dict.fromkeys(keys, pl.Int64))
    )
    # Its own customers are cases beyond like handoffs: no number of people.
    table = (
        found.table.drop("customers")
        .join(people, on=keys, how="left", maintain_order="left")
        .with_columns(behind=(pl.col("n") * pl.col("each")).floor())
        .filter(pl.min_horizontal("customers", "behind") >= smallest_shown(k))
    )
    step = (k / protect_customers(pl.col("behind").cast(pl.Int64), k=k)).clip(0.005)
    chance = ((pl.col("chance") / _CHANCE).round() * _CHANCE).round(2)
    base = MAX_PER_CUSTOMER * k
    arrived = (pl.col("n") / base).round() * base
    return table.select(
        *("source", "target", "source_channel", "target_channel", "stage", "owner"),
        customers=protect_customers(pl.col("customers"), k=k),
        n=pl.when(arrived >= 2 * k).then(arrived).cast(pl.Int64),
        **protect_effect("excess", step),
        chance=chance,
        could_break=chance > 0.5,
    )


def _protect_touchpoints(risk: JourneyRisk, *, k: int) -> pl.DataFrame:
    keys = ["touchpoint", "channel", "stage"]
    table = (
        risk.handoffs.group_by(keys)
        .agg(pl.col("customers").sum(), pl.col("expected").sum())
        .with_columns(risk_now=pl.col("expected") / pl.col("customers"))
        .sort("expected", *keys, descending=[True, *[False] * 3])
        .drop("expected")
    )
    rules = {**dict.fromkeys(keys, LABEL), "customers": CUSTOMERS, "risk_now": SHARE}
    safe = protect(table, rules, customers="customers", k=k)
    return safe.filter(pl.col("customers").is_not_null())


def _protect_bands(risk: JourneyRisk, *, k: int) -> pl.DataFrame:
    table = risk.by_risk.select("at_least", "below", "customers")
    rules = {"at_least": LABEL, "below": LABEL, "customers": CUSTOMERS}
    return protect(table, rules, customers="customers", k=k)


def _protect_under_way(test: Backtest, *, k: int) -> pl.DataFrame:
    scores = ["brier", "skill", "skill_low", "skill_high"]
    columns = ["fold", "at", "customers", "predicted", "fragmented", *scores]
    if test.under_way.is_empty():
        schema: dict[str, Any] = dict.fromkeys(columns, pl.Float64)
        schema |= {"fold": pl.String, "at": pl.Date, "customers": pl.Int64}
        return pl.DataFrame(schema=schema)
    # the dates are parts of the time from the first contact to the last: from several of them one
    # could tell on what day the first customer came
    table = test.under_way.select(columns).cast({"customers": pl.Int64, "at": pl.Date})
    table = table.with_columns(pl.col("at").dt.truncate("1mo"))
    rules = {"fold": LABEL, "at": LABEL, "customers": CUSTOMERS}
    rules |= {"predicted": SHARE, "fragmented": SHARE} | dict.fromkeys(scores, LABEL)
    safe = protect(table, rules, customers="customers", k=k)
    # a customer adds at most 1 to a sum of squares over hundreds
    known = pl.col("customers").is_not_null()
    return safe.with_columns(pl.when(known).then(pl.col(name).round(2)) for name in scores)


def _judge_rankings(overlap: pl.DataFrame) -> pl.DataFrame:
    """Say of every way to name handoffs whether the forecast does it better, beyond chance."""
    from cxlib.fragmentation.replay_handoffs import FORECAST

    ours = overlap.filter(pl.col("method") == FORECAST)["hits"]
    hits = pl.lit(ours.item() if len(ours) else None, pl.Float64)
    is_ours = pl.col("method") == FORECAST
    rival = pl.when(is_ours).then("by_chance").otherwise(pl.col("hits").cast(pl.Float64))
    # of the named at most ours + theirs can differ, and each is a coin toss by chance
    noise = 1.96 * (rival + pl.when(is_ours).then(0.0).otherwise(hits)).sqrt()
    apart = hits - rival
    said = pl.when(apart > noise).then(pl.lit("better")).when(apart < -noise).then(pl.lit("worse"))
    return overlap.select(
        "method",
        "hits",
        "of",
        pl.col("by_chance").round(1),
        pl.col("rmse").round(3),
        forecast_is=pl.when(rival.is_not_null()).then(said.otherwise(pl.lit("alike"))),
    )


def check_predictions(folder: Path, ids: pl.Series, *, k: int) -> str:
    """Look the predictions over as they lie on disk; return what was checked.

    Raises
    ------
    WorkspaceError
        A figure could tell on fewer than k customers, or a text is a customer's id.
    """
    for name in _FRAMES:
        frame = pl.read_parquet(folder / f"{NAME}.{name}.parquet")
        check_numbers(frame, ("customers", "n"), name=f"{NAME}, {name}", k=k)
        check_texts(frame, ids, name=f"{NAME}, {name}")
        if any(isinstance(dtype, pl.Datetime) for dtype in frame.dtypes):
            raise WorkspaceError(
                f"{NAME}, {name}: an instant of a contact would be published; the snapshot is not "
                "served. This is a fault of cxlib: please report it."
            )
    return f"every prediction rests on at least {k} customers and is rounded as all figures are"
