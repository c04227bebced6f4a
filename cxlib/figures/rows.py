"""Figures that are lists: one row per thing, columns of bars, points or splits beside its name.

Most answers are such lists: names at the left, a heading above every column, the figure written
beside its mark, intervals as whiskers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import plotly.graph_objects as go

from cxlib.figures.canvas import (
    Trace,
    lay_out,
    named_axis,
    new_figure,
    note,
    scatter,
    shortened,
    whiskers,
)
from cxlib.figures.theme import THEME, faded, text_on
from cxlib.markup import plotly_span

_ROW_PX, _HEAD_PX = 34, 30
_GAP = 0.05
_CHARACTER_PX, _ASIDE_PX = 7.6, 7.0
"""Width of a character of a name, and of a figure at the right edge, pixels."""
_BESIDE = 0.024
"""Width of a character of a figure beside its mark, in a third of a laptop's window."""


Drawn = tuple[list[Trace], list[float]]
"""Traces of a column, and the range of its axis."""


class Span(NamedTuple):
    """An estimate with the ends of its interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


def spans(rows: Sequence[Mapping[str, Any]], name: str) -> list[Span]:
    """Return a column of estimates with its ends."""
    return [Span(*(row[name + end] for end in ("", "_low", "_high"))) for row in rows]


@dataclass(frozen=True, slots=True)
class Column:
    """What stands beside the names: a heading, a relative width, and something of every row."""

    heading: str
    width: float

    def drawn(self, axis: str, hovers: list[str]) -> Drawn:
        """Return its traces, and the range of its axis."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Bars(Column):
    """Bars from zero, each with its figure beside it and its whiskers."""

    spans: Sequence[Span]
    texts: Sequence[str]
    colours: Sequence[str]

    def drawn(self, axis: str, hovers: list[str]) -> Drawn:
        """Return its traces; at the right there is room for the figure beside the longest bar."""
        ends = [max(v for v in (s.value, s.high, 0.0) if v is not None) for s in self.spans]
        bars = _bar([s.value for s in self.spans], hovers, axis) | {
            "width": 0.56,
            "marker": {"color": list(self.colours), "line": {"width": 0}},
            "error_x": whiskers(self.spans, THEME.ink),
        }
        longest = max(ends, default=1.0) or 1.0
        characters = max((len(text) for text in self.texts), default=0)
        room = 1 + 0.012 * characters * (3 if axis == "x" else 4)
        every = range(len(ends))
        return [bars, _beside(ends, every, self.texts, axis)], [0, longest * room]


@dataclass(frozen=True, slots=True)
class Points(Column):
    """Points with whiskers, each with its figure beside it.

    With `aside`, of the last column, the figures stand at the right edge and a line joins the
    points: a curve, which has room on a phone too.
    """

    spans: Sequence[Span]
    texts: Sequence[str]
    log: bool = False
    aside: bool = False
    like: float | None = None
    """Where a line says that something is like what it is compared with."""
    colours: Sequence[str] | None = None
    beside: Sequence[Span] = ()
    """Of another column, which is drawn on the same scale."""

    @property
    def known(self) -> list[int]:
        """Rows that have a point."""
        return [i for i, s in enumerate(self.spans) if s.value is not None]

    def drawn(self, axis: str, hovers: list[str]) -> Drawn:
        """Return its traces, and a range with room for the figures."""
        rows = self.known
        if not rows:
            return [], [0, 1]
        shown = [self.spans[i] for i in rows]
        ends = [max(v for v in (s.value, s.high) if v is not None) for s in shown]
        every = [v for s in (*shown, *self.beside) for v in s if v is not None]
        least, most = min(every), max(every)
        points = scatter(
            [hovers[i] for i in rows],
            mode="lines+markers" if self.aside else "markers",
            line={"color": faded(THEME.accent, 0.35), "width": 1.5},
            x=[s.value for s in shown],
            y=rows,
            marker={
                "size": 9,
                "color": [self.colours[i] for i in rows] if self.colours else THEME.accent,
                "line": {"width": 0},
            },
            error_x=whiskers(shown, THEME.ink),
            xaxis=axis,
        )
        if self.aside:
            room = 0.06 * ((most - least) or 1.0)
            return [points], [least - room, most + room]
        traces = [points, _beside(ends, rows, [self.texts[i] for i in rows], axis)]
        if self.log:
            low, high = math.log10(max(least, 1e-9)), math.log10(most)
            width = max(high - low, 0.5)
            return traces, [low - 0.08 * width, high + 0.55 * width]
        # Room for half a point at zero, and at the right for the figure beside each, however long.
        start = min(least, 0.0)
        longest = (most - start) or 1.0
        needed = [
            (end - start) / (1 - min(_BESIDE * len(self.texts[i]), 0.8))
            for i, end in zip(rows, ends, strict=True)
        ]
        return traces, [start - 0.04 * longest, start + max(2.05 * longest, *needed)]


