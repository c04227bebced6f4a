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
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts, number_cells
from cxlib.store import Workspace
from cxlib.summary import Selection

__all__ = ["BEGINS", "ENDS", "PathTree", "PathTrees", "measure_path_tree", "measure_path_trees"]

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


def _in_order(
    found: Journeys, name_of: NDArray[np.int64], *, forwards: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Name and journey of every contact, those of one name in a row as one."""
    codes, number = name_of[found.place], np.repeat(np.arange(len(found.first)), found.lengths)
    new = np.concatenate(([True], (codes[1:] != codes[:-1]) | (number[1:] != number[:-1])))
    way = slice(None, None, 1 if forwards else -1)
    return codes[new][way], number[new][way]


def _walk(
    found: Journeys,
    name_of: NDArray[np.int64],
    start: int,
    depth: int,
    forwards: bool,
    first_end: int,
) -> NDArray[np.int64]:
    """The steps away from the start of every journey through it; nothing after an end."""
    codes, number = _in_order(found, name_of, forwards=forwards)
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


@result
class PathTrees(Result):
    """What `measure_path_trees` returns."""

    all_journeys: int

    title = "Ways from and to every touchpoint"
    tables = Tables(
        table=Columns(
            "one row per start, direction and branch, each branch followed by its own, the most "
            "frequent first; the branches of one step add up to what they branch from",
            start=Label("touchpoint in the middle"),
            direction=Label('"after" it or "before" it'),
            step=Level("how far from the start, 1 the next"),
            path=Label("names from the start to here in the order of time, joined by arrows"),
            name=Label("what follows (or came before), or how the journey ended (or began)"),
            end=PathTree.tables["table"]["end"],
            journeys=Count("that go this way, each counted once", each="journeys"),
            before=Count("journeys one step nearer to the start", each="journeys", detail=True),
            share=Share(
                "of the journeys one step nearer to the start",
                of="journeys",
                each="journeys",
                total="before",
                interval=True,
            ),
        )
    )
    figures = Columns(all_journeys=Count("in the part asked about", each="journeys"))


@answers(PathTrees)
def measure_path_trees(
    workspace: Workspace, *, by: By = "touchpoint", where: Selection | None = None, depth: int = 2
) -> PathTrees:
    """Measure the ways from and to every touchpoint at once, as `measure_path_tree` does for one.

    Nothing is put together: every branch that occurs is there.

    Parameters
    ----------
    workspace
        The workspace; the store is read once.
    by
        What a contact is called: its touchpoint, place, channel, stage or owner.
    where
        Segment; periods in which the journey began; channel of its first contact.
    depth
        Steps.

    Returns
    -------
    PathTrees

    Raises
    ------
    InputError
        For a depth below 1.
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    names, name_of = name_places(workspace.places, by)
    steps = [f"step_{k}" for k in range(depth + 1)]
    walks, everybody = [], 0
    for found in read_journeys(workspace, where=where):
        everybody += len(found.first)
        for forwards in (True, False):
            walked = pl.DataFrame(_walk_all(found, name_of, depth, forwards, len(names)), steps)
            counted = walked.group_by(steps).agg(n=pl.len())
            walks.append(counted.with_columns(bucket=pl.lit(found.bucket), after=pl.lit(forwards)))
    none = dict.fromkeys([*steps, "n", "bucket"], pl.Int64) | {"after": pl.Boolean}
    counted = pl.concat([pl.DataFrame(schema=none), *walks], how="vertical_relaxed")
    ends = [*ENDS.values()], [*OUTCOMES]
    parts = [_branches(counted, steps[: k + 1], names, ends) for k in range(1, depth + 1)]
    branches = pl.concat(parts, how="diagonal")
    # a branch comes where the one that it is on comes: the most frequent first at every step
    order: list[pl.Expr] = []
    for k in range(1, depth + 1):
        of_step = pl.col("journeys").cast(pl.Int64) * (pl.col("step") == k)
        most = -of_step.sum().over("after", *steps[: k + 1])
        order += [pl.when(pl.col("step") >= k).then(most), pl.col(steps[k])]
    return PathTrees(
        table=branches.sort("step_0", ~pl.col("after"), *order).select(
            PathTrees.tables["table"].names
        ),
        all_journeys=everybody,
        observed_until=workspace.observed_until,
        where=where,
    )


def _walk_all(
    found: Journeys, name_of: NDArray[np.int64], depth: int, forwards: bool, first_end: int
) -> NDArray[np.int64]:
    """Where journeys begin to be counted, and the steps away from there; nothing after an end."""
    codes, number = _in_order(found, name_of, forwards=forwards)
    _, at = np.unique(number * first_end + codes, return_index=True)
    walks = np.full((len(at), depth + 1), _NOTHING)
    walks[:, 0] = codes[at]
    end = first_end + (found.outcome[number[at]] if forwards else np.zeros(len(at), dtype=np.int64))
    going = np.ones(len(at), dtype=bool)
    for step in range(1, depth + 1):
        there = np.minimum(at + step, len(codes) - 1)
        same = (at + step < len(codes)) & (number[there] == number[at])
        walks[going, step] = np.where(same, codes[there], end)[going]
        going &= same
    return walks


def _branches(
    counted: pl.DataFrame, steps: list[str], names: list[str], ends: tuple[list[str], list[str]]
) -> pl.DataFrame:
    """The branches of one step, with the journeys that go each way by bucket of customers."""
    keys = ["after", *steps]
    there = counted.filter(pl.col(steps[-1]) != _NOTHING)
    here, cell = number_cells(there, keys)
    n = _by_bucket(cell, there, len(here))
    nearer, cell = number_cells(counted.filter(pl.col(steps[-2]) < len(names)), keys[:-1])
    of = _by_bucket(cell, counted.filter(pl.col(steps[-2]) < len(names)), len(nearer))
    row = here.join(nearer.with_row_index("row"), on=keys[:-1], maintain_order="left")["row"]
    said = pl.Series([*names, *ends[0]])
    begins = pl.lit(BEGINS)
    words = {
        c: pl.when(~pl.col("after") & (pl.col(c) == len(names)))
        .then(begins)
        .otherwise(pl.lit(said).gather(pl.col(c).cast(pl.UInt32)))
        for c in steps
    }
    ended = pl.lit(pl.Series([None] * len(names) + ends[1], dtype=pl.String))
    last = pl.col(steps[-1])
    forth = pl.concat_str(list(words.values()), separator=_ARROW)
    back = pl.concat_str(list(words.values())[::-1], separator=_ARROW)
    at_end = pl.when(~pl.col("after") & (last == len(names))).then(pl.lit("begins"))
    return here.with_columns(
        start=words[steps[0]],
        direction=pl.when("after").then(pl.lit("after")).otherwise(pl.lit("before")),
        step=pl.lit(len(steps) - 1, pl.UInt32),
        path=pl.when("after").then(forth).otherwise(back),
        name=words[steps[-1]],
        end=at_end.otherwise(ended.gather(last.cast(pl.UInt32))),
        journeys=pl.Series(n.sum(axis=1)).cast(pl.UInt32),
        before=pl.Series(of[row].sum(axis=1)).cast(pl.UInt32),
        **interval_columns("share", rate(n, of[row])),
    )


def _by_bucket(cell: NDArray[np.int64], rows: pl.DataFrame, cells: int) -> Counts:
    axes = {"cell": (cell, cells), "bucket": (rows["bucket"], BUCKETS)}
    return dense_counts(axes, rows["n"])
