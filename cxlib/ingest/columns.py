"""Which column of a log plays which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cxlib.errors import InputError, did_you_mean, listed
from cxlib.journey_map import COLUMNS, JourneyMap

__all__ = ["XES_COLUMNS", "check_found", "find_columns"]

XES_COLUMNS = {
    "customer": ("case:concept:name",),
    "occurred_at": ("time:timestamp",),
    "touchpoint": ("concept:name",),
}
"""Where XES, and tables made from it, keep what we need."""


def find_columns(
    columns: list[str], journey_map: JourneyMap, *, source: str, required: Iterable[str]
) -> dict[str, str]:
    """Return the raw column of each role that the file has, by our name.

    A role is the column that the map names; else the column of that very name; else the one of XES.

    Raises
    ------
    InputError
        Where a required column is missing; says which there are and which is like it.
    """
    found = {}
    for role in COLUMNS:
        named = journey_map.columns.get(role)
        options = (named,) if named is not None else (role, *XES_COLUMNS.get(role, ()))
        present = next((c for c in options if c in columns), None)
        if present is not None:
            found[role] = present
    for role in required:
        if role not in found:
            wanted = journey_map.columns.get(role, role)
            raise InputError(
                f"{source}: column {wanted!r} ({role}: {COLUMNS[role]}) is missing; there are: "
                f"{listed(columns)}.{did_you_mean(wanted, columns)} "
                f"Name it in the map under columns: {{{role}: …}}"
            )
    return found


def check_found(journey_map: JourneyMap, found: Iterable[str]) -> None:
    """Check that every column the map asks for is in one file at least.

    Raises
    ------
    InputError
        Names the key of the map, the column, and which there are.
    """
    there = list(found)
    for key, column in _asked_for(journey_map):
        if column not in there:
            raise InputError(
                f"the map's {key} names column {column!r}, which no file has; there are: "
                f"{listed(sorted(there))}.{did_you_mean(column, there)}"
            )


def _asked_for(journey_map: JourneyMap) -> Iterable[tuple[str, str]]:
    # `rated_at` belongs to tables of ratings, which are read on their own.
    for role, column in journey_map.columns.items():
        if role != "rated_at":
            yield f"columns.{role}", column
    yield from (("keep", column) for column in journey_map.keep)
    for touchpoint in journey_map.touchpoints:
        patterns: Mapping[str, str] = touchpoint.match or {}
        yield from ((f"match of {touchpoint.name!r}", column) for column in patterns)
