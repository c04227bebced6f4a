"""The fragmentation dashboard, driven by its traits: the answer first, errors said calmly."""

import re
from html import unescape

import figure_findings as results
import nbformat
import pytest

from cxlib.errors import UnknownNameError
from cxlib.figures.theme import use_theme
from cxlib.panels.filters import ALL
from cxlib.panels.fragmentation import FragmentationPanel, draw_findings_first_paint

EAST, WEST, FEW, BROKEN = (("region", value) for value in ("east", "west", "few", "broken"))
WAIT, LEAVE, LOW = "0>1>delay", "2>3>abandonment", "1>3>perception_dip"


class Answers:
    """Finished answers, and a note of every question."""

    segments = (EAST, WEST)

    def __init__(self):
        self.manifest = {"name": "Demo", "k": 10}
        self.asked = []

    def findings(self, *, segment=None):
        self.asked.append(segment)
        if segment == FEW:
            raise UnknownNameError("published segment", "region: few", ["region: east"])
        if segment == BROKEN:
            raise RuntimeError("/secret/path is not readable")
        if segment == EAST:
            return results.details(results.ROWS[1:2], customers=1230)
        if segment == WEST:
            return results.nothing()
        return results.details()


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def panel(answers):
    yield FragmentationPanel(answers)
    use_theme("light")


def text(html):
    return unescape(re.sub(r"<[^>]*>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


def marks(panel):
    return next(t for t in panel.figure.figure["data"] if t["name"] == "findings")


def test_the_answer_comes_first_in_words_and_says_how_sure(panel):
    said = text(panel.answer.value)
    assert "4 handoffs break, affecting at least 210 customers; the worst: product page" in said
    assert "5,000 customers" in said
    assert "6 tests" in said
    assert 'role="status"' in panel.answer.value
    assert panel.widget.children.index(panel.answer) == 1
    assert panel.figure.alt.startswith("4 handoffs break")


def test_findings_are_ranked_with_owner_and_customers(panel):
    keys = [key for key, _ in panel.ranked.items]
    assert keys[0] == WAIT
    assert keys[-1] == LOW  # affects fewer than may be shown
    first, last = (text(panel.ranked.items[i][1]) for i in (0, -1))
    assert "1. product page → shop visit" in first
    assert "At least 120 customers affected · owner: retail" in first
    assert "Fewer than 10 customers affected" in last
    assert "owner" not in last


def test_the_worst_is_open_from_the_start_with_all_that_is_known(panel):
    assert panel.state.finding == panel.ranked.chosen == WAIT
    facts = text(panel.facts.value)
    for words in ("30 h", "10 h", "×3.0 (2.4–3.6)", "0.0004 of 6 tests", "growing", "What to do"):
        assert words in facts
    assert "Ask retail" in facts
    assert panel.detail.alt.startswith("product page → shop visit")
    assert panel.opened.layout.display is None


def test_choosing_in_the_list_and_in_the_matrix_is_the_same(panel):
    panel.ranked.chosen = LEAVE
    assert panel.state.finding == LEAVE
    assert "same sign at 7, 14 and 30 days" in text(panel.facts.value)
    assert panel.since.layout.display is None
    panel.figure.clicked = {"key": LOW, "count": 1}
    assert panel.ranked.chosen == LOW
    assert panel.since.layout.display == "none"
    panel.figure.clicked = {"key": LOW, "count": 2}
    assert panel.ranked.chosen == ""
    assert panel.opened.layout.display == "none"


def test_a_finding_says_what_it_is_in_other_groups(panel):
    panel.state.finding = LEAVE
    facts = text(panel.facts.value)
    assert "For whom" in facts
    assert "region east" in facts
    assert "region west" not in facts  # not judged there


def test_segments_change_the_whole_page_and_are_asked_once(panel, answers):
    panel.state.segment = EAST
    assert "1 handoff breaks" in text(panel.answer.value)
    assert "1,230 customers" in text(panel.answer.value)
    assert panel.state.finding == LEAVE
    assert marks(panel)["customdata"] == [LEAVE]
    panel.state.segment = None
    panel.state.segment = EAST
    assert answers.asked.count(EAST) == 1
    assert panel.segment.value == EAST


def test_signals_filter_the_list_and_the_marks_but_not_the_answer(panel):
    before = panel.answer.value
    panel.signal.value = "abandonment"
    assert panel.state.signal == "abandonment"
    assert [key for key, _ in panel.ranked.items] == [LEAVE]
    assert marks(panel)["customdata"] == [LEAVE]
    assert panel.answer.value == before
    panel.state.signal = "ping_pong"
    assert panel.ranked.items == []
    assert "Other signals have some" in text(panel.calm.value)
    panel.signal.value = ALL
    assert len(panel.ranked.items) == 4


def test_no_finding_is_said_calmly_with_what_was_tested(panel):
    panel.state.segment = WEST
    said = text(panel.calm.value)
    assert "No handoff stands out" in said
    assert "2 judgements" in said
    assert "not measurable, because no transition has 30 arrivals" in said
    assert panel.opened.layout.display == "none"
    assert panel.state.finding == ""


def test_a_log_that_cannot_be_judged_says_why():
    class Poor(Answers):
        def findings(self, *, segment=None):
            return results.nothing("there is one channel only ('web')")

    panel = FragmentationPanel(Poor())
    assert "one channel only" in text(panel.answer.value)
    assert "Nothing could be judged" in text(panel.calm.value)
    assert "expected to be false" not in text(panel.answer.value)


def test_errors_are_said_on_the_page_without_what_a_visitor_must_not_see(panel):
    panel.segment.options = [*panel.segment.options, ("x", FEW), ("y", BROKEN)]
    before = panel.answer.value
    panel.state.segment = FEW
    assert "region: few" in text(panel.message.value)
    panel.state.segment = BROKEN
    assert "could not be shown" in panel.message.value
    assert "secret" not in panel.message.value
    assert panel.answer.value == before
    panel.state.segment = None
    assert panel.message.value == ""


def test_the_table_holds_every_judgement_and_can_be_taken_away(panel):
    assert panel.table.html.count("<tr>") == 7
    assert 'download="handoffs.csv"' in panel.table.html
    assert "not measurable" in text(panel.tested.html)
    assert "30 days of silence" in text(panel.sureness.html)


def test_names_cannot_bring_markup_with_them():
    class Bad(Answers):
        def findings(self, *, segment=None):
            given = results.details()
            bad = given.table.with_columns(source=given.table["source"] + "<script>")
            return results.details(table=bad)

    panel = FragmentationPanel(Bad())
    shown = [panel.head, panel.facts, panel.answer]
    assert not [part for part in shown if "<script>" in part.value]
    assert "<script>" not in "".join(html for _, html in panel.ranked.items) + panel.table.html


def test_the_first_paint_says_the_same_without_a_script(answers, panel):
    painted = draw_findings_first_paint(answers)
    assert "<script" not in painted
    after_style = text(painted.split("</style>")[1])
    assert after_style.split()[:12] == text(panel.answer.value).split()[:12]
    assert painted.count('class="cx-entry"') == 4


def test_the_dashboard_notebook_is_three_lines():
    notebook = nbformat.read("dashboards/fragmentation.ipynb", as_version=4)
    (cell,) = notebook.cells
    assert "FragmentationPanel(Snapshot.open(" in cell.source
    assert notebook.metadata.cx.title == "Which handoffs break"
