"""Described, no findings: signals of the whole log, and what is largest of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER, Arrivals, read_arrivals
from cxlib.arrivals.links import LEAST_LINKED, estimate_linked
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.columns import Amount, Columns, Count, Flag, Label, Tables, Text
from cxlib.encode import name_places
from cxlib.fragmentation.by_period import count_customers
from cxlib.fragmentation.sentences import hours_apart, say_hours, say_subject
from cxlib.grounds.judged import Z95
from cxlib.journeys import NO_STAGE
from cxlib.results import Result, of_workspace, result
from cxlib.signals import SIGNALS, signal_named
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS
from cxlib.store import Workspace
from cxlib.store.tables import NONE
from cxlib.store.walk import around

if TYPE_CHECKING:
    from cxlib.fragmentation.findings import Findings

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


MOST = 3
"""Lines of each kind."""

_LEAST = 50

_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("kind", "signal", "source", "target"), pl.String),
    **dict.fromkeys(("group", "value", "compared_with"), pl.String),
    **dict.fromkeys(("n", "customers"), pl.Int64),
    **dict.fromkeys(("observed", "low", "high", "expected"), pl.Float64),
    **dict.fromkeys(("unit", "sentence"), pl.String),
}


def describe_standouts(findings: Findings) -> pl.DataFrame:
    """Describe what is largest of its kind, by at least so many ``customers``; see `_SCHEMA`."""
    part = findings.arrivals
    names = name_places(part.places)
    rows = [*_groups(findings), *_waits(part), *_loops(part), *_ratings(part)]
    for row in rows:
        row |= {e: names[i] for e in ("source", "target") if isinstance(i := row.get(e), int)}
        row["sentence"] = say_standout(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


def say_standout(row: Mapping[str, Any]) -> str:
    """Say one line of what is described.

    Examples
    --------
    >>> say_standout({"kind": "wait", "source": "call", "target": "visit", "n": 800,
    ...               "observed": 60.0, "low": 50.4, "high": 72.0})
    'call → visit takes 2.5 days (median; 95 %: 2.1 to 3 days; 800 waits)'
    """
    ends = (row["low"], row["high"])
    if row["kind"] == "wait":
        seen, (high, low) = say_hours(row["observed"]), hours_apart(*ends[::-1])
        said = f"takes {seen} (median; 95 %: {low} to {high}; {row['n']:,} waits)"
    elif row["kind"] == "rating":
        seen, low, high = (f"{x:.1f}" for x in (row["observed"], *ends))
        said = f"is rated {seen} (95 %: {low} to {high}; {row['n']:,} ratings)"
    elif row["kind"] == "loop":
        seen, low, high = (f"{100 * x:.0f}" for x in (row["observed"], *ends))
        of = "of those who went on went straight back"
        return f"{say_subject(row)}: {seen} % {of} (95 %: {low} to {high} %; {row['n']:,})"
    else:
        usual = row["expected"]
        seen, than, low, high = (
            f"{100 * x:.0f}" for x in (row["observed"], usual, *(end - usual for end in ends))
        )
        return (
            f"{say_subject(row)}: {signal_named(row['signal']).title}, {seen} % against {than} % "
            f"of {row['compared_with']} (difference 95 %: {low} to {high} points; {row['n']:,})"
        )
    return f"{say_subject(row)} {said}"


def _waits(part: Arrivals) -> list[dict[str, Any]]:
    """The longest median waits between touchpoints of the customers' own."""
    if any(SIGNALS[n].needs(part) for n in SIGNALS if SIGNALS[n].family == "wait"):
        return []
    table = part.waits.group_by("source", "target", "bin").agg(pl.col("n").sum())
    if table.is_empty():
        return []
    size = len(part.places)
    cell = table["source"].to_numpy().astype(np.int64) * size + table["target"].to_numpy()
    counts = np.bincount(
        cell * N_BINS + table["bin"].to_numpy(), table["n"].to_numpy(), size * size * N_BINS
    ).reshape(-1, N_BINS)
    whole = counts.sum(1)
    edges = np.append(np.array(BIN_EDGES), BIN_EDGES[-1] * 1.3) / 3600
    known = np.flatnonzero(whole >= _LEAST)
    reached = counts[known].cumsum(1) / whole[known, None]
    # an order statistic's interval, out to the edges of its bins
    half = Z95 * 0.5 / np.sqrt(whole[known])
    middle, low, high = (
        np.argmax(reached >= np.clip(0.5 + step, 0, 1)[:, None] - 1e-12, axis=1)
        for step in (np.zeros(len(known)), -half, half)
    )
    before = np.take_along_axis(np.pad(reached, ((0, 0), (1, 0))), middle[:, None], 1)[:, 0]
    here = np.take_along_axis(reached, middle[:, None], 1)[:, 0] - before
    inside = np.clip((0.5 - before) / np.maximum(here, 1e-9), 0, 1)
    value = edges[middle] + inside * (edges[middle + 1] - edges[middle])
    return [
        {
            "kind": "wait", "unit": "hours",
            "source": int(known[i] // size), "target": int(known[i] % size),
            "n": int(whole[known[i]]), "customers": int(whole[known[i]]) // MAX_PER_CUSTOMER,
            "observed": float(value[i]),
            "low": float(edges[low[i]]), "high": float(edges[high[i] + 1]),
        }
        for i in np.argsort(-value, kind="stable")[:MOST]
    ]  # fmt: skip


def _loops(part: Arrivals) -> list[dict[str, Any]]:
    """The commonest returns straight to where customers came from."""
    z2, n, cases = Z95**2, pl.col("n"), pl.col("cases")
    share = cases / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * (share * (1 - share) / n + z2 / (4 * n * n)).sqrt() / (1 + z2 / n)
    return (
        part.histories.filter(pl.col("source") != NONE)
        .group_by("source", "target")
        .agg(pl.col("customers").sum(), n=pl.col("came").sum(), cases=pl.col("pinged").sum())
        .filter(n >= _LEAST, cases > 0)
        .sort("cases", "source", "target", descending=[True, False, False])
        .head(MOST)
        .with_columns(observed=share, low=middle - half, high=middle + half)
        .select(pl.exclude("cases"), kind=pl.lit("loop"), unit=pl.lit("share"))
        .to_dicts()
    )


def _ratings(part: Arrivals) -> list[dict[str, Any]]:
    """The weakest mean ratings, below that of all, ranked by the upper end of their interval."""
    n, total = pl.col("rating_n"), pl.col("rating_sum")
    mean = pl.col("observed")
    half = Z95 * ((pl.col("rating_sq") / n - mean**2).clip(0) / n).sqrt()
    return (
        part.histories.group_by("source", "target")
        .agg(pl.col("rating_n", "rating_sum", "rating_sq").sum())
        .group_by(source="target")
        .agg(
            n.sum(), total.sum(), pl.col("rating_sq").sum(),
            customers=n.max() // MAX_PER_CUSTOMER,
        )
        .with_columns(usual=total.sum() / n.sum())
        .filter(n >= _LEAST)
        .with_columns(observed=total / n)
        .with_columns(low=mean - half, high=mean + half)
        .filter(mean < pl.col("usual"))
        .sort("high", "source")
        .head(MOST)
        .select(
            "source", "customers", "observed", "low", "high",
            n=n, kind=pl.lit("rating"), unit=pl.lit("rating"),
        )
        .to_dicts()
    )  # fmt: skip


def _groups(findings: Findings) -> list[dict[str, Any]]:
    """The largest differences between groups, ranked by the lower end of their effect."""
    table = findings.table.filter((pl.col("ground") == "groups") & ~pl.col("finding"))
    shares = [name for name in SIGNALS if SIGNALS[name].family == "share"]
    ranked = (
        table.filter(pl.col("signal").is_in(shares) & pl.col("echo_of").is_null())
        .filter((pl.col("low") > 0) & (pl.col("n") >= _LEAST))
        .sort(pl.col("n") * pl.col("low"), "source", "value", descending=[True, False, False])
        .unique(["source", "target", "group"], keep="first", maintain_order=True)
        .head(MOST)
        .with_columns(pl.col("low", "high") + pl.col("expected"))
    )
    kept = [c for c in _SCHEMA if c in ranked.columns]
    return [
        {c: row[c] for c in kept}
        | {"kind": "group difference", "unit": "share"}
        | {"customers": count_customers(findings.arrivals, row)}
        for row in ranked.iter_rows(named=True)
    ]
