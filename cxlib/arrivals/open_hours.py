"""Waits in open time: where the journey map gives opening hours, nights and holidays are no delay.

Silence, follow-up and deadlines stay in time as it passes. To be compared with waits where nothing
closes, open time is turned into the time that so much open time usually takes, and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.opening_hours import MISFIT, Calendar, OpeningHours
from cxlib.store import Workspace

Floats = NDArray[np.float64]
OPEN_UNIT = "ratio of medians (observed and expected in open hours)"


@dataclass(frozen=True, slots=True)
class OpenHours:
    """Opening hours by place; ``misfits``: places with too many contacts outside to be believed."""

    calendar: Calendar
    misfits: tuple[int, ...] = ()

    def waits(self, followed: pl.DataFrame) -> pl.Series:
        """Give the waits before arrivals: columns ``target``, ``occurred_at`` and ``wait``."""
        return self.calendar.open_waits(
            followed["target"], followed["occurred_at"], followed["wait"]
        )

    def usually_take(self, target: pl.Series, values: Floats, *, back: bool = False) -> Floats:
        """Time that open time usually takes, or `back`; both as logarithms of seconds."""
        found = values.copy()
        for hours, rows in self.calendar.rows_by_hours(target):
            known, told = _usual(hours)[:: -1 if back else 1]
            part = values[rows]
            inside = np.clip(part, known[0], known[-1])
            # beyond the ends a longer wait takes longer by the same factor
            found[rows] = np.interp(inside, known, told) + part - inside
        return found

    @property
    def timed(self) -> list[int]:
        """Places with opening hours."""
        return [place for place, hours in enumerate(self.calendar.hours) if hours is not None]

    def left_out(self) -> str | None:
        """Say why some waits are not judged; None where all are."""
        if not self.misfits:
            return None
        n = len(self.misfits)
        whose = "1 touchpoint lie outside its" if n == 1 else f"{n} touchpoints lie outside their"
        told = "opening hours (`cx check` names them)"
        return f"over {MISFIT:.0%} of the contacts at {whose} {told}"


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
    named = zip(places.select("touchpoint", "channel").rows(), calendar.hours, strict=True)
    misfits = [i for i, (name, hours) in enumerate(named) if hours is not None and name in wrong]
    return OpenHours(calendar, tuple(misfits))


_STARTS = 500


@lru_cache(maxsize=64)
def _usual(hours: OpeningHours) -> tuple[Floats, Floats]:
    """Logarithms of open times, and of the time they take: the mean over starts in open time."""
    start, end = 60.0 * np.array(hours.week).T
    reached = np.cumsum(end - start)
    whole, before = reached[-1], reached - (end - start)

    def passed(open_time: Floats) -> Floats:
        week, rest = np.divmod(open_time, whole)
        i = np.searchsorted(reached, rest, "right").clip(0, len(reached) - 1)
        return week * 7 * 86_400 + start[i] + rest - before[i]

    lasting = np.geomspace(0.25, 2 * 400 * 86_400, 300)
    begun = (np.arange(_STARTS) + 0.5) / _STARTS * whole
    taken = passed(begun + lasting[:, None]) - passed(begun)
    return np.log(lasting), np.log(taken).mean(1)
