"""Ground *past*: the same place, transition or stage step at other times.

Per unit, and per value of a segment or channel at a unit, every date is tried as the one at which
something changed, and every stretch of time as the one in which it was otherwise. The clearest
speaks, and pays for having been chosen from so many (`_DATES`, `_STRETCHES`). What changes
everywhere at once is taken out where enough units tell it (drift, season, mix); within a unit
customers are compared within strata (where they came from, segment, weekday; the month of the year
where the log covers two years). How much units usually change is estimated from the bulk of them.

A fault that began is worse after its date; a mended one was worse before it. Arrivals that were not
yet followed for the silence are not counted, so the last days cannot look better than they are.

References
----------
Siegmund (1986), Boundary crossing probabilities and statistical applications.
doi:10.1214/aos/1176349928
Olshen et al. (2004), Circular binary segmentation. doi:10.1093/biostatistics/kxh008
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.histories import block_days, block_starts
from cxlib.grounds.comparing import LEAST_CASES, Floats, read_cases, tail_of_counts
from cxlib.grounds.expectation import natural_spread, stated_spread
from cxlib.grounds.judged import as_judged, natural_p, say_day, tell_effects, unit_names
from cxlib.grounds.kinds import Ground, Signal, Unit
from cxlib.segments import dimension_values, segment_names

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals

_DATES, _STRETCHES = 12.0, 1000.0
"""By how much the p value of the clearest date, and of the clearest stretch, is raised: effective
numbers of independent ones, by simulation of Brownian bridges of 60 blocks (at 3 to 4 standard
errors 8 to 12, and 110 to 230; four times that, because a stretch is easily found in noise that is
not quite so white)."""

_NATURAL = 6.0
"""The same for changes as large as natural ones: drift is smooth, and few dates differ."""

DEFAULT_SPREAD = {"share": 0.15, "wait": 0.15, "rating": 0.1}
"""Natural change that is assumed where too few units tell (logits; logarithms; of the sd)."""

LEAST_SPREAD = 0.07

_PRIOR_UNITS = 2.0
"""Units of the usual change that count beside what a unit shows of its own drift."""

ENOUGH_UNITS = 8
_LEAST_BLOCKS = 8
_EDGE = 0.05
_MOST_VALUES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One unit over time: residuals from its own mean, their information, and the cases."""

    u: int
    group: str | None
    value: str | None
    residual: Floats
    info: Floats
    exact: Floats
    n: Floats
    total: Floats
    weight: Floats
    value_variance: float


def judge_past(part: Arrivals, signals: Mapping[str, Signal]) -> list[pl.DataFrame]:
    """Judge every unit by every signal against its own other times."""
    frames = []
    for signal in signals.values():
        if signal.past is not None:
            own = signal.past(part)
            frames += [as_judged(own, signal, "past")] if len(own) else []
        if signal.counts is not None and "past" in signal.counts.grounds:
            own = judge_history(part, signal)
            frames += [as_judged(own, signal, "past")] if len(own) else []
    return frames


def judge_history(part: Arrivals, signal: Signal) -> pl.DataFrame:
    """Judge every unit by one signal against its own other times."""
    units: tuple[Unit, ...] = ("place", "transition", "stage_step")
    found = [_judge_series(part, signal, u, list(_read_series(part, signal, u))) for u in units]
    found = [frame for frame in found if len(frame)]
    return pl.concat(found) if found else pl.DataFrame()


