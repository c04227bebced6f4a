"""Tables as systems export them, turned lazily into one row for each contact as the map says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache, partial

import polars as pl

from cxlib.errors import InputError, listed, there_are
from cxlib.ingest.cells import read_numbers, text_of
from cxlib.ingest.raw import LINE, RawTable, as_json
from cxlib.ingest.sources import Source
from cxlib.journey_map import JourneyMap
from cxlib.map_model import FILE, STEP, STEP_AT, STEP_ORDER, Join, Unpivot

Read = Callable[[Source], RawTable]

_TRUE = "^(?i:1|1\\.0|true|t|yes|y|ja|j|oui|si|sí|x)$"
_SUMS = ("amount", "cost")  # roles that lines of one contact add up to


def _is_table(source: Source, pattern: str) -> bool:
    """Whether a file is the one that a map calls `pattern`, with or without what says its kind."""
    name, wanted = source.path.name.lower(), pattern.lower()
    return fnmatch(name, wanted) or fnmatch(source.stem, wanted)


def split_sources(
    sources: list[Source], journey_map: JourneyMap
) -> tuple[list[Source], dict[str, list[Source]]]:
    """Return the files whose rows are contacts, and by name the tables beside the log."""
    tables = {"ratings": journey_map.ratings.table, "customers": journey_map.customers.table}
    beside = {
        name: [s for s in sources if table is not None and _is_table(s, table)]
        for name, table in tables.items()
    }
    others = {s for found in beside.values() for s in found}
    others |= {s for s in sources for join in journey_map.join if _is_table(s, join.table)}
    log = [s for s in sources if s not in others]
    if not log:
        raise InputError(
            f"the map takes every file for a table beside the log; name the log too: there are "
            f"{listed(s.path.name for s in sources)}"
        )
    return log, {name: found for name, found in beside.items() if found}


def shape_tables(sources: list[Source], journey_map: JourneyMap, read: Read) -> Iterator[RawTable]:
    """Yield each file of a log with one row for each contact."""
    log, _ = split_sources(sources, journey_map)
    read_once = cache(read)
    for source in log:
        table = read(source)
        if FILE in journey_map.named_columns():
            stem = pl.lit(source.stem).alias(FILE)
            table = replace(table, frame=table.frame.with_columns(stem))
        table = join_tables(table, journey_map.join, sources, read_once)
        if journey_map.one_per:
            table = _one_per(table, journey_map)
        if journey_map.unpivot is not None:
            told = (journey_map.columns.get(role, "") for role in _ONCE)
            once = {column for name in told for column in (name, *name.split(" * "))}
            table = _unpivot(table, journey_map.unpivot, once)
        yield table


def join_tables(
    table: RawTable, joins: tuple[Join, ...], sources: list[Source], read: Read
) -> RawTable:
    """Add the columns of tables of attributes, one after the other; those there are stay."""
    for join in joins:
        found = [s for s in sources if _is_table(s, join.table)]
        if not found:
            names = [s.path.name for s in sources]
            raise InputError(
                f"the map's join names table {join.table!r}, which is not among the files; name "
                f"its file beside the log; {there_are(names, join.table)}"
            )
        need_columns(table, join.by, f"join with {join.table!r}")
        parts = []
        for other in map(read, found):
            need_columns(other, join.by.values(), "join")
            need_columns(other, join.where, "join")
            told = [text_of(c) == value for c, value in join.where.items()]
            some = other.frame.filter(pl.all_horizontal(True, *told))
            parts.append(some.select(text_of(c).alias(c) for c in other.columns))
        added = pl.concat(parts, how="diagonal").unique().collect()
        keys = list(join.by.values())
        again = added.drop_nulls(keys).filter(pl.struct(keys).is_duplicated())
        if again.height:
            first = ", ".join(map(str, again.select(keys).row(0)))
            raise InputError(
                f"the map's join with {join.table!r} would multiply rows: it has several different "
                f"rows for {' and '.join(map(repr, keys))}, first {first!r}; join on a column that "
                "has one row for each value"
            )
        fresh = [c for c in added.columns if c not in keys and c not in table.columns]
        theirs = [f"\x00{key}" for key in keys]
        frame = table.frame.join(
            added.lazy().select(*fresh, *(pl.col(k).alias(f"\x00{k}") for k in keys)),
            left_on=[text_of(c) for c in join.by],
            right_on=theirs,
            how="left",
            maintain_order="left",
        )
        table = replace(table, frame=frame.drop(theirs))
    return table


def need_columns(table: RawTable, columns: Iterable[str], recipe: str) -> None:
    """Check that a file has the columns that a key of the map names."""
    for column in columns:
        if column not in table.columns:
            raise InputError(
                f"{table.source}: the map's {recipe} names column {column!r}, which the file does "
                f"not have; {there_are(table.columns, column)}"
            )


def is_true(column: str) -> pl.Expr:
    """Whether a cell says that a step was taken: 1, true, yes, x or a count."""
    count = pl.col(column).cast(pl.String).cast(pl.Float64, strict=False)
    return text_of(column).str.contains(_TRUE) | (count > 0)


def numbered_columns(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return columns with a number in their names, by the name with ``#`` for it, and by it."""
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        for digits in re.finditer(r"\d+", column):
            named = f"{column[: digits.start()]}#{column[digits.end() :]}"
            found.setdefault(named, {})[digits[0]] = column
    return {name: by_number for name, by_number in found.items() if len(by_number) > 1}


