"""The plan against what happened: every arrival at a planned source, and what became of it.

The kinds are those of Halvorsrud, Kvale & Følstad (2016), doi:10.1108/JSTP-05-2015-0111.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.arrivals.links import estimate_linked
from cxlib.columns import Columns, Count, Label, Rating, Share, Tables, Wait
from cxlib.errors import NotMeasurableError
from cxlib.map_model import PlannedHandoff
from cxlib.numbers import people, rating, share, spelled
from cxlib.results import Result, answers, interval_row, result
from cxlib.sequences import choose_contacts
from cxlib.statistics.rates import rate, ratio
from cxlib.statistics.resampling import BUCKETS
from cxlib.store import Workspace
from cxlib.store.selection import Selection

KINDS = ("kept", "detoured", "late", "out_of_order", "missing", "open")
"""What becomes of an arrival at the source; each is exactly one of them."""

NEVER = np.iinfo(np.int64).max
"""In place of a date that a contact does not have."""

LEAST_COVERED = 0.5
"""Share of the contacts at touchpoints of the plan below which it says little about the log."""


def _count(about: str, of: str = "arrivals") -> Count:
    return Count(about, of=of, each="contacts")


@result
class Plan(Result):
    """What `measure_plan` returns: ``coverage``, the share of contacts at touchpoints of the plan;
    ``linked``, that of contacts on another channel that are linked to their customer, if known.
    """

    coverage: float
    linked: float | None

    title = "The plan against what happened"
    tables = Tables(
        table=Columns(
            "one row per planned handoff, in the order of the map",
            source=Label("where it starts"),
            target=Label("planned next"),
            owner=Label("of the target"),
            deadline=Wait("of the plan"),
            promised=Count(
                "arrivals with a date of their own, which counts instead",
                each="contacts",
                detail=True,
            ),
            arrivals=Count("at the source; each is exactly one of the next six", each="contacts"),
            kept=_count("target next, in time"),
            detoured=_count("target in time, after other contacts"),
            late=_count("target in the same journey (or as promised), after the deadline"),
            out_of_order=_count("target earlier in the journey, not after"),
            missing=_count("no target by the deadline"),
            open=_count("deadline after the end of the log, no target yet"),
            ad_hoc=_count("arrivals with a contact before target or deadline that no plan names"),
            failed=_count(
                "of those kept or detoured: the target was directly followed by itself again, or "
                "by a loss of the map"
            ),
            reached_goal=_count("of those missing: reached a goal in time", of="missing"),
            deviating=Share(
                "late, out of order or missing, of all that are not open",
                of="arrivals",
                each="contacts",
                interval=True,
            ),
            rated_kept=Rating(
                "kept or detoured: mean from there to the journey's end", interval=True
            ),
            rated_late=Rating("the same, if late", interval=True),
        )
    )

    def sentences(self) -> list[str]:
        """Say how much of the log the plan speaks of, and where it is kept least."""
        said = [f"{share(self.coverage)} of the contacts are at touchpoints that the plan names"]
        if self.coverage < LEAST_COVERED:
            said[0] += ": it says little about this log"
        if self.linked is not None:
            said.append(
                f"about {share(self.linked)} of the contacts on another channel are linked to "
                "their customer: what is not linked looks missing"
            )
        worst = self.table.filter(pl.col("deviating") > 0).sort("deviating_low", descending=True)
        for row in worst.head(1).to_dicts():
            counts = ", ".join(
                f"{people(row[k])} {spelled(k)}" for k in ("late", "out_of_order", "missing")
            )
            said.append(
                f"{row['source']} → {row['target']}: "
                f"{share(row['deviating'], row['deviating_low'], row['deviating_high'])} do not go "
                f"as planned ({counts})"
            )
        return said + [told for row in self.table.to_dicts() if (told := say_late(row))]


def say_late(row: Mapping[str, Any]) -> str | None:
    """Say what those who waited beyond the deadline rate; None: surely not lower than others."""
    late, kept = (
        tuple(row[f"rated_{kind}{end}"] for end in ("", "_low", "_high"))
        for kind in ("late", "kept")
    )
    if late[2] is None or kept[1] is None or late[2] >= kept[1]:
        return None
    part = share(row["late"] / max(row["arrivals"] - row["open"], 1))
    when = "after the promised date" if row["promised"] else "after the deadline"
    return (
        f"{row['source']} → {row['target']}: {part} come {when}, and are rated {rating(*late)}; "
        f"those in time {rating(*kept)}"
    )


@answers(Plan)
def measure_plan(
    workspace: Workspace,
    *,
    where: Selection | None = None,
    plan: Sequence[PlannedHandoff] | None = None,
) -> Plan:
    """Say of every planned handoff how often it was kept, and how it was not.

    What counts is the first contact at the target after the arrival. Within the deadline it may
    come in whatever journey, later only in the same (of a date of its own: until the next arrival);
    contacts at the source in between are no detour.

    Parameters
    ----------
    where
        Segment, periods and channel of the arrival.
    plan
        Planned handoffs (`cxlib.opportunities.cjml.read_cjml`); None: those of the map.

    Raises
    ------
    NotMeasurableError
        The map plans no handoff.
    """
    plan = workspace.journey_map.planned_handoffs if plan is None else plan
    if not plan:
        raise NotMeasurableError(
            "the map plans no handoff; name what should follow what, and by when: "
            "`planned_handoffs: [{source: basket, target: payment, deadline: 2d}]`"
        )
    store = workspace.store()
    kept = ["customer", "bucket", "occurred_at", "place", "journey", "segment", "period"]
    told = {*store.collect_schema().names()} & {"due_at", "rating", "scale"}
    rows = store.select(*kept, *sorted(told)).collect().with_row_index("at")
    chosen = rows["at"].is_in(choose_contacts(workspace, rows, where)["at"].implode()).to_numpy()
    log = _Log(workspace, rows, plan)
    found = Plan.tables["table"].frame(log.judge(p, chosen) for p in plan)
    linked = estimate_linked(read_arrivals(workspace).links)
    return Plan(
        table=found.with_columns(pl.selectors.float().fill_nan(None)),
        coverage=float(log.planned.mean()),
        linked=linked,
    )


class _Log:
    """All contacts, sorted by customer and time, as arrays."""

    def __init__(self, workspace: Workspace, rows: pl.DataFrame, plan: Sequence[PlannedHandoff]):
        self.customer, self.journey, self.bucket, self.place = (
            rows[c].to_numpy().astype(np.int64) for c in ("customer", "journey", "bucket", "place")
        )
        self.at = rows["occurred_at"].to_physical().to_numpy()
        self.until = int(workspace.observed_until.timestamp() * 1_000_000)
        self.names = workspace.places["touchpoint"]
        self.owners = dict(zip(self.names, workspace.places["owner"], strict=True))
        self.planned = self.among(n for p in plan for n in (p.source, p.target))
        self.unplanned = np.append(0, (~self.planned).cumsum())
        self.goal = workspace.places["is_goal"].to_numpy()[self.place]
        self.loss = self.among(workspace.journey_map.journey.lost)
        # without a date: the largest number, which no date reaches
        self.due = np.full(len(rows), NEVER)
        if "due_at" in rows.columns:
            self.due = rows["due_at"].to_physical().fill_null(NEVER).to_numpy()
        self.rated = _summed_ratings(rows)
        self.stop = np.searchsorted(self.journey, self.journey, side="right")

    def among(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Whether each contact is at one of these touchpoints."""
        return np.asarray(self.names.is_in(list(names)).to_numpy()[self.place])

    def judge(self, plan: PlannedHandoff, chosen: NDArray[np.bool_]) -> dict[str, Any]:
        """One row about one planned handoff."""
        is_source, is_target = self.among([plan.source]), self.among([plan.target])
        start = np.flatnonzero(is_source & chosen)
        size = len(self.place)
        deadline = np.full(len(start), plan.deadline // timedelta(microseconds=1))
        own = (self.due[start] < NEVER) & plan.promised
        deadline[own] = (self.due[start] - self.at[start])[own]
        targets = np.append(np.flatnonzero(is_target), size)
        after = targets[np.searchsorted(targets, start, side="right")]
        known = after < size
        then = np.minimum(after, size - 1)
        same = known & (self.customer[then] == self.customer[start])
        in_time = same & (self.at[then] - self.at[start] <= deadline)
        within = same & (self.journey[then] == self.journey[start])
        # a promise of one's own holds however long it takes, until the next one is made
        again = np.append(start[1:], size)
        within |= same & own & (then < again)
        # contacts between that are neither source nor target
        others = np.append(0, (~is_source).cumsum())
        direct = others[then] - others[start + 1] == 0
        before = _last(is_target, start)
        earlier = (before >= 0) & (self.journey[np.maximum(before, 0)] == self.journey[start])
        # a target that another arrival at the source already had is none of this one's
        taken = _last(is_source, start)
        earlier &= taken < before
        watched = self.until - self.at[start] >= deadline
        kind = np.select(
            [in_time & direct, in_time, within & watched, earlier & watched, watched],
            [0, 1, 2, 3, 4],
            5,
        )
        ends = self._ends(start, deadline)
        stop = np.where(in_time, np.minimum(then, ends), ends)
        ad_hoc = self.unplanned[stop] > self.unplanned[start + 1]
        goals = np.append(0, self.goal.cumsum())
        reached = (kind == 4) & (goals[ends] > goals[start + 1])
        following = np.minimum(then + 1, size - 1)
        failed = in_time & (then + 1 < size) & (self.journey[following] == self.journey[then])
        failed &= is_target[following] | self.loss[following]
        counts = np.bincount(kind, minlength=len(KINDS))
        bucket = self.bucket[start]

        def summed(values: NDArray[Any]) -> NDArray[np.float64]:
            return np.bincount(bucket, values, minlength=BUCKETS).astype(np.float64)[None]

        deviating = rate(summed((kind >= 2) & (kind <= 4)), summed(kind < 5))
        # ratings from the arrival to the end of its journey, or to the next arrival
        last = self.stop[np.where(within, then, start)]
        said = self.rated[:, np.minimum(last, again)] - self.rated[:, start]
        rated = {
            name: ratio(*[summed(x * flag) for x in said])
            for name, flag in (("rated_kept", kind < 2), ("rated_late", kind == 2))
        }
        return {
            "source": plan.source,
            "target": plan.target,
            "owner": self.owners.get(plan.target),
            "deadline": plan.deadline,
            "promised": int(own.sum()),
            "arrivals": len(start),
            **{k: int(counts[i]) for i, k in enumerate(KINDS)},
            "ad_hoc": int(ad_hoc.sum()),
            "failed": int(failed.sum()),
            "reached_goal": int(reached.sum()),
            **interval_row("deviating", deviating),
            **{end: x for n, found in rated.items() for end, x in interval_row(n, found).items()},
        }

    def _ends(self, start: NDArray[np.int64], deadline: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row after the last of the customer's contacts within the deadline."""
        first, last = int(self.at.min()), int(self.at.max())
        # one sorted key of customer and time, in milliseconds
        width = (last - first) // 1_000 + 1
        seen = self.customer * width + (self.at - first) // 1_000
        sought = np.minimum((self.at[start] - first + deadline) // 1_000, width - 1)
        return np.searchsorted(seen, self.customer[start] * width + sought, side="right")


def _summed_ratings(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Sums of ratings on the commonest scale before each row, and how many they are."""
    value = rows["rating"] if "rating" in rows.columns else pl.repeat(None, len(rows), eager=True)
    value = value.cast(pl.Float64)
    if "scale" in rows.columns and (scales := rows["scale"].filter(value.is_not_null())).len():
        commonest = scales.value_counts(sort=True, name="n").sort("n", "scale", descending=True)
        value = value.set(rows["scale"].ne_missing(commonest["scale"][0]), None)
    known = (value.fill_null(0.0).to_numpy(), value.is_not_null().to_numpy().astype(np.float64))
    return np.stack([np.append(0.0, x.cumsum()) for x in known])


def _last(flag: NDArray[np.bool_], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Last row before each start at which a flag is set; -1 where there is none."""
    rows = np.append(-1, np.flatnonzero(flag))
    return rows[np.searchsorted(rows, start, side="left") - 1]
