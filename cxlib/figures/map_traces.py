"""The marks of the journey map: bands for moves, circles for touchpoints, lanes, headers and notes.

Works on plain values; which column of which result they come from is decided in `touchpoints`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cxlib.figures.canvas import Trace, note, scatter, whiskers
from cxlib.figures.map_labels import (
    Bends,
    Circle,
    Mark,
    circle_sizes,
    mark_labels,
    name_labels,
    names_above,
    place_key,
)
from cxlib.figures.map_layout import FEELING_AT, Felt, MapLayout, Place, lane_name, ribbon
from cxlib.figures.theme import THEME, colour_at, colour_scale, faded
from cxlib.markup import plotly_bold, plotly_lines, plotly_span, plotly_text
from cxlib.numbers import rating, sentence_case

WIDEST, NARROWEST, SMALLEST = 13.0, 0.9, 6.0
"""Widths of the bands, and diameter of the smallest circle, pixels."""

GUTTER = 124
"""Width of the column of lane names at the left, pixels."""


class Move(NamedTuple):
    """A move from one touchpoint to another: `n` gives the width."""

    source: Place
    target: Place
    n: float
    hover: str


class ColourKey(NamedTuple):
    """What the colours stand for: heading, colours, and what is written at positions in [0, 1]."""

    heading: str
    scale: Sequence[str]
    ticks: Mapping[float, str]


def move_traces(
    moves: Sequence[Move],
    layout: MapLayout,
    *,
    selected: Place | None,
    found: Bends,
) -> list[Trace]:
    """Return the traces ``moves``, ``chosen moves``, ``found moves`` and ``directions``."""
    groups: dict[str, list[Move]] = {"moves": [], "chosen moves": [], "found moves": []}
    for move in moves:
        name = "chosen moves" if selected in (move.source, move.target) else "moves"
        groups["found moves" if (move.source, move.target) in found else name].append(move)
    quiet = 0.42 if selected is None else 0.16
    looks = {
        "moves": (THEME.flow, quiet, 1.0 if selected is None else 0.45),
        "chosen moves": (THEME.accent, 0.72, 1.0),
        "found moves": (THEME.finding, 0.85, 1.0),
    }
    largest = max((m.n for m in moves), default=1.0)
    heads: list[tuple[Move, tuple[float, float, float], str]] = []
    traces = []
    for name, group in groups.items():
        outlines = []
        for move in group:
            width = max(NARROWEST, WIDEST * move.n / largest)
            ends = layout.spots[move.source], layout.spots[move.target]
            bend = found.get((move.source, move.target), 0.0)
            x, y, head = ribbon(*ends, width, bend=bend)
            outlines.append(np.vstack([np.column_stack([x, y]), [[np.nan, np.nan]]]))
            heads.append((move, head, name))
        colour, opacity, _ = looks[name]
        path = np.vstack([np.empty((0, 2)), *outlines]).astype(np.float32)
        traces.append(
            scatter(
                name=name,
                # As arrays: plotly looks at every single number of a list. NaN is a gap.
                x=path[:, 0],
                y=path[:, 1],
                mode="lines",
                fill="toself",
                fillcolor=faded(colour, opacity),
                line={"width": 0.6, "color": THEME.paper},
            )
        )
    arrows = scatter(
        [move.hover for move, *_ in heads],
        name="directions",
        x=[x for _, (x, _, _), _ in heads],
        y=[y for _, (_, y, _), _ in heads],
        customdata=[place_key(move.source) for move, *_ in heads],
        mode="markers",
        marker={
            "symbol": "arrow",
            "size": [8 + 6 * math.sqrt(move.n / largest) for move, *_ in heads],
            "angle": [angle for _, (_, _, angle), _ in heads],
            "color": [looks[name][0] for *_, name in heads],
            "opacity": [looks[name][2] for *_, name in heads],
            "line": {"width": 0},
        },
    )
    return [*traces, arrows]


def circle_traces(
    circles: Sequence[Circle],
    layout: MapLayout,
    *,
    key: ColourKey,
    selected: Place | None,
    marks: Sequence[Mark],
    found: Bends,
) -> list[Trace]:
    """Return what stands at the touchpoints, the last one the ``legend`` of the colours."""
    # Large circles first: a small one is never hidden behind a large one, nor out of reach.
    shown = sorted(
        (c for c in circles if c.place in layout.spots), key=lambda c: -(c.customers or 0)
    )
    sizes = circle_sizes(shown, layout, SMALLEST)
    above = names_above(shown, layout, found)
    rings = {m.place: THEME.finding for m in marks if m.target is None}
    if selected is not None:
        rings[selected] = THEME.accent
    ringed = [c.place for c in shown if c.place in rings]
    colours = [
        THEME.paper if c.value is None or not c.customers else colour_at(key.scale, c.value)
        for c in shown
    ]
    return [
        scatter(
            name="rings",
            **_at(ringed, layout),
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": [sizes[p] + (9 if p == selected else 6) for p in ringed],
                "color": [rings[p] for p in ringed],
                "line": {"width": [3 if p == selected else 2 for p in ringed]},
            },
        ),
        scatter(
            [c.hover for c in shown],
            name="touchpoints",
            **_at([c.place for c in shown], layout),
            mode="markers",
            marker={
                "size": list(sizes.values()),
                "color": colours,
                "opacity": 1,
                "line": {"width": 1.2, "color": THEME.muted},
            },
            customdata=[place_key(c.place) for c in shown],
        ),
        _hatching([(layout.spots[c.place], sizes[c.place]) for c in shown if not c.ranked]),
        name_labels(shown, layout, above),
        mark_labels(shown, sizes, layout, marks, found, above),
        _legend(key),
    ]


def _hatching(circles: Sequence[tuple[tuple[float, float], float]]) -> Trace:
    """Lines across circles: chords, whose lengths are in pixels however wide the page is."""
    chords = [
        (x, y + down, 2 * math.sqrt(size**2 / 4 - down**2))
        for (x, y), size in circles
        for down in np.arange(-3.5 * (size // 7), size / 2, 3.5)
        if abs(down) < size / 2
    ]
    return scatter(
        name="hatching",
        x=[x for x, *_ in chords],
        y=[y for _, y, _ in chords],
        mode="markers",
        marker={
            "symbol": "line-ew-open",
            # plotly draws this one 1.4 times as long as it says
            "size": [length / 1.4 for *_, length in chords],
            "color": THEME.paper,
            "line": {"width": 1.4},
        },
    )


def feeling_traces(points: Sequence[Felt], hovers: Sequence[str]) -> list[Trace]:
    """Return the traces ``feeling`` (the rating curve, its intervals) and ``felt`` (the means)."""
    curve = scatter(
        hovers,
        name="feeling",
        x=[p.x for p in points],
        y=[p.y for p in points],
        mode="lines+markers",
        line={"color": faded(THEME.accent, 0.5), "width": 1.5},
        marker={"size": 7, "color": THEME.accent},
        error_y=whiskers([(p.y, p.high, p.low) for p in points], THEME.muted, thickness=1, width=3),
    )
    means = scatter(
        name="felt",
        x=[p.x for p in points],
        y=[p.label_y for p in points],
        mode="text",
        text=[rating(p.row["mean"]) for p in points],
        textposition="top center",
        textfont={"size": 12, "color": THEME.ink, "shadow": f"0 0 3px {THEME.paper}"},
    )
    return [curve, means]


def _at(places: Sequence[Place], layout: MapLayout) -> dict[str, list[float]]:
    return {axis: [layout.spots[p][i] for p in places] for i, axis in enumerate("xy")}


def _legend(key: ColourKey) -> Trace:
    """Nothing but the legend of the colours, below the map on the right."""
    quiet = {"color": THEME.muted}
    return scatter(
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
                "tickfont": quiet | {"size": 12},
            },
        },
    )


def grid(
    layout: MapLayout,
    *,
    channels: Mapping[str, str],
    stages: Mapping[str, str],
    stage_notes: Mapping[str, str],
    feeling: str = "",
) -> dict[str, Any]:
    """Return columns, lanes, their headers and the axes, as properties of a plotly layout.

    Channels and stages have a colour by name, stages a note below their name; `feeling` names the
    row of the rating curve.
    """
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for i, stage in enumerate(layout.stages):
        if i % 2 == 0:
            shapes.append(_box(i, 0, i + 1, layout.height, fillcolor=THEME.band))
        shapes.append(_box(i + 0.02, 0, i + 0.98, 4, fillcolor=stages.get(stage, THEME.flow)))
        text = plotly_bold(sentence_case(stage))
        if stage_notes.get(stage):
            text = plotly_lines(text, plotly_span(stage_notes[stage], THEME.muted, 12))
        notes.append(note(text, THEME.ink, size=14, x=i + 0.5, y=12, yanchor="top"))
    gutter = {"xref": "paper", "x": 0, "xshift": 14 - GUTTER, "xanchor": "left", "align": "left"}
    if layout.feeling:
        where = gutter | {"y": FEELING_AT, "yanchor": "middle"}
        notes.append(note(feeling, THEME.ink, size=13) | where)
    for lane in layout.lanes:
        line = {"line": {"width": 1, "color": THEME.rule}, "layer": "below"}
        ends = {"x0": 0, "x1": len(layout.stages), "y0": lane.top, "y1": lane.top}
        shapes.append({"type": "line"} | ends | line)
        square = plotly_span("■", channels.get(lane.channel, THEME.flow), 16)
        name = "<br>     ".join(map(plotly_text, lane_name(sentence_case(lane.channel))))
        where = gutter | {"y": (lane.top + lane.bottom) / 2, "yanchor": "middle"}
        hovered = {"hovertext": plotly_text(lane.channel)}
        notes.append(note(f"{square} {name}", THEME.ink, size=13) | where | hovered)
    hidden = {"visible": False, "fixedrange": True}
    return {
        "shapes": shapes,
        "annotations": notes,
        "xaxis": hidden | {"range": [0, len(layout.stages)]},
        "yaxis": hidden | {"range": [layout.height, 0]},
    }


def _box(x0: float, y0: float, x1: float, y1: float, *, fillcolor: str) -> dict[str, Any]:
    ends = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": fillcolor} | ends
