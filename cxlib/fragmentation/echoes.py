"""One cause, one finding: which row speaks, and which are echoes of it.

The same fault is seen by several signals, at several units, in groups and on several grounds.

On one transition compared with like ones:

1. Of several signals the clearest (largest z) is the finding. Backtracking and ping-pong tell the
   same tale twice; ping-pong is chosen where returns to the source's channel account for most of
   the backtracking, and what is repeated after a → b is told by these where they account for it.
2. Customers whom a → b sends back to a are at a once more: a repeat at x → a that this could
   account for is an echo of a → b, and so is a finding on b → a about where they went next.
3. A planned handoff out of b is broken where customers were lost or sent back on their way to b.

Across grounds and units:

4. What is said with a date or for a group says more than the comparison with similar transitions,
   and is the finding where it accounts for most (`_MOST`) of the excess; else it is the echo.
5. A place is the finding where more than one way to it is hit (its excess is well above that of
   any single transition); else the transition is. A stage step is an echo of a place within it.
6. Of the values of one column, and of several columns, the clearest at a unit is the finding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from cxlib.signals import signal_named

_MOST = 0.6
_FROM_ONE = 0.7
_STEP = 0.4
_NEARLY_ALL = 0.85

Row = dict[str, Any]
Handoff = tuple[int, int]


def choose_findings(judged: pl.DataFrame) -> pl.DataFrame:
    """Add ``finding`` (Boolean) and ``echo_of`` ("source → target: signal", or null).

    Parameters
    ----------
    judged
        Rows of `cxlib.grounds.judged.JUDGED` with ``signal``, ``ground`` and ``significant``.
    """
    rows = judged.filter("significant").sort("z", descending=True).to_dicts()
    echo: dict[int, Row] = {}
    on_plan = [r for r in rows if r["ground"] in ("like", "plan")]
    others = [r for r in rows if r["ground"] not in ("like", "plan")]
    _among_handoffs(on_plan, echo)
    causes: list[Row] = []
    for row in sorted(others, key=lambda r: -_rank(r)):
        known_cause = next((c for c in causes if _follows(row, c)), None)
        if known_cause is None:
            causes.append(row)
        else:
            echo[row["row"]] = known_cause
    _across(causes, [r for r in on_plan if r["row"] not in echo], echo)
    known = {r["row"]: r for r in rows}
    verdicts = []
    for number in judged["row"].to_list():
        spoken = echo.get(number)
        while spoken is not None and spoken["row"] in echo and echo[spoken["row"]]["row"] != number:
            spoken = echo[spoken["row"]]
        verdicts.append((number in known and spoken is None, spoken and _name(spoken)))
    return judged.with_columns(
        finding=pl.Series([v[0] for v in verdicts], dtype=pl.Boolean),
        echo_of=pl.Series([v[1] for v in verdicts], dtype=pl.String),
    )


def _name(row: Row) -> str:
    where = f"{row['source']} → {row['target']}" if row["target"] else str(row["source"])
    return f"{where}: {row['signal']}"


def excess(row: Row) -> float:
    """Customers behind a row: cases × effect of shares, everybody who is hit otherwise."""
    if signal_named(row["signal"]).family == "share":
        return float(row["n"]) * float(row["effect"])
    return float(row["affected"] or 0)


def _rank(row: Row) -> float:
    """How clear a row is; what names a group within a time says more than either."""
    return float(row["z"])


def _spot(row: Row) -> tuple[str, str | None, str | None]:
    if row["unit"] == "place":
        return ("place", row["source"], None)
    return (row["unit"], row["source"], row["target"])


def _place(row: Row) -> str | None:
    """The touchpoint at which what a row tells has happened."""
    return str(row["source"]) if row["unit"] == "place" else row["target"]


def _follows(row: Row, cause: Row) -> bool:
    """Whether a row on a ground with dates or groups tells of the same cause as a clearer one."""
    same_signal = row["signal"] == cause["signal"]
    if _spot(row) == _spot(cause):
        # a date accounts for a group, or a group for a date, only where it is as large
        other = same_signal and row["ground"] != cause["ground"]
        return not other or excess(cause) >= _NEARLY_ALL * excess(row)
    units = {row["unit"], cause["unit"]}
    if units == {"place", "transition"} and _place(row) == _place(cause):
        if row["unit"] == "transition":
            return same_signal or _same_cut(row, cause)
        return same_signal and excess(cause) >= _STEP * excess(row)
    if "stage_step" in units and same_signal:
        return _same_cut(row, cause)
    if same_signal and _same_cut(row, cause) and row["unit"] == cause["unit"] == "transition":
        # several ways to one place, hit together: the place speaks where it is judged
        return row["target"] == cause["target"] and excess(row) < _MOST * excess(cause)
    # the next step of those who were hit
    starts = row["source"] if row["unit"] == "transition" else _place(row)
    return (
        _same_cut(row, cause)
        and starts in (_place(cause), cause["source"])
        and (excess(row) < _FROM_ONE * excess(cause))
    )


def _same_cut(row: Row, cause: Row) -> bool:
    """Whether two rows are about the same value, or dates that could be one."""
    if (row["group"], row["value"]) == (cause["group"], cause["value"]):
        return row["ground"] == cause["ground"] or row["group"] is not None
    return row["ground"] == cause["ground"] == "past"


def _across(specific: list[Row], on_plan: list[Row], echo: dict[int, Row]) -> None:
    """Dates and groups against similar transitions: who accounts for whom."""
    for row in on_plan:
        for cause in specific:
            if cause["row"] in echo:
                continue
            here = _spot(row) == _spot(cause)
            at_place = cause["unit"] == "place" and cause["source"] == row["target"]
            if not here and not (at_place and cause["signal"] == row["signal"]):
                continue
            if excess(cause) >= _MOST * excess(row):
                echo[row["row"]] = cause
                break
            if here or at_place:
                echo[cause["row"]] = row


def _among_handoffs(rows: list[Row], echo: dict[int, Row]) -> None:
    """Rules 1 to 3: rows on transitions, clearest first."""
    by_handoff: dict[Handoff, list[Row]] = {}
    for row in rows:
        by_handoff.setdefault((row["source_place"], row["target_place"]), []).append(row)
    speaks = {key: _speaker(signals) for key, signals in by_handoff.items()}
    strength = {key: max(float(r["z"]) for r in s) for key, s in by_handoff.items()}
    for (a, b), signals in by_handoff.items():
        mine, back = speaks[a, b], speaks.get((b, a))
        cause = mine
        if (
            back is not None
            and _sends_back(back)
            and _about_next(mine)
            and strength[b, a] > strength[a, b]
        ):
            cause = back
        further = _further_back((a, b), speaks)
        cause = further if further is not None else cause
        for row in signals:
            if row is not cause:
                echo[row["row"]] = cause


def _sends_back(row: Row) -> bool:
    return signal_named(row["signal"]).sends_back


def _about_next(row: Row) -> bool:
    """Whether a row tells where customers went next, or that they went nowhere."""
    return bool(signal_named(row["signal"]).draws in ("next", "silence"))


def _further_back(here: Handoff, speaks: dict[Handoff, Row]) -> Row | None:
    """What happened a step before, where that accounts for a repeat or a plan that is missed."""
    x, a = here
    mine = speaks[here]
    signal = signal_named(mine["signal"])
    test: Callable[[Handoff, Row], bool]
    if signal.repeats:
        test = lambda at, cause: (  # noqa: E731
            at[0] == a and _sends_back(cause) and excess(cause) >= _MOST * excess(mine)
        )
    elif signal.plan is not None:
        test = lambda at, cause: at[1] == x and _about_next(cause)  # noqa: E731
    else:
        return None
    return next((c for at, c in speaks.items() if at != here and test(at, c)), None)


def _speaker(signals: list[Row]) -> Row:
    """The row that stands for a handoff; `signals` come clearest first."""
    # what the plan says is said last: it holds whatever happened on the way
    first = next((r for r in signals if signal_named(r["signal"]).plan is None), signals[0])
    backs = [r for r in signals if _sends_back(r)]
    repeated = signal_named(first["signal"]).repeats and bool(backs)
    if repeated and excess(backs[0]) >= _MOST * excess(first):
        first = backs[0]
    if _sends_back(first) and len(backs) > 1:
        # returns to where they came from, where these account for most of what went back
        home, stage = sorted(backs, key=lambda r: signal_named(r["signal"]).number)[:2]
        return home if excess(home) >= _MOST * excess(stage) else stage
    return first
