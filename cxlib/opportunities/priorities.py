"""One backlog: what to do first, over all that was found, with what it is worth and how to test it.

In the order of `TIERS`. Raw drop-off is never ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.columns import Amount, Columns, Count, Customers, Label, Rank, Tables, Text
from cxlib.errors import CxError, InputError, NotMeasurableError
from cxlib.fragmentation import measure_fragmentation, watch_findings
from cxlib.fragmentation.sentences import say_advice, say_finding
from cxlib.numbers import amount, decimal, duration, share, spelled
from cxlib.opportunities import beside_findings
from cxlib.opportunities.beside_findings import PARTS, TRY, UNCOMPARED
from cxlib.opportunities.experiments import plan_experiment
from cxlib.opportunities.issues import places_called, team_of
from cxlib.opportunities.mending import change_of_finding
from cxlib.opportunities.moves import Moves, read_moves
from cxlib.opportunities.what_if import MENDABLE, WhatIf, estimate_what_if
from cxlib.results import Result, answers, result
from cxlib.signals import SIGNALS, signal_named
from cxlib.store import Workspace
from cxlib.store.selection import Selection

TIERS = ("conversions", "spared", "measured", "largest", "hypothesis", "mended")
"""What comes first: findings that likely gain conversions, and suspected losses; other findings,
and ratings that surely fall with waiting; what is measured to lie apart; what is only the largest
of its kind; hypotheses; what is mended."""


@result
class Priorities(Result):
    """What `list_priorities` returns; ``findings``: how many of its lines are some."""

    findings: int

    title = "What to do first"
    tables = Tables(
        table=Columns(
            "one row per thing to do, the first first",
            rank=Rank("place in the backlog"),
            what=Text("what is wrong, in a sentence"),
            source=Label("touchpoint or stage left", detail=True),
            target=Label("touchpoint or stage reached", detail=True),
            group=Label("segment or channel that it is about, with its value; null: everybody"),
            owner=Label("who answers for it"),
            team=Label("marketing, sales, service or product; null: the map does not say"),
            signal=Label("what went wrong; null: nothing that a signal tells", detail=True),
            ground=Label(
                "like, past, groups, plan; suspected, expansion, setback, timing, lateness, "
                "described"
            ),
            evidence=Text("how sure, from how many cases"),
            customers_affected=Customers("at least"),
            gain=Amount("of mending it", each="customers", interval=("gain_low", "gain_high")),
            **{
                name: Amount(
                    f"of mending {share(part)} of it", each="customers", interval=True, detail=True
                )
                for name, part in PARTS.items()
                if part < 1
            },
            gain_unit=Label("what is gained", of="customers_affected"),
            confidence=Label("high, medium or low", of="customers_affected"),
            effort=Label("of changing it: low, medium or high from the map, or unknown"),
            status=Label(
                "from `watch_findings`, since the last third of the log: new, growing, ongoing, "
                "shrinking, mended, or too few to tell; or described, or hypothesis",
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
            else "nothing is sure beyond chance: what follows says where to look first"
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
_GAINS = tuple(PARTS)
"""How the columns of what a line gains begin."""

KEEP = "Find out what was changed then, and keep it."
_OF_GROUP = ("fewer of this group reach it than of the others", "described", TRY)
_SAID = {
    "expansion": (
        "few go this way, and more of them reach the goal than of similar journeys",
        "like with like; who takes it may differ",
        TRY,
    ),
    "suspected": (
        "more are lost than at the other touchpoints of the stage (suspected)",
        "touchpoints may differ so much by nature",
        TRY,
    ),
    "setback": (
        "few come there, and fewer of them reach the goal than of the others",
        "like with like; who comes there may differ",
        TRY,
    ),
    "timing": (
        "who answers before it rates lower than who answers after it",
        "described, with intervals; who answers when may differ",
        UNCOMPARED,
    ),
    "lateness": (
        "some come late, and rate lower than those in time",
        "described, with intervals; who comes late may differ",
        UNCOMPARED,
    ),
}
"""What is said of a ground that is no finding's, how sure it is, and how to test it."""


def say_gain(row: Mapping[str, Any], of: str = "gain") -> str | None:
    """Say what a line gains, wholly or in part (`PARTS`); None: that is not known."""
    gain, low, high = (row[name] for name in (of, f"{of}_low", f"{of}_high"))
    if low is None or row["gain_unit"] is None:
        return None
    if gain is None or high is None:
        return f"at least {decimal(low)} {row['gain_unit']}"
    return f"{amount(gain, low, high)} {row['gain_unit']}"


