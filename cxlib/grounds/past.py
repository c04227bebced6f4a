"""Ground *past*: the same place, transition or stage step at other times.

Per unit, and per value of a segment or channel there, every date and every stretch of time is
tried; the clearest speaks, and pays for the choice (`DATES`, `_STRETCHES`). What changes
everywhere at once is taken out where enough units tell it; customers are compared within strata
(source, segment, weekday; month, where the log covers two years); how much units usually change
comes from the bulk.

Siegmund (1986), doi:10.1214/aos/1176349928; Olshen et al. (2004), doi:10.1093/biostatistics/kxh008
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.histories import block_at, block_days, block_starts
from cxlib.grounds.additive import Codes, Floats, add_up
from cxlib.grounds.cases import (
    Order,
    Rows,
    count_up,
    firsts,
    kept,
    read_cases,
    sort_rows,
    stack_columns,
    take,
)
from cxlib.grounds.comparing import LEAST_CASES, tail_of_counts
from cxlib.grounds.expectation import drawn_spread, median, stated_spread
from cxlib.grounds.judged import name_units, natural_p, say_day, tell_effects, told_as
from cxlib.grounds.kinds import UNITS, Ground, Judged, Signal, Unit

DATES, _STRETCHES = 12.0, 1000.0
"""By how much the p value of the clearest date, and of the clearest stretch, is raised: effective
numbers of independent ones, by simulation of Brownian bridges of 60 blocks (at 3 to 4 standard
errors 8 to 12, and 110 to 230; four times that, because a stretch is easily found in noise that is
not quite so white)."""

_BEGUN, _ENDED = 1.25, 5.0
"""By how much the p values of two datings of the same waits are raised, of which the clearer one
speaks (weighted Bonferroni): most changes concern those who begin to wait, some whose wait ends."""

_NATURAL = 6.0
"""The same for changes as large as natural ones: drift is smooth, and few dates differ."""

DEFAULT_SPREAD = {"share": 0.15, "wait": 0.15, "rating": 0.1}
"""Natural change that is assumed where too few units tell (logits; logarithms; of the sd)."""

LEAST_SPREAD = 0.07

_PRIOR_UNITS, _HALVINGS = 1.0, 3
"""Units of the usual change that count beside what a unit shows of its own drift; how often the
times before and after a change are halved to see that."""

ENOUGH_UNITS = 8
_LEAST_BLOCKS, _FEWEST_USED = 8, 4
_EDGE, _NOTHING = 0.05, 1e-9
_LEAST_GOOD = 0.2
"""Share of the time that must have been good for all the rest to be called broken: two quick weeks
over the holidays do not make a fault of the year before."""

_MOST_VALUES = 12
_SIDE_BY_SIDE = 1_000_000
"""Stretches that are held against one another at a time."""

_MEDIAN_SQUARE = 0.4549
"""Median of the square of a standard normal value."""


class Series(NamedTuple):
    """Units over time, one a row: residuals from their own means, their information, the cases.

    ``exact``: information on the difference between before the end of a block and after it;
    ``slope``: of the scale of the effect in points; ``variance``: of one value.
    """

    u: Codes
    group: NDArray[np.object_]
    value: NDArray[np.object_]
    residual: Floats
    info: Floats
    exact: Floats
    n: Floats
    total: Floats
    slope: Floats
    variance: Floats


def judge_past(part: Arrivals, signals: Mapping[str, Signal]) -> list[Judged]:
    """Judge every unit by every signal against its own other times."""
    found: list[Judged] = []
    for signal in signals.values():
        if signal.past is not None:
            found += signal.past(part)
        if signal.counts is not None and "past" in signal.counts.grounds:
            found += judge_history(part, signal)
    return found


def judge_history(part: Arrivals, signal: Signal) -> list[Judged]:
    """Judge every unit by one signal against its own other times."""
    return [found for unit in UNITS if (found := _judge_unit(part, signal, unit)) is not None]


def _read_series(part: Arrivals, signal: Signal, unit: Unit, *, begun: bool) -> Series | None:
    """The series of each unit, and of each value of a column there; those of too few cases not."""
    cases, span = read_cases(part, signal, unit, begun=begun), part.settings.span
    if cases is None:
        return None
    rows = cases.rows
    order = kept(part.cache, ("times", rows.name, unit), lambda: _order_times(part, rows, unit))
    n, block = cases.n[order.row], rows.block[order.row]
    if signal.counts is not None and signal.counts.warm_up:
        warm = block_at(part.settings.first_at, part.periods, span)
        n = np.where(block >= warm - (-part.settings.silence.days // block_days(span)), n, 0.0)
    of, stratum, cell = order.levels
    enough = np.bincount(of, n) >= 2 * LEAST_CASES
    used = np.flatnonzero((n > 0) & enough[of])
    if not len(used):
        return None
    size = int(block[n > 0].max()) + 1
    # what is of one stratum and block is added up first, so that sums of counts are exact
    first = used[firsts(cell[used])]
    starts = firsts(cell[used])
    n, s, q = (np.add.reduceat(x[order.row[used]], starts) for x in cases[1:])
    of, stratum, at = count_up(of[first]), count_up(stratum[first]), block[first]
    head = first[firsts(of)]
    share, count = signal.family == "share", len(head)
    at = of * size + at

    def by_block(values: Floats) -> Floats:
        return add_up(values, at, count * size).reshape(-1, size)

    whole, owner = np.bincount(stratum, n), of[firsts(stratum)]
    mean = np.bincount(stratum, s) / whole
    if share:
        weight, variance = mean * (1 - mean) * whole / np.maximum(whole - 1, 1), np.ones(count)
    else:
        inside = np.bincount(of, q) - np.bincount(owner, whole * mean**2)
        freedom = np.bincount(of, n) - np.bincount(owner)
        weight, variance = np.ones(len(whole)), np.maximum(inside / np.maximum(freedom, 1), 1e-3)
    # before a date b of N cases of a stratum: b (N - b) / N pairs, summed over strata
    reached = np.cumsum(n) - (np.cumsum(whole) - whole)[stratum]
    met = (reached**2 - (reached - n) ** 2) / whole[stratum]
    info = by_block(n * weight[stratum])
    exact = (info - by_block(weight[stratum] * met)).cumsum(1)
    plain = by_block(n - met).cumsum(1)
    value = order.value[head]
    return Series(
        u=rows.units[rows.unit[order.row[head]]],
        group=order.columns.group[value],
        value=order.columns.label[value],
        residual=by_block(s - n * mean[stratum]),
        info=info,
        exact=exact,
        n=by_block(n),
        total=by_block(s),
        slope=exact.sum(1) / np.maximum(plain.sum(1), 1e-9),
        variance=variance,
    )


def _order_times(part: Arrivals, rows: Rows, unit: Unit) -> Order:
    """Rows by unit, for everybody and for each value of a column; by stratum; by block."""
    span, none = part.settings.span, np.zeros(len(rows.unit), dtype=np.int64)
    months = np.array([d.month for d in block_starts(part.periods, span)])
    season = months[rows.block] if span.days >= 2 * 365 else none
    weekday = rows.block % 7 if block_days(span) == 1 else none
    strata = [rows.segment, season, weekday, rows.target]
    # who waits within a session, and who until the next, moves all ways of a group at once
    mixed = unit == "place" and "bin" in rows.table.columns
    most = 0 if mixed else _MOST_VALUES
    columns = stack_columns(part, rows, at_most=most, everybody=True)
    of_unit = [columns.column[columns.value], rows.unit[columns.row], columns.value]
    within = [key[columns.row] for key in (*strata, *([rows.source] if unit == "place" else []))]
    return sort_rows(columns, of_unit, within, [rows.block[columns.row]])


class Noise(NamedTuple):
    """What changes are held against: overdispersion of blocks, usual change, what tells of it.

    Of the three dates at which all units are asked how much they change, two count as independent.
    """

    phi: Floats
    tau: float
    units: int
    least: float = np.inf  # what a unit changes at least, however steady it shows itself

    @property
    def by_unit(self) -> bool:
        """Whether a unit that keeps steady is held against its own steadiness."""
        return self.least < self.tau


def _judge_unit(part: Arrivals, signal: Signal, unit: Unit) -> Judged | None:
    """The clearest change of each series, against how much units usually change.

    A change at a date concerns those who begin to wait then, or those whose wait ends: where both
    are known the clearer one speaks, and pays for the choice.
    """
    found = _find_changes(part, signal, unit, begun=False)
    if signal.counts is not None and signal.counts.begun and found is not None:
        begun = _find_changes(part, signal, unit, begun=True)
        found = found if begun is None else _clearer(found, begun)
    if found is None:
        return None
    series, changes = found
    brief = changes.end - changes.start < _LEAST_GOOD * series.n.shape[1]
    good = (changes.p <= 1) & brief & (changes.apart * signal.harm < 0)
    changes = changes._replace(p=np.where(good, 1.0, changes.p))
    known = changes.p <= 1
    if not known.any():
        return None
    return _tell(part, signal, unit, take(series, known), take(changes, known))


def _clearer(
    ended: tuple[Series, Changes], begun: tuple[Series, Changes]
) -> tuple[Series, Changes]:
    """Of two datings of the same cases the one with the clearer change, for each series."""
    size = max(series.n.shape[1] for series, _ in (ended, begun))
    datings = []
    for (series, changes), tries in ((ended, _ENDED), (begun, _BEGUN)):
        p = np.where(changes.p <= 1, np.minimum(tries * changes.p, 1.0), changes.p)
        end = np.where(changes.end == series.n.shape[1], size, changes.end)
        blocks = ((0, 0), (0, size - series.n.shape[1]))
        padded: list[Any] = [np.pad(x, blocks) if x.ndim == 2 else x for x in series]
        datings.append((Series(*padded), changes._replace(p=p, end=end)))
    (series, changes), (others, theirs) = datings
    clearer = theirs.p <= changes.p

    def choose(columns: Iterable[Any], instead: Iterable[Any]) -> list[Any]:
        pairs = zip(columns, instead, strict=True)
        return [np.where(clearer[:, None] if x.ndim == 2 else clearer, y, x) for x, y in pairs]

    return Series(*choose(series, others)), Changes(*choose(changes, theirs))


def _find_changes(
    part: Arrivals, signal: Signal, unit: Unit, *, begun: bool
) -> tuple[Series, Changes] | None:
    series = _read_series(part, signal, unit, begun=begun)
    if series is None or series.n.shape[1] < _LEAST_BLOCKS:
        return None
    everybody = np.array([group is None for group in series.group], dtype=bool)
    count = int(everybody.sum())
    if not count:
        return None
    residual, info = series.residual, series.info
    if count >= ENOUGH_UNITS:
        residual = residual - _common(info[everybody], residual[everybody]) * info
    # what is common does not add up to nothing within a series that is not always there
    left = residual.sum(1, keepdims=True) / np.maximum(info.sum(1, keepdims=True), 1e-9)
    series = series._replace(residual=residual - info * left)
    whole = take(series, everybody)
    sd = float(np.median(whole.variance)) ** 0.5
    default = DEFAULT_SPREAD[signal.family] * (sd if signal.family == "rating" else 1.0)
    tau = max(LEAST_SPREAD * sd, usual_change(whole, default))
    # a rule keeps waits steady as nothing keeps shares and ratings: each is held against itself
    least = LEAST_SPREAD if signal.family == "wait" else tau
    noise = Noise(overdispersion(series), tau, 2 * count, least)
    return series, clearest(series, noise)


def _common(info: Floats, residual: Floats) -> Floats:
    """What changes everywhere at once: a smooth robust mean of the units, by block."""
    from scipy.ndimage import gaussian_filter1d

    width = max(2, info.shape[1] // 12)
    info, residual = (
        gaussian_filter1d(x, width, axis=1, mode="constant", truncate=3.0) for x in (info, residual)
    )
    line = residual / np.maximum(info, 1e-9)
    most = [median(x[x > 0]) if (x > 0).any() else 0.0 for x in info]
    weight = np.sqrt(np.minimum(info, np.array(most)[:, None]))
    order = np.argsort(line, axis=0)
    ranked = np.take_along_axis(line, order, 0)
    reached = np.cumsum(np.take_along_axis(weight, order, 0), 0)
    half = np.argmax(reached >= reached[-1] / 2, axis=0)
    return np.asarray(np.take_along_axis(ranked, half[None, :], 0)[0])


def overdispersion(series: Series) -> Floats:
    """Variance of the blocks of each series relative to chance, drawn to that of all of them.

    Slow changes are taken out: neighbouring blocks are compared.
    """
    own, size = np.ones(len(series.n)), series.n.shape[1]
    row, block = np.nonzero(series.info > 0)
    z = series.residual[row, block] / np.sqrt(series.info[row, block] * series.variance[row])
    near = np.flatnonzero(np.diff(row) == 0)
    row, squares = row[near], np.diff(z)[near] ** 2
    pairs = np.bincount(row, minlength=len(own))
    ranked, first = squares[np.lexsort((squares, row))], np.cumsum(pairs) - pairs
    told = np.flatnonzero(pairs >= _FEWEST_USED - 1)
    middle = (first + pairs / 2)[told]
    ends = np.ceil(middle - 1).astype(np.int64), np.floor(middle).astype(np.int64)
    own[told] = (ranked[ends[0]] + ranked[ends[1]]) / 2 / 2 / _MEDIAN_SQUARE
    return np.maximum(1.0, (20 * np.median(own) + size * own) / (20 + size))


def usual_change(whole: Series, default: float) -> float:
    """How much units usually change between one part of the log and the rest."""
    found = []
    run, reached = whole.residual.cumsum(1), whole.info.cumsum(1)
    for part in (0.25, 0.5, 0.75):
        cut = (reached < part * whole.info.sum(1, keepdims=True)).sum(1, keepdims=True)
        cut = np.minimum(cut, whole.n.shape[1] - 1)
        before, exact = (np.take_along_axis(x, cut, 1)[:, 0] for x in (run, whole.exact))
        fair = exact > _NOTHING * reached[:, -1]
        effect, variance = -before[fair] / exact[fair], whole.variance[fair] / exact[fair]
        units = len(effect)
        found.append(
            drawn_spread(effect, variance, default=default)
            if units >= ENOUGH_UNITS
            else stated_spread(effect, variance, default=default, units=units)
        )
    return float(np.mean(found))


class Changes(NamedTuple):
    """The clearest change of each series: blocks from and to, effect, variance, and how clear.

    ``chance``: p value if nothing changed by nature; ``usual``: how much the series changes by
    nature; ``tries``: by how much p was raised for the choice; a p above 1: it is too short for
    any.
    """

    start: Codes
    end: Codes
    apart: Floats
    variance: Floats
    z: Floats
    chance: Floats
    p: Floats
    usual: Floats
    tries: Floats


def clearest(s: Series, noise: Noise) -> Changes:
    """The clearest date, or stretch of time, of each series."""
    size = s.n.shape[1]
    cases, run, info, exact = (
        np.pad(x, ((0, 0), (1, 0))) for x in (s.n.cumsum(1), s.residual.cumsum(1),
                                               s.info.cumsum(1), s.exact)
    )  # fmt: skip
    whole, cut = info[:, -1:], np.arange(1, size)
    before, pairs = info[:, cut], exact[:, cut]
    fair = (
        (np.minimum(cases[:, cut], cases[:, -1:] - cases[:, cut]) >= LEAST_CASES)
        & (np.minimum(before, whole - before) >= _EDGE * whole)
        & (pairs > _NOTHING * whole)
    )
    effect = (run[:, -1:] - run[:, cut]) / np.where(fair, pairs, 1.0)  # after less before
    variance = s.variance[:, None] / np.where(fair, pairs, 1.0)
    best = _best(effect, variance, fair, (cut, np.full(len(cut), size)), noise, DATES)
    best = _against_drift(s, best, noise)
    # what strata cost in information at the dates, they cost in stretches
    plain = (info[:, 1:] * (whole - info[:, 1:]) / np.maximum(whole, 1e-9)).sum(1)
    kept = np.minimum((exact[:, 1:].sum(1) + 1e-9) / (plain + 1e-9), 1.0)
    ends = np.triu_indices(size + 1, 2)
    inner = (ends[0] > 0) & (ends[1] < size)
    ends = ends[0][inner], ends[1][inner]
    at_once = max(1, _SIDE_BY_SIDE // max(len(ends[0]), 1))
    parts = []
    for first in range(0, len(s.n) if len(ends[0]) else 0, at_once):
        some = slice(first, first + at_once)
        parts.append(_stretches(
            cases[some], run[some], info[some], s.variance[some] / np.maximum(kept[some], 1e-9),
            ends, noise._replace(phi=noise.phi[some])
        ))  # fmt: skip
    if parts:
        # what was mended looks like drift at the date since when it was broken
        stretch = Changes(*map(np.concatenate, zip(*parts, strict=True)))
        stretch = _against_drift(s, stretch, noise)
        # so far out no law is to be trusted to tell the two apart but one with a heavy tail
        dated, mended = (
            np.maximum(x.chance, _natural(x.z, x.tries, noise.units, 1.0)) for x in (best, stretch)
        )
        other = mended < dated / 10
        best = Changes(*(np.where(other, x, y) for x, y in zip(stretch, best, strict=True)))
    return best


def _stretches(
    cases: Floats,
    run: Floats,
    info: Floats,
    spread: Floats,
    ends: tuple[Codes, Codes],
    noise: Noise,
) -> Changes:
    """The clearest stretch with time before and after it."""
    # every index is there: "clip" looks up faster than what raises
    sums = [[np.take(x, at, axis=1, mode="clip") for at in ends] for x in (cases, run, info)]
    (first, last), (run_first, run_last), (info_first, info_last) = sums
    whole, inside = info[:, -1:], info_last - info_first
    fair = (inside >= _EDGE * whole) & (inside <= 0.5 * whole) & (whole > 0)
    fair &= (last - first >= LEAST_CASES) & (first >= LEAST_CASES)
    fair &= cases[:, -1:] - last >= LEAST_CASES
    pairs = np.maximum(inside * (whole - inside) / np.maximum(whole, 1e-9), 1e-9)
    effect = (run_last - run_first) / pairs
    return _best(effect, spread[:, None] / pairs, fair, ends, noise, _STRETCHES)


def _best(
    effect: Floats, variance: Floats, fair: NDArray[np.bool_], ends: tuple[Codes, Codes],
    noise: Noise, tries: float
) -> Changes:  # fmt: skip
    from scipy.special import ndtr

    by_chance = np.where(fair, np.abs(effect) / np.sqrt(noise.phi[:, None] * variance), -1.0)
    at = by_chance.argmax(1)
    rows = np.arange(len(at))
    apart, variance = effect[rows, at], noise.phi * variance[rows, at]
    z = np.abs(apart) / np.sqrt(variance + noise.tau**2)
    chance = np.minimum(1.0, tries * 2 * ndtr(-by_chance[rows, at]))
    chance, usual = np.where(fair.any(1), chance, np.inf), np.full(len(at), noise.tau)
    natural = _natural(z, tries, noise.units, noise.tau**2 / (variance + noise.tau**2))
    p, tried = np.maximum(chance, natural), np.full(len(at), tries)
    return Changes(ends[0][at], ends[1][at], apart, variance, z, chance, p, usual, tried)


def _against_drift(s: Series, best: Changes, noise: Noise) -> Changes:
    """The change against what the unit itself changes within the times that it separates."""
    # something that drifts is far apart between any two times, and not only at one date
    size = s.n.shape[1]
    run, info = (np.pad(x.cumsum(1), ((0, 0), (1, 0))) for x in (s.residual, s.info))
    halvings = _HALVINGS if noise.by_unit else 1
    shown, told = np.zeros((2, halvings, len(s.n)))
    edges = [0 * best.start, best.start, best.end, 0 * best.start + size]

    def at(sums: Floats, edge: Codes) -> Floats:
        return np.take_along_axis(sums, edge[:, None], 1)[:, 0]

    for halving in range(halvings):
        middles = [_middle(info, first, last) for first, last in itertools.pairwise(edges)]
        for (first, last), half in zip(itertools.pairwise(edges), middles, strict=True):
            early, late = (at(info, b) - at(info, a) for a, b in ((first, half), (half, last)))
            split = np.minimum(early, late) > _NOTHING * info[:, -1]
            early, late = np.where(split, early, 1.0), np.where(split, late, 1.0)
            rose, was = at(run, last) - at(run, half), at(run, half) - at(run, first)
            moved = rose / late - was / early
            chance = noise.phi * s.variance * (1 / early + 1 / late)
            # what chance blurs tells little; where it drew halves together, they count as less
            # than nothing, or chance alone would look like drift
            weight = np.where(split, noise.tau**2 / (noise.tau**2 + chance), 0.0)
            shown[halving] += weight * (moved**2 - chance)
            told[halving] += weight
        edges = [*itertools.chain(*zip(edges[:-1], middles, strict=True)), edges[-1]]
    clearest, told = (shown / np.maximum(told, _NOTHING)).max(0).clip(0.0), told.sum(0)
    own = (_PRIOR_UNITS * noise.tau**2 + told * clearest) / (_PRIOR_UNITS + told)
    own = np.maximum(own, min(noise.least, noise.tau) ** 2)
    z = np.abs(best.apart) / np.sqrt(best.variance + own)
    units = noise.units + told * noise.by_unit
    natural = _natural(z, best.tries, units, own / (best.variance + own))
    return best._replace(z=z, p=np.maximum(best.chance, natural), usual=np.sqrt(own))


def _middle(info: Floats, first: Codes, last: Codes) -> Codes:
    """The block at whose beginning half of the information between two others has come."""
    ends = np.take_along_axis(info, np.column_stack([first, last]), 1)
    half = np.maximum((info[:, 1:] < ends.mean(1, keepdims=True)).sum(1) + 1, first)
    return np.minimum(half, last)


def _natural(
    z: Floats, tries: Floats | float, units: Floats | float, natural: Floats | float
) -> Floats:
    """Two-sided p value of a change, for as many dates as differ by nature (`natural_p`)."""
    raised = _NATURAL * (np.asarray(tries) / DATES) ** 0.5
    return np.minimum(1.0, raised * 2 * natural_p(z, units, natural))


def _tell(part: Arrivals, signal: Signal, unit: Unit, series: Series, changes: Changes) -> Judged:
    """Effects, intervals and p values; the worse side is the one that is affected."""
    start, end, apart, variance, z, _, p, usual, tries = changes
    worse, block = apart * signal.harm > 0, np.arange(series.n.shape[1])
    hit = ((block >= start[:, None]) & (block < end[:, None])) == worse[:, None]
    n, total = ((x * hit).sum(1) for x in (series.n, series.total))
    rest, other = ((x * ~hit).sum(1) for x in (series.n, series.total))
    observed, others, slope = total / np.maximum(n, 1), other / np.maximum(rest, 1), np.ones(len(n))
    effect = signal.harm * np.abs(apart)
    if signal.family == "share":
        # the difference between the two times that strata leave (Mantel-Haenszel)
        slope = series.slope
        # the normal law is too kind to small counts
        expected = np.clip(observed - effect * slope, 1e-4, 1 - 1e-4)
        tail = tail_of_counts(np.round(total), n, expected, rest)
        p = np.maximum(p, np.minimum(1.0, tries * tail))
    told = tell_effects(
        signal,
        n=n,
        observed=observed,
        effect=effect * slope,
        wide=np.sqrt(variance + usual**2) * slope,
        sd=np.sqrt(series.variance),
    )
    starts = block_starts(part.periods, part.settings.span)
    days = [
        (starts[i], starts[j] if j < len(block) else None, w)
        for i, j, w in zip(start, end, worse, strict=True)
    ]
    return {
        **name_units(part, unit, series.u),
        **told,
        "signal": signal.name,
        "group": series.group,
        "value": series.value,
        "compared_with": [_say_times(*times) for times in days],
        "since": [f if w else None for f, _, w in days],
        "affected_until": [u if w else f for f, u, w in days],
        "z": z,
        "p": p,
        "others": told_as(signal, others),
    }


def _say_times(first: date, last: date | None, worse: bool) -> str:
    """The times that a worse (or better) stretch is compared with."""
    if last is None:
        return f"before {say_day(first)}" if worse else f"since {say_day(first)}"
    if worse:
        return f"before {say_day(first)} and since {say_day(last)}"
    return f"from {say_day(first)} to {say_day(last)}"


def _needs(part: Arrivals) -> str:
    span = part.settings.span
    short = len(part.periods) < 2 and block_days(span) * _LEAST_BLOCKS > span.days
    return "the log covers too little time to compare with an earlier one" if short else ""


PAST = Ground("past", 2, "an earlier time", judge_past, _needs, says="than {with_}")
