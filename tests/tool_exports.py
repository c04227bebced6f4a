"""Contacts of customers c0 … c11 through five steps, and how tools write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

from cxlib.ingest import propose_map
from cxlib.journey_map import JourneyMap, parse_journey_map

Files = dict[str, str | bytes]
STEPS = ("page view", "search", "add to cart", "checkout", "purchase")


class Contact(NamedTuple):
    """One contact: number of the customer, what, when, and something random."""

    customer: int
    what: str
    at: datetime
    dice: Random


def contacts(steps: tuple[str, ...] = STEPS) -> list[Contact]:
    dice, found = Random(7), []
    for customer in range(12):
        at = datetime(2024, 3, 5, 10, tzinfo=UTC) + timedelta(hours=dice.random() * 200)
        for step in range(dice.randint(3, 7)):
            likely = steps[min(step, len(steps) - 1)]
            found.append(
                Contact(customer, likely if dice.random() < 0.7 else dice.choice(steps), at, dice)
            )
            at += timedelta(minutes=dice.expovariate(1 / 300) + 1)
    return sorted(found, key=lambda c: c.at)


def text(rows: Iterable[Iterable[object]], separator: str = ",") -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=separator).writerows(rows)
    return written.getvalue()


def lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def second(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def by_customer() -> dict[int, list[Contact]]:
    found: dict[int, list[Contact]] = {}
    for contact in contacts():
        found.setdefault(contact.customer, []).append(contact)
    return found


def proposed(tmp_path: Path, files: Files) -> tuple[list[Path], JourneyMap]:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    paths = [tmp_path / name for name in files]
    return paths, parse_journey_map(propose_map(paths).text)
