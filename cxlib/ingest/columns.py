"""Which column of a log plays which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from cxlib.errors import InputError, did_you_mean, listed
from cxlib.ingest.cells import text_of
from cxlib.ingest.tables import RawTable
from cxlib.journey_map import COLUMNS, SETS, JourneyMap
from cxlib.map_model import STEP, STEP_AT, STEP_ORDER

__all__ = ["XES_COLUMNS", "check_found", "find_columns", "in_sets", "merge_names"]

XES_COLUMNS = {
    "customer": ("case:concept:name",),
    "occurred_at": ("time:timestamp",),
    "touchpoint": ("concept:name",),
}
"""Where XES, and tables made from it, keep what we need."""


_MADE = {"touchpoint": STEP, "occurred_at": STEP_AT, "sequence": STEP_ORDER}
"""Columns that `unpivot` makes, which are meant where the map names no other."""

ANSWERS = ("rated_at", "rating", "scale", "comment")
"""Columns that a table of ratings may have instead of the log."""


def in_sets(roles: Iterable[str]) -> list[str]:
    """Return those roles that are an environment or a segment (``environment.NAME``)."""
    return [role for role in roles if role.startswith(tuple(SETS.values()))]


def merge_names(table: RawTable, journey_map: JourneyMap) -> RawTable:
    """Return the table with one column where the file has several names of one: the first filled.

    Where date and time of the day are two columns, the clock goes behind the date.
    A column that goes by another name than the usual one is not renamed: rows in quarantine stand
    there as they stand in the file.
    """
    columns = table.columns
    found = {
        here[0]: [text_of(name) for name in here]
        for role in journey_map.other_names
        if len(here := [name for name in journey_map.names_of(role) if name in columns]) > 1
    }
    if found:
        merged = (pl.coalesce(texts).alias(name) for name, texts in found.items())
        table = replace(table, frame=table.frame.with_columns(merged))
    date = next((c for c in journey_map.names_of("occurred_at") if c in columns), None)
    clock = next((c for c in journey_map.names_of("time_of_day") if c in columns), None)
    if date is not None and clock is not None:
        both = pl.concat_str(text_of(date), text_of(clock), separator=" ", ignore_nulls=True)
        at = pl.when(text_of(date).is_not_null()).then(both).alias(date)
        table = replace(table, frame=table.frame.with_columns(at))
    return table


def find_columns(
    columns: list[str], journey_map: JourneyMap, *, source: str, required: Iterable[str]
) -> dict[str, str]:
    """Return the raw column of each role that the file has, by our name.

    A role is the first column that the map names and the file has; else the column of that very
    name; else the one of XES.

    Raises
    ------
    InputError
        Where a required column is missing; says which there are and which is like it.
    """
    found = {}
    for role in (*COLUMNS, *in_sets(journey_map.columns)):
        made = (_MADE[role],) if role in _MADE else ()
        options = journey_map.names_of(role) or (*made, role, *XES_COLUMNS.get(role, ()))
        present = next((c for c in options if c in columns), None)
        if present is not None:
            found[role] = present
    if not journey_map.set_of("environment") and "environment" in columns:
        found["environment.environment"] = "environment"
    for role in required:
        if role not in found:
            wanted = " or ".join(map(repr, journey_map.names_of(role) or (role,)))
            nearest = did_you_mean((journey_map.names_of(role) or (role,))[0], columns)
            raise InputError(
                f"{source}: column {wanted} ({role}: {COLUMNS[role]}) is missing; there are: "
                f"{listed(columns)}.{nearest} Name it in the map under columns: {{{role}: …}}; "
                "several names are a list"
            )
    return found


def check_found(journey_map: JourneyMap, found: Iterable[str]) -> list[str]:
    """Check that every column the map asks for is in one file at least.

    Returns
    -------
    list of str
        What to look at: columns of answers, which a table of ratings may have instead.

    Raises
    ------
    InputError
        Names the key of the map, the column, and which there are.
    """
    there, hints = list(found), []
    for role, key, columns in _asked_for(journey_map):
        if set(columns) & set(there):
            continue
        wanted = " or ".join(map(repr, columns))
        nearest = did_you_mean(columns[0], there)
        if role in ANSWERS:
            hints.append(
                f"the map's {key} names column {wanted}, which the log does not have: it is looked "
                f"for in the table of ratings only (--ratings).{nearest}"
            )
            continue
        raise InputError(
            f"the map's {key} names column {wanted}, which no file of the log has; there are: "
            f"{listed(sorted(there))}.{nearest}"
        )
    return hints


def _asked_for(journey_map: JourneyMap) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Yield role, key of the map and the column's names for every column that the map names."""
    for role in journey_map.columns:
        kind = next((k for k, start in SETS.items() if role.startswith(start)), None)
        key = f"{kind}.{role.removeprefix(SETS[kind])}" if kind is not None else role
        yield role, f"columns.{key}", journey_map.names_of(role)
    yield from (("keep", "keep", (column,)) for column in journey_map.keep)
    for touchpoint in journey_map.touchpoints:
        patterns: Mapping[str, str] = touchpoint.match or {}
        key = f"match of {touchpoint.name!r}"
        yield from (("match", key, (column,)) for column in patterns)
