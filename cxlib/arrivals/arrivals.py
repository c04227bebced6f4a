"""Arrivals: what happened after each arrival at a touchpoint, by where the customer came from.

An arrival is a transition that the filters of `SET_ASIDE` leave, counted into additive tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from cxlib.arrivals.histories import HISTORY_TABLES, block_of, count_around, count_histories
from cxlib.arrivals.later import count_turns
from cxlib.arrivals.links import count_links
from cxlib.arrivals.open_hours import OpenHours, read_open_hours
from cxlib.arrivals.planned import COUNTS, NEITHER, follow_planned
from cxlib.arrivals.repeats import REPEATS, SPREAD, count_repeats, count_responses
from cxlib.arrivals.silences import choose_silence, silence_of
from cxlib.bins import bin_of
from cxlib.errors import WorkspaceError
from cxlib.journeys import NO_STAGE
from cxlib.map_model import PlannedHandoff
from cxlib.periods import Periods
from cxlib.store import Workspace
from cxlib.store.counting import rating_sums
from cxlib.store.engines import Count, Run, count_here
from cxlib.store.selection import Chosen, Selection
from cxlib.store.tables import Table, add_up, read_tables, select, write_tables
from cxlib.store.walk import Scope, look_back, visits

MAX_PER_CUSTOMER = 3  # how often one customer may count for one handoff
LANDMARKS = (timedelta(days=7), timedelta(days=14), timedelta(days=30))
"""Silences at which abandonment must have the same sign for a finding to be stable."""

WINDOWS = LANDMARKS[:1]  # shorter windows, at which a signal must keep its sign to be stable
_CLOCK = "clock"  # a bucket's contacts, and those at midnight: no table of `Arrivals`
_POSITION_BINS = (2, 3, 5, 9)
_SHORTEST = 0.5
_LEAST_CONTACTS = 50

_STRATA = ("source", "target", "high", "reached", "position", "segment", "period")
_ARRIVALS = "transitions that no filter set aside"

SET_ASIDE = ("reload", "tied", "slow", "beyond", "often")
"""Why a transition is no arrival, in the order in which it is asked: a reload; the two contacts
share one instant, so that their order is not known; more than the silence between them; beyond the
customer's first contacts, of which only so many count; more than `MAX_PER_CUSTOMER` times by one
customer. Columns of ``transitions``."""

TABLES = {
    "transitions": Table(("source", "target", "segment", "period"), "every transition"),
    "arrivals": Table(_STRATA, _ARRIVALS, meaning=2),
    "onward": Table(
        ("source", "target", "next", "segment", "period"), "fresh arrivals that went on", meaning=2
    ),
    "waits": Table(
        ("source", "target", "bin", "segment", "period"),
        "arrivals whose source was followed for the silence",
        meaning=2,
    ),
    "spread": Table(("source", "target", "bucket"), _ARRIVALS, meaning=3),
    "repeats": Table(_STRATA, "arrivals at marked touchpoints", meaning=3),
    "repeats_spread": Table(
        ("source", "target", "bucket"), "arrivals at marked touchpoints", meaning=3
    ),
    "planned": Table(COUNTS, "contacts at the source of a planned handoff", meaning=2),
    "links": Table(("place",), "contacts that customers began", meaning=4),
    "responses": Table((*_STRATA, "after"), _ARRIVALS, meaning=2),
    **HISTORY_TABLES,
}
"""The tables of `Arrivals`. Their period is that of the contact that was left, as everywhere."""

KEYS = {name: table.keys for name, table in TABLES.items()}  # in the order of sorting
_REPEATED = {"repeats": REPEATS, "repeats_spread": SPREAD, "repeat_history": SPREAD}


@dataclass(frozen=True, slots=True)
class Settings:
    """What was counted how; ``silence`` counts as having left, and is every arrival's follow-up.

    ``coming_back``: of those silent for so long, who went on with their journey after all.
    """

    silence: timedelta
    first_at: datetime
    observed_until: datetime
    customers: int
    midnight_share: float
    unknown_share: float = 0.0
    coming_back: float = 0.0
    plan: tuple[PlannedHandoff, ...] = ()
    open_hours: OpenHours | None = None
    most_contacts: int = _LEAST_CONTACTS

    @property
    def span(self) -> timedelta:
        """Time the log covers."""
        return self.observed_until - self.first_at


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Additive tables (`TABLES`), and what their numbers mean.

    ``arrivals``: ``n`` followed for the silence, ``silent`` of them without a further contact
    within it, ``onward`` the others, ``fresh`` of those no way back, ``back`` of these to a lower
    stage; ``n_7`` … the same at fixed silences; ``customers`` first arrivals. ``spread``: by bucket
    of customers, for the intervals. The others: see the module that counts them. ``cache``: what is
    worked out of these tables, empty where one is replaced; ``of_log``: what is the same for every
    part of the log.
    """

    transitions: pl.DataFrame
    arrivals: pl.DataFrame
    onward: pl.DataFrame
    waits: pl.DataFrame
    spread: pl.DataFrame
    repeats: pl.DataFrame
    repeats_spread: pl.DataFrame
    planned: pl.DataFrame
    links: pl.DataFrame
    responses: pl.DataFrame
    histories: pl.DataFrame
    history_waits: pl.DataFrame
    begun_waits: pl.DataFrame
    steps: pl.DataFrame
    volumes: pl.DataFrame
    environments: pl.DataFrame
    environment_waits: pl.DataFrame
    environment_steps: pl.DataFrame
    environment_repeats: pl.DataFrame
    repeat_history: pl.DataFrame
    plan_history: pl.DataFrame
    places: pl.DataFrame
    segments: pl.DataFrame
    periods: Periods
    settings: Settings
    cache: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)
    of_log: dict[Any, Any] = field(default_factory=dict, repr=False)

    def select(self, where: Selection | None) -> Arrivals:
        """Keep the arrivals that `where` names; the channel is checked only."""
        chosen = Chosen.of(where, places=self.places, segments=self.segments, periods=self.periods)
        if (chosen.segments, chosen.period) == (None, None):
            return self
        return replace(self, **select(self.tables, TABLES, chosen))  # type: ignore[arg-type]

    @property
    def observed_until(self) -> datetime:
        """End of observation, UTC."""
        return self.settings.observed_until

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The additive tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    def write(self, folder: str | Path) -> None:
        """Write the tables to a folder, complete or not at all."""
        s = self.settings
        about = {name: getattr(s, name) for name in _TOLD} | {
            "silence_seconds": s.silence.total_seconds(),
            "first_at": s.first_at.isoformat(),
            "observed_until": s.observed_until.isoformat(),
        }
        write_tables(folder, self.tables, TABLES, about)


