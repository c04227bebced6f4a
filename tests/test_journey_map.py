"""Journey maps: each mistake is answered with file, line, key and what is allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlib.errors import MapError
from cxlib.journey_map import JourneyMap, parse_duration, parse_journey_map, read_journey_map
from cxlib.map_model import PlannedHandoff, RatingScale, Touchpoint, format_duration

SHOP = """\
version: 1
name: Demo shop
columns: {customer: client, occurred_at: when, touchpoint: contact, channel: via, rating: rating}
time_zone: Europe/Berlin          # for times without an offset
rating_scale: {name: csat, min: 0, max: 10}
journey: {gap: 30d, goal: [payment], lost: goodbye, restart: false}
stages: [awareness, exploration, conversion, aftersales]
touchpoints:
  - {name: product page, stage: exploration, channel: web, owner: marketing, initiated_by: customer}
  - {name: newsletter, stage: awareness, channel: email, owner: marketing, initiated_by: company,
     match: {event: email_sent, campaign: "^news"}}
  - {name: web basket, stage: conversion, repeatable: false, self_service: true}
  - {name: payment, stage: conversion, completes: yes}
  - {name: goodbye, stage: aftersales, assisted: true, opening_hours: Sat 10:00-12:00}
planned_handoffs:
  - {source: product page, target: web basket, deadline: 7d}
