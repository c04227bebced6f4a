"""The signals as they describe the whole log; nothing here is a finding.

`describe_signals` gives broken handoffs (of the plan), repeated tasks, repeat contacts, the
self-service leak, effort, disorder, identity breaks and the deviation from the plan, each with an
interval over customers, or with the reason why it cannot be measured. Handoff by handoff the first
four are judged by `cxlib.fragmentation.measure_fragmentation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.arrivals.links import LEAST_LINKED, estimate_linked
from cxlib.arrivals.planned import MIN_CONTACTS
from cxlib.arrivals.repeats import LEAK_WITHIN, REPEAT_WITHIN, TRANSFER_GRACE
from cxlib.journeys import NO_STAGE
from cxlib.signals.broken_handoff import measure_plan
from cxlib.store.walk import RELOAD, around, next_in, next_where

if TYPE_CHECKING:
    from cxlib.store import Workspace

TASK_WITHIN = timedelta(days=30)
"""Time within which the same task again is a repeat."""

_T31 = 2.0395


@dataclass(frozen=True, slots=True, eq=False)
class DescribedSignals:
    """What `describe_signals` returns.

    Attributes
    ----------
    table
        One row per signal (per planned handoff for broken handoffs): ``signal``, ``what`` (the
        handoff, or the bound), ``n``, ``value`` with ``low`` and ``high`` (95 %, over customers;
        null where an interval means nothing), ``least`` (broken handoffs: what the value were if
        every link between channels that can be missing were; the truth lies between), ``unit``,
        ``measurable``, ``reason``.
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
    arrivals = read_arrivals(workspace)
    known = {t.name for t in workspace.journey_map.touchpoints}
    others: list[Callable[[Log], Row]] = [
        measure_repeated_tasks,
        measure_self_service_leak,
        measure_effort,
        measure_disorder,
        measure_identity_break,
    ]
    rows = [
        *measure_broken_handoffs(arrivals),
        *measure_repeat_contacts(log),
        *(measure(log) for measure in others),
        measure_links(arrivals),
        measure_deviation(log, known),
    ]
    schema = {
        **dict.fromkeys(("signal", "what"), pl.String),
        "n": pl.Int64,
        **dict.fromkeys(("value", "low", "high", "least"), pl.Float64),
        "unit": pl.String,
        "measurable": pl.Boolean,
        "reason": pl.String,
    }
    return DescribedSignals(pl.DataFrame(rows, schema=schema))


Row = dict[str, str | int | float | bool | None]


def measure_broken_handoffs(arrivals: Arrivals) -> list[Row]:
    """Share of contacts at each planned source that reach neither the target nor the goal in time.

    Aalen-Johansen: contacts whose deadline lies after the end of observation are censored.
    """
    name, rows = "broken_handoff", []
    plan = arrivals.settings.plan
    measured = {row["handoff"]: row for row in measure_plan(arrivals).to_dicts()}
    for number, planned in enumerate(plan):
        what = f"{planned.source} → {planned.target}"
        found = measured.get(number)
        if found is None or found["n"] < MIN_CONTACTS:
            n = 0 if found is None else int(found["n"])
            rows.append(_missing(name, f"{what} has {n} contacts; {MIN_CONTACTS} are needed", what))
            continue
        ends = {key: found[key] for key in ("low", "high", "least")}
        rows.append(_row(name, what, int(found["n"]), found["value"], "share") | ends)
    return rows or [_missing(name, "the journey map plans no handoff")]


def measure_repeated_tasks(log: Log) -> Row:
    """Share of contacts at non-repeatable touchpoints that are repeated within 30 days."""
    name = "repeated_task"
    if log.places["repeatable"].all():
        return _missing(name, "the journey map marks no touchpoint as not repeatable")
    again = next_in(["customer", "place"])
    until = pl.lit(log.observed_until) - pl.col("occurred_at")
    frame = (
        log.rows.filter(~log.of_place("repeatable"))
        .with_columns(
            repeated=((again > RELOAD) & (again <= TASK_WITHIN)).fill_null(False),
            seen=until >= TASK_WITHIN,
        )
        .filter("seen")
    )
    return _share(name, "tasks done again within 30 days", frame, "repeated")


