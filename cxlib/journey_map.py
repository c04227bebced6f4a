"""The journey map: one YAML file per business that says what the log's contacts mean.

`read_journey_map` checks everything and says file, line, key and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from cxlib.contracts import INITIATORS, UNMAPPED
from cxlib.errors import MapError
from cxlib.map_file import Entry, read_entries
from cxlib.map_model import (
    COLUMNS,
    EFFORTS,
    KINDS,
    ONE_STAGE,
    PERIODS,
    RATING_COLUMNS,
    SETS,
    TIME_FORMATS,
    BesideTheLog,
    EnvironmentTable,
    Join,
    JourneyMap,
    JourneyRule,
    PlannedHandoff,
    RatingScale,
    Reading,
    Touchpoint,
    Unpivot,
    parse_duration,
)
from cxlib.opening_hours import OpeningHours, parse_opening_hours
from cxlib.persona_rules import PersonaRule, check_condition

__all__ = ["JourneyMap", "parse_journey_map", "read_journey_map"]

MAX_STAGES = 250  # stored in one byte, with a few values kept for 'none'


def read_journey_map(path: str | Path) -> JourneyMap:
    """Read and check a journey map.

    Parameters
    ----------
    path
        A YAML file in UTF-8. Its keys are the fields of `JourneyMap`, where their meaning stands;
        ``version`` (1), ``name`` and ``touchpoints`` are needed. Durations are written ``30d``,
        ``12h``, ``1h30m``, opening hours ``Mon-Fri 08:00-18:00, Sat 09:00-13:00``. Without
        ``stages`` all touchpoints are in one; for one scale ``rating_scale`` is enough.

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
    """Check the text of a journey map; `path` is what messages call it. See `read_journey_map`."""
    top = read_entries(text, file=str(path) if path is not None else "")
    known = (f.name for f in fields(JourneyMap) if f.name not in ("path", "other_names"))
    entries = top.keys((*known, "rating_scale"))
    version = top.need("version").whole(low=1)
    if version != 1:
        top.need("version").fail(f"version {version} is not known; this release reads version 1")
    columns, other_names = _columns(entries["columns"]) if "columns" in entries else ({}, {})
    scales = _rating_scales(entries)
    stages = _stages(entries["stages"]) if "stages" in entries else (ONE_STAGE,)
    touchpoints = _touchpoints(top, stages, columns)
    zone = _zone(entries["time_zone"]) if "time_zone" in entries else None
    names = list(dict.fromkeys(t.name for t in touchpoints))

    top.need("name")
    settled: dict[str, Any] = {
        "columns": columns,
        "other_names": other_names,
        "time_zone": zone,
        "rating_scales": scales,
        "stages": stages,
        "touchpoints": touchpoints,
        "path": Path(path) if path is not None else None,
    }
    given = _values(
        JourneyMap,
        {key: e for key, e in entries.items() if key not in {"rating_scale", *settled}},
        time_format=_time_format,
        earliest=lambda e: _instant(e, zone),
        latest=lambda e: _instant(e, zone, end_of_day=True),
        keep=_patterns,
        not_a_customer=_nobodies,
        unpivot=_unpivot,
        ratings=lambda e: _beside(e, [scale.name for scale in scales]),
        customers=lambda e: _beside(e, None),
        environment=lambda e: tuple(map(_environment, e.items())),
        journey=lambda e: _journey(e, names),
        opening_hours=lambda e: _hours_by_channel(e, touchpoints, columns),
        closed_dates=lambda e: _each(e.items(or_one=True), _date),
        planned_handoffs=lambda e: _planned_handoffs(e, names, "due_at" in columns),
        personas=_personas,
        period=lambda e: e.one_of(PERIODS),
        observed_until=lambda e: _instant(e, zone, end_of_day=True),
    )
    has_hours = given.get("opening_hours") or any(t.opening_hours for t in touchpoints)
    if given.get("closed_dates") and not has_hours:
        entries["closed_dates"].fail("nothing has `opening_hours` that these dates could change")
    return JourneyMap(**settled, **given)


Reader = Callable[[Entry], Any]
Kind = TypeVar("Kind")


