"""What position, stage, goal, segment and period change by themselves, within handoffs.

Fitted once per log on all arrivals and then held fixed, so that a filter only sums rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import KEYS, Arrivals
from cxlib.bins import BIN_EDGES
from cxlib.grounds.additive import Codes, Family, Floats, add_up
from cxlib.grounds.cases import LOG_MIDDLE, once

STRATA = KEYS["arrivals"]
"""Columns that say which handoff a row is of, and what its arrivals have in common."""

STRATA_STEP = 0.1
"""What strata change in an outcome is given in steps of this, because rows are summed by it."""

_TOO_RARE = 0.002
"""Share of the waits below which shorter ones are taken for noise in the clock."""

_HANDOFF_PENALTY = 0.05
"""How strongly the effect of each handoff is drawn to 0 (information)."""

_ROUNDS, _TARGET_PENALTY = 12, 50.0
"""What a target must show before a stratum acts otherwise there than in its stage (information)."""


@once
def with_strata(arrivals: Arrivals) -> Arrivals:
    """Add to each row of arrivals and waits what its strata alone would change (``by_*``), and how
    sure that is (``error_*``): fitted once per log, so that a filter only sums rows.
    """
    if "by_silent" in arrivals.arrivals.columns:
        return arrivals
    table = arrivals.arrivals
    code = stratum_codes(table)
    stage = arrivals.places["stage_index"].gather(table["target"]).to_numpy().astype(np.int64)
    strata = [
        (stage * 512 + code["reach"], 1.0),
        (code["target"] * 512 + code["reach"], _TARGET_PENALTY),
        *((code[name], 1.0) for name in ("position", "segment", "period")),
    ]
    added = [
        *strata_columns(table, "n", "silent", strata),
        *strata_columns(table, "fresh", "back", strata),
        *strata_columns(table, "rating_n", "rating_sum", strata, squares="rating_sq"),
    ]
    return replace(arrivals, arrivals=table.with_columns(added), waits=_waits_with_strata(arrivals))


def stratum_codes(table: pl.DataFrame) -> dict[str, Codes]:
    """The columns of `STRATA` as codes; ``reach``: how far, and whether a goal was reached."""
    code = {c: table[c].to_numpy().astype(np.int64) for c in STRATA}
    return code | {"reach": code["high"] * 2 + code["reached"]}


def strata_columns(
    table: pl.DataFrame,
    n: str,
    total: str,
    strata: Sequence[tuple[Codes, float]],
    *,
    squares: str | None = None,
) -> tuple[pl.Series, pl.Series]:
    """Fit what strata change in one outcome of `table`; give ``by_NAME`` and ``error_NAME``.

    `strata`: the level of each row, and how strongly the effects are drawn to 0; with `squares`,
    `total` is a sum of values.
    """
    at = (table[n] > 0).to_numpy()
    source, target = (table[c].to_numpy().astype(np.int64)[at] for c in ("source", "target"))
    result, error = np.zeros(len(table)), np.zeros(len(table))
    handoff = source * 65_536 + target
    counted, summed = (table[c].to_numpy().astype(np.float64)[at] for c in (n, total))
    variance = 1.0
    if squares is not None:
        square = table[squares].to_numpy().astype(np.float64)[at]
        variance = _within(handoff, counted, summed, square)
    result[at], error[at] = fit_strata(
        [codes[at] for codes, _ in strata],
        [penalty for _, penalty in strata],
        handoff,
        target=target,
        n=counted,
        total=summed,
        family="share" if squares is None else "mean",
        value_variance=variance,
    )
    name = total.removesuffix("_sum")
    return (
        pl.Series(f"by_{name}", np.round(result / STRATA_STEP) * STRATA_STEP),
        pl.Series(f"error_{name}", error),
    )


def fit_strata(  # noqa: PLR0913 (the parts of one regression)
    strata: Sequence[Codes],
    penalties: Sequence[float],
    handoff: Codes,
    *,
    target: Codes,
    n: Floats,
    total: Floats,
    family: Family,
    value_variance: float = 1.0,
) -> tuple[Floats, Floats]:
    """Fit what strata change *within* handoffs; give it per row, centred, with its standard error.

    Every handoff has an effect of its own, which is dropped: a broken one lends its fault to no
    stratum. `penalties`: in units of information.
    """
    import scipy.sparse as sp

    if len(n) == 0:
        return np.zeros(0), np.zeros(0)
    design, penalty = _design(strata, penalties)
    of_handoff, _ = _indicators(handoff)
    beta, own = np.zeros(design.shape[1]), np.zeros(of_handoff.shape[1])
    for _ in range(_ROUNDS if family == "share" else 1):
        line = design @ beta + of_handoff @ own
        if family == "share":
            share = 1 / (1 + np.exp(-np.clip(line, -15, 15)))
            info, score = n * np.maximum(share * (1 - share), 1e-6), total - n * share
        else:
            info, score = n / value_variance, (total - n * line) / value_variance
        weighted = design.T @ sp.diags_array(info)
        # a row is of one handoff only: the effects of handoffs are eliminated one by one
        known = of_handoff.T @ info + _HANDOFF_PENALTY
        shared = (weighted @ of_handoff).toarray()
        slope, own_slope = design.T @ score - penalty * beta, of_handoff.T @ score
        own_slope = own_slope - _HANDOFF_PENALTY * own
        information = (weighted @ design).toarray() + np.diag(penalty)
        information -= (shared / known) @ shared.T
        step = np.linalg.solve(information, slope - shared @ (own_slope / known))
        own_step = (own_slope - shared.T @ step) / known
        largest = max(np.abs(step).max(), np.abs(own_step).max())
        bound = 2.0 if family == "share" else np.inf
        beta = beta + np.clip(step, -bound, bound)
        own = own + np.clip(own_step, -bound, bound)
        if largest < 1e-3:
            break
    shown = design[:, 1:]
    part = shown @ beta[1:]
    error = _errors(shown, np.linalg.inv(information)[1:, 1:], n, handoff, target)
    return part - np.average(part, weights=n), error


def _design(strata: Sequence[Codes], penalties: Sequence[float]) -> tuple[Any, Floats]:
    """Rows × effects of an intercept and of the strata; how strongly each is drawn to 0."""
    import scipy.sparse as sp

    columns: list[Any] = [sp.csr_array(np.ones((len(strata[0]), 1)))]
    penalty = [1e-6]
    for codes, strength in zip(strata, penalties, strict=True):
        rows, levels = _indicators(codes)
        columns.append(rows)
        penalty += [strength] * levels
    return sp.hstack(columns).tocsr(), np.array(penalty)


def _indicators(codes: Codes) -> tuple[Any, int]:
    """Rows × levels: which level each row is of; and how many there are."""
    import scipy.sparse as sp

    found, level = np.unique(codes, return_inverse=True)
    ones = (np.ones(len(codes)), level, np.arange(len(codes) + 1))
    return sp.csr_array(ones, shape=(len(codes), len(found))), len(found)


def _errors(rows: Any, covariance: Floats, n: Floats, handoff: Codes, target: Codes) -> Floats:
    """Standard error of what strata say of a handoff against the others at its target, per row."""
    import scipy.sparse as sp

    def mean_rows(levels: Codes) -> tuple[Floats, Codes]:
        _, index = np.unique(levels, return_inverse=True)
        weights = sp.csr_matrix((n, (index, np.arange(len(n)))))
        return (weights @ rows).toarray() / np.asarray(weights.sum(1)), index

    of_handoff, cell = mean_rows(handoff)
    of_target, place = mean_rows(target)
    at = np.zeros(len(of_handoff), dtype=np.int64)
    at[cell] = place
    apart = of_handoff - of_target[at]
    variance = ((apart @ covariance) * apart).sum(1)
    return np.sqrt(np.maximum(variance, 0.0))[cell]


def _within(handoff: Codes, n: Floats, total: Floats, squares: Floats) -> float:
    """Variance of single values within handoffs."""
    found, row = np.unique(handoff, return_inverse=True)
    size, sums, square = (add_up(values, row, len(found)) for values in (n, total, squares))
    return max(float((square - sums**2 / size).sum()) / max(float(n.sum()), 1.0), 1e-3)


def _waits_with_strata(arrivals: Arrivals) -> pl.DataFrame:
    table = arrivals.waits.with_columns(
        value=pl.lit(_LOG_MIDDLE).gather(pl.col("bin")).clip(_least_wait(arrivals.waits))
    )
    keys = ("source", "target", "segment", "period")
    code = np.zeros(len(table), dtype=np.int64)
    for key in keys:
        code = code * 65_536 + table[key].to_numpy()
    found, row = np.unique(code, return_inverse=True)
    handoff = found >> 32
    n, value = (table[c].to_numpy().astype(np.float64) for c in ("n", "value"))
    sums = [add_up(values, row, len(found)) for values in (n, n * value, n * value**2)]
    offset, error = fit_strata(
        [(found >> 16) % 65_536, found % 65_536],
        [1.0, 1.0],
        handoff,
        target=handoff % 65_536,
        n=sums[0],
        total=sums[1],
        family="mean",
        value_variance=_within(handoff, *sums),
    )
    return table.with_columns(
        by_wait=pl.Series(offset[row]), error_wait=pl.Series(error[row], dtype=pl.Float64)
    )


def _least_wait(waits: pl.DataFrame) -> float:
    """Logarithm of half the shortest wait that the log can tell from none: the rest is rounding."""
    positive = waits.filter(pl.col("bin") > 0).group_by("bin").agg(pl.col("n").sum()).sort("bin")
    if positive.is_empty():
        return float(_LOG_MIDDLE[0])
    share = positive["n"].cum_sum() / positive["n"].sum()
    first = positive["bin"].gather(int((share >= _TOO_RARE).arg_max() or 0))[0]
    return float(np.log(BIN_EDGES[first] / 2))


_LOG_MIDDLE = pl.Series(LOG_MIDDLE)
LOG_STEP = float(np.log(BIN_EDGES[3] / BIN_EDGES[2]))
