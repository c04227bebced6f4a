"""Commands about fragmentation: `cx findings`, `cx watch`, `cx selftest`, `cx predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer import Option

import cxlib as cx
from cxlib.cli.selecting import Asked, about_a_part, about_all
from cxlib.cli.terminal import print_json, print_table, print_written, say, working
from cxlib.numbers import plural, sentence_case
from cxlib.tables import csv_text

if TYPE_CHECKING:
    import polars as pl

ALERT = 3
"""Exit code of `cx watch` when a handoff has begun to break; 1 and 2 are errors."""


@about_a_part
def print_findings(
    asked: Asked,
    *,
    ground: list[str] | None = Option(
        None, metavar="GROUND", help="Only what this says: like, past, groups or plan."
    ),
    signal: list[str] | None = Option(
        None, metavar="SIGNAL", help='Only this signal, such as "long wait".'
    ),
    described: bool = Option(False, "--described", help="What there is to see beside findings."),
) -> None:
    """Print what breaks, most customers affected first.

    With --json everything that was judged, the findings marked as such. Where nothing stands out,
    what there is to describe.
    """
    from cxlib.fragmentation import measure_fragmentation
    from cxlib.fragmentation.sentences import say_reasons
    from cxlib.signals import SIGNALS

    names = {SIGNALS[name].title: name for name in SIGNALS}  # as people read them
    signals = None if signal is None else [names.get(name, name) for name in signal]
    with working("Judging every handoff"):
        found = asked.ask(measure_fragmentation, grounds=ground, signals=signals)
    if asked.as_json:
        print_json(found.described if described else found.table)
        return
    named = ("signal", "ground", "sentence", "n", "q", "customers_affected")
    rows = _titled(found.found.select(named))
    counted = {0: "no finding", 1: "1 finding"}.get(len(rows), f"{len(rows):,} findings")
    title = f"{counted} among {found.tests:,} tests (false-discovery rate controlled)"
    print_written(found.columns.written(rows), title=asked.title(title))
    say(*say_reasons(found.signals))
    for row in found.grounds.drop_nulls("reason").to_dicts():
        say(f"compared on ground {row['ground']}: nothing, because {row['reason']}")
    if (described or rows.is_empty()) and len(found.described):
        shown = [
            {"kind": r["kind"], "described, not a finding": sentence_case(r["sentence"])}
            for r in found.described.to_dicts()
        ]
        print_table(shown, title="Described, not findings")


@about_all
def watch(
    asked: Asked,
    *,
    since: str = Option(
        ..., metavar="DATE", help="First day that counts as new, such as 2025-07-01."
    ),
) -> None:
    """Say which findings are new since a date, growing, mended, or going on as before.

    For schedulers: the exit code is 3 when something is new or growing, 0 when not, 1 on errors.
    """
    from cxlib.fragmentation import watch_findings

    with working("Judging before and since"):
        found = watch_findings(asked.workspace, since=since)
    note = (
        "New: found since then, neither found nor suspect before. Growing, shrinking, mended: "
        "beyond chance. Unclear: no finding any more, but that may be chance."
    )
    shown = _titled(found.table.drop("n", "effect", "q"))
    asked.show(found, found.sentence, shown=shown, note=note if len(shown) else ())
    if asked.as_json and found.reason:
        say(found.reason)
    if found.alert:
        raise typer.Exit(ALERT)


@about_all
def selftest(
    asked: Asked,
    *,
    shuffles: int = Option(3, help="How many shuffled copies to judge."),
    ground: list[str] | None = Option(
        None, help="Plant on these grounds only: like, past, groups (several: repeat it)."
    ),
    seed: int = Option(0, help="Of the shuffles and of the planted faults."),
) -> None:
    """Shuffle the log and plant faults in copies of it.

    Says how many findings the shuffled copies have (all false), and whether a fault planted for
    each signal and ground was found with its size inside the interval. The exit code is 1 when more
    than one in three shuffled copies has a finding, most faults were missed, or a missed one was
    measured wrongly.
    """
    from cxlib.fragmentation.selftest import check_fragmentation

    with working("Shuffling and planting"):
        test = check_fragmentation(
            asked.workspace, shuffles=shuffles, grounds=ground or None, seed=seed
        )
    if asked.as_json:
        named = ("passed", "reason", "sentence", "shuffles", "tests", "sample_step")
        told = {name: getattr(test, name) for name in named}
        told |= {"false_findings": test.shuffled, "planted": test.planted}
        print_json(told | {"replicated": test.replicated, "not_planted": test.skipped})
    else:
        title = f"{asked.workspace.journey_map.name}. {test.sentence}"
        print_written(test.columns.written(_titled(test.planted)), title=title, note=_notes(test))
    if not test.reason and not test.passed:
        raise typer.Exit(1)


def _notes(test: Any) -> list[str]:
    """What the table does not say: false findings, what was not planted, what cannot stand out."""
    said = [
        f"False, in shuffled copy {row['shuffle']}: {row['sentence']}"
        for row in test.shuffled.to_dicts()
    ]
    for row in test.skipped.to_dicts():
        why = row["reason"].removeprefix("not measurable, because ")
        said.append(f"{_title(row['signal'])}: none planted, because {why}")
    if weak := test.planted.filter("covered", found=False)["signal"].unique().sort().to_list():
        said.append(
            f"Measured rightly and yet not found: {', '.join(map(_title, weak))}. A fault of this "
            "size does not stand out from how much handoffs of this log differ."
        )
    return said


def _title(signal: str) -> str:
    """Name a signal as the dashboards do."""
    from cxlib.signals import signal_named

    return signal_named(signal).title


def _titled(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    names = {name: _title(name) for name in table["signal"].unique()}
    return table.with_columns(pl.col("signal").replace(names))


@about_all
def print_predictions(
    asked: Asked,
    *,
    signal: str = Option(
        "abandonment", help="What handoffs are forecast for: abandonment or backtracking."
    ),
    top: int = Option(10, min=1, help="How many rows of each table to print."),
    customers: Path | None = Option(
        None,
        metavar="FILE",
        help="Also write the risk of every customer under way, with ids, to this CSV file.",
    ),
) -> None:
    """Print the handoffs and touchpoints that could break next, and how good such forecasts were.

    No customer is named, unless --customers asks for a file of them.
    """
    with working("Predicting, now and at past dates"):
        found = cx.predict_breaks(asked.workspace, signal=signal)
    if customers is not None:
        customers.write_text(csv_text(found.customers), "utf-8")
        listed = plural(len(found.customers), "customer")
        say(f"{customers}: {listed} with their ids; do not pass it on.")
    if asked.as_json:
        handoffs = {
            "signal": found.signal,
            "sentence": " ".join(found.handoff_sentences),
            "reason": found.handoff_reason,
            "table": found.table,
        }
        under_way = {
            "sentence": found.customer_sentence,
            "reason": found.customer_reason,
            "horizon_seconds": found.horizon.total_seconds(),
            "customers": found.customers_under_way,
            "table": found.under_way,
        }
        tested = {"sentences": found.record_sentences, "table": found.record}
        told = {"observed_until": found.observed_until, "handoffs": handoffs}
        print_json(told | {"under_way": under_way, "backtest": tested})
        return
    for field, about, notes in (
        ("table", "handoffs that could break next", found.handoff_sentences),
        ("under_way", "customers under way", [found.customer_sentence]),
        ("record", "held against what came", found.record_sentences),
    ):
        written = found.tables[field].written(getattr(found, field))
        print_written(written, title=asked.title(about), note=[*notes, ""], most=top)
