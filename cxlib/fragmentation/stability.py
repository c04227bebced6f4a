"""Does a finding survive other reasonable settings, and does it hold against the crude comparison?

*Stable*: the effect keeps its sign at the other settings of its signal: silences of 7, 14 and 30
days for abandonment, what came next within 7 days for backtracking and ping-pong, waits of at most
7 days for delay, other windows for what happens again. A setting that the log is too
short for is left out. Ratings have one of their own, who answers
(`cxlib.fragmentation.nonresponse`).

*Simpson*: the crude comparison (with everybody else who arrives at the same touchpoint) and the
adjusted one point in different directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from cxlib.bins import BIN_EDGES
from cxlib.fragmentation.arrivals import LANDMARKS, WINDOWS, Arrivals
from cxlib.fragmentation.judged_means import judge_delay
from cxlib.fragmentation.judged_repeats import (
    judge_repeat_contacts,
    judge_repeated_tasks,
    judge_self_service_leak,
    windows_fit,
)
from cxlib.fragmentation.judged_shares import judge_abandonment, judge_backtracking
from cxlib.fragmentation.returns import judge_ping_pong

__all__ = ["check_stability", "flag_simpson"]

KEYS = ["source_place", "target_place", "signal"]


def check_stability(judged: pl.DataFrame, part: Arrivals) -> pl.DataFrame:
    """Say of every significant row whether its effect keeps its sign at other settings.

    Parameters
    ----------
    judged
        ``source_place``, ``target_place``, ``signal``, ``significant``.
    part
        What was judged.

    Returns
    -------
    polars.DataFrame
        The keys of the significant rows, and ``stable`` (null where the signal has no setting).
    """
    frames = [judged.select(KEYS).clear().with_columns(stable=pl.lit(None, pl.Boolean))]
    for (signal,), rows in judged.filter("significant").group_by("signal", maintain_order=True):
        neutral = 1.0 if signal == "delay" else 0.0
        others = _SETTINGS[str(signal)](part) if str(signal) in _SETTINGS else []
        kept = rows.select(KEYS)
        stable = pl.lit(True) if others else pl.lit(None, pl.Boolean)
        for number, other in enumerate(others):
            effect = other.select(
                pl.col("source").alias(KEYS[0]),
                pl.col("target").alias(KEYS[1]),
                pl.col("effect").alias(f"effect_{number}"),
            )
            kept = kept.join(effect, on=KEYS[:2], how="left", maintain_order="left")
            stable = stable & (pl.col(f"effect_{number}") > neutral).fill_null(True)
        frames.append(kept.with_columns(stable=stable).select(*KEYS, "stable"))
    return pl.concat(frames)


def _fitting(part: Arrivals, marks: tuple[timedelta, ...]) -> list[int]:
    return [mark.days for mark in marks if 3 * mark <= part.settings.span]


def _silences(part: Arrivals) -> list[pl.DataFrame]:
    return [judge_abandonment(part, mark=days) for days in _fitting(part, LANDMARKS)]


def _shorter(part: Arrivals) -> list[int]:
    """Windows that are shorter than the silence, in days."""
    return [d for d in _fitting(part, WINDOWS) if timedelta(days=d) < part.settings.silence]


def _backtracking(part: Arrivals) -> list[pl.DataFrame]:
    return [
        judge_backtracking(
            replace(
                part,
                arrivals=part.arrivals.with_columns(
                    fresh=pl.col(f"fresh_{days}"), back=pl.col(f"back_{days}")
                ),
                onward=_onward(part, days),
                cache={},
            )
        )
        for days in _shorter(part)
    ]


def _ping_pong(part: Arrivals) -> list[pl.DataFrame]:
    return [
        judge_ping_pong(replace(part, onward=_onward(part, days), cache={}))
        for days in _shorter(part)
    ]


def _onward(part: Arrivals, days: int) -> pl.DataFrame:
    return part.onward.with_columns(n=pl.col(f"n_{days}")).filter(pl.col("n") > 0)


def _delay(part: Arrivals) -> list[pl.DataFrame]:
    hours = part.settings.open_hours
    # where open time is counted, a week has as many hours as it is open
    share = np.ones(len(part.places)) if hours is None else hours.calendar.shares
    target = pl.col("target").cast(pl.UInt32)
    waits = []
    for days in _shorter(part):
        limit = np.searchsorted(np.array(BIN_EDGES), days * 86_400.0 * share)
        waits.append(part.waits.filter(pl.col("bin") < pl.lit(pl.Series(limit)).gather(target)))
    return [judge_delay(replace(part, waits=kept, cache={})) for kept in waits if len(kept)]


def _tasks(part: Arrivals) -> list[pl.DataFrame]:
    return [judge_repeated_tasks(part, mark=i) for i in windows_fit(part, "task")]


def _contacts(part: Arrivals) -> list[pl.DataFrame]:
    return [judge_repeat_contacts(part, mark=i) for i in windows_fit(part, "contact")]


def _leaks(part: Arrivals) -> list[pl.DataFrame]:
    return [judge_self_service_leak(part, mark=i) for i in windows_fit(part, "leak")]


_SETTINGS: dict[str, Callable[[Arrivals], list[pl.DataFrame]]] = {
    "abandonment": _silences,
    "backtracking": _backtracking,
    "ping_pong": _ping_pong,
    "delay": _delay,
    "repeated_task": _tasks,
    "repeat_contact": _contacts,
    "self_service_leak": _leaks,
}


_NOT_ALIKE = ("ping_pong", "broken_handoff")


def flag_simpson(judged: pl.DataFrame) -> pl.Series:
    """Say whether the crude comparison of each row points the other way than the adjusted one.

    Crude: observed, less the mean of all others who were judged at the same target (waits: of the
    logarithms). Null where nobody else was, and where "the same" is not the same for others: each
    source has its own way back (ping-pong), each plan its own source (broken handoff).
    """
    keys = ["signal", "target_place"]
    is_ratio = pl.col("signal") == "delay"
    seen = pl.when(is_ratio).then(pl.col("observed").clip(1e-9).log()).otherwise("observed")
    adjusted = pl.when(is_ratio).then(pl.col("effect").clip(1e-9).log()).otherwise("effect")
    n = pl.col("n")
    others = n.sum().over(keys) - n
    mean = ((n * seen).sum().over(keys) - n * seen) / others
    crude = pl.when((others > 0) & ~pl.col("signal").is_in(_NOT_ALIKE)).then(seen - mean)
    return judged.select(simpson=crude.sign() * adjusted.sign() < 0)["simpson"]
