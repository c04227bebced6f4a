"""What all figures share: an empty one, and the marks that look the same everywhere."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from cxlib.figures.theme import THEME
from cxlib.markup import plotly_lines, plotly_text

Trace = dict[str, Any]
"""A trace as plain values: plotly checks them once, when they become a figure."""

FONT = (
    "Inter, 'Source Sans 3', 'Segoe UI', Roboto, 'Helvetica Neue', Arial, "
    "'Liberation Sans', 'DejaVu Sans', sans-serif"
)


@lru_cache
def template() -> go.layout.Template:
    """Build the plotly template of the theme."""
    axis = {
        "gridcolor": THEME.rule,
        "linecolor": THEME.rule,
        "zerolinecolor": THEME.rule,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"color": THEME.muted, "size": 12},
        "title": {"font": {"color": THEME.muted, "size": 12}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": THEME.ink},
            "paper_bgcolor": THEME.paper,
            "plot_bgcolor": THEME.paper,
            "colorway": list(THEME.channels),
            "title": {
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "pad": {"l": 16, "t": 14},
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "font": {"size": 17, "color": THEME.ink, "weight": 600},
                "subtitle": {"font": {"size": 13, "color": THEME.muted}},
            },
            "margin": {"l": 16, "r": 16, "t": 76, "b": 40, "pad": 4},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": THEME.paper,
                "bordercolor": THEME.muted,
                "font": {"family": FONT, "size": 13, "color": THEME.ink},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "font": {"color": THEME.muted, "size": 12},
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "hovermode": "closest",
            "dragmode": False,
            "bargap": 0.35,
        }
    )


def new_figure(
    sentence: str, *, title: str | None, subtitle: str = "", height: int = 420
) -> go.Figure:
    """Start a figure: its answer in words, and what it rests on below.

    The sentence is the title where none is given (an empty one: no title), and the text
    alternative, which travels in ``figure.layout.meta["alt"]``, where widgets read it.
    """
    figure = go.Figure()
    title = sentence if title is None else title
    lay_out(
        figure,
        template=template(),
        height=height,
        meta={"alt": sentence or title},
        showlegend=False,
    )
    if not title:
        return lay_out(figure, margin={"t": 10})
    heading, below = wrap(plotly_text(title), 88), wrap(plotly_text(subtitle), 120)
    lines = heading.count("<br>")
    return lay_out(
        figure,
        # plotly centres a title of several lines on its first one.
        title={"text": heading, "subtitle": {"text": below}, "pad": {"t": 16 + 10 * lines}},
        margin={"t": 36 + 22 * (lines + 1) + (18 * (below.count("<br>") + 1) if below else 0)},
    )


def lay_out(figure: go.Figure, **parts: Any) -> go.Figure:
    """Set parts of the layout, each as a whole, and return the figure.

    ``update_layout`` merges entry by entry, which took half of the time of a dashboard's figure.
    """
    for name, part in parts.items():
        figure.layout[name] = part
    return figure


def wrap(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters; plotly does not wrap titles."""
    return plotly_lines(*wrapped(text, width))


def wrapped(text: str, width: int) -> list[str]:
    """The lines of at most `width` characters that a text is broken into."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def shortened(text: str, limit: int = 40) -> str:
    """Cut a name off that is longer; hovers have the whole of it."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def scatter(hovers: Sequence[Any] | None = None, **properties: Any) -> Trace:
    """Write a trace of points or lines; without hovers it says nothing when pointed at."""
    hover = {"hoverinfo": "skip"} if hovers is None else {"hoverinfo": "text", "hovertext": hovers}
    return {"type": "scatter", **hover, **properties}


def note(text: str, colour: str, *, size: int = 12, **where: Any) -> dict[str, Any]:
    """Write an annotation: markup, its colour, and where it stands."""
    return {"text": text, "showarrow": False, "font": {"size": size, "color": colour}} | where


def named_axis(names: Sequence[str], *, size: int = 13, **properties: Any) -> dict[str, Any]:
    """Write an axis that has a name, from the log, at every whole number."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [plotly_text(name) for name in names],
        "tickfont": {"color": THEME.ink, "size": size},
        "showgrid": False,
        "fixedrange": True,
    } | properties


def whiskers(
    spans: Sequence[tuple[float | None, float | None, float | None]],
    colour: str,
    *,
    thickness: float = 1.4,
    width: int = 4,
) -> dict[str, Any]:
    """Write the intervals of figures, each with its two ends; of no length where an end is none."""
    if all(low is None and high is None for _, low, high in spans):
        return {"visible": False}

    def lengths(end: int) -> list[float]:
        return [0.0 if None in (s[0], s[end]) else abs(s[end] - s[0]) for s in spans]  # type: ignore[operator]

    return {
        "type": "data",
        "symmetric": False,
        "array": lengths(2),
        "arrayminus": lengths(1),
        "thickness": thickness,
        "width": width,
        "color": colour,
    }
