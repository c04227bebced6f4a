"""Which column of a log plays which role, and which touchpoint its cells make of a row.

What decides about a row is looked at once for each distinct content, whose hash is its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from zlib import crc32

import polars as pl

from cxlib.contracts import INITIATORS, UNKNOWN, UNMAPPED
from cxlib.errors import InputError, did_you_mean, there_are
from cxlib.ingest.cells import text_of, tidy
from cxlib.ingest.raw import RawTable
from cxlib.journey_map import JourneyMap
from cxlib.map_model import COLUMNS, SETS, STEP, STEP_AT, STEP_ORDER, written_in

KEY = "\x00place"  # hash of the columns that decide what a row is

_ROLES = ("touchpoint", "channel", "stage", "owner", "initiated_by")
_USUAL = {
    "customer": ("customer", "case:concept:name"),
    "occurred_at": (STEP_AT, "occurred_at", "time:timestamp"),
    "touchpoint": (STEP, "touchpoint", "concept:name"),
    "sequence": (STEP_ORDER, "sequence"),
}
"""Columns that are meant where the map names none: those of `unpivot`, ours, those of XES."""

_ANSWERS = ("rated_at", "rating", "scale", "comment")  # a table of ratings may have these


def in_sets(roles: Iterable[str]) -> list[str]:
    """Return those roles that are an environment or a segment (``environment.NAME``)."""
    return [role for role in roles if role.startswith(tuple(SETS.values()))]


def same_people(rows: pl.LazyFrame, known: str, other: str) -> pl.LazyFrame:
    """Return by each value of `other` the one of `known` that rows with both have; none where there
    are several: of a device that two people share it is not known whose a row is.
    """
    both = rows.select(text_of(known).alias("\x00one"), text_of(other).alias("\x00by")).drop_nulls()
    found = both.group_by("\x00by").agg(
        pl.col("\x00one").min(), several=pl.col("\x00one").n_unique()
    )
    return found.filter(pl.col("several") == 1).drop("several")


def join_people(
    tables: list[RawTable], beside: list[RawTable], journey_map: JourneyMap
) -> list[RawTable]:
    """Let rows that lack the first of the customer's columns have what is known of the others: of a
    visitor before the login the account, by any file of the log that has both.
    """
    known, *others = journey_map.names_of("customer")
    for other in others:
        both = [t for t in (*tables, *beside) if {known, other} <= {*t.columns}]
        if both:
            pairs = pl.concat([t.frame.select(known, other) for t in both])
            told = same_people(pairs, known, other).collect().lazy()
            tables = [_told(t, known, other, told) if other in t.columns else t for t in tables]
    return tables


def _told(table: RawTable, known: str, other: str, told: pl.LazyFrame) -> RawTable:
    by = text_of(other)
    rows = table.frame.join(told, left_on=by, right_on="\x00by", how="left", maintain_order="left")
    own = [text_of(known)] if known in table.columns else []
    named = rows.with_columns(pl.coalesce(*own, "\x00one").alias(known))
    return replace(table, frame=named.drop("\x00one", "\x00by", strict=False))


def merge_names(table: RawTable, journey_map: JourneyMap) -> RawTable:
    """Return the table with one column where the file has several names of one, the first filled,
    and the clock behind the date where they are two.
    """
    columns = table.columns
    here = {
        role: [name for name in journey_map.names_of(role) if name in columns]
        for role in (*journey_map.other_names, "occurred_at", "time_of_day")
    }
    several = [names for names in here.values() if len(names) > 1]
    merged = [pl.coalesce([text_of(name) for name in names]).alias(names[0]) for names in several]
    table = replace(table, frame=table.frame.with_columns(merged))
    if here["occurred_at"] and here["time_of_day"]:
        date, clock = here["occurred_at"][0], here["time_of_day"][0]
        both = pl.concat_str(text_of(date), text_of(clock), separator=" ", ignore_nulls=True)
        at = pl.when(text_of(date).is_not_null()).then(both).alias(date)
        table = replace(table, frame=table.frame.with_columns(at))
    return table


def find_columns(
    columns: list[str], journey_map: JourneyMap, *, source: str, required: Iterable[str]
) -> dict[str, str]:
    """Return the raw column of each role that the file has."""
    found = {}
    for role in (*COLUMNS, *in_sets(journey_map.columns)):
        options = journey_map.names_of(role) or _USUAL.get(role, (role,))
        present = next((c for c in options if c in columns), None)
        if present is not None:
            found[role] = present
    if not journey_map.set_of("environment") and "environment" in columns:
        found["environment.environment"] = "environment"
    for role in (role for role in required if role not in found):
        names = journey_map.names_of(role) or (role,)
        raise InputError(
            f"{source}: column {' or '.join(map(repr, names))} ({role}: {COLUMNS[role]}) is "
            f"missing; {there_are(columns, names[0])} Name it in the map under "
            f"columns: {{{role}: …}}; several names are a list"
        )
    return found


def check_found(journey_map: JourneyMap, found: Iterable[str]) -> list[str]:
    """Check that every column the map asks for is in one file at least; return what to look at."""
    asked = [
        (f"columns.{'.'.join(filter(None, written_in(role)))}", role, journey_map.names_of(role))
        for role in journey_map.columns
    ]
    asked += [("keep", "", (column,)) for column in journey_map.keep]
    asked += [("not_a_customer", "", (column,)) for column, _ in journey_map.marks_of_nobody]
    matches = ((t.name, column) for t in journey_map.touchpoints for column in t.match or ())
    asked += [(f"match of {name!r}", "", (column,)) for name, column in matches]
    there, hints = list(found), []
    for key, role, columns in asked:
        if set(columns) & set(there):
            continue
        named = f"the map's {key} names column {' or '.join(map(repr, columns))}, which"
        if role not in _ANSWERS:
            known = there_are(sorted(there), columns[0])
            raise InputError(f"{named} no file of the log has; {known}")
        hints.append(
            f"{named} the log does not have: it is looked for in the table of ratings only "
            f"(--ratings).{did_you_mean(columns[0], there)}"
        )
    return hints


def place_columns(journey_map: JourneyMap, roles: Mapping[str, str]) -> list[str]:
    """Return the raw columns that decide what a row is, `keep` included, each once."""
    named = [roles[role] for role in _ROLES if role in roles]
    matched = [column for t in journey_map.touchpoints for column in t.match or ()]
    return list(dict.fromkeys([*named, *matched, *journey_map.keep]))


def content_hash(columns: list[str]) -> pl.Expr:
    """Return a hash of the content of columns that knows neither their order nor empty ones."""
    hashed = {c: pl.col(c).hash(crc32(c.encode())) for c in columns}
    parts = [pl.when(pl.col(c).is_not_null()).then(h).otherwise(0) for c, h in hashed.items()]
    return pl.sum_horizontal(parts) if parts else pl.lit(0, pl.UInt64)


def recognise(
    contents: pl.DataFrame, journey_map: JourneyMap, roles: Mapping[str, str]
) -> pl.DataFrame:
    """Return what each distinct content of the deciding columns (`place_columns`) is, by `KEY`."""
    texts = contents.select(KEY, *(tidy(c).alias(c) for c in contents.columns if c != KEY))
    if journey_map.fold_case:
        texts = texts.with_columns(_folded(journey_map, roles))
    none = pl.lit(None, pl.String)
    raw = {role: pl.col(roles[role]) if role in roles else none for role in _ROLES}
    touchpoints = journey_map.touchpoints
    planned = pl.DataFrame(
        {f"_{c}": [getattr(t, c) for t in touchpoints] for c in ("name", *_ROLES[1:])},
        schema_overrides={f"_{c}": pl.String for c in _ROLES[1:]},
    ).with_row_index("_number")
    matched = texts.with_columns(_number=_touchpoint_number(journey_map, raw))
    joined = matched.join(planned, on="_number", how="left", maintain_order="left")
    stage_known = raw["stage"].is_in(journey_map.stages)
    initiated_by = raw["initiated_by"].str.to_lowercase()
    return joined.select(
        pl.col(KEY),
        is_kept=_matches_all(journey_map.keep),
        touchpoint=pl.coalesce("_name", raw["touchpoint"]),
        channel=pl.coalesce(raw["channel"], "_channel", pl.lit(UNKNOWN)),
        stage=pl.when(stage_known)
        .then(raw["stage"])
        .when(raw["stage"].is_null())
        .then(pl.col("_stage").fill_null(UNMAPPED))
        .otherwise(pl.lit(UNMAPPED)),
        owner=pl.coalesce(raw["owner"], "_owner"),
        initiated_by=pl.when(initiated_by.is_in(INITIATORS))
        .then(initiated_by)
        .otherwise(pl.col("_initiated_by").fill_null("customer")),
        is_known=pl.col("_number").is_not_null(),
        unknown_stage=pl.when(~stage_known).then(raw["stage"]),
        unknown_initiator=~initiated_by.is_in(INITIATORS),
    )


def _folded(journey_map: JourneyMap, roles: Mapping[str, str]) -> list[pl.Expr]:
    """Give names the case in which the map writes them, and others lower case."""
    folded: dict[str, pl.Expr] = {}
    for role in ("touchpoint", "channel", "stage", "owner"):
        field = "name" if role == "touchpoint" else role
        lines = [getattr(t, field) for t in reversed(journey_map.touchpoints)]
        names = reversed(journey_map.stages) if role == "stage" else lines
        if role in roles:
            low = pl.col(roles[role]).str.to_lowercase()
            known = {name.lower(): name for name in names if name is not None}
            folded.setdefault(roles[role], low.replace_strict(known, default=low) if known else low)
    return [expr.alias(column) for column, expr in folded.items()]


def _matches_all(patterns: Mapping[str, str]) -> pl.Expr:
    """Whether every pattern is found; an empty cell is an empty text."""
    found = (pl.col(c).fill_null("").str.contains(pattern) for c, pattern in patterns.items())
    return pl.all_horizontal(pl.lit(True), *found)


def _touchpoint_number(journey_map: JourneyMap, raw: Mapping[str, pl.Expr]) -> pl.Expr:
    """The first touchpoint, in the order of the map, that matches or, without `match`, is named."""
    found: list[pl.Expr] = []
    exact: list[pl.Expr] = []
    by_name: dict[str, int] = {}
    counted = Counter(t.name for t in journey_map.touchpoints)
    name, channel = raw["touchpoint"], raw["channel"]
    for i, t in enumerate(journey_map.touchpoints):
        number, several = pl.lit(i, pl.UInt32), counted[t.name] > 1
        if t.match is not None:
            here = channel.is_null() | (channel == t.channel) if several else pl.lit(True)
            found.append(pl.when(_matches_all(t.match) & here).then(number))
        else:
            by_name.setdefault(t.name, i)
            if several:
                exact.append(pl.when((name == t.name) & (channel == t.channel)).then(number))
    if by_name:
        first = name.replace_strict(by_name, default=None, return_dtype=pl.UInt32)
        found.append(pl.coalesce(*exact, first))
    return pl.min_horizontal(found)
