"""What changed since an earlier snapshot: a section that both dashboards end with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import polars as pl
import traitlets

from cxlib.errors import CxError
from cxlib.figures.fragmentation import effect_text, signal_name
from cxlib.markup import html_text
from cxlib.numbers import MISSING, people, share
from cxlib.panels import texts
from cxlib.panels.address import Parameter
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.filters import ALL, follow, select
from cxlib.panels.origin import Origin, day
from cxlib.panels.tables import Column, html_table
from cxlib.publish import Snapshot, compare_snapshots, list_snapshots
from cxlib.tables import csv_text

if TYPE_CHECKING:
    from cxlib.publish import SnapshotChanges, SnapshotRecord

__all__ = ["Changes", "Comparable"]

#: Earlier snapshots that can be chosen, the newest ones; sentences that are shown.
_MOST, _SENTENCES = 24, 8

_REMEMBERED = 16


class Comparable(traitlets.HasTraits):
    """The part of a dashboard's state that this section shows.

    Attributes
    ----------
    segment
        Dimension and value; None: everybody.
    since
        Name of the earlier snapshot that is compared with; None: none.
    """

    segment = traitlets.Tuple(default_value=None, allow_none=True)
    since = traitlets.Unicode(default_value=None, allow_none=True)


class Changes:
    """The section: a choice of earlier snapshots, what changed in words, and as a table.

    Parameters
    ----------
    answers
        What the dashboard shows; where it is no published snapshot, there is nothing to compare.
    state
        What is selected.
    findings
        Compare findings; else every other figure.

    Attributes
    ----------
    widget
        The section.
    """

    def __init__(self, answers: object, state: Comparable, *, findings: bool) -> None:
        self._answers, self._state, self._of_findings = answers, state, findings
        self._earlier = _earlier(answers)
        self._compare = lru_cache(_REMEMBERED)(self._compared)
        self.words = widgets.HTML()
        self.below = FigureWidget(text=texts.CHANGES)
        self.since = select(texts.CHANGES_SINCE, self._options(), css="cx-since")
        self.widget = widgets.VBox(
            [widgets.HTML(f"<h2>{texts.CHANGES_HEADING}</h2>"), self.since, self.words, self.below]
        )
        self.widget.add_class("cx-changes")
        if not self._earlier:
            self.since.layout.display = "none"
        follow(state, "since", self.since)
        self.show()

    def parameter(self) -> Parameter:
        """Return the part of the address that says what is compared."""
        return Parameter("since", "since", lambda: {name: name for name in self._earlier})

    def show(self) -> None:
        """Show what is selected now."""
        changes: SnapshotChanges | None = None
        if not self._earlier:
            said = texts.CHANGES_FIRST
        elif self._state.since is None:
            said = texts.CHANGES_HINT
        else:
            try:
                changes = self._compare(self._state.since, self._state.segment)
                said = ""
            except CxError as error:
                said = str(error)
        self.words.value = _told(changes) if changes else f"<p>{html_text(said)}</p>"
        self.below.layout.display = None if changes else "none"
        if changes:
            self._write_below(changes)

    def _options(self) -> list[tuple[str, object]]:
        options: list[tuple[str, object]] = [(texts.CHANGES_NONE, ALL)]
        for name, record in self._earlier.items():
            if record.published_at and record.observed_until:
                text = texts.CHANGES_OPTION.format(
                    published=day(record.published_at),
                    time=f"{record.published_at:%H:%M}",
                    until=day(record.observed_until),
                )
                options.append((text, name))
        return options

    def _compared(self, since: str, segment: tuple[str, str] | None) -> SnapshotChanges:
        older = Snapshot.open(self._earlier[since].folder)
        if not isinstance(self._answers, Snapshot):
            raise TypeError("only published snapshots are compared")
        changes = compare_snapshots(older, self._answers, segment=segment)
        wanted = (pl.col("what") == "finding") == self._of_findings
        return replace(changes, table=changes.table.filter(wanted))

    def _write_below(self, changes: SnapshotChanges) -> None:
        manifest = self._answers.manifest if isinstance(self._answers, Snapshot) else {}
        origin = Origin.of(manifest, changes.until)
        selection = ": ".join(changes.segment) if changes.segment else texts.ALL_CUSTOMERS
        columns = origin.columns(selection) | {"compared_with": changes.since.date().isoformat()}
        self.below.write_below(
            lambda: (_table(changes), csv_text(changes.table, columns)),
            since=day(changes.since),
            until=day(changes.until),
            k=str(origin.k),
        )


def _earlier(answers: object) -> dict[str, SnapshotRecord]:
    """Return the snapshots published before the one shown, the newest first, by name."""
    if not isinstance(answers, Snapshot):
        return {}
    workspace, shown = answers.folder.parent.parent, answers.published_at
    records = [r for r in list_snapshots(workspace) if r.whole and r.folder != answers.folder]
    earlier = [r for r in records if r.published_at is not None and r.published_at <= shown]
    return {record.name: record for record in reversed(earlier[-_MOST:])}


def _told(changes: SnapshotChanges) -> str:
    items = "".join(f"<li>{html_text(said)}.</li>" for said in _stripped(changes))
    more = len(changes.changed) - _SENTENCES
    rest = f"<p>{texts.CHANGES_MORE.format(n=more)}</p>" if more > 0 else ""
    notes = "".join(f"<p><small>{html_text(note)}</small></p>" for note in changes.notes)
    return f'<div role="status"><ul>{items}</ul>{rest}{notes}</div>'


def _stripped(changes: SnapshotChanges) -> list[str]:
    return [sentence.removesuffix(".") for sentence in changes.sentences(_SENTENCES)]


def _table(changes: SnapshotChanges) -> str:
    columns = [
        Column("What", _what, number=False),
        Column("Status", lambda row: row["status"] or MISSING, number=False),
        Column("Before", lambda row: _figure(row, "before")),
        Column("After", lambda row: _figure(row, "after")),
        Column("Change", _change),
        Column("Sure", lambda row: "yes" if row["changed"] else "no", number=False),
    ]
    return html_table(changes.table, columns, caption=texts.CHANGES_TABLE)


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
