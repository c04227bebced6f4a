"""What every ground gives: one row per unit that was judged by one signal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import compress
from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.grounds.additive import Codes, Floats, add_up
from cxlib.grounds.cases import once, touchpoint_codes
from cxlib.grounds.kinds import Judged, Signal, Unit
from cxlib.journeys import NO_STAGE

Z95 = 1.959964

_STATED = 40
_NOT_OF_ALL = ("hours", "others")
_NUMBERS = ("n", "observed", "expected", "effect", "low", "high", "z", "p", "affected")

JUDGED: dict[str, pl.DataType | type[pl.DataType]] = {
    "unit": pl.String,
    **dict.fromkeys(("source_place", "target_place"), pl.Int64),
    **dict.fromkeys(("source", "target", "group", "value", "compared_with"), pl.String),
    **dict.fromkeys(("since", "affected_until"), pl.Date),
    **dict.fromkeys((*_NUMBERS, *_NOT_OF_ALL), pl.Float64),
    **dict.fromkeys(("signal", "ground"), pl.String),
}
"""Columns: unit (place, transition, stage_step), its places (-1: none) and names; the group it is
about (a column and its value); what it is compared with; since and until when; cases, observed,
expected, effect with its interval; z towards harm, one-sided p; customers affected (lower end);
hours lost by waits (lower end); what the others it is compared with show as they are counted."""


def judged_frame(found: Sequence[Judged]) -> pl.DataFrame:
    """One frame of all that was judged."""
    sizes = [len(rows["n"]) for rows in found]
    columns = {}
    for name, dtype in JUDGED.items():
        each = [(rows.get(name), n) for rows, n in zip(found, sizes, strict=True)]
        if dtype == pl.Float64:
            numbers = [np.full(n, np.nan) if x is None else np.asarray(x) for x, n in each]
            known = pl.Series(np.concatenate([np.zeros(0), *numbers]))
            columns[name] = known.fill_nan(None) if name in _NOT_OF_ALL else known
        else:
            parts = [[x] * n if x is None or isinstance(x, str) else x for x, n in each]
            columns[name] = pl.Series([x for part in parts for x in part], dtype=dtype)
    return pl.DataFrame(columns)


def some_of(rows: Judged, chosen: Sequence[bool]) -> Judged:
    """Some of the rows."""
    return {
        name: x if x is None or isinstance(x, str) else list(compress(x, chosen))
        for name, x in rows.items()
    }


def name_units(part: Arrivals, unit: Unit, u: Codes) -> dict[str, Any]:
    """Names and places of units as `cxlib.grounds.cases.Rows` numbers them."""
    places, nowhere = part.places, np.full(len(u), -1)
    if unit == "stage_step":
        stages = dict(places.select("stage_index", "stage").iter_rows())
        stages.pop(NO_STAGE, None)
        order = sorted(stages)
        after = dict(zip(order, [*order[1:], -1], strict=True))
        ends = [stages[s] for s in u], [stages.get(after[s]) for s in u]
        spots = nowhere, nowhere
    else:
        busiest, label = _busiest(part), np.array([*touchpoint_codes(part)[1], None], dtype=object)
        before, here = np.divmod(u, 65_536)
        if unit == "place":
            before, here, spots = here, _main_next(part)[here], (busiest[here], nowhere)
        else:
            spots = busiest[before], busiest[here]
        ends = label[before].tolist(), label[here].tolist()
    named = zip(("source_place", "target_place", "source", "target"), (*spots, *ends), strict=True)
    return {"unit": unit, **dict(named)}


@once
def _busiest(part: Arrivals) -> Codes:
    """Place with most contacts of each touchpoint."""
    touch, names = touchpoint_codes(part)
    target = part.volumes["target"].to_numpy()
    counts = np.bincount(target, part.volumes["contacts"].to_numpy(), len(touch))
    found, order = np.zeros(len(names), dtype=np.int64), np.argsort(counts, kind="stable")
    found[touch[order]] = order
    return found


_MOST_GO = 0.7


@once
def _main_next(part: Arrivals) -> Codes:
    """Touchpoint to which nearly all go on from each touchpoint; their number: there is none."""
    touch, names = touchpoint_codes(part)
    table, size = part.histories.filter(pl.col("source") < len(touch)), len(names)
    source, target = (touch[table[c].to_numpy()] for c in ("source", "target"))
    moves = add_up(table["n"].to_numpy(), source * size + target, size**2).reshape(size, size)
    np.fill_diagonal(moves, 0.0)
    whole = moves.sum(1)
    clear = (moves.max(1) >= _MOST_GO * np.maximum(whole, 1)) & (whole > 0)
    return np.where(clear, moves.argmax(1), size)


def say_day(day: date) -> str:
    """Write a day: 1 March 2015."""
    return f"{day.day} {day:%B %Y}"


def natural_p(
    z: Floats | float, units: Floats | float = 0, natural: Floats | float = 1.0
) -> Floats:
    """One-sided p value of a deviation in natural spreads, which so many units have told.

    Student's t with as many degrees of freedom, `_STATED` at least: natural variety is
    heavy-tailed. Chance is not: where only a share of the variance is ``natural``, there are more.
    Satterthwaite (1946), doi:10.2307/3002019
    """
    from scipy.special import stdtr

    freedom = np.maximum(np.subtract(units, 1), _STATED) / np.maximum(np.square(natural), 1e-6)
    return np.asarray(stdtr(freedom, np.negative(z)), dtype=np.float64)


def told_as(signal: Signal, level: Floats) -> Floats:
    """What is told of a level on an additive scale: of waits hours, else the level."""
    return np.exp(level) / 3600 if signal.family == "wait" else level


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
    told: dict[str, Floats] = {}
    if signal.family == "wait":
        observed, expected = told_as(signal, observed), told_as(signal, expected)
        effect, low, high = np.exp(effect), np.exp(low), np.exp(high)
        told["hours"] = n * observed * np.maximum(1 - 1 / np.maximum(low, 1e-9), 0.0)
        share = low > 1.0
    elif signal.family == "share":
        # an adjusted one may lie a little beyond what shares can be
        share, expected = np.maximum(least, 0.0), np.clip(expected, 0.0, 1.0)
    else:
        share = np.maximum(2 * ndtr(np.maximum(least, 0.0) / sd / 2) - 1, 0.0)
    told |= {"n": n, "observed": observed, "expected": expected, "effect": effect}
    return told | {"low": low, "high": high, "affected": n * share}
