"""Addresses that lead from one view into another, with what is to be open there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cxlib.fragmentation.details import KEYS, ON_TRANSITIONS

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

Way = Callable[[str, Mapping[str, str]], str]
"""From the name of a view, and what its address is to say, to that address; empty: none."""


def beside(view: str, chosen: Mapping[str, str]) -> str:
    """Lead from the page of a view to that of another."""
    return f"{view}?{urlencode(chosen)}" if chosen else view


def below_home(view: str, chosen: Mapping[str, str]) -> str:
    """Lead from the home page to that of a view."""
    return f"view/{beside(view, chosen)}"


def finding_text(row: Mapping[str, Any]) -> str:
    """Write what names a finding in an address: names, which outlive a snapshot."""
    return (
        f"{row['source']} ({row['source_channel']}) > "
        f"{row['target']} ({row['target_channel']}): {row['signal']}"
    )


def place_text(row: Mapping[str, Any]) -> str:
    """Write what names a touchpoint in an address."""
    return f"{row['touchpoint']}, {row['channel']}, {row['stage']}"


def link_to_finding(details: FindingDetails, row: Mapping[str, Any], way: Way) -> str:
    """Lead to where a finding (of ``details.bands``) is open, else to its touchpoint."""
    for found in details.found.to_dicts() if row["ground"] in ON_TRANSITIONS else ():
        if all(found[key] == row[key] for key in KEYS):
            return way("fragmentation", {"finding": finding_text(found)})
    places = {place["place"]: place for place in details.places.to_dicts()}
    at = places.get(row["source_place"])
    return "" if at is None else way("journey_map", {"touchpoint": place_text(at)})
