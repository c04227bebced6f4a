"""What could break next: `cx predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxlib.cli.selecting import Json, WorkspaceFolder
from cxlib.cli.terminal import as_records, print_json, print_written, say, working
from cxlib.numbers import plural
from cxlib.tables import csv_text

__all__ = ["print_predictions"]


def print_predictions(
    workspace: WorkspaceFolder,
    signal: Annotated[
        str, typer.Option(help="What handoffs are forecast for: abandonment or backtracking.")
    ] = "abandonment",
    top: Annotated[int, typer.Option(min=1, help="How many rows of each table to print.")] = 10,
    customers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the risk of every customer under way, with ids, to this CSV file.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the handoffs and touchpoints that could break next, and how good such forecasts were.

    No customer is named, unless --customers asks for a file of them.
    """
    from cxlib.prediction import predict_breaks
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Predicting, now and at past dates"):
        found = predict_breaks(opened, signal=signal)
    if customers is not None:
        customers.write_text(csv_text(found.customers), "utf-8")
        listed = plural(len(found.customers), "customer")
        say(f"{customers}: {listed} with their ids; do not pass it on.")
    if as_json:
        print_json(
            {
                "observed_until": found.observed_until,
                "handoffs": {
                    "signal": found.signal,
                    "sentence": " ".join(found.handoff_sentences),
                    "reason": found.handoff_reason,
                    "table": as_records(found.table),
                },
                "under_way": {
                    "sentence": found.customer_sentence,
                    "reason": found.customer_reason,
                    "horizon_seconds": found.horizon.total_seconds(),
                    "customers": found.customers_under_way,
                    "table": as_records(found.under_way),
                },
                "backtest": {
                    "sentences": found.record_sentences,
                    "table": as_records(found.record),
                },
            }
        )
        return
    name = opened.journey_map.name
    for field, about, notes in (
        ("table", "handoffs that could break next", found.handoff_sentences),
        ("under_way", "customers under way", [found.customer_sentence]),
        ("record", "held against what came", found.record_sentences),
    ):
        print_written(
            found.tables[field].written(getattr(found, field)),
            title=f"{name}: {about}",
            note=[*notes, ""],
            most=top,
        )
