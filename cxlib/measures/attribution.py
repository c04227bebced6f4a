"""Attribution: what stands beside conversions, whether it tells channels apart, what it returns."""

from __future__ import annotations

from collections.abc import Iterator
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
    noise_null,
)
from cxlib.statistics.rates import divide, t_quantile
from cxlib.statistics.resampling import (
    BUCKETS,
    Estimates,
    dense_counts,
    jackknife_se,
    leave_one_out,
)
from cxlib.store import Workspace
from cxlib.store.selection import Selection
from cxlib.store.walk import around, changes

LEVEL = 0.03
"""How seldom a log of pure noise calls any channel different: so that it stays below one of twenty
also where few logs are looked at."""

MOST_PERMUTED = 40_000
"""Journeys that the noise null is worked out from; of larger logs a part of the customers."""

_DRAWS = {"channel": 399, "touchpoint": 199}
_T31 = float(t_quantile(BUCKETS - 1))


@result
class Attribution(Result):
    """What `measure_attribution` returns; ``by`` is what credit is given to."""

    journeys: int
    conversions: int
    untouched: int
    too_young: int
    horizon: timedelta
    by: str

    title = "What stands beside conversions"
    figures = Columns(
        journeys=Count("watched for the whole horizon, with a touch", each="journeys"),
        conversions=Count("of these, within the horizon", each="journeys"),
        untouched=Count("conversions without any touch before", each="journeys"),
        too_young=Count("journeys begun less than a horizon before the end", each="journeys"),
        horizon=Wait("from a journey's first contact, in which touches and goals count"),
    )
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
    watched = rows.filter(pl.col("begun") + chosen <= workspace.observed_until)
    in_time = watched.filter(pl.col("occurred_at") <= pl.col("begun") + chosen)
    reached = pl.col("goal_at") <= pl.col("begun") + chosen
    in_time = in_time.with_columns(pl.when(reached).then(pl.col("goal_at", "worth")))
    touches = in_time.filter(~pl.col("goal"))
    if touches["goal_at"].null_count() == len(touches):
        raise NotMeasurableError(
            f"no conversion within {duration(chosen)} has a touch before it: there is nothing to "
            "give credit to"
        )
    touched = in_time.filter("goal", pl.col("goal_at").is_not_null())["journey"]
    names, number = _most_common(*name_places(workspace.places, by), touches["place"].to_numpy())
    paths = _paths(touches, number, len(names))
    return Attribution(
        table=Attribution.tables["table"].frame(_rows(paths, names, touches, draws=_DRAWS[by])),
        journeys=len(paths.first),
        conversions=int(paths.converted.sum()),
        untouched=int((~touched.is_in(touches["journey"].implode())).sum()),
        too_young=rows["journey"].n_unique() - watched["journey"].n_unique(),
        horizon=chosen,
        by=by,
    )


def _contacts(workspace: Workspace, where: Selection | None) -> pl.DataFrame:
    """Contacts up to the first goal of their journey, with the journey's begin and goal."""
    store = workspace.store()
    present = store.collect_schema().names()
    kept = ("customer", "bucket", "occurred_at", "place", "journey", "reached", "segment", "period")
    money = (pl.col(c) if c in present else pl.lit(0.0).alias(c) for c in ("amount", "cost"))
    rows = store.select(*kept, *money).collect()
    goal = pl.col("reached") & ~around("reached", -1).fill_null(False)
    rows = rows.with_columns(goal=goal).filter(~pl.col("reached") | pl.col("goal"))
    begins = pl.col("occurred_at", "place").first().over("journey")
    rows = rows.with_columns(begins.name.prefix("first_")).rename({"first_occurred_at": "begun"})
    rows = rows.filter(~workspace.scope.is_beyond(pl.col("first_place")))
    goals = rows.filter("goal").select("journey", goal_at="occurred_at", worth="amount")
    joined = rows.join(goals, on="journey", how="left", maintain_order="left")
    return choose_contacts(workspace, joined, where)


def choose_horizon(goals: pl.DataFrame, workspace: Workspace) -> timedelta:
    """Time within which 95 % of the goals come, of what began in the first half of the log.

    `goals` has ``occurred_at``, when something began, and ``taken``, the time to the goal. At least
    a day, at most half of the log.
    """
    first = workspace.store().select(pl.col("occurred_at").min()).collect().item()
    half: timedelta = (workspace.observed_until - first) / 2
    early = goals.filter(pl.col("occurred_at") <= first + half)
    taken = early["taken"].dt.total_seconds().quantile(0.95)
    days = np.ceil((taken or 0) / 86_400 + 1e-9)
    return min(timedelta(days=max(float(days), 1.0)), half)


