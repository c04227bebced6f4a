"""The frames that the rooms of this package hand to each other, and the rules they keep.

A `Contract` is a name, columns with dtypes, a key and named rules, each with a hint.
`Contract.validate` raises on the first broken rule; it looks at the data once and columnwise, so
that ten million rows pass in about a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from cxlib.errors import InputError, did_you_mean, there_are

__all__ = [
    "CUSTOMERS",
    "EVENTS",
    "INITIATORS",
    "QUARANTINE",
    "RATINGS",
    "DIMENSION",
    "UNKNOWN",
    "UNMAPPED",
    "Column",
    "Contract",
    "Rule",
]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

UNMAPPED = "unmapped"
"""Stage of a contact whose touchpoint or stage the journey map does not know."""

DIMENSION = "segment."
"""What the columns of segment dimensions begin with, so that they may have any name."""

UNKNOWN = "unknown"
"""Channel of a contact where neither log nor map names one; segment of a customer without."""

INITIATORS = ("customer", "company")
"""Closed list of `initiated_by`."""

INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract: name, dtype, meaning; whether it may hold nulls or be absent."""

    name: str
    dtype: DataType | DataTypeClass
    about: str
    nullable: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A named condition on one row; `holds` is true, or null, where the rule is kept."""

    name: str
    holds: pl.Expr
    column: str
    hint: str


@dataclass(frozen=True, slots=True)
class Contract:
    """Columns, key and rules of one kind of frame.

    Parameters
    ----------
    name
        The name used in messages.
    columns
        The columns, in order.
    key
        Columns that identify a row to the reader of a message.
    rules
        Conditions beyond dtype and nulls.
    unique
        Whether two rows may not share a key.
    extra
        Dtype of further columns, where they are welcome; None where they are refused.
    extra_starts
        How the names of further columns must begin; empty: they may have any name.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    unique: bool = False
    extra: DataType | DataTypeClass | None = None
    extra_starts: tuple[str, ...] = ()
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {c.name: c for c in self.columns})

    @property
    def schema(self) -> pl.Schema:
        """Names and dtypes of all columns, optional ones included."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    def empty(self) -> pl.DataFrame:
        """Return a frame without rows that keeps the contract."""
        return pl.DataFrame(schema=self.schema)

    def validate(self, frame: Frame) -> Frame:
        """Return `frame` unchanged, or raise on what it breaks.

        Parameters
        ----------
        frame
            A DataFrame, or a LazyFrame, which is then scanned once by the streaming engine.

        Raises
        ------
        InputError
            Says the contract, the column or rule, the number of rows, the first keys, and what to
            do.
        """
        self._check_columns(frame.collect_schema())
        rules = [*self._null_rules(frame.collect_schema()), *self.rules_for(frame.collect_schema())]
        if rules:
            broken = (
                frame.lazy()
                .select(_breaks(r).sum().alias(str(i)) for i, r in enumerate(rules))
                .collect(engine="streaming")
                .row(0)
            )
            for rule, rows in zip(rules, broken, strict=True):
                if rows:
                    raise InputError(self._broken_message(frame.lazy(), rule, rows))
        if self.unique:
            self._check_unique(frame.lazy())
        return frame

    def rules_for(self, schema: pl.Schema) -> Iterator[Rule]:
        """Yield the rules whose columns are all present."""
        return (r for r in self.rules if set(r.holds.meta.root_names()) <= set(schema.names()))

    @property
    def _unique_name(self) -> str:
        return f"one row for each {', '.join(self.key)}"

    def _null_rules(self, schema: pl.Schema) -> Iterator[Rule]:
        for column in self.columns:
            if not column.nullable and column.name in schema:
                yield Rule(
                    f"{column.name} is never empty",
                    pl.col(column.name).is_not_null(),
                    column.name,
                    f"give every row a {column.name}, or set those without one aside",
                )

    def _check_columns(self, schema: pl.Schema) -> None:
        for column in self.columns:
            if column.name not in schema:
                if column.required:
                    raise InputError(
                        f"{self.name}: column {column.name!r} ({column.about}) is missing; "
                        + there_are(schema.names(), column.name)
                    )
            elif schema[column.name] != column.dtype:
                raise InputError(
                    f"{self.name}: column {column.name!r} holds {schema[column.name]} and must "
                    f"hold {column.dtype}; cast it where the frame is made"
                )
        for name, dtype in schema.items():
            welcome = self.extra is not None and name.startswith(self.extra_starts or ("",))
            if name in self._by_name or (welcome and dtype == self.extra):
                continue
            if welcome:
                raise InputError(
                    f"{self.name}: column {name!r} holds {dtype} and must hold {self.extra}; "
                    "cast it where the frame is made"
                )
            raise InputError(
                f"{self.name}: column {name!r} is not part of it; its columns are: "
                f"{', '.join(self._by_name)}.{did_you_mean(name, self._by_name)}"
            )

    def _broken_message(self, frame: pl.LazyFrame, rule: Rule, rows: int) -> str:
        columns = list(dict.fromkeys([*self.key, rule.column]))
        first = frame.filter(_breaks(rule)).select(columns).head(3).collect(engine="streaming")
        return (
            f"{self.name}: rule '{rule.name}' is broken in {rows:,} row{'s' * (rows != 1)}, first "
            f"{_show_keys(first)}; {rule.hint}"
        )

    def _check_unique(self, frame: pl.LazyFrame) -> None:
        again = (
            frame.group_by(self.key)
            .len()
            .filter(pl.col("len") > 1)
            .sort(self.key)
            .collect(engine="streaming")
        )
        if again.height:
            rows = int(again["len"].sum()) - again.height
            raise InputError(
                f"{self.name}: rule '{self._unique_name}' is broken in {rows:,} "
                f"row{'s' * (rows != 1)}, first {_show_keys(again.select(self.key).head(3))}; "
                "keep one of them"
            )


def _breaks(rule: Rule) -> pl.Expr:
    return ~rule.holds.fill_null(True)


def _show_keys(rows: pl.DataFrame) -> str:
    shown = (
        "(" + ", ".join(f"{k}={'empty' if v is None else v}" for k, v in row.items()) + ")"
        for row in rows.iter_rows(named=True)
    )
    return ", ".join(shown)


def _not_blank(column: str) -> Rule:
    return Rule(
        f"{column} is not blank",
        pl.col(column) != "",
        column,
        f"an empty text is not a {column}: make it null, or set the row aside",
    )


def _finite(column: str) -> Rule:
    return Rule(
        f"{column} is a finite number",
        pl.col(column).is_finite(),
        column,
        f"make it null where there is no {column}",
    )


EVENTS = Contract(
    "EVENTS",
    (
        Column("customer", pl.String, "who; always text, 'NA' is a name"),
        Column("occurred_at", INSTANT, "when the contact began"),
        Column(
            "sequence", pl.Int64, "order within one instant as the source gives it; 0: no order"
        ),
        Column("touchpoint", pl.String, "what contact"),
        Column("channel", pl.String, "by which medium"),
        Column("stage", pl.String, "phase of the journey map, or 'unmapped'"),
        Column("owner", pl.String, "which team or partner answers for it", nullable=True),
        Column("initiated_by", pl.String, "'customer' or 'company'"),
        Column("ended_at", INSTANT, "when the contact ended", nullable=True),
        Column("rating", pl.Float64, "on its scale", nullable=True),
        Column("scale", pl.String, "name of the rating's scale", nullable=True),
        Column("issue", pl.String, "what the contact was about", nullable=True),
        Column("cost", pl.Float64, "cost of the contact, in one currency", nullable=True),
        Column("amount", pl.Float64, "money of the contact, in one currency", nullable=True),
        Column("comment", pl.String, "what the customer said", nullable=True),
        Column("row", pl.UInt64, "hash of the whole raw row"),
    ),
    key=("customer", "occurred_at", "sequence"),
    rules=(
        _not_blank("customer"),
        _not_blank("touchpoint"),
        _not_blank("channel"),
        _not_blank("stage"),
        Rule(
            "initiated_by is customer or company",
            pl.col("initiated_by").is_in(INITIATORS),
            "initiated_by",
            "write 'customer' or 'company'",
        ),
        Rule(
            "a contact ends after it begins",
            pl.col("ended_at") >= pl.col("occurred_at"),
            "ended_at",
            "make ended_at null where the end is not known",
        ),
        _finite("rating"),
        _finite("cost"),
        _finite("amount"),
    ),
    extra=pl.String(),
    extra_starts=("environment.", DIMENSION),
)
"""One row for each dated contact of one customer, in any order; exact duplicates share `row`.

