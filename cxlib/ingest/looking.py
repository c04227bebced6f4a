"""A log of which nothing is known, looked at: its columns, their roles, its contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from cxlib.ingest import outcomes
from cxlib.ingest.cells import text_of
from cxlib.ingest.columns import same_people
from cxlib.ingest.evidence import Column, Guess, profile
from cxlib.ingest.instants import guess_time_format, read_instants, swap_day_and_month
from cxlib.ingest.nested import column_at, parsed
from cxlib.ingest.raw import LINE, POSITION, RawTable, flat_row
from cxlib.ingest.recipes import Head, Related, Shape, find_shape, mark_facts
from cxlib.ingest.roles import (
    Roles,
    guess_customer,
    guess_roles,
    names_contacts,
    rank_times,
    rank_touchpoints,
    vary_labels,
)
from cxlib.ingest.shapes import unpivot_rows
from cxlib.map_model import FILE, STEP, STEP_AT, STEP_ORDER

ROWS = 1_000_000  # most rows that are looked at: of a longer log every second, third … of all
MOST_OBJECTS, MOST_KEYS = 200_000, 60  # JSON texts of a column, and keys in them, that are opened
COMPLETE = "^(?i:complete)$"


def _lists_of_objects(rows: pl.DataFrame) -> list[str]:
    return [c for c in rows.columns if rows[c].drop_nulls().head(50).str.starts_with("[{").any()]


def _open_objects(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what stands in JSON objects columns of its own: ``properties.plan``."""
    for column in rows.columns:
        some = rows[column].drop_nulls().head(50)
        if not len(some) or not some.str.contains(r'^\{\s*"').all():
            continue
        texts = rows[column].drop_nulls().unique()
        told = [
            found for text in texts.head(MOST_OBJECTS) if isinstance(found := parsed(text), dict)
        ]
        if len(told) < len(texts):
            continue
        cells = [{f"{column}.{k}": v for k, v in flat_row(found).items()} for found in told]
        names = dict.fromkeys(k for row in cells for k in row if k not in rows.columns)
        if 0 < len(names) <= MOST_KEYS:
            opened = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String))
            opened = opened.with_columns(text_of(pl.all()), texts)
            rows = rows.join(opened, on=column, how="left", maintain_order="left").drop(column)
    return rows


