"""What goes with an outcome, and how much of it: shares of explained variation by driver.

All of it follows from cross-products, which add up over customers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.rates import LEVEL, Z95, Interval, divide, t_quantile
from cxlib.statistics.resampling import BUCKETS, Estimates, effective_buckets


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


def _components(products: Estimates) -> Estimates:
    r"""What each driver has of each orthogonal part; the squares' sums are its relative weight.

    .. math:: L = V \sqrt{W} V', \quad b = L^{-1} r_{xy}, \quad w_j = \sum_k L_{jk}^2 b_k^2

    with the eigenvectors V and eigenvalues W of the drivers' correlations. The weights add up to
    R². Johnson (2000), doi:10.1207/S15327906MBR3501_1
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
    slope = (vectors * inverse) @ vectors.T @ with_outcome
    components: Estimates = ((vectors * root) @ vectors.T) * slope
    return components


def slopes(products: Estimates) -> Estimates:
    """Regression slopes of the outcome on the drivers, in its unit per unit of driver."""
    _, covariance = _covariances(products)
    found, *_ = np.linalg.lstsq(covariance[1:-1, 1:-1], covariance[1:-1, -1], rcond=1e-9)
    return np.asarray(found, dtype=np.float64)


def driver_shares(products: Estimates) -> tuple[Interval, float]:
    """Relative weights from `cross_products` with intervals over customers, and R².

    A share is the squared length of its driver's components, which are jackknifed.
    """
    whole = products.sum(axis=0)
    components = _components(whole)
    without = np.stack([_components(whole - part) for part in products])
    moved = (without - without.mean(axis=0)) * np.sqrt((BUCKETS - 1) / BUCKETS)
    shares = (components**2).sum(axis=1)
    total = (moved**2).sum(axis=(0, 2))
    along = ((moved * components).sum(axis=2) ** 2).sum(axis=0)
    # in the direction of the components, which chance alone gives where they are short
    spread = (np.einsum("ajk,bjk->abj", moved, moved) ** 2).sum(axis=(0, 1))
    unit = divide(along + spread, shares + total)
    buckets = float(effective_buckets(products[None, :, 0, 0])[0])
    few = np.where(buckets < 1.5, np.nan, (t_quantile(buckets - 1) / Z95) ** 2)
    low, high = _squared_length(shares, few * total, few * unit)
    return Interval(shares, low, high, 2 * np.sqrt(along)), float(shares.sum())


def _squared_length(
    length: Estimates, total: Estimates, unit: Estimates
) -> tuple[Estimates, Estimates]:
    """95 % interval of a squared length, from its estimate.

    ``total`` is the variance of all components, ``unit`` that in their own direction: in units of
    it the estimate is a noncentral χ². No length lies below 0: where it is small all 5 % of what is
    missed lie above the interval's lower end, and where it is large half of them.
    """
    from scipy.special import chndtr

    parts, seen = np.maximum(divide(total, unit), 1.0), divide(length, unit)

    def end(*, lower: bool) -> Estimates:
        near, far = np.zeros(len(seen)), np.sqrt(seen) + 40  # standard errors: far out
        for _ in range(50):
            root = (near + far) / 2
            missed = (1 - LEVEL) / 2 * root**2 / (root**2 + parts)
            below = chndtr(seen, parts, root**2)
            beyond = 1 - below >= 1 - LEVEL - missed if lower else below <= missed
            near, far = np.where(beyond, near, root), np.where(beyond, root, far)
        ends: Estimates = near**2 * unit
        return ends

    low, high = np.minimum(end(lower=True), length), np.maximum(end(lower=False), length)
    return low, np.minimum(high, 1.0)
