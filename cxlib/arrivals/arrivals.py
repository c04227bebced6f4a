"""Arrivals: what happened after each arrival at a touchpoint, by where the customer came from.

What is said about a handoff a → b is said about the customers who *arrived at b from a*. One pass
over the store counts this into additive tables, those of marked touchpoints, of planned handoffs,
of links and of histories among them. They grow with the journey map, not with the log.

A customer counts at most `MAX_PER_CUSTOMER` times per handoff and with a limited number of
contacts in all, and customers who behave like robots are left out, so that a few heavy users
cannot speak for a handoff.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.arrivals.histories import HISTORY_KEYS, count_histories
from cxlib.arrivals.links import count_links
from cxlib.arrivals.open_hours import read_open_hours
from cxlib.arrivals.planned import COUNTS, count_planned
from cxlib.arrivals.repeats import REPEATS, SPREAD, count_repeats
from cxlib.arrivals.responses import count_responses
from cxlib.bins import bin_of
from cxlib.durable import keep_folder
from cxlib.errors import InputError, WorkspaceError
from cxlib.journeys import NO_STAGE
from cxlib.periods import Periods
from cxlib.segments import segment_codes

if TYPE_CHECKING:
    from cxlib.arrivals.open_hours import OpenHours
    from cxlib.journey_map import PlannedHandoff
    from cxlib.store import Workspace
    from cxlib.summary import Selection

MAX_PER_CUSTOMER = 3
"""How often one customer may count for one handoff."""

RELOAD = timedelta(seconds=60)
"""The same touchpoint again within this time is one contact, not two (a reload, a double click)."""

FALLBACK_SILENCE = timedelta(days=30)
"""Silence that counts as having left where the journey map states no gap."""

LANDMARKS = (timedelta(days=7), timedelta(days=14), timedelta(days=30))
"""Silences at which abandonment must have the same sign for a finding to be stable."""

WINDOWS = LANDMARKS[:1]
"""Shorter windows for what came next, at which a signal must keep its sign to be stable."""

_FORMAT = 6
"""Version of what is counted; arrivals of another version are counted again."""

_POSITION_BINS = (2, 3, 5, 9)
_ROBOT_CONTACTS = 100
_ROBOT_PACE = timedelta(seconds=60)

_STRATA = ("source", "target", "high", "reached", "position", "segment", "period")

KEYS = {
    "arrivals": _STRATA,
    "onward": ("source", "target", "next", "segment", "period"),
    "waits": ("source", "target", "bin", "segment", "period"),
    "spread": ("source", "target", "bucket"),
    "repeats": _STRATA,
    "repeats_spread": ("source", "target", "bucket"),
    "planned": COUNTS,
    "links": ("place",),
    "responses": (*_STRATA, "after"),
    **HISTORY_KEYS,
}
"""Key columns of each table, in the order in which it is sorted."""


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
    customers, robots
        Customers counted, and customers left out because they behave like robots.
    midnight_share
        Share of contacts at exactly midnight in the map's time zone or in UTC.
    unknown_share
        Share of contacts without a customer, which were set aside.
    plan
        Planned handoffs, in the order in which they were counted.
    open_hours
        Opening hours that waits were counted in; None: the map states none.
    """

    silence: timedelta
    first_at: datetime
    observed_until: datetime
    customers: int
    robots: int
    midnight_share: float
    unknown_share: float = 0.0
    plan: tuple[PlannedHandoff, ...] = ()
    open_hours: OpenHours | None = None

    @property
    def span(self) -> timedelta:
        """Time the log covers."""
        return self.observed_until - self.first_at


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What `count_arrivals` returns: additive tables, and what their numbers mean.

    Attributes
    ----------
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
        Per planned handoff what became of the contacts at its source (`count_planned`).
    links
        Per place: are customers linked across channels (`count_links`)?
    responses
        As ``arrivals``, by what came after as well: who was rated (`count_responses`).
    """

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
        if where is None or (where.segment, where.period, where.channel) == (None, None, None):
            return self
        tests: list[pl.Expr] = []
        if where.segment is not None:
            tests.append(pl.col("segment").is_in(segment_codes(self.segments, *where.segment)))
        if where.period is not None:
            first, last = where.period
            if not 0 <= first <= last < len(self.periods):
                msg = f"period {first} to {last} is outside the log's {len(self.periods)} periods"
                raise InputError(msg)
            tests.append(pl.col("period").is_between(first, last))
        parts = [name for name, keys in KEYS.items() if "segment" in keys and tests]
        kept = {name: getattr(self, name).filter(*tests) for name in parts}
        return replace(self, **kept, cache={})

    def write(self, folder: str | Path) -> None:
        """Write the tables to a folder, complete or not at all."""
        s = self.settings
        meta = {
            "format": _FORMAT,
            "silence_seconds": s.silence.total_seconds(),
            "first_at": s.first_at.isoformat(),
            "observed_until": s.observed_until.isoformat(),
            "customers": s.customers,
            "robots": s.robots,
            "midnight_share": s.midnight_share,
            "unknown_share": s.unknown_share,
        }

        def write(fresh: Path) -> None:
            for name in KEYS:
                getattr(self, name).write_parquet(fresh / f"{name}.parquet")
            (fresh / "arrivals.json").write_text(json.dumps(meta, indent=1), "utf-8")

        keep_folder(Path(folder), write)


def read_arrivals(workspace: Workspace) -> Arrivals:
    """Give the arrivals of a workspace: read when counted before, else counted and kept.

    Read once for each workspace that was opened, as long as they are not counted anew: so what is
    the same for every filter is fitted once, too.
    """
    folder = workspace.log_folder / "arrivals"
    file = folder / "arrivals.json"
    return workspace.keep("arrivals", file, lambda: _read_arrivals(workspace, folder, file))


def _read_arrivals(workspace: Workspace, folder: Path, file: Path) -> Arrivals:
    meta = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if meta.get("format") != _FORMAT:
        counted = count_arrivals(workspace)
        with suppress(WorkspaceError):  # a folder that may only be read is counted every time
            counted.write(folder)
        return counted
    settings = Settings(
        timedelta(seconds=meta["silence_seconds"]),
        datetime.fromisoformat(meta["first_at"]),
        datetime.fromisoformat(meta["observed_until"]),
        meta["customers"],
        meta["robots"],
        meta["midnight_share"],
        meta["unknown_share"],
        workspace.journey_map.planned_handoffs,
        read_open_hours(workspace),
    )
    tables: dict[str, Any] = {n: pl.read_parquet(folder / f"{n}.parquet") for n in KEYS}
    return Arrivals(
        **tables,
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        settings=settings,
    )


def count_arrivals(workspace: Workspace, *, silence: timedelta | None = None) -> Arrivals:
    """Count the arrivals of a workspace in one pass, one bucket of customers at a time.

    Parameters
    ----------
    workspace
        The log as journeys.
    silence
        Silence that counts as having left. Without it: the journey map's gap (30 days if none), or
        the longest of 14 and 7 days that fits three times into the log where that does not.

    Returns
    -------
    Arrivals
    """
    frames = (pl.read_parquet(file) for file in workspace.bucket_files())
    return count_frames(
        frames,
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


def count_frames(  # noqa: PLR0913 (what a workspace knows, without one)
    frames: Iterable[pl.DataFrame],
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
    """Count the arrivals of store rows that come in pieces, no customer in two of them."""
    first_at = customers["first_at"].min()
    span: timedelta = observed_until - first_at  # type: ignore[operator, assignment]
    chosen = choose_silence(span, silence)
    robots, most = find_robots(customers)
    scope = _Scope(places, observed_until, chosen, most, periods, span, tuple(plan), open_hours)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in KEYS}
    midnights = contacts = 0
    for frame in frames:
        at_midnight = pl.col("occurred_at").dt.convert_time_zone(time_zone).dt.time()
        midnights += int(frame.select((at_midnight == pl.time(0)).sum()).item())
        contacts += len(frame)
        kept = frame.filter(~pl.col("customer").is_in(robots.implode())) if len(robots) else frame
        for name, table in _count_bucket(kept, scope).items():
            parts[name].append(table)
    tables: dict[str, Any] = {name: _add_up(parts[name], name) for name in KEYS}
    settings = Settings(
        chosen,
        first_at,  # type: ignore[arg-type]
        observed_until,
        len(customers) - len(robots),
        len(robots),
        midnights / max(contacts, 1),
        unknown_share,
        tuple(plan),
        open_hours,
    )
    return Arrivals(**tables, places=places, segments=segments, periods=periods, settings=settings)


def merge_arrivals(parts: Sequence[Arrivals]) -> Arrivals:
    """Add up arrivals of different customers that share places, segments and periods."""
    if not parts:
        msg = "there are no arrivals to merge"
        raise InputError(msg)
    first = parts[0]
    for other in parts[1:]:
        if not other.places.equals(first.places) or other.periods != first.periods:
            msg = "arrivals with different places or periods cannot be merged"
            raise InputError(msg)
    tables: dict[str, Any] = {
        name: _add_up([getattr(p, name) for p in parts], name) for name in KEYS
    }
    settings = replace(
        first.settings,
        first_at=min(p.settings.first_at for p in parts),
        customers=sum(p.settings.customers for p in parts),
        robots=sum(p.settings.robots for p in parts),
    )
    return replace(first, **tables, settings=settings, cache={})


def choose_silence(span: timedelta, gap: timedelta | None) -> timedelta:
    """Choose the silence that counts as having left: it must fit three times into the log."""
    wanted = gap or FALLBACK_SILENCE
    shorter = [d for d in (timedelta(days=14), timedelta(days=7)) if d < wanted]
    return next((d for d in (wanted, *shorter) if 3 * d <= span), min((wanted, *shorter)))


def find_robots(customers: pl.DataFrame) -> tuple[pl.Series, int]:
    """Find customers with far more contacts than others, or with too many too fast.

    Far more: over 100, and over three times the 99.5 % quantile. Too fast: at least 50, less than a
    minute apart on average.

    Returns
    -------
    tuple
        The customers, and the number of contacts after which any other customer counts no further
        (the 99.5 % quantile, at least 50).
    """
    if customers.is_empty():
        return customers["customer"], _ROBOT_CONTACTS
    quantile = float(customers["contacts"].quantile(0.995, "nearest") or 0)
    pace = (pl.col("last_at") - pl.col("first_at")) / (pl.col("contacts") - 1).clip(1)
    many = pl.col("contacts") > max(_ROBOT_CONTACTS, 3 * quantile)
    fast = (pl.col("contacts") >= _ROBOT_CONTACTS // 2) & (pace < _ROBOT_PACE)
    return customers.filter(many | fast)["customer"], max(_ROBOT_CONTACTS // 2, int(quantile))


@dataclass(frozen=True, slots=True)
class _Scope:
    places: pl.DataFrame
    observed_until: datetime
    silence: timedelta
    most: int
    periods: Periods
    span: timedelta
    plan: tuple[PlannedHandoff, ...] = ()
    open_hours: OpenHours | None = None

    def lookup(self, column: str, place: pl.Expr) -> pl.Expr:
        return pl.lit(self.places[column]).gather(place.cast(pl.UInt32))


def _count_bucket(rows: pl.DataFrame, scope: _Scope) -> dict[str, pl.DataFrame]:
    """Count everything that the customers of one bucket add."""
    reload = (
        (pl.col("customer") == pl.col("customer").shift(1))
        & (pl.col("place") == pl.col("place").shift(1))
        & (pl.col("occurred_at").diff() <= RELOAD)
    )
    contacts = rows.filter(~reload.fill_null(False))
    all_contacts = follow_contacts(rows, scope)
    followed = follow_arrivals(all_contacts, scope)
    tables = _count(followed, scope)
    tables |= count_histories(
        all_contacts.filter(pl.col("_contact") < scope.most),
        scope.places,
        scope.periods,
        span=scope.span,
        silence=scope.silence,
        most=MAX_PER_CUSTOMER,
        open_hours=scope.open_hours,
    )
    again = count_repeats(followed, contacts, scope.places, within=scope.silence)
    sums = [pl.col(name).sum().cast(pl.Int64) for name in REPEATS]
    tables["repeats"] = _with_keys(again).group_by(KEYS["repeats"]).agg(sums)
    spread = [pl.col(name).sum().cast(pl.Int64) for name in SPREAD]
    tables["repeats_spread"] = again.group_by(KEYS["repeats_spread"]).agg(spread)
    tables["planned"] = count_planned(
        contacts,
        scope.places,
        scope.plan,
        observed_until=scope.observed_until,
        most=MAX_PER_CUSTOMER,
    )
    tables["links"] = count_links(rows, scope.places)
    tables["responses"] = count_responses(
        _with_keys(followed), keys=KEYS["responses"], silence=scope.silence
    )
    return tables


def _with_keys(followed: pl.DataFrame) -> pl.DataFrame:
    """Add the strata that are not columns yet: highest stage, and class of the position."""
    position = pl.col("position").cast(pl.Int32)
    return followed.with_columns(
        high=pl.col("stage_high"),
        position=pl.sum_horizontal((position >= b).cast(pl.UInt8) for b in _POSITION_BINS).cast(
            pl.UInt8
        ),
    )


def follow_arrivals(contacts: pl.DataFrame, scope: _Scope) -> pl.DataFrame:
    """Keep the contacts that followed another, at most `MAX_PER_CUSTOMER` times each way."""
    return (
        contacts.lazy()
        .filter(pl.col("_linked") & pl.col("_ordered") & (pl.col("_contact") < scope.most))
        .with_columns(
            _turn=pl.int_range(pl.len(), dtype=pl.UInt32).over("customer", "source", "target")
        )
        .filter(pl.col("_turn") < MAX_PER_CUSTOMER)
        .drop("_linked", "_ordered", "_contact")
        .collect()
    )


def follow_contacts(rows: pl.DataFrame, scope: _Scope) -> pl.DataFrame:
    """Give every contact where it came from, after what wait, and what came next.

    Two contacts follow each other when no more than the silence lies between them, also where the
    goal in between made our rule begin a new journey: the customer does not know the rule.
    """
    instant = pl.col("occurred_at")
    silence = pl.lit(scope.silence)
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    same = (pl.col("customer") == pl.col("customer").shift(1)).fill_null(False)
    since = instant - instant.shift(1)
    reload = same & (pl.col("place") == pl.col("place").shift(1)) & (since <= RELOAD)
    contacts = rows.lazy().filter(~reload.fill_null(False))
    if "rating" not in rows.columns:
        contacts = contacts.with_columns(rating=pl.lit(None, pl.Float32))
    own = scope.lookup("initiated_by", pl.col("place")) == "customer"
    after = (pl.col("customer").shift(-1) == pl.col("customer")).fill_null(False)
    own_at = pl.when(own).then(instant).shift(-1).backward_fill()
    own_by = pl.when(own).then(pl.col("customer")).shift(-1).backward_fill()
    stage = scope.lookup("stage_index", pl.col("place")).cast(pl.UInt8)
    channel = scope.lookup("channel", pl.col("place"))
    # within one instant the order is known only where the source gives it
    ordered = (since > timedelta(0)) | (pl.col("sequence") > pl.col("sequence").shift(1))
    linked = (same & (since <= silence)).fill_null(False)
    # a contact that is itself a return (a, b, and now a, or a's channel, again)
    away = channel.shift(1) != channel
    home = (pl.col("place").shift(2) == pl.col("place")) | (away & (channel.shift(2) == channel))
    return (
        contacts.with_columns(
            source=pl.col("place").shift(1),
            wait=since,
            _linked=linked,
            _ordered=ordered,
            returned=linked
            & linked.shift(1)
            & (pl.col("place").shift(1) != pl.col("place"))
            & home,
            next=pl.when(after & (instant.shift(-1) - instant <= silence)).then(
                pl.col("place").shift(-1)
            ),
            _until_next=instant.shift(-1) - instant,
            next_stage=stage.shift(-1),
            _stage=stage,
            return_after=pl.when(own_by == pl.col("customer")).then(own_at - instant),
            follow_up=pl.lit(scope.observed_until) - instant,
            _contact=row - pl.when(same).then(0).otherwise(row).cum_max(),
        )
        .rename({"place": "target"})
        .collect()
    )


def _count(followed: pl.DataFrame, scope: _Scope) -> dict[str, pl.DataFrame]:
    silence = scope.silence
    full = pl.col("follow_up") >= silence
    left = (pl.col("return_after") > silence).fill_null(True)
    onward = pl.col("next").is_not_null()
    # below the stage the customer is in, not only below the highest: who stays where an earlier
    # handoff sent them back to is not sent back again
    known = (pl.col("_stage") != NO_STAGE) & (pl.col("next_stage") != NO_STAGE)
    back = onward & known & (pl.col("next_stage") < pl.col("_stage"))
    counts = {
        "n": full,
        "silent": full & left,
        "onward": full & onward,
        "fresh": full & onward & ~pl.col("returned").fill_null(False),
        "back": full & back.fill_null(False) & ~pl.col("returned").fill_null(False),
    }
    for mark in LANDMARKS:
        seen = pl.col("follow_up") >= mark
        counts[f"n_{mark.days}"] = seen
        counts[f"silent_{mark.days}"] = seen & (pl.col("return_after") > mark).fill_null(True)
    for mark in WINDOWS:
        soon = pl.col("_until_next") <= mark
        counts[f"fresh_{mark.days}"] = counts["fresh"] & soon
        counts[f"back_{mark.days}"] = counts["back"] & soon
    totals = [e.sum().cast(pl.Int64).alias(n) for n, e in counts.items()]
    rating = pl.col("rating").cast(pl.Float64)
    waited = (
        pl.col("wait") if scope.open_hours is None else pl.lit(scope.open_hours.waits(followed))
    )
    frame = (
        _with_keys(followed)
        .lazy()
        .with_columns(
            bin=bin_of(waited.dt.total_microseconds() / 1_000_000),
        )
    )
    sums = (
        (pl.col("_turn") == 0).sum().cast(pl.Int64).alias("customers"),
        rating.is_not_null().sum().cast(pl.Int64).alias("rating_n"),
        rating.sum().alias("rating_sum"),
        (rating * rating).sum().alias("rating_sq"),
    )
    tallied = {
        "arrivals": frame.group_by(KEYS["arrivals"]).agg(*totals, *sums),
        "onward": frame.filter(full & onward & ~pl.col("returned").fill_null(False))
        .group_by(KEYS["onward"])
        .agg(
            _size(),
            *(
                (pl.col("_until_next") <= mark).sum().cast(pl.Int64).alias(f"n_{mark.days}")
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


def _add_up(parts: list[pl.DataFrame], name: str) -> pl.DataFrame:
    keys = KEYS[name]
    return pl.concat(parts).group_by(keys).agg(pl.all().sum()).sort(keys)
