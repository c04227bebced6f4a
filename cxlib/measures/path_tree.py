"""Where journeys go from a touchpoint, or come from before it: a tree of the ways, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Columns, Count, Label, Level, Share, Tables
from cxlib.errors import InputError, UnknownNameError
from cxlib.numbers import plural, share
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import OUTCOMES, By, Journeys, name_places, read_journeys
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS
from cxlib.store import Workspace
from cxlib.summary import Selection

__all__ = ["BEGINS", "ENDS", "PathTree", "measure_path_tree"]

BEGINS = "(the journey begins)"
ENDS = {
    "goal": "(ends, goal reached)",
    "declined": "(ends, declined)",
    "silent": "(ends in silence)",
    "done": "(ends, began beyond the goal)",
    "open": "(still open)",
}
"""What stands for the end of a journey, by its outcome."""

_NOTHING = -1
#: Smallest share of the journeys through the start of a branch that is named.
_LEAST = 0.01
_ARROW = " → "


@result
class PathTree(Result):
    """What `measure_path_tree` returns.

    Attributes
    ----------
    start
        The touchpoint in the middle.
    forwards
        Whether the ways lead from it; else to it.
    """

    start: str
    forwards: bool
    journeys: int
    all_journeys: int

    title = "Ways from and to a touchpoint"
    tables = Tables(
        table=Columns(
            "one row per branch, each followed by its own branches, the most frequent first; the "
            "branches of one step add up to what they branch from",
            step=Level("how far from the start, 1 the next"),
            path=Label("names from the start to here in the order of time, joined by arrows"),
            name=Label("what follows (or came before), how the journey ended, or what is rarer"),
            end=Label(
                "how the journey ended here: goal, declined, silent, done (began beyond the goal) "
                'or open; "begins" going backwards; "rarer" for the names put together; null '
                "where it goes on",
                detail=True,
            ),
            journeys=Count("that go this way", each="journeys"),
            of=Count("journeys one step nearer to the start", each="journeys", detail=True),
            share=Share("of the journeys one step nearer to the start", interval=True),
            overall=Share("of all journeys through the start", interval=True),
        )
    )
    figures = Columns(
        journeys=Count("through the start, each counted once", each="journeys"),
        all_journeys=Count("in the part asked about", each="journeys"),
    )

    def sentences(self) -> list[str]:
        """Say what is most frequent next to the start."""
        if self.table.is_empty():
            return [f"No journey comes through {self.start} in this selection"]
        row = self.table.filter(pl.col("step") == 1).row(0, named=True)
        where = "After" if self.forwards else "Before"
        part = share(row["share"], row["share_low"], row["share_high"])
        of = plural(self.journeys, "journey")
        return [f"{where} {self.start} comes {row['name']} most often: in {part} of {of}"]


@answers(PathTree)
def measure_path_tree(
    workspace: Workspace,
    *,
    start: str,
    forwards: bool = True,
    by: By = "touchpoint",
    where: Selection | None = None,
    depth: int = 3,
    most: int = 6,
) -> PathTree:
    """Measure where journeys go from a touchpoint, or where they come from, with how they end.

    A journey is counted once: from its first contact of that name going forwards, to its last one
    going backwards. Contacts of one name in a row are one. Every branch says of how many it is a
    part; what is rarer is put together and counted, and an end is a branch like any other, so that
    the branches of a step add up to the step before.

    Parameters
    ----------
    workspace
        The workspace; the store is read once.
    start
        Name of the touchpoint (place, channel, stage or owner, as `by` says).
    forwards
        From it; False: to it.
    by
        What a contact is called: its touchpoint, place, channel, stage or owner.
    where
        Segment; periods in which the journey began; channel of its first contact.
    depth
        Steps.
    most
        Most branches of a branch that are named; ends always are, and what fewer than one in a
        hundred of the journeys through the start take never is.

    Returns
    -------
    PathTree

    Raises
    ------
    UnknownNameError
        The log has no such name.
    InputError
        For a depth or a number of branches below 1.

    Examples
    --------
    >>> found = measure_path_tree(workspace, start="page", depth=1)
    >>> found.journeys == found.table["journeys"].sum()
    True
    """
    if depth < 1 or most < 1:
        raise InputError(f"depth and most must be at least 1, not {min(depth, most)}")
    names, name_of = name_places(workspace.places, by)
    if start not in names:
        raise UnknownNameError(by, start, names)
    ends = [BEGINS] if not forwards else list(ENDS.values())
    parts, everybody = [], 0
    for found in read_journeys(workspace, where=where):
        everybody += len(found.first)
        walks = _walk(found, name_of, names.index(start), depth, forwards, len(names))
        parts.append(np.column_stack([np.full(len(walks), found.bucket), walks]))
    walks = np.concatenate(parts) if parts else np.zeros((0, depth + 1), dtype=np.int64)
    tree = _Tree([*names, *ends], len(names), forwards, most, _LEAST * len(walks), len(walks))
    rows = list(tree.grow(walks[:, 0], walks[:, 1:], (start,), 1))
    return PathTree(
        table=_table(rows, np.bincount(walks[:, 0], minlength=BUCKETS)),
        start=start,
        forwards=forwards,
        journeys=len(walks),
        all_journeys=everybody,
        observed_until=workspace.observed_until,
        where=where,
    )


def _walk(
    found: Journeys,
    name_of: NDArray[np.int64],
    start: int,
    depth: int,
    forwards: bool,
    first_end: int,
) -> NDArray[np.int64]:
    """The steps away from the start of every journey through it; nothing after an end."""
    codes, number = name_of[found.place], np.repeat(np.arange(len(found.first)), found.lengths)
    new = np.concatenate(([True], (codes[1:] != codes[:-1]) | (number[1:] != number[:-1])))
    codes, number = codes[new], number[new]
    if not forwards:
        codes, number = codes[::-1], number[::-1]
    at = np.flatnonzero(codes == start)
    journeys, nearest = np.unique(number[at], return_index=True)
    if not forwards:  # numbers fall: the first of each is still the first seen
        nearest = np.sort(nearest)
        journeys = number[at][nearest]
    at = at[nearest]
    walks = np.full((len(at), depth), _NOTHING)
    end = first_end + (found.outcome[journeys] if forwards else np.zeros(len(at), dtype=np.int64))
    going = np.ones(len(at), dtype=bool)
    for step in range(depth):
        there = at + step + 1
        inside = there < len(codes)
        here = np.where(inside, there, 0)
        same = inside & (number[here] == journeys)
        walks[going & same, step] = codes[here][going & same]
        walks[going & ~same, step] = end[going & ~same]
        going &= same
    return walks


class _Tree:
    """Grows the rows of the table, branch by branch."""

    def __init__(
        self,
        names: list[str],
        first_end: int,
        forwards: bool,
        most: int,
        least: float,
        journeys: int,
    ) -> None:
        self.names, self.first_end, self.forwards = names, first_end, forwards
        self.most, self.least, self.journeys = most, least, journeys
        self.ends = list(OUTCOMES) if forwards else ["begins"]

    def grow(
        self,
        bucket: NDArray[np.int64],
        walks: NDArray[np.int64],
        path: tuple[str, ...],
        step: int,
    ) -> Iterator[dict[str, Any]]:
        """The branches of a branch, each followed by its own."""
        of = np.bincount(bucket, minlength=BUCKETS)
        codes, counts = np.unique(walks[:, 0], return_counts=True)
        codes, counts = codes[codes != _NOTHING], counts[codes != _NOTHING]
        order = np.lexsort((codes, -counts))
        is_end = codes[order] >= self.first_end
        # ends are told however rare they are: shares add up to what became of everybody
        rank = np.cumsum(~is_end)
        named = is_end | ((rank <= self.most) & (counts[order] >= self.least))
        for code in codes[order][named]:
            here = walks[:, 0] == code
            name = self.names[code]
            end = self.ends[code - self.first_end] if code >= self.first_end else None
            yield self._row(step, (*path, name), name, end, bucket[here], of)
            if end is None and walks.shape[1] > 1:
                yield from self.grow(bucket[here], walks[here, 1:], (*path, name), step + 1)
        rarer = codes[order][~named]
        if len(rarer):
            here = np.isin(walks[:, 0], rarer)
            name = f"({len(rarer)} rarer)"
            yield self._row(step, (*path, name), name, "rarer", bucket[here], of)

    def _row(
        self,
        step: int,
        path: tuple[str, ...],
        name: str,
        end: str | None,
        bucket: NDArray[np.int64],
        of: NDArray[np.int64],
    ) -> dict[str, Any]:
        written = _ARROW.join(path if self.forwards else path[::-1])
        row = {"step": step, "path": written, "name": name, "end": end}
        return row | {"counts": np.bincount(bucket, minlength=BUCKETS), "parent": of}


def _table(rows: list[dict[str, Any]], everybody: NDArray[np.int64]) -> pl.DataFrame:
    counts = np.array([r["counts"] for r in rows], dtype=np.float64).reshape(-1, BUCKETS)
    parents = np.array([r["parent"] for r in rows], dtype=np.float64).reshape(-1, BUCKETS)
    whole = np.broadcast_to(everybody.astype(np.float64), counts.shape)
    columns: dict[str, pl.Series] = {
        "step": pl.Series([r["step"] for r in rows], dtype=pl.UInt32),
        **{n: pl.Series([r[n] for r in rows], dtype=pl.String) for n in ("path", "name", "end")},
        "journeys": pl.Series(counts.sum(axis=1)).cast(pl.UInt32),
        "of": pl.Series(parents.sum(axis=1)).cast(pl.UInt32),
    }
    columns |= interval_columns("share", rate(counts, parents))
    columns |= interval_columns("overall", rate(counts, whole))
    return pl.DataFrame(columns)
