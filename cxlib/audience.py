"""Audiences: lists of customers for the tools that address them, and what came of them.

A list holds ids. It is written once, beside the analyst and never where something is published, and
every list is noted in the workspace (``audiences.jsonl``). A part drawn by chance is held back, so
that what came of it can be read later: both groups were drawn from the same list.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Columns, Customers, Label, Share, Tables
from cxlib.durable import hash_file
from cxlib.errors import InputError
from cxlib.numbers import day, points, share
from cxlib.results import Result, result
from cxlib.statistics.rates import difference_of_rates, wilson
from cxlib.store import Workspace
from cxlib.tables import csv_text

__all__ = ["GROUP", "Reached", "hold_back", "list_exports", "read_back", "write_audience"]

GROUP = ("address", "hold back")
"""What the column ``group`` says: to be addressed, or not, to compare with."""

LOG = "audiences.jsonl"


def hold_back(table: pl.DataFrame, *, part: float = 0.2, seed: int = 0) -> pl.DataFrame:
    """Draw by chance who is not addressed: adds the column ``group`` (see `GROUP`).

    Raises
    ------
    InputError
        `part` is no share below 1.
    """
    if not 0 <= part < 1:
        raise InputError(f"{part:g} of an audience cannot be held back; give a share from 0 to 1")
    drawn = np.random.default_rng(seed).permutation(len(table)) < round(part * len(table))
    return table.with_columns(group=pl.Series(np.where(drawn, GROUP[1], GROUP[0])).cast(pl.String))


def write_audience(
    workspace: Workspace, table: pl.DataFrame, path: str | Path, *, name: str, dated: bool = True
) -> Path:
    """Write a list of customers as CSV, and note in the workspace that it was written.

    Parameters
    ----------
    workspace
        Whose customers they are.
    table
        ``customer`` (the id of the log), and whatever the tool needs to know.
    path
        The file; one that is there is not replaced.
    name
        What the list is, for the note.
    dated
        Whether every row says until when the log was known: `read_back` needs it.

    Raises
    ------
    InputError
        The file exists, its folder does not, or what stands there is published.
    """
    file = Path(path)
    home = file.resolve().parent
    if not home.is_dir():
        raise InputError(f"{file}: the folder {file.parent} does not exist")
    if "published" in home.parts or any((up / "manifest.json").is_file() for up in (home,)):
        raise InputError(f"{file}: {home.name} is published; ids stay out of there")
    exported = workspace.observed_until.isoformat()
    try:
        with file.open("x", encoding="utf-8", newline="") as out:
            out.write(csv_text(table, {"data_to": exported} if dated else None))
    except FileExistsError:
        raise InputError(f"{file} exists; name another file") from None
    note = {"name": name, "file": file.name, "customers": len(table), "data_to": exported}
    note |= {"written_at": datetime.now().astimezone().isoformat(timespec="seconds")}
    with (workspace.path / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(note | {"sha256": hash_file(file)}, ensure_ascii=False) + "\n")
    return file


def list_exports(workspace: Workspace) -> list[dict[str, Any]]:
    """List what was exported from a workspace, the first first."""
    log = workspace.path / LOG
    return (
        [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    )


@result
class Reached(Result):
    """What `read_back` returns.

    Attributes
    ----------
    difference, low, high
        Of those addressed over those held back: share that reach the goal (95 %); NaN where nobody
        was held back.
    """

    difference: float
    low: float
    high: float

    title = "What came of an audience"
    tables = Tables(
        table=Columns(
            "one row per group of the list",
            group=Label("to be addressed, or held back to compare with"),
            customers=Customers("of the list who are in the log"),
            came=Share("who came to the touchpoint of their line since", interval=True),
            goal=Share("who reached a goal since", interval=True),
        )
    )

    def sentences(self) -> list[str]:
        """Say what came of it, and whether that is more than without."""
        rows = {row["group"]: row for row in self.table.to_dicts()}
        if any(rows.get(g, {"goal": None})["goal"] is None for g in GROUP):
            return [
                "nobody was held back, or addressed: what came of it cannot be told from chance"
            ]
        first, second = (share(rows[g]["goal"]) for g in GROUP)
        sure = "more" if self.low > 0 else "less" if self.high < 0 else "no difference is shown"
        return [
            f"{first} of those addressed reached a goal, of those held back {second}: {sure} "
            f"({points(self.difference, self.low, self.high)})"
        ]


def read_back(workspace: Workspace, path: str | Path) -> Reached:
    """Read from a later log what came of an audience.

    Parameters
    ----------
    workspace
        A workspace of the same customers, of a log that goes on after the list was written.
    path
        The list, as `write_audience` wrote it.

    Raises
    ------
    InputError
        The file is no such list, or the log ends where the list was made.
    """
    file = Path(path)
    try:
        table = pl.read_csv(file, infer_schema_length=0)
    except (OSError, pl.exceptions.PolarsError):
        raise InputError(f"{file} cannot be read as a list of customers (CSV)") from None
    if missing := {"customer", "data_to"} - set(table.columns):
        raise InputError(f"{file.name} is no list that cx exported: no column {min(missing)!r}")
    if "group" not in table.columns:
        table = table.with_columns(group=pl.lit(GROUP[0]))
    since = datetime.fromisoformat(table["data_to"][0]) if len(table) else workspace.observed_until
    if workspace.observed_until <= since:
        raise InputError(
            f"the log ends on {day(workspace.observed_until)}, when {file.name} was made: ingest a "
            "later one, and read it back from there"
        )
    places = workspace.places.lazy().select("place", "touchpoint", "is_goal")
    later = (
        workspace.store()
        .filter(pl.col("occurred_at") > since)
        .select("customer", "place")
        .join(places, on="place")
        .join(workspace.customers().select("customer", id="name"), on="customer")
    )
    wanted = pl.col("next_touchpoint") if "next_touchpoint" in table.columns else pl.lit(None)
    listed = table.with_columns(id=pl.col("customer").str.strip_prefix("'"), wanted=wanted)
    known = (
        listed.drop("customer")
        .lazy()
        .join(workspace.customers().select("customer", id="name"), on="id")
    )
    seen = (
        known.join(later.drop("customer"), on="id", how="left")
        .group_by("id", "group")
        .agg(
            came=(pl.col("touchpoint") == pl.col("wanted")).any(),
            goal=pl.col("is_goal").fill_null(False).any(),
        )
        .collect()
    )
    rows = []
    for group in GROUP:
        mine = seen.filter(group=group)
        row: dict[str, Any] = {"group": group, "customers": len(mine)}
        for name in ("came", "goal") if len(mine) else ():
            p = float(mine[name].mean())  # type: ignore[arg-type]
            low, high = (float(end) for end in wilson(p, len(mine)))
            row |= {name: p, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    ends = [tuple(row.get(f"goal{e}", np.nan) for e in ("", "_low", "_high")) for row in rows]
    difference, low, high = (float(x) for x in difference_of_rates(ends[0], ends[1]))
    return Reached(
        table=Reached.tables["table"].frame(rows),
        difference=difference,
        low=low,
        high=high,
        observed_until=workspace.observed_until,
        where=None,
    )