Further columns: ``environment.NAME``, where the contact took place (device, page version, store,
agent, queue, …), and ``segment.NAME``, a property of the customer that the log repeats.
"""

CUSTOMERS = Contract(
    "CUSTOMERS",
    (Column("customer", pl.String, "the id used in the log, as text"),),
    key=("customer",),
    rules=(_not_blank("customer"),),
    unique=True,
    extra=pl.String(),
)
"""One row for each customer; every further column is a segment, as text."""

RATINGS = Contract(
    "RATINGS",
    (
        Column("customer", pl.String, "the id used in the log, as text"),
        Column("rated_at", INSTANT, "when the rating was given"),
        Column("rating", pl.Float64, "on its scale"),
        Column("scale", pl.String, "name of the scale", nullable=True, required=False),
        Column("touchpoint", pl.String, "what was rated", nullable=True, required=False),
        Column("comment", pl.String, "what the customer said", nullable=True, required=False),
    ),
    key=("customer", "rated_at"),
    rules=(_not_blank("customer"), _finite("rating")),
)
"""One row for each answer to a survey."""

QUARANTINE = Contract(
    "QUARANTINE",
    (
        Column("reason", pl.String, "why the row was set aside"),
        Column("file", pl.String, "the file it came from"),
        Column("line", pl.Int64, "number of the data row in the file, from 1", nullable=True),
        Column("customer", pl.String, "as written", nullable=True),
        Column("occurred_at", pl.String, "as written", nullable=True),
        Column("touchpoint", pl.String, "as written", nullable=True),
        Column("raw", pl.String, "the row as JSON text, or as it stood in the file"),
    ),
    key=("file", "line"),
)
"""Rows of a log that could not become events, each with the reason."""
