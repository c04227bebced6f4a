"""Opening a notebook: which workspace, which data, which stages of its map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import polars as pl

from cxlib.markup import markdown_text as md
from cxlib.numbers import duration, plural
from cxlib.store import Workspace

if TYPE_CHECKING:
    from cxlib.journey_map import JourneyMap
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions
    from cxlib.measures.waits import Waits

    Moves = TypeVar("Moves", Transitions, Waits)

__all__ = ["Role", "find_stages", "from_touchpoints", "open_workspace", "say_data", "within_stages"]

Role = Literal["awareness", "exploration", "conversion", "aftersales"]
_ROLES: tuple[Role, ...] = ("awareness", "exploration", "conversion", "aftersales")


def open_workspace(path: str | Path | None = None) -> Workspace:
    """Open the workspace at `path`, else the one that CX_WORKSPACE names, else the sample's.

    The sample's is the folder ``workspace`` here or one folder up, where ``make demo`` puts it.

    Raises
    ------
    WorkspaceError
        There is none; the message says how to make one.
    """
    named = path or os.environ.get("CX_WORKSPACE")
    if named:
        return Workspace.open(named)
    beside = Path("workspace")
    above = Path("..") / "workspace"
    return Workspace.open(above if not beside.is_dir() and above.is_dir() else beside)


def say_data(workspace: Workspace) -> str:
    """Say what the log is: whose, how much, when, and when a journey ends."""
    counts, rule = workspace.manifest["counts"], workspace.journey_map.journey
    places = workspace.places
    first, last = (workspace.manifest[name][:10] for name in ("first_at", "last_at"))
    ends = []
    if rule.goal:
        ends.append("at the goal (" + ", ".join(map(md, rule.goal)) + ")")
    if rule.lost:
        ends.append("at a loss (" + ", ".join(map(md, rule.lost)) + ")")
    if rule.gap is not None:
        ends.append(f"after {in_words(rule.gap)} of silence")
    ending = " or ".join(ends) if ends else "with the log, for the map names no goal and no gap"
    return (
        f"**{md(workspace.journey_map.name)}**: {counts['contacts']:,} contacts of "
        f"{counts['customers']:,} customers in {plural_exact(counts['journeys'], 'journey')}, "
        f"{first} to {last}, at {plural(places['touchpoint'].n_unique(), 'touchpoint')} on "
        f"{plural(places['channel'].n_unique(), 'channel')}. A journey ends {ending}. Customers "
        f"were observed until {workspace.observed_until:%Y-%m-%d}: what had not been settled by "
        "then is *open*, and never counted as lost."
    )


def in_words(length: timedelta) -> str:
    """Write a stated duration in words.

    Examples
    --------
    >>> in_words(timedelta(days=30)), in_words(timedelta(days=1))
    ('30 days', '1 day')
    """
    days, rest = divmod(length, timedelta(days=1))
    return plural_exact(days, "day") if days and not rest else duration(length)


def plural_exact(count: int, noun: str) -> str:
    """Write a count to the last digit with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def find_stages(journey_map: JourneyMap, role: Role) -> tuple[str, ...]:
    """Return the stages of a map that play a role, in their order; none where the map has none.

    A stage of that very name plays it. Otherwise the goal decides: its stage is conversion, what
    comes after it aftersales, the first stage awareness and what lies between them exploration;
    without a goal the first four stages play the four roles in turn.

    Examples
    --------
    >>> from cxlib.journey_map import JourneyMap, JourneyRule, Touchpoint
    >>> permits = JourneyMap("permits", ("receipt", "advice", "decision"),
    ...     (Touchpoint("settled", "decision"),), journey=JourneyRule(goal=("settled",)))
    >>> [find_stages(permits, role) for role in ("awareness", "exploration", "aftersales")]
    [('receipt',), ('advice',), ()]
    """
    stages = journey_map.stages
    named = {stage.casefold(): stage for stage in stages}
    if role in named:
        return (named[role],)
    if any(name in named for name in _ROLES):
        return ()
    goals = [journey_map.touchpoint(name) for name in journey_map.journey.goal]
    reached = [journey_map.stage_index(t.stage) for t in goals if t is not None]
    known = [index for index in reached if index is not None]
    if not known:
        return stages[_ROLES.index(role) : _ROLES.index(role) + 1]
    goal = max(known)
    spans = {
        "awareness": stages[: min(1, goal)],
        "exploration": stages[1:goal],
        "conversion": stages[goal : goal + 1],
        "aftersales": stages[goal + 1 :],
    }
    return spans[role]


def from_touchpoints(
    moves: Moves, touchpoints: Touchpoints, *, to: Touchpoints | None = None
) -> Moves:
    """Keep the moves, by touchpoint, from the touchpoints of a result, and to those of another."""
    ends = {"source": touchpoints} | ({"target": to} if to is not None else {})
    inside = [
        pl.col(end).is_in(result.table["touchpoint"].unique().implode())
        for end, result in ends.items()
    ]
    return replace(moves, table=moves.table.filter(*inside))


def within_stages(result: Touchpoints, stages: Sequence[str]) -> Touchpoints:
    """Keep the touchpoints of some stages; what was measured on all of them stays as it is."""
    inside = pl.col("stage").is_in(list(stages))
    return replace(
        result, table=result.table.filter(inside), by_stage=result.by_stage.filter(inside)
    )
