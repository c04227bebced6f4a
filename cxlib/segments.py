"""Segment dimensions: kept apart from all other columns, whatever a company calls its own.

A table of segments has ``segment``, the number of a combination of values, and a column
``segment.NAME`` for each dimension, so that none can be taken for a column of ours.
"""

from __future__ import annotations

import polars as pl

from cxlib.contracts import DIMENSION, UNKNOWN
from cxlib.errors import UnknownNameError

MAX_SEGMENTS = 256
"""Most combinations of segment values that the summary keeps apart."""

RARER = "(rarer values)"
"""Stands for the values of a dimension beyond what `MAX_SEGMENTS` lets be kept apart."""

LEAST_CUSTOMERS = 20
"""Customers a value needs to be kept apart where others of its dimension are put together."""

_FROM_LOG = "\x00log"


def segment_names(segments: pl.DataFrame) -> tuple[str, ...]:
    """Names of the dimensions of a table of segments."""
    return tuple(c.removeprefix(DIMENSION) for c in segments.columns if c.startswith(DIMENSION))


def dimension_values(segments: pl.DataFrame, dimension: str) -> pl.Series:
    """Value of a dimension in each combination; an unknown dimension is an error."""
    if dimension not in (names := segment_names(segments)):
        raise UnknownNameError("segment dimension", dimension, names)
    return segments[DIMENSION + dimension]


def segment_codes(segments: pl.DataFrame, dimension: str, value: str) -> list[int]:
    """Numbers of the combinations with a value; an unknown dimension or value is an error."""
    values = dimension_values(segments, dimension)
    codes = segments["segment"].filter(values == value).to_list()
    if not codes:
        raise UnknownNameError(
            f"value of segment {dimension!r}", value, values.unique().sort().to_list()
        )
    return codes


def assign_segments(
    customers: pl.DataFrame,
    table: pl.DataFrame | None,
    logged: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...], dict[str, int]]:
    """Give every customer the number of its combination of segment values.

    ``customers``: ``customer``, ``name``, ``bucket``. ``table`` keeps the CUSTOMERS contract;
    ``logged`` is what the log says by ``customer``, where the table is silent. Returned: the
    customers with ``segment``; the table of segments ("unknown": no value); dimensions left out, of
    which hardly a value can be kept apart, such as free text; and how many values of others are
    together as `RARER`.
    """
    told = customers.select("customer", "name")
    if table is not None:
        rows = _dimensions_of(table, key="customer").rename({"customer": "name"})
        told = told.join(rows, on="name", how="left", maintain_order="left")
    if logged is not None:
        rows = _dimensions_of(logged, key="customer")
        told = told.join(rows, on="customer", how="left", maintain_order="left", suffix=_FROM_LOG)
        both = [c for c in rows.columns if c + _FROM_LOG in told.columns]
        told = told.with_columns(pl.coalesce(c, c + _FROM_LOG) for c in both)
        told = told.drop(c + _FROM_LOG for c in both)
    names = [c for c in told.columns if c not in ("customer", "name")]
    if not names:
        return (
            customers.with_columns(segment=pl.lit(0, pl.UInt16)),
            pl.DataFrame({"segment": [0]}, schema={"segment": pl.UInt16}),
            (),
            {},
        )
    told = told.with_columns(pl.col(names).fill_null(UNKNOWN))
    # fewest values first, so that one column of free text cannot crowd out the useful ones
    by_size = sorted(names, key=lambda c: (told[c].n_unique(), names.index(c)))
    kept: list[str] = []
    rarer: dict[str, int] = {}
    for name in by_size:
        if told.select(pl.struct(*kept, name).n_unique()).item() > MAX_SEGMENTS:
            before = told.select(pl.struct(kept).n_unique()).item() if kept else 1
            counted = told[name].value_counts().sort(["count", name], descending=[True, False])
            common = counted.head(MAX_SEGMENTS // before - 1).filter(
                pl.col("count") >= LEAST_CUSTOMERS
            )[name]
            if len(common) < 2:
                continue
            value = pl.when(pl.col(name).is_in(common.implode())).then(name)
            told = told.with_columns(value.otherwise(pl.lit(RARER)).alias(name))
            rarer[name.removeprefix(DIMENSION)] = len(counted) - len(common)
        kept.append(name)
    kept = [c for c in names if c in kept]
    left_out = tuple(c.removeprefix(DIMENSION) for c in names if c not in kept)
    if not kept:
        numbered, segments, _, _ = assign_segments(customers, None)
        return numbered, segments, left_out, {}
    segments = (
        told.select(kept)
        .unique()
        .sort(kept)
        .select(pl.int_range(pl.len(), dtype=pl.UInt16).alias("segment"), *kept)
    )
    code = told.join(segments, on=kept, how="left", maintain_order="left")["segment"]
    return customers.with_columns(code), segments, left_out, rarer


def _dimensions_of(table: pl.DataFrame, *, key: str) -> pl.DataFrame:
    """Put `DIMENSION` before every column but the key, unless it stands there and takes no name."""
    names = [c for c in table.columns if c != key]
    plain = {c for c in names if not c.startswith(DIMENSION)}
    bare = [c for c in names if c in plain or c.removeprefix(DIMENSION) in plain]
    return table.rename({c: DIMENSION + c for c in bare})
