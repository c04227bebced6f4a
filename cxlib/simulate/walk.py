"""The walk: all customers of a chunk take one step of their journeys at a time.

Faults act where their handoff has just happened, and the walk notes, use by use, how much the
probability (or wait, or rating) was changed: the mean of these differences is the fault's true
effect, free of sampling error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from cxlib.errors import InputError
from cxlib.simulate.world import Fault, World

SENDS_ELSEWHERE = ("backtracking", "ping_pong", "repeat_contact", "repeated_task")
"""Faults that decide where the customer goes next."""

_NOWHERE = -1
_SENT = -2
_MAX_STEPS = 2_000
_MOST_CERTAIN_EXIT = 0.98


@dataclass(slots=True)
class Tally:
    """Uses of a faulty handoff, and the sums of what the fault changed at them.

    ``onward`` and ``sent``: expected numbers who go on, and who go where the fault sends them,
    without the fault and with it.
    """

    uses: int = 0
    change: float = 0.0
    hours: float = 0.0
    onward: np.ndarray = field(default_factory=lambda: np.zeros(2))
    sent: np.ndarray = field(default_factory=lambda: np.zeros(2))


@dataclass(slots=True)
class Contacts:
    """Contacts as parallel arrays; ``at`` in seconds since the world's start."""

    customer: np.ndarray
    at: np.ndarray
    place: np.ndarray
    previous: np.ndarray
    journey: np.ndarray


@dataclass(frozen=True, eq=False)
class Rules:
    """A world and its faults, compiled to arrays that a step can index."""

    world: World
    faults: tuple[Fault, ...]
    ends: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        index = self.world.index
        pairs = tuple((index(f.source), index(f.target)) for f in self.faults)
        object.__setattr__(self, "ends", pairs)

    def seconds(self, instant: datetime | None) -> float:
        """Seconds from the world's start; minus infinity for None."""
        if instant is None:
            return -np.inf
        return (instant - self.world.start).total_seconds()

    @cached_property
    def horizon(self) -> float:
        """Seconds from the start to ``observed_until``."""
        return self.seconds(self.world.observed_until)

    @cached_property
    def channel(self) -> np.ndarray:
        """Channel number of each touchpoint."""
        channels = self.world.channels
        return np.array([channels.index(c.channel) for c in self.world.contacts])

    @cached_property
    def exit_logit(self) -> np.ndarray:
        """Log-odds of exit by (persona, touchpoint)."""
        rate = np.clip([c.exit_rate for c in self.world.contacts], 1e-9, 1 - 1e-9)
        odds = np.array([p.exit_odds for p in self.world.personas])
        return np.log(rate / (1 - rate))[None, :] + np.log(odds)[:, None]

    @cached_property
    def taste(self) -> np.ndarray:
        """Factor on the weight of a move by (persona, touchpoint reached)."""
        world = self.world
        channels = [c.channel for c in world.contacts]
        return np.array([[p.prefers.get(c, 1.0) for c in channels] for p in world.personas])

    @cached_property
    def moves(self) -> np.ndarray:
        """Probability of the next touchpoint by (persona, touchpoint, next), rows summing to 1."""
        return _shares(self.world.transitions[None, :, :] * self.taste[:, None, :])

    @cached_property
    def moves_cumulated(self) -> np.ndarray:
        """Running sum of `moves`, for drawing."""
        return np.cumsum(self.moves, axis=-1)

    @cached_property
    def habit_cumulated(self) -> np.ndarray:
        """Running sums of `moves` within one channel, by (channel, persona, touchpoint, next)."""
        channels = np.arange(len(self.world.channels))
        within = self.moves[None] * (self.channel[None, :] == channels[:, None])[:, None, None, :]
        # where the channel cannot be reached from here, habit has no say
        within = np.where(within.sum(-1, keepdims=True) > 0, within, self.moves[None])
        return np.cumsum(_shares(within), axis=-1)

    @cached_property
    def starts_cumulated(self) -> np.ndarray:
        """Running sum of the first touchpoint's probability by (persona, touchpoint)."""
        arrivals = np.array([self.world.arrivals.get(name, 0.0) for name in self.world.names])
        return np.cumsum(_shares(arrivals[None, :] * self.taste), axis=-1)

    def sent_to(self, fault: Fault, source: int, target: int) -> np.ndarray:
        """Probability of each touchpoint that a fault sends customers to."""
        world = self.world
        share = np.zeros(len(world.contacts))
        if fault.kind == "ping_pong":
            share[source] = 1.0
        elif fault.to is not None:
            share[world.index(fault.to)] = 1.0
        elif fault.kind == "backtracking":
            stage = np.array([world.stages.index(c.stage) for c in world.contacts])
            asked = np.array([c.initiated_by == "customer" for c in world.contacts])
            earlier = (stage < stage[target]) & asked
            if not earlier.any():
                raise InputError(
                    f"backtracking at '{fault.target}': no customer touchpoint in an earlier stage."
                )
            share[earlier] = world.transitions[:, earlier].sum(0) + 1e-9
            share /= share.sum()
        else:
            share[target] = 1.0
        return share


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum(-1, keepdims=True)
    # a row without any weight is an end; spread it evenly, its exit rate is what ends it
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / weights.shape[-1])


