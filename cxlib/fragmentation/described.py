"""The signals that describe the whole log; nothing here is a finding.

`describe_signals` gives effort, disorder, identity breaks and the deviation from the plan, shares
with an interval over customers, or the reason why one cannot be measured. The other signals are
judged, place by place, by `cxlib.fragmentation.measure_fragmentation`, and every planned handoff is
measured by `cxlib.opportunities.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.arrivals.links import LEAST_LINKED, estimate_linked
from cxlib.journeys import NO_STAGE
from cxlib.store.walk import around

if TYPE_CHECKING:
    from cxlib.store import Workspace

_T31 = 2.0395


@dataclass(frozen=True, slots=True, eq=False)
class DescribedSignals:
    """What `describe_signals` returns.

    Attributes
    ----------
    table
        One row per signal: ``signal``, ``what``, ``n``, ``value`` with ``low`` and ``high`` (95 %,
        over customers; null where an interval means nothing), ``unit``, ``measurable``, ``reason``.
    """

    table: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Log:
    """What the signals look at: the store's rows, the places, and the end of observation."""

    rows: pl.DataFrame
    places: pl.DataFrame
    observed_until: datetime

    def of_place(self, column: str) -> pl.Expr:
        """The places table's column, for each row."""
        return pl.lit(self.places[column]).gather(pl.col("place").cast(pl.UInt32))


def describe_signals(workspace: Workspace) -> DescribedSignals:
    """Describe a workspace by the signals that are no findings."""
    log = Log(workspace.store().collect(), workspace.places, workspace.observed_until)
    known = {t.name for t in workspace.journey_map.touchpoints}
    rows = [
        *(measure(log) for measure in (measure_effort, measure_disorder, measure_identity_break)),
        measure_links(read_arrivals(workspace)),
        measure_deviation(log, known),
    ]
    schema = {
        **dict.fromkeys(("signal", "what"), pl.String),
        "n": pl.Int64,
        **dict.fromkeys(("value", "low", "high"), pl.Float64),
        "unit": pl.String,
        "measurable": pl.Boolean,
        "reason": pl.String,
    }
    return DescribedSignals(pl.DataFrame(rows, schema=schema))


Row = dict[str, str | int | float | bool | None]


def measure_effort(log: Log) -> Row:
    """Median of the customer-initiated contacts to the goal, per those of the easiest tenth."""
    name = "effort"
    if not log.places["is_goal"].any():
        return _missing(name, "the journey map names no goal")
    own = log.of_place("initiated_by") == "customer"
    before = ~pl.col("reached") | log.of_place("is_goal")
    counts = (
        log.rows.filter(own & before)
        .group_by("journey")
        .agg(contacts=pl.len(), reached=pl.col("reached").any())
        .filter("reached")["contacts"]
    )
    if len(counts) < 30:
        return _missing(name, f"{len(counts)} journeys reached the goal; 30 are needed")
    easiest = max(1.0, float(counts.quantile(0.1, "nearest") or 1.0))
    return _row(name, "median contacts to the goal per easiest tenth", len(counts),
                float(counts.median() or 0.0) / easiest, "ratio")  # type: ignore[arg-type]  # fmt: skip


def measure_disorder(log: Log) -> Row:
    """Entropy (bits) of the next touchpoint within a stage, averaged over contacts."""
    stage = log.of_place("stage_index")
    moves = (
        log.rows.with_columns(
            stage=stage,
            following=around("place", 1),
            same=(stage == around(stage, 1)).fill_null(False),
        )
        .filter(pl.col("same") & (pl.col("stage") != NO_STAGE))
        .group_by("place", "following")
        .agg(n=pl.len())
    )
    if moves.is_empty():
        return _missing("disorder", "no contact is followed by another of its stage")
    share = pl.col("n") / pl.col("n").sum().over("place")
    bits = -moves.select((pl.col("n") * share.log(2)).sum()).item() / moves["n"].sum()
    return _row("disorder", "moves within a stage", int(moves["n"].sum()), float(bits), "bits")


def measure_identity_break(log: Log) -> Row:
    """Share of customers with several contacts who were only ever seen on one channel."""
    name = "identity_break"
    if log.places["channel"].n_unique() < 2:
        return _missing(name, "there is one channel only")
    seen = (
        log.rows.with_columns(channel=log.of_place("channel"))
        .group_by("customer")
        .agg(
            contacts=pl.len(),
            channels=pl.col("channel").n_unique(),
            bucket=pl.col("bucket").first(),
        )
        .filter(pl.col("contacts") >= 2)
        .with_columns(apart=pl.col("channels") == 1)
    )
    return _share(name, "customers never linked across channels", seen, "apart")


def measure_links(arrivals: Arrivals) -> Row:
    """Share of contacts in another channel that are linked to the same customer, at most."""
    name, what = "identity_break", "contacts in another channel linked to the customer, at most"
    linked = estimate_linked(arrivals.links)
    if linked is None:
        return _missing(name, "too few customers change the channel to tell", what)
    row = _row(name, what, int(arrivals.links["changes"].sum()), linked, "share")
    return row | {"reason": None if linked >= LEAST_LINKED else f"below {LEAST_LINKED:.0%}"}


def measure_deviation(log: Log, known: set[str]) -> Row:
    """Share of contacts at touchpoints that the journey map does not plan (ad hoc)."""
    if not known:
        return _missing("deviation_from_plan", "the journey map lists no touchpoint")
    frame = log.rows.select("bucket", adhoc=~log.of_place("touchpoint").is_in(list(known)))
    return _share("deviation_from_plan", "contacts at touchpoints not in the map", frame, "adhoc")


def _share(signal: str, what: str, frame: pl.DataFrame, column: str) -> Row:
    """Share of rows with an interval over the 32 buckets of customers."""
    if frame.is_empty():
        return _missing(signal, "there is nothing to count", what)
    sums = frame.group_by("bucket").agg(pl.col(column).sum(), n=pl.len())
    x, n = (sums[c].to_numpy().astype(float) for c in (column, "n"))
    value, buckets = float(x.sum() / n.sum()), len(x)
    row = _row(signal, what, len(frame), value, "share")
    if buckets == 1:
        return row
    residual = ((x - value * n) ** 2).sum() * buckets / (buckets - 1)
    half = _T31 * float(np.sqrt(residual)) / n.sum()
    return {**row, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def _row(signal: str, what: str, n: int, value: float, unit: str) -> Row:
    return {
        "signal": signal,
        "what": what,
        "n": n,
        "value": value,
        "low": None,
        "high": None,
        "unit": unit,
        "measurable": True,
        "reason": None,
    }


def _missing(signal: str, why: str, what: str = "") -> Row:
    empty = dict.fromkeys(("value", "low", "high"))
    reason = f"not measurable, because {why}"
    unmeasured: Row = {"signal": signal, "what": what, "n": 0, **empty, "unit": ""}
    return {**unmeasured, "measurable": False, "reason": reason}
