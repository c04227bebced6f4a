"""Grounds beside similar transitions: since when, for whom, against the plan; what is folded."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.special import stdtr
from scipy.stats import betabinom

from cxlib.arrivals.arrivals import count_frames
from cxlib.arrivals.histories import block_at
from cxlib.errors import UnknownNameError
from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.grounds.comparing import Arms, compare_arms, design_effect
from cxlib.grounds.expectation import STATED_FOR
from cxlib.grounds.groups import Compared, _usual
from cxlib.grounds.like import MIN_LIKE, judge_like
from cxlib.grounds.past import (
    _NATURAL,
    _STRETCHES,
    DATES,
    Noise,
    Series,
    _read_series,
    clearest,
)
from cxlib.map_model import PlannedHandoff
from cxlib.periods import choose_periods
from cxlib.signals import SIGNALS

START = datetime(2025, 1, 6, tzinfo=UTC)
SEGMENTS = pl.DataFrame(
    {"segment": pl.Series([0, 1], dtype=pl.UInt16), "segment.device": ["desktop", "mobile"]}
)


def one_channel(
    seed, *, days=112, customers=9_000, slow_since=None, times=2, lost=None, usual=0.4, to=(4,)
):
    """Seven pages of one channel, no stages, no goal: rows of the store and segments of customers.

    ``slow_since``: day from which page 5 → page 4 (or others, ``to``) takes so many ``times`` as
    long; ``lost``: share
    of the mobile customers who leave at page 4 beyond the others; ``usual``: median wait, in days.
    """
    dice = np.random.default_rng(seed)
    ways = dice.dirichlet(np.full(7, 0.8), 7)
    np.fill_diagonal(ways, 0.0)
    ways /= ways.sum(1, keepdims=True)
    leave = dice.uniform(0.12, 0.3, 7)
    rows = []
    device = dice.integers(0, 2, customers)
    for customer in range(customers):
        day = dice.uniform(0, days)
        here = int(dice.integers(7))
        while day < days:
            rows.append((customer, START + timedelta(days=float(day)), here, int(device[customer])))
            out = leave[here] + (lost if lost and here == 4 and device[customer] else 0.0)
            if dice.random() < out:
                break
            there = int(dice.choice(7, p=ways[here]))
            wait = float(np.exp(dice.normal(np.log(usual), 0.8)))
            slow = slow_since is not None and day >= slow_since and here == 5 and there in to
            day += wait * (times if slow else 1)
            here = there
    schema = {"customer": pl.UInt32, "occurred_at": pl.Datetime("us", "UTC")}
    schema |= {"place": pl.UInt16, "segment": pl.UInt16}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("customer", "occurred_at")


def judge(rows, plan=(), **options):
    places = pl.DataFrame(
        {
            "place": pl.Series(range(7), dtype=pl.UInt16),
            "touchpoint": [f"page {i}" for i in range(7)],
            "channel": ["web"] * 7,
            "stage": [None] * 7,
            "stage_index": pl.Series([255] * 7, dtype=pl.UInt8),
            "owner": ["team"] * 7,
            "initiated_by": ["customer"] * 7,
            "is_goal": [False] * 7,
            "is_lost": [False] * 7,
        },
        schema_overrides={"stage": pl.String},
    )
    periods = choose_periods(rows["occurred_at"].min(), rows["occurred_at"].max(), time_zone="UTC")
    rows = rows.with_columns(
        journey=pl.col("customer"),
        sequence=pl.lit(None, pl.Int64),
        stage_high=pl.lit(255, pl.UInt8),
        reached=pl.lit(value=False),
        lost=pl.lit(value=False),
        position=pl.int_range(pl.len()).over("customer").cast(pl.UInt16),
        period=periods.index_of(pl.col("occurred_at")),
        bucket=(pl.col("customer") % 32).cast(pl.UInt8),
    )
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    arrivals = count_frames(
        [rows],
        places=places,
        segments=SEGMENTS if rows["segment"].max() else SEGMENTS.head(1).select("segment"),
        periods=periods,
        customers=customers,
        observed_until=rows["occurred_at"].max(),
        silence=timedelta(days=14),
        plan=plan,
    )
    return measure_fragmentation(arrivals, **options)


@pytest.fixture(scope="module")
def found():
    """A wait that doubles from week 8 on, and a page that loses mobile customers."""
    return judge(one_channel(3, slow_since=49, lost=0.15))


def test_a_wait_that_doubles_is_dated(found):
    row = found.found.row(by_predicate=pl.col("signal") == "delay", named=True)
    assert (row["ground"], row["unit"]) == ("past", "transition")
    assert (row["source"], row["target"]) == ("page 5", "page 4")
    assert abs((row["since"] - date(2025, 2, 24)).days) <= 7
    assert row["low"] <= 2.0 <= row["high"]
    assert row["customers_affected"] == row["n"], "everybody waits longer"
    assert row["hours_lost"] > 0
    assert "before" in row["sentence"]
    # as counted: the usual wait of 0.4 days, as customers who leave and others who wait allow
    assert row["others"] == pytest.approx(0.4 * 24, rel=0.15)


def test_waits_of_all_ways_out_of_a_place_are_told_together():
    """Page 5 keeps everybody 1.6 times as long: no way on says so alone."""
    rows = one_channel(3, customers=2_000, slow_since=49, times=1.6, to=range(7))
    found = judge(rows, signals=["delay"])
    (row,) = found.found.rows(named=True)
    assert (row["ground"], row["unit"], row["source"]) == ("past", "place", "page 5")
    assert abs((row["since"] - date(2025, 2, 24)).days) <= 7
    assert row["low"] <= 1.6 <= row["high"]
    assert row["sentence"].startswith("whatever follows page 5 takes 1.")
    ways = found.table.filter(unit="transition", ground="past", source="page 5")
    ways = ways.filter(pl.col("group").is_null())
    assert len(ways) == 3
    assert ways["q"].min() > Q_LIMIT, "no way alone"
    # of a group it may be the share who come back in the next session only, on all ways at once
    places = found.table.filter(unit="place", ground="past")
    assert places["group"].is_null().all()


def test_a_group_that_is_lost_is_named(found):
    row = found.found.row(by_predicate=pl.col("signal") == "abandonment", named=True)
    assert (row["ground"], row["source"]) == ("groups", "page 4")
    assert (row["group"], row["value"], row["compared_with"]) == ("device", "mobile", "desktop")
    assert row["low"] <= 0.15 <= row["high"]
    assert row["customers_affected"] == round(row["n"] * row["low"])


def test_a_long_wait_is_dated_by_those_who_begin_to_wait():
    """Waits of three days that double: by their ends they would come late, and seem to drift."""
    rows = one_channel(6, customers=7_000, days=126, slow_since=49, usual=3.0)
    found = judge(rows, grounds=["past"], signals=["delay"])
    row = found.found.row(0, named=True)
    assert (row["source"], row["target"], row["group"]) == ("page 5", "page 4", None)
    assert abs((row["since"] - date(2025, 2, 24)).days) <= 2
    assert row["low"] <= 2.0 <= row["high"]
    # every wait of a transition lies on the day on which it began
    waits = found.arrivals.begun_waits
    here, there = pl.col("place"), pl.col("place").shift(-1).over("customer")
    at, next_at = pl.col("occurred_at"), pl.col("occurred_at").shift(-1).over("customer")
    end, most = rows["occurred_at"].max(), timedelta(days=14)
    own = rows.filter((here == 5) & (there == 4) & (next_at - at <= most) & (at <= end - most))
    own = own.with_columns(nth=pl.int_range(pl.len()).over("customer")).filter(pl.col("nth") < 3)
    monday = date(1970, 1, 5)
    by_day = own.group_by(block=(pl.col("occurred_at").dt.date() - monday).dt.total_days()).len()
    seen = waits.filter((pl.col("source") == 5) & (pl.col("target") == 4))
    assert dict(seen.group_by("block").agg(pl.col("n").sum()).rows()) == dict(by_day.rows())


def test_a_rule_that_leaves_no_wait_as_it_was_is_found():
    """Cases are closed after ten days; from 6 March on after five, and all older ones at once."""
    dice = np.random.default_rng(2)
    since, rows = 56, []
    for who in range(4_000):
        day = dice.uniform(0, 140)
        closed = day + 10 if day + 10 < since else max(since + dice.uniform(0, 1), day + 5)
        steps = [(0, day - 3), (1, day), (2, closed + dice.normal(0, 0.2))]
        steps = [(p, START + timedelta(days=float(d + 3))) for p, d in steps]
        rows += [(who, at, place, who % 2) for place, at in steps]
    schema = {"customer": pl.UInt32, "occurred_at": pl.Datetime("us", "UTC")}
    schema |= {"place": pl.UInt16, "segment": pl.UInt16}
    log = pl.DataFrame(rows, schema=schema, orient="row")
    found = judge(log, grounds=["past"], signals=["delay"])
    row = found.found.row(0, named=True)
    assert (row["source"], row["target"], row["group"]) == ("page 1", "page 2", None)
    # those who were to wait from 24 February on are closed earlier already
    assert date(2025, 2, 24) <= row["affected_until"] <= date(2025, 3, 7)
    assert 1.5 < row["effect"] < 2.1
    assert "mended" in row["sentence"]


def test_few_transitions_do_not_tell_what_is_usual():
    part = judge(one_channel(4, customers=1_500), grounds=["like"]).arrivals
    signal = SIGNALS["abandonment"]
    frame = signal.judge(part)
    assert len(frame) > MIN_LIKE
    for many in (MIN_LIKE, MIN_LIKE - 1):
        some = frame.head(many)
        found = judge_like(part, {"abandonment": replace(signal, judge=lambda _, some=some: some)})
        assert [len(rows["n"]) for rows in found] == ([MIN_LIKE] if many >= MIN_LIKE else [])


@pytest.mark.parametrize(("times", "alike"), [(5, True), (40, False)])
def test_a_wait_of_another_nature_is_compared_with_nothing(times, alike):
    found = judge(
        one_channel(5, slow_since=0, times=times, usual=0.05, customers=4_000),
        grounds=["like"],
        signals=["delay"],
    )
    judged = set(found.table.select("source", "target").iter_rows())
    assert (("page 5", "page 4") in judged) == alike
    assert len(judged) >= MIN_LIKE


def series(shares, n=40):
    """Units over weeks of so many cases each, at these shares, without any chance."""
    cases = np.full(shares.shape, float(n))
    total = cases * shares
    mean = total.sum(1, keepdims=True) / cases.sum(1, keepdims=True)
    info = cases * mean * (1 - mean)
    reached = cases.cumsum(1)
    whole = reached[:, -1:]
    count = len(shares)
    return Series(
        u=np.arange(count),
        group=np.full(count, None),
        value=np.full(count, None),
        residual=total - cases * mean,
        info=info,
        exact=mean * (1 - mean) * reached * (whole - reached) / whole,
        n=cases,
        total=total,
        slope=(mean * (1 - mean))[:, 0],
        variance=np.ones(count),
    )


def test_what_was_mended_is_a_stretch_and_no_drift():
    shares = np.full((1, 52), 0.1)
    shares[:, 20:44] = 0.24
    found = clearest(series(shares), Noise(np.ones(1), tau=0.15, units=20))
    assert (found.start[0], found.end[0]) == (20, 44)
    assert found.p[0] < 0.001, "since the date alone 0.09: what came after is not all alike"


def test_what_lasts_is_a_date():
    shares = np.full((1, 52), 0.1)
    shares[:, 20:] = 0.24
    found = clearest(series(shares), Noise(np.ones(1), tau=0.15, units=20))
    assert (found.start[0], found.end[0]) == (20, 52)


def test_a_stretch_that_chance_blurs_more_than_nature_has_no_heavy_tail():
    shares = np.full((1, 52), 0.1)
    shares[:, 20:44] = 0.24
    noise = Noise(np.ones(1), tau=0.1, units=4)
    found = clearest(series(shares, n=24), noise)
    own = found.usual[0] ** 2
    share = own / (own + found.variance[0])
    assert share < 0.5, "most of it is chance"
    heavy = 2 * _NATURAL * (_STRETCHES / DATES) ** 0.5 * stdtr(40, -found.z[0])
    assert found.p[0] < heavy / 3
    assert found.p[0] >= found.chance[0]


def test_environments_are_compared_where_no_segment_and_one_channel_is_known():
    rows = one_channel(3, customers=4_000, lost=0.25)
    around = rows.with_columns(
        pl.lit(0, pl.UInt16).alias("segment"),
        pl.col("segment").replace_strict({0: "desk 1", 1: "desk 2"}).alias("environment.desk"),
    )
    found = judge(around, signals=["abandonment"], grounds=["groups"]).found
    row = found.row(by_predicate=pl.col("source") == "page 4", named=True)
    assert (row["group"], row["value"]) == ("desk", "desk 2")
    assert row["low"] <= 0.25 <= row["high"]
    assert row["others"] == pytest.approx(row["expected"], abs=0.05)


def test_a_group_is_sent_back_at_a_place_that_many_ways_lead_to():
    dice = np.random.default_rng(1)
    rows = []
    for customer in range(1_500):
        mobile, day = int(dice.random() < 0.15), float(dice.uniform(0, 90))
        came_from = int(dice.choice([0, 1, 2, 3, 5, 6]))
        back = dice.random() < (0.5 if mobile else 0.15)
        next_ = came_from if back else int(dice.choice([p for p in range(7) if p != came_from]))
        for number, place in enumerate((came_from, 4, next_)):
            at = START + timedelta(days=day + number)
            rows.append((customer, at, place, mobile))
    schema = {"customer": pl.UInt32, "occurred_at": pl.Datetime("us", "UTC")}
    schema |= {"place": pl.UInt16, "segment": pl.UInt16}
    log = pl.DataFrame(rows, schema=schema, orient="row").sort("customer", "occurred_at")
    table = judge(log, signals=["ping_pong"], grounds=["groups"]).table
    mobile = table.filter(pl.col("value") == "mobile")
    assert mobile["unit"].to_list() == ["place"], "of no single way there are enough"
    row = mobile.row(0, named=True)
    assert (row["source"], row["finding"]) == ("page 4", True)
    assert row["low"] <= 0.35 <= row["high"]


def test_what_nothing_is_known_before_is_left_out_from_the_first_contact_on():
    """And not from the first of the month, in which the log began later."""
    rows = one_channel(7, customers=2_000, usual=2.0)
    rows = rows.with_columns(pl.col("occurred_at") + timedelta(days=3, hours=20))
    part = judge(rows, grounds=["past"], signals=["volume"]).arrivals
    found = _read_series(part, SIGNALS["identity_break"], "place", begun=False)
    assert part.periods.starts[0] < part.settings.first_at.date() - timedelta(days=2)
    begun = block_at(part.settings.first_at, part.periods, part.settings.span)
    silence = part.settings.silence.days
    assert found.n[:, : begun + silence].sum() == 0
    assert found.n[:, begun + silence].sum() > 0


@pytest.mark.parametrize(("since", "told"), [(86, False), (60, True)])
def test_a_short_good_time_does_not_make_a_fault_of_all_the_rest(since, told):
    rows = one_channel(11, slow_since=since, times=0.4)
    found = judge(rows, grounds=["past"], signals=["delay"]).table
    row = found.row(
        by_predicate=(pl.col("source") == "page 5")
        & (pl.col("target") == "page 4")
        & pl.col("group").is_null(),
        named=True,
    )
    assert (row["since"], row["finding"]) == (None, told)


def test_waits_from_one_place_that_grew_together_are_one_finding():
    common = {
        "signal": "delay", "unit": "transition", "source": "reviews", "ground": "groups",
        "source_place": 3, "significant": True, "affected": 50.0, "since": None,
        "group": "country", "value": "DE", "effect": 3.5,
    }  # fmt: skip
    ways = (("product", 900, 9.0), ("basket", 400, 8.0), ("category", 100, 7.0))
    rows = [
        common | {"target": to, "n": n, "z": z, "row": i, "target_place": i}
        for i, (to, n, z) in enumerate(ways)
    ]
    chosen = choose_findings(pl.DataFrame(rows, schema_overrides={"since": pl.Date}))
    assert chosen["finding"].to_list() == [True, False, False]
    elsewhere = [row | {"value": value} for row, value in zip(rows, "ABC", strict=True)]
    chosen = choose_findings(pl.DataFrame(elsewhere, schema_overrides={"since": pl.Date}))
    assert chosen["finding"].all(), "of other countries they are causes of their own"
    # of all ways together: the place, where one way is not nearly all of it
    place = common | {"unit": "place", "target": None, "n": 1_400, "z": 8.5, "row": 3}
    place |= {"target_place": -1, "effect": 2.8}
    schema = {"since": pl.Date}
    chosen = choose_findings(pl.DataFrame([*rows[1:], place], schema_overrides=schema))
    assert chosen["finding"].to_list() == [False, False, True]
    chosen = choose_findings(pl.DataFrame([rows[0], place], schema_overrides=schema))
    assert chosen["finding"].to_list() == [True, False]
    nearly = place | {"n": 950, "effect": 3.4, "z": 9.5}
    chosen = choose_findings(pl.DataFrame([rows[0], nearly], schema_overrides=schema))
    assert chosen["finding"].to_list() == [True, False], "where nearly all go one way, it is that"


def test_a_group_that_accounts_for_a_date_is_the_finding():
    """A release that makes its users repeat a task, while it is in use: the date is its shadow."""
    shadow = {"ground": "past", "z": 9.0, "n": 800, "effect": 0.1, "since": date(2025, 3, 1)}
    cause = {"ground": "groups", "z": 7.0, "n": 700, "effect": 0.22}
    cause |= {"group": "version", "value": "6.0"}
    common = {
        "signal": "repeated_task", "unit": "place", "source": "activation", "target": None,
        "source_place": 3, "target_place": -1, "significant": True, "affected": 50.0,
        "group": None, "value": None, "since": None,
    }  # fmt: skip
    rows = [common | shadow | {"row": 0}, common | cause | {"row": 1}]
    schema = {"since": pl.Date, "group": pl.String, "value": pl.String, "target": pl.String}
    chosen = choose_findings(pl.DataFrame(rows, schema_overrides=schema))
    assert chosen["finding"].to_list() == [False, True]
    assert chosen["echo_of"].to_list() == ["activation: repeated_task", None]


def test_a_unit_where_one_value_stands_out_tells_nothing_of_natural_variety():
    def usual(clearest, *, units):
        """Three values at each unit; at the first one the first is worse, the others look better"""
        u, value = np.divmod(np.arange(3 * units), 3)
        effect = np.where(u == 0, np.where(value == 0, clearest, -clearest / 2), 0.05)
        own = np.full(len(u), 100.0)
        arms = Arms(*[own] * 5, effect * own, own, *[own] * 4)
        group = np.full(len(u), "plan", dtype=object)
        compared = Compared(0 * u, group, u, value.astype(str).astype(object), arms, 1.0)
        return _usual(SIGNALS["abandonment"], {"transition": compared})[1]

    told = usual(0.8, units=5)
    assert told == pytest.approx(usual(0.05, units=4)) != usual(0.05, units=5)
    # two of three values are free to differ, at four units; a default of 0.2 counts as six
    assert told**2 == pytest.approx((STATED_FOR * 0.2**2 + 8 * 0.0) / (STATED_FOR + 8))


PLAN = (PlannedHandoff("page 0", "page 1", timedelta(days=3)),)


def planned(seed, *, since=None, mobile=False, days=112, customers=8_000):
    """Everybody plans to go from page 0 to page 1 in three days; a fifth takes another way.

    From day `since` on, or for mobile customers, a quarter more does. Half come by page 2 first.
    """
    dice = np.random.default_rng(seed)
    at, device = dice.uniform(0, days, customers), dice.integers(0, 2, customers)
    hit = (at >= since) if since is not None else np.full(customers, mobile) & (device == 1)
    there = np.where(dice.random(customers) < 0.2 + 0.25 * hit, 3, 1)
    rows = []
    for who in range(customers):
        when = at[who]
        steps = ([2] if who % 2 else []) + [0, int(there[who]), 4]
        for place in steps:
            if when < days:
                rows.append((who, START + timedelta(days=float(when)), place, int(device[who])))
            when += dice.uniform(0.1, 1.5)
    schema = {"customer": pl.UInt32, "occurred_at": pl.Datetime("us", "UTC")}
    schema |= {"place": pl.UInt16, "segment": pl.UInt16}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("customer", "occurred_at")


def about_the_plan(found):
    return found.table.filter(pl.col("signal") == "broken_handoff")


def test_a_plan_that_fails_since_a_date_is_dated():
    found = judge(planned(1, since=56), PLAN)
    row = about_the_plan(found).row(by_predicate=pl.col("finding"), named=True)
    assert (row["ground"], row["source"], row["target"]) == ("past", "page 0", "page 1")
    assert row["since"] == date(2025, 3, 3)
    assert row["low"] <= 0.25 <= row["high"]
    assert row["customers_affected"] == round(row["n"] * row["low"])
    told = dict(found.grounds.filter(pl.col("signal").is_null()).select("ground", "reason").rows())
    assert "plans 1 handoffs" in told["plan"]


def test_a_plan_that_fails_for_a_group_names_it():
    found = about_the_plan(judge(planned(2, mobile=True), PLAN))
    row = found.row(by_predicate=pl.col("finding"), named=True)
    assert (row["ground"], row["group"], row["value"]) == ("groups", "device", "mobile")
    assert row["low"] <= 0.25 <= row["high"]


def test_a_plan_that_always_fails_as_often_is_no_finding():
    found = about_the_plan(judge(planned(3), PLAN))
    assert set(found["ground"]) == {"past", "groups"}
    assert not found["finding"].any()


def test_only_those_followed_to_the_deadline_count_for_a_plan():
    rows = planned(4)
    found = about_the_plan(judge(rows, PLAN, grounds=["groups"]))
    end = rows["occurred_at"].max() - timedelta(days=3)
    sources = rows.filter((pl.col("place") == 0) & (pl.col("occurred_at") <= end))
    by_device = dict(sources.group_by("segment").len().rows())
    said = dict(found.select("value", "n").rows())
    assert said == {"desktop": by_device[0], "mobile": by_device[1]}


def test_small_counts_are_no_less_likely_than_they_are():
    """3 of 60 mobile customers leave page 0, of the others 1 in 200: a normal law calls it sure."""
    rows = []
    for who in range(2_060):
        mobile = who < 60
        leaves = who < 3 if mobile else who % 200 == 0
        day = 7 * (who % 8)
        steps = [0] if leaves else [0, 1, 2]
        rows += [
            (who, START + timedelta(days=day + i), p, int(mobile)) for i, p in enumerate(steps)
        ]
    rows.append((2_060, START + timedelta(days=90), 3, 0))
    schema = {"customer": pl.UInt32, "occurred_at": pl.Datetime("us", "UTC")}
    schema |= {"place": pl.UInt16, "segment": pl.UInt16}
    table = judge(pl.DataFrame(rows, schema=schema, orient="row"), grounds=["groups"]).table
    row = table.row(
        by_predicate=(pl.col("signal") == "abandonment")
        & (pl.col("unit") == "place")
        & (pl.col("source") == "page 0")
        & (pl.col("value") == "mobile"),
        named=True,
    )
    assert (row["n"], row["observed"]) == (60, 0.05)
    usual, others = row["expected"], 2_000
    exact = betabinom.sf(2, 60, usual * others, (1 - usual) * others)
    assert row["p"] == pytest.approx(exact, rel=0.05)
    assert not row["finding"]


def test_one_cause_is_one_finding(found):
    assert len(found.found) == 2
    folded = found.table.filter(pl.col("echo_of").is_not_null())
    assert len(folded) > 0
    assert not folded["finding"].any()


def test_a_clean_log_of_one_channel_is_silent_and_still_described():
    clean = judge(one_channel(4))
    assert clean.tests > 100
    assert clean.found.is_empty()
    described = clean.described
    assert {"wait", "loop"} <= set(described["kind"])
    assert (described["low"] <= described["observed"]).all()
    assert (described["observed"] <= described["high"]).all()


def test_grounds_and_signals_are_chosen_by_name():
    rows = one_channel(4, customers=1_500)
    past = judge(rows, grounds=["past"], signals=["delay"])
    assert set(past.table["ground"]) == {"past"}
    assert set(past.table["signal"]) == {"delay"}
    with pytest.raises(UnknownNameError, match="ground 'pats'"):
        judge(rows, grounds=["pats"])
    with pytest.raises(UnknownNameError, match="signal 'dealy'"):
        judge(rows, signals=["dealy"])


def test_arms_are_compared_as_a_plain_loop_compares_them():
    dice = np.random.default_rng(1)
    rows = [
        {"u": u, "k": k, "v": v, "n": float(n), "s": float(dice.binomial(n, 0.3))}
        for u in range(2)
        for k in range(4)
        for v in "ab"
        if (n := dice.integers(0, 40))
    ]
    u, k, n, s = (np.array([r[c] for r in rows]) for c in "ukns")
    arm = 2 * u + [r["v"] == "b" for r in rows]
    found = compare_arms(arm, 4 * u + k, n, s, unit=u)
    for number in range(4):
        row = {name: values[number] for name, values in found._asdict().items()}
        row |= {"u": number // 2, "v": "ab"[number % 2]}
        score = info = weight = difference = 0.0
        for k in range(4):
            here = [r for r in rows if r["u"] == row["u"] and r["k"] == k]
            n, s = (sum(r[c] for r in here if r["v"] == row["v"]) for c in "ns")
            whole, total = (sum(r[c] for r in here) for c in "ns")
            rest = whole - n
            if not n or not rest:
                continue
            score += s - n * total / whole
            info += n * rest * total * (whole - total) / (whole**2 * (whole - 1))
            weight += n * rest / whole
            difference += (s / n - (total - s) / rest) * n * rest / whole
        assert row["score"] == pytest.approx(score)
        assert row["info"] == pytest.approx(info)
        assert row["difference"] == pytest.approx(difference / weight)


def test_errors_of_groups_are_over_customers():
    """Customers come three times and mostly do the same: a bootstrap over them is the oracle."""
    dice = np.random.default_rng(8)
    size, places = 3_000, 6
    chance = dice.beta(0.6, 1.4, (size, places))
    customer, target = np.repeat(np.arange(size), 3 * places), np.tile(np.arange(places), 3 * size)
    rows = pl.DataFrame(
        {
            "source": 99,
            "target": target,
            "bucket": customer % 32,
            "value": (customer % 2).astype(str),
            "customer": customer,
            "s": (dice.random(len(customer)) < chance[customer, target]) * 1.0,
            "n": 1.0,
        }
    )
    spread = rows.group_by("source", "target", "bucket").agg(pl.col("n", "s").sum())
    wide = design_effect(spread.sort("source", "target", "bucket"), "n", "s")
    here = rows.filter(pl.col("target") == 0)
    arms = here.group_by("value").agg(pl.col("n", "s").sum()).sort("value")
    cases, one = (arms[c].to_numpy() for c in "ns"), np.zeros(2, dtype=int)
    variance = compare_arms(np.arange(2), one, *cases, unit=one).variance[1]
    by = here.group_by("customer", "value").agg(pl.col("s").sum()).sort("customer")
    told, own = by["s"].to_numpy(), (by["value"] == "1").to_numpy()
    found = []
    for _ in range(2_000):
        weight = np.bincount(dice.integers(0, size, size), minlength=size)
        means = [weight[g] @ told[g] / weight[g].sum() / 3 for g in (own, ~own)]
        found.append(means[0] - means[1])
    oracle = np.std(found)
    assert wide > 1.5, "three answers of one customer are not three customers"
    # 32 buckets of six places tell the design effect to about a tenth
    assert (variance * wide) ** 0.5 == pytest.approx(oracle, rel=0.12)
    assert variance**0.5 < 0.9 * oracle


def test_independent_cases_have_no_design_effect():
    dice = np.random.default_rng(9)
    n = np.full(32 * 40, 60)
    spread = pl.DataFrame(
        {
            "source": 1,
            "target": np.repeat(np.arange(40), 32),
            "bucket": np.tile(np.arange(32), 40),
            "n": n,
            "s": dice.binomial(n, 0.3),
        }
    )
    assert design_effect(spread, "n", "s") == pytest.approx(1.0, abs=0.08)
