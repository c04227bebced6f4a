"""Figures of findings: the answer is the title; findings stand out, all else is quiet."""

import re
from dataclasses import replace
from itertools import pairwise

import figure_findings as results
import plotly.graph_objects as go
import polars as pl
import pytest

from cxlib.figures.finding_detail import (
    describe_finding,
    describe_finding_trend,
    plot_finding_detail,
    plot_finding_trend,
)
from cxlib.figures.fragmentation import (
    affected_text,
    describe_finding_list,
    describe_findings,
    effect_text,
    finding_key,
    plot_finding_list,
    plot_findings,
)
from cxlib.figures.theme import LIGHT


@pytest.fixture
def result():
    return results.details()


def plain(text):
    return re.sub(r"<[^>]*>", " ", text).replace("\N{NO-BREAK SPACE}", " ")


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def finding(result, signal):
    return result.found.filter(pl.col("signal") == signal).row(0, named=True)


def test_the_sentence_says_how_many_whom_and_the_worst(result):
    said = describe_findings(result)
    assert said.startswith("4 handoffs break, affecting at least 210 customers; most of them: ")
    assert "product page → shop visit" in said
    one = results.details(results.ROWS[:1])
    assert describe_findings(one).startswith("1 handoff breaks, affecting at least 120 customers: ")


def test_without_findings_the_sentence_stays_calm_and_says_why():
    assert describe_findings(results.nothing()) == "No handoff stands out from similar handoffs"
    few = "the log has 12 customers, fewer than 200"
    assert describe_findings(results.nothing(few)) == f"No handoff could be judged: {few}"


@pytest.mark.parametrize(
    ("plot", "describe"),
    [(plot_findings, describe_findings), (plot_finding_list, describe_finding_list)],
)
def test_the_answer_is_the_title_and_the_text_alternative(result, plot, describe):
    figure = plot(result)
    assert plain(figure.layout.title.text) == plain(describe(result))
    assert figure.layout.meta["alt"] == describe(result)
    assert "6 tests" in figure.layout.title.subtitle.text
    assert plot(result, title="Mine").layout.title.text == "Mine"
    for empty in (results.nothing(), results.nothing("there is one channel only")):
        assert isinstance(plot(empty), go.Figure)
        assert describe(empty)


def test_findings_are_red_and_labelled_and_every_other_dot_is_grey(result):
    figure = plot_findings(result)
    found, quiet = trace(figure, "findings"), trace(figure, "handoffs")
    assert found.marker.color == LIGHT.finding
    assert list(found.customdata) == [finding_key(row) for row in result.found.to_dicts()]
    # The quiet dot below a finding is hit as easily, and has to lead to it too.
    below = {key: (x, y) for x, y, key in zip(quiet.x, quiet.y, quiet.customdata, strict=True)}
    above = dict(zip(found.customdata, zip(found.x, found.y, strict=True), strict=True))
    assert {key: place for key, place in below.items() if key} == above
    assert LIGHT.finding not in str(quiet.marker.color)
    assert len(quiet.x) == 6
    # rows run down, columns across, both in the order of the map
    first = result.found.row(0, named=True)
    assert (found.x[0], found.y[0]) == (first["target_place"], first["source_place"])
    labels = [plain(note.text).strip() for note in figure.layout.annotations]
    assert "long wait  ×3.0" in labels
    assert "customers leave  +20 points" in labels
    assert "low rating  −2.5" in labels
    assert {"Exploration", "Conversion"} <= set(labels)


def test_dots_grow_with_the_customers_and_the_signal_filters_findings_only(result):
    figure = plot_findings(result, signal="delay", selected="0>1>delay")
    sizes = dict(zip(zip(figure.data[0].y, figure.data[0].x, strict=True),
                     figure.data[0].marker.size, strict=True))  # fmt: skip
    assert sizes[0, 2] > sizes[0, 1] > sizes[1, 0]
    assert list(trace(figure, "findings").customdata) == ["0>1>delay"]
    assert len(figure.data[0].x) == 6


def test_the_list_shows_effects_with_intervals_in_their_own_units(result):
    figure = plot_finding_list(result)
    shares, waits, _ = (t for t in figure.data if t.mode == "markers")
    assert list(shares.x)[:2] == pytest.approx([20.0, -1.0])
    assert list(shares.error_x.array)[:2] == pytest.approx([8.0, 3.0])
    assert list(shares.error_x.arrayminus)[:2] == pytest.approx([8.0, 3.0])
    assert list(shares.marker.color)[:2] == [LIGHT.finding, LIGHT.flow]
    assert list(waits.x) == [3.0, 1.1]
    assert figure.layout[waits.xaxis.replace("x", "xaxis")].type == "log"
    assert [line.x0 for line in figure.layout.shapes] == [0.0, 1.0, 0.0]
    said = [plain(text) for t in figure.data if t.mode == "text" for text in t.text]
    assert "customers leave" in map(str.strip, said)  # in a column of its own
    assert "+20 points (+12 to +28)" in map(str.strip, said)


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        ("delay", "×3.0 (2.4–3.6)"),
        ("abandonment", "+20 points (+12 to +28)"),
        ("perception_dip", "−2.5 (−3.1 to −1.9)"),
    ],
)
def test_effects_are_written_in_their_unit_with_the_interval(result, signal, text):
    assert plain(effect_text(finding(result, signal), interval=True)) == text


