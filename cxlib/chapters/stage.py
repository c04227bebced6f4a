"""The touchpoints of a stage in words: where customers go on from, and where they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.chapters.markdown import aside, bullets, listed, table_of
from cxlib.figures.wording import named
from cxlib.markup import markdown_text as md
from cxlib.numbers import answered, duration, rating, share

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = [
    "say_stage",
    "say_stage_sure",
    "say_weakest",
    "say_what_to_do_in_stage",
    "touchpoint_table",
]

FEWEST = 30
"""Fewest customers, or ratings, of a touchpoint that a sentence is about."""

NO_STAGE = "**The journey map has no such stage**, so the question cannot be asked of this log."


def say_stage(result: Touchpoints) -> str:
    """Say what comes after the contacts of a stage, and which touchpoints lose most.

    Parameters
    ----------
    result
        The touchpoints of the stage, see `cxlib.chapters.within_stages`.
    """
    if result.table.is_empty():
        return NO_STAGE
    parts = [_say_sequel(row) for row in result.by_stage.iter_rows(named=True)]
    return " ".join([*parts, f"{say_weakest(result)}.", _say_ratings(result)])


def say_weakest(result: Touchpoints) -> str:
    """Say after which touchpoints most customers are lost, in one sentence without full stop.

    Parameters
    ----------
    result
        The touchpoints of a stage.
    """
    if result.table.is_empty():
        return "The journey map has no such stage"
    if result.table["lost"].null_count() == result.table.height:
        return (
            "Where customers get lost is not measurable, because nothing in the map ends a journey"
        )
    names = [f"{md(named(row))} {aside(_lost(row))}" for row in _weakest(result)]
    if not names:
        return "At no touchpoint of this stage are customers lost for sure"
    return f"Most customers are lost after {listed(names)}"


def _say_sequel(row: Mapping[str, Any]) -> str:
    goes_on = share(row["go_on"], row["go_on_low"], row["go_on_high"])
    text = (
        f"**In {md(row['stage'])}, {row['customers']:,} customers had "
        f"{row['contacts']:,} contacts; "
        f"after {goes_on} of them the journey goes on"
    )
    if row["lost"] is None:
        return f"{text}.**"
    had = f", after {share(row['done'])} it ends at the goal or after it" if row["done"] else ""
    return f"{text}{had}, after {_lost(row)} it ends without the goal.**"


def _lost(row: Mapping[str, Any]) -> str:
    return share(row["lost"], row["lost_low"], row["lost_high"])


def _weakest(result: Touchpoints) -> list[dict[str, Any]]:
    """Return the touchpoints with most customers lost for sure; those that customers turn to
    themselves, unless the company begins every contact of the stage that loses any.
    """
    ranked = result.table.filter(pl.col("weakest").is_not_null()).sort("weakest")
    if ranked.is_empty():
        sure = pl.col("customers") * pl.col("lost_low")
        enough = result.table.filter(sure >= 1, pl.col("customers") >= FEWEST)
        ranked = enough.sort(sure, "place", descending=[True, False])
    return ranked.head(3).to_dicts()


def _say_ratings(result: Touchpoints) -> str:
    rated = result.table.filter(pl.col("rating_n") >= FEWEST).sort("rating", "place")
    if rated.is_empty():
        return "What customers feel here is not measurable, because the log has too few ratings."
    worst, best = rated.row(0, named=True), rated.row(-1, named=True)
    if len(rated) == 1:
        return f"Customers rate {md(named(worst))} {_rating(worst)}."
    return (
        f"Customers rate {md(named(worst))} lowest {aside(_rating(worst))}, "
        f"{md(named(best))} highest {aside(_rating(best))}."
    )


def _rating(row: Mapping[str, Any]) -> str:
    said = rating(row["rating"], row["rating_low"], row["rating_high"])
    return f"{said}, n = {row['rating_n']:,}{answered(row['response'])}"


def touchpoint_table(result: Touchpoints, *, most: int = 20) -> str:
    """Return a table of touchpoints: customers, what comes next, how soon, and how it is rated."""
    return table_of(
        [
            {
                "touchpoint": row["touchpoint"],
                "channel": row["channel"],
                "owner": row["owner"] or "–",
                "customers": f"{row['customers']:,}",
                "go on": share(row["go_on"], row["go_on_low"], row["go_on_high"]),
                "lost": _lost(row),
                "still open": share(row["open"]),
                "next after": duration(row["next_wait"]),
                "rating": rating(row["rating"], row["rating_low"], row["rating_high"]),
                "rated": share(row["response"]),
            }
            for row in result.table.sort("customers", "place", descending=[True, False]).iter_rows(
                named=True
            )
        ],
        most=most,
    )


def say_stage_sure(result: Touchpoints) -> str:
    """Say how sure the answer is, and what it does not say."""
    if result.table.is_empty():
        return bullets(["Nothing was measured here."])
    small = result.table.filter(pl.col("customers") < FEWEST).height
    open_n = int(result.table["open_n"].sum())
    contacts, touchpoints = int(result.table["contacts"].sum()), result.table.height
    facts = [
        f"{open_n:,} of {contacts:,} contacts have no sequel yet and were not observed for long "
        "enough to call them lost; they are *open*.",
        f"All {touchpoints} touchpoints have at least {FEWEST} customers."
        if not small
        else f"{small} of {touchpoints} touchpoints have fewer than {FEWEST} customers and are "
        "not named in any sentence.",
        "Touchpoints differ in who comes: a high loss can come from hurried customers as well as "
        "from a bad handoff. Notebook 05 compares like with like.",
    ]
    if int(result.table["rating_n"].sum()):
        answered = result.table["response"].drop_nulls().to_list()
        facts.append(
            f"Ratings come from {share(min(answered))} to {share(max(answered))} of contacts, by "
            "touchpoint; who is unhappy may answer more often."
        )
    return bullets(facts)


def say_what_to_do_in_stage(result: Touchpoints, transitions: Transitions) -> str:
    """Say where to look first: the weakest touchpoints, their owners, and what follows them.

    Parameters
    ----------
    result
        The touchpoints of the stage.
    transitions
        By touchpoint, from the whole log.
    """
    tasks = []
    for row in _weakest(result):
        following = _next(transitions, row["touchpoint"])
        onward = f" Who goes on comes to {listed(following)}." if following else ""
        tasks.append(
            f"**{md(named(row))}** ({md(row['owner'] or 'no owner named')}): {_lost(row)} of "
            f"{row['contacts']:,} contacts lead nowhere.{onward} Follow ten of these journeys, and "
            "ask what was missing."
        )
    rated = result.table.filter(
        (pl.col("rating_n") >= FEWEST) & (pl.col("rating_high") < pl.col("rating").mean())
    ).sort("rating")
    tasks += [
        f"**{md(named(row))}** is rated {_rating(row)}, below the others here: read the comments."
        for row in rated.head(1).iter_rows(named=True)
    ]
    return bullets(tasks or ["Nothing stands out here; nothing to change on this evidence."])


def _next(transitions: Transitions, touchpoint: str) -> list[str]:
    table = transitions.table.filter(
        pl.col("source") == touchpoint, pl.col("target") != touchpoint
    ).head(2)
    return [f"{md(row['target'])} ({share(row['share'])})" for row in table.iter_rows(named=True)]
