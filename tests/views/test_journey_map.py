"""The journey map dashboard, driven by its traits: the page follows, and errors are said calmly."""

import io
import logging
import re
from dataclasses import replace
from datetime import date
from html import unescape

import figure_findings
import nbformat
import polars as pl
import pytest
from figure_results import PLACES, touchpoints, transitions

from cxlib.errors import UnknownNameError, WorkspaceError
from cxlib.figures.map_layout import Place
from cxlib.figures.map_traces import place_key
from cxlib.views import entry
from cxlib.views.journey_map.view import JourneyMap
from cxlib.views.shared.figure_widget import FigureWidget, plotly_script
from cxlib.views.shared.filters import ALL, period_label
from cxlib.views.shared.words import SURENESS, TABLE

BASKET = Place("web basket", "web", "conversion")
MEMBERS = ("persona", "member")


class Answers:
    """Finished answers, and a note of every question."""

    segments = (MEMBERS, ("persona", "guest"), ("persona", "robot"), ("persona", "broken"))
    periods = (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1))
    period_unit = "month"

    def __init__(self):
        self.asked = []
        self.manifest = {"name": "Demo", "k": 10}

    def touchpoints(self, *, segment=None, period=None):
        self.asked.append((segment, period))
        if segment == ("persona", "robot"):
            raise UnknownNameError("published segment", "persona: robot", ["persona: member"])
        if segment == ("persona", "broken"):
            raise RuntimeError("/secret/path is not readable")
        if segment == ("persona", "guest"):
            few = tuple((*p[:3], None, None, None) for p in PLACES)
            return touchpoints(few, customers=0, journeys=0)
        if segment == MEMBERS:
            return touchpoints(PLACES[1:5], customers=1234)
        return touchpoints()

    def findings(self, *, segment=None):
        raise WorkspaceError("published before there were findings")

    def transitions(self, *, segment=None, period=None):
        return transitions({(1, 3): 800, (3, 4): 600} if segment == MEMBERS else None)


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def panel(answers):
    return JourneyMap(answers)


