"""The journey map: stages as columns, channels as lanes, touchpoints as circles, moves as bands."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl

from cxlib.errors import InputError, UnknownNameError
from cxlib.figures import canvas
from cxlib.figures.map_labels import Circle, Mark, bends
from cxlib.figures.map_layout import MapLayout, Place, felt, lay_out
from cxlib.figures.map_traces import (
    GUTTER,
    ColourKey,
    Move,
    circle_traces,
    feeling_traces,
    grid,
    move_traces,
)
from cxlib.figures.theme import THEME, channel_colours, stage_colours
from cxlib.figures.wording import estimate, named, of_whom, told
from cxlib.markup import hover, plotly_lines, plotly_text
from cxlib.numbers import day, people, plural, rating, scale_name, share

if TYPE_CHECKING:
    from cxlib.measures.experience import ExperienceCurve
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

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

_MANY, _RARE = 24, 0.05
_TOO_FEW = "too few customers to be shown"
_FOOT_PX = 100
"""Room for notes and legend below the map, pixels."""


def plot_touchpoints(  # noqa: PLR0913
    result: Touchpoints,
    *,
    transitions: Transitions | None = None,
    feeling: ExperienceCurve | None = None,
    colour_by: ColourBy = "lost",
    selected: Place | None = None,
    marks: Sequence[Mark] = (),
    positions: MapLayout | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw the journey map: touchpoints as circles (area: customers), moves as bands.

    The moves are `transitions` by place for the same selection, at most the `MOST_MOVES` widest;
    `feeling` is how touchpoints are rated, a curve above them; the colour is "lost", "go_on",
    "open" or "rating"; `selected` is ringed, `marks` are pointed at; with `positions` from
    `map_positions` a filtered map keeps its places.
    """
    if colour_by not in COLOURS:
        raise UnknownNameError("measure to colour by", colour_by, COLOURS)
    layout = positions or map_positions(result, feeling=feeling is not None)
    counted = f"{plural(result.customers, 'customer')} in {plural(result.journeys, 'journey')}, "
    until = f"observed until {day(result.observed_until)}"
    figure = canvas.new_figure(
        describe_touchpoints(result),
        title=title,
        subtitle=counted + until if result.customers else until,
    )
    found = {(m.place, m.target) for m in marks if m.target is not None}
    moves, said = _moves(transitions, layout, found)
    low, high = _scale_ends(result, colour_by)
    rows = result.table.to_dicts()
    circles = [
        Circle(
            place=Place.of(row),
            customers=row["customers"],
            value=None if value is None or math.isnan(value) else (value - low) / (high - low),
            note=people(row["customers"]),
            hover=hover(row["touchpoint"], _TOO_FEW) if row["customers"] is None else said,
            ranked=row["weakest"] is not None or not row["lost_low"],
        )
        for row, said in zip(rows, told(result.columns, rows, "touchpoint"), strict=True)
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
        THEME.loss_scale if colour_by == "lost" else THEME.scale,
        {p: write(low + p * (high - low)) for p in (0.0, 0.5, 1.0)},
    )
    ways = bends(circles, layout, marks)
    figure.add_traces(
        move_traces(moves, layout, selected=selected, found=ways)
        + circle_traces(circles, layout, key=key, selected=selected, marks=marks, found=ways)
    )
    scale = "" if feeling is None else most_used(feeling)
    if feeling is not None:
        points = felt(layout, feeling.table.filter(scale=scale).to_dicts())
        hovers = told(feeling.columns, [p.row for p in points], "touchpoint")
        figure.add_traces(feeling_traces(points, hovers))
    page = grid(
        layout,
        channels=channel_colours(result.channels),
        stages=stage_colours(result.stages),
        stage_notes=_stage_notes(result),
        feeling=plotly_lines("How it feels", plotly_text(scale_name(scale))),
    )
    rarer = [row for row in rows if Place.of(row) not in layout.spots]
    if rarer:
        contacts, every = (sum(row["contacts"] or 0 for row in some) for some in (rarer, rows))
        part = share(contacts / max(every, 1))
        left_out = f"And {len(rarer)} rarer touchpoints, with {part} of contacts: in the table."
        said = plotly_lines(said, left_out)
    corner = {"xref": "paper", "x": 0, "yref": "paper", "y": 0, "yshift": -14, "align": "left"}
    below = {"xanchor": "left", "yanchor": "top"}
    page["annotations"].append(canvas.note(said, THEME.muted) | corner | below)
    top = figure.layout.margin.t
    return canvas.lay_out(
        figure,
        height=layout.height + top + _FOOT_PX,
        margin={"l": GUTTER, "r": 12, "t": top, "b": _FOOT_PX},
        **page,
    )


def most_used(feeling: ExperienceCurve) -> str:
    """Return the scale with most answers: the one whose curve is drawn."""
    counts = feeling.table.group_by("scale").agg(pl.col("n").sum()).sort("n", "scale")
    return counts["scale"][-1] if len(counts) else ""


def map_positions(
    result: Touchpoints,
    *,
    keep: Collection[Place | None] = (),
    feeling: bool = False,
    most: int | None = None,
) -> MapLayout:
    """Return positions that stay while the result is filtered, of what carries most contacts.

    Of many touchpoints those are left out that together have less than `_RARE` of the contacts,
    or come after the `most` frequent, but for those to `keep`; `feeling` leaves room for a curve.
    """
    rows = result.table.to_dicts()
    left, rare = _RARE * sum(row["contacts"] or 0 for row in rows), set()
    ranked = sorted(rows, key=lambda row: row["contacts"] or 0) if len(rows) > _MANY else []
    for number, row in enumerate(ranked):
        left -= row["contacts"] or 0
        too_many = most is not None and len(ranked) - number > most
        rare |= {Place.of(row)} if left >= 0 or too_many else set()
    places = [place for place in map(Place.of, rows) if place not in rare or place in keep]
    return lay_out(places, stages=result.stages, channels=result.channels, feeling=feeling)


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


def _scale_ends(result: Touchpoints, colour_by: ColourBy) -> tuple[float, float]:
    """Return round ends of the colours, between which nine in ten of what is ranked lie."""
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
        notes[row["stage"]] = plotly_lines(*parts)
    return notes


def _moves(
    transitions: Transitions | None,
    layout: MapLayout,
    found: Collection[tuple[Place, Place | None]],
) -> tuple[list[Move], str]:
    """Return the moves to draw, widest first, and the note that says what is left out.

    What was found is drawn however few take it.
    """
    circles = plotly_lines(
        "Circle: customers; hatched: not ranked", "(the company sends it, or few have it)."
    )
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
            name = f"{source.touchpoint} → {target.touchpoint}"
            (said,) = told(transitions.columns, [row], name)
            moves.append(Move(source, target, row["n"], said))
    moves.sort(key=lambda m: (-m.n, m.source.touchpoint, m.target.touchpoint))
    drawn = moves[:MOST_MOVES] + [m for m in moves[MOST_MOVES:] if (m.source, m.target) in found]
    notes = [circles, "Band: moves from one touchpoint to the next."]
    if len(drawn) < len(moves):
        part = share(1 - sum(m.n for m in drawn) / sum(m.n for m in moves))
        notes.append(f"{len(moves) - len(drawn)} rare ones, {part} of all moves, are not drawn.")
    return drawn, plotly_lines(*notes)
