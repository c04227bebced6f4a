"""From a sorted log to journeys: where each one starts, how far it had come, whether it got there.

A journey is one customer's contacts towards one goal. It starts

* with the customer's first contact,
* after a silence longer than ``gap``, and
* after the goal (or a loss) was reached, with the first contact that opens a new cycle: initiated
  by the customer, in the goal's stage or an earlier one, and not itself a goal. Delivery, support
  and other later-stage contacts therefore still belong to the journey they follow, and a company's
  mailing does not open a new one.

All is one vectorised sweep: what happened "so far in the journey" is a running maximum of a number
whose leading digits are the journey, so that each new journey starts afresh.
"""

from __future__ import annotations

import polars as pl

from cxlib.map_model import JourneyMap, JourneyRule

NO_STAGE = 255  # of a contact that the journey map does not place, and of a journey without any
_MAX_POSITION = 65_535


def split_journeys(
    events: pl.DataFrame, *, places: pl.DataFrame, rule: JourneyRule, goal_stage: int | None
) -> pl.DataFrame:
    """Number the journeys of a log sorted by customer and time, and say how far each had come.

    Adds ``journey`` (global and increasing), ``position`` (contacts before it in the journey, at
    most 65,535), ``stage_high`` (highest stage up to and including it, 255 if none), ``reached``
    and ``lost`` (the goal or a loss at or before it). Row ``i`` of ``places`` describes place
    ``i``; ``goal_stage`` is what `last_goal_stage` says.
    """
    place = pl.col("place").cast(pl.UInt32)
    described = events.with_columns(
        _stage=_lookup(places["stage_index"].cast(pl.UInt8), place),
        _goal=_lookup(places["is_goal"], place),
        _lost=_lookup(places["is_lost"], place),
        _opens=_lookup(_opens_a_cycle(places, goal_stage), place),
    )
    started = described.with_columns(_new=_starts(rule)).with_columns(
        journey=(pl.col("_new").cast(pl.UInt32).cum_sum() - 1).cast(pl.UInt32),
    )
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    journey = pl.col("journey").cast(pl.UInt64)
    first_row = pl.when("_new").then(row).otherwise(0).cum_max()
    stage = pl.when(pl.col("_stage") == NO_STAGE).then(0).otherwise(pl.col("_stage") + 1)
    high = (journey * 256 + stage).cum_max() % 256
    return started.with_columns(
        position=(row - first_row).clip(0, _MAX_POSITION).cast(pl.UInt16),
        stage_high=pl.when(high == 0).then(NO_STAGE).otherwise(high - 1).cast(pl.UInt8),
        reached=((journey * 2 + pl.col("_goal")).cum_max() % 2).cast(pl.Boolean),
        lost=((journey * 2 + pl.col("_lost")).cum_max() % 2).cast(pl.Boolean),
    ).drop("_stage", "_goal", "_lost", "_opens", "_new")


def _lookup(values: pl.Series, index: pl.Expr) -> pl.Expr:
    """Take ``values[index]``: a gather by row number, where a join would hash every contact."""
    return pl.lit(values).gather(index)


def last_goal_stage(places: pl.DataFrame, *, journey_map: JourneyMap) -> int | None:
    """Index of the last stage that holds a goal; None where no goal has a stage.

    The map says where its goals stand also for a log in which nobody has reached one; a log with a
    stage column of its own says it by its contacts.
    """
    seen = places.filter(pl.col("is_goal") & (pl.col("stage_index") != NO_STAGE))["stage_index"]
    planned = (
        journey_map.stage_index(t.stage)
        for t in journey_map.touchpoints
        if t.name in journey_map.journey.goal
    )
    return max((*seen.to_list(), *(s for s in planned if s is not None)), default=None)


def _opens_a_cycle(places: pl.DataFrame, goal_stage: int | None) -> pl.Series:
    """Whether a contact at each place, coming after the goal, begins a new journey."""
    stage = pl.col("stage_index")
    within = (stage != NO_STAGE) & (stage <= (NO_STAGE if goal_stage is None else goal_stage))
    ends = pl.col("is_goal") | pl.col("is_lost")
    return places.select(within & ~ends & (pl.col("initiated_by") == "customer")).to_series()


def _starts(rule: JourneyRule) -> pl.Expr:
    """Whether a journey starts with this row, of rows sorted by customer and time."""
    broken = (pl.col("customer") != pl.col("customer").shift(1)).fill_null(True)
    if rule.gap is not None:
        broken = broken | ((pl.col("occurred_at") - pl.col("occurred_at").shift(1)) > rule.gap)
    if not rule.restart or not (rule.goal or rule.lost):
        return broken.fill_null(True)
    row = pl.int_range(pl.len(), dtype=pl.Int64)

    def latest(flag: pl.Expr) -> pl.Expr:
        return pl.when(flag).then(row).otherwise(-1).cum_max()

    ended = latest(pl.col("_goal") | pl.col("_lost"))
    opened_before = latest(pl.col("_opens")).shift(1).fill_null(-1)
    # the first opening contact after the latest end, both since the last break
    again = pl.col("_opens") & (ended > opened_before) & (ended >= latest(broken))
    return (broken | again).fill_null(True)
