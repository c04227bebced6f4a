"""What customers say, as its dashboard shows what was published of it."""

from datetime import UTC, datetime

import pytest

from cxlib.errors import WorkspaceError
from cxlib.measures.comments import Comments
from cxlib.measures.drivers import Drivers
from cxlib.measures.experience import ExperienceCurve, Spectrum
from cxlib.measures.perception import Perception
from cxlib.views import VIEWS, entry
from cxlib.views.perception import words
from cxlib.views.perception.view import Perceived

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
EAST = ("region", "east")

#: touchpoint, answers, mean, mean of the others, verdict, trusted
DESK = ("desk <b>", 400, 6.5, 7.4, "lower", True)
PORTAL = ("portal", 60, 5.0, 7.3, "lower", True)
SHOP = ("shop", 900, 7.9, 7.0, "higher", True)


def said(n, mean, *, scale="csat"):
    ends = {"mean": mean, "mean_low": mean and mean - 0.2, "mean_high": mean and mean + 0.2}
    return ends | {
        "scale": scale, "n": n, "customers": n, "contacts": 10 * n, "response": 0.1,
    }  # fmt: skip


def perceived(*rows, scale="csat", whole=7.2):
    tables = Perception.tables
    n = sum(row[1] for row in rows) or 30
    told = [
        said(n, mean, scale=scale)
        | {"group": group, "others": others, "others_n": 500, "verdict": verdict}
        | {"trusted": trusted, "bound": 0.3}
        for group, n, mean, others, verdict, trusted in rows
    ]
    scales = [said(n, whole, scale=scale) | {"lowest": 0.0, "highest": 10.0}]
    made = {"table": tables["table"].frame(told), "scales": tables["scales"].frame(scales)}
    return Perception(**made, by="touchpoint", observed_until=UNTIL)


def curve_of(result):
    rows = [row | {"touchpoint": row["group"], "stage": "use"} for row in result.table.to_dicts()]
    columns = ExperienceCurve.tables["table"]
    told = columns.frame([{n: r.get(n) for n in columns.schema} for r in rows])
    return ExperienceCurve(table=told, observed_until=UNTIL)


def spread_of(result, *, shown=1.0):
    rows = [
        {"scale": row["scale"], "group": row["group"], "answer": 9.0, "side": "high"}
        | {"n": int(shown * row["n"]), "customers": row["n"], "answers": row["n"]}
        | {"share": shown, "share_low": shown - 0.1, "share_high": 1.0, "up_to": shown}
        for row in result.table.to_dicts()
    ]
    told = Spectrum.tables["table"].frame(rows)
    return Spectrum(table=told, by="touchpoint", observed_until=UNTIL)


class Answers:
    def __init__(self, *results, east=None, shown=1.0):
        self.manifest = {"name": "Demo", "k": 10, "observed_until": UNTIL.isoformat()} | {
            "published_at": UNTIL.isoformat(),
            "measures": ["perception", "experience_curve", "spectrum"] if results else [],
        }
        self.told, self.shown = {None: _together(results), EAST: east}, shown
        self.segments = (EAST,) if east else ()

    def table(self, measure, *, segment=None):
        result = self.told[segment]
        if measure == "spectrum":
            return spread_of(result, shown=self.shown)
        return curve_of(result) if measure == "experience_curve" else result

    def findings(self, **_):
        raise WorkspaceError("published before there were findings")


def _together(results):
    if not results:
        return None
    tables = {
        name: Perception.tables[name].frame(
            row for result in results for row in getattr(result, name).to_dicts()
        )
        for name in ("table", "scales")
    }
    return Perception(**tables, by="touchpoint", observed_until=UNTIL)


