"""Waits between contacts, against medians of waits followed by hand."""

from dataclasses import replace
from datetime import timedelta
from statistics import median

import pytest
from journey_oracle import contact, follow, journey_map, make_workspace

from cxlib.errors import InputError, UnknownNameError
from cxlib.measures.waits import measure_waits
from cxlib.opening_hours import parse_opening_hours
from cxlib.summary import Selection


def waits_by_hand(log, rule, name, *, keep=lambda contact: True):
    found = {}
    for f in follow(log, rule):
        if f.sequel == "went_on" and keep(f.contact):
            found.setdefault((name(f.contact), name(f.target)), []).append(f.wait)
    return found


@pytest.mark.parametrize("by", ["touchpoint", "channel", "stage"])
def test_counts_and_medians_match_waits_followed_by_hand(log, rule, workspace, by):
    expected = waits_by_hand(log, rule, lambda c: getattr(c, by))
    table = measure_waits(workspace, by=by).table
    found = {(r["source"], r["target"]): r for r in table.iter_rows(named=True)}
    assert found.keys() == expected.keys()
    for pair, waits in expected.items():
        assert found[pair]["n"] == len(waits)
        row = found[pair]
        assert row["wait"] == median(waits)
        assert min(waits) <= row["wait_quarter"] <= row["wait"]
        assert row["wait"] <= row["wait_three_quarters"] <= max(waits)
    counts = table["n"].to_list()
    assert counts == sorted(counts, reverse=True)


def test_a_channel_and_a_period_are_those_of_the_source(log, rule, workspace):
    def is_meant(c):
        return c.channel == "web" and c.at.month in (2, 3)

    expected = waits_by_hand(log, rule, lambda c: c.touchpoint, keep=is_meant)
    table = measure_waits(workspace, where=Selection(channel="web", period=(1, 2))).table
    assert {(r["source"], r["target"]): (r["n"], r["wait"]) for r in table.to_dicts()} == {
        pair: (len(waits), median(waits)) for pair, waits in expected.items()
    }


def test_quartiles_of_two_waits_lie_between_them(tmp_path):
    log = [
        contact("a", 0, "ad"),
        contact("a", 1, "page"),
        contact("b", 0, "ad"),
        contact("b", 4, "page"),
    ]
    row = measure_waits(make_workspace(tmp_path / "ws", log)).table.row(0, named=True)
    assert (row["n"], row["customers"], row["wait"]) == (2, 2, timedelta(days=2.5))
    assert row["wait_quarter"] == timedelta(days=1.75)
    assert row["wait_three_quarters"] == timedelta(days=3.25)


def test_nobody_going_on_is_an_empty_table_and_unknown_names_are_errors(tmp_path, workspace):
    alone = make_workspace(tmp_path / "ws", [contact("a", 0, "ad"), contact("b", 1, "ad")])
    assert measure_waits(alone).table.is_empty()
    with pytest.raises(UnknownNameError, match="channel"):
        measure_waits(workspace, where=Selection(channel="fax"))
    with pytest.raises(InputError, match="outside the log"):
        measure_waits(workspace, where=Selection(period=(0, 99)))


def test_a_wait_for_what_closes_is_counted_in_its_opening_hours_as_well(tmp_path):
    """Support is open on weekdays from 8 to 18; START, 1 January 2025, is a Wednesday."""
    hours = {"phone": parse_opening_hours("Mon-Fri 08:00-18:00")}
    rule = replace(journey_map(), opening_hours=hours)
    log = []
    # from Friday 17:00 to Monday 9:00: two of the 64 hours were open
    for i, start in enumerate((2 + 17 / 24, 9 + 17 / 24, 16 + 17 / 24)):
        log += [contact(f"c{i}", start, "page"), contact(f"c{i}", start + 64 / 24, "support")]
        log += [contact(f"c{i}", start - 1, "ad")]
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    table = measure_waits(workspace).table
    found = {
        row[:2]: row[2:] for row in table.select("source", "target", "wait", "open_wait").rows()
    }
    assert found["page", "support"] == (timedelta(hours=64), timedelta(hours=2))
    assert found["ad", "page"] == (timedelta(days=1), None)
