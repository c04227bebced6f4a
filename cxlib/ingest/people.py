"""Tables about customers: segments, and ratings from surveys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from cxlib.contracts import CUSTOMERS, DIMENSION, RATINGS
from cxlib.errors import InputError, there_are
from cxlib.ingest.cells import read_ids, text_of
from cxlib.ingest.instants import read_instants
from cxlib.ingest.numbers import off_scale, read_numbers, read_scales, strange_scales
from cxlib.ingest.raw import LINE, RawTable, first_reasons, set_aside
from cxlib.ingest.shapes import join_tables, split_sources
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import read_source
from cxlib.journey_map import JourneyMap
from cxlib.map_model import BesideTheLog

_FILE = "\x00file"


@dataclass(frozen=True, slots=True, eq=False)
class IngestedTable:
    """CUSTOMERS or RATINGS, sorted; QUARANTINE; and what to look at, in words."""

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
    """Read a table of customers: every column but the customer is a segment, as text."""
    own = journey_map.customers if journey_map is not None else BesideTheLog()
    fold = journey_map is not None and journey_map.fold_case
    tables, parts = [], []
    for number, source in enumerate(find_sources(paths)):
        table = read_source(source, journey_map, beside=own, separator=separator, encoding=encoding)
        name = _column(table, journey_map, own, "customer")
        raw = table.collect()
        ids, _ = read_ids(raw[name], where=f"{source}, column {name!r}", fold=fold)
        called = {c: DIMENSION + c if c == "customer" else c for c in table.columns if c != name}
        segments = [text_of(c).alias(new) for c, new in called.items()]
        parts.append(raw.select(LINE, pl.lit(number).alias(_FILE), *segments, customer=ids))
        tables.append((table, {"customer": name}))
    joined = pl.concat(parts, how="diagonal")
    said = ["customer", *(c for c in joined.columns if c not in (LINE, _FILE, "customer"))]
    differing = joined.select(pl.struct(said).n_unique().over("customer") > 1).to_series()
    faults = {
        "customer is empty": joined["customer"].is_null(),
        "rows of this customer differ": differing,
    }
    reasons = first_reasons(faults)
    quarantine = []
    for number, (table, roles) in enumerate(tables):
        here = joined[_FILE] == number
        quarantine.append(_set_aside(table, joined.filter(here)[LINE], reasons.filter(here), roles))
    rows = joined.filter(reasons.is_null()).select(said).unique().sort(pl.all())
    return IngestedTable(CUSTOMERS.validate(rows), pl.concat(quarantine))


def read_ratings(
    paths: Paths,
    journey_map: JourneyMap,
    *,
    beside: Paths | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> IngestedTable:
    """Read a table of survey answers; the map's `ratings`, else its `columns`, name its columns."""
    own = journey_map.ratings
    read = partial(
        read_source, journey_map=journey_map, beside=own, separator=separator, encoding=encoding
    )
    others = find_sources(beside) if beside is not None else []
    parts = [
        _ratings(join_tables(read(source), own.join, others, read), journey_map)
        for source in find_sources(paths)
    ]
    rows = pl.concat([part.rows for part in parts])
    rows = rows.sort("customer", "rated_at", "scale", "rating", "touchpoint", "comment")
    hints = strange_scales(rows["scale"], rows["rating"], journey_map)
    hints += [hint for part in parts for hint in part.hints]
    quarantine = pl.concat([part.quarantine for part in parts])
    return IngestedTable(RATINGS.validate(rows), quarantine, tuple(hints))


def _ratings(table: RawTable, journey_map: JourneyMap) -> IngestedTable:
    own = journey_map.ratings
    roles = {
        "customer": _column(table, journey_map, own, "customer"),
        "occurred_at": _column(table, journey_map, own, "rated_at", "occurred_at"),
        "rating": _column(table, journey_map, own, "rating"),
    }
    for name in ("touchpoint", "comment", "scale"):
        if (column := _find(table, journey_map, own, name)) is not None:
            roles[name] = column
    where = {role: f"{table.source}, column {column!r}" for role, column in roles.items()}
    answered = table.collect().filter(text_of(roles["rating"]).is_not_null())
    decimal = own.reading.decimal or journey_map.reading.decimal
    numbers = read_numbers(
        answered[roles["rating"]],
        where=where["rating"],
        decimal=decimal or ("." if table.source.is_typed else None),
        bounds=journey_map.bounds,
    )
    instants = read_instants(
        answered[roles["occurred_at"]],
        where=where["occurred_at"],
        time_zone=own.time_zone or journey_map.time_zone,
        time_format=own.time_format or journey_map.time_format,
    )
    ids, hints = read_ids(
        answered[roles["customer"]], where=where["customer"], fold=journey_map.fold_case
    )
    none = pl.repeat(None, len(answered), dtype=pl.String, eager=True)
    optional = answered.select(
        (text_of(roles[name]) if name in roles else none).alias(name)
        for name in ("scale", "touchpoint", "comment")
    )
    scales = read_scales(optional["scale"], journey_map, usual=own.scale)
    faults = {
        "customer is empty": ids.is_null(),
        "time cannot be read": instants.unread,
        "time is empty": instants.values.is_null(),
        "rating is no number": numbers.is_null(),
        **off_scale(numbers, scales, journey_map),
    }
    reasons = first_reasons(faults)
    rows = pl.DataFrame(
        {"customer": ids, "rated_at": instants.values, "rating": numbers, "scale": scales}
    ).with_columns(optional["touchpoint"], optional["comment"])
    quarantine = _set_aside(table, answered[LINE], reasons, roles)
    kept = rows.filter(reasons.is_null())
    return IngestedTable(kept, quarantine, (*table.hints, *hints, *instants.hints))


def tables_beside(paths: Paths, journey_map: JourneyMap) -> dict[str, list[Path]]:
    """Return the files among those of a log that the map calls ``ratings`` or ``customers``."""
    _, beside = split_sources(find_sources(paths), journey_map)
    return {name: [s.path for s in sources] for name, sources in beside.items()}


def _set_aside(
    table: RawTable, lines: pl.Series, reasons: pl.Series, roles: dict[str, str]
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
    table: RawTable, journey_map: JourneyMap | None, own: BesideTheLog, role: str
) -> str | None:
    named = own.columns.get(role)
    if named is not None and named not in table.columns:
        raise InputError(
            f"{table.source}: the map names column {named!r} for {role!r} of this table, which "
            f"the file does not have; {there_are(table.columns, named)}"
        )
    logged = journey_map.names_of(role) if journey_map is not None else ()
    return named or next((c for c in (*logged, role) if c in table.columns), None)


def _column(
    table: RawTable, journey_map: JourneyMap | None, own: BesideTheLog, role: str, also: str = ""
) -> str:
    found = _find(table, journey_map, own, role)
    found = found or (_find(table, journey_map, own, also) if also else None)
    if found is None:
        kind = "customers" if role == "customer" and own == BesideTheLog() else "ratings"
        raise InputError(
            f"{table.source}: column {role!r} is missing; {there_are(table.columns, role)} Name it "
            f"in the map, under {kind}: {{columns: {{{role}: …}}}}"
        )
    return found
