"""What to do first, as its dashboard shows what was published of it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import polars as pl
import pytest

from cxlib.errors import WorkspaceError
from cxlib.export.recording import record
from cxlib.opportunities.beside_findings import PARTS
from cxlib.opportunities.priorities import Priorities
from cxlib.publish.key_figures import said_lines
from cxlib.views import VIEWS, entry
from cxlib.views.priorities import words
from cxlib.views.priorities.view import Backlog
from cxlib.views.shared.templates import render

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
SAID = "a <b> → b loses 90 customers more than similar handoffs do"
BAND = {
    "source": "a <b>", "target": "b", "signal": "abandonment", "ground": "like",
    "customers_affected": 60, "sentence": SAID, "effect": 0.2, "low": 0.1, "high": 0.3,
    "effect_unit": "share of arrivals", "compared_with": "similar handoffs",
    "n": 450, "stable": False,
}  # fmt: skip
WORTH = {name: 100.0 * part for name, part in PARTS.items()}
FIRST = {
    **{n: BAND[n] for n in ("source", "target", "signal", "ground", "customers_affected")},
    **WORTH, **{f"{n}_low": v - 10 for n, v in WORTH.items()},
    **{f"{n}_high": v + 10 for n, v in WORTH.items()},
    "gain_unit": "conversions", "owner": "web", "team": "product", "status": "new",
    "confidence": "high", "effort": "unknown", "next_step": "Ask web.", "rank": 1,
}  # fmt: skip
SECOND = {
    "source": "b", "target": "c", "ground": "expansion", "owner": "shop", "team": "sales",
    "status": "hypothesis", "next_step": "Try it.", "customers_affected": 40, "rank": 2,
}  # fmt: skip


class Answers:
    segments = ()

    def __init__(self, *rows, bands=(BAND,)):
        self.manifest = {"name": "Demo", "k": 10, "observed_until": UNTIL.isoformat()} | {
            "published_at": UNTIL.isoformat(), "measures": ["priorities"],
        }  # fmt: skip
        self.rows, self.bands = rows, bands

    def table(self, measure, *, segment=None):
        assert measure == "priorities"
        table = Priorities.tables["table"].frame(self.rows)
        return Priorities(table=table, findings=1, observed_until=UNTIL)

    def findings(self, **_):
        if self.bands is None:
            raise WorkspaceError("published before there were findings")
        return SimpleNamespace(bands=pl.DataFrame(self.bands))


def test_a_line_is_said_as_its_finding_is_with_what_it_rests_on():
    view = Backlog(Answers(FIRST, SECOND))
    answer, opened = view.widgets["answer"].value, view.widgets["opened"].value
    assert "A &lt;b&gt; → b loses 90 customers more" in answer
    assert "<b>" not in answer
    assert "100 (90–110) conversions" in answer
    assert "2 lines: 1 found beyond chance; the rest says where to look next" in answer
    assert "the rest" not in Backlog(Answers(FIRST)).widgets["answer"].value
    for said in (
        "+20 points (+10 to +30)",
        "similar handoffs",
        "450",
        words.CHANGES_SIGN,
        "Ask web",
    ):
        assert said in opened.replace("\xa0", " ")
    assert "few go this way" in view.widgets["ranked"].items[1][1]


@pytest.mark.parametrize(("part", "gain"), [("half", "50 (40–60)"), ("quarter", "25 (15–35)")])
def test_the_slider_says_what_mending_in_part_would_gain(part, gain):
    view = Backlog(Answers(FIRST, SECOND))
    assert view.widgets["mended"].label == "100\xa0%"
    view.state.mended = part
    for name in ("answer", "opened"):
        assert gain in view.widgets[name].value
    assert gain in view.widgets["ranked"].items[0][1]
    assert view.widgets["mended"].value == part
    assert view.message.value == ""


@pytest.mark.parametrize(
    ("line", "band"), [({"status": "mended"}, {}), ({}, {"affected_until": UNTIL})]
)
def test_of_what_is_mended_nothing_is_left_to_gain(line, band):
    view = Backlog(Answers(FIRST | line, SECOND, bands=(BAND | band,)))
    said = [view.widgets[name].value for name in ("answer", "opened")]
    assert not any("conversions" in one for one in said)
    assert words.MENDED_ALREADY in said[1]


def test_a_filter_keeps_the_lines_of_one_owner_and_opens_the_first_of_them():
    view = Backlog(Answers(FIRST, SECOND))
    view.state.owner = "shop"
    assert [row["rank"] for row in view.lines.values()] == [2]
    assert "Try it." in view.widgets["opened"].value
    assert words.GAIN_UNKNOWN in view.widgets["opened"].value
    view.state.team = "product"
    assert words.NOTHING in view.widgets["answer"].value
    assert view.widgets["opened"].layout.display == "none"


def test_lines_that_are_called_alike_keep_apart_and_take_each_their_finding():
    more = FIRST | {"customers_affected": 300, "rank": 2}
    twin = BAND | {"customers_affected": 310, "sentence": "the other group"}
    view = Backlog(Answers(FIRST, more, bands=(twin, BAND)))
    assert [row["what"] for row in view.lines.values()] == [SAID, "the other group"]
    assert len(view.widgets["ranked"].items) == 2


def test_without_findings_a_line_says_itself_from_its_columns():
    view = Backlog(Answers(FIRST, bands=None))
    assert "customers leave, more than where it is alike" in view.widgets["answer"].value
    assert "1 line: not sure beyond chance" in view.widgets["answer"].value
    assert said_lines(Answers(FIRST).table("priorities").table, None)[0]["finding"] is None


def test_an_empty_backlog_says_so():
    view = Backlog(Answers())
    assert words.NOTHING in view.widgets["answer"].value
    assert "0 lines" not in view.widgets["answer"].value
    assert view.widgets["table"].layout.display == "none"
    assert view.message.value == ""


def test_the_first_paint_has_answer_list_and_open_line_and_a_file_every_setting():
    html = Backlog.first_paint(Answers(FIRST, SECOND))
    assert html.count('<button name="line"') >= 2
    assert "Ask web." in html
    assert "<script" not in html
    recording = record(Backlog(Answers(FIRST, SECOND)))
    slider = next(c for c in recording.choices if len(c.options) == len(PARTS))
    assert next(iter(slider.options.values())) == "100\xa0%"  # as the page shows it at first
    assert len(recording.selections) == 4 * 3 * 3


def test_it_is_in_the_catalogue_with_what_must_be_published_for_it():
    assert "priorities" in VIEWS
    assert set(entry("priorities").asks) == {"priorities", "findings"}


def test_customers_that_are_spared_are_not_said_twice():
    band = BAND | {"signal": "delay"}
    spared = FIRST | {"signal": "delay", "gain_unit": "customers spared"}
    for row, known, times in ((FIRST, BAND, 1), (spared, band, 0)):
        panel = Backlog(Answers(row, bands=(known,)))
        (line,) = panel.lines.values()
        said = render("priorities/entry.html", row=line, gain=panel.gain(line))
        assert said.count("affected") == times
        assert line["gain_unit"] in said
