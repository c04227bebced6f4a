"""Findings over time, and the self test, on logs whose truth is known."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import START, count, walk_log

from cxlib.errors import InputError
from cxlib.fragmentation import measure_fragmentation, track_findings, watch_findings
from cxlib.fragmentation.selftest import shuffle_touchpoints


@pytest.fixture(scope="module")
def arrivals():
    """Abandonment t1 → t4 in the second half of the log only."""
    before, after = walk_log(7), walk_log(7, fault=("abandonment", 1, 4), again=1)
    after[:, 0] += 10_000
    after[:, 1] += 240 * 86_400.0
    return count(np.concatenate([before, after]))


def test_a_fault_that_began_is_new_and_grew(arrivals):
    watched = watch_findings(arrivals, since=date(2025, 9, 1))
    assert watched.table.select("source", "target", "status").rows() == [("t1", "t4", "new")]
    assert watched.alert
    trend = track_findings(measure_fragmentation(arrivals))
    assert trend.status["status"].to_list() == ["growing"]
    # the last month has not been followed for the silence
    assert trend.table.filter("immature")["starts"].min() == trend.table["starts"].max()
    late = trend.table.filter(pl.col("starts") >= date(2025, 9, 1))
    assert late["excess"].mean() > 0.15
    assert trend.table["excess"][0] < 0.08


def test_a_date_outside_the_log_is_refused(arrivals):
    with pytest.raises(InputError, match="nothing to compare with"):
        watch_findings(arrivals, since=START.date())


def test_shuffled_touchpoints_keep_what_they_must():
    rows = pl.DataFrame(
        {
            "customer": [0, 0, 0, 0, 1, 1],
            "period": [0, 0, 0, 1, 0, 0],
            "place": [0, 1, 2, 0, 1, 0],
            "rating": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        }
    )
    workspace = SimpleNamespace(
        places=pl.DataFrame({"stage_index": [0, 0, 1], "initiated_by": ["customer"] * 3})
    )
    seen = set()
    for seed in range(20):
        shuffled = shuffle_touchpoints(rows, workspace, seed)
        assert shuffled.select("customer", "period").equals(rows.select("customer", "period"))
        assert shuffled["place"][2] == 2
        assert shuffled["rating"][3] == 4.0
        pairs = [set(shuffled.select("place", "rating").rows()[i : i + 2]) for i in (0, 4)]
        assert pairs == [{(0, 1.0), (1, 2.0)}, {(1, 5.0), (0, 6.0)}]
        seen.add(shuffled["place"][0])
    assert seen == {0, 1}