period: week
earliest: 2020-01-01
observed_until: 2026-10-31
opening_hours: {web: always, store: "Mon-Fri 08:00-18:00, Sat 09:00-13:00"}
closed_dates: [2026-12-25, 2026-12-26]
"""


def test_everything_in_a_map_is_read() -> None:
    shop = parse_journey_map(SHOP)
    assert shop.columns["customer"] == "client"
    assert shop.rating_scale == RatingScale("csat", 0, 10)
    assert shop.journey.gap == timedelta(days=30)
    assert (shop.journey.goal, shop.journey.lost) == (("payment",), ("goodbye",))
    assert not shop.journey.restart
    assert shop.planned_handoffs == (
        PlannedHandoff("product page", "web basket", timedelta(days=7)),
    )
    newsletter = shop.touchpoint("newsletter")
    assert newsletter is not None
    assert newsletter.match == {"event": "email_sent", "campaign": "^news"}
    assert newsletter.initiated_by == "company"
    assert shop.touchpoints[2] == Touchpoint(
        "web basket", "conversion", repeatable=False, self_service=True
    )
    assert shop.stage_index("conversion") == 2
    assert shop.stage_index("unmapped") is None
    assert shop.touchpoint("nothing") is None
    # A date means the whole day, in the map's own time zone.
    assert shop.observed_until == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert shop.earliest == datetime(2019, 12, 31, 23, tzinfo=UTC)


def test_a_touchpoint_has_its_own_hours_or_those_of_its_channel() -> None:
    shop = parse_journey_map(SHOP)
    touchpoints = ("product page", "payment", "goodbye", "goodbye", "unknown", "unknown")
    calendar = shop.calendar(touchpoints, ("web", "store", "store", "web", "store", "app"))
    assert calendar is not None
    assert calendar.time_zone == "Europe/Berlin"
    assert calendar.closed_dates == (date(2026, 12, 25), date(2026, 12, 26))
    saturday, store = "Sat 10:00-12:00", "Mon-Fri 08:00-18:00, Sat 09:00-13:00"
    told = [None if hours is None else hours.text for hours in calendar.hours]
    assert told == [None, store, saturday, saturday, store, None]
    assert shop.calendar(("product page",), ("web",)) is None
    # without a zone the clock is UTC's
    plain = parse_journey_map(SHOP.replace("time_zone: Europe/Berlin", "#"))
    found = plain.calendar(("payment",), ("store",))
    assert found is not None
    assert found.time_zone == "UTC"


def test_hours_may_name_any_channel_only_where_the_log_has_a_column_of_channels() -> None:
    mapped = SHOP.replace(", channel: via", "").replace("repeatable: false", "channel: store")
    assert "store" in parse_journey_map(mapped).opening_hours
    with pytest.raises(MapError, match=r"opening_hours.stoer: .*Did you mean 'store'"):
        parse_journey_map(mapped.replace("store: ", "stoer: "))


def test_a_map_is_the_same_after_writing_and_reading() -> None:
    shop = parse_journey_map(SHOP)
    assert parse_journey_map(shop.to_yaml()) == shop


def test_names_that_yaml_takes_for_something_else_stay_names() -> None:
    text = SHOP.replace("goodbye", "no").replace("web basket", "12:30").replace("payment", "1e3")
    read = parse_journey_map(text)
    assert [t.name for t in read.touchpoints][2:] == ["12:30", "1e3", "no"]
    assert parse_journey_map(read.to_yaml()) == read


MISTAKES = [
    ("stage: awareness", "stage: awarness", 10, "touchpoints[1].stage", "Did you mean 'awareness'"),
    ("name: payment", "name: newsletter", 13, "touchpoints[3].name", "listed twice"),
    ("target: web basket", "target: basket", 16, "planned_handoffs[0].target", "no touchpoint"),
    ("deadline: 7d", "deadline: soon", 16, "planned_handoffs[0].deadline", "30d, 12h"),
    ("deadline: 7d", "deadline: 0d", 16, "planned_handoffs[0].deadline", "longer than nothing"),
    (", deadline: 7d", "", 16, "planned_handoffs[0]", "'deadline' is missing"),
    ('"^news"', '"(news"', 11, "touchpoints[1].match.campaign", "unclosed group"),
    ('"^news"', '"(?=news)"', 11, "touchpoints[1].match.campaign", "look-around"),
    ("goal: [payment]", "goal: [paymnt]", 6, "journey.goal[0]", "Did you mean 'payment'"),
    ("lost: goodbye", "lost: payment", 6, "journey.lost", "cannot be a loss too"),
    ("Europe/Berlin", "Europe/Berln", 4, "time_zone", "Did you mean 'Europe/Berlin'"),
    ("name: Demo", "name: A\nname: Demo", 3, "name", "twice, first on line 2"),
    ("channel: web,", "channel: web, channel: app,", 9, "touchpoints[0].channel", "twice"),
    ("gap:", "gaap:", 6, "journey.gaap", "Did you mean 'gap'"),
    ("stages:", "stage:", 7, "stage", "Did you mean 'stages'"),
    ("{customer:", "{client:", 3, "columns.client", "no key 'client'"),
    ("min: 0", "min: 11", 5, "rating_scale", "below max"),
    ("min: 0", "min: low", 5, "rating_scale.min", "must be a number"),
    ("version: 1", "version: 2", 1, "version", "version 2 is not known"),
    ("version: 1", "version: one", 1, "version", "whole number"),
    ("period: week", "period: fortnight", 17, "period", "day, week, month, quarter"),
    ("restart: false", "restart: maybe", 6, "journey.restart", "true or false"),
    ("initiated_by: customer", "initiated_by: us", 9, "touchpoints[0].initiated_by", "company"),
    ("2026-10-31", "31.10.2026", 19, "observed_until", "2026-10-31"),
    ("[awareness, ", "[unmapped, ", 7, "stages[0]", "choose another name"),
    ("[awareness, ", "[conversion, ", 7, "stages[2]", "listed twice"),
    ("stage: exploration, ", "", 9, "touchpoints[0]", "has no stage"),
    ("name: product page, ", "", 9, "touchpoints[0]", "'name' is missing"),
    ("stages: [awareness, exploration, conversion, aftersales]", "stages: x", 7, "stages", "list"),
    ("Mon-Fri", "Mo-Fri", 20, "opening_hours.store", "'Mo-Fri 08:00-18:00, Sat"),
    ("Sat 09:00", "Fri 09:00", 20, "opening_hours.store", "none may overlap"),
    ("08:00-18:00", "18:00-08:00", 20, "opening_hours.store", "passes midnight"),
    ("18:00,", "24:30,", 20, "opening_hours.store", "no days with hours"),
    (
        '"Mon-Fri 08:00-18:00, Sat 09:00-13:00"',
        "Mon 08:00-18:00, Sat 09:00-13:00",
        20,
        "opening_hours.Sat 09:00-13:00",
        "needs quotes",
    ),
    ("Sat 10:00-12:00", "Saturdays", 14, "touchpoints[4].opening_hours", "no days with hours"),
    ("Sat 10:00-12:00", "{Sat: 10}", 14, "touchpoints[4].opening_hours", "a single value"),
    ("2026-12-26", "26.12.2026", 21, "closed_dates[1]", "write for example 2026-12-25"),
    ("2026-12-26", "2026-12-25", 21, "closed_dates[1]", "2026-12-25 is listed twice"),
    ("closed_dates", "closed_date", 21, "closed_date", "Did you mean 'closed_dates'"),
    ("opening_hours: {", "opening_ours: {", 20, "opening_ours", "Did you mean 'opening_hours'"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "key", "says"), MISTAKES)
def test_each_mistake_is_answered_with_line_key_and_what_is_allowed(
    right: str, wrong: str, line: int, key: str, says: str
) -> None:
    assert right in SHOP
    with pytest.raises(MapError) as caught:
        parse_journey_map(SHOP.replace(right, wrong, 1), path="shop.yaml")
    error = caught.value
    assert (error.file, error.line, error.key) == ("shop.yaml", line, key), str(error)
    assert says in str(error)
    assert str(error).startswith(f"shop.yaml, line {line}, {key}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "must be a mapping"),
        ("version: [1\n", "no valid YAML"),
        ("version: 1\n\tname: x\n", "no valid YAML"),
        ("version: 1\nname: x\nstages: [a]\n", "'touchpoints' is missing"),
        ("version: 1\nname: x\nstages: [a]\ntouchpoints: []\n", "at least one touchpoint"),
        ("version: 1\nname: x\nstages: []\ntouchpoints: []\n", "between 1 and"),
        ("x: \x01\n", "no valid YAML"),
        (
            "version: 1\nname: x\nstages: [a]\ntouchpoints: [{name: b, stage: a}]\n"
            "closed_dates: [2026-01-01]\n",
            "line 5, closed_dates: nothing has `opening_hours`",
        ),
        ("a: !!python/object:os.system {}\n", "no key 'a'"),
    ],
)
def test_a_file_that_is_no_map_is_answered_too(text: str, says: str) -> None:
    with pytest.raises(MapError, match=says):
        parse_journey_map(text, path="m.yaml")


def test_the_file_itself_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no such file"):
        read_journey_map(tmp_path / "nothing.yaml")
    with pytest.raises(MapError, match="this is a folder"):
        read_journey_map(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: Müller".encode("latin-1"))
    with pytest.raises(MapError, match="not UTF-8"):
        read_journey_map(tmp_path / "latin.yaml")
    (tmp_path / "good.yaml").write_text("\ufeff" + SHOP, encoding="utf-8")
    assert read_journey_map(tmp_path / "good.yaml").path == tmp_path / "good.yaml"


@given(st.integers(min_value=1, max_value=10**9))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "30", "d", "1.5d", "-3d", "3 d", "9" * 30 + "d", "9999999w"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


_NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=12
)


@given(st.lists(_NAMES, min_size=1, max_size=6, unique=True), st.integers(1, 400))
def test_any_names_survive_writing_and_reading(names: list[str], days: int) -> None:
    written = JourneyMap(
        name=names[0],
        stages=("first", "second"),
        touchpoints=tuple(Touchpoint(n, "first", channel=n, owner=n) for n in names),
        planned_handoffs=(PlannedHandoff(names[0], names[-1], timedelta(days=days)),),
    )
    assert parse_journey_map(written.to_yaml()) == written


@pytest.mark.parametrize("name", ["bpic2012", "receipt"])
def test_the_maps_of_the_public_logs_are_right(name: str) -> None:
    folder = Path(__file__).resolve().parents[1] / "data" / "maps"
    read = read_journey_map(folder / f"{name}.yaml")
    assert not read.journey.restart
    assert parse_journey_map(read.to_yaml()) == read


COLUMNS = """\
columns:
  customer: [client_id, clientId]
  occurred_at: at
  touchpoint: what
  channel: via
  environment: [device, {0}]
  segments: {{plan: [plan, Plan], region: area}}
