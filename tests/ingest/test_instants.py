"""Times: every spelling of one instant is that instant, and what is not certain is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlib.errors import InputError
from cxlib.ingest.instants import guess_time_format, read_instants

WALLS = st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2037-01-01"))

SPELLINGS = [
    "2026-03-04T05:06:07Z",
    "2026-03-04T05:06:07.000Z",
    "2026-03-04 05:06:07.000000+00:00",
    "2026-03-04T06:06:07+01:00",
    "2026-03-04T06:06:07+0100",
    "2026-03-04T06:06:07 +0100",
    "2026-03-04 06:06:07+01",
    "2026-03-03T21:06:07-08:00",
    "2026-03-04T05:06:07",
    "2026-03-04 05:06:07",
    "2026-03-04 05:06:07,000",
    "2026/03/04 05:06:07",
    "20260304T050607",
    "20260304T050607Z",
    "2026-03-04 05:06:07 UTC",
    " 2026-03-04T05:06:07Z ",
]


def test_all_spellings_in_one_column_are_one_instant() -> None:
    read = read_instants(pl.Series(SPELLINGS), where="t")
    assert read.values.unique().to_list() == [datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)]
    assert not read.unread.any()
    assert read.without_offset == 5


@pytest.mark.parametrize("text", SPELLINGS)
def test_each_spelling_is_read_alone(text: str) -> None:
    read = read_instants(pl.Series([text]), where="t")
    assert read.values.to_list() == [datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)]


@given(
    st.lists(
        st.tuples(
            WALLS,
            st.integers(-14 * 4, 14 * 4),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_mixed_offsets_give_what_python_says(
    written: list[tuple[datetime, int, bool]],
) -> None:
    aware = [t.replace(tzinfo=timezone(timedelta(minutes=15 * q))) for t, q, _ in written]
    texts = [
        t.isoformat(sep="T" if flag else " ")
        for t, (_, _, flag) in zip(aware, written, strict=True)
    ]
    read = read_instants(pl.Series(texts), where="t")
    assert read.values.to_list() == aware
    assert read.without_offset == 0


@given(st.lists(WALLS, min_size=1, max_size=20))
def test_wall_times_give_what_the_time_zone_database_says(walls: list[datetime]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    read = read_instants(
        pl.Series([w.isoformat(sep=" ") for w in walls]), where="t", time_zone="Europe/Berlin"
    )
    # zoneinfo takes the first of two equal hours, and shifts a missing hour forward, as we do.
    assert read.values.to_list() == [w.replace(tzinfo=zone).astimezone(UTC) for w in walls]


def test_clock_changes_are_counted() -> None:
    walls = ["2024-03-31 02:30", "2024-10-27 02:30", "2024-07-01 02:30", "2024-01-01 02:30"]
    read = read_instants(pl.Series(walls), where="t", time_zone="Europe/Berlin")
    expected = [(3, 31, 1), (10, 27, 0), (7, 1, 0), (1, 1, 1)]
    assert read.values.to_list() == [
        datetime(2024, month, day, hour, 30, tzinfo=UTC) for month, day, hour in expected
    ]
    assert (read.moved, read.twice, read.without_offset) == (1, 1, 4)


@pytest.mark.parametrize(
    ("raw", "time_format"),
    [
        (["1700000000", "1700000000.0"], None),
        (["1700000000000"], None),
        ([1700000000], None),
        ([1700000000000], None),
        (["1700000000"], "epoch_s"),
        (["14.11.2023 22:13:20"], "%d.%m.%Y %H:%M:%S"),
        (["11/14/23 10:13:20 PM"], "%m/%d/%y %I:%M:%S %p"),
        (["20231114221320"], "%Y%m%d%H%M%S"),
    ],
)
def test_epochs_and_given_formats(raw: list[object], time_format: str | None) -> None:
    read = read_instants(pl.Series(raw), where="t", time_format=time_format)
    assert set(read.values.to_list()) == {datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}


def test_one_number_among_dates_is_no_epoch() -> None:
    read = read_instants(pl.Series(["1700000000", "2026-01-01", "2026-01-02"]), where="t")
    assert read.unread.to_list() == [True, False, False]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["05/01/2024 10:00"], r'day or month first\?.*"%d/%m/%Y %H:%M" or time_format: "%m/%d/%Y'),
        (["05.01.2024"], "day or month first"),
        (["05/01/24", "06/01/24"], "day or month first"),
        (["25/01/24"], "day or month first"),
        (["13/05/2024", "05/13/2024"], "day or month first"),
        (["45356", "45357"], "time_format: excel"),
        (["yesterday", "today"], "2 time\\(s\\) cannot be read, first 'yesterday'"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_way_out(texts: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_instants(pl.Series(texts), where="log.csv, column 'when'")


def test_the_pattern_that_a_refusal_proposes_works() -> None:
    texts = ["25/01/2024 1:05:09 PM", "02/01/2024 11:59:59 AM"]
    guess = guess_time_format(texts)
    assert guess is not None
    assert guess[1]
    read = read_instants(pl.Series(texts), where="t", time_format=guess[0])
    assert read.values.to_list() == [
        datetime(2024, 1, 25, 13, 5, 9, tzinfo=UTC),
        datetime(2024, 1, 2, 11, 59, 59, tzinfo=UTC),
    ]


def test_a_wrong_format_in_the_map_is_named() -> None:
    with pytest.raises(InputError, match=r"mend `time_format` in the map, which says '%d\.%m\.%Y'"):
        read_instants(pl.Series(["2024-01-01"]), where="t", time_format="%d.%m.%Y")


TEN = datetime(2024, 3, 5, 10, tzinfo=UTC)
ONE_READING = [
    ("2024-3-5 10:00", TEN), ("2024-03-05T10:00:00.Z", TEN), ("2024-03-05t10:00:00z", TEN),
    ("2024-03-05T10:00:00.123456789Z", TEN + timedelta(microseconds=123456)),
    ("2024-03-05T11:00:00 +1", TEN), ("2024-03-05 11:00:00 +01:00:00", TEN),
    ("2024-03-05T15:30+05:30", TEN), ("2024-03-05T05:00\u221205:00", TEN),
    ("2024-03-05 10:00:00,250", TEN + timedelta(milliseconds=250)), ("2024.03.05 10:00", TEN),
    ("2024-03-05 11:00 CET", TEN), ("2024-07-05 12:00 CEST", TEN + timedelta(days=122)),
    ("2024-03-05 11:00 MEZ", TEN), ("2024-07-05 12:00:00 MESZ", TEN + timedelta(days=122)),
    ("2024-03-05 05:00:00 EST", TEN), ("2024-03-05 02:00 PST", TEN), ("2024-03-05 10:00 gmt", TEN),
    ("2024-03-05T11:00+01:00[Europe/Berlin]", TEN), ("2024-03-04 24:00", TEN - timedelta(hours=10)),
    ("2024-03-05 10:00 a. m.", TEN), ("2024-03-05 10:00 A.M.", TEN), ("2024-03-05, 10:00 Uhr", TEN),
    ("2024-W10-2T10:00Z", TEN), ("2024W102T100000Z", TEN), ("2024-065 10:00", TEN),
    ("20240305T1000", TEN), ("20240305 10:00:00", TEN), ("20240305T100000.000Z", TEN),
    ("5 Mar 2024 10:00", TEN), ("5. M\xe4rz 2024 10:00", TEN),
    ("Tue, 05 Mar 2024 11:00:00 +0100", TEN),
    ("Mar 5, 2024 10:00 AM", TEN), ("March 5th, 2024 at 10:00 AM", TEN),
    ("Tue Mar  5 10:00:00 2024", TEN),
    ("Tue Mar 05 2024 11:00:00 GMT+0100 (Central European Standard Time)", TEN),
    ("05/Mar/2024:11:00:00 +0100", TEN), ("5 de marzo de 2024 10:00", TEN),
    ("5 mars 2024 \xe0 10h00", TEN),
    ("5 mrt 2024 10:00", TEN), ("5 marzo 2024 10:00", TEN), ("5 de mar\xe7o de 2024 10:00", TEN),
    ("05-MAR-24 10:00:00", TEN), ("2024-Mar-05 10:00", TEN), ("Di., 5. M\xe4rz 2024, 10:00", TEN),
    ("\u200b2024-03-05\xa010:00", TEN),
]  # fmt: skip


def test_whatever_has_one_reading_is_read_all_in_one_column() -> None:
    read = read_instants(pl.Series([text for text, _ in ONE_READING]), where="t")
    got = dict(zip([t for t, _ in ONE_READING], read.values, strict=True))
    assert got == dict(ONE_READING)
    (clocks,) = (hint for hint in read.hints if "clocks" in hint)
    assert "CEST as +02:00 (1)" in clocks
    assert "PST as -08:00 (1)" in clocks


@pytest.mark.parametrize(("text", "instant"), ONE_READING, ids=str)
def test_whatever_has_one_reading_is_read_alone(text: str, instant: datetime) -> None:
    assert read_instants(pl.Series([text]), where="t").values.to_list() == [instant]


@pytest.mark.parametrize(
    "text",
    ["2024-13-05", "2024-02-30", "2024-03-05 25:00", "2024-03-05 10:61", "31.02.2024", "soon",
     "2024-03-05 10:00 XQZ", "2024-03", "10:00", "13:00 PM", "5 Foo 2024", "2024-W60-1"],
)  # fmt: skip
def test_what_is_no_time_is_not_read(text: str) -> None:
    times = ["2024-03-05 10:00"] * 3
    assert read_instants(pl.Series([*times, text]), where="t").unread.to_list() == [
        False, False, False, True,
    ]  # fmt: skip


def test_a_clock_that_several_countries_use_is_that_of_the_map() -> None:
    for zone, hour in [("Asia/Kolkata", 4), ("Europe/Dublin", 9)]:
        read = read_instants(pl.Series(["2024-07-05 10:00 IST"]), where="t", time_zone=zone)
        assert read.values[0].hour == hour
    assert read_instants(pl.Series(["2024-07-05 10:00 IST"] * 2 + ["x"]), where="t",
                         refuse=False).unread.all()  # fmt: skip


@given(
    st.lists(WALLS, min_size=30, max_size=60, unique=True),
    st.sampled_from(["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%m-%d-%Y %H:%M"]),
    st.booleans(),
)
def test_day_or_month_first_rests_on_every_value(
    walls: list[datetime], pattern: str, is_sorted: bool
) -> None:
    walls = [w.replace(second=0, microsecond=0) for w in walls]
    walls = sorted(walls, key=lambda w: w.day) if is_sorted else walls
    texts = pl.Series([w.strftime(pattern) for w in walls])
    if max(w.day for w in walls) <= 12:
        with pytest.raises(InputError, match="day or month first"):
            read_instants(texts, where="t")
    else:
        got = read_instants(texts, where="t")
        assert got.values.dt.replace_time_zone(None).to_list() == walls
        assert "comes first" in got.hints[0]


def test_one_slip_does_not_turn_a_column() -> None:
    texts = [f"{d:02}/03/2024 10:00" for d in range(1, 32)] * 10 + ["03/25/2024 10:00"]
    read = read_instants(pl.Series(texts), where="t")
    assert read.unread.sum() == 1
    assert read.values[0] == datetime(2024, 3, 1, 10, tzinfo=UTC)


def test_midnight_without_a_time_of_day() -> None:
    texts = ["16.03.2024", "16.03.2024 10:00:01", "1.3.2024 9:05"]
    expected = [datetime(2024, 3, 16), datetime(2024, 3, 16, 10, 0, 1), datetime(2024, 3, 1, 9, 5)]  # noqa: DTZ001
    for given_format in (None, "%d.%m.%Y", "%d.%m.%Y %H:%M:%S", ["%d.%m.%Y", "%d.%m.%Y %H:%M"]):
        if given_format == ["%d.%m.%Y", "%d.%m.%Y %H:%M"]:
            texts = [texts[0], "16.03.2024 10:00:01", texts[2]]
        read = read_instants(pl.Series(texts), where="t", time_format=given_format)
        assert read.values.dt.replace_time_zone(None).to_list() == expected, given_format
    assert "1 have no time of day" in read_instants(pl.Series(texts), where="t").hints[0]


@pytest.mark.parametrize(
    ("unit", "digits"),
    [("epoch_s", 1), ("epoch_ms", 10**3), ("epoch_us", 10**6), ("epoch_ns", 10**9)],
)  # fmt: skip
def test_epochs_of_any_unit_and_stray_cells(unit: str, digits: int) -> None:
    texts = [str((1709632800 + 25213 * i) * digits) for i in range(40)]
    expected = [TEN + timedelta(seconds=25213 * i) for i in range(40)]
    assert read_instants(pl.Series(texts), where="t").values.to_list() == expected
    assert read_instants(pl.Series(texts), where="t", time_format=unit).values.to_list() == expected
    read = read_instants(pl.Series([*texts, "time"]), where="t")
    assert read.unread.to_list() == [False] * 40 + [True]


def test_days_of_a_spreadsheet() -> None:
    texts = ["45356.416667", "45356,708484", "45357"]
    expected = [TEN, datetime(2024, 3, 5, 17, 0, 13, tzinfo=UTC), datetime(2024, 3, 6, tzinfo=UTC)]
    assert read_instants(pl.Series(texts), where="t").values.to_list() == expected
    read = read_instants(pl.Series(texts), where="t", time_format="excel")
    assert read.values.to_list() == expected
    assert (
        read_instants(pl.Series(["45357"]), where="t", time_format="excel").values[0] == expected[2]
    )


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["20240305", "20240306"], datetime(2024, 3, 5, tzinfo=UTC)),
        (["20240305100000"], TEN),
        (["202403051000"], TEN),
        (["2024030510", "2024031311"], TEN),
    ],
)
def test_dates_without_marks(texts: list[str], expected: datetime) -> None:
    assert read_instants(pl.Series(texts), where="t").values[0] == expected


@pytest.mark.parametrize(
    ("formats", "texts"),
    [
        (["%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p"], ["05.03.2024 10:00", "03/05/2024 10:00 a. m."]),
        (["%d %B %Y %H:%M", "iso"], ["5 M\xe4rz 2024 10:00", "2024-03-05T11:00+01:00"]),
        (["epoch_s", "iso"], ["1709632800", "2024-03-05 10:00"]),
        ("%d.%m.%Y %H:%M %Z", ["05.03.2024 11:00 CET", "5.3.2024 11:00 MEZ"]),
        ("%d/%m/%y %H:%M", ["05/03/24 10:00"]),
    ],
)
def test_formats_of_the_map_are_tried_in_turn(formats: list[str], texts: list[str]) -> None:
    read = read_instants(pl.Series(texts), where="t", time_format=formats)
    assert set(read.values) == {TEN}


def test_the_other_reading_is_said_where_everything_fits_it() -> None:
    texts = [f"01/{d:02}/2024 10:00" for d in range(1, 21)]
    read = read_instants(pl.Series(texts), where="t", time_format="%d/%m/%Y %H:%M")
    assert int(read.unread.sum()) == 8
    (said,) = read.hints
    assert 'all 20 values fit "%m/%d/%Y %H:%M"' in said
