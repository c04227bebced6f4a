"""The workspace: a folder that holds one log as journeys, ready to be asked.

::

    WORKSPACE/
      workspace.json      what it was made from: periods, end of observation, counts, versions
      journey_map.yaml    the map it was read with
      events/NN.parquet   contacts of the customers of bucket NN, sorted by customer and time
      customers.parquet   the number, id, bucket and segment of each customer
      places.parquet      the number, touchpoint, channel, stage … of each place
      segments.parquet    the number and values of each combination of segments
      quarantine.parquet  rows set aside, each with the reason
      report.json         the ingest report
      summary/            the journey summary (see `cxlib.summary`)
      published/          snapshots for dashboards (see `cxlib.publish`)

It is written once, to a new folder that takes its name only when it is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from cxlib.contracts import EVENTS, QUARANTINE
from cxlib.encode import BUCKETS, Encoded, assign_segments, attach_ratings, encode_events
from cxlib.errors import WorkspaceError
from cxlib.journey_map import JourneyMap, read_journey_map
from cxlib.journeys import last_goal_stage, split_journeys
from cxlib.periods import Periods, choose_periods
from cxlib.store.walk import Scope

if TYPE_CHECKING:
    from cxlib.ingest import Ingested, IngestedTable
    from cxlib.summary import Summary

Kept = TypeVar("Kept")

FORMAT = 1
"""Version of the folder's layout; a workspace of another version must be ingested again."""


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

    Examples
    --------
    >>> Workspace.open("no such folder")
    Traceback (most recent call last):
    cxlib.errors.WorkspaceError: 'no such folder' is not a workspace (there is no workspace.json); \
