"""The home page of a snapshot: the sentence, four numbers, what to do first, and what is new."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import polars as pl

from cxlib.errors import CxError
from cxlib.figures.touchpoints import describe_touchpoints
from cxlib.fragmentation.details import FindingDetails
from cxlib.numbers import day
from cxlib.opportunities.priorities import say_gain
from cxlib.publish import Snapshot
from cxlib.publish.key_figures import (
    actions_of,
    findings_of,
    first_thing,
    is_mended,
    key_changes,
    key_figures,
    short_of,
)
from cxlib.views import entry
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_since, earlier_snapshots
from cxlib.views.shared.links import Way, below_home, link_to_finding
from cxlib.views.shared.templates import render

_FINDINGS, _CHANGES = 3, 5
_LEADS_TO: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "customers": ("journey_map", {}),
    "goal": ("compare", {"what": "goal"}),
    "lost": ("journey_map", {}),
    "rating": ("perception", {}),
}
"""The view, and what is chosen there, that each of the four numbers leads into."""
_TELLING = ("new", "growing", "mended")


def write_home(snapshot: Snapshot, *, files: Mapping[str, str] | None = None) -> str:
    """Write the brief of a snapshot as HTML: what stands on the home page.

    `files` are the addresses of the views it is to lead to; None: the page around it does that.
    """
    details = findings_of(snapshot)
    earlier = next(iter(earlier_snapshots(snapshot).values()), None)
    older = None if earlier is None else Snapshot.open(earlier.folder)
    try:
        changed = {} if older is None else key_changes(older, snapshot)
    except CxError:  # published by another version: nothing is said of it
        earlier, older, changed = None, None, {}
    actions = actions_of(snapshot, details)
    sure = [row for row in actions if row["finding"] is not None or row["ground"] == "suspected"]
    found = [row for row in sure if not is_mended(row)]
    above = _sentence(snapshot, details, actions)
    listed: list[str] = []
    if details is not None and not sure:
        said = details.described["sentence"].drop_nulls().to_list()
        # the sentence above the list is not said again
        listed = [one for one in said if not above.startswith(one)]
    worst = [] if details is None else details.bands.filter(pl.col("sentence") == above).to_dicts()

    def way(view: str, chosen: Mapping[str, str]) -> str:
        if files is not None:
            return files.get(view, "")
        return below_home(view, chosen) if snapshot.shows(view) else ""

    return render(
        "home/brief.html",
        style=(Path(__file__).parent / "style.css").read_text("utf-8"),
        said=above.removesuffix("."),
        said_address=link_to_finding(details, worst[0], way) if details and worst else "",
        figures=[(n, figure, way(*_LEADS_TO[n])) for n, figure in key_figures(snapshot).items()],
        key_changes=changed,
        found=[_finding(details, row, way, above=above) for row in found[:_FINDINGS]],
        more=max(len(found) - _FINDINGS, 0),
        more_address=way("priorities", {}),
        described=listed[:_FINDINGS],
        since=None if older is None else day(older.published_at),
        changes=[] if earlier is None else _changes(snapshot, earlier.name),
        views=[(entry(name), address) for name, address in (files or {}).items()],
    )


def write_index(snapshot: Snapshot, files: Mapping[str, str]) -> str:
    """Write the home page of exported views (their files by name): a file that loads nothing."""
    shared = Path(str(resources("cxlib.serve"))) / "jupyter/voila/templates/cx/static/cx.css"
    return render(
        "home/index.html",
        title=snapshot.manifest["name"],
        style=shared.read_text("utf-8"),
        line=snapshot.line(),
        facts=snapshot.facts(),
        brief=write_home(snapshot, files=files),
    )


def _sentence(
    snapshot: Snapshot, details: FindingDetails | None, actions: list[dict[str, Any]]
) -> str:
    if details is not None:
        return shared.say_first(first_thing(actions, details))
    if "touchpoints" in snapshot.manifest["measures"]:
        return describe_touchpoints(snapshot.touchpoints())
    return " ".join(snapshot.facts()[:1])


def _finding(
    details: FindingDetails | None, row: Mapping[str, Any], way: Way, *, above: str
) -> dict[str, Any]:
    found, said = row["finding"], row["what"]
    if above.startswith(said):  # the sentence above the list is not said again
        said = short_of(row)
    return {
        **row,
        "sentence": said,
        "address": link_to_finding(details, found, way) if details and found else "",
        "gain": say_gain(row) if row["gain_unit"] == "conversions" else None,
    }


def _changes(snapshot: Snapshot, name: str) -> list[str]:
    try:
        table = changes_since(snapshot, name).changed
    except CxError:
        return []
    rows = table.filter(table["what"] == "finding", table["status"].is_in(_TELLING))
    return [str(said).removesuffix(".") for said in rows["sentence"].head(_CHANGES)]
