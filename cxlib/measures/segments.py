"""Segments side by side: who they are, and whether they reach the goal more or less often."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Chance, Columns, Count, Customers, Label, Points, Share, Tables
from cxlib.outcomes import count_journeys, whole_numbers
from cxlib.results import Result, answers, interval_columns, numbers, result
from cxlib.segments import dimension_values, segment_names
from cxlib.statistics.competing_risks import CompetingRisks
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import Interval, difference_of_rates
from cxlib.statistics.resampling import BUCKETS, dense_counts
from cxlib.summary import NONE, Selection, Summary


@result
class Segments(Result):
    """What `compare_segments` returns; q values allow for all ``tests`` that were made."""

    dimension: str
    tests: int

    title = "Segments"
    tables = Tables(
        table=Columns(
            "one row per value, the most customers first",
            value=Label("of the dimension"),
            customers=Customers("of the part asked about; null: they may be in several"),
            journeys=Count("of theirs", each="journeys"),
            goal=Share("chance of reaching the goal; null where the map has none", interval=True),
            goal_elsewhere=Share("the same of all other customers", interval=True),
            difference=Points("of the two", interval=True),
            p=Chance("p value of the difference", detail=True),
            q=Chance("its false-discovery rate over all values tested"),
        )
    )


@answers(Segments)
def compare_segments(
    summary: Summary,
    *,
    dimension: str,
    where: Selection | None = None,
) -> Segments:
    """Compare the segments of one dimension: each against all other customers together.

    The chance of the goal is a cumulative incidence (Aalen-Johansen) over journeys. The
    comparison is crude: segments may differ in more than their name (where they begin, when), and
    a difference is an association, not an effect.

    Parameters
    ----------
    dimension
        A column of the customer table, for example "region"; or "channel": of the first contact.
    where
        A further segment, periods in which the journey began, channel of its first contact.

    Raises
    ------
    UnknownNameError
        When the customers are not told apart by `dimension`.

    Examples
    --------
    >>> compare_segments(summary, dimension="region")
    Traceback (most recent call last):
    cxlib.errors.UnknownNameError: there is no segment dimension 'region'; known: none.
    """
    by_channel = dimension == "channel" and dimension not in segment_names(summary.segments)
    value_in = (
        summary.places["channel"] if by_channel else dimension_values(summary.segments, dimension)
    )
    chosen = summary.select(where)
    values = value_in.unique().sort().to_list()
    value_of = value_in.replace_strict(values, range(len(values)), return_dtype=pl.Int64).to_numpy()
    starts, key = chosen.starts, "place" if by_channel else "segment"
    own = count_journeys(starts, value_of[starts[key].to_numpy()], len(values))
    others = CompetingRisks(own.counts.sum(axis=0, keepdims=True) - own.counts)
    known = bool(chosen.places["is_goal"].any())
    goal, elsewhere = (x.chance(0).where(known) for x in (own, others))
    gap = difference_of_rates(
        (goal.estimate, goal.low, goal.high), (elsewhere.estimate, elsewhere.low, elsewhere.high)
    )
    spread = np.hypot(goal.se, elsewhere.se)
    p = p_values(gap[0], spread, df=BUCKETS - 1)
    unknown = pl.Series([None] * len(values), dtype=pl.UInt32)
    columns = {
        "value": pl.Series(values, dtype=pl.String),
        "customers": unknown if by_channel else _customers(chosen, where, value_of, len(values)),
        "journeys": whole_numbers(own.cases),
    }
    columns |= interval_columns("goal", goal)
    columns |= interval_columns("goal_elsewhere", elsewhere)
    columns |= interval_columns("difference", Interval(*gap, spread))
    columns |= {"p": numbers(p), "q": numbers(false_discovery_rate(p))}
    table = pl.DataFrame(columns).filter(pl.col("journeys") > 0)
    return Segments(
        table=table.sort("customers", "journeys", "value", descending=[True, True, False]),
        dimension=dimension,
        tests=int(np.isfinite(p).sum()),
    )


def _customers(
    chosen: Summary, where: Selection | None, value_of: NDArray[np.int64], values: int
) -> pl.Series:
    """Distinct customers by value: a customer is in one segment, so that they add up."""
    since = where.period[0] if where is not None and where.period is not None else 0
    level = "channel" if where is not None and where.channel is not None else "all"
    before = pl.col("previous_period")
    reach = chosen.reach.filter((pl.col("level") == level) & ((before < since) | (before == NONE)))
    at = value_of[reach["segment"].to_numpy()]
    return pl.Series(dense_counts({"value": (at, values)}, reach["customers"])).cast(pl.UInt32)
