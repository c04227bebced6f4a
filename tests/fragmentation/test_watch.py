"""Findings over time on logs whose truth is known."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import START, count, walk_log

from cxlib.errors import InputError
from cxlib.fragmentation import measure_fragmentation, watch_findings
from cxlib.fragmentation.details import detail_findings
from cxlib.fragmentation.watch import what_became


@pytest.fixture(scope="module")
def arrivals():
    """Abandonment t1 → t4 in the second half of the log only."""
    before, after = walk_log(7), walk_log(7, fault=("abandonment", 1, 4), again=1)
    after[:, 0] += 10_000
    after[:, 1] += 240 * 86_400.0
    return count(np.concatenate([before, after]))


def test_a_fault_that_began_is_new_and_grew(arrivals):
    watched = watch_findings(arrivals, since=date(2025, 9, 1))
    assert watched.table.select("source", "target", "status").rows() == [("t1", "t4", "new")]
    assert watched.alert
    details = detail_findings(measure_fragmentation(arrivals, grounds=["like"]))
    assert details.found["status"].to_list() == ["growing"]
    # the last month has not been followed for the silence
    trend = details.trend
    assert trend.filter(~pl.col("complete"))["period"].min() == trend["period"].max()
    usual = details.found["expected"][0]
    assert trend.filter(pl.col("period") >= date(2025, 9, 1))["observed"].mean() > usual + 0.15
    assert trend["observed"][0] < usual + 0.08


def test_a_date_outside_the_log_is_refused(arrivals):
    with pytest.raises(InputError, match="nothing to compare with"):
        watch_findings(arrivals, since=START.date())


def phases(*lost):
    """Months of 8 in a row in one world; of each the share that t1 → t4 loses on top."""
    logs = []
    for number, share in enumerate(lost):
        log = walk_log(7, fault=("abandonment", 1, 4), again=number, lost=share)
        log[:, 0] += 10_000 * number
        log[:, 1] += 240 * 86_400.0 * number
        logs.append(log)
    return count(np.concatenate(logs))


def day_of_phase(number):
    return (START + timedelta(days=240 * number + 10)).date()


@pytest.mark.parametrize(
    ("lost", "status", "alert"),
    [
        ((0.0, 0.22), "new", True),
        ((0.15, 0.45), "growing", True),
        ((0.22, 0.22), "ongoing", False),
        ((0.45, 0.15), "shrinking", False),
        ((0.22, 0.0), "mended", False),
    ],
)
def test_a_fault_that_starts_grows_and_ends(lost, status, alert):
    watched = watch_findings(phases(*lost), since=day_of_phase(1))
    assert watched.table.select("source", "target", "status").rows() == [("t1", "t4", status)]
    assert watched.alert is alert
    row = watched.table.row(0, named=True)
    # the true sizes lie in the intervals of before and since
    for side, true in zip(("before", "since"), lost, strict=True):
        assert row[f"{side}_low"] <= true <= row[f"{side}_high"]
    assert watched.sentence.startswith(f"1 {status} since ")
    assert watched.sentence in watched._repr_html_()


@pytest.mark.parametrize(
    ("signal", "before", "status"),
    [
        ("abandonment", (0.01, -0.05, 0.07), "new"),
        ("abandonment", (0.16, 0.05, 0.27), "ongoing"),  # suspect then, and no larger now
        ("abandonment", (0.06, 0.02, 0.10), "new"),  # suspect then, but it has grown
        ("perception_dip", (-0.16, -0.27, -0.05), "ongoing"),
        ("delay", (1.2, 1.1, 1.3), "ongoing"),
        ("delay", (1.02, 0.9, 1.16), "new"),
        ("abandonment", (None, None, None), "new"),
    ],
)
def test_what_was_suspect_before_is_no_news(signal, before, status):
    since = {"delay": (1.25, 1.15, 1.36), "perception_dip": (-0.24, -0.34, -0.14)}
    now = since.get(signal, (0.24, 0.14, 0.34))
    assert what_became(signal, before, now, was=False, now=True) == status
    assert what_became(signal, before, now, was=True, now=True) != "new"


def test_what_happened_within_the_last_silence_is_too_early_to_say():
    arrivals = phases(0.22)
    late = arrivals.settings.observed_until - timedelta(days=5)
    watched = watch_findings(arrivals, since=late.date())
    assert watched.table["status"].to_list() == ["unclear"]
    assert watched.sentence.startswith("Too early to say")
    assert not watched.alert


def test_no_fault_no_alert():
    watched = watch_findings(phases(0.0, 0.0), since=day_of_phase(1))
    assert watched.table.is_empty()
    assert watched.sentence.startswith("No finding before or since")
