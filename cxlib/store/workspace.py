"""The workspace: a folder that holds one log as journeys, ready to be asked.

::

    WORKSPACE/
      workspace.json        which log it holds, and what that was made from: periods, end of
                            observation, counts, versions, the SHA-256 of each file
      log-TIME/             the log that workspace.json names
        journey_map.yaml    the map it was read with
        events/NN.parquet   contacts of the customers of bucket NN, sorted by customer and time
        customers.parquet   the number, id, bucket and segment of each customer
        places.parquet      the number, touchpoint, channel, stage … of each place
        segments.parquet    the number and values of each combination of segments
        ratings.parquet     what customers said: every answer, and the contact it speaks of
        quarantine.parquet  rows set aside, each with the reason
        report.json         the ingest report
        summary/            the journey summary (see `cxlib.summary`)
      published/            snapshots for dashboards (see `cxlib.publish`)

A log is written to a folder of its own and counts from the moment in which workspace.json, replaced
in one step, names it; the log before it is removed after that. Snapshots are never touched.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from cxlib import durable
from cxlib.answers import attach_ratings, mask_answers
from cxlib.contracts import EVENTS, QUARANTINE
from cxlib.encode import BUCKETS, Encoded, encode_events
from cxlib.errors import WorkspaceError
from cxlib.journey_map import JourneyMap, read_journey_map
from cxlib.journeys import last_goal_stage, split_journeys
from cxlib.periods import Periods, choose_periods
from cxlib.persona_rules import assign_personas
from cxlib.segments import assign_segments, segment_names
from cxlib.store.walk import Scope

if TYPE_CHECKING:
    from cxlib.ingest import Ingested, IngestedTable
    from cxlib.summary import Summary

Kept = TypeVar("Kept")
FORMAT = 2  # of the folder's layout; a log in another one must be ingested again
_MANIFEST = "workspace.json"
_LOG = re.compile(r"log-\d{8}T\d{12}")
MOST_EXACT = 1_000_000  # contacts up to which the summary has a row for nearly every duration


@dataclass(frozen=True)
class Workspace:
    """One log, as journeys, on disk. Open with `Workspace.open`; make with `build_workspace`.

    Attributes
    ----------
    path
        The folder.
    manifest
        The content of ``workspace.json``.
    kept
        What a room above has read from the folder and would read again, by name, beside what tells
        whether its files are still the same (`keep`).
    """

    path: Path
    manifest: dict[str, Any]
    kept: dict[str, tuple[object, Any]] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        counts, name = self.manifest["counts"], self.manifest["name"]
        held = f"{counts['contacts']:,} contacts of {counts['customers']:,} customers"
        return f"<Workspace {str(self.path)!r}: {name}, {held}>"

    @classmethod
    def open(cls, path: str | Path) -> Workspace:
        """Open the workspace folder at `path`.

        Raises
        ------
        WorkspaceError
            When there is none, or it was written by another version of the layout.
        """
        folder = Path(path)
        file = folder / _MANIFEST
        if not file.is_file():
            raise WorkspaceError(
                f"{str(path)!r} is not a workspace (there is no workspace.json); make one with "
                f"`cx ingest LOG --map MAP --out {path}`"
            )
        try:
            manifest = durable.read_sealed(
                file.read_text("utf-8"), formats=range(FORMAT, FORMAT + 1)
            )
        except ValueError as error:
            raise WorkspaceError(
                f"{file}: not readable as JSON ({error}); ingest the log again"
            ) from error
        layout = manifest["format"]
        if layout != FORMAT:
            raise WorkspaceError(
                f"{str(path)!r} has layout {layout}, this version of cxlib reads layout {FORMAT}; "
                "ingest the log again"
            )
        opened = cls(folder, manifest)
        opened._check(but="events/")
        return opened

    @property
    def log_folder(self) -> Path:
        """The folder of the log within the workspace, and of what is counted from it."""
        return self.path / str(self.manifest["log"])

    def _check(self, *, only: str = "", but: str = "\0") -> None:
        hashes = self.manifest["files"].items()
        asked = {n: h for n, h in hashes if n.startswith(only) and not n.startswith(but)}
        try:
            durable.check_files(self.log_folder, asked)
        except WorkspaceError as error:
            raise WorkspaceError(
                f"{error}; open the workspace again if it was just replaced, else ingest again"
            ) from error

    @cached_property
    def journey_map(self) -> JourneyMap:
        """The journey map the log was read with."""
        return read_journey_map(self.log_folder / "journey_map.yaml")

    @cached_property
    def places(self) -> pl.DataFrame:
        """Touchpoint, channel, stage, owner, properties of each place; row ``i`` is place ``i``."""
        return pl.read_parquet(self.log_folder / "places.parquet")

    @cached_property
    def segments(self) -> pl.DataFrame:
        """The combinations of segment values: ``segment``, and ``segment.NAME`` per dimension."""
        return pl.read_parquet(self.log_folder / "segments.parquet")

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segment dimensions, for example ``("persona", "region")``."""
        return segment_names(self.segments)

    @cached_property
    def periods(self) -> Periods:
        """The periods that contacts are counted by."""
        periods = Periods.from_dict(self.manifest["periods"])
        zone = ZoneInfo(periods.time_zone)
        seen = (datetime.fromisoformat(self.manifest[end]) for end in ("first_at", "last_at"))
        first, last = (at.astimezone(zone).date() for at in seen)
        return replace(periods, days=(first, last))

    @property
    def observed_until(self) -> datetime:
        """End of observation, UTC: silence after it is not known, and never counted as loss."""
        return datetime.fromisoformat(self.manifest["observed_until"])

    @property
    def gap(self) -> timedelta | None:
        """Silence that ends a journey; None when journeys end at the goal or a loss only."""
        return self.journey_map.journey.gap

    @property
    def report(self) -> dict[str, Any]:
        """The ingest report."""
        return dict(json.loads((self.log_folder / "report.json").read_text("utf-8")))

    def customers(self) -> pl.LazyFrame:
        """``customer`` (number), ``name``, ``bucket``, ``segment``, ``contacts``, their span."""
        return pl.scan_parquet(self.log_folder / "customers.parquet")

    def ratings(self) -> pl.LazyFrame:
        """Every answer, of the log and of surveys, on every scale.

        Columns of `cxlib.answers.RATED`, and of the contact it speaks of ``occurred_at``, ``place``
        and ``journey``; these are null where no contact was found.
        """
        return pl.scan_parquet(self.log_folder / "ratings.parquet")

    def quarantine(self) -> pl.DataFrame:
        """The rows set aside, each with its reason (contract QUARANTINE)."""
        return pl.read_parquet(self.log_folder / "quarantine.parquet")

    @cached_property
    def scope(self) -> Scope:
        """What counting a bucket needs to know (`cxlib.store.walk`)."""
        goal_stage = last_goal_stage(self.places, journey_map=self.journey_map)
        exact = self.manifest["counts"]["contacts"] <= MOST_EXACT
        return Scope(self.places, self.gap, self.observed_until, goal_stage, exact)

    def bucket_files(self) -> list[Path]:
        """The store's files, one for each bucket of customers that has any, in order.

        A file that is not as it was written raises `WorkspaceError`.
        """
        return self._checked_bucket_files

    @cached_property
    def _checked_bucket_files(self) -> list[Path]:
        self._check(only="events/")
        return sorted((self.log_folder / "events").glob("*.parquet"))

    def store(self) -> pl.LazyFrame:
        """The encoded contacts of all customers, sorted (columns: see `cxlib.encode`)."""
        return pl.scan_parquet(self.bucket_files(), glob=False)

    def keep(self, name: str, file: Path, read: Callable[[], Kept], *, of: object = None) -> Kept:
        """Read something once, and again only when `file` is no longer the one it was read from.

        One of each `name` is kept, for as long as this object lives, or until it is asked `of`
        something else. `file` is written anew, or replaced, whenever what is read changes; it need
        not exist before `read`.
        """
        known, value = self.kept.get(name, (None, None))
        now = _state_of(file)
        if now is None or (now, of) != known:
            value = read()
            # in one step: of two threads that read at once, one writes over the other's equal
            self.kept[name] = ((now or _state_of(file), of), value)
        kept: Kept = value
        return kept

    def events(self) -> pl.LazyFrame:
        """The contacts in words: the EVENTS contract, with ``journey`` and ``position``."""
        named = self.customers().select("customer", "name")
        kept = [c for c in EVENTS.schema if c not in ("customer", "row")]
        kept += [c for c in self.store().collect_schema() if c.startswith("environment.")]
        frame = self.store().join(self.places.lazy(), on="place", how="left", maintain_order="left")
        joined = frame.join(named, on="customer", how="left", maintain_order="left")
        present = joined.collect_schema().names()
        return joined.select(
            pl.col("name").alias("customer"),
            *(
                pl.col(c).cast(pl.String) if EVENTS.schema.get(c, pl.String) == pl.String else c
                for c in kept
                if c in present
            ),
            "journey",
            "position",
        )

    def summary(self) -> Summary:
        """The journey summary: read when it is there, else made by one pass and kept."""
        from cxlib.summary import Summary, summarise

        folder = self.log_folder / "summary"

        def read() -> Summary:
            try:
                return Summary.read(folder)
            except WorkspaceError:  # not there yet, or counted by another version
                counted = summarise(self)
            with suppress(WorkspaceError):  # a folder that may only be read
                counted.write(folder)
            return counted

        return self.keep("summary", folder / "summary.json", read)


