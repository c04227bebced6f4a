"""Missing links between channels: what they do to planned handoffs, and when a log is refused."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import DAY, SIZE, count, walk_log

from cxlib.arrivals.links import check_links, count_links, estimate_linked
from cxlib.fragmentation import measure_fragmentation
from cxlib.map_model import PlannedHandoff
from cxlib.signals import SIGNALS
from cxlib.signals.broken_handoff import judge_planned, measure_plan

CHANNEL = np.arange(SIZE) % 4
PLAN = (PlannedHandoff("t0", "t7", timedelta(days=2)),)
"""From the web to the phone within two days."""


def phone_log(seed, *, customers=20_000, broken=0.105, unlinked=0.0, days=60):
    """Everybody is on the web; all but a share call within two days; some calls get a new id."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, days * DAY, customers)
    calls = rng.random(customers) >= broken
    called = at + rng.uniform(0.1, 1.9, customers) * DAY
    fresh = rng.random(customers) < unlinked
    who = np.where(fresh, customers + np.arange(customers), np.arange(customers))
    web = np.column_stack([np.arange(customers), at, np.zeros(customers)])
    phone = np.column_stack([who, called, np.full(customers, 7)])[calls]
    table = np.vstack([web, phone])
    table = np.column_stack([table, np.full(len(table), np.nan)])
    return table[table[:, 1] < days * DAY]


def test_unlinked_calls_look_broken_and_the_bounds_hold_the_truth():
    whole = measure_plan(count(phone_log(1), plan=PLAN)).row(0, named=True)
    assert whole["low"] <= 0.105 <= whole["high"]
    assert whole["least"] == pytest.approx(whole["value"])
    lost = measure_plan(count(phone_log(1, unlinked=0.15), plan=PLAN)).row(0, named=True)
    # 1 - 0.895 × 0.85 = 0.239
    assert lost["value"] == pytest.approx(0.238, abs=0.008)
    assert lost["low"] > 0.2
    assert lost["least_low"] <= 0.105 <= lost["high"]
    assert lost["least"] == pytest.approx(0.105, abs=0.012)


def test_what_is_not_yet_is_not_broken():
    """Two days of a log of eight are not enough to see who calls: they are censored, not broken."""
    table = phone_log(2, days=8)
    arrivals = count(table, plan=PLAN)
    causes = arrivals.planned.group_by("cause").agg(pl.col("n").sum())
    n = dict(causes.iter_rows())
    found = measure_plan(arrivals).row(0, named=True)
    # times are known to a bin, a third wide
    assert found["value"] == pytest.approx(0.105, abs=0.01)
    assert (n[2] + n[3]) / sum(n.values()) > found["high"] + 0.05


def unlink(table, share, seed=0):
    """Give every contact after a change of channel a new id, with this probability."""
    rng = np.random.default_rng(seed)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    place, who = table[:, 2].astype(int), table[:, 0]
    follows = np.append(False, who[1:] == who[:-1])
    change = follows & np.append(False, CHANNEL[place[1:]] != CHANNEL[place[:-1]])
    new = ~follows | (change & (rng.random(len(table)) < share))
    return np.column_stack([np.cumsum(new) - 1, table[:, 1:]])


def stay(seed, customers=3_000, change=0.03):
    """Customers who nearly always stay on their channel, and begin in its first stage."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        channel, at = rng.integers(4), rng.uniform(0, 200) * DAY
        for step in range(rng.integers(2, 7)):
            rows.append((customer, at, 4 * min(step, 2) + channel, np.nan))
            at += rng.exponential(2) * DAY
            channel = rng.integers(4) if rng.random() < change else channel
    return np.array(rows)


def reason_of(table):
    found = measure_fragmentation(count(table))
    silent = found.signals.filter(
        pl.col("signal").is_in([n for n in SIGNALS if SIGNALS[n].follows_customers])
    )
    texts = [t for t in silent["reason"] if t and "linked" in t]
    assert len(texts) in (0, len([n for n in SIGNALS if SIGNALS[n].follows_customers]))
    return texts[0] if texts else ""


def test_complete_ids_on_many_channels_pass():
    assert reason_of(walk_log(3)) == ""


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_some_missing_links_pass(share):
    assert reason_of(unlink(walk_log(3), share)) == ""


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_mostly_missing_links_are_refused(share):
    text = reason_of(unlink(walk_log(3), share))
    assert text.startswith("not measurable, because at most ")
    links = count(unlink(walk_log(3), share)).links
    assert 1 - share <= estimate_linked(links) < 0.5


def test_few_changes_of_channel_by_nature_pass():
    table = stay(5)
    arrivals = count(table)
    changes = arrivals.links["changes"].sum() / arrivals.links["contacts"].sum()
    assert 0 < changes < 0.05
    assert check_links(arrivals.links, arrivals.places, 0.0) == ""


def devices(seed, customers=1_500, visits=4):
    """Visits on one device each, some customers on another one another day; all begin alike."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        home = rng.integers(4)
        for at in np.sort(rng.uniform(0, 200, visits)) * DAY:
            device = rng.integers(4) if rng.random() < 0.1 else home
            steps = [4 * k + device for k in rng.integers(0, 3, 3)]
            rows += [(customer, at + 300 * i, place, np.nan) for i, place in enumerate(steps)]
    return np.array(rows)


