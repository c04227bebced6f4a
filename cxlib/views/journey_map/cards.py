"""The journey map as cards, one per stage, for narrow pages and the first paint; and the details.

Plain HTML that opens and closes by itself, by finger or by keyboard, without asking a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.figures.map_layout import Place
from cxlib.figures.theme import channel_colours, light_dark, stage_colours
from cxlib.figures.wording import figures_of
from cxlib.measures.touchpoints import Touchpoints
from cxlib.views.journey_map import words
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.measures.transitions import Transitions

_NEXT_SHOWN = 5
_COLUMNS = Touchpoints.tables["table"]

Found = Mapping[Place, Sequence[Mapping[str, Any]]]
"""Findings at each touchpoint: ``rank``, ``sentence``, ``todo`` and the ``address`` of more."""

_NOTHING: Found = {}


def touchpoint_cards(
    result: Touchpoints,
    *,
    transitions: Transitions | None = None,
    found: Found = _NOTHING,
    opened: Place | None = None,
) -> str:
    """Write the journey map as cards: one per stage, in it one line per touchpoint that opens."""
    colours = stage_colours(result.stages)
    facts = {row["stage"]: row for row in result.by_stage.iter_rows(named=True)}
    channels, moves = channel_colours(result.channels), next_moves(transitions)
    stages = [
        {
            "name": stage,
            "colour": light_dark(colours[stage]),
            "facts": facts.get(stage),
            "touchpoints": [
                _card(row, moves.get(Place.of(row), ()), found)
                | {"colour": light_dark(channels[row["channel"]]), "open": Place.of(row) == opened}
                for row in rows
            ],
        }
        for stage in result.stages
        if (rows := result.table.filter(pl.col("stage") == stage).to_dicts())
    ]
    return render("journey_map/cards.html", stages=stages)


def touchpoint_details(
    row: Mapping[str, Any], *, moves: Sequence[Mapping[str, Any]] = (), found: Found = _NOTHING
) -> str:
    """Write all that is known about one touchpoint: what happens next, who owns it, what to do."""
    return render("journey_map/details.html", one=_card(row, moves, found))


def next_moves(transitions: Transitions | None) -> dict[Place, list[dict[str, Any]]]:
    """Return the moves (rows of a result by place) from each touchpoint, most frequent first."""
    found: dict[Place, list[dict[str, Any]]] = {}
    if transitions is not None:
        moves = transitions.table.filter(pl.col("n") > 0)
        for row in moves.sort("n", descending=True, maintain_order=True).iter_rows(named=True):
            found.setdefault(Place.of(row, "source_"), []).append(row)
    return found


def _card(
    row: Mapping[str, Any], moves: Sequence[Mapping[str, Any]], found: Found
) -> dict[str, Any]:
    """Return what the templates say of a touchpoint."""
    parts = [("go-on", row["go_on"]), ("done", row["done"]), ("lost", row["lost"])]
    owned = [(words.OWNER, row["owner"])] if row["owner"] else []
    drawn = row["customers"] is not None and all(value is not None for _, value in parts)
    # each share is rounded by itself, so that together they may be less than all
    parts += [("rounded", max(1.0 - sum(value or 0.0 for _, value in parts), 0.0))]
    return {
        "row": row,
        "found": found.get(Place.of(row), ()),
        "bar": [(name, f"{100 * value:.2f}%") for name, value in parts if value] if drawn else [],
        "facts": figures_of(_COLUMNS, row) + owned,
        "moves": moves[:_NEXT_SHOWN],
    }
