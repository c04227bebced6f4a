"""Publishing a snapshot: ask every question, protect every answer, check, and switch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
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
from cxlib.publish.asking import Answers, ask
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
from cxlib.publish.rules import NAMES, PublishedMeasure, PublishedTable, measure_named
from cxlib.publish.selections import Choices, find_choices
from cxlib.publish.small_groups import EXACT, Kind, Rule, protect, protect_number
from cxlib.publish.snapshot import Snapshot
from cxlib.store import Workspace

__all__ = ["ANSWERS", "publish"]

SMALLEST_K = 3
ANSWERS = (*NAMES, FINDINGS, PREDICTIONS)
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
        measures = tuple(measure_named(name) for name in NAMES if name in asked)
        return cls(views, only, measures, FINDINGS in asked, PREDICTIONS in asked)


@dataclass(frozen=True, slots=True)
class _Log:
    """What is published from: the log, and its heaviest customers."""

    workspace: Workspace
    influence: Influence
    k: int


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

    The measures of `cxlib.publish.rules` are answered for every segment, or all customers, and
    where they are of the summary, every range of periods, or all. One that the log cannot answer is
    left out. What small groups are protected from, and how, is written in
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
        What is answered, of `ANSWERS`: `cxlib.publish.rules.NAMES`, ``"findings"``, and
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
    answered, shown = [], _Log(workspace, influence, k)
    asked = ask(wanted.measures, workspace, log.summary, choices, k=k, tell=tell)
    for measure, answers in asked:
        _write_measure(draft, measure, answers, shown, measure.choices(choices))
        answered.append(measure)
    known = tuple(m for m in wanted.measures if m in answered)
    wanted = replace(wanted, measures=known)
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
    folder: Path, measure: PublishedMeasure, answers: Answers, log: _Log, choices: Choices
) -> None:
    """Protect the answers to all selections at once, and write them."""
    frames = {n: _protected(measure, n, answers, log, choices) for n in measure.tables}
    numbers = {n: _round_numbers(measure, n, answers, log, choices) for n in measure.numbers}
    kept = {f.name: getattr(answers.everybody, f.name) for f in fields(answers.everybody)}
    for name in (*measure.tables, *measure.numbers, "where"):
        del kept[name]
    kept |= {name: type(kept[name])() for name in measure.line.hidden}
    kept["observed_until"] = choices.until
    for name, (field, column) in measure.line.names.items():
        shown = set(frames[field][column])
        kept[name] = tuple(n for n in kept[name] if n in shown)
    others = [
        kept | {name: rounded[number] for name, rounded in numbers.items()}
        for number in range(len(choices.selections()))
    ]
    write_answers(folder, measure.name, frames, others)


def _protected(
    measure: PublishedMeasure, name: str, answers: Answers, log: _Log, choices: Choices
) -> pl.DataFrame:
    """Protect a table of the answers to all selections."""
    table, k, below = measure.tables[name], log.k, answers.frames[name]
    columns = getattr(answers.everybody, name).columns
    if measure.line.adds_up:
        below = _same_rows(below, table, len(choices.selections()))
        if name in answers.totals:
            totals = answers.totals[name]
            keys = [c for c in totals.columns if c in below.columns]
            totals = totals.cast({c: below.schema[c] for c in keys})
            below = below.join(totals, on=keys, how="left", maintain_order="left")
        weights = table.weights(log.influence, below)
        below = _nameable(_round_counts(below, table, weights, choices, k=k), table, weights, k=k)
    else:
        weights = table.weights(log.influence, below)
    safe = protect(
        below,
        {NUMBER: Rule(Kind.LABEL), **table.rules},
        customers=table.customers,
        k=k,
        influence=weights,
        on=table.on,
        spread=_spread(log.workspace, below),
    ).select(*columns, NUMBER)
    return safe if table.keep_hidden else safe.filter(pl.col(table.first).is_not_null())


def _same_rows(below: pl.DataFrame, table: PublishedTable, selections: int) -> pl.DataFrame:
    """Give all selections the rows of the first.

    The first selection is everybody and the whole time, which has every row. A row that is not
    there in another is one with nobody: all null.
    """
    if not table.key:
        return below
    labels = [c for c, r in table.rules.items() if r.kind is Kind.LABEL]
    rows = below.filter(pl.col(NUMBER) == 0).select(labels)
    if rows.select(table.key).is_duplicated().any():
        raise InputError(
            f"the rows of a table are not told apart by {', '.join(table.key)}: declare what names "
            "them as Label, Level or Day."
        )
    numbers = pl.DataFrame({NUMBER: range(selections)}, schema={NUMBER: pl.UInt32})
    figures = pl.col([c for c in below.columns if c not in labels or c in table.key])
    return (
        numbers.join(rows, how="cross", maintain_order="left_right")
        .join(
            below.select(figures),
            on=[NUMBER, *table.key],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .select(below.columns)
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
    bases = _weights(first, table, weights)
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


def _weights(rows: pl.DataFrame, table: PublishedTable, weights: pl.DataFrame) -> pl.DataFrame:
    """Give each row what the heaviest customers add to it."""
    if not table.on:
        return rows.select(pl.int_range(pl.len()).alias(NUMBER)).join(weights, how="cross")
    return rows.select(table.on).join(weights, on=list(table.on), how="left", maintain_order="left")


def _bases(weights: pl.DataFrame, rule: Rule, *, rows: int, k: int) -> NDArray[np.int64]:
    if rule.heaviest is None:
        return np.full(rows, k, dtype=np.int64)
    column = pl.col(rule.heaviest or "").fill_null(0)
    return weights.select(rounding_base(column, k=k)).to_series().to_numpy()


def _round_numbers(
    measure: PublishedMeasure,
    name: str,
    answers: Answers,
    log: _Log,
    choices: Choices,
) -> list[int]:
    """Round a plain number in all selections; 0 where it may not be shown."""
    rule, k = measure.numbers[name], log.k
    distinct = rule.kind is Kind.CUSTOMERS
    base = _bases(log.influence.whole, rule, rows=1, k=k)
    exact = np.array([answers.numbers[name]])
    if measure.line.adds_up:
        exact = round_together(exact, base, choices, distinct=distinct)
    else:
        exact = (exact + base // 2) // base * base
    return [int(n) if n >= smallest_shown(k) else 0 for n in exact[0]]


def _nameable(
    rounded: pl.DataFrame, table: PublishedTable, weights: pl.DataFrame, *, k: int
) -> pl.DataFrame:
    """Leave out rows that are not large for everybody and the whole time: the names of what fewer
    than k customers may stand behind are never written down.
    """
    if not table.key:
        return rounded
    whole = rounded.filter(pl.col(NUMBER) == 0)
    bases = _weights(whole, table, weights)
    base = pl.Series(_bases(bases, table.rules[table.first], rows=len(whole), k=k))
    named = whole.filter(pl.col(table.first) >= 2 * base).select(table.key)
    return rounded.join(
        named, on=list(table.key), how="semi", nulls_equal=True, maintain_order="left"
    )


def _protect_number(exact: int, rule: Rule, whole: pl.DataFrame, *, k: int) -> int:
    """Protect a plain number; 0 where it may not be shown."""
    if rule.kind is Kind.CUSTOMERS:
        return protect_number(exact, k, k=k)
    base: int = whole.select(rounding_base(pl.col(rule.heaviest or ""), k=k)).item()
    return protect_number(exact, base, k=k)


def _spread(workspace: Workspace, table: pl.DataFrame) -> float | pl.Expr:
    """Return the width of the rating scale, or of each row's."""
    widths = {s.name: float(s.max - s.min) for s in workspace.journey_map.rating_scales}
    if "scale" in table.columns and widths:
        widest = max(widths.values())
        return pl.col("scale").replace_strict(widths, default=widest, return_dtype=pl.Float64)
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
        "by_period": [m.name for m in wanted.measures if m.by_period],
        "by_segment": [m.name for m in wanted.measures if m.by_segment],
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