_TOLD = ("customers", "midnight_share", "unknown_share", "coming_back", "most_contacts")


def read_arrivals(workspace: Workspace) -> Arrivals:
    """Arrivals of a workspace, read or counted and kept: once for as long as it is open."""
    folder = workspace.log_folder / "arrivals"
    file = folder / "arrivals.json"
    return workspace.keep("arrivals", file, lambda: _read_arrivals(workspace, folder))


def _read_arrivals(workspace: Workspace, folder: Path) -> Arrivals:
    try:
        tables, about = read_tables(folder, TABLES)
    except WorkspaceError:  # not there yet, or counted otherwise
        counted = count_arrivals(workspace)
        with suppress(WorkspaceError):  # a folder that may only be read is counted every time
            counted.write(folder)
        return counted
    settings = Settings(
        silence=timedelta(seconds=about["silence_seconds"]),
        first_at=datetime.fromisoformat(about["first_at"]),
        observed_until=datetime.fromisoformat(about["observed_until"]),
        plan=workspace.journey_map.planned_handoffs,
        open_hours=read_open_hours(workspace),
        **{name: about[name] for name in _TOLD},
    )
    read: dict[str, Any] = {**tables}
    return Arrivals(
        **read,
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        settings=settings,
    )


def count_arrivals(
    workspace: Workspace, *, silence: timedelta | None = None, run: Run | None = None
) -> Arrivals:
    """Count the arrivals of a workspace in one pass, one bucket of customers at a time.

    `silence`: see `silence_of`; `run`: where buckets are counted (`cxlib.store.engines`).
    """
    report = workspace.report
    chosen, coming_back = silence_of(workspace) if silence is None else (silence, 0.0)
    unknown = report.get("set_aside", {}).get("customer is empty", 0)
    run_all = run or partial(count_here, at_once=1)
    return _count_all(
        partial(run_all, workspace.bucket_files()),
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        customers=workspace.customers().collect(),
        observed_until=workspace.observed_until,
        silence=chosen,
        coming_back=coming_back,
        time_zone=workspace.periods.time_zone,
        plan=workspace.journey_map.planned_handoffs,
        open_hours=read_open_hours(workspace),
        unknown_share=unknown / max(unknown + report.get("contacts", 0), 1),
    )


def count_frames(frames: Iterable[pl.DataFrame], **told: Any) -> Arrivals:
    """Count the arrivals of store rows in pieces, no customer in two; `told` as of `_count_all`."""
    return _count_all(lambda count: [count(frame) for frame in frames], **told)


