"""What a page shows before it is live."""

from figure_results import touchpoints, transitions

from cxlib.panels.journey_map import draw_first_paint


class Answers:
    def touchpoints(self):
        return touchpoints()

    def transitions(self):
        return transitions()


def test_the_first_paint_has_the_answer_and_the_cards_and_runs_nothing():
    html = draw_first_paint(Answers())
    assert "More customers get lost after display ad" in html
    assert html.count("<details") == 6
    assert "<script" not in html
    assert "http" not in html
