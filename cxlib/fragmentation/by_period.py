"""The counts behind a share of what happens again, or of a plan, period by period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.judged_repeats import COLUMNS
from cxlib.fragmentation.planned import CENSORED, NEITHER

__all__ = ["count_by_period"]


def count_by_period(arrivals: Arrivals, row: Mapping[str, Any]) -> pl.DataFrame | None:
    """Count the cases of one row of the findings table by period.

    Parameters
    ----------
    arrivals
        What was judged.
    row
        ``signal``, ``source``, ``target``, ``source_place`` and ``target_place``.

    Returns
    -------
    polars.DataFrame or None
        ``period``, ``n`` and ``cases``; None for a signal that is counted elsewhere.
    """
    if row["signal"] == "broken_handoff":
        plan = [(p.source, p.target) for p in arrivals.settings.plan]
        number = plan.index((row["source"], row["target"]))
        # a share of those watched to the deadline; the judgement itself allows for the others
        watched = (pl.col("handoff") == number) & (pl.col("cause") != CENSORED)
        counted = arrivals.planned.filter(watched)
        cases = pl.col("n").filter(pl.col("cause") == NEITHER).sum()
        return counted.group_by("period").agg(pl.col("n").sum(), cases=cases)
    column = COLUMNS.get(row["signal"])
    if column is None:
        return None
    here = (pl.col("source") == row["source_place"]) & (pl.col("target") == row["target_place"])
    counted = arrivals.repeats.filter(here & (pl.col(f"{column}_n") > 0))
    return counted.group_by("period").agg(n=pl.col(f"{column}_n").sum(), cases=pl.col(column).sum())
