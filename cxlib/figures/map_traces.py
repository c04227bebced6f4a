"""The marks of the journey map: bands for moves, circles for touchpoints, lanes, headers and notes.

Works on plain values; which column of which result they come from is decided in `touchpoints`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxlib.figures.map_labels import Circle, Mark, Trace, mark_labels, name_labels, place_key
from cxlib.figures.map_layout import MapLayout, Place, lane_name, ribbon
from cxlib.figures.theme import Theme, colour_at, colour_scale, faded
from cxlib.markup import plotly_text
from cxlib.numbers import sentence_case

#: Widths of the bands, and diameter of the smallest circle, pixels.
WIDEST, NARROWEST, SMALLEST = 13.0, 0.9, 6.0

#: Width of the column of lane names at the left, pixels.
GUTTER = 124


@dataclass(frozen=True, slots=True)
class Move:
    """A move from one touchpoint to another: `count` gives the width."""

    source: Place
    target: Place
    count: float
    hover: str


@dataclass(frozen=True, slots=True)
class ColourKey:
    """What the colours stand for: heading, colours, and what is written at positions in [0, 1]."""

    heading: str
    scale: Sequence[str]
    ticks: Mapping[float, str]


def move_traces(
    moves: Sequence[Move],
    layout: MapLayout,
    theme: Theme,
    *,
    selected: Place | None,
    marks: Sequence[Mark],
) -> list[Trace]:
    """Return the traces ``moves``, ``chosen moves``, ``found moves`` and ``directions``."""
    found = {(m.place, m.target) for m in marks if m.target is not None and m.finding}
    groups: dict[str, list[Move]] = {"moves": [], "chosen moves": [], "found moves": []}
    for move in moves:
        chosen = selected is not None and selected in (move.source, move.target)
        name = "chosen moves" if chosen else "moves"
        groups["found moves" if (move.source, move.target) in found else name].append(move)
    quiet = 0.16 if selected is not None else 0.42
    colours = {
        "moves": faded(theme.flow, quiet),
        "chosen moves": faded(theme.accent, 0.72),
        "found moves": faded(theme.finding, 0.85),
    }
    largest = max((m.count for m in moves), default=1.0)
    heads: list[tuple[Move, tuple[float, float, float], str]] = []
    traces = []
    for name, group in groups.items():
        xs: list[float | None] = []
        ys: list[float | None] = []
        for move in group:
            width = max(NARROWEST, WIDEST * move.count / largest)
            x, y, head = ribbon(layout.spots[move.source], layout.spots[move.target], width)
            xs += [*x, None]
            ys += [*y, None]
            heads.append((move, head, name))
        traces.append(
            _scatter(
                name=name,
                # As arrays: plotly looks at every single number of a list. None becomes NaN, a gap.
                x=np.asarray(xs, dtype=np.float32),
                y=np.asarray(ys, dtype=np.float32),
                mode="lines",
                fill="toself",
                fillcolor=colours[name],
                line={"width": 0.6, "color": theme.paper},
                hoverinfo="skip",
            )
        )
    heading = {"moves": theme.flow, "chosen moves": theme.accent, "found moves": theme.finding}
    traces.append(
        _scatter(
            name="directions",
            x=[head[0] for _, head, _ in heads],
            y=[head[1] for _, head, _ in heads],
            mode="markers",
            marker={
                "symbol": "arrow",
                "size": [8 + 6 * math.sqrt(move.count / largest) for move, _, _ in heads],
                "angle": [head[2] for _, head, _ in heads],
                "color": [heading[name] for _, _, name in heads],
                "opacity": [
                    0.45 if selected is not None and name == "moves" else 1 for _, _, name in heads
                ],
                "line": {"width": 0},
            },
            hovertext=[move.hover for move, _, _ in heads],
            hoverinfo="text",
        )
    )
    return traces


def circle_traces(
    circles: Sequence[Circle],
    layout: MapLayout,
    theme: Theme,
    *,
    key: ColourKey,
    selected: Place | None,
    marks: Sequence[Mark],
) -> list[Trace]:
    """Return the traces ``rings``, ``touchpoints``, ``labels``, ``marks`` and ``legend``."""
    circles = [c for c in circles if c.place in layout.spots]
    # Large circles first: a small one is never hidden behind a large one, nor out of reach.
    circles.sort(key=lambda c: -(c.customers or 0))
    sizes = _sizes(circles, layout)
    ringed = {m.place: m for m in marks if m.target is None}
    return [
        _rings(circles, sizes, layout, theme, selected, ringed),
        _circles(circles, sizes, layout, theme, key.scale),
        name_labels(circles, layout, theme),
        mark_labels(circles, sizes, layout, theme, marks),
        _legend(theme, key),
    ]


def _scatter(**properties: Any) -> Trace:
    """Write a trace as plain values: plotly checks them once, when they become a figure."""
    return {"type": "scatter", **properties}


def _sizes(circles: Sequence[Circle], layout: MapLayout) -> dict[Place, float]:
    """Diameters in pixels: area proportional to customers."""
    largest = max((c.customers or 0.0 for c in circles), default=0.0) or 1.0
    return {
        c.place: max(SMALLEST, layout.largest_circle * math.sqrt((c.customers or 0.0) / largest))
        for c in circles
    }


def _rings(
    circles: Sequence[Circle],
    sizes: Mapping[Place, float],
    layout: MapLayout,
    theme: Theme,
    selected: Place | None,
    ringed: Mapping[Place, Mark],
) -> Trace:
    shown = [c.place for c in circles if c.place == selected or c.place in ringed]
    colours = []
    for place in shown:
        mark = ringed.get(place)
        colours.append(
            theme.accent
            if place == selected
            else theme.finding
            if mark is not None and mark.finding
            else theme.ink
        )
    return _scatter(
        name="rings",
        x=[layout.spots[p][0] for p in shown],
        y=[layout.spots[p][1] for p in shown],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": [sizes[p] + (9 if p == selected else 6) for p in shown],
            "color": colours,
            "line": {"width": [3 if p == selected else 2 for p in shown]},
        },
        hoverinfo="skip",
    )


def _circles(
    circles: Sequence[Circle],
    sizes: Mapping[Place, float],
    layout: MapLayout,
    theme: Theme,
    scale: Sequence[str],
) -> Trace:
    """Circles in the colour of their value; hollow where it is not known."""
    colours = [
        theme.paper if c.value is None or not c.customers else colour_at(scale, c.value)
        for c in circles
    ]
    return _scatter(
        name="touchpoints",
        x=[layout.spots[c.place][0] for c in circles],
        y=[layout.spots[c.place][1] for c in circles],
        mode="markers",
        marker={
            "size": [sizes[c.place] for c in circles],
            "color": colours,
            "opacity": 1,
            "line": {"width": 1.2, "color": theme.muted},
        },
        customdata=[place_key(c.place) for c in circles],
        hovertext=[c.hover for c in circles],
        hoverinfo="text",
    )


def _legend(theme: Theme, key: ColourKey) -> Trace:
    """Nothing but the legend of the colours, below the map on the right."""
    quiet = {"color": theme.muted}
    return _scatter(
        name="legend",
        x=[None],
        y=[None],
        mode="markers",
        marker={
            "color": [0],
            "colorscale": colour_scale(key.scale),
            "cmin": 0,
            "cmax": 1,
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": 1,
                "xanchor": "right",
                "y": 0,
                "yanchor": "top",
                "ypad": 22,
                "xpad": 18,
                "len": 250,
                "lenmode": "pixels",
                "thickness": 9,
                "outlinewidth": 0,
                "title": {"text": key.heading, "side": "top", "font": quiet | {"size": 12}},
                "tickvals": list(key.ticks),
                "ticktext": list(key.ticks.values()),
                "tickfont": quiet | {"size": 11},
            },
        },
        hoverinfo="skip",
    )


def grid(
    layout: MapLayout,
    theme: Theme,
    *,
    channels: Mapping[str, str],
    stages: Mapping[str, str],
    stage_notes: Mapping[str, str],
) -> dict[str, Any]:
    """Return columns, lanes, their headers and the axes, as properties of a plotly layout.

    Parameters
    ----------
    channels, stages
        Colour by name.
    stage_notes
        What stands below the name of a stage.
    """
    shapes: list[dict[str, object]] = []
    notes: list[dict[str, object]] = []
    for i, stage in enumerate(layout.stages):
        if i % 2 == 0:
            shapes.append(_box(i, 0, i + 1, layout.height, fillcolor=theme.band))
        shapes.append(_box(i + 0.02, 0, i + 0.98, 4, fillcolor=stages.get(stage, theme.flow)))
        text = f"<b>{plotly_text(sentence_case(stage))}</b>"
        if stage_notes.get(stage):
            text += (
                f"<br><span style='color:{theme.muted};font-size:12px'>{stage_notes[stage]}</span>"
            )
        notes.append(
            _note(text, x=i + 0.5, y=12, yanchor="top", font={"size": 14, "color": theme.ink})
        )
    for lane in layout.lanes:
        shapes.append(
            {
                "type": "line",
                "layer": "below",
                "x0": 0,
                "x1": len(layout.stages),
                "y0": lane.top,
                "y1": lane.top,
                "line": {"width": 1, "color": theme.rule},
            }
        )
        middle = (lane.top + lane.bottom) / 2
        colour = channels.get(lane.channel, theme.flow)
        name = "<br>     ".join(
            plotly_text(line) for line in lane_name(sentence_case(lane.channel))
        )
        notes.append(
            _note(
                f"<span style='color:{colour};font-size:16px'>■</span> {name}",
                xref="paper",
                x=0,
                xshift=-GUTTER + 14,
                y=middle,
                xanchor="left",
                align="left",
                hovertext=plotly_text(lane.channel),
                font={"size": 13, "color": theme.ink},
            )
        )
    for (stage, channel), count in layout.left_out.items():
        lane = next(lane for lane in layout.lanes if lane.channel == channel)
        notes.append(
            _note(
                f"and {count} more in the table",
                x=layout.stages.index(stage) + 0.5,
                y=lane.bottom - layout.row / 2,
                font={"size": 12, "color": theme.muted},
            )
        )
    hidden = {"visible": False, "fixedrange": True}
    return {
        "shapes": shapes,
        "annotations": notes,
        "xaxis": hidden | {"range": [0, len(layout.stages)]},
        "yaxis": hidden | {"range": [layout.height, 0]},
        "showlegend": False,
    }


def footnote(text: str, theme: Theme) -> dict[str, Any]:
    """Return a note below the map, on the left."""
    return _note(
        text,
        xref="paper",
        x=0,
        yref="paper",
        y=0,
        yshift=-14,
        xanchor="left",
        yanchor="top",
        align="left",
        font={"size": 12, "color": theme.muted},
    )


def _box(x0: float, y0: float, x1: float, y1: float, *, fillcolor: str) -> dict[str, object]:
    return {
        "type": "rect",
        "layer": "below",
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "line": {"width": 0},
        "fillcolor": fillcolor,
    }


def _note(text: str, **where: object) -> dict[str, object]:
    return {"text": text, "showarrow": False, "yanchor": "middle"} | where
