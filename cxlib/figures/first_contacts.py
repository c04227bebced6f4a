"""Where journeys begin, and how often and how soon they lead to the goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import Span, add_bars, add_points, new_rows
from cxlib.figures.theme import channel_colours, theme_named
from cxlib.figures.wording import based_on, named
from cxlib.markup import plotly_text
from cxlib.numbers import duration, people, plural, share

if TYPE_CHECKING:
    from cxlib.measures.first_contacts import FirstContacts

__all__ = ["describe_first_contacts", "plot_first_contacts"]

#: Most first contacts shown, and fewest journeys of one; the others are counted in the subtitle.
MOST_ROWS, FEWEST_JOURNEYS = 16, 10

#: Fewest journeys of a first contact that is singled out in the sentence.
_FEWEST_NAMED = 30


def plot_first_contacts(result: FirstContacts, *, title: str | None = None) -> go.Figure:
    """Draw how many journeys begin where, and their chance of the goal and the time to it.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_first_contacts`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    shown = _shown(result)
    rows = shown.to_dicts()
    colours = channel_colours(result.by_channel["channel"].to_list(), theme)
    sentence = describe_first_contacts(result)
    figure = new_rows(
        [named(row) for row in rows],
        [
            ("journeys that begin here", 1.2),
            ("chance of the goal", 1.0),
            ("time to it (median)", 1.0),
        ],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(
            result, plural(result.journeys, "journey"), left_out=_left_out(result, shown)
        ),
        alt=sentence,
    )
    hovers = [_hover(row) for row in rows]
    add_bars(
        figure,
        [Span(row["share"], row["share_low"], row["share_high"]) for row in rows],
        [f"{people(row['journeys'])} · {share(row['share'])}" for row in rows],
        column=1,
        colours=[colours.get(row["channel"], theme.accent) for row in rows],
        theme=theme,
        hovers=hovers,
    )
    add_points(
        figure,
        [Span(row["goal"], row["goal_low"], row["goal_high"]) for row in rows],
        [share(row["goal"], row["goal_low"], row["goal_high"]) for row in rows],
        column=2,
        theme=theme,
        hovers=hovers,
    )
    add_points(
        figure,
        [_seconds(row) for row in rows],
        [duration(row["time_to_goal"]) for row in rows],
        column=3,
        theme=theme,
        hovers=hovers,
        log=True,
    )
    return figure


def describe_first_contacts(result: FirstContacts) -> str:
    """Say in one sentence where most journeys begin, and which beginning leads to the goal best."""
    if result.table.is_empty():
        return "No journey begins in this selection"
    first = result.table.row(0, named=True)
    part = share(first["share"], first["share_low"], first["share_high"])
    sentence = f"{part} of journeys begin with {named(first)}"
    likely = result.table.filter(pl.col("journeys") >= _FEWEST_NAMED, pl.col("goal").is_not_null())
    if likely.is_empty():
        return sentence
    # By the lower end: a high chance of a few journeys is no reason to single one out.
    best = likely.sort("goal_low", "place", descending=[True, False]).row(0, named=True)
    chance = share(best["goal"], best["goal_low"], best["goal_high"])
    if best["place"] == first["place"]:
        return f"{sentence}, which also reach the goal most often: {chance}"
    return f"{sentence}; those that begin with {named(best)} reach the goal most often: {chance}"


def _shown(result: FirstContacts) -> pl.DataFrame:
    return result.table.filter(pl.col("journeys") >= FEWEST_JOURNEYS).head(MOST_ROWS)


def _left_out(result: FirstContacts, shown: pl.DataFrame) -> str:
    rest = result.table.filter(~pl.col("place").is_in(shown["place"].to_list()))
    if rest.is_empty():
        return ""
    return f"{len(rest)} rarer ones ({share(float(rest['share'].sum()))}) are not shown"


def _seconds(row: Mapping[str, Any]) -> Span:
    ends = (row[f"time_to_goal{end}"] for end in ("", "_low", "_high"))
    return Span(*(None if end is None else max(end.total_seconds(), 1.0) for end in ends))


def _hover(row: Mapping[str, Any]) -> str:
    lines = [
        f"<b>{plotly_text(row['touchpoint'])}</b>",
        f"{plotly_text(row['channel'])}, {plotly_text(row['stage'])}",
        plural(row["journeys"], "journey")
        + f", {share(row['share'], row['share_low'], row['share_high'])}",
        f"goal {share(row['goal'], row['goal_low'], row['goal_high'])}",
    ]
    if row["time_to_goal"] is not None:
        lines.append(f"half of those who get there within {duration(row['time_to_goal'])}")
    return "<br>".join(lines)
