"""Broken handoffs: neither the planned next step nor the goal is reached by the deadline.

On ground *plan* the expectation is the median of the logits of the *other* planned handoffs, and
how much they differ; with very different ones hardly anything stands out, which is the honest
answer. The lower end of the interval allows for missing links between channels.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.planned import (
    CENSORED,
    MIN_CONTACTS,
    TARGET,
    lost_share,
    measure_planned,
    place_of,
)
from cxlib.grounds.additive import Floats
from cxlib.grounds.cells import LEAST_SPREAD, no_cells
from cxlib.grounds.expectation import natural_spread
from cxlib.grounds.judged import Z95
from cxlib.grounds.kinds import Counts, Signal
from cxlib.grounds.plan import MIN_LIKE

LEAST_COVERED = 0.02
"""Share who reach the planned target in time below which the plan is stale rather than broken."""


def measure_plan(arrivals: Arrivals) -> pl.DataFrame:
    """Measure every planned handoff of which the log has both ends, as `measure_planned` does."""
    rows = []
    places, links = arrivals.places, arrivals.links
    for number, planned in enumerate(arrivals.settings.plan):
        part = arrivals.planned.filter(pl.col("handoff") == number)
        if part.is_empty():
            continue
        source, target = (place_of(places, links, t) for t in (planned.source, planned.target))
        found = measure_planned(
            part, lost=lost_share(links, places, planned.source, planned.target)
        )
        rows.append({"handoff": number, "source": source, "target": target, **found})
    names = ("n", "value", "low", "high", "least", "least_low", "se")
    whole = dict.fromkeys(("handoff", "source", "target"), pl.Int64)
    return pl.DataFrame(rows, schema=whole | dict.fromkeys(names, pl.Float64))


def judge_planned(arrivals: Arrivals) -> pl.DataFrame:
    """Judge the share of contacts that reach neither the planned target nor the goal in time."""
    # share of the contacts at the source that reach the target in time
    n = pl.col("n")
    reached = n.filter(pl.col("cause") == TARGET).sum() / n.sum()
    known = arrivals.planned.filter(pl.col("cause") != CENSORED).group_by("handoff")
    covered = dict(known.agg(reached).iter_rows())
    measured = measure_plan(arrivals).filter(
        (n >= MIN_CONTACTS) & pl.col("target").is_not_null() & pl.col("se").is_finite(),
        pl.col("handoff").replace_strict(covered, default=0.0) >= LEAST_COVERED,
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
    low = np.minimum(measured["least"].to_numpy() - expected, effect) - Z95 * wide
    told = {"n": measured["n"], "observed": value, "expected": expected, "effect": effect}
    told |= {"low": low, "high": effect + Z95 * wide, "z": deviation}
    told |= {"p": stdtr(len(measured) - 2, -deviation), "touched": np.maximum(low, 0.0)}
    return measured.select("source", "target").with_columns(pl.DataFrame(told))


BROKEN_HANDOFF = Signal(
    name="broken_handoff",
    number=1,
    title="planned step not reached",
    unit="share of contacts at the source",
    enough="30 contacts",
    needs=lambda part: "" if part.settings.plan else "the map plans no handoff",
    counts=Counts("plan_history", "n", "broken", units=("transition",)),
    plan=judge_planned,
    says="keeps {} more from the planned next step",
    advice="Ask {owner} what keeps customers from the planned next step.",
    tells="not brought to the planned next step",
    follows_customers=True,
    compares_alone=True,
)
