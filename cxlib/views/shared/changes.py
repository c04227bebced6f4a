"""What changed since an earlier snapshot: a section that views end with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.columns import Columns, Flag, Label, Value
from cxlib.errors import CxError
from cxlib.figures.fragmentation import effect_text, signal_name
from cxlib.numbers import MISSING, day, people, points, share, signed
from cxlib.publish import Snapshot, compare_snapshots, list_snapshots
from cxlib.views.shared import words
from cxlib.views.shared.filters import Filter, Option
from cxlib.views.shared.parts import Chosen, Figure, Group, Words, heading
from cxlib.views.shared.tables import html_table
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.publish import SnapshotChanges, SnapshotRecord

_MOST, _SENTENCES = 24, 8
"""Earlier snapshots that can be chosen, the newest ones; sentences that are shown."""

_COLUMNS = Columns(
    what=Label("the figure, or the finding"),
    status=Label("of a finding"),
    before=Value("then"),
    after=Value("now"),
    change=Value("the difference"),
    changed=Flag("beyond rounding and chance", heading="sure"),
)


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
    on = ("segment", "since")

    def changes(view: Any) -> SnapshotChanges:
        found = changes_since(view.answers, view.state.since, view.state.segment)
        return replace(found, table=found.table.filter((pl.col("what") == "finding") == findings))

    def said(view: Any) -> str:
        first, chosen = not earlier_snapshots(view.answers), view.state.since is not None
        given: dict[str, Any] = {"hint": words.CHANGES_FIRST if first else words.CHANGES_HINT}
        try:
            given["changes"] = changes(view) if chosen and not first else None
        except CxError as error:
            given |= {"hint": str(error), "changes": None}
        return render("shared/changes.html", most=_SENTENCES, **given)

    def compared(view: Any) -> bool:
        try:
            return view.state.since is not None and bool(changes(view))
        except CxError:
            return False

    def data(view: Any) -> tuple[str, pl.DataFrame]:
        found = changes(view)
        cells = {
            "what": _what,
            "status": None,
            "before": lambda row: _figure(row, "before"),
            "after": lambda row: _figure(row, "after"),
            "change": _change,
            "changed": None,
        }
        table = html_table(found.table, _COLUMNS, cells, caption=words.CHANGES_TABLE)
        return table, found.table.with_columns(compared_with=pl.lit(found.since.date().isoformat()))

    def filled(view: Any) -> dict[str, str]:
        found = changes(view)
        return {"since": day(found.since), "until": day(found.until), "k": str(view.k)}

    return Group(
        css="cx-changes",
        painted=False,
        parts=(
            heading(words.CHANGES_HEADING, name="changes_heading"),
            Chosen(name="since", trait="since", shown=lambda v: bool(earlier_snapshots(v.answers))),
            Words(name="changes", on=on, write=said),
            Figure(
                name="changes_below",
                on=on,
                shown=compared,
                text=words.CHANGES,
                data=data,
                filled=filled,
            ),
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
    figures = [row[name] for name in ("change", "low", "high")]
    if row["unit"].startswith("share"):
        return points(*figures)
    return signed(*figures, digits=0 if row["what"] == "customers" else 1)
