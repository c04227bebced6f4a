"""Self-service leak: an assisted contact follows self-service that was not finished."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.later import flags_of
from cxlib.grounds.cells import judge_again, judge_windows
from cxlib.grounds.faults import AGAIN, Fault, Site, insert
from cxlib.grounds.kinds import Counts, Signal

PLACEBO_P = 0.05
"""A leak is none where assisted contacts stand out as clearly as this *before* self-service."""


def judge_self_service_leak(
    arrivals: Arrivals, name: str = "leak", mark: int | None = None
) -> pl.DataFrame:
    """Judge how often an assisted contact follows self-service that was not finished.

    Own control: assisted contacts of the day *before* must not stand out, and count against it.
    """
    after = judge_again(arrivals, name, mark)
    if after.is_empty():
        return after
    before = judge_again(arrivals, name, total="leak_before").select(
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


def _needs(part: Arrivals) -> str:
    assisted, alone = flags_of(part.places, "assisted"), flags_of(part.places, "self_service")
    if not assisted.any():
        return "the map marks no touchpoint `assisted: true`"
    if not (alone & ~assisted & ~flags_of(part.places, "completes")).any():
        return "the map marks no touchpoint `self_service: true` that does not itself complete"
    return ""


def ask_for_help(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who arrived turn to an assisted touchpoint ten minutes later."""
    helping = np.flatnonzero(flags_of(site.places, "assisted"))
    return rows if not len(helping) else insert(rows, site, helping[0], timedelta(minutes=10))


SELF_SERVICE_LEAK = Signal(
    name="self_service_leak",
    number=6,
    title="self-service fails",
    unit="share of arrivals",
    needs=_needs,
    counts=Counts("repeat_history", "leak_n", "leak", around="environment_repeats"),
    judge=judge_self_service_leak,
    settings=partial(judge_windows, name="leak", judge=judge_self_service_leak),
    says="leaves {} more to call for help",
    advice="Ask {owner} where self-service ends, and finish it or offer help there.",
    tells="left to call for help",
    fault=Fault(AGAIN, ask_for_help, highest=1 - 2 * AGAIN),
)
