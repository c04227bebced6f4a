"""Commands about what an experience leads to: `cx loyalty`, `cx drivers`."""

from __future__ import annotations

from cxlib.cli.selecting import Json, WorkspaceFolder
from cxlib.cli.terminal import as_records, print_json, print_written

__all__ = ["print_drivers", "print_loyalty"]


def print_loyalty(workspace: WorkspaceFolder, as_json: Json = False) -> None:
    """Print who comes back and who reaches the goal again, by when, and what it is worth."""
    import polars as pl

    from cxlib.measures.loyalty import measure_loyalty
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    found = measure_loyalty(opened)
    if as_json:
        order = ["by", "group", "outcome", "days", "n", "share", "low", "high", "events"]
        rows = found.table.rename({"share_low": "low", "share_high": "high"})
        print_json(as_records(rows.select(*order, pl.all().exclude(order))))
        return
    shown = found.table.filter((pl.col("by") == "all") | pl.col("days").is_in([90, 365]))
    print_written(
        found.columns.written(shown),
        title=f"{opened.journey_map.name}: who comes back",
        note=[
            "Days after the first journey (return) or the first goal (repeat_goal); who has not "
            f"come back is followed to {found.observed_until:%Y-%m-%d}. Differences are to all "
            "other customers. --json has all days.",
            *found.sentences(),
        ],
    )


def print_drivers(workspace: WorkspaceFolder, as_json: Json = False) -> None:
    """Print what goes with ratings and with coming back: kinds of contact, waits, repeats."""
    import polars as pl

    from cxlib.measures.drivers import measure_drivers
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    found = measure_drivers(opened)
    if as_json:
        order = ["outcome", "driver", "share", "low", "high"]
        rows = found.table.rename({"share_low": "low", "share_high": "high"})
        print_json(as_records(rows.select(*order, pl.all().exclude(order))))
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
