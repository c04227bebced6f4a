"""One backlog: what to do first, over all that was found, with what it is worth and how to test it.

Three kinds of lines stand in it, in this order: findings whose mending gains conversions for sure
(the lower end of the gain decides), other findings (customers who would be spared it), and what is
only described: touchpoints rated lower than the others, deviations from the plan, and, where
nothing was found, what is largest of its kind. What is mended already stands last. Raw drop-off is
never ranked: who leaves after an ad has not been lost by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.columns import Amount, Columns, Count, Customers, Label, Rank, Tables, Text
from cxlib.errors import CxError, InputError, NotMeasurableError
from cxlib.fragmentation import measure_fragmentation, watch_findings
from cxlib.fragmentation.sentences import say_advice
from cxlib.measures.perception import measure_perception
from cxlib.numbers import amount, decimal, duration, rating, share
from cxlib.opportunities.expansion import find_expansions, say_expansion
from cxlib.opportunities.experiments import plan_experiment
from cxlib.opportunities.moves import Moves, read_moves
from cxlib.opportunities.plan import measure_plan
from cxlib.opportunities.what_if import MENDABLE, WhatIf, change_of_finding, estimate_what_if
from cxlib.results import Result, answers, result
from cxlib.signals import SIGNALS, signal_named
from cxlib.store import Workspace
from cxlib.store.selection import Selection

__all__ = ["PARTS", "Priorities", "list_priorities", "say_gain"]

PARTS = {"gain": 1.0, "three_quarters": 0.75, "half": 0.5, "quarter": 0.25}
"""Columns with the gain of mending a finding in part: of the way to what is expected."""

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
            signal=Label("what went wrong; null: nothing that a signal tells", detail=True),
            ground=Label(
                "like, past, groups, plan (what it is compared with), expansion, or described"
            ),
            evidence=Text("how sure, from how many cases"),
            customers_affected=Customers("at least"),
            gain=Amount("of mending it", each="customers", interval=("gain_low", "gain_high")),
            **{
                name: Amount(
                    f"gain of mending {share(part)} of it",
                    each="customers",
                    interval=True,
                    detail=True,
                )
                for name, part in PARTS.items()
                if part < 1
            },
            gain_unit=Label("what is gained", of="customers_affected"),
            confidence=Label("high, medium or low", of="customers_affected"),
            effort=Label("unknown: the map does not say"),
            status=Label(
                "from `watch_findings`: new, growing, ongoing, shrinking, mended, or unclear since "
                "the last third of the log; or described, or hypothesis",
                of="customers_affected",
            ),
            next_step=Text("what to do now", fixed=True),
            how_to_test=Text("experiment with its size and duration", detail=True),
            sample=Count("customers a group for that experiment", detail=True),
        )
    )

    def __post_init__(self) -> None:
        """Say again from the rows what no text came with: a snapshot publishes no texts."""
        Result.__post_init__(self)
        unsaid = self.table["what"].is_null()
        if unsaid.any():
            said = [
                _say_again(row) if row["what"] is None else row for row in self.table.to_dicts()
            ]
            object.__setattr__(self, "table", pl.DataFrame(said, schema=self.table.schema))

    def sentences(self) -> list[str]:
        """Say the first three lines, and what the list rests on."""
        if self.table.is_empty():
            return ["nothing was found, and nothing described; `cx findings` says why"]
        rests = (
            f"{self.findings} of {len(self.table)} lines are findings, sure beyond chance; the "
            "others are described only"
            if self.findings
            else "nothing stands out beyond chance: what follows is described only, and ranked by "
            "how many customers are behind it at least"
        )
        return [rests, *self.table["what"].head(3).to_list()]


_AGAINST = {
    "like": "more than where it is alike",
    "past": "more than before",
    "groups": "more in one group than in the others",
    "plan": "more than planned",
}
"""What a finding is compared with, by its ground."""

_COMPARE = (
    "Mend it for a random half of the customers and compare both halves; "
    "or watch it from the day of the change on."
)
_UNCOMPARED = "It is not compared with anything yet: name what it should be first."


def say_gain(row: Mapping[str, Any], of: str = "gain") -> str | None:
    """Say what a line gains, wholly or in part (`PARTS`); None: that is not known.

    Examples
    --------
    >>> say_gain({"gain": 84.0, "gain_low": 47.2, "gain_high": 120.0, "gain_unit": "conversions"})
    '84 (47.2–120) conversions'
    """
    gain, low, high = (row[name] for name in (of, f"{of}_low", f"{of}_high"))
    if low is None or row["gain_unit"] is None:
        return None
    if gain is None or high is None:
        return f"at least {decimal(low)} {row['gain_unit']}"
    return f"{amount(gain, low, high)} {row['gain_unit']}"


def _say_again(row: dict[str, Any]) -> dict[str, Any]:
    """Fill the texts of a line from its other columns, which may be rounded."""
    where = " → ".join(end for end in (row["source"], row["target"]) if end)
    customers = row["customers_affected"]
    affected = "" if customers is None else f"; at least {decimal(customers)} customers"
    signal, ground = row["signal"], row["ground"]
    told = signal_named(signal).title if signal in SIGNALS else "stands out"
    test = _COMPARE
    if row["sample"] is not None:
        test = (
            f"Compare two random halves of the customers: about {decimal(row['sample'])} a group."
        )
    if ground in _AGAINST:
        what, evidence = f"{told}, {_AGAINST[ground]}{affected} affected", "sure beyond chance"
        if not affected:
            what = f"{told}, {_AGAINST[ground]}"
    elif ground == "expansion":
        what = f"few go this way, and more of them reach the goal than of like journeys{affected}"
        evidence = "like with like; who takes it may differ"
    else:
        what, evidence = f"{told}{affected}", "described, not tested"
        test = _UNCOMPARED
    return row | {"what": f"{where}: {what}", "evidence": evidence, "how_to_test": test}


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
    findings = measure_fragmentation(workspace, where=where)
    file = workspace.log_folder / "arrivals" / "arrivals.json"
    became = workspace.keep("became", file, lambda: _watched(read_arrivals(workspace)))
    named = set(workspace.places["touchpoint"])
    lines = [
        _line(row, workspace, moves, named) | {"status": _status(row, became)}
        for row in findings.found.filter(pl.col("echo_of").is_null()).to_dicts()
    ]
    known = {(line["source"], line["target"]) for line in lines}
    rated = {x["target"] or x["source"] for x in lines if x["signal"] == "perception_dip"}
    lines += [x for x in _deviations(workspace, where) if (x["source"], x["target"]) not in known]
    lines += [x for x in _dips(workspace, where) if x["source"] not in rated]
    lines += _expansions(workspace, where)
    if not any(line["ground"] in _AGAINST for line in lines):
        lines += [_standout(row, workspace) for row in findings.described.to_dicts()]
    for line in lines:
        line["tier"] += 3 * (line["status"] == "mended")
    lines.sort(key=lambda x: (x["tier"], -x["worth"], str(x["source"]), str(x["target"])))
    kept = [line for line in lines if owner is None or line["owner"] == owner]
    rows = [
        {k: v for k, v in line.items() if k not in ("tier", "worth")} | {"rank": i + 1}
        for i, line in enumerate(kept)
    ]
    return Priorities(
        table=Priorities.tables["table"].frame(rows),
        findings=sum(line["ground"] in _AGAINST for line in kept),
        observed_until=workspace.observed_until,
        where=where,
    )


def _line(
    row: dict[str, Any], workspace: Workspace, moves: Moves | None, named: set[str]
) -> dict[str, Any]:
    """One finding as a line of the backlog."""
    affected = int(row["customers_affected"] or 0)
    size = abs(row["effect"]) * row["n"]
    is_wait = signal_named(row["signal"]).family == "wait"
    likely = float(affected) if is_wait else max(size, float(affected))
    gain: dict[str, Any] = {"gain_unit": "customers spared"}
    for name, part in PARTS.items():
        gain |= {name: part * likely, f"{name}_low": part * affected}
    tier, worth = 1, float(affected)
    evidence = (
        f"{row['signal'].replace('_', ' ')} against {row['compared_with']}, n = "
        f"{decimal(row['n'])}, q = {row['q']:.1g}"
    )
    if (
        moves is not None
        and row["signal"] in MENDABLE
        and row["unit"] == "transition"
        and {row["source"], row["target"]} <= named
    ):
        told = _gained(workspace, moves, row)
        if told is not None and told.conversions["low"] > 0:
            gain = {"gain_unit": "conversions"}
            for name, part in PARTS.items():
                partly = told if part == 1 else _gained(workspace, moves, row, part)
                assert partly is not None
                ends = (partly.conversions[end] for end in ("gain", "low", "high"))
                gain |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
            if (value := told.value) is not None:
                worth_it = amount(value["gain"], value["low"], value["high"])
                evidence += f"; worth {worth_it} (in the money of the log)"
            tier, worth = 0, told.conversions["low"]
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
        "signal": row["signal"],
        "ground": row["ground"],
        "evidence": evidence,
        "customers_affected": affected,
        **gain,
        "confidence": "high" if sure else "medium",
        "effort": "unknown",
        "next_step": say_advice(row["signal"], row["owner"]),
        **test,
    }


def _gained(
    workspace: Workspace, moves: Moves, row: dict[str, Any], mended: float = 1.0
) -> WhatIf | None:
    """What mending a finding brings; None: it lies after the goal and has nothing to gain."""
    try:
        return estimate_what_if(workspace, [change_of_finding(moves, row, mended=mended)])
    except CxError:
        return None


Became = dict[tuple[str | None, ...], str]


def _watched(arrivals: Arrivals) -> Became:
    """What became of findings since the last third of the time that could be followed."""
    first, until = arrivals.periods.starts[0], arrivals.settings.observed_until.date()
    followed = until - timedelta(days=arrivals.settings.silence.days) - first
    try:
        table = watch_findings(arrivals, since=first + followed * 2 / 3).table
    except InputError:  # the log has one period only
        return {}
    rows = table.select("source", "target", "signal", "status").rows()
    return {key: row[3] for row in reversed(rows) for key in (row[:2], row[:3])}


def _status(row: dict[str, Any], became: Became) -> str:
    if row["affected_until"] is not None:
        return "mended"
    ends = (row["source"], row["target"])
    return became.get((*ends, row["signal"])) or became.get(ends) or "ongoing"


def _team(workspace: Workspace, name: str) -> str | None:
    here = workspace.places.filter(pl.col("touchpoint") == name)
    kinds = here["kind"].drop_nulls()
    if len(kinds):
        return _TEAMS.get(kinds[0])
    return "service" if here["assisted"].any() else None


def _test(row: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """How to know whether mending helped: of shares an experiment, else a comparison in time."""
    days = max((workspace.observed_until.date() - workspace.periods.starts[0]).days, 1)
    shares = "share" in row["effect_unit"] and row["observed"] is not None
    if not shares or not row["expected"] or row["expected"] == row["observed"]:
        return {
            "how_to_test": _COMPARE,
            "sample": None,
        }
    a_day = row["n"] / days
    planned = plan_experiment(row["observed"], row["expected"], a_day=a_day)
    return {
        "how_to_test": f"Mend it for a random half of the customers: {decimal(planned.sample)} a "
        f"group tell {share(row['observed'])} from {share(row['expected'])} (5 % level, 80 % "
        f"power), about {duration(planned.lasting)} at {decimal(a_day, 1)} cases a day.",
        "sample": planned.sample,
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
        "how_to_test": _UNCOMPARED,
        **more,
    }


def _expansions(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Ways that few take and that go with better outcomes: to be tried, not yet to be built."""
    try:
        found = find_expansions(workspace, where=where).found
    except NotMeasurableError:
        return []
    return [
        _described(
            f"few go {row['source']} → {row['target']} ({share(row['walked'])}), and "
            f"{share(row['observed'])} of them reach the goal instead of {share(row['expected'])} "
            "of like journeys",
            f"like with like, n = {decimal(row['n'])}, q = {row['q']:.1g}; who takes it may differ",
            row["n"],
            source=row["source"],
            target=row["target"],
            owner=row["owner"],
            team=_team(workspace, row["target"]),
            next_step="Try it: offer this way to a random half of those who come there.",
        )
        | {"ground": "expansion", "status": "hypothesis", "sample": row["sample"]}
        | {"how_to_test": say_expansion(row)}
        for row in found.head(_DESCRIBED).to_dicts()
    ]


