"""`import cxlib as cx`: what everyone types, on one workspace."""

import inspect
import io
import math
import pydoc
import re
import subprocess
import sys
from datetime import UTC, date, datetime

import plotly.graph_objects as go
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from threadpoolctl import threadpool_info, threadpool_limits

import cxlib as cx
from cxlib.cli.app import app
from cxlib.comparing import _touchpoints_in, measure_environments
from cxlib.fragmentation.findings import Findings
from cxlib.publish import publish
from cxlib.results import answers
from cxlib.simulate.sample import write_sample
from cxlib.summary import Selection

MEASURES = [
    *("overview", "touchpoints", "first_contacts", "stages", "transitions", "handoffs", "waits"),
    "paths",
]
DRAWN = [name for name in MEASURES if name != "overview"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("files"), customers=250, seed=11)


@pytest.fixture(scope="module")
def ws(files, tmp_path_factory):
    log = cx.read_log(files["contacts"], map=files["journey_map"])
    assert set(log.set_aside["reason"]) >= {"time cannot be read"}
    assert log.report.rows_in > log.report.contacts
    return cx.build(
        log,
        tmp_path_factory.mktemp("front") / "shop",
        customers=files["customers"],
        ratings=files["ratings"],
    )


def test_the_door_shows_what_people_type_and_nothing_else():
    names = [name for name in dir(cx) if not name.startswith("__")]
    assert {f"measure_{name}" for name in MEASURES} <= set(names)
    assert not {"TYPE_CHECKING", "load_lazily", "annotations", "store", "sys"} & set(names)
    for name in names:
        assert (getattr(cx, name).__doc__ or "").strip(), name


def test_help_says_on_its_first_screen_how_to_do_everything():
    described = (cx.__doc__ or "").splitlines()
    assert len(described) <= 26
    assert max(map(len, described)) <= 96
    said = cx.__doc__
    for name in dir(cx):
        verb = name.removeprefix("measure_")
        is_verb = not name.startswith("__") and name[0].islower() and name != "read_journey_map"
        assert not is_verb or verb in said, f"say in the docstring of cxlib what {name} is for"
    page = pydoc.plain(pydoc.render_doc(cx))
    assert page.index("cx.measure_touchpoints(ws, where=app)") < page.index("PACKAGE CONTENTS")
    assert "FUNCTIONS" not in page


def test_what_is_no_workspace_is_refused_by_every_verb_in_one_sentence(ws):
    asked = 0
    for name in dir(cx):
        verb = getattr(cx, name)
        given = [*inspect.signature(verb).parameters.values()] if inspect.isroutine(verb) else []
        if name != "publish" and (not given or given[0].name not in {"workspace", "log"}):
            continue
        others = [p for p in given[1:] if p.default is p.empty]
        for wrong in ("shop", ws.store(), cx.explain(ws)):
            if name == "export" and isinstance(wrong, str):
                continue  # a folder of snapshots may be exported, too
            by_name = {p.name: "x" for p in others if p.kind == p.KEYWORD_ONLY}
            by_place = ["x" for p in others if p.kind == p.POSITIONAL_OR_KEYWORD]
            with pytest.raises(cx.CxError, match=r"cx\.(open|read_log)\("):
                verb(wrong, *by_place, **by_name)
            asked += 1
    assert asked > 100
    with pytest.raises(cx.CxError, match=r"where takes cx\.Where"):
        cx.measure_touchpoints(ws, where={"channel": "web"})


def test_verbs_stay_verbs_when_their_rooms_are_loaded():
    code = (
        "import cxlib as cx, cxlib.publish.write, cxlib.serve.launch, cxlib.export.page\n"
        "for verb in (cx.publish, cx.serve, cx.export):\n"
        "    try: verb('no workspace', 'x')\n"
        "    except (TypeError, cx.CxError) as error: print(type(error).__name__)\n"
        "assert cxlib.publish.write.publish"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.split()) == 3


def test_a_workspace_is_the_one_first_argument(ws):
    reopened = cx.open(ws.path)
    for name in MEASURES:
        measured = getattr(cx, f"measure_{name}")(reopened)
        assert len(measured) > 0, name
        assert len(repr(measured)) < 120
    funnel = cx.measure_funnel(ws, steps=["product page", "web basket"])
    assert len(funnel) == 2
    assert len(cx.compare_segments(ws, dimension="region")) > 1