def test_coming_back_on_another_device_is_no_missing_link():
    """Changes of the device lie where visits begin, as first contacts do: that says nothing."""
    arrivals = count(devices(6), gap=timedelta(hours=8))
    assert check_links(arrivals.links, arrivals.places, 0.0) == ""


def test_ids_that_never_meet_are_refused():
    arrivals = count(stay(5, change=0.0))
    assert "no customer was ever seen on two channels" in check_links(
        arrivals.links, arrivals.places, 0.0
    )


def test_a_second_channel_that_hardly_exists_refuses_nothing():
    table = stay(5, change=0.0)
    web = table[CHANNEL[table[:, 2].astype(int)] == 0]
    few = table[CHANNEL[table[:, 2].astype(int)] == 1][:10]
    arrivals = count(np.vstack([web, few]))
    assert check_links(arrivals.links, arrivals.places, 0.0) == ""


def test_contacts_without_customer_are_refused_where_they_are_the_most():
    arrivals = count(stay(5))
    assert check_links(arrivals.links, arrivals.places, 0.4) == ""
    assert "60% of the contacts have no customer" in check_links(
        arrivals.links, arrivals.places, 0.6
    )


def test_links_equal_the_plain_loops():
    table = walk_log(4, customers=300)
    places = count(table).places.with_columns(
        initiated_by=pl.Series(["company" if i == 3 else "customer" for i in range(SIZE)])
    )
    order = np.lexsort((table[:, 1], table[:, 0]))
    rows = pl.DataFrame(
        {
            "customer": table[order, 0],
            "place": table[order, 2].astype(int),
            "journey": np.arange(len(table)) // 4,
        }
    )
    theirs = np.zeros((SIZE, 4), int)
    for (_,), part in rows.group_by("customer", maintain_order=True):
        mine = [(p, j) for p, j in part.select("place", "journey").iter_rows() if p != 3]
        alone = len({CHANNEL[p] for p, _ in mine}) == 1
        for i, (p, journey) in enumerate(mine):
            before, its = mine[i - 1]
            change = i > 0 and its == journey and CHANNEL[before] != CHANNEL[p]
            theirs[p] += [1, alone, i == 0, change]
    ours = count_links(rows, places).select("contacts", "alone", "starts", "changes")
    assert ours.to_numpy().tolist() == theirs.tolist()


def ten_plans(seed, worst):
    """From each of five touchpoints to two others: nine in ten get there, at one plan fewer."""
    rng = np.random.default_rng(seed)
    rows = []
    ends = [(source, 5 + (2 * source + i) % 7) for source in range(5) for i in range(2)]
    broken = [worst, *rng.uniform(0.08, 0.14, 9)]
    for who in range(4_000):
        at, source = rng.uniform(0, 100) * DAY, who % 5
        rows.append((who, at, source, np.nan))
        for number in (2 * source, 2 * source + 1):
            if rng.random() >= broken[number]:
                rows.append((who, at + rng.uniform(0.1, 0.9) * DAY, ends[number][1], np.nan))
    plan = tuple(PlannedHandoff(f"t{a}", f"t{b}", timedelta(days=1)) for a, b in ends)
    return count(np.array(rows), plan=plan)


def test_a_plan_that_fails_stands_out_from_like_plans():
    judged = judge_planned(ten_plans(1, 0.6)).sort("p")
    assert judged.select("source", "target").row(0) == (0, 5)
    assert judged["p"][0] < 1e-3
    assert judged["low"][0] > 0.05
    assert judged["p"][1:].min() > 0.01
    assert judge_planned(ten_plans(2, 0.1))["p"].min() > 0.01


def test_few_plans_are_described_and_not_judged():
    arrivals = count(walk_log(5, customers=600), plan=PLAN)
    found = measure_fragmentation(arrivals)
    row = found.grounds.row(by_predicate=pl.col("ground") == "plan", named=True)
    assert "plans 1 handoffs" in row["reason"]
    assert judge_planned(arrivals).is_empty()
