"""The world of the sample: a retailer with shops, a web shop, an app, a hotline and a chat.

Only customers whom the retailer can tell apart are in its log, so two journeys in five end with a
purchase. What is known about it, because it was planted: `retailer_faults`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from cxlib.simulate.world import (
    Campaign,
    Contact,
    Environment,
    Fault,
    Mailing,
    Noise,
    Persona,
    Segment,
    Survey,
    World,
)

START = datetime(2024, 12, 31, 23, tzinfo=UTC)
END = datetime(2025, 9, 30, 22, tzinfo=UTC)
APP_RELEASE = datetime(2025, 6, 12, 4, tzinfo=UTC)  # 5.0, when the basket's hand-over broke


def retailer_world() -> World:
    """Return the world of the sample: 25 touchpoints on 8 channels, four stages, four personas."""
    contacts, moves = _read_contacts()
    names = [contact.name for contact in contacts]
    transitions = np.array([[moves[a].get(b, 0.0) for b in names] for a in names])
    return World(
        name="Demo retailer",
        stages=("awareness", "exploration", "conversion", "aftersales"),
        contacts=contacts,
        transitions=transitions,
        arrivals={
            "display ad": 30,
            "search ad": 22,
            "shop window": 12,
            "marketplace listing": 9,
            "product page": 14,
            "app browsing": 8,
            "store visit": 6,
        },
        start=START,
        observed_until=END,
        personas=_PERSONAS,
        segments=(
            Segment("region", {"north": 0.30, "east": 0.18, "south": 0.28, "west": 0.24}),
            Segment(
                "customer_type",
                {"new": 0.62, "known": 0.38},
                by_persona={
                    "loyal regular": {"new": 0.05, "known": 0.95},
                    "hurried caller": {"new": 0.55, "known": 0.45},
                },
            ),
        ),
        environments=_ENVIRONMENTS,
        mailings=(Mailing("newsletter", timedelta(days=35), share=0.12),),
        campaign=Campaign(
            at=datetime(2025, 5, 5, tzinfo=UTC),
            length=timedelta(days=12),
            share=0.14,
            touchpoint="display ad",
            exit_odds=1.7,
            persona_odds={"bargain hunter": 2.5},
        ),
        noise=Noise(robots=4, duplicates=0.006, null_ids=0.002, odd_dates=0.0004, late=0.01),
        goal=("web payment", "app payment", "till", "marketplace order"),
        planned_handoffs=(
            ("search ad", "product page", timedelta(days=1)),
            ("web basket", "web payment", timedelta(days=2)),
            ("app basket", "pick-up counter", timedelta(days=3)),
            ("pick-up counter", "till", timedelta(days=1)),
            ("web payment", "delivery notice", timedelta(days=5)),
            ("app payment", "delivery notice", timedelta(days=5)),
            ("return portal", "return desk", timedelta(days=7)),
        ),
        return_rate=0.22,
        return_after=timedelta(days=30),
        wait_spread=1.0,
        ratings_apart=True,
        unhappy_response=1.5,
        comments=_read("retailer_comments.yaml"),
        surveys=_SURVEYS,
        comment_share=0.3,
        issues={"delivery": 0.34, "size": 0.26, "defect": 0.16, "refund": 0.14, "account": 0.10},
        frailty=0.25,
    )


def _read_contacts() -> tuple[tuple[Contact, ...], dict[str, dict[str, float]]]:
    contacts, moves = [], {}
    for given in _read("retailer_contacts.yaml"):
        known: dict[str, Any] = dict(given)
        moves[known["name"]] = known.pop("then")
        for span in {"wait", "dwell"} & known.keys():
            known[span] = timedelta(minutes=known[span])
        if "hours" in known:
            known["hours"] = tuple(known["hours"])
        contacts.append(Contact(**known))
    return tuple(contacts), moves


def _read(name: str) -> Any:
    return yaml.safe_load(files("cxlib.simulate").joinpath(name).read_text("utf-8"))


_SURVEYS = (
    # the pleased answer more often; who waited longer is less pleased, which tells of the silent
    Survey("nps", 0, 10, ("delivery notice", "till"), mean=7.2, response=0.16, by_rating=0.25,
           by_mood=1.0, by_wait=-1.1, spread=1.3),
    # the same of an effort that goes with nothing in the log: nothing tells of the silent
    Survey("ces", 1, 7, ("order status", "return portal"), mean=4.6, response=0.12, by_rating=0.4,
           spread=1.5),
)  # fmt: skip

_PERSONAS = (
    Persona("explorer", 0.42, exit_odds=0.62, prefers={"web": 1.3}),
    Persona(
        "loyal regular",
        0.22,
        exit_odds=0.48,
        prefers={"app": 1.9, "store": 1.4},
        rating_shift=0.5,
        response_factor=1.4,
    ),
    Persona("bargain hunter", 0.20, exit_odds=0.95, prefers={"marketplace": 2.2, "ads": 1.5}),
    Persona(
        "hurried caller",
        0.16,
        exit_odds=1.5,
        prefers={"phone": 3.5, "chat": 1.6},
        wait_factor=0.7,
        rating_shift=-0.7,
        response_factor=0.7,
    ),
)

_ENVIRONMENTS = (
    Environment("web", "desktop", 0.46),
    Environment("web", "mobile", 0.48),
    Environment("web", "tablet", 0.06),
    Environment("app", "app 4.9", 1.0, until=APP_RELEASE),
    Environment("app", "app 5.0", 0.9, since=APP_RELEASE),
    Environment("app", "app 4.9 (old)", 0.1, since=APP_RELEASE),
    Environment("store", "store Bremen", 3),
    Environment("store", "store Dresden", 2),
    Environment("store", "store Hamburg", 5),
    Environment("store", "store Köln", 4),
    Environment("store", "store Leipzig", 3),
    Environment("store", "store München", 5),
    Environment("phone", "hotline Leipzig", 0.6),
    Environment("phone", "hotline Kiel", 0.4),
)


def retailer_faults() -> tuple[Fault, ...]:
    """Return the faults planted in the sample: six handoffs, six kinds."""
    return (
        Fault("abandonment", "app basket", "pick-up counter", 0.30, since=APP_RELEASE),
        Fault("delay", "product page", "store visit", 3.0),
        Fault("backtracking", "app basket", "web basket", 0.28, to="product page"),
        Fault("ping_pong", "support chat", "support call", 0.30),
        Fault("perception_dip", "return portal", "return desk", 2.5),
        Fault("repeat_contact", "delivery notice", "support call", 0.25),
    )
