"""Which recipe of a map makes contacts of unknown files: `join`, `one_per`, `unpivot`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import polars as pl

from cxlib.ingest.evidence import SETTLED, Column, profile, varying, words, words_of
from cxlib.ingest.instants import guess_time_format, read_instants
from cxlib.ingest.roles import is_step_time, names_contacts, rank_customers, rank_touchpoints, rates
from cxlib.ingest.shapes import is_true, numbered_columns
from cxlib.ingest.sources import Source
from cxlib.map_model import FILE, Join, Unpivot

OVERLAP = 0.5  # least share of the values of a column that a table must know to be joined by it


@dataclass(frozen=True, eq=False)
class Table:
    """A file, or several of the same columns, as rows of text; the name is that of the first."""

    name: str
    files: int
    rows: pl.DataFrame


@dataclass(slots=True)
class Related:
    """The log with the columns of tables of attributes (`join`), columns that go by several
    `names`, the table of survey answers with what is joined to it, and what was done, in words.
    """

    rows: pl.DataFrame
    name: str
    join: list[Join] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    answers: tuple[Table, list[Join], pl.DataFrame] | None = None
    said: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


Head = tuple[Source, pl.DataFrame]


def relate_tables(heads: list[Head]) -> Related:
    """Find out how the files of a log belong together. Files of the same columns are one log, also
    where a column was renamed.
    """
    groups: list[list[Head]] = []
    for head in heads:
        alike = next((g for g in groups if _is_alike(g[0][1], head[1])), None)
        if alike is None:
            groups.append(alike := [])
        alike.append(head)
    tables, names = [], []
    for group in groups:
        renamed = _renamed(group)
        names += renamed
        usual = {other: first for first, *others in renamed for other in others}
        parts = []
        for _, rows in group:
            called: dict[str, list[str]] = {}
            for column in rows.columns:
                called.setdefault(usual.get(column, column), []).append(column)
            merged = {n: sorted(cs, key=lambda c, n=n: c != n) for n, cs in called.items()}  # type: ignore[misc]
            parts.append(rows.select(pl.coalesce(cs).alias(n) for n, cs in merged.items()))
        stems = [source.stem for source, _ in group]
        if len({re.sub(r"[\W\d_]+", "", stem) for stem in stems}) > 1:
            parts = [
                p.with_columns(pl.lit(s).alias(FILE)) for p, s in zip(parts, stems, strict=True)
            ]
        together = pl.concat(parts, how="diagonal")
        tables.append(Table(group[0][0].path.name, len(group), together))
    said = [
        f"{' and '.join(map(repr, found))} are one column that was renamed between files"
        for found in names
    ]
    if len(tables) == 1:
        return Related(tables[0].rows, tables[0].name, names=names, said=said)
    return _join(tables, names, said)


def _is_alike(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether two files are parts of one log: most of their columns are the same."""
    shared = set(one.columns) & set(other.columns)
    fewer, more = sorted((one.width, other.width))
    if len(shared) >= 0.6 * more:
        return True
    # a table for each step: the customer, and a column that says the step in every row
    rest = [rows.drop(shared) for rows in (one, other)]
    constant = all(r.width == 1 and r.to_series().n_unique() == 1 for r in rest)
    return constant and fewer == 2 and bool(shared)


def _renamed(group: list[Head]) -> list[tuple[str, ...]]:
    """Return the names of columns that go by several in the files of a group."""
    everywhere = set.intersection(*(set(rows.columns) for _, rows in group))
    odd = list(dict.fromkeys(c for _, rows in group for c in rows.columns if c not in everywhere))
    found: dict[str, list[str]] = {}
    for column in odd:
        found.setdefault("".join(words_of(column)), []).append(column)
    names = [tuple(columns) for columns in found.values() if len(columns) > 1]
    of = {c: [r for _, r in group if c in r.columns] for c in odd if not any(c in n for n in names)}
    constant = [c for c, frames in of.items() if all(r[c].n_unique() == 1 for r in frames)]
    if len(constant) > 1 and all(sum(c in r.columns for c in constant) == 1 for _, r in group):
        names.append(tuple(sorted(constant, key=lambda c: -max(r.height for r in of[c]))))
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
    joined = {log.name, *(join.table for join in found.join)}
    found.unused = [table.name for table in others if table.name not in joined]
    for table in answers[:1]:
        customer = {c.name for _, c in rank_customers(profile(found.rows))[:1]}
        rest = [t for t in tables if t is not table and not customer & set(table.rows.columns)]
        found.answers = (table, *_attributes(table.rows, rest, []))
    return found


