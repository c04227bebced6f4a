"""The fragmentation dashboard, driven by its traits: the answer first, errors said calmly."""

import io
import re
from dataclasses import replace
from html import unescape

import figure_findings as results
import nbformat
import polars as pl
import pytest

from cxlib.errors import UnknownNameError
from cxlib.signals import SIGNALS
from cxlib.views.fragmentation import view as fragmentation
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.shared.filters import ALL
from cxlib.views.shared.words import MEANING, SURENESS, TABLE

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
    return Fragmentation(answers)


def text(html):
    return unescape(re.sub(r"<[^>]*>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


def marks(panel):
    return next(t for t in panel.figure.figure["data"] if t["name"] == "findings")


def test_the_answer_comes_first_in_words_and_says_how_sure(panel):
    said = text(panel.answer.value)
    assert "4 handoffs break, affecting at least 210 customers; most of them: product page" in said
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
    assert "1. Product page → shop visit" in first
    assert "At least 120 customers affected · Owner: retail" in first
    assert "Fewer than 10 customers affected" in last
    assert "owner" not in last


def test_the_worst_is_open_from_the_start_with_all_that_is_known(panel):
    assert panel.state.finding == panel.ranked.chosen == WAIT
    facts = text(panel.facts.value)
    for words in ("30 h", "10 h", "×3.0 (2.4–3.6)", "<0.001 of 6 tests", "growing", "What to do"):
        assert words in facts
    assert "Ask retail" in facts
    assert panel.detail.alt.startswith("product page → shop visit")
    assert panel.opened.layout.display is None


def test_choosing_in_the_list_and_in_the_matrix_is_the_same(panel):
    panel.ranked.chosen = LEAVE
    assert panel.state.finding == LEAVE
    assert "same sign at other settings" in text(panel.facts.value)
    assert panel.since_when.layout.display is None
    panel.figure.clicked = {"key": LOW, "count": 1}
    assert panel.ranked.chosen == LOW
    assert panel.since_when.layout.display == "none"
    panel.figure.clicked = {"key": LOW, "count": 2}
    assert panel.ranked.chosen == ""
    assert panel.opened.layout.display == "none"


def test_a_finding_says_what_it_is_in_other_groups(panel):
    panel.state.finding = LEAVE
    whom = text(panel.whom.value)
    assert "For whom" in whom
    assert "region: east" in whom
    assert "region: west" not in whom  # not judged there


def test_filters_that_leave_no_finding_do_not_deny_those_there_are(panel):
    panel.state.segment = EAST
    panel.state.signal = "delay"
    said = " ".join(text(panel.answer.value).split())
    assert "No finding among what you chose. Shown: 0 of 1 finding." in said
    assert "No handoff stands out" not in said


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


def test_a_signal_narrows_the_answer_the_list_and_the_marks(panel):
    panel.signal.value = "abandonment"
    assert panel.state.signal == "abandonment"
    assert [key for key, _ in panel.ranked.items] == [LEAVE]
    assert marks(panel)["customdata"] == [LEAVE]
    said = text(panel.answer.value)
    assert "Which handoffs break · customers leave" in said
    assert "1 handoff breaks, affecting at least 60 customers" in said
    assert "Shown: 1 of 4 findings." in said
    panel.state.signal = "ping_pong"
    assert panel.ranked.items == []
    assert "Without these filters there are 4 findings" in text(panel.calm.value)
    panel.signal.value = ALL
    assert len(panel.ranked.items) == 4
    assert "Shown" not in text(panel.answer.value)


@pytest.mark.parametrize(
    ("trait", "value", "kept", "judged"),
    [
        ("source_channel", "store", ["1>3>perception_dip"], 2),
        ("target_channel", "web", [], 2),
        ("stage", "conversion", ["2>3>abandonment", "1>3>perception_dip"], 3),
        ("owner", "retail", ["0>1>delay", "2>1>backtracking"], 2),
    ],
)
def test_findings_are_narrowed_by_channel_stage_and_owner(panel, trait, value, kept, judged):
    dropdown = getattr(panel, trait)
    dropdown.value = value
    assert [key for key, _ in panel.ranked.items] == kept
    assert marks(panel)["customdata"] == kept
    assert panel.state.finding == (kept[0] if kept else None)
    assert panel.figure.note(TABLE).count("<tr>") == judged + 1
    dropdown.value = ALL
    assert len(panel.ranked.items) == 4


def test_a_filter_with_nothing_to_choose_is_not_shown():
    class OneStage(Answers):
        def findings(self, *, segment=None):
            return results.details(results.ROWS[2:4])  # no two owners lead to its targets

    panel = Fragmentation(OneStage())
    assert panel.owner.layout.display == "none"
    assert panel.stage.layout.display is None


def test_a_finding_that_does_not_hold_everywhere_is_marked():
    class Unstable(Answers):
        def findings(self, *, segment=None):
            given = results.details()
            shaky = pl.when(pl.col("signal") == "abandonment").then(False).otherwise("stable")
            return results.details(table=given.table.with_columns(stable=shaky, simpson=True))

    panel = Fragmentation(Unstable())
    marked = [key for key, html in panel.ranked.items if "unstable" in html]
    assert marked == [LEAVE]
    panel.state.finding = LEAVE
    assert "changes sign with the setting" in text(panel.facts.value)
    assert "Crude comparison points the other way" in " ".join(text(panel.facts.value).split())
    assert "yes, unstable" in text(panel.figure.note(TABLE))


def test_a_low_rating_says_how_many_answered_and_what_it_were_if_all_had(panel):
    panel.state.finding = LOW
    said = " ".join(text(panel.facts.value).split())
    assert "Observed 5.0, 31 % answered" in said
    assert "If all had answered −2.3 (−3.0 to −1.6)" in said
    assert "as low when weighed by who answered" in said
    assert "5.0, 31 % answered" in text(panel.detail.note(TABLE))
    assert "5.0, 31 % answered" in text(panel.figure.note(TABLE))
    panel.state.finding = LEAVE
    assert "answered" not in text(panel.facts.value)


def test_a_low_rating_that_who_answers_could_explain_is_marked():
    class Unsure(Answers):
        def findings(self, *, segment=None):
            given = results.details()
            shaky = pl.when(pl.col("signal") == "perception_dip").then(False).otherwise("stable")
            return results.details(table=given.table.with_columns(stable=shaky))

    panel = Fragmentation(Unsure())
    assert [key for key, html in panel.ranked.items if "unstable" in html] == [LOW]
    panel.state.finding = LOW
    assert "who answers could explain it: unstable" in text(panel.facts.value)


def test_no_finding_is_said_calmly_with_what_was_tested(panel):
    panel.state.segment = WEST
    said = text(panel.calm.value)
    assert "No handoff stands out" in text(panel.answer.value)
    assert "2 judgements" in said
    assert "2 tests, corrected for their number." in text(panel.answer.value)
    assert "not measurable, because no transition has 30 arrivals" in text(panel.tested.value)
    assert panel.opened.layout.display == "none"
    assert panel.state.finding is None


def test_what_only_other_grounds_find_is_the_answer_all_the_same():
    class Quiet(Answers):
        def findings(self, *, segment=None):
            return replace(results.nothing(), bands=results.details().bands)

    panel = Fragmentation(Quiet())
    # where customers leave comes before what only delays them, whatever the order of the rows
    bands = results.details().bands
    said = bands.filter(signal="abandonment")["sentence"].drop_nulls()[0]
    assert said != bands["sentence"].drop_nulls()[0]
    assert said.lower() in text(panel.answer.value).lower()
    assert "No handoff stands out" not in text(panel.answer.value)
    panel.state.signal = "delay"  # of what was chosen nothing is told that was not chosen
    assert said.lower() not in text(panel.answer.value).lower()


def test_a_log_that_cannot_be_judged_says_why():
    class Poor(Answers):
        def findings(self, *, segment=None):
            return results.nothing("there is one channel only ('web')")

    panel = Fragmentation(Poor())
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


def test_below_every_figure_stand_its_data_its_meaning_and_how_sure_it_is(panel):
    panel.state.finding = LEAVE
    figures = (panel.figure, panel.detail, panel.trend)
    assert [[heading for heading, _ in f.notes] for f in figures] == [
        [MEANING, SURENESS, TABLE]
    ] * 3
    assert len({f.file for f in figures}) == len({f.label for f in figures}) == 3
    for figure in figures:
        assert figure.alt
        assert "fewer than 10 customers" in text(figure.note(SURENESS))
        assert "{" not in figure.note(SURENESS)
        assert "When it misleads" in text(figure.note(MEANING))
    assert panel.figure.note(TABLE).count("<tr>") == 7
    assert "500 cases" in text(panel.detail.note(SURENESS))
    assert "7 days" in text(panel.detail.note(TABLE))
    assert "1 Jul 2026 90 20 % (10 %–30 %) yes" in " ".join(text(panel.trend.note(TABLE)).split())
    assert "not measurable" in text(panel.tested.value)
    assert "30 days of silence" in text(panel.figure.note(SURENESS))


def test_what_is_taken_away_says_what_it_is_and_from_when(panel):
    panel.state.segment = EAST
    panel.state.owner = None
    panel.figure.wanted = panel.detail.wanted = True
    table = pl.read_csv(io.StringIO(panel.figure.csv))
    assert table["signal"].to_list() == ["abandonment"]
    assert "source_place" not in table.columns
    assert set(table["selection"]) == {"region: east"}
    assert set(table["data_to"]) == {"2026-10-31"}
    assert set(table["fewest_customers"]) == {10}
    assert panel.figure.credit.startswith("region: east. Demo, data to 31 Oct 2026")
    curve = pl.read_csv(io.StringIO(panel.detail.csv))
    assert curve["x"].to_list() == [0.0, 7.0, 14.0, 30.0]


def test_data_is_written_for_those_who_ask_and_for_as_long_as_they_do(panel):
    def table(figure):
        return dict(figure.notes)[TABLE]

    assert (table(panel.figure), panel.figure.csv) == ("", "")
    panel.figure.wanted = True
    assert table(panel.figure).count("<tr>") == 7
    assert panel.figure.csv.count("\n") == 7
    assert table(panel.detail) == "", "only of what was asked for"
    panel.state.segment = EAST
    assert table(panel.figure).count("<tr>") == panel.figure.csv.count("\n") == 2
    panel.figure.wanted = False
    assert (table(panel.figure), panel.figure.csv) == ("", "")


def test_what_is_chosen_sends_each_figure_once_and_after_the_words(panel, monkeypatch):
    figures = [panel.figure, panel.detail, panel.trend]
    sent = []

    def keep(widget, key):
        sent.append((widget.model_id, {key} if isinstance(key, str) else set(key)))

    for widget in (panel.head, *figures):
        monkeypatch.setattr(widget, "send_state", lambda key, of=widget: keep(of, key))
    panel.state.finding = LEAVE
    assert sent[0][0] == panel.head.model_id
    assert sorted(who for who, _ in sent[1:]) == sorted(f.model_id for f in figures)
    assert {"figure", "notes"} < dict(sent)[panel.detail.model_id]


def test_the_picture_of_figures_without_a_curve_has_its_table_too(panel):
    panel.state.finding = LOW
    assert "5.0" in text(panel.detail.note(TABLE))
    panel.state.finding = "2>1>backtracking"
    assert "product page (web) 50 % 20 %" in " ".join(text(panel.detail.note(TABLE)).split())


def test_the_address_follows_the_selection_and_a_link_restores_it(answers, panel):
    assert panel.link.widget.selected == ""
    panel.state.segment = EAST
    panel.state.target_channel = "store"
    link = panel.link.widget.selected
    assert link == "segment=region%3Aeast&to=store"
    panel.state.segment = panel.state.target_channel = None
    panel.state.finding = LEAVE
    chosen = panel.link.widget.selected
    assert chosen == "finding=web+basket+%28web%29+%3E+till+%28store%29%3A+abandonment"

    other = Fragmentation(answers)
    other.link.widget.asked = link
    assert (other.state.segment, other.state.target_channel) == (EAST, "store")
    assert other.answer.value != panel.answer.value
    assert other.target_channel.value == "store"
    assert other.message.value == ""
    assert other.link.widget.selected == other.link.widget.answered == link
    third = Fragmentation(answers)
    third.link.widget.asked = chosen
    assert third.state.finding == third.ranked.chosen == LEAVE


def test_a_finding_that_is_no_longer_there_is_said_and_the_worst_is_open(panel):
    panel.link.widget.asked = "finding=till+(store)+>+shop+visit+(store):+delay"
    assert "not there now" in text(panel.message.value)
    assert panel.state.finding == WAIT
    panel.state.segment = EAST
    assert panel.message.value == ""


def test_a_link_with_a_finding_opens_it_in_its_selection(answers):
    panel = Fragmentation(answers)
    panel.link.widget.asked = (
        "signal=perception_dip&finding=shop+visit+(store)+>+till+(store):+perception_dip"
    )
    assert panel.state.finding == LOW
    assert panel.ranked.chosen == LOW
    assert "Shop visit → till" in text(panel.head.value)


def test_every_signal_has_its_advice():
    assert all("{owner}" in signal.advice for signal in SIGNALS.values())


def test_escape_and_close_let_go_of_a_finding(panel):
    assert panel.close.shown
    panel.close.pressed += 1
    assert panel.state.finding is None
    assert panel.ranked.chosen == ""
    assert panel.opened.layout.display == "none"


def test_a_change_of_filter_draws_every_figure_once(panel, monkeypatch):
    drawn = []
    for name in ("plot_findings", "plot_finding_detail", "plot_finding_trend"):
        plot = getattr(fragmentation, name)
        monkeypatch.setattr(
            fragmentation, name, lambda *a, p=plot, n=name, **k: drawn.append(n) or p(*a, **k)
        )
    panel.state.segment = EAST
    assert sorted(drawn) == ["plot_finding_detail", "plot_finding_trend", "plot_findings"]
    panel.state.segment = None
    before = len(drawn)
    panel.state.segment = EAST
    assert len(drawn) == before, "what was drawn before is not drawn anew"


def test_names_cannot_bring_markup_with_them():
    class Bad(Answers):
        def findings(self, *, segment=None):
            given = results.details()
            bad = given.table.with_columns(source=given.table["source"] + "<script>")
            return results.details(table=bad)

    panel = Fragmentation(Bad())
    shown = [panel.head, panel.facts, panel.answer]
    assert not [part for part in shown if "<script>" in part.value]
    figures = (panel.figure, panel.detail, panel.trend)
    below = [html for figure in figures for _, html in figure.notes]
    assert "<script>" not in "".join([html for _, html in panel.ranked.items] + below)


def test_the_first_paint_says_the_same_without_a_script(answers, panel):
    painted = Fragmentation.first_paint(answers)
    assert "<script" not in painted
    after_style = text(painted.split("</style>")[1])
    assert after_style.split()[:12] == text(panel.answer.value).split()[:12]
    assert painted.count('<button name="finding"') == 4


def test_the_dashboard_notebook_is_three_lines():
    notebook = nbformat.read("dashboards/fragmentation.ipynb", as_version=4)
    (cell,) = notebook.cells
    assert len(cell.source.splitlines()) <= 3
    assert 'open_view("fragmentation")' in cell.source
