"""Attribution: what stands beside conversions, whether it tells channels apart, what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Amount, Chance, Columns, Count, Flag, Label, Money, Share, Tables, Wait
from cxlib.errors import InputError, NotMeasurableError
from cxlib.numbers import chance, decimal, duration, plural
from cxlib.numbers import share as percent
from cxlib.results import Result, answers, result
from cxlib.sequences import choose_contacts, name_places
from cxlib.statistics.attribution import (
    MAX_CHANNELS,
    METHODS,
    NoiseNull,
    Paths,
    credit_shares,
    exposure_shares,
    noise_null,
)
from cxlib.statistics.rates import divide, t_quantile
from cxlib.statistics.resampling import BUCKETS, Estimates, jackknife_se, leave_one_out
from cxlib.store import Workspace
from cxlib.store.selection import Selection
from cxlib.store.walk import around, changes

__all__ = ["Attribution", "choose_horizon", "measure_attribution"]

LEVEL = 0.05
"""How seldom a log of pure noise may call any channel different."""

MOST_PERMUTED = 40_000
"""Journeys that the noise null is worked out from; of larger logs a part of the customers."""

_DRAWS = {"channel": 399, "touchpoint": 199}
_T31 = float(t_quantile(BUCKETS - 1))

_FIGURES = Columns(
    journeys=Count("watched for the whole horizon, with a touch", each="journeys"),
    conversions=Count("of these, within the horizon", each="journeys"),
    untouched=Count("conversions without any touch before", each="journeys"),
    too_young=Count("journeys begun less than a horizon before the end", each="journeys"),
    horizon=Wait("from a journey's first contact, in which touches and goals count"),
)


@result
class Attribution(Result):
    """What `measure_attribution` returns.

    Attributes
    ----------
    by
        What credit is given to: "channel" or "touchpoint".
    """

    journeys: int
    conversions: int
    untouched: int
    too_young: int
    horizon: timedelta
    by: str

    title = "What stands beside conversions"
    figures = _FIGURES
    tables = Tables(
        table=Columns(
            "one row per channel (in the order of the map; those that differ first) and method",
            group=Label("channel or touchpoint"),
            method=Label("rule of credit"),
            share=Share(
                "of conversions; by Shapley below 0 where journeys with it convert less often",
                interval=("low", "high"),
            ),
            touches=Count("before the goal or the end of the horizon", each="contacts"),
            exposure=Share("of all touches", of="touches", total="touches", each="contacts"),
            ratio=Amount("share of conversions by share of touches", interval=True),
            different=Flag("from what the same touches get where outcomes are left to chance"),
            p=Chance("of as large a difference of any channel by any method, by chance"),
            value=Money("credited, of the amounts at the goal", interval=True, optional=True),
            cost=Money("of the touches", optional=True),
            roi=Amount("(value - cost) / cost", interval=True, optional=True),
        )
    )

    @property
    def told_apart(self) -> list[str]:
        """What differs from chance, the surest first."""
        rows = self.table.filter("different").sort("p", maintain_order=True)
        return rows["group"].unique(maintain_order=True).to_list()

    def sentences(self) -> list[str]:
        """Say what was watched, and what the credits mean."""
        said = [
            f"{plural(self.conversions, 'conversion')} of {plural(self.journeys, 'journey')}, each "
            f"watched for {duration(self.horizon)} from its first contact; "
            f"{plural(self.too_young, 'journey')} too young for that left out, "
            f"{plural(self.untouched, 'conversion')} without any touch before said apart"
        ]
        if not self.told_apart:
            return [
                *said,
                f"no {self.by} differs from what its touches alone would get (smallest p "
                f"{chance(self.table['p'].min())}): the shares follow exposure, "  # type: ignore[arg-type]
                "and ranking them would say nothing",
            ]
        for name in self.told_apart:
            rows = self.table.filter(pl.col("group") == name)
            row = rows.filter(pl.col("method") == "markov").row(0, named=True)
            said.append(
                f"{name} has {percent(row['share'], row['low'], row['high'])} of the conversions "
                f"(Markov) with {percent(row['exposure'])} of the touches: "
                f"{decimal(row['ratio'], 2)} times its exposure (p {chance(row['p'])})"
            )
        return said


@answers(Attribution)
def measure_attribution(
    workspace: Workspace,
    *,
    by: Literal["channel", "touchpoint"] = "channel",
    horizon: timedelta | None = None,
    where: Selection | None = None,
) -> Attribution:
    """Give the conversions of the log to the touches before them, beside what chance would give.

    A touch is a contact before the first goal of its journey and within the horizon; the goal's own
    contact is none. Only journeys that could be watched for the whole horizon count, so that none
    is cut short by the end of the log; those that begin beyond the goal's stage have nothing to
    convert to. Intervals are over customers.

    Parameters
    ----------
    by
        "channel" or "touchpoint"; beyond 40 of them the rarest are put together as "other".
    horizon
        Time from a journey's first contact; None: within which 95 % of the conversions come among
        the journeys begun in the first half of the log, at most half of the log.
    where
        Segment, periods and channel of the contacts that are touches.

    Raises
    ------
    NotMeasurableError
        The map names no goal, or no conversion has a touch before it.
    InputError
        For another `by`, or a horizon that is not positive.
    """
    if by not in _DRAWS:
        raise InputError(f"by={by!r} is neither 'channel' nor 'touchpoint'")
    if horizon is not None and horizon <= timedelta():
        raise InputError("the horizon must be a positive duration, such as 30d")
    if not workspace.journey_map.journey.goal:
        raise NotMeasurableError(
            "attribution needs a goal: name the touchpoints that are one in the map "
            "(`journey: {goal: [...]}`)"
        )
    rows = _contacts(workspace, where)
    taken = pl.col("goal_at") - pl.col("begun")
    goals = rows.filter("goal").select(occurred_at="begun", taken=taken)
    chosen = horizon or choose_horizon(goals, workspace)
    names, place = name_places(workspace.places, by)
    touched = _Touched.of(rows, chosen, workspace, place, names)
    if touched.paths is None or not touched.paths.converted.any():
        raise NotMeasurableError(
            f"no conversion within {duration(chosen)} has a touch before it: there is nothing to "
            "give credit to"
        )
    return Attribution(
        table=Attribution.tables["table"].frame(touched.table(by)),
        journeys=len(touched.paths.first),
        conversions=int(touched.paths.converted.sum()),
        untouched=touched.untouched,
        too_young=touched.too_young,
        horizon=chosen,
        by=by,
        observed_until=workspace.observed_until,
        where=where,
    )


def _contacts(workspace: Workspace, where: Selection | None) -> pl.DataFrame:
    """Contacts up to the first goal of their journey, with the journey's begin and goal."""
    store = workspace.store()
    present = store.collect_schema().names()
    money = [pl.col(c) if c in present else pl.lit(None, pl.Float64).alias(c) for c in _MONEY]
    kept = ("customer", "bucket", "occurred_at", "place", "journey", "reached", "segment", "period")
    rows = store.select(*kept, *money).collect()
    goal = pl.col("reached") & ~around("reached", -1).fill_null(False)
    rows = rows.with_columns(goal=goal).filter(~pl.col("reached") | pl.col("goal"))
    beyond = workspace.scope.is_beyond(pl.col("place").first().over("journey"))
    rows = rows.with_columns(
        begun=pl.col("occurred_at").first().over("journey"), beyond=beyond
    ).filter(~pl.col("beyond"))
    goals = rows.filter("goal").select("journey", goal_at="occurred_at", worth="amount")
    joined = rows.join(goals, on="journey", how="left", maintain_order="left")
    return choose_contacts(workspace, joined, where)


