"""Simulated journeys: the truth that is reported is the truth that is in the log.

Rates are recounted here in plain Python from the raw log. Tolerances are four standard errors of
the difference recounted (one false alarm in 16,000 draws, and the seeds are fixed).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import fmean, median

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from worlds import benchmark_world, count_handoffs

from cxlib.errors import InputError, UnknownNameError
from cxlib.journey_map import parse_journey_map
from cxlib.simulate import journeys as journeys_module
from cxlib.simulate.journeys import simulate_journeys
from cxlib.simulate.log import uniform_of
from cxlib.simulate.world import (
    Contact,
    Environment,
    Fault,
    Mailing,
    Noise,
    Persona,
    Segment,
    World,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2025, 7, 1, tzinfo=UTC)
CUSTOMERS = 8_000


def small_world(**changes: object) -> World:
    """Five touchpoints; both a and d lead to b, so one is the expectation of the other."""
    contacts = (
        Contact("a", "first", "web", "digital", 0.15, wait=timedelta(hours=4)),
        Contact("d", "first", "app", "digital", 0.25, wait=timedelta(hours=4)),
        Contact(
            "b", "second", "phone", "service", 0.30, wait=timedelta(hours=9), rating=7, response=0.5
        ),
        Contact("c", "second", "store", "retail", 0.35, wait=timedelta(hours=2)),
        Contact("e", "third", "web", "digital", 0.5),
    )
    moves = np.array(
        [
            [1, 1, 6, 2, 0],
            [1, 1, 6, 2, 0],
            [1, 1, 0, 3, 4],
            [1, 0, 2, 0, 5],
            [1, 1, 0, 0, 0],
        ],
        dtype=float,
    )
    world = World(
        name="small",
        stages=("first", "second", "third"),
        contacts=contacts,
        transitions=moves,
        arrivals={"a": 1, "d": 1},
        start=START,
        observed_until=END,
    )
    return replace(world, **changes)  # type: ignore[arg-type]


Path = list[tuple[datetime, str, float | None]]
Outcomes = list[tuple[str, ...]]


def paths(events: pl.DataFrame) -> list[Path]:
    """Contacts of each customer in order of time."""
    by_customer = defaultdict(list)
    rated = "rating" in events.columns
    for row in events.iter_rows(named=True):
        what = (row["occurred_at"], row["touchpoint"], row["rating"] if rated else None)
        by_customer[row["customer"]].append(what)
    return [sorted(path, key=lambda contact: contact[0]) for path in by_customer.values()]


def after(walks: list[Path], source: str, target: str) -> Outcomes:
    """What followed source → target within the gap: up to two touchpoints, "end" for silence.

    Only handoffs that can be followed for a full gap count.
    """
    gap, found = timedelta(days=30), []
    for path in walks:
        times = [at for at, _, _ in path] + [datetime(2999, 1, 1, tzinfo=UTC)]
        names = [name for _, name, _ in path]
        for i in range(len(path) - 1):
            follows = times[i + 1] - times[i] <= gap
            if (names[i], names[i + 1]) != (source, target) or not follows:
                continue
            if times[i + 1] > END - gap:
                continue
            rest = []
            for j in range(i + 1, min(i + 3, len(path))):
                if times[j + 1] - times[j] > gap:
                    rest.append("end")
                    break
                rest.append(names[j + 1] if j + 1 < len(names) else "end")
            found.append(tuple(rest))
    return found


def share(outcomes: Outcomes, *wanted: tuple[str, ...]) -> tuple[float, float]:
    """Share of outcomes that begin like one of those wanted, and its squared standard error."""
    hit = fmean([any(o[: len(w)] == w for w in wanted) for o in outcomes])
    return hit, hit * (1 - hit) / len(outcomes)


def excess(walks: list[Path], *wanted: tuple[str, ...]) -> tuple[float, float]:
    """Share after a → b minus share after d → b, and the standard error of the difference."""
    (with_fault, error), (without, other) = (
        share(after(walks, source, "b"), *wanted) for source in "ad"
    )
    return with_fault - without, sqrt(error + other)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (Fault("abandonment", "a", "b", 0.22), [("end",)]),
        (Fault("backtracking", "a", "b", 0.2), [("a",), ("d",)]),
        (Fault("backtracking", "a", "b", 0.2, to="d"), [("d",)]),
        (Fault("ping_pong", "a", "b", 0.25), [("a", "b")]),
        (Fault("repeat_contact", "a", "b", 0.25), [("b",)]),
        (Fault("repeated_task", "a", "b", 0.25), [("b",)]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_fault_changes_what_follows_by_the_effect_it_reports(
    fault: Fault, wanted: list[tuple[str, ...]]
) -> None:
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=11, faults=[fault])
    walks = paths(made.events)
    found, error = excess(walks, *wanted)
    [truth] = made.truth.iter_rows(named=True)
    effect = truth["effect"]
    if fault.kind == "ping_pong":
        # the reported effect is on the way back; naturally a → b follows a in 6 of 10 moves
        effect = fault.size - fault.size * share(after(walks, "d", "b"), ("a", "b"))[0]
    assert abs(found - effect) < 4 * error
    assert found > 4 * error
    assert truth["uses"] > 2_500


def test_without_a_fault_the_way_to_a_touchpoint_changes_nothing() -> None:
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=12)
    assert made.truth.height == 0
    walks = paths(made.events)
    for wanted in ("end", "a", "c", "e"):
        found, error = excess(walks, (wanted,))
        assert abs(found) < 4 * error


def test_natural_shares_are_the_worlds_own() -> None:
    world = small_world()
    made = simulate_journeys(world, customers=CUSTOMERS, seed=13)
    walks = paths(made.events)
    outcomes = after(walks, "a", "b") + after(walks, "d", "b")
    moves = world.transitions[2] / world.transitions[2].sum() * (1 - 0.30)
    for name, expected in [("end", 0.30), *zip("adbce", moves, strict=True)]:
        found, squared = share(outcomes, (name,))
        assert abs(found - expected) < 4 * sqrt(squared) + 1e-12


def test_delay_multiplies_the_wait_and_nothing_else() -> None:
    fault = Fault("delay", "a", "b", 3.5)
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=14, faults=[fault])
    waits = defaultdict(list)
    walks = paths(made.events)
    for path in walks:
        for (left, source, _), (at, target, _) in pairwise(path):
            if target == "b" and at - left < timedelta(days=30) and left < END - timedelta(days=60):
                waits[source].append(np.log((at - left).total_seconds()))
    ratio = np.exp(median(waits["a"]) - median(waits["d"]))
    # standard error of a median of a normal: 1.2533 × 0.9 / √n, for either
    error = 1.2533 * 0.9 * sqrt(1 / len(waits["a"]) + 1 / len(waits["d"]))
    assert abs(np.log(ratio) - np.log(3.5)) < 4 * error
    [truth] = made.truth.iter_rows(named=True)
    mean_wait = 4 * np.exp(0.9**2 / 2)
    assert truth["effect"] == pytest.approx(3.5)
    assert truth["effect_hours"] == pytest.approx(2.5 * mean_wait, rel=0.05)
    found, error = excess(walks, ("end",))
    assert abs(found) < 4 * error


def test_perception_dip_lowers_the_ratings_after_the_handoff() -> None:
    fault = Fault("perception_dip", "a", "b", 2.5)
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=15, faults=[fault])
    ratings = defaultdict(list)
    for path in paths(made.events):
        for (_, source, _), (_, target, rating) in pairwise(path):
            if target == "b" and rating is not None:
                ratings[source].append(rating)
    found = fmean(ratings["a"]) - fmean(ratings["d"])
    error = sqrt(sum(np.var(ratings[s]) / len(ratings[s]) for s in "ad"))
    [truth] = made.truth.iter_rows(named=True)
    assert abs(found - truth["effect"]) < 4 * error
    assert -2.5 < truth["effect"] < -2.2  # the top of the scale takes off a little
    assert set(made.events["rating"].drop_nulls()) <= set(range(11))
    asked = made.events.filter(touchpoint="b")["rating"]
    assert asked.is_not_null().mean() == pytest.approx(0.5, abs=0.02)
    assert made.events.filter(pl.col("touchpoint") != "b")["rating"].is_null().all()


def test_a_fault_since_a_day_leaves_the_days_before_alone() -> None:
    middle = datetime(2025, 4, 1, tzinfo=UTC)
    fault = Fault("abandonment", "a", "b", 0.3, since=middle)
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=16, faults=[fault])
    before = made.events.filter(pl.col("occurred_at") < middle + timedelta(days=30))
    quiet = [path for path in paths(before) if path[-1][0] < middle and path[0][0] > START]
    ends = defaultdict(list)
    for path in quiet:
        for i in range(1, len(path)):
            if path[i][1] == "b":
                ends[path[i - 1][1]].append(i == len(path) - 1)
    difference = fmean(ends["a"]) - fmean(ends["d"])
    error = sqrt(0.25 / len(ends["a"]) + 0.25 / len(ends["d"]))
    assert abs(difference) < 4 * error
    found, error = excess(paths(made.events.filter(pl.col("occurred_at") >= middle)), ("end",))
    assert abs(found - 0.3) < 4 * error


def test_same_seed_same_log_other_seed_other_log() -> None:
    world = small_world(
        noise=Noise(robots=1, duplicates=0.02, null_ids=0.01, odd_dates=0.01, late=0.05),
        segments=(Segment("region", {"north": 1, "south": 1}),),
    )
    first, again, other = (simulate_journeys(world, customers=500, seed=seed) for seed in (1, 1, 2))
    assert_frame_equal(first.events, again.events)
    assert_frame_equal(first.customers, again.customers)
    assert not first.events.equals(other.events)


def test_customers_are_walked_in_chunks_without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journeys_module, "CHUNK", 300)
    made = simulate_journeys(small_world(), customers=1_000, seed=3)
    assert made.customers["customer"].n_unique() == 1_000
    assert made.events["customer"].n_unique() == 1_000
    starts = made.events.group_by("customer").agg(pl.col("occurred_at").min())
    assert starts["occurred_at"].n_unique() > 990  # no chunk repeats another


def test_everything_after_observed_until_is_cut_off_and_nothing_else() -> None:
    # one touchpoint, visited daily for ever: the number of contacts follows from the first
    daily = Contact("a", "first", "web", "digital", 1e-9, wait=timedelta(days=1))
    world = small_world(
        contacts=(daily,), transitions=np.ones((1, 1)), arrivals={"a": 1}, wait_spread=0.0
    )
    made = simulate_journeys(world, customers=300, seed=4)
    for path in paths(made.events):
        expected = (END - path[0][0]) // timedelta(days=1) + 1
        # times are floored to seconds, so the last may fall on either side
        assert abs(len(path) - expected) <= 1
        assert path[-1][0] <= END
    assert max(path[-1][0] for path in paths(made.events)) > END - timedelta(days=1)


def test_silence_is_either_a_wait_or_longer_than_the_gap() -> None:
    made = simulate_journeys(small_world(return_rate=0.5), customers=3_000, seed=5)
    silences = [b[0] - a[0] for path in paths(made.events) for a, b in pairwise(path)]
    gap = timedelta(days=30)
    assert not any(0.95 * gap < silence <= gap for silence in silences)
    assert sum(silence > gap for silence in silences) > 1_000


def test_noise_is_as_frequent_as_asked_for() -> None:
    noise = Noise(robots=2, robot_contacts=700, duplicates=0.02, null_ids=0.01, odd_dates=0.01)
    clean = simulate_journeys(small_world(), customers=CUSTOMERS, seed=6).events
    made = simulate_journeys(small_world(noise=noise), customers=CUSTOMERS, seed=6)
    rows = made.events.height
    robots = made.personas.filter("robot")["customer"].to_list()
    of_robots = made.events.filter(pl.col("customer").is_in(robots)).height
    assert len(robots) == 2
    assert 1_000 < of_robots <= 1_440
    for found, expected in [
        (made.events["customer"].null_count(), 0.01 * rows),
        (rows - made.events.n_unique(), 0.02 * rows),
        (int(made.events["occurred_at"].dt.year().is_in([1970, 2099]).sum()), 0.01 * rows),
    ]:
        # a few of the duplicated rows also tie without it: one per cent of slack
        assert abs(found - expected) < 4 * sqrt(expected) + 0.01 * expected
    assert rows == pytest.approx((clean.height + of_robots) * 1.02, rel=0.01)
    assert clean["customer"].null_count() == 0


def test_late_rows_stand_at_the_end_of_an_otherwise_sorted_log() -> None:
    times = simulate_journeys(small_world(noise=Noise(late=0.1)), customers=2_000, seed=6).events[
        "occurred_at"
    ]
    breaks = (times.diff() < timedelta(0)).sum()
    assert breaks == 1
    assert (times.diff() < timedelta(0)).arg_max() == pytest.approx(0.9 * len(times), rel=0.02)


def test_rounding_ties_times() -> None:
    made = simulate_journeys(
        small_world(noise=Noise(rounding=timedelta(hours=1))), customers=500, seed=6
    )
    assert (made.events["occurred_at"].dt.minute() == 0).all()


def test_personas_leave_prefer_and_rate_as_described() -> None:
    calm = Persona("calm", 1)
    hasty = Persona("hasty", 1, exit_odds=3, prefers={"phone": 4}, rating_shift=-2)
    made = simulate_journeys(
        small_world(personas=(calm, hasty), personas_observed=True), customers=CUSTOMERS, seed=7
    )
    log = made.events.join(made.customers, on="customer", validate="m:1")
    contacts, calls, ratings = (
        dict(log.group_by("persona").agg(of).iter_rows())
        for of in (
            pl.len() / pl.col("customer").n_unique(),
            (pl.col("touchpoint") == "b").mean(),
            pl.col("rating").mean(),
        )
    )
    assert contacts["calm"] > 1.5 * contacts["hasty"]
    # first contacts are never calls, so the difference shows only from the second one on
    later = log.sort("occurred_at").filter(pl.col("customer").is_duplicated())
    by_phone = dict(
        later.filter(pl.col("occurred_at") > pl.col("occurred_at").min().over("customer"))
        .group_by("persona")
        .agg((pl.col("touchpoint") == "b").mean())
        .iter_rows()
    )
    assert by_phone["hasty"] > by_phone["calm"] + 0.1
    assert ratings["calm"] - ratings["hasty"] == pytest.approx(2, abs=0.15)
    assert calls.keys() == {"calm", "hasty"}


def test_hidden_personas_are_in_the_truth_only() -> None:
    made = simulate_journeys(
        small_world(personas=(Persona("x", 1), Persona("y", 3))), customers=4_000, seed=8
    )
    assert made.customers.columns == ["customer"]
    assert (made.personas["persona"] == "y").mean() == pytest.approx(0.75, abs=0.03)


def test_segments_follow_the_persona() -> None:
    kind = Segment("kind", {"new": 1, "known": 1}, by_persona={"y": {"known": 1}})
    made = simulate_journeys(
        small_world(personas=(Persona("x", 1), Persona("y", 1)), segments=(kind,)),
        customers=4_000,
        seed=8,
    )
    joined = made.customers.join(made.personas, on="customer")
    known = dict(joined.group_by("persona").agg((pl.col("kind") == "known").mean()).iter_rows())
    assert known["y"] == 1
    assert known["x"] == pytest.approx(0.5, abs=0.05)


def test_mailings_go_to_subscribers_after_their_first_contact() -> None:
    letter = Contact("letter", "first", "email", "marketing", 0.5, initiated_by="company")
    base = small_world()
    size = len(base.contacts) + 1
    moves = np.zeros((size, size))
    moves[:-1, :-1] = base.transitions
    world = small_world(
        contacts=(*base.contacts, letter),
        transitions=moves,
        mailings=(Mailing("letter", timedelta(days=30), share=0.3),),
    )
    made = simulate_journeys(world, customers=3_000, seed=9)
    letters = made.events.filter(touchpoint="letter")
    assert (letters["initiated_by"] == "company").all()
    assert letters["customer"].n_unique() / 3_000 == pytest.approx(0.3 * 5 / 6, abs=0.06)
    first = made.events.group_by("customer").agg(
        pl.col("touchpoint").sort_by("occurred_at").first()
    )
    assert "letter" not in set(first["touchpoint"])


def test_opening_hours_and_environments_hold() -> None:
    base = small_world()
    shop = replace(base.contacts[3], hours=(9, 20), dwell=timedelta(minutes=20), cost=2.0)
    release = datetime(2025, 3, 1, tzinfo=UTC)
    world = small_world(
        contacts=(*base.contacts[:3], shop, base.contacts[4]),
        environments=(
            Environment("store", "north"),
            Environment("store", "south"),
            Environment("app", "1.0", until=release),
            Environment("app", "2.0", since=release),
        ),
        issues={"delivery": 1, "defect": 1},
    )
    events = simulate_journeys(world, customers=3_000, seed=9).events
    visits = events.filter(touchpoint="c")
    assert visits["occurred_at"].dt.hour().is_between(9, 19).all()
    assert (
        visits.group_by("customer").agg(pl.col("environment").n_unique())["environment"].max() == 1
    )
    assert (visits["ended_at"] >= visits["occurred_at"]).all()
    assert visits["cost"].mean() == pytest.approx(2.0, rel=0.1)
    by_app = events.filter(channel="app")
    late = by_app["occurred_at"] >= release
    assert set(by_app.filter(late)["environment"]) == {"2.0"}
    assert set(by_app.filter(~late)["environment"]) == {"1.0"}
    assert events.filter(channel="web")["environment"].is_null().all()
    issues = events.filter(touchpoint="e")["issue"]
    assert set(issues) == {"delivery", "defect"}
    assert events.filter(pl.col("touchpoint") != "e")["issue"].is_null().all()


def test_the_map_that_comes_with_a_log_reads_and_knows_every_touchpoint() -> None:
    made = benchmark_world(1, faults=0, customers=500).simulate()
    journey_map = parse_journey_map(made.map_yaml)
    assert {t.name for t in journey_map.touchpoints} >= set(made.events["touchpoint"])
    assert journey_map.observed_until == made.world.observed_until
    assert journey_map.journey.goal == ("payment",)
    assert set(journey_map.columns.values()) <= set(made.events.columns)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault("abandonment", "a", "bb", 0.1), UnknownNameError, "bb"),
        (Fault("backtracking", "b", "a", 0.1), InputError, "earlier stage"),
    ],
)
def test_impossible_faults_are_refused(fault: Fault, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        simulate_journeys(small_world(), customers=10, seed=1, faults=[fault])


def test_impossible_worlds_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        simulate_journeys(small_world(), customers=0, seed=1)


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_hashed_numbers_lie_between_zero_and_one(key: int, salt: int) -> None:
    [value] = uniform_of(np.array([key], dtype=np.uint64), salt)
    assert 0 <= value < 1


def test_hashed_numbers_are_even() -> None:
    values = uniform_of(np.arange(10_000, dtype=np.uint64), 5)
    assert np.histogram(values, 10, (0, 1))[0] == pytest.approx(1_000, abs=4 * sqrt(900))


def recount(events: pl.DataFrame) -> dict[tuple[str, str], int]:
    """Count handoffs one by one."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    channel = dict(events.select("touchpoint", "channel").iter_rows())
    owner = dict(events.select("touchpoint", "owner").iter_rows())
    for path in paths(events.unique()):
        ordered = sorted(path, key=lambda contact: (contact[0], contact[1]))
        for (left, a, _), (at, b, _) in pairwise(ordered):
            crosses = channel[a] != channel[b] or owner[a] != owner[b]
            if crosses and at - left <= timedelta(days=30):
                counts[a, b] += 1
    return counts