def _paths(touches: pl.DataFrame, channel: NDArray[np.int64], channels: int) -> Paths:
    begins = touches.select(changes("journey")).to_series()
    per = touches.filter(begins)
    end = pl.coalesce("goal_at", pl.col("occurred_at").last().over("journey"))
    before = touches.select((end - pl.col("occurred_at")).dt.total_microseconds() / 1e6)
    return Paths(
        channel,
        np.flatnonzero(begins.to_numpy()),
        before.to_series().to_numpy().astype(np.float64),
        per["goal_at"].is_not_null().to_numpy(),
        per["customer"].to_numpy().astype(np.int64),
        per["bucket"].to_numpy().astype(np.int64),
        channels,
    )


def _rows(
    paths: Paths, names: list[str], touches: pl.DataFrame, *, draws: int
) -> Iterator[dict[str, Any]]:
    """One row per channel and method."""
    whole, without = credit_shares(paths, buckets=BUCKETS)
    axes = {
        "channel": (paths.channel, len(names)),
        "bucket": (paths.bucket[paths.path], BUCKETS),
    }
    met = dense_counts(axes, np.ones(len(touches)))
    spent = dense_counts(axes, touches["cost"].fill_null(0.0))
    seen, left = met.sum(axis=1), leave_one_out(met)
    exposure, exposed = seen / seen.sum(), left / left.sum(axis=0)
    worth = touches.filter(changes("journey"))["worth"].fill_null(0.0).to_numpy()
    null = _null(paths, draws=draws)
    cells = {
        "share": _interval(whole, without),
        "ratio": _interval(divide(whole, exposure), divide(without, exposed)),
        **_money(paths, worth, spent),
    }
    share, low, high = cells["share"]
    low, high = np.maximum(low, np.minimum(share, 0)), np.minimum(high, np.maximum(share, 1))
    cells["share"] = share, low, high
    for c in sorted(np.flatnonzero(seen > 0), key=lambda c: (null.p[c] > LEVEL, c)):
        for m, method in enumerate(METHODS):
            row = {"group": names[c], "method": method, "touches": int(seen[c])}
            row |= {"exposure": float(exposure[c]), "p": float(null.p[c])}
            row["different"] = bool(null.p[c] <= LEVEL)
            for name, found in cells.items():
                ends = Attribution.tables["table"].ends(name)
                told = zip((name, *ends), (x[m, c] for x in found), strict=True)
                row |= {n: float(x) if np.isfinite(x) else None for n, x in told}
            yield row | ({"cost": float(spent[c].sum())} if spent.any() else {})


def _money(paths: Paths, worth: Estimates, spent: Estimates) -> dict[str, tuple[Estimates, ...]]:
    """What is credited, and what it returns; nothing where the log has no amounts."""
    if not worth.sum() > 0:
        return {}
    shares, without = credit_shares(paths, buckets=BUCKETS, worth=worth)
    brought = np.bincount(paths.bucket, worth * paths.converted, minlength=BUCKETS)
    value = shares * brought.sum()
    # a bucket left out leaves a smaller log: scaled up, to be one of the log's size
    value_without = without * (brought.sum() - brought) * BUCKETS / (BUCKETS - 1)
    found: dict[str, tuple[Estimates, ...]] = {"value": _interval(value, value_without)}
    if spent.any():
        cost, left = spent.sum(axis=1), leave_one_out(spent) * BUCKETS / (BUCKETS - 1)
        found["roi"] = _interval(divide(value, cost) - 1, divide(value_without, left) - 1)
    return found


def _interval(whole: Estimates, without: Estimates) -> tuple[Estimates, Estimates, Estimates]:
    half = _T31 * jackknife_se(whole, without, axis=-1)
    return whole, whole - half, whole + half


def _most_common(
    names: list[str], number: NDArray[np.int64], place: NDArray[np.integer]
) -> tuple[list[str], NDArray[np.int64]]:
    """Names and numbers of the touches, the rarest put together where there are too many."""
    channel = number[place]
    if len(names) <= MAX_CHANNELS:
        return names, channel
    order = np.argsort(-np.bincount(channel, minlength=len(names)), kind="stable")
    kept = np.sort(order[: MAX_CHANNELS - 1])
    again = np.full(len(names), MAX_CHANNELS - 1)
    again[kept] = np.arange(len(kept))
    return [*(names[c] for c in kept), "other"], again[channel]


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
    return noise_null(kept, draws=draws, level=LEVEL)
