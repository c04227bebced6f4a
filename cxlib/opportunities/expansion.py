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
    Text,
    Wait,
)
from cxlib.encode import name_places
from cxlib.errors import NotMeasurableError
from cxlib.numbers import decimal, duration, plural, points, share
from cxlib.opportunities.experiments import plan_experiment
from cxlib.opportunities.next_best import contacts_before_goals
from cxlib.results import Result, answers, result
from cxlib.sequences import choose_contacts, is_kept
from cxlib.statistics.multiple_testing import false_discovery_rate, p_values
from cxlib.statistics.rates import divide, t_quantile
from cxlib.statistics.resampling import BUCKETS, jackknife_se, leave_one_out
from cxlib.store import Workspace
from cxlib.store.selection import Selection

RARE, LEAST_WALKED, LEAST, LEAST_LIKE = 0.15, 30, 0.05, 0.5
"""A link is rare below this share of those who go on; walked by so many at least; worth an
experiment from this difference on; and has its like in at least this share of the cases."""

ANYWAY = 0.5
"""Where so many of those who went elsewhere come there later, a link is a step, no other way."""

FEW, SETBACK, NOBODY = 0.3, 0.05, 0.01
"""A contact is a setback that at most so many have, and after which surely at least so many fewer
reach the goal; where hardly anybody does, it tells what became of the journey, not of the way."""

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
            way=Text("source and target, with the channel where a touchpoint is on several"),
            source=Label("touchpoint left", detail=True),
            source_channel=Label("its channel", detail=True),
            target=Label("touchpoint that few go to", detail=True),
            target_channel=Label("its channel", detail=True),
            owner=Label("of the target"),
            n=Count("journeys that took it, by their first contact at the source", each="journeys"),
            walked=Share("of the journeys that go on from the source", of="n", each="journeys"),
            observed=Share("that reach a goal within the horizon", of="n", each="journeys"),
            expected=Share("of similar journeys that went elsewhere in the same stage"),
            difference=Points("of the two, like with like", interval=True),
            crude=Points("the same without looking for similar journeys", detail=True),
            like=Share("of the journeys that have their like", detail=True),
            anyway=Share("of those who went elsewhere that come there later; of the better ways"),
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
            f"{plural(self.tests, 'rare link')} compared with similar journeys, by goals within "
            f"{duration(self.horizon)}; who takes a rare way may differ in what is not logged, so "
            "these are hypotheses"
        ]
        steps = self.table.filter(pl.col("anyway") >= ANYWAY)["way"].to_list()
        if steps:
            said.append(
                f"{', '.join(steps)}: better beyond chance, but most of those who went elsewhere "
                f"came there later, so {'these are steps' if steps[1:] else 'it is a step'} and no "
                "other way"
            )
        if self.found.is_empty():
            other = "other " if steps else ""
            return [*said, f"no {other}rare link goes with outcomes that are better beyond chance"]
        return said + [say_expansion(row) for row in self.found.to_dicts()]


def say_expansion(row: Mapping[str, Any]) -> str:
    """Say one hypothesis with its experiment."""
    gap = points(row["difference"], row["difference_low"], row["difference_high"])
    return (
        f"{row['way']}: {share(row['observed'])} reach the goal, of like "
        f"journeys that went elsewhere {share(row['expected'])} ({gap}); to know: offer it to a "
        f"random half, {decimal(row['sample'])} customers a group, about {duration(row['lasting'])}"
    )