@pytest.mark.parametrize("name", DRAWN)
def test_every_result_is_drawn_and_said(ws, name):
    measured = getattr(cx, f"measure_{name}")(ws)
    figure = cx.plot(measured, title="My title")
    assert isinstance(figure, go.Figure)
    assert "My title" in figure.layout.title.text
    said = cx.explain(measured)
    assert said.answer.endswith(".")
    assert said.answer.replace("\N{NO-BREAK SPACE}", " ") in str(said)
    assert said._repr_markdown_().startswith("**")
    assert "observed until" in str(said).lower()


def test_words_are_those_of_the_dashboard(ws):
    from cxlib.figures import describe_touchpoints

    measured = cx.measure_touchpoints(ws)
    assert cx.explain(measured).answer == describe_touchpoints(measured) + "."


def test_names_from_the_log_are_no_markup_in_an_explanation():
    from cxlib.front.showing import Explanation

    assert "\\*\\*x\\*\\*" in Explanation("**x** is | worst.")._repr_markdown_()


def test_what_cannot_be_drawn_or_said_is_refused_in_one_sentence(ws):
    with pytest.raises(cx.CxError, match="no figure of Overview"):
        cx.plot(cx.measure_overview(ws))
    with pytest.raises(cx.CxError, match="int cannot be explained"):
        cx.explain(1)


def test_findings_and_forecasts_are_said_even_where_nothing_can_be_judged(ws):
    found = cx.find_breaks(ws)
    assert isinstance(found, Findings)
    assert cx.explain(found).answer
    assert isinstance(cx.plot(found), go.Figure)
    assert cx.explain(cx.predict_breaks(ws)).answer
    with pytest.raises(cx.CxError, match="not a date"):
        cx.watch(ws, since="last summer")


# -- Where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "selection"),
    [
        (cx.Where(), None),
        (cx.Where(since="2025-03"), Selection(period=(2, 8))),
        (cx.Where(since="2025-03", until="2025-06"), Selection(period=(2, 5))),
        (cx.Where(since=date(2025, 3, 1), until="2025"), Selection(period=(2, 8))),
        (cx.Where(until=datetime(2025, 5, 30, 22, tzinfo=UTC)), Selection(period=(0, 4))),
        (
            cx.Where(segment={"region": "north"}, channel="web"),
            Selection(segment=("region", "north"), channel="web"),
        ),
    ],
)
def test_where_is_looked_up_in_the_log(ws, where, selection):
    # the shop's days are those of Berlin, where 22:00 UTC of 30 May is 31 May
    assert where.of(ws) == selection
    assert where.of(ws.summary()) == selection


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"channel": "ap"}, "Did you mean 'app'"),
        ({"segment": {"regio": "north"}}, "Did you mean 'region'"),
        ({"segment": {"region": "nort"}}, "Did you mean 'north'"),
        ({"since": "2031"}, "outside the log, which runs from 2025-01-01"),
        ({"since": "2025-06", "until": "2025-03"}, "ends before it begins"),
        ({"since": "2025-13"}, "cannot be read"),
        ({"until": "soon"}, "cannot be read"),
        ({"segment": {"region": "north", "customer_type": "new"}}, "names 2 dimensions"),
        ({"segment": {}}, "names 0 dimensions"),
    ],
)
def test_a_wrong_word_is_an_error_and_says_what_is_near(ws, given, complaint):
    with pytest.raises(cx.CxError, match=complaint):
        cx.measure_touchpoints(ws, where=cx.Where(**given))


def test_a_part_has_the_contacts_of_that_part(ws):
    found = cx.measure_touchpoints(ws, where=cx.Where(channel="web", since="2025-03"))
    web = ws.places.filter(channel="web")["place"].to_list()
    rows = ws.store().filter(pl.col("place").is_in(web), pl.col("period") >= 2).collect()
    assert found.contacts == len(rows)
    assert repr(cx.Where(channel="web", since="2025-03")) == "Where(since='2025-03', channel='web')"


# -- side by side --------------------------------------------------------------------------------


