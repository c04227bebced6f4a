"""Commands about fragmentation: `cx findings`, `cx watch`, `cx selftest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cxlib.cli.selecting import Channel, Json, Period, Segment, WorkspaceFolder, read_selection
from cxlib.cli.terminal import as_records, print_json, print_table, say, working

if TYPE_CHECKING:
    import polars as pl

__all__ = ["print_findings"]


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
        "signal": row["signal"].replace("_", " "),
        "finding": row["sentence"],
        "n": f"{row['n']:,}",
        "q": f"{row['q']:.1g}",
        "customers affected": f"{row['customers_affected']:,}",
    }


def _say_unmeasurable(signals: pl.DataFrame) -> None:
    for row in signals.filter(~signals["measurable"]).iter_rows(named=True):
        say(f"{row['signal'].replace('_', ' ')}: {row['reason']}")
