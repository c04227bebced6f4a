"""Commands about fragmentation: `cx findings`, `cx watch`, `cx selftest`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxlib.cli.selecting import Asked, Json, WorkspaceFolder, about_a_part
from cxlib.cli.terminal import as_records, print_json, print_table, say, working
from cxlib.errors import InputError
from cxlib.numbers import sentence_case

if TYPE_CHECKING:
    from cxlib.fragmentation import SelfTest

__all__ = ["print_findings", "selftest", "watch"]

ALERT = 3
"""Exit code of `cx watch` when a handoff has begun to break; 1 and 2 are errors."""


@about_a_part
def print_findings(
    asked: Asked,
    *,
    ground: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUND", help="Only what this says: like, past, groups or plan."),
    ] = None,
    signal: Annotated[
        list[str] | None,
        typer.Option(metavar="SIGNAL", help='Only this signal, such as "long wait".'),
    ] = None,
    described: Annotated[
        bool, typer.Option("--described", help="What there is to see beside findings.")
    ] = False,
) -> None:
    """Print what breaks, most customers affected first.

    With --json everything that was judged, the findings marked as such. Where nothing stands out,
    what there is to describe.
    """
    from cxlib.fragmentation import measure_fragmentation
    from cxlib.fragmentation.sentences import say_reasons

    opened, where = asked.workspace, asked.where
    with working("Judging every handoff"):
        found = measure_fragmentation(
            opened, where=where, grounds=ground, signals=_names_of(signal)
        )
    if asked.as_json:
        print_json(as_records(found.described) if described else found.to_dicts())
        return
    rows = [_finding_row(row) for row in found.found.iter_rows(named=True)]
    print_table(
        rows,
        title=f"{opened.journey_map.name}: {_counted(len(rows))} "
        f"among {found.tests:,} tests (false-discovery rate controlled)",
    )
    for line in say_reasons(found.signals):
        say(line)
    for row in found.grounds.drop_nulls("reason").iter_rows(named=True):
        say(f"compared on ground {row['ground']}: nothing, because {row['reason']}")
    shown = found.described if described or found.found.is_empty() else found.described.clear()
    if len(shown):
        print_table(
            [{"kind": _spaced(r["kind"]), "described, not a finding": sentence_case(r["sentence"])}
             for r in shown.iter_rows(named=True)],
            title="Described, not findings",
        )  # fmt: skip


def _names_of(signals: list[str] | None) -> list[str] | None:
    """Signals by name, whether named so (delay) or as people read them (long wait)."""
    from cxlib.signals import SIGNALS

    names = {SIGNALS[name].title: name for name in SIGNALS}
    return None if signals is None else [names.get(signal, signal) for signal in signals]


def _counted(findings: int) -> str:
    return {0: "no finding", 1: "1 finding"}.get(findings, f"{findings:,} findings")


def _finding_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "signal": _title(row["signal"]),
        "ground": row["ground"],
        "finding": sentence_case(row["sentence"]),
        "n": f"{row['n']:,}",
        "q": f"{row['q']:.1g}",
        "customers affected": f"{row['customers_affected']:,}",
    }


def watch(
    workspace: WorkspaceFolder,
    since: Annotated[
        str, typer.Option(metavar="DATE", help="First day that counts as new, such as 2025-07-01.")
    ],
    as_json: Json = False,
) -> None:
    """Say which findings are new since a date, growing, mended, or going on as before.

    For schedulers: the exit code is 3 when something is new or growing, 0 when not, 1 on errors.
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
        if found.reason:
            say(found.reason)
    else:
        print_table(
            [_watched_row(row) for row in found.table.iter_rows(named=True)],
            title=f"{opened.journey_map.name}: {found.sentence}",
            note="New: found since then, neither found nor suspect before. Growing, shrinking, "
            "mended: beyond chance. Unclear: no finding any more, but that may be chance."
            if len(found.table)
            else (),
        )
    if found.alert:
        raise typer.Exit(ALERT)


def _watched_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "status": row["status"],
        "signal": _title(row["signal"]),
        "handoff": f"{row['source']} → {row['target']}",
        "before (95 %)": _measured(row["signal"], row, "before"),
        "since (95 %)": _measured(row["signal"], row, "since"),
        "in words": sentence_case(row["sentence"]),
    }


