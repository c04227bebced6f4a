"""What every page about a snapshot says first: four numbers, its findings, and what to do first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.fragmentation.sentences import Headline, headline, say_advice, say_subject
from cxlib.grounds import GROUNDS
from cxlib.numbers import people, points, rating, share, signed
from cxlib.publish.compare import change_interval
from cxlib.signals import signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails
    from cxlib.publish.snapshot import Snapshot

_WRITE = dict[str, Callable[..., str]](customers=people, goal=share, lost=share, rating=rating)
_SAME = ("source", "target", "signal", "ground")


def findings_of(snapshot: Snapshot) -> FindingDetails | None:
    """Return the findings of everybody; None where they were not published."""
    try:
        return snapshot.findings()
    except WorkspaceError:
        return None


def said_lines(backlog: pl.DataFrame, details: FindingDetails | None) -> list[dict[str, Any]]:
    """Give the lines of a published backlog, each with its ``finding``: a row of the bands or None.

    What is a finding is said in the words of the finding.
    """
    bands, lines = _said_bands(details), []
    for line in backlog.to_dicts():
        like = [b for b in bands if all(b[n] == line[n] for n in _SAME)]
        apart = [
            abs((b["customers_affected"] or 0) - (line["customers_affected"] or 0)) for b in like
        ]
        found = like[apart.index(min(apart))] if like else None
        if found is not None:
            bands.remove(found)
        said = line["what"] if found is None else found["sentence"]
        lines.append(line | {"finding": found, "what": said})
    return lines


def first_thing(lines: Sequence[Mapping[str, Any]], details: FindingDetails) -> Headline:
    """Say what to do first, as the backlog ranks it, and give the findings in its order.

    The one place that decides what home, the map and the report lead with. `lines` are those of
    `actions_of` or `said_lines`.
    """
    told = headline(details)
    rows = told.table.to_dicts()
    listed = [rows.index(line["finding"]) for line in lines if line["finding"] in rows]
    order = [*listed, *(at for at in range(len(rows)) if at not in listed)]
    table = told.table[order]
    for line in lines[:1]:
        found = line["finding"] is not None or line["ground"] in GROUNDS
        told_of = line["ground"] if line["ground"] == "suspected" else "described"
        return Headline(line["what"], "finding" if found else told_of, table)  # type: ignore[arg-type]
    return Headline(told.sentence, told.kind, table)


def short_of(line: Mapping[str, Any]) -> str:
    """Name a line that was said above already: what it is about, and what is wrong there."""
    found = line["finding"]
    if line["signal"] is None:
        return str(line["what"])
    ends = (line["source"], line["target"])
    about = say_subject(found) if found else " → ".join(end for end in ends if end)
    return f"{about}: {signal_named(line['signal']).title}"


def is_mended(line: Mapping[str, Any]) -> bool:
    """Whether what a line (of `said_lines`) was found for is over: nothing is left to gain."""
    found = line["finding"]
    over = found is not None and found.get("affected_until") is not None
    return bool(line["status"] == "mended" or over)


def _said_bands(details: FindingDetails | None) -> list[dict[str, Any]]:
    return [] if details is None else [b for b in details.bands.to_dicts() if b["sentence"]]


def actions_of(snapshot: Snapshot, details: FindingDetails | None) -> list[dict[str, Any]]:
    """Give what to do, the first first: the backlog (`said_lines`), or else the findings."""
    if "priorities" in snapshot.manifest["measures"]:
        return said_lines(snapshot.table("priorities").table, details)
    return [
        {"finding": band, "what": band["sentence"], "status": None}
        | {name: band[name] for name in ("owner", "customers_affected", *_SAME)}
        | {"next_step": say_advice(band["signal"], band["owner"])}
        | dict.fromkeys(("gain", "gain_low", "gain_high", "gain_unit"))
        for band in _said_bands(details)
    ]


def key_figures(snapshot: Snapshot) -> dict[str, str]:
    """Write customers, goal, lost (of the journeys) and mean rating of everybody, where known."""
    return {name: _WRITE[name](*row.values()) for name, row in _values(snapshot).items()}


def key_changes(older: Snapshot, newer: Snapshot) -> dict[str, str]:
    """Write how the four numbers differ from an earlier snapshot of the same journey map.

    ``+120``, ``+1.2 points (−0.3 to +2.6)``, ``unchanged``; intervals as in `compare_snapshots`.
    """
    if older.manifest["journey_map"]["name"] != newer.manifest["journey_map"]["name"]:
        return {}
    before, after = _values(older), _values(newer)
    return {n: _change(n, before[n], after[n]) for n in after if n in before}


def _change(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    if after == before:
        return "unchanged"
    value = after["value"] - before["value"]
    if name == "customers":
        return signed(value)
    change = change_interval(before, after, "value", "low", "high")
    ends = change["low"], change["high"]
    return signed(value, *ends, digits=1) if name == "rating" else points(value, *ends)


def _values(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Return ``value``, ``low`` and ``high`` of what is known."""
    found = {}
    if snapshot.manifest["customers"]:
        found["customers"] = {"value": snapshot.manifest["customers"]}
    asked = [("first_contacts", "goal"), ("first_contacts", "lost"), ("touchpoints", "rating")]
    for measure, name in asked:
        known = measure in snapshot.manifest["measures"]
        for row in snapshot.table(measure).whole.to_dicts() if known else ():
            if row[name] is not None:
                ends = {end: row[f"{name}_{end}"] for end in ("low", "high")}
                found[name] = {"value": row[name]} | ends
    return found
