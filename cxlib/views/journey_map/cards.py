"""The journey map as cards, one per stage, for narrow pages; and the details of one touchpoint.

Plain HTML that opens and closes by itself, by finger or by keyboard, without asking a server. Also
what a page can show at once, before anything live is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.figures.map_layout import Place
from cxlib.figures.theme import channel_colours, light_dark, stage_colours, theme_named
from cxlib.numbers import answered, duration, people, plural, rating, share
from cxlib.views.journey_map import words
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["card", "next_moves", "touchpoint_cards", "touchpoint_details"]

_NEXT_SHOWN = 5
_NOTHING: Mapping[Any, Any] = {}


Found = Mapping[Place, Sequence[Mapping[str, Any]]]
"""Findings at each touchpoint: ``rank``, ``sentence``, ``todo`` and the ``address`` of more."""


def touchpoint_cards(
    result: Touchpoints, *, transitions: Transitions | None = None, found: Found = _NOTHING
) -> str:
    """Write the journey map as cards: one per stage, in it one line per touchpoint that opens.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_touchpoints`.
    transitions
        For the same selection; says where customers go next.
    found
        What was found at each touchpoint.
    """
    theme = theme_named()
    colours = stage_colours(result.stages, theme)
    facts = {row["stage"]: row for row in result.by_stage.iter_rows(named=True)}
    channels = channel_colours(result.channels, theme)
    stages = [
        {
            "name": stage,
            "colour": light_dark(colours[stage]),
            "facts": facts.get(stage),
            "touchpoints": [
                card(row, next_moves(transitions, row), channels, found=found) for row in rows
            ],
        }
        for stage in result.stages
        if (rows := result.table.filter(pl.col("stage") == stage).to_dicts())
    ]
    return render("journey_map/cards.html", stages=stages)


def touchpoint_details(
    row: Mapping[str, Any], *, moves: Sequence[Mapping[str, Any]] = (), found: Found = _NOTHING
) -> str:
    """Write all that is known about one touchpoint: what happens next, who owns it, what to do.

    Parameters
    ----------
    row
        A row of the touchpoints' table.
    moves
        Rows of a transitions result by place that start here, the most frequent first.
    found
        What was found at each touchpoint.
    """
    return render("journey_map/details.html", one=card(row, moves, found=found))


def next_moves(transitions: Transitions | None, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the moves (rows of a result by place) from a touchpoint, the most frequent first."""
    if transitions is None:
        return []
    here = (
        (pl.col("source_touchpoint") == row["touchpoint"])
        & (pl.col("source_channel") == row["channel"])
        & (pl.col("source_stage") == row["stage"])
    )
    return transitions.table.filter(here & (pl.col("n") > 0)).sort("n", descending=True).to_dicts()


def card(
    row: Mapping[str, Any],
    moves: Sequence[Mapping[str, Any]] = (),
    channels: Mapping[str, str] | None = None,
    *,
    found: Found = _NOTHING,
) -> dict[str, Any]:
    """Return what the templates say of a touchpoint."""
    colour = (channels or {}).get(row["channel"])
    parts = [("go-on", row["go_on"]), ("done", row["done"]), ("lost", row["lost"])]
    drawn = row["customers"] is not None and all(value is not None for _, value in parts)
    return {
        "row": row,
        "colour": light_dark(colour) if colour else "",
        "found": found.get(Place(row["touchpoint"], row["channel"], row["stage"]), ()),
        "bar": [(name, f"{100 * value:.2f}%") for name, value in parts] if drawn else [],
        "facts": _facts(row) if row["customers"] is not None else [],
        "moves": moves[:_NEXT_SHOWN],
    }


def _facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    def interval(name: str) -> str:
        return share(row[name], row[f"{name}_low"], row[f"{name}_high"])

    facts = [
        (words.CUSTOMERS, people(row["customers"])),
        (words.CONTACTS, people(row["contacts"])),
        (words.GO_ON, interval("go_on")),
        (words.LOST, words.LOST_UNKNOWN if row["lost"] is None else interval("lost")),
    ]
    if row["done"]:
        facts.append((words.DONE, interval("done")))
    if row["open"]:
        facts.append((words.OPEN, words.OF_CONTACTS.format(share=share(row["open"]))))
    if row["rating"] is not None:
        said = rating(row["rating"], row["rating_low"], row["rating_high"])
        answers = plural(row["rating_n"] or 0, "answer")
        facts.append((words.RATING, f"{said}, {answers}{answered(row['response'])}"))
    if row["next_wait"] is not None:
        facts.append((words.NEXT, words.HALF_WITHIN.format(wait=duration(row["next_wait"]))))
    if row["owner"]:
        facts.append((words.OWNER, row["owner"]))
    return facts
