"""Tables with a ``bucket`` column to arrays, and the delete-one-bucket jackknife.

Customers, not contacts, are independent: each falls into one of `BUCKETS` hash buckets, and how far
an estimate moves without each gives its error. Arrays are ``[cells, buckets, …]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from cxlib.errors import CxError

BUCKETS = 32
"""Number of hash buckets that customers fall into."""

Counts = NDArray[np.float64]
Estimates = NDArray[np.float64]


def number_cells(table: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Number the distinct values of ``keys`` in sorted order; give them, and each row's number."""
    cells = table.select(keys).unique().sort(keys)
    numbered = cells.with_row_index("cell")
    index = table.select(keys).join(
        numbered, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    return cells, index["cell"].to_numpy().astype(np.int64)


def dense_counts(axes: Mapping[str, tuple[Any, int]], values: ArrayLike) -> Counts:
    """Add up ``values`` into an array with one axis per entry: name → (position, length).

    Counts stay exact up to 2**53; a position outside its axis is a `CxError`.
    """
    return add_densely(axes, values)[0]


def add_densely(axes: Mapping[str, tuple[Any, int]], *columns: ArrayLike) -> list[Counts]:
    """Add up several columns of values as `dense_counts` does one."""
    shape = tuple(length for _, length in axes.values())
    size = int(np.prod(shape, dtype=np.int64))
    flat: NDArray[np.int64] | int = 0
    for name, (position, length) in axes.items():
        place = np.asarray(position)
        if place.size and (place.min() < 0 or place.max() >= length):
            raise CxError(
                f"the {name} axis has {length} places, but the table asks for place "
                f"{int(place.max() if place.max() >= length else place.min())}"
            )
        flat = flat * length + place.astype(np.int64, copy=False)
    sums = (np.bincount(flat, np.asarray(v, dtype=np.float64), size) for v in columns)
    return [total.astype(np.float64, copy=False).reshape(shape) for total in sums]


def merge_cells(counts: Counts, cell: NDArray[np.int64], cells: int) -> Counts:
    """Add up ``[cells, …]`` into coarser cells: ``cell`` is the one that each is in."""
    merged = np.zeros_like(counts, shape=(cells, *counts.shape[1:]))
    for one, coarse in enumerate(cell):  # in the cache, unlike np.add.reduceat
        merged[coarse] += counts[one]
    return merged


def leave_one_out(counts: Counts, *, axis: int = 1) -> Counts:
    """For every bucket, the counts of all other buckets."""
    return counts.sum(axis=axis, keepdims=True) - counts


def effective_buckets(counts: Counts) -> Estimates:
    """How many equally filled buckets would tell as much: (Σn)² / Σn²; 0 for an empty cell."""
    total, squares = counts.sum(axis=1), (counts * counts).sum(axis=1)
    return np.divide(total * total, squares, out=np.zeros_like(total), where=squares > 0)


def jackknife_se(estimate: Estimates, without: Estimates, *, axis: int = 1) -> Estimates:
    r"""Standard error of an estimate from those without one bucket each, on ``axis``.

    .. math:: se^2 = \frac{B-1}{B} \sum_b (\hat\theta_{(-b)} - \bar\theta)^2

    NaN among them says nothing of the spread. Shao & Wu (1989), doi:10.1214/aos/1176347263
    """
    whole = np.expand_dims(np.asarray(estimate, dtype=np.float64), axis)
    filled = np.where(np.isnan(without), whole, without)
    buckets = without.shape[axis]
    spread = ((filled - filled.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)
    return np.sqrt(spread * (buckets - 1) / buckets)


def jackknife(
    counts: Counts, statistic: Callable[[Counts], Estimates]
) -> tuple[Estimates, Estimates]:
    """Estimate and standard error of a statistic of counts that add up over customers."""
    estimate = statistic(counts.sum(axis=1))
    return estimate, jackknife_se(estimate, statistic(leave_one_out(counts)))
