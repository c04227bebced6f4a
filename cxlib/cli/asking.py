"""Commands that print answers: `cx map`, `cx transitions`, `cx funnel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
from cxlib.cli.terminal import as_records, print_json, print_written, working

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
    print_written(
        result.columns.written(result.table),
        title=f"{opened.journey_map.name}: {result.customers:,} customers, "
        f"{result.journeys:,} journeys, {result.contacts:,} contacts",
        note=f"95 % intervals over customers. Observed until {result.observed_until:%Y-%m-%d}; "
        "open: not followed for long enough to say.",
        most=len(result.table),
    )


def print_transitions(
    workspace: WorkspaceFolder,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print what directly follows what, and how soon.

    The wait is a median that allows for transitions still to come, with its interval. With --json
    also ``median_wait``: of those that happened, exactly. Where the map has opening hours, the
    open wait stands beside it: the median of the time for which the target was open meanwhile.
    """
    from cxlib.columns import Columns
    from cxlib.measures.transitions import measure_transitions
    from cxlib.measures.waits import measure_waits

    opened, summary = _open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    found = measure_transitions(summary, where=where)
    table = found.table.rename({"n": "count"})
    timed = opened.journey_map.calendar(opened.places["touchpoint"], opened.places["channel"])
    if as_json or timed is not None:
        seen = measure_waits(opened, where=where)
        both = seen.table.select("source", "target", "open_wait", median_wait="wait")
        table = table.join(both, on=["source", "target"], how="left", maintain_order="left")
    if as_json:
        print_json(
            [{**row, "median_wait": row["median_wait_seconds"]} for row in as_records(table)]
        )
        return
    named = found.columns
    columns = Columns(
        source=named["source"],
        target=named["target"],
        count=named["n"],
        share=named["share"],
        wait=named["wait"],
        **({} if timed is None else {"open_wait": seen.columns["open_wait"]}),
    )
    print_written(
        columns.written(table),
        title=f"{opened.journey_map.name}: {len(table):,} kinds of transitions",
        most=40,
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
    print_written(
        result.columns.written(result.table),
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
