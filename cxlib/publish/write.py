"""Publishing a snapshot: ask every question, protect every answer, check, and switch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

import cxlib
from cxlib import durable
from cxlib.columns import Column, Count, Customers, Money, Rank
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.publish.answers import NUMBER, SELECTIONS, write_answers, write_selections
from cxlib.publish.asking import Answers, ask
from cxlib.publish.influence import Influence, fold_rare_touchpoints, measure_influence
from cxlib.publish.judged import FINDINGS, PREDICTIONS, protect_findings, protect_predictions
from cxlib.publish.rules import PUBLISHED, Published, PublishedTable
from cxlib.publish.selections import Choices, find_choices, round_together
from cxlib.publish.small_groups import (
    EXACT,
    LEAST_STEPS,
    base_of,
    cases_of,
    is_name,
    protect,
    protect_number,
    smallest_shown,
    with_influence,
)
from cxlib.publish.snapshot import FOLDER, FORMAT, MANIFEST, Snapshot, switch_to
from cxlib.store import Workspace

SMALLEST_K = 3
ANSWERS = (*PUBLISHED, FINDINGS, PREDICTIONS)
"""Everything that can be published."""

Draw = Callable[[Snapshot], str]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Log:
    """What is published from: the log, and its heaviest customers."""

    workspace: Workspace
    influence: Influence
    k: int

    def base(self, column: Column, rows: pl.DataFrame | None = None) -> NDArray[np.int64]:
        """What a count is a multiple of in each row, of `with_influence`, or in the whole log."""
        rows = self.influence.whole.select(pl.all().name.prefix("_k_")) if rows is None else rows
        base = rows.select(base_of(column, k=self.k)).to_series().to_numpy()
        return np.broadcast_to(base, len(rows)).astype(np.int64)


def publish(
    workspace: Workspace,
    *,
    k: int = 10,
    views: Mapping[str, Draw] | None = None,
    only: Collection[str] | None = None,
    answers: Collection[str] | None = None,
    progress: Tell | None = None,
) -> Snapshot:
    """Publish a snapshot of a workspace: finished answers in which no small group can be seen.

    What is in `ANSWERS`, or chosen of it, is answered as far as the log can, looked over, and then
    served; snapshots before it stay readable. For each of `views` a function draws, as HTML without
    scripts, what its page shows before it is live; `only` are those that may be opened.

    InputError, UnknownNameError: `k`, the smallest group that a figure may be about, is below 3, or
    nothing is called what `answers` names. WorkspaceError: the finished snapshot did not pass its
    checks; the one before is still served.
    """
    if k < SMALLEST_K:
        raise InputError(f"k is {k}; figures about fewer than {SMALLEST_K} customers tell on them.")
    for name in answers or ():
        if name not in ANSWERS:
            raise UnknownNameError("published measure", name, ANSWERS)
    wanted = [name for name in ANSWERS if answers is None or name in answers]
    tell = progress or (lambda _: None)
    published = workspace.path / FOLDER
    with durable.only_writer(workspace.path):
        published.mkdir(exist_ok=True)
        # where `published` is a link to another disk, only that disk can take a snapshot in
        same = published.stat().st_dev == workspace.path.stat().st_dev
        home = workspace.path if same else published
        for place in (workspace.path, published):
            durable.remove_leftovers(place)
        with durable.draft_folder(home) as aside:
            draft = aside / "snapshot"
            draft.mkdir()
            manifest = _fill(draft, workspace, wanted, views or {}, only, k=k, tell=tell)
            # Written last: a folder without it is no snapshot.
            (draft / MANIFEST).write_text(durable.seal(manifest), encoding="utf-8")
            durable.sync_folder(draft)
            folder = _name(published, manifest["published_at"])
            draft.rename(folder)
            switch_to(folder, draft=aside)
            return Snapshot(folder, manifest)


def _fill(
    draft: Path,
    workspace: Workspace,
    wanted: list[str],
    views: Mapping[str, Draw],
    only: Collection[str] | None,
    *,
    k: int,
    tell: Tell,
) -> dict[str, Any]:
    """Write all files of a snapshot but its manifest, look them over, and return the manifest."""
    tell("finding what few customers can weigh")
    folded = fold_rare_touchpoints(workspace, k=k)
    log = _Log(workspace, measure_influence(folded, k=k), k)
    choices = find_choices(workspace, folded.summary, k=k)
    write_selections(draft, choices.selections())
    measures = [PUBLISHED[name] for name in wanted if name in PUBLISHED]
    answered = ask(measures, workspace, folded.summary, choices, k=k, tell=tell)
    for measure, answers in answered:
        _write_measure(draft, measure, answers, log, measure.choices(choices))
    judged = [name for name in wanted if name not in PUBLISHED]
    if FINDINGS in judged:
        tell(f"judging every handoff for {1 + len(choices.segments)} groups of customers")
        safe = protect_findings(workspace, choices.segments, k=k, until=choices.until)
        write_answers(draft, FINDINGS, *safe)
    if PREDICTIONS in judged:
        tell("predicting what could break next, now and at past dates")
        safe = protect_predictions(workspace, k=k, until=choices.until)
        write_answers(draft, PREDICTIONS, *safe)
    known = {measure for measure, _ in answered}
    measures = [measure for measure in measures if measure in known]
    manifest = _manifest(log, choices, measures) | {
        "views": None if only is None else sorted(only),
        "code_version": cxlib.__version__,
    }
    if views:
        (draft / "first_paint").mkdir()
    for view, draw in views.items():
        paint = draw(Snapshot(draft, manifest))
        (draft / "first_paint" / f"{view}.html").write_text(paint, encoding="utf-8")
    tell("checking the snapshot")
    ids = workspace.customers().select("name").collect().to_series()
    manifest["checks"] = check_snapshot(draft, measures, judged, ids, log.influence, k=k)
    return manifest | {"files": durable.hash_files(draft)}


def _write_measure(
    folder: Path, measure: Published, answers: Answers, log: _Log, choices: Choices
) -> None:
    frames = {n: _protected(measure, n, answers, log, choices) for n in measure.tables}
    numbers = {n: _round_numbers(measure, n, answers, log, choices) for n in measure.numbers}
    kept = {f.name: getattr(answers.everybody, f.name) for f in fields(answers.everybody)}
    for name in (*frames, *numbers, "where"):
        del kept[name]
    kept |= {name: type(kept[name])() for name in measure.hidden}
    kept["observed_until"] = choices.until
    for name, (field, column) in measure.names.items():
        shown = set(frames[field][column])
        kept[name] = tuple(n for n in kept[name] if n in shown)
    others = [
        kept | {name: rounded[number] for name, rounded in numbers.items()}
        for number in range(len(choices.selections()))
    ]
    write_answers(folder, measure.name, frames, others)


def _protected(
    measure: Published, name: str, answers: Answers, log: _Log, choices: Choices
) -> pl.DataFrame:
    table, below = measure.tables[name], answers.frames[name]
    columns = getattr(answers.everybody, name).columns
    if measure.adds_up:
        below = _same_rows(below, table, len(choices.selections()))
        if name in answers.totals:
            totals = answers.totals[name]
            keys = [c for c in totals.columns if c in below.columns]
            totals = totals.cast({c: below.schema[c] for c in keys})
            below = below.join(totals, on=keys, how="left", maintain_order="left")
        below = _round_counts(below, table, log, choices)
    safe = protect(
        below,
        table.columns,
        k=log.k,
        influence=table.weights(log.influence, below),
        on=table.on,
        spread=_spread(log.workspace, below),
    ).select(*columns, NUMBER)
    keep_hidden = measure.keep_hidden or not table.key
    return safe if keep_hidden else safe.filter(pl.col(table.first).is_not_null())


def _same_rows(below: pl.DataFrame, table: PublishedTable, selections: int) -> pl.DataFrame:
    """Give all selections the rows of the first, which has all: null where nobody is behind one."""
    if not table.key:
        return below
    names = [c for c, column in table.columns.items() if is_name(column) and c in below.columns]
    rows = below.filter(pl.col(NUMBER) == 0).select(names)
    if rows.select(table.key).is_duplicated().any():
        raise InputError(
            f"the rows of a table are not told apart by {', '.join(table.key)}: declare what names "
            "them as Label, Level or Day."
        )
    numbers = pl.DataFrame({NUMBER: range(selections)}, schema={NUMBER: pl.UInt32})
    figures = below.select(c for c in below.columns if c not in names or c in table.key)
    every = numbers.join(rows, how="cross", maintain_order="left_right")
    keys = [NUMBER, *table.key]
    return every.join(figures, on=keys, how="left", nulls_equal=True, maintain_order="left").select(
        below.columns
    )


def _round_counts(
    below: pl.DataFrame, table: PublishedTable, log: _Log, choices: Choices
) -> pl.DataFrame:
    """Round every count of the rows that are large for everybody; the exact ones beside them."""
    selections = len(choices.selections())
    rows = len(below) // selections
    first = with_influence(below.head(rows), table.weights(log.influence, below), table.on)
    found, named = {}, np.ones(rows, dtype=bool)
    for name, column in table.columns.items():
        if not isinstance(column, Count) or name not in below.columns:
            continue
        exact, base = below[name].fill_null(0).cast(pl.Int64), log.base(column, first)
        rounded = round_together(
            exact.to_numpy().reshape(selections, rows).T,
            base,
            choices,
            distinct=isinstance(column, Customers) and not column.adds_up,
        )
        found[name] = pl.Series(name, rounded.T.reshape(-1)).cast(below.schema[name])
        found[f"{EXACT}{name}"] = exact
        if name == table.first and table.key:
            named = rounded[:, 0] >= 2 * base
    return below.with_columns(**found).filter(pl.Series(np.tile(named, selections)))


def _round_numbers(
    measure: Published, name: str, answers: Answers, log: _Log, choices: Choices
) -> list[int]:
    """Round a plain number in all selections; 0 where it may not be shown."""
    column = measure.numbers[name]
    base = log.base(column)
    exact = np.array([answers.numbers[name]])
    if measure.adds_up:
        exact = round_together(exact, base, choices, distinct=isinstance(column, Customers))
    else:
        exact = (exact + base // 2) // base * base
    return [int(n) if n >= smallest_shown(log.k) else 0 for n in exact[0]]


def _spread(workspace: Workspace, table: pl.DataFrame) -> float | pl.Expr:
    widths = {s.name: float(s.max - s.min) for s in workspace.journey_map.rating_scales}
    if "scale" in table.columns and widths:
        widest = max(widths.values())
        return pl.col("scale").replace_strict(widths, default=widest, return_dtype=pl.Float64)
    scale = workspace.journey_map.rating_scale
    return float(scale.max - scale.min) if scale is not None else 1.0


def _manifest(log: _Log, choices: Choices, measures: list[Published]) -> dict[str, Any]:
    """Say what the snapshot was made from: names and hashes, and counts as protected as any."""
    workspace, counts = log.workspace, log.workspace.manifest["counts"]
    journey_map = workspace.journey_map
    # without their folders
    files = [f["name"] for f in workspace.report.get("files", [])]
    return {
        "format": FORMAT,
        "name": journey_map.name,
        "k": log.k,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "observed_until": choices.until.isoformat(),
        "sources": sorted({Path(name).name for name in files if name}),
        "journey_map": {
            "name": journey_map.name,
            "version": journey_map.version,
            "sha256": durable.hash_file(workspace.log_folder / "journey_map.yaml"),
        },
        **{
            n: protect_number(int(counts[n]), int(log.base(Count("", each=n))[0]), k=log.k)
            for n in ("customers", "journeys", "contacts")
        },
        "segments": [list(s) for s in choices.segments],
        "periods": [p.isoformat() for p in choices.periods],
        "period_unit": choices.period_unit,
        "measures": [m.name for m in measures],
        "by_period": [m.name for m in measures if m.by_period],
        "by_segment": [m.name for m in measures if m.is_by_segment],
    }


def _name(published: Path, published_at: str) -> Path:
    """Return a folder name that no snapshot has yet: the time, and a number where that is taken."""
    stem = f"{datetime.fromisoformat(published_at):%Y%m%dT%H%M%SZ}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    return next(published / name for name in names if not (published / name).exists())


_COUNTS = ("customers", "customers_affected", "n")
_COUNTS_PREDICTIONS = "predictions.record"
"""A table whose ``n`` are no customers."""


def check_snapshot(
    folder: Path,
    measures: Sequence[Published],
    judged: Sequence[str],
    ids: pl.Series,
    influence: Influence,
    *,
    k: int,
) -> list[str]:
    """Look a snapshot over as it lies on disk, and say what was checked.

    Each figure of `measures` is held against what the heaviest customers add (`influence`), numbers
    of customers of what is `judged` (findings, predictions) against k. No text may be one of the
    customers' `ids`. WorkspaceError: a check failed; says which, and for what.
    """
    selections = len(pl.read_parquet(folder / SELECTIONS))
    ruled = {f"{m.name}.{field}": table for m in measures for field, table in m.tables.items()}
    for file in sorted(folder.glob("*.parquet")):
        frame, name = pl.read_parquet(file), file.stem
        if NUMBER in frame and (frame[NUMBER] >= selections).any():
            raise WorkspaceError(f"{name}: answers of selections that do not exist.")
        if name in ruled:
            _check_figures(frame, ruled[name], influence, name=name, k=k)
        elif file.name != SELECTIONS:
            counts = () if name == _COUNTS_PREDICTIONS else _COUNTS
            _check_numbers(frame, counts, name=name, k=k)
        _check_texts(frame, ids, name=name)
    return [
        f"every number of customers is a multiple of {k}, and none is about fewer",
        f"every other number is a multiple of more than any {k - 1} customers add to it",
        f"no share, mean or median of which {k - 1} customers make up two fifths",
        "no text is a customer's id",
        f"{selections} selections answered by {len(measures)} measures",
        *(
            f"every {name[:-1]} rests on at least {k} customers and is rounded as all figures are"
            for name in judged
        ),
    ]


def _check_figures(
    frame: pl.DataFrame, table: PublishedTable, influence: Influence, *, name: str, k: int
) -> None:
    joined = with_influence(frame, table.weights(influence, frame), table.on)
    for column, kind in table.columns.items():
        if column not in frame.columns:
            continue
        if isinstance(kind, Count):
            wrong = joined.filter(_could_tell(pl.col(column), base_of(kind, k=k), k))
            _refuse(len(wrong), f"{name}, {column}", k=k)
        elif not is_name(kind) and not isinstance(kind, Money | Rank):
            of = cases_of(kind, table.columns)
            if of not in frame.columns or isinstance(table.columns[of], Customers):
                continue
            least = LEAST_STEPS * base_of(table.columns[of], k=k)
            few = pl.col(of).cast(pl.Int64).fill_null(0) < least
            wrong = joined.filter(few & pl.col(column).is_not_null())
            _refuse(len(wrong), f"{name}, {column}", k=k)


def _check_numbers(frame: pl.DataFrame, columns: Sequence[str], *, name: str, k: int) -> None:
    """Check numbers of findings and predictions, and that they tell no instant."""
    for column in (c for c in columns if c in frame.columns):
        wrong = frame.filter(_could_tell(pl.col(column), pl.lit(k), k))
        _refuse(len(wrong), f"{name}, {column}", k=k)
    if any(isinstance(dtype, pl.Datetime) for dtype in frame.dtypes):
        raise WorkspaceError(
            f"{name}: an instant of a contact would be published; the snapshot is not served. This "
            "is a fault of cxlib: please report it."
        )


def _could_tell(number: pl.Expr, base: pl.Expr, k: int) -> pl.Expr:
    value = number.cast(pl.Int64)
    return (value % base != 0) | (value < 2 * k)


def _refuse(count: int, name: str, *, k: int) -> None:
    if count:
        raise WorkspaceError(
            f"{name}: {count} figures could tell on fewer than {k} customers; "
            "the snapshot is not served. This is a fault of cxlib: please report it."
        )


def _check_texts(frame: pl.DataFrame, ids: pl.Series, *, name: str) -> None:
    for found in frame.select(cs.string()):
        column = found.name
        if named := int(found.drop_nulls().unique().is_in(ids.implode()).sum()):
            raise WorkspaceError(
                f"{name}, {column}: {named} of its names are customers' ids; check `columns` "
                "in the journey map: a column that identifies people must not be a touchpoint, "
                "channel, owner or segment."
            )
