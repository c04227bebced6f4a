"""A first journey map from a log alone: usable as it stands, every guess marked as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import polars as pl
import yaml

from cxlib.errors import InputError
from cxlib.ingest.events import read_events
from cxlib.ingest.evidence import Column, Guess, guess_by_words, profile
from cxlib.ingest.instants import guess_time_format, read_instants
from cxlib.ingest.outcomes import (
    Stages,
    describe_touchpoints,
    fold,
    guess_gap,
    guess_goal,
    guess_lost,
    guess_stages,
    is_of_one_stage,
    order_contacts,
    shown_channels,
    usual_spelling,
)
from cxlib.ingest.raw import LINE, POSITION, RawTable
from cxlib.ingest.recipes import Head, Related, Shape, find_shape, relate_tables
from cxlib.ingest.report import IngestReport
from cxlib.ingest.roles import (
    Roles,
    guess_customer,
    guess_roles,
    named_role,
    rank_times,
    rates,
    vary_labels,
)
from cxlib.ingest.shapes import unpivot_rows
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import read_source
from cxlib.journey_map import parse_journey_map
from cxlib.map_model import STEP, STEP_AT, STEP_ORDER, Join, format_duration

ROWS = 1_000_000
"""Most rows that are looked at: of a longer log, every second, third … of all of them."""

TOUCHPOINTS = 200
"""Touchpoints that are proposed, the most frequent first."""

_COMPLETE = "^(?i:complete)$"


@dataclass(frozen=True, slots=True)
class Proposal:
    """YAML that `read_journey_map` reads, what `cx check` says of it, and what only a reader can
    decide.
    """

    text: str
    report: IngestReport
    doubts: tuple[str, ...]


@dataclass(slots=True)
class _Log:
    """A log while it is looked at: rows as text, what was found, the contacts."""

    rows: pl.DataFrame
    looked: str
    columns: dict[str, Column]
    related: Related
    shape: Shape
    roles: Roles
    time_format: Guess | None
    product: bool = False
    contacts: pl.DataFrame = field(default_factory=pl.DataFrame)
    places: pl.DataFrame = field(default_factory=pl.DataFrame)
    kept: bool = False
    ties: bool = False
    twins: int = 0

    @property
    def is_by_basket(self) -> bool:
        """Whether a contact is all lines of a basket, and nothing else says what it is."""
        return self.shape.one_per is not None and self.shape.unpivot is None


def propose_journey_map(
    paths: Paths, *, separator: str | None = None, encoding: str | None = None
) -> str:
    """Propose a journey map for a log; see `propose_map`."""
    return propose_map(paths, separator=separator, encoding=encoding).text


def propose_map(
    paths: Paths, *, separator: str | None = None, encoding: str | None = None
) -> Proposal:
    """Propose a journey map for a log, each guess marked ``# guess: why``, and check it.

    Columns are guessed by what they hold, then by their names; what is constant within a customer
    is a segment, what changes an environment. Stages come from a column or from words (English,
    German, Dutch), the goal from words of success, the gap from the silences.
    """
    heads, read = [], 0
    for source in find_sources(paths):
        rows, height = _raw(read_source(source, separator=separator, encoding=encoding))
        heads.append((source, rows))
        read += height
    looked = f"{sum(rows.height for _, rows in heads):,} of {read:,} rows in {len(heads)} file"
    log = _look(relate_tables(_in_one_order(heads)), looked + "s" * (len(heads) != 1))
    doubts = list(log.roles.doubts)
    name = log.related.name.split(".")[0].replace("_", " ")
    body = [
        "version: 1",
        f"name: {_yaml(name)}",
        *_recipe_lines(log),
        *_column_lines(log),
        *_time_lines(log),
        *_keep_lines(log),
        *_rating_lines(log),
        *_journey_lines(log, doubts),
        *_stage_lines(log, doubts),
    ]
    text = "\n".join(body) + "\n"
    report = _checked(paths, text, separator, encoding)
    doubts += [h for h in report.hints if h not in doubts]
    return Proposal(
        "\n".join(_head_lines(log, report, doubts)) + "\n" + text, report, tuple(doubts)
    )


def _checked(paths: Paths, text: str, separator: str | None, encoding: str | None) -> IngestReport:
    proposed = parse_journey_map(text)
    try:
        return read_events(paths, proposed, separator=separator, encoding=encoding).checked()
    except InputError as error:
        raise InputError(f"what could be proposed would be refused: {error}") from error


def _raw(table: RawTable) -> tuple[pl.DataFrame, int]:
    """Return the rows of a file as text, an even part of a long one, and how many there are."""
    raw = pl.exclude(LINE, POSITION).cast(pl.String).str.strip_chars()
    height = int(table.frame.select(pl.len()).collect().item())
    step = -(-height // ROWS) or 1
    some = replace(table, frame=table.frame.gather_every(step)) if step > 1 else table
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
    """Find out what the rows are, what their columns are, and make contacts of them."""
    rows = related.rows
    kept = _complete_only(rows)
    if kept is not None:
        rows = rows.filter(kept)
    columns = profile(rows)
    if len(columns) == rows.width:
        looked += f", {len(columns)} columns"
    else:
        looked += f", the first {len(columns)} of {rows.width:,} columns whose names say something"
        rows = rows.select(list(columns))
    customer, others = guess_customer(columns)
    varies: dict[str, float] | None = vary_labels(rows, columns, customer.value)
    shape = find_shape(rows, columns, customer.value, varies or {})
    shown = ", ".join(f"{c.name} ({c.said()})" for c in others)
    why = f"{customer.why}; runners-up: {shown}" if others else customer.why
    fixed = {"customer": Guess(customer.value, why)}
    if shape.one_per is not None:
        rows = rows.unique(shape.one_per, keep="first", maintain_order=True)
        fixed["touchpoint"] = Guess(shape.one_per, "each value is one contact")
    if shape.unpivot is not None:
        rows = unpivot_rows(rows.lazy().with_row_index(LINE), shape.unpivot).collect()
        made = {"touchpoint": STEP, "sequence": STEP_ORDER, "occurred_at": STEP_AT}
        fixed |= {r: Guess(c, "what `unpivot` makes") for r, c in made.items() if c in rows.columns}
    if shape != Shape():
        rows = rows.with_columns(pl.exclude(LINE).cast(pl.String))
        columns, varies = profile(rows, [c for c in rows.columns if c != LINE]), None
    roles = guess_roles(rows, columns, fixed, varies)
    if "time_of_day" in roles.columns:
        date, clock = (roles.columns[r].value for r in ("occurred_at", "time_of_day"))
        both = pl.concat_str(date, clock, separator=" ", ignore_nulls=True)
        rows = rows.with_columns(both.alias(date))
        columns = {**columns, **profile(rows, [date])}
    times, time_format = _read_times(rows[roles.columns["occurred_at"].value])
    if time_format is not None and "Please check" in time_format.why:
        other = time_format.value.translate(str.maketrans("dm", "md"))
        roles.doubts.append(
            f"day or month first? No time tells; time_format says {time_format.value!r}, and "
            f"{other!r} could be meant"
        )
    log = _Log(rows, looked, columns, related, shape, roles, time_format, kept=kept is not None)
    log.contacts = _contacts(log, times)
    if "stage" in roles.columns and not is_of_one_stage(log.contacts):
        _name_by_stage(log)
    log.contacts = order_contacts(log.contacts)
    log.ties = _steps_without_times(log)
    if log.ties:
        # the more customers come to a step, the earlier it is
        steps = log.contacts["touchpoint"].value_counts(sort=True)["touchpoint"].to_list()
        rank = pl.col("touchpoint").replace_strict({n: i for i, n in enumerate(steps)})
        log.contacts = order_contacts(log.contacts.with_columns(sequence=rank))
    log.places = describe_touchpoints(log.contacts)
    return log


def _complete_only(rows: pl.DataFrame) -> pl.Series | None:
    """Whether a row ends a work item, where the log writes several rows for one."""
    if "lifecycle:transition" not in rows.columns:
        return None
    complete = rows["lifecycle:transition"].fill_null("").str.contains(_COMPLETE)
    return complete if complete.any() and not complete.all() else None


def _read_times(texts: pl.Series) -> tuple[pl.Series, Guess | None]:
    """Return the times of all rows, and the pattern that they need, with the reason.

    No pattern where the times are read better without one: several writings in one column.
    """
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


def _contacts(log: _Log, times: pl.Series) -> pl.DataFrame:
    """Return the contacts: who, when, what, on which channel, in which stage."""
    roles, rows = log.roles.columns, log.rows
    asked = ("customer", "touchpoint", "stage", "channel")
    named: dict[str, pl.Expr] = {r: pl.col(roles[r].value) for r in asked if r in roles}
    named["customer"] = named["customer"].cast(pl.Categorical).to_physical()  # sorts quickly
    if "sequence" in roles:
        named["sequence"] = pl.col(roles["sequence"].value).cast(pl.Int64, strict=False)
    if log.shape.unpivot is not None:
        steps = log.shape.unpivot.times or log.shape.unpivot.flags
        named["errand"] = pl.col(LINE) // len(steps)
    contacts = rows.select(occurred_at=times, **named)
    contacts = contacts.drop_nulls(["customer", "occurred_at", "touchpoint"])
    if log.is_by_basket:
        contacts = contacts.with_columns(touchpoint=pl.lit("purchase"))
    log.twins = sum(
        contacts[c].drop_nulls().n_unique() - len(usual_spelling(contacts[c]))
        for c in ("touchpoint", "stage", "channel")
        if c in contacts.columns
    )
    spelling = usual_spelling(contacts["touchpoint"])
    return contacts.with_columns(touchpoint=fold(pl.col("touchpoint")).replace_strict(spelling))


def _name_by_stage(log: _Log) -> None:
    """Let stage and touchpoint name the contact together; the touchpoint alone is not enough."""
    spelling = usual_spelling(log.contacts["stage"])
    stage = fold(pl.col("stage")).replace_strict(spelling, default=None)
    log.contacts = log.contacts.with_columns(
        _what=pl.col("touchpoint"), touchpoint=pl.concat_str(stage, "touchpoint", separator=" ")
    ).drop_nulls("touchpoint")
    log.product = True


def _head_lines(log: _Log, report: IngestReport, doubts: list[str]) -> Iterator[str]:
    yield "# Proposed from the log; every guess is marked. Read it, mend it, and remove the marks."
    yield f"# Looked at: {log.looked}."
    for said in log.related.said:
        yield f"# {said[0].upper()}{said[1:]}."
    kept = (
        f"{report.contacts:,} of {report.rows_in:,} rows kept, {report.customers or 0:,} customers"
    )
    when = ""
    if report.first_at is not None and report.last_at is not None:
        when = f", {report.first_at:%Y-%m-%d %H:%M} to {report.last_at:%Y-%m-%d %H:%M} UTC"
    aside = ", ".join(f"{n:,} {reason}" for reason, n in report.set_aside.items())
    yield f"# cx check says: {kept}{when}; set aside: {aside or 'none'}."
    for number, doubt in enumerate(doubts, 1):
        yield f"# To look at {number}: {' '.join(doubt.split())}"


def _recipe_lines(log: _Log) -> Iterator[str]:
    related = log.related
    if related.join:
        yield f"join: {_flow(_joins(related.join))}  # guess: one row for each value of the key"
    if log.shape.one_per is not None:
        yield f"one_per: {_yaml(log.shape.one_per)}  # guess: {log.shape.why_one_per}"
    if (recipe := log.shape.unpivot) is not None:
        steps = {"times": dict(recipe.times)} if recipe.times else {"flags": dict(recipe.flags)}
        yield f"unpivot: {_flow(steps)}  # guess: {log.shape.why_unpivot}"
    if log.ties:
        yield "ties_as_listed: true  # guess: most contacts share their instant, but are steps"
    if related.ratings is not None and related.ratings_rows is not None:
        yield from _ratings_lines(log)


def _ratings_lines(log: _Log) -> Iterator[str]:
    ratings, rows = log.related.ratings, log.related.ratings_rows
    assert ratings is not None
    assert rows is not None
    columns = profile(rows)
    times = rank_times({c: columns[c] for c in ratings.rows.columns})
    customer = log.roles.columns["customer"].value
    found = {"customer": customer if customer in columns else guess_customer(columns)[0].value}
    if times:
        found["rated_at"] = times[0].name
    for column in columns.values():
        if column.name in ratings.rows.columns:
            if rates(column):
                found.setdefault("rating", column.name)
            elif named_role(column) == "comment":
                found.setdefault("comment", column.name)
    content: dict[str, Any] = {"table": ratings.name}
    if log.related.ratings_join:
        content["join"] = _joins(log.related.ratings_join)
    content["columns"] = found
    yield f"ratings: {_flow(content)}  # guess: marks with a time and a key of the log"


def _joins(joins: Iterable[Join]) -> list[dict[str, str]]:
    return [{"table": j.table, "by": next(iter(j.by))} for j in joins]


def _column_lines(log: _Log) -> Iterator[str]:
    several = {names[0]: names for names in log.related.names}
    made = {STEP, STEP_AT, STEP_ORDER}
    roles = log.roles
    hidden = {"stage"} if log.product else set()
    if log.is_by_basket:
        hidden.add("touchpoint")
    yield "columns:"
    for role, guess in roles.columns.items():
        if guess.value in made or role in hidden or (role == "touchpoint" and log.product):
            continue
        names = several.get(guess.value)
        value = _flow(list(names)) if names else _yaml(guess.value)
        yield f"  {role}: {value}  # guess: {guess.why}"
    for key, found in (("environment", roles.environments), ("segments", roles.segments)):
        if log.shape.one_per is not None and key == "environment":
            continue  # of the lines of a basket each has its own
        if found:
            why = "; ".join(f"{n}: {reason}" for n, reason in found.items())
            yield f"  {key}: {_flow(list(found))}  # guess: {why}"


def _time_lines(log: _Log) -> Iterator[str]:
    if log.time_format is not None:
        yield f"time_format: {_yaml(log.time_format.value)}  # guess: {log.time_format.why}"
    texts = log.columns[log.roles.columns["occurred_at"].value].counts["value"]
    has_offset = texts.str.contains(r"(?i)(?:Z|[+-]\d{2}:?\d{2}|UTC|GMT)$")
    if not has_offset.all() and not texts.str.contains(r"^\d{9,}(?:\.\d+)?$").all():
        yield "time_zone: UTC  # guess: the times carry no offset; write Europe/Berlin or the like"


def _keep_lines(log: _Log) -> Iterator[str]:
    if log.twins and not log.product:
        yield f"fold_case: true  # guess: {log.twins} names differ from others by case only"
    if log.kept:
        pattern = _yaml(_COMPLETE)
        yield f'keep: {{"lifecycle:transition": {pattern}}}  # guess: one row per work item'


def _rating_lines(log: _Log) -> Iterator[str]:
    column: Column | None = None
    if "rating" in log.roles.columns:
        column = log.columns[log.roles.columns["rating"].value]
    elif log.related.ratings is not None:
        rated = profile(log.related.ratings.rows).values()
        column = next((c for c in rated if rates(c)), None)
    if column is None:
        return
    low, high = float(column.numbers.min() or 0), float(column.numbers.max() or 0)  # type: ignore[arg-type]
    bounds = ((1, 5), (0, 5), (1, 7), (0, 10), (0, 100), (-100, 100))
    fitting = next(((a, b) for a, b in bounds if a <= low and high <= b), (low, high + 1))
    names = [n for n in ("nps", "csat", "ces", "stars") if n in column.name.lower()]
    name = names[0] if names else ("nps" if fitting == (0, 10) else "rating")
    yield (
        f"rating_scale: {{name: {name}, min: {fitting[0]:g}, max: {fitting[1]:g}}}"
        f"  # guess: ratings lie between {low:g} and {high:g}"
    )


def _is_case(log: _Log) -> bool:
    customer = log.roles.columns["customer"].value.lower()
    return customer.startswith("case") or "lifecycle:transition" in log.columns


def _longest_errand(log: _Log) -> timedelta:
    """Return how long silences last within a row of a wide table, which is one errand."""
    if log.shape.unpivot is None or not log.shape.unpivot.times:
        return timedelta(0)
    at, errand = pl.col("occurred_at"), pl.col("errand")
    silences = log.contacts.select((at - at.shift(1)).filter(errand == errand.shift(1)))
    found = silences.to_series().quantile(0.99)
    return found if isinstance(found, timedelta) else timedelta(0)


def _journey_lines(log: _Log, doubts: list[str]) -> Iterator[str]:
    yield "journey:"
    if _is_case(log):
        yield "  restart: false  # guess: the log counts cases, and a case is one journey"
    elif (gap := guess_gap(log.contacts, least=_longest_errand(log))) is not None:
        yield f"  gap: {format_duration(gap.value)}  # guess: {gap.why}"
    goals, why = guess_goal(log.places.head(TOUCHPOINTS))
    if log.places.height < 2:
        goals, why = [], "there is one touchpoint only"
    if goals:
        yield f"  goal: [{', '.join(map(_yaml, goals))}]  # guess: {why}"
    else:
        yield f"  # goal: [...]  guess: {why}"
        doubts.append(f"the map has no goal: {why}")
    if lost := guess_lost(log.places.head(TOUCHPOINTS), goals):
        listed = ", ".join(map(_yaml, lost))
        yield f"  lost: [{listed}]  # guess: their names say so, and little follows them"


def _steps_without_times(log: _Log) -> bool:
    """Whether most contacts tie in time though they are steps in an order."""
    if "sequence" in log.roles.columns or log.contacts.is_empty():
        return False
    same, tied, alike = (
        pl.col(c) == pl.col(c).shift(1) for c in ("customer", "occurred_at", "touchpoint")
    )
    share = log.contacts.select((tied & ~alike).filter(same).mean()).item()
    return share is not None and float(share) > 0.5


def _stage_lines(log: _Log, doubts: list[str]) -> Iterator[str]:
    found = guess_stages(log.contacts, log.places)
    if found.question:
        doubts.append(found.question)
    question = "; please name them" if found.question and len(found.names) == 1 else ""
    yield f"stages: [{', '.join(map(_yaml, found.names))}]  # guess: {found.why}{question}"
    logged = shown_channels(log.contacts)
    yield "touchpoints:  # the most frequent first"
    places = log.places
    if log.ties:
        places = places.sort("contacts", descending=True, maintain_order=True)
    for row in places.head(TOUCHPOINTS).iter_rows(named=True):
        yield _touchpoint_line(log, row, found, logged)
    if places.height > TOUCHPOINTS:
        rest = places.height - TOUCHPOINTS
        doubts.append(f"{rest:,} rarer touchpoints are left out and stay unmapped")
        yield f"# {rest:,} rarer touchpoints are left out and stay unmapped"
    yield "planned_handoffs: []  # for example: - {source: …, target: …, deadline: 7d}"


def _touchpoint_line(
    log: _Log, row: dict[str, Any], stages: Stages, logged: Mapping[str, str]
) -> str:
    name = row["touchpoint"]
    stage, why = stages.of.get(name, (stages.names[0], "nothing says it"))
    # where the log says the channel, no guess may speak against it
    channel = None if name in logged else guess_by_words(name, "channels")
    parts = [f"name: {_yaml(name)}", f"stage: {_yaml(stage)}"]
    if channel is not None:
        parts.append(f"channel: {channel}")
        why += "; channel by its name"
    if (kind := guess_by_words(name, "kinds")) is not None:
        parts.append(f"kind: {kind}")
    if log.product:
        parts.append(f"match: {_flow(_patterns(log, name))}")
    elif log.is_by_basket:
        parts.append(f"match: {_flow({log.shape.one_per: '.'})}")
    contacts = f"{row['contacts']:,} contact{'s' * (row['contacts'] != 1)}"
    return f"  - {{{', '.join(parts)}}}  # {contacts}; guess: stage {why}"


def _patterns(log: _Log, name: str) -> dict[str, str]:
    """Return what a row must hold to be a contact that stage and touchpoint name together."""
    named = log.contacts.filter(pl.col("touchpoint") == name)
    one = named.select(pl.col("stage", "_what").max()).row(0, named=True)
    roles = log.roles.columns
    return {
        roles["stage"].value: f"^(?i){_escaped(one['stage'])}$",
        roles["touchpoint"].value: f"^(?i){_escaped(one['_what'])}$",
    }


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text.strip())


def _flow(value: Any) -> str:
    """Write lists and mappings on one line."""
    dumped = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    return dumped.strip()


def _yaml(value: str) -> str:
    """Write a text so that YAML reads the same text back, within a flow mapping too."""
    return _flow([value])[1:-1]