def test_what_may_not_be_shown_is_said_and_never_a_zero(result):
    hidden = finding(result, "delay") | {"effect": None, "customers_affected": None}
    assert effect_text(hidden) == "too few to be shown"
    assert affected_text(hidden, k=10) == "fewer than 10"


def test_the_matrix_names_the_channel_where_a_touchpoint_is_on_several(result):
    places = result.places.with_columns(touchpoint=pl.lit("help page"))
    figure = plot_findings(replace(result, places=places))
    channels = places.filter(pl.col("place").is_in([*result.table["source_place"].unique()]))
    names = figure.layout.yaxis.ticktext
    assert {f"help page ({channel})" for channel in channels["channel"]} <= set(names)


def test_names_of_narrow_stages_do_not_stand_in_one_another(result):
    def raised(stages):
        told = result.places.with_columns(stage=pl.Series(stages))
        figure = plot_findings(replace(result, places=told))
        return [a.yshift for a in figure.layout.annotations if a.yref == "paper"]

    size = len(result.places)
    assert set(raised(["sale"] * size)) == {4}
    apart = raised([f"{i} exploration of what there is" for i in range(size)])
    assert all(a != b for a, b in pairwise(apart))


def test_silence_is_a_curve_against_its_expectation_with_a_band(result):
    figure = plot_finding_detail(result, finding(result, "abandonment"))
    assert plain(figure.layout.title.text) == describe_finding(finding(result, "abandonment"))
    assert list(trace(figure, "observed").x) == [0, 7, 14, 30]
    assert list(trace(figure, "observed").y) == pytest.approx([90, 80, 70, 60])
    assert list(trace(figure, "expected").y) == pytest.approx([80, 60, 40, 20])
    assert len(trace(figure, "interval").x) == 8
    assert trace(figure, "observed").line.color == LIGHT.finding


def test_those_sent_back_are_shown_beside_those_from_elsewhere(result):
    figure = plot_finding_detail(result, finding(result, "backtracking"))
    observed, others = (t for t in figure.data if t.mode == "markers")
    assert list(observed.x) == [50, 30]
    assert list(others.x) == [20, 60]
    assert set(observed.marker.color) == {LIGHT.finding}
    assert figure.layout.yaxis.ticktext == ("product page", "till")


def test_without_a_curve_two_figures_stand_side_by_side(result):
    figure = plot_finding_detail(result, finding(result, "perception_dip"))
    pair, said = figure.data
    assert list(pair.x) == [5.0, 7.5]
    # a larger effect would mean a smaller expectation: the ends change sides
    assert list(pair.error_x.array) == pytest.approx([0.0, 0.6])
    assert [plain(text).strip() for text in said.text] == ["5.0, 31 % answered", "7.5"]


def test_the_trend_counts_complete_periods_only(result):
    row = finding(result, "abandonment")
    assert "worse than expected in 2 of 3 complete periods" in describe_finding_trend(result, row)
    figure = plot_finding_trend(result, row)
    observed = trace(figure, "observed")
    assert list(observed.y) == pytest.approx([20, 50, 50, 90])
    assert list(observed.marker.line.color)[-1] == LIGHT.flow
    assert list(observed.marker.color)[2] == LIGHT.paper
    assert figure.layout.yaxis.range[1] < 90


def test_a_finding_without_periods_can_be_drawn(result):
    row = finding(result, "delay")
    assert describe_finding_trend(result, row).endswith("too few cases to be shown by period")
    assert isinstance(plot_finding_trend(result, row), go.Figure)


def test_a_finding_that_changes_sign_is_hollow_and_says_so(result):
    shaky = pl.when(pl.col("signal") == "abandonment").then(False).otherwise("stable")
    figure = plot_findings(results.details(table=result.table.with_columns(stable=shaky)))
    marks = trace(figure, "findings")
    hollow = [
        key
        for key, s in zip(marks.customdata, marks.marker.symbol, strict=True)
        if s == "circle-open"
    ]
    assert [key.split(">")[2] for key in hollow] == ["abandonment"]
    said = [a.text for a in figure.layout.annotations if a.text.endswith("unstable")]
    assert len(said) == 1


def test_long_names_leave_the_rows_of_the_matrix_their_height(result):
    places = result.places.with_columns(pl.col("touchpoint") + " of a very long name, that goes on")
    figure = plot_findings(replace(result, places=places), title="")
    usual = plot_findings(result, title="")
    names = figure.layout.yaxis.ticktext
    assert max(map(len, names)) <= 40
    longest = max(map(len, names))
    assert figure.layout.height - usual.layout.height >= 5 * longest - 95 > 0
