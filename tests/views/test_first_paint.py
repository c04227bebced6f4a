"""What a page shows before it is live."""

from datetime import date

from figure_results import touchpoints, transitions

from cxlib.views.journey_map.view import JourneyMap


class Answers:
    def __init__(self):
        self.manifest = {"k": 10}

    segments = ()
    periods = (date(2026, 1, 1),)
    period_unit = "month"

    def touchpoints(self, **_):
        return touchpoints()

    def transitions(self, **_):
        return transitions()


def test_the_first_paint_has_the_answer_and_the_cards_and_runs_nothing():
    html = JourneyMap.first_paint(Answers())
    assert "More customers get lost after display ad" in html
    assert html.count("<details") == 6
    assert "<script" not in html
    assert "http" not in html
