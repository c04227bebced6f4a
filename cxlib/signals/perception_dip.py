"""Perception dip: customers who rate lower after a transition than elsewhere."""

from __future__ import annotations

import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.cells import (
    MIN_RATINGS,
    RATING_SOURCES,
    Grid,
    Sums,
    judge_mean,
    no_cells,
    share_moved,
)
from cxlib.grounds.comparing import spread_over_customers
from cxlib.grounds.faults import Fault, Site
from cxlib.grounds.judged import Z95
from cxlib.grounds.kinds import Counts, Signal

MARKED_DOWN = 2.5
"""Points (of a scale ten points wide) of the planted drop of ratings."""


def judge_ratings(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the ratings that customers gave at the target of a handoff."""
    table = arrivals.arrivals.filter(pl.col("rating_n") > 0)
    if table.is_empty():
        return no_cells()
    grid = Grid(arrivals, table)
    n, total, square, by, error = (
        table[c].to_numpy()
        for c in ("rating_n", "rating_sum", "rating_sq", "by_rating", "error_rating")
    )
    size, shift = grid.sums(n), grid.sums(n * by)
    sums = Sums(size, grid.sums(total) - shift, *map(grid.sums, (total, square, n * error)))
    widening = spread_over_customers(arrivals, "rating_n", "rating_sum", "rating_sq")
    found, judged, sd = judge_mean(grid, sums, size >= MIN_RATINGS, widening, RATING_SOURCES)
    shift = shift / size
    return grid.frame(
        judged,
        n=found.n,
        observed=found.observed + shift,
        expected=found.expected + shift,
        effect=found.deviation,
        spread=found.spread,
        z=-found.z,
        touched=share_moved(-(found.deviation + Z95 * found.spread), sd),
    )


def lower_ratings(rows: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Take points off every rating given on arrival."""
    lower = pl.when(site.arrived()).then(pl.col("rating") - MARKED_DOWN)
    return rows.with_columns(rating=lower.otherwise(pl.col("rating")))


PERCEPTION_DIP = Signal(
    name="perception_dip",
    number=11,
    title="low rating",
    unit="rating points",
    family="rating",
    enough="25 ratings",
    least=0.06,
    needs=lambda part: "" if part.arrivals["rating_n"].sum() else "the log has no ratings",
    counts=Counts("histories", "rating_n", "rating_sum", "rating_sq", around="environments"),
    judge=judge_ratings,
    says="is rated {} points lower",
    advice="Ask {owner} what customers who came this way say, and read their comments.",
    tells="rating lower",
    # few answer, so that few handoffs have more ratings than a judgement needs
    fault=Fault(-MARKED_DOWN, lower_ratings, needs=0),
    shuffles=True,
    filters=("not_rated",),
)
