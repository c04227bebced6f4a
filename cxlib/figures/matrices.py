"""What follows what, as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.canvas import lay_out, named_axis, new_figure
from cxlib.figures.theme import THEME, colour_scale
from cxlib.figures.wording import estimate, told
from cxlib.markup import hover
from cxlib.numbers import duration, people, share

if TYPE_CHECKING:
    from cxlib.measures.transitions import Handoffs, Transitions

_CELL_PX = 26

_WRITTEN_FROM = 0.005
"""Shares below are drawn, but not written: at this size a reader only sees that there is some."""

_MOST_NAMES = 24
"""Sources and targets that fit a readable matrix; the rarest others are counted below it."""


def plot_transitions(result: Transitions | Handoffs, *, title: str | None = None) -> go.Figure:
    """Draw which contact directly follows which, as shares of the source's contacts."""
    named = _named(result.table)
    ends = [named.select(pl.col(end).alias("name"), "n") for end in ("source", "target")]
    counted = pl.concat(ends).group_by("name").agg(pl.col("n").sum())
    names = counted.sort(["n", "name"], descending=[True, False])["name"].to_list()
    shown = names[:_MOST_NAMES]
    table = named.filter(pl.col("source").is_in(shown) & pl.col("target").is_in(shown))
    moves = int(result.table["n"].sum())
    said = f"Share of the contacts in a row that are followed by the column; {people(moves)} moves"
    if len(names) > len(shown):
        rest = share(1 - int(table["n"].sum()) / max(moves, 1))
        said += f", of which {rest} are to or from {len(names) - len(shown)} more and not shown"
    figure = new_figure(
        describe_transitions(result),
        title=title,
        subtitle=said,
        height=190 + _CELL_PX * len(shown),
    )
    cells = {(row["source"], row["target"]): row for row in table.iter_rows(named=True)}
    shares = [[(cells.get((a, b)) or {}).get("share") for b in shown] for a in shown]
    hovers = [
        [
            told(result.columns, [cells[a, b]], f"{a} → {b}")[0]
            if (a, b) in cells
            else hover(f"{a} → {b}", "does not occur")
            for b in shown
        ]
        for a in shown
    ]
    figure.add_heatmap(
        z=[[value or 0.0 for value in row] for row in shares],
        x=list(range(len(shown))),
        y=list(range(len(shown))),
        text=[
            [share(v) if v is not None and v >= _WRITTEN_FROM else "" for v in r] for r in shares
        ],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=hovers,
        hoverinfo="text",
        zmin=0,
        # From the paper's colour on, so that rare looks nearly like nothing.
        colorscale=colour_scale((THEME.paper, *THEME.scale[:-1])),
        xgap=2,
        ygap=2,
        showscale=False,
    )
    slanted = max((len(name) for name in shown), default=0) > 4
    down, across = ({"title": {"text": heading}} for heading in ("from", "to"))
    return lay_out(
        figure,
        plot_bgcolor=THEME.band,
        yaxis=named_axis(shown, size=12, range=[len(shown) - 0.5, -0.5], **down),
        xaxis=named_axis(shown, size=12, tickangle=-40 if slanted else 0, **across),
    )


def describe_transitions(result: Transitions | Handoffs) -> str:
    """Say in one sentence which move is the most frequent."""
    moves = _named(result.table).filter(pl.col("source") != pl.col("target"))
    if moves.is_empty():
        return "No contact is followed by a different one"
    row = moves.sort(["n", "source", "target"], descending=[True, False, False]).row(0, named=True)
    often = f"after {estimate(row, 'share')} of its contacts"
    sentence = f"Most often {row['target']} follows {row['source']}: {often}"
    if row["wait"] is not None:
        sentence += f", half of them within {duration(row['wait'])}"
    return sentence


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Name sources and targets in words; results by place hold numbers."""
    if "source_touchpoint" not in table.columns:
        return table
    return table.with_columns(
        pl.format("{} ({})", f"{end}_touchpoint", f"{end}_channel").alias(end)
        for end in ("source", "target")
    )
