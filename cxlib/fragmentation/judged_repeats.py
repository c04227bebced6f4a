"""What happens again after a handoff: repeated tasks, repeat contacts, self-service that fails.

Judged as shares of arrivals by the machinery of `cxlib.fragmentation.judged_shares`: against what
the source, the target and the strata let expect. What is usual at a marked touchpoint, wherever
customers come from, is no finding.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cxlib.fragmentation.additive import Codes
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import no_cells
from cxlib.fragmentation.judged_shares import counted_rows, judge_share
from cxlib.fragmentation.repeats import MARKS
from cxlib.fragmentation.strata import strata_columns

__all__ = [
    "COLUMNS",
    "judge_repeat_contacts",
    "judge_repeated_tasks",
    "judge_self_service_leak",
    "with_repeat_strata",
]

COLUMNS = {"repeated_task": "task", "repeat_contact": "contact", "self_service_leak": "leak"}
"""Columns of ``repeats`` that count a signal (``_n``: the arrivals it is a share of)."""

PLACEBO_P = 0.05
"""A leak is none where assisted contacts stand out as clearly as this *before* self-service."""


def with_repeat_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of ``repeats`` what its strata alone would change (``by_*``, ``error_*``).

    Fitted once per log within handoffs, like `cxlib.fragmentation.strata.with_strata`.
    """
    if "by_task" in arrivals.repeats.columns:
        return arrivals
    if "repeats" not in arrivals.cache:
        table = arrivals.repeats
        columns = [
            c
            for name in (*COLUMNS.values(), "leak_before")
            for c in strata_columns(
                table,
                "leak_n" if name == "leak_before" else f"{name}_n",
                name,
                _levels,
                [1.0] * 4,
                name=name,
            )
        ]
        arrivals.cache["repeats"] = replace(
            arrivals, repeats=table.with_columns(columns), cache=arrivals.cache
        )
    kept: Arrivals = arrivals.cache["repeats"]
    return kept


def _levels(codes: dict[str, Codes], _used: pl.Series) -> list[Codes]:
    reach = codes["high"] * 2 + codes["reached"]
    return [reach, codes["position"], codes["segment"], codes["period"]]


def judge_repeated_tasks(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often a task that is not repeatable is done again (`mark`: number of a window)."""
    return _judge(arrivals, "task", mark)


def judge_repeat_contacts(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often another assisted contact follows an assisted one."""
    return _judge(arrivals, "contact", mark)


def judge_self_service_leak(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often an assisted contact follows self-service that was not finished.

    Own control: the same customers' assisted contacts in the day *before* must not stand out, and
    count against the effect: customers who call anyway do not call because self-service failed.
    """
    after = _judge(arrivals, "leak", mark)
    if after.is_empty():
        return after
    before = _judge(arrivals, "leak", None, total="leak_before").select(
        "source", "target", before=pl.col("effect").clip(lower_bound=0.0), placebo=pl.col("p")
    )
    both = after.join(before, on=["source", "target"], how="left", maintain_order="left")
    before_effect = pl.col("before").fill_null(0.0)
    loud = (pl.col("placebo") <= PLACEBO_P).fill_null(False)
    return both.with_columns(
        # what came before is customers who call anyway
        low=pl.col("low") - before_effect,
        z=pl.when(loud).then(pl.min_horizontal("z", 0.0)).otherwise("z"),
        p=pl.when(loud).then(1.0).otherwise("p"),
        touched=(pl.col("touched") - before_effect).clip(0.0),
    ).drop("before", "placebo")


def _judge(
    arrivals: Arrivals, name: str, mark: int | None, *, total: str | None = None
) -> pl.DataFrame:
    if mark is not None and not 0 <= mark < len(MARKS[name]):
        return no_cells()
    column = name if mark is None else f"{name}_{mark}"
    n, counted = f"{column}_n", total or column
    table = counted_rows(arrivals.repeats, n, counted, total or name)
    spread = replace(arrivals, spread=arrivals.repeats_spread)
    return judge_share(spread, table, n, counted, total or name, (f"{name}_n", name))


def windows_fit(arrivals: Arrivals, name: str) -> list[int]:
    """Numbers of the other windows of a signal that fit three times into the log."""
    span = arrivals.settings.span
    return [i for i, mark in enumerate(MARKS[name]) if 3 * mark <= span]
