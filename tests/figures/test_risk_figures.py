"""Figures of predictions: every row drawn, the answer as title and text alternative."""

from datetime import UTC, datetime, timedelta
from html import unescape

import polars as pl
import pytest

from cxlib.figures.risk import (
    plot_calibration,
    plot_handoff_forecast,
    plot_journey_risk,
    plot_rankings,
)
from cxlib.figures.theme import theme_named
from cxlib.fragmentation.backtest import Backtest
from cxlib.fragmentation.forecast import HandoffForecast
from cxlib.fragmentation.risk import JourneyRisk

UNTIL = datetime(2025, 9, 1, tzinfo=UTC)
GAP = timedelta(days=30)


def declared(made, **given):
    """Tables as the class declares them; columns that are not given are null."""
    frames = {
        name: columns.frame(given.pop(name, pl.DataFrame()).to_dicts())
        for name, columns in made.tables.items()
    }
    return made(**frames, **given)


def journey_risk(**more):
    handoffs = pl.DataFrame(
        {
            "source": ["product <page>", None],
            "touchpoint": ["basket", "display ad"],
            "channel": ["web", "ads"],
            "stage": ["conversion", "awareness"],
            "customers": [40, 60],
            "risk_now": [0.5, 0.25],
            "expected": [20.0, 15.0],
            "contacts": [900, 0],
            "before": [0.3, None],
            "before_low": [0.25, None],
            "before_high": [0.36, None],
        }
    )
    given = {
        "table": pl.DataFrame({"risk_now": [0.5] * 40 + [0.25] * 60}),
        "observed_until": UNTIL,
        "by_risk": pl.DataFrame(),
        "handoffs": handoffs,
        "models": pl.DataFrame(),
        "horizon": GAP,
        "contacts": 5_000,
        "customers": 900,
        "sample_step": 1,
    }
    return declared(JourneyRisk, **(given | more))


def forecast(rows=2):
    table = pl.DataFrame(
        {
            "source": ["basket", "chat"], "target": ["till", "call"], "n": [120.0, 80.0],
            "excess": [0.2, -0.01], "excess_low": [0.1, -0.05], "excess_high": [0.28, 0.03],
            "customers": [24.0, -0.8], "customers_low": [12.0, -4.0],
            "customers_high": [33.6, 2.4], "chance": [0.97, 0.01], "could_break": [True, False],
        }
    ).head(rows)  # fmt: skip
    return declared(
        HandoffForecast,
        table=table,
        observed_until=UNTIL,
        signal="abandonment",
        change_rate=0.02,
        spans=pl.DataFrame(),
        reason=None if rows else "the log is too short",
    )


def backtested():
    calibration = pl.DataFrame(
        {
            "group": [1, 2], "contacts": [500, 500], "predicted": [0.1, 0.6],
            "observed": [0.12, 0.75], "observed_low": [0.09, 0.7], "observed_high": [0.15, 0.8],
            "inside": [True, False],
        }
    )  # fmt: skip
    scores = {
        f"{name}{end}": [value] * 2
        for name, value in (("brier", 0.16), ("skill", 0.1), ("gain", -0.01))
        for end in ("", "_low", "_high")
    }
    methods = ["forecast", "same as last period", "raw drop-off", "no excess"]
    overlap = pl.DataFrame(
        {
            "method": methods, "hits": [6, 5, 3, None], "of": [20] * 4,
            "overlap": [0.3, 0.25, 0.15, None], "by_chance": [2.0] * 4,
            "cases": [120.0, 100.0, 40.0, None], "rmse": [0.03, 0.04, None, 0.05],
        }
    )  # fmt: skip
    handoffs = pl.DataFrame({"from": [1] * 4, "method": methods, "rmse": [0.03, 0.04, None, 0.05]})
    return declared(
        Backtest,
        table=pl.DataFrame(scores | {"calibration_error": [0.02, 0.02]}),
        observed_until=UNTIL,
        calibration=calibration,
        under_way=pl.DataFrame(),
        under_way_calibration=calibration,
        handoffs=handoffs,
        overlap=overlap,
        horizon=GAP,
        signal="abandonment",
    )


def words(figure):
    return unescape((figure.layout.title.text or "").replace("<br>", " "))


def test_journey_risk_is_drawn_by_handoff():
    result = journey_risk()
    figure = plot_journey_risk(result)
    assert words(figure) == result.sentence == figure.layout.meta["alt"]
    assert list(figure.layout.yaxis.ticktext) == ["product &lt;page&gt; → basket", "display ad"]
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [list(bar.x) for bar in bars] == [[40.0, 60.0], [0.5, 0.25]]
    points = next(trace for trace in figure.data if trace.type == "scatter" and len(trace.x) == 1)
    assert points.x[0] == 0.3  # what was never seen before has no point
    assert "product &lt;page&gt;" in points.hovertext[0]


def test_the_forecast_shows_both_ends_and_stands_out_only_where_it_is_likely():
    result = forecast()
    figure = plot_handoff_forecast(result)
    trace = figure.data[0]
    assert list(trace.x) == [0.2, -0.01]
    assert list(trace.error_x.array) == pytest.approx([0.08, 0.04])
    assert list(trace.error_x.arrayminus) == pytest.approx([0.1, 0.04])
    theme = theme_named()
    assert list(trace.marker.color) == [theme.finding, theme.flow]
    assert "Of 2 handoffs 1 is more likely than not" in words(figure)


def test_calibration_and_rankings_say_how_good_it_was():
    result = backtested()
    figure = plot_calibration(result)
    assert list(figure.data[1].x) == [0.1, 0.6]
    assert list(figure.data[1].error_y.arrayminus) == pytest.approx([0.03, 0.05])
    assert "worse than the past rate of the handoff alone" in words(figure)
    ranked = plot_rankings(result)
    assert list(ranked.data[0].x) == [6.0, 5.0, 3.0]
    assert "neither better nor worse (beyond chance) than last period" in words(ranked)
    assert plot_rankings(result, title="Ours").layout.title.text == "Ours"


def test_no_prediction_is_an_empty_figure_with_the_reason():
    empty = journey_risk(
        table=pl.DataFrame({"risk_now": []}, schema={"risk_now": pl.Float64}),
        handoffs=journey_risk().handoffs.clear(),
        reason="the log covers 24 hours",
    )
    assert words(plot_journey_risk(empty)).startswith("Not measurable, because the log covers")
    assert words(plot_handoff_forecast(forecast(0))) == (
        "Not measurable, because the log is too short."
    )