class Part(NamedTuple):
    """Its name, colour, and of every row its share and what it says, where it is wide enough."""

    name: str
    colour: str
    shares: Sequence[Span]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Split(Column):
    """Bars of the same length, split into parts; with the interval of the first of them."""

    parts: Sequence[Part]
    whiskers: bool = True

    def drawn(self, axis: str, hovers: list[str]) -> Drawn:
        """Return its traces."""
        base, traces = [0.0] * len(hovers), []
        for part in self.parts:
            shares = [s.value or 0.0 for s in part.shares]
            texts = zip(part.texts, shares, strict=True)
            traces.append(
                _bar(shares, hovers, axis)
                | {
                    "name": part.name,
                    "base": base,
                    "width": 0.62,
                    "marker": {"color": part.colour, "line": {"width": 1, "color": THEME.paper}},
                    "text": [text if v >= 0.012 * len(text) + 0.01 else "" for text, v in texts],
                    "textposition": "inside",
                    "insidetextanchor": "middle",
                    "textangle": 0,
                    "textfont": {"size": 12, "color": text_on(part.colour)},
                }
            )
            base = [b + s for b, s in zip(base, shares, strict=True)]
        if self.whiskers:
            first = self.parts[0].shares
            known = [i for i, s in enumerate(first) if None not in (s.value, s.low)]
            traces.append(
                scatter(
                    mode="markers",
                    x=[first[i].value for i in known],
                    y=known,
                    marker={"size": 0.1, "color": THEME.ink},
                    error_x=whiskers([first[i] for i in known], THEME.ink),
                    xaxis=axis,
                )
            )
        return traces, [0, 1]


def split(
    heading: str,
    rows: Sequence[Mapping[str, Any]],
    parts: Sequence[tuple[str, str, str]],
    write: Callable[[Span], str],
) -> Split:
    """Split bars by columns of shares, given as column, name and colour; `write` writes a span."""
    made = []
    for column, name, colour in parts:
        shares = spans(rows, column)
        made.append(Part(name, colour, shares, [write(s) for s in shares]))
    return Split(heading, 1.5, made)


@dataclass(frozen=True, slots=True)
class Texts(Column):
    """Text from its left edge."""

    texts: Sequence[str]

    def drawn(self, axis: str, hovers: list[str]) -> Drawn:
        """Return its trace."""
        starts, every = [0.0] * len(self.texts), range(len(self.texts))
        texts = _beside(starts, every, self.texts, axis)
        return [texts | {"text": self.texts, "hovertext": hovers, "hoverinfo": "text"}], [0, 1]


def plot_rows(
    names: Sequence[str],
    columns: Sequence[Column],
    hovers: list[str],
    sentence: str,
    *,
    title: str | None,
    subtitle: str,
) -> go.Figure:
    """Draw a list: its rows from top to bottom, its columns from left to right."""
    figure = new_figure(sentence, title=title, subtitle=subtitle)
    top = int(figure.layout.margin.t) + _HEAD_PX
    margin = {
        "t": top,
        "l": 24 + min(max((len(name) for name in names), default=0), 40) * _CHARACTER_PX,
        "r": 24,
        "b": 36,
    }
    total = sum(column.width for column in columns) + _GAP * (len(columns) - 1)
    layout: dict[str, Any] = {}
    headings, asides, shapes = [], [], []
    start = 0.0
    for number, column in enumerate(columns, start=1):
        end = start + column.width / total
        axis = f"x{number if number > 1 else ''}"
        traces, ends = column.drawn(axis, hovers)
        figure.add_traces(traces)
        layout[axis.replace("x", "xaxis")] = {
            "domain": [start, min(end, 1)],
            "anchor": "y",
            "fixedrange": True,
            "range": ends,
            "showgrid": False,
            "visible": False,
        } | ({"type": "log"} if isinstance(column, Points) and column.log else {})
        title = column.heading
        if isinstance(column, Split):  # the legend
            marks = [f"{plotly_span('■', part.colour, 15)} {part.name}" for part in column.parts]
            title = "  ".join([f"{title}:" if title else "", *marks])
        headings.append(
            note(title, THEME.muted, x=start, xref="paper", xanchor="left", y=1)
            | {"yref": "paper", "yanchor": "bottom", "yshift": 6, "align": "left"}
        )
        if isinstance(column, Points) and column.aside and column.known:
            margin["r"] = _ASIDE_PX * max(len(text) for text in column.texts)
            edge: dict[str, Any] = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 8}
            asides = [note(column.texts[i], THEME.ink, y=i, **edge) for i in column.known]
        if isinstance(column, Points) and column.like is not None:
            ends_of = {"x0": column.like, "x1": column.like, "y0": 0, "y1": 1}
            if column is columns[-1] and column.known and not column.aside:
                beyond = max(len(column.texts[i]) for i in column.known) * _ASIDE_PX
                margin["r"] += beyond * (1 - column.width / total)
            shapes.append(
                {"type": "line", "xref": axis, "yref": "paper", "layer": "below"}
                | {"line": {"width": 1.5, "color": THEME.muted}}
                | ends_of
            )
        start = end + _GAP / total
    return lay_out(
        figure,
        height=_ROW_PX * max(len(names), 1) + _HEAD_PX + top + 36,
        margin=margin,
        barmode="overlay",
        uniformtext={"minsize": 12, "mode": "hide"},  # else figures shrink where a bar is short
        yaxis=named_axis(
            [*map(shortened, names)], range=[len(names) - 0.5, -0.5], automargin=False
        ),
        annotations=headings + asides,
        shapes=shapes,
        **layout,
    )


def _bar(values: Sequence[float | None], hovers: list[str], axis: str) -> Trace:
    return {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": list(range(len(values))),
        "hovertext": hovers,
        "hoverinfo": "text",
        "xaxis": axis,
    }


def _beside(ends: Sequence[float], rows: Sequence[int], texts: Sequence[str], axis: str) -> Trace:
    """Write a figure behind the end of every mark."""
    return scatter(
        mode="text",
        x=ends,
        y=list(rows),
        text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{text}" for text in texts],
        textposition="middle right",
        textfont={"size": 12, "color": THEME.ink},
        cliponaxis=False,
        xaxis=axis,
    )
