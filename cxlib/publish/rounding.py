"""How coarse a published number is, and how large it must be to be shown."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

FINEST_SHARE = 0.005


def smallest_shown(k: int) -> int:
    """Return the smallest number that is shown: the first that is rounded to 2k.

    Were it k, a blank would say "below k", and beside the figure of everybody often "but not 0".

    >>> smallest_shown(10), smallest_shown(3)
    (15, 5)
    """
    return 2 * k - k // 2


def rounding_base(heaviest: pl.Expr, *, k: int) -> pl.Expr:
    """Return the smallest ``k * 2**j`` above what the k-1 heaviest customers add.

    The steps of two keep the base itself from telling their sum.

    >>> heaviest = pl.lit(pl.Series([9, 10, 39, 40]))
    >>> pl.select(rounding_base(heaviest, k=10)).to_series().to_list()
    [10, 20, 40, 80]
    """
    doublings = ((heaviest + 1) / k).clip(1).log(2).ceil()
    return (k * pl.lit(2.0).pow(doublings)).cast(pl.Int64)


def rounded(count: pl.Expr, base: pl.Expr | int) -> pl.Expr:
    """Round a number to the nearest multiple of `base`."""
    return ((count + base // 2) // base) * base


def protect_count(count: pl.Expr, base: pl.Expr | int, *, k: int) -> pl.Expr:
    """Round a number to a multiple of `base` (k of customers); null where less than 2k is left.

    >>> given = pl.lit(pl.Series([0, 14, 15, 24, 61]))
    >>> pl.select(protect_count(given, 10, k=10)).to_series().to_list()
    [None, None, 20, 20, 60]
    """
    near = rounded(count, base)
    return pl.when(near >= 2 * k).then(near)


def protect_number(exact: int, base: int, *, k: int) -> int:
    """Protect a plain number as `protect_count` does; 0 where it may not be shown."""
    near = (exact + base // 2) // base * base
    return near if near >= 2 * k else 0


def steps_of_shares(cases: pl.Expr, *, k: int) -> pl.Expr:
    """Steps in which shares of so many customers go: of k of them, rounded, but no finer."""
    return (k / protect_count(cases, k, k=k)).clip(FINEST_SHARE)


def in_steps(name: str, ends: Sequence[str], step: pl.Expr) -> dict[str, pl.Expr]:
    """Round a figure to steps, and widen the ends of its interval to whole ones.

    >>> given = pl.DataFrame({"effect": [0.23], "low": [0.11], "high": [0.31]})
    >>> given.with_columns(**in_steps("effect", ("low", "high"), pl.lit(0.05))).row(0)
    (0.25, 0.1, 0.35)
    """
    found = {name: (pl.col(name) / step).round() * step}
    for end, down in zip(ends, (True, False), strict=False):
        found[end] = outwards(pl.col(end), step, down=down)
    return {c: e.round(4) for c, e in found.items()}


def outwards(end: pl.Expr, step: pl.Expr, *, down: bool) -> pl.Expr:
    """Move an end of an interval to a whole step, away from the estimate."""
    steps = end / step
    # A hair off, so that an end that lies on a step by rounding of floats stays on it.
    return ((steps + 1e-9).floor() if down else (steps - 1e-9).ceil()) * step