def _count_all(  # noqa: PLR0913 (what a workspace knows, without one)
    run: Callable[[Count], Sequence[Mapping[str, pl.DataFrame]]],
    *,
    places: pl.DataFrame,
    segments: pl.DataFrame,
    periods: Periods,
    customers: pl.DataFrame,
    observed_until: datetime,
    silence: timedelta | None = None,
    coming_back: float = 0.0,
    time_zone: str = "UTC",
    plan: Sequence[PlannedHandoff] = (),
    open_hours: OpenHours | None = None,
    unknown_share: float = 0.0,
) -> Arrivals:
    first_at: datetime = customers["first_at"].min()  # type: ignore[assignment]
    settings = Settings(
        silence=choose_silence(observed_until - first_at, silence),
        first_at=first_at,
        observed_until=observed_until,
        customers=len(customers),
        midnight_share=0.0,
        unknown_share=unknown_share,
        coming_back=coming_back,
        plan=tuple(plan),
        open_hours=open_hours,
        most_contacts=most_contacts(customers),
    )
    walk = Scope(places, silence, observed_until)
    parts = run(partial(_count_bucket, walk=walk, settings=settings, time_zone=time_zone))
    tables: dict[str, Any] = {n: add_up([p[n] for p in parts], TABLES[n]) for n in TABLES}
    contacts, midnights = pl.concat([p[_CLOCK] for p in parts]).sum().row(0)
    settings = replace(settings, midnight_share=midnights / max(contacts, 1))
    return Arrivals(**tables, places=places, segments=segments, periods=periods, settings=settings)


def most_contacts(customers: pl.DataFrame) -> int:
    """Contacts after which a customer counts no further: the 99.5 % quantile, at least 50."""
    quantile = customers["contacts"].quantile(0.995, "nearest") or 0
    return max(_LEAST_CONTACTS, int(quantile))


def _count_bucket(
    rows: pl.DataFrame, *, walk: Scope, settings: Settings, time_zone: str
) -> dict[str, pl.DataFrame]:
    silence, places = settings.silence, walk.places
    at_midnight = pl.col("occurred_at").dt.convert_time_zone(time_zone).dt.time() == pl.time(0)
    clock = rows.select(contacts=pl.len(), midnights=at_midnight.sum())
    if "rating" not in rows.columns:
        rows = rows.with_columns(rating=pl.lit(None, pl.Float32))
    seen = look_back(rows, scope=walk).collect()
    visited = visits(seen.lazy(), scope=walk, silence=silence).collect()
    transitions, followed = _find_arrivals(seen, visited, walk, settings)
    contacts = seen.filter(~pl.col("reload"))
    block = block_of(pl.col("occurred_at"), time_zone, settings.span)
    again = count_repeats(followed, contacts, places, within=silence, plan=settings.plan)
    again = again.with_columns(block=block)
    repeated = {
        name: again.group_by(KEYS[name]).agg(pl.col(*summed).sum().cast(pl.Int64))
        for name, summed in _REPEATED.items()
    }
    planned = follow_planned(
        contacts,
        places,
        settings.plan,
        observed_until=walk.observed_until,
        most=MAX_PER_CUSTOMER,
    ).with_columns(block=block)
    broken = {"n": pl.col("followed"), "broken": pl.col("cause") == NEITHER}
    return {
        _CLOCK: clock,
        "transitions": transitions,
        **_count(followed, settings),
        **count_histories(
            visited.filter(pl.col("number") < settings.most_contacts),
            places,
            time_zone,
            span=settings.span,
            silence=silence,
            most=MAX_PER_CUSTOMER,
            open_hours=settings.open_hours,
        ),
        **repeated,
        "environment_repeats": count_around(
            again, "environment_repeats", [pl.col(*SPREAD).sum().cast(pl.Int64)]
        ),
        "planned": planned.group_by(KEYS["planned"]).agg(n=pl.len().cast(pl.Int64)),
        "plan_history": planned.group_by(KEYS["plan_history"]).agg(
            flag.sum().cast(pl.Int64).alias(name) for name, flag in broken.items()
        ),
        "links": count_links(rows, places),
        "responses": count_responses(followed, keys=KEYS["responses"], silence=silence),
    }


