"""Next best touchpoint: what to offer a customer under way next, by his last two contacts.

The chance of a goal of those who went somewhere from a state is drawn towards that from the last
contact alone, and that towards that of everybody who goes there (Efron & Morris 1975,
doi:10.1080/01621459.1975.10479864): what few have done never comes first by luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cxlib.columns import Amount, Columns, Count, Customers, Label, Rating, Share, Tables
from cxlib.errors import InputError, NotMeasurableError
from cxlib.measures.attribution import choose_horizon
from cxlib.numbers import day, duration, people, points, share
from cxlib.results import Result, answers, interval_row, result
from cxlib.sequences import choose_contacts
from cxlib.statistics.rates import ratio
from cxlib.statistics.resampling import BUCKETS
from cxlib.store import Workspace
from cxlib.store.selection import Selection
from cxlib.store.walk import around, follow_contacts

DRAWN = 20.0
"""Journeys that the wider estimate counts for in the narrower one."""

LEAST_ADVISED = 30
"""Journeys that went on to a touchpoint from the last contact before it is advised there."""

_HELD_BACK = 1 / 3
_STATE = ["before", "place"]


@result
class NextBest(Result):
    """What `next_best` returns: goals count within ``horizon``, the test has learned until
    ``learned_until``; ``capped`` and ``quiet`` customers are left out, contacted too often or a
    moment ago. ``audience`` holds ids: it stays on the analyst's side.
    """

    horizon: timedelta
    learned_until: datetime | None
    capped: int
    quiet: int
    audience: pl.DataFrame
    test: pl.DataFrame
    calibration: pl.DataFrame

    title = "Next best touchpoint"
    tables = Tables(
        table=Columns(
            "one row per state of customers under way, most customers first",
            before=Label("contact before the last; null: the journey began with the last"),
            last=Label("last contact"),
            stage=Label("its stage"),
            next_touchpoint=Label("what to offer next; null: too few went on from there"),
            channel=Label("its channel"),
            customers=Customers("under way in this state, after cap and quiet time"),
            n=Count("journeys that went there from the last contact", each="journeys"),
            chance=Share("of a goal of those who went there, shrunk", of="n", each="journeys"),
            usual=Share("of a goal from the state, whatever but the goal came next, shrunk"),
        ),
        test=Columns(
            "one row per rule, held against what came after the day until which was learned",
            rule=Label("next best, or most popular"),
            n=Count("contacts that could be judged", each="contacts"),
            followed=Share("that went on to what the rule names", of="n", each="contacts"),
            goal=Share("of a goal of those, weighted to all states", of="n", interval=True),
        ),
        calibration=Columns(
            "one row per fifth of the chances foretold",
            foretold=Rating("mean chance foretold", width=1.0, of="n"),
            n=Count("contacts", each="contacts"),
            came=Share("that reached a goal", of="n", each="contacts", interval=True),
            off=Amount("foretold less what came, points", of="n"),
        ),
    )

    def sentences(self) -> list[str]:
        """Say whom it is about, what is advised most, and how good such an advice was."""
        said = [
            f"{people(sum(self.table['customers']))} customers are under way and may be "
            f"addressed; {self.capped} have been contacted often enough, {self.quiet} a moment ago"
        ]
        for row in self.table.drop_nulls("next_touchpoint").head(1).to_dicts():
            said.append(
                f"most often: after {row['last']} offer {row['next_touchpoint']}; "
                f"{share(row['chance'])} of those who went there reached a goal within "
                f"{duration(self.horizon)}, {share(row['usual'])} of all from there"
            )
        if self.test.is_empty() or self.learned_until is None:
            return [*said, "the log is too short to hold the advice against what came"]
        ours, popular = self.test.to_dicts()
        gap = ours["goal"] - popular["goal"]
        sure = ours["goal_low"] > popular["goal_high"]
        verdict = "better" if sure else "not surely better"
        said.append(
            f"learned until {day(self.learned_until)} and held against what came: those who went "
            f"where it says reached a goal in {share(ours['goal'])}, those who went where most go "
            f"in {share(popular['goal'])} ({points(gap)}): {verdict}; who goes there may differ"
        )
        worst = float(self.calibration["off"].abs().max())  # type: ignore[arg-type]
        return [*said, f"chances foretold were off by at most {worst:.1f} points in any fifth"]


@answers(NextBest)
def next_best(
    workspace: Workspace,
    *,
    where: Selection | None = None,
    most_contacts: int = 3,
    within: timedelta = timedelta(days=7),
    quiet: timedelta = timedelta(hours=24),
) -> NextBest:
    """Say for every customer under way which touchpoint to offer next.

    A customer is under way whose last journey has met no goal and may still go on. Advised is what
    at least `LEAST_ADVISED` journeys did next from the last contact, with the highest chance of a
    goal within the horizon (in which 95 % of the goals come).

    Parameters
    ----------
    where
        Segment, periods and channel of the last contact.
    most_contacts, within
        Nobody is addressed whom the company contacted this often in this time before the end of
        the log (the map says who begins a contact).
    quiet
        Nobody is addressed this soon after any contact.

    Raises
    ------
    NotMeasurableError
        The map names no goal, or no contact could be watched for the horizon.
    InputError
        A cap of less than 1.
    """
    if most_contacts < 1:
        raise InputError("the contact cap is at least 1")
    if not workspace.journey_map.journey.goal:
        raise NotMeasurableError(
            "what is best is counted in goals, and the map names none (`journey: {goal: [...]}`)"
        )
    rows, horizon = contacts_before_goals(workspace)
    goals = workspace.places.filter("is_goal")["place"].cast(pl.Int64)
    judged = rows.filter(
        pl.col("occurred_at") + horizon <= workspace.observed_until,
        ~pl.col("next").is_in(goals.implode()),  # the goal is no touchpoint on the way to it
        went=True,
    ).filter(~workspace.scope.is_beyond(pl.col("next")))  # nor is what comes after it
    if judged.is_empty():
        raise NotMeasurableError("no contact could be watched long enough: the log is too short")
    advice = _Advice.learn(judged)
    test, calibration, until = _held_against(judged, horizon)
    now, capped, silent = _under_way(workspace, rows, where, most_contacts, within, quiet)
    told = _advised(workspace, now, advice)
    state = [*_STATE, "next", "before_name", "last", "stage", "next_touchpoint", "channel"]
    table = (
        told.group_by(state, maintain_order=True)
        .agg(pl.len().alias("customers"), pl.col("n", "chance", "usual").first())
        .sort("customers", *_STATE, descending=[True, False, False])
        .drop("before", "place", "next")
        .rename({"before_name": "before"})
    )
    kept = ("customer", "last", "next_touchpoint", "channel", "chance", "usual")
    return NextBest(
        table=NextBest.tables["table"].frame(table.to_dicts()),
        test=NextBest.tables["test"].frame(test),
        calibration=NextBest.tables["calibration"].frame(calibration),
        horizon=horizon,
        learned_until=until,
        capped=capped,
        quiet=silent,
        audience=told.drop_nulls("next_touchpoint").select(kept).sort("customer"),
    )


def contacts_before_goals(workspace: Workspace) -> tuple[pl.DataFrame, timedelta]:
    """Every contact before a goal, and the horizon within which a goal counts.

    ``before`` is the number of places where the journey began here, ``earlier`` at most 3.
    """
    scope = workspace.scope
    kept = ("customer", "bucket", "occurred_at", "place", "journey", "reached", "lost", "segment",
            "period")  # fmt: skip
    rows = follow_contacts(workspace.store().select(kept).collect(), scope=scope)
    goal_at = pl.col("occurred_at").filter("reached").first().over("journey")
    place = pl.col("place").cast(pl.Int64)
    rows = rows.with_columns(
        before=around(place, -1).fill_null(len(scope.places)),
        earlier=pl.int_range(pl.len()).over("journey").clip(0, 3),
        place=place,
        went=pl.col("next") < 65_532,
        next=pl.col("next").cast(pl.Int64),
        taken=goal_at - pl.col("occurred_at"),
    ).filter(~pl.col("reached"), ~scope.is_beyond(pl.col("place")))
    horizon = choose_horizon(rows.drop_nulls("taken").select("occurred_at", "taken"), workspace)
    return rows.with_columns(goal=(pl.col("taken") <= horizon).fill_null(False)), horizon


@dataclass(frozen=True, slots=True, eq=False)
class _Advice:
    """Chances of a goal: of everybody, by last contact and next, and by both contacts and next."""

    everybody: float
    last: pl.DataFrame
    ways: pl.DataFrame

    @classmethod
    def learn(cls, judged: pl.DataFrame) -> _Advice:
        """Count, and draw the narrow estimates towards the wider."""

        def shrunk(wider: str) -> pl.Expr:
            return (pl.col("goals") + DRAWN * pl.col(wider)) / (pl.col("n") + DRAWN)

        def counted(*keys: str) -> pl.DataFrame:
            return judged.group_by(keys).agg(n=pl.len(), goals=pl.col("goal").sum()).sort(keys)

        everybody = float(judged["goal"].mean())  # type: ignore[arg-type]
        to = counted("next").select(
            "next", to=(pl.col("goals") + DRAWN * everybody) / (pl.col("n") + DRAWN)
        )
        last = counted("place", "next").join(to, on="next")
        last = last.select("place", "next", n_last="n", chance_last=shrunk("to"))
        ways = counted("before", "place", "next").join(last, on=["place", "next"])
        return cls(everybody, last, ways.with_columns(chance=shrunk("chance_last")))

    def of(self, states: pl.DataFrame) -> pl.DataFrame:
        """Chance of every way from each state (``before``, ``place``), walked there or not."""
        ways = states.select(_STATE).unique().join(self.last, on="place")
        seen = self.ways.select(*_STATE, "next", "n", "chance")
        return ways.join(seen, on=[*_STATE, "next"], how="left").with_columns(
            pl.col("chance").fill_null(pl.col("chance_last")), pl.col("n").fill_null(0)
        )

    def choose(self, states: pl.DataFrame) -> pl.DataFrame:
        """What is advised in each state, what most do there, and what is usual there."""
        ways = self.of(states)
        weight = pl.col("n") + DRAWN * pl.col("n_last") / pl.col("n_last").sum().over(_STATE)
        ways = ways.with_columns(weight=weight).sort(*_STATE, "next")
        common = ways.group_by(_STATE, maintain_order=True).agg(
            usual=(pl.col("chance") * pl.col("weight")).sum() / pl.col("weight").sum(),
            popular=pl.col("next").sort_by("weight", descending=True).first(),
        )
        best = (
            ways.filter(pl.col("n_last") >= LEAST_ADVISED)
            .sort("chance", descending=True, maintain_order=True)
            .group_by(_STATE, maintain_order=True)
            .agg(pl.col("next", "chance").first(), n=pl.col("n_last").first())
        )
        return common.join(best, on=_STATE, how="left")


def _held_against(
    judged: pl.DataFrame, horizon: timedelta
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], datetime | None]:
    """Learn from the first part of the log, judge by the last: rules, calibration, the day."""
    first, last = judged["occurred_at"].min(), judged["occurred_at"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    cut = last - (last - first) * _HELD_BACK
    past = judged.filter(pl.col("occurred_at") + horizon <= cut)
    came = judged.filter(pl.col("occurred_at") > cut)
    if len(past) < 1_000 or len(came) < 300:
        return [], [], None
    advice = _Advice.learn(past)
    known = came.join(advice.choose(came), on=_STATE, suffix="_best").drop_nulls("next_best")
    ways = advice.of(known).select(*_STATE, "next", pl.col("chance").alias("foretold"))
    seen = known.join(ways, on=[*_STATE, "next"], how="left")
    seen = seen.with_columns(pl.col("foretold").fill_null(advice.everybody))
    rules: list[dict[str, Any]] = []
    for rule, column in (("next best", "next_best"), ("most popular", "popular")):
        hit = seen.with_columns(hit=pl.col("next") == pl.col(column))
        # each state counts as often as it came, however many of it went where the rule says
        went = hit.with_columns(weight=1 / pl.col("hit").mean().over(_STATE)).filter("hit")
        followed = float(hit["hit"].mean())  # type: ignore[arg-type]
        told = {"rule": rule, "n": len(seen), "followed": followed}
        rules.append(told | _share("goal", went))
    fifth = (pl.col("foretold").rank("ordinal") * 5 / (pl.len() + 1)).floor()
    calibration: list[dict[str, Any]] = []
    for part in seen.with_columns(weight=1.0, fifth=fifth).partition_by("fifth"):
        foretold, came_to = float(part["foretold"].mean()), _share("came", part)  # type: ignore[arg-type]
        off = {"off": 100 * (foretold - came_to["came"])}
        calibration.append({"foretold": foretold, "n": len(part)} | off | came_to)
    calibration.sort(key=lambda row: row["foretold"])
    return rules, calibration, cut


def _share(name: str, rows: pl.DataFrame) -> dict[str, float]:
    """Weighted share that reached a goal, with its interval over customer buckets."""
    bucket, weight = rows["bucket"].to_numpy(), rows["weight"].to_numpy()
    goals, n = (
        np.bincount(bucket, weight * flag, minlength=BUCKETS).astype(np.float64)[None, :]
        for flag in (rows["goal"].to_numpy(), 1.0)
    )
    found = interval_row(name, ratio(goals, n))
    return {end: float(np.clip(value, 0.0, 1.0)) for end, value in found.items()}


def _under_way(
    workspace: Workspace,
    rows: pl.DataFrame,
    where: Selection | None,
    most: int,
    within: timedelta,
    quiet: timedelta,
) -> tuple[pl.DataFrame, int, int]:
    """Last contacts that may still go on; how many are left out by cap, and by quiet time."""
    until, gap = workspace.observed_until, workspace.gap
    latest = rows.filter("latest", ~pl.col("lost"))
    if gap is not None:
        latest = latest.filter(pl.col("occurred_at") + gap > until)
    latest = choose_contacts(workspace, latest, where)
    ours = workspace.places.filter(pl.col("initiated_by") == "company")["place"]
    often = (
        workspace.store()
        .filter(pl.col("occurred_at") > until - within, pl.col("place").is_in(ours.implode()))
        .group_by("customer")
        .len()
        .filter(pl.col("len") >= most)
        .collect()
    )
    free = latest.join(often, on="customer", how="anti", maintain_order="left")
    calm = free.filter(pl.col("occurred_at") + quiet <= until)
    return calm, len(latest) - len(free), len(free) - len(calm)


def _advised(workspace: Workspace, now: pl.DataFrame, advice: _Advice) -> pl.DataFrame:
    """Customers under way with what is advised, by names."""
    places = workspace.places
    ids = workspace.customers().select("customer", "name").collect()
    told = now.select("customer", *_STATE).join(
        advice.choose(now), on=_STATE, how="left", maintain_order="left"
    )

    def named(column: str, at: str) -> pl.Expr:
        place = pl.when(pl.col(at) < len(places)).then(pl.col(at))
        return pl.lit(places[column]).gather(place)

    return (
        told.join(ids, on="customer", how="left", maintain_order="left")
        .with_columns(
            before_name=named("touchpoint", "before"),
            last=named("touchpoint", "place"),
            stage=named("stage", "place"),
            next_touchpoint=named("touchpoint", "next"),
            channel=named("channel", "next"),
        )
        .drop("customer")
        .rename({"name": "customer"})
    )
