"""What the brief says: from a published snapshot alone, since it is handed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlib.brief.drawing import draw_bars, draw_feeling, draw_map
from cxlib.durable import write_over
from cxlib.errors import WorkspaceError
from cxlib.figures.fragmentation import (
    effect_text,
    figure_text,
    observed_text,
    signal_name,
)
from cxlib.figures.touchpoints import describe_touchpoints
from cxlib.fragmentation.details import KEYS
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.fragmentation.headlines import headline
from cxlib.markup import html_text
from cxlib.numbers import day, people, plural, rating, share
from cxlib.opportunities.priorities import say_gain
from cxlib.publish import Snapshot
from cxlib.publish.key_figures import actions_of, findings_of, key_figures

if TYPE_CHECKING:
    from jinja2 import Template

    from cxlib.fragmentation.details import FindingDetails
    from cxlib.journey_map import JourneyMap


MOST_FINDINGS, MOST_ACTIONS, FIRST_ACTIONS = 5, 8, 3
"""What four pages hold."""

_NUMBERS = {
    "customers": "customers",
    "goal": "of journeys reach the goal",
    "lost": "of journeys are lost",
    "rating": "mean rating",
}


def write_brief(snapshot: Snapshot, journey_map: JourneyMap, path: Path) -> None:
    """Write the brief of a snapshot as one HTML file that loads nothing, over one that is there."""
    page = _template().render(_content(snapshot, journey_map))
    write_over(path, page, draft=path.with_name(f".{path.name}.draft"))


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("cxlib.brief", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["text"] = lambda text: Markup(html_text(str(text)))
    return environment.get_template("brief.html.j2")


def _content(snapshot: Snapshot, journey_map: JourneyMap) -> dict[str, Any]:
    published = snapshot.manifest["measures"]
    if "touchpoints" not in published:
        raise WorkspaceError(
            "the newest snapshot holds no journey map, so there is nothing to draw; publish all of "
            "it: cx publish"
        )
    result = snapshot.touchpoints()
    moves = snapshot.transitions() if "transitions" in published else None
    details = findings_of(snapshot)
    actions = actions_of(snapshot, details)
    found = [] if details is None else _found(details, actions)
    return {
        "name": snapshot.manifest["name"],
        "line": snapshot.line(),
        "sentence": describe_touchpoints(result) if details is None else headline(details).sentence,
        "numbers": [(_NUMBERS[name], told) for name, told in key_figures(snapshot).items()],
        "map": draw_map(result, moves, found),
        "found": [_finding(row) for row in found[:MOST_FINDINGS]],
        "more": max(len(found) - MOST_FINDINGS, 0),
        "described": []
        if found or details is None
        else details.described["sentence"].drop_nulls().head(MOST_FINDINGS).to_list(),
        "feeling": draw_feeling(result, journey_map.rating_scale),
        "weakest": _weakest(result.table.to_dicts()),
        "actions": [_action(row, n) for n, row in enumerate(actions[:MOST_ACTIONS], 1)],
        "first_actions": FIRST_ACTIONS,
        "sure": _how_sure(snapshot, details),
    }


def _found(details: FindingDetails, actions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings that may be said and are no echo of another, in the order of what to do."""
    echoes = set(details.found.drop_nulls("echo_of").select(KEYS).rows())
    status = {row[:3]: row[3] for row in details.found.select(*KEYS, "status").iter_rows()}
    listed = [action["finding"] for action in actions if action["finding"] is not None]
    listed += [row for row in details.bands.to_dicts() if row["sentence"] and row not in listed]
    kept = [(key, row) for row in listed if (key := tuple(row[k] for k in KEYS)) not in echoes]
    return [
        row
        | {"unit": row["effect_unit"], "of": row["unit"], "rank": rank, "status": status.get(key)}
        for rank, (key, row) in enumerate(kept, 1)
    ]


def _finding(row: Mapping[str, Any]) -> dict[str, Any]:
    bars = []
    if row["observed"] is not None and row["expected"] is not None:
        bars = draw_bars(row, (observed_text(row), figure_text(row, row["expected"])))
    return {
        "rank": row["rank"],
        "sentence": row["sentence"],
        "means": signal_name(row["signal"]),
        "effect": effect_text(row, interval=True),
        "bars": bars,
        "customers": people(row["customers"]),
        "affected": people(row["customers_affected"]),
        "owner": row["owner"],
        "status": row["status"],
    }


def _action(row: Mapping[str, Any], rank: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "what": row["what"],
        "gain": say_gain(row) if row["gain_unit"] == "conversions" else None,
        "owner": row["owner"] or "not in the map",
        "affected": people(row["customers_affected"]),
        "step": row["next_step"],
    }


def _weakest(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The three touchpoints rated lowest, by the upper end of the interval."""
    rated = [r for r in rows if r["rating_high"] is not None]
    return [
        f"{r['touchpoint']} ({r['channel']}): "
        f"{rating(r['rating'], r['rating_low'], r['rating_high'])}, rated by {share(r['response'])}"
        for r in sorted(rated, key=lambda r: (r["rating_high"], r["place"]))[:3]
    ]


def _how_sure(snapshot: Snapshot, details: FindingDetails | None) -> list[str]:
    until = day(datetime.fromisoformat(snapshot.manifest["observed_until"]).date())
    said = [
        *snapshot.facts(),
        f"What had not happened by {until} is still open, and never counted as lost.",
        "Figures in brackets are intervals of 95 %, over customers.",
    ]
    if details is not None and details.tests:
        said.append(
            f"{plural(details.tests, 'test')}, corrected for their number "
            f"(Benjamini-Hochberg): of a hundred findings about {round(100 * Q_LIMIT)} are "
            "expected to be false. A finding is a difference to what it is compared with, not yet "
            "its cause."
        )
    unstable = 0 if details is None else details.bands.filter(~details.bands["stable"]).height
    if unstable:
        said.append(
            f"{plural(unstable, 'finding')} would change sign under other reasonable settings."
        )
    return [*said, *(f"Checked before it was published: {c}." for c in snapshot.manifest["checks"])]
