"""EVENTS to the rows of the store: numbered, sorted, without duplicates and robots.

Text is turned into small integers once, before the only sort, so that the sort moves 20 bytes a
contact instead of its texts. Customers are numbered in the order of a 64-bit hash of their id; the
top five bits of that hash are the customer's *bucket*, so the 32 buckets lie one after the other in
the sorted store and can be read, summarised and merged apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from cxlib.contracts import EVENTS, QUARANTINE, UNKNOWN, UNMAPPED
from cxlib.errors import InputError
from cxlib.journeys import NO_STAGE

if TYPE_CHECKING:
    from cxlib.journey_map import JourneyMap, JourneyRule

BUCKETS = 32
"""Hash buckets of customers; intervals come from leaving out one bucket at a time."""

MAX_SEGMENTS = 256
"""Most combinations of segment values that the summary keeps apart."""

MAX_PLACES = 4_000
"""Most combinations of touchpoint, channel and stage in one log."""

_PLACE = ("touchpoint", "channel", "stage", "owner", "initiated_by")
_OPTIONAL = ("ended_at", "rating", "environment", "issue", "cost", "comment")
_HASH_SEED = 20_250_101

_PACED = 50
"""Contacts without which a customer's pace says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Sorted contacts with the tables that give their numbers a meaning.

    Attributes
    ----------
    events
        ``customer`` UInt32, ``occurred_at``, ``sequence``, ``place`` UInt16 and those optional
        columns of EVENTS that hold anything; sorted by customer, time and order within an instant.
    customers
        ``customer`` UInt32 (the row number), ``name``, ``bucket`` UInt8.
    places
        One row per observed touchpoint, channel and stage, with the journey map's properties.
    set_aside
        QUARANTINE rows with reason "duplicate" or "robot".
    counts
        ``duplicates``, ``robots`` (customers), ``robot_contacts``, ``tied_timestamps``.
    """

    events: pl.DataFrame
    customers: pl.DataFrame
    places: pl.DataFrame
    set_aside: pl.DataFrame
    counts: dict[str, int]


def encode_events(events: pl.LazyFrame, *, journey_map: JourneyMap, seed: int = 0) -> Encoded:
    """Number, sort and clean the contacts of a log.

    Contacts at the same instant come in the source's own order where it gives one (``sequence``),
    otherwise by stage and by place in the journey map, and last by a hash of the raw row: never by
    row position, so that a shuffled file gives the same store.

    Parameters
    ----------
    events
        A frame that keeps the EVENTS contract, in any order.
    journey_map
        Gives stages, goals and the properties of touchpoints.
    seed
        Of the hash that deals customers into buckets.

    Raises
    ------
    InputError
        When the log has no contact, or more different places than the store can number.
    """
    coded, places = _with_place(_collect(events, seed), journey_map)
    ordered = coded.sort("_hash", "occurred_at", "sequence", "place", "row")
    if ordered.select((_same("_hash") & ~_same("name")).any()).item():
        # two customers share all 64 bits: once in ten million logs of a million customers
        return encode_events(events, journey_map=journey_map, seed=seed + 1)
    kept, duplicates = _split(ordered, _same("_hash", "occurred_at", "sequence", "place", "row"))
    robot = _is_robot(kept, journey_map.journey)
    robots = kept.filter(pl.lit(robot)) if robot is not None else kept.clear()
    kept = kept.filter(~pl.lit(robot)) if robot is not None else kept
    if kept.is_empty():
        msg = "no contact is left to store: every row was set aside; `cx check` shows the reasons"
        raise InputError(msg)
    numbered = kept.with_columns(customer=pl.col("_hash").rle_id().cast(pl.UInt32))
    first = ~_same("_hash")
    present = [c for c in _OPTIONAL if numbered[c].null_count() < len(numbered)]
    return Encoded(
        events=numbered.select("customer", "occurred_at", "sequence", "place", *present),
        customers=numbered.filter(first).select(
            "customer", "name", bucket=(pl.col("_hash") // 2**59).cast(pl.UInt8)
        ),
        places=places,
        set_aside=pl.concat(
            [_set_aside(duplicates, places, "duplicate"), _set_aside(robots, places, "robot")]
        ),
        counts={
            "duplicates": len(duplicates),
            "robots": robots["name"].n_unique(),
            "robot_contacts": len(robots),
            "tied_timestamps": int(numbered.select(_same("_hash", "occurred_at").sum()).item()),
        },
    )


def _same(*columns: str) -> pl.Expr:
    """Whether a row equals the one before it in these columns."""
    return pl.all_horizontal(pl.col(c) == pl.col(c).shift(1) for c in columns).fill_null(False)


def _split(frame: pl.DataFrame, out: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that stay and rows that go; the frame itself, uncopied, when none goes."""
    flag = frame.select(out.alias("out"))["out"]
    return (frame.filter(~flag), frame.filter(flag)) if flag.any() else (frame, frame.clear())


