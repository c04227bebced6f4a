"""Times that are exactly as long as a rule says: which side of it they are on."""

from datetime import timedelta

import numpy as np
import pytest
from journey_oracle import GAP, START, contact, journey_map, make_workspace

from cxlib.measures.funnels import first_completions, measure_funnel
from cxlib.store.walk import OPEN, RELOAD, SILENT, follow_contacts, look_back

SECOND = 1 / 86_400


@pytest.mark.parametrize(("over", "reached"), [(-1, True), (0, True), (1, False)])
def test_steps_that_take_exactly_the_window_of_a_funnel_fit_into_it(over, reached):
    within = timedelta(hours=1)
    at = np.array([0, within // timedelta(microseconds=1) + over])
    taken = np.array([[True, False], [False, True]])
    rows = first_completions(at, np.zeros(2, dtype=int), taken, within)
    assert [r.tolist() for r in rows] == [[0], [1] if reached else []]


@pytest.mark.parametrize(("over", "reload"), [(-1, True), (0, True), (1, False)])
def test_the_same_touchpoint_exactly_a_minute_later_is_a_reload(tmp_path, over, reload):
    seconds = RELOAD.total_seconds() + over
    log = [contact("x", 0, "page"), contact("x", seconds * SECOND, "page")]
    workspace = make_workspace(tmp_path / "w", log)
    seen = look_back(workspace.store().collect(), scope=workspace.scope).collect()
    assert seen["reload"].to_list() == [False, reload]


@pytest.mark.parametrize(("over", "journeys"), [(-1, 1), (0, 1), (1, 2)])
def test_a_silence_of_exactly_the_gap_ends_no_journey(tmp_path, over, journeys):
    log = [contact("x", 0, "ad"), contact("x", GAP.days + over * SECOND, "page")]
    workspace = make_workspace(tmp_path / "w", log)
    assert workspace.store().collect()["journey"].n_unique() == journeys


@pytest.mark.parametrize(("over", "code"), [(-1, OPEN), (0, OPEN), (1, SILENT)])
def test_who_was_watched_for_exactly_the_gap_may_still_come(tmp_path, over, code):
    until = START + GAP + timedelta(seconds=over)
    workspace = make_workspace(
        tmp_path / "w", [contact("x", 0, "ad")], rule=journey_map(until=until)
    )
    followed = follow_contacts(workspace.store().collect(), scope=workspace.scope)
    assert followed["next"].to_list() == [code]


@pytest.mark.parametrize(("over", "robots"), [(-1, 1), (0, 0), (1, 0)])
def test_contacts_that_span_exactly_a_day_are_no_robots(tmp_path, over, robots):
    """One contact more than the map allows, spread over 24 hours; another customer stays."""
    allowed = journey_map().journey.max_contacts_per_day
    span = 1 + over * SECOND
    log = [contact("x", i * span / allowed, "page") for i in range(allowed + 1)]
    workspace = make_workspace(tmp_path / "w", [*log, contact("y", 3, "ad")])
    assert workspace.manifest["counts"]["robots"] == robots


def test_past_the_goal_a_step_can_still_come_until_the_gap_has_passed(tmp_path):
    """One asked for support after 20 days; the other was watched for 11 and may still ask."""
    log = [contact("x", 0, "basket"), contact("x", 1, "pay"), contact("x", 20, "support")]
    log += [contact("y", 90, "basket"), contact("y", 91, "pay")]
    rule = journey_map(until=START + timedelta(days=101))
    workspace = make_workspace(tmp_path / "w", log, rule=rule)
    found = measure_funnel(workspace, steps=["basket", "support"]).table
    assert found["rate"].to_list() == [None, 1.0]
    assert found["open_n"].to_list()[0] == 1
