"""How it feels: the curve along the journey, and the spectrum from dislike to like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.rows import Part, Points, Span, Split, key_of, plot_rows, spans
from cxlib.figures.theme import theme_named
from cxlib.figures.wording import based_on
from cxlib.markup import hover
from cxlib.numbers import answered, decimal, plural, rating, share

if TYPE_CHECKING:
    from cxlib.measures.experience import ExperienceCurve, Spectrum

__all__ = [
    "describe_experience_curve",
    "describe_spectrum",
    "plot_experience_curve",
    "plot_spectrum",
]


def plot_experience_curve(result: ExperienceCurve, *, title: str | None = None) -> go.Figure:
    """Draw how each touchpoint is rated, from the first to the last of the journey map."""
    rows = result.table.to_dicts()
    several = result.table["scale"].n_unique() > 1
    means = spans(rows, "mean")
    return plot_rows(
        [f"{row['scale']}: {row['touchpoint']}" if several else row["touchpoint"] for row in rows],
        [
            Points(
                "mean of the answers",
                1.0,
                means,
                [f"{rating(*m)}, n = {decimal(r['n'])}" for m, r in zip(means, rows, strict=True)],
                aside=True,
            )
        ],
        [
            hover(
                row["touchpoint"],
                f"{plural(row['n'], 'answer')} of {plural(row['customers'], 'customer')}"
                f"{answered(row['response'])}",
                f"mean {rating(*mean)}",
                f"if all had answered, as far as the log knows: {rating(row['weighted'])}",
            )
            for row, mean in zip(rows, means, strict=True)
        ],
        describe_experience_curve(result),
        title=title,
        subtitle=based_on(result, plural(int(result.table["n"].sum()), "answer")),
    )


def describe_experience_curve(result: ExperienceCurve) -> str:
    """Say in one sentence where the journey is rated lowest and highest."""
    return (result.sentences() or ["No touchpoint is rated"])[0]


def plot_spectrum(result: Spectrum, *, title: str | None = None) -> go.Figure:
    """Draw how many answers are low, middle and high, group by group."""
    theme = theme_named()
    sides = {"low": theme.lost, "middle": theme.still_open, "high": theme.go_on}
    rows = (
        result.table.group_by("scale", "group", maintain_order=True)
        .agg(
            all=pl.col("n").sum(),
            **{side: pl.col("n").filter(pl.col("side") == side).sum() for side in sides},
        )
        .to_dicts()
    )
    several = result.table["scale"].n_unique() > 1
    parts = [
        Part(
            side,
            colour,
            [Span(row[side] / row["all"]) for row in rows],
            [share(row[side] / row["all"]) for row in rows],
        )
        for side, colour in sides.items()
    ]
    return plot_rows(
        [f"{row['scale']}: {row['group']}" if several else row["group"] for row in rows],
        [Split(key_of("answers", parts), 1.6, parts, whiskers=False)],
        [
            hover(
                row["group"],
                f"{plural(row['all'], 'answer')}: "
                + ", ".join(f"{side} {decimal(row[side])}" for side in sides),
            )
            for row in rows
        ],
        describe_spectrum(result),
        title=title,
        subtitle=based_on(result, plural(int(result.table["n"].sum()), "answer"), whiskers=False),
    )


def describe_spectrum(result: Spectrum) -> str:
    """Say in one sentence how many dislike and like it, and where most dislike it."""
    return (result.sentences() or ["Nothing is rated"])[0]