_MONEY = ("amount", "cost")


def choose_horizon(goals: pl.DataFrame, workspace: Workspace) -> timedelta:
    """Time within which 95 % of the goals come, of what began in the first half of the log.

    `goals` has ``occurred_at``, when something began, and ``taken``, the time from there to the
    goal. At least a day, at most half of the log.
    """
    first = workspace.store().select(pl.col("occurred_at").min()).collect().item()
    half: timedelta = (workspace.observed_until - first) / 2
    early = goals.filter(pl.col("occurred_at") <= first + half)
    taken = early["taken"].dt.total_seconds().quantile(0.95)
    days = np.ceil((taken or 0) / 86_400 + 1e-9)
    return min(timedelta(days=max(float(days), 1.0)), half)


@dataclass(frozen=True, slots=True, eq=False)
class _Touched:
    """Journeys that were watched for the horizon, their touches, and what they brought."""

    paths: Paths | None
    names: list[str]
    worth: NDArray[np.float64] | None
    cost: Estimates | None
    untouched: int
    too_young: int

    @classmethod
    def of(
        cls,
        rows: pl.DataFrame,
        horizon: timedelta,
        workspace: Workspace,
        place: NDArray[np.int64],
        names: list[str],
    ) -> _Touched:
        watched = rows.filter(pl.col("begun") + horizon <= workspace.observed_until)
        too_young = rows["journey"].n_unique() - watched["journey"].n_unique()
        late = pl.col("goal_at") > pl.col("begun") + horizon
        watched = watched.filter(pl.col("occurred_at") <= pl.col("begun") + horizon).with_columns(
            goal_at=pl.when(~late).then("goal_at"), worth=pl.when(~late).then("worth")
        )
        touches = watched.filter(~pl.col("goal"))
        goals = watched.filter("goal", pl.col("goal_at").is_not_null())
        untouched = len(goals) - goals.join(touches, on="journey", how="semi").height
        if touches.is_empty():
            return cls(None, names, None, None, untouched, too_young)
        channel = place[touches["place"].to_numpy()]
        channel, names = _most_common(channel, names)
        begins = touches.select(changes("journey")).to_series()
        per = touches.filter(begins)
        end = pl.coalesce("goal_at", pl.col("occurred_at").last().over("journey"))
        before = touches.select((end - pl.col("occurred_at")).dt.total_microseconds() / 1e6)
        paths = Paths(
            channel,
            np.flatnonzero(begins.to_numpy()),
            before.to_series().to_numpy().astype(np.float64),
            per["goal_at"].is_not_null().to_numpy(),
            per["customer"].to_numpy().astype(np.int64),
            per["bucket"].to_numpy().astype(np.int64),
            len(names),
        )
        worth = per["worth"].fill_null(0.0).to_numpy() if per["worth"].sum() > 0 else None
        cost = None
        if touches["cost"].sum() > 0:
            spent = touches["cost"].fill_null(0.0).to_numpy()
            flat = channel * BUCKETS + paths.bucket[paths.path]
            summed = np.bincount(flat, spent, minlength=len(names) * BUCKETS)
            cost = summed.astype(np.float64).reshape(-1, BUCKETS)
        return cls(paths, names, worth, cost, untouched, too_young)

    def table(self, by: str) -> list[dict[str, Any]]:
        """One row per channel and method."""
        assert self.paths is not None
        whole, without = credit_shares(self.paths, buckets=BUCKETS)
        touches = exposure_shares(self.paths, buckets=BUCKETS)
        seen = touches.sum(axis=1)
        left = leave_one_out(touches)
        exposure, exposed = seen / seen.sum(), left / left.sum(axis=0)
        null = _null(self.paths, draws=_DRAWS[by])
        columns = {
            "share": (whole, without),
            "ratio": (divide(whole, exposure), divide(without, exposed)),
            **self._money(),
        }
        cells = {name: _interval(*pair) for name, pair in columns.items()}
        share, low, high = cells["share"]
        cells["share"] = (
            share,
            np.maximum(low, np.minimum(share, 0)),
            np.minimum(high, np.maximum(share, 1)),
        )
        order = sorted(np.flatnonzero(seen > 0), key=lambda c: (null.p[c] > LEVEL, c))
        rows = []
        for c in order:
            for m, method in enumerate(METHODS):
                row = {"group": self.names[c], "method": method, "touches": int(seen[c])}
                row |= {"exposure": float(exposure[c]), "p": float(null.p[c])}
                row["different"] = bool(null.p[c] <= LEVEL)
                for name, (value, low, high) in cells.items():
                    ends = ("low", "high") if name == "share" else (f"{name}_low", f"{name}_high")
                    found = (value[m, c], low[m, c], high[m, c])
                    row |= {
                        n: float(x) if np.isfinite(x) else None
                        for n, x in zip((name, *ends), found, strict=True)
                    }
                if self.cost is not None:
                    row["cost"] = float(self.cost[c].sum())
                rows.append(row)
        return rows

    def _money(self) -> dict[str, tuple[Estimates, Estimates]]:
        if self.worth is None or self.paths is None:
            return {}
        shares, without = credit_shares(self.paths, buckets=BUCKETS, worth=self.worth)
        brought = np.bincount(
            self.paths.bucket, self.worth * self.paths.converted, minlength=BUCKETS
        )
        value = shares * brought.sum()
        # a bucket left out leaves a smaller log: scaled up, to be one of the log's size
        value_without = without * (brought.sum() - brought) * BUCKETS / (BUCKETS - 1)
        found = {"value": (value, value_without)}
        if self.cost is not None:
            cost = self.cost.sum(axis=1)
            cost_without = leave_one_out(self.cost) * BUCKETS / (BUCKETS - 1)
            found["roi"] = (divide(value, cost) - 1, divide(value_without, cost_without) - 1)
        return found


