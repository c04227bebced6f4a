"""Where journeys go from a touchpoint, or come from before it: a tree of the ways, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cxlib.columns import Column, Columns, Count, Label, Level, Share, Tables
from cxlib.errors import InputError, UnknownNameError
from cxlib.numbers import plural, share
from cxlib.results import Result, answers, interval_columns, result
from cxlib.sequences import OUTCOMES, By, Journeys, name_places, read_journeys
from cxlib.statistics.rates import rate
from cxlib.statistics.resampling import BUCKETS, Counts, dense_counts, number_cells
from cxlib.store import Workspace
from cxlib.summary import Selection

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
_RARER = len(ENDS) + 1
"""Codes from the number of names on: the ends, the beginning, and what is rarer."""
_LEAST = 0.01
"""Smallest share of the journeys through the start of a branch that is named."""
_ARROW = " → "


_BRANCH: dict[str, Column] = {
    "step": Level("how far from the start, 1 the next"),
    "path": Label("names from the start to here in the order of time, joined by arrows"),
    "name": Label("what follows (or came before), how the journey ended, or what is rarer"),
    "end": Label(
        "how the journey ended here: goal, declined, silent, done (began beyond the goal) or open; "
        '"begins" going backwards; "rarer" for the names put together; null where it goes on',
        detail=True,
    ),
    "journeys": Count("that go this way, each counted once", each="journeys"),
}


@result
class PathTree(Result):
    """What `measure_path_tree` returns.

    ``forwards``: the ways lead from the touchpoint ``start``, else to it.
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
            **_BRANCH,
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
        if row["end"] is not None:
            return [
                f"{where} {self.start}, most often: {row['name'].strip('()')}, in {part} of {of}"
            ]
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

    Raises
    ------
    UnknownNameError, InputError
        The log has no such name; for a depth or a number of branches below 1.

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
    number = names.index(start)
    walked, everybody = _walk_all(workspace, name_of, depth, where, ways=(forwards,), start=number)
    journeys = int(walked["n"].sum())
    named = _put_rare_together(walked, len(names), depth=depth, most=most, least=_LEAST * journeys)
    return PathTree(
        table=_branches(named, names, depth).select(PathTree.tables["table"].names),
        start=start,
        forwards=forwards,
        journeys=journeys,
        all_journeys=everybody,
    )


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
            **_BRANCH,
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
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    names, name_of = name_places(workspace.places, by)
    walked, everybody = _walk_all(workspace, name_of, depth, where)
    branches = _branches(walked.with_columns(rarer=pl.lit(0)), names, depth)
    return PathTrees(
        table=branches.rename({"of": "before"}).select(PathTrees.tables["table"].names),
        all_journeys=everybody,
    )


def _walk_all(
    workspace: Workspace,
    name_of: NDArray[np.int64],
    depth: int,
    where: Selection | None,
    *,
    ways: Sequence[bool] = (True, False),
    start: int | None = None,
) -> tuple[pl.DataFrame, int]:
    """Count the ways from every name (``after``) and to it, by bucket; and count all journeys.

    ``step_0`` is the name (only `start`, if given), ``step_1`` what is next to it, and so on: a
    name, an end or beginning (from the number of names on), or nothing.
    """
    steps = [f"step_{k}" for k in range(depth + 1)]
    none = dict.fromkeys([*steps, "n", "bucket"], pl.Int64) | {"after": pl.Boolean}
    parts, everybody = [pl.DataFrame(schema=none)], 0
    for found in read_journeys(workspace, where=where):
        everybody += len(found.first)
        for forwards in ways:
            walks, bucket = _walk(found, name_of, depth, forwards, start)
            walked = pl.DataFrame(walks, steps).with_columns(bucket=pl.Series(bucket))
            counted = walked.group_by(*steps, "bucket").agg(n=pl.len().cast(pl.Int64))
            parts.append(counted.select(*steps, "n", "bucket", after=pl.lit(forwards)))
    return pl.concat(parts), everybody


