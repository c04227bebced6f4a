"""One finding: what came after the handoff against what similar handoffs let expect, over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.canvas import lay_out, new_figure, note, scatter, whiskers
from cxlib.figures.fragmentation import (
    effect_text,
    figure_text,
    handoff,
    in_open_hours,
    observed_text,
    signal_name,
    wait_text,
)
from cxlib.figures.rows import Points, Span, plot_rows
from cxlib.figures.theme import THEME, faded
from cxlib.markup import hover, plotly_bold, plotly_text
from cxlib.numbers import answered, day, duration, plural, share
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

_HEIGHT = 330
_FEW = 30
_TICKS = (1 / 60, 1 / 6, 1, 3, 6, 12, 24, 72, 168, 336, 720, 2160)
"""Hours at which an axis of waits may have a mark."""


def plot_finding_detail(
    result: FindingDetails, finding: Mapping[str, Any], *, title: str | None = None
) -> go.Figure:
    """Draw what happened after one handoff (a row of ``result.found``) against its expectation.

    For customers who left and for waits a curve; for customers sent back where they went next,
    beside those who came to the same touchpoint from elsewhere; otherwise the two figures.
    """
    n = finding["n"]
    curve, onward = (of_finding(frame, finding) for frame in (result.curves, result.onward))
    subtitle = (
        f"{'Few cases' if n is None else plural(n, 'case')}; "
        f"effect {effect_text(finding, interval=True)}"
        f"{'; band: 95 % interval of the expectation' if len(curve) > 1 else ''}"
    )
    if len(curve) < 2:
        said = {"sentence": describe_finding(finding), "title": title, "subtitle": subtitle}
        return _list(finding, onward.to_dicts(), **said)
    height = _HEIGHT + (0 if title == "" else 90)
    figure = new_figure(describe_finding(finding), title=title, subtitle=subtitle, height=height)
    return _add_curve(figure, curve.sort("x").to_dicts(), finding)


def of_finding(frame: pl.DataFrame, finding: Mapping[str, Any]) -> pl.DataFrame:
    """Return the rows of a finding in which something was observed."""
    same = [pl.col(key) == finding[key] for key in ("source_place", "target_place", "signal")]
    return frame.filter(*same, pl.col("observed").is_not_null())


def describe_finding(finding: Mapping[str, Any]) -> str:
    """Say what one finding is, with its interval."""
    return str(finding["sentence"] or f"{handoff(finding)}: {signal_name(finding['signal'])}")


def plot_finding_trend(
    result: FindingDetails, finding: Mapping[str, Any], *, title: str | None = None
) -> go.Figure:
    """Draw one finding by period, with its expectation as a line; periods of few cases are pale."""
    scale, expected = _scale(finding), finding["expected"]
    rows = of_finding(result.trend, finding).to_dicts()
    figure = new_figure(
        describe_finding_trend(result, finding),
        title=title,
        subtitle=f"By period; hollow: fewer than {_FEW} cases; grey: too recent to be complete",
        height=260 + (0 if title == "" else 80),
    )
    points = [_scaled(row, scale, ("observed", "low", "high")) for row in rows]
    colours = [THEME.finding if row["complete"] else THEME.flow for row in rows]
    figure.add_trace(
        scatter(
            [
                f"{day(row['period'])}: {plotly_text(figure_text(finding, row['observed']))}, "
                f"{plural(row['n'] or 0, 'case')}{answered(row.get('response'))}"
                for row in rows
            ],
            name="observed",
            mode="lines+markers",
            x=[row["period"] for row in rows],
            y=[value for value, *_ in points],
            line={"color": faded(THEME.finding, 0.5), "width": 1.5},
            marker={
                "size": 9,
                "color": [
                    colour if (row["n"] or 0) >= _FEW else THEME.paper
                    for row, colour in zip(rows, colours, strict=True)
                ],
                "line": {"width": 1.5, "color": colours},
            },
            error_y=whiskers(points, THEME.muted, thickness=1.3),
        )
    )
    if expected is not None and rows:
        at, edge = scale * expected, {"x": 1, "xref": "paper", "xanchor": "right"}
        line = {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": at, "y1": at}
        dashed = {"line": {"width": 1.5, "dash": "dash", "color": THEME.muted}}
        # the curve lies on the other side
        side = "bottom" if _is_rating(finding) else "top"
        said = plotly_text(f"similar handoffs {figure_text(finding, expected)}")
        label = note(said, THEME.muted, y=at, yanchor=side) | edge
        lay_out(figure, shapes=[line | dashed], annotations=[label])
    return lay_out(
        figure,
        yaxis={
            "title": {"text": _axis_name(finding)},
            "fixedrange": True,
            "range": _range_over_time([r for r in rows if r["complete"]] or rows, finding),
        },
        xaxis={"fixedrange": True, "showgrid": False},
    )


def describe_finding_trend(result: FindingDetails, finding: Mapping[str, Any]) -> str:
    """Say in how many periods one finding lay on the wrong side of its expectation."""
    observed = of_finding(result.trend, finding).filter("complete")["observed"]
    expected = finding["expected"]
    if observed.is_empty() or expected is None:
        return f"{handoff(finding)}: too few cases to be shown by period"
    worse = observed < expected if _is_rating(finding) else observed > expected
    count, every = int(worse.sum()), len(observed)
    often = f"all {every}" if count == every else f"{count} of {every}"
    return f"{handoff(finding)} was worse than expected in {often} complete periods"


def _range_over_time(rows: list[dict[str, Any]], finding: Mapping[str, Any]) -> list[float] | None:
    """Range of the periods that are complete: a point of few late cases must not flatten them."""
    values = [row[end] for row in rows for end in ("observed", "low", "high")]
    known = [v for v in [*values, finding["expected"]] if v is not None]
    if not known:
        return None
    low = min(known) if _is_rating(finding) else 0.0
    room = 0.08 * (max(known) - low)
    return [_scale(finding) * end for end in (low - room if low else 0.0, max(known) + room)]


def _add_curve(
    figure: go.Figure, rows: list[dict[str, Any]], finding: Mapping[str, Any]
) -> go.Figure:
    """Draw the share gone silent, or arrived, over time; named where both are furthest apart."""
    silence, is_open = signal_named(finding["signal"]).draws == "silence", in_open_hours(finding)
    x = [row["x"] for row in rows]
    band = [r for r in rows if None not in (r["expected_low"], r["expected_high"])]
    looks = (
        ("expected", "similar handoffs", THEME.muted, "dash"),
        ("observed", "this handoff", THEME.finding, "solid"),
    )
    figure.add_trace(
        scatter(
            name="interval",
            mode="lines",
            x=[r["x"] for r in band] + [r["x"] for r in reversed(band)],
            y=[100 * r["expected_high"] for r in band]
            + [100 * r["expected_low"] for r in reversed(band)],
            fill="toself",
            fillcolor=faded(THEME.flow, 0.28),
            line={"width": 0},
        )
    )
    for name, label, colour, dash in looks:
        moments = [
            f"silent for {at:.0f} days" if silence else f"within {wait_text(finding, at)}"
            for at in x
        ]
        figure.add_trace(
            scatter(
                [
                    plotly_text(f"{label}: {share(row[name])} {moment}")
                    for row, moment in zip(rows, moments, strict=True)
                ],
                name=name,
                mode="lines+markers",
                x=x,
                y=[value for (value,) in (_scaled(row, 100, (name,)) for row in rows)],
                line={"color": colour, "width": 2.5, "dash": dash},
                marker={"size": 7 if silence else 1, "color": colour},
            )
        )
    labels = []
    if known := [row for row in rows if row["expected"] is not None]:
        row = max(known, key=lambda r: abs(r["observed"] - r["expected"]))
        upper = "observed" if row["observed"] >= row["expected"] else "expected"
        at = row["x"] if silence else math.log10(row["x"])
        for name, label, colour, _ in reversed(looks):
            above = name == upper
            text = plotly_bold(label) if name == "observed" else label
            labels.append(
                note(text, colour, size=13, x=at, y=100 * row[name])
                | {"xanchor": "right" if above else "left", "xshift": -10 if above else 10}
                | {"yshift": 10 if above else -12, "bgcolor": faded(THEME.paper, 0.75)}
            )
    heading = "% not in touch again within that time" if silence else "% who have arrived by then"
    passed = (
        "days since"
        if silence
        else f"{'open hours' if is_open else 'time'} since the contact before"
    )
    ticks = [tick for tick in _TICKS if min(x) <= tick <= max(x)]
    # a day of open hours would be taken for a day
    names = [f"{t:g} h" if is_open and t >= 1 else duration(t * 3600) for t in ticks]
    marks = {"type": "linear"} if silence else {"type": "log", "tickvals": ticks, "ticktext": names}
    return lay_out(
        figure,
        yaxis={"range": [0, 103], "title": {"text": heading}, "fixedrange": True},
        xaxis={"title": {"text": passed}, "fixedrange": True, "showgrid": False} | marks,
        annotations=labels,
    )


def _list(finding: Mapping[str, Any], onward: list[dict[str, Any]], **words: Any) -> go.Figure:
    """Draw where customers went next beside those from elsewhere, or else the two figures."""
    if onward:
        looks = (("observed", THEME.finding), ("others", THEME.muted))
        names = [row["next"] for row in onward]
        headings = ("% by this handoff", "% from elsewhere")
        columns = [
            Points(
                heading,
                1.0,
                [Span(*_scaled(row, 100, (name,))) for row in onward],
                [share(row[name]) for row in onward],
                colours=[colour] * len(onward),
            )
            for heading, (name, colour) in zip(headings, looks, strict=True)
        ]
        return plot_rows(names, columns, [hover(name) for name in names], **words)
    scale = _scale(finding)
    observed, expected, effect, low, high = _scaled(
        finding, scale, ("observed", "expected", "effect", "low", "high")
    )
    ends: tuple[float | None, ...] = (None, None)
    # A larger effect means a smaller expectation; the ends of a ratio are no distances here.
    if None not in (expected, effect, low, high) and not finding["unit"].startswith("ratio"):
        ends = (expected - (high - effect), expected + (effect - low))
    texts = [observed_text(finding), figure_text(finding, finding["expected"])]
    names = ["this handoff", "similar handoffs"]
    points = Points(
        _axis_name(finding),
        1.0,
        [Span(observed), Span(expected, *ends)],
        texts,
        colours=[THEME.finding, THEME.muted],
    )
    return plot_rows(names, [points], list(map(hover, names, texts)), **words)


def _scaled(row: Mapping[str, Any], scale: float, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(None if row[name] is None else scale * row[name] for name in names)


def _is_rating(finding: Mapping[str, Any]) -> bool:
    return signal_named(finding["signal"]).family == "rating"


def _scale(finding: Mapping[str, Any]) -> float:
    return 100.0 if finding["unit"].startswith("share") else 1.0


def _axis_name(finding: Mapping[str, Any]) -> str:
    if signal_named(finding["signal"]).family == "wait":
        return f"median wait, {'open hours' if in_open_hours(finding) else 'hours'}"
    return (
        "mean rating"
        if _is_rating(finding)
        else f"% of {finding['unit'].removeprefix('share of ')}"
    )
