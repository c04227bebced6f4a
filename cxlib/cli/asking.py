"""Commands that print answers: `cx map`, `cx transitions`, `cx funnel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cxlib.cli.selecting import Asked, about_a_part, read_steps
from cxlib.cli.terminal import as_records, print_json, print_written, working

if TYPE_CHECKING:
    from cxlib.store import Workspace
    from cxlib.summary import Summary

__all__ = ["print_funnel", "print_map", "print_transitions"]


@about_a_part
def print_map(asked: Asked) -> None:
    """Print every touchpoint by stage, and what follows."""
    from cxlib.measures.touchpoints import measure_touchpoints

    result = measure_touchpoints(_summary(asked.workspace), where=asked.where)
    asked.show(
        result,
        f"{result.customers:,} customers, {result.journeys:,} journeys, "
        f"{result.contacts:,} contacts",
        rows=result.table.drop("place"),
        note=f"95 % intervals over customers. Observed until {result.observed_until:%Y-%m-%d}; "
        "open: not followed for long enough to say.",
    )


@about_a_part
def print_transitions(asked: Asked) -> None:
    """Print what directly follows what, and how soon.

    The wait is a median that allows for transitions still to come, with its interval. With --json
    also ``median_wait``: of those that happened, exactly. Where the map has opening hours, the
    open wait stands beside it: the median of the time for which the target was open meanwhile.
    """
    from cxlib.columns import Columns
    from cxlib.measures.transitions import measure_transitions
    from cxlib.measures.waits import measure_waits

    opened, where = asked.workspace, asked.where
    found = measure_transitions(_summary(opened), where=where)
    table = found.table.rename({"n": "count"})
    timed = opened.journey_map.calendar(opened.places["touchpoint"], opened.places["channel"])
    if asked.as_json or timed is not None:
        seen = measure_waits(opened, where=where)
        both = seen.table.select("source", "target", "open_wait", median_wait="wait")
        table = table.join(both, on=["source", "target"], how="left", maintain_order="left")
    if asked.as_json:
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


@about_a_part
def print_funnel(
    asked: Asked,
    *,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Touchpoints (or stages, channels), in order."),
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option(metavar="A", help="One step; give it once per step.")
    ] = None,
) -> None:
    """Print how many reach each step, in this order."""
    import polars as pl

    from cxlib.measures.funnels import measure_funnel

    opened, where = asked.workspace, asked.where
    places = opened.places
    known = [*places["touchpoint"], *(t.name for t in opened.journey_map.touchpoints)]
    known += [*opened.journey_map.stages, *places["channel"]]
    named = read_steps(steps, step or [], list(dict.fromkeys(known)))
    result = measure_funnel(opened, steps=named, where=where)
    table = result.table.rename({"step": "number", "name": "step"})
    ends = {"low": pl.col("share_low"), "high": pl.col("share_high")}
    asked.show(
        result,
        f"{result.customers:,} customers, {result.journeys:,} journeys",
        rows=table.with_columns(**ends),
        note="So far: share of the journeys at the first step. Of the step before: chance of "
        "getting here from there, open journeys allowed for.",
    )


def _summary(opened: Workspace) -> Summary:
    if (opened.log_folder / "summary" / "summary.json").is_file():
        return opened.summary()
    with working("Counting journeys"):
        return opened.summary()
