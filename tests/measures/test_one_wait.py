"""One wait has one value, whoever is asked; it is among those observed, and inside its interval."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace

from cxlib.measures.first_contacts import measure_first_contacts
from cxlib.measures.funnels import measure_funnel
from cxlib.measures.stage_funnel import measure_stage_funnel
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.measures.transitions import measure_transitions
from cxlib.measures.waits import measure_waits

DAY = timedelta(days=1)
# ad → pay: awareness to conversion, and the goal
WAITS = {
    "two days and some minutes": [2 * DAY + timedelta(minutes=i % 20) for i in range(120)],
    "an hour short of the gap": [14 * DAY - timedelta(hours=1)] * 40,
    "either of two": [2 * DAY] * 31 + [2.2 * DAY] * 30,
    "spread over weeks": [timedelta(hours=1 + 5 * i) for i in range(60)],
    "seconds": [timedelta(seconds=1 + i % 5) for i in range(50)],
    "at once": [timedelta()] * 20 + [timedelta(milliseconds=400)] * 21,
}


@pytest.mark.parametrize("waits", WAITS.values(), ids=WAITS)
def test_one_wait_has_one_value(tmp_path, waits):
    log = []
    for i, wait in enumerate(waits):
        first = contact(f"c{i}", i / 10, "ad")
        log += [first, contact(f"c{i}", i / 10 + wait / DAY, "pay")]
    rule = journey_map(gap=14 * DAY, until=START + 300 * DAY)
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    summary = workspace.summary()
    exact = float(np.median([w.total_seconds() for w in waits]))
    funnel = measure_funnel(workspace, steps=["ad", "pay"]).table.row(1, named=True)
    transition = measure_transitions(summary).table.row(0, named=True)
    stage = measure_stage_funnel(summary).table.filter(pl.col("stage") == "awareness")
    begun = measure_first_contacts(summary).table.filter(pl.col("touchpoint") == "ad")
    place = measure_touchpoints(summary).table.filter(pl.col("touchpoint") == "ad")
    found = {
        "transitions": transition["wait"],
        "waits": measure_waits(workspace).table["wait"][0],
        "funnel": funnel["time"],
        "stages": stage["time"][0],
        "first contacts": begun["time_to_goal"][0],
        "map": place["next_wait"][0],
    }
    for name, value in found.items():
        # the summary keeps seven digits
        assert value.total_seconds() == pytest.approx(exact, rel=1e-6, abs=1e-3), name
    for row, name in ((transition, "wait"), (funnel, "time")):
        assert row[f"{name}_low"].total_seconds() <= exact * (1 + 1e-6) + 1e-6
        assert row[f"{name}_high"].total_seconds() >= exact * (1 - 1e-6) - 1e-6
        assert min(waits) <= row[f"{name}_low"] + timedelta(milliseconds=1)
        assert row[f"{name}_high"] <= max(waits) + timedelta(milliseconds=1)
