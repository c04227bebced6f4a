"""Segments: which combination of a customer's properties each customer belongs to."""

from __future__ import annotations

import polars as pl

from cxlib.contracts import UNKNOWN

__all__ = ["MAX_SEGMENTS", "assign_segments"]

MAX_SEGMENTS = 256
"""Most combinations of segment values that the summary keeps apart."""

_FROM_LOG = "\x00log"


def assign_segments(
    customers: pl.DataFrame,
    table: pl.DataFrame | None,
    logged: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """Give every customer the number of its combination of segment values.

    Parameters
    ----------
    customers
        ``customer``, ``name``, ``bucket``.
    table
        A frame that keeps the CUSTOMERS contract, or None.
    logged
        ``customer`` (number) and one column for each segment that the log names, or None. Where
        both have a dimension, the table counts, and the log where it is silent.

    Returns
    -------
    customers
        With ``segment`` (UInt16).
    segments
        ``segment`` and one String column per dimension; "unknown" where a customer has no value.
    left_out
        Dimensions with so many values that the summary cannot keep them apart.
    """
    told = customers.select("customer", "name")
    if table is not None:
        told = told.join(
            table.rename({"customer": "name"}), on="name", how="left", maintain_order="left"
        )
    if logged is not None:
        told = told.join(logged, on="customer", how="left", maintain_order="left", suffix=_FROM_LOG)
        both = [c for c in logged.columns if c + _FROM_LOG in told.columns]
        told = told.with_columns(pl.coalesce(c, c + _FROM_LOG) for c in both)
        told = told.drop(c + _FROM_LOG for c in both)
    names = [c for c in told.columns if c not in ("customer", "name")]
    if not names:
        return (
            customers.with_columns(segment=pl.lit(0, pl.UInt16)),
            pl.DataFrame({"segment": [0]}, schema={"segment": pl.UInt16}),
            (),
        )
    told = told.with_columns(pl.col(names).fill_null(UNKNOWN))
    # fewest values first, so that one column of free text cannot crowd out the useful ones
    by_size = sorted(names, key=lambda c: (told[c].n_unique(), names.index(c)))
    kept: list[str] = []
    for name in by_size:
        if told.select(pl.struct(*kept, name).n_unique()).item() <= MAX_SEGMENTS:
            kept.append(name)
    kept = [c for c in names if c in kept]
    left_out = tuple(c for c in names if c not in kept)
    if not kept:
        numbered, segments, _ = assign_segments(customers, None)
        return numbered, segments, left_out
    segments = (
        told.select(kept)
        .unique()
        .sort(kept)
        .select(pl.int_range(pl.len(), dtype=pl.UInt16).alias("segment"), *kept)
    )
    code = told.join(segments, on=kept, how="left", maintain_order="left")["segment"]
    return customers.with_columns(code), segments, left_out
