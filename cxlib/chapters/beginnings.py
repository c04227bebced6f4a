"""First contacts in words: where journeys begin, and what comes of these beginnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.chapters.markdown import aside, bullets, listed, table_of
from cxlib.figures.first_contacts import describe_first_contacts
from cxlib.figures.wording import named
from cxlib.markup import markdown_text as md
from cxlib.numbers import duration, plural, share

if TYPE_CHECKING:
    from cxlib.measures.first_contacts import FirstContacts

__all__ = ["channel_table", "say_beginnings", "say_beginnings_sure", "say_what_to_do_first"]

FEWEST = 30
"""Fewest journeys of a first contact that a sentence is about."""


def say_beginnings(first: FirstContacts, places: pl.DataFrame) -> str:
    """Say where journeys begin, which beginnings lead to the goal, and how soon.

    Parameters
    ----------
    first
        The first contacts.
    places
        Of the workspace; they say who begins a contact.
    """
    if first.table.is_empty():
        return "**No journey begins in this log.**"
    answer = f"**{md(describe_first_contacts(first))}.**"
    whole = first.whole.row(0, named=True)
    if whole["goal"] is None:
        return f"{answer} What comes of a beginning is not measurable, because the map has no goal."
    answer += (
        f" Of all {first.journeys:,} journeys, "
        f"{share(whole['goal'], whole['goal_low'], whole['goal_high'])} reach the goal"
    )
    soon = whole["time_to_goal"]
    within = f", half of them within {duration(soon)}" if soon is not None else ""
    return f"{answer}{within}. {say_mailings(first, places)}".rstrip()


def say_mailings(first: FirstContacts, places: pl.DataFrame) -> str:
    """Say how many journeys the company itself began; an empty text where there are none.

    Parameters
    ----------
    first, places
        As in `say_beginnings`.
    """
    sent = _of_company(first, places)
    journeys = int(sent["journeys"].sum())
    if not journeys:
        return ""
    names = listed([f"{md(named(row))} {_goal(row)}" for row in sent.iter_rows(named=True)])
    return (
        f"{journeys:,} of them were begun by the company itself; of these reach the goal: {names}."
    )


def _of_company(first: FirstContacts, places: pl.DataFrame) -> pl.DataFrame:
    own = places.filter(pl.col("initiated_by") == "company")["place"]
    return first.table.filter(pl.col("place").is_in(own.implode()))


def channel_table(first: FirstContacts) -> str:
    """Return a table of the channels that journeys begin in."""
    return table_of(
        [
            {
                "first channel": row["channel"],
                "journeys": f"{row['journeys']:,}",
                "share": share(row["share"], row["share_low"], row["share_high"]),
                "reach the goal": share(row["goal"], row["goal_low"], row["goal_high"]),
                "half within": duration(row["time_to_goal"]),
                "still open": f"{row['open_n']:,}",
            }
            for row in first.by_channel.iter_rows(named=True)
            if row["journeys"]
        ]
    )


def say_beginnings_sure(first: FirstContacts) -> str:
    """Say how sure the answer is, and what it does not say."""
    facts = []
    whole = first.whole.row(0, named=True) if len(first.whole) else {"goal": None, "open_n": 0}
    if whole["goal"] is not None:
        enough = first.table.filter(pl.col("journeys") >= FEWEST)
        apart = len(_apart(first, better=True)) + len(_apart(first, better=False))
        facts.append(
            f"Of {plural(len(enough), 'kind')} of first contact with at least {FEWEST} journeys, "
            f"{apart} differ from all journeys by more than chance allows (95 % intervals apart)."
        )
    facts += [
        f"{whole['open_n'] or 0:,} journeys were still running at the end of the log; they count "
        "for as long as they were observed.",
        "Intervals are over customers, who may have several journeys.",
        "A beginning *goes along with* its outcome; it need not cause it: who begins at a shop may "
        "have been closer to buying anyway. Only an experiment would tell.",
        "The log sees the first contact that it has recorded; what came before, it cannot know.",
    ]
    return bullets(facts)


def say_what_to_do_first(first: FirstContacts, places: pl.DataFrame) -> str:
    """Say which beginnings deserve attention first, those with most journeys at stake in front.

    Parameters
    ----------
    first, places
        As in `say_beginnings`.
    """
    if first.whole.is_empty() or first.whole["goal"][0] is None:
        return bullets(["Name the goal in the journey map, so that beginnings can be compared."])
    own = set(_of_company(first, places)["place"])
    tasks = [
        f"**{md(named(row))}**: {row['journeys']:,} journeys begin here, {_goal(row)} reach the "
        f"goal, fewer than of all. Ask {md(row['owner'] or 'its owner')} what these customers look "
        "for and whether the next step meets them."
        for row in [row for row in _apart(first, better=False) if row["place"] not in own][:3]
    ]
    tasks += [
        f"**{md(named(row))}** does better {aside(_goal(row))}: worth an experiment that brings "
        "more customers here, with a control group."
        for row in [row for row in _apart(first, better=True) if row["place"] not in own][:2]
    ]
    return bullets(
        tasks or ["No beginning stands out for sure; nothing to change on this evidence."]
    )


def _goal(row: Mapping[str, Any]) -> str:
    return share(row["goal"], row["goal_low"], row["goal_high"])


def _apart(first: FirstContacts, *, better: bool) -> list[dict[str, Any]]:
    """Return the beginnings whose interval lies above or below that of all journeys, largest
    stake first.
    """
    whole = first.whole.row(0, named=True)
    if whole["goal_low"] is None or whole["goal_high"] is None:
        return []
    test = (
        pl.col("goal_low") > whole["goal_high"]
        if better
        else pl.col("goal_high") < whole["goal_low"]
    )
    stake = pl.col("journeys") * (pl.col("goal") - whole["goal"]).abs()
    kept = first.table.filter(test, pl.col("journeys") >= FEWEST)
    return kept.sort(stake, pl.col("place"), descending=[True, False]).to_dicts()
