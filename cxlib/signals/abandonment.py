"""Abandonment: customers who fall silent after a contact."""

from __future__ import annotations

import polars as pl

from cxlib.arrivals.arrivals import LANDMARKS, Arrivals
from cxlib.arrivals.silences import MOST_COME_BACK
from cxlib.grounds.cells import counted_rows, judge_share
from cxlib.grounds.faults import Fault, Site
from cxlib.grounds.kinds import Counts, Signal


def judge_abandonment(arrivals: Arrivals, *, mark: int | None = None) -> pl.DataFrame:
    """Judge how often customers fall silent after a handoff (`mark`: at 7, 14 or 30 days)."""
    n, total = ("n", "silent") if mark is None else (f"n_{mark}", f"silent_{mark}")
    goals = arrivals.places.filter("is_goal")["place"]
    table = counted_rows(arrivals.arrivals, n, total, "silent").filter(
        ~pl.col("target").is_in(goals.implode())
    )
    return judge_share(arrivals, table, n, total, "silent", ("n", "silent"))


def _silences(part: Arrivals) -> list[pl.DataFrame]:
    """At silences of 7, 14 and 30 days, those that fit three times into the log."""
    fitting = [mark.days for mark in LANDMARKS if 3 * mark <= part.settings.span]
    return [judge_abandonment(part, mark=days) for days in fitting]


def _needs(part: Arrivals) -> str:
    back, silent = part.settings.coming_back, f"silent for {part.settings.silence.days} days"
    why = f"{back:.0%} of those who were {silent} came back: silence does not tell who left"
    return "" if back <= MOST_COME_BACK else why


ABANDONED = 0.22
"""Share of arrivals that the planted abandonment ends."""


def end_journeys(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Let a share of those who would have gone on leave for good: what followed is taken out."""
    hit = site.arrived() & (pl.col("_dice") < site.share_of_rest(ABANDONED))
    ended = pl.when(hit).then(pl.col("occurred_at")).min().over("customer")
    return rows.with_columns(_ended=ended).filter(
        pl.col("_ended").is_null() | (pl.col("occurred_at") <= pl.col("_ended"))
    )


ABANDONMENT = Signal(
    name="abandonment",
    number=8,
    title="customers leave",
    unit="share of arrivals",
    needs=_needs,
    counts=Counts(
        "histories",
        "n",
        "silent",
        around="environments",
        steps="steps",
        places=lambda p: ~(p["is_goal"] | p["is_lost"]),
    ),
    judge=judge_abandonment,
    settings=_silences,
    says="loses {} more",
    advice="Ask {owner} what a customer finds on arrival, and what is missing to go on.",
    tells="lost",
    fault=Fault(ABANDONED, end_journeys, highest=1 - 2 * ABANDONED),
    follows_customers=True,
    shuffles=True,
    draws="silence",
)
