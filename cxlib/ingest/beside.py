"""Tables beside the log: segments of customers, ratings, and what surrounds contacts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from cxlib.contracts import CUSTOMERS, DIMENSION, RATINGS
from cxlib.errors import InputError, there_are
from cxlib.ingest.cells import (
    off_scale,
    read_ids,
    read_numbers,
    read_scales,
    strange_scales,
    text_of,
)
from cxlib.ingest.instants import read_instants
from cxlib.ingest.raw import LINE, RawTable, first_reasons, set_aside
from cxlib.ingest.shapes import join_tables, need_columns, split_sources
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import read_source
from cxlib.journey_map import JourneyMap
from cxlib.map_model import BesideTheLog, EnvironmentTable

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
    empty, quarantine = joined["customer"].is_null(), []
    reasons = first_reasons({"customer is empty": empty, "rows of this customer differ": differing})
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
    decimal = own.reading.decimal or journey_map.reading.decimal or table.source.decimal
    numbers = read_numbers(
        answered[roles["rating"]],
        where=where["rating"],
        decimal=decimal,
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
    told = {"customer": ids, "rated_at": instants.values, "rating": numbers, "scale": scales}
    rows = pl.DataFrame({**told, **optional.select("touchpoint", "comment").to_dict()})
    quarantine = _set_aside(table, answered[LINE], reasons, roles)
    hints = (*table.hints, *hints, *instants.hints)
    return IngestedTable(rows.filter(reasons.is_null()), quarantine, hints)


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


MOST_VALUES = 12  # numbers with more values than this are told apart by thirds of their rows
NO_HOLIDAY = "no holiday"
_START = "environment."


def join_environments(
    events: pl.DataFrame, places: pl.DataFrame, journey_map: JourneyMap
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Give contacts what the tables of the map's `environment` say of their (local) day and place,
    as ``environment.NAME`` (Enum); and by NAME, how many have a value.
    """
    counts: dict[str, int] = {}
    days = events.select(
        pl.col("occurred_at").dt.convert_time_zone(journey_map.time_zone or "UTC").dt.date()
    ).to_series()
    for table in journey_map.environment:
        keys = {"day": days}
        if table.holidays is not None:
            told = _holidays(table.holidays, days)
        else:
            told = _read(table, journey_map)
            if table.place is not None:
                keys["place"] = _place(table, events, places)
        found = pl.DataFrame(keys).join(told, on=list(keys), how="left", maintain_order="left")
        for name in (c for c in told.columns if c not in keys):
            if _START + name in events.columns:
                raise InputError(f"the log has an environment {name!r} already; rename the column")
            values = found[name]
            kind = pl.Enum(sorted(values.drop_nulls().unique()))
            events = events.with_columns(values.cast(kind).alias(_START + name))
            counts[name] = len(values) - values.null_count()
    return events, counts


def _read(table: EnvironmentTable, journey_map: JourneyMap) -> pl.DataFrame:
    folder = journey_map.path.parent if journey_map.path is not None else Path()
    [source, *_] = find_sources(folder / str(table.table))
    raw = read_source(source)
    rows = raw.collect()
    named = [table.day, *([table.place[1]] if table.place else []), *table.columns]
    need_columns(raw, named, "`environment`")
    read = read_instants(rows[table.day], where=f"{source}, column {table.day!r}")
    if read.values.null_count():
        line = rows.filter(pl.Series(read.values.is_null())).row(0, named=True)
        raise InputError(f"{source}: {line[table.day]!r} in column {table.day!r} is no day")
    columns = table.columns or tuple(c for c in raw.columns if c not in named)
    place = {"place": text_of(table.place[1])} if table.place else {}
    told = rows.select(day=read.values.dt.date(), **place, **{c: _values(rows, c) for c in columns})
    keys = ["day", *place]
    twice = told.filter(told.select(keys).is_duplicated())
    if len(twice):
        first = ", ".join(str(v) for v in twice.select(keys).row(0))
        raise InputError(
            f"{source}: {len(twice)} rows share a day{' and place' if place else ''} with another, "
            f"first {first}; keep one row for each"
        )
    return told


def _values(rows: pl.DataFrame, column: str) -> pl.Series:
    """The values as text; numbers with many values as low, middle and high thirds."""
    text = rows.select(text_of(column)).to_series()
    number = text.cast(pl.Float64, strict=False)
    if number.null_count() > text.null_count() or number.n_unique() <= MOST_VALUES:
        return text
    low, high = (number.quantile(q, "nearest") for q in (1 / 3, 2 / 3))
    lower = pl.when(number <= low).then(pl.lit(f"low (to {low:g})"))
    middle = lower.when(number <= high).then(pl.lit(f"middle (to {high:g})"))
    return pl.select(middle.when(number > high).then(pl.lit(f"over {high:g}"))).to_series()


def _place(table: EnvironmentTable, events: pl.DataFrame, places: pl.DataFrame) -> pl.Series:
    [name, _] = table.place or ("", "")
    usual = ["touchpoint", "channel", "stage", "owner"]
    if _START + name in events.columns:
        return events[_START + name].cast(pl.String)
    if name in usual:
        return places[name].gather(events["place"].cast(pl.UInt32)).cast(pl.String)
    known = [c.removeprefix(_START) for c in events.columns if c.startswith(_START)] + usual
    raise InputError(
        f"the map's `environment` joins {table.table} by {name!r}, which the log does not have; "
        + there_are(known, name)
    )


def _holidays(region: str, days: pl.Series) -> pl.DataFrame:
    try:
        from holidays import country_holidays
    except ImportError:
        hint = "pip install 'cxlib[calendars]'"
        raise InputError(f"holidays need the package holidays: {hint}") from None
    country, _, part = region.partition("-")
    seen = days.unique().sort()
    years = seen.dt.year().unique().to_list()
    try:
        known = country_holidays(country, subdiv=part or None, years=years)
    except NotImplementedError:
        raise InputError(
            f"`environment`: there are no holidays of {region!r}; write a country, or one and "
            "its part, by their ISO 3166 codes, such as DE or DE-BY"
        ) from None
    names = [known.get(day, NO_HOLIDAY) for day in seen]
    return pl.DataFrame({"day": seen, "holiday": names})
