"""The journey map: one YAML file per business that says what the log's contacts mean.

Stages in their order, touchpoints with channel and owner, the rule that splits a customer's
contacts into journeys, planned handoffs with deadlines, and how the log's columns are called.
`read_journey_map` checks everything and says file, line, key and what is allowed; a map that was
read holds no surprises for the rooms that use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

import yaml

from cxlib.contracts import INITIATORS, UNMAPPED
from cxlib.errors import MapError
from cxlib.map_file import Entry, read_entries
from cxlib.map_reading import Reading, read_reading
from cxlib.opening_hours import (
    ALWAYS,
    Calendar,
    OpeningHours,
    read_closed_dates,
    read_opening_hours,
)

__all__ = [
    "COLUMNS",
    "JourneyMap",
    "JourneyRule",
    "PlannedHandoff",
    "RatingScale",
    "Touchpoint",
    "format_duration",
    "parse_duration",
    "parse_journey_map",
    "read_journey_map",
]

Period = Literal["day", "week", "month", "quarter"]
PERIODS = ("day", "week", "month", "quarter")

COLUMNS = {
    "customer": "who (always text)",
    "occurred_at": "when the contact began",
    "touchpoint": "what contact",
    "channel": "by which medium",
    "stage": "phase of the journey",
    "owner": "which team answers for it",
    "initiated_by": "customer or company",
    "ended_at": "when the contact ended",
    "sequence": "order within one instant, a whole number",
    "rating": "what the customer rated, on the rating scale",
    "environment": "device, page version, store, opening hours",
    "issue": "what the contact was about",
    "cost": "cost of the contact",
    "comment": "what the customer said",
    "rated_at": "when a rating was given (tables of ratings)",
}
"""Our names that `columns` of a map may give a column of the log for."""

TIME_FORMATS = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "excel")
"""What `time_format` may say beside strftime patterns; ``excel`` are days since 1899-12-30."""

MAX_STAGES = 250
"""Stages are stored in one byte, with a few values kept for 'none'."""


@dataclass(frozen=True, slots=True)
class RatingScale:
    """What ratings are called and between which values they lie; others are set aside."""

    name: str
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class JourneyRule:
    """How the contacts of one customer split into journeys.

    Parameters
    ----------
    gap
        A silence longer than this ends a journey; None: silence never does.
    goal, lost
        Touchpoints at which a journey has reached its goal, or ends without it.
    restart
        Whether a customer may begin another journey after goal or loss; False: one customer, one
        journey.
    max_contacts_per_day
        A customer with more contacts than this on one day is taken for a robot.
    """

    gap: timedelta | None = None
    goal: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    restart: bool = True
    max_contacts_per_day: int = 500


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """One contact between customer and company, as planned.

    Parameters
    ----------
    name
        As the log calls it, or, with `match`, as it shall be called.
    stage, channel, owner
        Used where the log has no such column, or no value in it.
    initiated_by
        ``"customer"`` or ``"company"``.
    match
        Regular expressions by raw column of the log; a row is this touchpoint when all are found in
        it. An expression is anchored only where it is written so (``^``, ``$``). Touchpoints are
        tried in the order of the map.
    repeatable
        False: doing it twice is a fault, not a habit (filling in a form, proving an identity).
    assisted, self_service
        Whether staff is involved, or the customer is meant to manage alone.
    completes
        A self-service episode that gets here is finished; one that does not is unfinished.
    opening_hours
        When it can be reached, on the clock of the map's time zone; None: as its channel.
    """

    name: str
    stage: str | None = None
    channel: str | None = None
    owner: str | None = None
    initiated_by: Literal["customer", "company"] = "customer"
    match: Mapping[str, str] | None = None
    repeatable: bool = True
    assisted: bool = False
    self_service: bool = False
    completes: bool = False
    opening_hours: OpeningHours | None = None


@dataclass(frozen=True, slots=True)
class PlannedHandoff:
    """The next step that is planned after a touchpoint, and by when."""

    source: str
    target: str
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class JourneyMap:
    """A checked journey map; see `read_journey_map`.

    Parameters
    ----------
    columns
        The log's column by our name (`COLUMNS`).
    time_zone
        Of times without an offset; None: they are UTC.
    time_format
        strftime pattern of the log's times, one of `TIME_FORMATS`, or several of these, tried in
        turn; None: detected where there is one reading only.
    earliest, latest
        Dates outside are implausible and set aside; None: 1990-01-01, and the day after today.
    keep
        Regular expressions by raw column; rows that do not match all of them are no contacts and
        are left out.
    period
        Width of the periods shown; None: chosen from the length of the log.
    observed_until
        End of follow-up; None: the last contact in the log.
    opening_hours
        By channel; waits for a touchpoint with opening hours are counted in open time.
    closed_dates
        Dates on which whatever has opening hours is closed.
    reading
        How the files are to be read, where that is not found out.
    """

    name: str
    stages: tuple[str, ...]
    touchpoints: tuple[Touchpoint, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    time_zone: str | None = None
    time_format: str | tuple[str, ...] | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    rating_scale: RatingScale | None = None
    journey: JourneyRule = field(default_factory=JourneyRule)
    planned_handoffs: tuple[PlannedHandoff, ...] = ()
    period: Period | None = None
    observed_until: datetime | None = None
    opening_hours: Mapping[str, OpeningHours] = field(default_factory=dict)
    closed_dates: tuple[date, ...] = ()
    reading: Reading = field(default_factory=Reading)
    path: Path | None = field(default=None, compare=False)

    def touchpoint(self, name: str) -> Touchpoint | None:
        """Return the touchpoint of this name, or None where the map does not know it."""
        return next((t for t in self.touchpoints if t.name == name), None)

    def stage_index(self, stage: str | None) -> int | None:
        """Return the position of a stage from 0, or None where it is unmapped."""
        return self.stages.index(stage) if stage in self.stages else None

    def calendar(self, touchpoints: Iterable[str], channels: Iterable[str]) -> Calendar | None:
        """Give the opening hours of places, by their touchpoints and channels; None: none has any.

        A touchpoint's own hours come before those of its channel.
        """
        own = {t.name: t.opening_hours for t in self.touchpoints if t.opening_hours is not None}
        hours = tuple(
            own.get(touchpoint, self.opening_hours.get(channel))
            for touchpoint, channel in zip(touchpoints, channels, strict=True)
        )
        hours = tuple(None if h == ALWAYS else h for h in hours)
        if not any(hours):
            return None
        return Calendar(self.time_zone or "UTC", self.closed_dates, hours)

    def to_yaml(self) -> str:
        """Return the map as YAML that `read_journey_map` reads back to an equal map."""
        return yaml.safe_dump(
            _plain(self), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
        )


def read_journey_map(path: str | Path) -> JourneyMap:
    """Read and check a journey map.

    Parameters
    ----------
    path
        A YAML file in UTF-8. Keys: ``version`` (1), ``name``, ``columns``, ``time_zone``,
        ``time_format``, ``earliest``, ``latest``, ``keep``, ``rating_scale``, ``journey``,
        ``stages``, ``touchpoints``, ``planned_handoffs``, ``period``, ``observed_until``,
        ``opening_hours``, ``closed_dates``; their meaning stands at `JourneyMap`. Durations are
        written ``30d``, ``12h``, ``1h30m``, opening hours ``Mon-Fri 08:00-18:00, Sat 09:00-13:00``.

    Raises
    ------
    MapError
        Says file, line, key, what is wrong and what is allowed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MapError("there is no such file; `cx init` proposes one", file=str(path)) from None
    except IsADirectoryError:
        raise MapError("this is a folder; name the YAML file in it", file=str(path)) from None
    except UnicodeDecodeError:
        raise MapError("this is not UTF-8 text; save it as UTF-8", file=str(path)) from None
    return parse_journey_map(text, path=path)


