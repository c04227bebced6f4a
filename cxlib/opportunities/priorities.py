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
from cxlib.measures.perception import measure_perception
from cxlib.measures.segments import compare_segments
from cxlib.numbers import amount, decimal, duration, rating, share, spelled
from cxlib.opportunities.expansion import (
    Q_LIMIT,
    find_expansions,
    find_setbacks,
    say_expansion,
)
from cxlib.opportunities.experiments import plan_experiment
from cxlib.opportunities.issues import places_called, team_of
from cxlib.opportunities.moves import Moves, read_moves
from cxlib.opportunities.plan import measure_plan, say_late
from cxlib.opportunities.what_if import MENDABLE, WhatIf, change_of_finding, estimate_what_if
from cxlib.results import Result, answers, result
from cxlib.signals import SIGNALS, signal_named
from cxlib.statistics.multiple_testing import false_discovery_rate
from cxlib.store import Workspace
from cxlib.store.selection import Selection

PARTS = {"gain": 1.0, "three_quarters": 0.75, "half": 0.5, "quarter": 0.25}
"""Columns with the gain of mending a finding in part: of the way to what is expected."""

TIERS = ("conversions", "spared", "measured", "largest", "hypothesis", "mended")
"""What comes first: findings that gain conversions for sure, other findings, what is measured to
lie apart, what is only the largest of its kind, hypotheses to be tried, what is mended already."""

_DESCRIBED, _RARER, _DEVIATING = 5, 0.2, 0.1
"""Lines of what is only described, at most of each kind; by how much a group has to reach the goal
less often than the others; from which share on a plan is surely not kept."""


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
                "like, past, groups, plan; expansion, setback, timing, lateness, described"
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
_TRY = "Change one thing for a random half of them, and compare both halves."
_WAIT = (
    "Look at what those who answer before it were waiting for, since when, and what they were told."
)
_KEEP = "Find out what was changed then, and keep it."
_UNCOMPARED = "It is not compared with anything yet: name what it should be first."


