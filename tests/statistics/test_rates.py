"""Intervals of rates and means: bounds, edges, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.statistics.rates import (
    difference_of_rates,
    effective_size,
    mean_interval,
    rate,
    rate_interval,
    ratio,
    t_quantile,
    wilson,
)


def test_t_quantile_agrees_with_scipy_stats():
    from scipy import stats

    df = np.array([1.0, 2.5, 31.0, 1e6])
    assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    assert t_quantile(0.2) == pytest.approx(stats.t.ppf(0.975, 1))


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0.5, 20))
@settings(max_examples=100)
def test_wilson_solves_the_score_equation(n, p, z):
    low, high = (float(x) for x in wilson(p, n, quantile=z))
    assert 0 <= low <= p <= high <= 1
    for end in (low, high):
        if 1e-6 < end < 1 - 1e-6 and abs(end - p) > 1e-9:
            assert abs(p - end) == pytest.approx(z * (end * (1 - end) / n) ** 0.5, rel=1e-6)


def test_nothing_observed_has_the_widest_interval_or_none():
    low, high = wilson([0.3, np.nan], [0, 10])
    assert (low[0], high[0]) == (0, 1)
    assert np.isnan(low[1])
    assert np.isnan(high[1])


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=32, max_size=32),
)
@settings(max_examples=100)
def test_rates_stay_in_bounds_whatever_the_buckets_hold(buckets):
    hits = np.array([[min(a, b) for a, b in buckets]], dtype=float)
    n = np.array([[max(a, b) for a, b in buckets]], dtype=float)
    found = rate(hits, n)
    if n.sum() == 0:
        assert np.isnan(found.estimate[0])
        return
    assert 0 <= found.low[0] <= found.estimate[0] <= found.high[0] <= 1
    assert found.estimate[0] == pytest.approx(hits.sum() / n.sum())


def test_a_cell_that_hangs_on_one_customer_knows_next_to_nothing():
    hits, n = np.zeros((1, 32)), np.zeros((1, 32))
    hits[0, 4], n[0, 4] = 20, 50
    found = rate(hits, n, customers=np.array([1]))
    assert found.high[0] - found.low[0] > 0.75


def test_effective_size_never_exceeds_the_contacts_nor_falls_below_one():
    size = effective_size([0.5, 0.5, 0.5, 0.0], [0.001, 10.0, 0.05, 0.0], contacts=[80, 80, 300, 7])
    assert size == pytest.approx([80, 1, 100, 7])
    assert effective_size([0.5], [0.1], contacts=[0.0]) == pytest.approx([0.0])


def test_zero_of_n_uses_the_customers_not_the_contacts():
    by_contacts = rate_interval([0.0], [0.0], contacts=[1000])
    by_customers = rate_interval([0.0], [0.0], contacts=[1000], customers=[20])
    assert by_customers[1][0] == pytest.approx(wilson(0.0, 20)[1])
    assert by_customers[1][0] > 10 * by_contacts[1][0]


def test_ratio_is_a_mean_with_students_t():
    sums, n = np.arange(1.0, 33.0)[None], np.ones((1, 32))
    found = ratio(sums, n)
    half = 2.039513 * sums.std(ddof=1) / 32**0.5
    assert found.estimate[0] == pytest.approx(16.5)
    assert found.high[0] - 16.5 == pytest.approx(half, rel=1e-6)


def test_a_mean_of_one_bucket_has_no_interval():
    low, high = mean_interval([7.0], [0.0], buckets=[1.0])
    assert np.isnan([low[0], high[0]]).all()


def test_difference_of_equal_rates_holds_zero_and_turns_round():
    a, b = (0.3, 0.2, 0.4), (0.5, 0.45, 0.55)
    d, low, high = difference_of_rates(a, b)
    e, low2, high2 = difference_of_rates(b, a)
    assert (d, low, high) == pytest.approx((-e, -high2, -low2))
    zero, low, high = difference_of_rates(a, a)
    assert low < zero == 0 < high


@pytest.mark.parametrize(("p", "customers"), [(0.02, 300), (0.3, 300), (0.5, 60), (0.9, 1500)])
def test_intervals_hold_the_truth_as_often_as_they_say_when_customers_differ(p, customers):
    """Contacts of one customer resemble each other (beta-binomial), and customers make 1 to 8 of
    them.

    1000 logs; 95 % is promised. 92 to 98.5 % leaves room for three standard errors of the
    simulation (0.7 points each) and for the skewness of small samples. Counting contacts as units
    holds the truth in far fewer.
    """
    rng = np.random.default_rng(11)
    logs = 1000
    contacts = rng.integers(1, 9, (logs, customers))
    own = rng.beta(2 * p, 2 * (1 - p), (logs, customers))
    hits = rng.binomial(contacts, own)
    bucket = rng.integers(0, 32, (logs, customers))
    cell = np.repeat(np.arange(logs), customers)
    flat = cell * 32 + bucket.ravel()
    n = np.bincount(flat, contacts.ravel(), logs * 32).reshape(logs, 32)
    k = np.bincount(flat, hits.ravel(), logs * 32).reshape(logs, 32)
    found = rate(k, n, customers=np.full(logs, customers))
    held = ((found.low <= p) & (p <= found.high)).mean()
    naive_low, naive_high = wilson(found.estimate, n.sum(axis=1))
    naive = ((naive_low <= p) & (p <= naive_high)).mean()
    assert 0.92 <= held <= 0.985
    assert naive < held - 0.05
