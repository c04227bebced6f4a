"""Asking every question of every selection: parts of the log are asked about beside one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from cxlib.errors import CxError
from cxlib.numbers import spelled
from cxlib.publish.answers import NUMBER
from cxlib.publish.rules import Published
from cxlib.publish.selections import Choices
from cxlib.statistics.resampling import dense_counts
from cxlib.store import Workspace
from cxlib.summary import Selection, Summary, beside, part_and_name

_PLACES = 400
"""Places of all parts that are asked about together: a few hundred MB of counts by bucket."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The exact answers of one measure to all selections.

    The result for `everybody` and the whole time; tables and plain numbers by selection; `totals`:
    counts in all rows of a table that shares are of.
    """

    everybody: Any
    frames: dict[str, pl.DataFrame]
    numbers: dict[str, list[int]]
    totals: dict[str, pl.DataFrame] = field(default_factory=dict)


def ask(
    measures: Sequence[Published],
    workspace: Workspace,
    summary: Summary,
    choices: Choices,
    *,
    k: int,
    tell: Callable[[str], None],
) -> list[tuple[Published, Answers]]:
    """Ask what the log can answer, of every selection in the order of `Choices.selections`."""
    together, alone = {}, []
    for measure in measures:
        if not measure.by_period:
            alone.append(measure)
            continue
        try:
            together[measure] = measure.function(summary)
        except CxError:
            continue  # no goal, too short a log
    found: list[tuple[Published, Answers]] = []
    if together:
        tell(f"answering {len(choices.selections())} selections of the journey map")
        found += _together(together, summary, choices)
    if alone:
        found += _one_by_one(alone, workspace, choices.segments, k=k, tell=tell)
    return found


def _one_by_one(
    measures: Sequence[Published],
    workspace: Workspace,
    segments: Sequence[tuple[str, str]],
    *,
    k: int,
    tell: Callable[[str], None],
) -> Iterator[tuple[Published, Answers]]:
    """Ask the workspace everything of one group of customers, then of the next."""
    found: dict[Published, list[Any]] = {}
    for segment in (None, *segments):
        of = "all customers" if segment is None else " ".join(segment)
        for measure in measures if segment is None else [m for m in found if m.is_by_segment]:
            tell(f"{of}: {spelled(measure.name)}")
            where = None if segment is None else Selection(segment=segment)
            try:
                answer = measure.asked(k)(workspace, **({} if where is None else {"where": where}))
            except CxError:  # there are no ratings, no comments; of a segment as for nobody
                if segment is None:
                    continue
                whole = found[measure][0]
                nothing = {name: getattr(whole, name).clear() for name in measure.tables}
                answer = replace(whole, **nothing, **dict.fromkeys(measure.numbers, 0))
            found.setdefault(measure, []).append(answer)
    for measure, answers in found.items():
        below = {n: [getattr(r, n) for r in answers] for n in measure.tables}
        tables = {n: number_rows(frames) for n, frames in below.items()}
        numbers = {n: [getattr(r, n) or 0 for r in answers] for n in measure.numbers}
        yield measure, Answers(answers[0], tables, numbers)


def number_rows(answers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put the rows of the answers to all selections below one another."""
    return pl.concat(
        frame.with_columns(pl.lit(number, pl.UInt32).alias(NUMBER))
        for number, frame in enumerate(answers)
    )


def _together(
    everybody: dict[Published, Any], summary: Summary, choices: Choices
) -> Iterator[tuple[Published, Answers]]:
    """Ask the summary: many selections beside one another."""
    frames: dict[tuple[Published, str], list[pl.DataFrame]] = defaultdict(list)
    totals: dict[tuple[Published, str], list[pl.DataFrame]] = defaultdict(list)
    counted: dict[str, list[int]] = defaultdict(list)
    places, first = len(summary.places), 0
    spans = {where.period: choices.of_summary(where).period for where in choices.selections()}
    periods = [span or (0, len(summary.periods) - 1) for span in spans.values()]
    many = max(_PLACES // max(places, 1), 1)
    for segment in (None, *choices.segments):
        whole = summary.select(Selection(segment=segment))
        for begin in range(0, len(periods), many):
            stacked = beside(whole, periods[begin : begin + many])
            for measure in everybody:
                result = measure.function(stacked)
                for name in measure.tables:
                    frame = getattr(result, name)
                    frames[measure, name].append(_taken_apart(frame, places, first))
                    if measure.totals is not None:
                        told = measure.totals(stacked)
                        totals[measure, name].append(_taken_apart(told, places, first))
            for name, sizes in _sizes(stacked).items():
                counted[name] += sizes
            first += stacked.parts
    for measure, whole in everybody.items():
        schemas = {n: getattr(whole, n).schema for n in measure.tables}
        tables = {n: pl.concat(frames[measure, n]).cast(schemas[n]) for n in schemas}
        numbers = {n: counted[c.each or "customers"] for n, c in measure.numbers.items()}
        shares_of = {n: pl.concat(x) for (of, n), x in totals.items() if of is measure}
        yield measure, Answers(whole, tables, numbers, shares_of)


def _sizes(stacked: Summary) -> dict[str, list[int]]:
    """Customers, journeys and contacts of every part."""
    everybody = stacked.reach.filter(pl.col("level") == "all")
    counted = {
        "customers": (everybody["key"], everybody["customers"]),
        "journeys": (stacked.part_of[stacked.starts["place"]], stacked.starts["n"]),
        "contacts": (stacked.part_of[stacked.contacts["place"]], stacked.contacts["contacts"]),
    }
    return {
        name: dense_counts({"part": (part, stacked.parts)}, n).astype(np.int64).tolist()
        for name, (part, n) in counted.items()
    }


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