def driven(*, scale="csat", nothing=()):
    """Drivers of two scales and of coming back; of `nothing` the share is rounded away."""
    rows = [
        {"outcome": of, "driver": name, "n": 500, "customers": 400, "suppression": False}
        | {"share": 0.2, "share_low": 0.1, "share_high": 0.3, "r": 0.4, "r2": 0.25}
        | {"r2_later": 0.2, "slope": slope, "slope_low": slope - 0.1, "slope_high": slope + 0.1}
        for of, name, slope in (
            (scale, "service <b>", -0.5), (scale, "marketing", 0.05), ("nps", "hidden", 0.5),
            ("return within 90 days", "purchase", 0.5),
        )
    ]  # fmt: skip
    rows += [
        rows[0] | {"driver": name, "share": 0.0, "share_low": 0.0, "share_high": 0.02}
        for name in nothing
    ]
    table = Drivers.tables["table"].frame(rows)
    return Drivers(table=table, days=90, notes=(), observed_until=UNTIL)


def written_about(*, rarer=0):
    """Two topics, one of them more often at the desk; or `rarer` others, too, without sentiment."""
    rows = [
        {"group": group, "language": "en", "topic": topic, "n": 100, "customers": 90}
        | {"share": part, "share_low": part - 0.05, "share_high": part + 0.05, "scored": 1.0}
        | {"sentiment": -0.2, "sentiment_low": -0.3, "sentiment_high": -0.1, "stability": 0.9}
        for group, topic, part in (
            ("everywhere", "any", 0.9), ("everywhere", "parcel, late", 0.3),
            ("everywhere", "sizes", 0.2), ("desk <b>", "parcel, late", 0.6),
            ("portal", "parcel, late", 0.5), ("portal", "sizes", 0.22),
        )
    ]  # fmt: skip
    rows += [
        rows[2] | {"topic": f"rare {i}", "n": 20, "share": 0.01, "share_low": 0.0}
        for i in range(rarer)
    ]
    if rarer:
        rows = [
            row | dict.fromkeys(("sentiment", "sentiment_low", "sentiment_high")) for row in rows
        ]
    tables = {n: c.frame([]) for n, c in Comments.tables.items()}
    tables["table"] = Comments.tables["table"].frame(rows)
    return Comments(**tables, by="touchpoint", notes=(), observed_until=UNTIL)


def test_drivers_and_topics_stand_side_by_side_with_intervals():
    effort = perceived(PORTAL, scale="nps")
    answers = Answers(perceived(DESK, SHOP), effort)
    answers.manifest["measures"] += ["drivers", "comments"]
    more = {"drivers": driven(nothing=("web", "app")), "comments": written_about()}
    known = answers.table
    answers.table = lambda measure, *, segment=None: (
        more[measure] if measure in more else known(measure, segment=segment)
    )
    view = Perceived(answers)
    drivers, topics = view.widgets["drivers"].value, view.widgets["topics"].value
    assert "service &lt;b&gt;" in drivers.lower()
    assert "<b>" not in drivers
    assert "20 % (10–30)" in drivers.replace("\xa0", " ")
    assert drivers.count("less with more of it") == 1
    assert drivers.count("more with more of it") == 1  # coming back; the scale's other is unclear
    assert "hidden" not in drivers
    assert "CSAT: 2 more, with which 2.0 % go at most." in drivers.replace("\xa0", " ")
    assert drivers.count("<tr") == 4, "what is rounded to nothing has no row"
    assert "parcel, late" in topics.lower()
    assert "desk &lt;b&gt;" in topics.lower()
    assert "portal" not in topics.lower()  # 22 % is no more than 20 % (15–25)
    assert topics.count("<tr") == 3
    assert "sentiment" in topics.lower().split("</table>")[0]
    more["comments"] = written_about(rarer=13)
    topics = Perceived(answers).widgets["topics"].value
    assert topics.count("<tr") == 13, "the twelve largest, and a heading"
    assert "3 rarer topics are left out" in topics
    assert "sentiment" not in topics.lower().split("</table>")[0], "nothing is known of it"
    view.state.scale = "nps"
    assert "hidden" in view.widgets["drivers"].value.lower()
    assert "service" not in view.widgets["drivers"].value.lower()


def on_page(view):
    return {name for name in ("curve", "spectrum") if view.widgets[name].layout.display != "none"}


