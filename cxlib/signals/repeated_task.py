"""Repeated task: what need not be done twice is done again."""

from __future__ import annotations

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.later import flags_of
from cxlib.grounds.again import judge_again, windows_fit
from cxlib.grounds.faults import AGAIN, Fault, come_again
from cxlib.grounds.kinds import Counts, Signal


def judge_repeated_tasks(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often a task that is not repeatable is done again (`mark`: number of a window)."""
    return judge_again(arrivals, "task", mark)


def _needs(part: Arrivals) -> str:
    marked = not flags_of(part.places, "repeatable", default=True).all()
    return "" if marked else "the map marks no touchpoint `repeatable: false`"


def _windows(part: Arrivals) -> list[pl.DataFrame]:
    return [judge_repeated_tasks(part, mark=i) for i in windows_fit(part, "task")]


REPEATED_TASK = Signal(
    name="repeated_task",
    number=3,
    title="task done again",
    unit="share of arrivals",
    needs=_needs,
    counts=Counts("repeat_history", "task_n", "task"),
    judge=judge_repeated_tasks,
    settings=_windows,
    says="makes {} more repeat a task",
    advice="Ask {owner} what is lost on the way, and hand it over with the customer.",
    tells="made to repeat a task",
    fault=Fault(AGAIN, come_again, highest=1 - 2 * AGAIN),
    repeats=True,
)
