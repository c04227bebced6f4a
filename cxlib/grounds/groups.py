"""Ground *groups*: the same place, transition or stage step in the other values of a column.

Each value of a segment, channel, owner or environment column is held against the rest of its unit,
within strata. What a value does everywhere is taken out where enough units tell it; how much units
× values usually differ is estimated from the bulk; standard errors are over customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Codes
from cxlib.grounds.cases import (
    Cases,
    Order,
    Rows,
    Split,
    combine,
    count_up,
    environment_columns,
    firsts,
    kept,
    read_cases,
    sort_rows,
    split_columns,
    split_segments,
    stack_columns,
    take,
)
from cxlib.grounds.comparing import (
    LEAST_CASES,
    WAY,
    Arms,
    compare_arms,
    spread_over_customers,
    tail_of_counts,
)
from cxlib.grounds.expectation import drawn_spread, stated_spread, tail_scale, weighted_median
from cxlib.grounds.judged import name_units, natural_p, tell_effects, told_as
from cxlib.grounds.kinds import UNITS, Counts, Ground, Judged, Signal, Unit

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


def judge_groups(part: Arrivals, signals: Mapping[str, Signal]) -> list[Judged]:
    """Judge every value of every column by every signal."""
    found: list[Judged] = []
    for signal in signals.values():
        if signal.counts is not None and "groups" in signal.counts.grounds:
            for around in (False, True) if signal.counts.around else (False,):
                found += _judge_signal(part, signal, around=around)
    return found


class Compared(NamedTuple):
    """Values at units: number and name of the column, the unit, the value, and its arm.

    ``spread``: design effect of the cases, those of one customer go together.
    """

    column: Codes
    group: NDArray[np.object_]
    u: Codes
    value: NDArray[np.object_]
    arms: Arms
    spread: float

    def where(self, chosen: NDArray[np.bool_]) -> Compared:
        """Some of them."""
        own = (self.column, self.group, self.u, self.value)
        return Compared(*take(own, chosen), take(self.arms, chosen), self.spread)

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(np.unique(self.u))

    @property
    def sd(self) -> float:
        """Standard deviation of one value, on average."""
        return float(self.arms.value_variance.mean()) ** 0.5


def _judge_signal(part: Arrivals, signal: Signal, *, around: bool) -> list[Judged]:
    """Judge the values of all columns (`around`: of the environment) by one signal."""
    read = {u: c for u in UNITS if (c := read_cases(part, signal, u, around=around)) is not None}
    found = {u: _compare(part, signal, u, cases, around=around) for u, cases in read.items()}
    judged = []
    for column in sorted({number for f in found.values() for number in f.column.tolist()}):
        values = {u: f.where(f.column == column) for u, f in found.items()}
        # one way on differs more than all ways out of a place together
        alike = [{u: f} for u, f in values.items()] if signal.family == "wait" else [values]
        for units in alike:
            own, tau, many = _usual(signal, units)
            judged += [
                _tell(part, signal, unit, compared, own, tau)
                for unit, compared in units.items()
                if len(compared.u) and not (unit == "stage_step" and many)
            ]
    return judged


def _compare(part: Arrivals, signal: Signal, unit: Unit, cases: Cases, *, around: bool) -> Compared:
    """Every value of every column at every unit against the others there."""
    rows = cases.rows
    name = ("groups", rows.name, unit)
    order = kept(part.cache, name, lambda: _order_groups(part, rows, unit, around=around))
    columns, counted = order.columns, cases.n[order.row]
    total = np.bincount(order.value, counted, len(columns.column))
    ranked = np.lexsort((-total, columns.column))
    common = np.zeros(len(total), dtype=bool)
    place = np.arange(len(total)) - np.searchsorted(columns.column, columns.column)
    common[ranked[place < MOST_VALUES]] = True
    used = np.flatnonzero((counted > 0) & common[order.value])
    first = firsts(order.levels[2][used])
    n, s, q = (np.add.reduceat(x[order.row[used]], first) for x in cases[1:])
    row, value = order.row[used][first], order.value[used][first]
    of_unit = columns.column[value] * len(rows.units) + rows.unit[row]
    number, at, arm = np.unique(combine(of_unit, value), return_index=True, return_inverse=True)
    stratum = count_up(order.levels[1][used][first])
    squares = None if signal.family == "share" else q
    arms = compare_arms(arm, stratum, n, s, squares, unit=of_unit)
    wide = _spread_of(part, signal, unit)
    arms = arms._replace(
        score=arms.score / wide, info=arms.info / wide, variance=arms.variance * wide
    )
    fair = (arms.weight > 0) & (arms.info > 0) & (arms.n >= LEAST_CASES)
    fair &= (arms.rest >= LEAST_CASES) & (arms.overlap >= LEAST_OVERLAP)
    number, u = value[at], rows.units[rows.unit[row[at]]]
    named = columns.column[number], columns.group[number], u, columns.label[number]
    return Compared(*named, arms, wide).where(fair)


def _order_groups(part: Arrivals, rows: Rows, unit: Unit, around: bool) -> Order:
    """Rows by column and unit, by stratum, by value."""
    columns = environment_columns(rows) if around else stack_columns(part, rows)
    segment, target = rows.segment[columns.row], rows.target[columns.row]
    number = columns.column[columns.value]
    if not around:
        # of a segment dimension the others, and the place; of what places are, the segment
        splits = split_columns(part)
        others = np.array([_others_of(part, s) for s in splits], dtype=np.int64)
        others = others.reshape(len(splits), len(part.segments))
        of_places = np.array([s.key == "target" for s in splits], dtype=bool)[number]
        segment = others[number, segment]
        target = np.where(of_places, 0, target)
    within = [segment, target, rows.period[columns.row]]
    within += [rows.source[columns.row]] if unit == "place" else []
    return sort_rows(columns, [number, rows.unit[columns.row]], within, [columns.value])


def _others_of(part: Arrivals, split: Split) -> Codes:
    """Number of each combination of the other segment dimensions, by combination of all."""
    every = split.key == "target"
    others = [s.codes for s in split_segments(part) if every or s.name != split.name]
    return combine(np.zeros(len(part.segments), dtype=np.int64), *others)


def _spread_of(part: Arrivals, signal: Signal, unit: Unit) -> float:
    """Design effect of the cases of a signal at units: those of one customer go together."""
    counts = signal.counts or Counts("")
    names = (counts.n, counts.total, counts.squares)
    if signal.family == "wait":
        names = ("wait_n", "wait_sum", "wait_sq")
    if names[1] not in (*part.spread.columns, *part.repeats_spread.columns):
        return 1.0
    at = ["source" if signal.family == "wait" else "target"]
    return spread_over_customers(part, *names, at=WAY if unit == "transition" else at)


def _usual(signal: Signal, found: Mapping[Unit, Compared]) -> tuple[dict[str, float], float, bool]:
    """What each value does everywhere (where enough units tell it), and how much units differ."""
    default = DEFAULT_SPREAD[signal.family]
    place, transition = (found.get(u) for u in ("place", "transition"))
    many = place is not None and place.units >= ENOUGH_UNITS
    told = place if many else transition
    if told is None or not len(told.u):
        return {}, default, False
    default *= told.sd if signal.family == "rating" else 1.0
    effect, variance = told.arms.score / told.arms.info, 1 / told.arms.info
    own: dict[str, float] = {}
    for value in np.unique(told.value) if told.units >= ENOUGH_UNITS else ():
        mine = told.value == value
        if mine.sum() >= ENOUGH_UNITS:
            own[value] = weighted_median(effect[mine], np.sqrt(1 / variance[mine]))
    centred = effect - np.array([own.get(v, 0.0) for v in told.value])
    scale = 1.0 if signal.family == "share" else told.sd
    if many:
        shown = drawn_spread(centred, variance, default=default)
        return own, max(LEAST_SPREAD * scale, shown), True
    # one broken place is many transitions: only their median is asked. Where one value stands out,
    # the others are better by as much: such a unit tells nothing
    clear = np.abs(centred) / np.sqrt(variance + default**2)
    quiet = ~np.isin(told.u, told.u[clear > _OUTLYING])
    units = len(np.unique(told.u[quiet]))
    tau = stated_spread(
        centred[quiet], variance[quiet], default=default, units=int(quiet.sum()) - units
    )
    return own, tau, False


def _tell(
    part: Arrivals,
    signal: Signal,
    unit: Unit,
    compared: Compared,
    own: Mapping[str, float],
    tau: float,
) -> Judged:
    """Effects, intervals and p values of the values of a column at units of one kind."""
    arms, info, values = compared.arms, compared.arms.info, compared.value
    usual, known = np.array([own.get(v, 0.0) for v in values]), sorted(set(values))
    z = signal.harm * (arms.score / info - usual) / np.sqrt(1 / info + tau**2)
    # where one value stands out, the others are better by as much: they tell nothing of the tail
    clearest = np.maximum.reduceat(z, firsts(compared.u))[count_up(compared.u)]
    z = z / tail_scale(z[clearest < _OUTLYING])
    n, rest, observed = arms.n, arms.rest, arms.total / arms.n
    effect, p, slope = arms.difference, natural_p(z, len(z)), np.ones(len(z))
    if signal.family == "share":
        share = np.clip(observed - effect, 0.005, 0.995)
        slope = share * (1 - share)
        # the normal law is too kind to small counts
        usual_share = np.clip(observed - (effect - usual * slope), 1e-4, 1 - 1e-4)
        alike = compared.spread
        counts = np.round(arms.total / alike), np.round(n / alike)
        p = np.maximum(p, tail_of_counts(*counts, usual_share, rest / alike))
    effect, others = effect - usual * slope, arms.other / rest
    told = tell_effects(
        signal,
        n=n,
        observed=observed,
        effect=effect,
        wide=np.sqrt(arms.variance + (tau * slope) ** 2),
        sd=np.sqrt(arms.value_variance),
    )
    return {
        **name_units(part, unit, compared.u),
        **told,
        "signal": signal.name,
        "group": compared.group,
        "value": values,
        "compared_with": [
            known[v == known[0]] if len(known) == 2 else "the others" for v in values
        ],
        "z": z,
        "p": p,
        "others": told_as(signal, others),
    }


def _needs(part: Arrivals) -> str:
    why = "the log has no segments, no environment columns, and each touchpoint on one channel"
    return "" if split_columns(part) or len(part.environments) else why


_SAYS = "than {with_} at the same place"
GROUPS = Ground("groups", 3, "the others", judge_groups, _needs, says=_SAYS)