@answers(Expansions)
def find_expansions(workspace: Workspace, *, where: Selection | None = None) -> Expansions:
    """Find rare links that go with much better outcomes, like with like.

    A journey counts once for each source: by its first contact there before any goal, if it went on
    and could be watched for the horizon. It is compared with those that went from the same source
    elsewhere in the same stage, with the same place before, segment, third of the log and number of
    earlier contacts (Mantel-Haenszel difference, delete-one-bucket jackknife over customers). Where
    most of those come to its target later, it is no other way.

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
    pairs = [
        pair | {"source": source, "stage": stage}
        for (source, stage), part in rows.group_by("source", "stage", maintain_order=True)
        for pair in _compare(part, most=RARE, everywhere=True)
    ]
    q = false_discovery_rate([p["p"] for p in pairs]) if pairs else np.zeros(0)
    first: datetime = rows["occurred_at"].min()  # type: ignore[assignment]
    days = (workspace.observed_until - first) / timedelta(days=1)
    places = workspace.places.with_columns(name=name_places(workspace.places))
    table = [_row(pair, float(x), places, days) for pair, x in zip(pairs, q, strict=True)]
    for pair, row in zip(pairs, table, strict=True):
        if row["stands"]:
            row["anyway"] = _come_anyway(workspace, rows, pair)
            row["stands"] = row["anyway"] < ANYWAY
    table.sort(key=lambda r: (not r["stands"], -r["difference_low"], r["way"]))
    return Expansions(
        table=Expansions.tables["table"].frame(table),
        tests=len(pairs),
        horizon=horizon,
    )


def _come_anyway(workspace: Workspace, rows: pl.DataFrame, pair: dict[str, Any]) -> float:
    """Share of those who went elsewhere that come to the target of a link later in the journey."""
    at = [pl.col(name) == pair[name] for name in ("source", "stage")]
    others = rows.filter(*at, pl.col("target") != pair["target"])
    there = workspace.store().filter(pl.col("place") == pair["target"])
    last = there.group_by("journey").agg(last=pl.col("occurred_at").max()).collect()
    later = (pl.col("last") > pl.col("occurred_at")).fill_null(value=False)
    return float(others.join(last, on="journey", how="left").select(later.mean()).item())


def find_setbacks(workspace: Workspace, *, where: Selection | None = None) -> list[dict[str, Any]]:
    """Find contacts that few have, and after which far fewer reach the goal: errors, dead ends.

    Compared with whatever else journeys did from the same contact, after as many contacts and in
    the same third of the log: went on to something else, to the goal, or nowhere. Who goes back a
    stage or comes to a loss of the map has decided so, and what the company begins is no way of the
    customer's: they are no setbacks.

    Returns
    -------
    list of dict
        ``touchpoint``, ``n`` (journeys), ``observed`` and ``expected`` shares that reach the goal,
        ``difference`` with ``low`` and ``high``, and ``q``; the largest loss first.
    """
    if not workspace.journey_map.journey.goal:
        return []
    rows, _ = _moves_on(workspace, where, ends=True)
    places, scope = workspace.places, workspace.scope
    ahead = scope.of_place("stage_index", "target") >= scope.of_place("stage_index", "source")
    own = places.filter(
        ~pl.col("is_goal"),
        pl.col("initiated_by") == "customer",
        ~pl.col("touchpoint").is_in(list(workspace.journey_map.journey.lost)),
    )
    names = pl.lit(places["touchpoint"]).gather(pl.col("target"))
    choice = pl.col("target").is_in(own["place"].cast(pl.Int64).implode()) & ahead
    told = rows.with_columns(
        target=pl.when(choice & ~scope.is_beyond(pl.col("target"))).then(names)
    )
    found = _compare(told, most=FEW, everywhere=False)
    q: Floats = false_discovery_rate([row["p"] for row in found]) if found else np.zeros(0)
    setbacks = [
        {
            "touchpoint": row["target"],
            **{name: row[name] for name in ("n", "observed", "expected", "difference")},
            "low": row["difference"] - _T31 * row["se"],
            "high": row["difference"] + _T31 * row["se"],
            "q": float(x),
        }
        for row, x in zip(found, q, strict=True)
        if x <= Q_LIMIT
        and row["difference"] + _T31 * row["se"] <= -SETBACK
        and row["observed"] >= NOBODY
    ]
    return sorted(setbacks, key=lambda row: (row["high"] * row["n"], row["touchpoint"]))


def _dense(cells: pl.DataFrame, strata: pl.Series) -> tuple[Floats, Floats]:
    """Counts of the strata by bucket: journeys, and those that reach the goal."""
    row = np.searchsorted(strata.to_numpy(), cells["stratum"].to_numpy())
    flat, size = row * BUCKETS + cells["bucket"].to_numpy(), len(strata) * BUCKETS
    n, y = (np.bincount(flat, cells[c], size).reshape(-1, BUCKETS) for c in ("n", "y"))
    return n.astype(np.float64), y.astype(np.float64)


def _went_on(workspace: Workspace, where: Selection | None) -> tuple[pl.DataFrame, timedelta]:
    """Moves to anything but a goal, by the stage they lead to."""
    rows, horizon = _moves_on(workspace, where)
    goals = workspace.places.filter("is_goal")["place"].cast(pl.Int64).to_list()
    stage = workspace.scope.of_place("stage_index", "target")
    return rows.filter(~pl.col("target").is_in(goals)).with_columns(stage=stage), horizon


def _moves_on(
    workspace: Workspace, where: Selection | None, *, ends: bool = False
) -> tuple[pl.DataFrame, timedelta]:
    """First contact of each journey at each place before any goal, and where it went on to;
    ``ends``: also of those who did not, to no place (null), and by wider strata: few meet a
    setback, and what it does is larger than what customers differ by.
    """

    def read() -> tuple[pl.DataFrame, timedelta]:
        rows, horizon = contacts_before_goals(workspace)
        like = ("place", "earlier") if ends else ("place", "before", "segment", "earlier")
        third = (3 * pl.col("period").cast(pl.Int64) / len(workspace.periods.starts)).floor()
        watched = pl.col("occurred_at") + horizon <= workspace.observed_until
        moving = rows.filter(watched, pl.lit(ends) | pl.col("went"))
        moving = moving.unique(["journey", "place"], keep="first", maintain_order=True)
        return moving.with_columns(stratum=pl.struct(*like, third=third).rank("dense")), horizon

    file = workspace.log_folder / "places.parquet"
    kept = is_kept(workspace)
    moving, horizon = workspace.keep(f"moves on, {ends}", file, read) if kept else read()
    onward = choose_contacts(workspace, moving, where).filter(pl.col("next") != pl.col("place"))
    told = onward.select(
        *("occurred_at", "journey", "stratum"),
        pl.col("bucket").cast(pl.Int64),
        source="place",
        target=pl.when("went").then("next"),
        converts="goal",
    )
    return told, horizon


def _compare(rows: pl.DataFrame, *, most: float, everywhere: bool) -> list[dict[str, Any]]:
    """Compare every target that at most a part of the journeys took with whatever the others did;
    ``everywhere``: a part of all of them, else of those in its own strata.
    """
    counts = {"n": pl.len(), "y": pl.col("converts").sum()}
    cells = rows.group_by("stratum", "target", "bucket").agg(**counts)
    strata = rows["stratum"].unique().sort()
    whole = _dense(rows.group_by("stratum", "bucket").agg(**counts), strata)
    found = []
    for target in rows["target"].drop_nulls().unique().sort():
        here = cells.filter(pl.col("target") == target)
        own = strata if everywhere else here["stratum"].unique().sort()
        all_n, all_y = whole if everywhere else (x[np.searchsorted(strata, own)] for x in whole)
        walked, total = here["n"].sum(), all_n.sum()
        if walked < LEAST_WALKED or walked > most * total:
            continue
        n, y = _dense(here, own)
        difference, se, like = _apart(n, y, all_n - n, all_y - y)
        if like < LEAST_LIKE:
            continue
        seen, usual = y.sum() / walked, (all_y.sum() - y.sum()) / (total - walked)
        found.append(
            {"target": target, "n": int(walked), "walked": walked / total, "arrivals": total}
            | {"observed": float(seen), "expected": float(np.clip(seen - difference, 0.0, 1.0))}
            | {"difference": difference, "se": se, "crude": seen - usual, "like": like}
            | {"p": float(p_values(difference, se, df=BUCKETS - 1))}
            | {"design_effect": _design_effect(all_y.sum(0), all_n.sum(0))}
        )
    return found


def _apart(n: Floats, y: Floats, others: Floats, goals: Floats) -> tuple[float, float, float]:
    """Difference over strata, its standard error, and the share that has its like."""
    like = float(n[others.sum(1) > 0].sum() / n.sum())
    parts = (
        np.concatenate([x.sum(1, keepdims=True), leave_one_out(x)], axis=1)
        for x in (n, y, others, goals)
    )
    difference = _mantel_haenszel(*parts)  # of all customers, and without each bucket
    seen, size = y.sum() / n.sum(), n.sum()
    floor = np.sqrt(max(seen * (1 - seen), 1 / size) / size)
    se = max(float(jackknife_se(difference[0], difference[1:], axis=0)), float(floor))
    return float(difference[0]), se, like


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


def _row(pair: dict[str, Any], q: float, places: pl.DataFrame, days: float) -> dict[str, Any]:
    source, target = (places.row(int(pair[end]), named=True) for end in ("source", "target"))
    low, high = (pair["difference"] + s * _T31 * pair["se"] for s in (-1, 1))
    stands = bool(q <= Q_LIMIT and low > 0 and pair["difference"] >= LEAST)
    kept = ("n", "walked", "observed", "expected", "crude", "like", "difference", "design_effect")
    row: dict[str, Any] = {k: pair[k] for k in kept} | {"q": q, "stands": stands}
    row |= {"source": source["touchpoint"], "target": target["touchpoint"]}
    row |= {"source_channel": source["channel"], "target_channel": target["channel"]}
    row |= {"way": f"{source['name']} → {target['name']}", "owner": target["owner"]}
    row |= {"difference_low": max(low, -1.0), "difference_high": min(high, 1.0)}
    if stands:
        a_day, spread = pair["arrivals"] / max(days, 1.0), pair["design_effect"]
        better = min(pair["expected"] + low, 1.0)
        planned = plan_experiment(pair["expected"], better, a_day=a_day, design_effect=spread)
        row |= dict(zip(("sample", "lasting"), planned, strict=True))
    return row
