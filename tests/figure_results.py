"""Results made by hand, small enough to know every number of: for tests of figures and views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from cxlib.measures.first_contacts import FirstContacts
from cxlib.measures.funnels import Funnel
from cxlib.measures.paths import Paths
from cxlib.measures.stage_funnel import StageFunnel
from cxlib.measures.touchpoints import Touchpoints
from cxlib.measures.transitions import Transitions
from cxlib.measures.waits import Waits

UNTIL = datetime(2026, 10, 31, tzinfo=UTC)
HOUR = timedelta(hours=1)

#: touchpoint, channel, stage, customers, lost, rank among the weakest
PLACES = (
    ("display ad", "ads", "awareness", 4000, 0.30, 1),
    ("product page", "web", "exploration", 3000, 0.10, 3),
    ("shop visit", "store", "exploration", 900, 0.20, 4),
    ("web basket", "web", "conversion", 1200, 0.40, 2),
    ("payment", "web", "conversion", 700, 0.0, None),
    ("hotline", "phone", "unmapped", 50, None, None),
)
STAGES = ("awareness", "exploration", "conversion", "aftersales", "unmapped")
CHANNELS = ("ads", "web", "store", "phone")


def interval(name: str, value: float | None, half: float = 0.02) -> dict[str, float | None]:
    """Columns of an estimate with a symmetric interval inside [0, 1]."""
    if value is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: value, f"{name}_low": max(value - half, 0), f"{name}_high": value + half}


def sequel(customers: int | None, lost: float | None) -> dict[str, Any]:
    """Columns of what comes after a contact."""
    go_on = None if lost is None else 0.9 - lost
    return (
        {"customers": customers, "contacts": None if customers is None else 2 * customers}
        | interval("go_on", go_on)
        | interval("lost", lost)
        | interval("done", None if lost is None else 0.1)
        | interval("open", 0.05)
        | {"next_wait": 3 * HOUR, "rating_n": 40, "response": 0.27}
        | {"rating": 7.4, "rating_low": 7.1, "rating_high": 7.7}
    )


def touchpoints(places: tuple[Any, ...] = PLACES, **changes: Any) -> Touchpoints:
    """Touchpoints of the places given."""
    rows = [
        {"place": i, "touchpoint": name, "channel": channel, "stage": stage, "owner": "sales"}
        | sequel(customers, lost)
        | {"weakest": rank}
        for i, (name, channel, stage, customers, lost, rank) in enumerate(places)
    ]
    columns = Touchpoints.tables
    given: dict[str, Any] = {
        "table": columns["table"].frame(rows),
        "by_stage": columns["by_stage"].frame({"stage": s} | sequel(1000, 0.1) for s in STAGES[:3]),
        "by_channel": columns["by_channel"].frame(
            {"channel": c} | sequel(800, 0.1) for c in CHANNELS
        ),
        "whole": columns["whole"].frame([sequel(5000, 0.2)]),
        "stages": STAGES,
        "channels": CHANNELS,
        "customers": 5000,
        "journeys": 6000,
        "contacts": 20_000,
        "observed_until": UNTIL,
    }
    return Touchpoints(**(given | changes))


def transitions(
    counts: dict[tuple[int, int], int] | None = None, places: Any = PLACES
) -> Transitions:
    """Moves between places, by the positions of their ends."""
    counts = counts or {(0, 1): 1500, (1, 3): 800, (3, 4): 600, (1, 2): 200, (3, 3): 90, (5, 1): 5}
    rows = [
        {"source": a, "target": b}
        | {f"source_{k}": places[a][i] for i, k in enumerate(("touchpoint", "channel", "stage"))}
        | {f"target_{k}": places[b][i] for i, k in enumerate(("touchpoint", "channel", "stage"))}
        | {"n": n}
        | interval("share", n / 3000)
        | {"wait": 2 * HOUR, "wait_low": HOUR, "wait_high": 3 * HOUR}
        for (a, b), n in counts.items()
    ]
    table = Transitions.tables["table"].frame(rows).sort("n", descending=True)
    return Transitions(table=table, contacts=20_000, observed_until=UNTIL)


def transitions_by_name() -> Transitions:
    """The same moves, by touchpoint."""
    table = transitions().table.with_columns(
        source=pl.col("source_touchpoint"), target=pl.col("target_touchpoint")
    )
    table = table.select(pl.exclude("^(source|target)_.*$"))
    return Transitions(table=table, contacts=20_000, observed_until=UNTIL)


def first_contacts() -> FirstContacts:
    """Two frequent beginnings and one that is too rare to be shown."""
    rows = [
        {"place": i, "touchpoint": name, "channel": channel, "stage": stage, "journeys": journeys}
        | interval("share", journeys / 1004)
        | interval("goal", goal)
        | {"time_to_goal": 24 * HOUR, "time_to_goal_low": 20 * HOUR, "time_to_goal_high": None}
        for i, (name, channel, stage, journeys, goal) in enumerate(
            [
                ("display ad", "ads", "awareness", 700, 0.2),
                ("shop visit", "store", "exploration", 300, 0.5),
                ("hotline", "phone", "unmapped", 4, 1.0),
            ]
        )
    ]
    columns = FirstContacts.tables
    return FirstContacts(
        table=columns["table"].frame(rows),
        by_channel=columns["by_channel"].frame({"channel": c} for c in CHANNELS),
        whole=columns["whole"].frame(),
        journeys=1004,
        observed_until=UNTIL,
    )


def stage_funnel() -> StageFunnel:
    """Three stages; most is lost after the first."""
    rows = [
        {"stage": stage, "customers": n, "journeys": n, "began": n // 2}
        | interval("further", further)
        | interval("done", 0.0)
        | interval("lost", 1 - further)
        | {"open": 0.04, "time": 5 * HOUR}
        for stage, n, further in (
            ("awareness", 1000, 0.5),
            ("exploration", 600, 0.7),
            ("conversion", 400, 0.9),
        )
    ]
    return StageFunnel(
        table=StageFunnel.tables["table"].frame(rows), journeys=1200, observed_until=UNTIL
    )


def funnel() -> Funnel:
    """Of 1000 journeys 400 take the second step, and 300 of these the third."""
    ends = {"declined_n": 100, "silent_n": 300, "done_n": 50, "open_n": 150}
    rest = {"declined_n": 20, "silent_n": 30, "done_n": 10, "open_n": 40}
    none = dict.fromkeys(ends)
    rows = [
        {"step": i, "name": name, "journeys": n, "customers": n}
        | interval("share", n / 1000)
        | interval("rate", rate)
        | {"time": None if rate is None else 4 * HOUR}
        | after
        for i, (name, n, rate, after) in enumerate(
            [("page", 1000, None, ends), ("basket", 400, 0.45, rest), ("payment", 300, 0.8, none)],
            start=1,
        )
    ]
    return Funnel(
        table=Funnel.tables["table"].frame(rows),
        steps=("page", "basket", "payment"),
        journeys=1500,
        customers=1400,
        within=None,
        observed_until=UNTIL,
    )


def waits() -> Waits:
    """Two moves, and one of a touchpoint to itself."""
    rows = [
        {"source": a, "target": b, "n": n, "customers": n, "wait": m * HOUR}
        | {"wait_quarter": m * HOUR / 2, "wait_three_quarters": 2 * m * HOUR}
        for a, b, n, m in (
            ("page", "page", 500, 1),
            ("page", "basket", 400, 2),
            ("ad", "page", 90, 9),
        )
    ]
    return Waits(table=Waits.tables["table"].frame(rows), contacts=2000, observed_until=UNTIL)


def paths() -> Paths:
    """Two paths out of five."""
    rows = [
        {"path": path, "contacts": 2, "journeys": n, "customers": n}
        | interval("share", n / 1000)
        | interval("goal", goal)
        | {"open_n": 7, "duration": 3 * HOUR}
        for path, n, goal in (("ad → page", 500, 0.0), (" → ".join(["page"] * 40), 200, 0.9))
    ]
    return Paths(
        table=Paths.tables["table"].frame(rows),
        journeys=1000,
        paths=5,
        others=3,
        others_journeys=300,
        observed_until=UNTIL,
    )
