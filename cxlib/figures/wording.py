"""Words that every figure uses for the same thing: names in a sentence, what an answer rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cxlib.markup import hover
from cxlib.numbers import day, share, spelled

if TYPE_CHECKING:
    from cxlib.columns import Columns
    from cxlib.results import Result


def named(row: Mapping[str, Any]) -> str:
    """Name a touchpoint in a sentence, with its channel where the name does not say it."""
    name, channel = row["touchpoint"], row["channel"]
    said = channel.casefold().rstrip("s") in name.casefold()
    return name if said else f"{name} ({channel})"


def estimate(row: Mapping[str, Any], name: str) -> str:
    """Write a share of a row with its interval."""
    return share(row[name], row[f"{name}_low"], row[f"{name}_high"])


def figures_of(columns: Columns, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every figure of a row that is known: its heading, and how tables write it."""
    return [
        (columns.heading(name), column.cell(row, name, columns.ends(name)))
        for name, column in columns.items()
        if column.is_number and not column.detail and column.kind != "rank"
        if row.get(name) is not None
    ]


def told(columns: Columns, rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """Write hovers: the row's name (a column, or itself), and every figure as tables write it."""
    return [
        hover(row.get(name, name), *(f"{h}: {cell}" for h, cell in figures_of(columns, row)))
        for row in rows
    ]


def of_whom(result: Result) -> str:
    """Return `` of persona explorer on web`` where a result is about a part, else nothing."""
    where = result.where
    if where is None:
        return ""
    group = f" of {spelled(where.segment[0])} {where.segment[1]}" if where.segment else ""
    return group + (f" on {where.channel}" if where.channel else "")


def based_on(result: Result, counted: str, *, left_out: str = "", whiskers: bool = True) -> str:
    """Say what an answer rests on: how many, of whom, until when, and what is not shown."""
    parts = [f"{counted}{of_whom(result)}", f"observed until {day(result.observed_until)}"]
    text = ", ".join([*parts, left_out] if left_out else parts)
    return f"{text}; whiskers: 95 % intervals" if whiskers else text
