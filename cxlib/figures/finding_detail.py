"""One finding: what came after the handoff against what similar handoffs let expect, over time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.fragmentation import (
    effect_text,
    figure_text,
    in_open_hours,
    observed_text,
    signal_name,
    wait_text,
)
from cxlib.figures.theme import Theme, faded, lay_out, new_figure, theme_named
from cxlib.markup import plotly_text
from cxlib.numbers import answered, duration, plural, share
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = [
    "describe_finding",
    "describe_finding_trend",
    "plot_finding_detail",
    "plot_finding_trend",
]

_HEIGHT = 330
_FEW = 30


def plot_finding_detail(
    result: FindingDetails, finding: Mapping[str, Any], *, title: str | None = None
) -> go.Figure:
    """Draw what happened after one handoff against its expectation.

    For customers who left and for waits a curve; for customers sent back where they went next,
    beside those who came to the same touchpoint from elsewhere; otherwise the two figures.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.details.detail_findings`, or a published answer.
    finding
        A row of ``result.found``.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    sentence = describe_finding(finding)
    curve, onward = (_of(frame, finding) for frame in (result.curves, result.onward))
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=_rests_on(result, finding),
        alt=sentence,
        height=_HEIGHT + (0 if title == "" else 90),
    )
    lay_out(figure, showlegend=False)
    if curve["observed"].drop_nulls().len() > 1:
        _add_curve(figure, curve, finding, theme)
    elif onward["observed"].drop_nulls().len():
        _add_next_steps(figure, onward, finding, theme)
    else:
        _add_two_figures(figure, finding, theme)
    return figure


def describe_finding(finding: Mapping[str, Any]) -> str:
    """Say what one finding is, with its interval."""
    fallback = f"{finding['source']} → {finding['target']}: {signal_name(finding['signal'])}"
    return str(finding["sentence"] or fallback)


def plot_finding_trend(
    result: FindingDetails, finding: Mapping[str, Any], *, title: str | None = None
) -> go.Figure:
    """Draw one finding by period, with its expectation as a line; periods of few cases are pale."""
    theme = theme_named()
    trend = _of(result.trend, finding).filter(pl.col("observed").is_not_null())
    sentence = describe_finding_trend(result, finding)
    figure = new_figure(
        theme=theme,
        title=sentence if title is None else title,
        subtitle=f"By period; hollow: fewer than {_FEW} cases; grey: too recent to be complete",
        alt=sentence,
        height=260 + (0 if title == "" else 80),
    )
    lay_out(figure, showlegend=False)
    scale = _scale(finding)
    rows = trend.to_dicts()
    colours = [theme.finding if row["complete"] else theme.flow for row in rows]
    figure.add_trace(
        go.Scatter(
            name="observed",
            mode="lines+markers",
            x=[row["period"] for row in rows],
            y=[scale * row["observed"] for row in rows],
            line={"color": faded(theme.finding, 0.5), "width": 1.5},
            marker={
                "size": 9,
                "color": [
                    colour if (row["n"] or 0) >= _FEW else theme.paper
                    for row, colour in zip(rows, colours, strict=True)
                ],
                "line": {"width": 1.5, "color": colours},
            },
            error_y=_error(rows, scale, theme),
            hovertext=[
                f"{_day(row['period'])}: {figure_text(finding, row['observed'])}, "
                f"{plural(row['n'] or 0, 'case')}{answered(row.get('response'))}"
                for row in rows
            ],
            hoverinfo="text",
        )
    )
    if finding["expected"] is not None and rows:
        _add_expectation(figure, scale * finding["expected"], finding, theme)
    lay_out(
        figure,
        yaxis={
            "title": {"text": _axis_name(finding)},
            "fixedrange": True,
            "range": _range_over_time([r for r in rows if r["complete"]] or rows, finding),
        },
        xaxis={"fixedrange": True, "showgrid": False},
    )
    return figure


def describe_finding_trend(result: FindingDetails, finding: Mapping[str, Any]) -> str:
    """Say in how many periods one finding lay on the wrong side of its expectation."""
    known = pl.col("observed").is_not_null() & pl.col("complete")
    trend = _of(result.trend, finding).filter(known)
    handoff = f"{finding['source']} → {finding['target']}"
    if trend.is_empty() or finding["expected"] is None:
        return f"{handoff}: too few cases to be shown by period"
    worse = (
        pl.col("observed") < finding["expected"]
        if signal_named(finding["signal"]).family == "rating"
        else pl.col("observed") > finding["expected"]
    )
    count, all_periods = trend.filter(worse).height, trend.height
    often = f"all {all_periods}" if count == all_periods else f"{count} of {all_periods}"
    return f"{handoff} was worse than expected in {often} complete periods"


def _range_over_time(rows: list[dict[str, Any]], finding: Mapping[str, Any]) -> list[float] | None:
    """Range of the periods that are complete: a point of few late cases must not flatten them."""
    values = [row[end] for row in rows for end in ("observed", "low", "high")]
    known = [v for v in [*values, finding["expected"]] if v is not None]
    if not known:
        return None
    low = min(known) if signal_named(finding["signal"]).family == "rating" else 0.0
    room = 0.08 * (max(known) - low)
    scale = _scale(finding)
    return [scale * (low - room if low else 0.0), scale * (max(known) + room)]


def _of(frame: pl.DataFrame, finding: Mapping[str, Any]) -> pl.DataFrame:
    keys = ("source_place", "target_place", "signal")
    return frame.filter(*(pl.col(key) == finding[key] for key in keys))


def _rests_on(result: FindingDetails, finding: Mapping[str, Any]) -> str:
    n = finding["n"]
    cases = plural(n, "case") if n is not None else "Few cases"
    text = f"{cases}; effect {effect_text(finding, interval=True)}"
    has_curve = len(_of(result.curves, finding)) > 1
    return f"{text}; band: 95 % interval of the expectation" if has_curve else text


def _add_curve(
    figure: go.Figure, curve: pl.DataFrame, finding: Mapping[str, Any], theme: Theme
) -> None:
    silence = signal_named(finding["signal"]).draws == "silence"
    rows = curve.filter(pl.col("observed").is_not_null()).sort("x").to_dicts()
    x = [row["x"] for row in rows]
    band = [r for r in rows if r["expected_low"] is not None and r["expected_high"] is not None]
    figure.add_trace(
        go.Scatter(
            name="interval",
            mode="lines",
            x=[r["x"] for r in band] + [r["x"] for r in reversed(band)],
            y=[100 * r["expected_high"] for r in band]
            + [100 * r["expected_low"] for r in reversed(band)],
            fill="toself",
            fillcolor=faded(theme.flow, 0.28),
            line={"width": 0},
            hoverinfo="skip",
        )
    )
    lines = (
        ("expected", "similar handoffs", theme.muted, "dash"),
        ("observed", "this handoff", theme.finding, "solid"),
    )
    for name, label, colour, dash in lines:
        y = [None if row[name] is None else 100 * row[name] for row in rows]
        figure.add_trace(
            go.Scatter(
                name=name,
                mode="lines+markers",
                x=x,
                y=y,
                line={"color": colour, "width": 2.5, "dash": dash},
                marker={"size": 7 if silence else 1, "color": colour},
                hovertext=[
                    f"{label}: {share(row[name])} {_moment(finding, row['x'])}" for row in rows
                ],
                hoverinfo="text",
            )
        )
    _label_curves(figure, rows, theme, log=not silence)
    heading = "% not in touch again within that time" if silence else "% who have arrived by then"
    is_open = in_open_hours(finding)
    passed = "open hours" if is_open else "time"
    lay_out(
        figure,
        yaxis={"range": [0, 103], "title": {"text": heading}, "fixedrange": True},
        xaxis={
            "title": {"text": "days since" if silence else f"{passed} since the contact before"},
            "type": "linear" if silence else "log",
            "fixedrange": True,
            "showgrid": False,
        }
        | ({} if silence else _time_ticks(x, is_open=is_open)),
    )


def _moment(finding: Mapping[str, Any], x: float) -> str:
    silence = signal_named(finding["signal"]).draws == "silence"
    return f"silent for {x:.0f} days" if silence else f"within {wait_text(finding, x)}"


def _time_ticks(hours: list[float], *, is_open: bool) -> dict[str, Any]:
    ticks = [1 / 60, 1 / 6, 1, 3, 6, 12, 24, 72, 168, 336, 720, 2160]
    shown = [tick for tick in ticks if min(hours) <= tick <= max(hours)]
    # a day of open hours would be taken for a day
    names = [f"{t:g} h" if is_open and t >= 1 else duration(t * 3600) for t in shown]
    return {"tickvals": shown, "ticktext": names}


def _label_curves(
    figure: go.Figure, rows: list[dict[str, Any]], theme: Theme, *, log: bool
) -> None:
    """Name both curves where they are furthest apart: no legend to look up."""
    from math import log10

    known = [r for r in rows if r["expected"] is not None]
    if not known:
        return
    row = max(known, key=lambda r: abs(r["observed"] - r["expected"]))
    upper = row["observed"] >= row["expected"]
    labels = [
        {"x": log10(row["x"]) if log else row["x"], "y": 100 * row[name], "text": label}
        | {"xanchor": "right" if above else "left", "xshift": -10 if above else 10}
        | {"yshift": 10 if above else -12, "showarrow": False}
        | {"font": {"size": 13, "color": colour}, "bgcolor": faded(theme.paper, 0.75)}
        for name, label, colour, above in (
            ("observed", "<b>this handoff</b>", theme.finding, upper),
            ("expected", "similar handoffs", theme.muted, not upper),
        )
    ]
    lay_out(figure, annotations=labels)


def _add_next_steps(
    figure: go.Figure, onward: pl.DataFrame, finding: Mapping[str, Any], theme: Theme
) -> None:
    rows = onward.filter(pl.col("observed").is_not_null()).to_dicts()
    places = list(range(len(rows)))
    apart = [
        {"type": "line", "x0": 100 * row["others"], "x1": 100 * row["observed"], "y0": y, "y1": y}
        | {"line": {"width": 2, "color": theme.rule}, "layer": "below"}
        for row, y in zip(rows, places, strict=True)
        if row["others"] is not None
    ]
    for name, label, colour, symbol in (
        ("others", "came from elsewhere", theme.muted, "circle-open"),
        ("observed", "came by this handoff", theme.finding, "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                name=name,
                mode="markers",
                x=[None if row[name] is None else 100 * row[name] for row in rows],
                y=places,
                marker={
                    "size": 11,
                    "color": colour,
                    "symbol": symbol,
                    "line": {"width": 2, "color": colour},
                },
                hovertext=[
                    f"{label}: {share(row[name])} go to {plotly_text(row['next'])}" for row in rows
                ],
                hoverinfo="text",
            )
        )
    lay_out(
        figure,
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": places,
            "ticktext": [plotly_text(row["next"]) for row in rows],
            "tickfont": {"color": theme.ink, "size": 13},
            "showgrid": False,
            "fixedrange": True,
        },
        xaxis={
            "title": {"text": f"% who go there next from {plotly_text(finding['target'])}"},
            "rangemode": "tozero",
            "fixedrange": True,
        },
        margin={"t": int(figure.layout.margin.t) + 26},
        shapes=apart,
        annotations=[_which_is_which(theme)],
    )


def _which_is_which(theme: Theme) -> dict[str, Any]:
    text = (
        f'<span style="color:{theme.finding}">● <b>came by this handoff</b></span>   '
        f"○ came from elsewhere"
    )
    return (
        {"text": text, "showarrow": False, "font": {"size": 12, "color": theme.muted}}
        | {"x": 0, "xref": "paper", "xanchor": "left"}
        | {"y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 4}
    )


def _add_two_figures(figure: go.Figure, finding: Mapping[str, Any], theme: Theme) -> None:
    scale = _scale(finding)
    if finding["observed"] is None or finding["expected"] is None:
        lay_out(figure, xaxis={"visible": False}, yaxis={"visible": False})
        return
    effect = finding["effect"]
    ends = [
        0.0 if None in (effect, finding[end]) else scale * abs(finding[end] - effect)
        for end in ("low", "high")
    ]
    if finding["unit"].startswith("ratio"):  # its ends are no distances on this axis
        ends = [0.0, 0.0]
    values = [finding["observed"], finding["expected"]]
    figure.add_trace(
        go.Scatter(
            name="observed and expected",
            mode="markers+text",
            x=[scale * value for value in values],
            y=[0, 1],
            text=[observed_text(finding), figure_text(finding, finding["expected"])],
            textposition="top center",
            textfont={"size": 14, "color": [theme.finding, theme.muted]},
            marker={"size": 14, "color": [theme.finding, theme.muted]},
            error_x={
                "type": "data",
                "symmetric": False,
                # a larger effect means a smaller expectation
                "array": [0.0, ends[0]],
                "arrayminus": [0.0, ends[1]],
                "color": theme.muted,
                "thickness": 1.6,
                "width": 6,
            },
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    lay_out(
        figure,
        height=int(figure.layout.height) - 90,
        yaxis={
            "range": [1.6, -0.7],
            "tickvals": [0, 1],
            "ticktext": ["this handoff", "similar handoffs"],
            "tickfont": {"color": theme.ink, "size": 13},
            "showgrid": False,
            "fixedrange": True,
        },
        xaxis={
            "title": {"text": _axis_name(finding)},
            "rangemode": "tozero",
            "fixedrange": True,
            "nticks": 8,
        },
    )


def _add_expectation(
    figure: go.Figure, value: float, finding: Mapping[str, Any], theme: Theme
) -> None:
    line = {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": value, "y1": value}
    above = signal_named(finding["signal"]).family == "rating"  # the curve lies on the other side
    label = (
        {
            "text": f"similar handoffs {figure_text(finding, finding['expected'])}",
            "showarrow": False,
        }
        | {"x": 1, "xref": "paper", "xanchor": "right"}
        | {"y": value, "yanchor": "bottom" if above else "top"}
        | {"font": {"size": 12, "color": theme.muted}}
    )
    lay_out(
        figure,
        shapes=[line | {"line": {"width": 1.5, "dash": "dash", "color": theme.muted}}],
        annotations=[label],
    )


def _error(rows: list[dict[str, Any]], scale: float, theme: Theme) -> dict[str, Any]:
    if all(row["low"] is None or row["high"] is None for row in rows):
        return {"visible": False}
    ends = [
        (0.0, 0.0)
        if row["low"] is None or row["high"] is None
        else (scale * (row["high"] - row["observed"]), scale * (row["observed"] - row["low"]))
        for row in rows
    ]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(up, 0.0) for up, _ in ends],
        "arrayminus": [max(down, 0.0) for _, down in ends],
        "color": theme.muted,
        "thickness": 1.3,
        "width": 4,
    }


def _scale(finding: Mapping[str, Any]) -> float:
    return 100.0 if finding["unit"].startswith("share") else 1.0


def _axis_name(finding: Mapping[str, Any]) -> str:
    if signal_named(finding["signal"]).family == "wait":
        return f"median wait, {'open hours' if in_open_hours(finding) else 'hours'}"
    if signal_named(finding["signal"]).family == "rating":
        return "mean rating"
    return f"% of {finding['unit'].removeprefix('share of ')}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
