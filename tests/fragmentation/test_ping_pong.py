"""Ping-pong on the stated vectors, and on random channels against the definition itself."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.fragmentation.ping_pong import count_ping_pong, count_returns

PLACES = pl.DataFrame(
    {"channel": list("ABCM"), "initiated_by": ["customer", "customer", "customer", "company"]}
)


@pytest.mark.parametrize(
    ("channels", "returns"), [("ABAB", 2), ("ABA", 1), ("ABCA", 0), ("AAAA", 0), ("", 0)]
)
def test_stated_vectors(channels, returns):
    assert count_ping_pong(channels) == returns


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=5))
def test_every_journey_of_a_log_is_counted_like_one(journeys):
    rows = pl.DataFrame(
        [(j, p) for j, places in enumerate(journeys) for p in places],
        schema={"journey": pl.UInt32, "place": pl.UInt16},
        orient="row",
    )
    counted = dict(count_returns(rows, PLACES).select("journey", "returns").iter_rows())
    for j, places in enumerate(journeys):
        own = ["ABCM"[p] for p in places if p != 3]
        assert counted.get(j, 0) == count_ping_pong(own)
