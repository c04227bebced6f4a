"""Lines of the backlog that are no findings: suspected, measured to lie apart, described, tried."""

from __future__ import annotations

from typing import Any

import polars as pl

from cxlib.errors import NotMeasurableError
from cxlib.fragmentation.sentences import say_advice
from cxlib.measures.perception import measure_perception
from cxlib.measures.segments import compare_segments
from cxlib.numbers import decimal, rating, share, spelled
from cxlib.opportunities.expansion import (
    Q_LIMIT,
    find_expansions,
    find_setbacks,
    say_expansion,
)
from cxlib.opportunities.issues import places_called, team_of
from cxlib.opportunities.moves import Moves
from cxlib.opportunities.plan import measure_plan, say_late
from cxlib.opportunities.suspects import find_suspects
from cxlib.opportunities.what_if import MENDABLE
from cxlib.signals import SIGNALS
from cxlib.statistics.multiple_testing import false_discovery_rate
from cxlib.store import Workspace
from cxlib.store.selection import Selection

PARTS = {"gain": 1.0, "three_quarters": 0.75, "half": 0.5, "quarter": 0.25}
"""Columns with the gain of mending a finding in part: of the way to what is expected."""

_DESCRIBED, _RARER, _DEVIATING = 5, 0.2, 0.1
"""Lines of what is only described, at most of each kind; by how much a group has to reach the goal
less often than the others; from which share on a plan is surely not kept."""


TRY = "Change one thing for a random half of them, and compare both halves."
UNCOMPARED = "It is not compared with anything yet: name what it should be first."


_WAIT = (
    "Look at what those who answer before it were waiting for, since when, and what they were told."
)


def _describe(
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
        "how_to_test": UNCOMPARED,
        **more,
    }


SIGNAL_OF = {
    kind: next(name for name in SIGNALS if told(SIGNALS[name]))
    for kind, told in {
        "wait": lambda s: s.family == "wait",
        "rating": lambda s: s.family == "rating",
        "loop": lambda s: s.sends_back and s.compares_alone,
        "plan": lambda s: s.plan is not None,
    }.items()
}
"""Signal that tells of what is described."""

_MOVED = {how.to: name for name, how in MENDABLE.items()}
_SUSPECTED = {
    "leave": (_MOVED["end"], "leave there"),
    "aside": (_MOVED["stage"], "go back or aside from there"),
    "unplanned": (_MOVED["end before"], "are lost instead of following the plan"),
}
"""Signal of what `find_suspects` tells, and what they do, in words."""


def suspected(
    workspace: Workspace, moves: Moves, told: set[tuple[str | None, str | None]]
) -> list[dict[str, Any]]:
    """Where more are lost than elsewhere in the stage, beside what is found."""
    planned = [(plan.source, plan.target) for plan in workspace.journey_map.planned_handoffs]
    reached = {target for _, target in told}
    lines = []
    for row in find_suspects(moves, planned):
        ends = {"source": row["source"], "target": row["target"]}
        place = row["target"] if row["of_way"] else row["source"]
        if tuple(ends.values()) in told or (place, None) in told:
            continue
        if not row["of_way"] and row["source"] in reached:
            continue
        signal, lost = _SUSPECTED[row["kind"]]
        way = " → ".join(filter(None, ends.values()))
        gain = {
            f"{name}{end}": part * row[of]
            for name, part in PARTS.items()
            for end, of in (("", "gain"), ("_low", "low"), ("_high", "high"))
        }
        lines.append(
            _describe(
                workspace,
                f"{way}: {share(row['observed'])} {lost}, {share(row['expected'])} would be usual "
                "in this stage (suspected)",
                f"n = {decimal(row['n'])}; touchpoints may differ so much by nature; "
                "gain up to the limits of that",
                int(row["affected"]),
                row["target"] or row["source"],
                **ends,
                **gain,
                gain_unit="conversions",
                tier="conversions",
                worth=row["worth"],
                ground="suspected",
                signal=signal,
                how_to_test=TRY,
            )
        )
    return lines[:_DESCRIBED]


def expansions(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Ways that few take and that go with better outcomes: to be tried, not yet to be built."""
    try:
        found = find_expansions(workspace, where=where).found
    except NotMeasurableError:
        return []
    return [
        _describe(
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


def setbacks(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Contacts that few have, and after which far fewer reach the goal."""
    try:
        found = find_setbacks(workspace, where=where)
    except NotMeasurableError:
        return []
    return [
        _describe(
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
            how_to_test=TRY,
        )
        for row in found[:_DESCRIBED]
    ]


def ratings(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
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
        _describe(
            workspace,
            what,
            f"{decimal(row['n'])} answers ({share(row['response'])} of those who could); "
            f"{'who answers when' if step else 'who comes there'} may differ",
            affected,
            next(iter(ends.values())),
            signal=SIGNAL_OF["rating"],
            **ends,
            **({"next_step": step, "ground": "timing", "tier": "spared"} if step else {}),
        )
        for row, what, affected, ends, step in told
    ]


def groups(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
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
        _describe(
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
            how_to_test=TRY,
        )
        for row in rarer.head(_DESCRIBED).to_dicts()
    ]


def deviations(workspace: Workspace, where: Selection | None) -> list[dict[str, Any]]:
    """Planned handoffs that surely fail a tenth, or are late and rated lower for it."""
    if not workspace.journey_map.planned_handoffs:
        return []
    table = measure_plan(workspace, where=where).table.sort("deviating_low", descending=True)
    told = [(row, say_late(row)) for row in table.drop_nulls("deviating_low").to_dicts()]
    return [
        _describe(
            workspace,
            late
            or f"{row['source']} → {row['target']} does not go as planned for "
            f"{share(row['deviating'], row['deviating_low'], row['deviating_high'])}",
            f"{decimal(row['missing'])} missing, {decimal(row['late'])} late, "
            f"{decimal(row['out_of_order'])} out of order of {decimal(row['arrivals'])} arrivals",
            row["late"] if late else int(row["deviating_low"] * (row["arrivals"] - row["open"])),
            row["target"],
            signal=SIGNAL_OF["plan"],
            ground="lateness" if late else "described",
            tier="spared" if late else "measured",
            next_step="Follow ten that came late: where did they wait, and who told them?"
            if late
            else "Say whether the plan still holds; if so, follow ten that were missing.",
            **{name: row[name] for name in ("source", "target", "owner")},
        )
        for row, late in told
        if late or row["deviating_low"] > _DEVIATING
    ][:_DESCRIBED]


def standouts(
    described: pl.DataFrame, workspace: Workspace, told: set[str | None]
) -> list[dict[str, Any]]:
    """What is largest of its kind where nothing is found; ratings only where none are `told` of.

    Of waits those first in which most time passes, of all customers together.
    """
    passed = pl.col("observed") * pl.col("n")
    part = pl.when(kind="wait").then(passed / passed.filter(kind="wait").sum()).otherwise(1.0)
    lines = []
    for row in described.with_columns(part=part).to_dicts():
        signal = SIGNAL_OF.get(row["kind"])
        if row["kind"] == "rating" and signal in told:
            continue
        customers = row["customers"] or 0
        if row["group"] is not None:  # as many as would be spared it, were they like the others
            customers = int(row["n"] * (row["low"] - row["expected"]))
        lines.append(
            _describe(
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