def test_the_sentence_names_what_pulls_down_most_and_not_the_lowest_of_few():
    # 400 answers lack 0.9 points each, 60 lack 2.3: 360 points against 138
    view = Perceived(Answers(perceived(DESK, PORTAL, SHOP)))
    answer = view.answer.value
    assert "Desk &lt;b&gt;" in answer
    assert "6.5 (6.3–6.7) of 10" in answer
    assert "400 answers" in answer
    assert "10\xa0% of the contacts" in answer
    assert "portal" not in answer
    assert on_page(view) == {"curve", "spectrum"}
    assert len(view.curve.table) == 3


def test_a_trusted_touchpoint_comes_before_a_doubted_one_and_a_doubt_is_said():
    doubted = (*DESK[:-1], False)
    assert "Portal" in Perceived(Answers(perceived(doubted, PORTAL, SHOP))).answer.value
    alone = Perceived(Answers(perceived(doubted, SHOP)))
    assert alone.answer.value.count("may explain") == 1
    assert "pulls" not in alone.answer.value


def test_where_nothing_is_trusted_or_apart_it_says_so():
    alike = [(name, 100, 7.2, 7.2, None, False) for name in ("a", "b")]
    answer = Perceived(Answers(perceived(*alike))).answer.value
    assert words.ALIKE.format(scale="CSAT") in answer
    assert words.UNTRUSTED.strip() in answer


@pytest.mark.parametrize("whole", [7.2, None])
def test_thirty_ratings_are_counted_and_nothing_is_drawn(whole):
    view = Perceived(Answers(perceived(whole=whole)))
    assert words.TOO_FEW.format(scale="CSAT") in view.answer.value
    assert "30 answers" in view.answer.value
    assert ("7.2 (7.0–7.4)" in view.answer.value) == (whole is not None)
    assert on_page(view) == set()
    assert view.table.value == ""


def test_a_log_without_ratings_has_one_sentence():
    view = Perceived(Answers())
    assert words.NO_RATINGS in view.answer.value
    assert on_page(view) == set()
    assert view.table.value == view.dips.value == ""
    assert words.NO_RATINGS in Perceived.first_paint(Answers())


def test_the_segment_and_the_scale_narrow_everything():
    effort = perceived(("portal", 80, 5.5, 6.1, "lower", True), SHOP, scale="effort")
    east = perceived(PORTAL, SHOP)
    view = Perceived(Answers(perceived(DESK, SHOP), effort, east=east))
    assert view.widgets["scale"].layout.display != "none"
    view.state.scale = "effort"
    assert "Portal" in view.answer.value
    assert "effort" in view.answer.value
    assert set(view.curve.table["scale"]) == set(view.spread.table["scale"]) == {"effort"}
    view.state.segment = EAST  # where nobody answered on that scale
    assert words.NONE_HERE.format(scale="effort") in view.answer.value
    assert on_page(view) == set()
    view.state.scale = "csat"
    assert "Portal" in view.answer.value
    assert on_page(view) == {"curve", "spectrum"}
    assert view.message.value == ""
    assert Perceived(Answers(perceived(DESK))).widgets["scale"].layout.display == "none"


def test_a_spectrum_of_which_too_much_is_hidden_is_not_drawn():
    view = Perceived(Answers(perceived(DESK, SHOP), shown=0.8))
    assert on_page(view) == {"curve"}


def test_rows_without_a_mean_are_left_out():
    few = ("kiosk", 20, None, 7.2, None, None)
    view = Perceived(Answers(perceived(DESK, few, SHOP)))
    assert "kiosk" not in view.table.value
    assert view.curve.table["touchpoint"].to_list() == ["desk <b>", "shop"]


def test_the_first_paint_has_the_answer_and_the_table_and_runs_nothing():
    html = Perceived.first_paint(Answers(perceived(DESK, PORTAL, SHOP)))
    assert html.count("<tr") == 4
    assert "Desk &lt;b&gt;" in html
    assert "<b>" not in html
    assert "<script" not in html


def test_it_is_in_the_catalogue_with_what_must_be_published_for_it():
    assert "perception" in VIEWS
    assert {"perception", "experience_curve", "spectrum"} <= set(entry("perception").asks)
