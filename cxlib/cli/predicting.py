"""What could break next: `cx predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.selecting import Json, WorkspaceFolder
from cxlib.cli.terminal import as_records, echo, print_json, print_table, say, working

if TYPE_CHECKING:
    from cxlib.fragmentation import Backtest, HandoffForecast, JourneyRisk

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
    from cxlib.fragmentation import backtest_risk, predict_handoffs, predict_journey_risk
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Predicting") as tell:
        tell("handoffs")
        handoffs = predict_handoffs(opened, signal=signal)
        tell("customers under way")
        risk = predict_journey_risk(opened)
        tell("the same again at past dates")
        test = backtest_risk(opened, signal=signal)
    if customers is not None:
        risk.write_csv(customers)
        say(f"{customers}: {len(risk.table):,} customers with their ids; do not pass it on.")
    if as_json:
        print_json(_as_json(handoffs, risk, test))
        return
    name = opened.journey_map.name
    _print_handoffs(name, handoffs, test, top=top)
    _print_under_way(name, risk, test, top=top)


def _as_json(handoffs: HandoffForecast, risk: JourneyRisk, test: Backtest) -> dict[str, Any]:
    """Everything that was predicted and tested, customers left out."""
    return {
        "observed_until": risk.observed_until,
        "handoffs": {
            "signal": handoffs.signal,
            "sentence": handoffs.sentence,
            "reason": handoffs.reason,
            "change_rate": handoffs.change_rate,
            "table": as_records(handoffs.table.drop("source_place", "target_place")),
            "history": as_records(handoffs.spans),
        },
        "under_way": {
            "sentence": risk.sentence,
            "reason": risk.reason,
            "horizon_seconds": risk.horizon.total_seconds(),
            "customers": len(risk.table),
            "by_risk": as_records(risk.by_risk),
            "table": as_records(risk.handoffs),
            "models": as_records(risk.models),
        },
        "backtest": {
            "sentences": [test.handoff_sentence, test.under_way_sentence, test.sentence],
            "reason": test.reason,
            "handoff_reason": test.handoff_reason,
            "journeys": as_records(test.table),
            "calibration": as_records(test.calibration),
            "under_way": as_records(test.under_way),
            "under_way_calibration": as_records(test.under_way_calibration),
            "handoffs": as_records(test.handoffs),
            "overlap": as_records(test.overlap),
        },
    }


def _print_handoffs(name: str, found: HandoffForecast, test: Backtest, *, top: int) -> None:
    if found.reason is not None:
        echo(f"{name}, handoffs. {found.sentence}", "")
        return
    rows = [_handoff_row(row) for row in found.table.head(top).iter_rows(named=True)]
    print_table(
        rows,
        title=f"{name}: handoffs that could break next ({found.signal}). {found.sentence}",
        note=(
            "Forecast: arrivals with the signal beyond those of like handoffs, drawn towards 0 "
            "the fewer arrivals there were. Chance: that it is more than 5 in 100.",
            f"Held against what came. {test.handoff_sentence}",
            "",
        ),
        most=top,
    )


def _handoff_row(row: Mapping[str, Any]) -> dict[str, str]:
    from cxlib.numbers import people, share

    ends = (row["excess"], row["excess_low"], row["excess_high"])
    forecast, low, high = (f"{100 * value:+.0f}" for value in ends)
    last = "–" if row["last"] is None else f"{100 * row['last']:+.0f}"
    return {
        "handoff": f"{row['source']} → {row['target']}",
        "owner": row["owner"] or "–",
        "arrivals": people(row["n"]),
        "last, points": last,
        "forecast, points (95 %)": f"{forecast} ({low} to {high})",
        "customers": f"{row['customers']:+,.0f}",
        "chance": share(row["chance"]),
    }


def _print_under_way(name: str, found: JourneyRisk, test: Backtest, *, top: int) -> None:
    if found.reason is not None:
        echo(f"{name}, customers under way. {found.sentence}")
        return
    from cxlib.numbers import share

    bands = ", ".join(
        f"{share(row['share'])} have a risk of {share(row['at_least'])} to {share(row['below'])}"
        for row in found.by_risk.iter_rows(named=True)
    )
    rows = [_under_way_row(row) for row in found.handoffs.head(top).iter_rows(named=True)]
    print_table(
        rows,
        title=f"{name}: customers under way. {found.sentence}",
        note=(
            f"Of them {bands}.",
            "At the contact: when it was made; now: after the silence since; "
            "before: what became of earlier contacts there.",
            f"Held against what came. {test.under_way_sentence}",
            test.sentence,
        ),
        most=top,
    )


def _under_way_row(row: Mapping[str, Any]) -> dict[str, str]:
    from cxlib.numbers import people, share

    came = f"{row['source']} → " if row["source"] is not None else ""
    return {
        "where": f"{came}{row['touchpoint']}",
        "customers": people(row["customers"]),
        "expected to fragment": people(row["expected"]),
        "at the contact": share(row["risk"]),
        "now": share(row["risk_now"]),
        "before (95 %)": share(row["before"], row["before_low"], row["before_high"]),
    }