def selftest(
    workspace: WorkspaceFolder,
    shuffles: Annotated[int, typer.Option(help="How many shuffled copies to judge.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the shuffles and of the planted faults.")] = 0,
    as_json: Json = False,
) -> None:
    """Shuffle the log and plant faults in copies of it.

    Says how many findings the shuffled copies have (all false), and whether a fault planted for
    each signal was found with its size inside the interval. The exit code is 1 when more than one
    in three shuffled copies has a finding, most faults were missed, or a missed one was measured
    wrongly.
    """
    from cxlib.fragmentation import check_fragmentation
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Shuffling and planting"):
        test = check_fragmentation(opened, shuffles=shuffles, seed=seed)
    if as_json:
        print_json(
            {
                "passed": test.passed,
                "reason": test.reason,
                "sentence": test.sentence,
                "shuffles": test.shuffles,
                "tests": test.tests,
                "sample_step": test.sample_step,
                "false_findings": as_records(test.shuffled),
                "planted": as_records(test.planted),
                "replicated": as_records(test.replicated),
                "not_planted": as_records(test.skipped),
            }
        )
    else:
        print_table(
            [_planted_row(row) for row in test.planted.iter_rows(named=True)],
            title=f"{opened.journey_map.name}. {test.sentence}",
            note=_notes(test),
        )
    if not test.reason and not test.passed:
        raise typer.Exit(1)


def _notes(test: SelfTest) -> list[str]:
    """What the table does not say: false findings, what was not planted, what cannot stand out."""
    import polars as pl

    shuffled = [
        f"False, in shuffled copy {row['shuffle']}: {row['sentence']}"
        for row in test.shuffled.iter_rows(named=True)
    ]
    missing = [
        f"{_title(row['signal'])}: none planted, because {_bare(row['reason'])}"
        for row in test.skipped.iter_rows(named=True)
    ]
    weak = test.planted.filter(~pl.col("found") & pl.col("covered"))["signal"]
    if len(weak):
        names = ", ".join(_title(signal) for signal in weak)
        missing.append(
            f"Measured rightly and yet not found: {names}. A fault of this size does not stand out "
            "from how much handoffs of this log differ."
        )
    return shuffled + missing


def _bare(reason: str) -> str:
    return reason.removeprefix("not measurable, because ")


def _planted_row(row: Mapping[str, Any]) -> dict[str, str]:
    signal = row["signal"]
    return {
        "fault planted": f"{_title(signal)}, {' '.join(_size(signal, row['size']))}",
        "on": f"{row['source']} → {row['target']}",
        "cases": "–" if row["n"] is None else f"{row['n']:,}",
        "found": "yes" if row["found"] else "NO",
        "measured (95 %)": _measured(signal, row, "effect", ends=("low", "high")),
        "size inside": "yes" if row["covered"] else "no",
        "new ones elsewhere": str(row["new_elsewhere"]),
    }


def _measured(
    signal: str, row: Mapping[str, Any], name: str, ends: tuple[str, str] | None = None
) -> str:
    """An effect with its interval, harm counting as positive."""
    from cxlib.signals import signal_named

    low, high = ends or (f"{name}_low", f"{name}_high")
    if row[name] is None:
        return "–"
    if signal_named(signal).harm < 0:
        low, high = high, low
    value, least, most = (_size(signal, row[column])[0] for column in (name, low, high))
    return f"{value} ({least} to {most})"


def _size(signal: str, value: float) -> tuple[str, str]:
    """The size of a fault as a number and its unit."""
    from cxlib.signals import signal_named

    family = signal_named(signal).family
    if family == "wait":
        return f"{value:.1f}", "times as long"
    if family == "rating":
        return f"{-value:.1f}", "rating points lower"
    return f"{100 * value:.0f}", "points more"


def _title(signal: str) -> str:
    """Name a signal as the dashboards do."""
    from cxlib.signals import signal_named

    return signal_named(signal).title


def _spaced(signal: str) -> str:
    return signal.replace("_", " ")