def _is_robot(ordered: pl.DataFrame, rule: JourneyRule) -> pl.Series | None:
    """Contacts of customers who are no people, if any: the only rule for robots there is.

    Those with more than the rule's contacts within any 24 hours, and those with many that are less
    than its pace apart on average. Contacts that all lie at one instant have no pace.
    """
    at = pl.col("occurred_at")

    def within(contacts: int, span: timedelta) -> pl.Expr:
        same = pl.col("_hash") == pl.col("_hash").shift(-contacts)
        return same & (at.shift(-contacts) - at < span)

    dense = ordered.filter(within(rule.max_contacts_per_day, timedelta(days=1)))["_hash"].unique()
    # who keeps the pace on average has somewhere so many contacts within twice its time
    many = _PACED - 1
    quick = ordered.filter(within(many, 2 * many * rule.robot_pace))["_hash"].unique()
    if len(quick):
        mean = (at.max() - at.min()) / (pl.len() - 1)
        paces = (
            ordered.filter(pl.col("_hash").is_in(quick.implode())).group_by("_hash").agg(pace=mean)
        )
        fast = paces.filter((pl.col("pace") < rule.robot_pace) & (pl.col("pace") > timedelta()))
        dense = pl.concat([dense, fast["_hash"]])
    if dense.is_empty():
        return None
    return ordered["_hash"].is_in(dense.implode())


def _collect(events: pl.LazyFrame, seed: int) -> pl.DataFrame:
    """Read the log once, with the texts of places held as categories."""
    present = events.collect_schema().names()
    absent = [pl.lit(None, dtype=EVENTS.schema[c]).alias(c) for c in _OPTIONAL if c not in present]
    return (
        events.with_columns(absent)
        .select(
            pl.col("customer").hash(_HASH_SEED + seed).alias("_hash"),
            pl.col("customer").alias("name"),
            "occurred_at",
            "sequence",
            "row",
            *(pl.col(c).cast(pl.Categorical) for c in _PLACE),
            *_OPTIONAL,
        )
        .collect(engine="streaming")
    )


