"""What is published: a line per measure; everything else follows from the columns of its result.

``docs/publishing.md`` says how to add one, and how each kind of column is protected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pkgutil import resolve_name
from typing import Any

import polars as pl

from cxlib.columns import Amount, Columns, Count, Rank, Text
from cxlib.errors import InputError
from cxlib.publish.influence import KEYS, Influence
from cxlib.publish.selections import Choices
from cxlib.publish.small_groups import is_name, who_is_behind
from cxlib.statistics.resampling import dense_counts
from cxlib.summary import OPEN, Summary

_WEIGHTS = ("comments", "contacts", "cost", "customers", "dwells", "journeys", "ratings")
_TOTALS = {n: Count("in all rows together", each="total") for n in ("total", "open_n")}
_OF_PLACES = ("touchpoint", "channel", "stage", "owner")


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table of a result: its columns, those that name a row, and what bounds a customer's weight.

    That is a frame of `Influence`, or else told by the columns `at` that name places.
    """

    columns: Columns
    key: tuple[str, ...]
    influence: str | None
    at: Mapping[str, str]

    @property
    def on(self) -> tuple[str, ...]:
        """Columns that the table and its weights share."""
        return tuple(self.at)

    @property
    def first(self) -> str:
        """The count behind a row: where it is null, the row is not shown."""
        return who_is_behind(self.columns) or ""

    def weights(self, influence: Influence, rows: pl.DataFrame) -> pl.DataFrame:
        """Return what the k-1 heaviest customers add to rows: one row for each value of `on`."""
        if self.influence is not None:
            return influence.rows[self.influence]
        return influence.at(rows.select(self.on).unique(), self.at)


@dataclass(frozen=True, eq=False)
class Published:
    """A measure that is published, for everybody and, where it takes ``where``, every segment.

    ``docs/publishing.md`` says what is declared by what; ``"package.module:function"`` (else what
    is called as the measure is) is loaded when it is published or read.
    """

    name: str
    measure: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    adds_up: bool = True
    plain: tuple[str, ...] = ()
    by_segment: bool = True
    hidden: tuple[str, ...] = ()
    by_period: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    totals: Callable[[Summary], pl.DataFrame] | None = None
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    keep_hidden: bool = False

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The measure, with its options."""
        return partial(self._measure, **self.options)

    @cached_property
    def _measure(self) -> Any:
        own = f"cxlib.measures.{self.name}:measure_{self.name}"
        return resolve_name(self.measure or own)

    @cached_property
    def result(self) -> type[Any]:
        """What the measure returns."""
        made: type[Any] = self._measure.made
        return made

    @cached_property
    def tables(self) -> dict[str, PublishedTable]:
        """The result's frames by field; InputError: nothing says how one may be published."""
        made = self.result
        known = {*made.tables, *self.numbers, *self.names, *self.plain, *self.hidden}
        known |= {"observed_until", "where"}
        if unruled := {f.name for f in fields(made)} - known:
            raise InputError(
                f"nothing says how {made.__name__}.{min(unruled)} may be published: declare it in "
                "`figures`, or name it in `plain` if it is about no customers."
            )
        return {n: self._table(n, c, f"{made.__name__}.{n}") for n, c in made.tables.items()}

    @cached_property
    def numbers(self) -> dict[str, Count]:
        """Its plain numbers by field; one that is no count cannot be protected by itself."""
        found: dict[str, Count] = {}
        for name, column in self.result.figures.items():
            if name in self.plain:
                continue
            if not isinstance(column, Count):
                raise InputError(
                    f"{self.result.__name__}.{name} cannot be published: a plain number that is no "
                    "count says nothing of its cases; make it a column of a table."
                )
            found[name] = column
        return found

    @property
    def is_by_segment(self) -> bool:
        """Whether it is answered for every segment; else for everybody only."""
        return self.by_segment and self._takes("where")

    def _takes(self, parameter: str) -> bool:
        return parameter in inspect.signature(self.function).parameters

    def _table(self, name: str, columns: Columns, what: str) -> PublishedTable:
        totals = _TOTALS if self.totals is not None else {}
        further = {n: c for n, c in totals.items() if n not in columns}
        check_columns(columns, what)
        key = tuple(n for n, c in columns.items() if is_name(c) and not isinstance(c, Text))
        influence = self.weights.get(name)
        known = KEYS[influence] if influence else (*_OF_PLACES, *self.at)
        at = {n: self.at.get(n, n) for n in key if n in known}
        return PublishedTable(Columns(columns.rows, **columns, **further), key, influence, at)

    def asked(self, k: int) -> Callable[..., Any]:
        """The function, which is told the smallest group where it asks for that."""
        return partial(self.function, k=k) if self._takes("k") else self.function

    def choices(self, choices: Choices) -> Choices:
        """What is answered of all that may be chosen."""
        segments = choices.segments if self.is_by_segment else ()
        periods, spans = (choices.periods, choices.spans) if self.by_period else ((), ())
        return replace(choices, segments=segments, periods=periods, spans=spans)


