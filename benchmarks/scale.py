"""Speed and memory on a log of ten million contacts, as ratios within one run.

    python benchmarks/scale.py [--events 10000000] [--customers 500000] [--work FOLDER]
                               [--duckdb PYTHON] [--retentioneering PYTHON]

Machines are noisy, so nothing here is compared with a stored number: every step of cxlib runs
beside a plain Polars operation on the same file, in the same minute, each in a process of its own
(peak memory is that process's). Steps run three times in turn; the table shows the fastest.

``--duckdb`` names the Python of another environment with DuckDB and asks there, of the same file,
for all pairs of contacts that follow one another: how many, and the median wait (one window query).
``--retentioneering`` names one with retentioneering 5.2.4: load, transition matrix and funnel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

STAGES = ("awareness", "exploration", "conversion", "aftersales")
CHANNELS = ("ads", "web", "app", "email", "store", "phone")
PLACES = [(f"touchpoint {i}", STAGES[i // 6], CHANNELS[i % 6]) for i in range(24)]
GOAL = "touchpoint 17"

MAP = "\n".join(
    [
        "version: 1",
        "name: Ten million contacts",
        "columns: {customer: client, occurred_at: when, touchpoint: contact, channel: via}",
        f"journey: {{gap: 30d, goal: [{GOAL}]}}",
        "stages: [awareness, exploration, conversion, aftersales]",
        "touchpoints:",
        *(f"  - {{name: {name}, stage: {stage}, channel: {via}}}" for name, stage, via in PLACES),
    ]
)


def write_log(folder: Path, *, events: int, customers: int, seed: int = 1) -> None:
    """Write an unsorted log: a first-order chain over 24 touchpoints, waits of minutes to weeks."""
    dice = np.random.default_rng(seed)
    lengths = 1 + dice.poisson(events / customers - 1, customers)
    customer = np.repeat(np.arange(customers), lengths)
    rows = len(customer)
    first = np.concatenate(([True], customer[1:] != customer[:-1]))
    wait = np.where(first, dice.uniform(0, 2e7, rows), dice.lognormal(10, 2, rows))
    begun = np.flatnonzero(first)
    seconds = np.cumsum(wait)
    seconds -= np.repeat(seconds[begun] - wait[begun], lengths)
    chain = dice.dirichlet(np.full(24, 0.3), 24).cumsum(axis=1)
    place = np.zeros(rows, dtype=np.int64)
    place[begun] = dice.integers(0, 6, customers)
    draw = dice.random(rows)
    for step in range(1, int(lengths.max())):
        at = begun[lengths > step] + step
        place[at] = (chain[place[at - 1]] < draw[at, None]).sum(axis=1).clip(0, 23)
    shuffled = dice.permutation(rows)
    names = pl.Series([p[0] for p in PLACES])
    vias = pl.Series([p[2] for p in PLACES])
    taken = pl.Series(place[shuffled]).cast(pl.UInt32)
    start = 1_704_067_200_000_000  # 1 January 2024
    pl.DataFrame(
        {
            "client": "C" + pl.Series(customer[shuffled]).cast(pl.String),
            "when": pl.Series((seconds[shuffled] * 1e6).astype(np.int64) + start).cast(
                pl.Datetime("us", "UTC")
            ),
            "contact": names.gather(taken),
            "via": vias.gather(taken),
        }
    ).write_parquet(folder / "log.parquet")
    (folder / "map.yaml").write_text(MAP, "utf-8")


STEPS = {
    "plain sort and write": """
import polars as pl
log = pl.read_parquet(folder / "log.parquet")
log.sort("client", "when").write_parquet(folder / "sorted.parquet")
""",
    "ingest": """
from cxlib.ingest import read_events
from cxlib.journey_map import read_journey_map
from cxlib.store import build_workspace
log = read_events([folder / "log.parquet"], read_journey_map(folder / "map.yaml"))
build_workspace(log, folder / "workspace")
""",
    "plain scan of three columns": """
import polars as pl
from cxlib.store import Workspace
Workspace.open(folder / "workspace").store().select(
    pl.col("customer").sum(), pl.col("occurred_at").max(), pl.col("place").sum()
).collect(engine="streaming")
""",
    "summary pass": """
from cxlib.store import Workspace
from cxlib.summary import summarise
summarise(Workspace.open(folder / "workspace"))
""",
    "fragmentation pass and findings": """
from cxlib.fragmentation import measure_fragmentation
from cxlib.store import Workspace
measure_fragmentation(Workspace.open(folder / "workspace"))
""",
    "funnel of three steps": """
