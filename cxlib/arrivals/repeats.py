"""What came after an arrival: a rating or none, the same task, an assisted contact again.

Repeats are counted at touchpoints that the map marks, of arrivals observed for the whole window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from cxlib.arrivals.later import NEVER, Flags, Later, Numbers, flags_of, milliseconds
from cxlib.journeys import NO_STAGE
from cxlib.map_model import PlannedHandoff
from cxlib.store.counting import rating_sums

TRANSFER_GRACE = timedelta(minutes=15)  # assisted again so soon is a transfer, no repeat
REPEAT_WITHIN = timedelta(days=7)  # assisted again so soon is a repeat
LEAK_WITHIN = timedelta(days=1)  # assisted so soon after unfinished self-service: its failure
SAME_CONTACT = timedelta(seconds=60)  # the touchpoint again so soon: a reload, a double click
MARKS: dict[str, tuple[timedelta, ...]] = {
    "task": (timedelta(days=7), timedelta(days=14), timedelta(days=30)),
    "contact": (timedelta(days=3), timedelta(days=14)),
    "leak": (timedelta(hours=12), timedelta(days=2)),
}
"""Other windows at which a signal must keep its sign to be stable."""

_SHARES = ("task", "contact", "leak")
_MARKED = tuple(f"{name}_{i}" for name in _SHARES for i in range(len(MARKS[name])))

REPEATS = (
    *(f"{column}{part}" for column in (*_SHARES, *_MARKED) for part in ("_n", "")),
    "leak_before",
)
"""Counts per arrival: ``task_n`` followed, ``task`` of them with the task done again, and so on."""

SPREAD = tuple(f"{name}{part}" for name in _SHARES for part in ("_n", ""))
"""Counts kept by bucket of customers."""


def count_repeats(
    followed: pl.DataFrame,
    contacts: pl.DataFrame,
    places: pl.DataFrame,
    *,
    within: timedelta,
    plan: Sequence[PlannedHandoff] = (),
) -> pl.DataFrame:
    """Give the arrivals at marked touchpoints with the columns `REPEATS` (Boolean).

    ``contacts``: all of these customers, reloads left out; ``within``: of a task done again.
    """
    task = ~flags_of(places, "repeatable", default=True)
    assisted, alone, completes = (
        flags_of(places, name) for name in ("assisted", "self_service", "completes")
    )
    marked = task | assisted | alone
    part = followed.filter(_at(marked, "target"))
    if part.is_empty():
        return part.with_columns(pl.lit(False).alias(name) for name in REPEATS)
    target = part["target"].to_numpy().astype(np.int64)
    follow_up = milliseconds(part, "follow_up")
    later = contacts.filter(_at(task | assisted | completes, "place"))
    again = _again(part, later, places, task)
    contact = _contact_again(part, later, assisted)
    touchpoint = places["touchpoint"].to_numpy()
    planned = np.zeros((len(places), len(places)), dtype=bool)
    for handoff in plan:
        planned |= (touchpoint == handoff.source)[:, None] & (touchpoint == handoff.target)
    leak, before = _leak(part, later, assisted, completes, planned)
    unfinished = alone & ~assisted & ~completes
    kinds = {
        "task": (task, again, within),
        "contact": (assisted, contact, REPEAT_WITHIN),
        "leak": (unfinished, leak, LEAK_WITHIN),
    }
    counts = {}
    for name, (at, wait, window) in kinds.items():
        marks = ((f"{name}_{i}", mark) for i, mark in enumerate(MARKS[name]))
        for column, span in ((name, window), *marks):
            seen = at[target] & (follow_up >= _ms(span))
            counts[f"{column}_n"] = seen
            counts[column] = seen & (wait <= _ms(span))
    counts["leak_before"] = counts["leak_n"] & (before <= _ms(LEAK_WITHIN))
    return part.with_columns(pl.Series(name, counts[name]) for name in REPEATS)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def _at(marked: Flags, column: str) -> pl.Expr:
    return pl.lit(pl.Series(marked)).gather(pl.col(column).cast(pl.UInt32))


def _again(part: pl.DataFrame, later: pl.DataFrame, places: pl.DataFrame, task: Flags) -> Numbers:
    """Wait for the same task in the same journey: a new cycle after the goal is no repeat."""
    name = places["touchpoint"].rank("dense").to_numpy().astype(np.int64)
    kept = later.filter(_at(task, "place"))
    size = int(name.max()) + 1

    def group(frame: pl.DataFrame, column: str) -> Numbers:
        codes = name[frame[column].to_numpy()]
        return np.asarray(frame["journey"].to_numpy().astype(np.int64) * size + codes)

    repeats = Later(group(kept, "place"), milliseconds(kept))
    return repeats.first(group(part, "target"), milliseconds(part), after=_ms(SAME_CONTACT))[0]


def _contact_again(part: pl.DataFrame, later: pl.DataFrame, assisted: Flags) -> Numbers:
    """Wait for the next assisted contact: of the same issue where the arrival's is known."""
    kept = later.filter(_at(assisted, "place"))
    grace, at = _ms(TRANSFER_GRACE), milliseconds(part)
    anyone = Later(_customer(kept), milliseconds(kept)).first(_customer(part), at, after=grace)[0]
    if "issue" not in part.columns:
        return anyone
    names = pl.concat([kept["issue"], part["issue"]]).rank("dense").fill_null(0).cast(pl.Int64)
    size = int(names.max() or 0) + 1  # type: ignore[arg-type]
    codes = names.to_numpy()
    mine, theirs = codes[len(kept) :], codes[: len(kept)]
    same = Later(_customer(kept) * size + theirs, milliseconds(kept))
    alike = same.first(_customer(part) * size + mine, at, after=grace)[0]
    return np.where(mine > 0, alike, anyone)


