"""The first later contact of a kind: one sorted search, where a join would hash every contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max // 4  # wait for a contact that does not come, milliseconds


def milliseconds(frame: pl.DataFrame, column: str = "occurred_at") -> Numbers:
    """Instants or durations of a column as whole milliseconds."""
    values = frame[column].to_physical().cast(pl.Int64).to_numpy()
    return np.asarray(values // 1_000, dtype=np.int64)


def flags_of(places: pl.DataFrame, name: str, *, default: bool = False) -> Flags:
    """Property of the journey map by place; `default` where the places do not tell it."""
    if name not in places.columns:
        return np.full(len(places), default)
    return np.asarray(places[name].fill_null(default).to_numpy(), dtype=bool)


def count_turns(moves: pl.DataFrame) -> pl.Series:
    """How often the customer had gone from the source to the target before, in order of rows."""
    customer, source, target = (
        moves[c].to_numpy().astype(np.int64) for c in ("customer", "source", "target")
    )
    way = customer << 32 | source << 16 | target
    order = np.argsort(way, kind="stable")
    ordered, row = way[order], np.arange(len(way))
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    turn = np.empty(len(way), dtype=np.uint32)
    turn[order] = row - np.repeat(first, np.diff(first, append=len(way)))
    return pl.Series("turn", turn)


@dataclass(frozen=True, slots=True)
class Later:
    """Contacts by group (customer, issue, …) and time in milliseconds, in any order."""

    group: Numbers
    at: Numbers

    def first(self, group: Numbers, at: Numbers, *, after: int = 0) -> tuple[Numbers, Numbers]:
        """Wait for the first contact of the group more than `after` later, and its row (or -1)."""
        if not len(self.at) or not len(at):
            return np.full(len(at), NEVER), np.full(len(at), -1)
        code, asked_code = _number(self.group, group)
        start = min(int(self.at.min()), int(at.min()))
        span = max(int(self.at.max()), int(at.max())) + after - start + 1
        key = code * span + (self.at - start)
        order = np.argsort(key, kind="stable")
        asked = asked_code * span + (at + after - start)
        position = np.searchsorted(key[order], asked, side="right")
        row = order[np.minimum(position, len(order) - 1)]
        found = (position < len(order)) & (key[row] // span == asked_code)
        wait = np.where(found, key[row] - asked + after, NEVER)
        return wait, np.where(found, row, -1)

    def last(self, group: Numbers, at: Numbers) -> Numbers:
        """Time since the last contact of the same group before `at`: the first, backwards."""
        return Later(self.group, -self.at).first(group, -at)[0]


def _number(known: Numbers, asked: Numbers) -> tuple[Numbers, Numbers]:
    """Number groups from 0, by rank where they are many: with the time 63 bits must do."""
    low = min(int(known.min()), int(asked.min()))
    if max(int(known.max()), int(asked.max())) - low < 2**20:
        return known - low, asked - low
    code = np.unique(np.concatenate([known, asked]), return_inverse=True)[1].astype(np.int64)
    return code[: len(known)], code[len(known) :]
