"""The world that journeys are simulated in: touchpoints, personas, arrivals, noise, faults.

Nothing here draws a random number. Every rate is a probability per contact, every span a
``timedelta``, every instant UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from cxlib.errors import UnknownNameError
from cxlib.map_model import JourneyMap, JourneyRule, PlannedHandoff, RatingScale, Touchpoint

FaultKind = Literal[
    "abandonment",
    "delay",
    "backtracking",
    "ping_pong",
    "perception_dip",
    "repeat_contact",
    "repeated_task",
]


@dataclass(frozen=True, slots=True)
class Contact:
    """A touchpoint: columns and flags of the journey map, and how customers behave there.

    ``exit_rate``: chance that the journey ends in silence after it, ``drift`` the change of its
    log-odds from the first to the last day; ``wait``: median of the log-normal time to the next,
    times its ``wait_before``. ``rating``: mean of the latent one (None: nobody is asked), given
    with the chance ``response``; ``dwell``: median time in the contact; ``amount``: median of what
    is spent. Outside ``hours`` (first
    and last of the day, from the world's start) contacts move to the next opening.
    """

    name: str
    stage: str
    channel: str
    owner: str
    exit_rate: float
    wait: timedelta = timedelta(hours=12)
    wait_before: float = 1.0
    rating: float | None = None
    response: float = 0.0
    dwell: timedelta | None = None
    cost: float = 0.0
    amount: float = 0.0
    initiated_by: Literal["customer", "company"] = "customer"
    repeatable: bool = True
    assisted: bool = False
    self_service: bool = False
    drift: float = 0.0
    hours: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Persona:
    """A kind of customer: ``exit_odds`` and ``wait_factor`` multiply, ``rating_shift`` adds to
    latent ratings, ``prefers`` multiplies the weight of a move into a channel.
    """

    name: str
    weight: float
    exit_odds: float = 1.0
    prefers: Mapping[str, float] = field(default_factory=dict)
    wait_factor: float = 1.0
    rating_shift: float = 0.0
    response_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A burst of arrivals at one touchpoint, of customers who leave more readily."""

    at: datetime
    length: timedelta
    share: float
    touchpoint: str
    exit_odds: float = 1.0
    persona_odds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Segment:
    """A column of the customers table; ``by_persona`` replaces the weights for a persona."""

    name: str
    weights: Mapping[str, float]
    by_persona: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where contacts on a channel take place; sticky per customer, optionally limited in time."""

    channel: str
    name: str
    weight: float = 1.0
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """A question at some touchpoints, on a scale of its own.

    An answer is ``mean`` + ``by_mood`` × a mood that the customer keeps + ``by_wait`` × log(1 + the
    hours waited for the contact), from their mean + ``spread`` × chance, rounded. Somebody in the
    mean answers with the chance ``response``; a point more changes its log-odds by ``by_rating``.
    """

    scale: str
    lowest: float
    highest: float
    touchpoints: tuple[str, ...]
    mean: float
    response: float
    by_rating: float = 0.0
    by_mood: float = 0.0
    by_wait: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Mailing:
    """Messages the company sends on its own schedule to a share of the customers it knows."""

    touchpoint: str
    every: timedelta
    share: float


@dataclass(frozen=True, slots=True)
class Noise:
    """What makes a raw log raw, as shares of rows; ``robots`` are a number of customers.

    ``rounding`` floors every time to a multiple (ties are then ties), ``late`` rows are moved to
    the end of the log, ``odd_dates`` get a year of 1970 or 2099.
    """

    robots: int = 0
    robot_contacts: int = 800
    duplicates: float = 0.0
    null_ids: float = 0.0
    odd_dates: float = 0.0
    late: float = 0.0
    rounding: timedelta = timedelta(seconds=1)

    @property
    def tick(self) -> int:
        """Microseconds that times are multiples of."""
        return self.rounding // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the handoff source → target, of known size, from ``since`` on.

    - abandonment: the chance of exit after arriving at the target rises by ``size`` (0.22 = 22
    points); - delay: the wait source → target is multiplied by ``size``; - backtracking: of those
    who arrive, ``size`` are sent ``to`` an earlier stage (by popularity); - ping_pong: ``size`` are
    sent back to the source, then to the target again; - perception_dip: the latent rating at the
    target falls by ``size``; - repeat_contact, repeated_task: ``size`` come ``to`` the target once
    more.
    """

    kind: FaultKind
    source: str
    target: str
    size: float
    to: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Everything journeys are drawn from.

    ``transitions`` are weights of the next touchpoint if the journey goes on, rows and columns in
    the order of ``contacts``. ``memory`` (log-odds of exit by previous and present touchpoint),
    ``habit`` (chance to stay in the channel before) and ``frailty`` (spread of a hidden customer
    effect on exit) are no faults. ``unhappy_response`` multiplies the response of a latent rating
    below 4; ``comments`` are themes: touchpoints (``at``; none: all others) and, by language and
    mood, texts beside ratings: "low" (to 0.4 of the scale), "middle" (to 0.7), "high".
    """

    name: str
    stages: tuple[str, ...]
    contacts: tuple[Contact, ...]
    transitions: np.ndarray
    arrivals: Mapping[str, float]
    start: datetime
    observed_until: datetime
    personas: tuple[Persona, ...] = (Persona("everyone", 1.0),)
    personas_observed: bool = False
    segments: tuple[Segment, ...] = ()
    environments: tuple[Environment, ...] = ()
    mailings: tuple[Mailing, ...] = ()
    campaign: Campaign | None = None
    noise: Noise = Noise()
    gap: timedelta = timedelta(days=30)
    goal: tuple[str, ...] = ()
    planned_handoffs: tuple[tuple[str, str, timedelta], ...] = ()
    return_rate: float = 0.0
    return_after: timedelta = timedelta(days=30)
    wait_spread: float = 0.9
    rating_spread: float = 1.8
    unhappy_response: float = 1.0
    comments: Sequence[Mapping[str, Any]] = ()
    comment_share: float = 0.0
    ratings_apart: bool = False
    surveys: tuple[Survey, ...] = ()
    issues: Mapping[str, float] = field(default_factory=dict)
    memory: np.ndarray | None = None
    habit: float = 0.0
    frailty: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the touchpoints, in order."""
        return tuple(contact.name for contact in self.contacts)

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels in the order of their first touchpoint."""
        return tuple(dict.fromkeys(contact.channel for contact in self.contacts))

    def index(self, touchpoint: str) -> int:
        """Position of a touchpoint; an unknown one is an error."""
        if touchpoint not in self.names:
            raise UnknownNameError("touchpoint", touchpoint, self.names)
        return self.names.index(touchpoint)


_COLUMNS = ("customer", "occurred_at", "touchpoint", "channel", "stage", "owner")
_FLAGS = ("initiated_by", "repeatable", "assisted", "self_service")
_SAME = ("name", "stage", "channel", "owner", *_FLAGS)


def write_map(world: World) -> str:
    """Return the journey map of a world's log, in the words of `cxlib.journey_map`."""
    contacts = world.contacts
    asked = any(c.rating is not None for c in contacts)
    has = {
        "ended_at": any(c.dwell is not None for c in contacts),
        "rating": asked and not world.ratings_apart,
        "environment.environment": bool(world.environments),
        "issue": bool(world.issues),
        "cost": any(c.cost for c in contacts),
    }
    columns = [*_COLUMNS, *(name for name, present in has.items() if present)]
    return JourneyMap(
        name=world.name,
        columns={name: name.partition(".")[2] or name for name in columns},
        time_zone="UTC",
        rating_scales=(RatingScale("csat", 0, 10),) if asked else (),
        observed_until=world.observed_until,
        journey=JourneyRule(gap=world.gap, goal=world.goal),
        stages=world.stages,
        touchpoints=tuple(Touchpoint(**{n: getattr(c, n) for n in _SAME}) for c in contacts),
        planned_handoffs=tuple(PlannedHandoff(*planned) for planned in world.planned_handoffs),
    ).to_yaml()