def test_handoffs_are_counted_as_by_hand() -> None:
    made = simulate_journeys(small_world(), customers=400, seed=2)
    counted = {(a, b): n for a, b, n in count_handoffs(made).iter_rows()}
    assert counted == recount(made.events)


def test_effect_among_those_who_went_on() -> None:
    fault = Fault("backtracking", "a", "b", 0.2, to="d")
    made = simulate_journeys(small_world(), customers=CUSTOMERS, seed=11, faults=[fault])
    walks = paths(made.events)
    went_on = [[o for o in after(walks, source, "b") if o[0] != "end"] for source in "ad"]
    (with_fault, error), (without, other) = (share(outcomes, ("d",)) for outcomes in went_on)
    [truth] = made.truth.iter_rows(named=True)
    assert abs(with_fault - without - truth["effect_onward"]) < 4 * sqrt(error + other)
    # those who would have left are sent back, too
    assert truth["effect_onward"] > truth["effect"] + 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_benchmark_breaks_six_handoffs_in_use(seed: int) -> None:
    benchmark = benchmark_world(seed)
    made = benchmark.simulate()
    assert 150_000 < made.events.height < 280_000
    assert len(benchmark.world.contacts) == 20
    assert len(benchmark.world.channels) == 6
    assert [f.kind for f in benchmark.faults].count("abandonment") == 2
    assert len({f.target for f in benchmark.faults}) == 6
    # drawn from those with 300 uses in another draw of the same world
    assert made.truth["uses"].min() > 230  # type: ignore[operator]
    assert (made.truth["effect"].abs() > 0.1).all()
    assert ("persona" in made.customers.columns) == (seed % 2 == 1)
    rates = [c.exit_rate for c in benchmark.world.contacts]
    assert max(rates) > 8 * min(rates)


