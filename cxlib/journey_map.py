"""The journey map: one YAML file per business that says what the log's contacts mean.

Stages in their order, touchpoints with channel and owner, the rule that splits a customer's
contacts into journeys, planned handoffs with deadlines, and how the log's columns are called.
`read_journey_map` checks everything and says file, line, key and what is allowed; a map that was
read holds no surprises for the rooms that use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo, available_timezones

from cxlib.contracts import INITIATORS, UNMAPPED
from cxlib.errors import MapError
from cxlib.map_file import Entry, read_entries
from cxlib.map_model import (
    COLUMNS,
    CUSTOMER_COLUMNS,
    KINDS,
    PERIODS,
    RATING_COLUMNS,
    SETS,
    TIME_FORMATS,
    BesideTheLog,
    EnvironmentTable,
    JourneyMap,
    JourneyRule,
    Period,
    PlannedHandoff,
    RatingScale,
    Touchpoint,
    format_duration,
    parse_duration,
)
from cxlib.map_reading import read_reading
from cxlib.map_shapes import read_joins, read_names, read_unpivot
from cxlib.opening_hours import OpeningHours, read_closed_dates, read_opening_hours

__all__ = [
    "COLUMNS",
    "SETS",
    "BesideTheLog",
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

MAX_STAGES = 250
"""Stages are stored in one byte, with a few values kept for 'none'."""


def read_journey_map(path: str | Path) -> JourneyMap:
    """Read and check a journey map.

    Parameters
    ----------
    path
        A YAML file in UTF-8. Keys: ``version`` (1), ``name``, ``columns``, ``time_zone``,
        ``time_format``, ``earliest``, ``latest``, ``keep``, ``join``, ``unpivot``, ``one_per``,
        ``ties_as_listed``, ``ratings``, ``customers``, ``environment``,
        ``rating_scales`` (or one ``rating_scale``), ``journey``, ``stages``, ``touchpoints``,
        ``planned_handoffs``, ``period``, ``observed_until``, ``opening_hours``, ``closed_dates``;
        their meaning stands at `JourneyMap`. Durations are
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
    known = (f.name for f in fields(JourneyMap) if f.name not in ("path", "other_names"))
    entries = top.keys((*known, "rating_scale"))
    version = top.need("version").whole(low=1)
    if version != 1:
        top.need("version").fail(f"version {version} is not known; this release reads version 1")
    zone = _zone(entries.get("time_zone"))
    columns, other_names = _columns(entries.get("columns"))
    scales = _rating_scales(entries.get("rating_scales"), entries.get("rating_scale"))
    scale_names = [scale.name for scale in scales]
    stages = _stages(top.need("stages"))
    touchpoints = _touchpoints(top.need("touchpoints"), stages, columns)
    names = list(dict.fromkeys(t.name for t in touchpoints))
    period = entries.get("period")
    hours = _hours_by_channel(entries.get("opening_hours"), touchpoints, columns)
    closed = read_closed_dates(entries["closed_dates"]) if "closed_dates" in entries else ()
    if closed and not hours and not any(t.opening_hours for t in touchpoints):
        entries["closed_dates"].fail("nothing has `opening_hours` that these dates could change")
    return JourneyMap(
        version=version,
        join=read_joins(entries.get("join")),
        unpivot=read_unpivot(entries.get("unpivot")),
        one_per=read_names(entries.get("one_per")),
        ties_as_listed="ties_as_listed" in entries and entries["ties_as_listed"].flag(),
        name=top.need("name").text(),
        columns=columns,
        other_names=other_names,
        ratings=_beside(entries.get("ratings"), RATING_COLUMNS, scale_names),
        customers=_beside(entries.get("customers"), CUSTOMER_COLUMNS, None),
        time_zone=zone,
        time_format=_time_format(entries.get("time_format")),
        earliest=_instant(entries.get("earliest"), zone),
        latest=_instant(entries.get("latest"), zone, end_of_day=True),
        keep=_patterns(entries.get("keep")) or {},
        rating_scales=scales,
        environment=_environment(entries.get("environment")),
        journey=_journey(entries.get("journey"), names),
        stages=stages,
        touchpoints=touchpoints,
        planned_handoffs=_planned_handoffs(entries.get("planned_handoffs"), names),
        period=cast(Period, period.one_of(PERIODS)) if period else None,
        observed_until=_instant(entries.get("observed_until"), zone, end_of_day=True),
        opening_hours=hours,
        closed_dates=closed,
        reading=read_reading(entries.get("reading")),
        not_a_customer=_texts(entries.get("not_a_customer")),
        fold_case="fold_case" in entries and entries["fold_case"].flag(),
        path=Path(path) if path is not None else None,
    )


