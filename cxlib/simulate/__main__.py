"""``python -m cxlib.simulate``: write the sample, or a log to measure by, to a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxlib.errors import CxError
from cxlib.simulate.benchmark import benchmark_world
from cxlib.simulate.sample import SAMPLE_CUSTOMERS, SAMPLE_SEED, write_sample


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, write the files, name them."""
    parser = argparse.ArgumentParser(prog="python -m cxlib.simulate", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    sample = kinds.add_parser("sample", help="the retailer, as a raw export of any size")
    sample.add_argument("--customers", type=int, default=SAMPLE_CUSTOMERS)
    sample.add_argument("--seed", type=int, default=SAMPLE_SEED)
    benchmark = kinds.add_parser("benchmark", help="a random world with planted faults")
    benchmark.add_argument("--customers", type=int, default=30_000)
    benchmark.add_argument("--seed", type=int, default=1)
    benchmark.add_argument("--faults", type=int, default=6)
    benchmark.add_argument("--strength", type=float, default=1.0)
    benchmark.add_argument("--harder", action="store_true")
    for kind in (sample, benchmark):
        kind.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        paths = _write(options)
    except CxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    return 0


def _write(options: argparse.Namespace) -> list[Path]:
    if options.kind == "sample":
        return list(
            write_sample(options.out, customers=options.customers, seed=options.seed).values()
        )
    made = benchmark_world(
        options.seed,
        faults=options.faults,
        strength=options.strength,
        harder=options.harder,
        customers=options.customers,
    ).simulate()
    options.out.mkdir(parents=True, exist_ok=True)
    names = ("events.parquet", "customers.csv", "journey_map.yaml", "truth.json")
    events, customers, journey_map, truth = (options.out / name for name in names)
    made.events.write_parquet(events)
    made.customers.write_csv(customers)
    journey_map.write_text(made.map_yaml, encoding="utf-8")
    made.truth.write_json(truth)
    return [events, customers, journey_map, truth]


if __name__ == "__main__":
    sys.exit(main())
