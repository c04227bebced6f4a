"""What changed since an earlier snapshot: a section that views end with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import CxError
from cxlib.numbers import day
from cxlib.publish import Snapshot, compare_snapshots, list_snapshots
from cxlib.views.shared import words
from cxlib.views.shared.filters import Filter, Option
from cxlib.views.shared.parts import Chosen, Group, Words, heading
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.publish import SnapshotChanges, SnapshotRecord

_MOST = 24
"""Earlier snapshots that can be chosen, the newest ones."""


def since() -> Filter:
    """Choose an earlier snapshot that is compared with: its value is its name."""
    return Filter(
        trait="since",
        label=words.CHANGES_SINCE,
        every=words.CHANGES_NONE,
        options=_options,
        css="cx-since",
        narrows=False,
        in_row=False,
    )


def changes_section(*, findings: bool) -> Group:
    """Say what changed: of findings, or of every other figure."""

    def said(view: Any) -> str:
        first, name = not earlier_snapshots(view.answers), view.state.since
        hint, found = words.CHANGES_FIRST if first else words.CHANGES_HINT, None
        try:
            if name is not None and not first:
                found = changes_since(view.answers, name, view.state.segment)
                kind = (pl.col("what") == "finding") == findings
                found = replace(found, table=found.table.filter(kind))
        except CxError as error:
            hint = str(error)
        return render("shared/changes.html", hint=hint, changes=found)

    return Group(
        css="cx-changes",
        painted=False,
        parts=(
            heading(words.CHANGES_HEADING, name="changes_heading"),
            Chosen(name="since", trait="since", shown=lambda v: bool(earlier_snapshots(v.answers))),
            Words(name="changes", on=("segment", "since"), write=said),
        ),
    )


@lru_cache(maxsize=8)
def earlier_snapshots(answers: object) -> dict[str, SnapshotRecord]:
    """Return the snapshots published before the one shown, the newest first, by name."""
    if not isinstance(answers, Snapshot):
        return {}
    records = list_snapshots(answers.folder.parent.parent)
    earlier = [
        record
        for record in records
        if record.whole
        and record.folder != answers.folder
        and record.published_at is not None
        and record.published_at <= answers.published_at
    ]
    return {record.name: record for record in reversed(earlier[-_MOST:])}


@lru_cache(maxsize=32)
def changes_since(
    answers: Snapshot, name: str, segment: tuple[str, str] | None = None
) -> SnapshotChanges:
    """Compare a snapshot with an earlier one of that name."""
    older = Snapshot.open(earlier_snapshots(answers)[name].folder)
    return compare_snapshots(older, answers, segment=segment)


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
