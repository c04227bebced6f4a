"""Repeated task: what need not be done twice is done again."""

from __future__ import annotations

from functools import partial

from cxlib.arrivals.later import flags_of
from cxlib.grounds.cells import judge_again, judge_windows
from cxlib.grounds.faults import AGAIN, Fault, come_again
from cxlib.grounds.kinds import Counts, Signal

_UNMARKED = "the map marks no touchpoint `repeatable: false`"

REPEATED_TASK = Signal(
    name="repeated_task",
    number=3,
    title="task done again",
    unit="share of arrivals",
    needs=lambda part: _UNMARKED if flags_of(part.places, "repeatable", default=True).all() else "",
    counts=Counts("repeat_history", "task_n", "task", around="environment_repeats"),
    judge=partial(judge_again, name="task"),
    settings=partial(judge_windows, name="task"),
    says="makes {} more repeat a task",
    advice="Ask {owner} what is lost on the way, and hand it over with the customer.",
    tells="made to repeat a task",
    fault=Fault(AGAIN, come_again, highest=1 - 2 * AGAIN),
    repeats=True,
)
