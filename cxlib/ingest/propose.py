"""A first journey map from a log alone: usable as it stands, every guess marked as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple

import polars as pl
import yaml

from cxlib.errors import InputError
from cxlib.ingest import outcomes
from cxlib.ingest.events import make_contacts
from cxlib.ingest.evidence import Column, Guess, guess_by_words, profile
from cxlib.ingest.instants import guess_time_format, read_instants, swap_day_and_month
from cxlib.ingest.nested import parsed
from cxlib.ingest.raw import LINE, POSITION, RawTable
from cxlib.ingest.recipes import Head, Related, Shape, find_shape, mark_facts, relate_tables
from cxlib.ingest.report import IngestReport
from cxlib.ingest.roles import (
    Roles,
    guess_customer,
    guess_roles,
    named_role,
    names_contacts,
    rank_times,
    rates,
    vary_labels,
)
from cxlib.ingest.shapes import unpivot_rows
from cxlib.ingest.sources import Paths, Source, find_sources
from cxlib.ingest.tables import read_source, read_table, with_named
from cxlib.journey_map import parse_journey_map
from cxlib.map_model import FILE, STEP, STEP_AT, STEP_ORDER, Join, Reading, format_duration

ROWS = 1_000_000
"""Most rows that are looked at: of a longer log, every second, third … of all of them."""

TOUCHPOINTS = 200  # touchpoints that are proposed, the most frequent first

_COMPLETE = "^(?i:complete)$"


class Proposal(NamedTuple):
    """A proposed map, what `cx check` says of it, and what only a reader can decide."""

    text: str
    report: IngestReport
    doubts: tuple[str, ...]


@dataclass(slots=True)
class _Log:
    """A log while it is looked at: rows as text, what was found, the contacts."""

    looked: str
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
        return self.shape.one_per is not None and self.shape.unpivot is None


def propose_map(
    paths: Paths, *, separator: str | None = None, encoding: str | None = None
) -> Proposal:
    """Propose a journey map for a log, each guess marked ``# guess: why``, and check it."""
    heads: list[Head] = []
    tables: dict[Source, RawTable] = {}
    read, records = 0, ""
    for source in find_sources(paths):
        table = read_source(source, separator=separator, encoding=encoding)
        rows, height = _raw(table)
        inner = _inner_list(rows) if source.format == "jsonl" else None
        if records := inner or records:
            table = read_table(source, Reading(records=records, encoding=encoding))
            rows, height = _raw(table)
        heads.append((source, rows))
        tables[source] = table
        read += height
    looked = f"{sum(rows.height for _, rows in heads):,} of {read:,} rows in {len(heads)} file"
    log = _look(relate_tables(_in_one_order(heads)), looked + "s" * (len(heads) != 1))
    doubts = list(log.roles.doubts)
    body = [
        "version: 1",
        f"name: {_flow(log.related.name.split('.')[0].replace('_', ' '))}",
        *([_line("reading", {"records": records}, "the list with the times")] if records else []),
        *_recipe_lines(log),
        *_column_lines(log),
        *_time_lines(log),
        *_rating_lines(log),
        *_journey_lines(log, doubts),
        *_stage_lines(log, doubts),
    ]
    text = "\n".join(body) + "\n"
    try:
        asked = parse_journey_map(text)
        ingested = make_contacts(
            list(tables), asked, lambda source: with_named(tables[source], asked, asked.reading)
        )
    except InputError as error:
        raise InputError(f"what could be proposed would be refused: {error}") from error
    report = ingested.checked()
    doubts += [h for h in report.hints if h not in doubts]
    head = "\n".join(_head_lines(log, report, doubts))
    return Proposal(f"{head}\n{text}", report, tuple(doubts))


def _inner_list(rows: pl.DataFrame) -> str | None:
    """Return the column whose cells are lists of objects with times: the contacts of its row."""
    for column in rows.columns:
        texts = rows[column].drop_nulls().head(50)
        if not texts.str.starts_with("[{").any():
            continue
        lists = [found for cell in texts if isinstance(found := parsed(cell), list)]
        elements = [e for found in lists for e in found if isinstance(e, dict)]
        keys = dict.fromkeys(key for element in elements for key in element)
        cells = {k: [None if (v := e.get(k)) is None else str(v) for e in elements] for k in keys}
        if len(elements) > len(texts) and rank_times(profile(pl.DataFrame(cells))):
            return column
    return None


