"""The journey map: stages as columns, channels as lanes, touchpoints as circles, moves as bands."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl

from cxlib.errors import InputError, UnknownNameError
from cxlib.figures import canvas
from cxlib.figures.map_labels import Circle, Mark
from cxlib.figures.map_layout import MapLayout, Place, lay_out
from cxlib.figures.map_traces import (
    GUTTER,
    ColourKey,
    Move,
    circle_traces,
    footnote,
    grid,
    move_traces,
)
from cxlib.figures.matrices import move_hover
from cxlib.figures.theme import channel_colours, stage_colours, theme_named
from cxlib.figures.wording import estimate, named, of_whom
from cxlib.markup import hover
from cxlib.numbers import answered, day, people, plural, rating, share

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = [
    "COLOURS",
    "MOST_MOVES",
    "ColourBy",
    "Mark",
    "describe_touchpoints",
    "hover_text",
    "map_positions",
    "plot_touchpoints",
]

ColourBy = Literal["lost", "go_on", "open", "rating"]

COLOURS: Mapping[str, str] = {
    "lost": "lost after this touchpoint",
    "go_on": "go on after this touchpoint",
    "open": "sequel still open",
    "rating": "mean rating",
}
"""What the colour can stand for, in words."""

MOST_MOVES = 40
"""Most moves that are drawn; the others are counted below the map."""

_FEWEST_NAMED = 30
"""Fewest customers of a touchpoint that is named in the sentence."""

_FOOT_PX = 84
"""Room for notes and legend below the map, pixels."""


def plot_touchpoints(
    result: Touchpoints,
    *,
    transitions: Transitions | None = None,
    colour_by: ColourBy = "lost",
    selected: Place | None = None,
    marks: Sequence[Mark] = (),
    positions: MapLayout | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw the journey map.

    Stages are columns, channels are lanes, touchpoints are circles: area = customers, colour = one
    measure. Moves between touchpoints are bands: width = number of moves; at most the `MOST_MOVES`
    widest are drawn, and a line says how many more there are.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_touchpoints`.
    transitions
        From `cxlib.measures.measure_transitions` by place, for the same selection; None: no moves
        are drawn.
    colour_by
        What the colour stands for, see `COLOURS`.
    selected
        Touchpoint to ring; the moves from and to it are drawn on top.
    marks
        Touchpoints and moves to point at, each with its label.
    positions
        From `map_positions`; None: those of this result. Given, a filtered map keeps its places.
    title
        None: a sentence with the answer.

    Returns
    -------
    plotly.graph_objects.Figure
        Always with the same traces in the same order: ``moves``, ``chosen moves``, ``found moves``,
        ``directions``, ``rings``, ``touchpoints``, ``labels``,
        ``marks``, ``legend``.

    Raises
    ------
    UnknownNameError
        If `colour_by` is none of `COLOURS`.
    InputError
        If the transitions are not by place.
    """
    if colour_by not in COLOURS:
        raise UnknownNameError("measure to colour by", colour_by, COLOURS)
    theme = theme_named()
    layout = positions or map_positions(result)
    counted = f"{plural(result.customers, 'customer')} in {plural(result.journeys, 'journey')}, "
    until = f"observed until {day(result.observed_until)}"
    figure = canvas.new_figure(
        describe_touchpoints(result),
        title=title,
        subtitle=counted + until if result.customers else until,
    )
    found = {(m.place, m.target) for m in marks if m.target is not None and m.finding}
    moves, said = _moves(transitions, layout, found)
    low, high = _scale_ends(result, colour_by)
    circles = [
        Circle(
            place=Place.of(row),
            customers=row["customers"],
            value=None if value is None or math.isnan(value) else (value - low) / (high - low),
            note=people(row["customers"]),
            hover=hover_text(row),
        )
        for row in result.table.iter_rows(named=True)
        for value in (row[colour_by],)
    ]
    # A filter left out some places that moves lead to: they are hollow.
    ends = dict.fromkeys(end for move in moves for end in (move.source, move.target))
    circles += [
        Circle(end, None, None, "", hover(end.touchpoint, "not in this selection"))
        for end in ends
        if end not in {circle.place for circle in circles}
    ]
    write = rating if colour_by == "rating" else share
    key = ColourKey(
        COLOURS[colour_by],
        theme.loss_scale if colour_by == "lost" else theme.scale,
        {p: write(low + p * (high - low)) for p in (0.0, 0.5, 1.0)},
    )
    figure.add_traces(
        move_traces(moves, layout, theme, selected=selected, marks=marks)
        + circle_traces(circles, layout, theme, key=key, selected=selected, marks=marks)
    )
    page = grid(
        layout,
        theme,
        channels=channel_colours(result.channels, theme),
        stages=stage_colours(result.stages, theme),
        stage_notes=_stage_notes(result),
    )
    page["annotations"].append(footnote(said, theme))
    top = figure.layout.margin.t
    return canvas.lay_out(
        figure,
        height=layout.height + top + _FOOT_PX,
        margin={"l": GUTTER, "r": 12, "t": top, "b": _FOOT_PX},
        **page,
    )


def map_positions(result: Touchpoints) -> MapLayout:
    """Return the positions of all touchpoints of a result, to be kept while it is filtered."""
    places = [Place(*row) for row in result.table.select("touchpoint", "channel", "stage").rows()]
    return lay_out(places, stages=result.stages, channels=result.channels)


