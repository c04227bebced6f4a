"""Rounding all answers to one question together, so that they fit one another.

A count is rounded in the smallest parts that the selections are made of (a segment in one period),
and every answer is the sum of its parts: the published numbers are the exact ones of another log,
in which every group has none or at least k (``docs/decisions/0001-small-groups.md``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxlib.errors import CxError
from cxlib.publish.selections import Choices

Numbers = NDArray[np.int64]


def round_together(
    exact: Numbers, base: Numbers, choices: Choices, *, distinct: bool = False
) -> Numbers:
    """Round one count (by row and selection) of all selections to multiples of each row's base.

    `distinct` counts are of customers, of whom each counts once in a range of periods; others add
    up over periods, and so do the rounded ones. Those of the values of a segment and of the rest
    add up to those of everybody. Everybody and the whole time is rounded to the nearest multiple,
    so is any range from the first period on; the others are within a few steps.
    """
    if not exact.size:
        return exact
    weights, inverse = _parts(choices, distinct=distinct)
    groups = 1 + len(choices.segments)
    counts = exact.reshape(len(exact), groups, -1) @ inverse.T
    rounded = np.zeros_like(counts)
    rounded[:, 0] = _diffuse(counts[:, 0], base)
    dimensions: dict[str, list[int]] = {}
    for number, (dimension, _) in enumerate(choices.segments, start=1):  # everybody is 0
        dimensions.setdefault(dimension, []).append(number)
    for values in dimensions.values():
        rest = counts[:, 0] - counts[:, values].sum(axis=1)
        together = np.concatenate([counts[:, values], rest[:, None]], axis=1)
        rounded[:, values] = _apportion(together, rounded[:, 0], base)[:, :-1]
    return (rounded @ weights.T).reshape(exact.shape)


def _parts(choices: Choices, *, distinct: bool) -> tuple[Numbers, Numbers]:
    """Return which parts (a period, of `distinct` also that before) each range is the sum of."""
    count = max(1, len(choices.periods))
    parts = [(p, -1) for p in range(count)]
    if distinct:
        # To and fro, so that what is left over in one part is made up for in one close by.
        parts += [(p, q) for p in range(count) for q in range(p)[:: 1 if p % 2 else -1]]
    ranges = [where.period or (0, count - 1) for where in choices.selections()]
    ranges = ranges[: len(ranges) // (1 + len(choices.segments))]
    weights = np.array([[a <= p <= b and q < a for p, q in parts] for a, b in ranges], np.int64)
    # As many ranges as parts, or more where counts add up over periods: then single ones will do.
    if distinct:
        return weights, np.rint(np.linalg.pinv(weights)).astype(np.int64)
    singles = np.zeros((count, len(ranges)), dtype=np.int64)
    for period in range(count):
        singles[period, ranges.index((period, period))] = 1
    return weights, singles


def _diffuse(counts: Numbers, base: Numbers) -> Numbers:
    """Round counts so that every sum along the last axis is off by half a step at most."""
    steps = base[:, None]
    upto = (np.cumsum(counts, axis=-1) + steps // 2) // steps
    return np.diff(upto, axis=-1, prepend=0) * steps


def _apportion(counts: Numbers, totals: Numbers, base: Numbers) -> Numbers:
    """Divide totals (row, part) among values (row, value, part), those furthest behind first."""
    given = np.zeros_like(counts)
    owed = np.zeros(counts.shape[:2])
    for part in range(counts.shape[2]):
        owed += counts[:, :, part] / base[:, None]
        given[:, :, part] = _whole(owed, totals[:, part] // base)
        owed -= given[:, :, part]
    return given * base[:, None, None]


def _whole(owed: NDArray[np.float64], units: Numbers) -> Numbers:
    """Give out `units` in each row: as many as are owed, the rest by the largest remainder."""
    given = np.maximum(np.floor(owed + 1e-9), 0).astype(np.int64)
    while True:
        missing = units - given.sum(axis=1)
        if not missing.any():
            return given
        remainder = owed - given
        # the furthest behind first where units are missing; the furthest ahead first where too
        # many were given out, of those who have any
        order = np.where(missing[:, None] > 0, -remainder, remainder)
        order = np.where((missing[:, None] < 0) & (given == 0), np.inf, order)
        rank = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1, kind="stable")
        chosen = (rank < np.abs(missing)[:, None]) & np.isfinite(order)
        if not chosen.any():
            raise CxError("the counts of the values of a segment are more than those of everybody")
        given += np.sign(missing)[:, None] * chosen
