"""Planned handoffs: what became of the contacts at their source by the deadline.

*Broken* is who reached neither the target nor the goal: 1 - CIF_target(D) - CIF_goal(D), by
Aalen-Johansen. Unlinked contacts at the target look broken: bounded by those of customers never
seen on another channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.later import Later, milliseconds
from cxlib.bins import N_BINS, bin_of
from cxlib.map_model import PlannedHandoff
from cxlib.statistics.competing_risks import cumulative_incidence
from cxlib.statistics.resampling import jackknife_se, leave_one_out

Floats = NDArray[np.float64]
MIN_CONTACTS = 30  # at the source; with fewer a planned handoff is not measured
TARGET, GOAL, NEITHER, CENSORED = range(4)  # what became of a contact by the deadline
COUNTS = ("handoff", "cause", "bin", "segment", "period", "bucket")  # keys of counts
_TOLD = {
    **dict.fromkeys(("handoff", "target"), pl.UInt16),
    **dict.fromkeys(("cause", "bin"), pl.UInt8),
    "followed": pl.Boolean,
}
_BUCKETS = 32
_T31 = 2.0395


def place_of(places: pl.DataFrame, links: pl.DataFrame, touchpoint: str) -> int | None:
    """The place that stands for a touchpoint: the one with most contacts; None where unseen."""
    here = places.filter(pl.col("touchpoint") == touchpoint).select(pl.col("place").cast(pl.Int64))
    counts = links.select(pl.col("place").cast(pl.Int64), "contacts")
    both = here.join(counts, on="place", how="left")
    largest = both.sort("contacts", "place", descending=[True, False], nulls_last=True)
    return None if largest.is_empty() else int(largest["place"][0])


def follow_planned(
    rows: pl.DataFrame,
    places: pl.DataFrame,
    plan: Sequence[PlannedHandoff],
    *,
    observed_until: datetime,
    most: int,
) -> pl.DataFrame:
    """Say what became of each contact at the source of a planned handoff by its deadline.

    ``rows``: of the store, reloads left out; one customer counts `most` times for one handoff.
    """
    touchpoint = places["touchpoint"]
    goal = places["is_goal"].to_numpy().astype(bool)
    ends = [tuple((touchpoint == end).to_numpy() for end in (p.source, p.target)) for p in plan]
    used = np.logical_or.reduce([goal, *(flag for pair in ends for flag in pair)])
    kept = rows.filter(pl.lit(pl.Series(used)).gather(pl.col("place").cast(pl.UInt32)))
    customer = kept["customer"].to_numpy().astype(np.int64)
    at, place = milliseconds(kept), kept["place"].to_numpy()
    told = kept.select(
        "occurred_at",
        pl.col("segment", "period").cast(pl.UInt16),
        pl.col("bucket").cast(pl.UInt8),
        source=pl.col("place").cast(pl.UInt16),
    )
    parts = [told.clear().with_columns(pl.lit(None, dtype).alias(c) for c, dtype in _TOLD.items())]
    for number, (planned, (source, target)) in enumerate(zip(plan, ends, strict=True)):
        # a second purchase does not deliver the first
        others = np.zeros(len(goal), bool) if goal[source].any() else goal & ~target
        start = np.flatnonzero(source[place])
        who = customer[start]
        start = start[np.append(np.full(most, True), who[most:] != who[:-most])[: len(start)]]
        reached, ended = (
            Later(customer[flag[place]], at[flag[place]]).first(customer[start], at[start])[0]
            for flag in (target, others)
        )
        deadline = int(planned.deadline.total_seconds() * 1000)
        first, seen = np.minimum(reached, ended), int(observed_until.timestamp() * 1000) - at[start]
        cause = np.where(reached <= ended, TARGET, GOAL)
        cause = np.where(first > deadline, np.where(seen >= deadline, NEITHER, CENSORED), cause)
        wait = np.maximum(np.where(cause == CENSORED, seen, np.minimum(first, deadline)), 0)
        became = {
            "handoff": number,
            "target": int(target.argmax()) if target.any() else None,
            "cause": pl.Series(cause),
            "bin": bin_of(pl.lit(pl.Series(wait / 1000))),
            "followed": pl.Series(seen >= deadline),
        }
        parts.append(told[start].with_columns(**became).cast(_TOLD))
    return pl.concat(parts)


def measure_planned(planned: pl.DataFrame, *, lost: float = 0.0) -> dict[str, float]:
    """Measure one planned handoff from its rows of `follow_planned`.

    ``value``: share broken, with its interval over customer buckets; ``least``: were a share `lost`
    of the contacts at the target missing from it. Nine of ten reach this one, 15 % are unlinked:

    >>> counts = pl.DataFrame({"cause": [0, 2] * 2, "bin": [30] * 4, "bucket": [0, 0, 1, 1],
    ...                        "n": [765, 235] * 2})
    >>> found = measure_planned(counts, lost=0.15)
    >>> round(found["value"], 3), round(found["least"], 3)
    (0.235, 0.1)
    """
    events = np.zeros((_BUCKETS, 2, N_BINS + 1))
    censored = np.zeros((_BUCKETS, N_BINS + 1))
    bucket, cause, at, n = (
        planned[c].to_numpy().astype(np.int64) for c in ("bucket", "cause", "bin", "n")
    )
    ended = cause <= GOAL
    np.add.at(events, (bucket[ended], cause[ended], at[ended]), n[ended])
    # who was watched to the deadline stays at risk throughout: it is the last "time"
    at = np.where(cause == NEITHER, N_BINS, at)
    np.add.at(censored, (bucket[~ended], at[~ended]), n[~ended])
    whole = cumulative_incidence(events.sum(0), censored.sum(0))[:, -1]
    without = cumulative_incidence(leave_one_out(events[None])[0], leave_one_out(censored[None])[0])
    without = without[..., -1]
    used = events.sum((1, 2)) + censored.sum(1) > 0
    value, least = _broken(whole, 0.0), _broken(whole, lost)
    se, least_se = (
        float(jackknife_se(np.asarray(x), np.array([_broken(w, p) for w in without[used]]), axis=0))
        for x, p in ((value, 0.0), (least, lost))
    )
    return {
        "n": float(planned["n"].sum()),
        "value": value,
        "low": max(0.0, value - _T31 * se),
        "high": min(1.0, value + _T31 * se),
        "least": least,
        "least_low": max(0.0, least - _T31 * least_se),
        "se": se,
    }


def _broken(incidence: Floats, lost: float) -> float:
    """Share broken, were a share `lost` of the contacts at the target missing from it."""
    reached = min(float(incidence[TARGET]) / max(1 - lost, 1e-9), 1 - float(incidence[GOAL]))
    return max(0.0, 1 - reached - float(incidence[GOAL]))


def lost_share(links: pl.DataFrame, places: pl.DataFrame, source: str, target: str) -> float:
    """Largest share of the contacts at a target that can be unlinked contacts of its source's.

    None on the source's own channel: it is linked by the same ids.
    """
    of = {name: places.filter(pl.col("touchpoint") == name) for name in (source, target)}
    if set(of[source]["channel"]) & set(of[target]["channel"]):
        return 0.0
    at = of[target]["place"].cast(pl.Int64)
    here = links.filter(pl.col("place").cast(pl.Int64).is_in(at.implode()))
    contacts = int(here["contacts"].sum())
    return float(here["alone"].sum()) / contacts if contacts else 0.0
