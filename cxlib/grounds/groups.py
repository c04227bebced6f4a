"""Ground *groups*: the same place, transition or stage step in the other values of a column.

Each value of a segment, channel, owner or environment column is held against the rest of its unit,
within strata. What a value does everywhere is taken out where enough units tell it; how much units
× values usually differ is estimated from the bulk; standard errors are over customers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.grounds.additive import Floats
from cxlib.grounds.comparing import (
    LEAST_CASES,
    WAY,
    compare_arms,
    design_effect,
    read_cases,
    split_columns,
    tail_of_counts,
)
from cxlib.grounds.expectation import natural_spread, stated_spread, tail_scale
from cxlib.grounds.judged import as_judged, natural_p, tell_effects, unit_names
from cxlib.grounds.kinds import Counts, Ground, Signal, Unit
from cxlib.segments import dimension_values, segment_names

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals

LEAST_OVERLAP = 0.5
"""Share of a value's cases that must lie in strata where others are as well."""

DEFAULT_SPREAD = {"share": 0.2, "wait": 0.15, "rating": 0.1}
"""Natural spread of groups that is assumed where too few units tell: in logits, in logarithms of
waits, and as a share of the standard deviation of a rating."""

LEAST_SPREAD = 0.1
"""The least natural spread that is allowed for where the bulk tells it; ratings and waits: as a
share of the standard deviation."""

MOST_VALUES = 64
"""Values of a column that are judged, the most frequent ones."""

_OUTLYING = 3.0
"""Distance of one value at a unit from which on the other values say nothing of natural variety."""

ENOUGH_UNITS = 8
"""Units from which on what a value does everywhere, and the spread, are estimated."""


def judge_groups(part: Arrivals, signals: Mapping[str, Signal]) -> list[pl.DataFrame]:
    """Judge every value of every column by every signal."""
    frames = []
    for signal in signals.values():
        if signal.counts is None or "groups" not in signal.counts.grounds:
            continue
        spread = _spread_of(part, signal)
        for column, cases, strata in _columns(part, signal):
            judged = _judge_column(part, signal, column, cases, strata, spread)
            frames += [as_judged(judged, signal, "groups")] if len(judged) else []
    return frames


def _spread_of(part: Arrivals, signal: Signal) -> dict[Unit, float]:
    """Design effect of the cases of a signal by unit: those of one customer go together."""
    counts = signal.counts or Counts("")
    names = (counts.n, counts.total, counts.squares)
    if signal.family == "wait":
        names = ("wait_n", "wait_sum", "wait_sq")
    tables = [t for t in (part.spread, part.repeats_spread) if names[1] in t.columns]
    if not tables:
        return {}
    places, ways = (design_effect(tables[0], *names, at=at) for at in (["target"], WAY))
    return {"place": places, "stage_step": places, "transition": ways}


Cases = dict[Unit, pl.DataFrame]


def _columns(part: Arrivals, signal: Signal) -> Iterator[tuple[str, Cases, list[str]]]:
    """Each column that splits the log: its name, cases by unit with ``value``, and strata."""
    units: tuple[Unit, ...] = ("place", "transition", "stage_step")
    read = {u: c for u in units if (c := read_cases(part, signal, u)) is not None}
    for name, index, values in split_columns(part):
        at = pl.col(index).cast(pl.UInt32)
        added, strata = {"value": pl.lit(values).gather(at)}, ["segment"]
        if index == "segment":
            others = [n for n in segment_names(part.segments) if n != name]
            added["rest"] = pl.lit(_code(part.segments, others)).gather(at)
            strata = ["rest", "target"]
        yield name, {u: c.with_columns(**added) for u, c in read.items()}, strata
    if not signal.counts or not signal.counts.around:
        return
    around = {u: c for u in units if (c := read_cases(part, signal, u, around=True)) is not None}
    columns = sorted({name for c in around.values() for name in c["column"].unique()})
    for name in columns:
        here = {u: c.filter(pl.col("column") == name) for u, c in around.items()}
        yield name, {u: c for u, c in here.items() if len(c)}, ["segment", "target"]


def _code(segments: pl.DataFrame, names: list[str]) -> pl.Series:
    """Number of each combination of some segment dimensions, by combination of all."""
    if not names:
        return pl.Series([0] * len(segments), dtype=pl.Int64)
    values = [dimension_values(segments, name) for name in names]
    return pl.DataFrame(values).select(pl.struct(pl.all()).rank("dense").cast(pl.Int64)).to_series()


def _judge_column(
    part: Arrivals,
    signal: Signal,
    column: str,
    read: Cases,
    strata: list[str],
    spread: Mapping[Unit, float],
) -> pl.DataFrame:
    """Judge the values of one column at all units."""
    found = {}
    for unit, cases in read.items():
        common = (
            cases.group_by("value")
            .agg(pl.col("n").sum())
            .sort("n", "value", descending=[True, False])
        )
        kept = common["value"].head(MOST_VALUES)
        within = [*strata, "period", *(["source"] if unit == "place" else [])]
        arms = compare_arms(
            cases.filter(pl.col("value").is_in(kept.implode())),
            within,
            arm="value",
            share=signal.family == "share",
        )
        found[unit] = arms.filter(
            (pl.col("n") >= LEAST_CASES)
            & (pl.col("rest") >= LEAST_CASES)
            & (pl.col("overlap") >= LEAST_OVERLAP)
        ).sort("u", "value")
        # as many independent cases as tell as much
        wide = spread.get(unit, 1.0)
        found[unit] = found[unit].with_columns(
            pl.col("score", "info") / wide, pl.col("variance") * wide, spread=pl.lit(wide)
        )
    own, tau, many = _usual(signal, found)
    frames = []
    for unit, arms in found.items():
        if arms.is_empty() or (unit == "stage_step" and many):
            continue
        frames.append(_frame(part, signal, column, unit, arms, own, tau))
    return pl.concat(frames) if frames else pl.DataFrame()