def open_single_lists(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what stands in JSON objects, and in lists of one of them at most, columns of its own:
    ``contacts.0.id``.
    """
    rows = _open_objects(rows)
    for column in _lists_of_objects(rows):
        lists = map(parsed, rows[column].drop_nulls().unique())
        keys: dict[str, None] = {}
        for found in lists:
            if not isinstance(found, list) or len(found) > 1:
                break
            keys |= dict.fromkeys(k for e in found if isinstance(e, dict) for k in flat_row(e))
        else:
            opened = {f"{column}.0.{key}": column_at(f"{column}.0.{key}", [column]) for key in keys}
            rows = rows.with_columns(**opened).drop(column)
    return rows


def find_inner_list(rows: pl.DataFrame) -> str | None:
    """Return the column whose cells are lists of objects with times: the contacts of its row, where
    nothing beside it names one.
    """
    if not (inside := _lists_of_objects(rows)):
        return None
    columns = profile(rows.drop(inside))
    surely = any(names_contacts(c, alone=True) for s, c in rank_touchpoints(columns, {}) if s >= 2)
    if surely and rank_times(columns):
        return None
    for column in inside:
        texts = rows[column].drop_nulls().head(50)
        lists = [found for cell in texts if isinstance(found := parsed(cell), list)]
        elements = [e for found in lists for e in found if isinstance(e, dict)]
        keys = dict.fromkeys(key for element in elements for key in element)
        cells = {k: [None if (v := e.get(k)) is None else str(v) for e in elements] for k in keys}
        if len(elements) > len(texts) and rank_times(profile(pl.DataFrame(cells))):
            return column
    return None


def raw_texts(table: RawTable) -> tuple[pl.DataFrame, int]:
    """Return the rows that are looked at, all of them text, and how many there are."""
    height = int(table.frame.select(pl.len()).collect().item())
    every = -(-height // ROWS)
    some = replace(table, frame=table.frame.gather_every(every)) if every > 1 else table
    rows = some.collect(pl.exclude(LINE, POSITION).cast(pl.String))
    bare, long = pl.all().str.strip_chars().str.len_bytes(), pl.all().str.len_bytes()
    odd = rows.select(((bare < long) | (bare == 0)).any()).row(0)
    raw = pl.col(c for c, is_odd in zip(rows.columns, odd, strict=True) if is_odd)
    return rows.with_columns(text_of(raw)), height


def in_one_order(heads: list[Head]) -> list[Head]:
    """Write times as ISO where files put day and month in other orders: each is read by itself."""
    columns = dict.fromkeys(c for _, rows in heads for c in rows.columns) if heads[1:] else {}
    for column in columns:
        of = {i: rows[column].drop_nulls() for i, (_, rows) in enumerate(heads) if column in rows}
        if not any(guess_time_format(texts.head(50)) for texts in of.values()):
            continue
        guesses = {i: guess_time_format(texts.unique()) for i, texts in of.items()}
        sure = {i: g[0].startswith("%m") for i, g in guesses.items() if g is not None and g[1]}
        for i in sure if len(set(sure.values())) > 1 else ():
            source, rows = heads[i]
            read = read_instants(rows[column], where=str(source), refuse=False).values
            iso = read.dt.replace_time_zone(None).dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
            heads[i] = (source, rows.with_columns(iso.alias(column)))
    return heads


@dataclass(slots=True)
class Looked:
    """A log while it is looked at: rows as text, what was found, the contacts."""

    looked: str
    rows: pl.DataFrame
    columns: dict[str, Column]
    related: Related
    shape: Shape
    roles: Roles
    time_format: Guess | None
    is_complete_only: bool
    contacts: pl.DataFrame
    twins: int
    product: bool = False
    ties: bool = False
    places: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def is_by_basket(self) -> bool:
        """Whether a contact is all lines of a basket, and nothing else says what it is."""
        return self.shape.one_per is not None and not self.shape.names_basket


def look_at(related: Related, looked: str) -> Looked:
    """Find out what the columns of a log are, and its contacts."""
    rows = related.rows
    complete = pl.col("lifecycle:transition").fill_null("").str.contains(COMPLETE)
    # A log may write several rows for a work item, of which one ends it.
    kept = rows.filter(complete) if "lifecycle:transition" in rows.columns else rows.clear()
    is_complete_only = 0 < kept.height < rows.height
    rows = kept if is_complete_only else rows
    columns = mark_facts(rows, profile(rows))
    if len(columns) == rows.width:
        looked += f", {len(columns) - (FILE in columns)} columns"
    else:
        looked += f", the first {len(columns)} of {rows.width:,} columns whose names say something"
        rows = rows.select(list(columns))
    customer, others = guess_customer(columns)
    if account := _account(rows, columns, customer.value):
        related.names.append((account, customer.value))
        rows = _known_by(rows, account, customer.value)
        columns |= profile(rows, [account])
        why = f"who has one is known by it, also before it was told with {customer.value!r}"
        customer = Guess(account, f"{why}: {columns[account].said()}")
    varies: dict[str, float] | None = vary_labels(rows, columns, customer.value)
    shape = find_shape(rows, columns, customer.value, varies or {})
    shown = ", ".join(f"{c.name} ({c.said()})" for c in others)
    why = f"{customer.why}; runners-up: {shown}" if others else customer.why
    fixed = {"customer": Guess(customer.value, why)}
    if shape != Shape():
        rows, settled = _shaped(rows, shape)
        columns, varies = profile(rows, [c for c in rows.columns if c != LINE]), None
        fixed |= settled
    roles = guess_roles(rows, columns, fixed, varies)
    named = {r: g.value for r, g in roles.columns.items()}
    made = {}
    if second := _second_name(rows, columns, roles):
        related.names.append((named["touchpoint"], second))
        made[named["touchpoint"]] = pl.coalesce(named["touchpoint"], second)
    if "time_of_day" in named:
        both = (named["occurred_at"], named["time_of_day"])
        made[both[0]] = pl.concat_str(both, separator=" ", ignore_nulls=True)
    rows = rows.with_columns(**made)
    columns = {**columns, **profile(rows, made)} if made else columns
    times, time_format = _read_times(rows[roles.columns["occurred_at"].value])
    _doubt_order(roles, time_format)
    contacts, twins = _contacts(rows, roles, shape, times)
    log = Looked(
        looked, rows, columns, related, shape, roles, time_format, is_complete_only, contacts, twins
    )
    if "stage" in roles.columns and not outcomes.is_of_one_stage(log.contacts):
        log.contacts, log.product = _named_by_stage(log.contacts), True
    log.contacts = outcomes.order_contacts(log.contacts)
    log.ties = _steps_without_times(log)
    if log.ties:
        log.contacts = _in_order_of_reach(log.contacts)
    log.places = outcomes.describe_touchpoints(log.contacts)
    return log


def _account(rows: pl.DataFrame, columns: Mapping[str, Column], customer: str) -> str | None:
    """Return the column of which several values of the customer's, such as devices, are one, in the
    rows that have it.
    """
    for column in columns.values():
        is_id = column.says("person") and column.says("id")  # a last name is that of many people
        if column.name == customer or not is_id or column.share > 0.98:
            continue
        told = same_people(rows.lazy(), column.name, customer).collect()
        several = rows.select(column.name, customer).drop_nulls()[customer].n_unique()
        people = told["\x00one"].n_unique()
        if column.distinct >= 5 and 0.9 * several < told.height > 1.02 * people:
            return column.name
    return None


def _known_by(rows: pl.DataFrame, account: str, customer: str) -> pl.DataFrame:
    told = same_people(rows.lazy(), account, customer).collect()
    mapped = pl.col(customer).replace_strict(told["\x00by"], told["\x00one"], default=None)
    return rows.with_columns(pl.coalesce(account, mapped, customer).alias(account))


def _shaped(rows: pl.DataFrame, shape: Shape) -> tuple[pl.DataFrame, dict[str, Guess]]:
    """Return a row for each contact, and the roles that this settles."""
    settled = {}
    if shape.one_per is not None:
        rows = rows.unique(shape.one_per, keep="first", maintain_order=True)
        if not shape.names_basket:
            settled["touchpoint"] = Guess(shape.one_per, "each value is one contact")
    if shape.unpivot is not None:
        rows = unpivot_rows(rows.lazy().with_row_index(LINE), shape.unpivot).collect()
        at = shape.unpivot.numbered or STEP_AT
        made = {"touchpoint": STEP, "sequence": STEP_ORDER, "occurred_at": at}
        why = "what `unpivot` makes"
        settled |= {r: Guess(c, why) for r, c in made.items() if c in rows.columns}
    return rows.with_columns(pl.exclude(LINE).cast(pl.String)), settled


def _second_name(rows: pl.DataFrame, columns: Mapping[str, Column], roles: Roles) -> str | None:
    """Return the column that names the contacts where the column of the touchpoint is empty."""
    name = roles.columns["touchpoint"].value
    if name not in columns or columns[name].share > 0.99:
        return None
    without = rows.filter(pl.col(name).is_null())
    for column in (c for c in roles.untaken(columns).values() if names_contacts(c)):
        filled = len(without) - without[column.name].null_count()
        if filled > 0.9 * len(without) and column.filled - filled < 0.1 * columns[name].filled:
            return column.name
    return None


def _read_times(texts: pl.Series) -> tuple[pl.Series, Guess | None]:
    read, there = read_instants(texts, where="", refuse=False), texts.drop_nulls()
    is_written_so = guess_time_format(there.gather_every(max(1, len(texts) // 1_000)))
    guessed = guess_time_format(there.unique(maintain_order=True)) if is_written_so else None
    if guessed is None:
        return read.values, None
    pattern, certain = guessed
    by_pattern = read_instants(texts, where="", time_format=pattern, refuse=False)
    if int(by_pattern.unread.sum()) > int(read.unread.sum()):
        return read.values, None
    why = "a part above 12 must be the day" if certain else "day or month first? Please check"
    return by_pattern.values, Guess(pattern, why)


def _in_order_of_reach(contacts: pl.DataFrame) -> pl.DataFrame:
    """Order steps without times: the more customers come to one, the earlier it is."""
    steps = contacts["touchpoint"].value_counts(sort=True)["touchpoint"].to_list()
    rank = pl.col("touchpoint").replace_strict({n: i for i, n in enumerate(steps)})
    return outcomes.order_contacts(contacts.with_columns(sequence=rank))


def _doubt_order(roles: Roles, time_format: Guess | None) -> None:
    if time_format is not None and "Please check" in time_format.why:
        roles.doubts.append(
            f"day or month first? No time tells; time_format says {time_format.value!r}, and "
            f"{swap_day_and_month(time_format.value)!r} could be meant"
        )


def _contacts(
    rows: pl.DataFrame, roles: Roles, shape: Shape, times: pl.Series
) -> tuple[pl.DataFrame, int]:
    """Return the contacts, and how many names of theirs differ from others by case only."""
    asked = ("customer", "touchpoint", "stage", "channel")
    named = {r: pl.col(g.value) for r, g in roles.columns.items() if r in asked}
    named["customer"] = named["customer"].cast(pl.Categorical).to_physical()  # sorts quickly
    if "sequence" in roles.columns:
        named["sequence"] = pl.col(roles.columns["sequence"].value).cast(pl.Int64, strict=False)
    if shape.unpivot is not None:
        named["errand"] = pl.col(LINE) // max(len(shape.unpivot.times or shape.unpivot.flags), 1)
    contacts = rows.select(occurred_at=times, **named)
    contacts = contacts.drop_nulls(["customer", "occurred_at", "touchpoint"])
    if shape.one_per is not None and not shape.names_basket:
        contacts = contacts.with_columns(touchpoint=pl.lit("purchase"))
    names = [contacts[c] for c in ("touchpoint", "stage", "channel") if c in contacts.columns]
    twins = sum(s.drop_nulls().n_unique() - len(outcomes.usual_spelling(s)) for s in names)
    spelling = outcomes.usual_spelling(contacts["touchpoint"])
    spelled = outcomes.fold(pl.col("touchpoint")).replace_strict(spelling)
    return contacts.with_columns(touchpoint=spelled), twins


def _named_by_stage(contacts: pl.DataFrame) -> pl.DataFrame:
    """Let stage and touchpoint name the contact together; the touchpoint alone is not enough."""
    spelling = outcomes.usual_spelling(contacts["stage"])
    stage = outcomes.fold(pl.col("stage")).replace_strict(spelling, default=None)
    both = pl.concat_str(stage, "touchpoint", separator=" ")
    named = contacts.with_columns(_what=pl.col("touchpoint"), touchpoint=both)
    return named.drop_nulls("touchpoint")


def _steps_without_times(log: Looked) -> bool:
    """Whether most contacts tie in time though they are steps in an order."""
    if "sequence" in log.roles.columns:
        return False
    names = ("customer", "occurred_at", "touchpoint")
    same, tied, alike = (pl.col(c) == pl.col(c).shift(1) for c in names)
    share = log.contacts.select((tied & ~alike).filter(same).mean()).item()
    return share is not None and float(share) > 0.5
