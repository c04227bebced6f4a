"""A small log with planted tiny groups, and its workspace: what published snapshots are attacked
with."""

import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from cxlib.ingest import read_customers, read_events
from cxlib.journey_map import read_journey_map
from cxlib.store import Workspace, build_workspace

MAP = """
version: 1
name: Small shop
columns: {customer: who, occurred_at: at, touchpoint: what, channel: via, rating: stars,
          comment: said}
time_zone: UTC
period: month
rating_scale: {name: stars, min: 1, max: 5}
journey: {gap: 20d, goal: [payment]}
stages: [awareness, conversion]
touchpoints:
  - {name: advert, stage: awareness}
  - {name: visit, stage: awareness}
  - {name: basket, stage: conversion}
  - {name: payment, stage: conversion}
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
COMMENT = "my-name-is-nobody-else"

Rows = list[dict[str, str]]


def simulate(seed: int, *, customers: int = 200) -> tuple[Rows, Rows]:
    """Customers of four months. Few of a kind: seven of an island, twelve new ones, some who alone
    came in a month or to a touchpoint, two who came very often, rare touchpoints, three with a
    watch, and one at a desk that bears the name of its customer.
    """
    draw = random.Random(seed)
    rows, people = [], []
    for number in range(customers):
        who = f"ident-{number:04d}-{draw.randrange(10**6):06d}"
        region = "isle" if number < 7 else draw.choice(["north", "south", "south"])
        people.append(
            {"customer": who, "region": region, "kind": "new" if 5 <= number < 17 else "old"}
        )
        contacts = 45 if number in (5, 40) else draw.randrange(1, 7)
        at = START + timedelta(days=draw.uniform(0, 110) if number % 9 else draw.uniform(31, 40))
        for _ in range(contacts):
            what = draw.choices(
                ["advert", "visit", "basket", "payment", "leaflet"], [5, 6, 3, 2, 1]
            )[0]
            if number % 11 == 0 and draw.random() < 0.4:
                what = f"call of Mrs {'ABCDEF'[number // 11 % 6]}"
            rows.append(
                {
                    "who": who,
                    "at": at.isoformat(timespec="seconds"),
                    "what": what,
                    "via": "phone" if what.startswith("call") else draw.choice(["web", "shop"]),
                    "stars": str(draw.randrange(1, 6)) if draw.random() < 0.3 else "",
                    "said": f"{COMMENT}-{number}" if draw.random() < 0.1 else "",
                    "device": "watch"
                    if number in (9, 20, 31)
                    else ("phone", "tablet")[len(rows) % 2],
                    "desk": f"desk of {who}" if number == 40 else ["east", "west"][number % 2],
                }
            )
            at += timedelta(hours=draw.uniform(0.1, 300))
    last = START + timedelta(days=120)
    return [r for r in rows if datetime.fromisoformat(r["at"]) < last], people


def build(
    log: tuple[Rows, Rows], folder: Path, *, without: Collection[str] = frozenset()
) -> Workspace:
    """Make a workspace of a log, without some of its customers."""
    rows, people = log
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame([r for r in rows if r["who"] not in without]).write_csv(folder / "log.csv")
    pl.DataFrame([p for p in people if p["customer"] not in without]).write_csv(
        folder / "people.csv"
    )
    around = "comment: said, environment: [device, desk]}"
    told = MAP.replace("comment: said}", around) if "device" in rows[0] else MAP
    (folder / "map.yaml").write_text(told)
    journey_map = read_journey_map(folder / "map.yaml")
    return build_workspace(
        read_events([folder / "log.csv"], journey_map),
        folder / "workspace",
        customers=read_customers(folder / "people.csv", journey_map),
    )
