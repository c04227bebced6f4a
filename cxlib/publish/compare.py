"""What changed between two published snapshots, and how sure that is, from what is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import hypot
from typing import Any

import polars as pl

from cxlib.errors import InputError, WorkspaceError
from cxlib.publish.snapshot import Snapshot, long_day
from cxlib.signals import signal_named

_TEXTS, _FIGURES = ("what", "name", "signal", "status", "unit"), ("before", "after", "change")
_SCHEMA: dict[str, Any] = dict.fromkeys(_TEXTS, pl.String)
_SCHEMA |= dict.fromkeys((*_FIGURES, "low", "high"), pl.Float64)
_SCHEMA |= {"changed": pl.Boolean, "sentence": pl.String}

_ORDER = ("new", "growing", "mended", "shrinking", "faded", "goal", "lost", "customers")
"""What is told first; what is not named here comes after, and what has not changed last."""

_SHARES = (
    ("goal", "first_contacts", "whole", None, "goal"),
    ("first contacts", "first_contacts", "by_channel", "channel", "share"),
    ("lost", "stage_funnel", "table", "stage", "lost"),
)
"""What is compared: how it is called, measure, table, the column that names a row, the figure."""
_MEASURES = ("touchpoints", "first_contacts", "stage_funnel")
_KEYS = ("source", "source_channel", "target", "target_channel", "signal")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotChanges:
    """What `compare_snapshots` returns: what both show, and findings of either, first things first.

    ``what`` is customers, goal, lost (after a stage), first contacts (of a channel) or finding; the
    ``status`` of a finding new, growing, shrinking, steady, mended (no finding any longer, and
    surely less or at most half), faded (not surely less) or not judged (too few customers now);
    ``low`` and ``high`` are ends of the ``change`` (95 %); ``changed`` says that it is more than
    rounding and chance would make. `notes` say what makes the comparison less than straight.
    """

    table: pl.DataFrame
    notes: tuple[str, ...]
    older: str
    newer: str
    since: datetime
    until: datetime
    segment: tuple[str, str] | None = None

    @property
    def changed(self) -> pl.DataFrame:
        """The rows that changed by more than rounding and chance would make."""
        return self.table.filter("changed")

    def sentences(self, limit: int | None = None) -> tuple[str, ...]:
        """Return what changed in sentences, the most important first; one, where nothing did."""
        found = self.changed["sentence"].to_list()
        nothing = f"Nothing changed beyond rounding and chance since {long_day(self.since)}."
        return tuple(found[:limit]) if found else (nothing,)


def compare_snapshots(
    older: Snapshot, newer: Snapshot, *, segment: tuple[str, str] | None = None
) -> SnapshotChanges:
    """Compare two snapshots of one journey map, over the whole time of each.

    The interval of a change is made of those of both estimates (MOVER: Zou & Donner 2008,
    doi:10.1002/sim.3095). Customers who are in both snapshots make the true one narrower: what is
    called changed here has changed. InputError, UnknownNameError: they are the same, in the wrong
    order or of different maps, or one of them does not answer the segment.
    """
    if older.folder == newer.folder:
        raise InputError(f"{older.folder.name} is both snapshots; name an older one.")
    if older.published_at > newer.published_at:
        raise InputError(
            f"{older.folder.name} was published after {newer.folder.name}; swap the two."
        )
    names = older.manifest["journey_map"]["name"], newer.manifest["journey_map"]["name"]
    if names[0] != names[1]:
        raise InputError(
            f"the snapshots are of different journey maps, {names[0]!r} and {names[1]!r}: "
            "nothing in them can be compared."
        )
    notes = _notes(older, newer)
    rows = [*_figures(older, newer, segment)]
    try:
        rows += _findings(older, newer, segment)
    except WorkspaceError:
        notes.append("One of the snapshots holds no findings; they are not compared.")
    if not all(m in s.manifest["measures"] for m in _MEASURES for s in (older, newer)):
        notes.append("One of them was published for fewer dashboards; only what both hold is here.")
    rank = {name: number for number, name in enumerate(_ORDER)}
    rows.sort(key=lambda r: (not r["changed"], rank.get(r["status"] or r["what"], len(rank))))
    return SnapshotChanges(
        table=pl.DataFrame(rows, schema=_SCHEMA),
        notes=tuple(notes),
        older=older.folder.name,
        newer=newer.folder.name,
        since=older.observed_until,
        until=newer.observed_until,
        segment=segment,
    )


def _notes(older: Snapshot, newer: Snapshot) -> list[str]:
    maps, versions = (
        (older.manifest[name], newer.manifest[name]) for name in ("journey_map", "code_version")
    )
    ends, found = (older.observed_until, newer.observed_until), []
    days = [long_day(end) for end in ends]
    if maps[0]["sha256"] != maps[1]["sha256"]:
        found.append(
            f"The journey map was changed (version {maps[0]['version']} to {maps[1]['version']}): "
            "stages, channels and handoffs of the same name may not mean the same."
        )
    if older.k != newer.k:
        found.append(
            f"Small groups were protected differently: k was {older.k} and is {newer.k}, so that "
            "figures are rounded differently."
        )
    if versions[0] != versions[1]:
        found.append(
            f"They were published by different versions of cxlib, {versions[0]} and "
            f"{versions[1]}: a change may come from how it is measured."
        )
    if ends[0] == ends[1]:
        found.append(f"Both end on {days[0]}: changes come from data added or corrected since.")
    elif ends[0] > ends[1]:
        found.append(f"The newer one ends earlier, on {days[1]}; the older one on {days[0]}.")
    if older.periods and newer.periods and older.periods[0] != newer.periods[0]:
        found.append(
            f"They begin at different times, {older.periods[0]} and {newer.periods[0]}: customers "
            "of the beginning may be in one of them only."
        )
    return found


def _figures(
    older: Snapshot, newer: Snapshot, segment: tuple[str, str] | None
) -> Iterator[dict[str, Any]]:

    def results(measure: str) -> list[Any]:
        if not all(measure in s.manifest["measures"] for s in (older, newer)):
            return []
        return [getattr(s, measure)(segment=segment) for s in (older, newer)]

    customers = [found.customers for found in results("touchpoints")]
    if customers and all(customers):
        row = _row("customers", "customers", "customers", *customers)
        # Each is off by up to half a step: only more than one step is surely a change.
        row["changed"] = abs(row["change"]) > max(older.k, newer.k)
        yield row | {"sentence": _say_change(row)}
    for what, measure, table, key, column in _SHARES:
        tables = [getattr(found, table).to_dicts() for found in results(measure)]
        known, after = ({r.get(key): r for r in rows} for rows in tables) if tables else ({}, {})
        for name in (n for n in after if n in known):
            pair = known[name], after[name]
            if None not in (pair[0][column], pair[1][column]):
                row = _row(what, name or what, "share", pair[0][column], pair[1][column])
                row |= change_interval(*pair, column, f"{column}_low", f"{column}_high")
                yield row | {"sentence": _say_change(row)}


def _row(
    what: str, name: str, unit: str, before: float | None, after: float | None
) -> dict[str, Any]:
    known = before is not None and after is not None
    change = after - before if known else None  # type: ignore[operator]
    told = {"what": what, "name": name, "unit": unit, "before": before, "after": after}
    return dict.fromkeys(_SCHEMA) | told | {"change": change, "changed": False}


def change_interval(before: Row, after: Row, value: str, low: str, high: str) -> dict[str, Any]:
    """Return the interval of the change of one figure, and whether it leaves out zero."""
    if any(row[end] is None for row in (before, after) for end in (value, low, high)):
        return {"low": None, "high": None, "changed": False}
    change = after[value] - before[value]
    least = change - hypot(after[value] - after[low], before[high] - before[value])
    most = change + hypot(after[high] - after[value], before[value] - before[low])
    return {"low": least, "high": most, "changed": least > 0 or most < 0}


def _findings(
    older: Snapshot, newer: Snapshot, segment: tuple[str, str] | None
) -> list[dict[str, Any]]:
    tables = [s.findings(segment=segment).table.to_dicts() for s in (older, newer)]
    before, after = ({tuple(row[key] for key in _KEYS): row for row in rows} for rows in tables)
    found = [key for rows in (after, before) for key, row in rows.items() if row["finding"]]
    return [_finding(before.get(key), after.get(key)) for key in dict.fromkeys(found)]


def _finding(before: Row | None, after: Row | None) -> dict[str, Any]:
    known = after or before or {}
    name = f"{known['source']} → {known['target']}"
    effects = [None if row is None else row["effect"] for row in (before, after)]
    row = _row("finding", name, known["unit"], *effects) | {"signal": known["signal"]}
    # hours that became open hours since are another figure, and no change
    if before is not None and after is not None and before["unit"] == after["unit"]:
        row |= change_interval(before, after, "effect", "low", "high")
    row["status"] = _status(row, before, after)
    said = _say_finding_change(row, sentence=after["sentence"] if after is not None else None)
    return row | {"changed": row["status"] != "steady", "sentence": said}


def _status(row: Row, before: Row | None, after: Row | None) -> str:
    if after is None:
        return "not judged"
    if before is None or not before["finding"]:
        return "new"
    # A rating that is lower than expected is harm; everywhere else harm is more than expected.
    sign = -1 if row["unit"].startswith("rating") else 1
    worse = row["changed"] and sign * row["change"] > 0
    better = row["changed"] and sign * row["change"] < 0
    if after["finding"]:
        return "growing" if worse else "shrinking" if better else "steady"
    known = None not in (before["effect"], after["effect"]) and before["unit"] == after["unit"]
    none = 1.0 if before["unit"].startswith("ratio") else 0.0  # a ratio of 1 is no excess
    halved = known and abs(after["effect"] - none) <= abs(before["effect"] - none) / 2
    return "mended" if better or halved else "faded"


_STARTS = {"faded": "No longer stands out", "steady": "As before", "not judged": "No longer judged"}
"""How a sentence about a finding begins, where not with the status itself."""


def _say_change(row: Row) -> str:
    """Say one figure that both snapshots have."""
    before, after = row["before"], row["after"]
    more = "more" if row["change"] > 0 else "fewer"
    if row["unit"] != "share":
        said = f"{abs(row['change']):,.0f} {more} than before"
        said = said if row["changed"] else "as before within the rounding"
        return f"{after:,.0f} {row['name']}, {said} ({before:,.0f})"
    subject = {
        "goal": f"{_percent(after)} of journeys reach the goal",
        "lost": f"{_percent(after)} of journeys are lost after {row['name']}",
        "first contacts": f"{row['name']} begins {_percent(after)} of journeys",
    }[row["what"]]
    if not row["changed"]:
        return f"{subject}, no sure change from before ({_percent(before)})"
    change, *ends = map(_points, (abs(row["change"]), *sorted((abs(row["low"]), abs(row["high"])))))
    return (
        f"{subject}, {change} points {more} than before "
        f"({_percent(before)}; 95 %: {ends[0]} to {ends[1]} points)"
    )


def _say_finding_change(row: Row, *, sentence: str | None) -> str:
    """Say what became of a finding; `sentence` is its own in the newer snapshot."""
    start = _STARTS.get(row["status"], row["status"].capitalize())
    if row["status"] == "new" and sentence is not None:
        unsure = row["before"] is not None and not row["changed"]
        return f"{start}: {sentence}" + ("; the change itself is not sure" if unsure else "")
    now, before = _excess(row, row["after"]), _excess(row, row["before"])
    said = f"{start}: {row['name']}"
    kind = signal_named(row["signal"]).tells
    if row["status"] == "not judged":
        return f"{said}: too few customers now"
    if now is None:
        return said
    if row["unit"].startswith("ratio"):
        text = f"{now} times as long as similar handoffs take"
    elif row["unit"].startswith("rating"):
        text = f"rated {now} points lower than similar handoffs"
    else:
        text = f"{now} more of 100 customers {kind or row['signal']} than at similar handoffs"
    return f"{said}: {text}" + (f", before {before}" if before is not None else "")


def _excess(row: Row, value: float | None) -> str | None:
    if value is None:
        return None
    if row["unit"].startswith("share"):
        return f"{100 * value:.0f}"
    return f"{-value if row['unit'].startswith('rating') else value:.1f}"


def _percent(share: float) -> str:
    return f"{_points(share)} %"


def _points(share: float) -> str:
    """Write a share in points of a hundred: one decimal where there is one."""
    return f"{100 * share:.1f}".removesuffix(".0")
