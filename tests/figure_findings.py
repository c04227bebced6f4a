"""Details of findings made by hand, small enough to know every number of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from cxlib.fragmentation.described import _SCHEMA
from cxlib.fragmentation.details import FindingDetails
from cxlib.fragmentation.findings import ROW

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
PLACES = (
    ("product page", "web", "exploration", "web team"),
    ("shop visit", "store", "exploration", "retail"),
    ("web basket", "web", "conversion", "web team"),
    ("till", "store", "conversion", None),
)
UNITS = {
    "abandonment": "share of arrivals",
    "backtracking": "share of those who went on",
    "delay": "ratio of medians (observed and expected in hours)",
    "perception_dip": "rating points",
}
RATED = {"response": 0.31, "weighted": -2.3, "weighted_low": -2.95, "weighted_high": -1.65}
#: source, target, signal, n, observed, expected, effect, low, high, affected, finding
ROWS = (
    (0, 1, "delay", 400, 30.0, 10.0, 3.0, 2.4, 3.6, 120, True),
    (2, 3, "abandonment", 500, 0.45, 0.25, 0.2, 0.12, 0.28, 60, True),
    (2, 1, "backtracking", 300, 0.5, 0.3, 0.2, 0.1, 0.3, 30, True),
    (1, 3, "perception_dip", 90, 5.0, 7.5, -2.5, -3.1, -1.9, None, True),
    (0, 2, "abandonment", 900, 0.2, 0.21, -0.01, -0.04, 0.02, 0, False),
    (1, 0, "delay", 200, 11.0, 10.0, 1.1, 0.8, 1.4, 0, False),
)


def sentence(source: str, target: str, signal: str) -> str:
    return f"{source} → {target} is {signal} more than similar handoffs (95 %: 1 to 2)"


def row_of(given: tuple[Any, ...]) -> dict[str, Any]:
    source, target, signal, n, observed, expected, effect, low, high, affected, finding = given
    ends = {
        f"{end}{name}": PLACES[place][i]
        for end, place in (("source", source), ("target", target))
        for i, name in ((0, ""), (1, "_channel"))
    }
    return ends | {
        "stage": PLACES[target][2],
        "owner": PLACES[target][3],
        "handoff": True,
        "signal": signal,
        "n": n,
        "customers": n - 20,
        "observed": observed,
        "expected": expected,
        "effect": effect,
        "low": low,
        "high": high,
        "unit": UNITS[signal],
        "q": 0.0004 if finding else 0.6,
        "customers_affected": affected,
        "finding": finding,
        "stable": True if signal in ("abandonment", "perception_dip") and finding else None,
        "simpson": False,
        **(RATED if signal == "perception_dip" else dict.fromkeys(RATED)),
        "status": "growing" if finding else None,
        "echo_of": None,
        "sentence": sentence(ends["source"], ends["target"], signal) if finding else None,
        "source_place": source,
        "target_place": target,
    }


BANDS = ROW.schema | {"customers": pl.Int64}
PLACE_BAND = dict.fromkeys(BANDS) | {
    "unit": "place", "source": "till", "stage": "conversion", "signal": "abandonment",
    "ground": "past", "compared_with": "before 1 August 2026", "since": date(2026, 8, 1),
    "group": "region", "value": "east", "n": 800, "customers": 640, "observed": 0.5,
    "expected": 0.3, "effect": 0.2, "low": 0.15, "high": 0.25, "effect_unit": "share of arrivals",
    "customers_affected": 120, "finding": True, "handoff": False,
    "source_place": 3, "target_place": -1,
}  # fmt: skip
WAIT = {
    "kind": "wait", "source": "product page", "target": "shop visit", "n": 443, "customers": 147,
    "observed": 30.4, "low": 26.2, "high": 33.1, "unit": "hours", "sentence": "exact",
}  # fmt: skip


def band_of(given: tuple[Any, ...]) -> dict[str, Any]:
    row = row_of(given)
    said = {"unit": "transition", "ground": "like", "effect_unit": row["unit"]}
    return {name: (row | said).get(name) for name in BANDS}


def signals(reason: str | None = None) -> pl.DataFrame:
    counts = {"abandonment": (2, 1), "backtracking": (1, 1), "ping_pong": (0, 0)}
    counts |= {"delay": (2, 1), "perception_dip": (1, 1)}
    rows = [
        {
            "signal": signal,
            "measurable": reason is None and signal != "ping_pong",
            "reason": f"not measurable, because {reason or 'no transition has 30 arrivals'}"
            if reason or signal == "ping_pong"
            else None,
            "tested": 0 if reason else tested,
            "findings": 0 if reason else found,
        }
        for signal, (tested, found) in counts.items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def curve(source: int, target: int, signal: str, xs: tuple[float, ...]) -> list[dict[str, Any]]:
    key = {"source_place": source, "target_place": target, "signal": signal}
    return [
        key
        | {"x": x, "observed": 0.9 - 0.1 * i, "expected": 0.8 - 0.2 * i}
        | {"expected_low": 0.7 - 0.2 * i, "expected_high": 0.85 - 0.2 * i}
        for i, x in enumerate(xs)
    ]


def details(rows: tuple[Any, ...] = ROWS, **changes: Any) -> FindingDetails:
    """Four findings of four signals, and two transitions that are none."""
    key = {"source_place": 2, "target_place": 1, "signal": "backtracking"}
    months = [date(2026, m, 1) for m in (7, 8, 9, 10)]
    given: dict[str, Any] = {
        "table": pl.DataFrame([row_of(r) for r in rows], infer_schema_length=None),
        "signals": signals(),
        "curves": pl.DataFrame(
            curve(2, 3, "abandonment", (0.0, 7.0, 14.0, 30.0)) + curve(0, 1, "delay", (1.0, 9.0))
        ),
        "onward": pl.DataFrame(
            [
                key | {"next": "product page", "channel": "web", "observed": 0.5, "others": 0.2},
                key | {"next": "till", "channel": "store", "observed": 0.3, "others": 0.6},
            ]
        ),
        "trend": pl.DataFrame(
            [
                {"source_place": 2, "target_place": 3, "signal": "abandonment", "period": day}
                | {
                    "complete": day < months[-1],
                    "n": n,
                    "customers": n,
                    "observed": value,
                    "low": value - 0.1,
                }
                | {"high": value + 0.1, "response": None}  # not a rating
                for day, n, value in zip(
                    months, (90, 90, 20, 40), (0.2, 0.5, 0.5, 0.9), strict=True
                )
            ],
            schema_overrides={"response": pl.Float64},
        ),
        "places": pl.DataFrame(
            [
                {"place": i, "touchpoint": name, "channel": channel, "stage": stage}
                for i, (name, channel, stage, _) in enumerate(PLACES)
            ]
        ),
        "bands": pl.DataFrame(
            [band_of(r) for r in rows if r[-1]] + [PLACE_BAND], schema=BANDS, orient="row"
        ),
        "described": pl.DataFrame([WAIT], schema=_SCHEMA),
        "tests": 6,
        "customers": 5000,
        "silence": timedelta(days=30),
        "observed_until": UNTIL,
    }
    return FindingDetails(**(given | changes))


def nothing(reason: str | None = None) -> FindingDetails:
    """No finding: judged and quiet, or (with a reason) not judged at all."""
    full = details()
    quiet = () if reason else ROWS[4:]
    table = pl.DataFrame([row_of(r) for r in quiet]) if quiet else full.table.clear()
    found = pl.lit(0).alias("findings")
    return details(
        table=table.cast(full.table.schema),
        signals=signals(reason).with_columns(found),
        curves=full.curves.clear(),
        onward=full.onward.clear(),
        trend=full.trend.clear(),
        bands=full.bands.clear(),
        described=full.described.clear() if reason else full.described,
        tests=0 if reason else 2,
    )
