"""What a journey map holds once it has been read, and how to write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from cxlib.opening_hours import ALWAYS, Calendar, OpeningHours
from cxlib.persona_rules import PersonaRule

Period = Literal["day", "week", "month", "quarter"]
TIME_FORMATS = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "excel")
"""What `time_format` may say beside strftime patterns; ``excel`` are days since 1899-12-30."""

PERIODS: tuple[str, ...] = get_args(Period)

COLUMNS = {
    "customer": "who (always text)",
    "occurred_at": "when the contact began",
    "time_of_day": "the clock time, where date and time are two columns",
    "touchpoint": "what contact",
    "channel": "by which medium",
    "stage": "phase of the journey",
    "owner": "which team answers for it",
    "initiated_by": "customer or company",
    "ended_at": "when the contact ended",
    "due_at": "by when what is planned next was promised; a day ends with it",
    "sequence": "order within one instant, a whole number",
    "rating": "what the customer rated, on the rating scale",
    "scale": "name of the rating's scale, where there are several",
    "issue": "what the contact was about",
    "cost": "cost of the contact",
    "amount": "money of the contact: what was bought, refunded, claimed",
    "comment": "what the customer said",
    "rated_at": "when a rating was given (tables of ratings)",
}
"""Our names that `columns` of a map may give a column of the log for.