def _with_place(raw: pl.DataFrame, journey_map: JourneyMap) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace the five texts of a place by one number, through the codes of the categories."""
    codes = [pl.col(c).to_physical().cast(pl.UInt64) for c in ("touchpoint", "channel", "stage")]
    keyed = raw.with_columns(_key=codes[0] * 2**40 + codes[1] * 2**20 + codes[2])
    seen = (
        keyed.lazy()
        .group_by("_key")
        .agg(pl.col(c).cast(pl.String).drop_nulls().min() for c in _PLACE)
        .collect(engine="streaming")
    )
    if len(seen) > MAX_PLACES:
        msg = (
            f"the log names {len(seen):,} different combinations of touchpoint, channel and stage; "
            f"at most {MAX_PLACES:,} can be told apart. Group touchpoints by `match` rules in the "
            "journey map (a column with an id or a full address is not a touchpoint)."
        )
        raise InputError(msg)
    places = describe_places(seen, journey_map=journey_map)
    place = pl.col("_key").replace_strict(places["_key"], places["place"], return_dtype=pl.UInt16)
    return keyed.with_columns(place=place).drop("_key", *_PLACE), places.drop("_key")


def describe_places(seen: pl.DataFrame, *, journey_map: JourneyMap) -> pl.DataFrame:
    """Number places in the order of the journey map and give each the map's properties.

    Parameters
    ----------
    seen
        ``touchpoint``, ``channel``, ``stage``, ``owner``, ``initiated_by`` and any further columns.
    journey_map
        Gives the order of stages and touchpoints, the goals and the flags.

    Returns
    -------
    polars.DataFrame
        ``place`` (UInt16, row number), the columns given, ``stage_index`` (UInt8, 255 = unmapped),
        ``is_goal``, ``is_lost``, ``repeatable``, ``assisted``, ``self_service``, ``completes``,
        ``map_order``.
    """
    rule = journey_map.journey
    touchpoint, known = pl.col("touchpoint"), journey_map.touchpoints
    stages = {s: i for i, s in enumerate(journey_map.stages) if s != UNMAPPED}

    def flagged(name: str, *, default: bool) -> pl.Expr:
        return (
            touchpoint.is_in([t.name for t in known if getattr(t, name) is not default]) ^ default
        )

    order = {t.name: i for i, t in enumerate(known)}
    return (
        seen.with_columns(
            stage_index=pl.col("stage").replace_strict(
                stages, default=NO_STAGE, return_dtype=pl.UInt8
            ),
            is_goal=touchpoint.is_in(rule.goal),
            is_lost=touchpoint.is_in(rule.lost),
            repeatable=flagged("repeatable", default=True),
            assisted=flagged("assisted", default=False),
            self_service=flagged("self_service", default=False),
            completes=flagged("completes", default=False),
            map_order=touchpoint.replace_strict(order, default=len(order), return_dtype=pl.Int32),
        )
        .sort("stage_index", "map_order", "touchpoint", "channel", "stage")
        .select(pl.int_range(pl.len(), dtype=pl.UInt16).alias("place"), pl.all())
    )


def _set_aside(rows: pl.DataFrame, places: pl.DataFrame, reason: str) -> pl.DataFrame:
    """Put contacts back into words for the quarantine table (their raw rows are not kept)."""
    touchpoint = places["touchpoint"].gather(rows["place"].cast(pl.UInt32))
    return rows.select(
        reason=pl.lit(reason),
        file=pl.lit(""),
        line=pl.lit(None, dtype=pl.Int64),
        customer="name",
        occurred_at=pl.col("occurred_at").dt.to_string("iso:strict"),
        touchpoint=pl.lit(touchpoint),
        raw=pl.lit(""),
    ).select(QUARANTINE.schema.names())


@dataclass(frozen=True, slots=True)
class AttachedRatings:
    """What `attach_ratings` returns: contacts with ratings, answers by what became of them."""

    events: pl.DataFrame
    counts: dict[str, int]


def attach_ratings(
    encoded: Encoded, ratings: pl.DataFrame, *, within: timedelta | None
) -> AttachedRatings:
    """Give each survey answer to the contact it speaks of.

    That is the customer's latest contact at or before ``rated_at``, at the named touchpoint where
    the answer names one. A contact keeps the rating that stands in the log; of several answers for
    one contact the latest counts.

    Parameters
    ----------
    encoded
        What `encode_events` returns.
    ratings
        A frame that keeps the RATINGS contract.
    within
        Longest time from contact to answer; None for no limit.

    Returns
    -------
    AttachedRatings
        ``events`` with ``rating`` and ``comment``; ``counts`` of answers: ``given``, ``attached``,
        ``unknown_customer``, ``no_contact_before``, ``superseded``.
    """
    named = "touchpoint" in ratings.columns
    events = encoded.events
    for column in ("rating", "comment"):
        if column not in events.columns:
            events = events.with_columns(pl.lit(None, dtype=EVENTS.schema[column]).alias(column))
    answers = ratings.join(
        encoded.customers.select("customer", "name"),
        left_on="customer",
        right_on="name",
        how="inner",
        suffix="_code",
    ).rename({"customer": "name", "customer_code": "customer"})
    rows = events.select(
        "customer",
        "occurred_at",
        touchpoint=encoded.places["touchpoint"].gather(events["place"].cast(pl.UInt32)),
        _row=pl.int_range(pl.len(), dtype=pl.UInt32),
    )
    parts = [(answers, ["customer"])]
    if named:
        parts = [
            (answers.filter(pl.col("touchpoint").is_null()).drop("touchpoint"), ["customer"]),
            (answers.filter(pl.col("touchpoint").is_not_null()), ["customer", "touchpoint"]),
        ]
    found = pl.concat(
        [
            part.sort("rated_at")
            .join_asof(
                rows.select(*by, "occurred_at", "_row").sort("occurred_at", "_row"),
                left_on="rated_at",
                right_on="occurred_at",
                by=by,
                strategy="backward",
                tolerance=within,
                check_sortedness=False,
            )
            .select("_row", "rated_at", "rating", *(c for c in ("comment",) if c in part.columns))
            for part, by in parts
        ]
    )
    placed = found.drop_nulls("_row")
    latest = placed.sort("_row", "rated_at", "rating").unique("_row", keep="last")
    free = latest.filter(events["rating"].gather(latest["_row"]).is_null())
    filled = events.with_columns(
        pl.coalesce("rating", _scatter(free, "rating", len(events))).alias("rating"),
        pl.coalesce("comment", _scatter(free, "comment", len(events))).alias("comment"),
    )
    empty = [c for c in ("rating", "comment") if filled[c].null_count() == len(filled)]
    return AttachedRatings(
        events=filled.drop(empty),
        counts={
            "given": len(ratings),
            "attached": len(free),
            "unknown_customer": len(ratings) - len(answers),
            "no_contact_before": len(found) - len(placed),
            "superseded": len(placed) - len(free),
        },
    )


def _scatter(values: pl.DataFrame, column: str, length: int) -> pl.Series:
    """A column of `length` rows with `values` at ``_row`` and null elsewhere."""
    out = pl.Series(column, [None], dtype=EVENTS.schema[column]).new_from_index(0, length)
    if column in values.columns and len(values):
        out = out.scatter(values["_row"], values[column])
    return out


def assign_segments(
    customers: pl.DataFrame, table: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """Give every customer the number of its combination of segment values.

    Parameters
    ----------
    customers
        ``customer``, ``name``, ``bucket``.
    table
        A frame that keeps the CUSTOMERS contract, or None.

    Returns
    -------
    customers
        With ``segment`` (UInt16).
    segments
        ``segment`` and one String column per dimension; "unknown" where a customer has no value.
    left_out
        Dimensions with so many values that the summary cannot keep them apart.
    """
    names = [c for c in table.columns if c != "customer"] if table is not None else []
    if table is None or not names:
        return (
            customers.with_columns(segment=pl.lit(0, pl.UInt16)),
            pl.DataFrame({"segment": [0]}, schema={"segment": pl.UInt16}),
            (),
        )
    told = customers.select("name").join(
        table, left_on="name", right_on="customer", how="left", maintain_order="left"
    )
    told = told.with_columns(pl.col(names).fill_null(UNKNOWN))
    # fewest values first, so that one column of free text cannot crowd out the useful ones
    by_size = sorted(names, key=lambda c: (told[c].n_unique(), names.index(c)))
    kept: list[str] = []
    for name in by_size:
        if told.select(pl.struct(*kept, name).n_unique()).item() <= MAX_SEGMENTS:
            kept.append(name)
    kept = [c for c in names if c in kept]
    left_out = tuple(c for c in names if c not in kept)
    if not kept:
        numbered, segments, _ = assign_segments(customers, None)
        return numbered, segments, left_out
    segments = (
        told.select(kept)
        .unique()
        .sort(kept)
        .select(pl.int_range(pl.len(), dtype=pl.UInt16).alias("segment"), *kept)
    )
    code = told.join(segments, on=kept, how="left", maintain_order="left")["segment"]
    return customers.with_columns(code), segments, left_out
