"""Findings in plain words. "More than like handoffs do" is an association, not yet a cause."""

from __future__ import annotations

from html import escape
from typing import Any

import polars as pl

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
    doubts = [
        *(["changes sign with the settings: unstable"] if row.get("stable") is False else []),
        *(["the crude comparison points the other way"] if row.get("simpson") else []),
    ]
    return said + (f"; {', and '.join(doubts)}" if doubts else "")


def _say(row: dict[str, Any], step: int) -> str:
    handoff = f"{row['source']} → {row['target']}"
    n, effect, low, high = row["n"], row["effect"], row["low"], row["high"]
    signal = row["signal"]
    if signal == "delay":
        return (
            f"{handoff} takes {effect:.1f} times as long as like handoffs do "
            f"(95 %: {low:.1f} to {high:.1f}): {_hours(row['observed'])} instead of "
            f"{_hours(row['expected'])}"
        )
    if signal == "perception_dip":
        return (
            f"{handoff} is rated {-effect:.1f} points lower than like handoffs are "
            f"(95 %: {-high:.1f} to {-low:.1f}): {row['observed']:.1f} instead of "
            f"{row['expected']:.1f}"
        )
    more_n, low_n, high_n = (step * round(n * end / step) for end in (effect, low, high))
    like = "the other planned handoffs" if signal == "broken_handoff" else "like handoffs"
    more = _MORE.get(signal, f"{signal}: {{}} more").format(f"{more_n:,} customers")
    return f"{handoff} {more} than {like} do (95 %: {max(0, low_n):,} to {high_n:,})"


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def show_findings(found: pl.DataFrame, signals: pl.DataFrame, tests: int) -> str:
    """Findings as HTML for a notebook: the sentences, then what was tested and what was not."""
    if found.is_empty():
        head = "<p><b>No handoff stands out from like handoffs.</b></p>"
    else:
        items = "".join(f"<li>{escape(s)}</li>" for s in found["sentence"])
        head = f"<ol>{items}</ol>"
    skipped = "".join(
        f"<li>{escape(s)}: {escape(r)}</li>"
        for s, r in signals.filter(~pl.col("measurable")).select("signal", "reason").iter_rows()
    )
    note = f"<p>{tests:,} tests, corrected for their number (Benjamini-Hochberg).</p>"
    return head + note + (f"<ul>{skipped}</ul>" if skipped else "")
