"""What changed since an earlier snapshot: a section that views end with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import CxError
from cxlib.figures.fragmentation import effect_text, signal_name
from cxlib.numbers import MISSING, day, people, share
from cxlib.publish import Snapshot, compare_snapshots, list_snapshots
from cxlib.views.shared import words
from cxlib.views.shared.filters import Filter, Option
from cxlib.views.shared.parts import Chosen, Figure, Group, Words
from cxlib.views.shared.tables import Column, html_table
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.publish import SnapshotChanges, SnapshotRecord

__all__ = ["changes_section", "changes_since", "earlier_snapshots", "since"]

_MOST, _SENTENCES = 24, 8
"""Earlier snapshots that can be chosen, the newest ones; sentences that are shown."""


def since() -> Filter:
    """Choose an earlier snapshot that is compared with: its value is its name."""
    return Filter(
        trait="since",
        label=words.CHANGES_SINCE,
        every=words.CHANGES_NONE,
        options=_options,
        unknown=words.UNKNOWN_SINCE,
        css="cx-since",
        narrows=False,
        in_row=False,
    )


def changes_section(*, findings: bool) -> Group:
    """Say what changed: of findings, or of every other figure."""
    on = ("segment", "since")

    def said(view: Any) -> str:
        if not earlier_snapshots(view.answers):
            return render("shared/changes.html", hint=words.CHANGES_FIRST, changes=None)
        if view.state.since is None:
            return render("shared/changes.html", hint=words.CHANGES_HINT, changes=None)
        try:
            changes = _changes(view, findings)
        except CxError as error:
            return render("shared/changes.html", hint=str(error), changes=None)
        return render(
            "shared/changes.html",
            changes=changes,
            sentences=[s.removesuffix(".") for s in changes.sentences(_SENTENCES)],
            more=len(changes.changed) - _SENTENCES,
        )

    def compared(view: Any) -> bool:
        try:
            return view.state.since is not None and bool(_changes(view, findings))
        except CxError:
            return False

    return Group(
        css="cx-changes",
        painted=False,
        parts=(
            Words(name="changes_heading", on=(), write=_heading),
            Chosen(name="since", trait="since", shown=lambda v: bool(earlier_snapshots(v.answers))),
            Words(name="changes", on=on, write=said),
            Figure(
                name="changes_below",
                on=on,
                shown=compared,
                text=words.CHANGES,
                data=lambda view: _data(view, _changes(view, findings)),
                filled=lambda view: {
                    "since": day(_changes(view, findings).since),
                    "until": day(_changes(view, findings).until),
                    "k": str(view.k),
                },
            ),
        ),
    )


def earlier_snapshots(answers: object) -> dict[str, SnapshotRecord]:
    """Return the snapshots published before the one shown, the newest first, by name."""
    if not isinstance(answers, Snapshot):
        return {}
    return _earlier(answers)


@lru_cache(maxsize=8)
def _earlier(answers: Snapshot) -> dict[str, SnapshotRecord]:
    workspace, shown = answers.folder.parent.parent, answers.published_at
    records = [r for r in list_snapshots(workspace) if r.whole and r.folder != answers.folder]
    earlier = [r for r in records if r.published_at is not None and r.published_at <= shown]
    return {record.name: record for record in reversed(earlier[-_MOST:])}


@lru_cache(maxsize=32)
def changes_since(
    answers: Snapshot, name: str, segment: tuple[str, str] | None = None
) -> SnapshotChanges:
    """Compare a snapshot with an earlier one of that name."""
    older = Snapshot.open(earlier_snapshots(answers)[name].folder)
    return compare_snapshots(older, answers, segment=segment)


def _changes(view: Any, findings: bool) -> SnapshotChanges:
    changes = changes_since(view.answers, view.state.since, view.state.segment)
    return replace(changes, table=changes.table.filter((pl.col("what") == "finding") == findings))


def _heading(view: Any) -> str:
    return render("shared/heading.html", heading=words.CHANGES_HEADING)


def _options(view: Any) -> list[Option]:
    return [
        Option(
            name,
            words.CHANGES_OPTION.format(
                published=day(record.published_at),
                time=f"{record.published_at:%H:%M}",
                until=day(record.observed_until),
            ),
            name,
        )
        for name, record in earlier_snapshots(view.answers).items()
        if record.published_at and record.observed_until
    ]


def _data(view: Any, changes: SnapshotChanges) -> tuple[str, pl.DataFrame]:
    columns = [
        Column("What", _what, number=False),
        Column("Status", lambda row: row["status"] or MISSING, number=False),
        Column("Before", lambda row: _figure(row, "before")),
        Column("After", lambda row: _figure(row, "after")),
        Column("Change", _change),
        Column("Sure", lambda row: "yes" if row["changed"] else "no", number=False),
    ]
    table = html_table(changes.table, columns, caption=words.CHANGES_TABLE)
    return table, changes.table.with_columns(compared_with=pl.lit(changes.since.date().isoformat()))


def _what(row: Mapping[str, Any]) -> str:
    if row["what"] == "finding":
        return f"{row['name']}: {signal_name(row['signal'])}"
    return row["name"] if row["name"] == row["what"] else f"{row['what']}, {row['name']}"


def _figure(row: Mapping[str, Any], which: str) -> str:
    if row["unit"] == "share":
        return share(row[which])
    if row["what"] == "finding":
        return MISSING if row[which] is None else effect_text({**row, "effect": row[which]})
    return people(row[which])


def _change(row: Mapping[str, Any]) -> str:
    if row["change"] is None:
        return MISSING
    points = row["unit"].startswith("share")
    known = row["low"] is not None and row["high"] is not None
    names = ["change", "low", "high"] if known else ["change"]
    factor = 100 if points else 1
    digits = 1 if row["what"] != "customers" else 0
    ends = [f"{factor * row[name]:+,.{digits}f}".replace("-", "−") for name in names]
    text = f"{ends[0]} points" if points else ends[0]
    return f"{text} ({ends[1]} to {ends[2]})" if known else text
