"""How many journeys come to each stage, and what comes of them from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import (
    Part,
    Span,
    add_bars,
    add_split_whiskers,
    add_splits,
    key_of,
    new_rows,
)
from cxlib.figures.theme import stage_colours, theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.stage_funnel import StageFunnel

__all__ = ["describe_stage_funnel", "plot_stage_funnel"]


def plot_stage_funnel(result: StageFunnel, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys rise to each stage, and the split of what comes next.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_stage_funnel`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.table.to_dicts()
    colours = stage_colours(result.table["stage"].to_list(), theme)
    sentence = describe_stage_funnel(result)
    parts = [
        Part(
            words,
            colour,
            [Span(row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows],
        )
        for name, words, colour in (
            ("further", "get further", theme.go_on),
            ("done", "nothing left to reach", theme.still_open),
            ("lost", "lost", theme.lost),
        )
    ]
    figure = new_rows(
        [row["stage"] for row in rows],
        [("journeys that come to the stage", 1.0), (f"from there: {key_of(parts)}", 1.5)],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(result.journeys, "journey")),
        alt=sentence,
    )
    hovers = [_hover(row) for row in rows]
    add_bars(
        figure,
        [Span(row["journeys"]) for row in rows],
        [people(row["journeys"]) for row in rows],
        column=1,
        colours=[colours[row["stage"]] for row in rows],
        theme=theme,
        hovers=hovers,
    )
    write = [[share(s.value, s.low, s.high) for s in part.shares] for part in parts]
    add_splits(figure, parts, column=2, theme=theme, hovers=hovers, write=write)
    add_split_whiskers(figure, parts[0], column=2, theme=theme)
    return figure


def describe_stage_funnel(result: StageFunnel) -> str:
    """Say in one sentence after which stage most journeys get lost."""
    known = result.table.filter(pl.col("lost").is_not_null(), pl.col("journeys") > 0)
    if known.is_empty():
        return "How many journeys get lost between the stages is not known"
    row = known.sort("lost", descending=True).row(0, named=True)
    lost = share(row["lost"], row["lost_low"], row["lost_high"])
    return (
        f"The largest loss comes after {row['stage']}: {lost} of the journeys that come to it "
        "get no further"
    )


def _hover(row: Mapping[str, Any]) -> str:
    lines = [
        f"<b>{plotly_text(row['stage'])}</b>",
        f"{plural(row['journeys'], 'journey')} came to it, {people(row['began'])} began in it",
        f"get further {share(row['further'], row['further_low'], row['further_high'])}",
        f"lost {share(row['lost'], row['lost_low'], row['lost_high'])}",
        f"still open {share(row['open'])}",
    ]
    if row["time"] is not None:
        lines.append(f"half of those who get further within {duration(row['time'])}")
    return "<br>".join(lines)
