"""``python -m cxlib.simulate``: write the sample, in any size, to a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxlib.errors import CxError
from cxlib.simulate.sample import SAMPLE_CUSTOMERS, SAMPLE_SEED, write_sample


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, write the files, name them."""
    parser = argparse.ArgumentParser(prog="python -m cxlib.simulate", description=__doc__)
    parser.add_argument("kind", choices=["sample"], help="the retailer, as a raw export")
    parser.add_argument("--customers", type=int, default=SAMPLE_CUSTOMERS)
    parser.add_argument("--seed", type=int, default=SAMPLE_SEED)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        paths = write_sample(options.out, customers=options.customers, seed=options.seed)
    except CxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in paths.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
