"""Reaching the goal in words: how many get there, where the others stop, and who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.chapters.beginnings import say_mailings
from cxlib.chapters.markdown import bullets, listed, table_of
from cxlib.figures.stage_funnel import describe_stage_funnel
from cxlib.figures.wording import named
from cxlib.markup import markdown_text as md
from cxlib.numbers import duration, share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxlib.measures.first_contacts import FirstContacts
    from cxlib.measures.stage_funnel import StageFunnel
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.summary import Summary

__all__ = [
    "say_goal",
    "say_goal_sure",
    "say_largest_loss",
    "say_what_to_do_about_goal",
    "segment_table",
]

FEWEST = 30


def say_goal(first: FirstContacts, funnel: StageFunnel, places: pl.DataFrame) -> str:
    """Say how many journeys reach the goal, how soon, and after which stage most are lost.

    Parameters
    ----------
    first
        The first contacts of all journeys; their sum is all journeys.
    funnel
        The stage funnel.
    places
        Of the workspace; they say who begins a contact.
    """
    whole = first.whole.row(0, named=True) if len(first.whole) else {"goal": None}
    if whole["goal"] is None:
        answer = "**How many reach the goal is not measurable, because the map names none.**"
    else:
        soon = duration(whole["time_to_goal"])
        answer = (
            f"**{share(whole['goal'], whole['goal_low'], whole['goal_high'])} of journeys reach "
            f"the goal, half of them within {soon}.** {say_mailings(first, places)}"
        ).rstrip()
    return f"{answer} {md(say_largest_loss(funnel))}."


def say_largest_loss(funnel: StageFunnel) -> str:
    """Say after which stage most journeys are lost, in one sentence without full stop."""
    known = funnel.table.filter(pl.col("declined_n") + pl.col("silent_n") > 0)
    if known.is_empty():
        return "No journey is known to be lost: nothing that ends one has happened, or the map \
names nothing that does"
    return describe_stage_funnel(funnel)


def segment_table(summary: Summary, answers: Iterable[tuple[str, str, FirstContacts]]) -> str:
    """Return a table of the chance of the goal by segment, or why there is none.

    Parameters
    ----------
    summary
        The journey summary; it knows whether there are segments.
    answers
        Dimension, value, and the first contacts of that segment.
    """
    if not summary.segment_names:
        return (
            "Whether segments differ is not measurable, because the workspace was made without a "
            "table of customers (`cx ingest … --customers FILE`)."
        )
    rows: list[dict[str, str]] = []
    for dimension, value, first in answers:
        whole: dict[str, Any] = first.whole.row(0, named=True)
        rows.append(
            {
                "segment": f"{dimension} = {value}",
                "journeys": f"{first.journeys:,}",
                "reach the goal": share(whole["goal"], whole["goal_low"], whole["goal_high"]),
                "half within": duration(whole["time_to_goal"]),
                "still open": f"{whole['open_n']:,}",
            }
        )
    return table_of(rows)


def say_goal_sure(funnel: StageFunnel) -> str:
    """Say how sure the answer is, and what it does not say."""
    table = funnel.table
    running = int(table["open_n"].sum())
    unplaced = funnel.journeys - int(table["began"].sum())
    facts = [
        f"{running:,} entries into a stage were still undecided at the end of the log; they count "
        "for as long as they were observed, and never as lost.",
        "A stage that a journey passes over is not entered; going back to an earlier stage is no "
        "new entry.",
        "Segments are compared as they are: a difference may come from other touchpoints or times.",
    ]
    if unplaced:
        facts.append(f"{unplaced:,} journeys begin at a touchpoint that the map does not place.")
    return bullets(facts)


def say_what_to_do_about_goal(funnel: StageFunnel, touchpoints: Touchpoints) -> str:
    """Say where mending is worth most: the stage with the largest loss, and its weakest points.

    Parameters
    ----------
    funnel
        The stage funnel.
    touchpoints
        All touchpoints.
    """
    lost = funnel.table.filter(pl.col("lost").is_not_null(), pl.col("journeys") >= FEWEST)
    if lost.filter(pl.col("lost_low") > 0).is_empty():
        return bullets(
            [
                "No journey is known to be lost. Name in the map what ends a journey without the "
                "goal (journey: gap, lost), where there is such a thing."
            ]
        )
    count = (pl.col("journeys") * pl.col("lost_low")).alias("sure")
    worst = lost.sort(count, descending=True).row(0, named=True)
    surely = worst["journeys"] * worst["lost_low"]
    weak = touchpoints.table.filter(
        pl.col("stage") == worst["stage"], pl.col("weakest").is_not_null()
    ).sort("weakest")
    names = [
        f"{md(named(row))} ({md(row['owner'] or 'no owner named')})"
        for row in weak.head(3).iter_rows(named=True)
    ]
    tasks = [
        f"Begin in **{md(worst['stage'])}**: at least {surely:,.0f} of the {worst['journeys']:,} "
        f"journeys that come to it end there without the goal."
    ]
    if names:
        tasks.append(f"There, most are lost after {listed(names)}: bring these owners together.")
    tasks.append("Notebook 05 says which handoffs lose more than like handoffs do.")
    return bullets(tasks)