def _read_series(part: Arrivals, signal: Signal, unit: Unit) -> Iterator[Series]:
    cases = read_cases(part, signal, unit)
    if cases is None:
        return
    if signal.counts is not None and signal.counts.warm_up:
        first = -(-part.settings.silence.days // block_days(part.settings.span))
        cases = cases.filter(pl.col("block") >= first)
        if cases.is_empty():
            return
    days = block_days(part.settings.span)
    long = part.settings.span.days >= 2 * 365
    month = pl.lit(pl.Series([d.month for d in block_starts(part.periods, part.settings.span)]))
    season = month.gather(pl.col("block").cast(pl.UInt32)) if long else pl.lit(0)
    weekday = pl.col("block") % 7 if days == 1 else pl.lit(0)
    cases = cases.with_columns(_season=season.cast(pl.Int64), _weekday=weekday.cast(pl.Int64))
    strata = ["segment", "_season", "_weekday", "target"]
    strata += ["source"] if unit == "place" else []
    yield from _split(cases, strata, signal, None)
    for column, values in _group_columns(part):
        index = pl.col("segment" if column not in ("channel", "owner") else "target")
        valued = cases.with_columns(_value=pl.lit(values).gather(index.cast(pl.UInt32)))
        yield from _split(valued, strata, signal, column)


def _group_columns(part: Arrivals) -> Iterator[tuple[str, pl.Series]]:
    for name in segment_names(part.segments):
        values = dimension_values(part.segments, name)
        if 2 <= values.n_unique() <= _MOST_VALUES:
            yield name, values
    for name in ("channel", "owner"):
        values = part.places[name].fill_null("unknown")
        several = (
            part.places.with_columns(v=values).group_by("touchpoint").agg(pl.col("v").n_unique())
        )
        if (several["v"] > 1).any():
            yield name, values


def _split(
    cases: pl.DataFrame, strata: list[str], signal: Signal, column: str | None
) -> Iterator[Series]:
    """The series of each unit (and value); those with too few cases are left out."""
    keys = ["u"] if column is None else ["u", "_value"]
    size = int(cases["block"].max()) + 1  # type: ignore[arg-type]
    summed = (
        cases.sort(*keys, *strata, "block", "n", "s")
        .group_by(*keys, *strata, "block", maintain_order=True)
        .agg(pl.col("n", "s", "q").sum())
        .with_columns(_stratum=pl.struct(strata).rank("dense").cast(pl.Int64))
        .filter(pl.col("n").sum().over(keys) >= 2 * LEAST_CASES)
        .sort(*keys, "_stratum", "block")
    )
    if summed.is_empty():
        return
    new = summed.select(pl.struct(keys).rle_id()).to_series().to_numpy()
    edges = np.concatenate([[0], np.flatnonzero(np.diff(new)) + 1, [len(new)]])
    u, k, block = (summed[c].to_numpy().astype(np.int64) for c in ("u", "_stratum", "block"))
    n, s, q = (summed[c].to_numpy() for c in ("n", "s", "q"))
    values = summed["_value"].to_list() if column is not None else None
    for first, last in itertools.pairwise(edges):
        here = slice(first, last)
        code = np.cumsum(np.concatenate([[0], np.diff(k[here]) != 0])).astype(np.int64)
        yield _series_of(
            (int(u[first]), column, None if values is None else str(values[first])),
            code, block[here], (n[here], s[here], q[here]),
            size=size, share=signal.family == "share",
        )  # fmt: skip


def _series_of(
    key: tuple[int, str | None, str | None],
    stratum: NDArray[np.int64],
    block: NDArray[np.int64],
    sums: tuple[Floats, Floats, Floats],
    *,
    size: int,
    share: bool,
) -> Series:
    n, s, q = sums
    count = int(stratum.max()) + 1
    of_n = np.bincount(stratum, n, count)
    mean = np.bincount(stratum, s, count) / of_n
    variance = mean * (1 - mean) * of_n / np.maximum(of_n - 1, 1) if share else None
    spread = 1.0
    if variance is None:
        inside = q.sum() - (of_n * mean**2).sum()
        spread = max(float(inside / max(n.sum() - count, 1)), 1e-3)
        variance = np.full(count, spread)
    residual = np.bincount(block, s - n * mean[stratum], size).astype(np.float64)
    weight = variance if share else np.ones(count)
    info = np.bincount(block, n * weight[stratum], size).astype(np.float64)
    grid = np.zeros((count, size))
    np.add.at(grid, (stratum, block), n)
    before = grid.cumsum(1)
    pairs = before * (of_n[:, None] - before) / of_n[:, None]
    exact = (pairs * weight[:, None]).sum(0)
    return Series(
        *key, residual, info, exact,
        np.bincount(block, n, size).astype(np.float64),
        np.bincount(block, s, size).astype(np.float64), pairs.sum(0), spread,
    )  # fmt: skip


class Noise(NamedTuple):
    """What a change is held against: overdispersion of blocks, usual change, what tells of it.

    Of the three dates at which all units are asked how much they change, two count as independent.
    """

    phi: float
    tau: float
    units: int


def _judge_series(part: Arrivals, signal: Signal, unit: Unit, series: list[Series]) -> pl.DataFrame:
    """The clearest change of each series, against how much units usually change."""
    whole = [s for s in series if s.group is None]
    if not whole or len(whole[0].n) < _LEAST_BLOCKS:
        return pl.DataFrame()
    share = signal.family == "share"
    common = _common(whole) if len(whole) >= ENOUGH_UNITS else np.zeros(len(whole[0].n))
    adjusted = [_without(s, common) for s in series]
    sd = float(np.median([s.value_variance for s in whole])) ** 0.5
    default = DEFAULT_SPREAD[signal.family] * (sd if signal.family == "rating" else 1.0)
    least = LEAST_SPREAD * (1.0 if share else sd)
    tau = max(least, usual_change([_without(s, common) for s in whole], default))
    rows = []
    for one, phi in zip(adjusted, overdispersion(adjusted), strict=True):
        found = clearest(one, Noise(phi, tau, 2 * len(whole)))
        if found is not None:
            rows.append({"u": one.u, "group": one.group, "value": one.value, **found})
    if not rows:
        return pl.DataFrame()
    return _frame(part, signal, unit, adjusted, rows, tau)


def _without(series: Series, common: Floats) -> Series:
    residual = series.residual - common * series.info
    # what is common does not add up to nothing within a series that is not always there
    residual = residual - series.info * residual.sum() / max(series.info.sum(), 1e-9)
    return Series(
        series.u, series.group, series.value, residual, series.info, series.exact,
        series.n, series.total, series.weight, series.value_variance,
    )  # fmt: skip


def _common(whole: list[Series]) -> Floats:
    """What changes everywhere at once: a smooth robust mean of the units, by block."""
    size = len(whole[0].n)
    width = max(2, size // 12)
    kernel = np.exp(-0.5 * (np.arange(-3 * width, 3 * width + 1) / width) ** 2)

    def smooth(values: Floats) -> Floats:
        padded = np.convolve(values, kernel, mode="full")
        start = len(kernel) // 2
        return padded[start : start + size]

    lines, weights = [], []
    for s in whole:
        info = smooth(s.info)
        lines.append(smooth(s.residual) / np.maximum(info, 1e-9))
        weights.append(
            np.sqrt(np.minimum(info, np.median(info[info > 0]) if (info > 0).any() else 0))
        )
    line, weight = np.array(lines), np.array(weights)
    order = np.argsort(line, axis=0)
    ranked = np.take_along_axis(line, order, 0)
    reached = np.cumsum(np.take_along_axis(weight, order, 0), 0)
    half = np.argmax(reached >= reached[-1] / 2, axis=0)
    return np.asarray(np.take_along_axis(ranked, half[None, :], 0)[0])


def _noise(series: Series) -> float:
    """Variance of the residuals by block, relative to chance; slow changes taken out."""
    used = series.info > 0
    if used.sum() < 4:
        return 1.0
    z = series.residual[used] / np.sqrt(series.info[used] * series.value_variance)
    return float(np.median(np.diff(z) ** 2) / 2 / 0.4549)


def overdispersion(series: list[Series]) -> list[float]:
    """Variance of the blocks of each series relative to chance, drawn to that of all of them."""
    own = [_noise(s) for s in series]
    common, size = float(np.median(own)), len(series[0].n)
    return [max(1.0, (20 * common + size * x) / (20 + size)) for x in own]


def usual_change(whole: list[Series], default: float) -> float:
    """How much units usually change between one part of the log and the rest."""
    found = []
    for part in (0.25, 0.5, 0.75):
        effects, variances = [], []
        for s in whole:
            cut = int(np.searchsorted(s.info.cumsum(), part * s.info.sum()))
            if cut < len(s.exact) and s.exact[cut] > 0:
                effects.append(-s.residual[: cut + 1].sum() / s.exact[cut])
                variances.append(s.value_variance / s.exact[cut])
        effect, variance = np.array(effects), np.array(variances)
        if len(effects) >= ENOUGH_UNITS:
            found.append(natural_spread(effect, variance))
        else:
            found.append(stated_spread(effect, variance, default=default, units=len(effects)))
    return float(np.mean(found))


def clearest(s: Series, noise: Noise) -> dict[str, Any] | None:
    """The clearest date, or stretch, of one series; None where it is too short."""
    size = len(s.n)
    cases = np.concatenate([[0.0], s.n.cumsum()])
    run = np.concatenate([[0.0], s.residual.cumsum()])
    info = np.concatenate([[0.0], s.info.cumsum()])
    exact = np.concatenate([[0.0], s.exact])
    spread = s.value_variance
    whole = info[-1]
    if whole <= 0:
        return None
    first = np.arange(1, size)
    fair = (
        (np.minimum(cases[first], cases[-1] - cases[first]) >= LEAST_CASES)
        & (np.minimum(info[first], whole - info[first]) >= _EDGE * whole)
        & (exact[first] > 0)
    )
    best: dict[str, Any] | None = None
    if fair.any():
        cut = first[fair]
        effect = (run[-1] - run[cut]) / exact[cut]  # after less before
        best = _best(effect, spread / exact[cut], (cut, np.full(len(cut), size)), noise, _DATES)
    stretch = _stretches(cases, run, info, exact, spread, noise)
    if stretch is not None and (best is None or stretch["p"] < best["p"] / 10):
        best = stretch
    return None if best is None else best | _against_drift(s, best, noise)


def _against_drift(s: Series, best: dict[str, Any], noise: Noise) -> dict[str, Any]:
    """The change against what the unit itself changes within the times that it separates.

    Something that drifts is far apart between any two times, and not only at one date.
    """
    shown, told = _PRIOR_UNITS * noise.tau**2, _PRIOR_UNITS
    edges = sorted({0, best["start"], best["end"], len(s.n)})
    for first, last in itertools.pairwise(edges):
        reached = s.info[first:last].cumsum()
        half = first + int(np.searchsorted(reached, reached[-1] / 2)) + 1
        info = s.info[first:half].sum(), s.info[half:last].sum()
        if min(info) > 0:
            rates = s.residual[first:half].sum() / info[0], s.residual[half:last].sum() / info[1]
            chance = noise.phi * s.value_variance * (1 / info[0] + 1 / info[1])
            # what chance blurs tells little
            weight = noise.tau**2 / (noise.tau**2 + chance)
            shown += weight * max((rates[1] - rates[0]) ** 2 - chance, 0.0)
            told += weight
    own = max(shown / told, noise.tau**2)
    z = abs(best["apart"]) / np.sqrt(best["variance"] + own)
    return {"z": float(z), "p": max(best["p"], _natural(float(z), best["tries"], noise))}


def _natural(z: float, tries: float, noise: Noise) -> float:
    """Two-sided p value of a change, for as many dates as differ by nature."""
    return min(1.0, _NATURAL * (tries / _DATES) ** 0.5 * 2 * float(natural_p(z, noise.units)))


def _best(
    effect: Floats,
    variance: Floats,
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    noise: Noise,
    tries: float,
) -> dict[str, Any]:
    from scipy.special import ndtr

    variance = noise.phi * variance
    by_chance = np.abs(effect) / np.sqrt(variance)
    at = int(np.argmax(by_chance))
    z = abs(effect[at]) / np.sqrt(variance[at] + noise.tau**2)
    p = max(min(1.0, tries * 2 * float(ndtr(-by_chance[at]))), _natural(float(z), tries, noise))
    return {
        "start": int(ends[0][at]), "end": int(ends[1][at]), "apart": float(effect[at]),
        "variance": float(variance[at]), "z": float(z), "p": p, "tries": tries,
    }  # fmt: skip


def _stretches(
    cases: Floats, run: Floats, info: Floats, exact: Floats, spread: float, noise: Noise
) -> dict[str, Any] | None:
    """The clearest stretch with time before and after it."""
    size = len(cases) - 1
    whole = info[-1]
    start, end = np.triu_indices(size + 1, 2)
    inside = info[end] - info[start]
    count = cases[end] - cases[start]
    fair = (
        (start > 0) & (end < size) & (inside >= _EDGE * whole) & (inside <= 0.5 * whole)
        & (count >= LEAST_CASES) & (cases[start] >= LEAST_CASES)
        & (cases[-1] - cases[end] >= LEAST_CASES)
    )  # fmt: skip
    if not fair.any():
        return None
    start, end, inside = start[fair], end[fair], inside[fair]
    # what strata cost in information, as at the dates themselves
    plain = info[1:] * (whole - info[1:]) / whole
    kept = float((exact[1:].sum() + 1e-9) / (plain.sum() + 1e-9))
    pairs = inside * (whole - inside) / whole * min(kept, 1.0)
    effect = (run[end] - run[start]) / np.maximum(inside * (whole - inside) / whole, 1e-9)
    return _best(effect, spread / np.maximum(pairs, 1e-9), (start, end), noise, _STRETCHES)


def _frame(
    part: Arrivals,
    signal: Signal,
    unit: Unit,
    series: list[Series],
    rows: list[dict[str, Any]],
    tau: float,
) -> pl.DataFrame:
    """Effects, intervals and p values; the worse side is the one that is affected."""
    by_key = {(s.u, s.group, s.value): s for s in series}
    kept = [by_key[row["u"], row["group"], row["value"]] for row in rows]
    start, end, apart, variance, z, p, tries = (
        np.array([row[c] for row in rows])
        for c in ("start", "end", "apart", "variance", "z", "p", "tries")
    )
    worse = apart * signal.harm > 0
    hit = np.array([np.arange(len(s.n)) for s in kept])
    hit = ((hit >= start[:, None]) & (hit < end[:, None])) == worse[:, None]
    cases, totals = np.array([s.n for s in kept]), np.array([s.total for s in kept])
    n, total = ((x * hit).sum(1) for x in (cases, totals))
    observed, slope = total / np.maximum(n, 1), np.ones(len(n))
    effect = signal.harm * np.abs(apart)
    if signal.family == "share":
        # the difference between the two times that strata leave (Mantel-Haenszel)
        slope = np.array([s.exact.sum() / max(s.weight.sum(), 1e-9) for s in kept])
        # the normal law is too kind to small counts
        usual = np.clip(observed - effect * slope, 1e-4, 1 - 1e-4)
        tail = tail_of_counts(np.round(total), n, usual, (cases * ~hit).sum(1))
        p = np.maximum(p, np.minimum(1.0, tries * tail))
    told = tell_effects(
        signal,
        n=n,
        observed=observed,
        effect=effect * slope,
        wide=np.sqrt(variance + tau**2) * slope,
        sd=np.sqrt([s.value_variance for s in kept]),
    )
    starts = block_starts(part.periods, part.settings.span)
    first = [starts[i] for i in start]
    last = [starts[i] if i < hit.shape[1] else None for i in end]
    days = list(zip(first, last, worse, strict=True))
    names = unit_names(part, unit, pl.Series([s.u for s in kept], dtype=pl.Int64))
    return names.with_columns(
        pl.DataFrame(told),
        group=pl.Series([s.group for s in kept], dtype=pl.String),
        value=pl.Series([s.value for s in kept], dtype=pl.String),
        compared_with=pl.Series([_say_times(*times) for times in days]),
        since=pl.Series([f if w else None for f, _, w in days], dtype=pl.Date),
        affected_until=pl.Series([u if w else f for f, u, w in days], dtype=pl.Date),
        z=pl.Series(z),
        p=pl.Series(p),
    )


def _say_times(first: date, last: date | None, worse: bool) -> str:
    """The times that a worse (or better) stretch is compared with."""
    if last is None:
        return f"before {say_day(first)}" if worse else f"since {say_day(first)}"
    if worse:
        return f"before {say_day(first)} and since {say_day(last)}"
    return f"from {say_day(first)} to {say_day(last)}"


def _needs(part: Arrivals) -> str:
    if (
        len(part.periods) < 2
        and block_days(part.settings.span) * _LEAST_BLOCKS > part.settings.span.days
    ):
        return "the log covers too little time to compare with an earlier one"
    return ""


PAST = Ground("past", 2, "an earlier time", judge_past, _needs, says="than {with_}")
