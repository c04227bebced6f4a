"""What lies behind each finding: what happened after the handoff, where customers went, since when.

`detail_findings` reads this off the arrivals that were judged. It tests nothing: what stands out,
and how sure that is, is said by `measure_fragmentation` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import LANDMARKS, Arrivals
from cxlib.bins import BIN_EDGES
from cxlib.fragmentation.by_period import count_customers, count_history
from cxlib.fragmentation.findings import Findings, rank_findings
from cxlib.grounds.judged import Z95
from cxlib.signals import signal_named
from cxlib.signals.abandonment import judge_abandonment

if TYPE_CHECKING:
    from cxlib.summary import Selection

__all__ = ["FindingDetails", "detail_findings"]

KEYS = ("source_place", "target_place", "signal")
"""What names a row of the table, and what it is about in every other frame."""

ON_TRANSITIONS = ("like", "plan")
"""Grounds whose findings are told of with what lies behind them."""

_NEXT_SHOWN = 6
_LEAST_SHOWN, _MOST_SHOWN = 0.02, 0.98


@dataclass(frozen=True, slots=True, eq=False)
class FindingDetails:
    """What `detail_findings` returns, and what a published snapshot answers.

    Attributes
    ----------
    table
        As in `Findings`, with ``customers``: distinct customers who came to the target this way,
        and for findings ``status``: growing, shrinking, mended (no longer above half of what it
        was) or steady, from the first to the last third of the complete periods.
    signals, tests
        As in `Findings`.
    curves
        Per finding of abandonment or delay: ``x`` (days of silence; hours of wait), ``observed``
        (share not in touch again within x; share that arrived within x), ``expected`` with
        ``expected_low`` and ``expected_high`` (95 %).
    onward
        Per finding of customers sent back: ``next`` touchpoint, its ``channel``, ``observed`` share
        of those who went on, and ``others``: the share among those who came to the target from
        elsewhere.
    trend
        Per finding and ``period`` (its first day): ``n``, ``customers``, ``observed`` with ``low``
        and ``high`` (95 %; null for waits) in the unit of the finding's ``observed``; ``response``
        (of ratings: given, per arrival); ``complete``: whether all of its customers were watched
        for the silence.
    places
        ``place``, ``touchpoint``, ``channel``, ``stage`` in the order of the journey map.
    bands, described
        As in `cxlib.fragmentation.headlines.Headline`: the findings of all grounds (with everything
        that `Findings` tells of them, and ``customers``: distinct customers there, at least so
        many), and what is described beside them.
    customers
        Customers judged.
    silence
        Silence that counts as having left.
    observed_until
        End of observation, UTC.
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
    """Read off the arrivals what lies behind each finding.

    Parameters
    ----------
    findings
        From `measure_fragmentation`.
    """
    arrivals = findings.arrivals
    people = (
        arrivals.arrivals.group_by(source_place="source", target_place="target")
        .agg(pl.col("customers").sum())
        .cast({"source_place": pl.Int64, "target_place": pl.Int64})
    )
    # what is judged with dates and for groups has no curve of its own
    judged = findings.table.filter(pl.col("ground").is_in(ON_TRANSITIONS))
    judged = judged.drop("unit").rename({"effect_unit": "unit"})
    table = judged.join(
        people, on=["source_place", "target_place"], how="left", maintain_order="left"
    )
    on_transitions = pl.col("ground").is_in(ON_TRANSITIONS)
    rows = findings.found.filter(on_transitions).to_dicts()
    trends = [_over_time(arrivals, row) for row in rows]
    told = [_status(row, trend) for row, trend in zip(rows, trends, strict=True)]
    status = pl.DataFrame(
        [
            {c: row[c] for c in KEYS} | {"status": said}
            for row, said in zip(rows, told, strict=True)
        ],
        schema={c: table.schema[c] for c in KEYS} | {"status": pl.String},
    )
    table = table.join(status, on=KEYS, how="left", maintain_order="left")
    return FindingDetails(
        table=table,
        signals=findings.signals,
        curves=_stack(_silences(arrivals, rows) + _arrived(arrivals, rows), _CURVES),
        onward=_stack([_next_of(arrivals, row) for row in rows], _ONWARD),
        trend=_stack([(row, t) for row, t in zip(rows, trends, strict=True)], _TREND),
        places=arrivals.places.select("place", "touchpoint", "channel", "stage"),
        bands=_bands(findings),
        described=findings.described,
        tests=findings.tests,
        customers=arrivals.settings.customers,
        silence=arrivals.settings.silence,
        observed_until=arrivals.settings.observed_until,
    )


