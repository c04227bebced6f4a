"""Several files at once: which are the log, which name a column otherwise, which describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from cxlib.ingest.evidence import Column, profile, words_of
from cxlib.ingest.roles import rank_customers, rates
from cxlib.ingest.sources import Source
from cxlib.map_shapes import Join

__all__ = ["Related", "Table", "relate_tables"]

OVERLAP = 0.5
"""Least share of the values of a column that a table must know to be joined by it."""


@dataclass(frozen=True, eq=False)
class Table:
    """A file, or several of the same columns, as rows of text."""

    sources: tuple[Source, ...]
    rows: pl.DataFrame

    @property
    def name(self) -> str:
        """The name of its first file."""
        return self.sources[0].path.name


@dataclass(slots=True)
class Related:
    """What was found.

    Parameters
    ----------
    rows, name
        The rows of the log, with the columns of tables of attributes, and the name of its first
        file.
    join
        Those tables.
    names
        Columns that go by several names, the usual one first.
    ratings, ratings_join, ratings_rows
        The file of survey answers, how its customer is found, and its rows so joined; None: none.
    said
        What was done, in words.
    """

    rows: pl.DataFrame
    name: str
    join: list[Join] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    ratings: Table | None = None
    ratings_join: list[Join] = field(default_factory=list)
    ratings_rows: pl.DataFrame | None = None
    said: list[str] = field(default_factory=list)


def relate_tables(heads: list[tuple[Source, pl.DataFrame]]) -> Related:
    """Find out how the files of a log belong together.

    Files of the same columns are one log, also where a column was renamed. Of files with different
    columns those with a row for each value of a column that the log has are tables of attributes,
    and one with marks, times and a key of the log is a table of ratings.
    """
    groups: list[list[tuple[Source, pl.DataFrame]]] = []
    for source, rows in heads:
        alike = next((g for g in groups if _is_alike(g[0][1], rows)), None)
        if alike is None:
            groups.append([(source, rows)])
        else:
            alike.append((source, rows))
    tables = []
    names: list[tuple[str, ...]] = []
    for group in groups:
        renamed = _renamed(group)
        names += renamed
        same = {other: usual for usual, *others in renamed for other in others}
        parts = [
            rows.select(
                *(
                    pl.coalesce(c, *(o for o in rows.columns if same.get(o) == c)).alias(c)
                    if c in rows.columns
                    else pl.col(c2).alias(c)
                    for c, c2 in _targets(rows, same)
                )
            )
            for _, rows in group
        ]
        tables.append(Table(tuple(s for s, _ in group), pl.concat(parts, how="diagonal")))
    said = [
        f"{' and '.join(map(repr, found))} are one column that was renamed between files"
        for found in names
    ]
    if len(tables) == 1:
        return Related(tables[0].rows, tables[0].name, names=names, said=said)
    return _join(tables, names, said)


def _targets(rows: pl.DataFrame, same: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the columns of a file by their usual name, each once."""
    found: dict[str, str] = {}
    for column in rows.columns:
        found.setdefault(same.get(column, column), column)
    return list(found.items())


