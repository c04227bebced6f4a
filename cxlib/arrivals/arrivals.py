"""Arrivals: what happened after each arrival at a touchpoint, by where the customer came from.

Everything that is said about a handoff a → b is said about the customers who *arrived at b from a*:
whether they went on, turned back, returned to where they came from, how long they had waited, and
how they rated b. One pass over the walk (`cxlib.store.walk`) counts this into additive tables of
integers and sums, those of marked touchpoints, of planned handoffs and of links between channels
among them (`cxlib.arrivals.repeats`, `planned`, `links`). Like the journey summary they grow
with the journey map, not with the log.

An arrival is a transition, as `cxlib.measures.measure_transitions` counts them, that the filters of
`SET_ASIDE` leave: what each of them took away is counted with them, so that every figure about a
handoff says of how many of its transitions it speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.arrivals.histories import HISTORY_TABLES, block_of, count_histories
from cxlib.arrivals.links import count_links
from cxlib.arrivals.open_hours import read_open_hours
from cxlib.arrivals.planned import COUNTS, NEITHER, follow_planned
from cxlib.arrivals.repeats import REPEATS, SPREAD, count_repeats
from cxlib.arrivals.responses import count_responses
from cxlib.bins import bin_of
from cxlib.errors import InputError, WorkspaceError
from cxlib.journeys import NO_STAGE
from cxlib.periods import Periods
from cxlib.store.engines import count_here
from cxlib.store.selection import Chosen
from cxlib.store.tables import (
    Dictionaries,
    Table,
    add_up,
    merge,
    read_tables,
    select,
    write_tables,
)
from cxlib.store.walk import Scope, look_back, visits

if TYPE_CHECKING:
    from cxlib.arrivals.open_hours import OpenHours
    from cxlib.journey_map import PlannedHandoff
    from cxlib.store import Workspace
    from cxlib.store.engines import Count, Run
    from cxlib.summary import Selection

MAX_PER_CUSTOMER = 3
"""How often one customer may count for one handoff."""

FALLBACK_SILENCE = timedelta(days=30)
"""Silence that counts as having left where the journey map states no gap."""

LANDMARKS = (timedelta(days=7), timedelta(days=14), timedelta(days=30))
"""Silences at which abandonment must have the same sign for a finding to be stable."""

WINDOWS = LANDMARKS[:1]
"""Shorter windows for what came next, at which a signal must keep its sign to be stable."""

_CLOCK = "clock"
"""How many contacts a bucket has, and how many of them at midnight: no table of `Arrivals`."""

_POSITION_BINS = (2, 3, 5, 9)
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
    "spread": Table(("source", "target", "bucket"), _ARRIVALS, meaning=2),
    "repeats": Table(_STRATA, "arrivals at marked touchpoints", meaning=2),
    "repeats_spread": Table(
        ("source", "target", "bucket"), "arrivals at marked touchpoints", meaning=2
    ),
    "planned": Table(COUNTS, "contacts at the source of a planned handoff", meaning=2),
    "links": Table(("place",), "contacts that customers began", meaning=2),
    "responses": Table((*_STRATA, "after"), _ARRIVALS, meaning=2),
    **HISTORY_TABLES,
}
"""The tables of `Arrivals`. Their period is that of the contact that was left, as everywhere."""

KEYS = {name: table.keys for name, table in TABLES.items()}
"""Key columns of each table, in the order in which it is sorted."""


_REPEATED = {"repeats": REPEATS, "repeats_spread": SPREAD, "repeat_history": SPREAD}


@dataclass(frozen=True, slots=True)
class Settings:
    """What was counted how.

    Attributes
    ----------
    silence
        Silence that counts as having left; also the longest wait of a handoff, and the follow-up
        every counted arrival has had.
    first_at, observed_until
        First contact, and end of observation, UTC.
    customers
        Customers counted.
    midnight_share
        Share of contacts at exactly midnight in the map's time zone or in UTC.
    unknown_share
        Share of contacts without a customer, which were set aside.
    plan
        Planned handoffs, in the order in which they were counted.
    open_hours
        Opening hours that waits were counted in; None: the map states none.
    most_contacts
        Contacts after which a customer counts no further, so that a few heavy users cannot speak
        for a handoff.
    """

    silence: timedelta
    first_at: datetime
    observed_until: datetime
    customers: int
    midnight_share: float
    unknown_share: float = 0.0
    plan: tuple[PlannedHandoff, ...] = ()
    open_hours: OpenHours | None = None
    most_contacts: int = _LEAST_CONTACTS

    @property
    def span(self) -> timedelta:
        """Time the log covers."""
        return self.observed_until - self.first_at


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What `count_arrivals` returns: additive tables, and what their numbers mean.

    Attributes
    ----------
    transitions
        Per source, target, segment and period: ``transitions``, all of them, and how many of them
        each filter of `SET_ASIDE` took away.
    arrivals
        Per source, target, highest stage so far (``high``), goal already ``reached``, ``position``
        (class of the contact number in the journey), segment and period: ``n`` arrivals followed
        for the silence, ``silent`` of them without any further contact of the customer within it,
        ``onward`` the others, ``back`` of those to a stage below the highest reached; ``n_7`` and
        ``silent_7`` (also 14, 30) the same at fixed silences; ``fresh_7`` and ``back_7`` of
        those who went on within that time; ``customers`` first arrivals; ``rating_n``,
        ``rating_sum``, ``rating_sq``.
    onward
        Per source, target and ``next`` place: ``n`` fresh arrivals that went on (``n_7``: within
        7 days).
    waits
        Per source, target and ``bin`` of the wait between them (`cxlib.bins`; open time where the
        target has opening hours): ``n``.
    spread
        Per source, target and bucket of customers: ``n``, ``silent``, ``onward``, ``fresh``,
        ``back``: what the intervals need to know of how customers differ.
    repeats, repeats_spread
        As ``arrivals`` and ``spread``, of marked touchpoints: see `cxlib.arrivals.repeats`.
    planned
        Per planned handoff what became of the contacts at its source (`follow_planned`).
    links
        Per place what tells whether customers are linked across channels (`count_links`).
    responses
        As ``arrivals``, by what came after as well: who was rated (`count_responses`).
    histories, history_waits, steps, volumes, environments, environment_waits, environment_steps,
    repeat_history, plan_history
        All contacts by block of days and by environment (`count_histories`).
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
    steps: pl.DataFrame
    volumes: pl.DataFrame
    environments: pl.DataFrame
    environment_waits: pl.DataFrame
    environment_steps: pl.DataFrame
    repeat_history: pl.DataFrame
    plan_history: pl.DataFrame
    places: pl.DataFrame
    segments: pl.DataFrame
    periods: Periods
    settings: Settings
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def select(self, where: Selection | None) -> Arrivals:
        """Keep the arrivals that `where` names (channel: of either end of the handoff).

        Raises
        ------
        UnknownNameError
            For a segment, value or channel that the log does not have.
        InputError
            For a period outside the log.
        """
        chosen = Chosen.of(where, places=self.places, segments=self.segments, periods=self.periods)
        if (chosen.segments, chosen.period) == (None, None):
            return self
        kept: dict[str, Any] = {**select(self.tables, TABLES, chosen)}
        return replace(self, **kept, cache={})

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The additive tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    def write(self, folder: str | Path) -> None:
        """Write the tables to a folder, complete or not at all."""
        s = self.settings
        about = {
            "silence_seconds": s.silence.total_seconds(),
            "first_at": s.first_at.isoformat(),
            "observed_until": s.observed_until.isoformat(),
            "customers": s.customers,
            "midnight_share": s.midnight_share,
            "unknown_share": s.unknown_share,
            "most_contacts": s.most_contacts,
        }
        write_tables(folder, self.tables, TABLES, about)


def read_arrivals(workspace: Workspace) -> Arrivals:
    """Give the arrivals of a workspace: read when counted before, else counted and kept.

    Read once for each workspace that was opened, as long as they are not counted anew: so what is
    the same for every filter is fitted once, too.
    """
    folder = workspace.log_folder / "arrivals"
    file = folder / "arrivals.json"
    return workspace.keep("arrivals", file, lambda: _read_arrivals(workspace, folder))


def _read_arrivals(workspace: Workspace, folder: Path) -> Arrivals:
    try:
        read, about = read_tables(folder, TABLES)
    except WorkspaceError:  # not there yet, or counted otherwise
        counted = count_arrivals(workspace)
        with suppress(WorkspaceError):  # a folder that may only be read is counted every time
            counted.write(folder)
        return counted
    settings = Settings(
        timedelta(seconds=about["silence_seconds"]),
        datetime.fromisoformat(about["first_at"]),
        datetime.fromisoformat(about["observed_until"]),
        about["customers"],
        about["midnight_share"],
        about["unknown_share"],
        workspace.journey_map.planned_handoffs,
        read_open_hours(workspace),
        about["most_contacts"],
    )
    frames: dict[str, Any] = {**read}
    return Arrivals(
        **frames,
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        settings=settings,
    )


def count_arrivals(
    workspace: Workspace, *, silence: timedelta | None = None, run: Run | None = None
) -> Arrivals:
    """Count the arrivals of a workspace in one pass, one bucket of customers at a time.

    Parameters
    ----------
    workspace
        The log as journeys.
    silence
        Silence that counts as having left. Without it: the journey map's gap (30 days if none), or
        the longest of 14 and 7 days that fits three times into the log where that does not.
    run
        Where buckets are counted (`cxlib.store.engines`); without it one after the other, here.

    Returns
    -------
    Arrivals
    """
    run_all = run or partial(count_here, at_once=1)
    return _count_all(
        partial(run_all, workspace.bucket_files()),
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        customers=workspace.customers().collect(),
        observed_until=workspace.observed_until,
        silence=silence or workspace.gap,
        time_zone=workspace.periods.time_zone,
        plan=workspace.journey_map.planned_handoffs,
        open_hours=read_open_hours(workspace),
        unknown_share=_unknown_share(workspace),
    )


def _unknown_share(workspace: Workspace) -> float:
    """Share of contacts that were set aside because they name no customer."""
    report = workspace.report
    unknown = report.get("set_aside", {}).get("customer is empty", 0)
    return float(unknown / max(unknown + report.get("contacts", 0), 1))


def count_frames(frames: Iterable[pl.DataFrame], **told: Any) -> Arrivals:
    """Count the arrivals of store rows that come in pieces, no customer in two of them.

    What else is `told` is what a workspace knows: ``places``, ``segments``, ``periods``,
    ``customers``, ``observed_until``, and where they differ from none ``silence``, ``time_zone``,
    ``plan``, ``open_hours``, ``unknown_share``.
    """
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
    time_zone: str = "UTC",
    plan: Sequence[PlannedHandoff] = (),
    open_hours: OpenHours | None = None,
    unknown_share: float = 0.0,
) -> Arrivals:
    first_at = customers["first_at"].min()
    span: timedelta = observed_until - first_at  # type: ignore[operator, assignment]
    chosen = choose_silence(span, silence)
    most = most_contacts(customers)
    walk = Scope(places, silence, observed_until)
    scope = _Scope(walk, chosen, most, time_zone, span, tuple(plan), open_hours)
    parts = run(partial(_count_bucket, scope=scope))
    tables: dict[str, Any] = {n: add_up([p[n] for p in parts], TABLES[n]) for n in TABLES}
    contacts, midnights = pl.concat([p[_CLOCK] for p in parts]).sum().row(0)
    settings = Settings(
        chosen,
        first_at,  # type: ignore[arg-type]
        observed_until,
        len(customers),
        midnights / max(contacts, 1),
        unknown_share,
        tuple(plan),
        open_hours,
        most,
    )
    return Arrivals(**tables, places=places, segments=segments, periods=periods, settings=settings)


def merge_arrivals(parts: Sequence[Arrivals]) -> Arrivals:
    """Add up arrivals of different customers."""
    if not parts:
        raise InputError("there are no arrivals to merge")
    summed, both = merge(
        [(p.tables, Dictionaries(p.places, p.segments, p.periods)) for p in parts], TABLES
    )
    settings = replace(
        parts[0].settings,
        first_at=min(p.settings.first_at for p in parts),
        customers=sum(p.settings.customers for p in parts),
    )
    frames: dict[str, Any] = {**summed, "settings": settings}
    return Arrivals(**frames, places=both.places, segments=both.segments, periods=both.periods)


def choose_silence(span: timedelta, gap: timedelta | None) -> timedelta:
    """Choose the silence that counts as having left: it must fit three times into the log."""
    wanted = gap or FALLBACK_SILENCE
    shorter = [d for d in (timedelta(days=14), timedelta(days=7)) if d < wanted]
    return next((d for d in (wanted, *shorter) if 3 * d <= span), min((wanted, *shorter)))


def most_contacts(customers: pl.DataFrame) -> int:
    """Contacts after which a customer counts no further: the 99.5 % quantile, at least 50."""
    quantile = customers["contacts"].quantile(0.995, "nearest") or 0
    return max(_LEAST_CONTACTS, int(quantile))


@dataclass(frozen=True, slots=True)
class _Scope:
    walk: Scope
    silence: timedelta
    most: int
    time_zone: str
    span: timedelta
    plan: tuple[PlannedHandoff, ...] = ()
    open_hours: OpenHours | None = None


def _count_bucket(rows: pl.DataFrame, scope: _Scope) -> dict[str, pl.DataFrame]:
    """Count everything that the customers of one bucket add."""
    places = scope.walk.places
    at_midnight = pl.col("occurred_at").dt.convert_time_zone(scope.time_zone).dt.time()
    clock = rows.select(contacts=pl.len(), midnights=(at_midnight == pl.time(0)).sum())
    if "rating" not in rows.columns:
        rows = rows.with_columns(rating=pl.lit(None, pl.Float32))
    seen = look_back(rows, scope=scope.walk).collect()
    visited = visits(seen.lazy(), scope=scope.walk, silence=scope.silence).collect()
    transitions, followed = _find_arrivals(seen, visited, scope)
    tables = _count(followed, scope)
    tables |= count_histories(
        visited.filter(pl.col("number") < scope.most),
        places,
        scope.time_zone,
        span=scope.span,
        silence=scope.silence,
        most=MAX_PER_CUSTOMER,
        open_hours=scope.open_hours,
    )
    tables["transitions"] = transitions
    contacts = seen.filter(~pl.col("reload"))
    block = block_of(pl.col("occurred_at"), scope.time_zone, scope.span)
    again = count_repeats(followed, contacts, places, within=scope.silence)
    again = again.with_columns(block=block)
    for name, summed in _REPEATED.items():
        sums = [pl.col(column).sum().cast(pl.Int64) for column in summed]
        tables[name] = again.group_by(KEYS[name]).agg(sums)
    planned = follow_planned(
        contacts,
        places,
        scope.plan,
        observed_until=scope.walk.observed_until,
        most=MAX_PER_CUSTOMER,
    ).with_columns(block=block)
    tables["planned"] = planned.group_by(KEYS["planned"]).agg(n=pl.len().cast(pl.Int64))
    tables["plan_history"] = planned.group_by(KEYS["plan_history"]).agg(
        n=pl.col("followed").sum().cast(pl.Int64),
        broken=(pl.col("cause") == NEITHER).sum().cast(pl.Int64),
    )
    tables["links"] = count_links(rows, places)
    tables["responses"] = count_responses(followed, keys=KEYS["responses"], silence=scope.silence)
    return {**tables, _CLOCK: clock}


def _find_arrivals(
    seen: pl.DataFrame, visited: pl.DataFrame, scope: _Scope
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the arrivals among the transitions, and count what the filters take away.

    Returns
    -------
    tuple
        The table ``transitions``; and the arrivals with what lies around them: ``source``,
        ``target``, the strata, ``period`` (of the contact that was left), ``wait``, ``follow_up``,
        ``stage``, ``turn`` (how often the customer had made this transition before), and the
        columns of `cxlib.store.walk.visits`.
    """
    ends = {"previous": "source", "place": "target", "left_in": "period"}
    keys = KEYS["transitions"]
    n = pl.len().cast(pl.Int64)
    moves = (
        visited.lazy()
        .filter("same_journey")
        .drop("period")
        .rename({**ends, "waited": "wait", "followed_for": "follow_up", "stage_high": "high"})
        .with_columns(
            position=_class_of(pl.col("position")),
            stage=scope.walk.of_place("stage_index", "target").cast(pl.UInt8),
            aside=pl.when(~pl.col("ordered"))
            .then(pl.lit("tied"))
            .when(pl.col("wait") > scope.silence)
            .then(pl.lit("slow"))
            .when(pl.col("number") >= scope.most)
            .then(pl.lit("beyond")),
        )
        .collect()
    )
    turn = pl.int_range(pl.len(), dtype=pl.UInt32).over("customer", "source", "target")
    turns = moves.filter(pl.col("aside").is_null()).with_columns(turn=turn)
    often = pl.col("turn") >= MAX_PER_CUSTOMER
    counts = [
        seen.lazy()
        .filter("reload")
        .select(pl.col(old).alias(new) for old, new in [*ends.items(), ("segment", "segment")])
        .group_by(keys)
        .agg(transitions=n, reload=n),
        moves.lazy()
        .group_by(keys)
        .agg(
            n.alias("transitions"),
            *((pl.col("aside") == why).sum().cast(pl.Int64).alias(why) for why in SET_ASIDE[1:4]),
        ),
        turns.lazy().group_by(keys).agg(often=often.sum().cast(pl.Int64)),
    ]
    transitions = (
        pl.concat(counts, how="diagonal")
        .group_by(keys)
        .agg(pl.col("transitions", *SET_ASIDE).fill_null(0).sum())
        .collect()
    )
    return transitions, turns.filter(~often)