def _say_again(row: dict[str, Any]) -> dict[str, Any]:
    """Fill the texts of a line from its other columns, which may be rounded."""
    where = " → ".join(end for end in (row["source"], row["target"]) if end)
    where += f" ({row['group']})" if row["group"] else ""
    customers, sample = row["customers_affected"], row["sample"]
    affected = "" if customers is None else f"; at least {decimal(customers)} customers"
    signal, ground = row["signal"], row["ground"]
    told = signal_named(signal).title if signal in SIGNALS else "stands out"
    sized = f"Compare two random halves of the customers: about {decimal(sample)} a group."
    test = _COMPARE if sample is None else sized
    if ground in _AGAINST:
        what = f"{told}, {_AGAINST[ground]}{affected and f'{affected} affected'}"
        evidence = "sure beyond chance"
    else:
        plain = (told, "described, not tested", UNCOMPARED)
        what, evidence, other = _SAID.get(
            ground, _OF_GROUP if row["group"] and not signal else plain
        )
        what, test = f"{what}{affected}", test if ground == "expansion" else other
    return row | {"what": f"{where}: {what}", "evidence": evidence, "how_to_test": test}


@answers(Priorities)
def list_priorities(
    workspace: Workspace, *, where: Selection | None = None, owner: str | None = None
) -> Priorities:
    """List what to do first.

    What gains conversions comes first, findings and suspected losses, by what each likely gains at
    least: the lower end at one standard error (a quarter of it where more leave by whichever way
    they came, which is mostly so by nature);
    then other findings, and ratings that fall where customers wait for the goal or the plan is
    late, by the customers they affect at least (of waits by the days they lose, where these are
    fewer); then ratings and plans that are measured to lie apart; then, where nothing is found,
    what is largest of its kind; then hypotheses.
    What is mended is last, and gains nothing any more.

    Parameters
    ----------
    where
        Segment, periods and channel of the findings.
    owner
        Only what this owner answers for.
    """
    try:
        moves = read_moves(workspace)
    except NotMeasurableError:
        moves = None
    findings = measure_fragmentation(workspace, where=where)
    file = workspace.log_folder / "arrivals" / "arrivals.json"
    since, became = workspace.keep("became", file, lambda: _watched(read_arrivals(workspace)))
    lines = []
    for row in findings.found.filter(pl.col("echo_of").is_null()).to_dicts():
        status = _status(row, became)
        if status == "mended" and row["affected_until"] is None:
            row |= {"affected_until": since}
            row |= {"sentence": say_finding(row)}
        lines.append(_line(row, workspace, moves) | {"status": status})
    known = {(x["source"], x["target"]) for x in lines if x["status"] != "mended"}
    rated = {
        x["target"] or x["source"]
        for x in lines
        if x["signal"] == beside_findings.SIGNAL_OF["rating"]
    }
    if where is None and moves is not None:
        whole = findings.found.filter(unit="place")["source"]  # also where a next one is named
        told = {(x["source"], x["target"]) for x in lines} | {(name, None) for name in whole}
        lines += beside_findings.suspected(workspace, moves, told)
        known |= {(x["source"], x["target"]) for x in lines if x["ground"] == "suspected"}
    lines += [
        x
        for x in beside_findings.deviations(workspace, where)
        if x["ground"] == "lateness" or (x["source"], x["target"]) not in known
    ]
    lines += [x for x in beside_findings.ratings(workspace, where) if x["source"] not in rated]
    lines += beside_findings.groups(workspace, where)
    lines += beside_findings.setbacks(workspace, where)
    lines += beside_findings.expansions(workspace, where)
    telling = {*_AGAINST, "suspected"}
    if not any(x["ground"] in telling and x["status"] != "mended" for x in lines):
        lines += beside_findings.standouts(
            findings.described, workspace, {x["signal"] for x in lines}
        )
    efforts = {t.name: t.effort for t in workspace.journey_map.touchpoints if t.effort}
    for line in lines:
        ends = pl.concat(places_called(workspace, line[end]) for end in ("target", "source"))
        line["effort"] = next((efforts[t] for t in ends["touchpoint"] if t in efforts), "unknown")
        if line["status"] == "mended":
            line |= {name: None for name in line if name.startswith(_GAINS)}
            line["next_step"] = KEEP

    def place(line: dict[str, Any]) -> tuple[Any, ...]:
        tier = "mended" if line["status"] == "mended" else line["tier"]
        return TIERS.index(tier), -line["worth"], str(line["source"]), str(line["target"])

    lines.sort(key=place)
    kept = [line for line in lines if owner is None or line["owner"] == owner]
    for rank, line in enumerate(kept, 1):
        del line["tier"], line["worth"]
        line["rank"] = rank
    return Priorities(
        table=Priorities.tables["table"].frame(kept),
        findings=sum(line["ground"] in _AGAINST for line in kept),
    )


