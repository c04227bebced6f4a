"""The ingest report: one page that says what became of every row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cxlib.ingest.masking import NOT_MASKED
from cxlib.tables import Written, plain
from cxlib.visible import visible

AFTER_SORTING = {
    "duplicate": "duplicates",
    "another answer about one contact (kept with the ratings)": "further_answers",
    "robot": "robot_contacts",
}
"""Reasons that only sorted contacts show, and the count of each."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file that was read: name, format, rows, for text its encoding, separator and lines."""

    name: str
    format: str
    rows: int
    encoding: str | None = None
    separator: str | None = None
    note: str = ""
    lines: int | None = None


@dataclass(frozen=True, slots=True)
class UnmappedTouchpoint:
    """A touchpoint that the map does not know, its contacts, and the known name like it."""

    name: str
    contacts: int
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class OutsideHours:
    """A touchpoint with opening hours, its contacts, and how many of them lie outside."""

    touchpoint: str
    channel: str
    contacts: int
    outside: int

    @property
    def share(self) -> float:
        """Share of the contacts outside the opening hours."""
        return self.outside / self.contacts if self.contacts else 0.0


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the rows of a log: ``rows_in = contacts + left_out + sum(set_aside)``.

    Counts of the store (customers, journeys, ties, duplicates, robots) are None before the contacts
    are sorted. `cleared`: values that were emptied, by reason, the contact kept; `moved`, `twice`:
    times in the hour that a change to summer time leaves out, and in the one that occurs twice;
    `midnight_share` near 1: the log has dates only; `first_set_aside`: by reason the first such
    row; `tables_set_aside`: rows of tables of customers and ratings.
    """

    files: tuple[FileReport, ...]
    rows_in: int
    contacts: int
    left_out: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    cleared: Mapping[str, int] = field(default_factory=dict)
    unmapped: tuple[UnmappedTouchpoint, ...] = ()
    unknown_stages: Mapping[str, int] = field(default_factory=dict)
    first_at: datetime | None = None
    last_at: datetime | None = None
    time_zone: str = "UTC"
    without_offset: int = 0
    moved: int = 0
    twice: int = 0
    midnight_share: float = 0.0
    hints: tuple[str, ...] = ()
    customers: int | None = None
    journeys: int | None = None
    tied_timestamps: int | None = None
    duplicates: int | None = None
    further_answers: int | None = None
    robots: int | None = None
    robot_contacts: int | None = None
    segments_left_out: tuple[str, ...] = ()
    segments_rarer: Mapping[str, int] = field(default_factory=dict)
    customers_without_segment: int | None = None
    ratings: Mapping[str, Any] | None = None
    masked: Mapping[str, int] = field(default_factory=dict)
    environments_joined: Mapping[str, int] = field(default_factory=dict)
    tables_set_aside: Mapping[str, int] = field(default_factory=dict)
    segments_varying: Mapping[str, int] = field(default_factory=dict)
    environments_rarer: Mapping[str, int] = field(default_factory=dict)
    outside_hours: tuple[OutsideHours, ...] = ()
    first_set_aside: Mapping[str, str] = field(default_factory=dict)

    def with_store_counts(self, **counts: Any) -> IngestReport:
        """Return the report completed by what only sorted contacts show."""
        after = {reason: counts.get(key) for reason, key in AFTER_SORTING.items()}
        set_aside = {**self.set_aside, **{reason: int(n) for reason, n in after.items() if n}}
        contacts = self.rows_in - self.left_out - sum(set_aside.values())
        counts["segments_left_out"] = tuple(counts.get("segments_left_out", ()))
        return replace(self, **{"contacts": contacts, **counts, "set_aside": set_aside})

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values that JSON can hold; instants as ISO 8601."""
        return dict(plain(asdict(self)))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> IngestReport:
        """Return the report from what `to_dict` gave, as a workspace keeps it."""
        restored: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
        }
        kinds: list[type[Any]] = [FileReport, UnmappedTouchpoint, OutsideHours]
        for name, kind in zip(("files", "unmapped", "outside_hours"), kinds, strict=True):
            restored[name] = tuple(kind(**row) for row in content.get(name, ()))
        for name in ("first_at", "last_at"):
            restored[name] = content.get(name) and datetime.fromisoformat(content[name])
        return cls(**restored)

    def to_text(self) -> str:
        """Return the report for a terminal."""
        from rich.cells import cell_len

        parts = []
        for title, told in self._sections():
            rows = [(visible(label), visible(value)) for label, value in told]
            width = max((cell_len(label) for label, _ in rows), default=0)
            lines = [f"  {k}{' ' * (width - cell_len(k))}  {value}".rstrip() for k, value in rows]
            parts.append("\n".join([title, *lines]))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        return "".join(
            Written(("", ""), tuple(rows), (False, False)).to_html(caption=title)
            for title, rows in self._sections()
        )

    def _sections(self) -> Iterator[tuple[str, Lines]]:
        yield "Rows", list(self._row_lines())
        yield "Contacts", list(self._contact_lines())
        masked = [*_counts(self.masked), ("not masked", NOT_MASKED)] if self.masked else []
        meant = {u.name: f"  did you mean {u.nearest!r}?" for u in self.unmapped if u.nearest}
        of = [(u.name, f"{u.contacts:,}{meant.get(u.name, '')}") for u in self.unmapped]
        closed = [
            (o.touchpoint, _of(o.outside, o.contacts)) for o in self.outside_hours if o.outside
        ]
        files = zip(_short_names(self.files), map(_file_line, self.files), strict=True)
        optional: dict[str, Lines] = {
            "Values emptied, the contact kept": _counts(self.cleared),
            "Contacts with what the map's `environment` says": _counts(self.environments_joined),
            "Personal data masked in comments": masked,
            "Rows about customers that were set aside": _counts(self.tables_set_aside),
            "Touchpoints the map does not know (kept, most frequent first)": _first(of),
            "Stages the map does not have (kept as unmapped)": _counts(self.unknown_stages),
            "Contacts outside the opening hours (kept)": _first(closed),
            "Files": _first(list(files)),
            "To look at": [(f"{i}.", hint) for i, hint in enumerate(self.hints, 1)],
        }
        yield from ((title, lines) for title, lines in optional.items() if lines)

    def _row_lines(self) -> Iterator[tuple[str, str]]:
        yield "in the files", f"{self.rows_in:,}"
        yield "kept as contacts", _of(self.contacts, self.rows_in)
        if self.left_out:
            yield "left out by `keep`", _of(self.left_out, self.rows_in)
        for reason, rows in sorted(self.set_aside.items(), key=lambda item: -item[1]):
            first = self.first_set_aside.get(reason)
            shown = f"{_of(rows, self.rows_in)}{f', first {first}' if first else ''}"
            yield f"set aside: {reason}", shown

    def _contact_lines(self) -> Iterator[tuple[str, str]]:
        if self.customers is not None:
            yield "customers", f"{self.customers:,}"
        if self.journeys is not None:
            yield "journeys", f"{self.journeys:,}"
        if self.first_at is not None and self.last_at is not None:
            yield "first", self._clock(self.first_at)
            yield "last", self._clock(self.last_at)
        if self.without_offset:
            yield "times without offset", f"{self.without_offset:,}, taken as {self.time_zone}"
        if self.moved or self.twice:
            moved, twice = f"{self.moved:,} in no hour", f"{self.twice:,} in a double hour"
            yield "at clock changes", f"{moved}, moved one on; {twice}, first"
        yield "at exactly midnight", f"{self.midnight_share:.1%}"
        if self.tied_timestamps is not None:
            yield "tied in time", _of(self.tied_timestamps, self.contacts)
        if self.robots:
            yield "robots", f"{self.robots:,} customers"
        if self.ratings:
            said = (
                f"{v:,} {k}" if isinstance(v, int) else f"{v} {k}" for k, v in self.ratings.items()
            )
            yield "ratings", ", ".join(said)
        for name, customers in self.segments_varying.items():
            yield "segment changes", f"{name} for {customers:,} customers; the first value counts"
        rare = {"environment": self.environments_rarer, "segment": self.segments_rarer}
        yield from (
            (kind, f"{name} has {values:,} rare values, which are put together")
            for kind, rarer in rare.items()
            for name, values in rarer.items()
        )
        if self.customers_without_segment:
            yield "customers without segment", f"{self.customers_without_segment:,}"
        if self.segments_left_out:
            yield "segments left out", ", ".join(self.segments_left_out)

    def _clock(self, at: datetime) -> str:
        """Write an instant on the clock of the map, whose day is the local one, and in UTC."""
        utc = f"{at:%Y-%m-%d %H:%M} UTC"
        if self.time_zone == "UTC":
            return utc
        return f"{at.astimezone(ZoneInfo(self.time_zone)):%Y-%m-%d %H:%M} {self.time_zone} ({utc})"


Lines = list[tuple[str, str]]


def _counts(counts: Mapping[str, int]) -> Lines:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return _first([(name, f"{n:,}") for name, n in ordered])


def _first(lines: Lines) -> Lines:
    more = [(f"and {len(lines) - 20:,} more", "")] if len(lines) > 20 else []
    return lines[:20] + more


def _of(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"


def _short_names(files: Iterable[FileReport]) -> list[str]:
    """Name files without the folder that they share: whose disk they lie on is nobody's matter."""
    paths = [Path(file.name) for file in files]
    shared = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    return [path.relative_to(shared).as_posix() for path in paths]


def _file_line(file: FileReport) -> str:
    names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    of_lines = f" in {file.lines:,} lines" if file.lines is not None else ""
    separator = file.separator and f"separator {names.get(file.separator, repr(file.separator))}"
    told = (file.format, f"{file.rows:,} rows{of_lines}", file.encoding, separator, file.note)
    return ", ".join(part for part in told if part)
