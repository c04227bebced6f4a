"""One cause, one finding: which row speaks, and which are echoes of it.

On one transition compared with like ones the clearest signal is the finding (returns to where
customers came from before going back a stage, both before what is repeated); what customers do who
were sent back is an echo, and so is a planned handoff that was missed on the way. A date or a group
is the finding where it accounts for most of the excess (`_MOST`); a place, where more than one way
to it is hit; a stage step never beside a place within it. Where contacts are recorded no more, what
seems to follow is an echo. Of several values and columns the clearest at a unit is the finding.
"""

from __future__ import annotations

from datetime import timedelta
from math import log
from typing import Any

import polars as pl

from cxlib.signals import signal_named

_MOST = 0.6
_FROM_ONE = 0.7
_STEP = 0.4
_NEARLY_ALL = 0.85
_OFTEN, _ALIKE = 0.05, timedelta(days=42)

Row = dict[str, Any]
Handoff = tuple[int, int]


def choose_findings(judged: pl.DataFrame) -> pl.DataFrame:
    """Add ``finding`` and ``echo_of`` ("source → target: signal", or null) to all rows."""
    rows = judged.filter("significant").sort("z", descending=True).to_dicts()
    echo: dict[int, Row] = {}
    on_plan = [r for r in rows if r["ground"] in ("like", "plan")]
    others = [r for r in rows if r["ground"] not in ("like", "plan")]
    _among_handoffs(on_plan, echo)
    causes: list[Row] = []
    for row in sorted(others, key=_of_plan):  # clearest first
        if told := next((c for c in causes if _follows(row, c)), None):
            wider = _is_wider(row, told)
            echo |= {told["row"]: row} if wider else {row["row"]: told}
            causes = [row if wider and c is told else c for c in causes]
        else:
            # less clear than a date (or a group) that it accounts for
            told_by_it = [c for c in causes if _on_another_ground(row, c)]
            echo |= {c["row"]: row for c in told_by_it}
            causes = [c for c in causes if c["row"] not in echo] + [row]
    _among_records(rows, _next_to(judged), echo)
    _across(causes, [r for r in on_plan if r["row"] not in echo], echo)
    said: dict[int, str] = {}
    for number, cause in echo.items():
        spoken = cause
        while spoken["row"] in echo and echo[spoken["row"]]["row"] != number:
            spoken = echo[spoken["row"]]
        ends = filter(None, (spoken["source"], spoken["target"]))
        said[number] = f"{' → '.join(ends)}: {spoken['signal']}"
    names = [said.get(number) for number in judged["row"].to_list()]
    echoes = judged.with_columns(echo_of=pl.Series(names, dtype=pl.String))
    return echoes.with_columns(finding=pl.col("significant") & pl.col("echo_of").is_null())


def excess(row: Row) -> float:
    """What is behind a row: cases × effect (of waits its logarithm), or customers with a rating."""
    family, effect = signal_named(row["signal"]).family, row["effect"]
    if family == "rating":
        return float(row["affected"] or 0)
    return float(row["n"] * (effect if family == "share" else log(max(effect, 1e-9))))


def _of_plan(row: Row) -> bool:
    """What the plan says is said last: it holds whatever happened on the way."""
    return signal_named(row["signal"]).plan is not None


def _spot(row: Row) -> tuple[str, str | None, str | None]:
    return row["unit"], row["source"], None if row["unit"] == "place" else row["target"]


def _place(row: Row) -> str | None:
    """The touchpoint at which what a row tells has happened."""
    return str(row["source"]) if row["unit"] == "place" else row["target"]


def _whole(row: Row) -> str | None:
    """The touchpoint of whose ways a row tells of one, or of all: of waits the one that is left."""
    wait = signal_named(row["signal"]).family == "wait"
    return str(row["source"]) if wait else _place(row)


def _follows(row: Row, cause: Row) -> bool:
    """Whether a row on a ground with dates or groups tells of the same cause as a clearer one."""
    same_signal = row["signal"] == cause["signal"]
    if _spot(row) == _spot(cause):
        # a date accounts for a group, or a group for a date, only where it is as large
        other = _on_another_ground(row, cause)
        return not other or excess(cause) >= _NEARLY_ALL * excess(row)
    if _of_plan(row) and row["source"] in (_place(cause), cause["source"]):
        return _same_cut(row, cause) and excess(cause) >= _STEP * excess(row)
    units = {row["unit"], cause["unit"]}
    at = _whole if same_signal else _place
    if units == {"place", "transition"} and at(row) == at(cause):
        if row["unit"] == "transition":
            return same_signal or _same_cut(row, cause)
        return same_signal and excess(cause) >= _STEP * excess(row)
    if "stage_step" in units and same_signal:
        return _same_cut(row, cause)
    if same_signal and _same_cut(row, cause) and row["unit"] == cause["unit"] == "transition":
        # several ways to one place, or waits from one, hit together: the largest speaks
        waits = signal_named(row["signal"]).family == "wait"
        near = row["target"] == cause["target"] or (waits and row["source"] == cause["source"])
        return near and excess(row) < _MOST * excess(cause)
    # the next step of those who were hit
    starts = row["source"] if row["unit"] == "transition" else _place(row)
    return (
        _same_cut(row, cause)
        and starts in (_place(cause), cause["source"])
        and (excess(row) < _FROM_ONE * excess(cause))
    )


def _on_another_ground(row: Row, cause: Row) -> bool:
    same = _spot(row) == _spot(cause) and row["signal"] == cause["signal"]
    return same and row["ground"] != cause["ground"]


