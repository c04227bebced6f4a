"""The self test: what the shuffle keeps, and that planted faults have the size they state."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import count, walk_log

from cxlib.fragmentation import selftest
from cxlib.fragmentation.selftest import replicate, shuffle_touchpoints
from cxlib.grounds.faults import AGAIN, SENT_BACK, Site
from cxlib.grounds.faults import plant_fault as plant
from cxlib.signals import SIGNALS
from cxlib.signals.abandonment import ABANDONED
from cxlib.signals.delay import DELAYED
from cxlib.signals.perception_dip import MARKED_DOWN

FAULTS = {name: SIGNALS[name].fault for name in SIGNALS if SIGNALS[name].fault}

PLACES = pl.DataFrame(
    {
        "place": range(4),
        "touchpoint": ["ad", "page", "visit", "till"],
        "stage_index": pl.Series([0, 1, 1, 2], dtype=pl.UInt8),
        "channel": ["ads", "web", "store", "store"],
        "initiated_by": ["customer"] * 4,
        "assisted": [False, False, True, False],
    }
)
HELP = 2
SOURCE, TARGET = 1, 3


def some_rows(customers=4_000, seed=1):
    """Walks of 1 to 6 contacts in the manner of the store."""
    dice = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        at = datetime(2025, 1, 1, tzinfo=UTC)
        for place in dice.integers(0, 4, dice.integers(1, 7)).tolist():
            rows.append((customer, at, place, 7.0))
            at += timedelta(hours=float(dice.exponential(5)) + 0.1)
    schema = {
        "customer": pl.UInt32,
        "occurred_at": pl.Datetime("us", "UTC"),
        "place": pl.UInt16,
        "rating": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def arrivals_of(rows):
    """Per arrival at the target from the source: wait, next place, rating, whether the customer was
    there again or needed help within the time planted; in plain loops."""
    found = []
    for group in rows.partition_by("customer", maintain_order=True):
        walk = group.to_dicts()
        for i in range(1, len(walk)):
            if (walk[i - 1]["place"], walk[i]["place"]) == (SOURCE, TARGET):
                after = walk[i + 1]["place"] if i + 1 < len(walk) else None
                wait = walk[i]["occurred_at"] - walk[i - 1]["occurred_at"]
                soon = {
                    row["place"]: row["occurred_at"] - walk[i]["occurred_at"]
                    for row in reversed(walk[i + 1 :])
                }
                again = soon.get(TARGET, timedelta.max) <= timedelta(days=1)
                called = soon.get(HELP, timedelta.max) <= timedelta(minutes=10)
                found.append((wait.total_seconds(), after, walk[i]["rating"], again, called))
    return found


def measure(signal, rows):
    """The signal at the handoff, counted by hand."""
    found = arrivals_of(rows)
    onward = [after for _, after, *_ in found if after is not None]
    stage = PLACES["stage_index"].to_list()
    return {
        "abandonment": lambda: sum(after is None for _, after, *_ in found) / len(found),
        "backtracking": lambda: sum(stage[a] < stage[TARGET] for a in onward) / len(onward),
        "ping_pong": lambda: sum(a == SOURCE for a in onward) / len(onward),
        "repeated_task": lambda: sum(again for *_, again, _ in found) / len(found),
        "repeat_contact": lambda: sum(again for *_, again, _ in found) / len(found),
        "self_service_leak": lambda: sum(called for *_, called in found) / len(found),
        "delay": lambda: float(np.median([wait for wait, *_ in found])),
        "perception_dip": lambda: float(np.mean([rating for _, _, rating, *_ in found])),
    }[signal]()


@pytest.mark.parametrize("signal", list(FAULTS))
def test_a_planted_fault_has_the_size_it_states(signal):
    rows = some_rows()
    before = measure(signal, rows)
    changed = plant(rows, FAULTS[signal], Site(SOURCE, TARGET, before, PLACES), seed=3)
    after = measure(signal, changed)
    assert changed.columns == rows.columns
    # shares: some 400 cases, hence two standard errors of about 0.025
    wanted = {
        "abandonment": pytest.approx(before + ABANDONED, abs=0.05),
        "backtracking": pytest.approx(before + SENT_BACK, abs=0.06),
        "ping_pong": pytest.approx(before + SENT_BACK, abs=0.06),
        "repeated_task": pytest.approx(before + AGAIN, abs=0.06),
        "repeat_contact": pytest.approx(before + AGAIN, abs=0.06),
        "self_service_leak": pytest.approx(before + AGAIN, abs=0.06),
        "delay": pytest.approx(before * DELAYED),
        "perception_dip": pytest.approx(before - MARKED_DOWN),
    }
    assert after == wanted[signal]


@pytest.mark.parametrize("signal", list(FAULTS))
def test_nobody_else_is_touched(signal):
    rows = some_rows()
    changed = plant(rows, FAULTS[signal], Site(SOURCE, TARGET, 0.2, PLACES), seed=3)
    came = (pl.col("place") == TARGET) & (pl.col("place").shift(1) == SOURCE)
    hit = rows.filter(came.over("customer"))["customer"].unique()
    others = ~pl.col("customer").is_in(hit.implode())
    assert changed.filter(others).equals(rows.filter(others))
    assert not changed.equals(rows)


def test_shuffled_touchpoints_keep_what_they_must():
    rows = pl.DataFrame(
        {
            "customer": [0, 0, 0, 0, 1, 1],
            "period": [0, 0, 0, 1, 0, 0],
            "place": [0, 1, 2, 0, 1, 0],
            "rating": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "environment.device": ["1", "2", "3", "4", "5", "6"],
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
        device = shuffled["environment.device"].cast(pl.Float64)
        assert device.equals(shuffled["rating"], check_names=False), "where it was goes along"
        pairs = [set(shuffled.select("place", "rating").rows()[i : i + 2]) for i in (0, 4)]
        assert pairs == [{(0, 1.0), (1, 2.0)}, {(1, 5.0), (0, 6.0)}]
        seen.add(shuffled["place"][0])
    assert seen == {0, 1}


def test_what_one_half_of_the_customers_shows_the_other_shows_too(monkeypatch):
    """Planted for all: found again at about its size. For the even ones alone: not."""
    log = walk_log(11, customers=12_000, fault=("abandonment", 1, 4))
    clean = walk_log(11, customers=12_000)
    half = np.concatenate([log[log[:, 0] % 2 == 0], clean[clean[:, 0] % 2 == 1]])
    found = []
    for table in (log, half):

        def counted(_, part, table=table):
            return count(table[np.isin(table[:, 0], part["customer"].to_numpy())])

        monkeypatch.setattr(selftest, "_count", counted)
        rows = pl.DataFrame({"customer": np.unique(table[:, 0]).astype(np.int64)})
        found.append(replicate(None, rows).filter(source="t1", target="t4", ground="like"))
    both, one = found
    assert sorted(both["half"]) == [0, 1]
    assert both["same"].all()
    assert 0.6 < both["ratio"].median() < 1.6
    assert one["half"].to_list() == [0]
    assert one["ratio"][0] < 0.5


def test_faults_share_a_copy_only_where_they_touch_none_of_one_anothers_places():
    ends = [(1, 2), (3, 4), (2, 5), (1, 2), (6, 7), (4, 5)]
    plans = [
        selftest.Planted(SIGNALS["delay"], FAULTS["delay"], "like", Site(a, b, 0.1, PLACES), i)
        for i, (a, b) in enumerate(ends)
    ]
    copies = selftest.share_copies(plans)
    assert sorted(plan.seed for copy in copies for plan in copy) == list(range(6))
    for copy in copies:
        touched = [place for plan in copy for place in (plan.site.source, plan.site.target)]
        assert len(touched) == len(set(touched))
    assert len(copies) == 3
