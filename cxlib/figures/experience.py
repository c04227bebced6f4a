"""How it feels: the curve along the journey, and the spectrum from dislike to like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import Part, Span, add_points, add_splits, new_rows
from cxlib.figures.theme import theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import plotly_text
from cxlib.numbers import answered, decimal, plural, rating, share

if TYPE_CHECKING:
    from cxlib.measures.experience import ExperienceCurve, Spectrum

__all__ = [
    "describe_experience_curve",
    "describe_spectrum",
    "plot_experience_curve",
    "plot_spectrum",
]

_ENDS = ("", "_low", "_high")


def plot_experience_curve(result: ExperienceCurve, *, title: str | None = None) -> go.Figure:
    """Draw how each touchpoint is rated, from the first to the last of the journey map.

    Parameters
    ----------
    result
        From `cxlib.measures.experience.measure_experience_curve`.
    title
        None: a sentence with the answer.
    """
    theme, sentence = theme_named(), describe_experience_curve(result)
    rows = result.table.to_dicts()
    several = result.table["scale"].n_unique() > 1
    figure = new_rows(
        [f"{row['scale']}: {row['touchpoint']}" if several else row["touchpoint"] for row in rows],
        [("mean of the answers", 1.0)],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(int(result.table["n"].sum()), "answer")),
        alt=sentence,
    )
    add_points(
        figure,
        [Span(*(row[f"mean{end}"] for end in _ENDS)) for row in rows],
        [
            f"{rating(*(row[f'mean{end}'] for end in _ENDS))}, n = {decimal(row['n'])}"
            for row in rows
        ],
        column=1,
        theme=theme,
        hovers=[_hover(row) for row in rows],
        aside=True,
    )
    return figure


def describe_experience_curve(result: ExperienceCurve) -> str:
    """Say in one sentence where the journey is rated lowest and highest."""
    return (result.sentences() or ["No touchpoint is rated"])[0]


def plot_spectrum(result: Spectrum, *, title: str | None = None) -> go.Figure:
    """Draw how many answers are low, middle and high, group by group.

    Parameters
    ----------
    result
        From `cxlib.measures.experience.measure_spectrum`.
    title
        None: a sentence with the answer.
    """
    theme, sentence = theme_named(), describe_spectrum(result)
    sides = ("low", "middle", "high")
    rows = (
        result.table.group_by("scale", "group", maintain_order=True)
        .agg(
            all=pl.col("n").sum(),
            **{side: pl.col("n").filter(pl.col("side") == side).sum() for side in sides},
        )
        .to_dicts()
    )
    several = result.table["scale"].n_unique() > 1
    figure = new_rows(
        [f"{row['scale']}: {row['group']}" if several else row["group"] for row in rows],
        [("answers: low, middle, high", 1.6)],
        theme=theme,
        title=sentence if title is None else title,
        subtitle=based_on(result, plural(int(result.table["n"].sum()), "answer"), whiskers=False),
        alt=sentence,
    )
    colours = dict(zip(sides, (theme.lost, theme.still_open, theme.go_on), strict=True))
    add_splits(
        figure,
        [Part(s, colours[s], [Span(row[s] / row["all"]) for row in rows]) for s in sides],
        column=1,
        theme=theme,
        hovers=[_counted(row, sides) for row in rows],
        write=[[share(row[s] / row["all"]) for row in rows] for s in sides],
    )
    return figure


def describe_spectrum(result: Spectrum) -> str:
    """Say in one sentence how many dislike and like it, and where most dislike it."""
    return (result.sentences() or ["Nothing is rated"])[0]


def _hover(row: Mapping[str, Any]) -> str:
    return "<br>".join(
        [
            f"<b>{plotly_text(row['touchpoint'])}</b>",
            f"{plural(row['n'], 'answer')} of {plural(row['customers'], 'customer')}"
            f"{answered(row['response'])}",
            f"mean {rating(*(row[f'mean{end}'] for end in _ENDS))}",
            f"if all had answered, as far as the log knows: {rating(row['weighted'])}",
        ]
    )


def _counted(row: Mapping[str, Any], sides: tuple[str, ...]) -> str:
    told = ", ".join(f"{side} {decimal(row[side])}" for side in sides)
    return f"<b>{plotly_text(row['group'])}</b><br>{plural(row['all'], 'answer')}: {told}"
