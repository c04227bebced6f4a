"""How long customers wait between one contact and the next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import Span, add_bars, add_points, new_rows
from cxlib.figures.theme import theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural

if TYPE_CHECKING:
    from cxlib.measures.waits import Waits

__all__ = ["describe_waits", "plot_waits"]

#: Most pairs shown: those with the most moves.
MOST_ROWS = 16

_ENDS = ("", "_quarter", "_three_quarters")


def plot_waits(result: Waits, *, title: str | None = None) -> go.Figure:
    """Draw how long it takes from one contact to the next, for the most frequent moves.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_waits`. The point is the median, and half of the waits lie
        within the line.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = (
        _moves(result)
        .head(MOST_ROWS)
        .sort("wait", "source", "target", descending=[True, False, False])
        .to_dicts()
    )
    sentence = describe_waits(result)
    left_out = len(_moves(result)) - len(rows)
    figure = new_rows(
        [f"{row['source']} → {row['target']}" for row in rows],
        [("wait: median, and the half of the waits in the middle", 1.6), ("moves", 1.0)],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(
            result,
            plural(int(result.table["n"].sum()), "move"),
            left_out=f"{left_out} rarer pairs are not shown" if left_out else "",
            whiskers=False,
        ),
        alt=sentence,
    )
    hovers = [_hover(row) for row in rows]
    add_points(
        figure,
        [Span(*(_seconds(row[f"wait{end}"]) for end in _ENDS)) for row in rows],
        [_range(row) for row in rows],
        column=1,
        theme=theme,
        hovers=hovers,
        log=True,
    )
    add_bars(
        figure,
        [Span(row["n"]) for row in rows],
        [people(row["n"]) for row in rows],
        column=2,
        colours=[theme.flow] * len(rows),
        theme=theme,
        hovers=hovers,
    )
    return figure


def describe_waits(result: Waits) -> str:
    """Say in one sentence which of the frequent moves takes longest."""
    frequent = _moves(result).head(MOST_ROWS)
    if frequent.is_empty():
        return "No contact is followed by a different one"
    row = frequent.sort("wait", "source", "target", descending=[True, False, False]).row(
        0, named=True
    )
    return (
        f"Of the frequent moves, {row['source']} → {row['target']} takes longest: "
        f"half of them within {duration(row['wait'])}"
    )


def _moves(result: Waits) -> pl.DataFrame:
    return result.table.filter(pl.col("source") != pl.col("target"))


def _seconds(wait: timedelta | None) -> float | None:
    # The axis is logarithmic: what happened in the same second stands at one second.
    return None if wait is None else max(wait.total_seconds(), 1.0)


def _range(row: Mapping[str, Any]) -> str:
    quarter, three_quarters = row["wait_quarter"], row["wait_three_quarters"]
    return f"{duration(row['wait'])} ({duration(quarter)} to {duration(three_quarters)})"


def _hover(row: Mapping[str, Any]) -> str:
    return "<br>".join(
        [
            f"<b>{plotly_text(row['source'])} → {plotly_text(row['target'])}</b>",
            f"{plural(row['n'], 'move')} of {plural(row['customers'], 'customer')}",
            f"median wait {_range(row)}",
        ]
    )
