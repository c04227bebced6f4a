"""How coarse a published number is, and how large it must be to be shown."""

from __future__ import annotations

import polars as pl

__all__ = ["rounding_base", "smallest_shown"]


def smallest_shown(k: int) -> int:
    """Return the smallest number that is shown: the first that is rounded to 2k.

    Why not k: of what is blank one would know that it is below k, and where the figure of everybody
    is above that of all other groups, that it is not 0 either.

    Examples
    --------
    >>> smallest_shown(10), smallest_shown(3)
    (15, 5)
    """
    return 2 * k - k // 2


def rounding_base(heaviest: pl.Expr, *, k: int) -> pl.Expr:
    """Return the smallest ``k * 2**j`` above what the k-1 heaviest customers add.

    The steps of two keep the base itself from telling their sum.

    Examples
    --------
    >>> heaviest = pl.lit(pl.Series([9, 10, 39, 40]))
    >>> pl.select(rounding_base(heaviest, k=10)).to_series().to_list()
    [10, 20, 40, 80]
    """
    doublings = ((heaviest + 1) / k).clip(1).log(2).ceil()
    return (k * pl.lit(2.0).pow(doublings)).cast(pl.Int64)