def test_a_difference_is_second_less_first_with_the_ends_counted_out(ws):
    north, south = (cx.Where(segment={"region": name}) for name in ("north", "south"))
    found = cx.compare(ws, north, south)
    one, two = (cx.measure_touchpoints(ws, where=where) for where in (north, south))
    row = found.table.filter(what="all together", figure="go_on").row(0, named=True)
    x, y = one.whole.row(0, named=True), two.whole.row(0, named=True)
    assert (row["first"], row["second"]) == (x["go_on"], y["go_on"])
    gap = y["go_on"] - x["go_on"]
    below = math.hypot(x["go_on_high"] - x["go_on"], y["go_on"] - y["go_on_low"])
    above = math.hypot(x["go_on"] - x["go_on_low"], y["go_on_high"] - y["go_on"])
    assert row["difference"] == pytest.approx(gap)
    assert row["difference_low"] == pytest.approx(gap - below)
    assert row["difference_high"] == pytest.approx(gap + above)
    waits = found.table.filter(pl.col("what") != "all together", figure="next_wait")
    same = waits.drop_nulls("first").row(0, named=True)
    stage, name, _ = same["what"].split(", ")
    wait = one.table.filter(touchpoint=name, stage=stage)["next_wait"][0]
    assert same["first"] == wait.total_seconds()


def test_a_row_that_one_part_does_not_have_stays_without_a_difference(ws):
    app, web = cx.Where(channel="app"), cx.Where(channel="web")
    found = cx.compare(ws, app, web).table
    assert found.filter(what="all together", figure="contacts")["difference"][0] is not None
    only = found.filter(pl.col("what").str.contains("app basket"), figure="contacts")
    assert only["second"].to_list() == only["difference"].to_list() == [None]
    assert "figures that both parts have" in cx.explain(cx.compare(ws, app, web)).answer