make one with `cx ingest LOG --map MAP --out no such folder`
    """

    path: Path
    manifest: dict[str, Any]
    kept: dict[str, tuple[object, Any]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> Workspace:
        """Open the workspace folder at `path`.

        Raises
        ------
        WorkspaceError
            When there is none, or it was written by another version of the layout.
        """
        folder = Path(path)
        file = folder / "workspace.json"
        if not file.is_file():
            msg = (
                f"{str(path)!r} is not a workspace (there is no workspace.json); make one with "
                f"`cx ingest LOG --map MAP --out {path}`"
            )
            raise WorkspaceError(msg)
        try:
            manifest = json.loads(file.read_text("utf-8"))
        except json.JSONDecodeError as error:
            msg = f"{file}: not readable as JSON ({error}); ingest the log again"
            raise WorkspaceError(msg) from error
        if manifest.get("format") != FORMAT:
            msg = (
                f"{str(path)!r} has layout {manifest.get('format')}, this version of cxlib reads "
                f"layout {FORMAT}; ingest the log again"
            )
            raise WorkspaceError(msg)
        return cls(folder, manifest)

    @cached_property
    def journey_map(self) -> JourneyMap:
        """The journey map the log was read with."""
        return read_journey_map(self.path / "journey_map.yaml")

    @cached_property
    def places(self) -> pl.DataFrame:
        """Touchpoint, channel, stage, owner, properties of each place; row ``i`` is place ``i``."""
        return pl.read_parquet(self.path / "places.parquet")

    @cached_property
    def segments(self) -> pl.DataFrame:
        """The combinations of segment values; ``segment`` and one String column per dimension."""
        return pl.read_parquet(self.path / "segments.parquet")

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segment dimensions, for example ``("persona", "region")``."""
        return tuple(c for c in self.segments.columns if c != "segment")

    @cached_property
    def periods(self) -> Periods:
        """The periods that contacts are counted by."""
        return Periods.from_dict(self.manifest["periods"])

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
        content: dict[str, Any] = json.loads((self.path / "report.json").read_text("utf-8"))
        return content

    def customers(self) -> pl.LazyFrame:
        """``customer`` (number), ``name``, ``bucket``, ``segment``, ``contacts``, their span."""
        return pl.scan_parquet(self.path / "customers.parquet")

    def quarantine(self) -> pl.DataFrame:
        """The rows set aside, each with its reason (contract QUARANTINE)."""
        return pl.read_parquet(self.path / "quarantine.parquet")

    @cached_property
    def scope(self) -> Scope:
        """What counting a bucket needs to know (`cxlib.store.walk`)."""
        goal_stage = last_goal_stage(self.places, journey_map=self.journey_map)
        return Scope(self.places, self.gap, self.observed_until, goal_stage)

    def bucket_files(self) -> list[Path]:
        """The store's files, one for each bucket of customers that has any, in order."""
        return sorted((self.path / "events").glob("*.parquet"))

    def store(self) -> pl.LazyFrame:
        """The encoded contacts of all customers, sorted (columns: see `cxlib.encode`)."""
        return pl.scan_parquet(self.bucket_files(), glob=False)

    def keep(self, name: str, file: Path, read: Callable[[], Kept]) -> Kept:
        """Read something once, and again only when `file` is no longer the one it was read from.

        Parameters
        ----------
        name
            Of what is kept: one of each name, for as long as this object lives.
        file
            Written anew, or replaced, whenever what is read changes; need not exist before `read`.
        read
            Reads it.
        """
        known, value = self.kept.get(name, (None, None))
        now = _state_of(file)
        if now is None or now != known:
            value = read()
            # in one step: of two threads that read at once, one writes over the other's equal
            self.kept[name] = (now or _state_of(file), value)
        kept: Kept = value
        return kept

    def events(self) -> pl.LazyFrame:
        """The contacts in words: the EVENTS contract, with ``journey`` and ``position``."""
        named = self.customers().select("customer", "name")
        kept = [c for c in EVENTS.schema if c not in ("customer", "row")]
        frame = self.store().join(self.places.lazy(), on="place", how="left", maintain_order="left")
        joined = frame.join(named, on="customer", how="left", maintain_order="left")
        present = joined.collect_schema().names()
        return joined.select(
            pl.col("name").alias("customer"),
            *(c for c in kept if c in present),
            "journey",
            "position",
        )

    def summary(self) -> Summary:
        """The journey summary: read when it is there, else made by one pass and kept."""
        from cxlib.summary import Summary, summarise

        folder = self.path / "summary"
        try:
            return Summary.read(folder)
        except WorkspaceError:  # not there yet, or counted by another version
            summarise(self).write(folder)
        return Summary.read(folder)


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
    """Write a workspace from an ingested log.

    Parameters
    ----------
    ingested
        What `cxlib.ingest.read_events` returns.
    out
        Folder to write; an existing workspace there is replaced when the new one is complete, any
        other existing folder is refused.
    customers
        What `cxlib.ingest.read_customers` returns, or CUSTOMERS: every column but ``customer`` is a
        segment dimension.
    ratings
        What `cxlib.ingest.read_ratings` returns, or RATINGS: survey answers that come in a file of
        their own.
    progress
        Called with a line of text at each step.

    Raises
    ------
    InputError
        When no contact is left.
    WorkspaceError
        When `out` exists and is not a workspace.
    """
    tell = progress or (lambda _: None)
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()) and not (folder / "workspace.json").is_file():
        msg = f"{folder} exists and is not a workspace; name another folder, or empty this one"
        raise WorkspaceError(msg)
    journey_map = ingested.journey_map
    customers, customers_aside = _open_table(customers)
    ratings, ratings_aside = _open_table(ratings)
    tell("sorting contacts by customer and time")
    encoded = encode_events(ingested.events.lazy(), journey_map=journey_map)
    rating_counts = None
    if ratings is not None:
        attached = attach_ratings(encoded, ratings, within=journey_map.journey.gap)
        rating_counts = attached.counts
        encoded = Encoded(
            attached.events, encoded.customers, encoded.places, encoded.set_aside, encoded.counts
        )
    numbered, segments, left_out = assign_segments(encoded.customers, customers)
    tell("splitting journeys")
    rows = split_journeys(
        encoded.events,
        places=encoded.places,
        rule=journey_map.journey,
        goal_stage=last_goal_stage(encoded.places, journey_map=journey_map),
    )
    seen = rows.select(first=pl.col("occurred_at").min(), last=pl.col("occurred_at").max()).row(0)
    observed_until = max(journey_map.observed_until or seen[1], seen[1])
    periods = choose_periods(
        seen[0], seen[1], unit=journey_map.period, time_zone=journey_map.time_zone or "UTC"
    )
    rows = rows.with_columns(
        period=periods.index_of(pl.col("occurred_at")),
        bucket=numbered["bucket"].gather(rows["customer"]),
        segment=numbered["segment"].gather(rows["customer"]),
    )
    counts = {
        **encoded.counts,
        "contacts": len(rows),
        "customers": len(numbered),
        "journeys": int(rows["journey"][-1]) + 1,
        "segments_left_out": list(left_out),
        "ratings": rating_counts,
        "customers_without_segment": _without_segment(numbered, customers),
        "tables_set_aside": {
            **_reasons("customers", customers_aside),
            **_reasons("ratings", ratings_aside),
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
    _write(folder, ingested, rows, numbered, segments, replace(encoded, set_aside=aside), manifest)
    return Workspace.open(folder)


def _open_table(
    given: IngestedTable | pl.DataFrame | None,
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """The rows of a table about customers, and those set aside when it was read."""
    if given is None or isinstance(given, pl.DataFrame):
        return given, QUARANTINE.empty()
    return given.rows, given.quarantine


def _reasons(table: str, quarantine: pl.DataFrame) -> dict[str, int]:
    """How many rows of a table were set aside, by reason."""
    counted = quarantine.group_by("reason", maintain_order=True).len()
    return {f"{table}: {reason}": rows for reason, rows in counted.iter_rows()}


def _without_segment(numbered: pl.DataFrame, customers: pl.DataFrame | None) -> int:
    if customers is None:
        return 0
    known = customers.select(pl.col("customer").alias("name"))
    return len(numbered.select("name").join(known, on="name", how="anti"))


def _write(
    folder: Path,
    ingested: Ingested,
    rows: pl.DataFrame,
    customers: pl.DataFrame,
    segments: pl.DataFrame,
    encoded: Encoded,
    manifest: dict[str, Any],
) -> None:
    """Write everything beside the place it shall take, then take it in one move."""
    fresh = folder.with_name(folder.name + ".writing")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "events").mkdir(parents=True)
    starts = rows["bucket"].search_sorted(pl.Series(range(BUCKETS + 1), dtype=pl.UInt8))
    for bucket in range(BUCKETS):
        part = rows.slice(starts[bucket], starts[bucket + 1] - starts[bucket])
        if len(part):
            part.write_parquet(
                fresh / "events" / f"{bucket:02d}.parquet", compression="zstd", compression_level=1
            )
    spans = (
        rows.lazy()
        .group_by("customer")
        .agg(
            contacts=pl.len(),
            first_at=pl.col("occurred_at").min(),
            last_at=pl.col("occurred_at").max(),
        )
        .sort("customer")
        .collect()
    )
    pl.concat([customers, spans.drop("customer")], how="horizontal").write_parquet(
        fresh / "customers.parquet"
    )
    encoded.places.write_parquet(fresh / "places.parquet")
    segments.write_parquet(fresh / "segments.parquet")
    encoded.set_aside.write_parquet(fresh / "quarantine.parquet")
    (fresh / "journey_map.yaml").write_text(ingested.journey_map.to_yaml(), "utf-8")
    report = ingested.report.with_store_counts(**manifest["counts"]).to_dict()
    (fresh / "report.json").write_text(json.dumps(report, indent=1, default=str), "utf-8")
    (fresh / "workspace.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    if (folder / "published").is_dir():  # what was shown stays readable
        (folder / "published").rename(fresh / "published")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
