"""Planned handoffs: what became of the contacts at their source by the deadline.

A planned handoff is *broken* for a contact at its source when neither its target nor the goal has
been reached by the deadline: 1 - CIF_target(D) - CIF_goal(D). Contacts whose deadline lies after
the end of observation are censored, not broken (Aalen-Johansen). Where the source is itself a goal,
only the target counts: a second purchase does not deliver the first.

A contact at the target that was not linked to its customer looks like a broken handoff. What can
have been lost that way is bounded by the contacts at the target whose customer was never seen on
another channel: were all of them somebody's whose link is missing, the target would be reached more
often by that factor. The truth lies between that and what was observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.later import Flags, Later, Numbers, milliseconds
from cxlib.bins import N_BINS, bin_of
from cxlib.journey_map import PlannedHandoff
from cxlib.statistics.competing_risks import cumulative_incidence
from cxlib.statistics.resampling import leave_one_out

__all__ = [
    "COUNTS",
    "MIN_CONTACTS",
    "NEITHER",
    "follow_planned",
    "lost_share",
    "measure_planned",
    "place_of",
]

Floats = NDArray[np.float64]

MIN_CONTACTS = 30
"""Contacts at the source below which a planned handoff is not measured."""

TARGET, GOAL, NEITHER, CENSORED = range(4)
"""What became of a contact by the deadline."""

COUNTS = ("handoff", "cause", "bin", "segment", "period", "bucket")
"""Keys of the counts."""

_BUCKETS = 32
_T31 = 2.0395


def place_of(places: pl.DataFrame, links: pl.DataFrame, touchpoint: str) -> int | None:
    """The place that stands for a touchpoint: the one with most contacts; None where unseen."""
    here = places.select("place", "touchpoint").filter(pl.col("touchpoint") == touchpoint)
    if here.is_empty():
        return None
    counts = links.select(pl.col("place").cast(pl.Int64), "contacts")
    both = here.cast({"place": pl.Int64}).join(counts, on="place", how="left")
    largest = both.sort("contacts", "place", descending=[True, False], nulls_last=True)
    return int(largest["place"][0])


def follow_planned(
    rows: pl.DataFrame,
    places: pl.DataFrame,
    plan: Sequence[PlannedHandoff],
    *,
    observed_until: datetime,
    most: int,
) -> pl.DataFrame:
    """Say what became of each contact at the source of a planned handoff by its deadline.

    Parameters
    ----------
    rows
        Rows of the store, sorted by customer and time, reloads left out.
    places, plan
        The places table, and the journey map's planned handoffs.
    observed_until
        End of observation, UTC.
    most
        How often one customer counts for one planned handoff.

    Returns
    -------
    polars.DataFrame
        ``handoff`` (its number in the plan), ``source`` (the place of the contact), ``target`` (a
        place of the planned one; null: never seen), ``occurred_at``, ``segment``, ``period``,
        ``bucket``, ``cause``, ``bin`` of the time to it, and whether it was ``followed`` to the
        deadline.
    """
    touchpoint = places["touchpoint"]
    goal = places["is_goal"].to_numpy().astype(bool)
    ends = [
        ((touchpoint == p.source).to_numpy(), (touchpoint == p.target).to_numpy()) for p in plan
    ]
    used = goal.copy()
    for source, target in ends:
        used |= source | target
    kept = rows.filter(pl.lit(pl.Series(used)).gather(pl.col("place").cast(pl.UInt32)))
    contacts = _Contacts(
        kept["customer"].to_numpy().astype(np.int64), milliseconds(kept), kept["place"].to_numpy()
    )
    told = kept.select(
        "occurred_at",
        pl.col("segment", "period").cast(pl.UInt16),
        pl.col("bucket").cast(pl.UInt8),
        source=pl.col("place").cast(pl.UInt16),
    )
    parts = [told.clear().with_columns(pl.lit(None, dtype).alias(c) for c, dtype in _TOLD.items())]
    until = int(observed_until.timestamp() * 1000)
    for number, (planned, (source, target)) in enumerate(zip(plan, ends, strict=True)):
        # a second purchase does not deliver the first
        others = np.zeros(len(goal), bool) if goal[source].any() else goal & ~target
        start = contacts.first(source, most)
        deadline = int(planned.deadline.total_seconds() * 1000)
        cause, wait = contacts.follow(start, target, others, deadline=deadline, until=until)
        became = {
            "handoff": number,
            "target": int(target.argmax()) if target.any() else None,
            "cause": pl.Series(cause),
            "bin": bin_of(pl.lit(pl.Series(wait / 1000))),
            "followed": pl.Series(until - contacts.at[start] >= deadline),
        }
        parts.append(told[start].with_columns(**became).cast(_TOLD))  # type: ignore[arg-type]
    return pl.concat(parts)


_TOLD = {
    "handoff": pl.UInt16,
    "target": pl.UInt16,
    "cause": pl.UInt8,
    "bin": pl.UInt8,
    "followed": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Contacts at the ends of planned handoffs, sorted by customer and time (milliseconds)."""

    customer: Numbers
    at: Numbers
    place: Numbers

    def first(self, source: Flags, most: int) -> Numbers:
        """Rows of the first `most` contacts of each customer at a source."""
        rows = np.flatnonzero(source[self.place])
        who = self.customer[rows]
        return rows[np.append(np.full(most, True), who[most:] != who[:-most])[: len(rows)]]

    def follow(
        self, start: Numbers, target: Flags, goal: Flags, *, deadline: int, until: int
    ) -> tuple[Numbers, Numbers]:
        """What became of contacts by the deadline, and when."""
        who, at = self.customer[start], self.at[start]
        reached, ended = (
            Later(self.customer[flag], self.at[flag]).first(who, at)[0]
            for flag in (target[self.place], goal[self.place])
        )
        first, seen = np.minimum(reached, ended), until - at
        cause = np.where(reached <= ended, TARGET, GOAL)
        cause = np.where(first > deadline, np.where(seen >= deadline, NEITHER, CENSORED), cause)
        wait = np.where(cause == CENSORED, seen, np.minimum(first, deadline))
        return cause, np.maximum(wait, 0)