_OF_GROUP = ("reached less often than by others", "described", _TRY)
_SAID = {
    "expansion": (
        "few go this way, and more of them reach the goal than of similar journeys",
        "like with like; who takes it may differ",
        _TRY,
    ),
    "setback": (
        "few come there, and fewer of them reach the goal than of the others",
        "like with like; who comes there may differ",
        _TRY,
    ),
    "timing": (
        "who answers before it rates lower than who answers after it",
        "described, with intervals; who answers when may differ",
        _UNCOMPARED,
    ),
    "lateness": (
        "some come late, and rate lower than those in time",
        "described, with intervals; who comes late may differ",
        _UNCOMPARED,
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
        plain = (told, "described, not tested", _UNCOMPARED)
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

    Findings that gain conversions come first, by the lower end of the gain; then the others, by
    the customers they affect at least; then ratings and plans that are measured to lie apart; then,
    where nothing is found, what is largest of its kind; then hypotheses. What is mended is last.

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
    rated = {x["target"] or x["source"] for x in lines if x["signal"] == _SIGNAL_OF["rating"]}
    lines += [
        x
        for x in _deviations(workspace, where)
        if x["ground"] == "lateness" or (x["source"], x["target"]) not in known
    ]
    lines += [x for x in _ratings(workspace, where) if x["source"] not in rated]
    lines += _groups(workspace, where)
    lines += _setbacks(workspace, where)
    lines += _expansions(workspace, where)
    if not any(x["ground"] in _AGAINST and x["status"] != "mended" for x in lines):
        lines += _standouts(findings.described, workspace, {x["signal"] for x in lines})
    efforts = {t.name: t.effort for t in workspace.journey_map.touchpoints if t.effort}
    for line in lines:
        ends = pl.concat(places_called(workspace, line[end]) for end in ("target", "source"))
        line["effort"] = next((efforts[t] for t in ends["touchpoint"] if t in efforts), "unknown")
        if line["status"] == "mended":
            line["next_step"] = _KEEP

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
    evidence = (
        f"{spelled(row['signal'])} against {row['compared_with']}, n = "
        f"{decimal(row['n'])}, q = {row['q']:.1g}"
    )
    told = None
    if moves is not None and row["signal"] in MENDABLE and row["unit"] == "transition":
        told = _gained(workspace, moves, row)
    if moves is not None and told is not None and told.conversions["low"] > 0:
        gain = {"gain_unit": "conversions"}
        for name, part in PARTS.items():
            partly = told if part == 1 else _gained(workspace, moves, row, part)
            for end, of in (("", "gain"), ("_low", "low"), ("_high", "high")):
                gain[f"{name}{end}"] = None if partly is None else partly.conversions[of]
        if (value := told.value) is not None:
            worth_it = amount(value["gain"], value["low"], value["high"])
            evidence += f"; worth {worth_it} (in the money of the log)"
        tier, worth = "conversions", told.conversions["low"]
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


def _described(
    workspace: Workspace, what: str, evidence: str, affected: int, at: str | None, **more: Any
) -> dict[str, Any]:
    """A line that is described only; who owns the touchpoint `at` answers for it."""
    owners = places_called(workspace, at)["owner"].drop_nulls()
    owner = owners[0] if len(owners) else None
    return {
        "tier": "measured",
        "worth": float(affected),
        "what": what,
        "source": None,
        "target": None,
        "owner": owner,
        "team": team_of(workspace, at),
        "group": None,
        "signal": None,
        "ground": "described",
        "evidence": evidence,
        "customers_affected": affected,
        "confidence": "low",
        "status": "described",
        "next_step": say_advice(more.get("signal") or "", owner),
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
            workspace,
            f"few go {row['way']} ({share(row['walked'])}), and "
            f"{share(row['observed'])} of them reach the goal instead of {share(row['expected'])} "
            "of similar journeys",
            f"like with like, n = {decimal(row['n'])}, q = {row['q']:.1g}; who takes it may differ",
            row["n"],
            row["target"],
            next_step="Try it: offer this way to a random half of those who come there.",
            tier="hypothesis",
            ground="expansion",
            status="hypothesis",
            how_to_test=say_expansion(row),
            **{name: row[name] for name in ("source", "target", "owner", "sample")},
        )
        for row in found.head(_DESCRIBED).to_dicts()
    ]


def _setbacks(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Contacts that few have, and after which far fewer reach the goal."""
    try:
        found = find_setbacks(workspace, where=where)
    except NotMeasurableError:
        return []
    return [
        _described(
            workspace,
            f"after {row['touchpoint']} {share(row['observed'])} reach the goal, of those who did "
            f"something else there {share(row['expected'])}",
            f"like with like, n = {decimal(row['n'])}, q = {row['q']:.1g}; who comes there may "
            "differ",
            int(-row["high"] * row["n"]),
            row["touchpoint"],
            source=row["touchpoint"],
            ground="setback",
            next_step="Follow ten who came there: what went wrong, and how could they go on?",
            how_to_test=_TRY,
        )
        for row in found[:_DESCRIBED]
    ]


def _ratings(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Before or after the goal, and at which touchpoints, ratings are lower than elsewhere."""
    try:
        found = measure_perception(workspace, where=where)
    except NotMeasurableError:
        return []
    lacking = (pl.col("others") - pl.col("mean")) * pl.col("n")
    lower = found.table.filter("trusted", verdict="lower").sort(lacking, descending=True)
    lower = lower.unique("group", keep="first", maintain_order=True).head(_DESCRIBED)
    goal = (workspace.journey_map.journey.goal or (None,))[0]
    told: list[tuple[Any, ...]] = [
        (row, row["around_goal"], row["around_customers"], {"target": goal}, _WAIT)
        for row in found.scales.drop_nulls("around_goal").head(1).to_dicts()
    ]
    for row in lower.to_dicts():
        mean = rating(row["mean"], row["mean_low"], row["mean_high"])
        what = f"{row['group']} is rated {mean} on {row['scale']}, the others"
        what = f"{what} {rating(row['others'])}"
        ends = {"source": row["group"]}
        told.append((row, what, row["customers"], ends, None))
    return [
        _described(
            workspace,
            what,
            f"{decimal(row['n'])} answers ({share(row['response'])} of those who could); "
            f"{'who answers when' if step else 'who comes there'} may differ",
            affected,
            next(iter(ends.values())),
            signal=_SIGNAL_OF["rating"],
            **ends,
            **({"next_step": step, "ground": "timing"} if step else {}),
        )
        for row, what, affected, ends, step in told
    ]


def _groups(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Groups that reach the goal less often than all others, as counted.

    Channels only where most of their touchpoints are on others, too, as with devices and stores:
    who begins with an ad is not lost by it. Where a group never reaches it, it tells what became of
    journeys, not of whom they are.
    """
    goals, names = workspace.journey_map.journey.goal, list(workspace.segment_names)
    alike = workspace.places.select(
        "channel", also=pl.col("channel").n_unique().over("touchpoint") > 1
    )
    if (alike.group_by("channel").agg(pl.col("also").mean())["also"] > 0.5).all():
        names.append("channel")
    chosen = where.segment[0] if where is not None and where.segment is not None else None
    tables = [
        compare_segments(workspace, dimension=name, where=where).table.with_columns(
            name=pl.lit(name)
        )
        for name in names
        if goals and name != chosen
    ]
    if not tables:
        return []
    table = pl.concat(tables).drop_nulls("p")
    people = workspace.manifest["counts"]["customers"] / workspace.manifest["counts"]["journeys"]
    customers = pl.col("customers").fill_null(pl.col("journeys") * people)
    rarer = (
        table.filter(pl.Series(false_discovery_rate(table["p"])) <= Q_LIMIT, pl.col("goal") > 0)
        .filter(pl.col("difference_high") < 0)
        .filter(pl.col("goal") < (1 - _RARER) * pl.col("goal_elsewhere"))
        .with_columns(affected=(-pl.col("difference_high") * customers).cast(pl.Int64))
        .sort("affected", "name", "value", descending=[True, False, False])
    )
    return [
        _described(
            workspace,
            f"{spelled(row['name'])} {row['value']}: "
            f"{share(row['goal'], row['goal_low'], row['goal_high'])} of journeys reach the goal, "
            f"of the others {share(row['goal_elsewhere'])}",
            f"{decimal(row['journeys'])} journeys; groups may differ in more than their name",
            row["affected"],
            goals[0],
            target=goals[0],
            group=f"{row['name']}: {row['value']}",
            next_step="Follow ten of them up to where they stop, and ask what was different there.",
            how_to_test=_TRY,
        )
        for row in rarer.head(_DESCRIBED).to_dicts()
    ]


def _deviations(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Planned handoffs that surely fail a tenth, or are late and rated lower for it."""
    if not workspace.journey_map.planned_handoffs:
        return []
    table = measure_plan(workspace, where=where).table.sort("deviating_low", descending=True)
    told = [(row, say_late(row)) for row in table.drop_nulls("deviating_low").to_dicts()]
    return [
        _described(
            workspace,
            late
            or f"{row['source']} → {row['target']} does not go as planned for "
            f"{share(row['deviating'], row['deviating_low'], row['deviating_high'])}",
            f"{decimal(row['missing'])} missing, {decimal(row['late'])} late, "
            f"{decimal(row['out_of_order'])} out of order of {decimal(row['arrivals'])} arrivals",
            row["late"] if late else int(row["deviating_low"] * (row["arrivals"] - row["open"])),
            row["target"],
            signal=_SIGNAL_OF["plan"],
            ground="lateness" if late else "described",
            next_step="Follow ten that came late: where did they wait, and who told them?"
            if late
            else "Say whether the plan still holds; if so, follow ten that were missing.",
            **{name: row[name] for name in ("source", "target", "owner")},
        )
        for row, late in told
        if late or row["deviating_low"] > _DEVIATING
    ][:_DESCRIBED]


def _standouts(
    described: pl.DataFrame, workspace: Workspace, told: set[str | None]
) -> list[dict[str, Any]]:
    """What is largest of its kind where nothing is found; ratings only where none are `told` of.

    Of waits those first in which most time passes, of all customers together.
    """
    passed = pl.col("observed") * pl.col("n")
    part = pl.when(kind="wait").then(passed / passed.filter(kind="wait").sum()).otherwise(1.0)
    lines = []
    for row in described.with_columns(part=part).to_dicts():
        signal = _SIGNAL_OF.get(row["kind"])
        if row["kind"] == "rating" and signal in told:
            continue
        customers = row["customers"] or 0
        if row["group"] is not None:  # as many as would be spared it, were they like the others
            customers = int(row["n"] * (row["low"] - row["expected"]))
        lines.append(
            _described(
                workspace,
                row["sentence"],
                f"{decimal(row['n'])} cases; described, not tested",
                customers,
                row["target"] or row["source"],
                tier="largest",
                worth=customers * row["part"],
                source=row["source"],
                target=row["target"],
                signal=signal or row["signal"],
            )
        )
    return lines


_SIGNAL_OF = {
    kind: next(name for name in SIGNALS if told(SIGNALS[name]))
    for kind, told in {
        "wait": lambda s: s.family == "wait",
        "rating": lambda s: s.family == "rating",
        "loop": lambda s: s.sends_back and s.compares_alone,
        "plan": lambda s: s.plan is not None,
    }.items()
}
"""Signal that tells of what is described."""
