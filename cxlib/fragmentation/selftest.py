"""Falsification that ships with the product: does it stay silent without a fault, and find one?

In *shuffled* copies touchpoints change places within customer, stage and period: what is found of
abandonment and ratings is false (other signals cannot be tried so: a random order *is* a to and
fro). *Planted* faults (`cxlib.grounds.faults`), several in one copy at places of their own, must be
found with their size in the interval. *Replication*: the findings of one half of the customers are
looked up in the other half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals, count_frames, read_arrivals
from cxlib.arrivals.histories import ENVIRONMENT
from cxlib.columns import Amount, Columns, Count, Flag, Label, Rank, Tables, Text
from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.findings import ROW, Findings, measure_fragmentation
from cxlib.grounds.faults import Fault, Site, plant_fault
from cxlib.results import Result, of_workspace, result
from cxlib.segments import dimension_values, segment_codes, segment_names
from cxlib.signals import SIGNALS, Signal
from cxlib.store import Workspace

SHUFFLED_SIGNALS = tuple(name for name in SIGNALS if SIGNALS[name].shuffles)
"""Signals for which the shuffled copy is a fair test."""

MOST_CONTACTS = 1_000_000
"""Contacts that are copied; of a larger log those of an even sample of customers."""

_MOST_SHUFFLES = 20
_HANDOFF = ["source_place", "target_place"]
_SIZED = {
    "signal": Label("what went wrong"),
    "source": Label("touchpoint left"),
    "target": Label("touchpoint reached"),
}


@result
class SelfTest(Result):
    """What `check_fragmentation` returns.

    Attributes
    ----------
    shuffles, tests
        Shuffled copies, and tests made in all of them.
    sample_step
        k where the copies hold every k-th customer only (1: all).
    reason
        Why nothing could be tested; empty otherwise.
    """

    shuffled: pl.DataFrame
    replicated: pl.DataFrame
    skipped: pl.DataFrame
    shuffles: int
    tests: int
    sample_step: int
    reason: str

    title = "Does it stay silent without a fault, and find one?"
    tables = Tables(
        table=Columns(
            "one row per fault planted",
            **_SIZED,
            ground=ROW["ground"],
            n=Count("cases judged"),
            size=Amount("planted"),
            effect=Amount("measured", interval=("low", "high")),
            found=Flag("whether it was found"),
            covered=Flag("whether its size lies in the interval"),
            new_elsewhere=Count(
                "findings of its copy on other handoffs that the log as it is does not have"
            ),
        ),
        shuffled=Columns(
            "one row per finding in a shuffled copy, on handoffs that are none in the log itself",
            shuffle=Rank("copy"),
            **_SIZED,
            sentence=Text("in words"),
        ),
        replicated=Columns(
            "one row per finding of one half of the customers",
            half=Rank("0 or 1"),
            **_SIZED,
            **{name: ROW[name] for name in ("ground", "unit", "group", "value")},
            effect=Amount("in this half"),
            again=Amount("in the other; null: not judged there"),
            same=Flag("whether it is towards harm there, too"),
            ratio=Amount("of the two (waits: of logarithms)"),
        ),
        skipped=Columns(
            "one row per signal without a planted fault",
            signal=Label("its name"),
            reason=Text("why"),
        ),
    )

    @property
    def planted(self) -> pl.DataFrame:
        """The table."""
        return self.table

    @property
    def headlines(self) -> tuple[str, ...]:
        """The sentence."""
        return (self.sentence,)

    @property
    def passed(self) -> bool:
        """Nothing measured wrongly: false findings in at most one of three shuffled copies, most
        faults found, and of those missed the size in the interval (they do not stand out from this
        log).
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
        known, halves = self.replicated.drop_nulls("again"), ""
        if len(known):
            ratio = float(np.median(known["ratio"].to_numpy()))
            halves = (
                f" {int(known['same'].sum())} of {len(known)} findings of one half of customers "
                f"are there in the other half, at {ratio:.2f} of their size."
            )
        return (
            f"Without a fault: {false or 'no'} false finding{'' if false == 1 else 's'} in "
            f"{self.tests:,} tests on {self.shuffles} shuffled cop"
            f"{'y' if self.shuffles == 1 else 'ies'} of the log{sample}. With a fault: {found} of "
            f"{len(self.planted)} planted faults found; the true size of {covered} lies inside the "
            f"95 % interval.{halves}"
        )


