"""Figures that are matrices: a share in every cell, written in it, darker where it is larger."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from cxlib.figures.theme import Theme, colour_scale
from cxlib.markup import plotly_text
from cxlib.numbers import share

__all__ = ["CELL_PX", "add_matrix"]

#: Height of a row, pixels.
CELL_PX = 26

#: Shares below are drawn, but not written: at this size a reader only sees that there is something.
_WRITTEN_FROM = 0.005


def add_matrix(
    figure: go.Figure,
    shares: Sequence[Sequence[float | None]],
    hovers: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    theme: Theme,
    headings: tuple[str, str],
) -> None:
    """Add a matrix of shares.

    Parameters
    ----------
    shares, hovers
        Row by row; None where there is nothing.
    rows, columns
        Names, from top to bottom and from left to right.
    headings
        What the rows and the columns are.
    """
    labels = [
        [share(v) if v is not None and v >= _WRITTEN_FROM else "" for v in row] for row in shares
    ]
    figure.add_trace(
        go.Heatmap(
            z=[[value or 0.0 for value in row] for row in shares],
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            text=labels,
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertext=hovers,
            hoverinfo="text",
            zmin=0,
            # From the paper's colour on, so that rare looks nearly like nothing.
            colorscale=colour_scale((theme.paper, *theme.scale[:-1])),
            xgap=2,
            ygap=2,
            showscale=False,
        )
    )
    slanted = max((len(name) for name in columns), default=0) > 4
    names = {"color": theme.ink, "size": 12}
    figure.update_layout(
        plot_bgcolor=theme.band,
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": [plotly_text(name) for name in rows],
            "tickfont": names,
            "showgrid": False,
            "fixedrange": True,
            "title": {"text": headings[0]},
        },
        xaxis={
            "tickvals": list(range(len(columns))),
            "ticktext": [plotly_text(name) for name in columns],
            "tickfont": names,
            "tickangle": -40 if slanted else 0,
            "showgrid": False,
            "fixedrange": True,
            "title": {"text": headings[1]},
        },
    )