def _line(row: dict[str, Any], workspace: Workspace, moves: Moves | None) -> dict[str, Any]:
    """One finding as a line of the backlog."""
    affected = float(row["customers_affected"] or 0)
    signal = signal_named(row["signal"])
    size = 0.0 if signal.family == "wait" else abs(row["effect"]) * row["n"]
    gain: dict[str, Any] = {"gain_unit": "customers spared"}
    for name, part in PARTS.items():
        gain |= {name: part * max(size, affected), f"{name}_low": part * affected}
    tier, worth = "spared", affected
    if row["hours_lost"] is not None:  # a few seconds, for however many, are not worth a day
        worth = min(affected, row["hours_lost"] / 24)
    evidence = (
        f"{spelled(row['signal'])} against {row['compared_with']}, n = "
        f"{decimal(row['n'])}, q = {row['q']:.1g}"
    )
    told = None
    waits = signal.family == "wait" and "ratio" in row["effect_unit"]
    if moves is not None and (row["signal"] in MENDABLE or waits) and row["unit"] != "stage_step":
        told = _gained(workspace, moves, row)
    if moves is not None and told is not None and _likely(told) > 0:
        gain = {"gain_unit": "conversions"}
        for name, part in PARTS.items():
            partly = told if part == 1 else _gained(workspace, moves, row, part)
            for end, of in (("", "gain"), ("_low", "low"), ("_high", "high")):
                gain[f"{name}{end}"] = None if partly is None else partly.conversions[of]
        if (value := told.value) is not None:
            worth_it = amount(value["gain"], value["low"], value["high"])
            evidence += f"; worth {worth_it} (in the money of the log)"
        tier, worth = "conversions", _likely(told)
    sure = row["q"] is not None and row["q"] < 0.001 and row["stable"] is not False
    copied = ("source", "target", "owner", "signal", "ground")
    return {
        "tier": tier,
        "worth": worth,
        "what": row["sentence"],
        "group": None if row["group"] is None else f"{row['group']}: {row['value']}",
        **{name: row[name] for name in copied},
        "team": team_of(workspace, row["target"] or row["source"]),
        "evidence": evidence,
        "customers_affected": int(affected),
        **gain,
        "confidence": "high" if sure else "medium",
        "next_step": say_advice(row["signal"], row["owner"]),
        **_test(row, workspace),
    }


def _likely(told: WhatIf) -> float:
    """What is gained at least in five of six such cases: a standard error below the estimate."""
    return float(told.conversions["gain"] + told.conversions["low"]) / 2


def _gained(
    workspace: Workspace, moves: Moves, row: dict[str, Any], mended: float = 1.0
) -> WhatIf | None:
    """What mending a finding brings; None: it lies after the goal, or is of no touchpoints."""
    try:
        return estimate_what_if(workspace, [change_of_finding(moves, row, mended=mended)])
    except CxError:
        return None


Became = dict[tuple[str | None, ...], str]


def _watched(arrivals: Arrivals) -> tuple[date, Became]:
    """The last third of the time that could be followed, and what became of findings since then."""
    first, until = arrivals.periods.starts[0], arrivals.settings.observed_until.date()
    followed = until - timedelta(days=arrivals.settings.silence.days) - first
    since = first + followed * 2 / 3
    try:
        table = watch_findings(arrivals, since=since).table
    except InputError:  # the log has one period only
        return since, {}
    table = table.with_columns(pl.col("status").replace("unclear", "too few to tell"))
    rows = table.select("source", "target", "signal", "status").rows()
    return since, {key: row[3] for row in reversed(rows) for key in (row[:2], row[:3])}


def _status(row: dict[str, Any], became: Became) -> str:
    if row["affected_until"] is not None:
        return "mended"
    ends = (row["source"], row["target"])
    return became.get((*ends, row["signal"])) or became.get(ends) or "ongoing"


def _test(row: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """How to know whether mending helped: of shares an experiment, else a comparison in time."""
    seen, usual = row["observed"], row["expected"]
    if "share" not in row["effect_unit"] or seen is None or not usual or usual == seen:
        return {"how_to_test": _COMPARE, "sample": None}
    days = max((workspace.observed_until.date() - workspace.periods.starts[0]).days, 1)
    a_day = row["n"] / days
    sample, lasting = plan_experiment(seen, usual, a_day=a_day)
    return {
        "how_to_test": f"Mend it for a random half of the customers: {decimal(sample)} a group "
        f"tell {share(seen)} from {share(usual)} (5 % level, 80 % power), about "
        f"{duration(lasting)} at {decimal(a_day, 1)} cases a day.",
        "sample": sample,
    }
