"""Findings on logs whose truth is known, and on logs that cannot answer."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.arrivals import count_frames
from cxlib.fragmentation.findings import UNITS
from cxlib.periods import choose_periods

START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = 86_400.0
CHANNELS = ("web", "app", "store", "phone")
SIZE = 12
STAGE = np.repeat(np.arange(3), 4)


def walk_log(seed, *, customers=6_000, fault=None, days=240):
    """Customers walk at random among 12 touchpoints; every touchpoint loses its own share.

    `fault`: kind, source, target.
    """
    rng = np.random.default_rng(seed)
    ways = rng.gamma(1.0, size=(SIZE, SIZE)) * np.where(STAGE[None] >= STAGE[:, None], 1.0, 0.2)
    np.fill_diagonal(ways, 0)
    ways = (ways / ways.sum(1, keepdims=True)).cumsum(1)
    leave = rng.uniform(0.03, 0.35, SIZE)
    wait = rng.uniform(2, 40, SIZE) * 3_600
    liked = rng.uniform(5, 8, SIZE)
    here = rng.integers(0, 4, customers)
    at = rng.uniform(0, days * DAY, customers)
    before = np.full(customers, -1)
    alive = np.arange(customers)
    kind, source, target = fault or ("", -1, -1)
    rows = []
    while len(alive):
        place, came = here[alive], before[alive]
        hit = (came == source) & (place == target)
        rating = liked[place] + rng.normal(0, 1.5, len(alive))
        rating -= np.where(hit & (kind == "perception_dip"), 2.5, 0)
        rating[rng.random(len(alive)) > 0.4] = np.nan
        rows.append(np.column_stack([alive, at[alive], place, rating]))
        chance = leave[place] + np.where(hit & (kind == "abandonment"), 0.22, 0)
        stay = rng.random(len(alive)) >= chance
        alive, place, came, hit = alive[stay], place[stay], came[stay], hit[stay]
        following = (ways[place] < rng.random(len(alive))[:, None]).sum(1).clip(0, SIZE - 1)
        sent = hit & (rng.random(len(alive)) < 0.4)
        following = np.where(sent & (kind == "ping_pong"), came, following)
        lower = rng.integers(0, max(4 * STAGE[target], 1), len(alive))
        following = np.where(sent & (kind == "backtracking"), lower, following)
        slow = (place == source) & (following == target) & (kind == "delay")
        at[alive] += wait[place] * rng.lognormal(0, 1, len(alive)) * np.where(slow, 3.5, 1)
        before[alive], here[alive] = place, following
    table = np.concatenate(rows)
    return table[table[:, 1] < days * DAY]


def count(table, *, channels=CHANNELS, ratings=True, midnight=False):
    names = [channels[i % len(channels)] for i in range(SIZE)]
    places = pl.DataFrame(
        {
            "place": range(SIZE),
            "touchpoint": [f"t{i}" for i in range(SIZE)],
            "channel": names,
            "stage": [f"s{s}" for s in STAGE],
            "owner": names,
            "stage_index": pl.Series(STAGE, dtype=pl.UInt8),
            "initiated_by": ["customer"] * SIZE,
            "is_goal": [False] * SIZE,
            "is_lost": [False] * SIZE,
        }
    )
    since = pl.duration(seconds=pl.col("at"))
    rows = (
        pl.DataFrame(table, schema=["customer", "at", "place", "rating"], orient="row")
        .with_columns(
            pl.col("customer").cast(pl.UInt32),
            pl.col("place").cast(pl.UInt16),
            rating=pl.col("rating").fill_nan(None) if ratings else pl.lit(None, pl.Float64),
            occurred_at=(pl.lit(START) + since).dt.truncate("1d" if midnight else "1s"),
            sequence=pl.lit(0, pl.Int64),
        )
        .sort("customer", "at")
        .drop("at")
    )
    quiet = pl.col("occurred_at").diff() > timedelta(days=30)
    new = quiet | (pl.col("customer") != pl.col("customer").shift(1))
    stage = pl.Series(STAGE).gather(rows["place"])
    last = rows["occurred_at"].max()
    periods = choose_periods(START, last)
    rows = (
        rows.with_columns(journey=new.fill_null(True).cum_sum().cast(pl.UInt32), stage=stage)
        .with_columns(
            position=pl.int_range(pl.len(), dtype=pl.UInt16).over("journey"),
            stage_high=pl.col("stage").cum_max().over("journey").cast(pl.UInt8),
            reached=pl.lit(False),
            segment=pl.lit(0, pl.UInt16),
            bucket=(pl.col("customer") % 32).cast(pl.UInt8),
            period=periods.index_of(pl.col("occurred_at")),
        )
        .drop("stage")
    )
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    return count_frames(
        [rows],
        places=places,
        segments=pl.DataFrame({"segment": pl.Series([0], dtype=pl.UInt16)}),
        periods=periods,
        customers=customers,
        observed_until=last,
        silence=timedelta(days=30),
    )


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


@pytest.mark.parametrize("seed", range(2))
def test_a_log_without_fault_has_no_finding(seed):
    found = measure_fragmentation(count(walk_log(seed)))
    assert pairs(found) == set()
    assert found.tests == len(found.table) > 300
    assert found.signals["measurable"].all()


@pytest.mark.parametrize(
    ("log", "options", "signals", "reason"),
    [
        ({}, {"channels": ("web",)}, None, "one channel only"),
        ({"customers": 150}, {}, None, "fewer than 200"),
        ({"days": 1}, {}, None, "covers 1.0 days"),
        ({}, {"midnight": True}, None, "dates only"),
        ({}, {"ratings": False}, ["perception_dip"], "no ratings"),
    ],
)
def test_what_cannot_be_measured_says_why(log, options, signals, reason):
    found = measure_fragmentation(count(walk_log(5, fault=("abandonment", 1, 4), **log), **options))
    silent = found.signals.filter(~pl.col("measurable"))
    assert silent["signal"].to_list() == (signals or list(UNITS))
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