def text(html):
    return unescape(re.sub(r"<[^>]*>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


def all_texts(widget):
    """What a widget and all in it say."""
    yield from (getattr(widget, name) for name in ("value", "html") if hasattr(widget, name))
    yield from (html for _, html in getattr(widget, "notes", ()))
    for child in getattr(widget, "children", ()):
        yield from all_texts(child)


def trace(panel, name):
    return next(t for t in panel.figure.figure["data"] if t["name"] == name)


def test_the_answer_comes_first_and_in_words(panel):
    assert "More customers get lost after display ad than anywhere else: 30 % (28–32)" in text(
        panel.answer.value
    )
    assert "5,000 customers" in text(panel.answer.value)
    followed = "go on 70 % (68–72) · goal reached 10 % · lost 20 % (18–22). Still open are 5.0 % of"
    assert followed in text(panel.answer.value)
    assert 'role="status"' in panel.answer.value
    assert panel.widget.children.index(panel.answer) == 1
    assert panel.figure.alt.startswith("More customers")
    assert not panel.figure.figure["layout"].get("title", {}).get("text")


def test_every_filter_has_its_label_and_starts_without_filtering(panel):
    labels = [w.description for w in (panel.segment, panel.channel, panel.period)]
    assert labels == ["Customers", "Channel", "Period"]
    assert panel.colour_by.description == "Colour"
    assert panel.touchpoint.description == "Touchpoint"
    assert panel.segment.label == "All customers"
    assert panel.channel.label == "All channels"
    assert panel.period.index == (0, 2)
    assert panel.period.label == ("Jan 2026", "Mar 2026")
    assert (panel.state.segment, panel.state.channel, panel.state.period) == (None, None, None)


def test_setting_a_trait_changes_the_whole_page(panel):
    panel.state.segment = MEMBERS
    assert panel.segment.value == MEMBERS
    assert "1,234 customers" in text(panel.answer.value)
    assert len(trace(panel, "touchpoints")["customdata"]) == 4
    assert "display ad" not in panel.cards.value
    assert "display ad" not in panel.figure.note(TABLE)
    assert "1,234" in panel.figure.note(SURENESS)
    panel.state.segment = None
    assert panel.segment.value == ALL
    assert panel.segment.label == "All customers"
    assert len(trace(panel, "touchpoints")["customdata"]) == 6


def test_choosing_in_a_widget_sets_the_trait(panel, answers):
    panel.segment.value = MEMBERS
    panel.period.index = (1, 2)
    assert panel.state.segment == MEMBERS
    assert panel.state.period == (1, 2)
    assert answers.asked[-1] == (MEMBERS, (1, 2))
    panel.period.index = (0, 2)
    assert panel.state.period is None


def test_what_was_asked_once_is_not_asked_again(panel, answers):
    for segment in (MEMBERS, None, MEMBERS, None):
        panel.state.segment = segment
    assert answers.asked == [(None, None), (MEMBERS, None)]


def test_a_channel_keeps_its_touchpoints_their_places_and_the_moves_that_touch_it(panel):
    before = dict(
        zip(
            trace(panel, "touchpoints")["customdata"],
            zip(trace(panel, "touchpoints")["x"], trace(panel, "touchpoints")["y"], strict=True),
            strict=True,
        )
    )
    panel.channel.value = "store"
    circles = trace(panel, "touchpoints")
    assert circles["customdata"][0] == place_key(Place("shop visit", "store", "exploration"))
    assert (circles["x"][0], circles["y"][0]) == before[circles["customdata"][0]]
    assert len(trace(panel, "directions")["x"]) == 1
    assert "customers on store get lost after shop visit" in text(panel.answer.value)
    assert not trace(panel, "marks")["text"]  # raw loss is a colour, and marks nothing
    assert "800 customers" in text(panel.answer.value)


def test_a_click_opens_the_details_and_a_second_one_closes_them(panel):
    panel.figure.clicked = {"key": place_key(BASKET), "count": 1}
    assert panel.state.touchpoint == BASKET
    assert panel.touchpoint.value == BASKET
    details = text(panel.details.value)
    for words in ("Web basket", "go on", "50 % (48–52)", "40 % (38–42)", "payment"):
        assert words in details
    rings = trace(panel, "rings")["marker"]
    assert sorted(rings["line"]["width"]) == [3]
    panel.figure.clicked = {"key": place_key(BASKET), "count": 2}
    assert panel.state.touchpoint is None
    assert "Select a touchpoint" in panel.details.value


def test_details_follow_the_filter(panel):
    panel.state.touchpoint = Place("display ad", "ads", "awareness")
    panel.state.segment = MEMBERS
    assert "No contacts in this selection." in panel.details.value


def test_colour_is_chosen_without_asking_anew(panel, answers):
    asked = len(answers.asked)
    panel.colour_by.value = "rating"
    assert trace(panel, "legend")["marker"]["colorbar"]["title"]["text"] == "mean rating"
    assert len(answers.asked) == asked


def test_what_the_package_says_is_shown_and_the_last_good_view_stays(panel):
    before = panel.answer.value
    panel.state.segment = ("persona", "robot")
    assert 'role="alert"' in panel.message.value
    assert "There is no published segment" in text(panel.message.value)
    assert panel.answer.value == before
    panel.state.segment = None
    assert panel.message.value == ""


def test_any_other_error_is_shown_without_its_text_and_logged(panel, caplog):
    with caplog.at_level(logging.ERROR, logger="cxlib.views"):
        panel.state.segment = ("persona", "broken")
    assert "could not be shown" in text(panel.message.value)
    assert "secret" not in panel.message.value
    assert "/secret/path" in caplog.text


def test_suppressed_figures_are_no_zeros(panel):
    panel.state.segment = ("persona", "guest")
    assert panel.message.value == ""
    assert "Too few customers" in panel.cards.value
    panel.state.touchpoint = BASKET
    assert "Too few customers" in panel.details.value
    assert "Too few customers to say where they get lost" in text(panel.answer.value)
    assert "Too few customers to count" in text(panel.answer.value)


def test_the_table_can_be_taken_away_and_says_where_it_comes_from(panel):
    panel.figure.wanted = True
    table = pl.read_csv(io.StringIO(panel.figure.csv))
    assert table["touchpoint"].to_list() == [p[0] for p in PLACES]
    assert table["next_wait_seconds"][0] == 3 * 3600
    assert "place" not in table.columns
    assert panel.figure.note(TABLE).count("<tr>") == len(PLACES) + 1
    assert set(table["selection"]) == {"All customers"}
    panel.state.segment = MEMBERS
    panel.state.channel = "store"
    panel.state.period = (0, 1)
    table = pl.read_csv(io.StringIO(panel.figure.csv))
    assert set(table["selection"]) == {"persona: member, store, Jan 2026–Feb 2026"}
    assert set(table["fewest_customers"]) == {10}
    assert "groups below 10 customers not shown" in panel.figure.credit


def test_small_groups_and_open_journeys_are_explained(panel):
    said = text(panel.figure.note(SURENESS))
    assert "fewer than 10 customers are not shown" in said
    assert "never counted as lost" in said
    assert "does not prove" in said


def test_a_figure_carries_its_present_state_and_no_plotly(panel):
    panel.state.segment = MEMBERS
    state = panel.figure.get_state()
    assert len(next(t for t in state["figure"]["data"] if t["name"] == "touchpoints")["x"]) == 4
    # the widget's own script; plotly.js would be 5 million characters
    assert len(state["_esm"]) < 50_000
    assert state["config"]["showSendToCloud"] is False
    assert plotly_script().stat().st_size > 1_000_000


def test_plotly_comes_from_the_server_where_there_is_one(monkeypatch):
    assert FigureWidget().plotly_url == ""
    monkeypatch.setenv("VOILA_BASE_URL", "/dash/")
    assert FigureWidget().plotly_url == "/dash/voila/templates/cx/static/plotly.min.js"


def test_a_page_that_cannot_load_plotly_gets_it_from_the_kernel(monkeypatch):
    widget = FigureWidget()
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers: sent.append((content, buffers)))
    widget._handle_custom_msg({"type": "plotly.js"}, [])
    widget._handle_custom_msg({"type": "something else"}, [])
    ((content, (source,)),) = sent
    assert content == {"type": "plotly.js"}
    assert b"plotly.js v" in source[:200]


def test_nothing_on_the_page_comes_from_elsewhere(panel):
    page = " ".join(str(value) for value in all_texts(panel.widget))
    assert len(page) > 10_000
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


def test_one_period_needs_no_slider():
    answers = Answers()
    answers.periods = (date(2026, 1, 1),)
    panel = JourneyMap(answers)
    assert panel.period.layout.display == "none"
    assert panel.state.period is None


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("day", "29 Dec 2025"),
        ("week", "29 Dec–4 Jan 2026"),
        ("month", "Dec 2025"),
        ("quarter", "Q4 2025"),
    ],
)
def test_periods_are_named_by_what_they_span(unit, label):
    assert period_label(date(2025, 12, 29), unit) == label


