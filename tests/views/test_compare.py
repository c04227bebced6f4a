"""Two parts of what was published side by side: chosen, compared, and said to be the same."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import ClassVar

import polars as pl
import pytest
from figure_results import UNTIL, touchpoints

from cxlib.comparing import side_by_side
from cxlib.errors import InputError
from cxlib.views.compare import words
from cxlib.views.compare.view import Compare
from cxlib.views.shared.filters import ALL
from cxlib.views.shared.words import TABLE


class Answers:
    """Two groups, of which the second loses far more after its basket."""

    segments = (("persona", "planner"), ("persona", "guest"))
    periods = ()
    period_unit = "month"
    manifest: ClassVar = {"observed_until": UNTIL.isoformat(), "name": "shop", "k": 10}

    def touchpoints(self, **_):
        return touchpoints()

    def compare(self, *, measure, first, second):
        if measure != "touchpoints":
            raise InputError("it is not published by channel.")
        places = [("web basket", "web", "conversion", 1200, lost, 1) for lost in (0.1, 0.6)]
        return side_by_side(*(touchpoints((place,)) for place in places))


@pytest.fixture
def view():
    return Compare(Answers())


def plain(html):
    return html.replace("\N{NO-BREAK SPACE}", " ")


def test_the_clearest_difference_is_the_answer(view):
    said = plain(view.answer.value)
    assert (
        "Conversion, web basket, web: 10 % (8–12) of persona: planner, "
        "60 % (58–62) of persona: guest." in said
    )
    headings = [note["text"] for note in view.figure.figure["layout"]["annotations"]]
    assert headings == ["persona: planner", "persona: guest", "difference"]
    difference = view.figure.figure["data"][4]
    assert difference["x"][0] == pytest.approx(0.5)


def test_two_like_sides_are_said_to_be_the_same_and_nothing_is_drawn(view):
    view.state.b_segment = ("persona", "planner")
    assert words.SAME in view.answer.value
    assert view.figure.layout.display == "none"
    view.state.b_segment = ALL
    assert words.SAME not in view.answer.value
    assert "of All customers" in view.answer.value
    view.b_segment.value = ALL  # as a visitor chooses it
    assert "of All customers" in view.answer.value
    assert view.message.value == ""


def test_what_cannot_be_compared_is_said_and_the_last_answer_stays(view):
    before = view.answer.value
    view.state.what = "stages"
    assert "It is not published by channel." in view.message.value
    assert view.answer.value == before


def test_nothing_beyond_chance_is_said_calmly():
    answers = Answers()
    answers.compare = lambda **_: side_by_side(touchpoints(), touchpoints())
    view = Compare(answers)
    said = "Nothing differs beyond chance between persona: planner and persona: guest."
    assert said in view.answer.value
    assert view.message.value == ""


def test_the_link_says_both_sides(view):
    view.state.a_channel = "web"
    assert view.link.widget.selected == "a_channel=web"


def test_both_sides_are_drawn_on_one_scale_and_what_is_compared_is_named(view):
    layout = view.figure.figure["layout"]
    assert layout["xaxis"]["range"] == layout["xaxis2"]["range"]
    assert layout["xaxis"]["range"] != layout["xaxis3"]["range"]
    view.figure.wanted = True
    assert "go_on" not in view.figure.note(TABLE)


def test_where_nothing_can_be_chosen_nobody_is_asked_to_choose():
    class Alone(Answers):
        segments = ()

        def touchpoints(self, **_):
            return replace(touchpoints(), channels=("web",))

    assert words.ALONE in Compare(Alone()).answer.value


def test_what_is_known_of_nobody_is_not_offered():
    class Unknown(Answers):
        manifest: ClassVar = Answers.manifest | {"measures": ["touchpoints"]}

        def touchpoints(self, **_):
            nowhere = touchpoints().table.with_columns(lost=pl.lit(None, pl.Float64))
            return replace(touchpoints(), table=nowhere)

    offered = Compare(Unknown()).figures
    assert "lost" not in offered
    assert "go_on" in offered


class InPlaces(Answers):
    """The same in two versions of the app, as published."""

    periods = (date(2026, 1, 1), date(2026, 2, 1))

    manifest: ClassVar = Answers.manifest | {"measures": ["touchpoints", "environments"]}

    def table(self, measure, **_):
        assert measure == "environments"
        rows = [("version", name, 100) for name in ("4.9", "5.0")]
        names = ["environment", "value", "customers"]
        return SimpleNamespace(whole=pl.DataFrame(rows, schema=names, orient="row"))

    def compare(self, *, environments=(None, None), **asked):
        self.asked = environments
        return super().compare(**asked)


def test_environments_are_chosen_and_named():
    answers = InPlaces()
    view = Compare(answers)
    view.a_environment.value, view.b_environment.value = ("version", "4.9"), ("version", "5.0")
    assert answers.asked == (("version", "4.9"), ("version", "5.0"))
    assert "of version: 4.9" in plain(view.answer.value)
    view.a_period.value = (0, 0)
    assert words.ONLY_TOUCHPOINTS in view.answer.value
    assert view.message.value == ""


def test_where_no_environment_is_published_none_is_offered(view):
    assert view.a_environment.layout.display == "none"


def test_it_opens_on_the_two_groups_of_one_dimension_that_differ_most():
    class Regions(Answers):
        segments = (("region", "east"), ("region", "north"), ("region", "south"), ("size", "small"))

        def compare(self, *, measure, first, second):
            lost = {"east": 0.1, "north": 0.12, "south": 0.4, "small": 0.9}
            parts = [
                touchpoints([("web basket", "web", "conversion", 1200, lost[s.segment[1]], 1)])
                for s in (first, second)
            ]
            return side_by_side(*parts)

    view = Compare(Regions())
    assert (view.state.a_segment, view.state.b_segment) == (("region", "east"), ("region", "south"))
    assert view.link.widget.selected == ""


def test_one_group_opens_beside_everybody():
    class One(Answers):
        segments = Answers.segments[:1]

    view = Compare(One())
    assert (view.state.a_segment, view.state.b_segment) == (One.segments[0], ALL)