def _dips(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Touchpoints that are rated lower than the others, whoever may answer."""
    try:
        table = measure_perception(workspace, where=where).table
    except NotMeasurableError:
        return []
    lacking = ((pl.col("others") - pl.col("mean")) * pl.col("n")).alias("lacking")
    rows = table.filter("trusted", verdict="lower").sort(lacking, descending=True)
    return [
        _described(
            f"{row['group']} is rated {rating(row['mean'], row['mean_low'], row['mean_high'])} on "
            f"{row['scale']}, the others {rating(row['others'])}",
            f"{decimal(row['n'])} answers ({share(row['response'])} of those who could); who comes "
            "there may differ",
            row["customers"],
            source=row["group"],
            target=None,
            owner=_owner(workspace, row["group"]),
            team=_team(workspace, row["group"]),
            signal="perception_dip",
            next_step=say_advice("perception_dip", _owner(workspace, row["group"])),
        )
        for row in rows.unique("group", keep="first", maintain_order=True)
        .head(_DESCRIBED)
        .to_dicts()
    ]


def _owner(workspace: Workspace, name: str) -> str | None:
    owners = workspace.places.filter(pl.col("touchpoint") == name)["owner"].drop_nulls()
    return owners[0] if len(owners) else None


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
            signal="broken_handoff",
            next_step="Say whether the plan still holds; if so, follow ten that were missing.",
        )
        for row in table.sort("deviating_low", descending=True).head(_DESCRIBED).to_dicts()
        if row["deviating_low"] > 0.1
    ]


def _standout(row: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """What is largest of its kind where nothing is found."""
    at = row["target"] or row["source"]
    owner = _owner(workspace, at)
    return _described(
        row["sentence"],
        f"{decimal(row['n'])} cases; described, not tested",
        row["customers"] or 0,
        source=row["source"],
        target=row["target"],
        owner=owner,
        team=_team(workspace, at),
        signal=_DESCRIBED_BY.get(row["kind"], row["signal"]),
        next_step=say_advice(_DESCRIBED_BY.get(row["kind"], ""), owner),
    )


_DESCRIBED_BY = {"wait": "delay", "loop": "ping_pong", "rating": "perception_dip"}
"""Signal whose advice holds for what is described."""
