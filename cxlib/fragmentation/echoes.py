"""One fault, one finding: which signal speaks for a handoff, and which findings are echoes.

A handoff that sends customers back raises backtracking and ping-pong at once, and the customers it
sent back arrive where they came from along b → a, where they look odd in turn. The rules:

1. Of several signals on one handoff the clearest (smallest p value) is the finding; the others name
   it in ``echo_of``. Backtracking and ping-pong tell the same tale twice; ping-pong is chosen where
   returns to the source's channel account for most of the backtracking.
2. Who is sent back comes again: what is repeated after a → b is told by ping-pong or backtracking
   of a → b where these account for most of it. And customers whom a → b sends back to a are at a
   once more: a repeat at x → a that this could account for is an echo of a → b.
3. A planned handoff that leads out of b is broken where customers were lost, or sent back, on their
   way to b, or where the handoff itself is late: that is an echo of those findings.
4. A finding on b → a about where customers went next is an echo of a → b, where a → b has a clearer
   finding of sending customers back.
"""

from __future__ import annotations

import polars as pl

SENT_BACK = ("ping_pong", "backtracking")
_FOLLOWING = ("ping_pong", "backtracking", "abandonment")
REPEATS = ("repeated_task", "repeat_contact")
_LEADS_OUT = ("abandonment", *SENT_BACK)
_MOST = 0.6


def choose_findings(judged: pl.DataFrame) -> pl.DataFrame:
    """Add ``finding`` (Boolean) and ``echo_of`` ("source → target: signal", or null).

    Parameters
    ----------
    judged
        One row per signal and transition with ``source``, ``target``, ``source_place``,
        ``target_place``, ``signal``, ``significant``, ``n``, ``effect`` and ``z``.
    """
    rows = judged.filter("significant").sort("z", descending=True).to_dicts()
    speaks: dict[tuple[int, int], str] = {}
    by_handoff: dict[tuple[int, int], list[dict[str, object]]] = {}
    for row in rows:
        key = (row["source_place"], row["target_place"])
        by_handoff.setdefault(key, []).append(row)
    for key, signals in by_handoff.items():
        speaks[key] = _speaker(signals)
    strength = {key: max(float(r["z"]) for r in s) for key, s in by_handoff.items()}  # type: ignore[arg-type]
    names = {(r["source_place"], r["target_place"]): f"{r['source']} → {r['target']}" for r in rows}
    echo: dict[tuple[int, int], str] = {}
    for a, b in by_handoff:
        reverse = (b, a)
        if (
            speaks.get(reverse) in SENT_BACK
            and speaks[a, b] in _FOLLOWING
            and strength[reverse] > strength[a, b]
        ):
            echo[a, b] = f"{names[reverse]}: {speaks[reverse]}"
    echo |= _follow_ups(by_handoff, speaks, names)
    verdicts = [
        _verdict(row, speaks, echo, names)
        for row in judged.select(
            "source_place", "target_place", "signal", "significant"
        ).iter_rows()
    ]
    return judged.with_columns(
        finding=pl.Series([v[0] for v in verdicts], dtype=pl.Boolean),
        echo_of=pl.Series([v[1] for v in verdicts], dtype=pl.String),
    )


Row = dict[str, object]
Handoff = tuple[int, int]


def _customers(row: Row) -> float:
    """Customers behind an excess of shares."""
    return float(row["n"]) * float(row["effect"])  # type: ignore[arg-type]


def _follow_ups(
    by_handoff: dict[Handoff, list[Row]], speaks: dict[Handoff, str], names: dict[Handoff, str]
) -> dict[Handoff, str]:
    """Repeats at a touchpoint that customers were sent back to, and plans broken further back."""
    echo = {}
    for (x, a), signals in by_handoff.items():
        mine = {str(row["signal"]): row for row in signals}[speaks[x, a]]
        for (source, target), other in speaks.items():
            cause = {str(row["signal"]): row for row in by_handoff[source, target]}[other]
            if (source, target) == (x, a):
                continue
            sent_back = source == a and other in SENT_BACK
            if (
                speaks[x, a] in REPEATS
                and sent_back
                and _customers(cause) >= _MOST * _customers(mine)
            ) or (speaks[x, a] == "broken_handoff" and target == x and other in _LEADS_OUT):
                echo[x, a] = f"{names[source, target]}: {other}"
    return echo


def _speaker(signals: list[dict[str, object]]) -> str:
    """The signal that stands for a handoff; `signals` come clearest first."""
    by_name = {str(s["signal"]): s for s in signals}
    # what the plan says is said last: it holds whatever happened on the way
    first = next((name for name in by_name if name != "broken_handoff"), "broken_handoff")
    if first in REPEATS:
        backs = [name for name in SENT_BACK if name in by_name]
        if backs and _customers(by_name[backs[0]]) >= _MOST * _customers(by_name[first]):
            first = backs[0]
    if first in SENT_BACK and all(name in by_name for name in SENT_BACK):
        returned, back = (_customers(by_name[name]) for name in SENT_BACK)
        return "ping_pong" if returned >= _MOST * back else "backtracking"
    return first


def _verdict(
    row: tuple[int, int, str, bool],
    speaks: dict[tuple[int, int], str],
    echo: dict[tuple[int, int], str],
    names: dict[tuple[int, int], str],
) -> tuple[bool, str | None]:
    source, target, signal, significant = row
    key = (source, target)
    if not significant:
        return False, None
    if key in echo:
        return False, echo[key]
    if speaks[key] == signal:
        return True, None
    return False, f"{names[key]}: {speaks[key]}"
