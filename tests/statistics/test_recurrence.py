"""Curves of what happens again: equal to lifelines and to loops, with intervals that hold."""

import numpy as np
import pytest

from cxlib.statistics.recurrence import event_curve, mean_cumulative


def dice(seed, n, *, ties):
    rng = np.random.default_rng(seed)
    event, end = rng.exponential(60, n), rng.uniform(0, 120, n)
    if ties:
        event, end = np.ceil(event / 10) * 10, np.ceil(end / 10) * 10
    return np.minimum(event, end), event <= end


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [1, 20, 400])
def test_the_share_is_that_of_lifelines(n, ties):
    lifelines = pytest.importorskip("lifelines")
    time, happened = dice(n, n, ties=ties)
    days = np.array([1.0, 7.0, 30.0, 60.0, 90.0])
    curve = event_curve(time, happened, days)
    fitter = lifelines.KaplanMeierFitter().fit(time, happened)
    known = np.isfinite(curve.share.estimate)
    theirs = 1 - fitter.survival_function_at_times(days).to_numpy()
    assert curve.share.estimate[known] == pytest.approx(theirs[known], abs=1e-12)
    assert known.tolist() == [
        bool((time >= d).any() or theirs[i] > 1 - 1e-12) for i, d in enumerate(days)
    ]
    assert curve.at_risk.tolist() == [(time >= d).sum() for d in days]
    assert curve.events.tolist() == [(happened & (time <= d)).sum() for d in days]


@pytest.mark.parametrize(("n", "mean"), [(20, 60), (200, 60), (200, 1500)])
def test_intervals_hold_the_truth(n, mean):
    rng = np.random.default_rng(n + mean)
    truth = 1 - np.exp(-60 / mean)
    hits = 0
    runs = 600
    for _ in range(runs):
        event, end = rng.exponential(mean, n), rng.uniform(30, 200, n)
        share = event_curve(np.minimum(event, end), event <= end, [60.0]).share
        hits += share.low[0] <= truth <= share.high[0]
    # Wilson's interval is a little wide where events are few; 600 runs give +- 1.8 points
    assert 0.93 <= hits / runs <= 0.985


def test_nobody_gives_nothing_and_one_who_came_back_is_all():
    nobody = event_curve([], [], [7.0])
    assert np.isnan(nobody.share.estimate[0])
    one = event_curve([3.0], [True], [1.0, 7.0]).share
    assert one.estimate.tolist() == [0.0, 1.0]
    assert one.low[1] < 0.25


def loops(when, who, amount, followed, t):
    total = 0.0
    for day, person, value in zip(when, who, amount, strict=True):
        if day <= t and day <= followed[person]:
            total += value / sum(f >= day for f in followed)
    return total


def test_amounts_add_up_as_in_a_loop_and_their_interval_holds():
    rng = np.random.default_rng(4)
    hits, runs = 0, 400
    for run in range(runs):
        followed = rng.uniform(20, 200, 150)
        counts = rng.poisson(followed / 50 * rng.gamma(2, 0.5, 150))
        who = np.repeat(np.arange(150), counts)
        when = rng.uniform(0, followed[who])
        amount = rng.gamma(4, 5, len(who))
        found = mean_cumulative(when, who, amount, followed, [100.0])
        if run < 3:
            expected = loops(when, who, amount, followed, 100.0)
            assert found.estimate[0] == pytest.approx(expected, rel=1e-12)
        hits += found.low[0] <= 100 / 50 * 20 <= found.high[0]
    assert 0.92 <= hits / runs <= 0.98


def test_amounts_of_nobody():
    found = mean_cumulative([], [], [], [5.0, 9.0], [7.0, 30.0])
    assert found.estimate[0] == 0.0
    assert np.isnan(found.estimate[1])
