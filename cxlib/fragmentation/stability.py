"""Does a finding survive other settings of its signal, the crude comparison, and who answers?

Would a handoff still be rated low if everybody had answered? Every rating is weighed with
1 / P(rated | handoff, what came after, stage, goal, position, segment, period); what nobody rated
is put in from what came after elsewhere (an augmented estimate). Per handoff, with N arrivals and
``m`` what strata and what came after change within handoffs,

    mean = sum(w (rating - m)) / sum(w) + sum over all arrivals(m) / N

A dip that keeps less than half of its size is unstable. Whoever answers because of the rating is
out of sight (`docs/decisions/0008-who-answers.md`). Robins, Rotnitzky & Zhao (1994),
doi:10.1080/01621459.1994.10476818; Cole & Hernán (2008), doi:10.1093/aje/kwn164
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import KEYS, Arrivals
from cxlib.arrivals.repeats import AFTER
from cxlib.grounds.additive import Codes, Floats
from cxlib.grounds.cases import once
from cxlib.grounds.cells import MIN_RATINGS, RATING_SOURCES, Grid, Sums, judge_mean, no_cells
from cxlib.signals import SIGNALS, signal_named

_KEYS = ["source_place", "target_place", "signal"]


def check_stability(judged: pl.DataFrame, part: Arrivals) -> pl.DataFrame:
    """Keys of the significant rows, and ``stable`` (null where the signal has no setting)."""
    frames = [judged.select(_KEYS).clear().with_columns(stable=pl.lit(None, pl.Boolean))]
    for (signal,), rows in judged.filter("significant").group_by("signal", maintain_order=True):
        kind = signal_named(str(signal))
        neutral, others = kind.neutral, kind.settings(part) if kind.settings else []
        kept = rows.select(_KEYS)
        stable = pl.lit(True) if others else pl.lit(None, pl.Boolean)
        for number, other in enumerate(others):
            effect = other.select(
                pl.col("source").alias(_KEYS[0]),
                pl.col("target").alias(_KEYS[1]),
                pl.col("effect").alias(f"effect_{number}"),
            )
            kept = kept.join(effect, on=_KEYS[:2], how="left", maintain_order="left")
            stable = stable & (pl.col(f"effect_{number}") > neutral).fill_null(True)
        frames.append(kept.with_columns(stable=stable).select(*_KEYS, "stable"))
    return pl.concat(frames)


def flag_simpson(judged: pl.DataFrame) -> pl.Series:
    """Whether the crude comparison with all others at the same touchpoint points the other way.

    Null where nobody else was judged there, and where "the same" is not the same for others.
    """
    keys = ["signal", "ground", "target_place"]
    is_ratio = pl.col("family") == "wait"
    seen = pl.when(is_ratio).then(pl.col("observed").clip(1e-9).log()).otherwise("observed")
    adjusted = pl.when(is_ratio).then(pl.col("effect").clip(1e-9).log()).otherwise("effect")
    n = pl.col("n")
    others = n.sum().over(keys) - n
    mean = ((n * seen).sum().over(keys) - n * seen) / others
    fair = (others > 0) & ~pl.col("compares_alone") & (pl.col("ground") == "like")
    crude = pl.when(fair).then(seen - mean)
    return judged.select(simpson=crude.sign() * adjusted.sign() < 0)["simpson"]


MOST_WEIGHT = 10.0
"""Most that one rating weighs, as a multiple of the mean weight at its handoff (truncation)."""

LEAST_KEPT = 0.5
"""Share of a dip that must remain after weighing, for the finding to be stable."""

_PRIOR = 2.0
"""Answers, as many as expected, that are added to every level: small groups answer like others."""

_PRIOR_RATINGS = 20.0
"""Ratings without any difference that are added to what came after, per touchpoint."""


def check_responses(judged: pl.DataFrame, part: Arrivals) -> pl.DataFrame:
    """Say how many answered, and whether who answers could explain a dip.

    Per rating ``response``; of significant ones ``weighted``, and ``confirmed``: keeps
    `LEAST_KEPT`.
    """
    keys = ["source_place", "target_place"]
    rated = [name for name in SIGNALS if SIGNALS[name].family == "rating"]
    dips = judged.filter(pl.col("signal").is_in(rated))
    rates = part.responses.group_by(source_place="source", target_place="target").agg(
        response=pl.col("rating_n").sum() / pl.col("n").sum()
    )
    again = judge_weighted(part) if dips["significant"].any() else no_cells()
    weighted = again.select(
        pl.col("source").alias(keys[0]),
        pl.col("target").alias(keys[1]),
        pl.col("effect", "low", "high").name.prefix("weighted_"),
    ).rename({"weighted_effect": "weighted"})
    shown = [pl.when("significant").then(c) for c in weighted.columns[2:]]
    kept = pl.col("weighted") <= LEAST_KEPT * pl.col("effect")
    return (
        dips.select(*keys, "signal", "effect", "significant")
        .join(rates.cast(dict.fromkeys(keys, pl.Int64)), on=keys, how="left")
        .join(weighted, on=keys, how="left")
        .with_columns(*shown)
        .select(*keys, "signal", "response", *weighted.columns[2:], confirmed=kept)
    )


@once
def judge_weighted(part: Arrivals) -> pl.DataFrame:
    """Judge what the ratings of every handoff would be if everybody had answered.

    Per handoff with at least `MIN_RATINGS` ratings; ``n`` is their effective number.
    """
    strata = part.arrivals.select(*KEYS["arrivals"], "by_rating", "error_rating")
    rated = pl.col("rating_n").sum().over("source", "target") > 0
    rows = part.responses.filter(rated).join(strata, on=KEYS["arrivals"], how="left")
    if rows.is_empty():
        return no_cells()
    summed = ask_everybody(rows, estimate_chances(rows))
    grid = Grid(part, summed)
    large = summed["rating_n"].to_numpy() >= MIN_RATINGS
    sums = Sums(*(summed[c].to_numpy() for c in Sums._fields))
    found, judged = judge_mean(grid, sums, large, 1.0, RATING_SOURCES)[:2]
    told = {"n": found.n, "observed": found.observed, "expected": found.expected}
    return grid.frame(judged, effect=found.deviation, spread=found.spread, z=-found.z, **told)


def estimate_chances(rows: pl.DataFrame) -> Floats:
    """Chance that an arrival was rated, per row of `Arrivals.responses`.

    From general to particular, each level multiplies it by answers / answers expected, plus
    `_PRIOR`.
    """
    n, rated = (rows[c].to_numpy().astype(np.float64) for c in ("n", "rating_n"))
    key = {c: rows[c].to_numpy().astype(np.int64) for c in KEYS["responses"]}
    after = key["after"]
    handoff = key["source"] * (int(key["target"].max()) + 1) + key["target"]
    levels = [
        *(key["target"], after, key["target"] * len(AFTER) + after),
        *(key["high"] * 2 + key["reached"], key["position"], key["segment"], key["period"]),
        *(handoff, handoff * len(AFTER) + after),
    ]
    chance = np.full(len(n), rated.sum() / n.sum())
    for level in levels:
        factor = (np.bincount(level, rated) + _PRIOR) / (np.bincount(level, n * chance) + _PRIOR)
        chance = chance * factor[level]
    return np.minimum(chance, 1.0)


def ask_everybody(rows: pl.DataFrame, chance: Floats) -> pl.DataFrame:
    """Sum ratings by handoff, as if everybody who arrived had answered: what `judge_mean` takes."""
    n, r, total, square, by, error = (
        rows[c].to_numpy().astype(np.float64)
        for c in ("n", "rating_n", "rating_sum", "rating_sq", "by_rating", "error_rating")
    )
    source, target = (rows[c].cast(pl.Int64).to_numpy() for c in ("source", "target"))
    cells, cell = np.unique(source * 65_536 + target, return_inverse=True)

    def summed(values: Floats) -> Floats:
        return np.bincount(cell, values, minlength=len(cells)).astype(np.float64)

    usual = summed(r) / np.maximum(summed(n), 1)
    weight = np.minimum(usual[cell] / np.maximum(chance, 1e-9), MOST_WEIGHT)
    shift, doubt = _after_effects(rows, cell)
    model = by + shift
    whole = np.maximum(summed(weight * r), 1e-9)
    mean = summed(weight * (total - r * model)) / whole
    spread = summed(weight * (square - 2 * model * total + r * model**2)) / whole - mean**2
    effective = whole**2 / np.maximum(summed(weight**2 * r), 1e-9)
    # Strata are taken out for good, as from the plain mean. What came after is put back for all who
    # arrived: the weights have restored most of it, and this is the rest.
    everybody = summed(n)
    restored = mean + summed(n * shift) / everybody
    unsure = summed(weight * r * error) / whole
    gap = _gaps(rows, cell, n / everybody[cell] - weight * r / whole[cell], doubt)
    return pl.DataFrame(
        {
            "source": cells // 65_536,
            "target": cells % 65_536,
            "n": effective,
            "total": effective * restored,
            "raw": np.zeros(len(cells)),
            "square": effective * np.maximum(spread, 0.0),
            "error": effective * np.sqrt(unsure**2 + gap),
            "rating_n": summed(r),
        }
    )


def _after_effects(rows: pl.DataFrame, cell: Codes) -> tuple[Floats, Floats]:
    """What came after changes in a rating within handoffs, per row, and its variance."""
    r = rows["rating_n"].to_numpy().astype(np.float64)
    total = rows["rating_sum"].to_numpy() - r * rows["by_rating"].to_numpy()
    after = rows["after"].to_numpy().astype(np.int64)
    at = rows["target"].to_numpy().astype(np.int64) * len(AFTER) + after
    # by handoff and what came after: few rows
    small, row = np.unique(cell * len(AFTER) + after, return_inverse=True)
    first = np.zeros(len(small), dtype=np.int64)
    first[row] = np.arange(len(row))
    cell, after, at = cell[first], after[first], at[first]
    r, total = np.bincount(row, r).astype(np.float64), np.bincount(row, total)
    square = float(rows["rating_sq"].sum() - rows["rating_sum"].sum() ** 2 / max(r.sum(), 1))
    shift: Floats = np.zeros(len(small))
    overall = shift
    for _ in range(20):
        own = np.bincount(cell, total - r * shift) / np.maximum(np.bincount(cell, r), 1)
        left = total - r * own[cell]
        overall = _drawn_in(after, left - r * (shift - overall), r)[after]
        shift = overall + _drawn_in(at, left - r * overall, r)[at]
    variance = square / max(r.sum(), 1) / (np.bincount(at, r) + _PRIOR_RATINGS)
    return shift[row], variance[at][row]


def _drawn_in(level: Codes, total: Floats, n: Floats) -> Floats:
    """Mean by level, drawn to 0."""
    drawn: Floats = np.bincount(level, total) / (np.bincount(level, n) + _PRIOR_RATINGS)
    return drawn


def _gaps(rows: pl.DataFrame, cell: Codes, apart: Floats, variance: Floats) -> Floats:
    """Variance from what is put in, by handoff: for shares that weights do not restore."""
    at = cell * len(AFTER) + rows["after"].to_numpy().astype(np.int64)
    size = (int(cell.max()) + 1) * len(AFTER)
    of = np.zeros(size)
    of[at] = variance
    gaps: Floats = np.bincount(at, apart, minlength=size) ** 2 * of
    return gaps.reshape(-1, len(AFTER)).sum(axis=1)
