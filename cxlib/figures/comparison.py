"""Two parts of a log side by side: one figure of both, and the difference with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from cxlib.figures.rows import Points, plot_rows, spans
from cxlib.markup import hover
from cxlib.numbers import day

if TYPE_CHECKING:
    from cxlib.comparing import Comparison

__all__ = ["describe_comparison", "plot_comparison"]

_MOST_ROWS = 20


def plot_comparison(
    result: Comparison,
    *,
    figure: str | None = None,
    names: tuple[str, str] = ("first", "second"),
    title: str | None = None,
) -> go.Figure:
    """Draw one figure of two parts, row by row, and the difference; the clearest first.

    The figure is the one that differs most clearly where none is named; `names` are the parts'.
    """
    known = result.clearest
    figure = figure or (known["figure"][0] if len(known) else "")
    rows = known.filter(known["figure"] == figure).to_dicts()
    left_out = len(rows) - _MOST_ROWS
    shown = rows[:_MOST_ROWS]
    parts = {"first": names[0], "second": names[1], "difference": f"{names[1]} less {names[0]}"}
    written = [
        [result.columns[part].cell(row, part, result.columns.ends(part)) for row in shown]
        for part in parts
    ]
    return plot_rows(
        [row["what"] for row in shown],
        [
            Points(
                heading,
                1.0,
                spans(shown, part),
                texts,
                like=0.0 if part == "difference" else None,
            )
            for (part, heading), texts in zip(parts.items(), written, strict=True)
        ],
        [
            hover(row["what"], figure.replace("_", " "), *(f"{h}: {t}" for h, t in said))
            for row, *texts in zip(shown, *written, strict=True)
            for said in (zip(parts.values(), texts, strict=True),)
        ],
        describe_comparison(result),
        title=title,
        subtitle=f"{figure.replace('_', ' ')}, observed until {day(result.observed_until)}"
        f"{f', {left_out} less clear ones are not shown' if left_out > 0 else ''}"
        "; whiskers: 95 % intervals",
    )


def describe_comparison(result: Comparison) -> str:
    """Say how many figures differ beyond chance."""
    return result.sentence
