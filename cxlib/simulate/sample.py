"""The sample as a retailer would export it: foreign column names, local times, a few bad rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxlib.simulate.journeys import Simulated, simulate_journeys
from cxlib.simulate.retailer import retailer_faults, retailer_world

FILES = {
    "contacts": "contacts.csv.gz",
    "customers": "customers.csv",
    "ratings": "ratings.csv",
    "purchases": "purchases.csv",
    "journey_map": "journey_map.yaml",
    "truth": "truth.json",
}
"""What the sample consists of."""

SAMPLE_CUSTOMERS = 18_000
SAMPLE_SEED = 2025
_ZONE = "Europe/Berlin"
_WALL = "%Y-%m-%d %H:%M:%S"
_UNREADABLE = ("n/a", "31.02.2025 10:15", "yesterday")
_UNREADABLE_ROWS = 24
_WITHOUT_SEGMENT = 0.01


def simulate_sample(*, customers: int = SAMPLE_CUSTOMERS, seed: int = SAMPLE_SEED) -> Simulated:
    """Simulate the retailer with its planted faults; the defaults give the committed sample."""
    return simulate_journeys(
        retailer_world(), customers=customers, seed=seed, faults=retailer_faults()
    )


def write_sample(
    folder: str | Path, *, customers: int = SAMPLE_CUSTOMERS, seed: int = SAMPLE_SEED
) -> dict[str, Path]:
    """Write the sample in any size: log, customers, ratings, purchases, journey map and the truth.

    Paths are given by name. The same number of customers and seed give the same texts.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = simulate_sample(customers=customers, seed=seed)
    paths = {name: folder / file for name, file in FILES.items()}
    for name, text in sample_texts(made).items():
        content = text.encode()
        if paths[name].suffix == ".gz":
            # no time of writing inside, so that the same seed gives the same file
            content = gzip.compress(content, compresslevel=9, mtime=0)
        paths[name].write_bytes(content)
    return paths


def sample_texts(made: Simulated) -> dict[str, str]:
    """Return the content of the sample's files by name, before compression."""
    rng = np.random.default_rng([made.seed, 2])
    contacts = _contacts(made, rng)
    known = pl.Series(rng.random(made.customers.height) >= _WITHOUT_SEGMENT)
    assert made.ratings is not None
    assert made.purchases is not None
    ratings = made.ratings.with_columns(
        rated_at=_wall("rated_at"), rating=pl.col("rating").cast(pl.Int64)
    )
    return {
        "contacts": contacts.write_csv(),
        "customers": made.customers.filter(known).write_csv(),
        "ratings": ratings.write_csv(),
        "purchases": made.purchases.select(
            client="customer", when=_wall("occurred_at"), contact="touchpoint", amount_eur="amount"
        ).write_csv(),
        "journey_map": files("cxlib.simulate").joinpath("retailer.yaml").read_text("utf-8"),
        "truth": json.dumps(_truth(made, contacts), indent=2, ensure_ascii=False) + "\n",
    }


def _contacts(made: Simulated, rng: np.random.Generator) -> pl.DataFrame:
    """Return the log under the retailer's own column names, some of its times unreadable."""
    log = made.events.select(
        client="customer",
        when=_wall("occurred_at"),
        until=_wall("ended_at"),
        contact="touchpoint",
        via="channel",
        phase="stage",
        place="environment",
        topic="issue",
        cost_eur=pl.col("cost").round(2),
    )
    spoiled = np.sort(
        rng.choice(log.height, min(_UNREADABLE_ROWS, log.height // 100), replace=False)
    )
    texts = [_UNREADABLE[i % len(_UNREADABLE)] for i in range(len(spoiled))]
    return log.with_columns(log["when"].scatter(spoiled.tolist(), texts))


def _wall(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(_ZONE).dt.strftime(_WALL)


def _truth(made: Simulated, contacts: pl.DataFrame) -> dict[str, Any]:
    """Return what was planted, and how many rows of each kind of trouble the log holds."""
    events = made.events
    until = made.world.observed_until
    inside = pl.col("occurred_at").is_between(made.world.start, until)
    since = pl.col("since").map_elements(datetime.isoformat, return_dtype=pl.String)
    told = ("kind", "source", "target", "size", since, "uses", "effect", "effect_hours")
    personas = made.personas.filter(~pl.col("robot"))["persona"].value_counts().sort("persona")
    return {
        "seed": made.seed,
        "customers": made.customers.height,
        "rows": contacts.height,
        "duplicated_rows": contacts.height - contacts.n_unique(),
        "rows_without_customer": int(contacts["client"].null_count()),
        "rows_of_impossible_date": events.filter(~inside).height,
        "rows_of_unreadable_date": int(contacts["when"].is_in(list(_UNREADABLE)).sum()),
        "robots": made.personas.filter("robot")["customer"].to_list(),
        "personas": dict(personas.iter_rows()),
        "observed_until": until.isoformat(),
        "faults": [_rounded(row) for row in made.truth.select(told).to_dicts()],
        "surveys": [_rounded(row) for row in made.surveys.to_dicts()],
    }


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