def _columns(entry: Entry | None) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the column of each role, and the further names that some files have for it."""
    if entry is None:
        return {}, {}
    columns: dict[str, str] = {}
    others: dict[str, tuple[str, ...]] = {}

    def add(role: str, names: Iterable[Entry]) -> None:
        found = list(dict.fromkeys(name.text() for name in names))
        columns[role] = found[0]
        if found[1:]:
            others[role] = tuple(found[1:])

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
    if not names:
        entry.fail("name at least one column, or leave the key out")
    return names


def _beside(entry: Entry | None, roles: Iterable[str], scales: list[str] | None) -> BesideTheLog:
    """Read `ratings` or `customers`; `scales`: what ratings are measured on, None for customers."""
    if entry is None:
        return BesideTheLog()
    keys = ["columns", "table", "join", "reading"]
    keys += [] if scales is None else ["time_format", "time_zone", "scale"]
    given = entry.keys(keys)
    scale = given.get("scale")
    columns = given["columns"].keys(roles) if "columns" in given else {}
    return BesideTheLog(
        columns={role: column.text() for role, column in columns.items()},
        table=given["table"].text() if "table" in given else None,
        join=read_joins(given.get("join")),
        reading=read_reading(given.get("reading")),
        time_format=_time_format(given.get("time_format")),
        time_zone=_zone(given.get("time_zone")),
        scale=None if scale is None else scale.one_of(scales) if scales else scale.text(),
    )


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
    found: dict[tuple[str, str | None], Entry] = {}
    touchpoints: list[Touchpoint] = []
    for item in entry.items():
        touchpoint = _touchpoint(item, stages)
        name = item.need("name")
        lines = {channel: line for (n, channel), line in found.items() if n == touchpoint.name}
        if touchpoint.channel in lines or None in (*lines, *(touchpoint.channel for _ in lines)):
            on = (
                f" on channel {touchpoint.channel!r}"
                if lines.get(touchpoint.channel) and touchpoint.channel
                else ""
            )
            name.fail(
                f"touchpoint {touchpoint.name!r} is listed twice{on}, first on line "
                f"{next(iter(lines.values())).line}; its lines need a channel each"
            )
        if touchpoint.stage is None and "stage" not in columns:
            item.fail(
                f"touchpoint {touchpoint.name!r} has no stage, and `columns` names no stage column "
                f"of the log; add `stage:` with one of: {', '.join(stages)}"
            )
        found[touchpoint.name, touchpoint.channel] = name
        touchpoints.append(touchpoint)
    if not touchpoints:
        entry.fail("list at least one touchpoint, for example {name: product page, stage: …}")
    for touchpoint, name in zip(touchpoints, found.values(), strict=True):
        told_apart = touchpoint.match is not None or "channel" in columns
        if not told_apart and sum(t.name == touchpoint.name for t in touchpoints) > 1:
            name.fail(
                f"touchpoint {touchpoint.name!r} has a line for each of several channels, but "
                "nothing tells them apart: `columns` names no channel column, and it has no `match`"
            )
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
        elif key == "kind":
            given[key] = entry.one_of(KINDS)
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


def _rating_scales(several: Entry | None, one: Entry | None) -> tuple[RatingScale, ...]:
    if several is not None and one is not None:
        one.fail("write either `rating_scale` or `rating_scales`, not both")
    entries = list(several.items()) if several is not None else [one] if one is not None else []
    scales: dict[str, RatingScale] = {}
    for entry in entries:
        entry.keys(("name", "min", "max"))
        name, low, high = (entry.need(key) for key in ("name", "min", "max"))
        scale = RatingScale(name.text(), low.number(), high.number())
        if scale.min >= scale.max:
            entry.fail(f"min ({scale.min:g}) must be below max ({scale.max:g})")
        if scale.name in scales:
            name.fail(f"scale {scale.name!r} is listed twice")
        scales[scale.name] = scale
    return tuple(scales.values())


def _journey(entry: Entry | None, names: list[str]) -> JourneyRule:
    if entry is None:
        return JourneyRule()
    keys = entry.keys(f.name for f in fields(JourneyRule))
    rule: dict[str, Any] = {}
    for key in ("gap", "robot_pace"):
        if key in keys:
            rule[key] = _duration(keys[key])
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


def _environment(entry: Entry | None) -> tuple[EnvironmentTable, ...]:
    tables = []
    for item in entry.items() if entry is not None else ():
        given = item.keys(("table", "day", "place", "columns", "holidays"))
        if ("table" in given) == ("holidays" in given) or ("holidays" in given and len(given) > 1):
            item.fail("name a `table` with its `day`, or `holidays` alone")
        if "holidays" in given:
            tables.append(EnvironmentTable(holidays=given["holidays"].text()))
            continue
        place = given["place"].keys(None, filled=True) if "place" in given else {}
        if "place" in given and len(place) != 1:
            given["place"].fail("write one pair, such as {store: branch}")
        tables.append(
            EnvironmentTable(
                table=given["table"].text(),
                day=given["day"].text() if "day" in given else "day",
                place=next(((name, column.text()) for name, column in place.items()), None),
                columns=read_names(given.get("columns")),
            )
        )
    return tuple(tables)


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


def _texts(entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    return tuple(dict.fromkeys(item.text() for item in entry.items(or_one=True)))


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