def _interval(whole: Estimates, without: Estimates) -> tuple[Estimates, Estimates, Estimates]:
    half = _T31 * jackknife_se(whole, without, axis=-1)
    return whole, whole - half, whole + half


def _most_common(
    channel: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """Put the rarest together, where there are more than can be told apart."""
    if len(names) <= MAX_CHANNELS:
        return channel, names
    order = np.argsort(-np.bincount(channel, minlength=len(names)), kind="stable")
    kept = np.sort(order[: MAX_CHANNELS - 1])
    number = np.full(len(names), MAX_CHANNELS - 1)
    number[kept] = np.arange(len(kept))
    return number[channel], [*(names[c] for c in kept), "other"]


def _null(paths: Paths, *, draws: int) -> NoiseNull:
    """Permute outcomes; of a large log those of a part of the customers, chosen by number."""
    step = -(-len(paths.first) // MOST_PERMUTED)
    chosen = paths.customer % step == 0
    if not paths.converted[chosen].any():
        chosen[:] = True
    n = paths.lengths[chosen]
    part = np.repeat(chosen, paths.lengths)
    kept = Paths(
        paths.channel[part],
        np.concatenate([[0], n.cumsum()[:-1]]).astype(np.int64),
        paths.before_end[part],
        paths.converted[chosen],
        paths.customer[chosen],
        paths.bucket[chosen],
        paths.channels,
    )
    return noise_null(kept, draws=draws)
