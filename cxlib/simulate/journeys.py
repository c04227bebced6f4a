"""`simulate_journeys`: a world, faults and a seed in; a raw log and the truth out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cxlib.errors import InputError
from cxlib.simulate.log import (
    add_mailings,
    add_robots,
    ask_surveys,
    assemble_log,
    decode_log,
    roughen_log,
    spend,
    split_ratings,
)
from cxlib.simulate.walk import Rules, Tally, Walkers, draw, opened, walk
from cxlib.simulate.world import Fault, World, write_map

CHUNK = 100_000  # customers walked at a time; part of what a seed means, so a constant
TRUTH_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "source": pl.String,
    "target": pl.String,
    "size": pl.Float64,
    "since": pl.Datetime("us", "UTC"),
    "uses": pl.Int64,
    "effect": pl.Float64,
    "effect_onward": pl.Float64,
    "effect_hours": pl.Float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """What `simulate_journeys` returns.

    ``events`` is the raw log, sorted by time but for rows that came late, with whatever the world
    has (ended_at, rating, environment, issue, cost); ``ratings`` is None where they stand in it,
    ``purchases`` (customer, occurred_at, touchpoint, amount) where nothing is spent.
    Truth are ``personas`` (by customer, with campaign and robot) and ``truth``, one row per fault:
    ``uses`` of its handoff, and ``effect``, the mean change over these in the unit of the kind
    (share of uses; points of the rating as recorded, negative; for a delay the factor),
    ``effect_onward`` (the same as a share of those who went on) and ``effect_hours`` (mean hours
    added by a delay); and ``surveys`` (`ask_surveys`).
    """

    events: pl.DataFrame
    customers: pl.DataFrame
    personas: pl.DataFrame
    ratings: pl.DataFrame | None
    purchases: pl.DataFrame | None
    truth: pl.DataFrame
    surveys: pl.DataFrame
    map_yaml: str
    world: World
    seed: int


def simulate_journeys(
    world: World, *, customers: int, seed: int, faults: Sequence[Fault] = ()
) -> Simulated:
    """Simulate the journeys of a number of customers and the raw log that they leave behind.

    Journeys are first-order walks over the touchpoints with the exit rates and tastes of the
    customer's persona; whoever leaves stays silent for longer than the world's gap, and everything
    after ``observed_until`` is cut off. The same seed gives the same log. Robots come on top.
    """
    if customers < 1:
        raise InputError(f"customers is {customers}; simulate at least 1.")
    rules = Rules(world, tuple(faults))
    tallies = [Tally() for _ in rules.faults]
    rng = np.random.default_rng([seed, 0])
    parts = []
    for chunk, first in enumerate(range(0, customers, CHUNK)):
        own, count = np.random.default_rng([seed, 1, chunk]), min(CHUNK, customers - first)
        parts.append(_walk_chunk(rules, first, count, own, tallies))
    people = pl.concat([who for who, _ in parts])
    log = pl.concat([log for _, log in parts])
    log = add_mailings(world, log, rng=rng)
    log = add_robots(world, log, first=customers, rng=rng)
    log = roughen_log(world, log, rng=rng)
    # seven digits, in no order, some with leading zeros: they are names, not numbers
    numbers = pl.Series(rng.permutation(customers + world.noise.robots) * 7 + 41)
    ids = numbers.cast(pl.String).str.zfill(7)
    events = decode_log(world, log, ids=ids, salt=int(rng.integers(2**62)))
    ratings, purchases, surveys = None, None, pl.DataFrame()
    if world.ratings_apart:
        events, ratings = split_ratings(world, events, rng=rng)
        if world.surveys:
            apart = np.random.default_rng([seed, 3])
            ratings, surveys = ask_surveys(world, events, ratings, rng=apart)
    if any(c.amount for c in world.contacts):
        purchases = spend(world, events, rng=np.random.default_rng([seed, 4]))
    return Simulated(
        events=events,
        customers=_customer_table(world, people, ids[:customers], rng),
        personas=_persona_table(world, people, ids),
        ratings=ratings,
        purchases=purchases,
        surveys=surveys,
        truth=_truth(rules.faults, tallies),
        map_yaml=write_map(world),
        world=world,
        seed=seed,
    )


def _walk_chunk(
    rules: Rules, first: int, count: int, rng: np.random.Generator, tallies: Sequence[Tally]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    people, at, place = _arrive(rules, count, rng)
    persona = people["persona"].to_numpy()
    odds = rules.world.campaign.exit_odds if rules.world.campaign else 1.0
    logit = np.where(people["campaign"], np.log(odds), 0.0)
    logit = logit + rules.world.frailty * rng.standard_normal(count)
    nowhere = np.full(count, -1)
    walkers = Walkers(
        customer=np.arange(count, dtype=np.uint32),
        persona=persona,
        logit=logit,
        at=opened(rules, place, at, rng),
        place=place,
        previous=nowhere,
        forced=nowhere.copy(),
        journey=np.zeros(count, dtype=np.int16),
    )
    contacts = walk(rules, walkers, rng=rng, tallies=tallies)
    log = assemble_log(rules, contacts, persona, rng=rng, tallies=tallies)
    return people, log.with_columns(pl.col("customer") + pl.lit(first, pl.UInt32))


def _arrive(
    rules: Rules, count: int, rng: np.random.Generator
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Draw who comes, when (seconds from the start) and at which touchpoint."""
    world = rules.world
    weights = np.array([p.weight for p in world.personas])
    persona = rng.choice(len(weights), count, p=weights / weights.sum())
    days = np.floor(rng.random(count) * rules.horizon / 86_400)
    # most arrive in the afternoon; nothing hangs on the shape
    at = days * 86_400 + np.floor(rng.beta(4, 3, count) * 86_400)
    place = draw(rules.starts_cumulated[persona], rng.random(count))
    came = np.zeros(count, dtype=bool)
    if world.campaign is not None:
        campaign = world.campaign
        came = rng.random(count) < campaign.share
        begin, length = rules.seconds(campaign.at), campaign.length.total_seconds()
        at = np.where(came, begin + rng.random(count) * length, at)
        place = np.where(came, world.index(campaign.touchpoint), place)
        tilted = weights * [campaign.persona_odds.get(p.name, 1.0) for p in world.personas]
        other = rng.choice(len(weights), count, p=tilted / tilted.sum())
        persona = np.where(came, other, persona)
    people = pl.DataFrame({"persona": persona, "campaign": came})
    return people, np.minimum(at, rules.horizon), place