def draw(cumulated: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draw a column per row of running sums."""
    drawn = (cumulated < uniform[:, None]).sum(1)
    return np.minimum(drawn, cumulated.shape[1] - 1)


@dataclass(slots=True)
class Walkers:
    """Customers on their way: where each one is, whence it came, and who it is."""

    customer: np.ndarray
    persona: np.ndarray
    logit: np.ndarray
    at: np.ndarray
    place: np.ndarray
    previous: np.ndarray
    forced: np.ndarray
    journey: np.ndarray

    def keep(self, mask: np.ndarray) -> None:
        """Let the others go."""
        for name in Walkers.__slots__:
            setattr(self, name, getattr(self, name)[mask])


def walk(
    rules: Rules, walkers: Walkers, *, rng: np.random.Generator, tallies: Sequence[Tally]
) -> Contacts:
    """Walk until everyone has left or ``observed_until`` has come; tallies are added to."""
    parts = []
    for _ in range(_MAX_STEPS):
        walkers.keep(walkers.at <= rules.horizon)
        if not len(walkers.customer):
            break
        place, previous = walkers.place.astype(np.int16), walkers.previous.astype(np.int16)
        parts.append((walkers.customer, walkers.at.copy(), place, previous, walkers.journey.copy()))
        _step(rules, walkers, rng, tallies)
    return Contacts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _step(
    rules: Rules, walkers: Walkers, rng: np.random.Generator, tallies: Sequence[Tally]
) -> None:
    """Move every walker to its next contact, or to the start of its next journey, or out."""
    exit_rate = _exit_rates(rules, walkers, tallies)
    leaves = (rng.random(len(exit_rate)) < exit_rate) & (walkers.forced == _NOWHERE)
    target = _natural_next(rules, walkers, rng)
    sent = _send_elsewhere(rules, walkers, rng, exit_rate, target, tallies)
    was_forced = walkers.forced != _NOWHERE
    target = np.where(was_forced, walkers.forced, target)
    leaves &= sent == _NOWHERE
    wait = _waits(rules, walkers, target, rng, tallies, leaves)
    walkers.forced = np.where(leaves, _NOWHERE, sent)
    walkers.previous = walkers.place
    walkers.place = target
    walkers.at = walkers.at + wait
    _begin_again(rules, walkers, leaves, rng)
    walkers.at = opened(rules, walkers.place, walkers.at, rng)


def _exit_rates(rules: Rules, walkers: Walkers, tallies: Sequence[Tally]) -> np.ndarray:
    world = rules.world
    logit = rules.exit_logit[walkers.persona, walkers.place] + walkers.logit
    drift = np.array([c.drift for c in world.contacts])
    if drift.any():
        logit = logit + drift[walkers.place] * (walkers.at / rules.horizon)
    if world.memory is not None:
        known = walkers.previous != _NOWHERE
        logit = logit + np.where(known, world.memory[walkers.previous, walkers.place], 0.0)
    rate = 1 / (1 + np.exp(-logit))
    for fault, ends, tally in zip(rules.faults, rules.ends, tallies, strict=True):
        if fault.kind == "abandonment":
            at = struck(rules, fault, ends, walkers.previous, walkers.place, walkers.at)
            at &= walkers.forced == _NOWHERE
            raised = np.minimum(rate[at] + fault.size, np.maximum(rate[at], _MOST_CERTAIN_EXIT))
            tally.uses += int(at.sum())
            tally.change += float((raised - rate[at]).sum())
            rate[at] = raised
    return rate


def struck(
    rules: Rules,
    fault: Fault,
    ends: tuple[int, int],
    source: np.ndarray,
    target: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """Rows at which the fault's handoff has just happened while the fault exists."""
    return (source == ends[0]) & (target == ends[1]) & (at >= rules.seconds(fault.since))


def _natural_next(rules: Rules, walkers: Walkers, rng: np.random.Generator) -> np.ndarray:
    uniform = rng.random(len(walkers.place))
    cumulated = rules.moves_cumulated[walkers.persona, walkers.place]
    if rules.world.habit > 0:
        by_habit = (rng.random(len(uniform)) < rules.world.habit) & (walkers.previous != _NOWHERE)
        before = rules.channel[walkers.previous[by_habit]]
        cumulated[by_habit] = rules.habit_cumulated[
            before, walkers.persona[by_habit], walkers.place[by_habit]
        ]
    return draw(cumulated, uniform)


def _send_elsewhere(
    rules: Rules,
    walkers: Walkers,
    rng: np.random.Generator,
    exit_rate: np.ndarray,
    target: np.ndarray,
    tallies: Sequence[Tally],
) -> np.ndarray:
    """Change ``target`` where a fault sends the customer elsewhere; return what must come next
    (ping-pong), ``_SENT`` where the customer is free again, ``_NOWHERE`` where no fault struck.
    """
    sequel = np.full(len(target), _NOWHERE)
    for fault, ends, tally in zip(rules.faults, rules.ends, tallies, strict=True):
        if fault.kind not in SENDS_ELSEWHERE:
            continue
        at = struck(rules, fault, ends, walkers.previous, walkers.place, walkers.at)
        at &= walkers.forced == _NOWHERE
        share = rules.sent_to(fault, *ends)
        would = rules.moves[walkers.persona[at], walkers.place[at]] @ (share > 0)
        tally.uses += int(at.sum())
        tally.change += float((fault.size * (1 - (1 - exit_rate[at]) * would)).sum())
        stay = 1 - exit_rate[at]
        free = 1 - fault.size
        tally.onward += [stay.sum(), (fault.size + free * stay).sum()]
        tally.sent += [(stay * would).sum(), (fault.size + free * stay * would).sum()]
        sent = at & (rng.random(len(target)) < fault.size)
        target[sent] = draw(np.cumsum(share)[None, :], rng.random(int(sent.sum())))
        sequel[sent] = ends[1] if fault.kind == "ping_pong" else _SENT
    return sequel


def _waits(
    rules: Rules,
    walkers: Walkers,
    target: np.ndarray,
    rng: np.random.Generator,
    tallies: Sequence[Tally],
    leaves: np.ndarray,
) -> np.ndarray:
    """Seconds until the next contact of those who go on."""
    world = rules.world
    after = np.array([c.wait.total_seconds() for c in world.contacts])
    before = np.array([c.wait_before for c in world.contacts])
    pace = np.array([p.wait_factor for p in world.personas])
    median = after[walkers.place] * before[target] * pace[walkers.persona]
    wait = median * np.exp(world.wait_spread * rng.standard_normal(len(target)))
    # a natural wait never looks like silence; only a fault can make one that does
    wait = np.clip(wait, 1.0, 0.9 * world.gap.total_seconds())
    for fault, ends, tally in zip(rules.faults, rules.ends, tallies, strict=True):
        if fault.kind == "delay":
            at = struck(rules, fault, ends, walkers.place, target, walkers.at) & ~leaves
            tally.uses += int(at.sum())
            tally.change += fault.size * int(at.sum())
            tally.hours += float((wait[at] * (fault.size - 1)).sum()) / 3600
            wait[at] *= fault.size
    return wait


def _begin_again(
    rules: Rules, walkers: Walkers, leaves: np.ndarray, rng: np.random.Generator
) -> None:
    """Some of those who left come back after more than the gap; the rest go for good."""
    world = rules.world
    walkers.forced[walkers.forced == _SENT] = _NOWHERE
    back = np.zeros(len(leaves), dtype=bool)
    back[leaves] = rng.random(int(leaves.sum())) < world.return_rate
    n = int(back.sum())
    pause = rng.exponential(world.return_after.total_seconds(), n)
    pause += world.gap.total_seconds() * 1.01
    walkers.at[back] += pause
    walkers.place[back] = draw(rules.starts_cumulated[walkers.persona[back]], rng.random(n))
    walkers.previous[back] = _NOWHERE
    walkers.journey[back] += 1
    walkers.keep(~leaves | back)


def opened(rules: Rules, place: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move contacts outside the touchpoint's opening hours to soon after the next opening."""
    hours = np.array([c.hours or (0, 24) for c in rules.world.contacts])
    if (hours == (0, 24)).all():
        return at
    opens, closes = hours[place].T
    day, hour = np.divmod(at / 3600, 24)
    shut = (hour < opens) | (hour >= closes)
    next_opening = (day + (hour >= closes)) * 24 + opens
    return np.where(shut, (next_opening + rng.exponential(1.0, len(at)).clip(0, 3)) * 3600, at)
