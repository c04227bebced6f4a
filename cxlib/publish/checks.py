"""What a finished snapshot must pass before it is served: read back and looked over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs

from cxlib.columns import Count, Customers, Money, Rank
from cxlib.errors import WorkspaceError
from cxlib.publish.answers import NUMBER, SELECTIONS
from cxlib.publish.influence import Influence
from cxlib.publish.rules import Published, PublishedTable
from cxlib.publish.small_groups import LEAST_STEPS, base_of, cases_of, is_name, with_influence

_COUNTS = ("customers", "customers_affected", "n")
_COUNTS_PREDICTIONS = "predictions.record"
"""A table whose ``n`` are no customers."""


def check_snapshot(
    folder: Path,
    measures: Sequence[Published],
    judged: Sequence[str],
    ids: pl.Series,
    influence: Influence,
    *,
    k: int,
) -> list[str]:
    """Look a snapshot over as it lies on disk, and say what was checked.

    Each figure of `measures` is held against what the heaviest customers add (`influence`), numbers
    of customers of what is `judged` (findings, predictions) against k. No text may be one of the
    customers' `ids`. WorkspaceError: a check failed; says which, and for what.
    """
    selections = len(pl.read_parquet(folder / SELECTIONS))
    ruled = {f"{m.name}.{field}": table for m in measures for field, table in m.tables.items()}
    for file in sorted(folder.glob("*.parquet")):
        frame, name = pl.read_parquet(file), file.stem
        if NUMBER in frame and (frame[NUMBER] >= selections).any():
            raise WorkspaceError(f"{name}: answers of selections that do not exist.")
        if name in ruled:
            _check_figures(frame, ruled[name], influence, name=name, k=k)
        elif file.name != SELECTIONS:
            counts = () if name == _COUNTS_PREDICTIONS else _COUNTS
            _check_numbers(frame, counts, name=name, k=k)
        _check_texts(frame, ids, name=name)
    return [
        f"every number of customers is a multiple of {k}, and none is about fewer",
        f"every other number is a multiple of more than any {k - 1} customers add to it",
        f"no share, mean or median of which {k - 1} customers make up two fifths",
        "no text is a customer's id",
        f"{selections} selections answered by {len(measures)} measures",
        *(
            f"every {name[:-1]} rests on at least {k} customers and is rounded as all figures are"
            for name in judged
        ),
    ]


def _check_figures(
    frame: pl.DataFrame, table: PublishedTable, influence: Influence, *, name: str, k: int
) -> None:
    joined = with_influence(frame, table.weights(influence, frame), table.on)
    for column, kind in table.columns.items():
        if column not in frame.columns:
            continue
        if isinstance(kind, Count):
            wrong = joined.filter(_could_tell(pl.col(column), base_of(kind, k=k), k))
            _refuse(len(wrong), f"{name}, {column}", k=k)
        elif not is_name(kind) and not isinstance(kind, Money | Rank):
            of = cases_of(kind, table.columns)
            if of not in frame.columns or isinstance(table.columns[of], Customers):
                continue
            least = LEAST_STEPS * base_of(table.columns[of], k=k)
            few = pl.col(of).cast(pl.Int64).fill_null(0) < least
            wrong = joined.filter(few & pl.col(column).is_not_null())
            _refuse(len(wrong), f"{name}, {column}", k=k)


def _check_numbers(frame: pl.DataFrame, columns: Sequence[str], *, name: str, k: int) -> None:
    """Check numbers of findings and predictions, and that they tell no instant."""
    for column in (c for c in columns if c in frame.columns):
        wrong = frame.filter(_could_tell(pl.col(column), pl.lit(k), k))
        _refuse(len(wrong), f"{name}, {column}", k=k)
    if any(isinstance(dtype, pl.Datetime) for dtype in frame.dtypes):
        raise WorkspaceError(
            f"{name}: an instant of a contact would be published; the snapshot is not served. This "
            "is a fault of cxlib: please report it."
        )


def _could_tell(number: pl.Expr, base: pl.Expr, k: int) -> pl.Expr:
    value = number.cast(pl.Int64)
    return (value % base != 0) | (value < 2 * k)


def _refuse(count: int, name: str, *, k: int) -> None:
    if count:
        raise WorkspaceError(
            f"{name}: {count} figures could tell on fewer than {k} customers; "
            "the snapshot is not served. This is a fault of cxlib: please report it."
        )


def _check_texts(frame: pl.DataFrame, ids: pl.Series, *, name: str) -> None:
    for found in frame.select(cs.string()):
        column = found.name
        if named := int(found.drop_nulls().unique().is_in(ids.implode()).sum()):
            raise WorkspaceError(
                f"{name}, {column}: {named} of its names are customers' ids; check `columns` "
                "in the journey map: a column that identifies people must not be a touchpoint, "
                "channel, owner or segment."
            )
