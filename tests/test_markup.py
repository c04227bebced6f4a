"""Text stays text: names that are markup appear as written, in figures, HTML and Markdown."""

import html
import re
from dataclasses import fields, is_dataclass, replace

import figure_findings
import figure_results
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from cxlib.figures import (
    plot_first_contacts,
    plot_paths,
    plot_stage_funnel,
    plot_touchpoint_list,
    plot_touchpoints,
    plot_transitions,
    plot_waits,
)
from cxlib.figures.finding_detail import plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import plot_finding_list, plot_findings
from cxlib.front.showing import explain
from cxlib.markup import html_text, markdown_text, plotly_text
from cxlib.tables import Written
from cxlib.views.journey_map.cards import touchpoint_cards

NAMES = ("pageview", "*sale* _now_", "<b>help</b> & co", "$100-$200 plan", "a | b", "# 1. `x`")
LINK = '<a href="https://evil.example">$x$</a>'
LABELS = ("touchpoint", "channel", "stage", "owner", "source", "target", "next", "name", "path")


def read(rendered: str) -> str:
    """What a reader sees of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", rendered)).strip()


@pytest.mark.parametrize("name", [*NAMES, LINK])
def test_a_name_is_read_as_it_was_written(name):
    assert read(html_text(name)) == name
    assert html.unescape(plotly_text(name)) == name
    said = markdown_text(name)
    for line in (said, f"after **{said}**: 3", f"- {said}"):
        assert name in read(markdown2html_mistune(line))
    table = Written(("name", "n"), ((name, "1"), (name, "2")), (False, True))
    cells = markdown2html_mistune(table.to_markdown())
    found = [read(cell) for cell in re.findall(r"<td.*?</td>", cells, re.DOTALL)]
    assert found == [name, "1", name, "2"]


@example(r"\(a\) and \[b\]")
@given(st.text("ab*_`[]()<>&$#~|^\\!1.- "))
def test_any_text_is_read_as_it_was_written(text):
    plain = " ".join(text.split())
    assert read(markdown2html_mistune(f"x {markdown_text(plain)} y")) == f"x {plain} y"
    assert read(html_text(plain)) == plain
    assert "<" not in plotly_text(plain)
    assert "$" not in plotly_text(plain) + markdown_text(plain) + html_text(plain)
    assert "\\" not in html_text(plain)  # nor do MathJax's brackets begin a formula


def with_links(value):
    """A result whose every name is a link."""
    if isinstance(value, pl.DataFrame):
        return value.with_columns(
            pl.format("{}" + LINK, pl.col(c)).alias(c)
            for c, dtype in value.schema.items()
            if dtype == pl.String and c.split("_", 1)[-1] in (*LABELS, "sentence")
        )
    if isinstance(value, tuple) and value and all(isinstance(v, str) for v in value):
        return tuple(f"{v}{LINK}" for v in value)
    if is_dataclass(value):
        return replace(
            value, **{f.name: with_links(getattr(value, f.name)) for f in fields(value) if f.init}
        )
    return value


FIGURES = {
    "first contacts": (plot_first_contacts, figure_results.first_contacts),
    "touchpoints": (plot_touchpoint_list, figure_results.touchpoints),
    "transitions": (plot_transitions, figure_results.transitions),
    "waits": (plot_waits, figure_results.waits),
    "paths": (plot_paths, figure_results.paths),
    "stage funnel": (plot_stage_funnel, figure_results.stage_funnel),
    "findings": (plot_finding_list, figure_findings.details),
    "matrix of findings": (plot_findings, figure_findings.details),
}


def texts(part, at=()):
    """Every text of a figure that is drawn; keys and the text alternative are not."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key not in ("customdata", "meta", "template", "ids"):
                yield from texts(value, (*at, key))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from texts(value, at)
    elif isinstance(part, str):
        yield part


def drawn(figure):
    return list(texts(figure.to_plotly_json()))


@pytest.mark.parametrize("name", FIGURES)
def test_no_name_is_markup_in_a_figure(name):
    plot, make = FIGURES[name]
    found = drawn(plot(with_links(make())))
    assert any("&lt;a href" in text for text in found), "the names are drawn"
    assert not [text for text in found if "<a " in text or "$x$" in text]


def test_no_name_is_markup_on_the_map_its_cards_and_details():
    result = with_links(figure_results.touchpoints())
    moves = with_links(figure_results.transitions())
    details = with_links(figure_findings.details())
    figures = [plot_touchpoints(result, transitions=moves)]
    for row in details.found.iter_rows(named=True):
        figures += [plot_finding_detail(details, row), plot_finding_trend(details, row)]
    assert len(figures) > 6
    for figure in figures:
        assert not [text for text in drawn(figure) if "<a " in text or "$x$" in text]
    cards = touchpoint_cards(result, transitions=moves)
    assert "&lt;a href" in cards
    assert "<a href" not in cards


def test_no_name_is_markup_in_an_explanation():
    details = with_links(figure_findings.details())
    for result in (with_links(figure_results.touchpoints()), details):
        text = explain(result)._repr_markdown_()
        assert "evil.example" in text
        assert LINK in read(markdown2html_mistune(text))
