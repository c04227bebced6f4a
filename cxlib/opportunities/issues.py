"""Lines of the backlog as issues for a tracker: whose they are, and what an importer reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import shorten
from typing import Any

import polars as pl

from cxlib.encode import name_places
from cxlib.numbers import decimal, sentence_case
from cxlib.results import Result
from cxlib.store import Workspace

_SUMMARY = 250
"""Characters that a summary may have (Jira: 255)."""

_TEAMS = {
    "marketing": "marketing",
    "product": "product",
    "purchase": "sales",
    "delivery": "service",
    "service": "service",
    "awareness": "marketing",
    "exploration": "product",
    "conversion": "sales",
    "aftersales": "service",
}
"""Team by what a touchpoint is for, else by the stage it is in."""


def places_called(workspace: Workspace, name: str | None) -> pl.DataFrame:
    """The places of a touchpoint, or the one of it that is named with its channel."""
    places, called = workspace.places, name or ""
    return places.filter((pl.col("touchpoint") == called) | (name_places(places) == called))


def team_of(workspace: Workspace, name: str | None) -> str | None:
    """The team that a place belongs to, by what it is for or its stage; None: nothing says it."""
    here = places_called(workspace, name)
    kinds = here["kind"].drop_nulls()
    if len(kinds):
        return _TEAMS.get(kinds[0])
    stages = here["stage"].to_list()
    return "service" if here["assisted"].any() else _TEAMS.get(stages[0] if stages else "")


def as_issues(backlog: Result, say_gain: Callable[[Mapping[str, Any]], str | None]) -> pl.DataFrame:
    """One row a line in the columns that Jira and Linear import: Summary, Description,
    Priority, Status, Labels; what a summary cannot hold stands in the description.
    """
    rows = []
    for row in backlog.table.to_dicts():
        what, affected = sentence_case(row["what"]), row["customers_affected"]
        told = {
            "How sure": row["evidence"],
            "Customers affected": affected and f"at least {decimal(affected)}",
            "Gain": say_gain(row),
            "Owner": row["owner"],
            "Since the last third of the log": row["status"],
            "What to do": row["next_step"],
            "How to know whether it worked": row["how_to_test"],
        }
        lines = [what, *(f"{name}: {text}" for name, text in told.items() if text)]
        mended = row["status"] == "mended"
        rows.append(
            {
                "Summary": shorten(what, _SUMMARY, placeholder=" …"),
                "Description": "\n".join(lines),
                "Priority": "Low" if mended else row["confidence"].capitalize(),
                "Status": "Done" if mended else "To Do",
                "Labels": row["team"],
            }
        )
    columns = ("Summary", "Description", "Priority", "Status", "Labels")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
