"""Findings and predictions in a snapshot, small groups protected.

A judgement needs the whole log: there are none for ranges of periods. One customer counts at most
`MAX_PER_CUSTOMER` times for a handoff, which bounds what k-1 customers can add to any number here.
Excesses rest on the customers of one span of time, not on all who ever took the handoff. Neither a
customer's own risk is written nor an instant: when the log begins tells when somebody came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import polars as pl

from cxlib import columns as kinds
from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER, read_arrivals
from cxlib.columns import Columns, Customers, Label, Share
from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.described import say_standout
from cxlib.fragmentation.details import KEYS, FindingDetails, detail_findings
from cxlib.fragmentation.findings import ROW
from cxlib.fragmentation.sentences import say_finding
from cxlib.prediction import Prediction, predict_breaks
from cxlib.publish.answers import NUMBER
from cxlib.publish.selections import count_customers
from cxlib.publish.small_groups import (
    in_steps,
    protect,
    protect_number,
    smallest_shown,
    steps_of_shares,
)
from cxlib.store import Workspace
from cxlib.summary import Selection

FINDINGS = "findings"

_ENDS, _FIGURES = ("low", "high"), ("observed", "expected", "effect")
_NAMES = [
    n
    for n, c in ROW.items()
    if isinstance(c, kinds.Label | kinds.Flag | kinds.Day) and not isinstance(c, kinds.Text)
]
_OF_GROUNDS = {"ground", "compared_with", "group", "value", "since", "affected_until"}
_COUNTS = {
    "customers": kinds.Customers("there"),
    "n": kinds.Count("arrivals", each="arrivals"),
    "customers_affected": kinds.Customers("at least"),
}
_HIDDEN = kinds.Value("no figure of this kind of finding")


def _by_unit(ends_of: str) -> Mapping[str, Mapping[str, kinds.Column]]:
    """Declare the figures, one with an interval, by their unit; others are not published."""

    def figures(kind: type[kinds.Column], of: str | None) -> dict[str, kinds.Column]:
        ends = {name: _ENDS if name == ends_of else False for name in _FIGURES}
        return {name: kind("of a finding", of=of, interval=ends[name]) for name in _FIGURES}

    unrated = {"response": _HIDDEN, "weighted": kinds.Value("", interval=True)}
    times = figures(kinds.Amount, "n") | unrated
    shares, ratings = figures(kinds.Share, None) | unrated, figures(kinds.Rating, "n")
    if ends_of == "effect":
        # the effect of a share is rounded before: it is shown of fewer customers than the share
        shares |= {"effect": kinds.Label("in steps", interval=_ENDS)}
    ratings |= {"response": kinds.Share("answered")}
    ratings |= {"weighted": kinds.Rating("", of="n", interval=True)}
    return {"share": shares, "ratio": times, "hours": times, "rating": ratings}


def protect_findings(
    workspace: Workspace, segments: Sequence[tuple[str, str]], *, k: int, until: datetime
) -> tuple[dict[str, pl.DataFrame], list[dict[str, Any]]]:
    """Judge every handoff for everybody and for each segment, and protect the answers."""
    scale = workspace.journey_map.rating_scale
    spread = float(scale.max - scale.min) if scale is not None else 1.0
    found: dict[str, list[pl.DataFrame]] = {}
    others: list[dict[str, Any]] = []
    shown: pl.DataFrame | None = None
    for number, segment in enumerate((None, *segments)):
        where = None if segment is None else Selection(segment=segment)
        details = detail_findings(measure_fragmentation(workspace, where=where))
        safe = protect_details(details, k=k, spread=spread)
        # Only handoffs that may be named for everybody are ever named.
        shown = safe["table"].select(*KEYS[:2]).unique() if shown is None else shown
        for name in ("table", "curves", "onward", "trend"):
            safe[name] = safe[name].join(shown, on=KEYS[:2], how="semi", maintain_order="left")
        for name, frame in safe.items():
            numbered = frame.with_columns(pl.lit(number, pl.UInt32).alias(NUMBER))
            found.setdefault(name, []).append(numbered)
        size = count_customers(workspace.summary(), segment)
        others.append(
            {"tests": details.tests, "silence": details.silence, "observed_until": until}
            | {"customers": protect_number(size, k, k=k)}
        )
    return {name: pl.concat(parts, how="vertical_relaxed") for name, parts in found.items()}, others


def protect_details(details: FindingDetails, *, k: int, spread: float) -> dict[str, pl.DataFrame]:
    """Protect every frame of the details of findings; sentences are said from rounded numbers."""
    table = _protect_table(details.table, k=k, spread=spread)
    bands = _protect_bands(details.bands, k=k, spread=spread)
    named = pl.concat([f[end].cast(pl.Int64) for f in (table, bands) for end in KEYS[:2]])
    trend = details.trend.join(
        details.table.select(*KEYS, "unit"), on=KEYS, how="left", maintain_order="left"
    )
    names = (*KEYS, "period", "complete", "unit")
    curves = _protect_shares(details.curves, details, ("x",), k=k)
    onward = _protect_shares(details.onward, details, ("next", "channel"), k=k)
    return {
        "table": table,
        "signals": details.signals,
        "curves": curves,
        "onward": onward.filter(pl.col("observed").is_not_null()),
        "trend": _protect(trend, names, "observed", k=k, spread=spread)
        .drop("unit")
        .sort(*KEYS, "period"),
        "places": details.places.filter(pl.col("place").cast(pl.Int64).is_in(named.implode())),
        "bands": bands,
        "described": _protect_described(details.described, k=k, spread=spread),
    }


def _protect(
    frame: pl.DataFrame,
    names: Collection[str],
    ends_of: str,
    *,
    unit: str = "unit",
    k: int,
    spread: float,
) -> pl.DataFrame:
    """Protect the figures of each row by its unit; rows of few customers are left out."""
    columns = dict.fromkeys(names, kinds.Label("of what it is about")) | _COUNTS
    kept = frame.filter(pl.col("customers") >= smallest_shown(k))
    parts = []
    for family, figures in _by_unit(ends_of).items():
        rows = kept.filter(pl.col(unit).str.starts_with(family))
        declared = kinds.Columns(**columns, **figures)
        rows = rows.select(n for n in declared.names if n in frame.columns)
        if family == "share" and "effect" in rows.columns:
            step = steps_of_shares(pl.col("customers"), k=k)
            rows = rows.with_columns(**in_steps("effect", _ENDS, step))
        parts.append(protect(rows, declared, k=k, spread=spread))
    return pl.concat(parts)


def _protect_shares(
    frame: pl.DataFrame, details: FindingDetails, names: tuple[str, ...], *, k: int
) -> pl.DataFrame:
    """Protect shares of the customers behind each row of the table of findings."""
    people = details.table.select(*KEYS, "customers")
    named = dict.fromkeys((*KEYS, *names), kinds.Label("of what it is about"))
    shares = {n: kinds.Share("of them") for n in frame.columns if n not in named}
    return protect(
        frame.join(people, on=KEYS, how="left", maintain_order="left"),
        kinds.Columns(**named, customers=_COUNTS["customers"], **shares),
        k=k,
    ).drop("customers")


def _protect_table(table: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    names = ({*_NAMES} - _OF_GROUNDS - {"effect_unit"}) | {"q", "status"}
    flat = table.with_columns(pl.col("q").round_sig_figs(1), pl.col("customers").cast(pl.Int64))
    safe = _protect(flat, sorted(names), "effect", k=k, spread=spread)
    # The order of the measure says which p value is smaller, and nothing about a customer.
    ordered = table.select(KEYS).join(safe, on=KEYS, maintain_order="left")
    return _said(ordered, ordered["finding"], "unit", k=k)


def _protect_bands(bands: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    names = sorted({*_NAMES} - {"finding", "echo_of"})
    safe = _protect(bands, names, "effect", unit="effect_unit", k=k, spread=spread)
    safe = safe.drop_nulls("signal")
    order = ["customers_affected", "source", "target", "signal", "value"]
    said = _said(safe, pl.repeat(True, len(safe), eager=True), None, k=k)
    return said.sort(*order, descending=[True, *[False] * 4], nulls_last=True)


def _said(rows: pl.DataFrame, wanted: pl.Series, unit: str | None, *, k: int) -> pl.DataFrame:
    """Say the findings from rounded numbers, where everything that is said may be said."""
    said = []
    for row, is_wanted in zip(rows.iter_rows(named=True), wanted, strict=True):
        needed = ["n", "effect", *_ENDS]
        if unit is None or not row[unit].startswith("share"):
            needed += ["observed", "expected"]
        known = is_wanted and None not in [row[name] for name in needed]
        said.append(say_finding(row, step=k) if known else None)
    return rows.with_columns(sentence=pl.Series(said, dtype=pl.String))


def _protect_described(described: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    """What is described, said again from rounded numbers; what few are behind is left out."""
    names = ("kind", "signal", "source", "target", "group", "value", "compared_with", "unit")
    safe = _protect(described, names, "observed", k=k, spread=spread)
    known = safe.drop_nulls(["n", "observed", *_ENDS])
    # a difference that rounding may have made is none
    known = known.filter((pl.col("low") > pl.col("expected")) | pl.col("expected").is_null())
    said = [say_standout(row) for row in known.iter_rows(named=True)]
    return known.with_columns(sentence=pl.Series(said, dtype=pl.String)).select(described.columns)


PREDICTIONS = "predictions"

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
