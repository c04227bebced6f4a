"""Buckets and the jackknife, against plain Python."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.errors import CxError
from cxlib.statistics.resampling import (
    dense_counts,
    effective_buckets,
    jackknife,
    jackknife_se,
    leave_one_out,
    number_cells,
)

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 50)), max_size=60)


@given(rows)
@settings(max_examples=60)
def test_dense_counts_add_up_like_a_dictionary(table):
    expected = {}
    for cell, bucket, n in table:
        expected[cell, bucket] = expected.get((cell, bucket), 0) + n
    cell, bucket, n = (np.array([r[i] for r in table], dtype=np.int64) for i in range(3))
    dense = dense_counts({"cell": (cell, 4), "bucket": (bucket, 5)}, n)
    assert dense.shape == (4, 5)
    assert {(c, b): dense[c, b] for c in range(4) for b in range(5) if dense[c, b]} == {
        k: v for k, v in expected.items() if v
    }


@pytest.mark.parametrize("position", [-1, 2])
def test_a_place_outside_its_axis_is_refused(position):
    with pytest.raises(CxError, match=f"the bucket axis has 2 places.*place {position}"):
        dense_counts({"bucket": (np.array([0, position]), 2)}, np.array([1, 1]))


def test_cells_are_numbered_in_sorted_order_with_nulls():
    table = pl.DataFrame({"place": [4, None, 2, 4], "next": [1, 1, 1, 0]})
    cells, index = number_cells(table, ["place", "next"])
    assert cells.rows() == [(None, 1), (2, 1), (4, 0), (4, 1)]
    assert index.tolist() == [3, 0, 1, 2]


def test_leave_one_out_is_the_sum_of_the_others():
    counts = np.random.default_rng(1).integers(0, 9, (3, 5, 2)).astype(float)
    without = leave_one_out(counts)
    for b in range(5):
        others = sum(counts[:, o] for o in range(5) if o != b)
        assert np.array_equal(without[:, b], others)


def test_jackknife_matches_a_plain_loop():
    rng = np.random.default_rng(2)
    counts = rng.integers(1, 30, (4, 32, 2)).astype(float)
    estimate, se = jackknife(counts, lambda c: c[..., 0] / c[..., 1])
    for cell in range(4):
        top, bottom = counts[cell, :, 0], counts[cell, :, 1]
        loo = [(top.sum() - top[b]) / (bottom.sum() - bottom[b]) for b in range(32)]
        mean = sum(loo) / 32
        assert estimate[cell] == pytest.approx(top.sum() / bottom.sum())
        assert se[cell] == pytest.approx((31 / 32 * sum((x - mean) ** 2 for x in loo)) ** 0.5)


def test_a_bucket_that_is_all_there_is_says_nothing_about_the_spread():
    assert jackknife_se(np.array([0.5]), np.array([[0.5, np.nan, 0.5]])).tolist() == [0.0]


def test_effective_buckets_stay_between_one_and_all():
    counts = np.random.default_rng(3).integers(0, 9, (50, 32)).astype(float)
    effective = effective_buckets(counts)
    assert ((effective >= 1) & (effective <= 32)).all()
    assert effective_buckets(np.zeros((1, 32))).tolist() == [0.0]
    assert effective_buckets(np.full((1, 32), 7.0)).tolist() == [32.0]
