"""Volume: a touchpoint of which suddenly fewer contacts are recorded.

Its share of all contacts falls from one day to the next, by far more than such shares change by
themselves: records are missing, or it was closed. The dates are tried as on ground *past*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.histories import block_starts, first_block
from cxlib.grounds.additive import Codes
from cxlib.grounds.cases import touchpoint_codes
from cxlib.grounds.judged import Z95, name_units, natural_p, say_day
from cxlib.grounds.kinds import Judged, Signal
from cxlib.grounds.past import (
    DATES,
    LEAST_SPREAD,
    Noise,
    Series,
    clearest,
    overdispersion,
    usual_change,
)

LEAST_CONTACTS = 100
"""Contacts that must be missing for a fall to be judged."""

_BLOCKS, _NEAR, _SUDDEN = 3, 6, 0.6
"""Fewest blocks of a fall; blocks around it that say how sudden it was; and the share of the fall
that must have come at once: what fades away was not switched off."""

_USUAL = 0.2
"""Change of a touchpoint's share of the contacts that is assumed where few touchpoints tell."""


def judge_volumes(part: Arrivals) -> list[Judged]:
    """Judge whether a touchpoint is recorded less than it was, by its share of all contacts."""
    touch, names = touchpoint_codes(part)
    table = part.volumes
    if table.is_empty():
        return []
    first = first_block(part.periods, part.settings.span)
    block = np.maximum(table["block"].to_numpy().astype(np.int64) - first, 0)
    size = int(block.max()) + 1
    at = touch[table["target"].to_numpy()] * size + block
    unlinked, linked = (
        np.bincount(at, values, len(names) * size).reshape(-1, size)
        for values in (table["unlinked"], table["contacts"] - table["unlinked"])
    )
    own = np.zeros(len(names), dtype=bool)
    own[touch[(part.places["initiated_by"] == "customer").to_numpy()]] = True
    own &= (unlinked + linked).sum(1) >= 2 * LEAST_CONTACTS
    usual = {u: x for u in np.flatnonzero(own) if (x := _usual(u, unlinked, linked)) is not None}
    if not usual:
        return []
    series = series_of(np.array(list(usual)), np.array(list(usual.values())), unlinked + linked)
    tau = max(usual_change(series, _USUAL), LEAST_SPREAD)
    changes = zip(*clearest(series, Noise(overdispersion(series), tau, len(usual))), strict=True)
    falls = [_fall(*found) for found in zip(series.n, series.total, changes, strict=True)]
    starts = [*block_starts(part.periods, part.settings.span)[:size], None]
    named = {**name_units(part, "place", series.u), "target": None, "signal": VOLUME.name}
    return [named | _tell(falls, starts, tau)]


def _usual(u: np.integer, unlinked: np.ndarray, linked: np.ndarray) -> np.ndarray | None:
    """Contacts of a touchpoint that those elsewhere let expect, by block; None: most begin here."""
    # where nobody new comes any more, as at the end of many an export, no touchpoint breaks
    usual = np.zeros(unlinked.shape[1])
    for counts in (unlinked, linked):
        others = counts.sum(0) - counts[u]
        if counts[u].sum() > max(2 * others.sum(), 0.1 * (unlinked[u] + linked[u]).sum()):
            return None
        usual = usual + others * (counts[u].sum() / max(others.sum(), 1.0))
    return usual


def series_of(u: Codes, usual: np.ndarray, contacts: np.ndarray) -> Series:
    """Contacts of touchpoints against the usual ones, as series of ground *past*."""
    before = usual.cumsum(1)
    pairs = before * (before[:, -1:] - before) / np.maximum(before[:, -1:], 1e-9)
    nobody, ones, own = np.full(len(u), None, dtype=object), np.ones(len(u)), contacts[u]
    return Series(u, nobody, nobody, own - usual, usual, pairs, usual, own, ones, ones)


def _fall(usual: np.ndarray, own: np.ndarray, change: Sequence[Any]) -> tuple[float, ...]:
    """Start, end, expected, seen, z and p of a sudden fall; nothing is missing without one."""
    start, end, apart, _, far, _, p, *_ = change
    none = 0, 0, float(own.sum()), float(own.sum()), 0.0, 1.0
    if p > 1 or apart >= 0:
        return none
    near, far_end = max(0, start - _NEAR), min(end, start + _NEAR)
    parts = slice(near, start), slice(start, far_end), slice(0, start), slice(start, end)
    before, after, first, last = (own[at].sum() / max(usual[at].sum(), 1.0) for at in parts)
    expected = float(usual[start:end].sum() * (before + first) / 2)
    seen = float(own[start:end].sum())
    sudden = 1 - after / max(before, 1e-9) >= _SUDDEN * (1 - last / max(first, 1e-9))
    z = np.log(max(before, 1e-9) / max(after, 1e-3 * before, 1e-9)) / _swing(usual, own)
    if not sudden or min(start, end - start) < _BLOCKS or expected - seen < LEAST_CONTACTS:
        return none
    p = min(1.0, max(p, DATES * float(natural_p(z, len(own)))))
    return start, end, expected, seen, min(z, far), p


def _swing(usual: np.ndarray, own: np.ndarray) -> float:
    """How much the share of a touchpoint changes by itself within as many blocks."""
    sums = [np.convolve(x, np.ones(_NEAR), "valid") for x in (own, usual)]
    level = np.log((sums[0] + 0.5) / (sums[1] + 1.0))
    change = np.abs(level[_NEAR:] - level[:-_NEAR])
    return max(LEAST_SPREAD, float(np.median(change)) / 0.6745) if len(change) else _USUAL


def _tell(falls: Sequence[tuple[float, ...]], starts: Sequence[Any], tau: float) -> dict[str, Any]:
    start, end, n, seen, z, p = (np.array(x) for x in zip(*falls, strict=True))
    n, fallen = np.maximum(n, 1.0), end > start
    apart = np.where(fallen, np.log((n + 0.5) / (seen + 0.5)), 0.0)
    wide = np.sqrt(1 / n + 1 / (seen + 0.5) + tau**2)
    effect = np.where(fallen, 1 - seen / n, 0.0)
    low = np.maximum(np.where(fallen, 1 - np.exp(-(apart - Z95 * wide)), 0.0), 0.0)
    since = [starts[i] if fell else None for i, fell in zip(start, fallen, strict=True)]
    return {
        "compared_with": [None if s is None else f"before {say_day(s)}" for s in since],
        "since": since,
        "affected_until": [starts[i] if i else None for i in end],
        "n": n,
        "observed": seen / n,
        "expected": np.ones(len(n)),
        "effect": effect,
        "low": low,
        "high": np.minimum(1.0, 2 * effect - low),
        "z": z,
        "p": p,
        "affected": n * low,
    }


VOLUME = Signal(
    name="volume",
    number=14,
    title="no longer recorded",
    unit="share of its usual contacts",
    least=0.3,
    past=judge_volumes,
    says="is missing {} more",
    advice="Ask {owner} whether it was closed, or whether recording it stopped.",
    tells="no longer recorded",
    of_records=True,
)