@of_workspace
def check_fragmentation(
    workspace: Workspace,
    *,
    shuffles: int = 3,
    signals: Collection[str] | None = None,
    grounds: Collection[str] | None = None,
    seed: int = 0,
) -> SelfTest:
    """Test the method on this very log: shuffled, nothing may be found; planted faults must be.

    Parameters
    ----------
    workspace
        The workspace; it is not changed.
    shuffles
        How many shuffled copies are judged, 1 to 20.
    signals
        Of which to plant a fault; None: of all that are judged.
    grounds
        On which: "like" (for all customers, always), "past" (from the middle of the log on),
        "groups" (for the commonest value of the first segment). None: on all that can judge it.
    seed
        Of the shuffles, and of who is hit by a planted fault.

    Raises
    ------
    InputError
        For shuffles out of range.
    UnknownNameError
        For a signal or ground for which there is no fault to plant.
    """
    with_fault = [signal.name for signal in SIGNALS.values() if signal.fault is not None]
    for kind, names, known in (
        ("signal", signals, with_fault),
        ("ground", grounds, ["like", "past", "groups"]),
    ):
        for name in names or ():
            if name not in known:
                raise UnknownNameError(kind, name, known)
    if not 1 <= shuffles <= _MOST_SHUFFLES:
        raise InputError(f"shuffles is {shuffles}; give 1 to {_MOST_SHUFFLES}")
    step = -(-int(workspace.manifest["counts"]["contacts"]) // MOST_CONTACTS)
    rows = workspace.store().filter(pl.col("customer") % step == seed % step).collect()
    real = measure_fragmentation(_count(workspace, rows))
    false: list[dict[str, Any]] = []
    planted: list[dict[str, Any]] = []
    plans: list[Planted] = []
    skipped: list[dict[str, Any]] = []
    reason, tests, split = "", 0, segment_names(workspace.segments)
    if not real.signals["measurable"].any():
        reason, shuffles = str(real.signals["reason"][0]), 0
    for number in range(shuffles):
        copy = shuffle_touchpoints(rows, workspace, 1_000 * seed + number)
        judged = measure_fragmentation(_count(workspace, copy))
        tests += int(judged.table["signal"].is_in(SHUFFLED_SIGNALS).sum())
        # a fault of the log itself stays where customers have one contact per stage
        found = judged.found.filter(pl.col("signal").is_in(SHUFFLED_SIGNALS))
        found = found.join(real.found, on=_HANDOFF, how="anti").select(*_SIZED, "sentence")
        false += [{"shuffle": number + 1} | row for row in found.to_dicts()]
    for number, row in enumerate([] if reason else real.signals.to_dicts()):
        signal = SIGNALS[row["signal"]]
        if signals is not None and signal.name not in signals:
            continue
        fault, site = signal.fault, _choose_site(real, signal, seed + number)
        if fault is None or site is None:
            why = "no fault of this kind is planted"
            if fault is not None:
                needs = f"large enough to plant one ({fault.needs:,} cases)"
                why = f"no handoff is both ordinary and {needs}"
            skipped.append({"signal": signal.name, "reason": row["reason"] or why})
            continue
        also = signal.counts.grounds if signal.counts is not None else ()
        of_all = [g for g in ("past", "groups") if g in also and (g == "past" or split)]
        plans += [
            Planted(signal, fault, ground, _limited(real, ground, site), seed + number)
            for ground in ("like", *of_all)
            if grounds is None or ground in grounds
        ]
    for together in share_copies(plans):
        copy = rows
        for plan in together:
            copy = plant_fault(copy, plan.fault, plan.site, seed=plan.seed)
        after = measure_fragmentation(_count(workspace, copy))
        planted += _measured(real, after, together)
    planted.sort(key=lambda row: list(SIGNALS).index(row["signal"]))
    tables = SelfTest.tables
    return SelfTest(
        table=tables["table"].frame(planted),
        shuffled=tables["shuffled"].frame(false),
        replicated=tables["replicated"].frame() if reason else replicate(workspace, rows),
        skipped=tables["skipped"].frame(skipped),
        shuffles=shuffles,
        tests=tests,
        sample_step=step,
        reason=reason,
        observed_until=workspace.observed_until,
    )


def replicate(workspace: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """Look the findings of each half of the customers up in the other half."""
    keys = ["ground", "signal", "unit", "source", "target", "group", "value"]
    parts = [rows.filter(pl.col("customer") % 2 == half) for half in (0, 1)]
    judged = [measure_fragmentation(_count(workspace, part)) for part in parts]
    found = []
    for half, (here, there) in enumerate((judged, judged[::-1])):
        known = {row[:-1]: row[-1] for row in there.table.select(*keys, "effect").iter_rows()}
        for row in here.found.select(*keys, "effect").to_dicts():
            again, signal = known.get(tuple(row[k] for k in keys)), SIGNALS[row["signal"]]
            told = row | {"half": half, "again": again}
            if again is not None:
                one, other = (
                    float(np.log(x)) if signal.family == "wait" else x
                    for x in (row["effect"], again)
                )
                told |= {"same": other * signal.harm > 0, "ratio": other / one}
            found.append(told)
    return SelfTest.tables["replicated"].frame(found)


def shuffle_touchpoints(rows: pl.DataFrame, workspace: Workspace, seed: int) -> pl.DataFrame:
    """Shuffle the touchpoints of each customer, and where they were, within stage and period; the
    times stay.
    """
    stage = pl.lit(workspace.places["stage_index"]).gather(pl.col("place").cast(pl.UInt32))
    dice = pl.Series("_dice", np.random.default_rng(seed).random(len(rows)))
    own = pl.lit(workspace.places["initiated_by"]).gather(pl.col("place").cast(pl.UInt32))
    moved = [c for c in rows.columns if c in ("place", "rating") or c.startswith(ENVIRONMENT)]
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
    told = read_arrivals(workspace).settings
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
        silence=told.silence,
        coming_back=told.coming_back,
        time_zone=workspace.periods.time_zone,
        plan=told.plan,
        open_hours=told.open_hours,
    )


def _choose_site(real: Findings, signal: Signal, seed: int) -> Site | None:
    """One of the larger handoffs that are not broken; None where none is large enough."""
    if (fault := signal.fault) is None:
        return None
    # so ordinary that what is measured is the fault alone
    ordinary = pl.lit(fault.ordinary).is_between("low", "high")
    candidates = (
        real.table.filter(
            ordinary, pl.col("n") >= fault.needs, pl.col("observed") < fault.highest,
            signal=signal.name, ground="like",
        )
        .join(real.found, on=_HANDOFF, how="anti")
        .sort("n", "source", "target", descending=[True, False, False])
        .select(*_HANDOFF, "observed")
        .rows()
    )  # fmt: skip
    if not candidates:
        return None
    chosen = int(np.random.default_rng(seed).integers(max(1, len(candidates) // 3)))
    (source, target, observed), part = candidates[chosen], real.arrivals
    return Site(source, target, observed, part.places, part.settings.open_hours)


class Planted(NamedTuple):
    """A fault that is planted, and where, since when and for whom."""

    signal: Signal
    fault: Fault
    ground: str
    site: Site
    seed: int


def _limited(real: Findings, ground: str, site: Site) -> Site:
    """The site: always, from the middle of the log on, or for the commonest value."""
    part = real.arrivals
    if ground == "past":
        return replace(site, since=part.settings.first_at + part.settings.span / 2)
    if ground == "groups":
        name = segment_names(part.segments)[0]
        value = pl.lit(dimension_values(part.segments, name)).gather(
            pl.col("segment").cast(pl.UInt32)
        )
        counted = part.arrivals.group_by(value=value).agg(pl.col("n").sum()).sort("n", "value")
        common = counted["value"][-1]
        return replace(site, segments=tuple(segment_codes(part.segments, name, common)))
    return site


def share_copies(plans: Sequence[Planted]) -> list[list[Planted]]:
    """Put faults that touch none of one another's places into one copy, as few as will do."""
    copies: list[list[Planted]] = []
    for plan in plans:
        ends = {plan.site.source, plan.site.target}
        free = (
            c for c in copies if all(ends.isdisjoint({p.site.source, p.site.target}) for p in c)
        )
        if (home := next(free, None)) is None:
            copies.append(home := [])
        home.append(plan)
    return copies


def _measured(real: Findings, after: Findings, together: list[Planted]) -> list[dict[str, Any]]:
    """What was found where faults were planted, and elsewhere."""
    named, rows = real.arrivals.places["touchpoint"], []
    ends = [(named[plan.site.source], named[plan.site.target]) for plan in together]
    here = [(pl.col("source") == a) & (pl.col("target") == b) for a, b in ends]
    there = [(pl.col("unit") == "place") & (pl.col("source") == b) for _, b in ends]
    elsewhere = after.found.filter(~pl.any_horizontal(*here, *there).fill_null(value=False))
    new = elsewhere.join(real.found, on=_HANDOFF, how="anti").select(_HANDOFF).n_unique()
    for (signal, fault, ground, *_), (source, target), at, place in zip(
        together, ends, here, there, strict=True
    ):
        # of a value against its rest, it is the one that is worse off that speaks
        row = after.table.filter(at, signal=signal.name, ground=ground, unit="transition")
        told = row.sort(pl.col("effect") * signal.harm, descending=True).head(1).to_dicts()
        measured, size = told[0] if told else {}, fault.size
        about = {"signal": signal.name, "ground": ground, "source": source, "target": target}
        about |= {name: measured.get(name) for name in ("n", "effect", "low", "high")}
        found = not after.found.filter(at | place).is_empty()
        covered = bool(told) and measured["low"] <= size <= measured["high"]
        held = {"size": size, "found": found, "covered": covered, "new_elsewhere": new}
        rows.append(about | held)
    return rows
