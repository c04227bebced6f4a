"""Commands about what an experience leads to: `cx loyalty`, `cx drivers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxlib.cli.selecting import Asked, about_a_part

if TYPE_CHECKING:
    import polars as pl

__all__ = ["print_drivers", "print_loyalty"]


@about_a_part
def print_loyalty(asked: Asked) -> None:
    """Print who comes back and who reaches the goal again, by when, and what it is worth."""
    import polars as pl

    from cxlib.measures.loyalty import measure_loyalty

    found = measure_loyalty(asked.workspace, findings=_findings(asked), where=asked.where)
    asked.show(
        found,
        "who comes back",
        rows=_in_order(found, ["by", "group", "outcome", "days", "n", "share", "low", "high"]),
        shown=found.table.filter((pl.col("by") == "all") | pl.col("days").is_in([90, 365])),
        note=[
            "Days after the first journey (return) or the first goal (repeat_goal); who has not "
            f"come back is followed to {found.observed_until:%Y-%m-%d}. Differences are to all "
            "other customers, of findings to their like. --json has all days.",
            *found.sentences(),
        ],
    )


@about_a_part
def print_drivers(asked: Asked) -> None:
    """Print what goes with ratings and with coming back: kinds of contact, waits, repeats."""
    from cxlib.measures.drivers import measure_drivers

    found = measure_drivers(asked.workspace, findings=_findings(asked), where=asked.where)
    asked.show(
        found,
        "what goes with ratings and with coming back",
        rows=_in_order(found, ["outcome", "driver", "share", "low", "high"]),
        note=[
            "Share: of the outcome's differences (relative weights). Drivers are associated with "
            "the outcome, which is not to say that they cause it.",
            *found.sentences(),
        ],
    )


def _findings(asked: Asked) -> pl.DataFrame:
    from cxlib.fragmentation import measure_fragmentation

    return measure_fragmentation(asked.workspace, where=asked.where).found


def _in_order(found: Any, order: list[str]) -> Any:
    """Rows for JSON, these columns first; the share's interval is ``low`` and ``high``."""
    rows = found.table.rename({"share_low": "low", "share_high": "high"})
    return rows.select(*order, *(c for c in rows.columns if c not in order))
