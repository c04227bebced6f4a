"""What the notebooks say of a workspace, whatever it lacks."""

from types import SimpleNamespace

import pytest
from journey_oracle import contact, make_workspace, random_log

import cxlib as cx
from cxlib.journey_map import JourneyMap
from cxlib.map_model import JourneyRule, Touchpoint


@pytest.fixture(scope="module")
def log():
    return random_log(3, customers=200)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, log):
    return make_workspace(tmp_path_factory.mktemp("ws") / "shop", log)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """No goal, no gap, no loss, no ratings, one channel, and other stages."""
    lines = (Touchpoint("ad", "in", "web"),)
    rule = JourneyMap(name="bare", stages=("in", "out"), touchpoints=lines)
    log = [contact(f"c{i}", day, "ad", "web") for i in range(4) for day in (0, 1)]
    return make_workspace(tmp_path_factory.mktemp("ws") / "bare", log, rule=rule)


def test_the_data_sentence_counts_what_is_there(workspace, log):
    said = str(cx.explain(workspace))
    assert f"{len(log):,} contacts of {len({c.customer for c in log}):,} customers" in said
    assert "at the goal (pay) or at a loss (refused) or after 30 d of silence" in said
    assert "never counted as lost" in said
    assert repr(workspace).startswith("<Workspace ")
    assert len(repr(workspace)) < 200


def test_what_is_not_measurable_is_said(bare):
    said = str(cx.explain(bare))
    assert "names no goal" in said
    assert "has no ratings" in said
    assert "no table of customers" in said


def test_every_result_of_a_bare_workspace_can_be_said_and_drawn(bare):
    for name in ("touchpoints", "first_contacts", "stages", "transitions", "waits", "paths"):
        measured = getattr(cx, f"measure_{name}")(bare)
        assert cx.explain(measured).answer
        cx.plot(measured)
    for found in (cx.find_breaks(bare), cx.predict_breaks(bare)):
        assert cx.explain(found).answer
        cx.plot(found)


def test_rows_set_aside_and_unknown_touchpoints_are_told(workspace, monkeypatch):
    report = workspace.report | {
        "rows_in": 1000,
        "set_aside": {"time is empty": 30, "duplicate": 10},
        "unmapped": [{"name": "shpo", "contacts": 9, "nearest": "shop"}],
    }
    monkeypatch.setattr(type(workspace), "report", property(lambda _: report))
    said = str(cx.explain(workspace))
    assert "Of 1,000 rows" in said
    assert "set aside: 30 (time is empty), 10 (duplicate)." in said
    assert "does not know 'shpo': 9 contacts; did you mean 'shop'?" in said


def test_a_workspace_is_found_where_it_was_named(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("CX_WORKSPACE", str(workspace.path))
    assert cx.open().path == workspace.path
    monkeypatch.delenv("CX_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cx.CxError, match="cx ingest"):
        cx.open()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "workspace").symlink_to(workspace.path)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert cx.open().manifest == workspace.manifest


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
    journey = JourneyRule(goal=tuple(t.name for t in goal))
    rule = JourneyMap(name="x", stages=stages, touchpoints=goal, journey=journey)
    if stages[0] == "Awareness":
        roles = ("Awareness", "exploration", "conversion", "")
    log = SimpleNamespace(observed_until=None, journey_map=rule)
    names = ("awareness", "exploration", "conversion", "aftersales")
    assert tuple(" ".join(cx.find_stages(log, name)) for name in names) == roles


def test_a_role_that_no_stage_has_is_an_error(workspace):
    with pytest.raises(cx.CxError, match="Did you mean 'awareness'"):
        cx.find_stages(workspace, "awarenes")
