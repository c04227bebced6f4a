"""Described signals against loops in plain Python, and their reasons."""

from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest
from fragmentation.walks import count, walk_log

from cxlib.fragmentation import described as d

START = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=120)
PLACES = pl.DataFrame(
    {
        "touchpoint": ["form", "call", "help", "pay"],
        "channel": ["web", "phone", "web", "web"],
        "stage_index": pl.Series([0, 1, 1, 1], dtype=pl.UInt8),
        "initiated_by": ["customer"] * 4,
        "is_goal": [False, False, False, True],
        "repeatable": [False, True, True, True],
        "assisted": [False, True, False, False],
        "self_service": [False, False, True, False],
    }
)


def throw(seed):
    dice = Random(seed)
    rows = []
    for customer in range(80):
        at = START + timedelta(days=dice.random() * 100)
        for _ in range(dice.randrange(1, 12)):
            at += timedelta(seconds=dice.choice([30, 600, 9_000, 90_000, 900_000, 2_700_000]))
            if at > UNTIL:
                break
            rows.append((customer, at, dice.randrange(4), dice.choice(["a", "b"])))
    frame = pl.DataFrame(rows, schema=["customer", "occurred_at", "place", "issue"], orient="row")
    return frame.with_columns(bucket=pl.col("customer") % 32, journey=pl.col("customer"))


def test_disorder_is_the_entropy_of_a_coin():
    rows = pl.DataFrame({"journey": [0, 0, 1, 1], "place": [1, 2, 1, 3], "customer": [0, 0, 1, 1]})
    assert d.measure_disorder(d.at_places(rows, PLACES))["value"] == pytest.approx(1.0)


def test_effort_compares_with_the_easiest_tenth():
    journeys = [[0] * (n % 5) + [3, 1] for n in range(50)]
    rows = pl.DataFrame(
        [
            (j, p, 3 in places[: i + 1])
            for j, places in enumerate(journeys)
            for i, p in enumerate(places)
        ],
        schema=["journey", "place", "reached"],
        orient="row",
    )
    # 1 to 5 contacts up to the goal: the median is 3, the easiest tenth needs 1
    assert d.measure_effort(d.at_places(rows, PLACES))["value"] == pytest.approx(3.0)


def test_unlinked_customers_and_unplanned_contacts_are_counted():
    rows = pl.DataFrame(
        {"customer": [0, 0, 1, 1, 2], "place": [0, 1, 0, 2, 0], "bucket": [0, 0, 1, 1, 2]}
    )
    log = d.at_places(rows, PLACES)
    apart = d.measure_identity_break(log)
    assert (apart["n"], apart["value"]) == (2, 0.5)
    assert d.measure_deviation(log, {"form", "call"})["value"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("measure", "column", "reason"),
    [
        (d.measure_effort, {"is_goal": False}, "no goal"),
        (d.measure_identity_break, {"channel": "web"}, "one channel only"),
    ],
)
def test_reasons(measure, column, reason):
    places = PLACES.with_columns(pl.lit(v).alias(k) for k, v in column.items())
    row = measure(d.at_places(throw(1), places))
    assert row["measurable"] is False
    assert row["reason"].startswith("not measurable, because")
    assert reason in row["reason"]


def test_links_are_estimated_from_where_nobody_begins():
    assert d.measure_links(count(walk_log(3, customers=1_500)))["value"] > 0.9
