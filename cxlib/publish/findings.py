"""The findings in a snapshot: judged for everybody and for each segment, small groups protected.

Findings are not answered for ranges of periods: a judgement needs the whole log, and what a
visitor wants to know of time is in the trend of each finding. The rules are those of
`cxlib.publish.small_groups`. One customer counts at most `MAX_PER_CUSTOMER` times for a handoff,
which bounds what k-1 customers can add to any number here.
"""

from __future__ import annotations

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
from cxlib.segments import segment_codes

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.store import Workspace

__all__ = ["NAME", "check_findings", "read_findings", "write_findings"]

NAME = "findings"

LABEL = Rule(Kind.LABEL)
CUSTOMERS = Rule(Kind.CUSTOMERS)
SHARE = Rule(Kind.SHARE)
MEAN = Rule(Kind.MEAN, of="n")
TIME = Rule(Kind.TIME, of="n")

_NAMES = (
    "source",
    "target",
    "source_channel",
    "target_channel",
    "stage",
    "owner",
    "handoff",
    "signal",
    "unit",
    "q",
    "finding",
    "stable",
    "simpson",
    "echo_of",
    "status",
    "source_place",
    "target_place",
)
_BAND_NAMES = (
    *("unit", "source", "target", "source_channel", "target_channel", "stage", "owner"),
    *("handoff", "signal", "ground", "compared_with", "group", "value", "since"),
    *("affected_until", "effect_unit", "stable", "simpson", "source_place", "target_place"),
)
_FIGURES = ("observed", "expected", "effect", "effect_low", "effect_high")
_WHO_ANSWERED = ("response", "weighted", "weighted_low", "weighted_high")
_UNRATED = dict.fromkeys(_WHO_ANSWERED, LABEL)
_FAMILIES = {
    "share": {"observed": SHARE, "expected": SHARE, "effect": LABEL}
    | {"effect_low": LABEL, "effect_high": LABEL}
    | _UNRATED,
    "ratio": {"observed": TIME, "expected": TIME, "effect": TIME} | _UNRATED,
    "rating": {"observed": MEAN, "expected": MEAN, "effect": MEAN}
    | {"response": SHARE, "weighted": MEAN},
}
"""How the figures of a finding are protected, by the first word of their unit; others are not
published."""

_KEYS = ("source_place", "target_place", "signal")
_FRAMES = ("table", "signals", "curves", "onward", "trend", "places", "bands", "described")


def write_findings(
    folder: Path,
    workspace: Workspace,
    segments: tuple[tuple[str, str], ...],
    *,
    k: int,
    until: datetime,
) -> None:
    """Judge every handoff for everybody and for each segment, protect the answers, write them."""
    from cxlib.fragmentation import measure_fragmentation
    from cxlib.fragmentation.details import detail_findings
    from cxlib.summary import Selection

    scale = workspace.journey_map.rating_scale
    spread = float(scale.max - scale.min) if scale is not None else 1.0
    frames: dict[str, list[pl.DataFrame]] = {name: [] for name in _FRAMES}
    others: list[dict[str, Any]] = []
    shown: pl.DataFrame | None = None
    for number, segment in enumerate((None, *segments)):
        where = None if segment is None else Selection(segment=segment)
        details = detail_findings(measure_fragmentation(workspace, where=where))
        safe = protect_details(details, k=k, spread=spread)
        # Only handoffs that may be named for everybody are ever named.
        shown = safe["table"].select(*_KEYS[:2]).unique() if shown is None else shown
        for name in ("table", "curves", "onward", "trend"):
            safe[name] = safe[name].join(shown, on=_KEYS[:2], how="semi", maintain_order="left")
        for name, frame in safe.items():
            frames[name].append(frame.with_columns(pl.lit(number, pl.UInt32).alias(NUMBER)))
        others.append(_numbers(details, _size(workspace, segment), k=k, until=until))
    below = {name: pl.concat(parts, how="vertical_relaxed") for name, parts in frames.items()}
    write_answers(folder, NAME, below, others)


def read_findings(folder: Path, number: int, segment: tuple[str, str] | None) -> FindingDetails:
    """Read back the findings of everybody (0) or of the segment with that number."""
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.summary import Selection

    if not (folder / f"{NAME}.json").is_file():
        raise WorkspaceError("this snapshot holds no findings; publish again: cx publish")
    found: FindingDetails = read_answer(
        folder, NAME, FindingDetails, number, Selection(segment=segment)
    )
    return found


