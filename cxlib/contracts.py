"""The frames that the rooms of this package hand to each other, and the rules they keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from cxlib.errors import InputError, did_you_mean, there_are

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

UNMAPPED = "unmapped"  # stage of a contact whose touchpoint or stage the journey map does not know

DIMENSION = "segment."
"""What the columns of segment dimensions begin with, so that they may have any name."""

UNKNOWN = "unknown"
"""Channel of a contact where neither log nor map names one; segment of a customer without."""

INITIATORS = ("customer", "company")  # closed list of `initiated_by`

INSTANT = pl.Datetime("us", "UTC")


class Column(NamedTuple):
    """One column of a contract: name, dtype, meaning; whether it may hold nulls or be absent."""

    name: str
    dtype: DataType | DataTypeClass
    about: str
    nullable: bool = False
    required: bool = True


class Rule(NamedTuple):
    """A named condition on one row; `holds` is true, or null, where the rule is kept."""

    name: str
    holds: pl.Expr
    hint: str


@dataclass(frozen=True, slots=True)
class Contract:
    """Columns, key and rules of one kind of frame; `unique`: no two rows share a key.

    Further columns are text; `extra` says how their names begin, None that there are none.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    unique: bool = False
    extra: tuple[str, ...] | None = None

    @property
    def schema(self) -> pl.Schema:
        """Names and dtypes of all columns, optional ones included."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    def empty(self) -> pl.DataFrame:
        """Return a frame without rows that keeps the contract."""
        return pl.DataFrame(schema=self.schema)

    def validate(self, frame: Frame) -> Frame:
        """Return `frame` unchanged, or raise on what it breaks, with the first keys and what to do.

        A LazyFrame is scanned once, by the streaming engine.
        """
        schema, rows = frame.collect_schema(), frame.lazy()
        self._check_columns(schema)
        rules = list(self._rules(schema))
        counted = rows.select((~r.holds).sum().alias(str(i)) for i, r in enumerate(rules))
        broken = counted.collect(engine="streaming").row(0) if rules else ()
        for rule, count in zip(rules, broken, strict=True):
            if count:
                shown = list(dict.fromkeys([*self.key, *rule.holds.meta.root_names()]))
                first = rows.filter(~rule.holds).select(shown).head(3)
                raise InputError(
                    f"{self.name}: rule '{rule.name}' is broken in {count:,} row"
                    f"{'s' * (count != 1)}, first {_show_keys(first)}; {rule.hint}"
                )
        return frame

    def _rules(self, schema: pl.Schema) -> Iterator[Rule]:
        for column in self.columns:
            if not column.nullable and column.name in schema:
                hint = f"give every row a {column.name}, or set those without one aside"
                holds = pl.col(column.name).is_not_null()
                yield Rule(f"{column.name} is never empty", holds, hint)
        yield from (r for r in self.rules if set(r.holds.meta.root_names()) <= set(schema.names()))
        if self.unique:
            first = pl.struct(self.key).is_first_distinct()
            yield Rule(f"one row for each {', '.join(self.key)}", first, "keep one of them")

    def _check_columns(self, schema: pl.Schema) -> None:
        known = self.schema
        for column in self.columns:
            if column.required and column.name not in schema:
                raise InputError(
                    f"{self.name}: column {column.name!r} ({column.about}) is missing; "
                    + there_are(schema.names(), column.name)
                )
        for name, dtype in schema.items():
            if name not in known and (self.extra is None or not name.startswith(self.extra)):
                raise InputError(
                    f"{self.name}: column {name!r} is not part of it; its columns are: "
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
            if dtype != known.get(name, pl.String):
                raise InputError(
                    f"{self.name}: column {name!r} holds {dtype} and must hold "
                    f"{known.get(name, pl.String)}; cast it where the frame is made"
                )


def _show_keys(rows: pl.LazyFrame) -> str:
    shown = (
        "(" + ", ".join(f"{k}={'empty' if v is None else v}" for k, v in row.items()) + ")"
        for row in rows.collect(engine="streaming").iter_rows(named=True)
    )
    return ", ".join(shown)


def _not_blank(column: str) -> Rule:
    hint = f"an empty text is not a {column}: make it null, or set the row aside"
    return Rule(f"{column} is not blank", pl.col(column) != "", hint)


def _finite(column: str) -> Rule:
    hint = f"make it null where there is no {column}"
    return Rule(f"{column} is a finite number", pl.col(column).is_finite(), hint)


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
        *map(_not_blank, ("customer", "touchpoint", "channel", "stage")),
        Rule(
            "initiated_by is customer or company",
            pl.col("initiated_by").is_in(INITIATORS),
            "write 'customer' or 'company'",
        ),
        Rule(
            "a contact ends after it begins",
            pl.col("ended_at") >= pl.col("occurred_at"),
            "make ended_at null where the end is not known",
        ),
        *map(_finite, ("rating", "cost", "amount")),
    ),
    extra=("environment.", DIMENSION),
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
    extra=("",),
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
