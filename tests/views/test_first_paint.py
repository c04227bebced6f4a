"""What a page shows before it is live."""

from datetime import date

import figure_findings
from figure_results import touchpoints, transitions

from cxlib.errors import WorkspaceError
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.journey_map.view import JourneyMap


class Answers:
    def __init__(self):
        self.manifest = {"k": 10}

    segments = (("region", "east"), ("region", "west"))
    periods = (date(2026, 1, 1),)
    period_unit = "month"

    def touchpoints(self, **_):
        return touchpoints()

    def findings(self, **_):
        raise WorkspaceError("published before there were findings")

    def transitions(self, **_):
        return transitions()


def test_the_first_paint_has_the_answer_and_the_cards_and_runs_nothing():
    html = JourneyMap.first_paint(Answers())
    assert "More customers get lost after display ad" in html
    assert html.count("<details") == 6
    assert "<script" not in html
    assert "http" not in html


def test_the_first_paint_is_a_form_and_shows_what_its_address_asks_for():
    html = JourneyMap.first_paint(Answers(), "segment=region%3Aeast&channel=nowhere&colour=rating")
    assert '<form method="get"' in html
    assert '<option value="region:east" selected>region: east</option>' in html
    assert html.count(" selected>") == 2, "of customers and channel; one period is no choice"
    assert "This link asks for something under “Channel”" in html
    assert '<input type="hidden" name="colour" value="rating">' in html


class Findings(Answers):
    def findings(self, **_):
        return figure_findings.details()


def test_an_entry_of_a_list_asks_for_what_it_opens():
    view = Fragmentation(Findings(), live=False)
    texts = [option.text for option in view.options(view.filter("finding"))]
    assert len(texts) > 1
    html = Fragmentation.first_paint(Findings(), f"finding={texts[1].replace(' ', '+')}")
    buttons = [part.split(">")[0] for part in html.split('<button name="finding"')[1:]]
    pressed = ['aria-pressed="true"' in button for button in buttons]
    assert pressed == [number == 1 for number in range(len(texts))]


def test_what_a_form_sends_back_is_what_stands_in_the_log_and_no_line_ends_in_what_is_read():
    class Ages(Answers):
        segments = (("age", "old (50 to 99)"), ("age", "young (18 to 25)"))

    html = JourneyMap.first_paint(Ages(), "segment=age%3Ayoung+(18+to+25)")
    value, label = "age:young (18 to 25)", "age: young (18\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}25)"
    assert f'<option value="{value}" selected>{label}</option>' in html
