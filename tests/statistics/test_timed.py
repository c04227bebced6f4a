"""Medians read from rows of counts: against the times themselves, and how often intervals hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlib.bins import BIN_EDGES, PARTS
from cxlib.statistics.competing_risks import (
    CompetingRisks,
    Timed,
    event_weights,
    time_quantile,
    time_to_cause,
)

EDGES = np.asarray(BIN_EDGES)
STEP = np.log(EDGES[2] / EDGES[1])
DAY = 86_400.0


def bins_of(seconds):
    return np.searchsorted(EDGES, seconds, side="right") - 1


def rows_of(seconds, bucket):
    """What the summary keeps of times: counts by bucket, bin and part, with the ends of each."""
    raw = np.log(np.maximum(seconds, 1)) / STEP + 1e-9
    part = np.floor((raw - np.floor(raw)) * PARTS).astype(int)
    key = (bucket * len(EDGES) + bins_of(seconds)) * PARTS + part
    found, row, n = np.unique(key, return_inverse=True, return_counts=True)
    least, most = np.full(len(found), np.inf), np.zeros(len(found))
    np.minimum.at(least, row, seconds)
    np.maximum.at(most, row, seconds)
    bins = found // PARTS % len(EDGES)
    return Timed.of(np.zeros(len(found)), found // PARTS // len(EDGES), bins, n, least, most)


def counts(seconds, bucket):
    table = np.zeros((1, 32, len(EDGES)))
    np.add.at(table, (0, bucket, bins_of(seconds)), 1)
    return table


def median_of(seconds, bucket, until=None):
    """The interval of the median; `until`: when each was last watched."""
    seen = np.ones(len(seconds), bool) if until is None else seconds <= until
    last = np.zeros(0) if until is None else until[~seen]
    events, censored = counts(seconds[seen], bucket[seen]), counts(last, bucket[~seen])
    found = CompetingRisks(np.stack([events, censored], axis=2))
    return time_to_cause(rows_of(seconds[seen], bucket[seen]), found, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 31), st.floats(0, 5e6).map(lambda x: round(x, 3))),
        min_size=1,
        max_size=60,
    )
)
def test_without_open_cases_the_median_is_near_that_of_the_times(drawn):
    bucket, seconds = (np.array(x) for x in zip(*drawn, strict=True))
    rows = rows_of(seconds, bucket)
    events = counts(seconds, bucket).sum(axis=1)
    weight = event_weights(events, np.zeros_like(events))
    found = time_quantile(rows, np.cumsum(events * weight, axis=-1), weight)[0]
    exact = np.median(seconds)
    if (rows.n <= 2).all():
        assert found == pytest.approx(exact, abs=1e-6)
    else:  # never farther off than a part of a bin is wide
        assert found == pytest.approx(exact, rel=np.exp(STEP / PARTS) - 1, abs=1.0)
    assert seconds.min() <= found <= seconds.max()
    interval = median_of(seconds, bucket)
    if np.isfinite(interval.low[0]):
        assert seconds.min() - 1e-6 <= interval.low[0] <= found + 1e-6
        assert found - 1e-6 <= interval.high[0] <= seconds.max() + 1e-6


WORLDS = {
    "smooth": (lambda rng, n: np.exp(rng.normal(np.log(2 * DAY), 1, n)), 2 * DAY),
    "half an hour": (lambda rng, n: 2 * DAY + rng.uniform(-1800, 1800, n), 2 * DAY),
    "two clusters": (
        lambda rng, n: np.where(rng.random(n) < 0.6, 15, 17) * DAY + rng.uniform(-600, 600, n),
        15 * DAY + 400,
    ),
    "whole days": (lambda rng, n: rng.geometric(0.4, n) * DAY, 2 * DAY),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("n", [80, 1_000])
def test_the_interval_holds_the_median_as_often_as_it_says(world, n):
    draw, truth = WORLDS[world]
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(100):
        found = median_of(draw(rng, n), rng.integers(0, 32, n))
        held += found.low[0] <= truth * (1 + 1e-9) and found.high[0] >= truth * (1 - 1e-9)
    assert held >= 90  # of 100 at 95 %: fewer come up once in forty such tests


def test_open_cases_are_allowed_for():
    rng = np.random.default_rng(5)
    waits = np.exp(rng.normal(np.log(2 * DAY), 1, 20_000))
    until = rng.uniform(0, 60 * DAY, len(waits))
    found = median_of(waits, rng.integers(0, 32, len(waits)), until)
    assert found.low[0] <= 2 * DAY <= found.high[0]
    assert found.estimate[0] == pytest.approx(2 * DAY, rel=0.03)
    seen = waits <= until
    assert np.median(waits[seen]) < 0.97 * found.estimate[0]


def test_an_interval_ends_no_nearer_than_what_was_recorded():
    """Five hundred in one row, of which only the first and the last are known."""
    rows = Timed.of([0, 0], [0, 1], [40, 40], [500, 500], [1e5, 1e5], [1.04e5, 1.04e5])
    counted = np.zeros((1, 32, 2, len(EDGES)))
    counted[0, :2, 0, 40] = 500
    found = time_to_cause(rows, CompetingRisks(counted), 0)
    assert (found.low[0], found.high[0]) == (1e5, 1.04e5)
    assert found.estimate[0] == pytest.approx(1.02e5)


def test_nothing_happened_is_not_known():
    nobody = Timed.of(*([],) * 6)
    counted = CompetingRisks(np.zeros((2, 32, 2, len(EDGES))))
    found = time_to_cause(nobody, counted, 0)
    assert np.isnan([*found.estimate, *found.low, *found.high]).all()
