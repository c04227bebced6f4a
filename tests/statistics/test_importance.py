"""Shares of explained variation: intervals that hold."""

import numpy as np
import pytest

from cxlib.statistics.importance import (
    cross_products,
    driver_shares,
)

EFFECTS = np.array([0.8, 0.4, 0.0])
RHO = 0.3


def draw(rng, n):
    among = np.full((3, 3), RHO) + (1 - RHO) * np.eye(3)
    x = rng.multivariate_normal(np.zeros(3), among, n)
    return np.column_stack([x, x @ EFFECTS + rng.normal(size=n)])


@pytest.mark.parametrize("n", [20, 50, 200])
def test_intervals_of_shares_hold_the_truth(n):
    rng = np.random.default_rng(n)
    big = draw(rng, 200_000)
    truth = driver_shares(cross_products(big, np.zeros(len(big), int), buckets=1))[0].estimate
    runs = 250
    hits = np.zeros(3)
    for _ in range(runs):
        products = cross_products(draw(rng, n), rng.integers(0, 32, n), buckets=32)
        shares, _ = driver_shares(products)
        hits += (shares.low <= truth) & (truth <= shares.high)
    # 750 intervals of correlated shares: the mean is sure to about 1.5 points
    assert 0.93 <= hits.mean() / runs <= 0.985
    assert hits.min() / runs >= 0.9


def test_a_driver_that_adds_nothing_is_told_from_one_that_adds_little() -> None:
    rng = np.random.default_rng(8)
    runs, excluded = 400, np.zeros(4)
    for _ in range(runs):
        x = rng.normal(size=(250, 4))
        y = x @ np.array([0.25, 0.0, 0.0, 0.0]) + rng.normal(size=250)
        products = cross_products(np.column_stack([x, y]), rng.integers(0, 32, 250), buckets=32)
        shares, _ = driver_shares(products)
        excluded += shares.low > 0
        assert (shares.low <= shares.estimate).all()
        assert (shares.estimate <= shares.high).all()
    # 5 of 100, of 1,200 sure to 1.3 points; a share of 0.06 is four errors from none
    assert 0.035 <= excluded[1:].mean() / runs <= 0.065
    assert excluded[0] / runs >= 0.9
