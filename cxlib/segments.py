"""Segment dimensions: kept apart from all other columns, whatever a company calls its own.

A table of segments has the column ``segment``, the number of a combination of values, and for each
dimension NAME a column ``segment.NAME``. No dimension can so be taken for a column of ours, be it
called ``customers``, ``period`` or ``segment``.
"""

from __future__ import annotations

import polars as pl

from cxlib.errors import UnknownNameError

__all__ = ["DIMENSION", "dimension_values", "segment_codes", "segment_names"]

DIMENSION = "segment."
"""What the columns of segment dimensions begin with."""


def segment_names(segments: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the dimensions of a table of segments.

    Examples
    --------
    >>> segment_names(pl.DataFrame({"segment": [0], "segment.n": ["a"], "segment.segment": ["b"]}))
    ('n', 'segment')
    """
    return tuple(c.removeprefix(DIMENSION) for c in segments.columns if c.startswith(DIMENSION))


def dimension_values(segments: pl.DataFrame, dimension: str) -> pl.Series:
    """Return the value of a dimension in each combination.

    Raises
    ------
    UnknownNameError
        There is no such dimension.
    """
    if dimension not in (names := segment_names(segments)):
        raise UnknownNameError("segment dimension", dimension, names)
    return segments[DIMENSION + dimension]


def segment_codes(segments: pl.DataFrame, dimension: str, value: str) -> list[int]:
    """Return the numbers of the combinations with a value.

    Raises
    ------
    UnknownNameError
        There is no such dimension, or no such value of it.
    """
    values = dimension_values(segments, dimension)
    codes = segments["segment"].filter(values == value).to_list()
    if not codes:
        raise UnknownNameError(
            f"value of segment {dimension!r}", value, values.unique().sort().to_list()
        )
    return codes
