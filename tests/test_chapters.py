"""The sentences of the notebooks: true of what was measured, whatever the workspace lacks."""

from datetime import timedelta

import figure_findings
import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace, random_log

from cxlib import chapters
from cxlib.chapters import breaks
from cxlib.errors import WorkspaceError
from cxlib.ingest import FileReport, IngestReport, UnmappedTouchpoint
from cxlib.journey_map import JourneyMap, JourneyRule, Touchpoint
from cxlib.measures import (
    measure_first_contacts,
    measure_stage_funnel,
    measure_touchpoints,
    measure_transitions,
    measure_waits,
)

REPORT = IngestReport((FileReport("log.csv", "csv", 10),), rows_in=10, contacts=10)


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def log():
    return random_log(3, customers=200)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, log):
    return make_workspace(tmp_path_factory.mktemp("ws") / "shop", log)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """No goal, no gap, no loss, no ratings, one channel, and other stages."""
    rule = JourneyMap("bare", ("in", "out"), (Touchpoint("ad", "in", "web"),))
    log = [contact(f"c{i}", day, "ad", "web") for i in range(4) for day in (0, 1)]
    return make_workspace(tmp_path_factory.mktemp("ws") / "bare", log, rule=rule)


def test_the_data_sentence_counts_what_is_there(workspace, log):
    said = plain(chapters.say_data(workspace))
    assert f"{len(log):,} contacts of {len({c.customer for c in log}):,} customers" in said
    assert "at the goal (pay) or at a loss (refused) or after 30 days of silence" in said