def test_the_notebook_is_a_few_lines(pytestconfig):
    path = pytestconfig.rootpath / "dashboards" / "journey_map.ipynb"
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cell.source.splitlines()) <= 3
    assert not cell.outputs
    assert entry("journey_map").title == "Where customers get lost"


def band(source, target, affected, **changes):
    """A finding on a move, or at a place."""
    number = {place[0]: i for i, place in enumerate(PLACES)}
    unit = "place" if target is None else "transition"
    said = f"{source} → {target} loses {affected} customers more"
    known = {"unit": unit, "source": source, "target": target, "sentence": said}
    known |= {"source_place": number[source], "target_place": number.get(target, -1)}
    known |= {"signal": "abandonment", "ground": "like", "customers_affected": affected}
    return known | changes


class Judged(Answers):
    """Answers with findings of several grounds."""

    bands = (
        band("web basket", "payment", 120, owner="sales"),
        band("product page", "shop visit", 60, ground="groups", group="persona", value="guest"),
        band("product page", "shop visit", 30, signal="delay"),
        band("display ad", None, 20, ground="past"),
    )

    def findings(self, *, segment=None):
        given = figure_findings.details() if self.bands else figure_findings.nothing()
        schema = given.bands.schema
        places = [dict(zip(("place", "touchpoint", "channel", "stage"), (i, *p[:3]), strict=True))
                  for i, p in enumerate(PLACES)]  # fmt: skip
        rows = [dict.fromkeys(schema) | dict(row) for row in self.bands]
        bands = pl.DataFrame(rows, schema=schema)
        return replace(given, bands=bands, places=pl.DataFrame(places))


