"""What a journey map says of a log that is not yet one row for each contact.

Three recipes turn tables as systems export them into contacts, in this order: `join` adds the
columns of a table of attributes, `one_per` makes one row of the lines of a basket, `unpivot` makes
a row of each step of a wide table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxlib.map_file import Entry

__all__ = [
    "FILE",
    "STEP",
    "STEP_AT",
    "STEP_ORDER",
    "Join",
    "Unpivot",
    "read_joins",
    "read_names",
    "read_unpivot",
]

FILE = "(file)"
"""Column that every log has: the name of the file, without what says its kind."""

STEP, STEP_AT, STEP_ORDER = "(step)", "(step time)", "(step order)"
"""Columns that `unpivot` makes."""


@dataclass(frozen=True, slots=True)
class Join:
    """A table of attributes, one row for each value of its key.

    Parameters
    ----------
    table
        Name of its file, with or without what says its kind; ``*`` stands for anything.
    by
        Column of the table by the column of the log that holds the same values.
    """

    table: str
    by: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unpivot:
    """A row of a wide table as one contact for each step it went through.

    The contacts have columns ``(step)``, ``(step order)``, counted from 1, and with `times`
    ``(step time)``.

    Parameters
    ----------
    times
        By step, the column that says when it was; empty: the step was not taken.
    flags
        By step, the column that says whether it was: 1, true, yes, x or a count.
    """

    times: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)


def read_joins(entry: Entry | None) -> tuple[Join, ...]:
    """Return what `join` says; one table, or a list of them."""
    if entry is None:
        return ()
    joins = []
    for item in [entry] if entry.is_mapping() else entry.items():
        item.keys(("table", "by"))
        by = item.need("by")
        if by.is_mapping():
            keys = {name: column.text() for name, column in by.keys(None, filled=True).items()}
        else:
            keys = {name: name for name in read_names(by)}
        if not keys:
            by.fail("name the column that both tables have, for example by: customer_id")
        joins.append(Join(item.need("table").text(), keys))
    return tuple(joins)


def read_unpivot(entry: Entry | None) -> Unpivot | None:
    """Return what `unpivot` says: steps with a column each, either of times or of flags."""
    if entry is None:
        return None
    given = entry.keys(("times", "flags"))
    if len(given) != 1:
        entry.fail(
            "name the steps under `times` or under `flags`, for example times: {paid: paid_at}"
        )
    [(kind, steps)] = given.items()
    columns = {step: column.text() for step, column in steps.keys(None, filled=True).items()}
    if len(columns) < 2:
        steps.fail("name at least two steps, each with its column")
    return Unpivot(**{kind: columns})


def read_names(entry: Entry | None) -> tuple[str, ...]:
    """Return one name or a list of names."""
    if entry is None:
        return ()
    return tuple(dict.fromkeys(name.text() for name in entry.items(or_one=True)))
