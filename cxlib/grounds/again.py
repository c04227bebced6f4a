"""What happens again after a handoff: repeated tasks, repeat contacts, self-service that fails.

Judged as shares of arrivals; what is usual at a touchpoint, wherever customers come from, is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.repeats import MARKS
from cxlib.grounds.cases import once
from cxlib.grounds.shares import counted_rows, judge_share
from cxlib.grounds.strata import strata_columns, stratum_codes

COLUMNS = ("task", "contact", "leak")
"""Columns of ``repeats`` that count a signal (``_n``: the arrivals it is a share of)."""


@once
def with_repeat_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of ``repeats`` what its strata alone would change (``by_*``, ``error_*``)."""
    if "by_task" in arrivals.repeats.columns:
        return arrivals
    table = arrivals.repeats
    code = stratum_codes(table)
    strata = [(code[n], 1.0) for n in ("reach", "position", "segment", "period")]
    counted = {name: f"{name}_n" for name in COLUMNS} | {"leak_before": "leak_n"}
    columns = [c for name, n in counted.items() for c in strata_columns(table, n, name, strata)]
    return replace(arrivals, repeats=table.with_columns(columns))


def judge_again(
    arrivals: Arrivals, name: str, mark: int | None = None, *, total: str | None = None
) -> pl.DataFrame:
    """Judge the share of arrivals after which `name` happened again (`mark`: another window)."""
    column = name if mark is None else f"{name}_{mark}"
    n, counted = f"{column}_n", total or column
    table = counted_rows(arrivals.repeats, n, counted, total or name)
    return judge_share(arrivals, table, n, counted, total or name, (f"{name}_n", name))


def judge_windows(
    arrivals: Arrivals, name: str, judge: Callable[..., pl.DataFrame] = judge_again
) -> list[pl.DataFrame]:
    """The same within the other windows of a signal that fit three times into the log."""
    fitting = [i for i, mark in enumerate(MARKS[name]) if 3 * mark <= arrivals.settings.span]
    return [judge(arrivals, name, mark) for mark in fitting]
