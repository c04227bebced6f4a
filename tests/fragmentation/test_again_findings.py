"""Findings about what happens again: planted faults, silence without them, echoes, reasons."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from fragmentation.walks import AGAIN, MARKS, count, walk_log

from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.details import detail_findings
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.sentences import say_finding
from cxlib.fragmentation.stability import flag_simpson
from cxlib.signals import SIGNALS

ALL_MARKS = {
    "repeatable": MARKS["repeated_task"]["repeatable"],
    "assisted": [i in (0, 3, 7, 10) for i in range(12)],
    "self_service": [i in (1, 2, 4, 5, 8, 9) for i in range(12)],
}


@pytest.mark.parametrize(
    ("kind", "seed"), [("repeated_task", 13), ("repeat_contact", 13), ("self_service_leak", 7)]
)
def test_a_planted_fault_is_the_only_finding(kind, seed):
    table = walk_log(seed, fault=(kind, 1, 4))
    found = measure_fragmentation(count(table, marks=MARKS[kind]))
    assert set(found.found.select("source", "target", "signal").iter_rows()) == {("t1", "t4", kind)}
    row = found.found.row(0, named=True)
    assert row["stable"]
    # of those who did not leave 40 % are sent there; some would have gone anyway
    assert 0.05 < row["low"] < row["effect"] < 0.42
    trend = detail_findings(found).trend
    assert trend["n"].sum() == row["n"]
    assert (trend["observed"] * trend["n"]).sum() == pytest.approx(row["observed"] * row["n"])


@pytest.mark.parametrize("seed", [21, 22])
def test_a_log_without_fault_is_silent(seed):
    found = measure_fragmentation(count(walk_log(seed), marks=ALL_MARKS))
    tested = found.signals.filter(pl.col("signal").is_in(list(MARKS)))["tested"]
    assert tested.min() > 20
    assert found.found.is_empty()


@pytest.mark.parametrize(
    ("log", "options", "reason"),
    [
        ({"customers": 80}, {}, "fewer than 100"),
        ({"days": 1}, {}, "covers 1.0 days"),
    ],
)
def test_bad_logs_say_why_for_every_signal(log, options, reason):
    fault = (AGAIN[0], 1, 4)
    found = measure_fragmentation(
        count(walk_log(5, fault=fault, **log), marks=ALL_MARKS, **options)
    )
    assert len(found.signals) == len(SIGNALS)
    assert not found.signals["measurable"].any()
    assert all(reason in text for text in found.signals["reason"])
    assert found.to_dicts() == []


@pytest.mark.parametrize(
    ("marks", "signal", "reason"),
    [
        ({}, "repeated_task", "marks no touchpoint `repeatable: false`"),
        ({}, "repeat_contact", "marks no touchpoint `assisted: true`"),
        ({}, "self_service_leak", "marks no touchpoint `assisted: true`"),
        (MARKS["repeat_contact"], "self_service_leak", "`self_service: true`"),
        ({}, "broken_handoff", "plans no handoff"),
    ],
)
def test_what_the_map_does_not_mark_is_named(marks, signal, reason):
    found = measure_fragmentation(count(walk_log(5, customers=600), marks=marks))
    row = found.signals.row(by_predicate=pl.col("signal") == signal, named=True)
    assert row["reason"].startswith("not measurable, because")
    assert reason in row["reason"]


def test_callers_who_call_anyway_are_no_leak():
    """Who comes from help and calls again, has called before: the control is not silent."""
    table = walk_log(7, fault=("self_service_leak", 1, 4))
    arrivals = count(table, marks=MARKS["self_service_leak"])
    leak = pl.col("leak")
    # the same excess before as after
    called = arrivals.repeats.with_columns(leak_before=leak)
    found = measure_fragmentation(replace(arrivals, repeats=called))
    assert not found.table.filter(pl.col("signal") == "self_service_leak")["finding"].any()


def row(source, target, signal, effect, z, n=1000):
    return {
        "source": f"t{source}",
        "target": f"t{target}",
        "source_place": source,
        "target_place": target,
        "signal": signal,
        "significant": True,
        "ground": "plan" if signal == "broken_handoff" else "like",
        "unit": "transition",
        "group": None,
        "value": None,
        "affected": float(n),
        "n": n,
        "effect": effect,
        "z": z,
    }


@pytest.mark.parametrize(
    ("rows", "speaks"),
    [
        # who is sent back comes again: one tale
        ([(1, 2, "repeat_contact", 0.2, 9), (1, 2, "ping_pong", 0.2, 8)], (1, 2, "ping_pong")),
        # the repeats are more than the returns can account for
        (
            [(1, 2, "repeat_contact", 0.4, 9), (1, 2, "ping_pong", 0.1, 8)],
            (1, 2, "repeat_contact"),
        ),
        # sent back to 1, and so at 1 again whoever comes there
        ([(0, 1, "repeated_task", 0.2, 9), (1, 2, "ping_pong", 0.3, 8)], (1, 2, "ping_pong")),
        # customers lost on the way to 1 do not reach what is planned after it
        ([(1, 2, "broken_handoff", 0.3, 9), (0, 1, "abandonment", 0.2, 8)], (0, 1, "abandonment")),
        ([(1, 2, "broken_handoff", 0.3, 9), (1, 2, "delay", 2.0, 8)], (1, 2, "delay")),
    ],
)
def test_one_fault_is_one_finding(rows, speaks):
    decided = choose_findings(pl.DataFrame([row(*r) for r in rows]).with_row_index("row"))
    found = decided.filter("finding")
    assert found.select("source_place", "target_place", "signal").rows() == [speaks]
    assert decided.filter(~pl.col("finding"))["echo_of"].null_count() == 0


def test_repeats_elsewhere_are_findings_of_their_own():
    rows = [row(0, 1, "repeated_task", 0.3, 9), row(1, 2, "ping_pong", 0.05, 8)]
    assert choose_findings(pl.DataFrame(rows).with_row_index("row"))["finding"].all()


def test_simpson_is_a_crude_comparison_that_points_the_other_way():
    judged = pl.DataFrame(
        {
            "signal": ["abandonment"] * 3 + ["delay"] * 2 + ["abandonment"] + ["ping_pong"] * 2,
            "ground": ["like"] * 8,
            "target_place": [1, 1, 1, 1, 1, 2, 1, 1],
            "n": [100, 100, 300, 50, 50, 80, 90, 90],
            "observed": [0.2, 0.4, 0.3, 10.0, 20.0, 0.5, 0.1, 0.9],
            "effect": [0.1, 0.1, -0.1, 1.5, 1.5, 0.2, 0.1, 0.1],
            "family": ["share"] * 3 + ["wait"] * 2 + ["share"] * 3,
            "compares_alone": [False] * 6 + [True] * 2,
        }
    )
    # crude: 0.2 - 0.325, 0.4 - 0.275, 0.3 - 0.3, ln 10 - ln 20, ln 20 - ln 10, nobody else;
    # to come back means another place for each source
    assert flag_simpson(judged).to_list() == [True, False, False, True, False, *[None] * 3]


def test_the_sentence_says_what_is_doubtful():
    given = {"source": "a", "target": "b", "signal": "repeat_contact", "n": 500, "effect": 0.2}
    given |= {"low": 0.1, "high": 0.3, "observed": 0.5, "expected": 0.3}
    assert say_finding(given).endswith("(95 %: 50 to 150)")
    doubtful = say_finding(given | {"stable": False, "simpson": True})
    assert "unstable" in doubtful
    assert "the crude comparison points the other way" in doubtful


def test_a_setting_that_turns_the_sign_makes_a_finding_unstable():
    arrivals = count(walk_log(13, fault=("repeat_contact", 1, 4)), marks=MARKS["repeat_contact"])
    here = (pl.col("source") == 1) & (pl.col("target") == 4)
    # nobody comes again within three days, where others do
    late = arrivals.repeats.with_columns(contact_0=pl.when(here).then(0).otherwise("contact_0"))
    found = measure_fragmentation(replace(arrivals, repeats=late)).found
    assert found["stable"].to_list() == [False]
    assert "unstable" in found["sentence"][0]


@pytest.mark.parametrize(
    ("group", "everybody", "speaks"),
    [
        ((300, 0.3), (900, 0.3), None),  # all changed, a third of them a little more clearly
        ((300, 0.3), (900, 0.12), "mobile"),  # most of what changed are they
        ((500, 0.3), (900, 0.25), None),  # the rest: two thirds as much
    ],
)
def test_all_speak_for_a_group_that_changed_as_they_did(group, everybody, speaks):
    at = {"ground": "past", "since": date(2025, 3, 3)}
    part = row(1, 2, "abandonment", group[1], 9, n=group[0]) | {"group": "device"}
    whole = row(1, 2, "abandonment", everybody[1], 8, n=everybody[0])
    rows = [part | {"value": "mobile"} | at, whole | at]
    decided = choose_findings(pl.DataFrame(rows, infer_schema_length=None).with_row_index("row"))
    assert decided.filter("finding")["value"].to_list() == [speaks]
    assert decided["echo_of"].null_count() == 1