def _is_ratings(columns: Mapping[str, Column]) -> bool:
    rated = len(columns) <= 40 and any(rates(c) for c in columns.values())
    times = sum(c.kind == "time" for c in columns.values())
    return rated and times <= 3 and not _spoken(columns, {"event", "activity"})


def _spoken(columns: Mapping[str, Column], names: set[str]) -> int:
    return sum(not names.isdisjoint(c.words) for c in columns.values())


def _log_score(table: Table, columns: Mapping[str, Column]) -> float:
    """More times, more tables of the same columns, more rows: the log."""
    times = sum(c.kind == "time" for c in columns.values())
    spoken = _spoken(columns, {"event", "activity", "action", "step"})
    if not times and table.files == 1:
        return table.rows.height / 10**9
    return 2.0 * times + 4.0 * spoken + 5.0 * (table.files > 1) + table.rows.height / 10**9


def _attributes(
    rows: pl.DataFrame, tables: list[Table], said: list[str]
) -> tuple[list[Join], pl.DataFrame]:
    joins: list[Join] = []
    left = list(tables)
    while hit := next(((t, j) for t in left if (j := _join_by(rows, t)) is not None), None):
        table, join = hit
        left.remove(table)
        theirs = list(join.by.values())
        added = _only(table.rows, join.where)
        fresh = [c for c in added.columns if c in theirs or c not in rows.columns]
        added = added.select(fresh).drop_nulls(theirs).unique(theirs)
        rows = rows.join(
            added, left_on=list(join.by), right_on=theirs, how="left", maintain_order="left"
        )
        joins.append(join)
        each = " and ".join(map(repr, join.by))
        only = "".join(f" (of those with {c} {value!r})" for c, value in join.where.items())
        said.append(
            f"the table {table.name} has one row for each {each}{only}: its columns are joined"
        )
    return joins, rows


def _join_by(rows: pl.DataFrame, table: Table) -> Join | None:
    """Return how the columns of a table are joined: by a column, or by several together, of which
    each value has one row, if need be among those of one language.
    """
    if (key := _key(rows, table)) is not None:
        return Join(table.name, dict([key]))
    known = {c: table.rows[c].drop_nulls() for c in table.rows.columns if c in rows.columns}
    by = {c: c for c, values in known.items() if _share_in(rows[c], values) >= OVERLAP}
    if not by or 2 * table.rows.height > rows.height:
        return None
    told = (c for c in table.rows.columns if not words("language").isdisjoint(words_of(c)))
    where = {c: table.rows[c][0] for c in told if c not in by}
    some = _only(table.rows, where)
    return None if some.select(list(by)).is_duplicated().any() else Join(table.name, by, where)


def _only(rows: pl.DataFrame, where: Mapping[str, str]) -> pl.DataFrame:
    return rows.filter(pl.all_horizontal(True, *(pl.col(c) == v for c, v in where.items())))


def _share_in(values: pl.Series, among: pl.Series) -> float:
    there = values.drop_nulls().unique()
    return int(there.is_in(among.implode()).sum()) / max(len(there), 1)


