"""Findings in plain words. "More than similar handoffs do" is an association, not yet a cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cxlib.arrivals.open_hours import OPEN_UNIT
from cxlib.grounds.judged import say_day
from cxlib.markup import html_text
from cxlib.numbers import decimal, plural, sentence_case
from cxlib.signals import SIGNALS, signal_named

__all__ = ["hours_apart", "say_advice", "say_finding", "say_hours", "say_subject", "show_findings"]

_FIGURES = ("observed", "expected")
_ADVICE = "Ask {owner} to follow ten customers there."


def say_advice(signal: str, owner: str | None, *, otherwise: str = _ADVICE) -> str:
    """Say what to ask whom about a signal; `otherwise` where it gives no advice of its own.

    Examples
    --------
    >>> say_advice("no signal of this log", None)
    'Ask whoever owns it to follow ten customers there.'
    """
    advice = SIGNALS[signal].advice if signal in SIGNALS else ""
    return (advice or otherwise).format(owner=owner or "whoever owns it")


def say_finding(row: dict[str, Any], *, step: int = 1) -> str:
    """Say one finding so that a stakeholder could repeat it; customers in multiples of `step`.

    Examples
    --------
    >>> say_finding({"source": "app basket", "target": "till", "signal": "abandonment",
    ...              "n": 5000, "effect": 0.248, "low": 0.196, "high": 0.302,
    ...              "observed": 0.5, "expected": 0.25})
    'app basket → till loses 1,240 customers more than similar handoffs do (95 %: 980 to 1,510)'
    """
    said = _say(row, step)
    rated = signal_named(row["signal"]).family == "rating"
    shaky = (
        "who answers could explain it: unstable"
        if rated
        else "changes sign with the settings: unstable"
    )
    doubts = [
        *([shaky] if row.get("stable") is False else []),
        *(["the crude comparison points the other way"] if row.get("simpson") else []),
    ]
    return said + (f"; {', and '.join(doubts)}" if doubts else "")


def say_subject(row: Mapping[str, Any]) -> str:
    """Name the unit of a row, and the group it is about.

    Examples
    --------
    >>> say_subject({"source": "search", "target": "payment", "group": "device", "value": "PC"})
    'search → payment (device: PC)'
    """
    where = f"{row['source']} → {row['target']}" if row.get("target") else str(row["source"])
    group = row.get("group")
    return where if group is None else f"{where} ({group}: {row['value']})"


def _say(row: dict[str, Any], step: int) -> str:
    subject = say_subject(row)
    signal = signal_named(row["signal"])
    n, effect, low, high = row["n"], row["effect"], row["low"], row["high"]
    since = _since(row)
    if signal.family == "wait":
        is_open = row.get("effect_unit", row.get("unit")) == OPEN_UNIT
        observed, expected = hours_apart(*(row[name] for name in _FIGURES), is_open=is_open)
        return (
            f"{subject} takes {effect:.1f} times as long {_than(row, 'as', 'do')} "
            f"(95 %: {low:.1f} to {high:.1f}): {observed} instead of {expected}"
            + (", counted in open hours" if is_open else "")
            + since
        )
    if signal.family == "rating":
        return (
            f"{subject} is rated {-effect:.1f} points lower {_than(row, 'than', 'are')} "
            f"(95 %: {-high:.1f} to {-low:.1f}): {row['observed']:.1f} instead of "
            f"{row['expected']:.1f}{_answered(row)}{since}"
        )
    more_n, low_n, high_n = (step * round(n * end / step) for end in (effect, low, high))
    more = (signal.says or f"{row['signal']}: {{}} more").format(f"{more_n:,} customers")
    said = f"{subject} {more} {_than(row, 'than', 'do')} (95 %: {max(0, low_n):,} to {high_n:,})"
    if row.get("ground") in (None, "like", "plan"):
        return said
    seen, usual = (_share(row[name]) for name in _FIGURES)
    return f"{said}: {seen} instead of {usual}{_goes_on(row)}{since}"


def _goes_on(row: dict[str, Any]) -> str:
    """The same of those who go on, where there is one next step."""
    if row.get("unit") not in ("place", "stage_step") or not row.get("target"):
        return ""
    if signal_named(row["signal"]).draws != "silence":
        return ""
    seen, usual = (_share(1 - row[name]) for name in _FIGURES)
    others = row.get("others")
    counted = ""
    if others is not None:
        counted = f"; as counted {_share(1 - others)} of {row['compared_with']}"
    return f" ({seen} go on to {row['target']} instead of {usual}{counted})"


def _share(value: float) -> str:
    points = 100 * value
    return f"{points:.1f} %" if 0 < points < 9.95 or 90.05 < points < 100 else f"{points:.0f} %"


def _than(row: dict[str, Any], word: str, verb: str) -> str:
    ground, other = row.get("ground"), row.get("compared_with")
    if ground in ("past",):
        return f"{word} {other}" if word == "than" else f"as {other}"
    if ground == "groups":
        return f"{word} {other} {'do' if other == 'the others' else 'does'}"
    if ground == "plan":
        return f"{word} the other planned handoffs {verb}"
    return f"{word} similar handoffs {verb}"


def _since(row: dict[str, Any]) -> str:
    since, until = row.get("since"), row.get("affected_until")
    if row.get("ground") != "past" or (since is None and until is None):
        return ""
    if since is None:
        return f"; mended since {say_day(until)}" if until else ""
    ended = f", until {say_day(until)}" if until else ""
    return f"; since {say_day(since)}{ended}"


def _answered(row: dict[str, Any]) -> str:
    rate = row.get("response")
    return "" if rate is None else f" ({100 * rate:.0f} % answered)"


def say_hours(hours: float, *, is_open: bool = False) -> str:
    """Write a wait given in hours, with no more decimals than can be meant.

    Examples
    --------
    >>> say_hours(35.04), say_hours(1.5), say_hours(60), say_hours(0.25)
    ('35 hours', '1.5 hours', '2.5 days', '15 minutes')
    """
    if hours * 60 < 59.5:
        return plural(round(hours * 60), "minute")
    # a day of open hours would be taken for a day
    value, unit = (hours, "hour") if hours < 48 or is_open else (hours / 24, "day")
    written = decimal(value, 1 if value < 9.95 else 0).removesuffix(".0")
    return f"{written} {unit}" if written == "1" else f"{written} {unit}s"


def hours_apart(first: float, second: float, *, is_open: bool = False) -> tuple[str, str]:
    """Write two waits that stand side by side, the unit of both once, after the first.

    Examples
    --------
    >>> hours_apart(35.1, 16), hours_apart(60, 2)
    (('35 hours', '16'), ('2.5 days', '2 hours'))
    """
    seen, usual = (say_hours(hours, is_open=is_open) for hours in (first, second))
    number, unit = usual.split(maxsplit=1)
    return seen, number if seen.split(maxsplit=1)[1] == unit else usual


def show_findings(found: pl.DataFrame, signals: pl.DataFrame, tests: int) -> str:
    """Findings as HTML for a notebook: the sentences, then what was tested and what was not."""
    if found.is_empty():
        head = "<p><b>No handoff stands out from similar handoffs.</b></p>"
    else:
        items = "".join(f"<li>{html_text(sentence_case(s))}</li>" for s in found["sentence"])
        head = f"<ol>{items}</ol>"
    skipped = "".join(f"<li>{html_text(line)}</li>" for line in say_reasons(signals))
    note = f"<p>{tests:,} tests, corrected for their number (Benjamini-Hochberg).</p>"
    return head + note + (f"<ul>{skipped}</ul>" if skipped else "")


def say_reasons(signals: pl.DataFrame) -> list[str]:
    """Why signals could not be measured: each reason once, with the signals it holds for."""
    told = signals.drop_nulls("reason").group_by("reason", maintain_order=True).agg("signal")
    lines = []
    for reason, names in told.iter_rows():
        every = len(names) == len(signals)
        who = "every signal" if every else ", ".join(n.replace("_", " ") for n in names)
        lines.append(f"{who}: {reason}")
    return lines
