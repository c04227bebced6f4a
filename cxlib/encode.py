"""EVENTS to the rows of the store: numbered, sorted, without duplicates and robots.

Customers are numbered in the order of a 64-bit hash of their id, whose top five bits are their
*bucket*: the 32 buckets lie one after the other in the store and can be read and merged apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from cxlib.contracts import EVENTS, MAX_PLACES, QUARANTINE, UNMAPPED
from cxlib.errors import InputError
from cxlib.journeys import NO_STAGE
from cxlib.map_model import JourneyMap, JourneyRule, Touchpoint, format_duration

BUCKETS = 32  # hash buckets of customers; intervals come from leaving out one bucket at a time
MAX_ENVIRONMENTS = 1_000  # most values of an environment column that are kept apart
RARER = "(rarer values)"  # stands for the values of an environment column beyond `MAX_ENVIRONMENTS`

ANSWERS = pl.Schema(
    {"row": pl.UInt32, "scale": pl.String, "rating": pl.Float64, "comment": pl.String}
)
"""Columns of `Encoded.answers`; ``row`` is the number of a row of `Encoded.events`."""

_PLACE = ("touchpoint", "channel", "stage", "owner", "initiated_by")
_OPTIONAL = ("ended_at", "due_at", "rating", "scale", "issue", "cost", "amount", "comment")
_FURTHER = "another answer about one contact (kept with the ratings)"
_HASH_SEED = 20_250_101
_FLAGS = ("repeatable", "assisted", "self_service", "completes")

_PACED = 50  # contacts without which a customer's pace says nothing


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Sorted contacts with the tables that give their numbers a meaning.

    ``events``: ``customer`` UInt32, ``occurred_at``, ``sequence``, ``place`` UInt16, those optional
    columns of EVENTS that hold anything, each ``environment.NAME`` as Enum; ``rating`` holds
    answers on `scale` only. ``customers``: ``customer`` (the row number), ``name``, ``bucket``
    UInt8. ``places``: what `describe_places` returns. ``answers``: the ratings in the log
    (`ANSWERS`). ``segments``: by customer the first known value. `segments_varying`: by name,
    customers with several values; `rarer`: by name, how many values of an environment were put
    together.
    """

    events: pl.DataFrame
    customers: pl.DataFrame
    places: pl.DataFrame
    set_aside: pl.DataFrame
    counts: dict[str, int]
    answers: pl.DataFrame = field(default_factory=ANSWERS.to_frame)
    scale: str | None = None
    segments: pl.DataFrame | None = None
    segments_varying: dict[str, int] = field(default_factory=dict)
    rarer: dict[str, int] = field(default_factory=dict)


