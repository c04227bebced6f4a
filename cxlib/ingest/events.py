"""Exports in, contacts out: `read_events` also says what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import polars as pl

from cxlib.contracts import EVENTS, INITIATORS
from cxlib.errors import InputError, nearest_name
from cxlib.ingest import columns
from cxlib.ingest.cells import (
    off_scale,
    read_ids,
    read_numbers,
    read_scales,
    strange_scales,
    text_of,
)
from cxlib.ingest.columns import KEY, in_sets
from cxlib.ingest.doubts import Seen, find_doubts
from cxlib.ingest.instants import Instants, read_instants
from cxlib.ingest.raw import LINE, POSITION, RawTable, first_reasons, set_aside
from cxlib.ingest.report import FileReport, IngestReport, UnmappedTouchpoint
from cxlib.ingest.shapes import shape_tables, split_sources
from cxlib.ingest.sources import Paths, Source, find_sources
from cxlib.ingest.tables import read_source
from cxlib.journey_map import JourneyMap

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # implausible before, unless the map says so
LATE = "later than observed_until"  # after the end that the map states
NEAREST = 40  # most unmapped touchpoints of which it is said which one of the map is like them
_NOBODY = "\x00nobody"  # whether a row is of no customer, as a column says
_TEXTS = ("issue", "comment")
_OPTIONAL = ("ended_at", "due_at", "scale", "rating", "cost", "amount", *_TEXTS)


@dataclass(frozen=True, slots=True, eq=False)
class Ingested:
    """What `read_events` returns; EVENTS stand in no order, exact duplicates included."""

    events: pl.LazyFrame
    quarantine: pl.DataFrame
    report: IngestReport
    journey_map: JourneyMap

    @property
    def set_aside(self) -> pl.DataFrame:
        """The rows that do not fit, each with the reason (the same as ``quarantine``)."""
        return self.quarantine

    def __repr__(self) -> str:
        rows, aside = self.report.rows_in, self.quarantine.height
        return f"<Ingested: {rows:,} rows read, {aside:,} set aside>"

    def checked(self) -> IngestReport:
        """Return the report with customers, duplicates and ties counted; writes no store."""
        keys = self.events.select("customer", "occurred_at", "sequence", "row")
        coded = keys.with_columns(pl.col("customer").hash())  # numbers are quickly told apart
        distinct = coded.unique().collect(engine="streaming")
        instants = distinct.select("customer", "occurred_at").n_unique()
        return self.report.with_store_counts(
            customers=distinct["customer"].n_unique(),
            duplicates=self.report.contacts - distinct.height,
            tied_timestamps=distinct.height - instants,
        )


def read_events(
    paths: Paths,
    journey_map: JourneyMap,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ingested:
    """Read files, globs or folders of CSV, TSV, JSON, Parquet, XES or Excel, also compressed."""

    def read(source: Source) -> RawTable:
        if progress is not None:
            progress(f"reading {source}")
        return read_source(source, journey_map, separator=separator, encoding=encoding)

    return make_contacts(find_sources(paths), journey_map, read)


def make_contacts(
    sources: list[Source], journey_map: JourneyMap, read: Callable[[Source], RawTable]
) -> Ingested:
    """Return the contacts of files that are read as `read` does."""
    log = _Log(journey_map)
    matched = any(t.match for t in journey_map.touchpoints)
    needed = ("customer", "occurred_at", *(() if matched else ("touchpoint",)))
    tables: Iterable[RawTable] = shape_tables(sources, journey_map, read)
    if len(journey_map.names_of("customer")) > 1:
        logs, _ = split_sources(sources, journey_map)
        beside = [read(source) for source in sources if source not in logs]
        tables = columns.join_people(list(tables), beside, journey_map)
    for table in tables:
        merged = columns.merge_names(table, journey_map)
        roles = columns.find_columns(
            merged.columns, journey_map, source=str(table.source), required=needed
        )
        _File(merged, roles, log).read()
    log.notice(columns.check_found(journey_map, log.columns))
    contacts = pl.concat(log.contacts, how="diagonal", rechunk=False)
    places = pl.concat(log.places).unique(KEY, keep="first", maintain_order=True)
    quarantine = pl.concat(log.quarantine)
    reasons = _count_by(quarantine.with_columns(len=pl.lit(1)), "reason")
    first = quarantine.unique("reason", keep="first", maintain_order=True)
    log.first_aside = {
        reason: f"row {line:,} of {Path(file).name}"
        for reason, file, line in first.select("reason", "file", "line").iter_rows()
    }
    if not contacts.height:
        if log.left_out:
            reasons["left out by `keep`"] = log.left_out
        said = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
        raise InputError(f"no row of the log became a contact: {said}; mend the log or the map")
    seen = Seen(contacts, places, quarantine, tuple(log.files), journey_map)
    report = _report(seen, reasons, log)
    named = places.lazy().select(KEY, "touchpoint", "channel", "stage", "owner", "initiated_by")
    # looked up when it is asked for
    events = contacts.lazy().join(named, on=KEY, how="left", maintain_order="left")
    there = (*contacts.columns, *named.collect_schema().names())
    named_so = (name for name in EVENTS.schema.names() if name in there)
    events = events.select(*named_so, *in_sets(contacts.columns))
    return Ingested(events, quarantine, report, journey_map)


@dataclass(slots=True)
class _Log:
    """What files add up to: contacts with `KEY`, what the keys mean, rows set aside, and counts."""

    journey_map: JourneyMap
    contacts: list[pl.DataFrame] = field(default_factory=list)
    places: list[pl.DataFrame] = field(default_factory=list)
    quarantine: list[pl.DataFrame] = field(default_factory=list)
    files: list[FileReport] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    left_out: int = 0
    at_clocks: Counter[str] = field(default_factory=Counter)
    cleared: Counter[str] = field(default_factory=Counter)
    hints: dict[str, None] = field(default_factory=dict)
    first_aside: dict[str, str] = field(default_factory=dict)

    def notice(self, hints: Iterable[str]) -> None:
        """Keep what to look at, each sentence once."""
        self.hints.update(dict.fromkeys(hints))

    def clear(self, reason: str, rows: int) -> None:
        if rows:
            self.cleared[reason] += rows


@dataclass(frozen=True, slots=True)
class _File:
    """One file, with the columns that play a role, while contacts are made of it."""

    table: RawTable
    roles: Mapping[str, str]
    log: _Log

    def read(self) -> None:
        table, log, journey_map = self.table, self.log, self.log.journey_map
        log.notice(table.hints)
        rows, contents = self._collect()
        file = FileReport(
            str(table.source), table.source.format, rows.height + table.malformed.height,
            table.encoding, table.separator, note=table.note, lines=table.lines,
        )  # fmt: skip
        places = columns.recognise(contents, journey_map, self.roles)
        if (out := places.filter(~pl.col("is_kept"))[KEY]).len():
            kept = rows.filter(~pl.col(KEY).is_in(out.implode()))
            log.left_out += rows.height - kept.height
            rows = kept
        rows, reasons = self._who_and_when(rows, places)
        contacts = self._finish(rows.filter(reasons.is_null()))
        strange = contacts.join(places.filter("unknown_initiator"), on=KEY, how="semi").height
        log.clear(f"initiated_by is neither {' nor '.join(INITIATORS)}", strange)
        if journey_map.ties_as_listed:
            contacts = _in_map_order(contacts, places, journey_map)
        log.contacts.append(contacts)
        log.places.append(places)
        log.quarantine.append(set_aside(table, rows[LINE], reasons, self.roles))
        log.files.append(file)
        log.columns |= dict.fromkeys(table.columns)

    def _collect(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take what is needed from the file in one pass: rows, and distinct deciding contents."""
        schema, roles = self.table.frame.collect_schema(), self.roles
        asked = ("customer", "occurred_at", "sequence", *_OPTIONAL, *in_sets(roles))
        ours = {name: pl.col(roles[name]) for name in asked if name in roles}
        if POSITION in schema:
            ours.setdefault("sequence", pl.col(POSITION))
        deciding = columns.place_columns(self.log.journey_map, roles)
        here = [c for c in deciding if c in schema]
        # Two lines about one contact on two scales are one contact with two answers.
        answer = ("rating", "scale", "comment") if "scale" in roles else ()
        told = {roles[name] for name in answer if name in roles}
        marks = [
            text_of(column).fill_null("").str.contains(pattern)
            for column, pattern in self.log.journey_map.marks_of_nobody
            if column in schema
        ]
        # Deciding columns get numbers for names, since a raw column may be called like one of ours.
        numbered = {f"\x00{i}": c for i, c in enumerate(here)}
        rows = self.table.collect(
            pl.col(LINE),
            columns.content_hash([c for c in self.table.columns if c not in told]).alias("row"),
            columns.content_hash(here).alias(KEY),
            pl.any_horizontal(False, *marks).alias(_NOBODY),
            *(expr.alias(name) for name, expr in ours.items()),
            *(pl.col(c).alias(number) for number, c in numbered.items()),
        )
        contents = rows.group_by(KEY).agg(pl.col(n).first().cast(pl.String) for n in numbered)
        absent = [pl.lit(None, pl.String).alias(c) for c in deciding if c not in here]
        return rows.drop(numbered), contents.rename(numbered).with_columns(absent)

    def _times(self, rows: pl.DataFrame, role: str, *, refuse: bool) -> Instants:
        return read_instants(
            rows[role],
            where=f"{self.table.source}, column {self.roles[role]!r}",
            time_zone=self.log.journey_map.time_zone,
            time_format=self.log.journey_map.time_format,
            refuse=refuse,
        )

    def _who_and_when(
        self, rows: pl.DataFrame, places: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.Series]:
        """Read customers and times; say why rows must be set aside."""
        log, journey_map = self.log, self.log.journey_map
        where = f"{self.table.source}, column {self.roles['customer']!r}"
        customers, hints = read_ids(rows["customer"], where=where, fold=journey_map.fold_case)
        instants = self._times(rows, "occurred_at", refuse=True)
        log.notice((*hints, *instants.hints))
        log.at_clocks.update(
            without_offset=instants.without_offset, moved=instants.moved, twice=instants.twice
        )
        earliest = journey_map.earliest or EARLIEST
        latest = journey_map.latest or datetime.now(UTC) + timedelta(days=1)
        # The reason names no day of today's: the same log gives the same report tomorrow.
        beyond = f"after {latest:%Y-%m-%d}" if journey_map.latest else "in the future"
        nameless = places.filter(pl.col("touchpoint").is_null())[KEY]
        at, ids = instants.values, customers.str.to_lowercase()
        nobody = [one.lower() for one in journey_map.not_a_customer if isinstance(one, str)]
        faults = {
            "customer is empty": customers.is_null(),
            "no customer, as the map says": ids.is_in(nobody) | rows[_NOBODY],
            "time cannot be read": instants.unread,
            "time is empty": at.is_null(),
            f"implausible time, before {earliest:%Y-%m-%d}": at < earliest,
            f"implausible time, {beyond}": at >= latest,
            LATE: at > (journey_map.observed_until or latest),
            "touchpoint is empty": rows[KEY].is_in(nameless.implode()),
        }
        return rows.with_columns(customer=customers, occurred_at=at), first_reasons(faults)

    def _finish(self, rows: pl.DataFrame) -> pl.DataFrame:
        there = set(rows.columns)
        exprs: dict[str, pl.Expr | pl.Series] = {
            name: text_of(name) for name in (*_TEXTS, *in_sets(rows.columns)) if name in there
        }
        exprs |= {name: self._number(rows, name) for name in ("cost", "amount") if name in there}
        exprs |= self._rating(rows) if "rating" in there else {}
        exprs |= {"ended_at": self._ended_at(rows)} if "ended_at" in there else {}
        exprs |= {"due_at": self._due_at(rows)} if "due_at" in there else {}
        sequence: pl.Expr = pl.lit(0, pl.Int64)
        if "sequence" in rows.columns:
            sequence = pl.col("sequence").cast(pl.Int64, strict=False)
            unread = sequence.is_null() & text_of("sequence").is_not_null()
            self.log.clear("sequence is no whole number", rows.select(unread.sum()).item())
        return rows.select(
            "customer", "occurred_at", "row", KEY, sequence=sequence.fill_null(0), **exprs
        )

    def _number(self, rows: pl.DataFrame, name: str) -> pl.Series:
        journey_map, source = self.log.journey_map, self.table.source
        numbers = read_numbers(
            rows[name],
            where=f"{source}, column of {name}",
            decimal=journey_map.reading.decimal or source.decimal,
            bounds=journey_map.bounds if name == "rating" else (None, None),
        )
        written = rows.select(text_of(name).null_count()).item()
        self.log.clear(f"{name} is no number", numbers.null_count() - written)
        return numbers

    def _rating(self, rows: pl.DataFrame) -> dict[str, pl.Series]:
        """Return ratings without those that lie outside their scale, and the scale of each."""
        ratings, scales = self._number(rows, "rating"), None
        if "scale" in rows.columns:
            written = rows.select(text_of("scale")).to_series()
            scales = read_scales(written, self.log.journey_map, usual=None)
            self.log.notice(strange_scales(scales, ratings, self.log.journey_map))
        for reason, outside in off_scale(ratings, scales, self.log.journey_map).items():
            self.log.clear(reason, int(outside.sum()))
            ratings = ratings.set(outside, None)
        if scales is None:
            return {"rating": ratings}
        return {"rating": ratings, "scale": scales.set(ratings.is_null(), None)}

    def _ended_at(self, rows: pl.DataFrame) -> pl.Series:
        ended = self._times(rows, "ended_at", refuse=False)
        early = (ended.values < rows["occurred_at"]).fill_null(False)
        self.log.clear("ended_at cannot be read", int(ended.unread.sum()))
        self.log.clear("ended_at is before the contact", int(early.sum()))
        return ended.values.set(early, None)

    def _due_at(self, rows: pl.DataFrame) -> pl.Series:
        """Read by when it was promised: where only days are written, to the end of the day."""
        due = self._times(rows, "due_at", refuse=False)
        self.log.clear("due_at cannot be read", int(due.unread.sum()))
        local = due.values.dt.convert_time_zone(self.log.journey_map.time_zone or "UTC")
        days_only = (local.drop_nulls().dt.time() == time(0)).all()
        ends = local.dt.offset_by("1d") if days_only else local
        return ends.dt.convert_time_zone("UTC")


