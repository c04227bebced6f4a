"""Findings in plain words, the same on every surface.

"More than similar handoffs do" is an association, not yet a cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from cxlib.arrivals.open_hours import OPEN_UNIT
from cxlib.grounds.judged import say_day
from cxlib.numbers import decimal, spelled
from cxlib.signals import SIGNALS, signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.fragmentation.findings import Findings

_ADVICE = "Ask {owner} to follow ten customers there."

_PAST = {
    "loses": "lost",
    "sends": "sent",
    "keeps": "kept",
    "takes": "took",
    "does": "did",
    "is": "was",
    "makes": "made",
    "leaves": "left",
}
"""The verbs of the signals, of what is over."""

_MANY_TIMES = 20.0
"""From so many times as long on only the lower end is said."""

_ALIKE = 0.1
"""What is counted is said where it is so far from what is expected (waits; a fifth: shares)."""


def say_advice(signal: str, owner: str | None, *, otherwise: str = _ADVICE) -> str:
    """Say what to ask whom about a signal; `otherwise` where it gives no advice of its own.

    Examples
    --------
    >>> say_advice("no signal of this log", None)
    'Ask whoever owns it to follow ten customers there.'
    """
    advice = SIGNALS[signal].advice if signal in SIGNALS else ""
    return (advice or otherwise).format(owner=owner or "whoever owns it")


def say_finding(row: Mapping[str, Any], *, step: int = 1) -> str:
    """Say one finding so that a stakeholder could repeat it; customers in multiples of `step`.

    Examples
    --------
    >>> from datetime import date
    >>> say_finding({"source": "app basket", "target": "till", "signal": "abandonment",
    ...              "n": 5000, "effect": 0.248, "low": 0.196, "high": 0.302,
    ...              "observed": 0.5, "expected": 0.25})
    'app basket → till loses 1,240 customers more than similar handoffs do (95 %: 980 to 1,510)'

    What is over is told in the past:

    >>> say_finding({"source": "call", "target": "visit", "signal": "delay", "ground": "past",
    ...              "n": 900, "effect": 2.4, "low": 1.6, "high": 3.7, "observed": 60,
    ...              "expected": 25, "compared_with": "since 1 May 2025",
    ...              "affected_until": date(2025, 5, 1)})
    'call → visit took 2.4 times as long as it has since 1 May 2025 (95 %: 1.6 to 3.7): 2.5 \
days instead of 25 hours; mended'

    Expected is what is left once all that also changed or differs is taken out; where those it is
    compared with show something else, that is said, too:

    >>> say_finding({"source": "call", "target": "visit", "signal": "delay", "ground": "groups",
    ...              "n": 900, "effect": 2.4, "low": 1.6, "high": 3.7, "observed": 60,
    ...              "expected": 25, "others": 31, "compared_with": "the others"})
    'call → visit takes 2.4 times as long as the others do (95 %: 1.6 to 3.7): 2.5 \
days instead of 25 hours (31 hours as counted)'
    """
    doubts = []
    if row.get("stable") is False:
        rated = signal_named(row["signal"]).family == "rating"
        why = "who answers could explain it" if rated else "changes sign with the settings"
        doubts.append(f"{why}: unstable")
    if row.get("simpson"):
        doubts.append("the crude comparison points the other way")
    verb, said = _say(row, step).split(" ", 1)
    verb = _PAST.get(verb, verb) if row.get("affected_until") else verb
    return "; ".join(filter(None, [f"{say_subject(row)} {verb} {said}", ", and ".join(doubts)]))


def say_subject(row: Mapping[str, Any]) -> str:
    """Name the unit of a row, and the group it is about.

    Examples
    --------
    >>> say_subject({"source": "search", "target": "payment", "group": "device", "value": "PC"})
    'search → payment (device: PC)'
    """
    where = f"{row['source']} → {row['target']}" if row.get("target") else str(row["source"])
    if row.get("unit") == "place" and signal_named(row["signal"]).family == "wait":
        where = f"whatever follows {row['source']}"
    group = row.get("group")
    return where if group is None else f"{where} ({spelled(group)}: {row['value']})"


def _say(row: Mapping[str, Any], step: int) -> str:
    """What a row says of its subject: the verb first."""
    signal, since = signal_named(row["signal"]), _since(row)
    n, effect, low, high = row["n"], row["effect"], row["low"], row["high"]
    ground = row.get("ground")
    if signal.family == "wait":
        is_open = row.get("effect_unit", row.get("unit")) == OPEN_UNIT
        observed, expected = hours_apart(row["observed"], row["expected"], is_open=is_open)
        clock = ", counted in open hours" if is_open else ""
        times, least, most = (decimal(x, 1 if x < 9.95 else 0) for x in (effect, low, high))
        sure = f" (95 %: {least} to {most})"
        if effect >= _MANY_TIMES and low > 1:
            times, sure = f"at least {least}", ""  # nobody can picture 219 times (20 to 2,355)
        return (
            f"takes {times} times as long {_than(row, 'as', 'do')}{sure}: "
            f"{observed} instead of {expected}{clock}{_beside(row)}{since}"
        )
    if signal.family == "rating":
        response = row.get("response")
        answered = "" if response is None else f" ({100 * response:.0f} % answered)"
        return (
            f"is rated {-effect:.1f} points lower {_than(row, 'than', 'are')} "
            f"(95 %: {-high:.1f} to {-low:.1f}): {row['observed']:.1f} instead of "
            f"{row['expected']:.1f}{answered}{since}"
        )
    more_n, low_n, high_n = (step * round(n * end / step) for end in (effect, low, high))
    more = (signal.says or f"{row['signal']}: {{}} more").format(f"{more_n:,} customers")
    said = f"{more} {_than(row, 'than', 'do')} (95 %: {max(0, low_n):,} to {high_n:,})"
    if ground in (None, "like", "plan"):
        return said
    seen, usual = _share(row["observed"]), _share(row["expected"])
    return f"{said}: {seen} instead of {usual}{_beside(row)}{since}"


def _beside(row: Mapping[str, Any]) -> str:
    """What stands beside the two figures: what was counted, how many go on; in brackets."""
    others, expected, kind = row.get("others"), row["expected"], signal_named(row["signal"])
    told = []
    if others is not None and kind.family == "wait" and abs(others / expected - 1) >= _ALIKE:
        is_open = row.get("effect_unit", row.get("unit")) == OPEN_UNIT
        told.append(f"{say_hours(others, is_open=is_open)} as counted")
    if others is not None and kind.family == "share" and abs(others - expected) >= _ALIKE / 5:
        told.append(f"{_share(others)} as counted")
    at_step = row.get("unit") in ("place", "stage_step") and row.get("target")
    if at_step and kind.draws == "silence":
        seen, usual = (_share(1 - row[name]) for name in ("observed", "expected"))
        told.append(f"{seen} go on to {row['target']} instead of {usual}")
    return f" ({'; '.join(told)})" if told else ""


def _share(value: float) -> str:
    points = 100 * value
    return f"{points:.1f} %" if 0 < points < 9.95 or 90.05 < points < 100 else f"{points:.0f} %"


def _than(row: Mapping[str, Any], word: str, verb: str) -> str:
    ground, other = row.get("ground"), row.get("compared_with")
    if ground == "past":
        has = "it has been " if verb == "are" else "it has "
        return f"{word} {has if str(other).startswith('since') else ''}{other}"
    if ground == "groups":
        return f"{word} {other} {'do' if other == 'the others' else 'does'}"
    others = "the other planned handoffs" if ground == "plan" else "similar handoffs"
    return f"{word} {others} {verb}"


def _since(row: Mapping[str, Any]) -> str:
    since, until = row.get("since"), row.get("affected_until")
    if row.get("ground") != "past":
        return f", until {say_day(until)}" if until else ""
    told = str(row.get("compared_with"))  # no day is said twice
    days = [(at, f" {say_day(day)}") for at, day in (("since", since), ("until", until)) if day]
    said = ", ".join(at + day for at, day in days if day not in told)
    if since is None and until:
        return "; mended" + said.replace("until", " since")
    return f"; {said}" if said else ""


def say_hours(hours: float, *, is_open: bool = False) -> str:
    """Write a wait given in hours, with no more decimals than can be meant.

    Examples
    --------
    >>> say_hours(35.04), say_hours(1.5), say_hours(60), say_hours(0.25), say_hours(0.012)
    ('35 hours', '1.5 hours', '2.5 days', '15 minutes', '43 seconds')
    """
    # a day of open hours would be taken for a day
    fitting = (u for u in _UNITS if hours < u[2] or (is_open and u[0] == "hour"))
    unit, size, _ = next(fitting)
    value = hours / size
    written = decimal(value, 1 if value < 9.95 and unit != "second" else 0).removesuffix(".0")
    return f"{written} {unit}" if written == "1" else f"{written} {unit}s"


_UNITS = (
    ("second", 1 / 3600, 59.5 / 3600),
    ("minute", 1 / 60, 59.5 / 60),
    ("hour", 1.0, 48.0),
    ("day", 24.0, inf),
)
"""Units of waits: their hours, and the hours below which they are written so."""


def hours_apart(first: float, second: float, *, is_open: bool = False) -> tuple[str, str]:
    """Write two waits that stand side by side, the unit of both once, after the first.

    Examples
    --------
    >>> hours_apart(35.1, 16), hours_apart(60, 2), hours_apart(0.04, 0.012)
    (('35 hours', '16'), ('2.5 days', '2 hours'), ('2.4 minutes', '43 seconds'))
    """
    seen, usual = (say_hours(hours, is_open=is_open) for hours in (first, second))
    number, unit = usual.split(maxsplit=1)
    return seen, number if seen.split(maxsplit=1)[1] == unit else usual


def say_reasons(signals: pl.DataFrame) -> list[str]:
    """Why signals could not be measured: each reason once, with the signals it holds for."""
    told = signals.drop_nulls("reason").group_by("reason", maintain_order=True).agg("signal")
    every = len(signals)
    return [
        f"{'every signal' if len(names) == every else ', '.join(map(spelled, names))}: {reason}"
        for reason, names in told.iter_rows()
    ]


class Headline(NamedTuple):
    """The sentence, without a full stop, what it tells of, and the findings to mark."""

    sentence: str
    kind: Literal["finding", "suspected", "described", "nothing"]
    table: pl.DataFrame


def headline(findings: Findings | FindingDetails) -> Headline:
    """Say in one sentence what stands out, and list what to mark on a journey map.

    Where customers leave comes first, then what affects most of them.
    """
    found = getattr(findings, "bands", findings.found)
    # what is mended already is told of after what still goes wrong
    leave = pl.col("signal").is_in([n for n, s in SIGNALS.items() if s.draws == "silence"])
    found = found.sort(pl.col("affected_until").is_not_null(), ~leave, maintain_order=True)
    for rows, kind in ((found, "finding"), (findings.described, "described")):
        for sentence in rows["sentence"].drop_nulls().head(1):
            return Headline(sentence, kind, found)  # type: ignore[arg-type]
    sentence = "Nothing stands out from what is usual here"
    if not findings.tests:
        why = "".join(f" ({reason})" for reason in say_reasons(findings.signals)[:1])
        of_all = " (every signal: not measurable, "
        why = f", {why[len(of_all) : -1]}" if why.startswith(of_all) else why
        sentence = f"Nothing could be judged{why}"
    return Headline(sentence, "nothing", found)