def _raw(table: RawTable) -> tuple[pl.DataFrame, int]:
    raw = pl.exclude(LINE, POSITION).cast(pl.String).str.strip_chars()
    height = int(table.frame.select(pl.len()).collect().item())
    some = replace(table, frame=table.frame.gather_every(-(-height // ROWS) or 1))
    return some.collect(pl.when(raw != "").then(raw).name.keep()), height


def _in_one_order(heads: list[Head]) -> list[Head]:
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


def _look(related: Related, looked: str) -> _Log:
    rows = related.rows
    complete = pl.col("lifecycle:transition").fill_null("").str.contains(_COMPLETE)
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
    if time_format is not None and "Please check" in time_format.why:
        roles.doubts.append(
            f"day or month first? No time tells; time_format says {time_format.value!r}, and "
            f"{swap_day_and_month(time_format.value)!r} could be meant"
        )
    contacts, twins = _contacts(rows, roles, shape, times)
    log = _Log(
        looked, columns, related, shape, roles, time_format, is_complete_only, contacts, twins
    )
    if "stage" in roles.columns and not outcomes.is_of_one_stage(log.contacts):
        log.contacts, log.product = _named_by_stage(log.contacts), True
    log.contacts = outcomes.order_contacts(log.contacts)
    log.ties = _steps_without_times(log)
    if log.ties:
        # the more customers come to a step, the earlier it is
        steps = log.contacts["touchpoint"].value_counts(sort=True)["touchpoint"].to_list()
        rank = pl.col("touchpoint").replace_strict({n: i for i, n in enumerate(steps)})
        log.contacts = outcomes.order_contacts(log.contacts.with_columns(sequence=rank))
    log.places = outcomes.describe_touchpoints(log.contacts)
    return log


def _shaped(rows: pl.DataFrame, shape: Shape) -> tuple[pl.DataFrame, dict[str, Guess]]:
    """Return a row for each contact, and the roles that this settles."""
    settled = {}
    if shape.one_per is not None:
        rows = rows.unique(shape.one_per, keep="first", maintain_order=True)
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
    if shape.one_per is not None and shape.unpivot is None:
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


def _steps_without_times(log: _Log) -> bool:
    """Whether most contacts tie in time though they are steps in an order."""
    if "sequence" in log.roles.columns:
        return False
    same, tied, alike = (
        pl.col(c) == pl.col(c).shift(1) for c in ("customer", "occurred_at", "touchpoint")
    )
    share = log.contacts.select((tied & ~alike).filter(same).mean()).item()
    return share is not None and float(share) > 0.5


def _head_lines(log: _Log, report: IngestReport, doubts: list[str]) -> Iterator[str]:
    yield "# Proposed from the log; every guess is marked. Read it, mend it, and remove the marks."
    yield f"# Looked at: {log.looked}."
    yield from (f"# {said[0].upper()}{said[1:]}." for said in log.related.said)
    kept = (
        f"{report.contacts:,} of {report.rows_in:,} rows kept, {report.customers or 0:,} customers"
    )
    span = f"{report.first_at:%Y-%m-%d %H:%M} to {report.last_at:%Y-%m-%d %H:%M} UTC"
    aside = ", ".join(f"{n:,} {reason}" for reason, n in report.set_aside.items())
    yield f"# cx check says: {kept}, {span}; set aside: {aside or 'none'}."
    for number, doubt in enumerate(doubts, 1):
        yield f"# To look at {number}: {' '.join(doubt.split())}"


def _recipe_lines(log: _Log) -> Iterator[str]:
    related, shape = log.related, log.shape
    if related.join:
        yield _line("join", _joins(related.join), "one row for each value of the key")
    if shape.one_per is not None:
        yield _line("one_per", shape.one_per, shape.why_one_per)
    if shape.unpivot is not None:
        given = {
            k: dict(v) if isinstance(v, Mapping) else v for k, v in asdict(shape.unpivot).items()
        }
        yield _line("unpivot", {k: v for k, v in given.items() if v}, shape.why_unpivot)
    if log.ties:
        yield _line("ties_as_listed", True, "most contacts share their instant, but are steps")
    if related.answers is None:
        return
    table, joins, rows = related.answers
    columns, own = profile(rows), table.rows.columns
    customer = log.roles.columns["customer"].value
    found = {"customer": _same_people(related, customer, columns)}
    if times := rank_times({c: columns[c] for c in own}):
        found["rated_at"] = times[0].name
    for column in (columns[c] for c in columns if c in own):
        if rates(column):
            found.setdefault("rating", column.name)
        elif named_role(column) == "comment":
            found.setdefault("comment", column.name)
    content: dict[str, Any] = {"table": table.name, "join": _joins(joins), "columns": found}
    content = {key: value for key, value in content.items() if value}
    yield _line("ratings", content, "marks with a time and a key of the log")


def _same_people(related: Related, customer: str, columns: Mapping[str, Column]) -> str:
    """Return the column of survey answers whose values are customers of the log."""
    if customer in columns or related.answers is None or customer not in related.rows:
        return customer
    known, rows = related.rows[customer].drop_nulls().unique(), related.answers[2]
    shares = {c: rows[c].drop_nulls().is_in(known.implode()).mean() or 0 for c in columns}
    best = max(shares, key=lambda c: shares[c])  # type: ignore[arg-type,return-value]
    return best if shares[best] > 0.1 else guess_customer(columns)[0].value  # type: ignore[operator]


def _joins(joins: Iterable[Join]) -> list[dict[str, str]]:
    return [{"table": j.table, "by": next(iter(j.by))} for j in joins]


def _column_lines(log: _Log) -> Iterator[str]:
    several = {names[0]: list(names) for names in log.related.names}
    roles = log.roles
    hidden = {"stage", "touchpoint"} if log.product else set()
    hidden |= {"touchpoint"} if log.is_by_basket else set()
    yield "columns:"
    for role, guess in roles.columns.items():
        if guess.value not in (STEP, STEP_AT, STEP_ORDER) and role not in hidden:
            yield "  " + _line(role, several.get(guess.value, guess.value), guess.why)
    # of the lines of a basket each has an environment of its own
    environments = roles.environments if log.shape.one_per is None else {}
    for key, found in (("environment", environments), ("segments", roles.segments)):
        if found:
            why = "; ".join(f"{n}: {reason}" for n, reason in found.items())
            yield "  " + _line(key, list(found), why)


def _time_lines(log: _Log) -> Iterator[str]:
    if log.time_format is not None:
        yield _line("time_format", *log.time_format)
    texts = log.columns[log.roles.columns["occurred_at"].value].sample
    has_offset = texts.str.contains(r"(?i)(?:Z|[+-]\d{2}:?\d{2}|UTC|GMT)$")
    if not has_offset.all() and not texts.str.contains(r"^\d{9,}(?:\.\d+)?$").all():
        yield _line(
            "time_zone", "UTC", "the times carry no offset; write Europe/Berlin or the like"
        )
    if log.twins and not log.product:
        yield _line("fold_case", True, f"{log.twins} names differ from others by case only")
    if log.is_complete_only:
        yield _line("keep", {"lifecycle:transition": _COMPLETE}, "one row per work item")


def _rating_lines(log: _Log) -> Iterator[str]:
    column: Column | None = None
    if "rating" in log.roles.columns:
        column = log.columns[log.roles.columns["rating"].value]
    elif log.related.answers is not None:
        rated = profile(log.related.answers[0].rows).values()
        column = next((c for c in rated if rates(c)), None)
    if column is None:
        return
    low, high = float(column.numbers.min() or 0), float(column.numbers.max() or 0)  # type: ignore[arg-type]
    bounds = ((1, 5), (0, 5), (1, 7), (0, 10), (0, 100), (-100, 100))
    least, most = next(((a, b) for a, b in bounds if a <= low and high <= b), (low, high + 1))
    names = [n for n in ("nps", "csat", "ces", "stars") if n in column.name.lower()]
    name = names[0] if names else ("nps" if (least, most) == (0, 10) else "rating")
    yield (
        f"rating_scale: {{name: {name}, min: {least:g}, max: {most:g}}}"
        f"  # guess: ratings lie between {low:g} and {high:g}"
    )


def _journey_lines(log: _Log, doubts: list[str]) -> Iterator[str]:
    yield "journey:"
    customer = log.roles.columns["customer"].value.lower()
    if customer.startswith("case") or "lifecycle:transition" in log.columns:
        yield "  " + _line("restart", False, "the log counts cases, and a case is one journey")
    elif (gap := outcomes.guess_gap(log.contacts, least=_longest_errand(log))) is not None:
        yield "  " + _line("gap", format_duration(gap.value), gap.why)
    goals, why = outcomes.guess_goal(log.places.head(TOUCHPOINTS))
    if log.places.height < 2:
        goals, why = [], "there is one touchpoint only"
    if goals:
        yield "  " + _line("goal", goals, why)
    else:
        yield f"  # goal: [...]  guess: {why}"
        doubts.append(f"the map has no goal: {why}")
    if lost := outcomes.guess_lost(log.places.head(TOUCHPOINTS), goals):
        yield "  " + _line("lost", lost, "their names say so, and little follows them")


def _longest_errand(log: _Log) -> timedelta:
    """Return how long silences last within a row of a wide table, which is one errand."""
    if log.shape.unpivot is None or not log.shape.unpivot.times:
        return timedelta(0)
    at, errand = pl.col("occurred_at"), pl.col("errand")
    silences = log.contacts.select((at - at.shift(1)).filter(errand == errand.shift(1)))
    found = silences.to_series().quantile(0.99)
    return found if isinstance(found, timedelta) else timedelta(0)


def _stage_lines(log: _Log, doubts: list[str]) -> Iterator[str]:
    found = outcomes.guess_stages(log.contacts, log.places)
    if found.question:
        doubts.append(found.question)
    question = "; please name them" if found.question and len(found.names) == 1 else ""
    yield _line("stages", found.names, found.why + question)
    # where the log says the channel, no guess may speak against it
    has_channels = "channel" in log.contacts.columns
    logged = outcomes.commonest(log.contacts, "touchpoint", "channel") if has_channels else {}
    yield "touchpoints:  # the most frequent first"
    places = log.places
    if log.ties:
        places = places.sort("contacts", descending=True, maintain_order=True)
    for name, contacts in places.select("touchpoint", "contacts").head(TOUCHPOINTS).iter_rows():
        stage, why = found.of.get(name, (found.names[0], "nothing says it"))
        line = {"name": name, "stage": stage}
        if name not in logged and (channel := guess_by_words(name, "channels")) is not None:
            line["channel"] = channel
            why += "; channel by its name"
        if (kind := guess_by_words(name, "kinds")) is not None:
            line["kind"] = kind
        written = _flow(line)
        if log.product or log.is_by_basket:
            written = f"{written[:-1]}, match: {_flow(_patterns(log, name))}}}"
        counted = f"{contacts:,} contact{'s' * (contacts != 1)}"
        yield f"  - {written}  # {counted}; guess: stage {why}"
    if places.height > TOUCHPOINTS:
        rest = places.height - TOUCHPOINTS
        doubts.append(f"{rest:,} rarer touchpoints are left out and stay unmapped")
        yield f"# {rest:,} rarer touchpoints are left out and stay unmapped"
    yield "planned_handoffs: []  # for example: - {source: …, target: …, deadline: 7d}"


def _patterns(log: _Log, name: str) -> dict[str, str]:
    """Return what a row must hold to be a contact that no cell names alone."""
    if log.shape.one_per is not None and not log.product:
        return {log.shape.one_per: "."}
    named = log.contacts.filter(pl.col("touchpoint") == name)
    one = named.select(pl.col("stage", "_what").max()).row(0, named=True)
    return {
        log.roles.columns[role].value: f"^(?i){_escaped(one[said])}$"
        for role, said in (("stage", "stage"), ("touchpoint", "_what"))
    }


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text.strip())


def _line(key: str, value: Any, why: str) -> str:
    return f"{key}: {_flow(value)}  # guess: {why}"


def _flow(value: Any) -> str:
    """Write a value on one line so that YAML reads the same back, within a flow mapping too."""
    dumped = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    return dumped.strip()[1:-1]
