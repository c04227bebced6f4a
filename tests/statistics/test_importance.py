"""Shares of explained variation: against all subsets in a loop, and intervals that hold."""

from itertools import permutations

import numpy as np
import pytest

from cxlib.statistics.importance import (
    cross_products,
    driver_shares,
    relative_weights,
    shapley_shares,
)

EFFECTS = np.array([0.8, 0.4, 0.0])
RHO = 0.3


def draw(rng, n):
    among = np.full((3, 3), RHO) + (1 - RHO) * np.eye(3)
    x = rng.multivariate_normal(np.zeros(3), among, n)
    return np.column_stack([x, x @ EFFECTS + rng.normal(size=n)])


def r_squared(x, y, chosen):
    design = np.column_stack([np.ones(len(x)), x[:, list(chosen)]])
    slope, *_ = np.linalg.lstsq(design, y, rcond=None)
    return 1 - (y - design @ slope).var() / y.var()


def test_shapley_is_the_mean_gain_over_all_orders():
    data = draw(np.random.default_rng(5), 60)
    data = np.column_stack([data[:, :3], data[:, 0] + data[:, 1], data[:, 3]])  # one is redundant
    x, y = data[:, :-1], data[:, -1]
    gains = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        for i, j in enumerate(order):
            gains[j] += r_squared(x, y, order[: i + 1]) - r_squared(x, y, order[:i])
    found = shapley_shares(cross_products(data, np.zeros(60, int), buckets=1)[0])
    assert found == pytest.approx(gains / len(orders), abs=1e-7)


@pytest.mark.parametrize("n", [20, 50, 200])
def test_intervals_of_shares_hold_the_truth(n):
    rng = np.random.default_rng(n)
    big = draw(rng, 200_000)
    truth = relative_weights(cross_products(big, np.zeros(len(big), int), buckets=1)[0])
    runs = 250
    hits = np.zeros(3)
    for _ in range(runs):
        products = cross_products(draw(rng, n), rng.integers(0, 32, n), buckets=32)
        shares, _ = driver_shares(products)
        hits += (shares.low <= truth) & (truth <= shares.high)
    # 750 intervals of correlated shares: the mean is sure to about 1.5 points
    assert 0.93 <= hits.mean() / runs <= 0.985
    assert hits.min() / runs >= 0.9
