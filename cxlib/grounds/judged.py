"""The frame that every ground gives: one row per unit that was judged by one signal."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cxlib.grounds.additive import Floats
from cxlib.grounds.comparing import touchpoint_codes
from cxlib.grounds.kinds import Signal, Unit
from cxlib.journeys import NO_STAGE

if TYPE_CHECKING:
    from cxlib.arrivals.arrivals import Arrivals


Z95 = 1.959964

_STATED = 40

_NUMBERS = (
    *("n", "observed", "expected", "effect", "low", "high", "z", "p", "affected", "hours"),
    "others",
)

JUDGED: dict[str, pl.DataType | type[pl.DataType]] = {
    "unit": pl.String,
    "source_place": pl.Int64,
    "target_place": pl.Int64,
    "source": pl.String,
    "target": pl.String,
    "group": pl.String,
    "value": pl.String,
    "compared_with": pl.String,
    "since": pl.Date,
    "affected_until": pl.Date,
    **dict.fromkeys(_NUMBERS, pl.Float64),
}
"""Columns: unit (place, transition, stage_step), its places (-1: none) and names; the group it is
about (a column and its value); what it is compared with; since and until when; cases, observed,
expected, effect with its interval; z towards harm, one-sided p; customers affected (lower end);
hours lost by waits (lower end); what the others it is compared with show as they are counted."""


def as_judged(frame: pl.DataFrame, signal: Signal, ground: str) -> pl.DataFrame:
    """Give a frame all columns of `JUDGED`, in order, and the names of signal and ground."""
    if signal.family == "share":  # an adjusted share may lie a little beyond what shares can be
        frame = frame.with_columns(pl.col("expected").clip(0.0, 1.0))
    frame = frame.with_columns(pl.col("^hours$").fill_nan(None))
    missing = [pl.lit(None, dtype).alias(n) for n, dtype in JUDGED.items() if n not in frame]
    return frame.with_columns(missing).select(
        *(pl.col(name).cast(dtype) for name, dtype in JUDGED.items()),
        signal=pl.lit(signal.name),
        ground=pl.lit(ground),
    )


def unit_names(part: Arrivals, unit: Unit, u: pl.Series) -> pl.DataFrame:
    """Names and places of units as `cxlib.grounds.comparing.read_cases` numbers them."""
    places = part.places
    if unit == "stage_step":
        stages = dict(places.select("stage_index", "stage").iter_rows())
        stages.pop(NO_STAGE, None)
        order = sorted(stages)
        after = dict(zip(order, [*order[1:], -1], strict=True))
        ends = [stages[s] for s in u], [stages.get(after[s]) for s in u]
        spots = np.full(len(u), -1), np.full(len(u), -1)
    else:
        touch, names = touchpoint_codes(places)
        busiest, label = _busiest(part, touch, len(names)), np.array([*names, None], dtype=object)
        before, here = np.divmod(u.to_numpy(), 65_536)
        if unit == "place":
            before, following = here, _main_next(part, touch, len(names))[here]
            spots = busiest[here], np.full(len(u), -1)
        else:
            following, spots = here, (busiest[before], busiest[here])
        ends = label[before].tolist(), label[following].tolist()
    return pl.DataFrame(
        {"source_place": spots[0], "target_place": spots[1], "source": ends[0], "target": ends[1]},
        schema={"source_place": pl.Int64, "target_place": pl.Int64}
        | dict.fromkeys(("source", "target"), pl.String),
    ).with_columns(unit=pl.lit(unit))


def _busiest(part: Arrivals, touch: pl.Series, size: int) -> np.ndarray:
    """Place with most contacts of each touchpoint."""
    counts = np.zeros(len(touch))
    table = part.volumes.group_by("target").agg(pl.col("contacts").sum())
    counts[table["target"].to_numpy()] = table["contacts"].to_numpy()
    found = np.zeros(size, dtype=np.int64)
    for place in np.argsort(counts, kind="stable"):
        found[touch[int(place)]] = place
    return found


_MOST_GO = 0.7


def _main_next(part: Arrivals, touch: pl.Series, size: int) -> np.ndarray:
    """Touchpoint to which nearly all go on from each touchpoint; ``size`` where there is none."""
    if "main_next" not in part.cache:
        codes = touch.to_numpy()
        moves = np.zeros((size, size))
        table = part.histories.filter(pl.col("source") < len(codes))
        summed = table.group_by("source", "target").agg(pl.col("n").sum())
        source, target = (codes[summed[c].to_numpy()] for c in ("source", "target"))
        np.add.at(moves, (source, target), summed["n"].to_numpy())
        np.fill_diagonal(moves, 0.0)
        most = moves.argmax(1)
        clear = moves.max(1) >= _MOST_GO * np.maximum(moves.sum(1), 1)
        part.cache["main_next"] = np.where(clear & (moves.sum(1) > 0), most, size)
    kept: np.ndarray = part.cache["main_next"]
    return kept


def say_day(day: date) -> str:
    """Write a day: 1 March 2015."""
    return f"{day.day} {day:%B %Y}"


def natural_p(z: Floats | float, units: Floats | float = 0) -> Floats:
    """One-sided p value of a deviation in natural spreads, which so many units have told.

    Student's t with as many degrees of freedom, `_STATED` at least: natural variety is
    heavy-tailed.
    """
    from scipy.special import stdtr

    freedom = np.maximum(np.subtract(units, 1), _STATED)
    return np.asarray(stdtr(freedom, np.negative(z)), dtype=np.float64)


def tell_effects(
    signal: Signal, *, n: Floats, observed: Floats, effect: Floats, wide: Floats, sd: Floats
) -> dict[str, Floats]:
    """Columns of `JUDGED` about effects with their standard errors, on an additive scale.

    Of waits that is the logarithm of seconds: told are hours and ratios. ``affected``, the lower
    end: of shares the excess, of waits everybody who waits longer, of ratings the least that must
    rate lower for the mean to fall so far.
    """
    from scipy.special import ndtr

    low, high, expected = effect - Z95 * wide, effect + Z95 * wide, observed - effect
    least = low if signal.harm > 0 else -high
    hours = np.full(len(n), np.nan)
    if signal.family == "wait":
        observed, expected = np.exp(observed) / 3600, np.exp(expected) / 3600
        effect, low, high = np.exp(effect), np.exp(low), np.exp(high)
        hours = n * observed * np.maximum(1 - 1 / np.maximum(low, 1e-9), 0.0)
        share = low > 1.0
    elif signal.family == "share":
        share = np.maximum(least, 0.0)
    else:
        share = np.maximum(2 * ndtr(np.maximum(least, 0.0) / sd / 2) - 1, 0.0)
    told = {"n": n, "observed": observed, "expected": expected, "effect": effect}
    return told | {"low": low, "high": high, "affected": n * share, "hours": hours}