from cxlib.measures.funnels import measure_funnel
from cxlib.store import Workspace
measure_funnel(
    Workspace.open(folder / "workspace"), steps=["touchpoint 0", "touchpoint 7", "touchpoint 17"]
)
""",
}

RATIOS = (
    ("ingest", "plain sort and write", 1.2),
    ("summary pass", "plain scan of three columns", 15.0),
    ("fragmentation pass and findings", "summary pass", 3.0),
)
DUCKDB = "DuckDB: one window query"
RETENTIONEERING = "retentioneering: load, transitions, funnel"
FROM_RAW = ("ingest", "fragmentation pass and findings")
OTHERS = (
    (DUCKDB, ("summary pass",), 1.0),
    (DUCKDB, ("funnel of three steps",), 0.3),
    (RETENTIONEERING, FROM_RAW, 0.35),
)
"""Steps of ours, added up, over one of another tool."""

MEMORY = {"ingest": 2.0, "summary pass": 1.0, "fragmentation pass and findings": 2.0}

_CHILD = """
import json, resource, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
# imports are not what is measured
import polars
import cxlib.fragmentation, cxlib.ingest, cxlib.journey_map, cxlib.measures.funnels
import cxlib.store, cxlib.summary, scipy.stats
code = compile(sys.argv[2], "step", "exec")
begun = time.perf_counter()
exec(code)
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps({"seconds": seconds, "gigabytes": peak}))
"""

_TOLD = """
print(json.dumps({
    "seconds": time.perf_counter() - begun,
    "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
}))
"""

_DUCKDB = (
    """
import json, os, resource, sys, time
import duckdb
engine = duckdb.connect()
engine.execute(f"SET threads = {os.cpu_count()}")
begun = time.perf_counter()
engine.execute(f'''
    WITH moves AS (
        SELECT contact, lead(contact) OVER w AS next, lead("when") OVER w - "when" AS wait
        FROM read_parquet('{sys.argv[1]}/log.parquet')
        WINDOW w AS (PARTITION BY client ORDER BY "when")
    )
    SELECT contact, next, count(*), median(epoch(wait)) FROM moves
    WHERE next IS NOT NULL GROUP BY ALL
''').fetchall()
"""
    + _TOLD
)

_RETENTIONEERING = (
    """
import json, resource, sys, time
import pandas as pd
from retentioneering.eventstream import Eventstream
begun = time.perf_counter()
frame = pd.read_parquet(sys.argv[1] + "/log.parquet", columns=["client", "when", "contact"])
names = {"client": "user_id", "when": "timestamp", "contact": "event"}
stream = Eventstream(frame.rename(columns=names))
stream.transition_graph_data()
stream.funnel_data(["touchpoint 0", "touchpoint 7", "touchpoint 17"])
"""
    + _TOLD
)


def run(python: str, script: str, *arguments: str) -> dict[str, float]:
    """Run a script in a fresh process; seconds and peak gigabytes of its work."""
    done = subprocess.run(
        [python, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"a step failed:\n{done.stderr[-2000:]}")
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def main() -> None:
    """Write the log once, run the steps, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, default=500_000)
    parser.add_argument("--work", type=Path, default=Path("benchmarks/work"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--duckdb", metavar="PYTHON")
    parser.add_argument("--retentioneering", metavar="PYTHON")
    asked = parser.parse_args()
    folder: Path = asked.work
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "log.parquet").is_file():
        write_log(folder, events=asked.events, customers=asked.customers)
    best: dict[str, dict[str, float]] = {}
    for _ in range(asked.repeat):
        for name, code in STEPS.items():
            measured = run(sys.executable, _CHILD, str(folder), code)
            best[name] = {k: min(v, best.get(name, measured)[k]) for k, v in measured.items()}
    if asked.duckdb:
        best[DUCKDB] = run(asked.duckdb, _DUCKDB, str(folder))
    if asked.retentioneering:
        best[RETENTIONEERING] = run(asked.retentioneering, _RETENTIONEERING, str(folder))
    print_table(best, folder)


def print_table(best: dict[str, dict[str, float]], folder: Path) -> None:
    """Print seconds, memory and ratios as a Markdown table."""
    rows = pl.scan_parquet(folder / "log.parquet").select(pl.len()).collect().item()
    print(f"\n{rows:,} contacts\n\n| step | seconds | peak GB |\n|---|---:|---:|")
    for name, measured in best.items():
        print(f"| {name} | {measured['seconds']:.2f} | {measured['gigabytes']:.2f} |")
    print("\n| ratio | measured | at most |\n|---|---:|---:|")
    for name, base, most in RATIOS:
        ratio = best[name]["seconds"] / best[base]["seconds"]
        print(f"| {name} / {base} | {ratio:.1f} | {most:g} |")
    for name, most in MEMORY.items():
        print(f"| peak GB of {name} | {best[name]['gigabytes']:.2f} | {most:g} |")
    for other, steps, most in OTHERS:
        if other in best:
            ratio = sum(best[name]["seconds"] for name in steps) / best[other]["seconds"]
            print(f"| {' + '.join(steps)} / {other} | {ratio:.2f} | {most:g} |")


if __name__ == "__main__":
    main()