def encode_events(events: pl.LazyFrame, *, journey_map: JourneyMap, seed: int = 0) -> Encoded:
    """Number, sort and clean the contacts of a log, never by row position: a shuffled file gives
    the same store.
    """
    names = _name_customers(events, seed)
    if names["_hash"].is_duplicated().any():
        # two customers share all 64 bits: once in ten million logs of a million customers
        return encode_events(events, journey_map=journey_map, seed=seed + 1)
    ordered, places = _with_place(_collect(events, seed), journey_map)
    told_apart = [c for c in ("scale", "rating", "comment") if "scale" in ordered.columns]
    ordered = ordered.sort("_hash", "occurred_at", "sequence", "place", "row", *told_apart)
    again = ordered.select(_same("_hash", "occurred_at", "sequence", "place", "row")).to_series()
    answers = _answers(ordered, again, journey_map)
    kept, twice = ordered, ordered.filter(again)
    if len(twice):
        kept = ordered.filter(~again)
    del ordered
    kept = _on_one_scale(kept, answers)
    is_answer = pl.Series(again.arg_true()).is_in(answers.filter("_again")["_line"].implode())
    robot = _is_robot(kept, journey_map.journey)
    robots = kept.filter(robot)
    if len(robots):
        kept = kept.filter(~robot)
    answers = answers.filter(~robot.gather(answers["row"]))
    answers = answers.with_columns(row=((~robot).cum_sum() - 1).gather(answers["row"]))
    if kept.is_empty():
        rule = journey_map.journey
        raise InputError(
            f"no contact is left to store: all {len(robots):,} are of robots, customers with more "
            f"than {rule.max_contacts_per_day:,} contacts a day or on average less than "
            f"{format_duration(rule.robot_pace)} apart; if they are people, raise "
            "`max_contacts_per_day` or lower `robot_pace` in the map"
        )
    numbered = kept.with_columns(customer=pl.col("_hash").rle_id().cast(pl.UInt32))
    there = (c for c in _OPTIONAL if c in numbered.columns)
    present = [c for c in there if numbered[c].null_count() < len(numbered)]
    environments = [_as_enum(numbered[c]) for c in kept.columns if c.startswith("environment.")]
    values = {c.name: numbered[c.name].drop_nulls().n_unique() for c in environments}
    beyond = {c.partition(".")[2]: n - MAX_ENVIRONMENTS for c, n in values.items()}
    segments, varying = _first_known(numbered)
    aside = {
        "duplicate": twice.filter(~is_answer), _FURTHER: twice.filter(is_answer), "robot": robots,
    }  # fmt: skip
    return Encoded(
        events=numbered.select(
            "customer", "occurred_at", "sequence", "place", *present, *environments
        ),
        customers=numbered.filter(~_same("_hash"))
        .join(names, on="_hash", how="left", maintain_order="left")
        .select("customer", "name", bucket=(pl.col("_hash") // 2**59).cast(pl.UInt8)),
        places=places,
        set_aside=pl.concat([_set_aside(rows, names, places, why) for why, rows in aside.items()]),
        counts={
            "duplicates": int((~is_answer).sum()),
            "further_answers": int(is_answer.sum()),
            "robots": robots["_hash"].n_unique(),
            "robot_contacts": len(robots),
            "tied_timestamps": int(numbered.select(_same("_hash", "occurred_at").sum()).item()),
        },
        answers=answers.select(pl.col(c).cast(t) for c, t in ANSWERS.items()),
        scale=answers["usual"][0] if len(answers) else None,
        segments=segments,
        segments_varying=varying,
        rarer={name: n for name, n in beyond.items() if n > 0},
    )


def _answers(ordered: pl.DataFrame, again: pl.Series, journey_map: JourneyMap) -> pl.DataFrame:
    said = (
        pl.col(c) if c in ordered.columns else pl.lit(None, ANSWERS[c]).alias(c)
        for c in ("scale", "rating", "comment")
    )
    rated = ordered.select(*said, row=(~again).cum_sum() - 1, _again=again)
    rated = rated.with_row_index("_line").drop_nulls("rating")
    first = journey_map.rating_scale
    usual = first.name if first is not None else usual_scale(rated["scale"])
    named = rated.with_columns(pl.col("scale").fill_null(usual), usual=pl.lit(usual))
    by = ["row", "scale", "rating", "comment"]
    return named.sort(*by, "_line").unique(by, keep="first", maintain_order=True)


def usual_scale(scales: pl.Series) -> str:
    """Return the commonest of some scales; "rating" where none has a name."""
    counted = scales.drop_nulls().alias("scale").value_counts()
    ordered = counted.sort("count", "scale", descending=[True, False])
    return str(ordered["scale"][0]) if len(ordered) else "rating"


def _on_one_scale(kept: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Let ``rating``, ``scale`` and ``comment`` be of the answers that views show."""
    if "scale" not in kept.columns or kept["scale"].null_count() == len(kept):
        return kept
    shown = answers.filter(pl.col("scale") == pl.col("usual")).unique("row", keep="last")
    none = kept.select("scale", "rating").clear().clear(len(kept))
    said = none.with_columns(kept.select(pl.col(c) for c in kept.columns if c == "comment"))
    return kept.with_columns(values.scatter(shown["row"], shown[values.name]) for values in said)


def _as_enum(values: pl.Series) -> pl.Series:
    """Return a categorical column as Enum of its values in order, the rarest put together."""
    counted = values.drop_nulls().cast(pl.String).alias("value").value_counts()
    counted = counted.sort("count", "value", descending=[True, False])
    kept = sorted(counted["value"].head(MAX_ENVIRONMENTS))
    if len(counted) <= MAX_ENVIRONMENTS:
        return values.cast(pl.Enum(kept))
    known = values.cast(pl.Enum([*kept, RARER]), strict=False)
    return known.set(known.is_null() & values.is_not_null(), RARER)


def _first_known(numbered: pl.DataFrame) -> tuple[pl.DataFrame | None, dict[str, int]]:
    """Return each customer's first known segments in the log, and how many have several."""
    names = {c: c.partition(".")[2] for c in numbered.columns if c.startswith("segment.")}
    if not names:
        return None, {}
    known = (
        numbered.lazy()
        .group_by("customer")
        .agg(
            *(pl.col(c).drop_nulls().first().cast(pl.String) for c in names),
            *(pl.col(c).drop_nulls().n_unique().alias(f"\x00{n}") for c, n in names.items()),
        )
    )
    found = known.sort("customer").collect()
    several = {n: int((found[f"\x00{n}"] > 1).sum()) for n in names.values()}
    return found.select("customer", *names), {n: k for n, k in several.items() if k}


def _same(*columns: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(c) == pl.col(c).shift(1) for c in columns).fill_null(False)


def _is_robot(ordered: pl.DataFrame, rule: JourneyRule) -> pl.Series:
    """Contacts of customers who are no people: the only rule for robots there is."""
    at = pl.col("occurred_at")

    def within(contacts: int, span: timedelta) -> pl.Expr:
        same = pl.col("_hash") == pl.col("_hash").shift(-contacts)
        return same & (at.shift(-contacts) - at < span)

    dense = ordered.filter(within(rule.max_contacts_per_day, timedelta(days=1)))["_hash"].unique()
    # who keeps the pace on average has somewhere so many contacts within twice its time
    many = _PACED - 1
    quick = ordered.filter(within(many, 2 * many * rule.robot_pace))["_hash"].unique()
    mean = (at.max() - at.min()) / (pl.len() - 1)
    paces = ordered.filter(pl.col("_hash").is_in(quick.implode())).group_by("_hash").agg(pace=mean)
    fast = paces.filter((pl.col("pace") < rule.robot_pace) & (pl.col("pace") > timedelta()))
    return ordered["_hash"].is_in(pl.concat([dense, fast["_hash"]]).implode())


def _hash(seed: int) -> pl.Expr:
    return pl.col("customer").hash(_HASH_SEED + seed).alias("_hash")


def _name_customers(events: pl.LazyFrame, seed: int) -> pl.DataFrame:
    """Names by hash, which the rows do without: they weigh as much as all the rest of a row."""
    named = events.select(_hash(seed), name="customer")
    return named.unique().collect(engine="streaming")


def _collect(events: pl.LazyFrame, seed: int) -> pl.DataFrame:
    present = events.collect_schema().names()
    further = [c for c in present if c not in EVENTS.schema]
    taken = events.select(
        _hash(seed),
        *("occurred_at", "sequence", "row", *(c for c in _OPTIONAL if c in present)),
        *(pl.col(c).cast(pl.Categorical) for c in (*_PLACE, *further)),
    )
    return taken.collect(engine="streaming")


def _with_place(raw: pl.DataFrame, journey_map: JourneyMap) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace the five texts of a place by one number, through the codes of the categories."""
    codes = [pl.col(c).to_physical().cast(pl.UInt64) for c in ("touchpoint", "channel", "stage")]
    keyed = raw.with_columns(_key=codes[0] * 2**40 + codes[1] * 2**20 + codes[2])
    counted = keyed.lazy().group_by("_key", *_PLACE).len().collect(engine="streaming")
    texts = counted.with_columns(pl.col(_PLACE).cast(pl.String))
    seen = texts.select("_key", *_PLACE[:3]).unique()
    for told in _PLACE[3:]:  # whatever most of its contacts say
        ranked = texts.drop_nulls(told).group_by("_key", told).agg(pl.col("len").sum())
        ranked = ranked.sort("len", told, descending=[True, False])
        most = ranked.select("_key", told).unique("_key", keep="first", maintain_order=True)
        seen = seen.join(most, on="_key", how="left")
    if len(seen) > MAX_PLACES:
        raise InputError(
            f"the log names {len(seen):,} different combinations of touchpoint, channel and stage; "
            f"at most {MAX_PLACES:,} can be told apart. Group touchpoints by `match` rules in the "
            "journey map (a column with an id or a full address is not a touchpoint)."
        )
    places = describe_places(seen, journey_map=journey_map)
    place = pl.col("_key").replace_strict(places["_key"], places["place"], return_dtype=pl.UInt16)
    return keyed.with_columns(place=place).drop("_key", *_PLACE), places.drop("_key")


def describe_places(seen: pl.DataFrame, *, journey_map: JourneyMap) -> pl.DataFrame:
    """Number places in the order of the journey map and give each the map's properties."""
    rule = journey_map.journey
    touchpoint = pl.col("touchpoint")
    stages = {s: i for i, s in enumerate(journey_map.stages) if s != UNMAPPED}
    order: dict[str, int] = {}
    for planned in journey_map.touchpoints:
        order.setdefault(planned.name, len(order))
    names = seen.select("touchpoint", "channel").iter_rows()
    told = [journey_map.touchpoint(*name) or Touchpoint("") for name in names]
    flags = {n: pl.Series([getattr(t, n) for t in told], dtype=pl.Boolean) for n in _FLAGS}
    described = seen.with_columns(
        stage_index=pl.col("stage").replace_strict(stages, default=NO_STAGE, return_dtype=pl.UInt8),
        is_goal=touchpoint.is_in(rule.goal),
        is_lost=touchpoint.is_in(rule.lost),
        **flags,
        kind=pl.Series([t.kind for t in told], dtype=pl.String),
        map_order=touchpoint.replace_strict(order, default=len(order), return_dtype=pl.Int32),
    ).sort("stage_index", "map_order", "touchpoint", "channel", "stage")
    return described.select(pl.int_range(pl.len(), dtype=pl.UInt16).alias("place"), pl.all())


def name_places(places: pl.DataFrame) -> pl.Series:
    """Name places as people do: with the channel where a touchpoint is on several.

    >>> places = {"touchpoint": ["help", "help", "till"], "channel": ["web", "app", "store"]}
    >>> name_places(pl.DataFrame(places)).to_list()
    ['help (web)', 'help (app)', 'till']
    """
    several = pl.col("channel").n_unique().over("touchpoint") > 1
    named = pl.when(several).then(pl.format("{} ({})", "touchpoint", "channel"))
    return places.select(named.otherwise("touchpoint").alias("name")).to_series()


def _set_aside(
    rows: pl.DataFrame, names: pl.DataFrame, places: pl.DataFrame, reason: str
) -> pl.DataFrame:
    touchpoint = places["touchpoint"].gather(rows["place"].cast(pl.UInt32))
    return (
        rows.join(names, on="_hash", how="left", maintain_order="left")
        .select(
            reason=pl.lit(reason),
            file=pl.lit(""),
            line=pl.lit(None, dtype=pl.Int64),
            customer="name",
            occurred_at=pl.col("occurred_at").dt.to_string("iso:strict"),
            touchpoint=pl.lit(touchpoint),
            raw=pl.lit(""),
        )
        .select(QUARANTINE.schema.names())
    )
