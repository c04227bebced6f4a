"""False discoveries and small cells, against plain Python, scipy and simulated truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.statistics.multiple_testing import (
    false_discovery_rate,
    p_values,
    selected_families,
    shrink_effects,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=60)
def test_q_values_match_scipy(p):
    from scipy import stats

    assert false_discovery_rate(p) == pytest.approx(stats.false_discovery_control(p))


def test_q_values_match_the_definition():
    p = [0.001, 0.008, 0.039, 0.041, 0.27, 0.6]
    ranked = sorted(p)
    expected = [
        min(1.0, *(ranked[j] * 6 / (j + 1) for j in range(6) if ranked[j] >= value)) for value in p
    ]
    assert false_discovery_rate(p) == pytest.approx(expected)


def test_tests_not_made_do_not_count():
    q = false_discovery_rate([0.01, np.nan, 0.02])
    assert q[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(q[1])
    assert false_discovery_rate([]).size == 0


def test_120_cells_without_any_effect_give_no_findings_nearly_always():
    """At q < 0.05 at least one false finding in at most 5 % of 400 logs (8 %: three standard
    errors); at p < 0.05, six per log.
    """
    effect = np.random.default_rng(8).normal(size=(400, 120))
    p = p_values(effect, np.ones_like(effect))
    q = np.stack([false_discovery_rate(row) for row in p])
    assert (p < 0.05).sum(axis=1).mean() == pytest.approx(6, abs=0.5)
    assert (q < 0.05).any(axis=1).mean() < 0.08


def test_effects_that_do_not_differ_beyond_chance_are_drawn_together():
    found = shrink_effects([1.0, 1.2, 0.9, np.nan], [0.5, 0.5, 0.5, 0.5])
    assert np.ptp(found.estimate[:3]) == pytest.approx(0, abs=1e-9)
    assert np.isnan(found.estimate[3])


def test_shrunk_effects_hold_the_truth():
    rng = np.random.default_rng(10)
    truth = rng.normal(1, 0.7, 2000)
    se = rng.uniform(0.2, 1.5, 2000)
    found = shrink_effects(rng.normal(truth, se), se)
    assert 0.935 <= ((found.low <= truth) & (truth <= found.high)).mean() <= 0.965


@pytest.mark.parametrize("seed", range(5))
def test_families_are_selected_as_two_plain_rounds_of_benjamini_hochberg_select_them(seed):
    dice = np.random.default_rng(seed)
    family = dice.integers(0, 6, 60)
    p = np.where(family < 2, dice.random(60) ** 6, dice.random(60))
    q = selected_families(p, family)

    def rejected(values, level):
        order = np.sort(values)
        kept = [x for k, x in enumerate(order, 1) if x <= level * k / len(order)]
        return values <= max(kept, default=-1.0)

    for level in (0.01, 0.05, 0.2, 0.5):
        names = np.unique(family)
        simes = np.array(
            [
                min(x * (family == f).sum() / k for k, x in enumerate(np.sort(p[family == f]), 1))
                for f in names
            ]
        )
        selected = names[rejected(simes, level)]
        found = np.zeros(60, dtype=bool)
        for f in selected:
            found[family == f] = rejected(p[family == f], level * len(selected) / len(names))
        assert ((q <= level) == found).all()


def test_echoes_of_one_cause_make_no_room_for_chance_elsewhere():
    p = np.array([1e-6] * 30 + [0.004] + [0.5] * 69)
    family = np.array([0] * 30 + [1] * 10 + list(range(2, 8)) * 10)
    assert false_discovery_rate(p)[30] < 0.05
    assert selected_families(p, family)[30] > 0.05
