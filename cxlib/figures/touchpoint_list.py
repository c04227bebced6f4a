"""The touchpoints of a part of the journey as a list: customers, what comes next, rating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import (
    Part,
    Span,
    add_bars,
    add_points,
    add_split_whiskers,
    add_splits,
    key_of,
    new_rows,
)
from cxlib.figures.theme import channel_colours, theme_named
from cxlib.figures.touchpoints import describe_touchpoints, hover_text
from cxlib.figures.wording import based_on, named
from cxlib.numbers import people, plural, rating, share

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints

__all__ = ["plot_touchpoint_list"]

#: Most touchpoints shown; the others are counted in the subtitle.
MOST_ROWS = 16


def plot_touchpoint_list(result: Touchpoints, *, title: str | None = None) -> go.Figure:
    """Draw how many customers each touchpoint has, what comes after it, and how it is rated.

    The map (`plot_touchpoints`) shows how touchpoints hang together; the list shows their figures
    side by side, and suits a single stage.

    Parameters
    ----------
    result
        From `cxlib.measures.touchpoints.measure_touchpoints`, or a part of its table.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    shown = result.table.sort("customers", "place", descending=[True, False], nulls_last=True)
    rows = shown.head(MOST_ROWS).to_dicts()
    colours = channel_colours(result.channels, theme)
    sentence = describe_touchpoints(result) if rows else "The journey map has no such stage"
    parts = [
        Part(words, colour, [Span(*(row[name + end] for end in ENDS)) for row in rows])
        for name, words, colour in (
            ("go_on", "go on", theme.go_on),
            ("done", "goal had", theme.still_open),
            ("lost", "lost", theme.lost),
        )
    ]
    columns = [("customers", 1.15), (f"next: {key_of(parts)}", 1.4)]
    is_rated = bool(shown.select(pl.col("rating").is_not_null().any()).item()) if rows else False
    columns += [("mean rating, answered", 0.85)] if is_rated else []
    left_out = f"{len(shown) - MOST_ROWS} smaller ones are not shown" * (len(shown) > MOST_ROWS)
    figure = new_rows(
        [named(row) for row in rows],
        columns,
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(len(shown), "touchpoint"), left_out=left_out),
        alt=sentence,
    )
    if not rows:
        return figure
    hovers = [hover_text(row) for row in rows]
    add_bars(
        figure,
        [Span(row["customers"]) for row in rows],
        [people(row["customers"]) for row in rows],
        column=1,
        colours=[colours.get(row["channel"], theme.accent) for row in rows],
        theme=theme,
        hovers=hovers,
    )
    write = [[share(span.value) for span in part.shares] for part in parts]
    add_splits(figure, parts, column=2, theme=theme, hovers=hovers, write=write)
    add_split_whiskers(figure, parts[0], column=2, theme=theme)
    if is_rated:
        add_points(
            figure,
            [Span(*(row["rating" + end] for end in ENDS)) for row in rows],
            [rating(row["rating"]) + _by(row["response"]) for row in rows],
            column=3,
            theme=theme,
            hovers=hovers,
        )
    return figure


def _by(response: float | None) -> str:
    return "" if response is None else f", {share(response)}"


ENDS = ("", "_low", "_high")