def _key(rows: pl.DataFrame, table: Table) -> tuple[str, str] | None:
    """Return the log's column and a table's of which each value has one row: ticket_id, id."""
    part: tuple[str, str] | None = None
    pairs = [(c, c) for c in table.rows.columns if c in rows.columns]
    stems = (c[:-3] for c in rows.columns if c.lower().endswith("_id") and len(c) > 4)
    pairs += [(f"{s}_id", "id") for s in stems if table.name.lower().startswith(s.lower())]
    for ours, theirs in (pair for pair in pairs if pair[1] in table.rows.columns):
        values, asked = table.rows[theirs].drop_nulls(), rows[ours].drop_nulls().unique()
        if not len(values) or not len(asked) or values.n_unique() < len(values):
            continue
        if _share_in(asked, values) >= OVERLAP:
            return ours, theirs
        # a table may know some of the log's people only
        is_part = _share_in(values, asked) >= SETTLED
        if part is None and is_part and len(asked) < rows[ours].count():
            part = ours, theirs
    return part


@dataclass(frozen=True, slots=True)
class Shape:
    """What one row of a log is; both None: a contact. `names_basket`: a column says what the rows
    of one contact are together.
    """

    unpivot: Unpivot | None = None
    one_per: str | None = None
    why_unpivot: str = ""
    why_one_per: str = ""
    names_basket: bool = False


def find_shape(
    rows: pl.DataFrame, columns: Mapping[str, Column], customer: str, varies: Mapping[str, float]
) -> Shape:
    """Say what one row of a log is."""
    ranked = rank_touchpoints(columns, varies)
    score, best = ranked[0] if ranked else (0.0, None)
    is_long = best is not None and score >= 2 and names_contacts(best, states=False)
    # ``#`` stands for the number in what the times of several contacts in one row are called
    found = numbered_columns(columns)
    numbered = {name for of in found.values() for name in of.values()}
    is_other = best is not None and best.name not in numbered
    if is_long and is_other and best is not None and names_contacts(best, alone=True):
        return Shape()
    timed = [n for n, of in found.items() if columns[next(iter(of.values()))].kind == "time"]
    if len(found) > 1 and len(timed) == 1:
        why = "each row has several contacts, whose columns are numbered"
        return Shape(Unpivot(numbered=timed[0]), None, why)
    times = [c for c in columns.values() if is_step_time(c)]
    one_per, why_one_per = _order_lines(rows, columns, customer, times)
    # what a line is about names no contact
    if one_per is not None:
        is_named = is_long and best is not None and not best.says("item")
        if not is_named or varying(rows, one_per, [best.name], unseen=0.0)[best.name] < 0.02:  # type: ignore[union-attr]
            return Shape(None, one_per, "", why_one_per, is_named)
    spoken = [c for c in times if set(c.words) - words("filler") - words("records")]
    has_name = best is not None and score >= 2 and names_contacts(best)
    has_name |= all(c.is_nameless for c in columns.values())
    if times and _are_one_contact(rows, times, has_name):
        times = times[:1]
    if len(times) >= 3 or (len(times) == len(spoken) == 2 and not is_long):
        steps = _in_order(rows, {_step(c, times): c for c in times})
        why = f"each row has {len(steps)} times, one for each step; no column names a contact"
        later = [c.name for c in columns.values() if c.kind == "time" and c not in times]
        why += f"; {', '.join(later)}: no step, but a plan or a record" if later else ""
        return Shape(Unpivot(times=steps), None, why)
    flags = _funnel(rows, columns, customer) if times and not is_long else {}
    if flags:
        why = f"each row has {len(flags)} flags, each true only where the one before it is"
        return Shape(Unpivot(flags=flags), None, why)
    return Shape()


def mark_facts(rows: pl.DataFrame, columns: dict[str, Column]) -> dict[str, Column]:
    """Mark times that are the same in all rows of a case where others are not: facts about it."""
    times = [c.name for c in columns.values() if c.kind == "time"]
    facts: set[str] = set()
    for case in columns.values() if len(times) > 1 else ():
        if case.each < 1.5 or case.distinct < 2 or case.kind == "time" or not case.says("id"):
            continue
        found = varying(rows, case.name, times, unseen=0.0)
        if any(found[t] > 0.5 for t in times):
            known = (t for t in times if columns[t].filled > 1.4 * case.distinct)
            facts |= {t for t in known if found[t] < 0.02}
    return {n: replace(c, of_case=True) if n in facts else c for n, c in columns.items()}


