"""What follows what: a matrix of shares, sources down, targets across."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.matrix import CELL_PX, add_matrix
from cxlib.figures.theme import new_figure, theme_named
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.transitions import Handoffs, Transitions

__all__ = ["describe_transitions", "plot_transitions"]

#: Most sources and targets that fit a readable matrix; the rarest others are counted below it.
MOST_NAMES = 24


def plot_transitions(result: Transitions | Handoffs, *, title: str | None = None) -> go.Figure:
    """Draw which contact directly follows which, as shares of the source's contacts.

    A matrix is read more easily than a flow diagram once there are more than a handful of
    touchpoints: every pair has one place, and an empty one is seen as such.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_transitions` (by touchpoint, channel, stage or owner) or
        `cxlib.measures.measure_handoffs`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    named = _named(result.table)
    names = _names(named)
    shown = names[:MOST_NAMES]
    table = named.filter(pl.col("source").is_in(shown) & pl.col("target").is_in(shown))
    sentence = describe_transitions(result)
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=_based_on(result, table, left_out=len(names) - len(shown)),
        alt=sentence,
        height=190 + CELL_PX * len(shown),
    )
    cells = {(row["source"], row["target"]): row for row in table.iter_rows(named=True)}
    add_matrix(
        figure,
        [[_share(cells.get((a, b))) for b in shown] for a in shown],
        [[_hover(cells.get((a, b)), a, b) for b in shown] for a in shown],
        rows=shown,
        columns=shown,
        theme=theme,
        headings=("from", "to"),
    )
    return figure


def describe_transitions(result: Transitions | Handoffs) -> str:
    """Say in one sentence which move is the most frequent."""
    moves = _named(result.table).filter(pl.col("source") != pl.col("target"))
    if moves.is_empty():
        return "No contact is followed by a different one"
    row = moves.sort(["n", "source", "target"], descending=[True, False, False]).row(0, named=True)
    part = share(row["share"], row["share_low"], row["share_high"])
    sentence = f"Most often {row['target']} follows {row['source']}: after {part} of its contacts"
    if row["wait"] is not None:
        sentence += f", half of them within {duration(row['wait'])}"
    return sentence


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Name sources and targets in words; results by place hold numbers."""
    if "source_touchpoint" not in table.columns:
        return table
    ends = [
        pl.format("{} ({})", f"{end}_touchpoint", f"{end}_channel").alias(end)
        for end in ("source", "target")
    ]
    return table.with_columns(ends)


def _names(table: pl.DataFrame) -> list[str]:
    """Return sources and targets, those with the most moves first."""
    ends = pl.concat([table.select(pl.col(end).alias("name"), "n") for end in ("source", "target")])
    counted = ends.group_by("name").agg(pl.col("n").sum())
    return counted.sort(["n", "name"], descending=[True, False])["name"].to_list()


def _share(row: dict[str, Any] | None) -> float | None:
    return None if row is None else row["share"]


def _hover(row: dict[str, Any] | None, source: str, target: str) -> str:
    head = f"<b>{plotly_text(source)} → {plotly_text(target)}</b>"
    if row is None:
        return f"{head}<br>does not occur"
    lines = [head, plural(row["n"], "move")]
    if row["share"] is not None:
        part = share(row["share"], row["share_low"], row["share_high"])
        lines.append(f"{part} of contacts at {plotly_text(source)}")
    if row["wait"] is not None:
        lines.append(f"half of them within {duration(row['wait'])}")
    return "<br>".join(lines)


def _based_on(result: Transitions | Handoffs, shown: pl.DataFrame, *, left_out: int) -> str:
    moves = int(result.table["n"].sum())
    text = f"Share of the contacts in a row that are followed by the column; {people(moves)} moves"
    if left_out:
        rest = 1 - int(shown["n"].sum()) / max(moves, 1)
        text += f", of which {share(rest)} are to or from {left_out} more and not shown"
    return text