def _is_alike(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether two files are parts of one log: most of their columns are the same."""
    shared = set(one.columns) & set(other.columns)
    fewer = min(len(one.columns), len(other.columns))
    if len(shared) >= 0.6 * max(len(one.columns), len(other.columns)):
        return True
    # a table for each step: the customer, and a column that says the step in every row
    rest = [rows.drop(shared) for rows in (one, other)]
    constant = all(r.width == 1 and r.to_series().n_unique() == 1 for r in rest)
    return constant and fewer == 2 and bool(shared)


def _renamed(group: list[tuple[Source, pl.DataFrame]]) -> list[tuple[str, ...]]:
    """Return the names of columns that go by several in the files of a group."""
    everywhere = set.intersection(*(set(rows.columns) for _, rows in group))
    odd = list(dict.fromkeys(c for _, rows in group for c in rows.columns if c not in everywhere))
    found: dict[str, list[str]] = {}
    for column in odd:
        found.setdefault("".join(words_of(column)), []).append(column)
    names = [tuple(columns) for columns in found.values() if len(columns) > 1]
    left = [c for c in odd if not any(c in n for n in names)]
    constant = [
        c for c in left if all(rows[c].n_unique() == 1 for _, rows in group if c in rows.columns)
    ]
    if len(constant) > 1 and all(sum(c in r.columns for c in constant) == 1 for _, r in group):
        largest = {c: max(r.height for _, r in group if c in r.columns) for c in constant}
        names.append(tuple(sorted(constant, key=lambda c: -largest[c])))
    return names


def _join(tables: list[Table], names: list[tuple[str, ...]], said: list[str]) -> Related:
    columns = {t.name: profile(t.rows) for t in tables}
    answers = [t for t in tables if _is_ratings(columns[t.name])]
    others = [t for t in tables if t not in answers]
    if not others:
        others, answers = answers, []
    log = max(others, key=lambda t: _log_score(t, columns[t.name]))
    found = Related(log.rows, log.name, names=names, said=said)
    found.join, found.rows = _attributes(log.rows, [t for t in others if t is not log], found.said)
    joined = {join.table for join in found.join}
    for table in others:
        if table is not log and table.name not in joined:
            found.said.append(
                f"{table.name} has no column with one row for each value of the log's: it is not "
                "used; leave it out, or say how it belongs under `join`"
            )
    if answers:
        found.ratings = answers[0]
        found.ratings_rows = answers[0].rows
        customer = {c.name for _, c in rank_customers(profile(found.rows))[:1]}
        if not customer & set(answers[0].rows.columns):
            rest = [t for t in tables if t is not answers[0]]
            found.ratings_join, found.ratings_rows = _attributes(answers[0].rows, rest, [])
    return found


def _is_ratings(columns: Mapping[str, Column]) -> bool:
    return (
        len(columns) <= 12
        and any(rates(c) for c in columns.values())
        and sum(c.kind == "time" for c in columns.values()) <= 3
        and not any("event" in c.words or "activity" in c.words for c in columns.values())
    )


def _log_score(table: Table, columns: Mapping[str, Column]) -> float:
    """More times, more tables of the same columns, more rows: the log."""
    times = sum(c.kind == "time" for c in columns.values())
    speaking = sum(
        bool({"event", "activity", "action", "step"} & set(c.words)) for c in columns.values()
    )
    return 2.0 * times + 4.0 * speaking + 5.0 * (len(table.sources) > 1) + table.rows.height / 10**9


def _attributes(
    rows: pl.DataFrame, tables: list[Table], said: list[str]
) -> tuple[list[Join], pl.DataFrame]:
    """Join the tables that have one row for each value of a column of the rows, again and again."""
    joins: list[Join] = []
    left = list(tables)
    while left:
        hit = next(((t, k) for t in left if (k := _key(rows, t.rows)) is not None), None)
        if hit is None:
            break
        table, key = hit
        left.remove(table)
        fresh = [c for c in table.rows.columns if c == key or c not in rows.columns]
        rows = rows.join(
            table.rows.select(fresh).drop_nulls(key).unique(key),
            on=key,
            how="left",
            maintain_order="left",
        )
        joins.append(Join(table.name, {key: key}))
        said.append(f"{table.name} has one row for each {key!r}: its columns are joined")
    return joins, rows


def _key(rows: pl.DataFrame, table: pl.DataFrame) -> str | None:
    """Return the column of both that is a key of the table and known to it, if there is one."""
    for column in table.columns:
        if column not in rows.columns:
            continue
        values = table[column].drop_nulls()
        if not len(values) or values.n_unique() < len(values):
            continue
        asked = rows[column].drop_nulls().unique()
        if len(asked) and asked.is_in(values.implode()).mean() >= OVERLAP:  # type: ignore[operator]
            return column
    return None