def test_benchmark_without_faults_is_the_same_world() -> None:
    with_faults, without = (benchmark_world(4, faults=n, customers=5_000) for n in (2, 0))
    assert without.faults == ()
    assert with_faults.world.contacts == without.world.contacts
    assert (with_faults.world.transitions == without.world.transitions).all()


def test_half_strength_halves_the_faults() -> None:
    full, half = (benchmark_world(4, strength=s, customers=15_000).faults for s in (1.0, 0.5))
    for strong, weak in zip(full, half, strict=True):
        assert (strong.source, strong.target) == (weak.source, weak.target)
        expected = sqrt(3.5) if strong.kind == "delay" else strong.size / 2
        assert weak.size == pytest.approx(expected)


def test_harder_benchmark_breaks_rarer_handoffs() -> None:
    benchmark = benchmark_world(4, harder=True)
    made = benchmark.simulate()
    assert made.truth["uses"].median() < 500  # type: ignore[operator]
    assert benchmark.world.memory is not None
    assert benchmark.world.habit > 0
    times = made.events["occurred_at"]
    assert times.equals(times.dt.truncate("30m"))
    ties = made.events.unique().select(pl.struct("customer", "occurred_at").is_duplicated().mean())
    assert ties.item() > 0.01


def test_too_many_faults_are_refused() -> None:
    with pytest.raises(InputError, match="ask for fewer"):
        benchmark_world(1, faults=60, customers=3_000)
