"""Random frames of declared columns, for tests of whatever shows or writes an answer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from cxlib.columns import (
    Chance,
    Column,
    Columns,
    Day,
    Flag,
    Instant,
    Label,
    Points,
    Rating,
    Share,
    Wait,
)

#: Names as logs have them, and such as would be markup or a formula to a careless writer.
NAMES = st.sampled_from(["web", "caf\u00e9", "=1+1", "<b>x</b>", "a|b", "-2+3", "@x", "", "a\nb"])
WHOLE = st.integers(0, 10**6)
ANY = st.floats(-1e6, 1e6)


_INSTANTS = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_OF_KIND = {
    Label: NAMES,
    Flag: st.booleans(),
    Share: st.floats(0, 1),
    Chance: st.floats(0, 1),
    Points: st.floats(-1, 1),
    Rating: st.floats(-1, 10),
    Wait: st.timedeltas(timedelta(), timedelta(days=400)),
    Instant: _INSTANTS,
    Day: st.dates(date(2020, 1, 1), date(2030, 1, 1)),
}


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values that a column of this kind may hold."""
    for kind, strategy in _OF_KIND.items():
        if isinstance(column, kind):
            return strategy
    return ANY if column.dtypes[0] == pl.Float64 else WHOLE


@st.composite
def rows(draw: st.DrawFn, columns: Columns) -> dict[str, Any]:
    """One row; an estimate lies between the ends of its interval, and anything may be unknown."""
    row: dict[str, Any] = {}
    for name, column in columns.items():
        ends = columns.ends(name)
        drawn = sorted(draw(values(column)) for _ in (name, *ends))
        named = (ends[0], name, ends[1]) if ends else (name,)
        known = draw(st.booleans()) or not column.is_number
        row |= dict(zip(named, drawn if known else [None] * len(drawn), strict=True))
    return row


def frames(columns: Columns, *, most: int = 4) -> st.SearchStrategy[pl.DataFrame]:
    """Frames that are as declared."""
    return st.lists(rows(columns), max_size=most).map(columns.frame)
