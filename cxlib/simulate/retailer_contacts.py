"""The retailer's touchpoints, and how its customers move between them.

Made up, but shaped after what retailers log: many ads and much browsing, fewer calls, parcels that
raise questions. `cxlib.simulate.retailer` makes a world of it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from cxlib.simulate.world import Contact

_SHOP_HOURS = (9, 20)
_CALL_HOURS = (8, 22)


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


def _minutes(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


_ads = partial(Contact, stage="awareness", channel="ads", owner="marketing")
_web = partial(Contact, channel="web", owner="web team", response=0.06, self_service=True)
_app = partial(Contact, channel="app", owner="app team", response=0.10, self_service=True)
_store = partial(Contact, channel="store", owner="retail", response=0.07, hours=_SHOP_HOURS)
_phone = partial(
    Contact,
    channel="phone",
    owner="service centre",
    response=0.22,
    assisted=True,
    hours=_CALL_HOURS,
    cost=6.5,
)
_chat = partial(
    Contact,
    channel="chat",
    owner="chat partner",
    response=0.25,
    assisted=True,
    hours=_CALL_HOURS,
    cost=3.2,
)

CONTACTS: tuple[Contact, ...] = (
    # awareness
    _ads("display ad", exit_rate=0.38, wait=_hours(10), cost=0.35),
    _ads("search ad", exit_rate=0.16, wait=_minutes(3), cost=0.85),
    Contact(
        "newsletter",
        "awareness",
        "email",
        "marketing",
        exit_rate=0.45,
        wait=_hours(9),
        cost=0.01,
        initiated_by="company",
    ),
    _store("shop window", "awareness", exit_rate=0.30, wait=_hours(5), response=0.0),
    Contact(
        "marketplace listing",
        "awareness",
        "marketplace",
        "marketplace partner",
        exit_rate=0.34,
        wait=_hours(2),
    ),
    # exploration
    _web(
        "product page", "exploration", exit_rate=0.17, wait=_hours(7), rating=7.3, dwell=_minutes(3)
    ),
    _web(
        "size adviser", "exploration", exit_rate=0.09, wait=_hours(1), rating=7.0, dwell=_minutes(4)
    ),
    _app(
        "app browsing", "exploration", exit_rate=0.12, wait=_hours(9), rating=7.8, dwell=_minutes(5)
    ),
    _store(
        "store visit",
        "exploration",
        exit_rate=0.22,
        wait=_hours(14),
        wait_before=1.6,
        rating=7.9,
        dwell=_minutes(18),
        cost=2.4,
    ),
    _phone(
        "advice call", "exploration", exit_rate=0.20, wait=_hours(8), rating=7.2, dwell=_minutes(7)
    ),
    _chat(
        "advice chat", "exploration", exit_rate=0.18, wait=_hours(5), rating=7.4, dwell=_minutes(9)
    ),
    # conversion
    _web("web basket", "conversion", exit_rate=0.21, wait=_hours(2), rating=7.1, dwell=_minutes(4)),
    _app("app basket", "conversion", exit_rate=0.13, wait=_hours(3), rating=7.6, dwell=_minutes(3)),
    _store(
        "pick-up counter",
        "conversion",
        exit_rate=0.11,
        wait=_minutes(10),
        wait_before=3.0,
        rating=7.7,
        dwell=_minutes(6),
        cost=1.8,
    ),
    _web(
        "web payment",
        "conversion",
        exit_rate=0.17,
        wait=_hours(20),
        rating=7.6,
        dwell=_minutes(3),
        repeatable=False,
        cost=0.3,
    ),
    _app(
        "app payment",
        "conversion",
        exit_rate=0.16,
        wait=_hours(20),
        rating=8.1,
        dwell=_minutes(2),
        repeatable=False,
        cost=0.3,
    ),
    _store(
        "till",
        "conversion",
        exit_rate=0.58,
        wait=_hours(40),
        rating=8.0,
        dwell=_minutes(4),
        repeatable=False,
        cost=0.9,
    ),
    Contact(
        "marketplace order",
        "conversion",
        "marketplace",
        "marketplace partner",
        exit_rate=0.30,
        wait=_hours(30),
        repeatable=False,
        cost=4.1,
    ),
    # aftersales
    Contact(
        "delivery notice",
        "aftersales",
        "email",
        "parcel partner",
        exit_rate=0.46,
        wait=_hours(16),
        wait_before=1.8,
        rating=7.5,
        response=0.12,
        cost=0.02,
        initiated_by="company",
    ),
    _web(
        "order status", "aftersales", exit_rate=0.40, wait=_hours(12), rating=6.8, dwell=_minutes(2)
    ),
    _web(
        "return portal",
        "aftersales",
        exit_rate=0.26,
        wait=_hours(22),
        rating=6.6,
        dwell=_minutes(5),
        repeatable=False,
    ),
    _store(
        "return desk",
        "aftersales",
        exit_rate=0.62,
        wait=_hours(24),
        rating=7.4,
        response=0.2,
        cost=3.5,
    ),
    _phone(
        "support call", "aftersales", exit_rate=0.50, wait=_hours(20), rating=6.7, dwell=_minutes(9)
    ),
    _chat(
        "support chat", "aftersales", exit_rate=0.42, wait=_hours(6), rating=6.9, dwell=_minutes(11)
    ),
    _app("loyalty offer", "aftersales", exit_rate=0.55, wait=_hours(60), rating=7.9),
)

MOVES: dict[str, dict[str, float]] = {
    "display ad": {
        "product page": 42,
        "app browsing": 14,
        "display ad": 14,
        "search ad": 9,
        "store visit": 6,
        "marketplace listing": 4,
        "shop window": 4,
    },
    "search ad": {"product page": 62, "app browsing": 9, "store visit": 5, "advice chat": 3},
    "newsletter": {"product page": 40, "app browsing": 25, "store visit": 8, "web basket": 5},
    "shop window": {"store visit": 55, "product page": 18, "app browsing": 8, "display ad": 3},
    "marketplace listing": {"marketplace order": 34, "product page": 20, "marketplace listing": 12},
    "product page": {
        "product page": 22,
        "web basket": 26,
        "size adviser": 10,
        "store visit": 11,
        "app browsing": 8,
        "advice chat": 6,
        "advice call": 5,
        "search ad": 2,
        "marketplace listing": 2,
    },
    "size adviser": {"web basket": 40, "product page": 30, "store visit": 6, "advice chat": 5},
    "app browsing": {
        "app browsing": 24,
        "app basket": 36,
        "store visit": 8,
        "product page": 9,
        "advice chat": 5,
        "advice call": 3,
    },
    "store visit": {
        "till": 44,
        "product page": 13,
        "app browsing": 9,
        "store visit": 8,
        "advice call": 3,
    },
    "advice call": {"web basket": 22, "product page": 20, "store visit": 16, "app basket": 6},
    "advice chat": {
        "web basket": 24,
        "product page": 22,
        "app basket": 14,
        "store visit": 7,
        "advice call": 5,
    },
    "web basket": {
        "web payment": 46,
        "pick-up counter": 15,
        "product page": 12,
        "app basket": 5,
        "advice call": 5,
        "advice chat": 5,
    },
    "app basket": {
        "app payment": 40,
        "pick-up counter": 30,
        "web basket": 17,
        "app browsing": 9,
        "advice chat": 4,
    },
    "pick-up counter": {"till": 84, "store visit": 5, "support call": 4},
    "web payment": {
        "delivery notice": 70,
        "order status": 22,
        "support call": 4,
        "support chat": 4,
    },
    "app payment": {
        "delivery notice": 72,
        "order status": 12,
        "loyalty offer": 8,
        "support chat": 4,
    },
    "till": {"loyalty offer": 28, "return desk": 22, "support call": 9, "return portal": 3},
    "marketplace order": {"delivery notice": 60, "support call": 12, "order status": 5},
    "delivery notice": {
        "order status": 26,
        "return portal": 22,
        "support call": 21,
        "support chat": 16,
        "loyalty offer": 8,
        "return desk": 7,
    },
    "order status": {
        "support call": 20,
        "support chat": 18,
        "order status": 16,
        "return portal": 14,
    },
    "return portal": {
        "return desk": 42,
        "support chat": 12,
        "support call": 11,
        "order status": 12,
    },
    "return desk": {"loyalty offer": 14, "support call": 8, "store visit": 12},
    "support call": {"return portal": 14, "order status": 14, "return desk": 10, "support chat": 6},
    "support chat": {"support call": 34, "return portal": 16, "order status": 16, "return desk": 8},
    "loyalty offer": {"app browsing": 22, "product page": 12, "store visit": 8},
}
"""Weights of the next touchpoint, by touchpoint; personas bend them by their tastes."""
