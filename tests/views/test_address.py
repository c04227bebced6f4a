"""The address of a dashboard: a link restores what is published, and can bring nothing else."""

import re
from datetime import date
from html import unescape
from types import SimpleNamespace
from urllib.parse import urlencode

import ipywidgets as widgets
import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

from cxlib.views import VIEWS, view_named
from cxlib.views.shared import words
from cxlib.views.shared.address import LONGEST, LinkedState
from cxlib.views.shared.filters import Filter, Option, period_options, segment_options


def texts(options):
    return {option.text: option.value for option in options}


UNKNOWN_SEGMENT, UNKNOWN_PERIOD = (
    words.UNKNOWN.format(name=label) for label in (words.CUSTOMERS, words.PERIOD)
)
SEGMENTS = texts(segment_options([("persona", "planner & co"), ("region", "Köln/Süd")]))
PERIODS = texts(period_options([date(2025, month, 1) for month in (1, 4, 7)], "quarter"))


class State(traitlets.HasTraits):
    segment = traitlets.Tuple(default_value=None, allow_none=True)
    period = traitlets.Tuple(default_value=None, allow_none=True)


def linked(segments=SEGMENTS):
    """A state tied to an address, and how often it told of a change."""
    state, told = State(), []
    state.observe(lambda change: told.append((state.segment, state.period)), "segment")
    filters = [
        Filter(trait=trait, label=label, options=lambda _, known=known: known)
        for trait, label, known in (
            ("segment", words.CUSTOMERS, [Option(t, t, v) for t, v in segments.items()]),
            ("period", words.PERIOD, [Option(t, t, v) for t, v in PERIODS.items()]),
        )
    ]
    view = SimpleNamespace(
        filters=filters,
        state=state,
        message=widgets.HTML(),
        usual=lambda of: None,
        options=lambda of: of.options(None),
    )
    link = LinkedState(view)
    link.message = view.message
    return link, state, told


@pytest.mark.parametrize("segment", [None, *SEGMENTS.values()])
@pytest.mark.parametrize("period", [None, (0, 0), (1, 2)])
def test_what_is_written_is_read_back(segment, period):
    link, state, _ = linked()
    state.segment, state.period = segment, period
    link.write()
    other, restored, _ = linked()
    other.widget.asked = link.widget.selected
    assert (restored.segment, restored.period) == (segment, period)
    assert other.message.value == ""
    assert other.widget.answered == link.widget.selected


def test_the_address_says_it_in_plain_words():
    link, state, _ = linked()
    state.segment, state.period = ("persona", "planner & co"), (0, 1)
    link.write()
    assert link.widget.selected == "segment=persona%3Aplanner+%26+co&period=2025-Q1..2025-Q2"
    assert set(PERIODS) >= {"2025-Q1", "2025-Q1..2025-Q3", "2025-Q3"}
    assert texts(period_options([date(2025, 6, 2)], "week")) == {"2025-06-02": (0, 0)}


def test_several_filters_are_told_of_together():
    link, state, told = linked()
    link.widget.asked = "segment=persona:planner+%26+co&period=2025-Q2"
    assert told == [(("persona", "planner & co"), (1, 1))]
    assert state.period == (1, 1)


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        ("segment=persona:nobody", UNKNOWN_SEGMENT),
        ("period=2024-Q1", UNKNOWN_PERIOD),
        ("period=2025-Q2..2025-Q1", UNKNOWN_PERIOD),
        ("segment=a&segment=b&segment=c", words.UNREADABLE),
        ("segment=" + "x" * LONGEST, words.UNREADABLE),
    ],
)
def test_what_is_not_published_is_said_calmly_and_not_repeated(asked, note):
    link, state, told = linked()
    link.widget.asked = asked
    assert unescape(re.sub("<[^>]*>", "", link.message.value)) == note
    assert told == []
    assert (state.segment, state.period) == (None, None)
    assert link.widget.answered == asked


def test_the_rest_of_a_link_holds_where_a_part_is_unknown():
    link, state, _ = linked()
    link.widget.asked = "segment=persona:nobody&period=2025-Q3"
    assert state.period == (2, 2)
    assert UNKNOWN_SEGMENT in link.message.value


@given(
    st.text(max_size=80)
    | st.dictionaries(st.sampled_from(["segment", "period", "x"]), st.text(max_size=20)).map(
        urlencode
    )
)
def test_no_address_brings_anything_but_a_published_choice(asked):
    link, state, _ = linked()
    link.widget.asked = asked
    assert state.segment in {None, *SEGMENTS.values()}
    assert state.period in {None, *PERIODS.values()}
    notes = {"", words.UNREADABLE, UNKNOWN_SEGMENT, UNKNOWN_PERIOD}
    said = re.split("</p>", unescape(link.message.value))
    assert {re.sub("<[^>]*>", "", part) for part in said} <= notes
    assert link.widget.answered == asked


def test_the_address_is_followed_on_a_served_page_only(monkeypatch):
    monkeypatch.delenv("VOILA_BASE_URL", raising=False)
    assert not linked()[0].widget.active
    monkeypatch.setenv("VOILA_BASE_URL", "/")
    assert linked()[0].widget.active


def test_every_part_of_an_address_has_its_note_and_a_name_of_its_own():
    for view in map(view_named, VIEWS):
        names = [f.parameter for f in view.filters]
        assert len(set(names)) == len(names)
        assert all(f.label for f in view.filters)
