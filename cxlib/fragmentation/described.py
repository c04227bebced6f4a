"""The signals that describe the whole log, and are no findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.arrivals.links import LEAST_LINKED, estimate_linked
from cxlib.columns import Amount, Columns, Count, Flag, Label, Tables, Text
from cxlib.journeys import NO_STAGE
from cxlib.results import Result, of_workspace, result
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS
from cxlib.store.walk import around

if TYPE_CHECKING:
    from cxlib.store import Workspace

Row = dict[str, Any]

_OF_PLACE = ("touchpoint", "channel", "stage_index", "initiated_by", "is_goal")


@result
class DescribedSignals(Result):
    """What `describe_signals` returns."""

    title = "Described signals"
    tables = Tables(
        table=Columns(
            "one row per signal",
            signal=Label("its name"),
            what=Text("what is measured"),
            n=Count("cases"),
            value=Amount(
                "over customers, where an interval means something", interval=("low", "high")
            ),
            unit=Label("of the value"),
            measurable=Flag("whether it could be measured"),
            reason=Text("why not, or what is wrong"),
        )
    )


@of_workspace
def describe_signals(workspace: Workspace) -> DescribedSignals:
    """Describe a workspace by the signals that are no findings.

    Effort: contacts to the goal, median, per those of the easiest tenth. Disorder: entropy of the
    next touchpoint within a stage, bits. Identity break: customers never linked across channels,
    and the share of links that can be missing. Deviation from plan: contacts that it does not name.

    Parameters
    ----------
    workspace
        The workspace.
    """
    rows = at_places(workspace.store().collect(), workspace.places)
    found = [
        measure_effort(rows),
        measure_disorder(rows),
        measure_identity_break(rows),
        measure_links(read_arrivals(workspace)),
        measure_deviation(rows, {t.name for t in workspace.journey_map.touchpoints}),
    ]
    return DescribedSignals(
        table=DescribedSignals.tables["table"].frame(found), observed_until=workspace.observed_until
    )


def at_places(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Rows of the store with what is known of their places."""
    place = pl.col("place").cast(pl.UInt32)
    return rows.with_columns(pl.lit(places[c]).gather(place).alias(c) for c in _OF_PLACE)


def measure_effort(rows: pl.DataFrame) -> Row:
    """Median of the customer-initiated contacts to the goal, per those of the easiest tenth."""
    if not rows["is_goal"].any():
        return _missing("effort", "the journey map names no goal")
    before = ~pl.col("reached") | pl.col("is_goal")
    counts = (
        rows.filter(before, initiated_by="customer")
        .group_by("journey")
        .agg(contacts=pl.len(), reached=pl.col("reached").any())
        .filter("reached")["contacts"]
    )
    if len(counts) < 30:
        return _missing("effort", f"{len(counts)} journeys reached the goal; 30 are needed")
    easiest = max(counts.quantile(0.1, "nearest") or 0.0, 1.0)
    value = float(counts.median() or 0.0) / easiest  # type: ignore[arg-type]
    what = "median contacts to the goal per easiest tenth"
    return _row("effort", what, len(counts), value, "ratio")


def measure_disorder(rows: pl.DataFrame) -> Row:
    """Entropy (bits) of the next touchpoint within a stage, averaged over contacts."""
    stage = pl.col("stage_index")
    same = (stage == around(stage, 1)).fill_null(False) & (stage != NO_STAGE)
    moves = (
        rows.with_columns(following=around("place", 1), same=same)
        .filter("same")
        .group_by("place", "following")
        .agg(n=pl.len())
    )
    if moves.is_empty():
        return _missing("disorder", "no contact is followed by another of its stage")
    share = pl.col("n") / pl.col("n").sum().over("place")
    bits = -moves.select((pl.col("n") * share.log(2)).sum()).item() / moves["n"].sum()
    return _row("disorder", "moves within a stage", int(moves["n"].sum()), float(bits), "bits")


def measure_identity_break(rows: pl.DataFrame) -> Row:
    """Share of customers with several contacts who were only ever seen on one channel."""
    if rows["channel"].n_unique() < 2:
        return _missing("identity_break", "there is one channel only")
    seen = (
        rows.group_by("customer")
        .agg(pl.len(), pl.col("bucket").first(), flag=pl.col("channel").n_unique() == 1)
        .filter(pl.col("len") >= 2)
    )
    return _share("identity_break", "customers never linked across channels", seen)


def measure_links(arrivals: Arrivals) -> Row:
    """Share of contacts in another channel that are linked to the same customer, at most."""
    name, what = "identity_break", "contacts in another channel linked to the customer, at most"
    linked = estimate_linked(arrivals.links)
    if linked is None:
        return _missing(name, "too few customers change the channel to tell", what)
    row = _row(name, what, int(arrivals.links["changes"].sum()), linked, "share")
    return row | {"reason": None if linked >= LEAST_LINKED else f"below {LEAST_LINKED:.0%}"}


def measure_deviation(rows: pl.DataFrame, known: set[str]) -> Row:
    """Share of contacts at touchpoints that the journey map does not plan (ad hoc)."""
    if not known:
        return _missing("deviation_from_plan", "the journey map lists no touchpoint")
    told = rows.select("bucket", flag=~pl.col("touchpoint").is_in(list(known)))
    return _share("deviation_from_plan", "contacts at touchpoints not in the map", told)


def _share(signal: str, what: str, frame: pl.DataFrame) -> Row:
    """Share of the rows that are flagged, with an interval over the buckets of customers."""
    if frame.is_empty():
        return _missing(signal, "there is nothing to count", what)
    bucket = frame["bucket"].to_numpy()
    flagged, every = (
        np.bincount(bucket, weights, minlength=BUCKETS)[None, :].astype(np.float64)
        for weights in (frame["flag"].to_numpy(), None)
    )
    found = rate(flagged, every)
    ends = {"low": float(found.low[0]), "high": float(found.high[0])}
    return _row(signal, what, len(frame), float(found.estimate[0]), "share") | ends


def _row(signal: str, what: str, n: int, value: float, unit: str) -> Row:
    told = {"signal": signal, "what": what, "n": n, "value": value, "unit": unit}
    return told | {"measurable": True}


def _missing(signal: str, why: str, what: str = "") -> Row:
    told = {"signal": signal, "what": what, "n": 0, "unit": "", "measurable": False}
    return told | {"reason": f"not measurable, because {why}"}
