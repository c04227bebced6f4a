"""The other figures: the answer is the title, what it rests on below it, the numbers in place."""

import importlib
import re
from dataclasses import replace

import figure_results as results
import numpy as np
import plotly.graph_objects as go
import pytest

from cxlib.figures import (
    describe_first_contacts,
    describe_funnel,
    describe_paths,
    describe_stage_funnel,
    describe_touchpoints,
    describe_transitions,
    describe_waits,
    plot_first_contacts,
    plot_funnel,
    plot_paths,
    plot_stage_funnel,
    plot_touchpoints,
    plot_transitions,
    plot_waits,
)
from cxlib.figures.rows import Points, Span
from cxlib.measures.transitions import Transitions

ALL = [
    (plot_touchpoints, describe_touchpoints, results.touchpoints),
    (plot_first_contacts, describe_first_contacts, results.first_contacts),
    (plot_stage_funnel, describe_stage_funnel, results.stage_funnel),
    (plot_funnel, describe_funnel, results.funnel),
    (plot_transitions, describe_transitions, results.transitions_by_name),
    (plot_transitions, describe_transitions, results.transitions),
    (plot_waits, describe_waits, results.waits),
    (plot_paths, describe_paths, results.paths),
]
IDS = [f"{make.__name__}" for *_, make in ALL]


def plain(text):
    return re.sub(r"<[^>]*>", " ", text).replace("\N{NO-BREAK SPACE}", " ")


def bars(figure):
    return [t for t in figure.data if isinstance(t, go.Bar)]


@pytest.mark.parametrize(("plot", "describe", "make"), ALL, ids=IDS)
def test_the_answer_is_the_title_and_the_text_alternative(plot, describe, make):
    result = make()
    figure = plot(result)
    assert plain(figure.layout.title.text) == plain(describe(result))
    assert figure.layout.meta["alt"] == describe(result)
    assert re.search(r"\d", figure.layout.title.subtitle.text)
    assert plot(result, title="Mine").layout.title.text == "Mine"
    assert plot(result, title="").layout.title.text is None


@pytest.mark.parametrize(("plot", "describe", "make"), ALL, ids=IDS)
def test_a_result_without_rows_can_be_drawn_and_described(plot, describe, make):
    result = make()
    empty = replace(result, table=result.table.clear())
    if plot is plot_funnel:
        return  # a funnel has at least one step
    assert describe(empty)
    assert isinstance(plot(empty), go.Figure)


@pytest.mark.parametrize(("plot", "describe", "make"), ALL, ids=IDS)
def test_figures_do_not_change_what_they_are_given(plot, describe, make):
    result = make()
    before = result.table.clone()
    plot(result)
    assert result.table.equals(before)


def test_first_contacts_show_shares_with_whiskers_and_leave_out_the_rarest():
    figure = plot_first_contacts(results.first_contacts())
    (bar,) = bars(figure)
    assert bar.x == pytest.approx([700 / 1004, 300 / 1004])
    assert bar.error_x.array == pytest.approx([0.02, 0.02])
    assert list(bar.marker.color) == ["#0072b2", "#007a5a"]
    assert figure.layout.yaxis.ticktext == ("display ad", "shop visit (store)")
    assert "1 rarer ones (0.4 %) are not shown" in plain(figure.layout.title.subtitle.text)
    sentence = plain(describe_first_contacts(results.first_contacts()))
    assert sentence.startswith("70 % (68–72) of journeys begin with display ad; those that begin")
    assert "shop visit" in sentence
    assert "hotline" not in sentence


def test_the_stage_funnel_splits_to_one():
    figure = plot_stage_funnel(results.stage_funnel())
    _, further, done, lost = bars(figure)
    total = np.array(further.x) + np.array(done.x) + np.array(lost.x)
    assert total == pytest.approx([1, 1, 1])
    assert list(lost.base) == pytest.approx([0.5, 0.7, 0.9])
    assert "awareness: 50 % (48–52)" in plain(describe_stage_funnel(results.stage_funnel()))