def parse_journey_map(text: str, *, path: str | Path | None = None) -> JourneyMap:
    """Check the text of a journey map; `path` is what messages call it. See `read_journey_map`.

    Examples
    --------
    >>> shop = parse_journey_map('''
    ... version: 1
    ... name: Shop
    ... journey: {gap: 30d, goal: [payment]}
    ... stages: [exploration, conversion]
    ... touchpoints:
    ...   - {name: product page, stage: exploration, channel: web}
    ...   - {name: payment, stage: conversion, channel: web}
    ... ''')
    >>> shop.journey.gap
    datetime.timedelta(days=30)
    """
    top = read_entries(text, file=str(path) if path is not None else "")
    entries = top.keys(f.name for f in fields(JourneyMap) if f.name != "path")
    version = top.need("version").whole(low=1)
    if version != 1:
        top.need("version").fail(f"version {version} is not known; this release reads version 1")
    zone = _zone(entries.get("time_zone"))
    columns = _columns(entries.get("columns"))
    stages = _stages(top.need("stages"))
    touchpoints = _touchpoints(top.need("touchpoints"), stages, columns)
    names = [t.name for t in touchpoints]
    period = entries.get("period")
    hours = _hours_by_channel(entries.get("opening_hours"), touchpoints, columns)
    closed = read_closed_dates(entries["closed_dates"]) if "closed_dates" in entries else ()
    if closed and not hours and not any(t.opening_hours for t in touchpoints):
        entries["closed_dates"].fail("nothing has `opening_hours` that these dates could change")
    return JourneyMap(
        version=version,
        name=top.need("name").text(),
        columns=columns,
        time_zone=zone,
        time_format=_time_format(entries.get("time_format")),
        earliest=_instant(entries.get("earliest"), zone),
        latest=_instant(entries.get("latest"), zone, end_of_day=True),
        keep=_patterns(entries.get("keep")) or {},
        rating_scale=_rating_scale(entries.get("rating_scale")),
        journey=_journey(entries.get("journey"), names),
        stages=stages,
        touchpoints=touchpoints,
        planned_handoffs=_planned_handoffs(entries.get("planned_handoffs"), names),
        period=cast(Period, period.one_of(PERIODS)) if period else None,
        observed_until=_instant(entries.get("observed_until"), zone, end_of_day=True),
        opening_hours=hours,
        closed_dates=closed,
        reading=read_reading(entries.get("reading")),
        path=Path(path) if path is not None else None,
    )