def measure_repeat_contacts(log: Log) -> list[Row]:
    """Share of assisted contacts that another follows within a week: three bounds.

    About the same issue (where the log has issues: too few where issues are missing), at the same
    touchpoint, and any (the upper bound).
    """
    name = "repeat_contact"
    if not log.places["assisted"].any():
        return [_missing(name, "the journey map marks no touchpoint as assisted")]
    assisted = log.rows.filter(log.of_place("assisted"))
    until = pl.lit(log.observed_until) - pl.col("occurred_at")
    bounds = {"same touchpoint": ["customer", "place"], "any reason": ["customer"]}
    if "issue" in assisted.columns and assisted["issue"].null_count() < len(assisted):
        bounds = {"same issue": ["customer", "issue"]} | bounds
    rows = []
    for what, keys in bounds.items():
        again = next_in(keys)
        frame = assisted.with_columns(
            repeated=((again > TRANSFER_GRACE) & (again <= REPEAT_WITHIN)).fill_null(False),
            seen=until >= REPEAT_WITHIN,
        ).filter("seen")
        rows.append(_share(name, f"{what} within 7 days", frame, "repeated"))
    return rows


def measure_self_service_leak(log: Log) -> Row:
    """Assisted contacts in the day after self-service, per those in the day before (own control).

    1 means that self-service neither saves nor causes assisted contacts.
    """
    name = "self_service_leak"
    places = log.places
    if not (places["assisted"].any() and places["self_service"].any()):
        return _missing(name, "the journey map marks no self-service, or no assisted touchpoint")
    assisted, at = log.of_place("assisted"), pl.col("occurred_at")
    until = pl.lit(log.observed_until) - pl.col("occurred_at")
    frame = (
        log.rows.with_columns(
            after=(next_where(assisted, at) - at <= LEAK_WITHIN).fill_null(False),
            before=(at - next_where(assisted, at, back=True) <= LEAK_WITHIN).fill_null(False),
            seen=until >= LEAK_WITHIN,
        )
        .filter(log.of_place("self_service") & pl.col("seen"))
        .select("bucket", "after", "before")
    )
    if int(frame["before"].sum()) < 30:
        return _missing(name, "fewer than 30 assisted contacts came before self-service")
    return _ratio(name, "assisted contacts after per before", frame, "after", "before", "ratio")


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
    return _ratio(signal, what, frame.with_columns(_one=pl.lit(1)), column, "_one", "share")


def _ratio(signal: str, what: str, frame: pl.DataFrame, top: str, bottom: str, unit: str) -> Row:
    """Ratio of two sums with an interval over the 32 buckets of customers."""
    if frame.is_empty():
        return _missing(signal, "there is nothing to count", what)
    sums = frame.group_by("bucket").agg(pl.col(top).sum(), pl.col(bottom).sum())
    x, n = sums[top].to_numpy().astype(float), sums[bottom].to_numpy().astype(float)
    value, buckets = x.sum() / n.sum(), len(x)
    low = high = None
    if buckets > 1:
        residual = ((x - value * n) ** 2).sum() * buckets / (buckets - 1)
        half = _T31 * float(np.sqrt(residual)) / n.sum()
        low, high = max(0.0, value - half), value + half
        high = min(high, 1.0) if unit == "share" else high
    row = _row(signal, what, len(frame), float(value), unit)
    return {**row, "low": low, "high": high}


def _row(signal: str, what: str, n: int, value: float, unit: str) -> Row:
    return {
        "signal": signal,
        "what": what,
        "n": n,
        "value": value,
        "low": None,
        "high": None,
        "least": None,
        "unit": unit,
        "measurable": True,
        "reason": None,
    }


def _missing(signal: str, why: str, what: str = "") -> Row:
    empty = dict.fromkeys(("value", "low", "high", "least"))
    reason = f"not measurable, because {why}"
    unmeasured: Row = {"signal": signal, "what": what, "n": 0, **empty, "unit": ""}
    return {**unmeasured, "measurable": False, "reason": reason}
