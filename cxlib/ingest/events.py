"""Exports in, contacts out: `read_events` also says what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from cxlib.contracts import EVENTS
from cxlib.errors import InputError, nearest_name
from cxlib.ingest.cells import read_ids, text_of
from cxlib.ingest.clocks import INSTANT
from cxlib.ingest.columns import (
    KEY,
    check_found,
    content_hash,
    find_columns,
    in_sets,
    merge_names,
    place_columns,
    recognise,
)
from cxlib.ingest.doubts import count_outside_hours, doubts_about
from cxlib.ingest.instants import Instants, read_instants
from cxlib.ingest.nested import add_named
from cxlib.ingest.numbers import check_clear, off_scale, read_numbers, read_scales, strange_scales
from cxlib.ingest.raw import first_reasons, set_aside
from cxlib.ingest.report import FileReport, IngestReport, UnmappedTouchpoint
from cxlib.ingest.shapes import shape_tables
from cxlib.ingest.sources import Paths, Source, find_sources
from cxlib.ingest.tables import LINE, POSITION, RawTable, read_table
from cxlib.ingest.xes import read_xes
from cxlib.journey_map import COLUMNS, BesideTheLog, JourneyMap
from cxlib.map_model import Reading

__all__ = ["Ingested", "read_events", "read_source"]

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Contacts before this are implausible unless the map says otherwise (`earliest`)."""

LATE = "later than observed_until"
"""Why rows after the end of observation that the map states are set aside."""

_TEXTS = ("issue", "comment")
_ANSWER = ("rating", "scale", "comment")
_OPTIONAL = ("ended_at", "scale", "rating", "cost", "amount", *_TEXTS)


@dataclass(frozen=True, slots=True, eq=False)
class Ingested:
    """What `read_events` returns.

    Parameters
    ----------
    events
        EVENTS, in no order, exact duplicates included: equal in `row`, and found where they are
        sorted.
    quarantine
        QUARANTINE: the rows set aside.
    report
        What became of every row.
    journey_map
        The map they were read by.
    """

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
        distinct = keys.unique().collect(engine="streaming")
        contacts = self.report.contacts
        instants = distinct.select("customer", "occurred_at").unique().height
        return self.report.with_store_counts(
            customers=distinct["customer"].n_unique(),
            duplicates=contacts - distinct.height,
            tied_timestamps=distinct.height - instants,
        )


@dataclass(slots=True)
class _Tally:
    """Counts that files add up to."""

    rows_in: int = 0
    left_out: int = 0
    without_offset: int = 0
    moved: int = 0
    twice: int = 0
    cleared: Counter[str] = field(default_factory=Counter)
    hints: dict[str, None] = field(default_factory=dict)

    def notice(self, hints: Iterable[str]) -> None:
        """Keep what to look at, each sentence once."""
        self.hints.update(dict.fromkeys(hints))

    def clear(self, reason: str, rows: int) -> None:
        """Count values that were emptied."""
        if rows:
            self.cleared[reason] += rows


@dataclass(frozen=True, slots=True)
class _Part:
    """One file: contacts with `KEY`, what the keys mean, the rows set aside, and its columns."""

    contacts: pl.DataFrame
    places: pl.DataFrame
    quarantine: pl.DataFrame
    columns: list[str]
    file: FileReport


