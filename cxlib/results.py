"""What every answer has in common: a table, what it was measured on, a face, and a way out.

A measure returns a frozen result: a tidy table with fixed dtypes and a total sort order, and what
it was measured on. Rates stand beside their intervals: ``x``, ``x_low``, ``x_high``. Where
nothing is known there is a null, never a 0. What the columns are is declared once, with the class
(`cxlib.columns`).
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, Self, TypeVar, dataclass_transform

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from cxlib.bins import BIN_EDGES
from cxlib.columns import Column, Columns, Tables
from cxlib.errors import InputError, UnknownNameError
from cxlib.numbers import day, plural
from cxlib.statistics.rates import Interval
from cxlib.statistics.resampling import Estimates, dense_counts
from cxlib.store import Workspace
from cxlib.summary import NONE, Selection, Summary
from cxlib.tables import as_records, csv_text
from cxlib.where import Where

#: Where the bins of waits begin, in seconds; and one more, after all others, for what is known at
#: the gap only: that nothing came.
WAIT_EDGES: tuple[float, ...] = (*BIN_EDGES, 2 * BIN_EDGES[-1])

_SHOWN_ROWS = 25
_SECTION = r"\n\n(?=(?:Raises|Notes|References|Examples)\n---)"
"""What a docstring says after its parameters and what is returned."""

_BY_ANSWERS = datetime.max.replace(tzinfo=UTC)
"""Stands in a result until `answers` says which log was asked."""

Made = TypeVar("Made", bound="Result")
Returned = TypeVar("Returned")
Given = ParamSpec("Given")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Result:
    """A finished answer.

    Attributes
    ----------
    table
        The answer.
    observed_until
        End of observation, UTC.
    where
        The part of the log that was asked about; None for all of it.
    """

    table: pl.DataFrame
    observed_until: datetime = _BY_ANSWERS
    where: Selection | None = None

    title: ClassVar[str] = "Result"
    tables: ClassVar[Tables] = Tables()
    """The columns of each of its tables, by field."""
    figures: ClassVar[Columns] = Columns()
    """Its plain numbers, by field."""

    def __post_init__(self) -> None:
        for name, columns in self.tables.items():
            table: pl.DataFrame = getattr(self, name)
            if not table.columns:  # nothing was measured: the columns are there all the same
                object.__setattr__(self, name, columns.frame())
            else:
                columns.check(table, f"{type(self).__name__}.{name}")

    @property
    def columns(self) -> Columns:
        """What the columns of ``table`` are."""
        return self.tables["table"]

    @property
    def headlines(self) -> Sequence[str]:
        """The answer in words, where the result says it itself."""
        return ()

    def only(self, **values: str | Iterable[str]) -> Self:
        """Keep the rows whose columns have one of these values: ``only(stage="awareness")``.

        What was measured on all of them (numbers, the row of all together) stays as it is.
        UnknownNameError: the answer has no such column.
        """
        wanted = {n: [v] if isinstance(v, str) else list(v) for n, v in values.items()}
        for name in wanted:
            if name not in self.columns:
                raise UnknownNameError("column", name, self.columns)
        kept = {}
        for field, columns in self.tables.items():
            tests = [pl.col(n).is_in(v) for n, v in wanted.items() if n in columns]
            kept[field] = getattr(self, field).filter(*tests)
        return replace(self, **kept)

    def write_csv(self, path: str | Path) -> None:
        """Write the table as CSV; durations become seconds, and their columns are renamed so."""
        Path(path).write_text(csv_text(self.table), "utf-8")

    def write_parquet(self, path: str | Path) -> None:
        """Write the table as Parquet."""
        self.table.write_parquet(path)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the table as plain values, as the command line prints it as JSON."""
        return as_records(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        rows = plural(len(self.table), "row")
        until = f"observed until {day(self.observed_until)}"
        return f"<{type(self).__name__}: {rows}{_part(self.where)}, {until}>"

    def _repr_html_(self) -> str:
        """Show the first rows as a table, intervals in one cell with their estimate."""
        more = len(self.table) - _SHOWN_ROWS
        note = f"observed until {day(self.observed_until)}"
        note += f"; and {plural(more, 'more row')}" if more > 0 else ""
        written = self.columns.written(self.table, most=_SHOWN_ROWS)
        return written.to_html(caption=f"{self.title} ({note})", above=self.headlines)


def _part(where: Selection | None) -> str:
    """Say which part a result is about, shortly."""
    if where is None:
        return ""
    named = [
        "=".join(where.segment) if where.segment else "",
        f"channel {where.channel}" if where.channel else "",
        f"periods {where.period[0]} to {where.period[1]}" if where.period else "",
    ]
    return f" of {', '.join(name for name in named if name)}"


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
def result(declared: type[Made]) -> type[Made]:
    """Make a class a result: a frozen dataclass whose docstring lists its columns."""
    made = dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)(declared)
    listed = _describe(made)
    made.__doc__ = f"{inspect.cleandoc(made.__doc__ or '')}\n\n{listed}"
    return made


