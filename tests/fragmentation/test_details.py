"""What lies behind findings, recounted by plain loops over a log whose truth is known."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import START, count, walk_log

from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.details import detail_findings

SOURCE, TARGET = 1, 4
SILENCE = 30 * 86_400.0


def contacts(table):
    """Every customer's contacts in order: (seconds, place), whole seconds as the store has them."""
    by_customer = {}
    for customer, at, place, _ in table[np.lexsort((table[:, 1], table[:, 0]))]:
        by_customer.setdefault(customer, []).append((float(int(at)), int(place)))
    return by_customer


def arrivals_at(log, source, target):
    """Arrivals at target from source, the first three of a customer: when, wait, next contact."""
    for rows in log.values():
        taken = 0
        for i, ((before, a), (now, b)) in enumerate(pairwise(rows)):
            if (a, b) == (source, target) and 0 < now - before <= SILENCE and taken < 3:
                taken += 1
                following = rows[i + 2] if i + 2 < len(rows) else None
                yield now, now - before, following


@pytest.fixture(scope="module", params=["abandonment", "delay"])
def case(request):
    table = walk_log(11, customers=5_000, fault=(request.param, SOURCE, TARGET))
    counted = count(table)
    return request.param, contacts(table), counted, detail_findings(measure_fragmentation(counted))


def test_the_planted_fault_is_there_with_its_details(case):
    signal, log, _, details = case
    row = details.found.row(0, named=True)
    assert (row["source_place"], row["target_place"], row["signal"]) == (SOURCE, TARGET, signal)
    assert row["status"] in {"steady", "growing", "shrinking", "mended"}
    people = {
        customer
        for customer, rows in log.items()
        if any(True for _ in arrivals_at({customer: rows}, SOURCE, TARGET))
    }
    assert row["customers"] == len(people)


def test_periods_add_up_to_a_plain_count(case):
    signal, log, counted, details = case
    trend = details.trend.filter(pl.col("signal") == signal)
    last = max(rows[-1][0] for rows in log.values())
    seen, silent = Counter(), Counter()
    for now, wait, following in arrivals_at(log, SOURCE, TARGET):
        # a transition lies in the period of the contact that was left
        month = (START + timedelta(seconds=now - wait)).date().replace(day=1)
        if signal == "abandonment" and last - now >= SILENCE:
            seen[month] += 1
            silent[month] += following is None or following[0] - now > SILENCE
        if signal == "delay" and last - now + wait >= SILENCE:
            seen[month] += 1
    assert dict(trend.select("period", "n").iter_rows()) == dict(seen)
    if signal == "abandonment":
        shares = dict(trend.select("period", "observed").iter_rows())
        assert shares == pytest.approx({m: silent[m] / seen[m] for m in seen})
    known = trend.filter(pl.col("low").is_not_null())
    assert (known["low"] <= known["observed"]).all()
    assert (known["observed"] <= known["high"]).all()
    until = (START + timedelta(seconds=last - SILENCE)).date()
    for start, complete in trend.select("period", "complete").iter_rows():
        following = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        assert complete == (following <= until)
    assert len(counted.periods) >= len(trend)


def test_curves_follow_what_was_counted(case):
    signal, log, _, details = case
    curve = details.curves.filter(pl.col("signal") == signal)
    if signal == "abandonment":
        assert curve["x"].to_list() == [0.0, 7.0, 14.0, 30.0]
        assert (curve["observed"].diff().drop_nulls() <= 0).all()
        assert curve.row(-1, named=True)["observed"] == details.found["observed"][0]
    else:
        last = max(rows[-1][0] for rows in log.values())
        waits = [w for now, w, _ in arrivals_at(log, SOURCE, TARGET) if last - now + w >= SILENCE]
        for x, observed in curve.select("x", "observed").iter_rows():
            assert observed == pytest.approx(np.mean([w < x * 3600 for w in waits]), abs=1e-9)
    inside = curve.filter(pl.col("x") > 0)
    assert (inside["expected_low"] <= inside["expected"] + 1e-9).all()
    assert (inside["expected"] <= inside["expected_high"] + 1e-9).all()


def test_those_sent_back_go_elsewhere_than_others():
    table = walk_log(5, customers=5_000, fault=("backtracking", SOURCE, TARGET))
    details = detail_findings(measure_fragmentation(count(table)))
    here = (pl.col("source_place") == SOURCE) & (pl.col("target_place") == TARGET)
    onward = details.onward.filter(here)
    assert len(onward) == 6
    assert onward["observed"].sum() <= 1 + 1e-9
    lower = onward.filter(pl.col("next").str.strip_prefix("t").cast(pl.Int64) < 4)
    assert lower["observed"].sum() > lower["others"].sum() + 0.1


def test_without_findings_there_is_nothing_behind_them():
    findings = measure_fragmentation(count(walk_log(3, customers=80)))
    details = detail_findings(findings)
    assert not details.tests
    assert [len(f) for f in (details.curves, details.onward, details.trend)] == [0, 0, 0]
    assert details.curves.columns[:3] == ["source_place", "target_place", "signal"]