def _customer_table(
    world: World, people: pl.DataFrame, ids: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    columns = [ids.alias("customer")]
    if world.personas_observed:
        names = pl.Series([p.name for p in world.personas])
        columns.append(names.gather(people["persona"]).alias("persona"))
    for segment in world.segments:
        values = list(segment.weights)
        by_persona = [segment.by_persona.get(p.name, segment.weights) for p in world.personas]
        weights = np.array([[w.get(v, 0.0) for v in values] for w in by_persona], dtype=float)
        cumulated = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        drawn = draw(cumulated[people["persona"].to_numpy()], rng.random(len(ids)))
        columns.append(pl.Series(segment.name, values).gather(drawn))
    return pl.DataFrame(columns).sort("customer")


def _persona_table(world: World, people: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    robots = world.noise.robots
    names = pl.Series([p.name for p in world.personas]).gather(people["persona"])
    columns = {
        "customer": ids,
        "persona": names.extend_constant(None, robots),
        "campaign": people["campaign"].extend_constant(False, robots),
        "robot": np.arange(len(ids)) >= len(ids) - robots,
    }
    return pl.DataFrame(columns).sort("customer")


def _truth(faults: Sequence[Fault], tallies: Sequence[Tally]) -> pl.DataFrame:
    rows = []
    for fault, tally in zip(faults, tallies, strict=True):
        row = {name: getattr(fault, name) for name in ("kind", "source", "target", "since")}
        row |= {"size": float(fault.size), "uses": tally.uses}
        if tally.uses:
            row["effect"] = tally.change / tally.uses
            row["effect_hours"] = tally.hours / tally.uses if fault.kind == "delay" else None
        if tally.onward.all():
            row["effect_onward"] = float(np.diff(tally.sent / tally.onward)[0])
        rows.append(row)
    return pl.DataFrame(rows, schema=TRUTH_SCHEMA)
