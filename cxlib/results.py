"""What every answer has in common: a table, what it was measured on, a face, and a way out.

A measure returns a frozen result: a tidy table with fixed dtypes and a total sort order, and what
it was measured on. Rates stand beside their intervals: ``x``, ``x_low``, ``x_high``. Where
nothing is known there is a null, never a 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from cxlib.bins import BIN_EDGES
from cxlib.markup import html_text
from cxlib.statistics.rates import Interval
from cxlib.statistics.resampling import Estimates, dense_counts
from cxlib.summary import NONE, Selection, Summary

__all__ = [
    "WAIT_EDGES",
    "Result",
    "distinct_customers",
    "durations",
    "interval_columns",
    "numbers",
]

#: Where the bins of waits begin, in seconds; and one more, after all others, for what is known at
#: the gap only: that nothing came.
WAIT_EDGES: tuple[float, ...] = (*BIN_EDGES, 2 * BIN_EDGES[-1])

_SHOWN_ROWS = 25
_SHARES = frozenset(
    [
        "share",
        "go_on",
        "lost",
        "silent",
        "declined",
        "done",
        "open",
        "response",
        "goal",
        "goal_elsewhere",
        "difference",
        "rate",
        "further",
        "progress",
    ]
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """A finished answer.

    Attributes
    ----------
    table
        The answer; columns are described where it is made.
    observed_until
        End of observation, UTC.
    where
        The part of the log that was asked about; None for all of it.
    """

    table: pl.DataFrame
    observed_until: datetime
    where: Selection | None = None

    title: ClassVar[str] = "Result"
    shown: ClassVar[tuple[str, ...]] = ()
    """Columns that a notebook shows; all where none is named. The table has them all."""

    def write_csv(self, path: str | Path) -> None:
        """Write the table as CSV; durations become seconds, and their columns are renamed so."""
        lengths = [n for n, dtype in self.table.schema.items() if dtype == pl.Duration]
        self.table.select(
            pl.col(name).dt.total_microseconds().truediv(1e6).alias(f"{name}_seconds")
            if name in lengths
            else pl.col(name)
            for name in self.table.columns
        ).write_csv(path)

    def write_parquet(self, path: str | Path) -> None:
        """Write the table as Parquet."""
        self.table.write_parquet(path)

    def __len__(self) -> int:
        return len(self.table)

    def _repr_html_(self) -> str:
        """Show the first rows as a table, intervals in one cell with their estimate."""
        head = self.table.head(_SHOWN_ROWS)
        wanted = self.shown or tuple(c for c in head.columns if not _is_end(c, head.columns))
        shown = [c for c in wanted if c in head.columns]
        rows = "".join(
            "<tr>" + "".join(f"<td>{_cell(row, c)}</td>" for c in shown) + "</tr>"
            for row in head.iter_rows(named=True)
        )
        heads = "".join(f"<th>{html_text(c.replace('_', ' '))}</th>" for c in shown)
        more = len(self.table) - len(head)
        note = f"observed until {self.observed_until:%d %b %Y}" + (
            f"; and {more:,} more row{'s' * (more > 1)}" if more else ""
        )
        return (
            f"<table><caption>{html_text(self.title)} ({html_text(note)})</caption>"
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _is_end(column: str, columns: list[str]) -> bool:
    stem = column.removesuffix("_low").removesuffix("_high")
    return stem != column and stem in columns


def _cell(row: dict[str, object], column: str) -> str:
    percent = column in _SHARES
    text = _written(row[column], percent=percent)
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    if low is not None and high is not None:
        text += f" ({_written(low, percent=percent)} to {_written(high, percent=percent)})"
    return html_text(text)


def _written(value: object, *, percent: bool = False) -> str:
    """Write one value for people: a dash for what is not known, a duration in its largest unit."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if percent:
            return f"{100 * value:.1f} %"
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
            if seconds >= size:
                return f"{seconds / size:.1f} {unit}"
        return f"{seconds:.0f} s"
    return str(value)


def numbers(values: ArrayLike) -> pl.Series:
    """Turn an array into a Float64 column, NaN into null.

    Examples
    --------
    >>> numbers([0.5, float("nan")]).to_list()
    [0.5, None]
    """
    return pl.Series(np.asarray(values, dtype=np.float64), nan_to_null=True)


def durations(seconds: ArrayLike) -> pl.Series:
    """Turn seconds into a Duration column, NaN into null.

    Examples
    --------
    >>> durations([90.0, float("nan")]).to_list()
    [datetime.timedelta(seconds=90), None]
    """
    microseconds = np.round(np.asarray(seconds, dtype=np.float64) * 1_000_000)
    return numbers(microseconds).cast(pl.Int64).cast(pl.Duration("us"))


def interval_columns(
    name: str, interval: Interval, *, cause: int | None = None, as_duration: bool = False
) -> dict[str, pl.Series]:
    """Give the three columns ``name``, ``name_low``, ``name_high`` of an estimate.

    Parameters
    ----------
    name
        The column's name.
    interval
        The estimate, one entry per row, or per row and cause.
    cause
        Which cause, where the interval has several.
    as_duration
        Whether the estimate is in seconds and shall be a Duration.

    Examples
    --------
    >>> x = Interval(*(np.array([v]) for v in (0.5, 0.4, 0.6, 0.05)))
    >>> {k: v.to_list() for k, v in interval_columns("go_on", x).items()}
    {'go_on': [0.5], 'go_on_low': [0.4], 'go_on_high': [0.6]}
    """
    make = durations if as_duration else numbers
    picked = (
        values if cause is None else values[..., cause]
        for values in (interval.estimate, interval.low, interval.high)
    )
    names = (name, f"{name}_low", f"{name}_high")
    return {n: make(values).alias(n) for n, values in zip(names, picked, strict=True)}


def distinct_customers(
    chosen: Summary, *, where: Selection | None, level: str, cells: int
) -> Estimates:
    """Count the distinct customers of every cell of one level, exactly.

    Parameters
    ----------
    chosen
        The summary, already narrowed by `where`.
    where
        The selection: of its periods a customer counts in the first one seen.
    level
        "all", "stage", "channel" or "place".
    cells
        Number of cells; of stages one more than the map has, for what it does not place.

    Returns
    -------
    numpy.ndarray
        Customers per cell; NaN where they are not known (stages within one channel).
    """
    in_one_channel = where is not None and where.channel is not None
    if in_one_channel and level == "stage":
        return np.full(cells, np.nan)
    together = level == "all"
    if in_one_channel and together:
        level = "channel"
    since = where.period[0] if where is not None and where.period is not None else 0
    before = pl.col("previous_period")
    reach = chosen.reach.filter((pl.col("level") == level) & ((before < since) | (before == NONE)))
    key = reach["key"].to_numpy()
    if level == "stage":
        key = np.minimum(key, len(chosen.stage_names))
    if together:
        key = np.zeros(len(reach), dtype=np.int64)
    kept = key < cells
    return dense_counts({"cell": (key[kept], cells)}, reach["customers"].to_numpy()[kept])
