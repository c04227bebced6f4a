"""Findings on logs whose truth is known, and on logs that cannot answer."""

from datetime import date

import polars as pl
import pytest
from fragmentation.walks import count, walk_log

from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.sentences import say_finding
from cxlib.signals import SIGNALS

UNMARKED = ["broken_handoff", "repeated_task", "repeat_contact", "self_service_leak"]
"""Not measurable on the walks, whose map marks nothing and plans nothing."""


def pairs(findings):
    return set(findings.found.select("source", "target").iter_rows())


@pytest.mark.parametrize(
    "kind", ["abandonment", "delay", "backtracking", "ping_pong", "perception_dip"]
)
def test_a_planted_fault_is_the_only_finding(kind):
    found = measure_fragmentation(count(walk_log(7, fault=(kind, 1, 4))))
    assert pairs(found) == {("t1", "t4")}
    row = found.found.row(0, named=True)
    assert row["q"] < 0.01
    assert row["customers_affected"] > 0
    assert row["sentence"].startswith("t1 → t4 ")
    if kind in ("abandonment", "delay", "perception_dip"):
        size = {"abandonment": 0.22, "delay": 3.5, "perception_dip": -2.5}[kind]
        assert row["signal"] == kind
        assert row["low"] <= size <= row["high"]
    if kind == "abandonment":
        assert row["customers_affected"] == pytest.approx(row["n"] * row["low"], abs=1)


@pytest.mark.parametrize("kind", ["backtracking", "ping_pong"])
def test_the_way_that_everybody_goes_is_no_breakage(kind):
    found = measure_fragmentation(count(walk_log(7, fault=(kind, 1, 4), struck=1.0)))
    told = found.table.filter(pl.col("source") == "t1", pl.col("target") == "t4")
    assert told.filter(pl.col("signal") == kind).is_empty()


@pytest.mark.parametrize("seed", range(2))
def test_a_log_without_fault_has_no_finding(seed):
    found = measure_fragmentation(count(walk_log(seed)))
    assert pairs(found) == set()
    assert found.tests == len(found.table) > 300
    silent = found.signals.filter(~pl.col("measurable"))
    assert silent["signal"].to_list() == UNMARKED
    assert found.table["simpson"].any()
    assert not found.table["simpson"].all()


@pytest.mark.parametrize(
    ("log", "options", "signals", "reason"),
    [
        ({"customers": 80}, {}, None, "fewer than 100"),
        ({"days": 1}, {}, None, "covers 1.0 days"),
        ({}, {"midnight": True}, ["delay"], "dates only"),
        ({}, {"ratings": False}, ["perception_dip"], "no ratings"),
    ],
)
def test_what_cannot_be_measured_says_why(log, options, signals, reason):
    found = measure_fragmentation(count(walk_log(5, fault=("abandonment", 1, 4), **log), **options))
    silent = found.signals.filter(~pl.col("measurable"))
    unmeasured = sorted([*(signals or SIGNALS), *UNMARKED], key=list(SIGNALS).index)
    assert silent["signal"].to_list() == list(dict.fromkeys(unmeasured))
    silent = silent.filter(~pl.col("signal").is_in(UNMARKED)) if signals else silent
    assert all(text.startswith("not measurable, because") for text in silent["reason"])
    assert all(reason in text for text in silent["reason"])
    assert not set(found.table["signal"]) & set(silent["signal"])
    assert signals or found.to_dicts() == []


def test_the_table_has_what_machines_read():
    found = measure_fragmentation(count(walk_log(7, fault=("abandonment", 1, 4))))
    first = found.to_dicts()[0]
    wanted = {"source", "target", "signal", "n", "observed", "expected", "effect", "low", "high"}
    assert wanted | {"q", "customers_affected", "finding"} <= set(first)
    assert first["finding"] is True
    assert "t1 → t4" in found._repr_html_()


def test_no_day_is_said_twice_and_every_day_once():
    past = {"source": "till", "target": "desk", "signal": "abandonment", "ground": "past", "n": 100}
    past |= {"observed": 0.4, "expected": 0.2, "effect": 0.2, "low": 0.1, "high": 0.3}
    worse = past | {"since": date(2025, 5, 1), "compared_with": "before 1 May 2025"}
    told = "before 1 May 2025 (95 %: 10 to 30): 40 % instead of 20 %"
    assert say_finding(worse).endswith(told)
    over = worse | {"affected_until": date(2025, 7, 1)}
    assert say_finding(over).endswith("20 %; until 1 July 2025")
    better = past | {"affected_until": date(2025, 5, 1), "compared_with": "since 11 May 2025"}
    assert say_finding(better).endswith("20 %; mended since 1 May 2025")  # not the 11th
    assert say_finding(better | {"compared_with": "since 1 May 2025"}).endswith("20 %; mended")


def test_of_very_many_times_as_long_only_the_sure_part_is_said():
    row = {"source": "form", "target": "reply", "signal": "delay", "n": 90, "effect": 219.0}
    row |= {"low": 20.4, "high": 2_355.0, "observed": 137.0, "expected": 0.62}
    told = "form → reply takes at least 20 times as long as similar handoffs do: 5.7 days instead"
    assert say_finding(row).startswith(told)
    assert "4.0 times as long as similar handoffs do (95 %: 2.0 to 8.0)" in say_finding(
        row | {"effect": 4.0, "low": 2.0, "high": 8.0}
    )
