"""Tables about customers: segments, and ratings from surveys."""

from __future__ import annotations

import polars as pl

from cxlib.contracts import CUSTOMERS, RATINGS
from cxlib.errors import InputError, did_you_mean, listed
from cxlib.ingest.cells import as_number, read_ids, text_of
from cxlib.ingest.events import read_source
from cxlib.ingest.instants import read_instants
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import RawTable
from cxlib.journey_map import JourneyMap

__all__ = ["read_customers", "read_ratings"]


def read_customers(
    paths: Paths,
    journey_map: JourneyMap | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
) -> pl.DataFrame:
    """Read a table of customers.

    Parameters
    ----------
    paths
        Files of any format that `read_events` reads.
    journey_map
        Where given, its column for the customer is looked for too.
    separator, encoding
        Of text files; None: detected.

    Returns
    -------
    pl.DataFrame
        CUSTOMERS, sorted: ``customer``, and every other column as a segment, as text. A row that
        stands there twice counts once.

    Raises
    ------
    InputError
        Where the customer column is missing, empty in a row, or two rows of one customer differ.
    """
    frames = []
    for source in find_sources(paths):
        table = read_source(source, separator=separator, encoding=encoding)
        name = _column(table, "customer", journey_map)
        raw = _whole(table)
        ids = read_ids(raw[name], where=f"{source}, column {name!r}")
        segments = [text_of(c).alias(c) for c in table.columns if c not in (name, "customer")]
        frames.append(raw.select(ids.values.alias("customer"), *segments))
    joined = pl.concat(frames, how="diagonal").unique().sort(pl.all())
    return CUSTOMERS.validate(joined)


def read_ratings(
    paths: Paths,
    journey_map: JourneyMap,
    *,
    separator: str | None = None,
    encoding: str | None = None,
) -> pl.DataFrame:
    """Read a table of survey answers.

    Parameters
    ----------
    paths
        Files of any format that `read_events` reads, with columns ``customer``, ``rated_at`` (or
        the map's ``occurred_at``) and ``rating``; ``touchpoint`` and ``comment`` may be there. The
        map's `columns` may call them otherwise.
    journey_map
        Gives columns, time zone and rating scale.
    separator, encoding
        Of text files; None: detected.

    Returns
    -------
    pl.DataFrame
        RATINGS, sorted. Rows without a rating are no answers and are left out.

    Raises
    ------
    InputError
        Where a column is missing, or a customer, time or rating cannot be read or is off the scale.
    """
    frames = []
    for source in find_sources(paths):
        table = read_source(source, separator=separator, encoding=encoding)
        frames.append(_ratings(table, journey_map))
    joined = pl.concat(frames).sort("customer", "rated_at", "rating", "touchpoint", "comment")
    return RATINGS.validate(joined)


def _ratings(table: RawTable, journey_map: JourneyMap) -> pl.DataFrame:
    where = str(table.source)
    customer = _column(table, "customer", journey_map)
    rated_at = _column(table, "rated_at", journey_map, "occurred_at")
    rating = _column(table, "rating", journey_map)
    answered = _whole(table).filter(text_of(rating).is_not_null())
    numbers = answered.select(as_number(rating)).to_series()
    scale = journey_map.rating_scale
    wrong = numbers.is_null()
    if scale is not None:
        wrong |= ~numbers.is_between(scale.min, scale.max).fill_null(True)
    if wrong.any():
        first = answered[rating].filter(wrong)[0]
        expected = f"a number from {scale.min:g} to {scale.max:g}" if scale else "a number"
        raise InputError(
            f"{where}, column {rating!r}: {int(wrong.sum()):,} rating(s) are not {expected}, first "
            f"{first!r}; mend the file, or rating_scale in the map"
        )
    instants = read_instants(
        answered[rated_at],
        where=f"{where}, column {rated_at!r}",
        time_zone=journey_map.time_zone,
        time_format=journey_map.time_format,
    )
    if instants.unread.any():
        first = answered[rated_at].filter(instants.unread)[0]
        raise InputError(
            f"{where}, column {rated_at!r}: {int(instants.unread.sum()):,} time(s) cannot be read, "
            f"first {first!r}; mend the file"
        )
    optional = {}
    for name in ("touchpoint", "comment"):
        column = _find(table, name, journey_map)
        optional[name] = text_of(column) if column is not None else pl.lit(None, pl.String)
    ids = read_ids(answered[customer], where=f"{where}, column {customer!r}")
    return answered.select(
        customer=ids.values, rated_at=instants.values, rating=numbers, **optional
    )


def _whole(table: RawTable) -> pl.DataFrame:
    """Return all rows of a table, or raise where some are malformed."""
    if table.malformed.height:
        reason, line, _ = table.malformed.row(0)
        raise InputError(
            f"{table.source}: {table.malformed.height:,} row(s) are malformed, first row {line} "
            f"({reason}); mend the file"
        )
    return table.collect()


def _find(table: RawTable, role: str, journey_map: JourneyMap | None) -> str | None:
    named = journey_map.columns.get(role) if journey_map is not None else None
    return next((c for c in (role, named) if c is not None and c in table.columns), None)


def _column(table: RawTable, role: str, journey_map: JourneyMap | None, also: str = "") -> str:
    found = _find(table, role, journey_map) or (also and _find(table, also, journey_map))
    if not found:
        raise InputError(
            f"{table.source}: column {role!r} is missing; there are: {listed(table.columns)}."
            f"{did_you_mean(role, table.columns)}"
        )
    return found