def _state_of(file: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written; None where there is none."""
    try:
        state = file.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def build_workspace(
    ingested: Ingested,
    out: str | Path,
    *,
    customers: IngestedTable | pl.DataFrame | None = None,
    ratings: IngestedTable | pl.DataFrame | None = None,
    progress: Callable[[str], None] | None = None,
) -> Workspace:
    """Write a workspace from what `cxlib.ingest` read: a log, customers (every other column is a
    segment dimension) and answers of a survey; `progress` is told each step.

    An existing workspace is replaced when the new one is complete. InputError: no contact is left.
    WorkspaceError: `out` exists and is not a workspace.
    """
    folder = Path(out)
    _refuse_foreign(folder)
    Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)
    with durable.only_writer(folder):
        _build(ingested, folder, customers, ratings, progress or (lambda _: None))
    return Workspace.open(folder)


def _refuse_foreign(folder: Path) -> None:
    """Raise where a folder holds what is none of ours; what a killed ingest left is ours."""
    if not folder.exists() or (folder / _MANIFEST).is_file():
        return
    inside = {f.name for f in folder.iterdir()} if folder.is_dir() else {folder.name}
    foreign = inside - {durable.LOCK, "published"}
    if any(not _LOG.fullmatch(n) and not n.startswith(durable.DRAFT) for n in foreign):
        raise WorkspaceError(
            f"{folder} exists and is not a workspace; name another folder, or empty this one"
        )


def _build(
    ingested: Ingested,
    folder: Path,
    customers: IngestedTable | pl.DataFrame | None,
    ratings: IngestedTable | pl.DataFrame | None,
    tell: Callable[[str], None],
) -> None:
    from cxlib.ingest.beside import join_environments

    journey_map = ingested.journey_map
    customers, customers_aside = _open_table(customers)
    ratings, ratings_aside = _open_table(ratings)
    tell("sorting contacts by customer and time")
    encoded = encode_events(ingested.events.lazy(), journey_map=journey_map)
    scale = journey_map.rating_scale.name if journey_map.rating_scale is not None else None
    attached = attach_ratings(encoded, ratings, within=journey_map.journey.gap, scale=scale)
    attached, masked = mask_answers(attached)
    surrounded, joined = join_environments(attached.events, encoded.places, journey_map)
    encoded = replace(encoded, events=surrounded)
    numbered, segments, left_out, rarer = assign_segments(
        encoded.customers, customers, encoded.segments
    )
    if journey_map.personas:
        logged = _with_personas(encoded, journey_map, numbered, segments)
        numbered, segments, left_out, rarer = assign_segments(encoded.customers, customers, logged)
    tell("splitting journeys")
    rows = split_journeys(
        encoded.events,
        places=encoded.places,
        rule=journey_map.journey,
        goal_stage=last_goal_stage(encoded.places, journey_map=journey_map),
    )
    seen = rows.select(first=pl.col("occurred_at").min(), last=pl.col("occurred_at").max()).row(0)
    observed_until = journey_map.observed_until or seen[1]  # later rows were set aside
    periods = choose_periods(
        seen[0], seen[1], unit=journey_map.period, time_zone=journey_map.time_zone or "UTC"
    )
    rows = rows.with_columns(
        period=periods.index_of(pl.col("occurred_at")),
        bucket=numbered["bucket"].gather(rows["customer"]),
        segment=numbered["segment"].gather(rows["customer"]),
    )
    known = numbered if customers is None else customers.select(name="customer")
    without = numbered.select("name").join(known.select("name"), on="name", how="anti")
    counts = {
        **encoded.counts,
        "contacts": len(rows),
        "customers": len(numbered),
        "journeys": int(rows["journey"][-1]) + 1,
        "segments_left_out": list(left_out),
        "segments_rarer": rarer,
        "ratings": attached.counts,
        "masked": masked,
        "environments_joined": joined,
        "segments_varying": encoded.segments_varying,
        "environments_rarer": encoded.rarer,
        "customers_without_segment": len(without),
        "tables_set_aside": {
            f"{table}: {reason}": n
            for table, aside in (("customers", customers_aside), ("ratings", ratings_aside))
            for reason, n in aside.group_by("reason", maintain_order=True).len().iter_rows()
        },
    }
    manifest = {
        "format": FORMAT,
        "name": journey_map.name,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_at": seen[0].isoformat(),
        "last_at": seen[1].isoformat(),
        "observed_until": observed_until.isoformat(),
        "periods": periods.to_dict(),
        "counts": counts,
    }
    tell("writing the store")
    aside = pl.concat([ingested.quarantine, customers_aside, ratings_aside, encoded.set_aside])
    answers = attached.answers.with_columns(
        rows[c].gather(attached.answers["row"]) for c in ("occurred_at", "place", "journey")
    )
    tables = {
        "customers": _with_spans(numbered, rows),
        "places": encoded.places,
        "segments": segments,
        "ratings": answers,
        "quarantine": aside,
    }
    durable.remove_leftovers(folder)
    with durable.draft_folder(folder) as draft:
        _write(draft, ingested, rows, tables, manifest)
        _switch(folder, draft, manifest)


def _with_personas(
    encoded: Encoded, journey_map: JourneyMap, numbered: pl.DataFrame, segments: pl.DataFrame
) -> pl.DataFrame:
    """What the log says of each customer, with the persona that the rules of the map give him."""
    told = numbered.select("customer", "segment").join(
        segments, on="segment", how="left", maintain_order="left"
    )
    planned = [x for t in journey_map.touchpoints for x in (t.name, t.channel, t.owner) if x]
    persona = assign_personas(
        journey_map.personas, encoded.events, encoded.places, told, [*planned, *journey_map.stages]
    )
    logged = told.select("customer") if encoded.segments is None else encoded.segments
    return logged.with_columns(persona)


def _open_table(
    given: IngestedTable | pl.DataFrame | None,
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    if given is None or isinstance(given, pl.DataFrame):
        return given, QUARANTINE.empty()
    return given.rows, given.quarantine


def _with_spans(customers: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    at = pl.col("occurred_at")
    spans = (
        rows.lazy().group_by("customer").agg(contacts=pl.len(), first_at=at.min(), last_at=at.max())
    )
    spans = spans.sort("customer").drop("customer")
    return pl.concat([customers, spans.collect()], how="horizontal")


def _write(
    fresh: Path,
    ingested: Ingested,
    rows: pl.DataFrame,
    tables: dict[str, pl.DataFrame],
    manifest: dict[str, Any],
) -> None:
    (fresh / "events").mkdir()
    starts = rows["bucket"].search_sorted(pl.Series(range(BUCKETS + 1), dtype=pl.UInt8))
    for bucket, (start, end) in enumerate(pairwise(starts)):
        if start < end:
            file = fresh / "events" / f"{bucket:02d}.parquet"
            rows[start:end].write_parquet(file, compression="zstd", compression_level=1)
    for name, table in tables.items():
        table.write_parquet(fresh / f"{name}.parquet")
    (fresh / "journey_map.yaml").write_text(ingested.journey_map.to_yaml(), "utf-8")
    report = ingested.report.with_store_counts(**manifest["counts"]).to_dict()
    (fresh / "report.json").write_text(json.dumps(report, indent=1, default=str), "utf-8")


def _switch(folder: Path, draft: Path, manifest: dict[str, Any]) -> None:
    """Make a finished log the one that the workspace holds, in one step, and remove all others."""
    durable.sync_folder(draft)
    name = f"log-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    sealed = durable.seal({**manifest, "log": name, "files": durable.hash_files(draft)})
    draft.rename(folder / name)
    durable.write_over(folder / _MANIFEST, sealed, draft=folder / f"{durable.DRAFT}{_MANIFEST}")
    others = [f.name for f in folder.iterdir() if _LOG.fullmatch(f.name) and f.name != name]
    durable.remove_leftovers(folder, others)
