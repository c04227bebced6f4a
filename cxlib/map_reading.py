"""What a journey map says of the files themselves: the key `reading`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from cxlib.map_file import Entry

__all__ = ["Reading", "read_reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of a log are to be read, where that is not found out or not well.

    Parameters
    ----------
    separator, encoding
        Of text files.
    skip_lines
        Lines above the header.
    comment
        What a line begins with that is no row.
    decimal
        The decimal mark of numbers, ``"."`` or ``","``.
    sheet
        Sheets of a workbook, by name; ``"*"`` for all.
    records
        Dotted path of the list that holds the contacts, in JSON: one contact for each element.
    """

    separator: str | None = None
    encoding: str | None = None
    skip_lines: int | None = None
    comment: str | None = None
    decimal: str | None = None
    sheet: tuple[str, ...] = ()
    records: str | None = None


def read_reading(entry: Entry | None) -> Reading:
    """Return what `reading` of a map says.

    Raises
    ------
    MapError
        For an unknown key, or a value that cannot be.
    """
    if entry is None:
        return Reading()
    given: dict[str, Any] = {}
    for key, value in entry.keys(f.name for f in fields(Reading)).items():
        if key == "skip_lines":
            given[key] = value.whole(low=0)
        elif key == "sheet":
            given[key] = tuple(item.text() for item in value.items(or_one=True))
        elif key == "decimal":
            given[key] = value.one_of((".", ","), "decimal mark")
        elif key == "separator":
            given[key] = str(value.node.value)
        else:
            given[key] = value.text()
    return Reading(**given)
