"""What happens again after a handoff: repeated tasks, repeat contacts, self-service that fails.

Judged as shares of arrivals; what is usual at a touchpoint, wherever customers come from, is none.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.repeats import MARKS
from cxlib.grounds.additive import Codes
from cxlib.grounds.cells import no_cells
from cxlib.grounds.shares import counted_rows, judge_share
from cxlib.grounds.strata import strata_columns

COLUMNS = {"repeated_task": "task", "repeat_contact": "contact", "self_service_leak": "leak"}
"""Columns of ``repeats`` that count a signal (``_n``: the arrivals it is a share of)."""


def with_repeat_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of ``repeats`` what its strata alone would change (``by_*``, ``error_*``).

    Fitted once per log within handoffs, like `cxlib.grounds.strata.with_strata`.
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


def judge_again(
    arrivals: Arrivals, name: str, mark: int | None, *, total: str | None = None
) -> pl.DataFrame:
    """Judge the share of arrivals after which `name` happened again (`mark`: another window)."""
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
