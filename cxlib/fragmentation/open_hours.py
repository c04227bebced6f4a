"""Waits in open time: where the journey map gives opening hours, nights and holidays are no delay.

A wait for a touchpoint with opening hours is counted as the time that the touchpoint was open
between the two contacts (`cxlib.opening_hours`). Everything else about a handoff stays in time as
it passes: the silence, what is followed for how long, deadlines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cxlib.opening_hours import MISFIT, Calendar

if TYPE_CHECKING:
    from cxlib.store import Workspace

__all__ = ["OPEN_UNIT", "OpenHours", "read_open_hours"]

OPEN_UNIT = "ratio of medians (observed and expected in open hours)"
"""Unit of a delay that is counted in open time."""


@dataclass(frozen=True, slots=True)
class OpenHours:
    """The opening hours that waits are counted in.

    Attributes
    ----------
    calendar
        Opening hours by place.
    misfits
        Places whose contacts lie outside their hours too often for the hours to be believed.
    """

    calendar: Calendar
    misfits: tuple[int, ...] = ()

    def waits(self, followed: pl.DataFrame) -> pl.Series:
        """Give the waits before arrivals: columns ``target``, ``occurred_at`` and ``wait``."""
        return self.calendar.open_waits(
            followed["target"], followed["occurred_at"], followed["wait"]
        )

    @property
    def timed(self) -> list[int]:
        """Places with opening hours."""
        return [place for place, hours in enumerate(self.calendar.hours) if hours is not None]

    def left_out(self) -> str | None:
        """Say why some waits are not judged; None where all are."""
        if not self.misfits:
            return None
        places = "1 touchpoint" if len(self.misfits) == 1 else f"{len(self.misfits)} touchpoints"
        whose = "its" if len(self.misfits) == 1 else "their"
        return (
            f"over {MISFIT:.0%} of the contacts at {places} lie outside {whose} opening hours "
            "(`cx check` names them)"
        )


def read_open_hours(workspace: Workspace) -> OpenHours | None:
    """Give the opening hours of a workspace's places; None where its journey map states none."""
    places = workspace.places
    calendar = workspace.journey_map.calendar(places["touchpoint"], places["channel"])
    if calendar is None:
        return None
    wrong = {
        (told["touchpoint"], told["channel"])
        for told in workspace.report.get("outside_hours", ())
        if told["outside"] > MISFIT * told["contacts"]
    }
    named = places.select("touchpoint", "channel").rows()
    misfits = [
        place
        for place, (name, hours) in enumerate(zip(named, calendar.hours, strict=True))
        if hours is not None and name in wrong
    ]
    return OpenHours(calendar, tuple(misfits))
