"""Whom a rule keeps waiting has not left: after which silence customers count as gone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

import cxlib as cx
from cxlib.arrivals.arrivals import read_arrivals
from cxlib.arrivals.silences import silence_of
from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.selftest import check_fragmentation

START = datetime(2024, 1, 1, tzinfo=UTC)
MAP = """
version: 1
name: desk
columns: {customer: ticket, occurred_at: at, touchpoint: step}
touchpoints:
- {name: open}
- {name: solved}
- {name: closed}
journey: {goal: [closed]RULE}
"""


def desk(folder, *, after=45, forgotten=20, tickets=1_200, days=400, gap=None):
    """Tickets that a rule closes so many days after they were solved, but for some forgotten."""
    lines = ["ticket,at,step"]
    for ticket in range(tickets):
        opened = START + timedelta(days=days * ticket / tickets)
        solved = opened + timedelta(hours=5 + ticket % 40)
        closed = solved + timedelta(days=after, minutes=ticket % 7)
        steps = [(opened, "open"), (solved, "solved"), (closed, "closed")]
        for at, step in steps[: 2 if ticket % (tickets // forgotten) == 0 else 3]:
            if at <= START + timedelta(days=days):
                lines.append(f"{ticket},{at:%Y-%m-%d %H:%M:%S},{step}")
    (folder / "desk.csv").write_text("\n".join(lines))
    rule = "" if gap is None else f", gap: {gap}"
    (folder / "map.yaml").write_text(MAP.replace("RULE", rule))
    log = cx.read_log(folder / "desk.csv", map=folder / "map.yaml")
    return cx.build(log, folder / "ws")


def test_nobody_leaves_before_the_rule_has_closed_a_ticket(tmp_path):
    workspace = desk(tmp_path)
    # all come back from 30 to 44 days of silence, none from 46
    silence, coming_back = silence_of(workspace)
    assert timedelta(days=45) <= silence <= timedelta(days=46)
    assert coming_back <= 0.5
    found = measure_fragmentation(workspace)
    assert read_arrivals(workspace).settings.silence == silence
    assert found.table.filter(signal="abandonment", finding=True).is_empty()


def test_a_silence_from_which_most_come_back_tells_not_who_left(tmp_path):
    workspace = desk(tmp_path, after=100, days=280)
    silence, coming_back = silence_of(workspace)
    assert silence == timedelta(days=30)
    assert coming_back > 0.5  # the others are still open at the end
    tested = check_fragmentation(workspace, shuffles=1, signals=["abandonment"])
    skipped = tested.skipped.filter(signal="abandonment")["reason"].item()
    assert "came back" in skipped, "copies are judged with the silence of the log"
    reasons = measure_fragmentation(workspace).signals.filter(signal="abandonment")["reason"]
    assert "came back: silence does not tell who left" in reasons.item()


@pytest.mark.parametrize(("gap", "days"), [("10d", 10), ("30d", 30)])
def test_a_gap_is_the_silence(tmp_path, gap, days):
    assert silence_of(desk(tmp_path, gap=gap)) == (timedelta(days=days), 0.0)


def test_the_silence_equals_plain_counting(tmp_path):
    workspace = desk(tmp_path, after=37, forgotten=60)
    rows = workspace.store().select("customer", "occurred_at", "place").collect()
    goal = workspace.places.filter("is_goal")["place"].item()
    until = workspace.observed_until
    waits, silences = [], []
    for _, part in rows.group_by("customer", maintain_order=True):
        at = part["occurred_at"].to_list()
        waits += [b - a for a, b in pairwise(at)]
        if part["place"][-1] != goal:
            silences.append(until - at[-1])
    for days in range(30, 134):
        limit = timedelta(days=days)
        back = sum(w > limit for w in waits)
        left = sum(s >= limit for s in silences)
        if back <= left:
            break
    assert silence_of(workspace) == (limit, back / (back + left))
