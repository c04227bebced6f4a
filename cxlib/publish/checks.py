"""What a finished snapshot must pass before it is served: read back and looked over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.publish.answers import NUMBER, SELECTIONS
from cxlib.publish.influence import Influence
from cxlib.publish.rounding import rounding_base
from cxlib.publish.rules import PublishedMeasure, PublishedTable
from cxlib.publish.small_groups import LEAST_STEPS, Kind, Rule

__all__ = ["check_numbers", "check_snapshot", "check_texts"]


def check_snapshot(
    folder: Path,
    measures: Sequence[PublishedMeasure],
    ids: pl.Series,
    influence: Influence,
    *,
    k: int,
) -> list[str]:
    """Look a snapshot over as it lies on disk.

    Parameters
    ----------
    folder
        Where it lies.
    measures
        What it answers.
    ids
        Every customer's id.
    influence
        What the k-1 heaviest customers add.
    k
        Smallest number of customers a figure may be about.

    Returns
    -------
    list of str
        What was checked, for the manifest.

    Raises
    ------
    WorkspaceError
        A check failed; says which, and for what.
    """
    selections = len(pl.read_parquet(folder / SELECTIONS))
    for measure in measures:
        for field, table in measure.tables.items():
            name = f"{measure.name}.{field}"
            frame = pl.read_parquet(folder / f"{name}.parquet")
            if len(frame.filter(pl.col(NUMBER) >= selections)):
                raise WorkspaceError(f"{name}: answers of selections that do not exist.")
            _check_figures(frame, table, table.weights(influence, frame), name=name, k=k)
            check_texts(frame, ids, name=name)
    check_texts(pl.read_parquet(folder / SELECTIONS), ids, name="selections")
    return [
        f"every number of customers is a multiple of {k}, and none is about fewer",
        f"every other number is a multiple of more than any {k - 1} customers add to it",
        f"no share, mean or median of which {k - 1} customers make up two fifths",
        "no text is a customer's id",
        f"{selections} selections answered by {len(measures)} measures",
    ]


def _check_figures(
    frame: pl.DataFrame, table: PublishedTable, bounds: pl.DataFrame, *, name: str, k: int
) -> None:
    added = bounds.rename({c: f"_k_{c}" for c in bounds.columns if c not in table.on})
    if table.on:
        joined = frame.join(added, on=list(table.on), how="left")
    else:
        joined = frame.join(added, how="cross")

    def base(rule: Rule) -> pl.Expr:
        if rule.heaviest is None:
            return pl.lit(k)
        return rounding_base(pl.col(f"_k_{rule.heaviest}").fill_null(0), k=k)

    for column, rule in table.rules.items():
        if column not in frame.columns:
            continue
        if rule.kind in (Kind.CUSTOMERS, Kind.COUNT):
            wrong = joined.filter(_could_tell(pl.col(column), base(rule), k=k))
            _refuse_numbers(len(wrong), f"{name}, {column}", k=k)
        elif rule.of in frame.columns and table.rules[rule.of].kind is Kind.COUNT:
            least = LEAST_STEPS * base(table.rules[rule.of])
            few = pl.col(rule.of).cast(pl.Int64).fill_null(0) < least
            wrong = joined.filter(few & pl.col(column).is_not_null())
            _refuse_numbers(len(wrong), f"{name}, {column}", k=k)


def check_numbers(frame: pl.DataFrame, columns: Sequence[str], *, name: str, k: int) -> None:
    """Check that published numbers of customers are multiples of k, and none is below 2 k.

    Columns that the frame does not have are passed over.

    Raises
    ------
    WorkspaceError
        A figure could tell on fewer than k customers.
    """
    for column in columns:
        if column in frame.columns:
            wrong = frame.filter(_could_tell(pl.col(column), pl.lit(k), k=k))
            _refuse_numbers(len(wrong), f"{name}, {column}", k=k)


def _could_tell(number: pl.Expr, base: pl.Expr, *, k: int) -> pl.Expr:
    value = number.cast(pl.Int64)
    return (value % base != 0) | (value < 2 * k)


def _refuse_numbers(count: int, name: str, *, k: int) -> None:
    if count:
        raise WorkspaceError(
            f"{name}: {count} figures could tell on fewer than {k} customers; "
            "the snapshot is not served. This is a fault of cxlib: please report it."
        )


def check_texts(frame: pl.DataFrame, ids: pl.Series, *, name: str) -> None:
    """Check that no published text is the id of a customer.

    Raises
    ------
    WorkspaceError
        One is: something that identifies people is used as a touchpoint, a channel, a segment.
    """
    for column, dtype in frame.schema.items():
        if dtype != pl.String:
            continue
        found = frame[column].drop_nulls().unique()
        named = found.filter(found.is_in(ids.implode()))
        if len(named):
            raise WorkspaceError(
                f"{name}, {column}: {len(named)} of its names are customers' ids; check `columns` "
                "in the journey map: a column that identifies people must not be a touchpoint, "
                "channel, owner or segment."
            )