def _class_of(position: pl.Expr) -> pl.Expr:
    """Class of the number of contacts before in the journey."""
    reached = ((position >= least).cast(pl.UInt8) for least in _POSITION_BINS)
    return pl.sum_horizontal(reached).cast(pl.UInt8)


def _count(followed: pl.DataFrame, scope: _Scope) -> dict[str, pl.DataFrame]:
    silence = scope.silence
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
        soon = pl.col("until_next") <= mark
        counts[f"fresh_{mark.days}"] = counts["fresh"] & soon
        counts[f"back_{mark.days}"] = counts["back"] & soon
    totals = [e.sum().cast(pl.Int64).alias(n) for n, e in counts.items()]
    rating = pl.col("rating").cast(pl.Float64)
    waited = (
        pl.col("wait") if scope.open_hours is None else pl.lit(scope.open_hours.waits(followed))
    )
    frame = followed.lazy().with_columns(bin=bin_of(waited.dt.total_microseconds() / 1_000_000))
    sums = (
        (pl.col("turn") == 0).sum().cast(pl.Int64).alias("customers"),
        rating.is_not_null().sum().cast(pl.Int64).alias("rating_n"),
        rating.sum().alias("rating_sum"),
        (rating * rating).sum().alias("rating_sq"),
    )
    tallied = {
        "arrivals": frame.group_by(KEYS["arrivals"]).agg(*totals, *sums),
        "onward": frame.filter(full & onward & ~pl.col("returned"))
        .group_by(KEYS["onward"])
        .agg(
            _size(),
            *(
                (pl.col("until_next") <= mark).sum().cast(pl.Int64).alias(f"n_{mark.days}")
                for mark in WINDOWS
            ),
        ),
        "waits": frame.filter(pl.col("follow_up") + pl.col("wait") >= silence)
        .group_by(KEYS["waits"])
        .agg(_size()),
        "spread": frame.group_by(KEYS["spread"]).agg(*totals[:5]),
    }
    return dict(zip(tallied, pl.collect_all(list(tallied.values())), strict=True))


def _size() -> pl.Expr:
    return pl.len().cast(pl.Int64).alias("n")