def protect_details(details: FindingDetails, *, k: int, spread: float) -> dict[str, pl.DataFrame]:
    """Protect every frame of the details of findings."""
    table = _protect_table(details.table, k=k, spread=spread)
    people = _people_of(details.table)
    curve = dict.fromkeys(("observed", "expected", "expected_low", "expected_high"), SHARE)
    curves = protect(
        details.curves.join(people, on=_KEYS, how="left", maintain_order="left"),
        {**dict.fromkeys((*_KEYS, "x"), LABEL), "customers": CUSTOMERS, **curve},
        customers="customers",
        k=k,
    ).drop("customers")
    onward = protect(
        details.onward.join(people, on=_KEYS, how="left", maintain_order="left"),
        {**dict.fromkeys((*_KEYS, "next", "channel"), LABEL), "customers": CUSTOMERS}
        | dict.fromkeys(("observed", "others"), SHARE),
        customers="customers",
        k=k,
    ).drop("customers")
    return {
        "table": table,
        "signals": details.signals,
        "curves": curves,
        "onward": onward.filter(pl.col("observed").is_not_null()),
        "trend": _protect_trend(details, k=k, spread=spread),
        "places": _named_places(details, table),
        "bands": _protect_bands(details.bands, k=k, spread=spread),
        "described": _protect_described(details.described, k=k, spread=spread),
    }