Beside these a map may list any number of columns under ``environment`` and ``segments``; they are
called ``environment.NAME`` and ``segment.NAME`` in EVENTS.
"""

SETS = {"environment": "environment.", "segments": "segment."}
"""Keys of `columns` that hold any number of columns, and how the names of those begin in EVENTS."""

RATING_COLUMNS = ("customer", "rated_at", "rating", "scale", "touchpoint", "comment")
"""Our names of columns in a table of ratings."""

KINDS = ("marketing", "product", "purchase", "delivery", "service")  # `Touchpoint.kind`
EFFORTS = ("low", "medium", "high")  # of changing it, `Touchpoint.effort`
ONE_STAGE = "journey"  # the stage of all touchpoints of a map that names none
FILE = "(file)"  # column that every log has: the name of the file, without what says its kind
STEP, STEP_AT, STEP_ORDER = "(step)", "(step time)", "(step order)"  # columns that `unpivot` makes


@dataclass(frozen=True, slots=True)
class Join:
    """A table of attributes, one row for each value of its key: the name of its file (``*`` stands
    for anything), and its column by the column of the log that holds the same values; `where`: what
    columns of its rows must hold, such as the language.
    """

    table: str
    by: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unpivot:
    """A row of a wide table as one contact for each step: by step, the column that says when it was
    (`times`; empty: not taken) or whether it was (`flags`: 1, true, yes, x or a count).

    The contacts have columns ``(step)``, ``(step order)``, from 1, and with `times` ``(step
    time)``. Or `numbered`: the time of contacts that stand side by side, ``touch # time`` for
    ``touch 1 time``, ``touch 2 time``, …; their other columns are called so too (``touch # page``).
    """

    times: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    numbered: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of a log are to be read, where that is not found out or not well.

    `skip_lines`: lines above the header; `header`: the names of the columns of text files that have
    none; `comment`: what a line begins with that is no row;
    `decimal`: the mark of numbers; `sheet`: names, ``"*"`` for all; `records`: dotted path of the
    list in JSON whose elements are the contacts.
    """

    separator: str | None = None
    encoding: str | None = None
    skip_lines: int | None = None
    comment: str | None = None
    decimal: str | None = None
    sheet: tuple[str, ...] = ()
    records: str | None = None
    header: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RatingScale:
    """What ratings are called and between which values they lie; others are set aside."""

    name: str
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class JourneyRule:
    """How the contacts of one customer split into journeys.

    A silence longer than `gap` ends one (None: silence never does); `goal`, `lost`: touchpoints at
    which it has reached its goal, or ends without it; `restart` False: one customer, one journey.
    A customer with more than `max_contacts_per_day`, or with 50 contacts or more that are on
    average less than `robot_pace` apart, is taken for a robot.
    """

    gap: timedelta | None = None
    goal: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    restart: bool = True
    max_contacts_per_day: int = 500
    robot_pace: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """One contact between customer and company, as planned.

    A touchpoint on several channels may have a line for each. Stage, channel and owner are used
    where the log has no such column, or no value in it. `match`: regular expressions by raw column,
    all of which are found in a row of this touchpoint, tried in the order of the map and anchored
    only where it is written so. `repeatable` False: doing it twice is a fault, not a habit;
    `assisted`: staff is involved; `self_service`: the customer is meant to manage alone, and has
    when the episode gets to a touchpoint that `completes` it; `effort`: of changing it (`EFFORTS`);
    `opening_hours` None: as its channel.
    """

    name: str
    stage: str | None = None
    channel: str | None = None
    owner: str | None = None
    initiated_by: Literal["customer", "company"] = "customer"
    match: Mapping[str, str] | None = None
    kind: str | None = None
    repeatable: bool = True
    assisted: bool = False
    self_service: bool = False
    completes: bool = False
    effort: str | None = None
    opening_hours: OpeningHours | None = None


@dataclass(frozen=True, slots=True)
class PlannedHandoff:
    """The next step that is planned after a touchpoint, and by when; ``promised``: by what
    ``due_at`` of each contact says, and by the deadline where it says nothing.
    """

    source: str
    target: str
    deadline: timedelta
    promised: bool = False


@dataclass(frozen=True, slots=True)
class BesideTheLog:
    """How a table beside the log, of ratings or of customers, calls its columns, and how it is
    read.

    `time_format`, `time_zone`: None, as in the log; `scale`: of all its ratings; `table`: its file,
    where it is named among those of the log; `join`: tables that say what it does not, such as the
    customer of an order.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    time_format: str | tuple[str, ...] | None = None
    time_zone: str | None = None
    scale: str | None = None
    table: str | None = None
    join: tuple[Join, ...] = ()
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True)
class EnvironmentTable:
    """What surrounds contacts and stands in no log: a line of the map's `environment`.

    A file, seen from the map's folder, with one row for each (local) day, or day and place (what of
    a contact says where it was, and the table's column of that); `columns`: none named: all others.
    Or public `holidays` of a country or part of it (ISO 3166: DE, DE-BY).
    """

    table: str | None = None
    day: str = "day"
    place: tuple[str, str] | None = None
    columns: tuple[str, ...] = ()
    holidays: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyMap:
    """A checked journey map; see `read_journey_map`. Its fields stand in the order of the file.

    Parameters
    ----------
    columns
        The log's column by our name (`COLUMNS`, ``environment.NAME``, ``segment.NAME``).
    other_names
        Further names of such a column, as files call it that were written at another time.
    ratings, customers
        How the tables beside the log call their columns.
    join, unpivot, one_per
        What to do with a log that is not one row for each contact: tables of attributes to add,
        steps of a wide table, columns of which each value is one contact.
    ties_as_listed
        Whether contacts at one instant come in the order of the map's touchpoints where nothing
        says it: for logs that know the steps but not their times.
    environment
        Tables of what surrounds contacts, joined by day and place.
    rating_scales
        What is rated on which scale; the first is the one that every view shows.
    time_zone
        Of times without an offset; None: they are UTC.
    time_format
        strftime pattern of the log's times, one of `TIME_FORMATS`, or several of these, tried in
        turn; None: detected, where there is one reading only.
    earliest, latest
        Dates outside are implausible and set aside; None: 1990-01-01, and the day after today.
    keep
        Regular expressions by raw column; rows that do not match all of them are left out.
    period
        Width of the periods shown; None: chosen from the length of the log.
    observed_until
        End of follow-up; None: the last contact in the log.
    opening_hours
        By channel; waits for a touchpoint with opening hours are counted in open time.
    closed_dates
        Dates on which whatever has opening hours is closed.
    personas
        Personas by rules; the first that fits a customer is the segment ``persona``.
    reading
        How the files are to be read, where that is not found out.
    not_a_customer
        Ids that stand for none, in any case, and regular expressions by raw column, such as
        ``{is_test: "^1$"}``; their rows are set aside.
    fold_case
        Whether names and ids that differ by case are one, as the map writes them or in lower case.
    """

    version: int = 1
    name: str
    reading: Reading = field(default_factory=Reading)
    columns: Mapping[str, str] = field(default_factory=dict)
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_a_customer: tuple[str | Mapping[str, str], ...] = ()
    fold_case: bool = False
    time_zone: str | None = None
    time_format: str | tuple[str, ...] | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    join: tuple[Join, ...] = ()
    one_per: tuple[str, ...] = ()
    unpivot: Unpivot | None = None
    ties_as_listed: bool = False
    ratings: BesideTheLog = field(default_factory=BesideTheLog)
    customers: BesideTheLog = field(default_factory=BesideTheLog)
    rating_scales: tuple[RatingScale, ...] = ()
    environment: tuple[EnvironmentTable, ...] = ()
    journey: JourneyRule = field(default_factory=JourneyRule)
    opening_hours: Mapping[str, OpeningHours] = field(default_factory=dict)
    closed_dates: tuple[date, ...] = ()
    stages: tuple[str, ...]
    touchpoints: tuple[Touchpoint, ...]
    planned_handoffs: tuple[PlannedHandoff, ...] = ()
    personas: tuple[PersonaRule, ...] = ()
    period: Period | None = None
    observed_until: datetime | None = None
    path: Path | None = field(default=None, compare=False)

    @property
    def rating_scale(self) -> RatingScale | None:
        """The scale that every view shows: the first; None where the map names none."""
        return self.rating_scales[0] if self.rating_scales else None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest rating that there can be."""
        scales = self.rating_scales
        if not scales:
            return None, None
        return min(s.min for s in scales), max(s.max for s in scales)

    @property
    def marks_of_nobody(self) -> list[tuple[str, str]]:
        """Raw columns that tell rows of no customer, and the regular expressions of these."""
        told = (one for one in self.not_a_customer if not isinstance(one, str))
        return [pair for one in told for pair in one.items()]

    def named_columns(self) -> list[str]:
        """Return every column of a file that the map names, also those of tables beside the log."""
        names = [*self.columns.values(), *self.keep, *self.one_per]
        names += [column for column, _ in self.marks_of_nobody]
        names += [name for others in self.other_names.values() for name in others]
        names += [column for t in self.touchpoints for column in t.match or ()]
        names += [*self.ratings.columns.values(), *self.customers.columns.values()]
        return list(dict.fromkeys(names))

    def names_of(self, role: str) -> tuple[str, ...]:
        """Return what the log may call a column, the usual name first."""
        named = (self.columns[role],) if role in self.columns else ()
        return named + self.other_names.get(role, ())

    def set_of(self, kind: str) -> tuple[str, ...]:
        """Return the names under ``environment`` or ``segments`` of `columns`."""
        start = SETS[kind]
        return tuple(role.removeprefix(start) for role in self.columns if role.startswith(start))

    def touchpoint(self, name: str, channel: str | None = None) -> Touchpoint | None:
        """Return the line of a touchpoint, on `channel` where it has several; None: not known."""
        lines = [t for t in self.touchpoints if t.name == name]
        return next((t for t in lines if t.channel == channel), lines[0] if lines else None)

    def stage_index(self, stage: str | None) -> int | None:
        """Return the position of a stage from 0, or None where it is unmapped."""
        return self.stages.index(stage) if stage in self.stages else None

    def calendar(self, touchpoints: Iterable[str], channels: Iterable[str]) -> Calendar | None:
        """Give the opening hours of places, a touchpoint's own before those of its channel."""
        hours = []
        for name, channel in zip(touchpoints, channels, strict=True):
            line = self.touchpoint(name, channel)
            own = line.opening_hours if line is not None else None
            kept = own or self.opening_hours.get(channel)
            hours.append(None if kept == ALWAYS else kept)
        zone = self.time_zone or "UTC"
        return Calendar(zone, self.closed_dates, tuple(hours)) if any(hours) else None

    def to_yaml(self) -> str:
        """Return the map as YAML that `read_journey_map` reads back to an equal map."""
        return yaml.safe_dump(
            _plain(self), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
        )


_DURATION = re.compile(r"(?:\d+[wdhms])+")
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``30d``, ``12h``, ``15m`` (minutes), ``2w``, ``90s`` or ``1h30m``."""
    written = text.strip().lower()
    if not _DURATION.fullmatch(written) or len(written) > 20:
        raise ValueError(f"{text!r} is not a duration; write for example 30d, 12h, 15m or 1h30m")
    seconds = sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+)([wdhms])", written))
    if seconds > 365_250 * _SECONDS["d"]:
        raise ValueError(f"{text!r} is longer than a thousand years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds as `parse_duration` reads it."""
    left, written = duration // timedelta(seconds=1), ""
    for unit in "dhms":
        count, left = divmod(left, _SECONDS[unit])
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def _plain(value: Any) -> Any:
    """Turn a map into plain mappings and lists, leaving out what equals its default."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, date):  # or a datetime
        return value.isoformat()
    if isinstance(value, OpeningHours):
        return value.text
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    plain = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, EnvironmentTable) and value.place is not None:
        plain["place"] = dict([value.place])
    if isinstance(value, JourneyMap):
        plain |= {"columns": _plain_columns(value), "other_names": {}, "path": None}
    blank: tuple[Any, ...] = (None, (), {}, JourneyRule(), BesideTheLog(), Reading())
    defaults = {f.name: f.default for f in fields(value)}
    return {
        name: _plain(v)
        for name, v in plain.items()
        if name == "version" or (v not in blank and v != defaults[name])
    }


def _plain_columns(journey_map: JourneyMap) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for role in journey_map.columns:
        first, *others = journey_map.names_of(role)
        kind, name = written_in(role)
        under = plain.setdefault(kind, {}) if kind else plain
        under[name] = [first, *others] if others else first
    return plain


def written_in(role: str) -> tuple[str, str]:
    """Return the set of columns that a role belongs to, "" where to none, and its name there."""
    kind, start = next(((k, s) for k, s in SETS.items() if role.startswith(s)), ("", ""))
    return kind, role.removeprefix(start)