def _usual(signal: Signal, found: Cases) -> tuple[dict[str, float], float, bool]:
    """What each value does everywhere (where enough units tell it), and how much units differ."""
    default = DEFAULT_SPREAD[signal.family]
    place, transition = (found.get(u, pl.DataFrame()) for u in ("place", "transition"))
    arms = place if _units(place) >= ENOUGH_UNITS else transition
    if arms.is_empty():
        return {}, default, False
    default *= _sd(arms) if signal.family == "rating" else 1.0
    effect = (arms["score"] / arms["info"]).to_numpy()
    variance = (1 / arms["info"]).to_numpy()
    own: dict[str, float] = {}
    values = arms["value"].to_numpy()
    enough = _units(arms) >= ENOUGH_UNITS
    for value in np.unique(values) if enough else ():
        mine = values == value
        if mine.sum() >= ENOUGH_UNITS:
            own[str(value)] = _weighted_median(effect[mine], np.sqrt(1 / variance[mine]))
    centred = effect - np.array([own.get(str(v), 0.0) for v in values])
    scale = 1.0 if signal.family == "share" else _sd(arms)
    if arms is place:
        tau = max(LEAST_SPREAD * scale, natural_spread(centred, variance))
    else:
        # one broken place is many transitions: only their median is asked
        tau = stated_spread(centred, variance, default=default, units=_units(arms))
    return own, tau, arms is place


def _units(arms: pl.DataFrame) -> int:
    return 0 if arms.is_empty() else arms["u"].n_unique()


def _sd(arms: pl.DataFrame) -> float:
    return float(arms["value_variance"].mean() or 1.0) ** 0.5  # type: ignore[arg-type]


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _frame(
    part: Arrivals,
    signal: Signal,
    column: str,
    unit: Unit,
    arms: pl.DataFrame,
    own: dict[str, float],
    tau: float,
) -> pl.DataFrame:
    """Effects, intervals and p values of the values of a column at units of one kind."""
    info = arms["info"].to_numpy()
    usual = np.array([own.get(v, 0.0) for v in arms["value"]])
    apart = arms["score"].to_numpy() / info - usual
    z = signal.harm * apart / np.sqrt(1 / info + tau**2)
    # where one value stands out, the others are better by as much: they tell nothing of the tail
    clearest = arms.with_columns(_z=pl.Series(z)).select(pl.col("_z").max().over("u"))
    quiet = clearest["_z"].to_numpy() < _OUTLYING
    z = z / tail_scale(z[quiet])
    n, total = arms["n"].to_numpy(), arms["total"].to_numpy()
    effect, variance = arms["difference"].to_numpy(), arms["variance"].to_numpy()
    observed, rest = total / n, arms["rest"].to_numpy()
    p, slope, sd = natural_p(z, len(arms)), 1.0, np.ones(len(n))
    if signal.family == "share":
        share = np.clip(observed - effect, 0.005, 0.995)
        slope = share * (1 - share)
    else:
        sd = np.sqrt(arms["value_variance"].to_numpy())
    effect = effect - usual * slope
    wide = np.sqrt(variance + (tau * slope) ** 2)
    others = arms["other"] / arms["rest"]
    if signal.family == "share":
        # the normal law is too kind to small counts
        usual_share = np.clip(observed - effect, 1e-4, 1 - 1e-4)
        alike = arms["spread"].to_numpy()
        counts = np.round(total / alike), np.round(n / alike)
        p = np.maximum(p, tail_of_counts(*counts, usual_share, rest / alike))
    told = tell_effects(signal, n=n, observed=observed, effect=effect, wide=wide, sd=sd)
    return unit_names(part, unit, arms["u"]).with_columns(
        pl.DataFrame(told),
        group=pl.lit(column),
        value=arms["value"].cast(pl.String),
        compared_with=_others(arms),
        z=pl.Series(z),
        p=pl.Series(p),
        others=others.exp() / 3600 if signal.family == "wait" else others,
    )


def _others(arms: pl.DataFrame) -> pl.Series:
    """What each value is compared with: the other one where there are two."""
    values = arms["value"].unique().sort().to_list()
    if len(values) == 2:
        swap = {values[0]: values[1], values[1]: values[0]}
        return pl.Series([str(swap[v]) for v in arms["value"]], dtype=pl.String)
    return pl.Series(["the others"] * len(arms), dtype=pl.String)


def _needs(part: Arrivals) -> str:
    if any(split_columns(part)) or len(part.environments):
        return ""
    return "the log has no segments, no environment columns, and each touchpoint on one channel"


GROUPS = Ground(
    "groups", 3, "the others", judge_groups, _needs, says="than {with_} at the same place"
)