def _protect_bands(bands: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    """The findings of all grounds: names, rounded figures, and a sentence made from them."""
    from cxlib.fragmentation.sentences import say_finding

    kept = bands.filter(pl.col("customers") >= smallest_shown(k))
    step = (k / protect_customers(pl.col("customers"), k=k)).clip(0.005)
    flat = kept.rename({"low": "effect_low", "high": "effect_high"})
    parts = []
    for family, rules in _FAMILIES.items():
        rows = flat.filter(pl.col("effect_unit").str.starts_with(family)).select(
            *_BAND_NAMES, "customers", "customers_affected", "n", *_FIGURES, *_WHO_ANSWERED
        )
        if family == "share":
            rows = rows.with_columns(**protect_effect("effect", step))
        labels = dict.fromkeys((*_BAND_NAMES, "customers_affected"), LABEL)
        rule = {**labels, "customers": CUSTOMERS, "n": _cases(), **rules}
        parts.append(protect(rows, rule, customers="customers", k=k, spread=spread))
    safe = pl.concat(parts).rename({"effect_low": "low", "effect_high": "high"})
    safe = safe.drop_nulls("signal").with_columns(
        customers_affected=protect_customers(pl.col("customers_affected"), k=k)
    )
    said_of = ("observed", "expected", "effect", "low", "high")
    said = [
        say_finding(row, step=k) if None not in (row["n"], *(row[c] for c in said_of)) else None
        for row in safe.iter_rows(named=True)
    ]
    order = ["customers_affected", "source", "target"]
    return safe.with_columns(sentence=pl.Series(said, dtype=pl.String)).sort(
        *order, "signal", "value", descending=[True, *[False] * 4], nulls_last=True
    )


def _protect_described(described: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    """What is described, said again from rounded numbers; what few are behind is left out."""
    from cxlib.fragmentation.standouts import say_standout

    kept = described.filter(pl.col("customers") >= smallest_shown(k))
    figures = {"share": SHARE, "hours": TIME, "rating": MEAN}
    names = ("kind", "signal", "source", "target", "group", "value", "compared_with", "unit")
    parts = [
        protect(
            kept.filter(unit=unit)
            .drop("sentence")
            .rename({"low": "observed_low", "high": "observed_high"}),
            dict.fromkeys(names, LABEL)
            | {"customers": CUSTOMERS, "n": _cases(), "observed": rule, "expected": SHARE},
            customers="customers",
            k=k,
            spread=spread,
        )
        for unit, rule in figures.items()
    ]
    safe = pl.concat(parts).rename({"observed_low": "low", "observed_high": "high"})
    known = safe.drop_nulls(["n", "observed", "low", "high"])
    said = [say_standout(row) for row in known.iter_rows(named=True)]
    return known.with_columns(sentence=pl.Series(said, dtype=pl.String)).select(described.columns)


def _people_of(table: pl.DataFrame) -> pl.DataFrame:
    """Distinct customers behind each row of the table."""
    return table.select(*_KEYS, "customers")


def _cases() -> Rule:
    """The rule of a number of arrivals."""
    from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER

    return Rule(Kind.COUNT, each=MAX_PER_CUSTOMER)


def _protect_table(table: pl.DataFrame, *, k: int, spread: float) -> pl.DataFrame:
    from cxlib.fragmentation.sentences import say_finding

    flat = table.rename({"low": "effect_low", "high": "effect_high"}).with_columns(
        q=pl.col("q").round_sig_figs(1), customers=pl.col("customers").cast(pl.Int64)
    )
    names = (*_NAMES, "customers", "n", "customers_affected", *_FIGURES, *_WHO_ANSWERED)
    kept = flat.select(names).filter(pl.col("customers") >= smallest_shown(k))
    step = (k / protect_customers(pl.col("customers"), k=k)).clip(0.005)
    parts = []
    for family, rules in _FAMILIES.items():
        rows = kept.filter(pl.col("unit").str.starts_with(family))
        if family == "share":
            rows = rows.with_columns(**protect_effect("effect", step))
        labels = dict.fromkeys((*_NAMES, "customers_affected"), LABEL)
        parts.append(
            protect(
                rows,
                {**labels, "customers": CUSTOMERS, "n": _cases(), **rules},
                customers="customers",
                k=k,
                spread=spread,
            )
        )
    # The order of the measure says which p value is smaller, and nothing about a customer.
    safe = table.select(_KEYS).join(pl.concat(parts), on=_KEYS, maintain_order="left")
    named = safe.with_columns(
        customers_affected=protect_customers(pl.col("customers_affected"), k=k)
    ).rename({"effect_low": "low", "effect_high": "high"})
    sentences = [
        say_finding(row, step=k) if row["finding"] and _is_whole(row) else None
        for row in named.iter_rows(named=True)
    ]
    return named.with_columns(sentence=pl.Series(sentences, dtype=pl.String))


def _is_whole(row: dict[str, Any]) -> bool:
    """Whether everything that the sentence of a finding says may be said."""
    said = ["n", "effect", "low", "high"]
    if not row["unit"].startswith("share"):
        said += ["observed", "expected"]
    return all(row[name] is not None for name in said)


def _protect_trend(details: FindingDetails, *, k: int, spread: float) -> pl.DataFrame:
    units = details.table.select(*_KEYS, "unit")
    trend = details.trend.join(units, on=_KEYS, how="left", maintain_order="left").rename(
        {"low": "observed_low", "high": "observed_high"}
    )
    names = dict.fromkeys((*_KEYS, "period", "complete", "unit"), LABEL)
    parts = []
    for family, rules in _FAMILIES.items():
        rows = trend.filter(
            pl.col("unit").str.starts_with(family), pl.col("customers") >= smallest_shown(k)
        )
        rule = {**names, "customers": CUSTOMERS, "n": _cases(), "observed": rules["observed"]}
        rule["response"] = rules["response"]
        parts.append(protect(rows, rule, customers="customers", k=k, spread=spread))
    return (
        pl.concat(parts)
        .drop("unit")
        .rename({"observed_low": "low", "observed_high": "high"})
        .sort(*_KEYS, "period")
    )


def _named_places(details: FindingDetails, table: pl.DataFrame) -> pl.DataFrame:
    """Places at an end of a handoff that may be named."""
    ends = pl.concat([table["source_place"], table["target_place"]]).unique()
    return details.places.filter(pl.col("place").cast(pl.Int64).is_in(ends.implode()))


def _size(workspace: Workspace, segment: tuple[str, str] | None) -> int:
    """Customers of a segment, or of the log."""
    from cxlib.summary import NONE

    # Everybody counts once: in the first period in which they came.
    first = (pl.col("level") == "all") & (pl.col("previous_period") == NONE)
    everybody = workspace.summary().reach.filter(first)
    if segment is not None:
        dimension, value = segment
        codes = segment_codes(workspace.segments, dimension, value)
        everybody = everybody.filter(pl.col("segment").is_in(codes))
    return int(everybody["customers"].sum())


def _numbers(details: FindingDetails, customers: int, *, k: int, until: datetime) -> dict[str, Any]:
    silence: timedelta = details.silence
    return {
        "tests": details.tests,
        "customers": protect_number(customers, k, k=k),
        "silence": silence,
        "observed_until": until,
    }


def check_findings(folder: Path, ids: pl.Series, *, k: int) -> str:
    """Look the findings over as they lie on disk; return what was checked.

    Raises
    ------
    WorkspaceError
        A figure could tell on fewer than k customers, or a text is a customer's id.
    """
    for name in _FRAMES:
        frame = pl.read_parquet(folder / f"{NAME}.{name}.parquet")
        check_numbers(frame, ("customers", "customers_affected", "n"), name=f"{NAME}, {name}", k=k)
        check_texts(frame, ids, name=f"{NAME}, {name}")
    return f"every finding rests on at least {k} customers, and its figures are rounded as all are"