def _leak(
    part: pl.DataFrame, later: pl.DataFrame, assisted: Flags, completes: Flags, planned: Flags
) -> tuple[Numbers, Numbers]:
    """Wait for an assisted contact, unplanned, before self-service is finished, and the same
    back from the contact before the handoff, which may itself be assisted (control).
    """
    kept = later.filter(_at(assisted | completes, "place"))
    helped = assisted[kept["place"].to_numpy()]
    at = milliseconds(part)
    wait, row = Later(_customer(kept), milliseconds(kept)).first(_customer(part), at)
    came = row >= 0
    if len(helped):
        place = kept["place"].to_numpy()[row]
        came &= helped[row] & ~planned[part["target"].to_numpy(), place]
    calls = kept.filter(pl.Series(helped))
    start = at - milliseconds(part, "wait")
    before = Later(_customer(calls), milliseconds(calls)).last(_customer(part), start)
    return np.where(came, wait, NEVER), before


def _customer(frame: pl.DataFrame) -> Numbers:
    return np.asarray(frame["customer"].to_numpy().astype(np.int64))


AFTER = ("left", "turned back", "went on", "open")
"""What came after an arrival, in the order of its codes: silent for the whole silence; in touch
again, next at a lower stage or where they had come from; in touch again otherwise; neither yet at
the end of observation."""


def count_responses(
    followed: pl.DataFrame, *, keys: Sequence[str], silence: timedelta
) -> pl.DataFrame:
    """Count arrivals and their ratings by what came after them; empty where nobody was rated.

    ``n`` has also those who were not followed for the silence.
    """
    if followed["rating"].null_count() == len(followed):
        followed = followed.clear()
    again = (pl.col("return_after") <= silence).fill_null(False)
    known = (pl.col("stage") != NO_STAGE) & (pl.col("next_stage") != NO_STAGE)
    lower = known & (pl.col("next_stage") < pl.col("stage"))
    turned = (lower | (pl.col("next") == pl.col("source"))).fill_null(False)
    in_touch = pl.when(turned).then(1).otherwise(2)
    silent = pl.when(pl.col("follow_up") >= silence).then(0).otherwise(3)
    after = pl.when(again).then(in_touch).otherwise(silent).cast(pl.UInt8)
    counted = followed.lazy().with_columns(after=after).group_by(keys)
    return counted.agg(pl.len().cast(pl.Int64).alias("n"), *rating_sums()).collect()
