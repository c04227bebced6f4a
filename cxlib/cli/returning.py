"""Commands about what an experience leads to: `cx loyalty`, `cx drivers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, open_part
from cxlib.cli.terminal import as_records, print_json, print_written

if TYPE_CHECKING:
    import polars as pl

    from cxlib.store import Workspace
    from cxlib.store.selection import Selection

__all__ = ["print_drivers", "print_loyalty"]


def print_loyalty(
    workspace: WorkspaceFolder,
    *,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print who comes back and who reaches the goal again, by when, and what it is worth."""
    import polars as pl

    from cxlib.measures.loyalty import measure_loyalty

    opened, where = open_part(workspace, segment=segment, channel=channel, period=period)
    found = measure_loyalty(opened, findings=_findings(opened, where), where=where)
    if as_json:
        _print_json(found, ["by", "group", "outcome", "days", "n", "share", "low", "high"])
        return
    shown = found.table.filter((pl.col("by") == "all") | pl.col("days").is_in([90, 365]))
    print_written(
        found.columns.written(shown),
        title=f"{opened.journey_map.name}: who comes back",
        note=[
            "Days after the first journey (return) or the first goal (repeat_goal); who has not "
            f"come back is followed to {found.observed_until:%Y-%m-%d}. Differences are to all "
            "other customers, of findings to their like. --json has all days.",
            *found.sentences(),
        ],
    )


def print_drivers(
    workspace: WorkspaceFolder,
    *,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what goes with ratings and with coming back: kinds of contact, waits, repeats."""
    from cxlib.measures.drivers import measure_drivers

    opened, where = open_part(workspace, segment=segment, channel=channel, period=period)
    found = measure_drivers(opened, findings=_findings(opened, where), where=where)
    if as_json:
        _print_json(found, ["outcome", "driver", "share", "low", "high"])
        return
    print_written(
        found.columns.written(found.table),
        title=f"{opened.journey_map.name}: what goes with ratings and with coming back",
        note=[
            "Share: of the outcome's differences (relative weights). Drivers are associated with "
            "the outcome, which is not to say that they cause it.",
            *found.sentences(),
        ],
    )


def _findings(workspace: Workspace, where: Selection | None) -> pl.DataFrame:
    from cxlib.fragmentation import measure_fragmentation

    return measure_fragmentation(workspace, where=where).found


def _print_json(found: Any, order: list[str]) -> None:
    """Print the rows, these columns first; the share's interval is ``low`` and ``high``."""
    rows = found.table.rename({"share_low": "low", "share_high": "high"})
    print_json(as_records(rows.select(*order, *(c for c in rows.columns if c not in order))))