def _record(
    kind: type[Kind], entry: Entry, allowed: Iterable[str] | None = None, /, **own: Reader
) -> Kind:
    """Read a mapping into a dataclass, of which some keys may be allowed only; see `_values`."""
    known = fields(kind)  # type: ignore[arg-type]
    given = entry.keys(allowed or [f.name for f in known])
    for f in known:
        if f.default is f.default_factory is MISSING:
            entry.need(f.name)
    return kind(**_values(kind, given, **own))


def _values(kind: type[Any], given: Mapping[str, Entry], /, **own: Reader) -> dict[str, Any]:
    """Read values of a dataclass: each in its `own` way, else as its type is written."""
    by_type: dict[str, Reader] = {
        "bool": Entry.flag,
        "float": Entry.number,
        "int": lambda e: e.whole(low=1),
        "timedelta": _duration,
        "tuple[str, ...]": _names,
        "tuple[Join, ...]": _joins,
        "OpeningHours": lambda e: e.parsed(parse_opening_hours),
        "Reading": _reading,
    }
    types = {f.name: str(f.type).removesuffix(" | None") for f in fields(kind)}
    readers = {
        name: own.get(name) or by_type.get(type_, Entry.text) for name, type_ in types.items()
    }
    return {key: readers[key](entry) for key, entry in given.items()}


def _each(
    items: Iterable[Entry],
    read: Callable[[Entry], Kind],
    called: Callable[[Kind], object] = lambda one: one,
) -> tuple[Kind, ...]:
    """Read the entries of a list, none of which may be called like another."""
    found: dict[object, Kind] = {}
    for item in items:
        one = read(item)
        name = called(one)
        if name in found:
            item.fail(f"{name} is listed twice")
        found[name] = one
    return tuple(found.values())