def test_a_funnel_keeps_open_apart_from_lost():
    figure = plot_funnel(results.funnel())
    parts = {t.name: t for t in bars(figure) if t.name}
    assert list(parts) == ["next step", "goal, other way", "still open", "lost"]
    assert [parts[name].x[0] for name in parts] == pytest.approx([0.4, 0.05, 0.15, 0.4])
    assert [parts[name].x[2] for name in parts] == [0, 0, 0, 0]
    sentence = plain(describe_funnel(results.funnel()))
    assert "the hardest step is page → basket: 45 % (43–47)" in sentence


def test_transitions_are_a_matrix_of_shares():
    figure = plot_transitions(results.transitions_by_name())
    (matrix,) = figure.data
    rows, columns = figure.layout.yaxis.ticktext, figure.layout.xaxis.ticktext
    assert rows == columns
    assert rows[0] == "product page"
    at = np.array(matrix.z)[rows.index("display ad"), columns.index("product page")]
    assert at == pytest.approx(0.5)
    hover = matrix.hovertext[rows.index("payment")][columns.index("payment")]
    assert "does not occur" in hover
    sentence = plain(describe_transitions(results.transitions_by_name()))
    assert sentence.startswith("Most often product page follows display ad: after 50 % (48–52)")


def test_many_touchpoints_are_cut_to_what_can_be_read_and_the_rest_is_counted():
    names = [f"t{i}" for i in range(40)]
    rows = [
        {"source": a, "target": b, "n": 10 + i, "share": 0.1, "share_low": 0.0, "share_high": 0.2}
        for i, a in enumerate(names)
        for b in (names[(i + 1) % 40],)
    ]
    table = Transitions.tables["table"].frame(rows)
    figure = plot_transitions(Transitions(table=table, contacts=1, observed_until=results.UNTIL))
    assert len(figure.layout.yaxis.ticktext) == 24
    assert "16 more and not shown" in plain(figure.layout.title.subtitle.text)


def test_waits_show_the_slowest_first_and_no_self_loop():
    figure = plot_waits(results.waits())
    assert figure.layout.yaxis.ticktext == ("ad → page", "page → basket")
    points = figure.data[0]
    assert list(points.x) == [9 * 3600, 2 * 3600]
    assert list(points.error_x.array) == [9 * 3600, 2 * 3600]
    assert "9 h" in plain(describe_waits(results.waits()))


def test_a_long_path_is_cut_and_whole_in_the_hover():
    figure = plot_paths(results.paths())
    texts = next(t for t in figure.data if t.mode == "text")
    assert texts.text[0] == "ad → page"
    assert texts.text[1].endswith("…")
    assert texts.text[1].count("<br>") == 1
    assert texts.hovertext[1].count("page") == 40
    assert "3 rarer paths (30 % of journeys)" in plain(figure.layout.title.subtitle.text)


def test_every_public_name_is_where_it_is_said_to_be():
    figures = importlib.import_module("cxlib.figures")
    names = [name for name in dir(figures) if not name.startswith("__")]
    assert {"plot_touchpoints", "describe_waits"} <= set(names)
    for name in names:
        assert callable(getattr(figures, name)), name
    with pytest.raises(AttributeError, match="plot_nothing"):
        _ = figures.plot_nothing


@pytest.mark.parametrize("text", ["0 (−25 to +21)", "+0.5 points (−25.0 to +20.8)"])
def test_a_figure_beside_the_longest_whisker_is_not_cut_off(text):
    column = Points("difference", 1.0, [Span(0.0, -0.25, 0.208)], [text])
    _, (start, end) = column.drawn("x", [""])
    # a third of the picture on a laptop is 300 px wide, a character 6.6
    assert 0.208 + len(text) * 6.6 / 300 * (end - start) < end
