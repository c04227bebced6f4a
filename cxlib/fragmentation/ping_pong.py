"""Ping-pong as it is defined: how often a journey returns to the channel it has just left."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cxlib.store.walk import around, changes


def count_ping_pong(channels: Sequence[str]) -> int:
    """Count returns in one journey: runs j with c_j = c_(j+2) ≠ c_(j+1).

    Contacts in a row in one channel are one run, so staying in a channel is no return.

    Examples
    --------
    >>> [count_ping_pong(c) for c in ("ABAB", "ABA", "ABCA", "AAAA", "AABBAA")]
    [2, 1, 0, 0, 1]
    """
    runs = [c for i, c in enumerate(channels) if i == 0 or c != channels[i - 1]]
    return sum(runs[j] == runs[j + 2] for j in range(len(runs) - 2))


def count_returns(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Count, per journey, the returns of `count_ping_pong`; company-initiated contacts are dropped.

    Parameters
    ----------
    rows
        Rows of the store: ``journey`` and ``place``, sorted by customer and time.
    places
        The places table.

    Returns
    -------
    polars.DataFrame
        ``journey``, ``runs`` and ``returns``, sorted by journey.
    """
    place = pl.col("place").cast(pl.UInt32)
    own = pl.lit(places["initiated_by"]).gather(place) == "customer"
    runs = (
        rows.lazy()
        .filter(own)
        .select("journey", channel=pl.lit(places["channel"]).gather(place))
        .filter(changes("journey", "channel"))
    )
    back = (pl.col("channel") == around("channel", -2)).fill_null(False)
    return (
        runs.with_columns(back=back)
        .group_by("journey")
        .agg(runs=pl.len(), returns=pl.col("back").sum())
        .sort("journey")
        .collect()
    )