def require_log(log: object) -> None:
    """Refuse what is no log to be asked, such as the path of a workspace."""
    if isinstance(log, Result) or not hasattr(log, "observed_until"):
        given = repr(str(log)) if isinstance(log, str | Path) else f"a {type(log).__name__}"
        raise InputError(
            f"{given} is no workspace: cx.open(folder) opens one, cx.build(log, folder) makes one"
        )


def of_workspace(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Let a function whose first argument is a workspace refuse all else in one sentence."""

    @functools.wraps(function)
    def asked(*given: Given.args, **options: Given.kwargs) -> Returned:
        if given:
            require_log(given[0])
        return function(*given, **options)

    return asked


@functools.cache
def _linear_algebra(_loaded: frozenset[str]) -> Any:
    """The libraries that multiply matrices, to be held to one thread while a measure is taken: its
    matrices are small, and more threads would mostly wait for one another. SciPy has its own, which
    comes with the first of two of its parts.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def answers(made: type[Made]) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Make a function a measure that is asked of a workspace.

    It takes the workspace, or its summary where it reads no more than that; ``where`` may be a
    `Where`, which is looked up; what was asked of which log is written into the result; and its
    docstring says all this, and lists the columns of the result.
    """

    def decorate(function: Callable[..., Made]) -> Callable[..., Made]:
        signature = inspect.signature(function)
        reads_summary = next(iter(signature.parameters)) == "summary"

        @functools.wraps(function)
        def measure(log: Workspace | Summary, **options: Any) -> Made:
            require_log(log)
            where = options.get("where")
            if isinstance(where, Where):
                options["where"] = where.of(log)
            elif where is not None and not isinstance(where, Selection):
                raise InputError(f'where takes cx.Where(channel="web"), not {where!r}')
            if reads_summary and isinstance(log, Workspace):
                log = log.summary()
            loaded = frozenset({"scipy.linalg", "scipy.special"} & sys.modules.keys())
            with _linear_algebra(loaded).limit(limits=1, user_api="blas"):
                found = function(log, **options)
            return replace(found, observed_until=log.observed_until, where=options.get("where"))

        parts = [
            p.replace(annotation="Where | None") if p.name == "where" else p
            for p in signature.parameters.values()
        ]
        parts[0] = parts[0].replace(name="workspace", annotation="Workspace")
        measure.__signature__ = signature.replace(parameters=parts)  # type: ignore[attr-defined]
        log = f"workspace\n    The workspace{', or its summary' if reads_summary else ''}.\n"
        measure.__doc__ = _documented(inspect.cleandoc(function.__doc__ or ""), log, made)
        measure.made = made  # type: ignore[attr-defined]
        return measure

    return decorate


def _documented(text: str, log: str, made: type[Result]) -> str:
    """Add to the docstring of a measure what follows from its signature and its result."""
    if "----------\nworkspace\n" not in text:
        text = text.replace("Parameters\n----------\n", f"Parameters\n----------\n{log}", 1)
    listed = f"{made.__name__}\n{textwrap.indent(_describe(made), '    ')}"
    if "Returns\n-------" in text:
        return text.replace(f"\n{made.__name__}\n", f"\n{listed}\n", 1)
    before, *after = re.split(_SECTION, text, maxsplit=1)
    return "\n\n".join([before, f"Returns\n-------\n{listed}", *after])


def _describe(made: type[Result]) -> str:
    """List the columns of every table of a result, and its plain numbers."""
    parts: list[str] = []
    above: list[Column] = []
    for name, columns in made.tables.items():
        heading = f"``{name}`` has {columns.rows}:" if columns.rows else f"``{name}``:"
        parts += [*textwrap.wrap(heading, 92), "", *columns.describe(above=above), ""]
        above += columns.values()
    if made.figures:
        parts += ["Plain numbers:", "", *made.figures.describe()]
    return "\n".join(parts).rstrip()


def numbers(values: ArrayLike) -> pl.Series:
    """Turn an array into a Float64 column, NaN into null.

    >>> numbers([0.5, float("nan")]).to_list()
    [0.5, None]
    """
    return pl.Series(np.asarray(values, dtype=np.float64), nan_to_null=True)


def durations(seconds: ArrayLike) -> pl.Series:
    """Turn seconds into a Duration column, NaN into null.

    >>> durations([90.0, float("nan")]).to_list()
    [datetime.timedelta(seconds=90), None]
    """
    microseconds = np.round(np.asarray(seconds, dtype=np.float64) * 1_000_000)
    return numbers(microseconds).cast(pl.Int64).cast(pl.Duration("us"))


def interval_columns(
    name: str, interval: Interval, *, as_duration: bool = False
) -> dict[str, pl.Series]:
    """Give the columns ``name``, ``name_low``, ``name_high`` of an estimate.

    >>> x = Interval(*(np.array([v]) for v in (0.5, 0.4, 0.6, 0.05)))
    >>> {k: v.to_list() for k, v in interval_columns("go_on", x).items()}
    {'go_on': [0.5], 'go_on_low': [0.4], 'go_on_high': [0.6]}
    """
    make = durations if as_duration else numbers
    values = (interval.estimate, interval.low, interval.high)
    names = (name, f"{name}_low", f"{name}_high")
    return {n: make(v).alias(n) for n, v in zip(names, values, strict=True)}


def interval_row(name: str, interval: Interval, row: int = 0) -> dict[str, float]:
    """Give ``name``, ``name_low`` and ``name_high`` of one row of an estimate, as plain numbers.

    >>> x = Interval(*(np.array([v]) for v in (0.5, 0.4, 0.6, 0.05)))
    >>> interval_row("share", x)
    {'share': 0.5, 'share_low': 0.4, 'share_high': 0.6}
    """
    values = (interval.estimate, interval.low, interval.high)
    names = (name, f"{name}_low", f"{name}_high")
    return {n: float(v[row]) for n, v in zip(names, values, strict=True)}


def distinct_customers(
    chosen: Summary, *, where: Selection | None, level: str, cells: int
) -> Estimates:
    """Count the distinct customers of every cell of a level ("all", "stage", "channel", "place").

    `chosen` is narrowed by `where` already, of whose periods a customer counts in the first one
    seen; stages have a cell more, for what the map does not place. NaN: stages within one channel.
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
        key = np.minimum(key, len(chosen.stage_names) + chosen.parts - 1)
    if together and in_one_channel:
        key = np.zeros(len(reach), dtype=np.int64)
    kept = key < cells
    return dense_counts({"cell": (key[kept], cells)}, reach["customers"].to_numpy()[kept])