def test_a_workspace_is_found_where_it_was_named(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("CX_WORKSPACE", str(workspace.path))
    assert chapters.open_workspace().path == workspace.path
    monkeypatch.delenv("CX_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="cx ingest"):
        chapters.open_workspace()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "workspace").symlink_to(workspace.path)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert chapters.open_workspace().manifest == workspace.manifest


@pytest.mark.parametrize(
    ("stages", "goal_stage", "roles"),
    [
        (("Awareness", "exploration", "conversion"), None, ("Awareness", "exploration", "", "")),
        (("a", "b", "c", "d", "e"), "d", ("a", "b c", "d", "e")),
        (("a", "b"), "b", ("a", "", "b", "")),
        (("a", "b"), "a", ("", "", "a", "b")),
        (("a", "b", "c", "d", "e"), None, ("a", "b", "c", "d")),
        (("a",), None, ("a", "", "", "")),
    ],
)
def test_stages_play_roles_by_name_then_by_the_goal_then_by_place(stages, goal_stage, roles):
    goal = (Touchpoint("pay", goal_stage),) if goal_stage else ()
    rule = JourneyMap("x", stages, goal, journey=JourneyRule(goal=tuple(t.name for t in goal)))
    if stages[0] == "Awareness":
        roles = ("Awareness", "exploration", "conversion", "")
    names = ("awareness", "exploration", "conversion", "aftersales")
    assert tuple(" ".join(chapters.find_stages(rule, name)) for name in names) == roles


def test_rows_add_up_in_the_sentence():
    report = IngestReport(
        (FileReport("log.csv", "csv", 1000),),
        rows_in=1000,
        contacts=900,
        left_out=60,
        set_aside={"time is empty": 30, "duplicate": 10},
        unmapped=(UnmappedTouchpoint("shpo", 90, "shop"),),
        midnight_share=0.02,
    )
    said = plain(chapters.say_rows(report))
    assert "900 of 940 rows (96 %)" in said
    assert (
        "40 rows were set aside, none was dropped: time is empty (30) and duplicate (10)." in said
    )


def test_what_to_mend_names_the_touchpoint_and_the_reason(workspace, bare):
    report = IngestReport(
        (FileReport("log.csv", "csv", 100),),
        rows_in=100,
        contacts=95,
        set_aside={"time is empty": 5},
        unmapped=(UnmappedTouchpoint("shpo", 9, "shop"),),
    )
    said = chapters.say_what_to_mend(report, workspace)
    assert "'shpo'" in said
    assert "did you mean 'shop'" in said
    assert "5 rows set aside: time is empty" in said
    assert "Nothing: go on" in chapters.say_what_to_mend(REPORT, workspace)
    assert "Name the goal" in chapters.say_what_to_mend(REPORT, bare)


def test_what_is_not_measurable_says_why(bare):
    table = chapters.measurable_table(bare, REPORT, measure_touchpoints(bare.summary()))
    for why in (
        "the map names neither a silence (gap) nor a touchpoint that ends a journey",
        "the map names no goal",
        "there is one only",
        "the log has no ratings",
        "no table of customers was given",
        "the log has no end times",
        "the log has no costs",
        "the map plans no handoff",
    ):
        assert f"not measurable, because {why}" in table
    dates = IngestReport(REPORT.files, rows_in=10, contacts=10, midnight_share=0.99)
    table = chapters.measurable_table(bare, dates, measure_touchpoints(bare.summary()))
    assert "dates, not times" in table


def test_every_sentence_can_be_said_of_a_bare_workspace(bare):
    summary = bare.summary()
    first, funnel = measure_first_contacts(summary), measure_stage_funnel(summary)
    moves, everywhere = measure_transitions(summary), measure_touchpoints(summary)
    assert "not measurable, because the map has no goal" in chapters.say_beginnings(
        first, bare.places
    )
    assert "Name the goal" in chapters.say_what_to_do_first(first, bare.places)
    assert "not measurable" in chapters.say_goal(first, funnel, bare.places)
    assert "No journey is known to be lost" in chapters.say_what_to_do_about_goal(
        funnel, everywhere
    )
    assert "cx ingest" in chapters.segment_table(summary, [])
    here = chapters.within_stages(everywhere, ("awareness",))
    assert "nothing in the map ends a journey" in chapters.say_stage(here)
    assert "too few ratings" in chapters.say_stage(here)
    nowhere = chapters.within_stages(everywhere, ())
    for said in (
        chapters.say_stage(nowhere),
        chapters.say_again(nowhere, moves),
        chapters.say_weakest(nowhere),
    ):
        assert "has no such stage" in said
    assert chapters.say_what_to_mend_after(nowhere, moves, [])
    assert chapters.say_what_to_do_in_stage(nowhere, moves)


def test_only_what_differs_for_sure_is_called_different(tmp_path):
    ads = [contact(f"a{i}", 0.1 * i, "ad") for i in range(60)]
    visits = [
        contact(f"v{i}", 0.1 * i + extra, name)
        for i in range(60)
        for extra, name in ((0, "visit"), (0.01, "pay"))
    ]
    mails = [contact(f"m{i}", 0.1 * i, "newsletter") for i in range(40)]
    late = [contact("z", 90, "ad")]
    workspace = make_workspace(tmp_path / "ws", [*ads, *visits, *mails, *late])
    first = measure_first_contacts(workspace.summary())
    said = plain(chapters.say_beginnings(first, workspace.places))
    assert "40 of them were begun by the company itself" in said
    todo = plain(chapters.say_what_to_do_first(first, workspace.places))
    assert "ad (web)" in todo.splitlines()[0]
    assert "visit (store)** does better" in todo
    assert "newsletter" not in todo
    alike = [
        contact(f"{name}{i}", 0.1 * i + extra, contact_name)
        for name in ("ad", "visit")
        for i in range(60)
        for extra, contact_name in ((0, name), (0.01, "pay"))[: 1 + i % 2]
    ]
    same = make_workspace(tmp_path / "same", [*alike, *late])
    first = measure_first_contacts(same.summary())
    assert "No beginning stands out" in chapters.say_what_to_do_first(first, same.places)


def test_the_weakest_touchpoints_are_those_with_most_customers_lost(tmp_path):
    log = [contact(f"a{i}", 0.1 * i, "page") for i in range(100)]
    log += [contact(f"b{i}", 0.1 * i, "visit") for i in range(40)]
    log += [
        contact(f"c{i}", 0.1 * i + e, n) for i in range(60) for e, n in ((0, "visit"), (1, "pay"))
    ]
    log += [contact("z", 90, "ad")]
    workspace = make_workspace(tmp_path / "ws", log)
    summary = workspace.summary()
    here = chapters.within_stages(measure_touchpoints(summary), ("exploration",))
    said = plain(chapters.say_weakest(here))
    assert said.startswith("Most customers are lost after page (web) (100 %")
    assert "visit (store) (40 %" in said
    todo = plain(chapters.say_what_to_do_in_stage(here, measure_transitions(summary)))
    assert "Who goes on comes to pay (60 %)" in todo


def test_moves_are_kept_by_both_ends(workspace):
    summary = workspace.summary()
    everywhere = measure_touchpoints(summary)
    here = chapters.within_stages(everywhere, ("conversion",))
    names = set(here.table["touchpoint"])
    kept = chapters.from_touchpoints(measure_transitions(summary), here, to=here).table
    assert set(kept["source"]) <= names
    assert set(kept["target"]) <= names
    waits = chapters.from_touchpoints(measure_waits(workspace), here).table
    assert set(waits["source"]) <= names
    assert not set(waits["target"]) <= names


def test_contacts_with_staff_that_follow_are_named(tmp_path):
    log = [
        contact(f"a{i}", 0.1 * i + e, name)
        for i in range(40)
        for e, name in ((0, "pay"), (1, "support"), (1.5, "support"))
    ]
    workspace = make_workspace(tmp_path / "ws", log, rule=journey_map(gap=timedelta(days=30)))
    summary = workspace.summary()
    here = chapters.within_stages(measure_touchpoints(summary), ("aftersales",))
    todo = plain(chapters.say_what_to_mend_after(here, measure_transitions(summary), ["support"]))
    assert "**support again**: 40 times" in todo
    assert "half of them within" in todo


def test_low_ratings_stand_beside_how_many_answered_and_what_that_could_explain():
    given = figure_findings.details()
    assert "5.0, 31 % answered" in plain(breaks.finding_table(given))
    assert "every low rating keeps at least half" in breaks.say_breaks_sure(given)
    unsure = pl.when(pl.col("signal") == "perception_dip").then(False).otherwise("stable")
    shaky = figure_findings.details(table=given.table.with_columns(stable=unsure))
    assert "Who answers could explain 1 low rating" in plain(breaks.say_breaks_sure(shaky))
    assert "No finding changes its sign" in breaks.say_breaks_sure(shaky)
