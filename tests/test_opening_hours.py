"""Opening hours against a clock read minute by minute, and every mistake in writing them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxlib.opening_hours import ALWAYS, Calendar, parse_opening_hours

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTE = timedelta(minutes=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
#: Weeks in which the clocks of some of these zones change, and one over the turn of a year.
WEEKS = (
    datetime(2025, 3, 8, tzinfo=UTC),
    datetime(2025, 3, 27, tzinfo=UTC),
    datetime(2025, 10, 3, tzinfo=UTC),
    datetime(2025, 10, 23, tzinfo=UTC),
    datetime(2025, 12, 29, tzinfo=UTC),
)
SPAN = 12 * 24 * 60
ALL_DAY = tuple((day * 1440, day * 1440 + 1440) for day in range(7))


def open_minutes(week, closed, zone, start):
    """Whether the clock on the wall shows an open time, minute by minute from `start`."""
    found = []
    for minute in range(SPAN):
        wall = (start + minute * MINUTE).astimezone(ZoneInfo(zone))
        now = wall.weekday() * 1440 + wall.hour * 60 + wall.minute
        found.append(wall.date() not in closed and any(a <= now < b for a, b in week))
    return np.array(found)


def series(minutes, start):
    at = pl.Series([start + int(m) * MINUTE for m in minutes], dtype=pl.Datetime("us", "UTC"))
    return pl.Series([0] * len(at), dtype=pl.UInt16), at


def lasting(minutes):
    return pl.Series([int(m) * MINUTE for m in minutes], dtype=pl.Duration("us"))


def write(week):
    """The text of ranges in minutes of the week."""
    clock = "{:02d}:{:02d}".format
    return ", ".join(
        f"{DAYS[a // 1440]} {clock(*divmod(a % 1440, 60))}-"
        f"{clock(*divmod(b - a // 1440 * 1440, 60))}"
        for a, b in week
    )


@st.composite
def weeks(draw):
    """Ranges that do not overlap, on some days of a week; now and then a whole day."""
    week = []
    for day in draw(st.sets(st.integers(0, 6), min_size=1)):
        edges = draw(
            st.just([0, 1440])
            | st.lists(st.integers(0, 1440), min_size=2, max_size=6, unique=True).map(sorted)
        )
        pairs = zip(edges[::2], edges[1::2], strict=False)
        week += [(day * 1440 + a, day * 1440 + b) for a, b in pairs]
    return tuple(sorted(week))


@settings(deadline=None, max_examples=30)
@given(
    week=weeks(),
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(WEEKS),
    closed=st.sets(st.integers(0, 12), max_size=3),
    pairs=st.lists(st.tuples(st.integers(0, SPAN), st.integers(0, SPAN)), min_size=1, max_size=60),
)
# the hours lie within the hour that the clock of Berlin leaves out, or shows twice
@example(((6 * 1440 + 135, 6 * 1440 + 165),), ZONES[0], WEEKS[1], set(), [(0, SPAN), (4560, 4600)])
@example(((6 * 1440 + 135, 6 * 1440 + 165),), ZONES[0], WEEKS[3], set(), [(0, SPAN), (4460, 4550)])
@example(ALL_DAY, ZONES[0], WEEKS[3], {2}, [(0, SPAN), (4400, 4600)])
def test_open_time_is_what_a_walk_by_the_minute_counts(week, zone, start, closed, pairs):
    dates = tuple((start + timedelta(days=d)).date() for d in sorted(closed))
    hours = parse_opening_hours(write(week))
    assert hours.week == week
    calendar = Calendar(zone, dates, (hours,))
    walked = open_minutes(week, dates, zone, start)
    before = np.concatenate([[0], np.cumsum(walked)])
    first, last = np.sort(np.array(pairs), axis=1).T
    place, at = series(last, start)
    waits = calendar.open_waits(place, at, lasting(last - first))
    assert (waits.dt.total_minutes().to_numpy() == before[last] - before[first]).all()
    inside = np.minimum(last, SPAN - 1)
    assert (calendar.is_open(*series(inside, start)).to_numpy() == walked[inside]).all()
    # the inverse: the first minute by which so much open time has passed
    begun = series(first, start)[1]
    back = calendar.after(0, begun, waits)
    told = ((back - start).dt.total_minutes()).to_numpy()
    some = (waits.dt.total_minutes() > 0).to_numpy()
    reached = np.searchsorted(before, before[last], "left")
    assert (told[some] == reached[some]).all()


def test_open_time_is_exact_to_the_microsecond_and_splits():
    calendar = Calendar("Europe/Berlin", (), (parse_opening_hours("Mon-Fri 08:00-18:00"), None))
    start = datetime(2025, 6, 6, 15, 59, 59, 999_999, tzinfo=UTC)  # Friday, just before closing
    at = pl.Series([datetime(2025, 6, 9, 6, 0, 0, 3, tzinfo=UTC)] * 2)
    wait = at - pl.Series([start] * 2)
    waits = calendar.open_waits(pl.Series([0, 1], dtype=pl.UInt16), at, wait)
    assert waits.to_list() == [timedelta(microseconds=4), wait[0]]
    assert calendar.is_open(pl.Series([0, 1]), at).to_list() == [True, None]
    assert calendar.shares.tolist() == [50 / 168, 1.0]


def test_a_contact_outside_the_hours_is_neither_lost_nor_below_nothing():
    calendar = Calendar("UTC", (date(2025, 6, 9),), (parse_opening_hours("Mon 08:00-18:00"),))
    at = pl.Series([datetime(2025, 6, 9, 12, tzinfo=UTC), datetime(2025, 6, 16, 20, tzinfo=UTC)])
    waits = calendar.open_waits(pl.Series([0, 0]), at, pl.Series([timedelta(days=3)] * 2))
    assert waits.to_list() == [timedelta(0), timedelta(hours=10)]


def test_hours_that_are_all_closed_pass_no_time():
    year = tuple(date(2024, 12, 1) + timedelta(days=d) for d in range(430))
    calendar = Calendar("UTC", year, (parse_opening_hours("Mon-Sun 00:00-24:00"),))
    at = pl.Series([datetime(2025, 6, 9, 12, tzinfo=UTC)])
    assert calendar.open_waits(pl.Series([0]), at, pl.Series([timedelta(3)]))[0] == timedelta(0)
    assert calendar.is_open(pl.Series([0]), at).to_list() == [False]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("Mon-Fri 08:00-18:00, Sat 09:00-13:00", None),
        (" monday–FRI 8:00 – 18:00,Sat 09:00-13:00 ", "Mon-Fri 08:00-18:00, Sat 09:00-13:00"),
        ("Mon, Wed 08:00-12:00, 13:00-17:00, Sun 10:00-11:00", "Mon 08:00-12:00, Mon 13:00-17:00, "
         "Wed 08:00-12:00, Wed 13:00-17:00, Sun 10:00-11:00"),
        ("Mon 08:00-12:00, 12:00-24:00", "Mon 08:00-12:00, Mon 12:00-24:00"),
    ],
)  # fmt: skip
def test_hours_are_read_as_people_write_them(text, means):
    read = parse_opening_hours(text)
    assert read.week == parse_opening_hours(means or text).week
    assert parse_opening_hours(read.text) == read
    assert parse_opening_hours(" Always") == ALWAYS
    assert ALWAYS.share == 1


@pytest.mark.parametrize(
    "text",
    [
        "Mo-Fri 08:00-18:00",
        "Mon-Fri 18:00-08:00",
        "Mon-Fri 08:00-08:00",
        "Fri-Mon 08:00-18:00",
        "Sun-Tue 08:00-18:00",
        "Mon 08:00-12:00, Mon-Tue 11:00-13:00",
        "Mon, Mon 08:00-12:00",
        "Mon-Fri 08:00-24:01",
        "Mon-Fri 24:00-24:00",
        "Mon-Fri 08:60-18:00",
        "Mon-Fri 8-18",
        "08:00-18:00",
        "Mon-Fri",
        "Mon 08:00-18:00, Tue",
        "Mon 08:00-18:00,",
        "Mon-Wed-Fri 08:00-18:00",
        "weekdays 08:00-18:00",
        "",
    ],
)
def test_each_mistake_in_hours_says_what_to_write(text):
    with pytest.raises(ValueError, match="write for example Mon-Fri") as caught:
        parse_opening_hours(text)
    assert repr(text) in str(caught.value)
