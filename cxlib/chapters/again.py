"""After the goal in words: who has to make contact again, after what, and how that feels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.chapters.markdown import bullets, listed
from cxlib.chapters.stage import FEWEST, NO_STAGE
from cxlib.figures.wording import named
from cxlib.markup import markdown_text as md
from cxlib.numbers import duration, rating, share

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["say_again", "say_again_sure", "say_what_to_mend_after"]


def say_again(result: Touchpoints, transitions: Transitions) -> str:
    """Say how many customers a stage has, which contacts follow one another, and what is rated.

    Parameters
    ----------
    result
        The touchpoints of the stage.
    transitions
        By touchpoint, from the whole log.
    """
    if result.table.is_empty():
        return NO_STAGE
    parts = [
        f"**In {md(row['stage'])}, {row['customers']:,} customers had "
        f"{row['contacts']:,} contacts; "
        f"after {share(row['go_on'], row['go_on_low'], row['go_on_high'])} of them another contact "
        "followed.**"
        for row in result.by_stage.iter_rows(named=True)
    ]
    again = _again(result, transitions)
    if again:
        moves = [f"{_move(row)} (after {_share(row)} of {md(row['source'])})" for row in again[:3]]
        parts.append(f"Most likely within the stage: {listed(moves)}.")
    rated = result.table.filter(pl.col("rating_n") >= FEWEST).sort("rating", "place")
    if rated.is_empty():
        parts.append("How it feels is not measurable, because the log has too few ratings here.")
    else:
        worst = rated.row(0, named=True)
        parts.append(
            f"Customers rate {md(named(worst))} lowest: "
            f"{rating(worst['rating'], worst['rating_low'], worst['rating_high'])} "
            f"(n = {worst['rating_n']:,}, {share(worst['response'])} answered)."
        )
    return " ".join(parts)


def _again(result: Touchpoints, transitions: Transitions) -> list[dict[str, Any]]:
    """Return the moves from one touchpoint of the stage to the same or another, likeliest first."""
    inside = result.table["touchpoint"].unique().implode()
    kept = transitions.table.filter(
        pl.col("source").is_in(inside), pl.col("target").is_in(inside), pl.col("n") >= FEWEST
    )
    return kept.sort("share_low", "source", "target", descending=[True, False, False]).to_dicts()


def _move(row: Mapping[str, Any]) -> str:
    same = row["source"] == row["target"]
    return f"{md(row['source'])} again" if same else f"{md(row['source'])} → {md(row['target'])}"


def _share(row: Mapping[str, Any]) -> str:
    return share(row["share"], row["share_low"], row["share_high"])


def say_again_sure(result: Touchpoints) -> str:
    """Say how sure the answer is, and what it does not say."""
    if result.table.is_empty():
        return bullets(["Nothing was measured here."])
    recent, contacts = int(result.table["open_n"].sum()), int(result.table["contacts"].sum())
    facts = [
        f"{recent:,} of {contacts:,} contacts are too recent to know whether another one follows; "
        "they count for as long as they were observed.",
        "A contact that follows need not be about the same matter, unless the log names the issue.",
        "A contact is no fault in itself: a question answered at once may win a customer.",
    ]
    answered = result.table.filter(pl.col("rating_n") > 0)["response"].to_list()
    if answered:
        facts.append(
            f"Ratings: {share(min(answered))} to {share(max(answered))} of contacts were rated; "
            "compare touchpoints with care where the shares differ."
        )
    return bullets(facts)


def say_what_to_mend_after(
    result: Touchpoints, transitions: Transitions, assisted: Sequence[str]
) -> str:
    """Say which follow-up contacts to look into first.

    Parameters
    ----------
    result, transitions
        As in `say_again`.
    assisted
        Touchpoints at which staff helps, by the journey map.
    """
    tasks = []
    costly = [row for row in _again(result, transitions) if row["target"] in assisted]
    for row in sorted(costly, key=lambda row: -row["n"] * row["share_low"])[:3]:
        wait = f", half of them within {duration(row['wait'])}" if row["wait"] is not None else ""
        tasks.append(
            f"**{_move(row)}**: {row['n']:,} times, after {_share(row)} of "
            f"{md(row['source'])}{wait}. "
            "What did the first contact leave unsettled?"
        )
    if not costly and not result.table.is_empty():
        tasks.append(
            "No contact with staff follows another one of this stage often enough to name it."
            if assisted
            else "Mark in the map which touchpoints are assisted, to see what keeps staff busy."
        )
    return bullets(tasks or ["Nothing to do on this evidence."])
