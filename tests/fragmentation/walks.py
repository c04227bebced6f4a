"""Logs whose truth is known, made in a few plain lines that share nothing with the package."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import count_frames
from cxlib.periods import choose_periods

START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = 86_400.0
CHANNELS = ("web", "app", "store", "phone")
SIZE = 12
STAGE = np.repeat(np.arange(3), 4)
AGAIN = ("repeated_task", "repeat_contact")
HELP = 7
"""Touchpoint that a failed self-service sends customers to."""

MARKS = {
    "repeated_task": {"repeatable": [i not in (2, 4, 6, 9) for i in range(SIZE)]},
    "repeat_contact": {"assisted": [i in (4, 10) for i in range(SIZE)]},
    "self_service_leak": {
        "assisted": [i in (3, HELP, 10) for i in range(SIZE)],
        "self_service": [i in (1, 2, 4, 5, 8, 9) for i in range(SIZE)],
    },
}
"""What a map may mark, by the signal that needs it."""


def walk_log(
    seed, *, customers=6_000, fault=None, days=240, again=0, lost=0.22, struck=0.4, rated=0.4
):
    """Customers walk at random among 12 touchpoints; every touchpoint loses its own share.

    `fault`: kind, source, target. `again`: other customers in the same world. `lost`: share of
    arrivals that an abandonment takes. `struck`: share that any other fault sends elsewhere.
    `rated`: share that answers.
    """
    rng = np.random.default_rng(seed)
    ways = rng.gamma(1.0, size=(SIZE, SIZE)) * np.where(STAGE[None] >= STAGE[:, None], 1.0, 0.2)
    np.fill_diagonal(ways, 0)
    ways = (ways / ways.sum(1, keepdims=True)).cumsum(1)
    leave = rng.uniform(0.03, 0.35, SIZE)
    wait = rng.uniform(2, 40, SIZE) * 3_600
    liked = rng.uniform(5, 8, SIZE)
    rng = np.random.default_rng([seed, again])
    here = rng.integers(0, 4, customers)
    at = rng.uniform(0, days * DAY, customers)
    before = np.full(customers, -1)
    alive = np.arange(customers)
    kind, source, target = fault or ("", -1, -1)
    rows = []
    while len(alive):
        place, came = here[alive], before[alive]
        hit = (came == source) & (place == target)
        rating = liked[place] + rng.normal(0, 1.5, len(alive))
        rating -= np.where(hit & (kind == "perception_dip"), 2.5, 0)
        rating[rng.random(len(alive)) > rated] = np.nan
        rows.append(np.column_stack([alive, at[alive], place, rating]))
        chance = leave[place] + np.where(hit & (kind == "abandonment"), lost, 0)
        stay = rng.random(len(alive)) >= chance
        alive, place, came, hit = alive[stay], place[stay], came[stay], hit[stay]
        following = (ways[place] < rng.random(len(alive))[:, None]).sum(1).clip(0, SIZE - 1)
        sent = hit & (rng.random(len(alive)) < struck)
        following = np.where(sent & (kind == "ping_pong"), came, following)
        following = np.where(sent & (kind in AGAIN), target, following)
        following = np.where(sent & (kind == "self_service_leak"), HELP, following)
        lower = rng.integers(0, max(4 * STAGE[target], 1), len(alive))
        following = np.where(sent & (kind == "backtracking"), lower, following)
        slow = (place == source) & (following == target) & (kind == "delay")
        at[alive] += wait[place] * rng.lognormal(0, 1, len(alive)) * np.where(slow, 3.5, 1)
        before[alive], here[alive] = place, following
    table = np.concatenate(rows)
    return table[table[:, 1] < days * DAY]


WEEK = 7 * DAY
OPEN_DAY = 10 * 3_600.0
"""The phone is open from Monday to Friday, 08:00 to 18:00 UTC."""


def open_time(at):
    """Seconds that the phone was open between the Monday before `START` and `at`."""
    week, rest = np.divmod(at + 2 * DAY, WEEK)  # START is a Wednesday
    day, clock = np.divmod(rest, DAY)
    today = np.where(day < 5, np.clip(clock - 8 * 3_600, 0, OPEN_DAY), 0)
    return week * 5 * OPEN_DAY + np.minimum(day, 5) * OPEN_DAY + today


def when_open(since):
    """The instant at which the phone has been open for so long."""
    week, rest = np.divmod(since, 5 * OPEN_DAY)
    day, clock = np.divmod(rest, OPEN_DAY)
    return week * WEEK + day * DAY + 8 * 3_600 + clock - 2 * DAY


def weekday_log(seed, *, customers=6_000, slow=None, days=240):
    """Customers as in `walk_log`, but the phone (every fourth touchpoint) is open on weekdays only.

    They wait for it in its own time. Four in ten begin at touchpoint 1, on a weekend, and
    nobody comes there later. `slow`: source and target of a handoff that takes 3.5 times as long.
    """
    rng = np.random.default_rng(seed)
    ways = rng.gamma(1.0, size=(SIZE, SIZE))
    np.fill_diagonal(ways, 0)
    ways[:, 1] = 0
    ways = (ways / ways.sum(1, keepdims=True)).cumsum(1)
    wait = rng.uniform(2, 8, SIZE) * 3_600
    here = np.where(rng.random(customers) < 0.4, 1, rng.integers(0, SIZE, customers))
    weekend = rng.integers(0, days // 7, customers) * WEEK + rng.uniform(
        3 * DAY, 5 * DAY, customers
    )
    at = np.where(here == 1, weekend, rng.uniform(0, days * DAY, customers))
    before, alive, rows = np.full(customers, -1), np.arange(customers), []
    while len(alive):
        place, came = here[alive], before[alive]
        lasting = np.where(came >= 0, wait[came] * rng.lognormal(0, 1, len(alive)), 0)
        if slow is not None:
            lasting *= np.where((came == slow[0]) & (place == slow[1]), 3.5, 1)
        reached = when_open(open_time(at[alive]) + lasting)
        at[alive] = np.where(place % 4 == 3, reached, at[alive] + lasting)
        rows.append(np.column_stack([alive, at[alive], place, np.full(len(alive), np.nan)]))
        stay = rng.random(len(alive)) >= 0.15
        alive, place = alive[stay], place[stay]
        following = (ways[place] < rng.random(len(alive))[:, None]).sum(1).clip(0, SIZE - 1)
        before[alive], here[alive] = place, following
    table = np.concatenate(rows)
    return table[table[:, 1] < days * DAY]


def count(
    table,
    *,
    channels=CHANNELS,
    ratings=True,
    midnight=False,
    marks=None,
    plan=(),
    open_hours=None,
    gap=timedelta(days=30),
):
    names = [channels[i % len(channels)] for i in range(SIZE)]
    places = pl.DataFrame(
        {
            "place": range(SIZE),
            "touchpoint": [f"t{i}" for i in range(SIZE)],
            "channel": names,
            "stage": [f"s{s}" for s in STAGE],
            "owner": names,
            "stage_index": pl.Series(STAGE, dtype=pl.UInt8),
            "initiated_by": ["customer"] * SIZE,
            "is_goal": [False] * SIZE,
            "is_lost": [False] * SIZE,
            **(marks or {}),
        }
    )
    since = pl.duration(seconds=pl.col("at"))
    rows = (
        pl.DataFrame(table, schema=["customer", "at", "place", "rating"], orient="row")
        .with_columns(
            pl.col("customer").cast(pl.UInt32),
            pl.col("place").cast(pl.UInt16),
            rating=pl.col("rating").fill_nan(None) if ratings else pl.lit(None, pl.Float64),
            occurred_at=(pl.lit(START) + since).dt.truncate("1d" if midnight else "1s"),
            sequence=pl.lit(0, pl.Int64),
        )
        .sort("customer", "at")
        .drop("at")
    )
    quiet = pl.col("occurred_at").diff() > gap
    new = quiet | (pl.col("customer") != pl.col("customer").shift(1))
    stage = pl.Series(STAGE).gather(rows["place"])
    last = rows["occurred_at"].max()
    periods = choose_periods(START, last)
    rows = (
        rows.with_columns(journey=new.fill_null(True).cum_sum().cast(pl.UInt32), stage=stage)
        .with_columns(
            position=pl.int_range(pl.len(), dtype=pl.UInt16).over("journey"),
            stage_high=pl.col("stage").cum_max().over("journey").cast(pl.UInt8),
            reached=pl.lit(False),
            segment=pl.lit(0, pl.UInt16),
            bucket=(pl.col("customer") % 32).cast(pl.UInt8),
            period=periods.index_of(pl.col("occurred_at")),
        )
        .drop("stage")
    )
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    return count_frames(
        [rows],
        places=places,
        segments=pl.DataFrame({"segment": pl.Series([0], dtype=pl.UInt16)}),
        periods=periods,
        customers=customers,
        observed_until=last,
        silence=gap,
        plan=plan,
        open_hours=open_hours,
    )
