"""Commands about fragmentation: `cx findings`, `cx watch`, `cx selftest`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, read_selection
from cxlib.cli.terminal import as_records, print_json, print_table, say, working
from cxlib.errors import InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["print_findings", "selftest", "watch"]

ALERT = 3
"""Exit code of `cx watch` when a handoff has begun to break; 1 and 2 are errors."""


def print_findings(
    workspace: WorkspaceFolder,
    segment: Segment = None,
    channel: Channel = None,
    period: Period = None,
    as_json: Json = False,
) -> None:
    """Print the handoffs that break, worst first.

    With --json every handoff that was judged, the findings marked as such.
    """
    from cxlib.fragmentation import measure_fragmentation
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    where = read_selection(opened, segment=segment, channel=channel, period=period)
    with working("Judging every handoff"):
        found = measure_fragmentation(opened, where=where)
    if as_json:
        print_json(as_records(found.table))
        return
    rows = [_finding_row(row) for row in found.found.iter_rows(named=True)]
    print_table(
        rows,
        title=f"{opened.journey_map.name}: {_counted(len(rows))} "
        f"among {found.tests:,} tests (false-discovery rate controlled)",
    )
    _say_unmeasurable(found.signals)


def _counted(findings: int) -> str:
    return {0: "no finding", 1: "1 finding"}.get(findings, f"{findings:,} findings")


def _finding_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "signal": _spaced(row["signal"]),
        "finding": row["sentence"],
        "n": f"{row['n']:,}",
        "q": f"{row['q']:.1g}",
        "customers affected": f"{row['customers_affected']:,}",
    }


def _say_unmeasurable(signals: pl.DataFrame) -> None:
    for row in signals.filter(~signals["measurable"]).iter_rows(named=True):
        say(f"{_spaced(row['signal'])}: {row['reason']}")


def watch(
    workspace: WorkspaceFolder,
    since: Annotated[
        str, typer.Option(metavar="DATE", help="First day that counts as new, such as 2025-07-01.")
    ],
    as_json: Json = False,
) -> None:
    """Say which findings are new, ongoing or gone since a date.

    For schedulers: the exit code is 0 when nothing is new, 3 when something is, 1 on errors.
    """
    from cxlib.fragmentation import watch_findings
    from cxlib.store import Workspace

    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise InputError(f"--since {since!r} is not a date; write 2025-07-01") from None
    opened = Workspace.open(workspace)
    with working("Judging before and since"):
        found = watch_findings(opened, since=day)
    if as_json:
        print_json(as_records(found.table))
    else:
        print_table(
            [
                {
                    "status": row["status"],
                    "signal": _spaced(row["signal"]),
                    "finding": row["sentence"],
                }
                for row in found.table.iter_rows(named=True)
            ],
            title=f"{opened.journey_map.name}: {_counted(len(found.table))}, since {found.since}",
        )
    if found.reason:
        say(found.reason)
    if found.alert:
        raise typer.Exit(ALERT)


def selftest(
    workspace: WorkspaceFolder,
    seed: Annotated[int, typer.Option(help="Of the shuffle and of the planted faults.")] = 0,
    as_json: Json = False,
) -> None:
    """Shuffle the log and plant faults in copies of it.

    Says how many findings the shuffled copy has (all false), and whether planted faults were found
    with their size inside the interval. The exit code is 1 when not.
    """
    from cxlib.fragmentation import check_fragmentation
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Shuffling and planting"):
        test = check_fragmentation(opened, seed=seed)
    if as_json:
        print_json(
            {
                "passed": test.passed,
                "reason": test.reason,
                "tests": test.tests,
                "false_findings": as_records(test.shuffled),
                "planted": as_records(test.planted),
            }
        )
    else:
        title = f"{len(test.shuffled)} false findings in {test.tests:,} tests of the shuffled log"
        print_table([_planted_row(r) for r in test.planted.iter_rows(named=True)], title=title)
    if test.reason:
        say(test.reason)
    elif not test.passed:
        raise typer.Exit(1)


def _planted_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "planted": f"{_spaced(row['signal'])} on {row['source']} → {row['target']}",
        "size": f"{row['size']:.2f}",
        "measured": f"{row['effect']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        if row["effect"] is not None
        else "–",
        "found": "yes" if row["found"] else "no",
        "size inside": "yes" if row["covered"] else "no",
    }


def _spaced(signal: str) -> str:
    return signal.replace("_", " ")
