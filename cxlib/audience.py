"""Audiences: lists of customers for whoever addresses them, and what came of them.

An audience holds ids. It stays on the analyst's side: no folder that is published takes one, and
beside every file stands in `LOG` what was handed out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from cxlib.columns import Columns, Count, Customers, Label, Points, Share, Tables
from cxlib.errors import InputError
from cxlib.numbers import decimal, plural, points, share
from cxlib.results import Result, answers, interval_row, of_workspace, result
from cxlib.statistics.rates import difference_of_rates
from cxlib.statistics.scores import top_box
from cxlib.store import Workspace
from cxlib.tables import csv_text

LOG = "audiences.csv"
"""What was handed out, one line a file: file, audience, of, until, written_at, customers, held."""

ADDRESSED, HELD, OTHERS = "addressed", "held back", "others"
_SHOWN = ("published", "manifest.json", "index.html", "index.html.gz")


@of_workspace
def write_audience(
    workspace: Workspace,
    customers: pl.DataFrame,
    to: Path | str,
    *,
    name: str,
    hold_back: float = 0.0,
    seed: int = 1,
) -> int:
    """Write a list of customers to a CSV file, and note it in the folder's `LOG`.

    Parameters
    ----------
    workspace
        What the customers were chosen from.
    customers
        ``customer`` (the id of the log) and whatever tells why, one row each.
    to
        The file, new, in a folder that nothing is published from.
    name
        What the audience is called.
    hold_back
        Share drawn by lot who are not addressed, from 0 to 0.5; they stand in a file of their own.
        Without them nobody can tell what the address did.
    seed
        Of the lot.

    Returns
    -------
    int
        Customers in the file, without those held back.

    Raises
    ------
    InputError
        The file exists, or its folder is (or lies in) one that is published; nobody is in the
        audience; `hold_back` is out of range.
    """
    to = Path(to)
    if not 0 <= hold_back <= 0.5:
        raise InputError(f"hold_back={hold_back:g} must be a share from 0 to 0.5, such as 0.1")
    if customers.is_empty():
        raise InputError(f"nobody is in the audience {name!r}: nothing was written")
    folder = to.resolve().parent
    for place in (folder, *folder.parents[:-1]):
        if place.name == _SHOWN[0] or any((place / shown).exists() for shown in _SHOWN[1:]):
            raise InputError(f"{to}: {place} is published, and an audience holds ids: elsewhere")
    drawn = np.random.default_rng(seed).permutation(len(customers))
    held = drawn < round(hold_back * len(customers))
    parts = {to: customers.filter(~held)}
    if held.any():
        parts[_held_file(to)] = customers.filter(held)
    if taken := [file for file in parts if file.exists()]:
        raise InputError(f"{taken[0]} exists; name another file")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; make it first")
    for file, part in parts.items():
        with file.open("x", encoding="utf-8", newline="") as opened:
            opened.write(csv_text(part))
    line = {
        "file": to.name,
        "audience": name,
        "of": workspace.journey_map.name,
        "until": workspace.observed_until.isoformat(),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "customers": len(parts[to]),
        "held": int(held.sum()),
    }
    with (folder / LOG).open("a", encoding="utf-8", newline="") as opened:
        text = csv_text(pl.DataFrame(line))
        opened.write(text if opened.tell() == 0 else text.split("\n", 1)[1])
    return len(parts[to])


def _held_file(file: Path) -> Path:
    return file.with_name(f"{file.stem}.held-back{file.suffix}")


@result
class AudienceOutcome(Result):
    """What `measure_audience` returns; ``missing``: customers of the file unknown to the log."""

    audience: str
    missing: int

    title = "What came of the audience"
    tables = Tables(
        table=Columns(
            "one row per outcome and group",
            outcome=Label("contact that the customer began, or goal, after the audience was drawn"),
            group=Label("addressed, held back, or others: all who were known by then"),
            n=Customers("in the group"),
            events=Count("of them with the outcome", each="customers"),
            share=Share("with the outcome", of="n", interval=True),
            difference=Points("of the addressed to this group", interval=True),
        ),
    )

    def sentences(self) -> list[str]:
        """Say what the addressed did, and how far that is owed to the address."""
        said = []
        for (outcome,), rows in self.table.group_by("outcome", maintain_order=True):
            own, *others = rows.to_dicts()
            other = others[0]
            why = (
                "drawn by lot: the address did it, or chance within the interval"
                if other["group"] == HELD
                else "they were chosen, so this does not show what the address did: hold some back"
            )
            ends = points(other["difference"], other["difference_low"], other["difference_high"])
            said.append(
                f"{self.audience}: {share(own['share'], own['share_low'], own['share_high'])} of "
                f"{decimal(own['n'])} addressed have a {outcome} since then, {ends} to those "
                f"{'held back' if other['group'] == HELD else 'not addressed'} ({why})"
            )
        if self.missing:
            said.append(f"{plural(self.missing, 'customer')} of the file are not in this log")
        return said


@answers(AudienceOutcome)
def measure_audience(workspace: Workspace, *, file: Path | str) -> AudienceOutcome:
    """Measure what customers of an audience did after it was drawn, against those held back.

    Parameters
    ----------
    file
        What `write_audience` wrote, with its `LOG` beside it.

    Raises
    ------
    InputError
        The file is not in the log beside it, was drawn from another map's log, or nothing was
        observed since then.
    """
    file = Path(file)
    log = file.parent / LOG
    if not (file.exists() and log.exists()):
        raise InputError(f"{file}: there is no such file with {LOG} beside it")
    lines = pl.read_csv(log, infer_schema=False).filter(pl.col("file") == file.name)
    if lines.is_empty():
        raise InputError(f"{file.name} is not in {log}: it was not written as an audience")
    line = lines.row(-1, named=True)
    since = datetime.fromisoformat(line["until"])
    if line["of"] != workspace.journey_map.name:
        raise InputError(
            f"{file.name} was drawn from {line['of']}, not from {workspace.journey_map.name}"
        )
    if workspace.observed_until <= since:
        raise InputError(
            f"{file.name} was drawn at {since:%Y-%m-%d}, and the log ends then: read a newer one"
        )
    groups = {ADDRESSED: _ids(file)}
    if int(line["held"]):
        groups[HELD] = _ids(_held_file(file))
    told = workspace.customers().select("customer", "name").collect()
    group = pl.concat(pl.DataFrame({"name": ids, "group": g}) for g, ids in groups.items())
    people = told.join(group.unique("name"), on="name", how="left").with_columns(
        pl.col("group").fill_null(OTHERS)
    )
    table = AudienceOutcome.tables["table"].frame(
        _outcomes(people.join(_since(workspace, since), on="customer"), [*groups, OTHERS])
    )
    return AudienceOutcome(
        table=table,
        audience=line["audience"],
        missing=len(group) - int((people["group"] != OTHERS).sum()),
    )


def _ids(file: Path) -> pl.Series:
    # written with an apostrophe where a spreadsheet would take it for a formula
    ids = pl.read_csv(file, infer_schema=False)["customer"]
    return ids.str.replace(r"^'([=+\-@\t\r])", "${1}")


def _since(workspace: Workspace, since: datetime) -> pl.DataFrame:
    """Customers who were known by then, and what they did after it."""
    own = workspace.places.filter(pl.col("initiated_by") == "customer")["place"].implode()
    goal = workspace.places.filter("is_goal")["place"].implode()
    later = pl.col("occurred_at") > since
    return (
        workspace.store()
        .group_by("customer")
        .agg(
            known=(~later).any(),
            contact=(later & pl.col("place").is_in(own)).any(),
            goal=(later & pl.col("place").is_in(goal)).any(),
        )
        .filter("known")
        .collect()
    )


_DIFFERENCE = ("difference", "difference_low", "difference_high")


def _outcomes(people: pl.DataFrame, groups: list[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for outcome in ("contact", "goal"):
        first = None
        for group in groups:
            had = people.filter(pl.col("group") == group)[outcome]
            if had.is_empty():
                continue
            part = top_box([len(had)], [int(had.sum())])
            row: dict[str, object] = {"outcome": outcome, "group": group, "n": len(had)}
            row |= {"events": int(had.sum()), **interval_row("share", part)}
            rows.append(row)
            ends = part.estimate, part.low, part.high
            if first is not None:
                apart = (float(x[0]) for x in difference_of_rates(first, ends))
                row |= dict(zip(_DIFFERENCE, apart, strict=True))
            first = first or ends
    return rows
