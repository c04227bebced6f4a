"""The backlog held against what came: by plain sorting, without a look ahead, shown as it is."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import count, walk_log

from cxlib.fragmentation import measure_fragmentation
from cxlib.opportunities.backtest import LINES, RANKED, backtest_priorities
from cxlib.store.selection import Selection


@pytest.fixture(scope="module")
def arrivals():
    """Abandonment t1 → t4 all the time."""
    return count(walk_log(7, fault=("abandonment", 1, 4), lost=0.3))


@pytest.fixture(scope="module")
def held(arrivals):
    return backtest_priorities(arrivals)


def judge(arrivals, first, last):
    found = measure_fragmentation(
        arrivals, where=Selection(period=(first, last)), grounds=("like",), signals=RANKED
    )
    return [r for r in found.table.to_dicts() if r["effect"] is not None]


def key(row):
    return row["source_place"], row["target_place"], row["signal"]


def test_a_lasting_fault_is_named_and_the_rows_are_what_plain_sorting_gives(arrivals, held):
    at, until = held.table.select("at", "until").row(-1)
    starts = list(arrivals.periods.starts)
    ends = [*starts[1:], arrivals.settings.observed_until.date()]
    silence = timedelta(days=arrivals.settings.silence.days)
    known = max(i for i, end in enumerate(ends) if end + silence <= at)
    past = judge(arrivals, 0, known)
    came = {
        key(r): r["n"] * r["effect"] for r in judge(arrivals, starts.index(at), ends.index(until))
    }
    ranked = sorted(past, key=lambda r: (not r["finding"], -r["n"] * r["low"], key(r)))[:LINES]
    assert (ranked[0]["source"], ranked[0]["target"]) == ("t1", "t4")
    row = held.table.filter(at=at, ranking="backlog").row(0, named=True)
    best = sorted(came.values(), reverse=True)[:LINES]
    assert row["cases"] == pytest.approx(sum(came.get(key(r), 0) for r in ranked))
    assert row["worst"] == pytest.approx(sum(best))
    assert row["share"] == pytest.approx(row["cases"] / row["worst"])
    assert row["share"] > 0.3
    raw = held.table.filter(at=at, ranking="raw drop-off").row(0, named=True)
    most = sorted(
        (r for r in past if r["signal"] == "abandonment"),
        key=lambda r: (-r["n"] * r["observed"], key(r)),
    )[:LINES]
    assert raw["cases"] == pytest.approx(sum(came.get(key(r), 0) for r in most))


def test_nothing_enters_a_ranking_that_was_not_followed_by_its_date(arrivals, held, monkeypatch):
    asked = []

    def judged(part, *, where, **options):
        asked.append(where.period)
        return measure_fragmentation(part, where=where, **options)

    monkeypatch.setattr("cxlib.opportunities.backtest.measure_fragmentation", judged)
    backtest_priorities(arrivals)
    starts = list(arrivals.periods.starts)
    ends = [*starts[1:], arrivals.settings.observed_until.date()]
    silence = timedelta(days=arrivals.settings.silence.days)
    assert len(asked) == 3 * held.table["at"].n_unique()
    for past, last, came in zip(asked[::3], asked[1::3], asked[2::3], strict=True):
        for span in (past, last):
            assert ends[span[1]] + silence <= starts[came[0]]
        assert ends[came[1]] + silence <= ends[-1]


def test_a_fault_that_comes_later_is_missed_and_that_is_said():
    quiet, struck = walk_log(7), walk_log(7, fault=("abandonment", 1, 4), lost=0.4, again=1)
    struck[:, 0] += 10_000
    struck[:, 1] += 240 * 86_400.0
    held = backtest_priorities(
        count(np.concatenate([quiet, struck[struck[:, 1] < 300 * 86_400.0]]))
    )
    (sentence,) = held.sentences()
    assert "it did no better" in sentence or held.table["share"].min() < 0.5
    for name in ("backlog", "same as last period", "raw drop-off"):
        assert name in sentence


def test_a_log_too_short_says_so(arrivals):
    first = replace(arrivals, arrivals=arrivals.arrivals.filter(pl.col("period") == 0))
    held = backtest_priorities(first)
    assert held.table.is_empty()
    assert "could not be held against what came" in held.sentences()[0]
