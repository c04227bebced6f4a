"""Arrivals against loops in plain Python, on logs thrown by dice; and what must hold of any log."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest

from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER, SET_ASIDE, count_frames
from cxlib.arrivals.silences import choose_silence
from cxlib.bins import BIN_EDGES
from cxlib.errors import InputError, UnknownNameError
from cxlib.periods import choose_periods
from cxlib.summary import Selection

START = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=200)
SILENCE = timedelta(days=30)
PLACES = pl.DataFrame(
    {
        "place": [0, 1, 2, 3],
        "touchpoint": ["ad", "page", "shop", "mail"],
        "channel": ["web", "web", "store", "email"],
        "stage": ["a", "b", "b", "a"],
        "owner": ["x", "x", "y", "x"],
        "stage_index": pl.Series([0, 1, 1, 0], dtype=pl.UInt8),
        "initiated_by": ["customer", "customer", "customer", "company"],
        "is_goal": [False] * 4,
        "is_lost": [False] * 4,
    }
)


def throw_log(seed, customers=60):
    """Rows as the store keeps them; journeys end at silence only."""
    dice = Random(seed)
    rows, journey = [], 0
    for customer in range(customers):
        at, high, position = START + timedelta(days=dice.random() * 100), -1, 0
        for number in range(dice.randrange(1, 14)):
            wait = dice.choice([0, 30, 4_000, 90_000, 2_000_000, 3_000_000]) if number else 0
            at += timedelta(seconds=wait)
            if at > UNTIL:
                break
            place = dice.randrange(4)
            stage = PLACES["stage_index"][place]
            new = number == 0 or wait > SILENCE.total_seconds()
            # numbers of journeys are the log's own, and a few begin without a silence
            new = new or dice.random() < 0.1
            journey, position = journey + new, 0 if new else position + 1
            high = stage if new else max(high, stage)
            rating = dice.choice([None, None, float(dice.randrange(11))])
            rows.append((customer, at, 0, place, journey, position, high, rating))
    columns = ("customer", "occurred_at", "sequence", "place", "journey", "position", "stage_high")
    frame = pl.DataFrame(rows, schema=[*columns, "rating"], orient="row").cast(
        {"customer": pl.UInt32, "place": pl.UInt16, "position": pl.UInt16, "stage_high": pl.UInt8}
    )
    periods = choose_periods(START, UNTIL)
    return frame.with_columns(
        reached=pl.lit(False),
        segment=(pl.col("customer") % 2).cast(pl.UInt16),
        bucket=(pl.col("customer") % 32).cast(pl.UInt8),
        period=periods.index_of(pl.col("occurred_at")),
    )


def count(rows):
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    return count_frames(
        [rows],
        places=PLACES,
        segments=pl.DataFrame({"segment": [0, 1], "segment.kind": ["even", "odd"]}),
        periods=choose_periods(START, UNTIL),
        customers=customers,
        observed_until=UNTIL,
        silence=SILENCE,
    )


def walk(rows):
    """Contacts per customer and where they came from; per handoff, transitions and reloads."""
    per_customer, aside = defaultdict(list), defaultdict(Counter)
    for row in rows.iter_rows(named=True):
        mine = per_customer[row["customer"]]
        before = mine[-1] if mine else None
        same = before is not None and before["journey"] == row["journey"]
        wait = row["occurred_at"] - before["occurred_at"] if same else None
        again = same and before["place"] == row["place"] and wait <= timedelta(seconds=60)
        source = before["place"] if same else None
        mine.append({**row, "source": source, "wait": wait, "reload": again})
        if same:
            aside[source, row["place"]]["transitions"] += 1
        if again:
            aside[source, row["place"]]["reload"] += 1
    return [[c for c in mine if not c["reload"]] for mine in per_customer.values()], aside


def is_return(mine, i):
    """Whether a contact leads back to the place two before, or to its channel."""
    here = mine[i]
    if i < 2 or mine[i - 2]["journey"] != here["journey"] or here["source"] == here["place"]:
        return False
    channels = [PLACES["channel"][mine[j]["place"]] for j in (i - 2, i - 1, i)]
    return mine[i - 2]["place"] == here["place"] or channels[0] == channels[2] != channels[1]


def next_of(mine, i):
    """The next contact of the journey within the silence."""
    following = mine[i + 1] if i + 1 < len(mine) else None
    if following is None or following["journey"] != mine[i]["journey"]:
        return None
    return following if following["occurred_at"] - mine[i]["occurred_at"] <= SILENCE else None


def why_aside(here, turn):
    if here["wait"] == timedelta(0):
        return "tied"
    if here["wait"] > SILENCE:
        return "slow"
    return "often" if turn >= MAX_PER_CUSTOMER else None


def oracle(rows):
    """Per handoff counts, in loops; (source, target, next), waits, and what is set aside."""
    found, onward, waits = defaultdict(Counter), Counter(), Counter()
    customers, aside = walk(rows)
    for mine in customers:
        turns = Counter()
        for i, here in enumerate(mine):
            if here["source"] is None:
                continue
            handoff, wait = (here["source"], here["place"]), here["wait"]
            why = why_aside(here, turns[handoff])
            turns[handoff] += why in {None, "often"}
            if why is not None:
                aside[handoff][why] += 1
                continue
            cell = found[handoff]
            cell["rating_n"] += here["rating"] is not None
            follow_up = UNTIL - here["occurred_at"]
            if follow_up + wait >= SILENCE:
                seconds = wait.total_seconds()
                waits[(*handoff, max(i for i, e in enumerate(BIN_EDGES) if e <= seconds))] += 1
            if follow_up < SILENCE:
                continue
            cell["n"] += 1
            own = [m for m in mine[i + 1 :] if m["place"] != 3]
            cell["silent"] += not own or own[0]["occurred_at"] - here["occurred_at"] > SILENCE
            following = next_of(mine, i)
            cell["onward"] += following is not None
            if following is None or is_return(mine, i):
                continue
            cell["fresh"] += 1
            target = following["place"]
            cell["back"] += PLACES["stage_index"][target] < PLACES["stage_index"][here["place"]]
            onward[(*handoff, target)] += 1
    return found, onward, waits, aside


@pytest.mark.parametrize("seed", range(12))
def test_every_count_equals_the_plain_loops(seed):
    rows = throw_log(seed)
    counted = count(rows)
    found, onward, waits, aside = oracle(rows)
    names = ["n", "silent", "onward", "fresh", "back", "rating_n"]
    table = counted.arrivals.group_by("source", "target").agg(pl.col(names).sum())
    ours = {r[:2]: dict(zip(names, r[2:], strict=True)) for r in table.iter_rows()}
    assert ours == {h: {n: c[n] for n in names} for h, c in found.items()}
    for frame, keys, theirs in (
        (counted.onward, ["source", "target", "next"], onward),
        (counted.waits, ["source", "target", "bin"], waits),
    ):
        summed = frame.group_by(keys).agg(pl.col("n").sum())
        assert {r[:3]: r[3] for r in summed.iter_rows()} == dict(theirs)
    counts = ["transitions", *SET_ASIDE]
    table = counted.transitions.group_by("source", "target").agg(pl.col(counts).sum())
    ours = {r[:2]: dict(zip(counts, r[2:], strict=True)) for r in table.iter_rows()}
    assert ours == {h: {n: c[n] for n in counts} for h, c in aside.items()}


def test_filters_are_parts_of_the_whole():
    counted = count(throw_log(4))
    parts = [counted.select(Selection(segment=("kind", v))) for v in ("even", "odd")]
    assert sum(p.arrivals["n"].sum() for p in parts) == counted.arrivals["n"].sum() > 0
    with pytest.raises(UnknownNameError, match="odd"):
        counted.select(Selection(segment=("kind", "neither")))
    with pytest.raises(InputError, match="outside"):
        counted.select(Selection(period=(0, 99)))


@pytest.mark.parametrize(
    ("days", "gap", "expected"), [(365, 30, 30), (60, 30, 14), (25, 30, 7), (3, 30, 7), (9, 2, 2)]
)
def test_silence_fits_the_log(days, gap, expected):
    chosen = choose_silence(timedelta(days=days), timedelta(days=gap))
    assert chosen == timedelta(days=expected)