def _bands(findings: Findings) -> pl.DataFrame:
    """The findings of all grounds, and how many customers there were at least."""
    found = findings.found
    people = [count_customers(findings.arrivals, row) for row in found.iter_rows(named=True)]
    return found.with_columns(customers=pl.Series(people, dtype=pl.Int64))


Frame = tuple[dict[str, Any], pl.DataFrame]

_NUMBER = pl.Float64
_CURVES = {"x": _NUMBER, "observed": _NUMBER, "expected": _NUMBER} | {
    "expected_low": _NUMBER,
    "expected_high": _NUMBER,
}
_ONWARD = {"next": pl.String, "channel": pl.String, "observed": _NUMBER, "others": _NUMBER}
_TREND = {"period": pl.Date, "complete": pl.Boolean, "n": pl.Int64, "customers": pl.Int64} | {
    "observed": _NUMBER,
    "low": _NUMBER,
    "high": _NUMBER,
    "response": _NUMBER,
}


def _stack(parts: list[Frame | None], schema: dict[str, Any]) -> pl.DataFrame:
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
    judged = {
        mark.days: judge_abandonment(arrivals, mark=mark.days)
        for mark in LANDMARKS
        if 3 * mark <= span
    } | {silence.total_seconds() / 86_400: judge_abandonment(arrivals)}
    return [(row, _silence_of(row, judged)) for row in rows]


def _drawn(row: dict[str, Any]) -> str:
    """The curve behind a finding; only transitions held against like ones have one."""
    return signal_named(row["signal"]).draws if row["ground"] == "like" else ""


def _silence_of(row: dict[str, Any], judged: dict[float, pl.DataFrame]) -> pl.DataFrame:
    # Nobody has been in touch again after no time at all.
    points = [{"x": 0.0} | dict.fromkeys(("observed", *list(_CURVES)[2:]), 1.0)]
    for days, frame in sorted(judged.items()):
        here = frame.filter(
            (pl.col("source") == row["source_place"]) & (pl.col("target") == row["target_place"])
        )
        for r in here.to_dicts():
            points.append(
                {
                    "x": float(days),
                    "observed": r["observed"],
                    "expected": r["expected"],
                    "expected_low": max(r["observed"] - r["high"], 0.0),
                    "expected_high": min(r["observed"] - r["low"], 1.0),
                }
            )
    return pl.DataFrame(points, schema=_CURVES)


def _arrived(arrivals: Arrivals, rows: list[dict[str, Any]]) -> list[Frame | None]:
    """Share that arrived within x hours; expected: the same with waits shorter by the effect."""
    waits = [row for row in rows if _drawn(row) == "waits" and row["n"]]
    return [(row, _arrived_of(arrivals, row)) for row in waits]


def _arrived_of(arrivals: Arrivals, row: dict[str, Any]) -> pl.DataFrame:
    waits = _of(arrivals.waits, row).group_by("bin").agg(pl.col("n").sum()).sort("bin")
    counts = np.zeros(len(BIN_EDGES))
    counts[waits["bin"].to_numpy().astype(np.int64)] = waits["n"].to_numpy()
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
    came = arrivals.onward.filter(pl.col("target") == row["target_place"])
    here = pl.col("source") == row["source_place"]
    shares = [
        came.filter(who).group_by("next").agg((pl.col("n").sum() / whole).alias(name))
        for name, who in (("observed", here), ("others", ~here))
        if (whole := came.filter(who)["n"].sum())
    ]
    if len(shares) < 2:
        return None
    named = arrivals.places.select(next="place", touchpoint="touchpoint", channel="channel")
    both = (
        shares[0]
        .join(shares[1], on="next", how="full", coalesce=True)
        .with_columns(pl.col("observed", "others").fill_null(0.0))
        .join(named, on="next")
        .sort("observed", "next", descending=[True, False])
    )
    # What is expected and does not happen is as telling as what happens.
    apart = (pl.col("observed") - pl.col("others")).abs()
    shown = both.sort(apart, descending=True, maintain_order=True).head(_NEXT_SHOWN)
    return row, shown.sort("observed", descending=True, maintain_order=True).drop("next").rename(
        {"touchpoint": "next"}
    )


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
    first_days = arrivals.periods.starts
    until = arrivals.settings.observed_until.date()
    watched = until - arrivals.settings.silence
    ends = [*first_days[1:], until]
    return pl.DataFrame(
        {
            "period": range(len(first_days)),
            "start": first_days,
            "complete": [end <= watched for end in ends],
        },
        schema={
            "period": arrivals.arrivals.schema["period"],
            "start": pl.Date,
            "complete": pl.Boolean,
        },
    )


def _of(table: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    here = (pl.col("source") == row["source_place"]) & (pl.col("target") == row["target_place"])
    return table.filter(here)
