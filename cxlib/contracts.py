"""The frames that the rooms of this package hand to each other, and the rules they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from cxlib.errors import InputError, did_you_mean, there_are

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

UNMAPPED = "unmapped"  # stage of a contact whose touchpoint or stage the journey map does not know
DIMENSION = "segment."  # begins the columns of segments, so that they may have any name
UNKNOWN = "unknown"  # channel where neither log nor map names one; segment of a customer without
INITIATORS = ("customer", "company")  # closed list of `initiated_by`

INSTANT = pl.Datetime("us", "UTC")

MAX_PLACES = 4_000  # most combinations of touchpoint, channel and stage in one log


class Column(NamedTuple):
    """One column of a contract: name, dtype, meaning; whether it may hold nulls or be absent."""

    name: str
    dtype: DataType | DataTypeClass
    about: str
    nullable: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class Contract:
    """Columns and key of one kind of frame; `unique`: no two rows share a key.

    Further columns are text; `extra` says how their names begin, None that there are none.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
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
        """Return `frame` unchanged, or raise on what it breaks, with the first keys."""
        schema, known = frame.collect_schema(), self.schema
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
            if dtype != (meant := known.get(name, pl.String)):
                raise InputError(
                    f"{self.name}: column {name!r} holds {dtype} and must hold {meant}; cast it "
                    "where the frame is made"
                )
        broken = {}
        for column in (c for c in self.columns if c.name in schema):
            cell = pl.col(column.name)
            if not column.nullable:
                broken[f"{column.name} is never empty"] = cell.is_null()
            if column.dtype == pl.Float64:
                broken[f"{column.name} is a finite number"] = ~cell.is_finite()
        if self.unique:
            again = ~pl.struct(self.key).is_first_distinct()
            broken[f"one row for each {', '.join(self.key)}"] = again
        for rule, fault in broken.items():
            rows = frame.lazy().filter(fault).select(self.key).collect(engine="streaming")
            if rows.height:
                raise InputError(
                    f"{self.name}: rule '{rule}' is broken in {rows.height:,} rows, first "
                    f"{rows.row(0, named=True)}; mend these rows, or set them aside"
                )
        return frame


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
        Column("row", pl.UInt64, "hash of the whole raw row"),
        *(
            Column(name, dtype, about, nullable=True, required=False)
            for name, dtype, about in (
                ("ended_at", INSTANT, "when the contact ended"),
                ("due_at", INSTANT, "by when what is planned next was promised"),
                ("rating", pl.Float64, "on its scale"),
                ("scale", pl.String, "name of the rating's scale"),
                ("issue", pl.String, "what the contact was about"),
                ("cost", pl.Float64, "cost of the contact, in one currency"),
                ("amount", pl.Float64, "money of the contact, in one currency"),
                ("comment", pl.String, "what the customer said"),
            )
        ),
    ),
    key=("customer", "occurred_at", "sequence"),
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
