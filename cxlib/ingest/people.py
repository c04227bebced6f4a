"""Tables about customers: segments, and ratings from surveys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from cxlib.contracts import CUSTOMERS, DIMENSION, RATINGS
from cxlib.errors import InputError, there_are
from cxlib.ingest.cells import read_ids, text_of
from cxlib.ingest.events import read_source
from cxlib.ingest.instants import read_instants
from cxlib.ingest.numbers import check_clear, off_scale, read_numbers, read_scales, strange_scales
from cxlib.ingest.raw import first_reasons, set_aside
from cxlib.ingest.shapes import join_tables, split_sources
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import LINE, RawTable
from cxlib.journey_map import BesideTheLog, JourneyMap

__all__ = ["IngestedTable", "read_customers", "read_ratings", "tables_beside"]

_FILE = "\x00file"


@dataclass(frozen=True, slots=True, eq=False)
class IngestedTable:
    """What `read_customers` and `read_ratings` return.

    Parameters
    ----------
    rows
        CUSTOMERS or RATINGS, sorted.
    quarantine
        QUARANTINE: the rows set aside, each with the reason.
    hints
        What to look at, in words.
    """

    rows: pl.DataFrame
    quarantine: pl.DataFrame
    hints: tuple[str, ...] = ()


def read_customers(
    paths: Paths,
    journey_map: JourneyMap | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
) -> IngestedTable:
    """Read a table of customers.

    Parameters
    ----------
    paths
        Files of any format that `read_events` reads.
    journey_map
        Gives the column of the customer (`customers`, else that of the log).
    separator, encoding
        Of text files; None: detected.

    Returns
    -------
    IngestedTable
        CUSTOMERS: ``customer``, and every other column as a segment, as text. A row that stands
        there twice counts once. Set aside are malformed rows, rows without a customer, and all
        rows of a customer that differ.

    Raises
    ------
    InputError
        Where a file cannot be read, the customer column is missing, or most rows of a file cannot
        be used.
    """
    own = journey_map.customers if journey_map is not None else BesideTheLog()
    tables, parts = [], []
    for number, source in enumerate(find_sources(paths)):
        table = read_source(source, journey_map, beside=own, separator=separator, encoding=encoding)
        name = _column(table, "customer", journey_map, own)
        raw = table.collect()
        ids = read_ids(raw[name], where=f"{source}, column {name!r}").values
        customers = pl.Series("customer", _folded(ids, journey_map))
        called = {c: DIMENSION + c if c == "customer" else c for c in table.columns if c != name}
        segments = [text_of(c).alias(new) for c, new in called.items()]
        parts.append(raw.select(LINE, customers, pl.lit(number).alias(_FILE), *segments))
        tables.append((table, {"customer": name}))
    joined = pl.concat(parts, how="diagonal")
    said = [c for c in joined.columns if c not in (LINE, _FILE)]
    differing = joined.select(pl.struct(said).n_unique().over("customer") > 1).to_series()
    empty = joined["customer"].is_null()
    faults = {"customer is empty": empty, "rows of this customer differ": differing}
    reasons = first_reasons(faults)
    quarantine = []
    for number, (table, roles) in enumerate(tables):
        here = joined[_FILE] == number
        found = None if reasons is None else reasons.filter(here)
        quarantine.append(_set_aside(table, joined.filter(here)[LINE], found, roles))
    kept = joined if reasons is None else joined.filter(reasons.is_null())
    rows = CUSTOMERS.validate(kept.select(said).unique().sort(pl.all()))
    return IngestedTable(rows, pl.concat(quarantine))


def read_ratings(
    paths: Paths,
    journey_map: JourneyMap,
    *,
    beside: Paths | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> IngestedTable:
    """Read a table of survey answers.

    Parameters
    ----------
    paths
        Files of any format that `read_events` reads, with columns ``customer``, ``rated_at`` (or
        the map's ``occurred_at``) and ``rating``; ``scale``, ``touchpoint`` and ``comment`` may be
        there. The map's `ratings`, else its `columns`, may call them otherwise.
    journey_map
        Gives columns, time zone and rating scales.
    beside
        Files among which the tables are that the map's `ratings` join; None: none.
    separator, encoding
        Of text files; None: detected.

    Returns
    -------
    IngestedTable
        RATINGS. Rows without a rating are no answers and are left out. Set aside are malformed
        rows, and answers without customer or time, with a time that cannot be read, or with a
        rating that is no number or off the map's scale.

    Raises
    ------
    InputError
        Where a file cannot be read, a column is missing, or most rows of a file cannot be used.
    """
    own = journey_map.ratings
    given = partial(read_source, separator=separator, encoding=encoding)
    read = partial(given, journey_map=journey_map, beside=own)
    others = find_sources(beside) if beside is not None else []
    parts = [
        _ratings(join_tables(read(source), own.join, others, read), journey_map)
        for source in find_sources(paths)
    ]
    rows = pl.concat([part.rows for part in parts])
    rows = rows.sort("customer", "rated_at", "scale", "rating", "touchpoint", "comment")
    hints = strange_scales(rows["scale"], rows["rating"], journey_map)
    quarantine = pl.concat([part.quarantine for part in parts])
    hints += [hint for part in parts for hint in part.hints]
    return IngestedTable(RATINGS.validate(rows), quarantine, tuple(hints))


def _ratings(table: RawTable, journey_map: JourneyMap) -> IngestedTable:
    where, own = str(table.source), journey_map.ratings
    roles = {
        "customer": _column(table, "customer", journey_map, own),
        "occurred_at": _column(table, "rated_at", journey_map, own, "occurred_at"),
    }
    rating = _column(table, "rating", journey_map, own)
    answered = table.collect().filter(text_of(rating).is_not_null())
    decimal = own.reading.decimal or journey_map.reading.decimal
    decimal = decimal or ("." if table.source.is_typed else None)
    read = read_numbers(answered[rating], decimal=decimal, bounds=journey_map.bounds)
    numbers = check_clear(read, where=f"{where}, column {rating!r}")
    instants = read_instants(
        answered[roles["occurred_at"]],
        where=f"{where}, column {roles['occurred_at']!r}",
        time_zone=own.time_zone or journey_map.time_zone,
        time_format=own.time_format or journey_map.time_format,
    )
    optional = {}
    for name in ("touchpoint", "comment", "scale"):
        column = _find(table, name, journey_map, own)
        optional[name] = text_of(column) if column is not None else pl.lit(None, pl.String)
        if name != "scale" and column is not None:
            roles[name] = column
    written = answered.select(optional.pop("scale")).to_series()
    if len(written) != len(answered):  # no column of scales
        written = written.new_from_index(0, len(answered))
    scales = read_scales(written, journey_map, usual=own.scale)
    ids = read_ids(answered[roles["customer"]], where=f"{where}, column {roles['customer']!r}")
    faults = {
        "customer is empty": ids.values.is_null(),
        "time cannot be read": instants.unread,
        "time is empty": instants.values.is_null(),
        "rating is no number": numbers.is_null(),
        **off_scale(numbers, scales, journey_map),
    }
    reasons = first_reasons(faults)
    rows = answered.select(
        customer=_folded(ids.values, journey_map),
        rated_at=instants.values,
        rating=numbers,
        scale=scales,
        **optional,
    )
    quarantine = _set_aside(table, answered[LINE], reasons, roles)
    kept = rows if reasons is None else rows.filter(reasons.is_null())
    return IngestedTable(kept, quarantine, (*table.hints, *ids.hints, *instants.hints))


def tables_beside(paths: Paths, journey_map: JourneyMap) -> dict[str, list[Path]]:
    """Return the files among those of a log that the map calls ``ratings`` or ``customers``."""
    _, beside = split_sources(find_sources(paths), journey_map)
    return {name: [s.path for s in sources] for name, sources in beside.items()}


def _folded(ids: pl.Series, journey_map: JourneyMap | None) -> pl.Series:
    """Return ids in the case that the log's have."""
    return ids.str.to_lowercase() if journey_map is not None and journey_map.fold_case else ids


def _set_aside(
    table: RawTable, lines: pl.Series, reasons: pl.Series | None, roles: dict[str, str]
) -> pl.DataFrame:
    """Return the rows of a file that are set aside; refuse a file of which most are."""
    quarantine = set_aside(table, lines, reasons, roles)
    rows = len(lines) + len(table.malformed)
    if 2 * len(quarantine) > rows:
        reason = quarantine["reason"].value_counts(sort=True)["reason"][0]
        first = quarantine.filter(pl.col("reason") == reason).row(0, named=True)
        raise InputError(
            f"{table.source}: {len(quarantine):,} of {rows:,} rows cannot be used, most because: "
            f"{reason}; first row {first['line']}: {first['raw'].strip()[:200]}. Mend the file, or "
            "what the map says of its columns, times and rating scale"
        )
    return quarantine


def _find(
    table: RawTable, role: str, journey_map: JourneyMap | None, own: BesideTheLog
) -> str | None:
    """The column that the map names for this table; else one of our name, or of the log's."""
    if role in own.columns:
        named = own.columns[role]
        if named not in table.columns:
            raise InputError(
                f"{table.source}: the map names column {named!r} for {role!r} of this table, which "
                f"the file does not have; {there_are(table.columns, named)}"
            )
        return named
    logged = journey_map.names_of(role) if journey_map is not None else ()
    return next((c for c in (*logged, role) if c in table.columns), None)


def _column(
    table: RawTable,
    role: str,
    journey_map: JourneyMap | None,
    own: BesideTheLog,
    also: str = "",
) -> str:
    found = _find(table, role, journey_map, own)
    found = found or (also and _find(table, also, journey_map, own))
    if not found:
        kind = "customers" if role == "customer" and own == BesideTheLog() else "ratings"
        raise InputError(
            f"{table.source}: column {role!r} is missing; {there_are(table.columns, role)} Name it "
            f"in the map, under {kind}: {{columns: {{{role}: …}}}}"
        )
    return found
