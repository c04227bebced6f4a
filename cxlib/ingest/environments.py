"""What surrounds a contact and stands in no log: weather, campaigns, holidays, by day and place."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cxlib.errors import InputError, there_are
from cxlib.ingest.cells import text_of
from cxlib.ingest.instants import read_instants
from cxlib.ingest.shapes import need_columns
from cxlib.ingest.sources import find_sources
from cxlib.ingest.tables import read_source
from cxlib.journey_map import JourneyMap
from cxlib.map_model import EnvironmentTable

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
    upper = pl.when(number <= high).then(pl.lit(f"middle (to {high:g})"))
    upper_or_over = upper.when(number > high).then(pl.lit(f"over {high:g}"))
    lowest = pl.when(number <= low).then(pl.lit(f"low (to {low:g})")).otherwise(upper_or_over)
    return pl.select(lowest).to_series()


def _place(table: EnvironmentTable, events: pl.DataFrame, places: pl.DataFrame) -> pl.Series:
    [name, _] = table.place or ("", "")
    usual = ("touchpoint", "channel", "stage", "owner")
    if _START + name in events.columns:
        return events[_START + name].cast(pl.String)
    if name in usual:
        return places[name].gather(events["place"].cast(pl.UInt32)).cast(pl.String)
    known = [c.removeprefix(_START) for c in events.columns if c.startswith(_START)] + [*usual]
    raise InputError(
        f"the map's `environment` joins {table.table} by {name!r}, which the log does not have; "
        + there_are(known, name)
    )


def _holidays(region: str, days: pl.Series) -> pl.DataFrame:
    try:
        from holidays import country_holidays
    except ImportError:
        raise InputError(
            "holidays need the package holidays: pip install 'cxlib[calendars]'"
        ) from None
    country, _, part = region.partition("-")
    seen = days.unique().sort()
    try:
        known = country_holidays(
            country, subdiv=part or None, years=seen.dt.year().unique().to_list()
        )
    except NotImplementedError:
        raise InputError(
            f"`environment`: there are no holidays of {region!r}; write a country, or one and "
            "its part, by their ISO 3166 codes, such as DE or DE-BY"
        ) from None
    names = [known.get(day, NO_HOLIDAY) for day in seen]
    return pl.DataFrame({"day": seen, "holiday": names})
