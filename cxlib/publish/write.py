"""Publishing a snapshot: ask every question, protect every answer, check, and switch."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import cxlib
from cxlib.durable import (
    draft_folder,
    hash_file,
    hash_files,
    only_writer,
    remove_leftovers,
    seal,
    sync_folder,
)
from cxlib.errors import InputError, UnknownNameError
from cxlib.publish.answers import NUMBER, write_answers, write_selections
from cxlib.publish.checks import check_snapshot
from cxlib.publish.coherent import round_together
from cxlib.publish.findings import NAME as FINDINGS
from cxlib.publish.findings import check_findings, write_findings
from cxlib.publish.influence import Influence, measure_influence
from cxlib.publish.pointer import FOLDER, FORMAT, MANIFEST, switch_to
from cxlib.publish.predictions import NAME as PREDICTIONS
from cxlib.publish.predictions import check_predictions, write_predictions
from cxlib.publish.rare import fold_rare_touchpoints
from cxlib.publish.rounding import rounding_base, smallest_shown
from cxlib.publish.rules import MEASURES, PublishedMeasure, PublishedTable
from cxlib.publish.selections import Choices, find_choices
from cxlib.publish.small_groups import EXACT, Kind, Rule, protect, protect_number
from cxlib.publish.snapshot import Snapshot
from cxlib.store import Workspace
from cxlib.summary import Selection, Summary

__all__ = ["ANSWERS", "publish"]

SMALLEST_K = 3
ANSWERS = (*(measure.name for measure in MEASURES), FINDINGS, PREDICTIONS)
"""Everything that can be published."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be published."""

    views: Mapping[str, Callable[[Snapshot], str]]
    only: Collection[str] | None
    measures: tuple[PublishedMeasure, ...]
    findings: bool
    predictions: bool

    @classmethod
    def of(
        cls,
        views: Mapping[str, Callable[[Snapshot], str]],
        only: Collection[str] | None,
        answers: Collection[str] | None,
    ) -> _Wanted:
        for name in answers or ():
            if name not in ANSWERS:
                raise UnknownNameError("published measure", name, ANSWERS)
        asked = ANSWERS if answers is None else answers
        measures = tuple(m for m in MEASURES if m.name in asked)
        return cls(views, only, measures, FINDINGS in asked, PREDICTIONS in asked)


