"""The most frequent ways through: paths from the first contact to the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from cxlib.figures.rows import Span, add_bars, add_points, add_texts, new_rows
from cxlib.figures.theme import theme_named, wrap
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.paths import Paths

__all__ = ["describe_paths", "plot_paths"]

#: Most paths shown.
MOST_ROWS = 15

#: Characters of a line of a path, and lines; of a longer path the end is left to the hover.
_LINE, _LINES = 58, 2


def plot_paths(result: Paths, *, title: str | None = None) -> go.Figure:
    """Draw the most frequent paths with their share of journeys and how often they reach the goal.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_paths`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.table.head(MOST_ROWS).to_dicts()
    sentence = describe_paths(result)
    figure = new_rows(
        [str(number) for number in range(1, len(rows) + 1)],
        [("path", 1.7), ("journeys", 0.7), ("reach the goal", 0.7)],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(result.journeys, "journey"), left_out=_left_out(result)),
        alt=sentence,
    )
    hovers = [_hover(row) for row in rows]
    add_texts(figure, [_written(row["path"]) for row in rows], column=1, theme=theme, hovers=hovers)
    add_bars(
        figure,
        [Span(row["share"], row["share_low"], row["share_high"]) for row in rows],
        [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
        column=2,
        colours=[theme.accent] * len(rows),
        theme=theme,
        hovers=hovers,
    )
    add_points(
        figure,
        [Span(row["goal"], row["goal_low"], row["goal_high"]) for row in rows],
        [share(row["goal"], row["goal_low"], row["goal_high"]) for row in rows],
        column=3,
        theme=theme,
        hovers=hovers,
    )
    return figure


def describe_paths(result: Paths) -> str:
    """Say in one sentence which path is the most frequent, and of how many."""
    if result.table.is_empty():
        return "No journey in this selection"
    row = result.table.row(0, named=True)
    part = share(row["share"], row["share_low"], row["share_high"])
    return (
        f"The most frequent of {plural(result.paths, 'path')} is “{row['path']}”: "
        f"{part} of journeys take it"
    )


def _left_out(result: Paths) -> str:
    shown = result.table.head(MOST_ROWS)
    rest = result.paths - len(shown)
    if not rest:
        return ""
    part = 1 - float(shown["journeys"].sum()) / max(result.journeys, 1)
    return f"{plural(rest, 'rarer path')} ({share(part)} of journeys) are not shown"


def _written(path: str) -> str:
    lines = wrap(plotly_text(path), _LINE).split("<br>")
    text = "<br>".join(lines[:_LINES])
    return text + (" …" if len(lines) > _LINES else "")


def _hover(row: Mapping[str, Any]) -> str:
    lines = [
        wrap(f"<b>{plotly_text(row['path'])}</b>", 80),
        f"{plural(row['journeys'], 'journey')} of {plural(row['customers'], 'customer')}",
        f"reach the goal {share(row['goal'], row['goal_low'], row['goal_high'])}",
    ]
    if row["open_n"]:
        lines.append(f"{people(row['open_n'])} of them still open")
    if row["duration"] is not None:
        lines.append(f"median time from first to last contact {duration(row['duration'])}")
    return "<br>".join(lines)
