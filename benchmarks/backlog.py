"""Whether the backlog begins with what costs most: `docs/opportunities.md`.

Into each of 50 simulated logs five handoffs are planted at which 15 to 45 % more customers leave.
Lost conversions of each: its uses, times the share added, times the share of those who are at its
target in the same log without faults and reach the goal. Counted is how many of the three largest
losses the first three lines of the backlog name. Run: ``python benchmarks/backlog.py [LOGS]``
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from worlds import benchmark_world, count_handoffs

import cxlib as cx
from cxlib.ingest import read_events
from cxlib.journey_map import parse_journey_map
from cxlib.simulate.journeys import Simulated, simulate_journeys
from cxlib.simulate.world import Fault
from cxlib.store import Workspace, build_workspace

CUSTOMERS, FAULTS, LARGEST, LEAST_USES = 12_000, 5, 3, 150


def build(made: Simulated, folder: Path) -> Workspace:
    """Read a simulated log as an analyst would."""
    folder.mkdir()
    made.events.write_parquet(folder / "log.parquet")
    journey_map = parse_journey_map(made.map_yaml)
    log = read_events([folder / "log.parquet"], journey_map=journey_map)
    return build_workspace(log, folder / "ws")


def reaching_the_goal(workspace: Workspace) -> dict[str, float]:
    """Of the contacts at each touchpoint, the share whose journey comes to a goal later."""
    goals = workspace.places.filter("is_goal")["place"].implode()
    at = pl.col("occurred_at")
    goal_at = at.filter(pl.col("place").is_in(goals)).max().over("journey")
    rows = workspace.store().select("place", "journey", "occurred_at").collect()
    rows = rows.with_columns(later=(goal_at > at).fill_null(False))
    shares = rows.group_by("place").agg(pl.col("later").mean()).sort("place")
    return dict(zip(workspace.places["touchpoint"], shares["later"], strict=True))


def hits(seed: int, folder: Path) -> tuple[int, int, int]:
    """How many of the largest losses the first lines name; findings; and faults found at all."""
    world = benchmark_world(seed, faults=0).world
    rng = np.random.default_rng([seed, 40])
    sound = simulate_journeys(world, customers=CUSTOMERS, seed=seed)
    uses = count_handoffs(sound).filter(pl.col("n") >= LEAST_USES)
    early = {c.name for c in world.contacts if c.stage != world.stages[-1]} - {*world.goal}
    pairs = uses.filter(pl.col("target").is_in(list(early))).sample(
        fraction=1, shuffle=True, seed=seed
    )
    pairs = pairs.unique("target", keep="first", maintain_order=True).head(FAULTS)
    faults = [
        Fault("abandonment", source, target, float(rng.uniform(0.15, 0.45)))
        for source, target in pairs.select("source", "target").iter_rows()
    ]
    made = simulate_journeys(world, customers=CUSTOMERS, seed=seed, faults=faults)
    reach = reaching_the_goal(build(sound, folder / f"sound{seed}"))
    loss = {
        (f["source"], f["target"]): f["uses"] * f["effect"] * reach.get(f["target"], 0.0)
        for f in made.truth.to_dicts()
    }
    largest = sorted(loss, key=lambda pair: -loss[pair])[:LARGEST]
    backlog = cx.list_priorities(build(made, folder / f"faulty{seed}"))
    first = backlog.table.select("source", "target").head(LARGEST).rows()
    found = {*backlog.table.select("source", "target").rows()}
    return len({*largest} & {*first}), backlog.findings, len({*loss} & found)


def main() -> None:
    """Print one line a log, and how often two of the three largest are there."""
    logs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(logs):
            seen.append(hits(seed, Path(folder)))
            print(f"log {seed}: {seen[-1][0]} of {LARGEST} largest losses in the first {LARGEST} "
                  f"lines; {seen[-1][1]} findings, {seen[-1][2]} of {FAULTS} faults named",
                  flush=True)  # fmt: skip
    good = sum(n >= LARGEST - 1 for n, *_ in seen)
    print(f"two of the three largest losses are in the first three lines in {good} of {logs} logs")


if __name__ == "__main__":
    main()
