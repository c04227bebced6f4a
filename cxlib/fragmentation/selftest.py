"""Falsification that ships with the product: does it stay silent without a fault, and find one?

`check_fragmentation` makes two kinds of copies of a workspace's log. In the first, touchpoints are
shuffled (with their ratings) within customer, stage and period, company-initiated contacts stay:
volumes, persons, stages and times are what they were, but which touchpoint came last before the
silence, or was rated, is chance. What is found there of abandonment and ratings is false, unless a
customer has one contact per stage, where nothing can be shuffled. The other signals are not tried
so: times stay where they are while touchpoints move, and the same few touchpoints of one customer
in a random order *are* a to and fro.

In the other copies a fault of stated size (`cxlib.grounds.faults`) is planted on one handoff,
one for each signal that is judged; it must be found with its size in the interval.

*Replication*: the findings of one half of the customers, on all grounds, are looked up in the other
half. What is chance there is not there again; nothing has to be planted or shuffled for it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, count_frames
from cxlib.arrivals.open_hours import read_open_hours
from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.findings import Findings, measure_fragmentation
from cxlib.grounds.faults import Fault, Site, plant_fault
from cxlib.markup import html_text
from cxlib.signals import SIGNALS, Signal

if TYPE_CHECKING:
    from cxlib.store import Workspace

SHUFFLED_SIGNALS = tuple(name for name in SIGNALS if SIGNALS[name].shuffles)
"""Signals for which the shuffled copy is a fair test."""

MOST_CONTACTS = 1_000_000
"""Contacts that are copied; of a larger log those of an even sample of customers."""

_MOST_SHUFFLES = 20


@dataclass(frozen=True, slots=True, eq=False)
class SelfTest:
    """What `check_fragmentation` returns.

    Attributes
    ----------
    shuffled
        Findings of `SHUFFLED_SIGNALS` in the shuffled copies, on handoffs that are no finding in
        the log itself; every one is false. Columns as in `Findings`, and ``shuffle`` (from 1).
    planted
        One row per fault planted: ``signal``, ``source``, ``target``, ``n``, ``size`` (planted),
        ``effect``, ``low``, ``high`` (measured), ``found``, ``covered`` (size within the interval),
        ``new_elsewhere`` (findings on other handoffs that the log as it is does not have).
    replicated
        One row per finding of one half of the customers: ``half`` (0, 1), ``ground``, ``signal``,
        ``unit``, ``source``, ``target``, ``group``, ``value``, ``effect``, ``again`` (its effect in
        the other half; null: not judged there), ``same`` (towards harm there, too), ``ratio`` of
        the two effects (waits: of logarithms).
    skipped
        Signals without a planted fault: ``signal``, ``reason``.
    shuffles, tests
        Shuffled copies, and tests made in all of them.
    sample_step
        k where the copies hold every k-th customer only (1: all).
    reason
        Why nothing could be tested; empty otherwise.
    """

    shuffled: pl.DataFrame
    planted: pl.DataFrame
    replicated: pl.DataFrame
    skipped: pl.DataFrame
    shuffles: int
    tests: int
    sample_step: int
    reason: str

    @property
    def passed(self) -> bool:
        """Nothing measured wrongly: see below.

        False findings in at most one of three shuffled copies (at a false-discovery rate of 5 % one
        in twenty may hold one); most faults found; and of those missed the size in the interval:
        they are too small to stand out from how much handoffs of this log differ, and it says so.
        """
        wrong = self.shuffled["shuffle"].n_unique()
        right = self.planted["found"] | self.planted["covered"]
        most = 2 * int(self.planted["found"].sum()) >= len(self.planted)
        return not self.reason and wrong <= self.shuffles // 3 and bool(right.all()) and most

    @property
    def sentence(self) -> str:
        """What came out, in words."""
        if self.reason:
            return f"{self.reason[0].upper()}{self.reason[1:]}."
        false, found = len(self.shuffled), int(self.planted["found"].sum())
        covered = int(self.planted["covered"].sum())
        sample = "" if self.sample_step == 1 else f", on every {self.sample_step}th customer"
        known = self.replicated.drop_nulls("again")
        ratio = float(np.median(known["ratio"].to_numpy())) if len(known) else 0.0
        halves = (
            f" {int(known['same'].sum())} of {len(known)} findings of one half of customers are "
            f"there in the other half, at {ratio:.2f} of their size."
        )
        return (
            f"Without a fault: {false or 'no'} false finding{'' if false == 1 else 's'} in "
            f"{self.tests:,} tests on {self.shuffles} shuffled cop"
            f"{'y' if self.shuffles == 1 else 'ies'} of the log{sample}. With a fault: {found} of "
            f"{len(self.planted)} planted faults found; the true size of {covered} lies inside the "
            f"95 % interval.{halves if len(known) else ''}"
        )

    def _repr_html_(self) -> str:

        return f"<p>{html_text(self.sentence)}</p>" + self.planted._repr_html_()


def check_fragmentation(
    workspace: Workspace,
    *,
    shuffles: int = 3,
    signals: Collection[str] | None = None,
    seed: int = 0,
) -> SelfTest:
    """Shuffle and plant in copies of a workspace's log, and report what is found.

    Parameters
    ----------
    workspace
        The log as journeys; it is not changed.
    shuffles
        How many shuffled copies are judged, 1 to 20.
    signals
        Signals for which a fault is planted; None: for all that are judged.
    seed
        Of the shuffles, and of who is hit by a planted fault.

    Raises
    ------
    InputError
        For shuffles out of range.
    UnknownNameError
        For a signal for which there is no fault to plant.
    """
    for name in signals or ():
        if name not in SIGNALS or SIGNALS[name].fault is None:
            raise UnknownNameError("signal", name, [n for n in SIGNALS if SIGNALS[n].fault])
    if not 1 <= shuffles <= _MOST_SHUFFLES:
        msg = f"shuffles is {shuffles}; give 1 to {_MOST_SHUFFLES}"
        raise InputError(msg)
    step = -(-int(workspace.manifest["counts"]["contacts"]) // MOST_CONTACTS)
    rows = workspace.store().filter(pl.col("customer") % step == seed % step).collect()
    real = measure_fragmentation(_count(workspace, rows))
    if real.signals.filter("measurable").is_empty():
        reason = str(real.signals["reason"][0])
        none = real.found.with_columns(shuffle=pl.lit(0)).clear()
        return SelfTest(none, _planted([]), _same([]), _skipped([]), 0, 0, step, reason)
    false, tests = _shuffle_and_judge(workspace, rows, real, shuffles, seed)
    planted, skipped = [], []
    for number, row in enumerate(real.signals.iter_rows(named=True)):
        signal = row["signal"]
        if signals is not None and signal not in signals:
            continue
        site = _choose_site(real, signal, seed + number) if SIGNALS[signal].fault else None
        if site is None:
            why = _why_no_site(signal) if row["measurable"] else row["reason"]
            skipped.append((signal, why))
            continue
        planted.append(_plant_one(workspace, rows, real, signal, site, seed + number))
    halves = replicate(workspace, rows)
    return SelfTest(false, _planted(planted), halves, _skipped(skipped), shuffles, tests, step, "")


def replicate(workspace: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """Look the findings of each half of the customers up in the other half."""
    keys = ["ground", "signal", "unit", "source", "target", "group", "value"]
    parts = [rows.filter(pl.col("customer") % 2 == half) for half in (0, 1)]
    judged = [measure_fragmentation(_count(workspace, part)) for part in parts]
    found = []
    for half, (here, there) in enumerate((judged, judged[::-1])):
        known = {row[:-1]: row[-1] for row in there.table.select(*keys, "effect").iter_rows()}
        for row in here.found.iter_rows(named=True):
            again = known.get(tuple(row[k] for k in keys))
            said = {"half": half, "again": again} | {k: row[k] for k in (*keys, "effect")}
            found.append(said | _compare_sizes(SIGNALS[row["signal"]], row["effect"], again))
    return _same(found)


def _compare_sizes(signal: Signal, effect: float, again: float | None) -> dict[str, Any]:
    if again is None:
        return {"same": None, "ratio": None}
    sizes = [float(np.log(x)) if signal.family == "wait" else x for x in (effect, again)]
    return {"same": sizes[1] * signal.harm > 0, "ratio": sizes[1] / sizes[0]}


def _same(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = ("ground", "signal", "unit", "source", "target", "group", "value")
    numbers = dict.fromkeys(("effect", "again", "ratio"), pl.Float64)
    schema = {"half": pl.Int64, **dict.fromkeys(names, pl.String), **numbers, "same": pl.Boolean}
    return pl.DataFrame(rows, schema=schema)


def _shuffle_and_judge(
    workspace: Workspace, rows: pl.DataFrame, real: Findings, shuffles: int, seed: int
) -> tuple[pl.DataFrame, int]:
    """Findings in shuffled copies that the log itself does not have, and the number of tests."""
    fair = pl.col("signal").is_in(SHUFFLED_SIGNALS)
    known = real.found.select("source_place", "target_place")
    frames, tests = [], 0
    for number in range(shuffles):
        copy = shuffle_touchpoints(rows, workspace, 1_000 * seed + number)
        judged = measure_fragmentation(_count(workspace, copy))
        tests += len(judged.table.filter(fair))
        # a fault of the log itself stays where customers have one contact per stage
        false = judged.found.filter(fair).join(known, on=known.columns, how="anti")
        frames.append(false.with_columns(shuffle=pl.lit(number + 1)))
    return pl.concat(frames), tests


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
        plan=workspace.journey_map.planned_handoffs,
        open_hours=read_open_hours(workspace),
    )


def _choose_site(real: Findings, signal: str, seed: int) -> Site | None:
    """Choose one of the larger handoffs that are not broken; None where none is large enough."""
    fault = SIGNALS[signal].fault
    if fault is None:
        return None
    known = set(real.found.select("source_place", "target_place").iter_rows())
    rows = (
        real.table.filter(
            (pl.col("signal") == signal)
            & (pl.col("ground") == "like")
            & (pl.col("n") >= fault.needs)
            & (pl.col("observed") < fault.highest)
            # so ordinary that what is measured afterwards is the fault alone
            & pl.lit(fault.ordinary).is_between("low", "high")
        )
        .sort("n", "source", "target", descending=[True, False, False])
        .iter_rows(named=True)
    )
    candidates = [r for r in rows if (r["source_place"], r["target_place"]) not in known]
    if not candidates:
        return None
    dice = np.random.default_rng(seed)
    chosen = candidates[int(dice.integers(max(1, len(candidates) // 3)))]
    return Site(
        chosen["source_place"],
        chosen["target_place"],
        float(chosen["observed"]),
        real.arrivals.places,
        real.arrivals.settings.open_hours,
    )


def _why_no_site(signal: str) -> str:
    fault = SIGNALS[signal].fault
    if fault is None:
        return "no fault of this kind is planted"
    needs = fault.needs
    return f"no handoff is both ordinary and large enough to plant one ({needs:,} cases)"


def _plant_one(
    workspace: Workspace, rows: pl.DataFrame, real: Findings, signal: str, site: Site, seed: int
) -> dict[str, object]:
    """Plant one fault, judge the copy, and say what was found there and elsewhere."""
    fault: Fault = SIGNALS[signal].fault  # type: ignore[assignment]
    changed = plant_fault(rows, fault, site, seed=seed)
    after = measure_fragmentation(_count(workspace, changed))
    here = (pl.col("source_place") == site.source) & (pl.col("target_place") == site.target)
    row = after.table.filter(here & (pl.col("signal") == signal)).to_dicts()
    known = set(real.found.select("source_place", "target_place").iter_rows())
    elsewhere = set(after.found.filter(~here).select("source_place", "target_place").iter_rows())
    measured: dict[str, Any] = row[0] if row else dict.fromkeys(("n", "effect", "low", "high"))
    names = site.places["touchpoint"]
    return {
        "signal": signal,
        "source": names[site.source],
        "target": names[site.target],
        "n": measured["n"],
        "size": fault.size,
        "effect": measured["effect"],
        "low": measured["low"],
        "high": measured["high"],
        "found": not after.found.filter(here).is_empty(),
        "covered": bool(row) and measured["low"] <= fault.size <= measured["high"],
        "new_elsewhere": len(elsewhere - known),
    }


def _skipped(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"signal": pl.String, "reason": pl.String}, orient="row")


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
