"""What the report says: from a published snapshot alone, since it is handed out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.durable import write_over
from cxlib.errors import WorkspaceError
from cxlib.figures.finding_detail import of_finding
from cxlib.figures.fragmentation import effect_text, figure_text, observed_text, wait_text
from cxlib.figures.touchpoints import describe_touchpoints
from cxlib.fragmentation.details import KEYS
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.fragmentation.sentences import say_advice
from cxlib.numbers import day, people, plural
from cxlib.opportunities.priorities import KEEP, say_gain
from cxlib.publish import Snapshot
from cxlib.publish.key_figures import actions_of, findings_of, first_thing, key_figures, short_of
from cxlib.signals import signal_named
from cxlib.views.home.words import NUMBERS
from cxlib.views.report import words
from cxlib.views.report.drawing import draw_bars, draw_curve, draw_map
from cxlib.views.shared import words as shared
from cxlib.views.shared.filters import segment_label
from cxlib.views.shared.templates import render

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

MOST_FINDINGS, FIRST_ACTIONS = 3, 3
"""What four pages hold: the first with the map, then a page a finding."""

Row = Mapping[str, Any]


def write_report(snapshot: Snapshot, path: Path) -> None:
    """Write the report of a snapshot as one HTML file, over one that is there."""
    page = render("report/report.html", **_content(snapshot))
    write_over(path, str(page), draft=path.with_name(f".{path.name}.draft"))


def _content(snapshot: Snapshot) -> dict[str, Any]:
    published = snapshot.manifest["measures"]
    if "touchpoints" not in published:
        raise WorkspaceError(
            "the newest snapshot holds no journey map, so there is nothing to draw; publish all of "
            "it: cx publish"
        )
    result = snapshot.touchpoints()
    moves = snapshot.transitions() if "transitions" in published else None
    feeling = snapshot.table("experience_curve") if "experience_curve" in published else None
    details = findings_of(snapshot)
    actions = actions_of(snapshot, details)
    found = [] if details is None else _ranked(details, actions)
    said = describe_touchpoints(result)
    if details is not None:
        said = shared.say_first(first_thing(actions, details))
    described = [] if details is None else details.described["sentence"].drop_nulls().to_list()
    return {
        "style": (Path(__file__).parent / "report.css").read_text("utf-8"),
        "name": snapshot.manifest["name"],
        "line": snapshot.line(),
        "sentence": said.removesuffix("."),
        "numbers": [(NUMBERS[name], told) for name, told in key_figures(snapshot).items()],
        "map": draw_map(result, moves, found, feeling),
        "actions": [
            row
            | {"gained": _gained(row)}
            | {"what": short_of(row) if row["what"] in said else row["what"]}
            for row in actions[:FIRST_ACTIONS]
        ],
        "found": [_finding(snapshot, details, row) for row in found[:MOST_FINDINGS]],
        "more": max(len(found) - MOST_FINDINGS, 0),
        "described": [] if found else described[:MOST_FINDINGS],
        "sure": _how_sure(snapshot, details),
    }


def _gained(action: Row) -> str | None:
    return say_gain(action) if action["gain_unit"] == "conversions" else None


def _ranked(details: FindingDetails, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Findings that may be said and are no echo of another, in the order of what to do; what is
    mended already only where nothing else is found.
    """
    echoes = set(details.found.drop_nulls("echo_of").select(KEYS).rows())
    listed = [action["finding"] for action in actions if action["finding"] is not None]
    listed += [row for row in details.bands.to_dicts() if row["sentence"] and row not in listed]
    kept = [row for row in listed if tuple(row[key] for key in KEYS) not in echoes]
    kept = [row for row in kept if row["affected_until"] is None] or kept
    return [
        row | {"unit": row["effect_unit"], "of": row["unit"], "rank": rank}
        for rank, row in enumerate(kept, 1)
    ]


def _finding(snapshot: Snapshot, details: Any, row: Row) -> dict[str, Any]:
    """What stands on the page of a finding."""
    judged = row["ground"] == "like"
    curve, trend = (
        of_finding(frame, row).to_dicts() if judged else []
        for frame in (details.curves, details.trend)
    )
    draws = signal_named(row["signal"]).draws
    status = details.found.filter(*(pl.col(key) == row[key] for key in KEYS))["status"]
    facts = {
        words.SIGNAL: signal_named(row["signal"]).title,
        words.EFFECT: effect_text(row, interval=True),
        words.AGAINST: row["compared_with"],
        words.CAME: people(row["customers"]),
        words.AFFECTED_FACT: words.AT_LEAST.format(n=people(row["customers_affected"])),
        words.OWNER_FACT: row["owner"],
        words.STATUS: status.first() if judged and len(status) else None,
    }
    known = row["observed"] is not None and row["expected"] is not None
    texts = observed_text(row), figure_text(row, row["expected"])
    return {
        "rank": row["rank"],
        "sentence": row["sentence"],
        "facts": [(name, value) for name, value in facts.items() if value],
        "bars": draw_bars(row, texts) if known else [],
        "curve": draw_curve(
            [r | {"low": r["expected_low"], "high": r["expected_high"]} for r in curve],
            [f"{r['x']:g}" if draws == "silence" else wait_text(row, r["x"]) for r in curve],
        ),
        "curve_x": words.CURVE_X.get(draws, ""),
        "trend": draw_curve(
            [r | {"expected": row["expected"]} for r in trend if r["complete"]],
            [day(r["period"]) for r in trend if r["complete"]],
            write=lambda value: figure_text(row, value),
        ),
        "whom": list(_for_whom(snapshot, row)) if judged else [],
        "todo": KEEP if row["affected_until"] else say_advice(row["signal"], row["owner"]),
    }


def _for_whom(snapshot: Snapshot, row: Row) -> Iterator[tuple[str, str]]:
    same = [pl.col(key) == row[key] for key in KEYS]
    for segment in snapshot.segments:
        for found in snapshot.findings(segment=segment).table.filter(*same).to_dicts():
            yield segment_label(segment), effect_text(found, interval=True)


def _how_sure(snapshot: Snapshot, details: FindingDetails | None) -> list[str]:
    until = day(datetime.fromisoformat(snapshot.manifest["observed_until"]).date())
    said = [*snapshot.facts(), words.OPEN_NOT_LOST.format(until=until), words.INTERVALS]
    if details is not None and details.tests:
        tests, false = plural(details.tests, "test"), round(100 * Q_LIMIT)
        said.append(words.TESTED.format(tests=tests, false=false))
    unstable = 0 if details is None else details.bands.filter(~pl.col("stable")).height
    said += [words.UNSTABLE.format(n=plural(unstable, "finding"))] if unstable else []
    checks = plural(len(snapshot.manifest["checks"]), "check")
    return [*said, words.CHECKED.format(n=checks)]
