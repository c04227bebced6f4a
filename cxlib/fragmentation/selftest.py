"""Falsification that ships with the product: does it stay silent without a fault, and find one?

`check_fragmentation` makes two kinds of copies of a workspace's log. In the first, touchpoints are
shuffled (with their ratings) within customer, stage and period, company-initiated contacts stay:
volumes, persons, stages and times are what they were, but which touchpoint came last before the
silence, or was rated, is chance. What is found there of abandonment and ratings is false, unless a
customer has one contact per stage, where nothing can be shuffled. Delay, ping-pong and backtracking
are not tried so: times stay where they are while touchpoints move, and the same few touchpoints of
one customer in a random order *are* a to and fro.

In the other copies a fault of stated size is planted on one handoff; it must be found with its size
in the interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.fragmentation.arrivals import Arrivals, count_frames
from cxlib.fragmentation.findings import Findings, measure_fragmentation

if TYPE_CHECKING:
    from cxlib.store import Workspace

ABANDONED = 0.22
"""Share of arrivals that the planted abandonment ends."""

DELAYED = 3.5
"""Factor of the planted delay."""

MARKED_DOWN = 2.5
"""Points (of a scale ten points wide) of the planted drop of ratings."""

_FEWEST = 300
_ORDINARY = {"delay": 1.0}

SHUFFLED_SIGNALS = ("abandonment", "perception_dip")
"""Signals for which the shuffled copy is a fair test."""


@dataclass(frozen=True, slots=True, eq=False)
class SelfTest:
    """What `check_fragmentation` returns.

    Attributes
    ----------
    shuffled
        Findings of `SHUFFLED_SIGNALS` in the shuffled copy, on handoffs that are no finding in the
        log itself; every one is false.
    planted
        One row per fault planted: ``signal``, ``source``, ``target``, ``n``, ``size`` (planted),
        ``effect``, ``low``, ``high`` (measured), ``found``, ``covered`` (size within the interval),
        ``new_elsewhere`` (findings on other handoffs that the log as it is does not have).
    reason
        Why nothing could be tested; empty otherwise.
    """

    shuffled: pl.DataFrame
    planted: pl.DataFrame
    tests: int
    reason: str

    @property
    def passed(self) -> bool:
        """No finding without a fault, every fault found, and none invented beside it."""
        return not self.reason and self.shuffled.is_empty() and bool(self.planted["found"].all())

    def _repr_html_(self) -> str:
        if self.reason:
            return f"<p>{escape(self.reason)}</p>"
        found = int(self.planted["found"].sum())
        return (
            f"<p>Shuffled log: {len(self.shuffled)} false findings in {self.tests:,} tests. "
            f"Planted faults found: {found} of {len(self.planted)}.</p>"
        )


def check_fragmentation(workspace: Workspace, *, seed: int = 0) -> SelfTest:
    """Shuffle and plant in copies of a workspace's log, and report what is found.

    Parameters
    ----------
    workspace
        The log as journeys; it is not changed.
    seed
        Of the shuffle, and of who is hit by a planted fault.
    """
    rows = workspace.store().collect()
    real = measure_fragmentation(_count(workspace, rows))
    nothing = real.signals.filter("measurable").is_empty()
    if nothing:
        reason = str(real.signals["reason"][0])
        return SelfTest(real.found, _planted([]), 0, reason)
    shuffled = measure_fragmentation(_count(workspace, shuffle_touchpoints(rows, workspace, seed)))
    planted = [
        outcome
        for number, (signal, plant) in enumerate(_PLANTS.items())
        if (outcome := _plant_one(workspace, rows, real, signal, plant, seed + number))
    ]
    fair = pl.col("signal").is_in(SHUFFLED_SIGNALS)
    known = real.found.select("source_place", "target_place")
    # a fault of the log itself stays where customers have one contact per stage
    false = shuffled.found.filter(fair).join(known, on=known.columns, how="anti")
    return SelfTest(false, _planted(planted), len(shuffled.table.filter(fair)), "")


def shuffle_touchpoints(rows: pl.DataFrame, workspace: Workspace, seed: int) -> pl.DataFrame:
    """Shuffle the touchpoints of each customer within stage and period; the times stay."""
    stage = pl.lit(workspace.places["stage_index"]).gather(pl.col("place").cast(pl.UInt32))
    dice = pl.Series("_dice", np.random.default_rng(seed).random(len(rows)))
    own = pl.lit(workspace.places["initiated_by"]).gather(pl.col("place").cast(pl.UInt32))
    moved = [c for c in ("place", "rating") if c in rows.columns]
    group = ["customer", "_stage", "period", "_own"]
    return (
        rows.with_columns(dice, _stage=stage, _own=own == "customer")
        .with_columns(
            pl.when("_own").then(pl.col(c).sort_by("_dice").over(group)).otherwise(c).alias(c)
            for c in moved
        )
        .drop("_dice", "_stage", "_own")
    )


def _count(workspace: Workspace, rows: pl.DataFrame) -> Arrivals:
    customers = rows.group_by("customer").agg(
        contacts=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )
    return count_frames(
        [rows],
        places=workspace.places,
        segments=workspace.segments,
        periods=workspace.periods,
        customers=customers,
        observed_until=workspace.observed_until,
        silence=workspace.gap,
        time_zone=workspace.periods.time_zone,
    )


Plant = Callable[[pl.DataFrame, pl.Expr, float], pl.DataFrame]


def _end_journeys(rows: pl.DataFrame, arrived: pl.Expr, rate: float) -> pl.DataFrame:
    """Let a share of those who would have gone on leave for good: what followed is taken out."""
    hit = arrived & (pl.col("_dice") < ABANDONED / max(1 - rate, ABANDONED))
    ended = pl.when(hit).then(pl.col("occurred_at")).min().over("customer")
    return rows.with_columns(_ended=ended).filter(
        pl.col("_ended").is_null() | (pl.col("occurred_at") <= pl.col("_ended"))
    )


def _prolong_waits(rows: pl.DataFrame, arrived: pl.Expr, rate: float) -> pl.DataFrame:
    """Let the wait of the handoff grow; all later contacts come later by as much."""
    del rate
    wait = pl.col("occurred_at") - pl.col("occurred_at").shift(1)
    longer = pl.when(arrived).then(wait.dt.total_microseconds() * (DELAYED - 1)).otherwise(0)
    shift = longer.fill_null(0).cast(pl.Int64).cum_sum().over("customer")
    return rows.with_columns(occurred_at=pl.col("occurred_at") + pl.duration(microseconds=shift))


def _lower_ratings(rows: pl.DataFrame, arrived: pl.Expr, rate: float) -> pl.DataFrame:
    del rate
    lower = pl.when(arrived).then(pl.col("rating") - MARKED_DOWN).otherwise(pl.col("rating"))
    return rows.with_columns(rating=lower)


_PLANTS: dict[str, Plant] = {
    "abandonment": _end_journeys,
    "delay": _prolong_waits,
    "perception_dip": _lower_ratings,
}
_SIZES = {"abandonment": ABANDONED, "delay": DELAYED, "perception_dip": -MARKED_DOWN}


def _plant_one(
    workspace: Workspace,
    rows: pl.DataFrame,
    real: Findings,
    signal: str,
    plant: Plant,
    seed: int,
) -> dict[str, object] | None:
    """Plant one fault on a handoff that is not broken; None where no handoff is large enough."""
    known = set(real.found.select("source_place", "target_place").iter_rows())
    candidates = [
        r
        for r in real.table.filter((pl.col("signal") == signal) & pl.col("handoff"))
        .sort("n", "source", "target", descending=[True, False, False])
        .iter_rows(named=True)
        if (r["source_place"], r["target_place"]) not in known
        and (r["n"] >= _FEWEST or signal == "perception_dip")
        # so ordinary that what is measured afterwards is the fault alone
        and r["low"] <= _ORDINARY.get(signal, 0.0) <= r["high"]
        and (signal != "abandonment" or r["observed"] < 1 - 2 * ABANDONED)
    ]
    if not candidates:
        return None
    rng = np.random.default_rng(seed)
    chosen = candidates[int(rng.integers(max(1, len(candidates) // 3)))]
    source, target = chosen["source_place"], chosen["target_place"]
    arrived = (
        (pl.col("place") == target)
        & (pl.col("place").shift(1) == source)
        & (pl.col("customer").shift(1) == pl.col("customer"))
    ).fill_null(False)
    dice = pl.Series("_dice", rng.random(len(rows)))
    changed = plant(rows.with_columns(dice), arrived, float(chosen["observed"]))
    changed = changed.sort("customer", "occurred_at", maintain_order=True)
    after = measure_fragmentation(_count(workspace, changed.drop("_dice")))
    here = (pl.col("source_place") == source) & (pl.col("target_place") == target)
    row = after.table.filter(here & (pl.col("signal") == signal)).to_dicts()
    elsewhere = set(after.found.filter(~here).select("source_place", "target_place").iter_rows())
    size = _SIZES[signal]
    measured: dict[str, Any] = row[0] if row else dict.fromkeys(("n", "effect", "low", "high"))
    return {
        "signal": signal,
        "source": chosen["source"],
        "target": chosen["target"],
        "n": measured["n"],
        "size": size,
        "effect": measured["effect"],
        "low": measured["low"],
        "high": measured["high"],
        "found": not after.found.filter(here).is_empty(),
        "covered": bool(row) and measured["low"] <= size <= measured["high"],
        "new_elsewhere": len(elsewhere - known),
    }


def _planted(rows: list[dict[str, object]]) -> pl.DataFrame:
    schema = {
        "signal": pl.String,
        "source": pl.String,
        "target": pl.String,
        "n": pl.Int64,
        **dict.fromkeys(("size", "effect", "low", "high"), pl.Float64),
        "found": pl.Boolean,
        "covered": pl.Boolean,
        "new_elsewhere": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema)