def describe_touchpoints(result: Touchpoints) -> str:
    """Say in one sentence where customers get lost: the title and the text alternative."""
    whom = of_whom(result)
    weakest = result.table.drop_nulls("weakest").sort("weakest").head(3).to_dicts()
    if not weakest:
        if result.table["customers"].null_count() == result.table.height:
            return f"Too few customers{whom} to say where they get lost"
        return _strongest_loss(result, whom)
    first = weakest[0]
    sentence = (
        f"More customers{whom} get lost after {named(first)} than anywhere else: "
        f"{estimate(first, 'lost')} of contacts lead nowhere"
    )
    further = [f"{named(row)} ({share(row['lost'])})" for row in weakest[1:]]
    return sentence + (f"; then {' and '.join(further)}" if further else "")


def _strongest_loss(result: Touchpoints, whom: str) -> str:
    """Where no touchpoint is called weak: after which of them contacts most often lead nowhere."""
    lossy = result.table.filter(pl.col("customers") >= _FEWEST_NAMED, pl.col("lost_low") > 0)
    if lossy.is_empty() and result.table["lost"].null_count():
        return (
            f"Where customers{whom} get lost is not known: nobody was observed long enough "
            "for a silence to count as lost"
        )
    if lossy.is_empty():
        return f"No touchpoint at which customers{whom} certainly get lost"
    row = lossy.sort("lost_low", descending=True).row(0, named=True)
    return f"Contacts{whom} lead nowhere most often after {named(row)}: {estimate(row, 'lost')}"


def hover_text(row: Mapping[str, Any]) -> str:
    """Say what is known about a touchpoint (a row of the table) in a few short lines."""
    name, where = row["touchpoint"], f"{row['channel']}, {row['stage']}"
    if row["customers"] is None:
        return hover(name, where, "too few customers to be shown")
    counted = f"{plural(row['customers'], 'customer')}, {plural(row['contacts'] or 0, 'contact')}"
    chances = [
        f"{words} {estimate(row, column)}"
        for column, words in (("go_on", "go on"), ("lost", "lost"), ("done", "goal reached"))
        if row[column]
    ]
    rated = ""
    if row["rating"] is not None:
        mean = rating(row["rating"], row["rating_low"], row["rating_high"])
        rated = f"rating {mean}, {people(row['rating_n'])} answers{answered(row['response'])}"
    still_open = f"sequel still open {share(row['open'])}" if row["open"] else ""
    return hover(name, where, counted, *chances, still_open, rated)


def _scale_ends(result: Touchpoints, colour_by: ColourBy) -> tuple[float, float]:
    """Return the values at both ends of the colours: round, and the same for most selections.

    Nine in ten of what is ranked lie between them: what the company sends itself, which nearly
    nobody answers, does not take the colours from all the others.
    """
    ranked = result.table.filter(pl.col("weakest").is_not_null())
    values = (result.table if ranked.is_empty() else ranked)[colour_by].drop_nulls().drop_nans()
    if values.is_empty():
        return 0.0, 1.0
    smallest, largest = values.cast(pl.Float64).sort().gather([0, -1])
    if colour_by == "lost":
        largest = float(np.quantile(values.to_numpy(), 0.9))
    if colour_by == "rating":
        low = math.floor(smallest)
        return float(low), float(max(math.ceil(largest), low + 1))
    return 0.0, next(end for end in (0.1, 0.25, 0.5, 1.0) if largest <= end)


def _stage_notes(result: Touchpoints) -> dict[str, str]:
    notes = {}
    for row in result.by_stage.iter_rows(named=True):
        parts = [plural(row["customers"], "customer")] if row["customers"] is not None else []
        if row["rating"] is not None:
            by = "" if row["response"] is None else f" by {share(row['response'])}"
            parts.append(f"rated {rating(row['rating'])}{by}")
        notes[row["stage"]] = "<br>".join(parts)
    return notes


def _moves(
    transitions: Transitions | None,
    layout: MapLayout,
    found: Collection[tuple[Place, Place | None]],
) -> tuple[list[Move], str]:
    """Return the moves to draw, widest first, and the note that says what is left out.

    What was found is drawn however few take it.
    """
    circles = "Circle area: customers."
    if transitions is None:
        return [], circles
    if "source_touchpoint" not in transitions.table.columns:
        raise InputError(
            "the map needs transitions between places: measure_transitions(summary, by='place')."
        )
    moves = []
    for row in transitions.table.iter_rows(named=True):
        source, target = Place.of(row, "source_"), Place.of(row, "target_")
        if source != target and row["n"] and {source, target} <= layout.spots.keys():
            said = move_hover(row, source.touchpoint, target.touchpoint)
            moves.append(Move(source, target, row["n"], said))
    moves.sort(key=lambda m: (-m.count, m.source.touchpoint, m.target.touchpoint))
    drawn = moves[:MOST_MOVES] + [m for m in moves[MOST_MOVES:] if (m.source, m.target) in found]
    said = f"{circles} Band width: moves from one touchpoint to another."
    if len(drawn) < len(moves):
        part = share(1 - sum(m.count for m in drawn) / sum(m.count for m in moves))
        rest = f"{len(moves) - len(drawn)} with {part} of all moves are not"
        said += f"<br>{len(drawn)} are drawn, and {rest}."
    return drawn, said