def _in_map_order(
    contacts: pl.DataFrame, places: pl.DataFrame, journey_map: JourneyMap
) -> pl.DataFrame:
    """Number contacts by the line of their touchpoint in the map, where the log does not."""
    lines = {t.name: i for i, t in reversed(list(enumerate(journey_map.touchpoints, 1)))}
    named, last = pl.col("touchpoint"), len(lines) + 1
    order = named.replace_strict(lines, default=last, return_dtype=pl.Int64)
    listed = places.select(KEY, _line=order)
    numbered = contacts.join(listed, on=KEY, how="left", maintain_order="left")
    sequence = pl.when(pl.col("sequence") == 0).then("_line").otherwise("sequence")
    return numbered.with_columns(sequence=sequence).drop("_line")


def _report(seen: Seen, reasons: dict[str, int], log: _Log) -> IngestReport:
    names = [t.name for t in log.journey_map.touchpoints]
    unmapped = _count_by(seen.counted.filter(~pl.col("is_known")), "touchpoint")
    log.notice(find_doubts(seen))
    first, last, midnight = seen.span
    return IngestReport(
        files=seen.files,
        rows_in=sum(file.rows for file in seen.files),
        contacts=seen.contacts.height,
        left_out=log.left_out,
        set_aside=reasons,
        cleared=dict(log.cleared),
        unmapped=tuple(
            UnmappedTouchpoint(name, n, nearest_name(name, names) if i < NEAREST else None)
            for i, (name, n) in enumerate(unmapped.items())
        ),
        unknown_stages=_count_by(seen.counted, "unknown_stage"),
        first_at=first,
        last_at=last,
        time_zone=seen.zone,
        without_offset=log.at_clocks["without_offset"],
        moved=log.at_clocks["moved"],
        twice=log.at_clocks["twice"],
        midnight_share=midnight,
        outside_hours=seen.outside,
        hints=tuple(log.hints),
        first_set_aside=log.first_aside,
    )


def _count_by(counted: pl.DataFrame, column: str) -> dict[str, int]:
    sums = counted.drop_nulls(column).group_by(column).agg(pl.col("len").sum())
    return dict(sums.sort("len", column, descending=[True, False]).iter_rows())