def test_matrices_are_multiplied_on_one_thread_while_a_measure_is_taken_and_then_as_before(ws):
    def threads():
        return {x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"}

    @answers(cx.measure_overview.made)
    def watched(workspace):
        seen.append(threads())
        return cx.measure_overview(workspace)

    seen = []
    watched(ws)  # before a part of SciPy brings another library
    import scipy.special  # noqa: F401

    seen.clear()
    with threadpool_limits(2, user_api="blas"):
        watched(ws)
        assert (seen, threads()) == ([{1}], {2})


VERSIONS = """\
version: 1
name: Versions
columns: {customer: who, occurred_at: when, touchpoint: what, environment: version}
journey: {gap: 10d, goal: [pay]}
stages: [look, buy]
touchpoints:
  - {name: page, stage: look, channel: app}
  - {name: pay, stage: buy, channel: till}
"""


def build_versions(folder, customers):
    lines = ["who,when,what,version"]
    for n in range(customers):
        version, day = ("old" if n % 2 else "new"), 1 + n % 20
        lines.append(f"c{n},2025-03-{day:02}T10:00:00Z,page,{version}")
        if n % 4 != 1:  # half of those on the old version do not pay
            lines.append(f"c{n},2025-03-{day:02}T12:00:00Z,pay,")
    lines.append("late,2025-06-01T10:00:00Z,pay,")
    (folder / "log.csv").write_text("\n".join(lines), "utf-8")
    (folder / "map.yaml").write_text(VERSIONS, "utf-8")
    return cx.build(cx.read_log(folder / "log.csv", map=folder / "map.yaml"), folder / "ws")


def test_contacts_of_an_environment_go_on_to_contacts_of_none(tmp_path):
    log = build_versions(tmp_path, 40)
    new, old = (cx.Where(environment={"version": name}) for name in ("new", "old"))
    found = cx.compare(log, new, old).table.filter(what="look, page, app")
    both = {row["figure"]: (row["first"], row["second"]) for row in found.to_dicts()}
    assert both["customers"] == both["contacts"] == (20, 20)
    assert both["go_on"] == pytest.approx((1, 0.5))
    assert both["lost"] == pytest.approx((0, 0.5))


def test_environments_are_published_and_put_side_by_side(tmp_path):
    log = build_versions(tmp_path, 4000)
    shown = publish(log, answers=("touchpoints", "environments"))
    new, old = (("version", name) for name in ("new", "old"))
    found = shown.compare("touchpoints", None, None, environments=(new, old)).table
    page = {r["figure"]: r for r in found.filter(what="look, page, app").to_dicts()}
    assert page["customers"]["first"] == page["customers"]["second"] == 2000
    assert page["lost"]["first"] <= 0.01
    assert page["lost"]["second"] == pytest.approx(0.5, abs=0.03)
    with pytest.raises(cx.CxError, match="Did you mean 'version: new'"):
        shown.compare("touchpoints", None, None, environments=(("version", "nwe"), old))
    with pytest.raises(cx.CxError, match="nothing to compare"):
        shown.compare("touchpoints", None, None, environments=(new, new))


def test_an_environment_has_the_contacts_in_it(ws):
    name, value = "place", "app 5.0"
    rows = ws.store().filter(pl.col(f"environment.{name}") == value).collect()
    there = cx.Where(environment={name: value}, channel="app", since="2025-03")
    found = cx.compare(ws, there, None).table
    places = {row["place"]: row for row in ws.places.to_dicts()}
    for (place,), group in rows.filter(pl.col("period") >= 2).group_by("place"):
        at = places[place]
        what = f"{at['stage']}, {at['touchpoint']}, {at['channel']}"
        told = found.filter(what=what)
        told = dict(zip(told["figure"], told["first"], strict=True))
        assert (told["contacts"], told["customers"]) == (len(group), group["customer"].n_unique())
    for wrong, said in (({"plaec": value}, "place"), ({name: "app 5.1"}, "app 5.0")):
        with pytest.raises(cx.CxError, match=f"Did you mean '{said}'"):
            cx.compare(ws, cx.Where(environment=wrong), None)
    with pytest.raises(cx.CxError, match="put side by side by"):
        cx.measure_transitions(ws, where=there)


def test_every_environment_is_measured_as_it_is_by_itself(ws):
    where = Selection(segment=("customer_type", "new"))
    found = measure_environments(ws, where=where)
    assert len(found.whole) > 1
    for name, value in found.whole.select("environment", "value").rows():
        there = cx.Where(environment={name: value}, segment={"customer_type": "new"})
        alone = _touchpoints_in(ws, there)
        for table in ("table", "whole"):
            rows = getattr(found, table).filter(environment=name, value=value)
            own = getattr(alone, table)
            own = own.sort("place") if "place" in own.columns else own
            # a part without costs of a log with costs: that they are 0 is known of all together
            own = own.drop("cost", "cost_per_contact")
            assert_frame_equal(rows.select(own.columns), own)


def test_the_same_part_twice_is_no_comparison(ws):
    with pytest.raises(cx.CxError, match="nothing to compare"):
        cx.compare(ws, cx.Where(channel="app"), cx.Where(channel="app"))
    with pytest.raises(cx.CxError, match="nothing to compare"):
        cx.compare(ws, None, None)


# -- files ---------------------------------------------------------------------------------------


def test_a_saved_figure_has_its_title_and_notes_in_lines_that_fit(ws, tmp_path):
    from cxlib.front.showing import SIZES, _fitted

    figure = cx.plot(cx.measure_touchpoints(ws), title=" ".join(["a long title"] * 30))
    for width, height in SIZES.values():
        whole, larger = _fitted(figure, width, height)
        lines = whole.layout.title.text.split("<br>")
        assert max(map(len, lines)) * 17 * 0.55 <= width * larger
        assert " ".join(lines) == figure.layout.title.text.replace("<br>", " ")
        assert whole.layout.height >= figure.layout.height
        assert whole.layout.width >= 900
        assert whole.layout.width / whole.layout.height == pytest.approx(width / height, rel=2e-3)
        assert whole.layout.margin.t >= 22 * len(lines)
    page = cx.save(figure, tmp_path / "new" / "map.html")
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page.read_text("utf-8"))


def test_a_size_or_an_ending_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(cx.CxError, match="Did you mean 'slide'"):
        cx.save(go.Figure(), tmp_path / "x.png", size="slid")
    with pytest.raises(cx.CxError, match=r"must end in one of \.html"):
        cx.save(go.Figure(), tmp_path / "x.doc")


def test_the_sample_is_made_once(tmp_path, monkeypatch, files):
    made, build = [], cx.build
    monkeypatch.setattr("cxlib.front.data.sample_paths", type("Paths", (), files))
    monkeypatch.setattr("cxlib.front.data.build", lambda *a, **k: made.append(1) or build(*a, **k))
    first = cx.sample(tmp_path / "sample")
    again = cx.sample(tmp_path / "sample")
    assert made == [1]
    assert first.path == again.path


def test_the_command_line_says_the_same(ws):
    from typer.testing import CliRunner

    printed = CliRunner().invoke(app, ["map", str(ws.path), "--json"]).stdout
    measured = pl.read_json(io.StringIO(printed))
    assert measured["contacts"].sum() == cx.measure_touchpoints(ws).contacts
