"""Histories: what followed each contact, by day or week (`block_days`), segment and environment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from cxlib.arrivals.later import count_turns
from cxlib.arrivals.open_hours import OpenHours
from cxlib.bins import bin_of
from cxlib.journeys import NO_STAGE
from cxlib.periods import Periods
from cxlib.store.counting import rating_sums
from cxlib.store.tables import NONE, Table
from cxlib.store.walk import next_where

ENVIRONMENT = "environment."  # begins the names of the columns that say where a contact was
_DAYS, _WEEKS = 200, 5 * 366
_MOST_STEPS = 12
_MONDAY = date(1970, 1, 5)
_JOURNEY = ("customer", "journey")
_UNIT = ("source", "target", "segment", "period")

_STEP = ("stage", "target", "segment", "period")
_VISITS = "visits in known order, at most three of one customer along each way"

HISTORY_TABLES = {
    "histories": Table((*_UNIT, "block"), _VISITS, meaning=2),
    "history_waits": Table((*_UNIT, "block", "bin"), _VISITS),
    "begun_waits": Table((*_UNIT, "block", "bin"), _VISITS),
    "steps": Table((*_STEP, "block"), "first visits of a journey in a stage", meaning=2),
    "repeat_history": Table((*_UNIT, "block"), "arrivals at marked touchpoints", meaning=2),
    "plan_history": Table((*_UNIT, "block"), "contacts at the source of a planned handoff"),
    "volumes": Table(("target", "segment", "period", "block"), "visits"),
    "environments": Table(("column", "value", *_UNIT), _VISITS),
    "environment_waits": Table(("column", "value", *_UNIT, "bin"), _VISITS),
    "environment_steps": Table(("column", "value", *_STEP), "first visits in a stage"),
    "environment_repeats": Table(("column", "value", *_UNIT), "arrivals at marked touchpoints"),
}
"""The tables. ``source`` is `NONE` for visits that followed no other within the silence; in the
tables of steps the target is the place at which the stage was entered; ``begun_waits`` are the same
waits in the blocks in which they began. What is done again, and what becomes of planned handoffs,
is counted where it is found (`repeats`, `planned`)."""


def block_days(span: timedelta) -> int:
    """Days in a block of a log that covers so much time."""
    return 1 if span.days <= _DAYS else 7 if span.days <= _WEEKS else 28


def first_block(periods: Periods, span: timedelta) -> int:
    """Number of the block in which the first period of a log begins."""
    return (periods.starts[0] - _MONDAY).days // block_days(span)


def block_at(instant: datetime, periods: Periods, span: timedelta) -> int:
    """Number of the block of an instant, counted from the beginning of the first period on."""
    return (instant.date() - _MONDAY).days // block_days(span) - first_block(periods, span)


def block_starts(periods: Periods, span: timedelta) -> list[date]:
    """First day of each block from the log's first on; a block of weeks begins on a Monday."""
    size, first = block_days(span), first_block(periods, span)
    return [_MONDAY + timedelta(days=size * (first + i)) for i in range(span.days // size + 40)]


def block_of(occurred_at: pl.Expr, time_zone: str, span: timedelta) -> pl.Expr:
    """Number of the block of a contact, by its local day."""
    local = occurred_at.dt.convert_time_zone(time_zone).dt.date()
    return ((local - pl.lit(_MONDAY)).dt.total_days() // block_days(span)).cast(pl.UInt16)


def count_histories(
    contacts: pl.DataFrame,
    places: pl.DataFrame,
    time_zone: str,
    *,
    span: timedelta,
    silence: timedelta,
    most: int,
    open_hours: OpenHours | None = None,
) -> dict[str, pl.DataFrame]:
    """Count what followed the visits (`cxlib.store.walk.visits`) of one bucket of customers.

    One customer counts `most` times for one move.
    """
    linked = pl.col("ordered") & (pl.col("waited") <= silence)
    contacts = contacts.filter(pl.col("ordered") | ~pl.col("same_journey")).select(
        pl.col("customer", "journey", "occurred_at", "segment", "rating"),
        pl.col("returned", "next", "next_stage", "return_after", "^environment\\..*$"),
        target="place",
        period=pl.when(linked).then("left_in").otherwise("period"),
        source=pl.when(linked).then("previous"),
        wait="waited",
        passed="waited",
        follow_up="followed_for",
        _follows=linked.fill_null(value=False),
        _stage=pl.lit(places["stage_index"].cast(pl.UInt8)).gather(pl.col("place").cast(pl.UInt32)),
    )
    if open_hours is not None:
        waited = open_hours.waits(contacts.filter("_follows"))
        none = pl.Series([None], dtype=waited.dtype).new_from_index(0, len(contacts))
        at = contacts["_follows"].arg_true()
        contacts = contacts.with_columns(wait=none.scatter(at, waited))
    dated = contacts.with_columns(
        block=block_of(pl.col("occurred_at"), time_zone, span),
        source=pl.col("source").cast(pl.UInt16).fill_null(NONE),
    )
    volumes = dated.group_by(HISTORY_TABLES["volumes"].keys).agg(
        contacts=pl.len().cast(pl.Int64),
        unlinked=(pl.col("source") == NONE).sum().cast(pl.Int64),
    )
    turn = count_turns(dated)
    marked = _mark(dated.with_columns(first=turn == 0).filter(turn < most), places, silence)
    steps = _find_steps(dated, places, silence)
    ended = ("n", "silent", "fresh", "back", "came", "pinged", "first")
    counts = [pl.col(flag).sum().cast(pl.Int64) for flag in ended]
    counts[-1] = counts[-1].alias("customers")
    waits, n = marked.drop_nulls("bin"), [pl.len().cast(pl.Int64).alias("n")]
    begun = block_of(pl.col("occurred_at") - pl.col("passed"), time_zone, span)
    begun_waits = waits.with_columns(block=begun).group_by(HISTORY_TABLES["begun_waits"].keys)
    tables = {"volumes": volumes, "begun_waits": begun_waits.agg(n)}
    for name, rows, sums, elsewhere in (
        ("histories", marked, [*counts, *rating_sums()], "environments"),
        ("history_waits", waits, n, "environment_waits"),
        ("steps", steps, [*counts[:2], counts[-1]], "environment_steps"),
    ):
        tables[name] = rows.group_by(HISTORY_TABLES[name].keys).agg(sums)
        tables[elsewhere] = count_around(rows, elsewhere, sums)
    return tables


def count_around(rows: pl.DataFrame, table: str, sums: Sequence[pl.Expr]) -> pl.DataFrame:
    """Count rows by the values of each environment column that they have."""
    nothing = rows.clear().with_columns(column=pl.lit(""), value=pl.lit(""))
    each = [
        rows.with_columns(
            column=pl.lit(column.removeprefix(ENVIRONMENT)),
            value=pl.col(column).cast(pl.String).fill_null("unknown"),
        )
        for column in rows.columns
        if column.startswith(ENVIRONMENT)
    ]
    keys = HISTORY_TABLES[table].keys
    return pl.concat([r.group_by(keys).agg(sums) for r in (nothing, *each)])


def _mark(contacts: pl.DataFrame, places: pl.DataFrame, silence: timedelta) -> pl.DataFrame:
    codes = places["channel"].rank("dense").cast(pl.UInt16)

    def channel(place: str) -> pl.Expr:
        index = pl.col(place).cast(pl.UInt32)
        return pl.lit(codes).gather(pl.when(index < len(codes)).then(index))

    full = pl.col("follow_up") >= silence
    left = (pl.col("return_after") > silence).fill_null(True)
    onward = pl.col("next").is_not_null()
    fresh = full & onward & ~pl.col("returned").fill_null(False)
    known = (pl.col("_stage") != NO_STAGE) & (pl.col("next_stage") != NO_STAGE)
    lower = (known & (pl.col("next_stage") < pl.col("_stage"))).fill_null(False)
    away = channel("source") != channel("target")
    home = (pl.col("next") == pl.col("source")) | (away & (channel("next") == channel("source")))
    came = (pl.col("source") != NONE) & (pl.col("source") != pl.col("target"))
    seconds = pl.col("wait").dt.total_microseconds() / 1_000_000
    watched = (pl.col("follow_up") + pl.col("passed") >= silence) & (pl.col("source") != NONE)
    return contacts.with_columns(
        n=full,
        silent=full & left,
        fresh=fresh,
        back=fresh & lower,
        came=fresh & came,
        pinged=fresh & came & home.fill_null(False),
        bin=pl.when(watched).then(bin_of(seconds)),
    )


def _find_steps(dated: pl.DataFrame, places: pl.DataFrame, silence: timedelta) -> pl.DataFrame:
    """First contact of a journey in each stage; ``silent``: no later stage within the silence."""
    own = dated.filter(pl.col("_stage") != NO_STAGE)
    parts = [own.clear().with_columns(n=pl.lit(False), silent=pl.lit(False))]
    stages = places.filter(pl.col("stage_index") != NO_STAGE)["stage_index"].unique().sort()
    for stage in stages.to_list()[:-1][:_MOST_STEPS]:
        beyond = pl.col("_stage") > stage
        at, journey = (next_where(beyond, pl.col(c)) for c in ("occurred_at", "journey"))
        in_time = at - pl.col("occurred_at") <= silence
        reached = ((journey == pl.col("journey")) & in_time).fill_null(value=False)
        n = pl.col("follow_up") >= silence
        entered = own.with_columns(n=n, silent=n & ~reached).filter(pl.col("_stage") == stage)
        parts.append(entered.unique(_JOURNEY, keep="first", maintain_order=True))
    once = pl.col("customer").is_first_distinct().over("_stage")
    return pl.concat(parts).with_columns(stage=pl.col("_stage").cast(pl.UInt16), first=once)
