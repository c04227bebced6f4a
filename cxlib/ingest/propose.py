"""A first journey map from a log alone: usable as it stands, every guess marked as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

import polars as pl
import yaml

from cxlib.ingest.events import read_source
from cxlib.ingest.guess import (
    CHANNEL_WORDS,
    GOAL_WORDS,
    LOST_WORDS,
    STAGE_WORDS,
    Guess,
    guess_by_words,
    guess_columns,
    guess_time,
)
from cxlib.ingest.instants import read_instants
from cxlib.ingest.sources import Paths, find_sources
from cxlib.ingest.tables import LINE, POSITION, RawTable
from cxlib.journey_map import parse_journey_map

__all__ = ["propose_journey_map"]

ROWS = 500_000
"""Rows of each file that are looked at."""

TOUCHPOINTS = 200
"""Touchpoints that are proposed, the most frequent first."""

STAGES = ("awareness", "exploration", "conversion", "aftersales")
_COMPLETE = "^(?i:complete)$"


def propose_journey_map(
    paths: Paths, *, separator: str | None = None, encoding: str | None = None
) -> str:
    """Propose a journey map for a log.

    Columns are guessed by name and content; channels from a column, else from words in the names of
    touchpoints; stages from a column, else from words (English, German, Dutch), else from the usual
    place in a customer's history; the goal from words such as payment or approved.

    Parameters
    ----------
    paths
        What `read_events` reads; the first 500,000 rows of each file are looked at.
    separator, encoding
        Of text files; None: detected.

    Returns
    -------
    str
        YAML that `read_journey_map` reads; each guess carries a comment ``# guess: why``.

    Raises
    ------
    InputError
        Where a file cannot be read, or no column can be the customer, the time or the touchpoint.
    """
    sources = find_sources(paths)
    rows = pl.concat(
        [_head(read_source(s, separator=separator, encoding=encoding)) for s in sources],
        how="diagonal",
    )
    columns = guess_columns(rows)
    time_format = guess_time(rows[columns["occurred_at"].value])
    kept = _complete_only(rows)
    contacts = _contacts(rows if kept is None else rows.filter(kept), columns, time_format)
    places = _places(contacts)
    name = sources[0].path.name.split(".")[0].replace("_", " ")
    lines = [
        "# Proposed from the log; every guess is marked. Read it, mend it, and remove the marks.",
        "version: 1",
        f"name: {_yaml(name)}",
        *_column_lines(columns),
        *_time_lines(rows[columns["occurred_at"].value], time_format),
        *_keep_lines(kept),
        *_rating_lines(rows, columns),
        *_journey_lines(places, columns),
        *_stage_lines(contacts, places),
    ]
    text = "\n".join(lines) + "\n"
    parse_journey_map(text)
    return text


def _head(table: RawTable) -> pl.DataFrame:
    raw = pl.exclude(LINE, POSITION).cast(pl.String).str.strip_chars()
    head = replace(table, frame=table.frame.head(ROWS))
    return head.collect(pl.when(raw != "").then(raw).name.keep())


def _complete_only(rows: pl.DataFrame) -> pl.Series | None:
    """Whether a row ends a work item, where the log writes several rows for one."""
    if "lifecycle:transition" not in rows.columns:
        return None
    complete = rows["lifecycle:transition"].fill_null("").str.contains(_COMPLETE)
    return complete if complete.any() and not complete.all() else None


def _contacts(
    rows: pl.DataFrame, columns: dict[str, Guess], time_format: Guess | None
) -> pl.DataFrame:
    """Return touchpoint and stage of the rows, with their place in the history."""
    times = read_instants(
        rows[columns["occurred_at"].value],
        where="",
        time_format=time_format.value if time_format else None,
        refuse=False,
    )
    named = {
        r: pl.col(columns[r].value)
        for r in ("customer", "touchpoint", "stage", "channel")
        if r in columns
    }
    contacts = rows.select(occurred_at=times.values, **named).drop_nulls(["customer", "touchpoint"])
    ordered = contacts.sort("customer", "occurred_at", maintain_order=True)
    number, count = pl.int_range(pl.len()).over("customer"), pl.len().over("customer")
    return ordered.with_columns(
        position=pl.when(count > 1).then(number / (count - 1)).otherwise(0.5),
        is_last=number == count - 1,
    )


def _places(contacts: pl.DataFrame) -> pl.DataFrame:
    """Return touchpoints by frequency, with contacts, mean position and share of last contacts."""
    return (
        contacts.group_by("touchpoint")
        .agg(pl.len().alias("contacts"), pl.col("position", "is_last").mean())
        .sort(["contacts", "touchpoint"], descending=[True, False])
    )


def _column_lines(columns: dict[str, Guess]) -> Iterator[str]:
    yield "columns:"
    for role, guess in columns.items():
        yield f"  {role}: {_yaml(guess.value)}  # guess: {guess.why}"


def _time_lines(texts: pl.Series, time_format: Guess | None) -> Iterator[str]:
    if time_format is not None:
        yield f"time_format: {_yaml(time_format.value)}  # guess: {time_format.why}"
    head = texts.drop_nulls().head(1000)
    has_offset = head.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$")
    if not has_offset.all() and not head.str.contains(r"^\d+$").all():
        yield "time_zone: UTC  # guess: the times carry no offset; write Europe/Berlin or the like"


def _keep_lines(kept: pl.Series | None) -> Iterator[str]:
    if kept is not None:
        pattern = _yaml(_COMPLETE)
        yield f'keep: {{"lifecycle:transition": {pattern}}}  # guess: one row per work item'


def _rating_lines(rows: pl.DataFrame, columns: dict[str, Guess]) -> Iterator[str]:
    if "rating" not in columns:
        return
    column = columns["rating"].value
    numbers = rows[column].str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    low, high = numbers.to_frame("n").select(a=pl.min("n"), b=pl.max("n")).fill_null(0.0).row(0)
    bounds = ((1, 5), (0, 5), (1, 7), (0, 10), (0, 100), (-100, 100))
    fitting = next(((a, b) for a, b in bounds if a <= low and high <= b), (low, high + 1))
    names = [n for n in ("nps", "csat", "ces", "stars") if n in column.lower()]
    name = names[0] if names else ("nps" if fitting == (0, 10) else "rating")
    yield (
        f"rating_scale: {{name: {name}, min: {fitting[0]:g}, max: {fitting[1]:g}}}"
        f"  # guess: ratings lie between {low:g} and {high:g}"
    )


def _journey_lines(places: pl.DataFrame, columns: dict[str, Guess]) -> Iterator[str]:
    yield "journey:"
    if columns["customer"].value.startswith("case") or "lifecycle" in str(columns):
        yield "  restart: false  # guess: the log counts cases, and a case is one journey"
    else:
        yield "  gap: 30d  # guess: a month of silence ends a journey"
    known = places.head(TOUCHPOINTS)
    lost = known.filter(_named(LOST_WORDS) & (pl.col("is_last") > 0.3))["touchpoint"].to_list()
    for words in GOAL_WORDS:
        goals = known.filter(_named(words) & ~pl.col("touchpoint").is_in(lost))
        if goals.height:
            latest = goals.sort("position", "contacts", descending=True)["touchpoint"]
            # There are several ways to pay; of several decisions the last is the one that counts.
            chosen = latest if words in GOAL_WORDS[:2] else latest.head(1)
            yield f"  goal: [{', '.join(map(_yaml, chosen))}]  # guess: one of: {words}"
            break
    else:
        yield "  # goal: [...]  nothing in the names says what the goal is; name it"
    if lost:
        listed = ", ".join(map(_yaml, lost))
        yield f"  lost: [{listed}]  # guess: their names say so, and little follows them"


def _stage_lines(contacts: pl.DataFrame, places: pl.DataFrame) -> Iterator[str]:
    if "stage" in contacts.columns and contacts["stage"].null_count() < contacts.height:
        order = contacts.drop_nulls("stage").group_by("stage").agg(pl.col("position").mean())
        stages = order.sort("position", "stage")["stage"].head(200).to_list()
        why = "in order of their usual place"
        if all(s.strip().lower() in STAGES for s in stages):
            # how far into a history says little where many come back: these four have an order
            stages, why = (
                sorted(stages, key=lambda s: STAGES.index(s.strip().lower())),
                "the usual four",
            )
        yield f"stages: [{', '.join(map(_yaml, stages))}]  # guess: {why}"
        usual = _usual(contacts, "stage")
    else:
        yield f"stages: [{', '.join(STAGES)}]  # guess: the usual four"
        usual = {}
    logged = _usual(contacts, "channel") if "channel" in contacts.columns else {}
    yield "touchpoints:  # the most frequent first"
    for row in places.head(TOUCHPOINTS).iter_rows(named=True):
        yield from _touchpoint_line(row, usual, logged)
    if places.height > TOUCHPOINTS:
        yield f"# {places.height - TOUCHPOINTS:,} rarer touchpoints are left out and stay unmapped"
    yield "planned_handoffs: []  # for example: - {source: …, target: …, deadline: 7d}"


def _touchpoint_line(
    row: dict[str, Any], usual: dict[str, str], logged: dict[str, str]
) -> Iterator[str]:
    name = row["touchpoint"]
    stage, why = usual.get(name), "the log says so most often"
    if stage is None:
        stage, why = guess_by_words(name, STAGE_WORDS), "by its name"
    if stage is None:
        stage = STAGES[min(int(row["position"] * 4), 3)]
        why = f"as on average {row['position']:.0%} into a customer's history"
    # where the log says the channel, no guess may speak against it
    channel = None if name in logged else guess_by_words(name, CHANNEL_WORDS)
    parts = [f"name: {_yaml(name)}", f"stage: {_yaml(stage)}"]
    if channel is not None:
        parts.append(f"channel: {channel}")
        why += "; channel by its name"
    contacts = f"{row['contacts']:,} contact{'s' * (row['contacts'] != 1)}"
    yield f"  - {{{', '.join(parts)}}}  # {contacts}; guess: stage {why}"


def _usual(contacts: pl.DataFrame, what: str) -> dict[str, str]:
    counted = contacts.drop_nulls(what).group_by("touchpoint", what).len()
    ordered = counted.sort(["len", what], descending=[True, False])
    usual = ordered.unique("touchpoint", keep="first", maintain_order=True)
    return dict(usual.select("touchpoint", what).iter_rows())


def _named(words: str) -> pl.Expr:
    name = pl.col("touchpoint").str.to_lowercase().str.replace_all(r"[_\W\d]+", " ")
    padded = pl.lit(" ") + name + pl.lit(" ")
    return reduce(or_, (padded.str.contains(f" {word} ", literal=True) for word in words.split()))


def _yaml(value: str) -> str:
    """Write a text so that YAML reads the same text back, within a flow mapping too."""
    dumped = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10**9)
    return dumped.strip()[1:-1]
