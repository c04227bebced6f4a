"""The curve and the spectrum: every row is drawn, and the sentence is the title."""

from datetime import UTC, datetime

import plotly.graph_objects as go
import pytest

from cxlib.figures import plot_experience_curve, plot_spectrum
from cxlib.measures.experience import ExperienceCurve, Spectrum

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)


def curve(*scales):
    rows = [
        {
            "stage": "s",
            "touchpoint": name,
            "scale": scale,
            "n": n,
            "customers": n,
            "contacts": 4 * n,
        }
        | {"response": 0.25, "mean": mean, "mean_low": mean - 0.4, "mean_high": mean + 0.4}
        | {"weighted": mean, "weighted_low": mean - 0.5, "weighted_high": mean + 0.5}
        for scale in scales
        for name, n, mean in (("ad", 40, 6.0), ("<b>visit", 60, 8.5), ("bill", 30, 5.0))
    ]
    return ExperienceCurve(table=ExperienceCurve.tables["table"].frame(rows), observed_until=UNTIL)


def spectrum(*groups):
    rows = [
        {"scale": "nps", "group": group, "answer": a, "side": side, "n": n, "customers": n}
        | {"share": n / 40, "share_low": 0.0, "share_high": 1.0, "up_to": 1.0}
        for group in groups
        for a, side, n in ((2.0, "low", 10), (7.0, "middle", 6), (10.0, "high", 24))
    ]
    return Spectrum(
        table=Spectrum.tables["table"].frame(rows), by="touchpoint", observed_until=UNTIL
    )


def test_the_curve_draws_every_touchpoint_in_the_order_of_the_map():
    figure = plot_experience_curve(curve("nps"))
    assert list(figure.data[0].x) == [6.0, 8.5, 5.0]
    assert figure.layout.title.text.startswith("nps: lowest at bill (5.0")
    assert "<b><b>" not in str(figure.data[0].hovertext)
    assert "130 answers" in figure.layout.title.subtitle.text.replace("\N{NO-BREAK SPACE}", " ")


def test_several_scales_are_named_row_by_row():
    figure = plot_experience_curve(curve("nps", "stars"))
    assert "stars: bill" in str(figure.to_dict())


def test_the_spectrum_splits_each_group_into_low_middle_and_high():
    figure = plot_spectrum(spectrum("visit", "bill"))
    assert figure.layout.title.text.startswith("nps: 25")
    shares = [list(trace.x) for trace in figure.data if isinstance(trace, go.Bar)][:3]
    assert [s[0] for s in shares] == pytest.approx([0.25, 0.15, 0.6])


def test_nothing_rated_is_drawn_as_nothing():
    assert plot_experience_curve(curve()).layout.meta["alt"] == "No touchpoint is rated"
    assert plot_spectrum(spectrum()).layout.meta["alt"] == "Nothing is rated"
