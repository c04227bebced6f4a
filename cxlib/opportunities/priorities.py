"""One backlog: what to do first, over all that was found, with what it is worth and how to test it.

Three kinds of lines stand in it, in this order: findings whose mending gains conversions for sure
(the lower end of the gain decides), other findings (customers who would be spared it), and what is
only described: deviations from the plan, and, where nothing was found, where most journeys end.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Amount, Columns, Count, Customers, Label, Rank, Tables, Text
from cxlib.errors import NotMeasurableError
from cxlib.fragmentation import measure_fragmentation
from cxlib.numbers import decimal, share
from cxlib.opportunities.moves import Moves, read_moves
from cxlib.opportunities.plan import measure_plan
from cxlib.opportunities.what_if import MENDABLE, change_of_finding, estimate_what_if
from cxlib.results import Result, answers, result
from cxlib.statistics.absorbing import transition_shares
from cxlib.store import Workspace
from cxlib.store.selection import Selection

__all__ = ["Priorities", "list_priorities", "sample_size"]

_TEAMS = {
    "marketing": "marketing",
    "product": "product",
    "purchase": "sales",
    "delivery": "service",
    "service": "service",
}
"""Team by what a touchpoint is for."""

_DESCRIBED = 5
"""Lines of what is only described, at most of each kind."""

_ADVICE = {
    "abandonment": "Ask ten customers who stopped there what they still lacked, and remove it.",
    "delay": "Follow ten cases from one contact to the next and find where they lie waiting.",
    "backtracking": "See what customers go back for, and give it to them before.",
    "ping_pong": "Let one side finish what it begins: see what each lacks to do so.",
    "perception_dip": "Read the answers given there, and talk to five who rated low.",
    "repeated_task": "Keep what customers have given once, and show that it has arrived.",
    "repeat_contact": "Listen to ten second contacts: what did the first one leave open?",
    "self_service_leak": "Try the self-service with five customers and see where they give up.",
    "broken_handoff": "Check the link between both sides: who tells the target, and when?",
}


@result
class Priorities(Result):
    """What `list_priorities` returns.

    Attributes
    ----------
    findings
        How many of the lines are findings; the others are only described.
    """

    findings: int

    title = "What to do first"
    tables = Tables(
        table=Columns(
            "one row per thing to do, the first first",
            rank=Rank("place in the backlog"),
            what=Text("what is wrong, in a sentence"),
            source=Label("touchpoint or stage left", detail=True),
            target=Label("touchpoint or stage reached", detail=True),
            owner=Label("who answers for it"),
            team=Label("marketing, sales, service or product; null: the map does not say"),
            ground=Label("what it is compared with: like, past, groups, plan, or described"),
            evidence=Text("how sure, from how many cases"),
            customers_affected=Customers("at least"),
            gain=Amount("of mending it", each="customers", interval=("gain_low", "gain_high")),
            gain_unit=Label("what is gained", of="customers_affected"),
            confidence=Label("high, medium or low", of="customers_affected"),
            effort=Label("unknown: the map does not say"),
            status=Label("new, ongoing, mended, or described", of="customers_affected"),
            next_step=Text("what to do now", fixed=True),
            how_to_test=Text("experiment with its size and duration", detail=True),
            sample=Count("customers a group for that experiment", detail=True),
        )
    )

    def sentences(self) -> list[str]:
        """Say the first three lines, and what the list rests on."""
        if self.table.is_empty():
            return ["nothing was found, and there is nothing to describe"]
        rests = (
            f"{self.findings} of {len(self.table)} lines are findings, sure beyond chance; the "
            "others are described only"
            if self.findings
            else "nothing stands out beyond chance: what follows is described only, and ranked by "
            "how many customers it concerns"
        )
        return [rests, *self.table["what"].head(3).to_list()]


@answers(Priorities)
def list_priorities(
    workspace: Workspace, *, where: Selection | None = None, owner: str | None = None
) -> Priorities:
    """List what to do first.

    Findings come before what is only described; among findings those that gain conversions come
    first, by the lower end of the gain, then the others by customers affected.

    Parameters
    ----------
    workspace
        The workspace.
    where
        Segment, periods and channel of the findings.
    owner
        Only what this owner answers for.

    Returns
    -------
    Priorities
    """
    try:
        moves = read_moves(workspace)
    except NotMeasurableError:
        moves = None
    found = measure_fragmentation(workspace, where=where).found
    named = set(workspace.places["touchpoint"])
    lines = [
        _line(row, workspace, moves, named)
        for row in found.filter(pl.col("echo_of").is_null()).to_dicts()
    ]
    known = {(line["source"], line["target"]) for line in lines}
    lines += [x for x in _deviations(workspace, where) if (x["source"], x["target"]) not in known]
    if not any(line["tier"] < 2 for line in lines) and moves is not None:
        lines += _drop_offs(moves)
    lines.sort(key=lambda x: (x["tier"], -x["worth"], str(x["source"]), str(x["target"])))
    kept = [line for line in lines if owner is None or line["owner"] == owner]
    rows = [
        {k: v for k, v in line.items() if k not in ("tier", "worth")} | {"rank": i + 1}
        for i, line in enumerate(kept)
    ]
    return Priorities(
        table=Priorities.tables["table"].frame(rows),
        findings=sum(line["tier"] < 2 for line in kept),
        observed_until=workspace.observed_until,
        where=where,
    )


def sample_size(first: float, second: float, *, level: float = 0.05, power: float = 0.8) -> int:
    r"""Customers that each of two groups needs to tell two shares apart.

    .. math:: (z_{1-\alpha/2} + z_{1-\beta})^2 \frac{p_1 (1 - p_1) + p_2 (1 - p_2)}{(p_1 - p_2)^2}

    Examples
    --------
    >>> sample_size(0.10, 0.15)
    683
    """
    from scipy.special import ndtri

    z = float(ndtri(1 - level / 2) + ndtri(power))
    spread = first * (1 - first) + second * (1 - second)
    return int(np.ceil(z**2 * spread / (first - second) ** 2))


def _line(
    row: dict[str, Any], workspace: Workspace, moves: Moves | None, named: set[str]
) -> dict[str, Any]:
    """One finding as a line of the backlog."""
    affected = int(row["customers_affected"] or 0)
    size = abs(row["effect"]) * row["n"]
    gain: dict[str, Any] = {"gain_low": float(affected), "gain": max(size, float(affected))}
    gain |= {"gain_high": None, "gain_unit": "customers spared"}
    if row["signal"] == "delay":
        gain["gain"] = float(affected)
    tier, worth = 1, float(affected)
    if (
        moves is not None
        and row["signal"] in MENDABLE
        and row["unit"] == "transition"
        and {row["source"], row["target"]} <= named
    ):
        told = _conversions(workspace, moves, row)
        if told is not None and told["low"] > 0:
            gain = {f"gain{k}": told[n] for k, n in (("_low", "low"), ("", "gain"))}
            gain |= {"gain_high": told["high"], "gain_unit": "conversions"}
            tier, worth = 0, told["low"]
    sure = row["q"] is not None and row["q"] < 0.001 and row["stable"] is not False
    test = _test(row, workspace)
    return {
        "tier": tier,
        "worth": worth,
        "what": row["sentence"],
        "source": row["source"],
        "target": row["target"],
        "owner": row["owner"],
        "team": _team(workspace, row["target"] or row["source"]),
        "ground": row["ground"],
        "evidence": f"{row['signal'].replace('_', ' ')} against {row['compared_with']}, "
        f"n = {decimal(row['n'])}, q = {row['q']:.1g}",
        "customers_affected": affected,
        **gain,
        "confidence": "high" if sure else "medium",
        "effort": "unknown",
        "status": _status(row, workspace),
        "next_step": _ADVICE.get(row["signal"], "Look at ten cases and say what they share."),
        **test,
    }


def _conversions(
    workspace: Workspace, moves: Moves, row: dict[str, Any]
) -> dict[str, float] | None:
    from cxlib.errors import CxError

    try:
        change = change_of_finding(moves, row)
        return estimate_what_if(workspace, [change]).conversions
    except CxError:  # a handoff after the goal has no conversions to gain
        return None


def _status(row: dict[str, Any], workspace: Workspace) -> str:
    if row["affected_until"] is not None:
        return "mended"
    first: date = workspace.periods.starts[0]
    until = workspace.observed_until.date()
    recent = until - (until - first) / 4
    return "new" if row["since"] is not None and row["since"] >= recent else "ongoing"


def _team(workspace: Workspace, name: str) -> str | None:
    here = workspace.places.filter(pl.col("touchpoint") == name)
    kinds = here["kind"].drop_nulls()
    if len(kinds):
        return _TEAMS.get(kinds[0])
    return "service" if here["assisted"].any() else None


def _test(row: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """How to know whether mending helped: of shares an experiment, else a comparison in time."""
    shares = "share" in row["effect_unit"] and row["observed"] is not None
    if not shares or not row["expected"] or row["expected"] == row["observed"]:
        return {
            "how_to_test": "Mend it for a random half of the customers and compare both halves; "
            "or watch it from the day of the change (`cx watch`).",
            "sample": None,
        }
    size = sample_size(row["observed"], row["expected"])
    days = max((workspace.observed_until.date() - workspace.periods.starts[0]).days, 1)
    lasting = timedelta(days=int(np.ceil(2 * size * days / max(row["n"], 1))))
    return {
        "how_to_test": f"Mend it for a random half of the customers: {decimal(size)} a group tell "
        f"{share(row['observed'])} from {share(row['expected'])} (5 % level, 80 % power), about "
        f"{decimal(lasting.days)} days at {decimal(row['n'] / days, 1)} cases a day.",
        "sample": size,
    }


def _described(what: str, evidence: str, affected: int, **more: Any) -> dict[str, Any]:
    return {
        "tier": 2,
        "worth": float(affected),
        "what": what,
        "ground": "described",
        "evidence": evidence,
        "customers_affected": affected,
        "gain": None,
        "gain_unit": None,
        "confidence": "low",
        "effort": "unknown",
        "status": "described",
        "how_to_test": "It is not compared with anything yet: name what it should be first.",
        **more,
    }


def _deviations(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    if not workspace.journey_map.planned_handoffs:
        return []
    table = measure_plan(workspace, where=where).table.drop_nulls("deviating")
    return [
        _described(
            f"{row['source']} → {row['target']} does not go as planned for "
            f"{share(row['deviating'], row['deviating_low'], row['deviating_high'])}",
            f"{decimal(row['missing'])} missing, {decimal(row['late'])} late, "
            f"{decimal(row['out_of_order'])} out of order of {decimal(row['arrivals'])} arrivals",
            int(row["deviating_low"] * (row["arrivals"] - row["open"])),
            source=row["source"],
            target=row["target"],
            owner=row["owner"],
            team=_team(workspace, row["target"]),
            next_step="Say whether the plan still holds; if so, follow ten that were missing.",
        )
        for row in table.sort("deviating_low", descending=True).head(_DESCRIBED).to_dicts()
        if row["deviating_low"] > 0.1
    ]


def _drop_offs(moves: Moves) -> list[dict[str, Any]]:
    """Where most journeys end before their goal: no finding, but where to look first."""
    chain = moves.first_order()
    counts, shares = chain.moves[0, 1:], transition_shares(chain.moves[0])[1:]
    lines = []
    for place in np.argsort(-counts[:, -1], kind="stable")[:_DESCRIBED]:
        at = moves.places.row(int(place), named=True)
        lost, arrivals = int(counts[place, -1]), int(counts[place].sum())
        if not lost:
            continue
        lines.append(
            _described(
                f"{share(float(shares[place, -1]))} of the contacts at {at['touchpoint']} "
                f"({at['channel']}) are the last of their journey: {decimal(lost)} journeys end "
                "there without the goal",
                f"{decimal(lost)} of {decimal(arrivals)} contacts; compared with nothing",
                lost,
                source=at["touchpoint"],
                target=None,
                owner=at["owner"],
                team=_TEAMS.get(at["kind"]),
                next_step=_ADVICE["abandonment"],
            )
        )
    return lines
