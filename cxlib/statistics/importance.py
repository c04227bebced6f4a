"""What goes with an outcome, and how much of it: shares of explained variation by driver.

Everything is worked out from cross-products, which add up over customers: sums over buckets are
enough for the estimate, and leaving out one bucket at a time for its interval. "Goes with" is as
far as it reaches: drivers are associated with the outcome.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.rates import Interval, mean_interval
from cxlib.statistics.resampling import Estimates, effective_buckets, jackknife_se

__all__ = ["cross_products", "driver_shares", "relative_weights", "shapley_shares", "slopes"]

MAX_DRIVERS = 14
"""Drivers that all subsets are worked out for (2^14 small determinants)."""


def cross_products(design: Estimates, bucket: NDArray[np.integer], *, buckets: int) -> Estimates:
    """Sum Z'Z of ``[1, drivers…, outcome]`` within each bucket: ``[buckets, K + 2, K + 2]``.

    Parameters
    ----------
    design
        Drivers and, in the last column, the outcome; one row per answer.
    bucket
        Customer bucket of each row.
    buckets
        Number of buckets.

    Examples
    --------
    >>> cross_products(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 0]), buckets=1).tolist()
    [[[2.0, 4.0, 6.0], [4.0, 10.0, 14.0], [6.0, 14.0, 20.0]]]
    """
    rows = np.column_stack([np.ones(len(design)), design])
    order = np.argsort(bucket, kind="stable")
    edges = np.searchsorted(bucket[order], np.arange(buckets + 1))
    rows = rows[order]
    parts = [rows[a:b].T @ rows[a:b] for a, b in pairwise(edges)]
    return np.stack(parts)


def _correlations(products: Estimates) -> tuple[Estimates, Estimates]:
    """Correlations among drivers and with the outcome; 0 for a driver that stands still."""
    n = max(float(products[0, 0]), 1.0)
    means = products[0] / n
    covariance = products / n - np.outer(means, means)
    variance = np.diag(covariance)[1:]
    moves = variance > 1e-12 * np.maximum(means[1:] ** 2, 1e-12)
    spread = np.where(moves, np.sqrt(np.maximum(variance, 1e-300)), np.inf)
    correlation = covariance[1:, 1:] / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    return correlation[:-1, :-1], correlation[:-1, -1]


def relative_weights(products: Estimates) -> Estimates:
    r"""Johnson's relative weights: R² shared out over correlated drivers.

    .. math:: L = V \sqrt{W} V', \quad b = L^{-1} r_{xy}, \quad w_j = \sum_k L_{jk}^2 b_k^2

    with the eigenvectors V and eigenvalues W of the drivers' correlations. They sum to R².

    Parameters
    ----------
    products
        Cross-products of ``[1, drivers…, outcome]``.

    References
    ----------
    Johnson (2000), A heuristic method for estimating the relative weight of predictor variables in
    multiple regression. doi:10.1207/S15327906MBR3501_1

    Examples
    --------
    Of two drivers that do not go together each has the square of its own correlation:

    >>> x = np.array([[-1.0, -1, -3], [-1, 1, -1], [1, -1, 1], [1, 1, 3]])
    >>> relative_weights(cross_products(x, np.zeros(4, int), buckets=1)[0]).round(3).tolist()
    [0.8, 0.2]
    """
    among, with_outcome = _correlations(products)
    values, vectors = np.linalg.eigh(among)
    root = np.sqrt(np.maximum(values, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 1e-7)
    loading = (vectors * root) @ vectors.T
    slope = (vectors * inverse) @ vectors.T @ with_outcome
    weights: Estimates = (loading**2) @ slope**2
    return weights


def shapley_shares(products: Estimates) -> Estimates:
    """R² shared out by what each driver adds, averaged over all orders (Lindeman, Merenda & Gold).

    Parameters
    ----------
    products
        Cross-products of ``[1, drivers…, outcome]``, with at most `MAX_DRIVERS` drivers.

    References
    ----------
    Lindeman, Merenda & Gold (1980), Introduction to Bivariate and Multivariate Analysis, p. 119;
    Grömping (2007), doi:10.1198/000313007X188252

    Examples
    --------
    >>> x = np.array([[-1.0, -1, -3], [-1, 1, -1], [1, -1, 1], [1, 1, 3]])
    >>> shapley_shares(cross_products(x, np.zeros(4, int), buckets=1)[0]).round(3).tolist()
    [0.8, 0.2]
    """
    among, with_outcome = _correlations(products)
    drivers = len(with_outcome)
    explained = np.zeros(1 << drivers)
    for members in range(1, drivers + 1):
        chosen = np.array(list(combinations(range(drivers), members)))
        within = among[chosen[:, :, None], chosen[:, None, :]]
        inverse = np.linalg.pinv(within, rcond=1e-9, hermitian=True)
        outward = with_outcome[chosen]
        explained[(1 << chosen).sum(axis=1)] = np.einsum("si,sij,sj->s", outward, inverse, outward)
    subsets = np.arange(1 << drivers)
    size = np.array([int(s).bit_count() for s in subsets])
    shares = np.zeros(drivers)
    for j in range(drivers):
        without = subsets[(subsets >> j & 1) == 0]
        weight = np.array([1 / (drivers * comb(drivers - 1, int(s))) for s in size[without]])
        shares[j] = (weight * (explained[without | 1 << j] - explained[without])).sum()
    return shares


def slopes(products: Estimates) -> Estimates:
    """Regression slopes of the outcome on the drivers, in the outcome's unit per unit of driver.

    A slope whose sign differs from that of the plain correlation is what others call suppression.
    """
    n = max(float(products[0, 0]), 1.0)
    means = products[0] / n
    covariance = products / n - np.outer(means, means)
    found, *_ = np.linalg.lstsq(covariance[1:-1, 1:-1], covariance[1:-1, -1], rcond=1e-9)
    return np.asarray(found, dtype=np.float64)


def driver_shares(products: Estimates, *, method: str = "relative") -> tuple[Interval, float]:
    """Shares of explained variation by driver, with jackknife intervals over customer buckets.

    A share is a square: its own jackknife interval ends too low for large ones, that of its root is
    off for small ones. The interval holds both, which is what covers 95 % from 20 answers on.

    Parameters
    ----------
    products
        ``[buckets, K + 2, K + 2]`` from `cross_products`.
    method
        "relative" (Johnson) or "shapley".

    Returns
    -------
    shares
        Per driver the part of the outcome's variance that goes with it; they sum to R².
    explained
        R².
    """
    share_out = relative_weights if method == "relative" else shapley_shares
    whole = products.sum(axis=0)
    estimate = share_out(whole)
    without = np.stack([share_out(whole - part) for part in products], axis=1)
    se = jackknife_se(estimate, without)
    units = effective_buckets(products[None, :, 0, 0])
    buckets = np.repeat(units, len(estimate))
    low, high = mean_interval(estimate, se, buckets=buckets)
    # a Shapley share of suppressed drivers may be below 0: its root is 0
    root, roots = (np.sqrt(np.maximum(x, 0.0)) for x in (estimate, without))
    root_low, root_high = mean_interval(root, jackknife_se(root, roots), buckets=buckets)
    low = np.minimum(np.maximum(low, 0.0), np.maximum(root_low, 0.0) ** 2)
    return Interval(estimate, low, np.maximum(high, root_high**2), se), float(estimate.sum())