def publish(
    workspace: Workspace,
    *,
    k: int = 10,
    views: Mapping[str, Callable[[Snapshot], str]] | None = None,
    only: Collection[str] | None = None,
    answers: Collection[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Snapshot:
    """Publish a snapshot of a workspace: finished answers in which no small group can be seen.

    Every measure of `cxlib.publish.rules` is answered for every segment, or all customers, and
    every range of periods, or all. What small groups are protected from, and how, is written in
    ``docs/decisions/0001-small-groups.md``. The snapshot is checked before it is served; a snapshot
    that was served before stays readable.

    Parameters
    ----------
    workspace
        The workspace; the snapshot goes to its folder ``published``.
    k
        Smallest number of customers that a figure may be about, at least 3.
    views
        For each dashboard a function that draws, from the snapshot, what its page shows before it
        is live: an HTML fragment without scripts.
    only
        Names of the dashboards that may be opened on the snapshot; None for all.
    answers
        What is answered, of `ANSWERS`: names of `cxlib.publish.rules.MEASURES`, ``"findings"``, and
        ``"predictions"`` (what could break next, with its backtest); None for everything.
    progress
        Called with a line of text at each step.

    Returns
    -------
    Snapshot
        The new snapshot, which is now the one that is served.

    Raises
    ------
    InputError
        `k` is below 3.
    UnknownNameError
        Nothing is called what `answers` names.
    WorkspaceError
        The finished snapshot did not pass its checks; the one before is still served.
    """
    if k < SMALLEST_K:
        raise InputError(f"k is {k}; figures about fewer than {SMALLEST_K} customers tell on them.")
    wanted = _Wanted.of(views or {}, only, answers)
    tell = progress or (lambda _: None)
    published = workspace.path / FOLDER
    with only_writer(workspace.path):
        published.mkdir(exist_ok=True)
        # where `published` is a link to another disk, only that disk can take a snapshot in
        same = published.stat().st_dev == workspace.path.stat().st_dev
        home = workspace.path if same else published
        for place in (workspace.path, published):
            remove_leftovers(place)
        with draft_folder(home) as aside:
            return _fill_and_switch(workspace, published, aside, wanted, k=k, tell=tell)


def _fill_and_switch(
    workspace: Workspace,
    published: Path,
    aside: Path,
    wanted: _Wanted,
    *,
    k: int,
    tell: Callable[[str], None],
) -> Snapshot:
    draft = aside / "snapshot"
    draft.mkdir()
    tell("finding what few customers can weigh")
    log = fold_rare_touchpoints(workspace, k=k)
    influence = measure_influence(log, k=k)
    choices = find_choices(workspace, log.summary, k=k)
    selections = choices.selections()
    write_selections(draft, selections)
    spread = _spread(workspace)
    for measure in wanted.measures:
        tell(f"answering {len(selections)} selections: {measure.name.replace('_', ' ')}")
        _write_measure(draft, measure, log.summary, choices, influence, k=k, spread=spread)
    if wanted.findings:
        tell(f"judging every handoff for {1 + len(choices.segments)} groups of customers")
        write_findings(draft, workspace, choices.segments, k=k, until=choices.until)
    if wanted.predictions:
        tell("predicting what could break next, now and at past dates")
        write_predictions(draft, workspace, k=k, until=choices.until)
    manifest = _manifest(workspace, choices, influence, wanted, k=k)
    folder = _name(published, manifest["published_at"])
    snapshot = Snapshot(draft, manifest)
    if wanted.views:
        (draft / "first_paint").mkdir()
    for view, draw in wanted.views.items():
        (draft / "first_paint" / f"{view}.html").write_text(draw(snapshot), encoding="utf-8")
    tell("checking the snapshot")
    ids = workspace.customers().select("name").collect().to_series()
    manifest["checks"] = check_snapshot(draft, wanted.measures, ids, influence, k=k)
    if wanted.findings:
        manifest["checks"].append(check_findings(draft, ids, k=k))
    if wanted.predictions:
        manifest["checks"].append(check_predictions(draft, ids, k=k))
    manifest["files"] = hash_files(draft)
    # Written last: a folder without it is no snapshot.
    (draft / MANIFEST).write_text(seal(manifest), encoding="utf-8")
    sync_folder(draft)
    draft.rename(folder)
    switch_to(folder, draft=aside)
    return Snapshot(folder, manifest)


def _write_measure(
    folder: Path,
    measure: PublishedMeasure,
    summary: Summary,
    choices: Choices,
    influence: Influence,
    *,
    k: int,
    spread: float,
) -> None:
    """Answer every selection, protect all answers at once, and write them."""
    parts = _parts(summary, choices)
    exact = _answer(measure, parts, choices)
    frames = {}
    for field, table in measure.tables.items():
        answers = [getattr(result, field) for result in exact]
        below = _with_totals(_same_rows(answers, table), table, parts, choices)
        weights = getattr(influence, table.influence)
        rounded = _round_counts(below, table, weights, choices, k=k)
        safe = protect(
            _nameable(rounded, table, weights, k=k),
            {NUMBER: Rule(Kind.LABEL), **table.rules},
            customers=table.customers,
            k=k,
            influence=weights,
            on=table.on,
            spread=spread,
        ).select(*answers[0].columns, NUMBER)
        hidden = pl.col(table.first).is_null()
        frames[field] = safe if table.keep_hidden else safe.filter(~hidden)
    numbers = {
        name: _round_numbers([getattr(e, name) for e in exact], rule, influence, choices, k=k)
        for name, rule in measure.numbers.items()
    }
    others = []
    for number, result in enumerate(exact):
        kept = {f.name: getattr(result, f.name) for f in fields(result)}
        for name in (*measure.tables, "where"):
            del kept[name]
        kept |= {name: rounded[number] for name, rounded in numbers.items()}
        kept["observed_until"] = choices.until
        for name, (field, column) in measure.names.items():
            shown = set(frames[field][column])
            kept[name] = tuple(n for n in kept[name] if n in shown)
        others.append(kept)
    write_answers(folder, measure.name, frames, others)


def _parts(summary: Summary, choices: Choices) -> list[Summary]:
    """Return the summary of everybody, and of each segment."""
    return [
        summary.select(None if segment is None else Selection(segment=segment))
        for segment in (None, *choices.segments)
    ]


def _answer(measure: PublishedMeasure, parts: Sequence[Summary], choices: Choices) -> list[Any]:
    """Answer every selection, in their order, a few at a time."""
    asked = choices.selections()
    ranges = len(asked) // len(parts)

    def answer(number: int) -> Any:
        period = choices.of_summary(asked[number]).period
        return measure.measure(parts[number // ranges], where=Selection(period=period))

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(answer, range(len(asked))))


def _with_totals(
    below: pl.DataFrame, table: PublishedTable, parts: Sequence[Summary], choices: Choices
) -> pl.DataFrame:
    """Add the counts in all rows together that shares of a table are divided by."""
    if table.totals is None:
        return below
    asked = choices.selections()
    ranges = len(asked) // len(parts)
    totals = pl.concat(
        table.totals(
            parts[number // ranges].select(Selection(period=choices.of_summary(where).period))
        ).with_columns(pl.lit(number, pl.UInt32).alias(NUMBER))
        for number, where in enumerate(asked)
    )
    keys = [c for c in totals.columns if c in below.columns]
    totals = totals.cast({c: below.schema[c] for c in keys})
    return below.join(totals, on=keys, how="left", maintain_order="left")


def _same_rows(answers: list[pl.DataFrame], table: PublishedTable) -> pl.DataFrame:
    """Put the answers to all selections below one another, each with the rows of the first.

    The first selection is everybody and the whole time, which has every row. A row that is not
    there in another is one with nobody: all null.
    """
    if not table.key:
        return pl.concat(
            frame.with_columns(pl.lit(number, pl.UInt32).alias(NUMBER))
            for number, frame in enumerate(answers)
        )
    labels = [c for c, r in table.rules.items() if r.kind is Kind.LABEL]
    rows = answers[0].select(labels)
    figures = pl.col([c for c in answers[0].columns if c not in labels or c in table.key])
    return pl.concat(
        rows.join(
            frame.select(figures), on=list(table.key), how="left", maintain_order="left"
        ).select(*answers[0].columns, pl.lit(number, pl.UInt32).alias(NUMBER))
        for number, frame in enumerate(answers)
    )


def _round_counts(
    below: pl.DataFrame,
    table: PublishedTable,
    weights: pl.DataFrame,
    choices: Choices,
    *,
    k: int,
) -> pl.DataFrame:
    """Round every count of all selections together, and keep the exact ones beside them."""
    selections = len(choices.selections())
    rows = len(below) // selections
    first = below.head(rows)
    bases = (
        first.select(table.on).join(weights, on=list(table.on), how="left", maintain_order="left")
        if table.on
        else weights
    )
    found = {}
    for column, rule in table.rules.items():
        if rule.kind not in (Kind.CUSTOMERS, Kind.COUNT):
            continue
        exact = below[column].fill_null(0).cast(pl.Int64)
        rounded = round_together(
            exact.to_numpy().reshape(selections, rows).T,
            _bases(bases, rule, rows=rows, k=k),
            choices,
            distinct=rule.kind is Kind.CUSTOMERS and not rule.adds_up,
        )
        found[column] = pl.Series(column, rounded.T.reshape(-1))
        found[f"{EXACT}{column}"] = exact
    return below.with_columns(**found).cast({c: below.schema[c] for c in found if c in below})


def _bases(weights: pl.DataFrame, rule: Rule, *, rows: int, k: int) -> NDArray[np.int64]:
    if rule.kind is Kind.CUSTOMERS:
        return np.full(rows, k, dtype=np.int64)
    column = pl.col(rule.heaviest or "").fill_null(0)
    return weights.select(rounding_base(column, k=k)).to_series().to_numpy()


def _round_numbers(
    exact: list[int], rule: Rule, influence: Influence, choices: Choices, *, k: int
) -> list[int]:
    """Round a plain number in all selections; 0 where it may not be shown."""
    distinct = rule.kind is Kind.CUSTOMERS
    base = _bases(influence.whole, rule, rows=1, k=k)
    rounded = round_together(np.array([exact]), base, choices, distinct=distinct)[0]
    return [int(n) if n >= smallest_shown(k) else 0 for n in rounded]


def _nameable(
    rounded: pl.DataFrame, table: PublishedTable, weights: pl.DataFrame, *, k: int
) -> pl.DataFrame:
    """Leave out rows that are not large for everybody and the whole time: the names of what fewer
    than k customers may stand behind are never written down.
    """
    if not table.key:
        return rounded
    whole = rounded.filter(pl.col(NUMBER) == 0)
    bases = whole.select(table.on).join(
        weights, on=list(table.on), how="left", maintain_order="left"
    )
    base = _bases(bases, table.rules[table.first], rows=len(whole), k=k)
    named = whole.filter(pl.col(table.first) >= 2 * pl.Series(base)).select(table.key)
    return rounded.join(named, on=list(table.key), how="semi", maintain_order="left")


def _protect_number(exact: int, rule: Rule, whole: pl.DataFrame, *, k: int) -> int:
    """Protect a plain number; 0 where it may not be shown."""
    if rule.kind is Kind.CUSTOMERS:
        return protect_number(exact, k, k=k)
    base: int = whole.select(rounding_base(pl.col(rule.heaviest or ""), k=k)).item()
    return protect_number(exact, base, k=k)


def _spread(workspace: Workspace) -> float:
    scale = workspace.journey_map.rating_scale
    return float(scale.max - scale.min) if scale is not None else 1.0


def _manifest(
    workspace: Workspace, choices: Choices, influence: Influence, wanted: _Wanted, *, k: int
) -> dict[str, Any]:
    """Say what the snapshot was made from: names and hashes, and counts as protected as any."""
    counts = workspace.manifest["counts"]
    journey_map = workspace.journey_map
    number = {
        "customers": Rule(Kind.CUSTOMERS),
        "journeys": Rule(Kind.COUNT, heaviest="journeys"),
        "contacts": Rule(Kind.COUNT, heaviest="contacts"),
    }
    return {
        "format": FORMAT,
        "name": journey_map.name,
        "k": k,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "observed_until": choices.until.isoformat(),
        "sources": _sources(workspace),
        "journey_map": {
            "name": journey_map.name,
            "version": journey_map.version,
            "sha256": hash_file(workspace.log_folder / "journey_map.yaml"),
        },
        **{
            name: _protect_number(int(counts[name]), rule, influence.whole, k=k)
            for name, rule in number.items()
        },
        "segments": [list(s) for s in choices.segments],
        "periods": [p.isoformat() for p in choices.periods],
        "period_unit": choices.period_unit,
        "measures": [m.name for m in wanted.measures],
        "views": None if wanted.only is None else sorted(wanted.only),
        "code_version": cxlib.__version__,
        "checks": [],
    }


def _sources(workspace: Workspace) -> list[str]:
    """Return the names of the files the log was read from, without their folders."""
    files = workspace.report.get("files", [])
    names = [f.get("file", f.get("name", "")) if isinstance(f, dict) else str(f) for f in files]
    return sorted({Path(name).name for name in names if name})


def _name(published: Path, published_at: str) -> Path:
    """Return a folder name that no snapshot has yet: the time, and a number where that is taken."""
    stem = f"{datetime.fromisoformat(published_at):%Y%m%dT%H%M%SZ}"
    taken = {f.name for f in published.iterdir()}
    number = 1
    name = stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return published / name