def _step(column: Column, times: list[Column]) -> str:
    """Name a step by what its column is called and the others are not."""
    shared = set.intersection(*(set(c.words) for c in times)) if len(times) > 1 else set()
    return " ".join(w for w in column.words if w not in words("filler") | shared) or column.name


def _read_steps(rows: pl.DataFrame, steps: Mapping[str, Column]) -> pl.DataFrame:
    some, read = rows.gather_every(rows.height // 20_000 + 1), {}
    for step, column in steps.items():
        texts = some[column.name]
        pattern, _ = guess_time_format(texts.drop_nulls().head(1000)) or (None, None)
        read[step] = read_instants(texts, where="", time_format=pattern, refuse=False).values
    return pl.DataFrame(read)


def _are_one_contact(rows: pl.DataFrame, times: list[Column], has_name: bool) -> bool:
    """Whether a row's times are equal, or, where a column names its contact, within an hour."""
    if any(c.share < (0.5 if c.is_nameless else 0.95) for c in times):
        return False
    read = _read_steps(rows, {c.name: c for c in times})
    lasted = read.select(pl.max_horizontal(pl.all()) - pl.min_horizontal(pl.all())).to_series()
    usual: Any = lasted.quantile(0.9)  # of durations a duration, whatever its type says
    return usual is not None and usual <= timedelta(hours=1 if has_name else 0)


def _in_order(rows: pl.DataFrame, steps: Mapping[str, Column]) -> dict[str, str]:
    read = _read_steps(rows, steps)
    first = pl.min_horizontal(*read.columns)
    after = read.select((pl.col(c) - first).dt.total_seconds().mean() for c in read.columns).row(0)
    order = sorted(zip(read.columns, after, strict=True), key=lambda s: (s[1] is None, s[1] or 0.0))
    return {step: steps[step].name for step, _ in order}


def _funnel(rows: pl.DataFrame, columns: Mapping[str, Column], customer: str) -> dict[str, str]:
    """Return flags of which each is set only where the one before it is: steps, not properties."""
    flags = [c for c in columns.values() if c.kind == "flag"]
    if columns[customer].each > 1.2 or len(flags) < 3:
        return {}
    is_set = rows.select(is_true(c.name).fill_null(False) for c in flags)
    chain: list[Column] = []
    for column in sorted(flags, key=lambda c: -int(is_set[c.name].sum())):
        inside = is_set.filter(pl.col(column.name))[chain[-1].name] if chain else is_set.to_series()
        if not chain or (len(inside) and inside.mean() >= 0.95):  # type: ignore[operator]
            chain.append(column)
    return {_step(c, chain): c.name for c in chain} if len(chain) >= 3 else {}


def _order_lines(
    rows: pl.DataFrame, columns: Mapping[str, Column], customer: str, times: list[Column]
) -> tuple[str | None, str]:
    """Return the column of which each value is one contact, where rows are lines of baskets."""
    items = [c.name for c in columns.values() if c.says("item") and c.distinct > 1]
    if not items:
        return None, ""
    with_lines = any("lineitem" in c.words for c in columns.values())
    baskets = words("basket") | ({"name"} if with_lines else set())
    one = [customer, *(c.name for c in times)]
    for column in columns.values():
        if column.kind == "time" or not set(column.words) & baskets or column.distinct < 5:
            continue
        is_other = column.name in (customer, *items) or column.each < 1.1
        if is_other or not column.sample.str.contains(r"\d").any():
            continue
        found = varying(rows, column.name, [*one, *items], unseen=0.0)
        if all(found[c] < 0.02 for c in one) and any(found[c] > 0.3 for c in items):
            counted = f"{column.filled:,} lines are {column.distinct:,} baskets"
            later = [c.name for c in times if c.share < 1]
            also = f"; {', '.join(later)}: later times, which `unpivot` could make contacts"
            why = f"{counted}, each of one customer at one time{also if later else ''}"
            return column.name, why
    return None, ""