def check_columns(columns: Columns, what: str) -> None:
    """Refuse columns (InputError) that do not count what they are about, or of whom."""
    counts = [n for n, c in columns.items() if isinstance(c, Count)]
    if who_is_behind(columns) is None:
        raise InputError(
            f"{what} cannot be published: no column counts the customers behind a row; declare one "
            "(Customers, or Count with `each`)."
        )
    for name, column in columns.items():
        if isinstance(column, Count | Amount) and column.each not in (None, *_WEIGHTS):
            raise InputError(
                f"{what} cannot be published: nothing says how many {column.each} one customer may "
                f"have; `each` is one of {', '.join(_WEIGHTS)}."
            )
        if column.of is not None and column.of not in counts and not isinstance(column, Rank):
            raise InputError(
                f"{what} cannot be published: {column.of}, the cases of {name}, is no count in it."
            )


def _contacts_at_source(log: Summary) -> pl.DataFrame:
    n, source = pl.col("n").cast(pl.Int64), pl.col("place").cast(pl.Int64)
    opened = n.filter(pl.col("next") == OPEN).sum()
    return log.steps.group_by(source=source).agg(total=n.sum(), open_n=opened)


def _journeys_begun(log: Summary) -> pl.DataFrame:
    part = log.part_of[log.starts["place"].to_numpy()]
    begun = dense_counts({"part": (part, log.parts)}, log.starts["n"])
    return pl.DataFrame({"total": begun}).cast(pl.Int64)


_LINES = (
    Published(
        "touchpoints",
        by_period=True,
        keep_hidden=True,
        weights={"table": "places", "by_stage": "stages", "by_channel": "channels"},
        names={"channels": ("by_channel", "channel"), "stages": ("by_stage", "stage")},
    ),
    Published(
        "transitions",
        options={"by": "place"},
        by_period=True,
        weights={"table": "moves"},
        totals=_contacts_at_source,
    ),
    Published(
        "first_contacts",
        by_period=True,
        keep_hidden=True,
        weights={"table": "first_places", "by_channel": "first_channels", "whole": "whole"},
        totals=_journeys_begun,
    ),
    Published(
        "stage_funnel",
        by_period=True,
        keep_hidden=True,
        weights={"table": "stages"},
    ),
    Published(
        "perception",
        at={"group": "touchpoint"},
        plain=("by",),
    ),
    Published("experience_curve", "cxlib.measures.experience:measure_experience_curve"),
    Published(
        "spectrum",
        "cxlib.measures.experience:measure_spectrum",
        options={"classes": True},
        at={"group": "touchpoint"},
        plain=("by",),
    ),
    Published(
        "environments",
        "cxlib.comparing:measure_environments",
        weights={"whole": "whole"},
    ),
    Published(
        "comments",
        at={"group": "touchpoint"},
        by_segment=False,
        plain=("by",),
        hidden=("notes",),
    ),
    Published(
        "drivers",
        "cxlib.measures.drivers:measure_drivers",
        by_segment=False,
        plain=("days",),
        hidden=("notes",),
    ),
    Published("loyalty", by_segment=False),
    Published(
        "path_trees", "cxlib.measures.path_tree:measure_path_trees", at={"start": "touchpoint"}
    ),
    Published(
        "priorities",
        "cxlib.opportunities.priorities:list_priorities",
        adds_up=False,
        plain=("findings",),
    ),
)
PUBLISHED: Mapping[str, Published] = {line.name: line for line in _LINES}
"""What the views ask for and follows from its columns, in the order in which it is published."""
