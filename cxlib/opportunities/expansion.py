"""Links that few walk and that go with much better outcomes: hypotheses, each with its experiment.

Like with like: Mantel & Haenszel (1959), doi:10.1093/jnci/22.4.719; of differences Sato (1989),
doi:10.2307/2531765.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import (
    Amount,
    Chance,
    Columns,
    Count,
    Flag,
    Label,
    Points,
    Share,
    Tables,
    Wait,
)
from cxlib.errors import NotMeasurableError
from cxlib.numbers import decimal, duration, plural, points, share
from cxlib.opportunities.experiments import plan_experiment
from cxlib.opportunities.next_best import contacts_before_goals
from cxlib.results import Result, answers, result
from cxlib.sequences import choose_contacts
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import divide, t_quantile
from cxlib.statistics.resampling import BUCKETS, jackknife_se, leave_one_out
from cxlib.store import Workspace
from cxlib.store.selection import Selection

RARE, LEAST_WALKED, LEAST, LEAST_LIKE = 0.15, 30, 0.05, 0.5
"""A link is rare below this share of those who go on; walked by so many at least; worth an
experiment from this difference on; and has its like in at least this share of the cases."""

Q_LIMIT = 0.05
_T31 = float(t_quantile(BUCKETS - 1))
Floats = NDArray[np.float64]


@result
class Expansions(Result):
    """What `find_expansions` returns: ``tests`` rare links compared; goals count in ``horizon``."""

    tests: int
    horizon: timedelta

    title = "Ways that few take and that go with better outcomes"
    tables = Tables(
        table=Columns(
            "one row per rare link compared, those that stand first, then by the lower end",
            source=Label("touchpoint left"),
            target=Label("touchpoint that few go to"),
            target_channel=Label("its channel", detail=True),
            owner=Label("of the target"),
            n=Count("journeys that took it, by their first contact at the source", each="journeys"),
            walked=Share("of the journeys that go on from the source", of="n", each="journeys"),
            observed=Share("that reach a goal within the horizon", of="n", each="journeys"),
            expected=Share("of like journeys that went elsewhere in the same stage"),
            difference=Points("of the two, like with like", interval=True),
            crude=Points("the same without looking for like journeys", detail=True),
            like=Share("of the journeys that have their like", detail=True),
            q=Chance("share of false ones if this and all clearer ones stand"),
            stands=Flag("beyond chance, and large enough to be worth an experiment"),
            sample=Count("customers a group to see the lower end of the difference"),
            design_effect=Amount("of customers who come again", detail=True),
            lasting=Wait("of that experiment, at the present pace", heading="duration"),
        )
    )

    @property
    def found(self) -> pl.DataFrame:
        """Those that stand alone."""
        return self.table.filter("stands")

    def sentences(self) -> list[str]:
        """Say the hypotheses, and that they are no more than that."""
        said = [
            f"{plural(self.tests, 'rare link')} compared with like journeys, by goals within "
            f"{duration(self.horizon)}; who takes a rare way may differ in what is not logged, so "
            "these are hypotheses"
        ]
        if self.found.is_empty():
            return [*said, "none goes with outcomes that are better beyond chance"]
        return said + [say_expansion(row) for row in self.found.to_dicts()]


def say_expansion(row: Mapping[str, Any]) -> str:
    """Say one hypothesis with its experiment."""
    gap = points(row["difference"], row["difference_low"], row["difference_high"])
    return (
        f"{row['source']} → {row['target']}: {share(row['observed'])} reach the goal, of like "
        f"journeys that went elsewhere {share(row['expected'])} ({gap}); to know: offer it to a "
        f"random half, {decimal(row['sample'])} customers a group, about {duration(row['lasting'])}"
    )


@answers(Expansions)
def find_expansions(workspace: Workspace, *, where: Selection | None = None) -> Expansions:
    """Find rare links that go with much better outcomes, like with like.

    A journey counts once for each source: by its first contact there before any goal, if it went on
    and could be watched for the horizon. It is compared with those that went from the same source
    elsewhere in the same stage, with the same place before, segment, third of the log and number of
    earlier contacts (Mantel-Haenszel difference, delete-one-bucket jackknife over customers).

    Parameters
    ----------
    where
        Segment, periods and channel of the contact at the source.

    Raises
    ------
    NotMeasurableError
        The map names no goal, or no journey could be watched.
    """
    if not workspace.journey_map.journey.goal:
        raise NotMeasurableError(
            "what is better is counted in goals, and the map names none (`journey: {goal: [...]}`)"
        )
    rows, horizon = _went_on(workspace, where)
    if rows.is_empty():
        raise NotMeasurableError("no journey went on and could be watched: the log is too short")
    cells = (
        rows.group_by("source", "stage", "stratum", "target", "bucket")
        .agg(n=pl.len(), y=pl.col("converts").sum())
        .sort("source", "stage", "stratum", "target", "bucket")
    )
    pairs = [
        found
        for _, part in cells.group_by("source", "stage", maintain_order=True)
        for found in _compare(part)
    ]
    q = false_discovery_rate([p["p"] for p in pairs]) if pairs else np.zeros(0)
    first: datetime = rows["occurred_at"].min()  # type: ignore[assignment]
    days = (workspace.observed_until - first) / timedelta(days=1)
    table = [_row(pair, float(x), workspace.places, days) for pair, x in zip(pairs, q, strict=True)]
    table.sort(key=lambda r: (not r["stands"], -r["difference_low"], r["source"], r["target"]))
    return Expansions(
        table=Expansions.tables["table"].frame(table),
        tests=len(pairs),
        horizon=horizon,
    )


def _went_on(workspace: Workspace, where: Selection | None) -> tuple[pl.DataFrame, timedelta]:
    """First contact of each journey at each place before any goal, and where it went on to."""
    scope = workspace.scope
    rows, horizon = contacts_before_goals(workspace)
    moving = rows.filter(
        pl.col("occurred_at") + horizon <= workspace.observed_until, went=True
    ).unique(["journey", "place"], keep="first", maintain_order=True)
    goals = workspace.places.filter("is_goal")["place"].cast(pl.Int64).to_list()
    third = (3 * pl.col("period").cast(pl.Int64) / len(workspace.periods.starts)).floor()
    onward = choose_contacts(workspace, moving, where).filter(
        ~pl.col("next").is_in(goals), pl.col("next") != pl.col("place")
    )
    return (
        onward.select(
            "occurred_at",
            "bucket",
            source="place",
            target="next",
            stage=scope.of_place("stage_index", "next"),
            stratum=pl.struct("before", "segment", "earlier", third=third).rank("dense"),
            converts="goal",
        ),
        horizon,
    )


def _compare(part: pl.DataFrame) -> list[dict[str, float]]:
    """Compare every rare target of one source and stage with the others there."""
    strata, stratum = np.unique(part["stratum"].to_numpy(), return_inverse=True)
    targets, target = np.unique(part["target"].to_numpy(), return_inverse=True)
    shape = (len(targets), len(strata), BUCKETS)
    flat = np.ravel_multi_index((target, stratum, part["bucket"].to_numpy()), shape)
    n, y = (
        np.bincount(flat, part[c].to_numpy(), minlength=int(np.prod(shape))).reshape(shape)
        for c in ("n", "y")
    )
    total = n.sum()
    found = []
    for i in range(len(targets)):
        walked = n[i].sum()
        if walked < LEAST_WALKED or walked > RARE * total:
            continue
        other_n, other_y = n.sum(0) - n[i], y.sum(0) - y[i]
        has_like = other_n.sum(1) > 0
        like = n[i][has_like].sum() / walked
        if like < LEAST_LIKE:
            continue
        parts = (
            np.concatenate([x.sum(1, keepdims=True), leave_one_out(x)], axis=1)
            for x in (n[i], y[i], other_n, other_y)
        )
        difference = _mantel_haenszel(*parts)  # of all customers, and without each bucket
        seen = y[i].sum() / walked
        usual = other_y.sum() / other_n.sum()
        floor = np.sqrt(max(seen * (1 - seen), 1 / walked) / walked)
        se = max(float(jackknife_se(difference[0], difference[1:], axis=0)), float(floor))
        found.append(
            {"source": part["source"][0], "target": int(targets[i]), "n": walked}
            | {"walked": walked / total, "observed": seen, "crude": seen - usual, "like": like}
            | {"difference": float(difference[0]), "se": se, "arrivals": total}
            | {"p": float(p_values(difference[0], se, df=BUCKETS - 1))}
            | {"design_effect": _design_effect(y.sum((0, 1)), n.sum((0, 1)))}
        )
    return found


def _mantel_haenszel(n: Floats, y: Floats, others: Floats, goals: Floats) -> Floats:
    """Difference of shares over strata: of all customers, and without each bucket."""
    weight = divide(n * others, n + others)
    apart = divide(y, n) - divide(goals, others)
    used = weight > 0
    return divide(np.where(used, weight * apart, 0).sum(0), np.where(used, weight, 0).sum(0))


def _design_effect(y: Floats, n: Floats) -> float:
    """How much wider the share spreads over customers than over independent journeys."""
    p = y.sum() / n.sum()
    se = float(jackknife_se(p, divide(leave_one_out(y, axis=0), leave_one_out(n, axis=0)), axis=0))
    return max(se**2 / max(p * (1 - p) / n.sum(), 1e-12), 1.0)


def _row(pair: dict[str, float], q: float, places: pl.DataFrame, days: float) -> dict[str, Any]:
    source, target = (places.row(int(pair[end]), named=True) for end in ("source", "target"))
    low, high = (pair["difference"] + s * _T31 * pair["se"] for s in (-1, 1))
    stands = bool(q <= Q_LIMIT and low > 0 and pair["difference"] >= LEAST)
    expected = float(np.clip(pair["observed"] - pair["difference"], 0.0, 1.0))
    kept = ("n", "walked", "observed", "crude", "like", "difference", "design_effect")
    row: dict[str, Any] = {k: pair[k] for k in kept} | {"n": int(pair["n"]), "expected": expected}
    row |= {"source": source["touchpoint"], "target": target["touchpoint"], "q": q}
    row |= {"target_channel": target["channel"], "owner": target["owner"], "stands": stands}
    row |= {"difference_low": max(low, -1.0), "difference_high": min(high, 1.0)}
    if stands:
        a_day, spread = pair["arrivals"] / max(days, 1.0), pair["design_effect"]
        better = min(expected + low, 1.0)
        planned = plan_experiment(expected, better, a_day=a_day, design_effect=spread)
        row |= dict(zip(("sample", "lasting"), planned, strict=True))
    return row
