"""A first journey map from a log alone: usable as it stands, every guess marked as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, NamedTuple

import polars as pl
import yaml

from cxlib.errors import InputError, listed
from cxlib.ingest import outcomes
from cxlib.ingest.cells import as_pattern
from cxlib.ingest.delimited import names_apart
from cxlib.ingest.events import make_contacts
from cxlib.ingest.evidence import Column, guess_by_words, profile
from cxlib.ingest.looking import (
    COMPLETE,
    Looked,
    find_inner_list,
    in_one_order,
    look_at,
    open_single_lists,
    raw_texts,
)
from cxlib.ingest.nobody import find_nobodies
from cxlib.ingest.raw import RawTable
from cxlib.ingest.recipes import Head, Related, relate_tables
from cxlib.ingest.report import IngestReport
from cxlib.ingest.roles import guess_customer, named_role, rank_times, rates
from cxlib.ingest.sources import Paths, Source, find_sources, read_bytes
from cxlib.ingest.tables import main_sheets, read_table, with_named
from cxlib.ingest.text import read_text
from cxlib.journey_map import parse_journey_map
from cxlib.map_model import STEP, STEP_AT, STEP_ORDER, Join, Reading, format_duration

TOUCHPOINTS = 200  # touchpoints that are proposed, the most frequent first


class Proposal(NamedTuple):
    """A proposed map, what `cx check` says of it, and what only a reader can decide."""

    text: str
    report: IngestReport
    doubts: tuple[str, ...]


def propose_map(
    paths: Paths, *, separator: str | None = None, encoding: str | None = None
) -> Proposal:
    """Propose a journey map for a log, each guess marked ``# guess: why``, and check it."""
    heads: list[Head] = []
    tables: dict[Source, RawTable] = {}
    read, records = 0, ""
    sheets: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    sources = find_sources(paths)
    apart = {s: names for s in sources if len(sources) > 1 and (names := _names_apart(s, encoding))}
    names = next(iter(apart.values()), ())
    for source in sources:
        sheets = main_sheets(source) if source.format == "workbook" else sheets
        reading = Reading(separator, encoding, sheet=sheets)
        if source in apart:
            continue
        table = read_table(source, reading)
        if names and table.columns[0] == "column 1" and len(table.columns) == len(names):
            header = names
            table = read_table(source, replace(reading, header=header))
        rows, height = raw_texts(table)
        if source.format == "jsonl" and (inner := find_inner_list(rows) or records):
            records = inner
            table = read_table(source, Reading(records=records, encoding=encoding))
            rows, height = raw_texts(table)
        rows = open_single_lists(rows)
        heads.append((source, rows))
        tables[source] = table
        read += height
    for source in apart:
        tables[source] = read_table(source, Reading(separator, encoding, header=header))
    looked = f"{sum(rows.height for _, rows in heads):,} of {read:,} rows in {len(heads)} file"
    try:
        log = look_at(relate_tables(in_one_order(heads)), looked + "s" * (len(heads) != 1))
    except InputError as error:
        raise InputError(f"{listed(map(str, tables), shown=3)}: {error}") from error
    doubts = list(log.roles.doubts)
    body = [
        "version: 1",
        f"name: {_flow(log.related.name.split('.')[0].replace('_', ' '))}",
        *([_line("reading", {"records": records}, "the list with the times")] if records else []),
        *([_line("reading", {"sheet": list(sheets)}, "others are small")] if sheets else []),
        *([_line("reading", {"header": list(header)}, "a file of one line")] if header else []),
        *_recipe_lines(log),
        *_column_lines(log),
        *_time_lines(log),
        *_nobody_lines(log, doubts),
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
        if log.related.unused:
            raise InputError(
                f"nothing says how {listed(log.related.unused, shown=3)} belongs to "
                f"{log.related.name}: no column of it has one row for each value there; name the "
                "other files only"
            ) from error
        raise InputError(f"what could be proposed would be refused: {error}") from error
    report = ingested.checked()
    doubts += [h for h in report.hints if h not in doubts]
    head = "\n".join(_head_lines(log, report, doubts))
    return Proposal(f"{head}\n{text}", report, tuple(doubts))


def _names_apart(source: Source, encoding: str | None) -> tuple[str, ...]:
    if source.format not in ("csv", "tsv") or source.path.stat().st_size > 2**20:
        return ()
    text = read_text(read_bytes(source), name=str(source), encoding=encoding)
    return names_apart(text, is_tabbed=source.format == "tsv")


def _head_lines(log: Looked, report: IngestReport, doubts: list[str]) -> Iterator[str]:
    yield "# Proposed from the log; every guess is marked. Read it, mend it, and remove the marks."
    yield f"# Looked at: {log.looked}."
    yield from (f"# {said[0].upper()}{said[1:]}." for said in log.related.said)
    kept = f"{report.contacts:,} of {report.rows_in:,} rows kept"
    kept += f", {report.customers or 0:,} customers"
    span = f"{report.first_at:%Y-%m-%d %H:%M} to {report.last_at:%Y-%m-%d %H:%M} UTC"
    aside = ", ".join(f"{n:,} {reason}" for reason, n in report.set_aside.items())
    yield f"# cx check says: {kept}, {span}; set aside: {aside or 'none'}."
    for number, doubt in enumerate(doubts, 1):
        yield f"# To look at {number}: {' '.join(doubt.split())}"


def _recipe_lines(log: Looked) -> Iterator[str]:
    related, shape = log.related, log.shape
    if related.join:
        yield _line("join", _joins(related.join), "one row for each value of the key")
    if shape.one_per is not None:
        yield _line("one_per", shape.one_per, shape.why_one_per)
    if shape.unpivot is not None:
        given = {k: v for k, v in asdict(shape.unpivot).items() if v}
        yield _line("unpivot", given, shape.why_unpivot)
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
    best = max(shares, key=lambda c: shares[c])
    return best if shares[best] > 0.1 else guess_customer(columns)[0].value  # type: ignore[operator]


def _joins(joins: Iterable[Join]) -> list[dict[str, Any]]:
    written = []
    for join in joins:
        ours, *more = join.by
        by = ours if not more and join.by[ours] == ours else dict(join.by)
        told = {"table": join.table, "by": by, "where": dict(join.where)}
        written.append({key: value for key, value in told.items() if value})
    return written


def _column_lines(log: Looked) -> Iterator[str]:
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


def _time_lines(log: Looked) -> Iterator[str]:
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
        yield _line("keep", {"lifecycle:transition": COMPLETE}, "one row per work item")


def _nobody_lines(log: Looked, doubts: list[str]) -> Iterator[str]:
    """Of rows of no customer: the line that sets them aside, and what to look at."""
    found = list(find_nobodies(log.rows, log.columns, log.roles))
    for one in found:
        doubts += [
            f"{one.rows:,} rows are set aside by `not_a_customer`: {_flow(one.says)}, since "
            f"{one.why}; if they are customers, take it out of the map"
        ]
    if found:
        why = "; ".join(f"{one.rows:,} rows: {one.why}" for one in found)
        yield _line("not_a_customer", [one.says for one in found], why)


def _rating_lines(log: Looked) -> Iterator[str]:
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


def _journey_lines(log: Looked, doubts: list[str]) -> Iterator[str]:
    yield "journey:"
    if _counts_cases(log):
        yield "  " + _line("restart", False, "the log counts cases, and a case is one journey")
    elif (gap := outcomes.guess_gap(log.contacts, least=_longest_errand(log))) is not None:
        yield "  " + _line("gap", format_duration(gap.value), gap.why)
    goals, why = _guess_goal(log)
    if goals:
        yield "  " + _line("goal", goals, why)
    else:
        yield f"  # goal: [...]  guess: {why}"
        doubts.append(f"the map has no goal: {why}")
    if lost := outcomes.guess_lost(log.places.head(TOUCHPOINTS), goals):
        yield "  " + _line("lost", lost, "their names say so, and little follows them")


def _counts_cases(log: Looked) -> bool:
    customer = log.roles.columns["customer"].value.lower()
    return customer.startswith("case") or "lifecycle:transition" in log.columns


def _guess_goal(log: Looked) -> tuple[list[str], str]:
    if log.places.height < 2:
        return [], "there is one touchpoint only"
    return outcomes.guess_goal(log.places.head(TOUCHPOINTS), of_cases=_counts_cases(log))


def _longest_errand(log: Looked) -> timedelta:
    """Return how long silences last within a row of a wide table, which is one errand."""
    if log.shape.unpivot is None or not log.shape.unpivot.times:
        return timedelta(0)
    at, errand = pl.col("occurred_at"), pl.col("errand")
    silences = log.contacts.select((at - at.shift(1)).filter(errand == errand.shift(1)))
    found = silences.to_series().quantile(0.99)
    return found if isinstance(found, timedelta) else timedelta(0)


def _stage_lines(log: Looked, doubts: list[str]) -> Iterator[str]:
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
    yield from _plan_lines(log)


def _plan_lines(log: Looked) -> Iterator[str]:
    """Of a wide table with a promised date: from its first step to its goal, by that date."""
    steps = list(log.shape.unpivot.times) if log.shape.unpivot is not None else []
    goals, _ = _guess_goal(log)
    if "due_at" not in log.roles.columns or len(goals) != 1 or goals[0] not in steps[1:]:
        yield "planned_handoffs: []  # for example: - {source: …, target: …, deadline: 7d}"
        return
    days = max(-(-_longest_errand(log) // timedelta(days=1)), 1)
    plan = {"source": steps[0], "target": goals[0], "deadline": f"{days}d", "promised": True}
    why = "by the promised date of each row, and by the deadline where it has none"
    yield _line("planned_handoffs", [plan], why)


def _patterns(log: Looked, name: str) -> dict[str, str]:
    """Return what a row must hold to be a contact that no cell names alone."""
    if log.is_by_basket and not log.product:
        return {str(log.shape.one_per): "."}
    named = log.contacts.filter(pl.col("touchpoint") == name)
    said = named.select(pl.col("stage", "_what").max().str.strip_chars()).row(0)
    escaped = [as_pattern(text) for text in said]
    columns = (log.roles.columns[role].value for role in ("stage", "touchpoint"))
    return {column: f"^(?i){text}$" for column, text in zip(columns, escaped, strict=True)}


def _line(key: str, value: Any, why: str) -> str:
    return f"{key}: {_flow(value)}  # guess: {why}"


def _flow(value: Any) -> str:
    """Write a value on one line so that YAML reads the same back, within a flow mapping too."""
    dumped = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    return dumped.strip()[1:-1]