def _find_arrivals(
    seen: pl.DataFrame, visited: pl.DataFrame, walk: Scope, settings: Settings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count ``transitions``; give arrivals with their ``turn``: how often made before."""
    ends = {"previous": "source", "place": "target", "left_in": "period"}
    keys = KEYS["transitions"]
    n = pl.len().cast(pl.Int64)
    aside = {
        "tied": ~pl.col("ordered"),
        "slow": pl.col("wait") > settings.silence,
        "beyond": pl.col("number") >= settings.most_contacts,
    }
    moves = (
        visited.lazy()
        .filter("same_journey")
        .drop("period")
        .rename({**ends, "waited": "wait", "followed_for": "follow_up", "stage_high": "high"})
        .with_columns(
            position=pl.sum_horizontal(
                (pl.col("position") >= least).cast(pl.UInt8) for least in _POSITION_BINS
            ).cast(pl.UInt8),
            stage=walk.of_place("stage_index", "target").cast(pl.UInt8),
            aside=pl.coalesce(pl.when(flag).then(pl.lit(why)) for why, flag in aside.items()),
        )
        .collect()
    )
    turns = moves.filter(pl.col("aside").is_null())
    turns = turns.with_columns(count_turns(turns))
    often = pl.col("turn") >= MAX_PER_CUSTOMER
    reloads = (
        seen.lazy().filter("reload").select("segment", **{new: old for old, new in ends.items()})
    )
    why = {name: (pl.col("aside") == name).sum().cast(pl.Int64) for name in aside}
    counts = [
        reloads.group_by(keys).agg(transitions=n, reload=n),
        moves.lazy().group_by(keys).agg(transitions=n, **why),
        turns.lazy().group_by(keys).agg(often=often.sum().cast(pl.Int64)),
    ]
    sums = pl.col("transitions", *SET_ASIDE).fill_null(0).sum()
    transitions = pl.concat(counts, how="diagonal").group_by(keys).agg(sums)
    return transitions.collect(), turns.filter(~often)


def _count(followed: pl.DataFrame, settings: Settings) -> dict[str, pl.DataFrame]:
    silence, hours = settings.silence, settings.open_hours
    full = pl.col("follow_up") >= silence
    left = (pl.col("return_after") > silence).fill_null(True)
    onward = pl.col("next").is_not_null()
    # below the stage the customer is in, not only below the highest: who stays where an earlier
    # handoff sent them back to is not sent back again
    known = (pl.col("stage") != NO_STAGE) & (pl.col("next_stage") != NO_STAGE)
    back = onward & known & (pl.col("next_stage") < pl.col("stage"))
    counts = {
        "n": full,
        "silent": full & left,
        "onward": full & onward,
        "fresh": full & onward & ~pl.col("returned"),
        "back": full & back.fill_null(False) & ~pl.col("returned"),
    }
    for mark in LANDMARKS:
        seen = pl.col("follow_up") >= mark
        counts[f"n_{mark.days}"] = seen
        counts[f"silent_{mark.days}"] = seen & (pl.col("return_after") > mark).fill_null(True)
    for mark in WINDOWS:
        for name in ("fresh", "back"):
            counts[f"{name}_{mark.days}"] = counts[name] & (pl.col("until_next") <= mark)
    totals = [e.sum().cast(pl.Int64).alias(n) for n, e in counts.items()]
    waited = pl.col("wait") if hours is None else pl.lit(hours.waits(followed))
    seconds = waited.dt.total_microseconds() / 1_000_000
    watched = pl.col("follow_up") + pl.col("wait") >= silence
    # whole thousandths: sums of these are exact in any order
    log_wait = pl.when(watched).then((1_000 * seconds.clip(_SHORTEST).log()).round().cast(pl.Int64))
    frame = followed.lazy().with_columns(bin=bin_of(seconds), log_wait=log_wait)
    sums = ((pl.col("turn") == 0).sum().cast(pl.Int64).alias("customers"), *rating_sums())
    size = pl.len().cast(pl.Int64).alias("n")
    within = {f"n_{mark.days}": pl.col("until_next") <= mark for mark in WINDOWS}
    soon = (flag.sum().cast(pl.Int64).alias(name) for name, flag in within.items())
    tallied = {
        "arrivals": frame.group_by(KEYS["arrivals"]).agg(*totals, *sums),
        "onward": frame.filter(counts["fresh"]).group_by(KEYS["onward"]).agg(size, *soon),
        "waits": frame.filter(watched).group_by(KEYS["waits"]).agg(size),
        "spread": frame.group_by(KEYS["spread"]).agg(
            *totals[:5],
            *rating_sums(),
            pl.col("log_wait").count().cast(pl.Int64).alias("wait_n"),
            pl.col("log_wait").sum().alias("wait_sum"),
            (pl.col("log_wait") ** 2).sum().alias("wait_sq"),
        ),
    }
    return dict(zip(tallied, pl.collect_all(list(tallied.values())), strict=True))
