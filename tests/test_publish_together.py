"""Rounding together: published numbers are the exact ones of a log without small groups."""

from datetime import date
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.publish.selections import Choices, round_together

K = 10
SEGMENTS = (("region", "north"), ("region", "south"), ("kind", "old"))


def choices(periods: int) -> Choices:
    days = tuple(date(2026, 1 + number, 1) for number in range(periods))
    return Choices(SEGMENTS, days, "month", tuple((n, n) for n in range(periods)))


def count(log, chosen: Choices, *, distinct: bool) -> np.ndarray:
    """Count a log by hand: customers are (region, kind, contacts in each period)."""
    found = []
    for where in chosen.selections():
        first, last = where.period or (0, len(chosen.periods) - 1)
        total = 0
        for region, kind, contacts in log:
            if where.segment is None or where.segment[1] in (region, kind):
                inside = sum(contacts[first : last + 1])
                total += min(inside, 1) if distinct else inside
        found.append(total)
    return np.array([found])


@st.composite
def logs(draw):
    periods = draw(st.integers(1, 5))
    customer = st.tuples(
        st.sampled_from(["north", "south", "isle"]),
        st.sampled_from(["old", "old", "new"]),
        st.lists(st.integers(0, 2), min_size=periods, max_size=periods),
    )
    return periods, draw(st.lists(customer, max_size=60))


@settings(max_examples=60)
@given(logs(), st.booleans(), st.sampled_from([10, 20, 80]))
def test_what_is_published_is_true_of_a_log_without_small_groups(given_log, distinct, base):
    periods, log = given_log
    chosen = choices(periods)
    exact = count(log, chosen, distinct=distinct)
    shown = round_together(exact, np.array([base]), chosen, distinct=distinct)
    parts = smallest_parts(shown[0], chosen, distinct=distinct)
    # 1. every finest group has none or at least `base`: it is a log, and one without small groups
    assert all(part >= 0 and part % base == 0 for part in parts.values())
    # 2. all published numbers are its numbers
    assert (summed(parts, chosen) == shown[0]).all()
    # 3. and it would be published like this: nobody can say that the true log is not that one
    again = round_together(shown, np.array([base]), chosen, distinct=distinct)
    assert (again == shown).all()


def smallest_parts(numbers, chosen: Choices, *, distinct: bool) -> dict:
    """Solve the published numbers for (segment value or rest, period, period seen before)."""
    at = dict(zip(((w.segment, w.period) for w in chosen.selections()), numbers, strict=True))
    last = len(chosen.periods) - 1

    def number(segment, first, to):
        if to < first:
            return 0
        return int(at[segment, None if (first, to) == (0, last) else (first, to)])

    def parts_of(segment):
        found = {}
        for period in range(last + 1):
            if not distinct:
                found[period, -1] = number(segment, period, period)
                continue
            new = [
                number(segment, first, period) - number(segment, first, period - 1)
                for first in range(period + 1)
            ]
            found[period, -1] = new[0]
            found |= {(period, q): new[q + 1] - new[q] for q in range(period)}
        return found

    everybody = parts_of(None)
    found = {(None, part): n for part, n in everybody.items()}
    for dimension in ("region", "kind"):
        values = [s for s in SEGMENTS if s[0] == dimension]
        split = {s: parts_of(s) for s in values}
        for part, total in everybody.items():
            found |= {(s, part): split[s][part] for s in values}
            found[(dimension, "rest"), part] = total - sum(split[s][part] for s in values)
    return found


def summed(parts, chosen: Choices) -> np.ndarray:
    last = len(chosen.periods) - 1
    return np.array(
        [
            sum(
                n
                for (segment, (period, before)), n in parts.items()
                if segment == where.segment
                and (where.period or (0, last))[0] <= period <= (where.period or (0, last))[1]
                and before < (where.period or (0, last))[0]
            )
            for where in chosen.selections()
        ]
    )


@settings(max_examples=60)
@given(logs())
def test_everybody_is_rounded_to_the_nearest_step_from_the_first_period_on(given_log):
    periods, log = given_log
    chosen = choices(periods)
    for distinct in (True, False):
        exact = count(log, chosen, distinct=distinct)
        shown = round_together(exact, np.array([K]), chosen, distinct=distinct)
        for number, where in enumerate(chosen.selections()):
            if where.segment is None and (where.period or (0, 0))[0] == 0:
                assert -5 < exact[0, number] - shown[0, number] + 0.5 < 5.6


@pytest.mark.parametrize("distinct", [True, False])
def test_a_year_of_months_stays_within_a_few_steps(distinct):
    draw = np.random.default_rng(4)
    log = [
        (
            draw.choice(["north", "south", "isle"], p=[0.3, 0.6, 0.1]),
            "old" if draw.random() < 0.9 else "new",
            draw.integers(0, 2, 12).tolist(),
        )
        for _ in range(600)
    ]
    chosen = choices(12)
    exact = count(log, chosen, distinct=distinct)
    error = round_together(exact, np.array([K]), chosen, distinct=distinct) - exact
    # As large as rounding each by itself would make it where counts add up, and about double
    # where customers count once in a range: the price of numbers that fit together.
    assert error.std() < (10 if distinct else 5.5)
    assert abs(error).max() <= (6 * K if distinct else 2 * K)


def test_rows_do_not_touch_one_another():
    chosen = choices(3)
    draw = np.random.default_rng(1)
    logs_ = [
        [
            (region, kind, draw.integers(0, 3, 3).tolist())
            for region, kind in product(["north", "isle"], ["old", "new"])
            for _ in range(n)
        ]
        for n in (3, 20)
    ]
    exact = np.concatenate([count(log, chosen, distinct=True) for log in logs_])
    bases = np.array([10, 40])
    both = round_together(exact, bases, chosen, distinct=True)
    for row in (0, 1):
        alone = round_together(exact[[row]], bases[[row]], chosen, distinct=True)
        assert (both[row] == alone[0]).all()
