"""A log by hand or by dice, the workspace made of it, and its journeys in plain Python.

The oracle shares no code with the package: it sorts, splits and follows contacts in loops, from the
definitions in the journey map's documentation.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import polars as pl

from cxlib.contracts import EVENTS, QUARANTINE
from cxlib.journey_map import JourneyMap
from cxlib.map_model import JourneyRule, Touchpoint
from cxlib.store import build_workspace

START = datetime(2025, 1, 1, tzinfo=UTC)
STAGES = ("awareness", "exploration", "conversion", "aftersales")
TOUCHPOINTS = (
    Touchpoint("newsletter", "awareness", "email", "marketing", initiated_by="company"),
    Touchpoint("ad", "awareness", "web", "marketing"),
    Touchpoint("page", "exploration", "web", "marketing"),
    Touchpoint("visit", "exploration", "store", "retail"),
    Touchpoint("basket", "conversion", "web", "shop"),
    Touchpoint("refused", "conversion", "web", "credit"),
    Touchpoint("pay", "conversion", "web", "shop"),
    Touchpoint("support", "aftersales", "phone", "service"),
)
BY_NAME = {t.name: t for t in TOUCHPOINTS}
GAP = timedelta(days=30)


def journey_map(*, gap=GAP, goal=("pay",), lost=("refused",), restart=True, until=None):
    return JourneyMap(
        name="test",
        stages=STAGES,
        touchpoints=TOUCHPOINTS,
        journey=JourneyRule(gap=gap, goal=goal, lost=lost, restart=restart),
        observed_until=until,
        period="month",
    )


@dataclass(frozen=True)
class Contact:
    customer: str
    at: datetime
    touchpoint: str
    channel: str
    rating: float | None = None
    ended_at: datetime | None = None
    cost: float | None = None
    due_at: datetime | None = None

    @property
    def stage(self):
        known = BY_NAME.get(self.touchpoint)
        return known.stage if known else "unmapped"

    @property
    def stage_index(self):
        return STAGES.index(self.stage) if self.stage in STAGES else None


def contact(customer, day, touchpoint, channel=None, **more):
    """One contact, `day` days (fractions allowed) after the start of the log."""
    known = BY_NAME.get(touchpoint)
    channel = channel or (known.channel if known else "web")
    return Contact(customer, START + timedelta(days=day), touchpoint, channel, **more)


def random_log(seed, customers=60, *, days=120, most=9):
    """Contacts at distinct whole minutes: no ties, so that the order is in no doubt."""
    dice = Random(seed)
    log = []
    for number in range(customers):
        day = dice.uniform(0, days * 0.8)
        for _ in range(dice.randint(1, most)):
            name = dice.choice([*BY_NAME, "unknown thing"])
            channel = dice.choice(["web", "store", "phone"]) if dice.random() < 0.3 else None
            at = round(day * 1440) / 1440
            made = contact(f"c{number:03}", at, name, channel)
            log.append(
                Contact(
                    made.customer,
                    made.at,
                    made.touchpoint,
                    made.channel,
                    rating=dice.choice([None, None, float(dice.randint(0, 10))]),
                    ended_at=made.at + timedelta(minutes=dice.randint(0, 60))
                    if dice.random() < 0.5
                    else None,
                    cost=dice.choice([None, 1.5]),
                )
            )
            day += dice.choice([0.01, 0.3, 2, 9, 25, 45]) * dice.uniform(0.5, 1.2)
            if day > days:
                break
    return log


def make_workspace(folder, log, *, rule=None, customers=None, ratings=None):
    """Build the workspace of a log through the real store."""
    rule = rule or journey_map()
    rows = [
        {
            "customer": c.customer,
            "occurred_at": c.at,
            "sequence": 0,
            "touchpoint": c.touchpoint,
            "channel": c.channel,
            "stage": c.stage,
            "owner": BY_NAME[c.touchpoint].owner if c.touchpoint in BY_NAME else None,
            "initiated_by": BY_NAME[c.touchpoint].initiated_by
            if c.touchpoint in BY_NAME
            else "customer",
            "ended_at": c.ended_at,
            "rating": c.rating,
            "cost": c.cost,
            "due_at": c.due_at,
            "row": i,
        }
        for i, c in enumerate(log)
    ]
    schema = {k: v for k, v in EVENTS.schema.items() if k in rows[0]}
    report = SimpleNamespace(to_dict=dict)
    report.with_store_counts = lambda **counts: SimpleNamespace(to_dict=lambda: counts)
    ingested = SimpleNamespace(
        events=pl.DataFrame(rows, schema=schema).lazy(),
        quarantine=QUARANTINE.empty(),
        report=report,
        journey_map=rule,
    )
    return build_workspace(ingested, folder, customers=customers, ratings=ratings)


@dataclass
class Journey:
    customer: str
    first: bool
    contacts: list = field(default_factory=list)
    ended_by_next: timedelta | None = None  # to the customer's next contact, where there is one


@dataclass(frozen=True)
class Followed:
    """A contact and what came after it in its journey."""

    contact: Contact
    sequel: str  # went_on, silent, declined, done, open
    wait: timedelta
    target: Contact | None


def split(log, rule):
    """Journeys in plain Python, by the words of the journey rule."""
    journeys = []
    goal_stages = [STAGES.index(BY_NAME[g].stage) for g in rule.journey.goal]
    last = max(goal_stages, default=None)
    enders = {*rule.journey.goal, *rule.journey.lost}
    for customer in sorted({c.customer for c in log}):
        before, ended = None, False
        for c in sorted((c for c in log if c.customer == customer), key=lambda c: c.at):
            known = BY_NAME.get(c.touchpoint)
            opens = (
                c.stage_index is not None
                and (last is None or c.stage_index <= last)
                and c.touchpoint not in enders
                and (known is None or known.initiated_by == "customer")
            )
            pause = rule.journey.gap is not None and before and c.at - before.at > rule.journey.gap
            again = rule.journey.restart and ended and opens
            if before is None or pause or again:
                if before is not None:
                    journeys[-1].ended_by_next = c.at - before.at
                journeys.append(Journey(customer, first=before is None))
                ended = False
            journeys[-1].contacts.append(c)
            ended = ended or c.touchpoint in enders
            before = c
    return journeys


def follow(log, rule):
    """Every contact with what came next, in plain Python."""
    until = max([rule.observed_until or START, *(c.at for c in log)])
    goal_stages = [STAGES.index(BY_NAME[g].stage) for g in rule.journey.goal]
    last = max(goal_stages, default=None)
    followed = []
    for journey in split(log, rule):
        reached = lost = False
        for i, c in enumerate(journey.contacts):
            reached = reached or c.touchpoint in rule.journey.goal
            lost = lost or c.touchpoint in rule.journey.lost
            if i + 1 < len(journey.contacts):
                target = journey.contacts[i + 1]
                followed.append(Followed(c, "went_on", target.at - c.at, target))
                continue
            silence = journey.ended_by_next if journey.ended_by_next is not None else until - c.at
            beyond = last is not None and c.stage_index is not None and c.stage_index > last
            gap = rule.journey.gap
            settled = gap is None or silence > gap or journey.ended_by_next is not None
            if settled and (reached or beyond):
                sequel = "done"
            elif settled and lost:
                sequel = "declined"
            elif gap is not None and silence > gap:
                sequel = "silent"
            else:
                sequel = "open"
            followed.append(Followed(c, sequel, silence, None))
    return followed


def aalen_johansen(observed):
    """Shares of causes from (seconds, cause or None) at exact times, events before censorings."""
    survival, shares = 1.0, {}
    for t in sorted({t for t, _ in observed}):
        at_risk = sum(s >= t for s, _ in observed)
        happened = [c for s, c in observed if s == t and c is not None]
        for c in set(happened):
            shares[c] = shares.get(c, 0.0) + survival * happened.count(c) / at_risk
        survival *= 1 - len(happened) / at_risk
    return shares


def outcome(journey, rule, until):
    """What became of a journey: of goal and loss the first."""
    for c in journey.contacts:
        if c.touchpoint in rule.journey.goal:
            return "goal"
        if c.touchpoint in rule.journey.lost:
            return "declined"
    if journey.contacts[0].stage == "aftersales":
        return "done"
    silence = journey.ended_by_next or until - journey.contacts[-1].at
    return "silent" if silence > rule.journey.gap else "open"