def measure_planned(planned: pl.DataFrame, *, lost: float = 0.0) -> dict[str, float]:
    """Measure one planned handoff: the share broken by the deadline, and its bounds.

    Parameters
    ----------
    planned
        The rows of `follow_planned` of one planned handoff.
    lost
        Largest share of contacts at the target that can belong to somebody else's journey.

    Returns
    -------
    dict
        ``n``, ``value`` (as observed, Aalen-Johansen), ``low`` and ``high`` (95 %, over customer
        buckets), ``least`` (the value were all those links missing) and ``least_low`` (the lower
        end of its interval), ``se`` of the value.

    Examples
    --------
    Nine of ten contacts reach the target; 15 % of its contacts are unlinked:

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
        _jackknife(np.array([_broken(w, share) for w in without[used]])) for share in (0.0, lost)
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


def _jackknife(without: Floats) -> float:
    size = len(without)
    if size < 2:
        return float("nan")
    return float(np.sqrt((size - 1) / size * ((without - without.mean()) ** 2).sum()))


def lost_share(links: pl.DataFrame, places: pl.DataFrame, source: str, target: str) -> float:
    """Largest share of the contacts at a target that can be unlinked contacts of its source's.

    Those of customers who were never seen on another channel. A target on the source's own channel
    is linked by the same ids: none.
    """
    of = {name: places.filter(pl.col("touchpoint") == name) for name in (source, target)}
    if set(of[source]["channel"]) & set(of[target]["channel"]):
        return 0.0
    at = of[target]["place"].cast(pl.Int64)
    here = links.filter(pl.col("place").cast(pl.Int64).is_in(at.implode()))
    contacts = int(here["contacts"].sum())
    return float(here["alone"].sum()) / contacts if contacts else 0.0