def _columns(entry: Entry) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the column of each role, and the further names that some files have for it."""
    columns: dict[str, str] = {}
    others: dict[str, tuple[str, ...]] = {}

    def add(role: str, names: Iterable[Entry]) -> None:
        columns[role], *further = dict.fromkeys(name.text() for name in names)
        if further:
            others[role] = tuple(further)

    for role, written in entry.keys((*COLUMNS, *SETS)).items():
        if role not in SETS:
            add(role, _filled(written))
        elif written.is_mapping():
            for name, column in written.keys(None, filled=True).items():
                add(SETS[role] + name, _filled(column))
        else:
            for column in _filled(written):
                add(SETS[role] + column.text(), [column])
    return columns, others


def _filled(entry: Entry) -> list[Entry]:
    names = list(entry.items(or_one=True))
    return names or entry.fail("name at least one column, or leave the key out")


def _names(entry: Entry) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.text() for name in entry.items(or_one=True)))


def _nobodies(entry: Entry) -> tuple[str | Mapping[str, str], ...]:
    told = [entry] if entry.is_mapping() else entry.items(or_one=True)
    return tuple(_patterns(one) if one.is_mapping() else one.text() for one in told)


def _text_by_name(entry: Entry) -> dict[str, str]:
    return {name: value.text() for name, value in entry.keys(None, filled=True).items()}


def _reading(entry: Entry) -> Reading:
    return _record(
        Reading,
        entry,
        skip_lines=lambda e: e.whole(low=0),
        decimal=lambda e: e.one_of((".", ","), "decimal mark"),
        separator=lambda e: str(e.node.value),
    )


def _joins(entry: Entry) -> tuple[Join, ...]:

    def by(keys: Entry) -> dict[str, str]:
        pairs = _text_by_name(keys) if keys.is_mapping() else {n: n for n in _names(keys)}
        missing = "name the column that both tables have, for example by: customer_id"
        return pairs or keys.fail(missing)

    tables = [entry] if entry.is_mapping() else entry.items()
    return tuple(_record(Join, table, by=by, where=_text_by_name) for table in tables)


def _unpivot(entry: Entry) -> Unpivot:
    """Read `unpivot`: steps with a column each, either of times or of flags; or numbered ones."""
    given = entry.keys(("times", "flags", "numbered"))
    if len(given) != 1:
        entry.fail(
            "name the steps under `times` or under `flags`, for example times: {paid: paid_at}, or "
            'numbered columns by their time, for example numbered: "touch # time"'
        )
    [(kind, steps)] = given.items()
    if kind == "numbered" and steps.text().count("#") != 1:
        steps.fail("write # once where the number stands, for example touch # time")
    columns: Any = steps.text() if kind == "numbered" else _text_by_name(steps)
    if kind != "numbered" and len(columns) < 2:
        steps.fail("name at least two steps, each with its column")
    return Unpivot(**{kind: columns})


def _beside(entry: Entry, scales: list[str] | None) -> BesideTheLog:
    """Read `ratings` or `customers`; `scales`: what ratings are measured on, None for customers."""
    roles = RATING_COLUMNS if scales is not None else ("customer",)
    return _record(
        BesideTheLog,
        entry,
        None if scales is not None else ("columns", "table", "join", "reading"),
        columns=lambda e: {role: column.text() for role, column in e.keys(roles).items()},
        time_format=_time_format,
        time_zone=_zone,
        scale=lambda e: e.one_of(scales) if scales else e.text(),
    )


def _stages(entry: Entry) -> tuple[str, ...]:
    def stage(item: Entry) -> str:
        if item.text() == UNMAPPED:
            item.fail(f"{UNMAPPED!r} is kept for contacts without a stage; choose another name")
        return item.text()

    names = _each(entry.items(), stage)
    if not 0 < len(names) <= MAX_STAGES:
        entry.fail(f"list between 1 and {MAX_STAGES} stages, in their order")
    return names


def _touchpoints(
    top: Entry, stages: tuple[str, ...], columns: Mapping[str, str]
) -> tuple[Touchpoint, ...]:
    """Read the touchpoints; where the map lists no stages, nothing may need their order."""
    entry, lists_stages = top.need("touchpoints"), "stages" in top.keys(None)
    if not lists_stages and "stage" in columns:
        top.fail("`columns` names a column of stages: list them in their order under `stages`")

    def stage(given: Entry) -> str:
        if not lists_stages:
            given.fail("the key 'stages' is missing: list the stages in their order")
        return given.one_of(stages)

    items = list(entry.items())
    touchpoints = [
        _record(
            Touchpoint,
            item,
            stage=stage,
            initiated_by=lambda e: e.one_of(INITIATORS),
            match=_patterns,
            kind=lambda e: e.one_of(KINDS),
            effort=lambda e: e.one_of(EFFORTS),
        )
        for item in items
    ]
    if not touchpoints:
        entry.fail("list at least one touchpoint, for example {name: product page, stage: …}")
    for item, line in zip(items, touchpoints, strict=True):
        others = [o.channel for o in touchpoints if o.name == line.name and o is not line]
        if others and line.channel in (None, *others):
            item.need("name").fail(f"{line.name!r} is listed twice; its lines need a channel each")
        if others and line.match is None and "channel" not in columns:
            item.need("name").fail(
                f"{line.name!r} has a line for each of several channels, but nothing tells them "
                "apart: `columns` names no channel column, and it has no `match`"
            )
        if lists_stages and line.stage is None and "stage" not in columns:
            item.fail(
                f"{line.name!r} has no stage, and `columns` names no stage column of the log; "
                f"add `stage:` with one of: {', '.join(stages)}"
            )
    if not lists_stages:
        return tuple(replace(touchpoint, stage=ONE_STAGE) for touchpoint in touchpoints)
    return tuple(touchpoints)


def _patterns(entry: Entry) -> dict[str, str]:
    patterns = {column: value.pattern() for column, value in entry.keys(None).items()}
    example = 'a regular expression, for example {event: "^email"}'
    return patterns or entry.fail(f"name at least one column with {example}")


def _rating_scales(entries: Mapping[str, Entry]) -> tuple[RatingScale, ...]:
    def scale(entry: Entry) -> RatingScale:
        read = _record(RatingScale, entry)
        if read.min >= read.max:
            entry.fail(f"min ({read.min:g}) must be below max ({read.max:g})")
        return read

    one, several = entries.get("rating_scale"), entries.get("rating_scales")
    if one and several:
        one.fail("write either `rating_scale` or `rating_scales`, not both")
    items = several.items() if several else filter(None, [one])
    return _each(items, scale, lambda read: read.name)


def _journey(entry: Entry, names: list[str]) -> JourneyRule:
    def touchpoints(listed: Entry) -> tuple[str, ...]:
        every = listed.items(or_one=True)
        return tuple(dict.fromkeys(t.one_of(names, "touchpoint") for t in every))

    rule = _record(JourneyRule, entry, goal=touchpoints, lost=touchpoints)
    if both := [name for name in rule.goal if name in rule.lost]:
        entry.need("lost").fail(f"{both[0]!r} is a goal and cannot be a loss too")
    return rule


def _planned_handoffs(
    entry: Entry, names: list[str], has_dates: bool
) -> tuple[PlannedHandoff, ...]:
    def known(end: Entry) -> str:
        return end.one_of(names, "touchpoint")

    def planned(item: Entry) -> PlannedHandoff:
        handoff = _record(PlannedHandoff, item, source=known, target=known)
        if handoff.promised and not has_dates:
            item.fail("nothing says by when; name the column: `columns: {due_at: …}`")
        return handoff

    return _each(entry.items(), planned, lambda handoff: f"{handoff.source} → {handoff.target}")


def _personas(entry: Entry) -> tuple[PersonaRule, ...]:
    def conditions(when: Entry) -> tuple[str, ...]:
        items = list(when.items(or_one=True))
        for item in items:
            item.parsed(check_condition)
        return tuple(item.text() for item in items)

    def persona(item: Entry) -> PersonaRule:
        rule = _record(PersonaRule, item, when=conditions)
        return rule if rule.when else item.fail(f"persona {rule.name!r} has no condition")

    return _each(entry.items(), persona, lambda rule: rule.name)


def _environment(item: Entry) -> EnvironmentTable:
    def place(entry: Entry) -> tuple[str, str]:
        pairs = list(_text_by_name(entry).items())
        if len(pairs) != 1:
            entry.fail("write one pair, such as {store: branch}")
        return pairs[0]

    given = item.keys(None)
    if ("table" in given) == ("holidays" in given) or ("holidays" in given and len(given) > 1):
        item.fail("name a `table` with its `day`, or `holidays` alone")
    return _record(EnvironmentTable, item, place=place)


def _hours_by_channel(
    entry: Entry, touchpoints: tuple[Touchpoint, ...], columns: Mapping[str, str]
) -> dict[str, OpeningHours]:
    # a log with a column of channels may name others than the map
    known = list(dict.fromkeys(t.channel for t in touchpoints if t.channel is not None))
    given = entry.keys(None, filled=True)
    for channel in given if "channel" not in columns else ():
        if channel not in known:
            given[channel].unknown(channel, known, "channel")
    return {channel: hours.parsed(parse_opening_hours) for channel, hours in given.items()}


def _date(entry: Entry) -> date:
    try:
        return date.fromisoformat(entry.text())
    except ValueError:
        entry.fail(f"{entry.text()!r} is no date; write for example 2026-12-25")


def _duration(entry: Entry) -> timedelta:
    duration = entry.parsed(parse_duration)
    if not duration:
        entry.fail("a duration must be longer than nothing")
    return duration


def _zone(entry: Entry) -> str:
    name = entry.text()
    if name not in available_timezones():
        entry.unknown(name, sorted(available_timezones()), "time zone", "Europe/Berlin")
    return name


def _time_format(entry: Entry) -> str | tuple[str, ...] | None:
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


def _instant(entry: Entry, zone: str | None, *, end_of_day: bool = False) -> datetime:
    """Read an instant, UTC; a date alone means its start, or with `end_of_day` its end."""
    written = entry.text()
    try:
        instant = datetime.fromisoformat(written)
        if end_of_day and len(written) == len("2026-10-31"):
            instant += timedelta(days=1)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=ZoneInfo(zone or "UTC"))
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day have no neighbour
        entry.fail(f"{written!r} is no date; write for example 2026-10-31 or 2026-10-31T18:00")
