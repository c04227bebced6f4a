"""Intervals from customer buckets: tables with a ``bucket`` column to arrays, and the
delete-one-bucket jackknife.

Customers, not contacts, are the independent units. Every customer falls into one of
:data:`BUCKETS` hash buckets, and every count that needs an interval is kept apart by bucket.
Leaving one bucket out at a time, and looking how far the estimate moves, gives the standard error
over customers at no second pass over the data.

Arrays are laid out ``[cells, buckets, ...]`` or ``[buckets, ...]``; what comes after the bucket
axis (causes, bins) is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.errors import CxError

__all__ = [
    "BUCKETS",
    "Counts",
    "Estimates",
    "dense_counts",
    "effective_buckets",
    "jackknife",
    "jackknife_se",
    "leave_one_out",
    "number_cells",
]

#: Number of hash buckets that customers fall into.
BUCKETS = 32

Counts = NDArray[np.float64]
Estimates = NDArray[np.float64]


def number_cells(table: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Number the distinct values of ``keys`` in sorted order: the cells of a result.

    Parameters
    ----------
    table
        Any frame with the columns ``keys``.
    keys
        The columns that make a cell.

    Returns
    -------
    cells
        One row per cell, sorted by ``keys``.
    index
        For every row of ``table`` the row of its cell.

    Examples
    --------
    >>> table = pl.DataFrame({"place": [4, 2, 4]})
    >>> cells, index = number_cells(table, ["place"])
    >>> cells["place"].to_list(), index.tolist()
    ([2, 4], [1, 0, 1])
    """
    cells = table.select(keys).unique().sort(keys)
    numbered = cells.with_row_index("cell")
    index = table.select(keys).join(
        numbered, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    return cells, index["cell"].to_numpy().astype(np.int64)


def dense_counts(
    axes: Mapping[str, tuple[pl.Series | NDArray[np.integer], int]],
    values: pl.Series | NDArray[np.number],
) -> Counts:
    """Add up ``values`` into a dense array with one axis per entry of ``axes``.

    Parameters
    ----------
    axes
        Name of the axis -> (position of every value on it, its length). The order of the entries
        is that of the axes.
    values
        What is added up, one value per row. Counts stay exact up to 2**53.

    Returns
    -------
    numpy.ndarray
        Sums, float64, of the shape given by the lengths; 0 where no row falls.

    Raises
    ------
    CxError
        When a position lies outside its axis.

    Examples
    --------
    >>> cell, bucket = np.array([0, 0, 1]), np.array([0, 1, 1])
    >>> dense_counts({"cell": (cell, 2), "bucket": (bucket, 2)}, np.array([5, 7, 1])).tolist()
    [[5.0, 7.0], [0.0, 1.0]]
    """
    shape = tuple(length for _, length in axes.values())
    flat = np.zeros(len(values), dtype=np.int64)
    for name, (position, length) in axes.items():
        place = np.asarray(position)
        if place.size and (place.min() < 0 or place.max() >= length):
            raise CxError(
                f"the {name} axis has {length} places, but the table asks for place "
                f"{int(place.max() if place.max() >= length else place.min())}"
            )
        flat *= length
        flat += place.astype(np.int64, copy=False)
    size = int(np.prod(shape, dtype=np.int64))
    weights = np.asarray(values, dtype=np.float64)
    sums: Counts = np.bincount(flat, weights=weights, minlength=size).astype(np.float64)
    return sums.reshape(shape)


def leave_one_out(counts: Counts, *, axis: int = 1) -> Counts:
    """For every bucket, the counts of all other buckets (same shape as ``counts``).

    Examples
    --------
    >>> leave_one_out(np.array([[1.0, 2.0, 3.0]])).tolist()
    [[5.0, 4.0, 3.0]]
    """
    return counts.sum(axis=axis, keepdims=True) - counts


def effective_buckets(counts: Counts, *, axis: int = 1) -> Estimates:
    """How many equally filled buckets would carry as much information: (sum n)^2 / sum n^2.

    32 for a large cell, 1 for a cell that hangs on one customer; 0 for an empty one. One less of
    it is the number of degrees of freedom that an interval may claim.

    Examples
    --------
    >>> effective_buckets(np.array([[4.0, 4.0, 0.0], [9.0, 0.0, 0.0]])).tolist()
    [2.0, 1.0]
    """
    total = counts.sum(axis=axis)
    squares = (counts * counts).sum(axis=axis)
    return np.divide(total * total, squares, out=np.zeros_like(total), where=squares > 0)


def jackknife_se(estimate: Estimates, without: Estimates, *, axis: int = 1) -> Estimates:
    r"""Standard error from the estimates without one bucket each.

    .. math:: se^2 = \frac{B-1}{B} \sum_b (\hat\theta_{(-b)} - \bar\theta)^2

    Parameters
    ----------
    estimate
        The estimate from all buckets, without the bucket axis.
    without
        The estimate from all buckets but one, with the bucket axis at ``axis``. Where it is
        undefined (NaN: the one bucket was all there is) it says nothing about the spread and
        stands at ``estimate``.
    axis
        The bucket axis of ``without``.

    Returns
    -------
    numpy.ndarray
        Standard errors, of the shape of ``estimate``; 0 where nothing varies, NaN where the
        estimate is NaN.

    References
    ----------
    Shao & Wu (1989), A general theory for jackknife variance estimation. doi:10.1214/aos/1176347263

    Examples
    --------
    The delete-one jackknife of a mean is its usual standard error:

    >>> x = np.array([1.0, 2.0, 6.0])
    >>> without = (x.sum() - x) / 2
    >>> bool(np.isclose(jackknife_se(x.mean(), without, axis=0), x.std(ddof=1) / 3**0.5))
    True
    """
    whole = np.expand_dims(np.asarray(estimate, dtype=np.float64), axis)
    filled = np.where(np.isnan(without), whole, without)
    buckets = without.shape[axis]
    spread = ((filled - filled.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)
    return np.sqrt(spread * (buckets - 1) / buckets)


def jackknife(
    counts: Counts, statistic: Callable[[Counts], Estimates], *, axis: int = 1
) -> tuple[Estimates, Estimates]:
    """Estimate and standard error of any statistic of counts that is additive over customers.

    Parameters
    ----------
    counts
        Counts with a bucket axis.
    statistic
        Function of counts without the bucket axis; it must broadcast over the axes before it.
    axis
        The bucket axis; every axis before it is a cell.

    Returns
    -------
    estimate, se
        Both of the shape that ``statistic`` gives for the totals.

    Examples
    --------
    >>> successes_and_n = np.array([[[1.0, 2.0], [0.0, 2.0], [2.0, 2.0]]])
    >>> rate, se = jackknife(successes_and_n, lambda c: c[..., 0] / c[..., 1])
    >>> rate.tolist(), se.round(3).tolist()
    ([0.5], [0.289])
    """
    estimate = statistic(counts.sum(axis=axis))
    without = statistic(leave_one_out(counts, axis=axis))
    return estimate, jackknife_se(estimate, without, axis=axis)
