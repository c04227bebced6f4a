"""Ground *plan*: the target and the deadline that the journey map states for a handoff.

How much is usually broken (neither target nor goal by the deadline) the other planned handoffs say.
"""

from __future__ import annotations

from collections.abc import Mapping

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.kinds import Ground, Judged, Signal
from cxlib.grounds.like import name_transitions

MIN_LIKE = 8
"""Planned handoffs without which there is no telling what a planned handoff does."""


def judge_plan(part: Arrivals, signals: Mapping[str, Signal]) -> list[Judged]:
    """Judge every planned handoff by every signal that knows the plan."""
    planned = [(s, s.plan(part)) for s in signals.values() if s.plan is not None]
    return [name_transitions(part, frame, signal) for signal, frame in planned]


def _needs(part: Arrivals) -> str:
    plans = len(part.settings.plan)
    if not plans:
        return "the map plans no handoff"
    if plans <= MIN_LIKE:
        return (
            f"the map plans {plans} handoffs, and more than {MIN_LIKE} are needed to say what is "
            "usual; each is described by itself"
        )
    return ""


PLAN = Ground("plan", 4, "the plan", judge_plan, _needs, says="than the other planned handoffs do")