def read_source(
    source: Source,
    journey_map: JourneyMap | None = None,
    *,
    beside: BesideTheLog | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> RawTable:
    """Read one file of any format as it stands; what the map says of its files helps.

    A table beside the log is read as its own `reading` says, else as the log's, but for what is
    true of single files only: separator, lines above the header, sheets, lists.
    """
    reading = journey_map.reading if journey_map is not None else Reading()
    if beside is not None:
        kept = Reading(encoding=reading.encoding, decimal=reading.decimal)
        reading = beside.reading if beside.reading != Reading() else kept
    if separator is not None or encoding is not None:
        reading = replace(
            reading,
            separator=separator or reading.separator,
            encoding=encoding or reading.encoding,
        )
    if source.format == "xes":
        return read_xes(source)
    if journey_map is None:
        return read_table(source, reading)
    named = journey_map.named_columns()
    table = read_table(source, reading, wanted=(*COLUMNS, *named))
    decimal = reading.decimal or ("." if source.is_typed else None)
    return add_named(table, named, decimal=decimal)


def read_events(
    paths: Paths,
    journey_map: JourneyMap,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ingested:
    """Read a log into EVENTS.

    Parameters
    ----------
    paths
        Files, globs or folders of CSV, TSV, JSON, Parquet, XES or Excel, also compressed.
    journey_map
        Says what columns and touchpoints mean. Columns it does not name are looked for under our
        own names, then under those of XES (``case:concept:name``, ``time:timestamp``,
        ``concept:name``).
    separator, encoding
        Of text files; None: detected, and said in the report.
    progress
        Called with a line of text for each file.

    Returns
    -------
    Ingested
        The contacts, the rows set aside with the reason, and the report. Set aside are malformed
        rows and rows without customer, time or touchpoint, or with a time that cannot be read or is
        implausible (before 1990 or after tomorrow, unless the map says otherwise) or later than the
        map's `observed_until`.

    Raises
    ------
    InputError
        Where a file cannot be read, a column is missing, most times cannot be read, or no row is
        left.
    """
    tally, parts = _Tally(), []

    def read(source: Source) -> RawTable:
        if progress is not None:
            progress(f"reading {source}")
        return read_source(source, journey_map, separator=separator, encoding=encoding)

    for table in shape_tables(find_sources(paths), journey_map, read):
        merged = merge_names(table, journey_map)
        matched = any(t.match for t in journey_map.touchpoints)
        needed = ("customer", "occurred_at", *(() if matched else ("touchpoint",)))
        roles = find_columns(merged.columns, journey_map, source=str(table.source), required=needed)
        parts.append(_File(merged, journey_map, roles, tally).read())
    missing = check_found(journey_map, {c: None for part in parts for c in part.columns})
    tally.notice(missing)
    contacts = pl.concat([p.contacts for p in parts], how="diagonal", rechunk=False)
    places = pl.concat([p.places for p in parts]).unique(KEY, keep="first", maintain_order=True)
    quarantine = pl.concat([p.quarantine for p in parts])
    if not contacts.height:
        raise InputError(_nothing_left(quarantine, tally))
    report = _report(contacts, places, quarantine, journey_map, tally, tuple(p.file for p in parts))
    return Ingested(_events(contacts, places), quarantine, report, journey_map)


@dataclass(frozen=True, slots=True)
class _File:
    """One file, with the columns that play a role, while contacts are made of it."""

    table: RawTable
    journey_map: JourneyMap
    roles: Mapping[str, str]
    tally: _Tally

    def read(self) -> _Part:
        table, tally, journey_map = self.table, self.tally, self.journey_map
        tally.notice(table.hints)
        rows, contents = self._collect()
        lines = table.lines.total if table.lines is not None else None
        count = rows.height + table.malformed.height
        file = FileReport(
            str(table.source), table.source.format, count, table.encoding, table.separator,
            note=table.note, lines=lines,
        )  # fmt: skip
        tally.rows_in += count
        places = recognise(contents, journey_map, self.roles)
        if (out := places.filter(~pl.col("is_kept"))[KEY]).len():
            kept = rows.filter(~pl.col(KEY).is_in(out.implode()))
            tally.left_out += rows.height - kept.height
            rows = kept
        rows, reasons = self._who_and_when(rows, places)
        quarantine = set_aside(table, rows[LINE], reasons, self.roles)
        contacts = self._finish(rows if reasons is None else rows.filter(reasons.is_null()))
        if journey_map.ties_as_listed:
            contacts = _in_map_order(contacts, places, journey_map)
        return _Part(contacts, places, quarantine, table.columns, file)

    def _collect(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take what is needed from the file in one pass: rows, and distinct deciding contents."""
        schema, roles = self.table.frame.collect_schema(), self.roles
        asked = ("customer", "occurred_at", "sequence", *_OPTIONAL, *in_sets(roles))
        ours = {name: pl.col(roles[name]) for name in asked if name in roles}
        if POSITION in schema:
            ours.setdefault("sequence", pl.col(POSITION))
        deciding = place_columns(self.journey_map, roles)
        here = [c for c in deciding if c in schema]
        # Two lines about one contact on two scales are one contact with two answers.
        answer = {roles[name] for name in _ANSWER if name in roles} if "scale" in roles else set()
        # Deciding columns get numbers for names, since a raw column may be called like one of ours.
        numbered = {f"\x00{i}": c for i, c in enumerate(here)}
        rows = self.table.collect(
            pl.col(LINE),
            content_hash([c for c in self.table.columns if c not in answer]).alias("row"),
            content_hash(here).alias(KEY),
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
            time_zone=self.journey_map.time_zone,
            time_format=self.journey_map.time_format,
            refuse=refuse,
        )

    def _who_and_when(
        self, rows: pl.DataFrame, places: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.Series | None]:
        """Read customers and times; say why rows must be set aside, None where none must."""
        tally, journey_map = self.tally, self.journey_map
        where = f"{self.table.source}, column {self.roles['customer']!r}"
        ids = read_ids(rows["customer"], where=where)
        instants = self._times(rows, "occurred_at", refuse=True)
        tally.notice((*ids.hints, *instants.hints))
        tally.without_offset += instants.without_offset
        tally.moved += instants.moved
        tally.twice += instants.twice
        customers = ids.values.str.to_lowercase() if journey_map.fold_case else ids.values
        earliest = journey_map.earliest or EARLIEST
        latest = journey_map.latest or datetime.now(UTC) + timedelta(days=1)
        # The reason names no day of today's: the same log gives the same report tomorrow.
        beyond = f"after {latest:%Y-%m-%d}" if journey_map.latest else "in the future"
        nameless = places.filter(pl.col("touchpoint").is_null())[KEY]
        at, nobody = instants.values, [name.lower() for name in journey_map.not_a_customer]
        faults = {
            "customer is empty": customers.is_null(),
            "no customer, as the map says": customers.str.to_lowercase().is_in(nobody),
            "time cannot be read": instants.unread,
            "time is empty": at.is_null(),
            f"implausible time, before {earliest:%Y-%m-%d}": at < earliest,
            f"implausible time, {beyond}": at >= latest,
            LATE: at > (journey_map.observed_until or latest),
            "touchpoint is empty": rows[KEY].is_in(nameless.implode()),
        }
        return rows.with_columns(customer=customers, occurred_at=at), first_reasons(faults)

    def _finish(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Read the optional cells, and give every part the same columns."""
        exprs: dict[str, pl.Expr | pl.Series] = {
            name: text_of(name) if name in rows.columns else pl.lit(None, pl.String)
            for name in (*_TEXTS, *in_sets(rows.columns))
        }
        exprs |= {name: self._number(rows, name) for name in ("cost", "amount")}
        exprs["rating"], exprs["scale"] = self._rating(rows)
        exprs["ended_at"] = self._ended_at(rows)
        sequence: pl.Expr = pl.lit(0, pl.Int64)
        if "sequence" in rows.columns:
            sequence = pl.col("sequence").cast(pl.Int64, strict=False)
            unread = sequence.is_null() & text_of("sequence").is_not_null()
            self.tally.clear("sequence is no whole number", rows.select(unread.sum()).item())
            sequence = sequence.fill_null(0)
        return rows.select("customer", "occurred_at", "row", KEY, sequence=sequence, **exprs)

    def _number(self, rows: pl.DataFrame, name: str) -> pl.Series:
        if name not in rows.columns:
            return _nothing(rows, pl.Float64)
        bounds = self.journey_map.bounds if name == "rating" else (None, None)
        source = self.table.source
        decimal = self.journey_map.reading.decimal or ("." if source.is_typed else None)
        read = read_numbers(rows[name], decimal=decimal, bounds=bounds)
        numbers = check_clear(read, where=f"{source}, column of {name}")
        written = rows.select(text_of(name).null_count()).item()
        self.tally.clear(f"{name} is no number", numbers.null_count() - written)
        return numbers

    def _rating(self, rows: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return ratings without those that lie outside their scale, and the scale of each."""
        ratings, scales, none = self._number(rows, "rating"), None, _nothing(rows, pl.String)
        if "rating" not in rows.columns:
            return ratings, none
        if "scale" in rows.columns:
            written = rows.select(text_of("scale")).to_series()
            scales = read_scales(written, self.journey_map, usual=None)
            self.tally.notice(strange_scales(scales, ratings, self.journey_map))
        for reason, outside in off_scale(ratings, scales, self.journey_map).items():
            if beyond := int(outside.sum()):
                self.tally.clear(reason, beyond)
                ratings = ratings.set(outside, None)
        return ratings, none if scales is None else scales.zip_with(ratings.is_not_null(), none)

    def _ended_at(self, rows: pl.DataFrame) -> pl.Series:
        if "ended_at" not in rows.columns:
            return _nothing(rows, INSTANT)
        ended = self._times(rows, "ended_at", refuse=False)
        self.tally.clear("ended_at cannot be read", int(ended.unread.sum()))
        early = (ended.values < rows["occurred_at"]).fill_null(False)
        self.tally.clear("ended_at is before the contact", int(early.sum()))
        return ended.values.set(early, None) if early.any() else ended.values


def _nothing(rows: pl.DataFrame, dtype: DataType | DataTypeClass) -> pl.Series:
    return pl.repeat(None, rows.height, dtype=dtype, eager=True)


def _in_map_order(
    contacts: pl.DataFrame, places: pl.DataFrame, journey_map: JourneyMap
) -> pl.DataFrame:
    """Number contacts by the line of their touchpoint in the map, where the log does not."""
    lines = {t.name: i for i, t in reversed(list(enumerate(journey_map.touchpoints, 1)))}
    order = pl.col("touchpoint").replace_strict(
        lines, default=len(lines) + 1, return_dtype=pl.Int64
    )
    listed = places.select(KEY, order.alias("_line"))
    numbered = contacts.join(listed, on=KEY, how="left", maintain_order="left")
    sequence = pl.when(pl.col("sequence") == 0).then("_line").otherwise("sequence")
    return numbered.with_columns(sequence=sequence).drop("_line")


def _events(contacts: pl.DataFrame, places: pl.DataFrame) -> pl.LazyFrame:
    """Return EVENTS, in which what a row is, is looked up only when it is asked for."""
    named = places.lazy().select(KEY, "touchpoint", "channel", "stage", "owner", "initiated_by")
    joined = contacts.lazy().join(named, on=KEY, how="left")
    return joined.select(*EVENTS.schema.names(), *in_sets(contacts.columns))


def _report(
    contacts: pl.DataFrame,
    places: pl.DataFrame,
    quarantine: pl.DataFrame,
    journey_map: JourneyMap,
    tally: _Tally,
    files: tuple[FileReport, ...],
) -> IngestReport:
    counted = contacts.group_by(KEY).len().join(places, on=KEY, how="left")
    names = [t.name for t in journey_map.touchpoints]
    unmapped = _count_by(counted.filter(~pl.col("is_known")), "touchpoint")
    zone = journey_map.time_zone or "UTC"
    wall = pl.col("occurred_at").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    facts = contacts.lazy().select(
        first=pl.col("occurred_at").min(),
        last=pl.col("occurred_at").max(),
        midnight=(wall.dt.truncate("1d") == wall).mean(),
    )
    first, last, midnight = facts.collect(engine="streaming").row(0)
    dates_only = midnight > 0.9
    outside = () if dates_only else count_outside_hours(contacts, places, journey_map)
    doubts = doubts_about(
        contacts,
        places,
        quarantine,
        files=files,
        outside=outside,
        midnight=midnight,
        journey_map=journey_map,
    )
    tally.notice(doubts)
    return IngestReport(
        files=files,
        rows_in=tally.rows_in,
        contacts=contacts.height,
        left_out=tally.left_out,
        set_aside=_count_by(quarantine.with_columns(len=pl.lit(1)), "reason"),
        cleared=dict(tally.cleared),
        unmapped=tuple(
            UnmappedTouchpoint(name, n, nearest_name(name, names)) for name, n in unmapped.items()
        ),
        unknown_stages=_count_by(counted, "unknown_stage"),
        first_at=first,
        last_at=last,
        time_zone=zone,
        without_offset=tally.without_offset,
        moved=tally.moved,
        twice=tally.twice,
        midnight_share=midnight,
        outside_hours=outside,
        hints=tuple(tally.hints),
    )


def _count_by(counted: pl.DataFrame, column: str) -> dict[str, int]:
    sums = counted.drop_nulls(column).group_by(column).agg(pl.col("len").sum())
    return dict(
        sums.sort(["len", column], descending=[True, False]).select(column, "len").iter_rows()
    )


def _nothing_left(quarantine: pl.DataFrame, tally: _Tally) -> str:
    reasons = _count_by(quarantine.with_columns(len=pl.lit(1)), "reason")
    if tally.left_out:
        reasons["left out by `keep`"] = tally.left_out
    listed = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
    return f"no row of the log became a contact: {listed}; mend the log or the map"
