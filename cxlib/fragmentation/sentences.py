"""Findings in plain words. "More than like handoffs do" is an association, not yet a cause."""

from __future__ import annotations

from typing import Any

import polars as pl

from cxlib.fragmentation.open_hours import OPEN_UNIT
from cxlib.markup import html_text

_FIGURES = ("observed", "expected")
_MORE = {
    "abandonment": "loses {} more",
    "backtracking": "sends {} more back a stage",
    "ping_pong": "sends {} more back where they came from",
    "repeated_task": "makes {} more repeat a task",
    "repeat_contact": "makes {} more contact you again",
    "self_service_leak": "leaves {} more to call for help",
    "broken_handoff": "keeps {} more from the planned next step",
}
"""What a broken handoff does to so many customers more than like handoffs do."""

_SHAKY = {"perception_dip": "who answers could explain it: unstable"}
"""What it means for a signal to be unstable, where that is not a change of sign."""


def say_finding(row: dict[str, Any], *, step: int = 1) -> str:
    """Say one finding so that a stakeholder could repeat it; customers in multiples of `step`.

    Examples
    --------
    >>> say_finding({"source": "app basket", "target": "till", "signal": "abandonment",
    ...              "n": 5000, "effect": 0.248, "low": 0.196, "high": 0.302,
    ...              "observed": 0.5, "expected": 0.25})
    'app basket → till loses 1,240 customers more than like handoffs do (95 %: 980 to 1,510)'
    """
    said = _say(row, step)
    shaky = _SHAKY.get(row["signal"], "changes sign with the settings: unstable")
    doubts = [
        *([shaky] if row.get("stable") is False else []),
        *(["the crude comparison points the other way"] if row.get("simpson") else []),
    ]
    return said + (f"; {', and '.join(doubts)}" if doubts else "")


def _say(row: dict[str, Any], step: int) -> str:
    handoff = f"{row['source']} → {row['target']}"
    n, effect, low, high = row["n"], row["effect"], row["low"], row["high"]
    signal = row["signal"]
    if signal == "delay":
        is_open = row.get("unit") == OPEN_UNIT
        observed, expected = (_hours(row[name], is_open=is_open) for name in _FIGURES)
        return (
            f"{handoff} takes {effect:.1f} times as long as like handoffs do "
            f"(95 %: {low:.1f} to {high:.1f}): {observed} instead of {expected}"
            + (", counted in open hours" if is_open else "")
        )
    if signal == "perception_dip":
        return (
            f"{handoff} is rated {-effect:.1f} points lower than like handoffs are "
            f"(95 %: {-high:.1f} to {-low:.1f}): {row['observed']:.1f} instead of "
            f"{row['expected']:.1f}{_answered(row)}"
        )
    more_n, low_n, high_n = (step * round(n * end / step) for end in (effect, low, high))
    like = "the other planned handoffs" if signal == "broken_handoff" else "like handoffs"
    more = _MORE.get(signal, f"{signal}: {{}} more").format(f"{more_n:,} customers")
    return f"{handoff} {more} than {like} do (95 %: {max(0, low_n):,} to {high_n:,})"


def _answered(row: dict[str, Any]) -> str:
    rate = row.get("response")
    return "" if rate is None else f" ({100 * rate:.0f} % answered)"


def _hours(hours: float, *, is_open: bool) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    # a day of open hours would be taken for a day
    return f"{hours:.1f} hours" if hours < 48 or is_open else f"{hours / 24:.1f} days"


def show_findings(found: pl.DataFrame, signals: pl.DataFrame, tests: int) -> str:
    """Findings as HTML for a notebook: the sentences, then what was tested and what was not."""
    if found.is_empty():
        head = "<p><b>No handoff stands out from like handoffs.</b></p>"
    else:
        items = "".join(f"<li>{html_text(s)}</li>" for s in found["sentence"])
        head = f"<ol>{items}</ol>"
    skipped = "".join(
        f"<li>{html_text(s)}: {html_text(r)}</li>"
        for s, r in signals.drop_nulls("reason").select("signal", "reason").iter_rows()
    )
    note = f"<p>{tests:,} tests, corrected for their number (Benjamini-Hochberg).</p>"
    return head + note + (f"<ul>{skipped}</ul>" if skipped else "")