"""


def test_columns_may_have_several_names_and_there_may_be_several_of_a_kind() -> None:
    text = SHOP.replace(SHOP.splitlines()[2] + "\n", COLUMNS.format("site"))
    read = parse_journey_map(text)
    assert read.names_of("customer") == ("client_id", "clientId")
    assert read.set_of("environment") == ("device", "site")
    assert read.set_of("segments") == ("plan", "region")
    assert read.names_of("segment.plan") == ("plan", "Plan")
    assert read.names_of("segment.region") == ("area",)
    assert parse_journey_map(read.to_yaml()) == read
    # one environment is what earlier maps name
    one = parse_journey_map(SHOP.replace("rating: rating}", "environment: place}"))
    assert one.columns["environment.place"] == "place"
    assert parse_journey_map(one.to_yaml()) == one


def test_scales_tables_beside_the_log_and_kinds_are_read() -> None:
    several = "rating_scales: [{name: csat, min: 0, max: 10}, {name: ces, min: 1, max: 7}]"
    beside = (
        "ratings: {columns: {customer: ref, rating: Q1}, time_format: '%d.%m.%Y', scale: ces}\n"
        "customers: {columns: {customer: id}}"
    )
    text = SHOP.replace("rating_scale: {name: csat, min: 0, max: 10}", f"{several}\n{beside}")
    read = parse_journey_map(text.replace("completes: yes", "completes: yes, kind: purchase"))
    assert [s.name for s in read.rating_scales] == ["csat", "ces"]
    assert read.rating_scale == RatingScale("csat", 0, 10)
    assert dict(read.ratings.columns) == {"customer": "ref", "rating": "Q1"}
    assert (read.ratings.time_format, read.ratings.scale) == ("%d.%m.%Y", "ces")
    assert dict(read.customers.columns) == {"customer": "id"}
    assert [t.kind for t in read.touchpoints if t.name == "payment"] == ["purchase"]
    assert parse_journey_map(read.to_yaml()) == read
    for wrong, says in (
        (text.replace("scale: ces}", "scale: nps}"), "there is no scale 'nps'; allowed: csat, ces"),
        (text.replace("name: ces,", "name: csat,"), "csat is listed twice"),
        (text.replace("rating: Q1}", "score: Q1}"), "there is no key 'score'"),
        (text + "rating_scale: {name: x, min: 0, max: 1}\n", "not both"),
        (text.replace("completes: yes", "kind: sales"), "there is no kind 'sales'"),
    ):
        with pytest.raises(MapError, match=says):
            parse_journey_map(wrong)


def test_a_touchpoint_may_have_a_line_for_each_channel() -> None:
    lines = (
        "  - {name: help, stage: aftersales, channel: phone, owner: desk, assisted: true}\n"
        "  - {name: help, stage: aftersales, channel: web, owner: shop, opening_hours: always}\n"
    )
    text = SHOP.replace("planned_handoffs:", lines + "planned_handoffs:")
    read = parse_journey_map(text)
    phone, web = read.touchpoint("help", "phone"), read.touchpoint("help", "web")
    assert phone is not None
    assert web is not None
    assert (phone.owner, phone.assisted, web.owner, web.assisted) == ("desk", True, "shop", False)
    assert read.touchpoint("help", "elsewhere") == phone
    assert parse_journey_map(read.to_yaml()) == read
    with pytest.raises(MapError, match="listed twice; its lines need"):
        parse_journey_map(text.replace("channel: phone", "channel: web"))
    with pytest.raises(MapError, match="nothing tells them apart"):
        parse_journey_map(text.replace(", channel: via", ""))