def test_the_sentence_and_the_red_marks_are_findings_and_never_raw_loss():
    panel = JourneyMap(Judged())
    assert "Web basket → payment loses 120 customers more" in text(panel.answer.value)
    assert "get lost after display ad" not in text(panel.answer.value)
    assert panel.figure.alt == "web basket → payment loses 120 customers more"
    marks = trace(panel, "marks")
    said = [re.sub(r"<[^>]*>|\N{NO-BREAK SPACE}", "", one) for one in marks["text"]]
    assert said == ["1 · 120 affected", "2 · 60 affected", "3 · 20 affected"]
    assert marks["textfont"]["color"] == "#c22f0c"
    assert text(panel.breaks.value).count("customers more") == 4


def test_where_customers_leave_comes_first_and_what_is_mended_last():
    class Mixed(Judged):
        bands = (
            band("product page", "shop visit", 500, affected_until=date(2026, 8, 1)),
            band("product page", "web basket", 300, signal="delay"),
            band("web basket", "payment", 120),
        )

    panel = JourneyMap(Mixed())
    assert [row["customers_affected"] for row in panel.marked] == [120, 300, 500]
    assert "Web basket → payment loses 120 customers more" in text(panel.answer.value)


def test_only_what_breaks_leaves_the_other_moves_out():
    panel = JourneyMap(Judged())
    every = len(trace(panel, "directions")["x"])
    panel.state.show = "breaks"
    assert len(trace(panel, "directions")["x"]) == 2 < every
    panel.state.show = "all"
    assert len(trace(panel, "directions")["x"]) == every


def test_a_channel_keeps_the_findings_that_touch_it():
    panel = JourneyMap(Judged())
    panel.state.channel = "store"
    assert "Product page → shop visit loses 60 customers more" in text(panel.answer.value)
    panel.state.channel = "phone"
    assert "Nothing on phone stands out" in text(panel.answer.value)


def test_findings_of_the_whole_time_say_so_when_a_period_is_chosen():
    panel = JourneyMap(Judged())
    assert "whole time" not in text(panel.answer.value)
    panel.state.period = (1, 2)
    assert "Findings are of the whole time." in text(panel.answer.value)


def test_where_nothing_stands_out_the_map_describes_and_marks_nothing():
    class Quiet(Judged):
        bands = ()

    panel = JourneyMap(Quiet())
    assert "described, not a finding" in text(panel.answer.value)
    assert not trace(panel, "marks")["text"]


def test_a_log_without_a_touchpoint_to_be_shown_draws_no_frame():
    class Nobody(Answers):
        def touchpoints(self, **_):
            return touchpoints((), customers=0, journeys=0)

    view = JourneyMap(Nobody())
    assert view.figure.figure == {}
    assert "Too few customers to count" in view.answer.value


def test_what_follows_a_contact_adds_up_in_words_and_bars(panel):
    basis = panel.answer.value.replace("\N{NO-BREAK SPACE}", " ")
    assert "goal reached" in basis
    for bar in re.findall(
        r'class="cx-bar" aria-hidden="true">((?:<i class="[a-z-]+" style.*?</i>)+)',
        panel.cards.value,
    ):
        assert sum(map(float, re.findall(r"width: ([0-9.]+)%", bar))) == pytest.approx(100, abs=0.1)


def test_a_link_to_a_touchpoint_opens_its_card(answers):
    html = JourneyMap.first_paint(answers, "touchpoint=web+basket%2C+web%2C+conversion")
    opened = html.split('<details class="cx-touchpoint" open>')
    assert len(opened) == 2
    assert "web basket" in opened[1].split("</summary>")[0]
