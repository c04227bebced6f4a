"""Do the opening hours of the journey map fit the contacts? A wrong calendar misleads."""

from __future__ import annotations

import polars as pl

from cxlib.errors import did_you_mean
from cxlib.ingest.recognise import KEY
from cxlib.ingest.report import OutsideHours
from cxlib.journey_map import JourneyMap
from cxlib.opening_hours import MISFIT

__all__ = ["count_outside_hours", "hints_on_hours"]

WORTH_A_LOOK = 0.05
"""Share of contacts outside the opening hours above which the report asks to look at them."""


def count_outside_hours(
    contacts: pl.DataFrame, places: pl.DataFrame, journey_map: JourneyMap
) -> tuple[OutsideHours, ...]:
    """Count the contacts outside the opening hours of their touchpoint, most of them first.

    Parameters
    ----------
    contacts
        `KEY` and ``occurred_at``.
    places
        `KEY`, ``touchpoint``, ``channel``; one row per key.
    journey_map
        Gives the opening hours.
    """
    calendar = journey_map.calendar(places["touchpoint"], places["channel"])
    if calendar is None:
        return ()
    timed = places.select(KEY, "touchpoint", "channel").with_row_index("place")
    timed = timed.filter(pl.Series([hours is not None for hours in calendar.hours]))
    rows = contacts.select(KEY, "occurred_at").join(timed, on=KEY)
    is_open = calendar.is_open(rows["place"], rows["occurred_at"])
    counted = (
        rows.select("touchpoint", "channel", closed=~is_open)
        .group_by("touchpoint", "channel")
        .agg(contacts=pl.len(), outside=pl.col("closed").sum())
        .sort("outside", "touchpoint", "channel", descending=[True, False, False])
    )
    return tuple(OutsideHours(**row) for row in counted.iter_rows(named=True))


def hints_on_hours(
    outside: tuple[OutsideHours, ...], places: pl.DataFrame, journey_map: JourneyMap
) -> list[str]:
    """Say which opening hours do not fit, and which name a channel that the log does not have."""
    hints = [
        f"{found.share:.0%} of the contacts at {found.touchpoint!r} lie outside its opening hours; "
        "mend `opening_hours`, `closed_dates` or `time_zone` in the map"
        + ("; until then no wait for it is judged" if found.share > MISFIT else "")
        for found in sorted(outside, key=lambda found: -found.share)
        if found.share > WORTH_A_LOOK
    ]
    channels = places["channel"].drop_nulls().unique().sort().to_list()
    for name in journey_map.opening_hours:
        if name not in channels:
            nearest = did_you_mean(name, channels)
            hint = f"`opening_hours` names the channel {name!r}, which no contact has"
            hints.append(f"{hint}.{nearest}" if nearest else hint)
    return hints
