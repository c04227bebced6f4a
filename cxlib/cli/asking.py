"""Commands that print answers: `cx map`, `cx transitions`, `cx funnel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.selecting import (
    Channel,
    Json,
    Period,
    Segment,
    WorkspaceFolder,
    read_selection,
    read_steps,
)
from cxlib.cli.terminal import as_records, print_json, print_table, working

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Summary

__all__ = ["print_funnel", "print_map", "print_transitions"]


def print_map(
    workspace: WorkspaceFolder,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print every touchpoint by stage, and what follows."""
    from cxlib.measures.touchpoints import measure_touchpoints

    opened, summary = _open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    result = measure_touchpoints(summary, where=where)
    if as_json:
        print_json(as_records(result.table.drop("place")))
        return
    print_table(
        [_map_row(row) for row in result.table.iter_rows(named=True)],
        title=f"{opened.journey_map.name}: {result.customers:,} customers, "
        f"{result.journeys:,} journeys, {result.contacts:,} contacts",
        note=f"95 % intervals over customers. Observed until {result.observed_until:%Y-%m-%d}; "
        "open: not followed for long enough to say.",
        most=len(result.table),
    )


def _map_row(row: Mapping[str, Any]) -> dict[str, str]:
    from cxlib.figures.numbers import duration, rating, share

    return {
        "stage": row["stage"],
        "touchpoint": row["touchpoint"],
        "channel": row["channel"],
        "customers": f"{row['customers']:,}",
        "contacts": f"{row['contacts']:,}",
        **{
            heading: share(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for heading, name in (("go on", "go_on"), ("lost", "lost"), ("goal had", "done"))
        },
        "open": share(row["open"]),
        "next after": duration(row["next_wait"]),
        "rating": rating(row["rating"], row["rating_low"], row["rating_high"]),
        "rated": share(row["response"] if row["rating_n"] else None),
    }


def print_transitions(
    workspace: WorkspaceFolder,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what directly follows what, and how soon.

    The median wait is that of the transitions that happened; ``wait`` allows for those to come.
    """
    from cxlib.measures.transitions import measure_transitions
    from cxlib.measures.waits import measure_waits

    opened, summary = _open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    table = measure_transitions(summary, where=where).table.rename({"n": "count"})
    waits = measure_waits(opened, where=where).table.select("source", "target", median_wait="wait")
    table = table.join(waits, on=["source", "target"], how="left", maintain_order="left")
    if as_json:
        print_json(
            [{**row, "median_wait": row["median_wait_seconds"]} for row in as_records(table)]
        )
        return
    from cxlib.figures.numbers import duration, share

    print_table(
        [
            {
                "source": row["source"],
                "target": row["target"],
                "count": f"{row['count']:,}",
                "share of source": share(row["share"], row["share_low"], row["share_high"]),
                "median wait": duration(row["median_wait"]),
            }
            for row in table.iter_rows(named=True)
        ],
        title=f"{opened.journey_map.name}: {len(table):,} kinds of transitions",
    )


def print_funnel(
    workspace: WorkspaceFolder,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Touchpoints (or stages, channels), in order."),
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option(metavar="A", help="One step; give it once per step.")
    ] = None,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print how many reach each step, in this order."""
    import polars as pl

    from cxlib.figures.numbers import duration, share
    from cxlib.measures.funnels import measure_funnel

    opened, _ = _open(workspace)
    places = opened.places
    known = [*places["touchpoint"], *(t.name for t in opened.journey_map.touchpoints)]
    known += [*opened.journey_map.stages, *places["channel"]]
    named = read_steps(steps, step or [], list(dict.fromkeys(known)))
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    result = measure_funnel(opened, steps=named, where=where)
    table = result.table.rename({"step": "number", "name": "step"})
    if as_json:
        ends = {"low": pl.col("share_low"), "high": pl.col("share_high")}
        print_json(as_records(table.with_columns(**ends)))
        return
    print_table(
        [
            {
                "step": row["step"],
                "customers": f"{row['customers']:,}",
                "journeys": f"{row['journeys']:,}",
                "so far": share(row["share"], row["share_low"], row["share_high"]),
                "of the step before": share(row["rate"], row["rate_low"], row["rate_high"]),
                "median time": duration(row["time"]),
            }
            for row in table.iter_rows(named=True)
        ],
        title=f"{opened.journey_map.name}: {result.customers:,} customers, "
        f"{result.journeys:,} journeys",
        note="So far: share of the journeys at the first step. Of the step before: chance of "
        "getting here from there, open journeys allowed for.",
    )


def _open(folder: WorkspaceFolder) -> tuple[Workspace, Summary]:
    from cxlib.store import Workspace

    opened = Workspace.open(folder)
    if (opened.log_folder / "summary" / "summary.json").is_file():
        return opened, opened.summary()
    with working("Counting journeys"):
        return opened, opened.summary()