def _is_wider(row: Row, cause: Row) -> bool:
    """Whether all changed as a clearer part did: it accounts for less than most of that, or the
    rest changed at least half as much. And whether one way has nearly all of a place's waits.
    """
    if (row["unit"], cause["unit"]) == ("transition", "place"):
        one_way = row["signal"] == cause["signal"] and _whole(row) != _place(row)
        alike = _same_cut(row, cause) and row["group"] == cause["group"]
        return one_way and alike and excess(row) >= _NEARLY_ALL * excess(cause)
    alike = row["ground"] == cause["ground"] == "past" and row["signal"] == cause["signal"]
    whole = _spot(row) == _spot(cause) and row["group"] is None and cause["group"] is not None
    part, rest = excess(cause), excess(row) - excess(cause)
    as_much = rest * cause["n"] >= part * (row["n"] - cause["n"]) / 2 > 0
    return alike and whole and (part < _MOST * excess(row) or as_much)


def _same_cut(row: Row, cause: Row) -> bool:
    """Whether two rows are about the same value, or dates that could be one."""
    if (row["group"], row["value"]) == (cause["group"], cause["value"]):
        return row["ground"] == cause["ground"] or row["group"] is not None
    return row["ground"] == cause["ground"] == "past"


def _across(specific: list[Row], on_plan: list[Row], echo: dict[int, Row]) -> None:
    """Dates and groups against similar transitions: who accounts for whom."""
    for row in on_plan:
        place = ("place", _whole(row), row["signal"])
        for cause in specific:
            at_place = (cause["unit"], cause["source"], cause["signal"]) == place
            if cause["row"] in echo or not (at_place or _spot(row) == _spot(cause)):
                continue
            if excess(cause) >= _MOST * excess(row):
                echo[row["row"]] = cause
                break
            echo[cause["row"]] = row


def _next_to(judged: pl.DataFrame) -> set[tuple[str, str]]:
    """Touchpoints that directly follow one another often, in both orders."""
    moves = judged.filter((pl.col("unit") == "transition") & (pl.col("ground") == "like"))
    n = pl.col("n").max()
    pairs = moves.group_by("source", "target").agg(n)
    often = pl.col("n") >= _OFTEN * pl.col("n").sum().over("source")
    found = set(pairs.filter(often).select("source", "target").iter_rows())
    return found | {(b, a) for a, b in found}


def _among_records(rows: list[Row], next_to: set[tuple[str, str]], echo: dict[int, Row]) -> None:
    """Rule 6: what follows from contacts that are not recorded, or from what they follow."""
    for cause in rows:
        if not signal_named(cause["signal"]).of_records or cause["row"] in echo:
            continue
        near = [
            row
            for row in rows
            if row["row"] not in echo and row is not cause and _dated_alike(row, cause)
            and any(x == _place(cause) or (str(x), str(_place(cause))) in next_to
                    for x in (row["source"], row["target"]) if x)
        ]  # fmt: skip
        # who left before a touchpoint is missed there, too; and records do not break for one group
        left = [
            r for r in near if excess(r) >= (_MOST if r["group"] is None else _STEP) * excess(cause)
        ]
        if left:
            echo[cause["row"]] = max(left, key=lambda r: float(r["z"]))
        else:
            echo |= {r["row"]: cause for r in near}


def _dated_alike(row: Row, cause: Row) -> bool:
    """Whether what customers did next, or where they were seen, changed when records broke."""
    first, second = row["since"], cause["since"]
    dated = first is not None and second is not None and abs(first - second) <= _ALIKE
    return dated and signal_named(row["signal"]).draws != "waits"


def _among_handoffs(rows: list[Row], echo: dict[int, Row]) -> None:
    """Rules 1 to 3: rows on transitions, clearest first."""
    by_handoff: dict[Handoff, list[Row]] = {}
    for row in rows:
        by_handoff.setdefault((row["source_place"], row["target_place"]), []).append(row)
    speaks = {key: _speaker(signals) for key, signals in by_handoff.items()}
    strength = {key: max(float(r["z"]) for r in s) for key, s in by_handoff.items()}
    for (a, b), signals in by_handoff.items():
        mine, back = speaks[a, b], speaks.get((b, a))
        sent = back is not None and _sends_back(back) and _about_next(mine)
        cause = back if back and sent and strength[b, a] > strength[a, b] else mine
        cause = _further_back((a, b), speaks) or cause
        echo |= {row["row"]: cause for row in signals if row is not cause}


def _sends_back(row: Row) -> bool:
    return signal_named(row["signal"]).sends_back


def _about_next(row: Row) -> bool:
    """Whether a row tells where customers went next, or that they went nowhere."""
    return bool(signal_named(row["signal"]).draws in ("next", "silence"))


def _further_back(here: Handoff, speaks: dict[Handoff, Row]) -> Row | None:
    """What happened a step before, where that accounts for a repeat or a plan that is missed."""
    (x, a), mine = here, speaks[here]
    repeats = signal_named(mine["signal"]).repeats
    for at, cause in speaks.items():
        if repeats:
            told = at[0] == a and _sends_back(cause) and excess(cause) >= _MOST * excess(mine)
        else:
            told = _of_plan(mine) and at[1] == x and _about_next(cause)
        if told and at != here:
            return cause
    return None


def _speaker(signals: list[Row]) -> Row:
    """The row that stands for a handoff; `signals` come clearest first."""
    first = next((r for r in signals if not _of_plan(r)), signals[0])
    backs = [r for r in signals if _sends_back(r)]
    repeated = signal_named(first["signal"]).repeats and bool(backs)
    if repeated and excess(backs[0]) >= _MOST * excess(first):
        first = backs[0]
    if _sends_back(first) and len(backs) > 1:
        # returns to where they came from, where these account for most of what went back
        home, stage = sorted(backs, key=lambda r: signal_named(r["signal"]).number)[:2]
        return home if excess(home) >= _MOST * excess(stage) else stage
    return first
