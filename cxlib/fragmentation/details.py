"""What lies behind each finding, read off the arrivals that were judged; it tests nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import LANDMARKS, Arrivals
from cxlib.bins import BIN_EDGES
from cxlib.fragmentation.by_period import count_customers, count_history
from cxlib.fragmentation.findings import Findings, rank_findings
from cxlib.grounds.judged import Z95
from cxlib.grounds.ways import ways_on
from cxlib.signals import signal_named
from cxlib.signals.abandonment import judge_abandonment
from cxlib.summary import Selection

KEYS = ("source_place", "target_place", "signal")
"""What names a row of the table, and what it is about in every other frame."""

ON_TRANSITIONS = ("like", "plan")
"""Grounds whose findings are told of with what lies behind them."""

_NEXT_SHOWN = 6
_LEAST_SHOWN, _MOST_SHOWN = 0.02, 0.98


@dataclass(frozen=True, slots=True, eq=False)
class FindingDetails:
    """What `detail_findings` returns, and what a published snapshot answers.

    ``table``: as in `Findings`, with ``customers`` and, of findings, ``status``. ``curves``: share
    observed and expected by ``x`` (days of silence, hours of wait). ``onward``: where those went
    who were sent back, and the ``others``. ``trend``: per finding and period; ``complete``: all
    were watched for the silence. ``bands``: the findings of all grounds, with ``customers`` there
    at least.
    """

    table: pl.DataFrame
    signals: pl.DataFrame
    curves: pl.DataFrame
    onward: pl.DataFrame
    trend: pl.DataFrame
    places: pl.DataFrame
    bands: pl.DataFrame
    described: pl.DataFrame
    tests: int
    customers: int
    silence: timedelta
    observed_until: datetime
    where: Selection | None = None

    @property
    def found(self) -> pl.DataFrame:
        """The findings alone, those with most customers affected first."""
        return rank_findings(self.table)


def detail_findings(findings: Findings) -> FindingDetails:
    """Read off the arrivals what lies behind each finding."""
    arrivals = findings.arrivals
    people = (
        arrivals.arrivals.group_by(source_place="source", target_place="target")
        .agg(pl.col("customers").sum())
        .cast({"source_place": pl.Int64, "target_place": pl.Int64})
    )
    # what is judged with dates and for groups has no curve of its own
    on_transitions = pl.col("ground").is_in(ON_TRANSITIONS)
    judged = findings.table.filter(on_transitions).drop("unit").rename({"effect_unit": "unit"})
    rows = findings.found.filter(on_transitions).to_dicts()
    trends = [(row, _over_time(arrivals, row)) for row in rows]
    status = pl.DataFrame(
        [{c: row[c] for c in KEYS} | {"status": _status(row, trend)} for row, trend in trends],
        schema={c: judged.schema[c] for c in KEYS} | {"status": pl.String},
    )
    waits = [(r, _arrived(arrivals, r)) for r in rows if _drawn(r) == "waits" and r["n"]]
    bands = findings.found
    there = [count_customers(arrivals, row) for row in bands.iter_rows(named=True)]
    return FindingDetails(
        table=judged.join(people, on=KEYS[:2], how="left", maintain_order="left").join(
            status, on=KEYS, how="left", maintain_order="left"
        ),
        signals=findings.signals,
        curves=_stack([*_silences(arrivals, rows), *waits], _CURVES),
        onward=_stack([_next_of(arrivals, row) for row in rows], _ONWARD),
        trend=_stack(trends, _TREND),
        places=arrivals.places.select("place", "touchpoint", "channel", "stage"),
        bands=bands.with_columns(customers=pl.Series(there, dtype=pl.Int64)),
        described=findings.described,
        tests=findings.tests,
        customers=arrivals.settings.customers,
        silence=arrivals.settings.silence,
        observed_until=arrivals.settings.observed_until,
    )


Frame = tuple[dict[str, Any], pl.DataFrame]

_CURVES: dict[str, Any] = dict.fromkeys(
    ("x", "observed", "expected", "expected_low", "expected_high"), pl.Float64
)
_ONWARD = {"next": pl.String, "channel": pl.String, "observed": pl.Float64, "others": pl.Float64}
_TREND: dict[str, Any] = {
    "period": pl.Date,
    "complete": pl.Boolean,
    **dict.fromkeys(("n", "customers"), pl.Int64),
    **dict.fromkeys(("observed", "low", "high", "response"), pl.Float64),
}


def _stack(parts: Sequence[Frame | None], schema: dict[str, Any]) -> pl.DataFrame:
    keys = {"source_place": pl.Int64, "target_place": pl.Int64, "signal": pl.String}
    empty = pl.DataFrame(schema=keys | schema)
    frames = [
        frame.select(
            *(pl.lit(row[key], dtype).alias(key) for key, dtype in keys.items()),
            *(pl.col(name).cast(dtype) for name, dtype in schema.items()),
        )
        for row, frame in filter(None, parts)
    ]
    return pl.concat([empty, *frames])


def _silences(arrivals: Arrivals, rows: list[dict[str, Any]]) -> list[Frame | None]:
    """Share not in touch again within 7, 14, 30 days and the silence, against the expectation."""
    rows = [row for row in rows if _drawn(row) == "silence"]
    if not rows:
        return []
    span, silence = arrivals.settings.span, arrivals.settings.silence
    marks = [mark.days for mark in LANDMARKS if 3 * mark <= span]
    judged: dict[float, pl.DataFrame] = {d: judge_abandonment(arrivals, mark=d) for d in marks}
    judged |= {silence.total_seconds() / 86_400: judge_abandonment(arrivals)}
    return [(row, _silence_of(row, judged)) for row in rows]


def _drawn(row: dict[str, Any]) -> str:
    """The curve behind a finding; only transitions held against like ones have one."""
    return signal_named(row["signal"]).draws if row["ground"] == "like" else ""


def _silence_of(row: dict[str, Any], judged: dict[float, pl.DataFrame]) -> pl.DataFrame:
    # Nobody has been in touch again after no time at all.
    points = [(0.0, 1.0, 1.0, 1.0, 1.0)]
    for days, frame in sorted(judged.items()):
        for r in _of(frame, row).to_dicts():
            ends = max(r["observed"] - r["high"], 0.0), min(r["observed"] - r["low"], 1.0)
            points.append((float(days), r["observed"], r["expected"], *ends))
    return pl.DataFrame(points, schema=_CURVES, orient="row")


def _arrived(arrivals: Arrivals, row: dict[str, Any]) -> pl.DataFrame:
    """Share that arrived within x hours; expected: the same with waits shorter by the effect."""
    waits = _of(arrivals.waits, row)
    counts = np.bincount(waits["bin"], waits["n"], len(BIN_EDGES))
    within = np.cumsum(counts)[:-1] / counts.sum()
    hours = np.array(BIN_EDGES[1:]) / 3600

    def arrived(factor: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.interp(np.log(hours * factor), np.log(hours), within)

    expected = arrived(row["effect"])
    shown = (expected >= _LEAST_SHOWN) & (within <= _MOST_SHOWN)
    ends = {"expected_low": arrived(row["low"]), "expected_high": arrived(row["high"])}
    frame = pl.DataFrame({"x": hours, "observed": within, "expected": expected} | ends)
    return frame.filter(pl.Series(shown))


def _next_of(arrivals: Arrivals, row: dict[str, Any]) -> Frame | None:
    if _drawn(row) != "next":
        return None
    came = ways_on(arrivals)[:, row["target_place"]]
    here = came[row["source_place"]]
    others = came.sum(0) - here
    if not here.any() or not others.any():
        return None
    observed, usual, known = here / here.sum(), others / others.sum(), np.flatnonzero(came.sum(0))
    # what is expected and does not happen is as telling as what happens
    telling = np.lexsort((-observed[known], -np.abs(observed - usual)[known]))[:_NEXT_SHOWN]
    shown = known[telling][np.argsort(-observed[known][telling], kind="stable")]
    named = arrivals.places[shown].select("channel", next="touchpoint")
    told = {"observed": observed[shown], "others": usual[shown]}
    return row, named.with_columns(pl.DataFrame(told))


def _over_time(arrivals: Arrivals, row: dict[str, Any]) -> pl.DataFrame:
    """The observed figure by period, with a plain interval for how few they were."""
    people = _of(arrivals.arrivals, row).group_by("period").agg(pl.col("customers").sum())
    family = signal_named(row["signal"]).family
    found = count_history(arrivals, row)
    answers = _of(arrivals.responses, row).group_by("period")
    rates = answers.agg(response=pl.col("rating_n").sum() / pl.col("n").sum())
    ends = {"low": pl.col("observed") - pl.col("half"), "high": pl.col("observed") + pl.col("half")}
    if family == "share":
        ends = {name: end.clip(0.0, 1.0) for name, end in ends.items()}
    return (
        found.join(people, on="period", how="left")
        .join(rates if family == "rating" else rates.clear(), on="period", how="left")
        .join(_periods(arrivals), on="period")
        .sort("period")
        .with_columns(**ends)
        .drop("period")
        .rename({"start": "period"})
    )


def _status(row: dict[str, Any], trend: pl.DataFrame) -> str:
    """What the excess has become from the first to the last third of the complete periods."""
    complete = trend.filter("complete")
    if len(complete) < 2:
        return "too short to say"
    (early, early_se), (late, late_se) = (
        _excess(row, side(max(1, len(complete) // 3))) for side in (complete.head, complete.tail)
    )
    change, reach = late - early, Z95 * float(np.hypot(early_se, late_se))
    if abs(change) <= reach:
        return "steady"
    return "growing" if change > 0 else "mended" if late < early / 2 else "shrinking"


def _excess(row: dict[str, Any], part: pl.DataFrame) -> tuple[float, float]:
    """Mean excess over the expectation (harm counts positive; waits: logarithms), and its error."""
    signal, n = signal_named(row["signal"]), part["n"].to_numpy()
    seen, usual = part["observed"].to_numpy(), row["expected"]
    apart = np.log(seen / usual) if signal.family == "wait" else signal.harm * (seen - usual)
    weight = n / n.sum()
    return float(weight @ apart), float(np.sqrt(weight**2 @ part["se"].to_numpy() ** 2))


def _periods(arrivals: Arrivals) -> pl.DataFrame:
    starts, until = arrivals.periods.starts, arrivals.settings.observed_until.date()
    watched = until - arrivals.settings.silence
    complete = [end <= watched for end in (*starts[1:], until)]
    table = pl.DataFrame({"period": range(len(starts)), "start": starts, "complete": complete})
    return table.cast({"period": arrivals.arrivals.schema["period"]})


def _of(table: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    return table.filter(source=row["source_place"], target=row["target_place"])
