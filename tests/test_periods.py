"""A time is answered exactly or refused: never for other days than were asked for."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_oracle import contact, make_workspace

from cxlib.cli.selecting import read_span
from cxlib.errors import InputError
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.periods import Periods, choose_periods
from cxlib.where import Where


def asked_for(text):
    """The periods that a command is asked about with --period."""
    return Where(**read_span(text)).of(SimpleNamespace(periods=WEEKS)).period


WEEKS = Periods(
    "week", (date(2025, 3, 3), date(2025, 3, 10), date(2025, 3, 17)), "UTC",
    days=(date(2025, 3, 5), date(2025, 3, 18)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("2025-03-05..2025-03-09", (0, 0)),  # nobody was there before the 5th
        ("2025-03", (0, 2)),
        ("2025-03-10..2025-03-16", (1, 1)),
        ("2025-03-17..2025-03-18", (2, 2)),  # nor after the 18th
        ("2024..2025-03-16", (0, 1)),
    ],
)
def test_whole_periods_are_answered(asked, found):
    assert asked_for(asked) == found


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("2025-03-06..2025-03-09", "2025-03-03..2025-03-09"),
        ("2025-03-12", "2025-03-10..2025-03-16"),
        ("2025-03-05..2025-03-17", "2025-03-03..2025-03-23 and 2025-03-03..2025-03-16"),
    ],
)
def test_parts_of_periods_are_refused_with_what_can_be_answered(asked, nearest):
    with pytest.raises(InputError, match="whole weeks") as refused:
        asked_for(asked)
    assert str(refused.value).endswith(nearest)
    for text in nearest.split(" and "):
        assert asked_for(text)  # what is offered is answered


def test_a_time_outside_the_log_names_its_days():
    for asked in ("2025-03-04", "2025-03-19..", "2031"):
        with pytest.raises(InputError, match="from 2025-03-05 to 2025-03-18"):
            asked_for(asked)
    with pytest.raises(InputError, match="ends before"):
        asked_for("2025-04..2025-03")


@given(
    st.dates(date(2024, 11, 1), date(2025, 6, 1)),
    st.integers(0, 120),
    st.integers(-40, 200),
    st.integers(0, 200),
    st.sampled_from(["day", "week", "month", "quarter"]),
)
def test_an_answer_is_for_the_days_that_were_asked_for(begin, length, offset, span, unit):
    """Every day of the log lies in the periods exactly if it was asked for."""
    start = datetime(begin.year, begin.month, begin.day, 12, tzinfo=UTC)
    periods = choose_periods(start, start + timedelta(days=length), unit=unit)
    first = begin + timedelta(days=offset)
    last = first + timedelta(days=span)
    try:
        low, high = periods.between(first, last, named="it")
    except InputError:
        return
    ends = [*periods.starts[1:], date.max]
    for i in range(length + 1):
        day = begin + timedelta(days=i)
        inside = periods.starts[low] <= day < ends[high]
        assert inside == (first <= day <= last)


def test_september_and_august_are_not_the_weeks_that_touch_them(tmp_path):
    """The log is counted by weeks, one of which lies in both months."""
    log = [contact(f"d{i}", 58, "ad") for i in range(20)]  # 28 February 2025, a Friday
    log += [contact(f"c{i}", 66, "ad") for i in range(21)] + [contact("z", 130, "ad")]
    workspace = make_workspace(tmp_path / "ws", log)
    unit = workspace.periods.unit
    assert unit == "month"
    found = [
        measure_touchpoints(
            workspace.summary(), where=Where(since=month, until=month).of(workspace)
        ).customers
        for month in ("2025-02", "2025-03", "2025-05")
    ]
    assert found == [20, 21, 1]
    with pytest.raises(InputError, match=r"2025-03-01\.\.2025-03-31"):
        Where(since="2025-03-08", until="2025-03-08").of(workspace)