_DURATION = re.compile(r"(?:\d+[wdhms])+")
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``30d``, ``12h``, ``15m`` (minutes), ``2w``, ``90s`` or ``1h30m``.

    Raises
    ------
    ValueError
        Where the text is not such a duration, or is longer than a thousand years.

    Examples
    --------
    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    written = text.strip().lower()
    if not _DURATION.fullmatch(written) or len(written) > 20:
        raise ValueError(f"{text!r} is not a duration; write for example 30d, 12h, 15m or 1h30m")
    parts = re.findall(r"(\d+)([wdhms])", written)
    try:
        total = sum((int(n) * _UNITS[unit] for n, unit in parts), timedelta())
    except OverflowError:
        total = timedelta.max
    if total > timedelta(days=365_250):
        raise ValueError(f"{text!r} is longer than a thousand years")
    return total


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds as `parse_duration` reads it.

    Examples
    --------
    >>> format_duration(timedelta(days=30)), format_duration(timedelta(seconds=5400))
    ('30d', '1h30m')
    """
    left, written = duration, ""
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def _columns(entry: Entry | None) -> dict[str, str]:
    if entry is None:
        return {}
    return {name: column.text() for name, column in entry.keys(COLUMNS).items()}


def _stages(entry: Entry) -> tuple[str, ...]:
    names: list[str] = []
    for stage in entry.items():
        name = stage.text()
        if name == UNMAPPED:
            stage.fail(f"{UNMAPPED!r} is kept for contacts without a stage; choose another name")
        if name in names:
            stage.fail(f"stage {name!r} is listed twice")
        names.append(name)
    if not 0 < len(names) <= MAX_STAGES:
        entry.fail(f"list between 1 and {MAX_STAGES} stages, in their order")
    return tuple(names)


def _touchpoints(
    entry: Entry, stages: tuple[str, ...], columns: Mapping[str, str]
) -> tuple[Touchpoint, ...]:
    found: dict[str, Entry] = {}
    touchpoints = []
    for item in entry.items():
        touchpoint = _touchpoint(item, stages)
        name = item.need("name")
        if touchpoint.name in found:
            first = found[touchpoint.name].line
            name.fail(f"touchpoint {touchpoint.name!r} is listed twice, first on line {first}")
        if touchpoint.stage is None and "stage" not in columns:
            item.fail(
                f"touchpoint {touchpoint.name!r} has no stage, and `columns` names no stage column "
                f"of the log; add `stage:` with one of: {', '.join(stages)}"
            )
        found[touchpoint.name] = name
        touchpoints.append(touchpoint)
    if not touchpoints:
        entry.fail("list at least one touchpoint, for example {name: product page, stage: …}")
    return tuple(touchpoints)


def _touchpoint(item: Entry, stages: tuple[str, ...]) -> Touchpoint:
    keys = item.keys(f.name for f in fields(Touchpoint))
    given: dict[str, Any] = {"name": item.need("name").text()}
    for key, entry in keys.items():
        if key == "stage":
            given[key] = entry.one_of(stages)
        elif key == "initiated_by":
            given[key] = entry.one_of(INITIATORS)
        elif key == "match":
            given[key] = _patterns(entry)
        elif key in ("repeatable", "assisted", "self_service", "completes"):
            given[key] = entry.flag()
        elif key == "opening_hours":
            given[key] = read_opening_hours(entry)
        else:
            given[key] = entry.text()
    return Touchpoint(**given)


def _patterns(entry: Entry | None) -> dict[str, str] | None:
    if entry is None:
        return None
    patterns = {column: value.pattern() for column, value in entry.keys(None).items()}
    if not patterns:
        entry.fail(
            'name at least one column with a regular expression, for example {event: "^email"}'
        )
    return patterns


def _rating_scale(entry: Entry | None) -> RatingScale | None:
    if entry is None:
        return None
    entry.keys(("name", "min", "max"))
    scale = RatingScale(
        entry.need("name").text(), entry.need("min").number(), entry.need("max").number()
    )
    if scale.min >= scale.max:
        entry.fail(f"min ({scale.min:g}) must be below max ({scale.max:g})")
    return scale


def _journey(entry: Entry | None, names: list[str]) -> JourneyRule:
    if entry is None:
        return JourneyRule()
    keys = entry.keys(f.name for f in fields(JourneyRule))
    rule: dict[str, Any] = {}
    if "gap" in keys:
        rule["gap"] = _duration(keys["gap"])
    for key in ("goal", "lost"):
        if key in keys:
            touchpoints = keys[key].items(or_one=True)
            rule[key] = tuple(dict.fromkeys(t.one_of(names, "touchpoint") for t in touchpoints))
    both = [name for name in rule.get("goal", ()) if name in rule.get("lost", ())]
    if both:
        keys["lost"].fail(f"{both[0]!r} is a goal and cannot be a loss too")
    if "restart" in keys:
        rule["restart"] = keys["restart"].flag()
    if "max_contacts_per_day" in keys:
        rule["max_contacts_per_day"] = keys["max_contacts_per_day"].whole(low=1)
    return JourneyRule(**rule)


def _planned_handoffs(entry: Entry | None, names: list[str]) -> tuple[PlannedHandoff, ...]:
    planned: dict[tuple[str, str], PlannedHandoff] = {}
    for item in entry.items() if entry is not None else ():
        item.keys(("source", "target", "deadline"))
        source = item.need("source").one_of(names, "touchpoint")
        target = item.need("target").one_of(names, "touchpoint")
        if (source, target) in planned:
            item.fail(f"the handoff {source!r} → {target!r} is planned twice")
        planned[source, target] = PlannedHandoff(source, target, _duration(item.need("deadline")))
    return tuple(planned.values())


def _hours_by_channel(
    entry: Entry | None, touchpoints: tuple[Touchpoint, ...], columns: Mapping[str, str]
) -> dict[str, OpeningHours]:
    if entry is None:
        return {}
    # a log with a column of channels may name others than the map
    known = list(dict.fromkeys(t.channel for t in touchpoints if t.channel is not None))
    given = entry.keys(None, filled=True)
    for channel in given if "channel" not in columns else ():
        if channel not in known:
            given[channel].unknown(channel, known, "channel")
    return {channel: read_opening_hours(hours) for channel, hours in given.items()}


def _duration(entry: Entry) -> timedelta:
    try:
        duration = parse_duration(entry.text())
    except ValueError as error:
        entry.fail(str(error))
    if not duration:
        entry.fail("a duration must be longer than nothing")
    return duration


def _zone(entry: Entry | None) -> str | None:
    if entry is None:
        return None
    name = entry.text()
    if name not in available_timezones():
        entry.unknown(name, sorted(available_timezones()), "time zone", "Europe/Berlin")
    return name


def _time_format(entry: Entry | None) -> str | tuple[str, ...] | None:
    if entry is None:
        return None
    formats = []
    for item in entry.items(or_one=True):
        written = item.text()
        if written not in TIME_FORMATS and "%" not in written:
            item.fail(
                f'{written!r} is no time format; write "%d.%m.%Y %H:%M" or the like, or one of: '
                f"{', '.join(TIME_FORMATS)}"
            )
        formats.append(written)
    return formats[0] if len(formats) == 1 else tuple(formats) or None


def _instant(entry: Entry | None, zone: str | None, *, end_of_day: bool = False) -> datetime | None:
    """Read an instant, UTC; a date alone means its start, or with `end_of_day` its end."""
    if entry is None:
        return None
    written = entry.text()
    try:
        instant = datetime.fromisoformat(written)
    except ValueError:
        entry.fail(f"{written!r} is no date; write for example 2026-10-31 or 2026-10-31T18:00")
    if end_of_day and len(written) == len("2026-10-31"):
        instant += timedelta(days=1)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(zone or "UTC"))
    return instant.astimezone(UTC)


def _plain(value: Any) -> Any:
    """Turn a map into plain mappings and lists, leaving out what equals its default."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, OpeningHours):
        return value.text
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    order = [f.name for f in fields(value) if f.name != "path"]
    if isinstance(value, JourneyMap):
        order = [
            "version", "name", "columns", "reading", "time_zone", "time_format", "earliest", "latest", "keep",
            "rating_scale", "journey", "opening_hours", "closed_dates", "stages", "touchpoints",
            "planned_handoffs", "period", "observed_until",
        ]  # fmt: skip
    blank: tuple[Any, ...] = (None, (), {}, JourneyRule(), Reading())
    plain = {name: getattr(value, name) for name in order}
    defaults = {f.name: f.default for f in fields(value)}
    return {
        name: _plain(v)
        for name, v in plain.items()
        if name == "version" or (v not in blank and v != defaults[name])
    }
