"""Asking every question of every selection: parts of the log are asked about beside one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import polars as pl

from cxlib.errors import CxError
from cxlib.publish.answers import NUMBER
from cxlib.publish.rules import PublishedMeasure
from cxlib.publish.selections import Choices
from cxlib.publish.small_groups import Kind, Rule
from cxlib.store import Workspace
from cxlib.summary import Selection, Summary, beside, part_and_name

__all__ = ["Answers", "ask"]

_PLACES = 400
"""Places of all parts that are asked about together: a few hundred MB of counts by bucket."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The exact answers of one measure to all selections.

    Attributes
    ----------
    everybody
        The result for everybody and the whole time.
    frames
        Its tables, those of all selections below one another, with the number of the selection.
    numbers
        Its plain numbers, in the order of the selections.
    totals
        Of some tables: the counts in all their rows together that shares are divided by.
    """

    everybody: Any
    frames: dict[str, pl.DataFrame]
    numbers: dict[str, list[int]]
    totals: dict[str, pl.DataFrame] = field(default_factory=dict)


def ask(
    measures: Sequence[PublishedMeasure],
    workspace: Workspace,
    summary: Summary,
    choices: Choices,
    *,
    k: int,
    tell: Callable[[str], None],
) -> list[tuple[PublishedMeasure, Answers]]:
    """Ask what the log can answer, of every selection in the order of `Choices.selections`."""
    found, together = [], {}
    for measure in measures:
        asked = measure.choices(choices).selections()
        tell(f"answering {len(asked)} selections: {measure.name.replace('_', ' ')}")
        try:
            if not measure.by_period:
                found.append((measure, _one_by_one(measure, workspace, asked, k=k)))
                continue
            everybody = measure.measure(summary)
        except CxError:
            continue  # there are no ratings, no goal, too short a log
        together[measure] = everybody
    return found + (list(_together(together, summary, choices)) if together else [])


def _one_by_one(
    measure: PublishedMeasure, workspace: Workspace, asked: Sequence[Selection], *, k: int
) -> Answers:
    function = measure.asked(k)
    found = [function(workspace)]
    nothing = {name: getattr(found[0], name).clear() for name in measure.tables}
    nothing |= dict.fromkeys(measure.numbers, 0)
    for where in asked[1:]:
        try:
            found.append(function(workspace, where=where))
        except CxError:  # as for nobody where it cannot be told
            found.append(replace(found[0], **nothing))
    return Answers(
        found[0],
        {name: _numbered([getattr(r, name) for r in found], measure) for name in measure.tables},
        {name: [getattr(r, name) or 0 for r in found] for name in measure.numbers},
    )


def _together(
    everybody: dict[PublishedMeasure, Any], summary: Summary, choices: Choices
) -> Iterator[tuple[PublishedMeasure, Answers]]:
    """Ask the summary: many selections beside one another."""
    found: dict[PublishedMeasure, dict[str, list[pl.DataFrame]]] = {
        measure: {name: [] for name in measure.tables} for measure in everybody
    }
    totals: dict[PublishedMeasure, dict[str, list[pl.DataFrame]]] = {}
    counted: dict[tuple[Kind, str | None], list[int]] = {}
    places = len(summary.places)
    first, asked, many = 0, _parts(summary, choices), max(_PLACES // max(places, 1), 1)
    while parts := list(islice(asked, many)):
        stacked = beside(parts)
        for measure, tables in found.items():
            result = measure.measure(stacked)
            for name, table in measure.tables.items():
                tables[name].append(_taken_apart(getattr(result, name), places, first))
                if table.totals is not None:
                    told = totals.setdefault(measure, {}).setdefault(name, [])
                    told.append(_taken_apart(table.totals(stacked), places, first))
        for part in parts:
            for kind, count in _sizes(part).items():
                counted.setdefault(kind, []).append(count)
        first += len(parts)
    for measure, tables in found.items():
        numbers = {n: counted[_size_of(rule)] for n, rule in measure.numbers.items()}
        whole = everybody[measure]
        frames = {n: pl.concat(p).cast(getattr(whole, n).schema) for n, p in tables.items()}
        of = {name: pl.concat(parts) for name, parts in totals.get(measure, {}).items()}
        yield measure, Answers(whole, frames, numbers, of)


def _parts(summary: Summary, choices: Choices) -> Iterator[Summary]:
    """Return the part of the summary that each selection means, in their order."""
    of_segment: dict[Any, Summary] = {}
    for where in choices.selections():
        if where.segment not in of_segment:
            of_segment = {where.segment: summary.select(Selection(segment=where.segment))}
        period = choices.of_summary(where).period or (0, len(summary.periods) - 1)
        yield of_segment[where.segment].select(Selection(period=period))


def _taken_apart(frame: pl.DataFrame, places: int, first: int) -> pl.DataFrame:
    """Tell the parts of an answer apart: as they are called in the log, with their number."""
    numbered = [c for c in ("place", "source", "target") if c in frame.columns]
    named = [c for c, dtype in frame.schema.items() if dtype == pl.String]
    if numbered:
        part = pl.col(numbered[0]) // places
    elif named:
        part = part_and_name(named[0])[0]
    else:  # one row each
        part = pl.int_range(pl.len())
    return frame.with_columns(
        (part + first).cast(pl.UInt32).alias(NUMBER),
        *(pl.col(c) % places for c in numbered),
        *(part_and_name(c)[1] for c in named),
    )


def _sizes(part: Summary) -> dict[tuple[Kind, str | None], int]:
    """How many customers, journeys and contacts a part of the log has."""
    everybody = part.reach.filter(pl.col("level") == "all")
    return {
        (Kind.CUSTOMERS, None): int(everybody["customers"].sum()),
        (Kind.COUNT, "journeys"): int(part.starts["n"].sum()),
        (Kind.COUNT, "contacts"): int(part.contacts["contacts"].sum()),
    }


def _size_of(rule: Rule) -> tuple[Kind, str | None]:
    return rule.kind, rule.heaviest


def _numbered(answers: Sequence[pl.DataFrame], measure: PublishedMeasure) -> pl.DataFrame:
    """Put the rows that are published of the answers to all selections below one another."""
    below = pl.concat(
        frame.with_columns(pl.lit(number, pl.UInt32).alias(NUMBER))
        for number, frame in enumerate(answers)
    )
    return below if measure.line.rows is None else below.filter(measure.line.rows)
