"""Rows of no customer in an unknown log: ids that read like none, tests, robots, own staff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import polars as pl

from cxlib.ingest.cells import as_pattern, reads_like_none
from cxlib.ingest.evidence import Column, varying, words
from cxlib.ingest.roles import VARIES, Roles
from cxlib.ingest.shapes import is_true

_HALF = 0.5  # of the rows at most: what most of a log is is no exception
_SHOWN = 8  # names of tests that a map lists; of more it has the pattern
_ALL = 0.8  # share of an exception's rows that are of customers with no other rows
CALLED_TESTS = (
    r"(?i)(?:^|[^\pL])(?:test|testing|tester|testuser|testkunde|prueba|essai|proef|dummy|qa|seed"
    r"|bot|googlebot|nagios|monitoring|mailer-daemon|no-?reply)(?:[^\pL]|$)"
)
"""Ids and names of tests and robots."""
_DOMAIN = r"@([\w-]+(?:\.[\w-]+)+)>?$"


class Nobody(NamedTuple):
    """Rows of no customer: ids, or what a column says of them (`pattern`), and why."""

    says: str | dict[str, str]
    rows: int
    why: str


def find_nobodies(
    rows: pl.DataFrame, columns: Mapping[str, Column], roles: Roles
) -> Iterator[Nobody]:
    """Yield what tells rows of no customer, most of them first within each kind."""
    customer = roles.columns["customer"].value
    counts = rows[customer].drop_nulls().alias("id").value_counts()
    found = counts.filter(reads_like_none("id", "count")).sort("count", "id", descending=True)
    for name, count in found.head(20).iter_rows():
        yield Nobody(name, count, "an id that reads like a placeholder")
    taken = {guess.value for guess in roles.columns.values()}
    for column in (c for n, c in columns.items() if n not in taken and c.distinct <= 20):
        if values := _strange_values(column):
            is_one = pl.col(column.name).is_in(values)
            others = pl.col(customer).filter(~is_one).unique().implode()
            told = rows.select(is_one.sum().alias("n"), alone=_only(customer, is_one, others))
            count, alone = told.row(0)
            surely = column.says("tests") or column.says("lives")
            if 0 < count < _HALF * rows.height and (surely or (alone or 0) >= _ALL):
                why = f"{column.name} says {' or '.join(map(repr, sorted(values)))}"
                yield Nobody(
                    {column.name: _any_of(values)}, count, f"{why}: tests, robots or own people"
                )
    left = rows
    people = (c for c in columns.values() if c.says("person") or c.says("names"))
    text = {c.name: c for c in people if c.kind == "text"}
    # what changes within a customer is no name of hers: a test drive is a contact
    changes = varying(rows, customer, text, unseen=0.0)
    for column in (c for c in text.values() if changes.get(c.name, 0.0) < VARIES):
        is_one = pl.col(column.name).str.contains(CALLED_TESTS).fill_null(False)
        rest = left.select(column.name).filter(~is_one).height
        if 0 < (count := left.height - rest) < 0.2 * column.filled:
            called = left.filter(is_one)[column.name].unique().to_list()
            pattern = _any_of(called) if len(called) <= _SHOWN else CALLED_TESTS
            left = left.filter(~is_one)
            yield Nobody({column.name: pattern}, count, "they are called tests or robots")
    yield from _own_people(rows, columns, customer)


def _only(customer: str, is_one: pl.Expr, others: pl.Expr) -> pl.Expr:
    return (~pl.col(customer).filter(is_one).is_in(others)).mean()


def _strange_values(column: Column) -> list[str]:
    """Return the values that say of a row that it is of no customer."""
    said, low = column.sample, column.sample.str.to_lowercase()
    rest = set(column.words) - words("filler") - words("of_rows")
    if column.kind == "flag" and rest and column.distinct > 1:
        is_set = said.to_frame("x").select(is_true("x").fill_null(False)).to_series()
        if rest <= words("tests") | words("insiders"):
            return said.filter(is_set).to_list()
        return said.filter(~is_set).to_list() if rest <= words("lives") else []
    of_tests, of_others = (low.is_in(list(words(key))) for key in ("tests", "lives"))
    if column.kind == "text" and of_tests.any() and of_others.any():
        return said.filter(of_tests).to_list()
    return []


def _own_people(
    rows: pl.DataFrame, columns: Mapping[str, Column], customer: str
) -> Iterator[Nobody]:
    """Customers with mail at the domain at which those who serve them have theirs."""
    of = rows[customer].str.to_lowercase().str.extract(_DOMAIN)
    for column in (c for c in columns.values() if c.says("staff") and c.name != customer):
        domains = column.counts.select(
            pl.col("value").str.to_lowercase().str.extract(_DOMAIN), "count"
        )
        usual = domains.drop_nulls().group_by("value").agg(pl.col("count").sum()).sort("count")
        if not usual.height or usual["count"][-1] < _HALF * int(column.counts["count"].sum()):
            continue
        own = usual["value"][-1]
        count = int((of == own).sum())
        if 0 < count < _HALF * of.len():
            why = f"those named in {column.name} have their mail there, too"
            yield Nobody({customer: f"(?i)@{as_pattern(own)}>?$"}, count, why)
            return


def _any_of(values: list[str]) -> str:
    return f"^(?i:{'|'.join(map(as_pattern, sorted(values)))})$"
