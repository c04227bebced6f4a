"""What could break next, and how good such predictions were: drawn with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from cxlib.figures.rows import Span, add_bars, add_points, new_rows
from cxlib.figures.theme import Theme, new_figure, theme_named
from cxlib.markup import plotly_text
from cxlib.numbers import people, plural, share

if TYPE_CHECKING:
    from cxlib.fragmentation.backtest import Backtest
    from cxlib.fragmentation.forecast import HandoffForecast
    from cxlib.fragmentation.risk import JourneyRisk

__all__ = [
    "plot_calibration",
    "plot_handoff_forecast",
    "plot_journey_risk",
    "plot_rankings",
]

MOST_ROWS = 12
"""Handoffs that are drawn; the rest stands in the result's table."""


def plot_journey_risk(result: JourneyRisk, *, title: str | None = None) -> go.Figure:
    """Draw where the customers under way stand, and what share of them is expected to fragment.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.risk.predict_journey_risk`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.handoffs.head(MOST_ROWS).to_dicts()
    figure = new_rows(
        [_from_to(row["source"], row["touchpoint"]) for row in rows],
        [("customers under way", 0.8), ("expected to fragment", 0.8), ("did so before", 1.0)],
        theme=theme,
        title=result.sentence if title is None else title,
        subtitle=f"{plural(len(result.table), 'customer')} under way; whiskers: 95 % intervals",
        alt=result.sentence,
    )
    hovers = [_hover_risk(row) for row in rows]
    add_bars(
        figure,
        [Span(float(row["customers"])) for row in rows],
        [people(row["customers"]) for row in rows],
        column=1,
        colours=[theme.accent] * len(rows),
        theme=theme,
        hovers=hovers,
    )
    add_bars(
        figure,
        [Span(row["risk_now"]) for row in rows],
        [share(row["risk_now"]) for row in rows],
        column=2,
        colours=[theme.lost] * len(rows),
        theme=theme,
        hovers=hovers,
    )
    add_points(
        figure,
        [Span(row["before"], row["before_low"], row["before_high"]) for row in rows],
        [share(row["before"], row["before_low"], row["before_high"]) for row in rows],
        column=3,
        theme=theme,
        hovers=hovers,
    )
    return figure


def plot_handoff_forecast(result: HandoffForecast, *, title: str | None = None) -> go.Figure:
    """Draw the excess that is expected of each handoff in the next span of time.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.forecast.predict_handoffs`.
    title
        None: a sentence with the answer.
    """
    theme = theme_named()
    rows = result.table.head(MOST_ROWS).to_dicts()
    figure = new_figure(
        theme=theme,
        title=result.sentence if title is None else title,
        subtitle=f"Excess over like handoffs ({result.signal}); whiskers: 95 % intervals",
        alt=result.sentence,
        height=180 + 34 * max(len(rows), 1),
    )
    figure.add_vline(x=0, line={"color": theme.muted, "width": 1})
    figure.add_trace(
        _points(
            [row["excess"] for row in rows],
            [plotly_text(_from_to(row["source"], row["target"])) for row in rows],
            error_x=_whiskers(
                [(row["excess"], row["excess_low"], row["excess_high"]) for row in rows], theme
            ),
            colours=[theme.finding if row["could_break"] else theme.flow for row in rows],
            hovers=[_hover_forecast(row) for row in rows],
        )
    )
    figure.update_layout(showlegend=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(tickformat=".0%", title="more (right) or fewer (left) than like handoffs")
    return figure


def plot_calibration(result: Backtest, *, title: str | None = None) -> go.Figure:
    """Draw predicted against observed shares; perfect predictions lie on the line.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.backtest.backtest_risk`.
    title
        None: how good the predictions were, in words.
    """
    theme = theme_named()
    rows = result.calibration.to_dicts()
    contacts = sum(row["contacts"] for row in rows)
    figure = new_figure(
        theme=theme,
        title=result.sentence if title is None else title,
        subtitle=(
            f"{plural(contacts, 'contact')} after the dates of prediction, in ten groups; "
            "whiskers: 95 % intervals over customers"
        ),
        alt=result.sentence,
        height=480,
    )
    figure.add_trace(
        go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip",
            line={"color": theme.rule, "width": 2},
        )
    )  # fmt: skip
    spans = [(row["observed"], row["observed_low"], row["observed_high"]) for row in rows]
    figure.add_trace(
        _points(
            [row["predicted"] for row in rows],
            [row["observed"] for row in rows],
            error_y=_whiskers(spans, theme),
            colours=[theme.accent if row["inside"] else theme.lost for row in rows],
            hovers=[_hover_group(row) for row in rows],
        )
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="predicted to fragment")
    figure.update_yaxes(range=[0, 1], tickformat=".0%", title="did fragment")
    return figure


def plot_rankings(result: Backtest, *, title: str | None = None) -> go.Figure:
    """Draw how many of the handoffs that turned out worst each way of ranking had named.

    Parameters
    ----------
    result
        From `cxlib.fragmentation.backtest.backtest_risk`.
    title
        None: how good the forecast was, in words.
    """
    theme = theme_named()
    rows = [row for row in result.overlap.to_dicts() if row["hits"] is not None]
    of = rows[0]["of"] if rows else 0
    figure = new_rows(
        [row["method"] for row in rows],
        [(f"named of the {of} worst", 1.0), ("cases above expectation they had", 1.0)],
        theme=theme,
        title=result.handoff_sentence if title is None else title,
        subtitle=f"By chance {rows[0]['by_chance']:.1f} would be named" if rows else "",
        alt=result.handoff_sentence,
    )
    colours = [theme.accent, *[theme.flow] * len(rows)][: len(rows)]
    for column, name in ((1, "hits"), (2, "cases")):
        add_bars(
            figure,
            [Span(float(row[name])) for row in rows],
            [people(row[name]) for row in rows],
            column=column,
            colours=colours,
            theme=theme,
            hovers=[f"<b>{row['method']}</b><br>{row['hits']} of {of}" for row in rows],
        )
    return figure


def _points(
    x: list[Any], y: list[Any], *, colours: list[str], hovers: list[str], **errors: Any
) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 9, "color": colours, "line": {"width": 0}},
        hovertext=hovers,
        hoverinfo="text",
        **errors,
    )


def _whiskers(spans: list[tuple[float, float, float]], theme: Theme) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in spans],
        "arrayminus": [value - low for value, low, _ in spans],
        "color": theme.muted,
        "thickness": 1.2,
        "width": 0,
    }


def _from_to(source: str | None, target: str) -> str:
    return target if source is None else f"{source} → {target}"


def _hover_risk(row: Mapping[str, Any]) -> str:
    head = plotly_text(_from_to(row["source"], row["touchpoint"]))
    lines = [
        f"<b>{head}</b>",
        f"{plural(row['customers'], 'customer')} under way",
        f"{people(row['expected'])} expected to fragment",
    ]
    if row["before"] is not None:
        before = share(row["before"], row["before_low"], row["before_high"])
        lines.append(f"after {before} of {plural(row['contacts'], 'contact')} they did before")
    return "<br>".join(lines)


def _hover_forecast(row: Mapping[str, Any]) -> str:
    excess = share(row["excess"], row["excess_low"], row["excess_high"])
    return "<br>".join(
        [
            f"<b>{plotly_text(row['source'])} → {plotly_text(row['target'])}</b>",
            f"{excess} more than like handoffs, of {people(row['n'])} arrivals",
            f"chance of more than 5 points: {share(row['chance'])}",
        ]
    )


def _hover_group(row: Mapping[str, Any]) -> str:
    observed = share(row["observed"], row["observed_low"], row["observed_high"])
    return (
        f"{plural(row['contacts'], 'contact')}<br>predicted {share(row['predicted'])}<br>"
        f"observed {observed}"
    )
