"""The data behind the pictures of findings: as tables for people, and as frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.columns import Amount, Columns, Count, Customers, Day, Flag, Label, Share
from cxlib.figures.finding_detail import of_finding
from cxlib.figures.fragmentation import (
    effect_text,
    figure_text,
    observed_text,
    signal_name,
    wait_text,
)
from cxlib.fragmentation.details import KEYS
from cxlib.fragmentation.findings import ROW
from cxlib.numbers import answered, plural
from cxlib.signals import signal_named
from cxlib.views.fragmentation import words
from cxlib.views.shared.tables import Cell, html_table

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

Row = Mapping[str, Any]
Behind = tuple[str, pl.DataFrame]

_JUDGED = Columns(**{**ROW, "customers": Customers("who came this way")})
_DETAIL = Columns(
    x=Amount("days or hours", heading="within"),
    next=Label("touchpoint"),
    observed=Share("of this handoff", heading="this handoff"),
    expected=Share("of similar handoffs", heading="similar handoffs", interval=True),
    others=Share("of those from elsewhere", heading="from elsewhere"),
    effect=Amount("the difference"),
)
_TREND = Columns(
    period=Day("its first day", heading="period from"),
    n=Count("cases", heading="cases"),
    observed=ROW["observed"],
    complete=Flag("whether all were watched for long enough"),
)


def behind_matrix(result: FindingDetails) -> Behind:
    """Return every judgement."""
    cells = {
        "source": None,
        "target": None,
        "signal": lambda row: signal_name(row["signal"]),
        "owner": None,
        "customers": None,
        "observed": observed_text,
        "expected": lambda row: figure_text(row, row["expected"]),
        "effect": lambda row: effect_text(row, interval=True),
        "q": None,
        "finding": _says_finding,
    }
    frame = result.table.drop("source_place", "target_place")
    return html_table(frame, _JUDGED, cells, caption=words.JUDGED_TABLE), frame


def behind_detail(result: FindingDetails, finding: Row) -> Behind:
    """Return what the picture of a finding shows."""
    curve, onward = (of_finding(f, finding).drop(KEYS) for f in (result.curves, result.onward))
    names = ("source", "target", "signal", "unit", "n", "observed", "expected", "effect")
    cells: dict[str, Cell | None]
    if len(curve) > 1:
        frame, caption = curve, words.CURVE_TABLE
        cells = {"x": lambda r: _within(finding, r["x"]), "observed": None, "expected": None}
    elif len(onward):
        frame, caption = onward, words.ONWARD_TABLE
        cells = {
            "next": lambda r: f"{r['next']} ({r['channel']})",
            "observed": None,
            "others": None,
        }
    else:
        frame = pl.DataFrame([{name: finding[name] for name in (*names, "low", "high")}])
        caption = words.FIGURES_TABLE
        cells = {
            "observed": lambda _: observed_text(finding),
            "expected": lambda r: figure_text(finding, r["expected"]),
            "effect": lambda r: effect_text(r, interval=True),
        }
    return html_table(frame, _DETAIL, cells, caption=caption), frame


def behind_trend(result: FindingDetails, finding: Row) -> Behind:
    """Return a finding period by period."""

    def figure(r: Row) -> str:
        ends = [figure_text(finding, r[end]) for end in ("low", "high") if r[end] is not None]
        within = f" ({'–'.join(ends)})" if len(ends) == 2 else ""
        return figure_text(finding, r["observed"]) + within + answered(r.get("response"))

    trend = of_finding(result.trend, finding).drop(KEYS)
    cells = {
        "period": None,
        "n": None,
        "observed": figure,
        "complete": lambda r: "yes" if r["complete"] else "not yet",
    }
    return html_table(trend, _TREND, cells, caption=words.TREND_TABLE), trend


def _within(finding: Row, x: float) -> str:
    silence = signal_named(finding["signal"]).draws == "silence"
    return plural(x, "day") if silence else wait_text(finding, x)


def _says_finding(row: Row) -> str:
    if row["finding"]:
        return f"yes, {words.UNSTABLE}" if row["stable"] is False else "yes"
    return f"follows from {row['echo_of']}" if row["echo_of"] else "no"
