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
        (["25/01/2024 10:00:01"], r'write into the map: time_format: "%d/%m/%Y %H:%M:%S"$'),
        (["05/25/2024"], r'write into the map: time_format: "%m/%d/%Y"$'),
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
