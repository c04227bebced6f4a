"""Worlds drawn at random to measure the finding of faults by: `benchmark_world`.

Twenty touchpoints on six channels with exit rates between 2 and 45 %, personas (one leaves early
and prefers the phone), a campaign flood, robots, duplicates, censoring; faults on handoffs drawn
from those in use. ``harder=True`` adds what a real log has and a textbook has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl

from cxlib.errors import InputError
from cxlib.simulate.journeys import Simulated, simulate_journeys
from cxlib.simulate.world import Campaign, Contact, Fault, FaultKind, Noise, Persona, Segment, World

STAGES = ("awareness", "exploration", "conversion", "aftersales")
CHANNELS = ("ads", "web", "app", "store", "phone", "email")
OWNERS = {
    "ads": "marketing",
    "web": "digital",
    "app": "digital",
    "store": "retail",
    "phone": "service",
    "email": "marketing",
}
FULL_SIZES: dict[FaultKind, float] = {
    "abandonment": 0.22,
    "delay": 3.5,
    "backtracking": 0.22,
    "ping_pong": 0.25,
    "perception_dip": 2.5,
}
"""Sizes at strength 1; strength s multiplies them by s, and raises the delay to the power s."""

_TURN: tuple[FaultKind, ...] = (
    "abandonment",
    "delay",
    "backtracking",
    "ping_pong",
    "perception_dip",
    "abandonment",
)
_FEWEST_USES = 300
_LAYOUT = {
    "awareness": ("ads", "ads", "web", "store", "email"),
    "exploration": ("web", "web", "app", "store", "phone", "email"),
    "conversion": ("web", "app", "store", "phone", "web"),
    "aftersales": ("app", "phone", "store", "email"),
}
_START = datetime(2025, 1, 1, tzinfo=UTC)
_END = datetime(2025, 9, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """A world with faults to plant in it; `simulate` makes the log."""

    world: World
    faults: tuple[Fault, ...]
    customers: int
    seed: int

    def simulate(self) -> Simulated:
        """Simulate the log of this benchmark."""
        return simulate_journeys(
            self.world, customers=self.customers, seed=self.seed, faults=self.faults
        )


def benchmark_world(
    seed: int,
    *,
    faults: int = 6,
    strength: float = 1.0,
    personas: Literal["mixed", "hidden", "observed"] = "mixed",
    harder: bool = False,
    customers: int = 30_000,
) -> Benchmark:
    """Draw a world and the faults to plant in it.

    Parameters
    ----------
    seed
        Draws everything: the world, the faults, and the journeys of `Benchmark.simulate`. The same
        seed gives the same world whatever the number and strength of the faults.
    faults
        How many handoffs to break; kinds take turns (abandonment, delay, backtracking, ping-pong,
        rating, abandonment, …). 0: a log that must yield no finding.
    strength
        1: +22 points of exit, wait × 3.5, 22 % sent back a stage, 25 % sent to and fro, rating
        −2.5. 0.5: half of each (of the logarithm, for the wait).
    personas
        Whether the persona is a column of the customers table; mixed: in every other seed.
    harder
        Faults on handoffs of 100 to 600 uses, two broken arrivals at one touchpoint, exit rates
        that drift, hidden differences between customers, a natural habit of going back to the
        channel before, small natural second-order effects on exit, and times floored to
        half hours, so that some contacts tie.
    customers
        Without robots.

    Returns
    -------
    Benchmark
    """
    rng = np.random.default_rng([seed, 20])
    observed = {"hidden": False, "observed": True}.get(personas, seed % 2 == 1)
    world = _draw_world(rng, observed=observed)
    if harder:
        world = _made_harder(world, rng)
    chosen = _choose_faults(world, faults, strength, harder, customers, rng) if faults else ()
    return Benchmark(world, chosen, customers, seed)


def _draw_world(rng: np.random.Generator, *, observed: bool) -> World:
    contacts = _draw_contacts(rng)
    first = {c.name: float(rng.gamma(1.5)) for c in contacts if c.stage == "awareness"}
    first |= {c.name: 0.25 * float(rng.gamma(1.5)) for c in contacts if c.stage == "exploration"}
    return World(
        name="Benchmark",
        stages=STAGES,
        contacts=contacts,
        transitions=_draw_transitions(contacts, rng),
        arrivals=first,
        start=_START,
        observed_until=_END,
        personas=(
            Persona("planner", 0.5),
            Persona("explorer", 0.3, exit_odds=0.7, prefers={"web": 1.6, "app": 1.4}),
            Persona("hasty caller", 0.2, exit_odds=2.2, prefers={"phone": 4.0}, rating_shift=-0.6),
        ),
        personas_observed=observed,
        segments=(Segment("region", {"north": 0.4, "south": 0.35, "west": 0.25}),),
        campaign=Campaign(
            at=datetime(2025, 5, 5, tzinfo=UTC),
            length=timedelta(days=10),
            share=0.2,
            touchpoint=contacts[0].name,
            exit_odds=1.8,
        ),
        noise=Noise(robots=6, duplicates=0.01, late=0.01),
        goal=("payment",),
        return_rate=0.15,
        return_after=timedelta(days=25),
    )


def _draw_contacts(rng: np.random.Generator) -> tuple[Contact, ...]:
    contacts: list[Contact] = []
    for stage, channels in _LAYOUT.items():
        for channel in channels:
            number = sum(c.channel == channel and c.stage == stage for c in contacts) + 1
            contacts.append(
                Contact(
                    name=f"{channel} {stage} {number}",
                    stage=stage,
                    channel=channel,
                    owner=OWNERS[channel],
                    exit_rate=float(rng.uniform(0.02, 0.45) * rng.uniform(0.25, 1.0)),
                    wait=timedelta(hours=float(rng.choice([1, 2, 6, 12, 24]))),
                    wait_before=float(rng.uniform(0.6, 1.6)),
                    rating=float(rng.uniform(5.5, 8.0)),
                    response=0.25,
                    assisted=channel in ("phone", "store"),
                    self_service=channel in ("web", "app"),
                )
            )
    last = [i for i, c in enumerate(contacts) if c.stage == "conversion"][-1]
    contacts[last] = replace(contacts[last], name="payment", repeatable=False, exit_rate=0.35)
    return tuple(contacts)


def _draw_transitions(contacts: Sequence[Contact], rng: np.random.Generator) -> np.ndarray:
    """Mostly onwards or within the stage, rather within the channel, with uneven popularity."""
    stage = np.array([STAGES.index(c.stage) for c in contacts])
    channel = np.array([CHANNELS.index(c.channel) for c in contacts])
    ahead = stage[None, :] - stage[:, None]
    onwards = np.select(
        [ahead == 0, ahead == 1, ahead == 2, ahead == -1], [1.0, 0.9, 0.08, 0.12], 0.01
    )
    same_channel = np.where(channel[None, :] == channel[:, None], 2.5, 1.0)
    popularity = rng.gamma(1.5, size=len(contacts))
    weights = onwards * same_channel * popularity * rng.gamma(1.0, size=ahead.shape)
    np.fill_diagonal(weights, 0.15 * weights.mean(1))
    weights[weights < 0.02 * weights.max(1, keepdims=True)] = 0.0
    return weights


def _made_harder(world: World, rng: np.random.Generator) -> World:
    size = len(world.contacts)
    drifting = tuple(replace(c, drift=float(rng.normal(0, 0.5))) for c in world.contacts)
    return replace(
        world,
        contacts=drifting,
        memory=rng.normal(0, 0.08, (size, size)),
        habit=0.06,
        frailty=0.3,
        noise=replace(world.noise, rounding=timedelta(minutes=30), null_ids=0.002),
    )


def _choose_faults(
    world: World,
    faults: int,
    strength: float,
    harder: bool,
    customers: int,
    rng: np.random.Generator,
) -> tuple[Fault, ...]:
    """Draw handoffs in use: never one and its reverse, each target once (unless harder)."""
    uses = count_handoffs(
        simulate_journeys(world, customers=customers, seed=int(rng.integers(2**31)))
    )
    lower, upper = (100, 600) if harder else (_FEWEST_USES, np.inf)
    pairs = [
        (source, target)
        for source, target, n in uses.iter_rows()
        if lower <= n <= upper and target not in world.goal
    ]
    chosen: list[Fault] = []
    for number in range(faults):
        kind = _TURN[number % len(_TURN)]
        again = chosen[0].target if harder and number == len(_TURN) - 1 else None
        allowed = [p for p in pairs if _fits(world, kind, p, chosen, again)]
        # no second arrival in use: take any other handoff
        allowed = allowed or [p for p in pairs if _fits(world, kind, p, chosen, None)]
        if not allowed:
            raise InputError(f"only {number} of {faults} faults fit this world; ask for fewer.")
        source, target = allowed[rng.integers(len(allowed))]
        full = FULL_SIZES[kind]
        size = full**strength if kind == "delay" else full * strength
        chosen.append(Fault(kind, source, target, size))
    return tuple(chosen)


def _fits(
    world: World,
    kind: str,
    pair: tuple[str, str],
    chosen: Sequence[Fault],
    again: str | None,
) -> bool:
    source, target = pair
    contact = world.contacts[world.index(target)]
    if kind == "backtracking" and contact.stage == world.stages[0]:
        return False
    # after the goal an end is no loss, and a way back is a new journey
    if kind in ("abandonment", "backtracking", "ping_pong") and contact.stage == world.stages[-1]:
        return False
    if again is not None:
        return target == again and all((f.source, f.target) != pair for f in chosen)
    broken = {f.target for f in chosen}
    return target not in broken and all({f.source, f.target} != {source, target} for f in chosen)


def count_handoffs(simulated: Simulated) -> pl.DataFrame:
    """Count directly-following contacts that change channel or owner: source, target, n."""
    following = pl.col("customer") == pl.col("customer").shift(-1)
    silence = pl.col("occurred_at").shift(-1) - pl.col("occurred_at")
    changes = (pl.col("channel") != pl.col("channel").shift(-1)) | (
        pl.col("owner") != pl.col("owner").shift(-1)
    )
    return (
        simulated.events.unique()
        .sort("customer", "occurred_at", "touchpoint")
        .with_columns(target=pl.col("touchpoint").shift(-1))
        .filter(following & changes & (silence <= simulated.world.gap))
        .group_by(source="touchpoint", target="target")
        .agg(n=pl.len().cast(pl.Int64))
        .sort("source", "target")
    )
