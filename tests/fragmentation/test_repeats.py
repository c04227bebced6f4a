"""What happens again after an arrival, against loops in plain Python on logs thrown by dice."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl
import pytest

from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER, count_frames
from cxlib.arrivals.repeats import REPEATS, SPREAD
from cxlib.map_model import PlannedHandoff
from cxlib.periods import choose_periods

START = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=120)
SILENCE = timedelta(days=30)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NAMES = ("ad", "form", "help", "call", "chat", "pay", "form")
PLACES = pl.DataFrame(
    {
        "place": range(7),
        "touchpoint": NAMES,
        "channel": ["web", "web", "web", "phone", "chat", "web", "app"],
        "stage": ["a", "b", "b", "c", "c", "b", "b"],
        "owner": ["x"] * 7,
        "stage_index": pl.Series([0, 1, 1, 2, 2, 1, 1], dtype=pl.UInt8),
        "initiated_by": ["company", *["customer"] * 6],
        "is_goal": [n == "pay" for n in NAMES],
        "is_lost": [False] * 7,
        "repeatable": [n != "form" for n in NAMES],
        "assisted": [n in ("call", "chat") for n in NAMES],
        "self_service": [n in ("form", "help", "pay") for n in NAMES],
        "completes": [n == "pay" for n in NAMES],
    }
)
PLAN = (
    PlannedHandoff("form", "call", timedelta(days=3)),
    PlannedHandoff("form", "pay", timedelta(hours=2)),
    PlannedHandoff("pay", "chat", timedelta(days=7)),
)
PLANNED = {(handoff.source, handoff.target) for handoff in PLAN}
WAITS = (0, 30, 70, 800, 4_000, 50_000, 90_000, 500_000, 1_500_000, 2_700_000)


def throw_log(seed, customers=80, issues=True):
    dice = Random(seed)
    rows, journey = [], -1
    for customer in range(customers):
        at = START + timedelta(days=dice.random() * 100)
        for number in range(dice.randrange(1, 16)):
            wait = dice.choice(WAITS) if number else 0
            at += timedelta(seconds=wait)
            if at > UNTIL:
                break
            journey += number == 0 or wait > SILENCE.total_seconds() or dice.random() < 0.05
            issue = dice.choice([None, "parcel", "refund"]) if issues else None
            rows.append((customer, at, number, dice.randrange(7), journey, issue))
    columns = ("customer", "occurred_at", "sequence", "place", "journey", "issue")
    frame = pl.DataFrame(rows, schema=[*columns], orient="row").cast(
        {"customer": pl.UInt32, "place": pl.UInt16, "journey": pl.UInt32, "issue": pl.String}
    )
    return (frame if issues else frame.drop("issue")).with_columns(
        position=pl.lit(0, pl.UInt16),
        stage_high=pl.lit(0, pl.UInt8),
        reached=pl.lit(False),
        segment=(pl.col("customer") % 2).cast(pl.UInt16),
        bucket=(pl.col("customer") % 32).cast(pl.UInt8),
        period=choose_periods(START, UNTIL).index_of(pl.col("occurred_at")).cast(pl.UInt16),
    )


def count(rows, places=PLACES, plan=PLAN):
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    return count_frames(
        [rows],
        places=places,
        segments=pl.DataFrame({"segment": [0, 1]}),
        periods=choose_periods(START, UNTIL),
        customers=customers,
        observed_until=UNTIL,
        silence=SILENCE,
        plan=plan,
    )


def by_customer(rows):
    """Contacts of each customer, reloads left out."""
    kept, last = defaultdict(list), {}
    for row in rows.iter_rows(named=True):
        mine = last.get(row["customer"])
        last[row["customer"]] = row
        if (
            mine
            and mine["journey"] == row["journey"]
            and mine["place"] == row["place"]
            and row["occurred_at"] - mine["occurred_at"] <= (MINUTE)
        ):
            continue
        row["before"] = mine
        kept[row["customer"]].append(row)
    return kept


def marked(place, name):
    return PLACES[name][place]


def again(here, later, window):
    """Flags of one arrival: for each signal whether it is judged and whether it happened."""
    at, place = here["occurred_at"], here["place"]
    judged = {
        "task": not marked(place, "repeatable"),
        "contact": marked(place, "assisted"),
        "leak": marked(place, "self_service") and not marked(place, "completes"),
    }
    since = [(r["occurred_at"] - at, r) for r in later]
    task = any(
        MINUTE < w <= window["task"]
        and NAMES[r["place"]] == NAMES[place]
        and r["journey"] == here["journey"]
        for w, r in since
    )
    issue = here.get("issue")
    contact = any(
        15 * MINUTE < w <= window["contact"]
        and marked(r["place"], "assisted")
        and (issue is None or r["issue"] == issue)
        for w, r in since
    )
    # the first that helps or completes decides
    ends = [(w, r) for w, r in since if w > timedelta(0)]
    ends = [
        (w, r) for w, r in ends if marked(r["place"], "assisted") or marked(r["place"], "completes")
    ]
    leak = bool(ends) and ends[0][0] <= window["leak"] and marked(ends[0][1]["place"], "assisted")
    # the step that the map plans next is no call for help
    leak = leak and (NAMES[place], NAMES[ends[0][1]["place"]]) not in PLANNED
    return judged, {"task": task, "contact": contact, "leak": leak}


WINDOWS = {
    "": {"task": SILENCE, "contact": 7 * DAY, "leak": DAY},
    "_0": {"task": 7 * DAY, "contact": 3 * DAY, "leak": DAY / 2},
    "_1": {"task": 14 * DAY, "contact": 14 * DAY, "leak": 2 * DAY},
    "_2": {"task": 30 * DAY},
}


def oracle(rows):
    found = defaultdict(Counter)
    for mine in by_customer(rows).values():
        turns = Counter()
        for i, here in enumerate(mine):
            before = here["before"]
            if before is None or before["journey"] != here["journey"]:
                continue
            wait = here["occurred_at"] - before["occurred_at"]
            # the store states the order within one instant
            if wait > SILENCE:
                continue
            handoff = before["place"], here["place"]
            turns[handoff] += 1
            if turns[handoff] > MAX_PER_CUSTOMER:
                continue
            follow_up = UNTIL - here["occurred_at"]
            for part, window in WINDOWS.items():
                full = window if len(window) == 3 else {**window, "contact": DAY, "leak": DAY}
                judged, happened = again(here, mine[i + 1 :], full)
                for name, span in window.items():
                    if judged[name] and follow_up >= span:
                        found[handoff][f"{name}{part}_n"] += 1
                        found[handoff][f"{name}{part}"] += happened[name]
            if judged["leak"] and follow_up >= DAY:
                start = before["occurred_at"]
                found[handoff]["leak_before"] += any(
                    timedelta(0) < start - r["occurred_at"] <= DAY
                    and marked(r["place"], "assisted")
                    for r in mine[:i]
                )
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("issues", [True, False])
def test_every_count_equals_the_plain_loops(seed, issues):
    rows = throw_log(seed, issues=issues)
    counted = count(rows)
    table = counted.repeats.group_by("source", "target").agg(pl.col(REPEATS).sum())
    ours = {r[:2]: dict(zip(REPEATS, r[2:], strict=True)) for r in table.iter_rows()}
    theirs = {h: {n: c[n] for n in REPEATS} for h, c in oracle(rows).items() if any(c.values())}
    assert {h: c for h, c in ours.items() if any(c.values())} == theirs
    assert sum(c["contact"] for c in theirs.values()) > 10
    assert sum(c["leak_before"] for c in theirs.values()) > 3
    for other in (counted.repeats_spread, counted.repeat_history):
        summed = other.select(pl.col(SPREAD).sum()).rows()
        assert summed == table.select(pl.col(SPREAD).sum()).rows()


@pytest.mark.parametrize("seed", range(3))
def test_by_environment_is_what_is_counted_of_these_contacts_alone(seed):
    rows = throw_log(seed)
    device = pl.when(pl.col("customer") < 30).then(pl.lit("phone")).otherwise(pl.lit("laptop"))
    around = count(rows.with_columns(device.alias("environment.device"))).environment_repeats
    keys, sums = ("source", "target"), pl.col(SPREAD).sum()
    assert around["column"].unique().to_list() == ["device"]
    for value, alone in (("phone", pl.col("customer") < 30), ("laptop", pl.col("customer") >= 30)):
        of_value = around.filter(value=value).group_by(keys).agg(sums).sort(keys)
        expected = count(rows.filter(alone)).repeats.group_by(keys).agg(sums).sort(keys)
        assert of_value.equals(expected)
        assert expected["task"].sum() > 0


def test_a_log_whose_map_marks_nothing_counts_nothing():
    plain = PLACES.with_columns(
        repeatable=pl.lit(True), assisted=pl.lit(False), self_service=pl.lit(False)
    )
    for places in (plain, PLACES.drop("repeatable", "assisted", "self_service", "completes")):
        counted = count(throw_log(1), places=places, plan=())
        assert counted.repeats.is_empty()
        assert counted.planned.is_empty()


def became(mine, i, planned):
    """What became of a contact at a source; of two at one instant the target counts."""
    goals = {"pay"} - {planned.target} if planned.source != "pay" else set()
    ends = [(r["occurred_at"] - mine[i]["occurred_at"], NAMES[r["place"]]) for r in mine[i + 1 :]]
    ends = [(w, name != planned.target) for w, name in ends if name in {planned.target, *goals}]
    ends = [end for end in ends if timedelta(0) < end[0] <= planned.deadline]
    if ends:
        return int(min(ends)[1])
    return 2 if UNTIL - mine[i]["occurred_at"] >= planned.deadline else 3


@pytest.mark.parametrize("seed", range(6))
def test_planned_handoffs_equal_the_plain_loops(seed):
    rows = throw_log(seed)
    theirs, followed, broken = Counter(), Counter(), Counter()
    for mine in by_customer(rows).values():
        for number, planned in enumerate(PLAN):
            starts = [i for i, r in enumerate(mine) if NAMES[r["place"]] == planned.source]
            for i in starts[:MAX_PER_CUSTOMER]:
                here = mine[i]
                theirs[number, became(mine, i, planned)] += 1
                day = here["occurred_at"].date().toordinal()
                at = (here["place"], NAMES.index(planned.target), here["segment"], day)
                if UNTIL - here["occurred_at"] >= planned.deadline:
                    followed[at] += 1
                    broken[at] += became(mine, i, planned) == 2
    counted = count(rows)
    ours = counted.planned.group_by("handoff", "cause").agg(pl.col("n").sum())
    assert {r[:2]: r[2] for r in ours.iter_rows()} == dict(theirs)
    assert {cause for _, cause in theirs} >= {0, 1, 2}
    # days are numbered from the first Monday of 1970 on
    keys = ("source", "target", "segment", pl.col("block") + date(1970, 1, 5).toordinal())
    dated = counted.plan_history.group_by(keys).agg(pl.col("n", "broken").sum())
    dated = dated.filter(pl.col("n") > 0).rows()
    assert {r[:4]: r[4:] for r in dated} == {k: (n, broken[k]) for k, n in followed.items()}
