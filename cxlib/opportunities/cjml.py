"""Planned journeys drawn in CJML 2.0 (Halvorsrud et al. 2021; cjml.no), as planned handoffs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from cxlib.errors import InputError
from cxlib.journey_map import JourneyMap
from cxlib.map_model import PlannedHandoff

_POINTS = ("plannedCommunicationPoint", "plannedAction")
_NAMES = ("initiatorLabel", "receiverLabel", "touchpointID")


def read_cjml(
    path: str | Path, journey_map: JourneyMap, *, deadline: timedelta | None = None
) -> tuple[tuple[PlannedHandoff, ...], tuple[str, ...]]:
    """Planned handoffs of a CJML file, and the touchpoints in it that the map does not know.

    A touchpoint is the one of the map that its initiator's label, receiver's label or id names. A
    handoff that the map plans, too, keeps the map's deadline; all others get `deadline`.
    """
    path = Path(path)
    known = {_plain(t.name): t.name for t in journey_map.touchpoints}
    due = {(p.source, p.target): p.deadline for p in journey_map.planned_handoffs}
    pairs: dict[tuple[str, str], None] = {}
    left_out: dict[str, None] = {}
    for journey in _journeys(path):
        found: list[str] = []
        for labels in journey:
            name = next((known[_plain(x)] for x in labels if _plain(x) in known), None)
            if name is None:
                left_out[labels[0] if labels else "a touchpoint without a name"] = None
            elif not found or found[-1] != name:
                found.append(name)
        pairs |= dict.fromkeys(pairwise(found))
    if not pairs:
        unknown = ", ".join(repr(x) for x in list(left_out)[:3]) or "none"
        raise InputError(
            f"{path.name}: no two touchpoints of a planned journey are in the journey map (the "
            f"file names {unknown}); call them alike in both"
        )
    if late := [pair for pair in pairs if pair not in due and deadline is None]:
        raise InputError(
            f"{path.name}: CJML has no deadlines, and the map gives none for {late[0][0]} → "
            f"{late[0][1]}; give one for all: --deadline 7d"
        )
    planned = (PlannedHandoff(a, b, due.get((a, b), deadline or timedelta())) for a, b in pairs)
    return tuple(planned), tuple(left_out)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _journeys(path: Path) -> Iterator[list[list[str]]]:
    """The labels of the touchpoints of every planned journey, in the order of the file."""
    from lxml import etree

    # texts in the wild are not escaped; entities and addresses in a file are never followed
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
    )
    try:
        root = etree.fromstring(path.read_bytes(), parser)
    except etree.XMLSyntaxError:  # nothing in it that could be recovered
        root = None
    if root is None or _tag(root) != "CJML":
        raise InputError(f"{path.name} is no CJML file: its first element is not <CJML>")
    if not str(root.get("version", "2")).startswith("2"):
        raise InputError(f"{path.name} is CJML {root.get('version')}; version 2 can be read")
    for journey in root.iter():
        if _tag(journey) == "plannedJourney":
            points = [p for p in journey.iter() if _tag(p) in _POINTS]
            yield [[x for tag in _NAMES for x in _texts(point, tag)] for point in points]


def _tag(element: Any) -> str:
    # files in the wild come with and without a namespace
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _texts(point: Any, tag: str) -> list[str]:
    said = (" ".join("".join(e.itertext()).split()) for e in point.iter() if _tag(e) == tag)
    return [text for text in said if text]