_ONCE = ("rating", "scale", "comment", "amount", "cost")
"""Roles that a wide table tells of a row and not of a step: of the last step that was taken."""


def unpivot_rows(rows: pl.LazyFrame, recipe: Unpivot, once: Collection[str] = ()) -> pl.LazyFrame:
    """Make a row of each step that a row went through; `LINE` tells them apart, and the row.

    The columns `once` are left to the last step taken, or they would count at every one.
    """
    columns = rows.collect_schema().names()
    steps = recipe.times or recipe.flags
    parts: list[tuple[str, dict[str, pl.Expr]]] = []
    if recipe.numbered:
        families = numbered_columns(columns)
        times = families[recipe.numbered]
        alike = {name: found for name, found in families.items() if found.keys() & times}
        taken = {column for found in alike.values() for column in found.values()}
        none = pl.lit(None, pl.String)
        for number, column in sorted(times.items(), key=lambda item: int(item[0])):
            own = {n: pl.col(f[number]) if number in f else none for n, f in alike.items()}
            parts.append((column, own))
    else:
        taken = set(steps.values())
        for step, column in steps.items():
            at = {STEP_AT: pl.col(column)} if recipe.times else {}
            parts.append((column, {STEP: pl.lit(step), **at}))
    others = [c for c in columns if c not in {LINE, *taken}]
    went = [_is_taken(column, recipe) for column, _ in parts]
    return pl.concat(
        rows.filter(went[order]).select(
            pl.col(LINE) * len(parts) + order,
            *(pl.col(c) for c in others if c not in once),
            *(
                pl.when(~pl.any_horizontal(False, *went[order + 1 :])).then(c).alias(c)
                for c in others
                if c in once
            ),
            pl.lit(order + 1, pl.Int64).alias(STEP_ORDER),
            **made,
        )
        for order, (_, made) in enumerate(parts)
    )


def _is_taken(column: str, recipe: Unpivot) -> pl.Expr:
    # a dash says that there was no such step
    taken = is_true(column) if recipe.flags else text_of(column).str.contains(r"\d")
    return taken.fill_null(False)


def _unpivot(table: RawTable, recipe: Unpivot, once: Collection[str]) -> RawTable:
    """Make a row of each step that a row went through; rows without any are set aside."""
    steps = list((recipe.times or recipe.flags).values())
    if recipe.numbered:
        found = numbered_columns(table.columns)
        steps = list(found.get(recipe.numbered, {"": recipe.numbered}).values())
    need_columns(table, steps, "unpivot")
    taken = [_is_taken(column, recipe) for column in steps]
    none = table.frame.filter(~pl.any_horizontal(taken)).collect()
    reason = pl.lit("no step was taken: every column of `unpivot` is empty").alias("reason")
    aside = none.select(reason, LINE, raw=as_json(none.drop(LINE)))
    before = f"{table.note}; " if table.note else ""
    return replace(
        table,
        frame=unpivot_rows(table.frame, recipe, once),
        malformed=pl.concat([table.malformed, aside]),
        per_line=len(steps),
        note=f"{before}each row as up to {len(steps)} contacts",
    )


def _one_per(table: RawTable, journey_map: JourneyMap) -> RawTable:
    """Make one row of all rows with the same key; a row without a key stays one."""
    keys = list(journey_map.one_per)
    need_columns(table, keys, "one_per")
    sums = {journey_map.columns[role] for role in _SUMS if role in journey_map.columns}
    rest = [c for c in table.columns if c not in keys]
    number = partial(read_numbers, decimal=journey_map.reading.decimal)
    keyed = table.frame.with_columns(
        *(text_of(c).alias(c) for c in keys),
        *(pl.col(c).map_batches(number, return_dtype=pl.Float64) for c in sums),
    )
    alone = pl.when(pl.all_horizontal(pl.col(keys).is_null())).then(pl.col(LINE))
    frame = (
        keyed.group_by(*keys, alone.alias("\x00alone"), maintain_order=True)
        .agg(
            *(pl.col(c).sum() if c in sums else pl.col(c).drop_nulls().min() for c in rest),
            pl.col(LINE).min(),
        )
        .select(*table.columns, LINE)
    )
    return replace(table, frame=frame, note=f"one contact for each {' and '.join(keys)}")
