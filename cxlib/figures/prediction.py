"""What could break next, or why nothing is said of it: drawn with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from cxlib.figures.rows import Span, add_points, new_rows
from cxlib.figures.theme import theme_named
from cxlib.markup import plotly_text
from cxlib.numbers import people, points, share

if TYPE_CHECKING:
    from cxlib.prediction import Prediction

__all__ = ["plot_prediction"]

MOST_ROWS = 12
"""Handoffs that are drawn; the rest stands in the result's table."""


def plot_prediction(result: Prediction, *, title: str | None = None) -> go.Figure:
    """Draw the excess to be expected of each handoff; where none is told, the record of it all.

    Parameters
    ----------
    result
        From `cxlib.prediction.predict_breaks`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    if result.table.is_empty():
        rows = [row for row in result.record.to_dicts() if row["at"] is None]
        names = [f"{row['about']}: {row['rival']}" for row in rows]
        heading, subtitle = "closer to what came", "Predictions held against what came"
        name, write = "gain", share
        hovers = [f"{people(row['n'])} predictions at past dates" for row in rows]
    else:
        rows = result.table.head(MOST_ROWS).to_dicts()
        names = [f"{row['source']} → {row['target']}" for row in rows]
        heading, subtitle = "more than at similar handoffs", f"Next period ({result.signal})"
        name, write = "excess", points
        hovers = [f"chance of more than 5 points: {share(row['chance'])}" for row in rows]
    said = result.headlines[0]
    figure = new_rows(
        names,
        [(heading, 1.0)],
        theme=theme,
        title=said if title is None else title,
        subtitle=f"{subtitle}; whiskers: 95 % intervals",
        alt=said,
    )
    ends = [(row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
    add_points(
        figure,
        [Span(*end) for end in ends],
        [write(*end) for end in ends],
        column=1,
        theme=theme,
        hovers=[
            f"<b>{plotly_text(title)}</b><br>{hover}"
            for title, hover in zip(names, hovers, strict=True)
        ],
    )
    return figure
