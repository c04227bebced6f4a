"""Two groups of cases compared within strata: Mantel-Haenszel for shares, the same for means.

Per unit (a place, a transition, a stage step) and *arm* (the value of a column), summed over strata
with n of N cases in the arm and S of all with the outcome::

    score        U = sum(s - n S / N)
    information  V = sum(n (N - n) S (N - S) / (N² (N - 1)))        (shares)
    weight       W = sum(n (N - n) / N)
    difference   sum((s (N - n) - (S - s) n) / N) / W

``U / V`` is the log odds ratio to first order (Peto), for means ``U / W`` is the difference. Mantel
& Haenszel (1959), doi:10.1093/jnci/22.4.719; Greenland & Robins (1985), doi:10.2307/2530643
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.arrivals.histories import first_block
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.grounds.kinds import Counts, Signal, Unit
from cxlib.segments import dimension_values, segment_names
from cxlib.statistics.resampling import BUCKETS
from cxlib.store.tables import NONE

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals


Floats = NDArray[np.float64]

LEAST_CASES = 50
"""Cases in an arm, and outside it, below which it is not compared."""

WAY = ("source", "target")
_MANY, _VARIED, _FEWEST_UNITS = 200, 0.0099, 5
"""Cases of a unit, and variance of one (of a share: 1 %), from which on it tells how cases of one
customer go together; and so many units must tell."""

_TWO_KINDS, _LEAST_KIND = 0.78, 0.05
"""Share of the variance of log waits that lies between two kinds (of one normal law: 0.64), and the
share that the rarer kind must have, for them to be two."""

_ENDS = (0.02, 0.98)
"""Quantiles of the waits of a unit to which those beyond are drawn in. Nearer ones would take from
a group that waits longer what it waits longer."""


def touchpoint_codes(places: pl.DataFrame) -> tuple[pl.Series, list[str]]:
    """Number of the touchpoint of each place, whatever its channel; and their names."""
    names = places["touchpoint"].unique(maintain_order=True).to_list()
    code = {name: number for number, name in enumerate(names)}
    return pl.Series([code[n] for n in places["touchpoint"]], dtype=pl.Int64), names


def split_columns(part: Arrivals) -> Iterator[tuple[str, str, pl.Series]]:
    """Each column that splits the log: its name, the key that says which value, and the values."""
    for name in segment_names(part.segments):
        values = dimension_values(part.segments, name)
        if values.n_unique() > 1:
            yield name, "segment", values
    for name in ("channel", "owner"):
        values = part.places[name].fill_null("unknown")
        at = part.places.select("touchpoint", v=values)
        if at.n_unique() > at["touchpoint"].n_unique():
            yield name, "target", values


def read_cases(
    part: Arrivals, signal: Signal, unit: Unit, *, around: bool = False
) -> pl.DataFrame | None:
    """Cases of a signal by unit, place, source, segment and time; None where none are counted.

    ``u``: number of the unit (source touchpoint × 65,536 + target touchpoint; places have no
    source; steps the stage); ``column`` and ``value`` (`around`); ``n``, ``s`` (sum of the outcome)
    and ``q`` (of its squares).
    """
    table = _table_of(part, signal, unit, around=around)
    if table is None:
        return None
    counts: Counts = signal.counts  # type: ignore[assignment]
    n = pl.col(counts.n)
    touch, _ = touchpoint_codes(part.places)
    target, source = pl.col("target").cast(pl.UInt32), pl.col("source").cast(pl.UInt32)
    known = pl.when(source < len(part.places)).then(source)
    if unit == "stage_step":
        return table.with_columns(
            u=pl.col("stage").cast(pl.Int64),
            s=pl.col(counts.total).cast(pl.Float64),
            q=pl.col(counts.total).cast(pl.Float64),
            n=n.cast(pl.Float64),
        )
    coded = table.with_columns(
        source=pl.lit(touch).gather(known).fill_null(NONE), touch=pl.lit(touch).gather(target)
    )
    if unit == "transition":
        coded = coded.filter((pl.col("source") != NONE) & (pl.col("source") != pl.col("touch")))
        coded = coded.with_columns(u=pl.col("source") * 65_536 + pl.col("touch"))
    else:
        coded = coded.with_columns(u=pl.col("touch"))
    if coded.is_empty():
        return None
    if signal.family == "wait":
        return _draw_in_waits(coded)
    sums = {"n": n.cast(pl.Float64), "s": pl.col(counts.total).cast(pl.Float64)}
    return coded.with_columns(**sums, q=pl.col(counts.squares or counts.total).cast(pl.Float64))


def _table_of(part: Arrivals, signal: Signal, unit: Unit, *, around: bool) -> pl.DataFrame | None:
    """Rows of the table that counts a signal where it can occur; None where nothing is counted."""
    counts = signal.counts
    if counts is None or unit not in (*counts.units, *(("stage_step",) if counts.steps else ())):
        return None
    if unit == "stage_step":
        name = f"environment_{counts.steps}" if around else counts.steps
    else:
        name = counts.around if around else counts.table
    if not name:
        return None
    table: pl.DataFrame = getattr(part, name)
    if "source" not in table.columns:
        table = table.with_columns(source=pl.lit(NONE, pl.UInt16))
    if "block" in table.columns:
        first = first_block(part.periods, part.settings.span)
        table = table.with_columns(block=(pl.col("block").cast(pl.Int64) - first).clip(0))
    target, source = pl.col("target").cast(pl.UInt32), pl.col("source").cast(pl.UInt32)
    if counts.places is not None and unit != "stage_step":
        table = table.filter(pl.lit(counts.places(part.places)).gather(target))
    if counts.sources is not None and unit != "stage_step":
        known = pl.when(source < len(part.places)).then(source)
        fair = pl.lit(counts.sources(part.places)).gather(known)
        table = table.filter(fair.fill_null(value=True))
    hours = part.settings.open_hours
    if signal.family == "wait" and hours is not None:
        table = table.filter(~pl.col("target").is_in(list(hours.misfits)))
    table = table.filter(pl.col(counts.n) > 0)
    return None if table.is_empty() else table


def _log_middles() -> Floats:
    edges = np.array(BIN_EDGES)
    middle = np.sqrt(np.maximum(edges[:-1], 0.25) * edges[1:])
    return np.log(np.append(middle, edges[-1] * 1.15))


LOG_MIDDLE = _log_middles()
"""Logarithm of the middle of each bin of waits, in seconds."""


def _draw_in_waits(coded: pl.DataFrame) -> pl.DataFrame:
    """Turn binned waits into sums of their logarithms, drawn in to `_ENDS` of each unit.

    Of two kinds of waits (within a session, until the next; Otsu's border) the more frequent one is
    compared: which of the two it is depends on who comes.
    """
    u, place = np.unique(coded["u"].to_numpy(), return_inverse=True)
    bins, n = coded["bin"].to_numpy().astype(np.int64), coded["n"].to_numpy().astype(np.float64)
    waits = np.bincount(place * N_BINS + bins, n, len(u) * N_BINS).reshape(-1, N_BINS)
    keep = _more_frequent_kind(waits.astype(np.float64))
    kept = np.where(keep, waits, 0.0)
    reached = kept.cumsum(1) / kept.sum(1, keepdims=True)
    low = LOG_MIDDLE[np.argmax(reached >= _ENDS[0], axis=1)]
    high = LOG_MIDDLE[np.argmax(reached >= _ENDS[1], axis=1)]
    value = np.clip(LOG_MIDDLE[bins], low[place], high[place])
    return coded.with_columns(
        n=pl.Series(n), s=pl.Series(n * value), q=pl.Series(n * value**2)
    ).filter(pl.Series(keep[place, bins]))


def _more_frequent_kind(waits: Floats) -> NDArray[np.bool_]:
    """Bins of the more frequent kind of waits of each unit; all, where there is one kind."""
    n, total = waits.cumsum(1), (waits * LOG_MIDDLE).cumsum(1)
    whole, whole_total = n[:, -1:], total[:, -1:]
    square = (waits * LOG_MIDDLE**2).sum(1, keepdims=True)
    rest = whole - n
    apart = (total * whole - n * whole_total) ** 2 / np.maximum(n * rest * whole, 1e-9)
    border = np.argmax(apart, axis=1)[:, None]
    spread = np.maximum(square - whole_total**2 / whole, 1e-9)
    below = np.take_along_axis(n, border, 1) / whole
    two = np.take_along_axis(apart, border, 1) / spread >= _TWO_KINDS
    two &= np.minimum(below, 1 - below) >= _LEAST_KIND
    lower = np.arange(waits.shape[1])[None, :] <= border
    return ~two | (lower == (below >= 0.5))


def compare_arms(cases: pl.DataFrame, strata: list[str], *, arm: str, share: bool) -> pl.DataFrame:
    """Compare every arm of every unit with the rest of the unit, within strata.

    Gives ``u``, `arm`, ``n`` and ``total`` of the arm, ``rest``, ``overlap`` (share of its cases in
    strata that hold others), ``score``, ``info``, and ``difference`` with ``variance``.
    """
    keys = ["u", *strata]
    # sums in one order, so that answers compare exactly
    ordered = cases.sort(*keys, arm, "n", "s")
    small = ordered.group_by(*keys, arm, maintain_order=True).agg(pl.col("n", "s", "q").sum())
    big_n, big_s = (pl.col(c).sum().over(keys) for c in ("n", "s"))
    n, s = pl.col("n"), pl.col("s")
    rest, other = pl.col("N") - n, pl.col("S") - s
    weight = n * rest / pl.col("N")
    within = pl.col("S") * (pl.col("N") - pl.col("S"))
    info = n * rest * within / (pl.col("N") ** 2 * (pl.col("N") - 1).clip(1.0)) if share else weight
    spread = (
        (
            (s * (n - s)).clip(0) * rest**3 + (other * (rest - other)).clip(0) * n**3
            if share
            else pl.lit(0.0)
        )
        / (n * rest).clip(1e-9)
        / pl.col("N") ** 2
    )
    both = small.with_columns(N=big_n, S=big_s).with_columns(
        _u=s - n * pl.col("S") / pl.col("N"),
        _v=info,
        _w=weight,
        _d=(s * rest - other * n) / pl.col("N"),
        _g=pl.when(rest > 0).then(spread).otherwise(0.0),
        _o=pl.when(rest > 0).then(n).otherwise(0.0),
    )
    found = both.group_by("u", arm, maintain_order=True).agg(
        pl.col("n").sum(),
        total=s.sum(),
        square=pl.col("q").sum(),
        score=pl.col("_u").sum(),
        info=pl.col("_v").sum(),
        weight=pl.col("_w").sum(),
        difference=pl.col("_d").sum(),
        _g=pl.col("_g").sum(),
        overlap=pl.col("_o").sum() / n.sum(),
        rest=(pl.col("N") - n).sum(),
        other=(pl.col("S") - s).sum(),
    )
    found = found.filter((pl.col("weight") > 0) & (pl.col("info") > 0))
    if share:
        return found.with_columns(
            difference=pl.col("difference") / pl.col("weight"),
            variance=pl.max_horizontal(
                pl.col("_g") / pl.col("weight") ** 2, pl.col("info") / pl.col("weight") ** 2
            ),
        ).drop("_g", "square")
    whole = small.group_by("u", maintain_order=True).agg(
        _value=(pl.col("q").sum() - pl.col("s").sum() ** 2 / n.sum()) / n.sum()
    )
    return (
        found.join(whole, on="u", how="left", maintain_order="left")
        .with_columns(_value=pl.col("_value").clip(1e-3))
        .with_columns(
            difference=pl.col("difference") / pl.col("weight"),
            variance=pl.col("_value") / pl.col("weight"),
            score=pl.col("score") / pl.col("_value"),
            info=pl.col("weight") / pl.col("_value"),
        )
        .drop("_g", "square")
        .rename({"_value": "value_variance"})
    )


def design_effect(
    spread: pl.DataFrame, n: str, total: str, squares: str = "", *, at: Sequence[str] = WAY
) -> float:
    """How much more sums vary over buckets of customers than those of independent cases would.

    Pooled over all units (transitions, or places: `at`) with enough cases: 32 buckets say little
    about one. Random groups: Wolter (2007), doi:10.1007/978-0-387-35099-8, chapter 2
    """
    of_way = [pl.col(c).sum().over(WAY) for c in (n, total, squares or total)]
    mean = of_way[1] / of_way[0]
    variance = mean * (1 - mean) if not squares else of_way[2] / of_way[0] - mean**2
    units = (
        spread.filter(pl.col(n) > 0)
        .select(
            *WAY, "bucket", n, rest=pl.col(total) - pl.col(n) * mean, usual=pl.col(n) * variance
        )
        .group_by(*at, "bucket", maintain_order=True)
        .agg(pl.col(n, "rest", "usual").sum())
        .group_by(*at, maintain_order=True)
        .agg(pl.col(n, "usual").sum(), apart=(pl.col("rest") ** 2).sum())
        .filter(pl.col(n) >= _MANY, pl.col("usual") >= _VARIED * pl.col(n))
    )
    if len(units) < _FEWEST_UNITS:
        return 1.0
    ratio = (units["apart"] / units["usual"]).to_numpy().mean()
    return max(1.0, float(ratio) * BUCKETS / (BUCKETS - 1))


def tail_of_counts(count: Floats, n: Floats, share: Floats, others: Floats) -> Floats:
    """Chance of at least `count` of n, where the share is that of so many others: beta-binomial."""
    from scipy.special import betaln, gammaln

    tail = np.ones(len(n))
    for i in np.flatnonzero(count > n * share):
        a, b = share[i] * others[i] + 1e-9, (1 - share[i]) * others[i] + 1e-9
        first, k = count[i], np.arange(count[i], n[i])
        choose = gammaln(n[i] + 1) - gammaln(first + 1) - gammaln(n[i] - first + 1)
        start = choose + betaln(first + a, n[i] - first + b) - betaln(a, b)
        # each count's chance from the one before it
        ratio = (n[i] - k) * (k + a) / ((k + 1) * (n[i] - k - 1 + b))
        tail[i] = min(1.0, np.exp(start) + np.exp(start + np.cumsum(np.log(ratio))).sum())
    return tail
