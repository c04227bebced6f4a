"""What goes with an outcome, and how much of it: shares of explained variation by driver.

All of it follows from cross-products, which add up over customers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.rates import Interval, mean_interval
from cxlib.statistics.resampling import Estimates, effective_buckets, jackknife_se


def cross_products(design: Estimates, bucket: NDArray[np.integer], *, buckets: int) -> Estimates:
    """Sum Z'Z of ``[1, drivers…, outcome]`` within each bucket: ``[buckets, K + 2, K + 2]``."""
    order = np.argsort(bucket, kind="stable")
    rows = np.column_stack([np.ones(len(design)), design])[order]
    edges = np.searchsorted(bucket[order], np.arange(buckets + 1))
    return np.stack([rows[a:b].T @ rows[a:b] for a, b in pairwise(edges)])


def _covariances(products: Estimates) -> tuple[Estimates, Estimates]:
    """Means and covariances of drivers and outcome; of the means the first is a one."""
    n = max(float(products[0, 0]), 1.0)
    means = products[0] / n
    return means, products / n - np.outer(means, means)


def relative_weights(products: Estimates) -> Estimates:
    r"""Johnson's relative weights: R² shared out over correlated drivers; they sum to it.

    .. math:: L = V \sqrt{W} V', \quad b = L^{-1} r_{xy}, \quad w_j = \sum_k L_{jk}^2 b_k^2

    with the eigenvectors V and eigenvalues W of the drivers' correlations. Johnson (2000),
    doi:10.1207/S15327906MBR3501_1
    """
    means, covariance = _covariances(products)
    variance = np.diag(covariance)[1:]
    # a driver that stands still goes with nothing
    moves = variance > 1e-12 * np.maximum(means[1:] ** 2, 1e-12)
    spread = np.where(moves, np.sqrt(np.maximum(variance, 1e-300)), np.inf)
    correlation = covariance[1:, 1:] / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    among, with_outcome = correlation[:-1, :-1], correlation[:-1, -1]
    values, vectors = np.linalg.eigh(among)
    root = np.sqrt(np.maximum(values, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 1e-7)
    loading = (vectors * root) @ vectors.T
    slope = (vectors * inverse) @ vectors.T @ with_outcome
    weights: Estimates = (loading**2) @ slope**2
    return weights


def slopes(products: Estimates) -> Estimates:
    """Regression slopes of the outcome on the drivers, in its unit per unit of driver."""
    _, covariance = _covariances(products)
    found, *_ = np.linalg.lstsq(covariance[1:-1, 1:-1], covariance[1:-1, -1], rcond=1e-9)
    return np.asarray(found, dtype=np.float64)


def driver_shares(products: Estimates) -> tuple[Interval, float]:
    """Relative weights from `cross_products` with jackknife intervals over customers, and R².

    The interval holds that of the share and that of its root: 95 % from 20 answers on.
    """
    whole = products.sum(axis=0)
    estimate = relative_weights(whole)
    without = np.stack([relative_weights(whole - part) for part in products], axis=1)
    se = jackknife_se(estimate, without)
    buckets = np.repeat(effective_buckets(products[None, :, 0, 0]), len(estimate))
    low, high = mean_interval(estimate, se, buckets=buckets)
    root, roots = np.sqrt(estimate), np.sqrt(without)
    root_low, root_high = mean_interval(root, jackknife_se(root, roots), buckets=buckets)
    low = np.minimum(np.maximum(low, 0.0), np.maximum(root_low, 0.0) ** 2)
    return Interval(estimate, low, np.maximum(high, root_high**2), se), float(estimate.sum())
