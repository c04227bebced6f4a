"""Competing risks on binned times, against plain Python, lifelines and simulated truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.statistics.competing_risks import (
    CompetingRisks,
    cumulative_incidence,
    event_weights,
)

EDGES = np.array([0.0, *np.geomspace(1, 1e6, 30)])
people = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), min_size=1, max_size=60)


def counts(observed, bins, causes):
    """(bin, cause) with cause 0 = censored -> events [causes, bins], censored [bins]."""
    events, censored = np.zeros((causes, bins)), np.zeros(bins)
    for b, cause in observed:
        if cause:
            events[cause - 1, b] += 1
        else:
            censored[b] += 1
    return events, censored


def aalen_johansen(observed, bins, causes):
    """The textbook loop."""
    curve = [[0.0] * bins for _ in range(causes)]
    survival = 1.0
    for t in range(bins):
        at_risk = sum(b >= t for b, _ in observed)
        happened = [sum(b == t and c == k + 1 for b, c in observed) for k in range(causes)]
        for k in range(causes):
            step = survival * happened[k] / at_risk if at_risk else 0.0
            curve[k][t] = (curve[k][t - 1] if t else 0.0) + step
        survival *= 1 - sum(happened) / at_risk if at_risk else 1.0
    return np.array(curve)


def after_events(events, censored):
    """Events and censorings in bins that are one instant: censorings in a bin of their own."""
    apart = np.zeros((*events.shape, 2))
    apart[..., 0] = events
    late = np.zeros((*censored.shape, 2))
    late[..., 1] = censored
    flat = (*events.shape[:-1], -1)
    return apart.reshape(flat), late.reshape(*censored.shape[:-1], -1)


@given(people)
@settings(max_examples=100)
def test_incidence_matches_the_textbook_and_adds_up(observed):
    events, censored = counts(observed, 8, 2)
    instants, late = after_events(events, censored)
    curve = cumulative_incidence(instants, late)
    assert curve[:, ::2] == pytest.approx(aalen_johansen(observed, 8, 2), abs=1e-12)
    assert curve.sum(axis=0).max() <= 1 + 1e-12
    assert (np.diff(curve, axis=-1) >= -1e-12).all()
    weight = event_weights(instants.sum(axis=0), late)
    assert np.cumsum(instants[1] * weight) == pytest.approx(curve[1])


@given(people)
@settings(max_examples=100)
def test_the_life_table_lies_between_censored_first_and_censored_last(observed):
    events, censored = counts(observed, 8, 2)
    total = events.sum(axis=0, keepdims=True)
    last = cumulative_incidence(*after_events(total, censored))[0, ::2]
    between = cumulative_incidence(total, censored)[0]
    assert (between >= last - 1e-12).all()
    assert cumulative_incidence(events, censored).sum(axis=0) == pytest.approx(between, abs=1e-12)
    if not censored[1:].any():
        assert between == pytest.approx(last)


@given(people)
@settings(max_examples=30)
def test_kaplan_meier_matches_lifelines(observed):
    from lifelines import KaplanMeierFitter

    events, censored = counts([(b, min(c, 1)) for b, c in observed], 8, 1)
    fitted = KaplanMeierFitter().fit([b for b, _ in observed], [c > 0 for _, c in observed])
    expected = fitted.survival_function_at_times(range(8)).to_numpy()
    found = 1 - cumulative_incidence(*after_events(events, censored))[0, ::2]
    assert found == pytest.approx(expected, abs=1e-12)


def test_aalen_johansen_matches_lifelines():
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(4)
    # one time per bin: lifelines breaks ties by jittering, and would not be an oracle then
    order = rng.permutation(200)
    observed = [(int(b), int(c)) for b, c in zip(order, rng.integers(0, 3, 200), strict=True)]
    events, censored = counts(observed, 200, 2)
    curve = cumulative_incidence(*after_events(events, censored))[:, ::2]
    for cause in (1, 2):
        fitted = AalenJohansenFitter(calculate_variance=False).fit(
            [b + 1 for b, _ in observed], [c for _, c in observed], event_of_interest=cause
        )
        table = fitted.cumulative_density_
        expected = table.to_numpy()[:, 0]
        at = np.searchsorted(table.index.to_numpy(), np.arange(1, 201), side="right") - 1
        assert curve[cause - 1] == pytest.approx(expected[at], abs=1e-9)


def test_censored_is_not_lost():
    """100 contacts, half of them so recent that nothing can be known: the rate is that of the
    others.
    """
    events = np.array([[0.0, 30.0, 0.0], [0.0, 0.0, 20.0]])
    assert cumulative_incidence(events, np.array([50.0, 0.0, 0.0]))[:, -1].tolist() == [0.6, 0.4]


def test_nobody_at_risk_gives_no_estimate():
    found = CompetingRisks(np.zeros((1, 32, 3, 3))).chance(0)
    assert np.isnan(found.estimate).all()
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_chances_without_a_bucket_are_those_of_the_other_buckets():
    counts = np.random.default_rng(5).poisson(0.3, (4, 6, 3, len(EDGES))).astype(float)
    whole, without = CompetingRisks(counts)._incidence
    for bucket in range(6):
        others = np.delete(counts, bucket, axis=1)
        alone = CompetingRisks(others)._incidence[0]
        assert without[:, bucket] == pytest.approx(alone)
    curve = cumulative_incidence(counts[:, :, :-1].sum(axis=1), counts[:, :, -1].sum(axis=1))
    assert whole == pytest.approx(curve[..., -1])


def simulate(rng, logs, customers):
    """Competing exponential causes (rates 1 : 2), censored uniformly: [logs, 32, 2, bins], [logs,
    32, bins].
    """
    shape = (logs, customers)
    first, second = rng.exponential(300.0, shape), rng.exponential(150.0, shape)
    end = rng.uniform(0, 600.0, shape)
    time = np.minimum(np.minimum(first, second), end)
    cause = np.where(time == end, 2, np.where(first < second, 0, 1))
    bins = np.searchsorted(EDGES, time, side="right") - 1
    bucket = rng.integers(0, 32, shape)
    cell = np.broadcast_to(np.arange(logs)[:, None], shape)
    flat = ((cell * 32 + bucket) * 3 + cause) * len(EDGES) + bins
    dense = np.bincount(flat.ravel(), minlength=logs * 32 * 3 * len(EDGES))
    return dense.reshape(logs, 32, 3, len(EDGES)).astype(float)


def until(counts, end):
    """What happens from a bin on is a cause of its own: the chance of another is that by then."""
    whole = np.zeros((*counts.shape[:2], counts.shape[2] + 1, end + 1))
    whole[:, :, [0, 1, 3], :end] = counts[..., :end]
    whole[:, :, 2, end] = counts[..., end:].sum(axis=(-2, -1))
    return whole


def test_incidence_intervals_hold_the_truth_under_censoring():
    """F_1(t) = (1 - exp(-t/100)) / 3. 200 logs: 95 % promised, 90.5 to 99 % is three standard
    errors of the simulation.
    """
    counted = CompetingRisks(until(simulate(np.random.default_rng(6), 200, 400), 10))
    found = counted.chance(0)
    truth = (1 - math.exp(-EDGES[10] / 100)) / 3
    held = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.905 <= held <= 0.99
    assert found.estimate.mean() == pytest.approx(truth, rel=0.02)
    both = counted.chance(0, 1)
    other = counted.chance(1)
    assert both.estimate == pytest.approx(found.estimate + other.estimate)
