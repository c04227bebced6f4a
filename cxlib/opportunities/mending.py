"""The change that mends a handoff: to what is expected of it, or usual in its stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from cxlib.errors import InputError, listed
from cxlib.opportunities.moves import Moves, read_moves
from cxlib.opportunities.suspects import usual_leaving
from cxlib.opportunities.what_if import (
    LEAST_ALIKE,
    LEAVES,
    MENDABLE,
    Change,
    at_places,
    handoff_places,
    sent_by_fault,
)
from cxlib.results import of_workspace
from cxlib.statistics.absorbing import transition_shares, visits
from cxlib.statistics.rates import t_quantile
from cxlib.store import Workspace


@of_workspace
def mend_to_expected(
    workspace: Workspace, source: str, target: str, *, signal: str | None = None
) -> Change:
    """Give the change that mends a handoff to what is expected of it.

    Expected is what the findings compare it with; where they do not judge it, what is usual in the
    stage of the target and of its other arrivals (contacts at the source: what all others do).

    Parameters
    ----------
    workspace
        The workspace.
    source, target
        Touchpoints.
    signal
        Of `MENDABLE`; None: that of the finding which affects most customers, else "abandonment".

    Raises
    ------
    InputError
        The signal cannot be mended, or there is nothing to compare with: a rate has to be given.
    """
    from cxlib.fragmentation import measure_fragmentation

    if signal is not None and signal not in MENDABLE:
        raise InputError(f"{signal!r} cannot be mended by moving customers; {listed(MENDABLE)} can")
    judged = measure_fragmentation(workspace, signals=[signal] if signal else list(MENDABLE)).table
    judged = judged.filter(unit="transition", source=source, target=target)
    rows = judged.sort("finding", "customers_affected", descending=True, nulls_last=True).to_dicts()
    whole = ("like", "plan")  # what was no finding of a time or a group is of no part to mend
    rows = [
        row
        for row in rows
        if row["finding"] or (row["ground"] in whole and (signal or row["signal"] == LEAVES))
    ]
    moves = read_moves(workspace)
    if rows:
        return change_of_finding(moves, rows[0])
    change = Change(kind="mend", source=source, target=target, signal=signal or LEAVES, rate=1.0)
    sources, targets = handoff_places(moves, change)
    ends = MENDABLE[change.signal].to
    if ends == "end":
        usual = usual_leaving(moves, int(sources[0]), int(targets[0]))
        if usual is not None and len(sources) == len(targets) == 1:
            return replace(change, rate=usual[0], error=usual[1])
        others = moves.table.filter(at_places("place", targets), ~at_places("before", sources))
    elif ends == "end before":
        others = moves.table.filter(~at_places("place", sources))
    else:
        raise InputError(f"{source} → {target} is not judged for {signal}; give --rate")
    if others["n"].sum() < LEAST_ALIKE:
        raise InputError(f"nothing like {source} → {target} is in the log; give --rate")
    rate, error = _usual_end(others, "before" if ends == "end" else "place")
    return replace(change, rate=rate, error=error)


def _usual_end(others: pl.DataFrame, by: str) -> tuple[float, float]:
    """Share that usually ends, and the standard error of another one of its kind (random effects).

    Places differ by nature in who comes from them; what they differ by beyond chance is in the
    error, with Student's t for their small number.
    """
    ends = pl.col("n").filter(pl.col("next") == -2).sum()
    kinds = others.group_by(by).agg(ends=ends, n=pl.col("n").sum()).filter(pl.col("n") >= 10)
    n, ended = (kinds[c].to_numpy().astype(np.float64) for c in ("n", "ends"))
    whole = float(others.select(ends / pl.col("n").sum()).item())
    if len(n) < 2:
        return whole, float(np.sqrt(whole * (1 - whole) / float(others["n"].sum())))
    seen = ended / n
    chance = whole * (1 - whole) / n
    natural = max(float(np.var(seen, ddof=1) - chance.mean()), 0.0)
    weight = 1 / (natural + chance + 1e-12)
    usual = float((weight * seen).sum() / weight.sum())
    wider = float(t_quantile(len(n) - 1)) / 1.96
    return usual, wider * float(np.sqrt(natural + 1 / weight.sum()))


def change_of_finding(moves: Moves, row: Mapping[str, Any], *, mended: float = 1.0) -> Change:
    """Give the change that mends a judged handoff: as far as it lies from what is expected.

    What is found of a part of the customers (a time, a group, one of several channels) is mended of
    them only; `mended` says which part of the way to the expectation is gone.
    """
    signal, target = row["signal"], row["target"] or ""
    if signal not in MENDABLE:
        return _shorter(moves, row, mended)
    if row.get("unit") == "place" and MENDABLE[signal].to != "end before":
        target = ""  # where nearly all go next is named beside a place, but they leave before it
    whole = Change(kind="mend", source=row["source"], target=target, signal=signal, rate=1.0)
    chain = moves.first_order(*handoff_places(moves, whole))
    rows, columns, _ = sent_by_fault(chain, moves, whole)
    counts = chain.moves[0, rows]
    arrivals = max(float(counts.sum()), 1.0)
    now = float(counts[:, columns].sum()) / arrivals
    if MENDABLE[signal].to == "source" and row["observed"] is not None:  # there, or near it
        near = replace(whole, near=True)
        by_channel = float(counts[:, sent_by_fault(chain, moves, near)[1]].sum()) / arrivals
        went_on = 1 - float(counts[:, -1].sum()) / arrivals
        if abs(by_channel - row["observed"] * went_on) < abs(now - row["observed"] * went_on):
            whole, now = near, by_channel
    of_part = _of_part(moves, row)
    # the chain speaks of all journeys, also of those that could not be watched for the gap
    expected = visits(transition_shares(chain.moves[0]))[rows - 1].sum() * chain.journeys[0]
    part = min((row["n"] or 0) / max(float(expected), 1.0), 1.0) if of_part else 1.0
    if "went on" in row["effect_unit"] and not of_part:
        part = 1 - float(counts[:, -1].sum()) / arrivals
    part *= mended
    error = 0.0 if row["high"] is None else part * (row["high"] - row["low"]) / (2 * 1.96)
    rate = min(max(now - part * row["effect"], 0.0), 1.0)
    return replace(whole, rate=rate, error=float(error))


def _shorter(moves: Moves, row: Mapping[str, Any], mended: float) -> Change:
    """Cut a wait to what is expected of it; where a part of the customers wait, all a little."""
    change = Change(kind="halve_wait", source=row["source"], target=row["target"] or "", rate=1.0)
    source, target = handoff_places(moves, change)
    onto = np.array([-1]) if moves.places["is_goal"].gather(target).all() else target
    arrived = moves.table.filter(at_places("place", source), at_places("next", onto))["n"].sum()
    part = min((row["n"] or 0) / max(float(arrived), 1.0), 1.0) if _of_part(moves, row) else 1.0
    return replace(change, rate=1 - part * mended * (1 - min(1 / row["effect"], 1.0)))


def _of_part(moves: Moves, row: Mapping[str, Any]) -> bool:
    """Whether it was found of a part of the customers only, or of one of several channels."""
    pooled = any(len(moves.at(row[end] or "")) > 1 for end in ("source", "target"))
    return pooled or row["ground"] not in ("like", "plan")
