"""Broken handoffs against like planned handoffs.

What to expect of a planned handoff is what the *other* planned handoffs of the log do: the median
of their logits, and how much they differ among themselves. With few of them they are only described
one by one; with very different ones hardly anything stands out, which is the honest answer. The
lower end of the interval allows for missing links between channels.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.fragmentation.additive import Floats
from cxlib.fragmentation.arrivals import Arrivals
from cxlib.fragmentation.cells import LEAST_SPREAD, Z95, no_cells
from cxlib.fragmentation.expectation import natural_spread
from cxlib.fragmentation.planned import MIN_CONTACTS, lost_share, measure_planned, place_of

__all__ = ["MIN_LIKE", "judge_planned", "measure_plan"]

MIN_LIKE = 8
"""Planned handoffs without which there is no telling what a planned handoff does."""


def measure_plan(arrivals: Arrivals) -> pl.DataFrame:
    """Measure every planned handoff of which the log has both ends.

    Returns
    -------
    polars.DataFrame
        ``handoff`` (number in the plan), ``source``, ``target`` (places that stand for them), ``n``
        and what `measure_planned` gives.
    """
    rows = []
    for number, planned in enumerate(arrivals.settings.plan):
        ends = [
            place_of(arrivals.places, arrivals.links, t) for t in (planned.source, planned.target)
        ]
        part = arrivals.planned.filter(pl.col("handoff") == number)
        if part.is_empty():
            continue
        lost = lost_share(arrivals.links, arrivals.places, planned.source, planned.target)
        found = measure_planned(part, lost=lost)
        rows.append({"handoff": number, "source": ends[0], "target": ends[1], **found})
    names = ("n", "value", "low", "high", "least", "least_low", "se")
    whole = dict.fromkeys(("handoff", "source", "target"), pl.Int64)
    return pl.DataFrame(rows, schema=whole | dict.fromkeys(names, pl.Float64))


def judge_planned(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the share of contacts that reach neither the planned target nor the goal in time."""
    measured = measure_plan(arrivals).filter(
        (pl.col("n") >= MIN_CONTACTS) & pl.col("target").is_not_null() & pl.col("se").is_finite()
    )
    if len(measured) <= MIN_LIKE:
        return no_cells()
    value, se = measured["value"].to_numpy(), measured["se"].to_numpy()
    expected, spread = _expect(value, se)
    return _frame(measured, expected, spread)


def _expect(value: Floats, se: Floats) -> tuple[Floats, Floats]:
    """What the others do, in logits, and its standard deviation, leaving each out in turn."""
    share = np.clip(value, 0.005, 0.995)
    logit = np.log(share / (1 - share))
    variance = (se / (share * (1 - share))) ** 2
    expected, spread = np.zeros(len(value)), np.zeros(len(value))
    for i in range(len(value)):
        others = np.arange(len(value)) != i
        middle = float(np.median(logit[others]))
        tau = max(LEAST_SPREAD, natural_spread(logit[others], variance[others]))
        # the median of k values is known to about 1.25 standard deviations over sqrt(k)
        doubt = (tau**2 + float(np.median(variance[others]))) * 1.57 / others.sum()
        expected[i], spread[i] = middle, np.sqrt(tau**2 + doubt)
    return expected, spread


def _frame(measured: pl.DataFrame, line: Floats, spread: Floats) -> pl.DataFrame:
    from scipy.special import stdtr

    value, se = measured["value"].to_numpy(), measured["se"].to_numpy()
    least = np.clip(measured["least"].to_numpy(), 0.005, 0.995)
    expected = 1 / (1 + np.exp(-line))
    slope = np.clip(least * (1 - least), 0.01, None)
    deviation = (np.log(least / (1 - least)) - line) / np.hypot(se / slope, spread)
    effect, wide = value - expected, np.hypot(se, spread * expected * (1 - expected))
    low = measured["least"].to_numpy() - expected - Z95 * wide
    return pl.DataFrame(
        {
            "source": measured["source"],
            "target": measured["target"],
            "n": measured["n"],
            "observed": value,
            "expected": expected,
            "effect": effect,
            "low": np.minimum(low, effect - Z95 * wide),
            "high": effect + Z95 * wide,
            "z": deviation,
            "p": stdtr(len(measured) - 2, -deviation),
            "touched": np.maximum(np.minimum(low, effect - Z95 * wide), 0.0),
        }
    )
