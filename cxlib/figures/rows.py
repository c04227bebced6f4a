"""Figures that are lists: one row per thing, columns of bars, points or splits beside its name.

Most answers of the package are such lists. Drawing them all in the same way lets a reader learn it
once: names at the left, a heading above every column, the figure written beside its mark,
intervals as whiskers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from cxlib.figures.theme import Theme, faded, new_figure, text_on
from cxlib.markup import plotly_text

__all__ = [
    "Part",
    "Span",
    "add_bars",
    "add_points",
    "add_split_whiskers",
    "add_splits",
    "add_texts",
    "key_of",
    "new_rows",
]

ROW_PX = 34
_HEAD_PX = 30
_GAP = 0.05

#: Width of a character of a name, pixels.
_CHARACTER_PX = 7.6
_ASIDE_PX = 7.0


@dataclass(frozen=True, slots=True)
class Span:
    """An estimate with the ends of its interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split bar: its name, its colour, and its share in every row."""

    name: str
    colour: str
    shares: Sequence[Span]


def key_of(parts: Sequence[Part]) -> str:
    """Write the names of the parts of a split with their colours: the legend, as a heading."""
    marks = [
        f"<span style='color:{part.colour};font-size:15px'>■</span> {part.name}" for part in parts
    ]
    return "   ".join(marks)


def new_rows(
    names: Sequence[str],
    columns: Sequence[tuple[str, float]],
    *,
    theme: Theme,
    title: str,
    subtitle: str,
    alt: str,
) -> go.Figure:
    """Start a list: its rows from top to bottom, its columns with heading and relative width."""
    height = ROW_PX * max(len(names), 1) + _HEAD_PX
    figure = new_figure(theme=theme, title=title, subtitle=subtitle, alt=alt)
    margin = int(figure.layout.margin.t) + _HEAD_PX
    left = 24 + min(max((len(name) for name in names), default=0), 40) * _CHARACTER_PX
    figure.update_layout(
        height=height + margin + 36,
        margin={"t": margin, "l": left, "r": 24, "b": 36},
        showlegend=False,
        barmode="overlay",
        yaxis={
            "range": [len(names) - 0.5, -0.5],
            "tickvals": list(range(len(names))),
            "ticktext": [plotly_text(_short(name)) for name in names],
            "tickfont": {"color": theme.ink, "size": 13},
            "automargin": False,
            "showgrid": False,
            "fixedrange": True,
        },
    )
    total = sum(width for _, width in columns) + _GAP * (len(columns) - 1)
    start = 0.0
    for i, (heading, width) in enumerate(columns, start=1):
        end = start + width / total
        axis = f"xaxis{i if i > 1 else ''}"
        figure.update_layout(
            {axis: {"domain": [start, min(end, 1)], "anchor": "y", "fixedrange": True, "nticks": 5}}
        )
        figure.add_annotation(
            text=heading, x=start, xref="paper", xanchor="left", y=1, yref="paper",
            yanchor="bottom", yshift=6, showarrow=False, align="left",
            font={"size": 12, "color": theme.muted},
        )  # fmt: skip
        start = end + _GAP / total
    return figure


def add_bars(
    figure: go.Figure,
    spans: Sequence[Span],
    texts: Sequence[str],
    *,
    column: int,
    colours: Sequence[str],
    theme: Theme,
    hovers: Sequence[str],
) -> None:
    """Add a column of bars from zero, each with its figure beside it and its whiskers."""
    ends = [max(v for v in (s.value, s.high, 0.0) if v is not None) for s in spans]
    figure.add_trace(
        go.Bar(
            orientation="h",
            x=[s.value for s in spans],
            y=list(range(len(spans))),
            width=0.56,
            marker={"color": list(colours), "line": {"width": 0}},
            error_x=_whiskers(spans, theme),
            hovertext=list(hovers),
            hoverinfo="text",
            xaxis=_axis(column),
        )
    )
    _write_beside(figure, ends, texts, column=column, theme=theme)
    # Room at the right for the figure beside the longest bar.
    longest = max(ends, default=1.0) or 1.0
    room = 1 + 0.012 * max((len(text) for text in texts), default=0) * (3 if column == 1 else 4)
    _hide_axis(figure, column, [0, longest * room])


def add_points(  # noqa: PLR0913 (what every column takes, and how points differ)
    figure: go.Figure,
    spans: Sequence[Span],
    texts: Sequence[str],
    *,
    column: int,
    theme: Theme,
    hovers: Sequence[str],
    log: bool = False,
    aside: bool = False,
) -> None:
    """Add a column of points with whiskers, each with its figure beside it.

    With `aside`, of the last column, the figures stand in a column of their own at the right edge,
    and a line joins the points: a curve, which has room on a phone too.
    """
    known = [i for i, s in enumerate(spans) if s.value is not None]
    if not known:
        _hide_axis(figure, column, [0, 1])
        return
    figure.add_trace(
        go.Scatter(
            mode="lines+markers" if aside else "markers",
            line={"color": faded(theme.accent, 0.35), "width": 1.5},
            x=[spans[i].value for i in known],
            y=known,
            marker={"size": 9, "color": theme.accent, "line": {"width": 0}},
            error_x=_whiskers([spans[i] for i in known], theme),
            hovertext=[hovers[i] for i in known],
            hoverinfo="text",
            xaxis=_axis(column),
        )
    )
    ends = [max(v for v in (spans[i].value, spans[i].high) if v is not None) for i in known]
    if aside:
        edge = {"xref": "paper", "x": 1, "xanchor": "left", "showarrow": False}
        for i in known:
            figure.add_annotation(
                text=texts[i], y=i, font={"size": 12, "color": theme.ink}, xshift=8, **edge
            )
    else:
        _write_beside(
            figure, ends, [texts[i] for i in known], column=column, theme=theme, rows=known
        )
    starts = [min(v for v in (spans[i].value, spans[i].low) if v is not None) for i in known]
    if aside:
        room = 0.06 * ((max(ends) - min(starts)) or 1.0)
        figure.update_layout(margin_r=_ASIDE_PX * max(len(text) for text in texts))
        _hide_axis(figure, column, [min(starts) - room, max(ends) + room])
    elif log:
        figure.update_layout({_axis(column, layout=True): {"type": "log"}})
        low, high = math.log10(max(min(starts), 1e-9)), math.log10(max(ends))
        width = max(high - low, 0.5)
        _hide_axis(figure, column, [low - 0.08 * width, high + 0.55 * width])
    else:
        longest = max(ends) or 1.0
        # Room for half a point at zero, and at the right for the figure beside the last one.
        _hide_axis(figure, column, [-0.04 * longest, longest * 2.05])


def add_splits(
    figure: go.Figure,
    parts: Sequence[Part],
    *,
    column: int,
    theme: Theme,
    hovers: Sequence[str],
    write: Sequence[Sequence[str]],
) -> None:
    """Add a column of bars of the same length, split into parts that are written on them.

    Parameters
    ----------
    write
        For every part and row what is written on it; left out where the part is too narrow.
    """
    rows = len(hovers)
    base = [0.0] * rows
    for part, texts in zip(parts, write, strict=True):
        shares = [s.value or 0.0 for s in part.shares]
        figure.add_trace(
            go.Bar(
                name=part.name,
                orientation="h",
                x=shares,
                y=list(range(rows)),
                base=list(base),
                width=0.62,
                marker={"color": part.colour, "line": {"width": 1, "color": theme.paper}},
                text=[
                    text if value >= 0.012 * len(text) + 0.01 else ""
                    for text, value in zip(texts, shares, strict=True)
                ],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"size": 12, "color": text_on(part.colour)},
                hovertext=list(hovers),
                hoverinfo="text",
                xaxis=_axis(column),
            )
        )
        base = [b + s for b, s in zip(base, shares, strict=True)]
    _hide_axis(figure, column, [0, 1])


def add_split_whiskers(figure: go.Figure, part: Part, *, column: int, theme: Theme) -> None:
    """Draw the interval of the first part of a split at its end."""
    known = [i for i, s in enumerate(part.shares) if s.value is not None and s.low is not None]
    figure.add_trace(
        go.Scatter(
            mode="markers",
            x=[part.shares[i].value for i in known],
            y=known,
            marker={"size": 0.1, "color": theme.ink},
            error_x=_whiskers([part.shares[i] for i in known], theme),
            hoverinfo="skip",
            xaxis=_axis(column),
        )
    )


def add_texts(
    figure: go.Figure,
    texts: Sequence[str],
    *,
    column: int,
    theme: Theme,
    hovers: Sequence[str],
) -> None:
    """Add a column of text, from its left edge."""
    figure.add_trace(
        go.Scatter(
            mode="text",
            x=[0] * len(texts),
            y=list(range(len(texts))),
            text=list(texts),
            textposition="middle right",
            textfont={"size": 12, "color": theme.ink},
            cliponaxis=False,
            hovertext=list(hovers),
            hoverinfo="text",
            xaxis=_axis(column),
        )
    )
    _hide_axis(figure, column, [0, 1])


def _write_beside(
    figure: go.Figure,
    ends: Sequence[float],
    texts: Sequence[str],
    *,
    column: int,
    theme: Theme,
    rows: Sequence[int] | None = None,
) -> None:
    figure.add_trace(
        go.Scatter(
            mode="text",
            x=list(ends),
            y=list(rows) if rows is not None else list(range(len(ends))),
            text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{text}" for text in texts],
            textposition="middle right",
            textfont={"size": 12, "color": theme.ink},
            cliponaxis=False,
            hoverinfo="skip",
            xaxis=_axis(column),
        )
    )


def _whiskers(spans: Sequence[Span], theme: Theme) -> dict[str, object]:
    if all(s.low is None and s.high is None for s in spans):
        return {"visible": False}

    def beyond(span: Span, end: float | None) -> float:
        return 0.0 if span.value is None or end is None else abs(end - span.value)

    return {
        "type": "data",
        "symmetric": False,
        "array": [beyond(s, s.high) for s in spans],
        "arrayminus": [beyond(s, s.low) for s in spans],
        "thickness": 1.4,
        "width": 4,
        "color": theme.ink,
    }


def _hide_axis(figure: go.Figure, column: int, ends: Sequence[float]) -> None:
    figure.update_layout(
        {_axis(column, layout=True): {"range": list(ends), "showgrid": False, "visible": False}}
    )


def _axis(column: int, *, layout: bool = False) -> str:
    number = "" if column == 1 else str(column)
    return f"{'xaxis' if layout else 'x'}{number}"


def _short(name: str, limit: int = 40) -> str:
    return name if len(name) <= limit else name[: limit - 1].rstrip() + "…"
