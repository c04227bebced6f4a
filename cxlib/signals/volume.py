"""Volume: a touchpoint of which hardly any contacts are recorded any more.

The share of all contacts that a touchpoint has falls to a third or less from one day to the next,
for a while or for good, where it was recorded nearly always before. That is a break of tracking, or
a touchpoint that was closed, and no behaviour of customers. How much such shares change from week
to week by themselves is asked of all touchpoints, and of this one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.histories import block_starts, first_block
from cxlib.grounds.comparing import touchpoint_codes
from cxlib.grounds.judged import JUDGED, Z95, natural_t, say_day, unit_names
from cxlib.grounds.kinds import Signal

__all__ = ["VOLUME", "judge_volumes"]

LEAST_CONTACTS = 100
"""Contacts that must be missing for a fall to be judged."""

FALLEN = 0.35
"""Share of its usual volume below which a touchpoint counts as no longer recorded."""

_ALWAYS, _BLOCKS, _AROUND, _LEAST_SPREAD = 0.8, 3, 2, 0.2


def judge_volumes(part: Arrivals) -> pl.DataFrame:
    """Judge whether a touchpoint stopped to be recorded, against its usual share of contacts."""
    touch, names = touchpoint_codes(part.places)
    table = part.volumes
    if table.is_empty():
        return pl.DataFrame(schema=JUDGED)
    first = first_block(part.periods, part.settings.span)
    block = np.maximum(table["block"].to_numpy().astype(np.int64) - first, 0)
    size = int(block.max()) + 1
    at = touch.to_numpy()[table["target"].to_numpy()] * size + block
    counts = np.bincount(at, table["contacts"].to_numpy(), len(names) * size).reshape(-1, size)
    own = np.zeros(len(names), dtype=bool)
    own[touch.to_numpy()[(part.places["initiated_by"] == "customer").to_numpy()]] = True
    whole = counts.sum(0)
    rows = []
    for number in np.flatnonzero(own):
        found = _fall(counts[number], whole - counts[number])
        if found is not None:
            rows.append({"u": int(number), "spread": _usual_change(counts[number], whole), **found})
    if not rows:
        return pl.DataFrame(schema=JUDGED)
    starts = block_starts(part.periods, part.settings.span)
    named = unit_names(part, "place", pl.Series([r["u"] for r in rows], dtype=pl.Int64))
    return pl.concat(
        [named.with_columns(target=pl.lit(None, pl.String)), _frame(rows, starts, size)],
        how="horizontal",
    )


def _usual_change(own: np.ndarray, whole: np.ndarray) -> float:
    """How much the logarithm of a share changes from one stretch of blocks to the next."""
    sums = [np.convolve(x, np.ones(_BLOCKS), "valid") for x in (own, whole)]
    level = np.log((sums[0] + 0.5) / (sums[1] + 1.0))
    change = np.abs(level[_BLOCKS:] - level[:-_BLOCKS])
    return float(np.median(change)) / 0.6745 if len(change) else 0.0


def _fall(own: np.ndarray, others: np.ndarray) -> dict[str, Any] | None:
    """The longest stretch in which next to nothing was recorded, after it nearly always was."""
    used = others > 0
    usual = own.sum() / max(others[used].sum(), 1)
    expected = others * float(np.median(own[used] / others[used])) if used.any() else others * usual
    if own.sum() < LEAST_CONTACTS:
        return None
    # the median of the blocks around: one that is otherwise ends no stretch
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(np.where(used, own / np.maximum(expected, 1e-9), np.nan), _AROUND, mode="edge"),
        2 * _AROUND + 1,
    )
    low = np.nanmedian(np.where(np.isnan(around), 1.0, around), axis=1) <= FALLEN
    edges = np.diff(np.concatenate([[0], (low & used).astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return {"start": 0, "end": 0, "n": float(expected.sum()), "seen": float(own.sum())}
    missing = np.array([expected[a:b].sum() for a, b in zip(starts, ends, strict=True)])
    best = int(np.argmax(missing))
    start, end = int(starts[best]), int(ends[best])
    before = own[:start] > 0
    fair = start >= _BLOCKS and end - start >= _BLOCKS and before.mean() >= _ALWAYS
    if not fair or missing[best] < LEAST_CONTACTS:
        return None
    # what it was just before counts: something that fades away was not switched off
    near = slice(max(0, start - 2 * _BLOCKS), start)
    rate = own[near].sum() / max(others[near].sum(), 1)
    return {
        "start": start,
        "end": end,
        "n": float(others[start:end].sum() * rate),
        "seen": float(own[start:end].sum()),
    }


def _frame(rows: list[dict[str, Any]], starts: list[Any], size: int) -> pl.DataFrame:
    n, seen = (np.array([r[c] for r in rows], dtype=np.float64) for c in ("n", "seen"))
    n = np.maximum(n, 1.0)
    fallen = np.array([r["end"] > r["start"] for r in rows])
    apart = np.where(fallen, np.log((n + 0.5) / (seen + 0.5)), 0.0)
    own = np.array([r["spread"] for r in rows])
    spread = np.maximum(np.maximum(own, np.median(own)), _LEAST_SPREAD)
    wide = np.sqrt(1 / n + 1 / (seen + 0.5) + spread**2)
    z = apart / wide
    effect = np.where(fallen, 1 - seen / n, 0.0)
    low = np.where(fallen, 1 - np.exp(-(apart - Z95 * wide)), 0.0)
    since = [starts[r["start"]] if r["end"] > r["start"] else None for r in rows]
    until = [starts[r["end"]] if r["start"] < r["end"] < size else None for r in rows]
    return pl.DataFrame(
        {
            "compared_with": [None if s is None else f"before {say_day(s)}" for s in since],
            "since": pl.Series(since, dtype=pl.Date),
            "affected_until": pl.Series(until, dtype=pl.Date),
            "n": n,
            "observed": seen / n,
            "expected": np.ones(len(rows)),
            "effect": effect,
            "low": np.maximum(low, 0.0),
            "high": np.minimum(1.0, effect + (effect - np.maximum(low, 0.0))),
            "z": z,
            "p": np.minimum(1.0, natural_t(z) * 4),
            "affected": n * np.maximum(low, 0.0),
        }
    )


VOLUME = Signal(
    name="volume",
    number=14,
    title="no longer recorded",
    unit="share of its usual contacts",
    least=0.6,
    past=judge_volumes,
    says="is missing {}",
    advice="Ask {owner} whether it was closed, or whether recording it stopped.",
    tells="no longer recorded",
)