def _walk(
    found: Journeys, name_of: NDArray[np.int64], depth: int, forwards: bool, start: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The steps away from every name that a journey comes to, once each, and its bucket.

    Nothing comes after an end.
    """
    first_end = int(name_of.max()) + 1
    codes, number = name_of[found.place], found.number
    # contacts of one name in a row are one
    new = np.concatenate(([True], (codes[1:] != codes[:-1]) | (number[1:] != number[:-1])))
    way = slice(None, None, 1 if forwards else -1)
    codes, number = codes[new][way], number[new][way]
    _, at = np.unique(number * first_end + codes, return_index=True)
    at = at if start is None else at[codes[at] == start]
    walks = np.full((len(at), depth + 1), _NOTHING)
    walks[:, 0] = codes[at]
    end = found.outcome[number[at]] if forwards else np.full(len(at), len(OUTCOMES))
    going = np.ones(len(at), dtype=bool)
    for step in range(1, depth + 1):
        there = np.minimum(at + step, len(codes) - 1)
        same = (at + step < len(codes)) & (number[there] == number[at])
        walks[going, step] = np.where(same, codes[there], first_end + end)[going]
        going &= same
    return walks, found.bucket[found.first][number[at]]


def _put_rare_together(
    walked: pl.DataFrame, names: int, *, depth: int, most: int, least: float
) -> pl.DataFrame:
    """Put together what is rarer than the `most` names of a branch; ends are told however rare.

    So shares add up to what became of everybody.
    """
    walked = walked.with_columns(rarer=pl.lit(0))
    for k in range(1, depth + 1):
        steps = [f"step_{i}" for i in range(k + 1)]
        code, parent = pl.col(steps[-1]), steps[:-1]
        counted = walked.group_by(steps).agg(pl.col("n").sum())
        rank = (code < names).cum_sum().over(parent)
        named = (code >= names) | (code == _NOTHING) | ((rank <= most) & (pl.col("n") >= least))
        told = counted.sort(*parent, -pl.col("n"), steps[-1]).with_columns(_named=named)
        told = told.with_columns(_rare=(~pl.col("_named")).sum().over(parent)).drop("n")
        later = [f"step_{i}" for i in range(k + 1, depth + 1)]
        walked = (
            walked.join(told, on=steps)
            .with_columns(
                pl.when("_named").then(code).otherwise(names + _RARER).alias(steps[-1]),
                *(pl.when("_named").then(pl.col(c)).otherwise(_NOTHING).alias(c) for c in later),
                rarer=pl.when("_named").then("rarer").otherwise(pl.col("_rare").cast(pl.Int32)),
            )
            .drop("_named", "_rare")
        )
    return walked


def _branches(walked: pl.DataFrame, names: list[str], depth: int) -> pl.DataFrame:
    """The branches of all steps, each followed by its own, the most frequent first."""
    parts = [_branches_of_step(walked, names, step) for step in range(1, depth + 1)]
    branches = pl.concat(parts, how="diagonal")
    # a branch comes where the one that it is on comes
    order: list[pl.Expr] = []
    for k in range(1, depth + 1):
        code = pl.col(f"step_{k}")
        on = ["after", *(f"step_{i}" for i in range(k + 1))]
        n = (pl.col("journeys").cast(pl.Int64) * (pl.col("step") == k)).sum().over(on)
        order += [code == len(names) + _RARER, pl.when(pl.col("step") >= k).then(-n), code]
    return branches.sort("step_0", ~pl.col("after"), *order)


def _branches_of_step(walked: pl.DataFrame, names: list[str], step: int) -> pl.DataFrame:
    keys = ["after", *(f"step_{i}" for i in range(step + 1))]
    branch, parent = pl.col(keys[-1]), pl.col(keys[-2])
    here, n = _by_bucket(walked.filter(branch != _NOTHING), keys)
    nearer, of = _by_bucket(walked.filter(parent < len(names)), keys[:-1])
    starts, whole = _by_bucket(walked, keys[:2])
    of = of[here.join(nearer.with_row_index("row"), on=keys[:-1], maintain_order="left")["row"]]
    whole = whole[
        here.join(starts.with_row_index("row"), on=keys[:2], maintain_order="left")["row"]
    ]
    rare = walked.filter(branch == len(names) + _RARER).group_by(keys).agg(pl.col("rarer").first())
    here = here.join(rare, on=keys, how="left", maintain_order="left")
    told = pl.lit(pl.Series([*names, *ENDS.values(), BEGINS, None]))
    ended = pl.lit(pl.Series([None] * len(names) + [*OUTCOMES, "begins", "rarer"], dtype=pl.String))
    words = [told.gather(pl.col(c).cast(pl.UInt32)) for c in keys[1:]]
    words[-1] = words[-1].fill_null(pl.format("({} rarer)", "rarer"))
    return here.with_columns(
        start=words[0],
        direction=pl.when("after").then(pl.lit("after")).otherwise(pl.lit("before")),
        step=pl.lit(step, pl.UInt32),
        path=pl.when("after")
        .then(pl.concat_str(words, separator=_ARROW))
        .otherwise(pl.concat_str(words[::-1], separator=_ARROW)),
        name=words[-1],
        end=ended.gather(branch.cast(pl.UInt32)),
        journeys=pl.Series(n.sum(axis=1)).cast(pl.UInt32),
        of=pl.Series(of.sum(axis=1)).cast(pl.UInt32),
        **interval_columns("share", rate(n, of)),
        **interval_columns("overall", rate(n, whole)),
    )


def _by_bucket(rows: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, Counts]:
    cells, cell = number_cells(rows, keys)
    bucket = rows["bucket"].to_numpy()
    axes = {"cell": (cell, len(cells)), "bucket": (bucket, BUCKETS)}
    return cells, dense_counts(axes, rows["n"])
