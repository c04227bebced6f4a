"""Recall, false findings and interval coverage on worlds drawn at random.

    python benchmarks/recall.py [--seeds 20] [--only full half …]
    python benchmarks/recall.py --times [WORKSPACE]

Every log goes the whole way: raw events, ingest, workspace, arrivals, findings. The table is
written to ``benchmarks/fragmentation.md``. Seeds from 101 on were not looked
at while the method was made. ``--times`` measures nothing but the time of an answer, as an analyst
asks for it, on a workspace or on the world of the first seed: every segment, every channel, the
time from every period on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from worlds import benchmark_world

from cxlib.fragmentation import measure_fragmentation, read_arrivals
from cxlib.ingest import read_customers, read_events
from cxlib.journey_map import read_journey_map
from cxlib.simulate.journeys import Simulated
from cxlib.store import Workspace, build_workspace
from cxlib.summary import Selection, summarise

FIRST_SEED = 101
SETTINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "half": {"strength": 0.5},
    "none": {"faults": 0},
    "harder full": {"harder": True},
    "harder half": {"harder": True, "strength": 0.5},
    "harder none": {"harder": True, "faults": 0},
}
WORDS = {
    "full": "six faults of full size",
    "half": "six faults of half the size",
    "none": "no fault",
    "harder full": "harder world, full size",
    "harder half": "harder world, half the size",
    "harder none": "harder world, no fault",
}


@dataclass
class Tally:
    """What was found over the seeds of one setting."""

    planted: int = 0
    found: int = 0
    false: int = 0
    logs: int = 0
    shares: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    seconds: list[tuple[float, float, float, float]] = field(default_factory=list)


def ingest(simulated: Simulated, folder: Path) -> Workspace:
    """Write the raw log and make a workspace of it, as an analyst would."""
    (folder / "map.yaml").write_text(simulated.map_yaml, "utf-8")
    simulated.events.write_parquet(folder / "log.parquet")
    simulated.customers.write_parquet(folder / "customers.parquet")
    journey_map = read_journey_map(folder / "map.yaml")
    ingested = read_events(folder / "log.parquet", journey_map)
    customers = None
    if len(simulated.customers.columns) > 1:
        customers = read_customers(folder / "customers.parquet")
    return build_workspace(ingested, folder / "workspace", customers=customers)


def try_world(seed: int, options: dict[str, Any], tally: Tally) -> None:
    """Simulate one world, look for its faults, and add the outcome to the tally."""
    simulated = benchmark_world(seed, **options).simulate()
    with tempfile.TemporaryDirectory() as folder:
        workspace = ingest(simulated, Path(folder))
        clock = [time.process_time()]
        summarise(workspace)
        clock.append(time.process_time())
        read_arrivals(workspace)
        clock.append(time.process_time())
        findings = measure_fragmentation(workspace)
        clock.append(time.process_time())
        measure_fragmentation(workspace, where=Selection(period=(1, len(workspace.periods) - 1)))
        clock.append(time.process_time())
    a, b, c, d, e = clock
    tally.seconds.append((b - a, c - b, d - c, e - d))
    hits = set(findings.found.select("source", "target").iter_rows())
    truth = {(r["source"], r["target"]): r for r in simulated.truth.iter_rows(named=True)}
    wrong = len(hits - set(truth))
    tally.logs += 1
    tally.planted += len(truth)
    tally.found += len(hits & set(truth))
    tally.false += wrong
    tally.shares.append(wrong / max(len(hits), 1))
    for (source, target), fault in truth.items():
        row = findings.table.filter(
            (pl.col("source") == source)
            & (pl.col("target") == target)
            & (pl.col("signal") == fault["kind"])
        )
        if len(row):
            # sent back, as a share of those who went on: some would have gone back anyway
            onward = fault["effect_onward"]
            true = fault["effect"] if onward is None else onward
            tally.covered.append(row["low"][0] <= true <= row["high"][0])


def filters_of(workspace: Workspace) -> list[Selection]:
    """Every segment, every channel, the time from every period on, and a segment in that time."""
    periods = len(workspace.periods)
    segments = [
        (name, value)
        for name in workspace.segment_names
        for value in workspace.segments[name].drop_nulls().unique().sort()
    ]
    rest = [(first, periods - 1) for first in range(1, periods)]
    return [
        *(Selection(segment=segment) for segment in segments),
        *(Selection(channel=name) for name in workspace.places["channel"].unique().sort()),
        *(Selection(period=period) for period in rest),
        *(Selection(segment=segment, period=rest[0]) for segment in segments),
    ]


def print_times(workspace: Workspace) -> None:
    """Print the CPU time of the summary scan, of the first answer and of every change of filter."""

    def spent(ask: Callable[[], object]) -> float:
        start = time.process_time()
        ask()
        return time.process_time() - start

    scan = spent(lambda: summarise(workspace))
    read_arrivals(workspace)
    opened = Workspace.open(workspace.path)
    first = spent(lambda: measure_fragmentation(opened))
    filters = filters_of(opened)
    again = sorted(
        spent(lambda where=where: measure_fragmentation(opened, where=where))  # type: ignore[misc]
        for where in filters
    )
    median, most = again[len(again) // 2], again[-1]
    print(f"summary scan {scan * 1000:.0f} ms, first answer {first * 1000:.0f} ms")
    print(
        f"{len(filters)} changes of filter: median {median * 1000:.0f} ms "
        f"({median / scan:.2f} × the scan), most {most * 1000:.0f} ms ({most / scan:.2f} ×)"
    )


def write_table(tallies: dict[str, Tally], path: Path) -> None:
    """Write the outcome as a Markdown table."""
    lines = [
        "# Fragmentation: recall, false findings, coverage",
        "",
        "Made by `python benchmarks/recall.py`; worlds of `benchmarks/worlds.py`,",
        f"seeds from {FIRST_SEED}, 30,000 customers each. Required: recall at least 0.95",
        "(half the size: 0.60), false at most 0.05 of the findings, at most 0.2 false findings per",
        "log without fault. The harder worlds go beyond that: faults on rare handoffs, a habit of",
        "going back, drift, hidden differences, times floored to half hours.",
        "",
        "| world | logs | recall | false share | false per log | coverage of the 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for name, t in tallies.items():
        recall = f"{t.found / t.planted:.2f}" if t.planted else "–"
        share = f"{sum(t.shares) / t.logs:.3f}" if t.planted else "–"
        cover = f"{sum(t.covered) / len(t.covered):.2f}" if t.covered else "–"
        lines.append(
            f"| {WORDS[name]} | {t.logs} | {recall} | {share} | {t.false / t.logs:.2f} | {cover} |"
        )
    times = [s for t in tallies.values() for s in t.seconds]
    summary, count, first, again = (
        sorted(column)[len(times) // 2] for column in zip(*times, strict=True)
    )
    lines += [
        "",
        f"Counting the arrivals takes {count / summary:.1f} × the summary pass on these logs",
        f"(CPU, medians {count:.2f} s, {summary:.2f} s); the first answer after it {first:.2f} s,",
        f"a change of filter {again * 1000:.0f} ms ({again / summary:.2f} × the summary pass).",
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Run the settings asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--times", nargs="?", const="", metavar="WORKSPACE")
    asked = parser.parse_args()
    if asked.times is not None:
        if asked.times:
            print_times(Workspace.open(asked.times))
            return
        with tempfile.TemporaryDirectory() as folder:
            print_times(ingest(benchmark_world(FIRST_SEED).simulate(), Path(folder)))
        return
    tallies = {}
    for name in asked.only:
        tally = tallies.setdefault(name, Tally())
        for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
            try_world(seed, SETTINGS[name], tally)
        print(name, tally.found, "of", tally.planted, "found,", tally.false, "false", flush=True)
        write_table(tallies, Path(__file__).with_name("fragmentation.md"))


if __name__ == "__main__":
    main()
