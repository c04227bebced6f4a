"""Who answers: surveys whose truth is known, answered by chance, by the journey, by the rating."""

import numpy as np
import pytest

from cxlib.statistics.nonresponse import (
    Tilt,
    completed_ratings,
    mean_of_everybody,
    points_to_change,
    reach_of_silence,
    tilt_of_answers,
)


def survey(
    seed: int, rows: int = 4_000, *, by_rating: float = 0.0, by_journey: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make features, who answered, ratings of all (0–10) and customer buckets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    lean = x @ np.array([0.5, 0.3, 0.2, 0.0]) / 0.616
    score = np.clip(np.round(7 + 1.1 * lean + 1.9 * rng.normal(size=rows)), 0, 10)
    odds = -1.3 + by_rating * (score - 7) + by_journey * x[:, 0]
    return x, rng.random(rows) < 1 / (1 + np.exp(-odds)), score, rng.integers(0, 32, rows)


def tilt(seed: int, **how: float) -> tuple[Tilt | None, float]:
    x, answered, score, bucket = survey(seed, **how)  # type: ignore[arg-type]
    hidden = np.where(answered, score, np.nan)
    place = np.random.default_rng(seed).integers(0, 3, len(x))
    return tilt_of_answers(x, place, answered, hidden, np.arange(len(x)), bucket), float(
        score.mean()
    )


def test_answering_that_depends_on_the_rating_is_seen_and_taken_back() -> None:
    runs = [tilt(seed, by_rating=0.2) for seed in range(30)]
    found = [(t, truth) for t, truth in runs if t is not None]
    assert len(found) == 30
    assert np.mean([t.depends for t, _ in found]) >= 0.9
    assert np.mean([t.mean + t.off - truth for t, truth in found]) > 0.5
    assert abs(np.median([t.mean - truth for t, truth in found])) < 0.1
    assert np.mean([t.mean_low <= truth <= t.mean_high for t, truth in found]) >= 0.85


def test_answering_by_chance_is_seldom_suspected() -> None:
    found = [tilt(seed, rows=2_000)[0] for seed in range(60)]
    # at 5 % some 3 of 60; more than 8 in one case of a hundred
    assert sum(t.depends for t in found if t is not None) <= 8


@pytest.mark.parametrize("rows", [600, 1_200, 4_000])
def test_half_a_point_is_hardly_ever_ruled_out_where_it_is_missing(rows: int) -> None:
    """Whatever the number of answers: few make a log unsure, and not an answer wrong."""
    ruled_out = {0.0: 0, 0.2: 0}
    for by_rating in ruled_out:
        for seed in range(40):
            found, _ = tilt(seed, rows=rows, by_rating=by_rating)
            ruled_out[by_rating] += found is not None and found.at_most <= 0.5
    # 0.6 points are missing; in 5 of 100 they are ruled out at most, in 6 of 40 by chance (1 %)
    assert ruled_out[0.2] <= 3
    assert ruled_out[0.0] >= 35 or rows < 4_000


def test_silence_reaches_as_far_as_correlation_spread_and_response_say() -> None:
    _, answered, score, _ = survey(9, by_rating=0.4)
    off, f = score[answered].mean() - score.mean(), answered.mean()
    correlation = np.corrcoef(answered, score)[0, 1]
    # the identity holds to the last digit; the largest plausible correlation is 0.5
    assert off == pytest.approx(reach_of_silence(score.std(), f) * correlation / 0.5)
    assert reach_of_silence(2.0, [1.0, 0.25]) == pytest.approx([0.0, np.sqrt(3)])


def test_a_survey_sent_to_some_touchpoints_only_is_no_reason_for_doubt() -> None:
    """The guard that the strata are: who is asked more often at the liked place is not biased."""
    rng = np.random.default_rng(3)
    suspected = alone = 0
    for _ in range(12):
        place = rng.integers(0, 4, 3_000)
        x = rng.normal(size=(3_000, 1)) + place[:, None]
        score = np.clip(np.round(4 + place + x[:, 0] + rng.normal(size=3_000)), 0, 10)
        answered = rng.random(3_000) < np.array([0.1, 0.2, 0.3, 0.5])[place]
        who, bucket = np.arange(3_000), rng.integers(0, 32, 3_000)
        found = tilt_of_answers(x, place, answered, score, who, bucket)
        merged = tilt_of_answers(x, 0 * place, answered, score, who, bucket)
        suspected += found is not None and found.depends
        alone += merged is not None and merged.depends
    assert suspected <= 3
    assert alone == 12


def test_a_journey_that_tells_nothing_of_the_rating_tells_nothing_of_who_answers() -> None:
    x, answered, score, bucket = survey(1)
    noise = np.random.default_rng(2).normal(size=(len(x), 2))
    nowhere, who = np.zeros(len(x), int), np.arange(len(x))
    assert tilt_of_answers(noise, nowhere, answered, score, who, bucket) is None
    assert tilt_of_answers(x, nowhere, np.ones(len(x), bool), score, who, bucket) is None


def test_the_silent_are_taken_to_be_like_the_last_who_answered() -> None:
    """Who is pleased answers at once: late answers tell what journeys do not."""
    rng = np.random.default_rng(5)
    seen = {True: 0, False: 0}
    for by_rating in (True, False) * 20:
        score = rng.integers(0, 11, 1_000).astype(float)
        wait = rng.exponential(np.exp(-0.3 * (score - 5) * by_rating))
        answered = wait < np.quantile(wait, 0.6)
        noise, who = rng.normal(size=(1_000, 2)), np.arange(1_000)
        found = tilt_of_answers(
            noise, 0 * who, answered, score, who, rng.integers(0, 32, 1_000), delay=wait
        )
        # they can show that it depends, and never that it does not: then nothing is told
        assert found is None or (found.depends and found.source == "late answers")
        seen[by_rating] += found is not None
        if by_rating and found is not None:
            assert score.mean() < found.mean < score[answered].mean()
    assert seen[True] >= 19
    assert seen[False] <= 4


def test_answers_chosen_by_rating_at_one_touchpoint_are_doubted_there() -> None:
    rng = np.random.default_rng(6)
    x, _, score, bucket = survey(6, rows=6_000)
    place, who = rng.integers(0, 4, 6_000), np.arange(6_000)
    odds = -1.1 + np.where(place == 2, -0.5 * (score - 7), 0.0)
    answered = rng.random(6_000) < 1 / (1 + np.exp(-odds))
    found = tilt_of_answers(x, place, answered, score, who, bucket)
    assert found is not None
    off, q = found.by_cell(place, who, answered, cells=4)
    truth = [score[answered & (place == p)].mean() - score[place == p].mean() for p in range(4)]
    assert off == pytest.approx(truth, abs=0.3)
    assert (q <= 0.05).tolist() == [False, False, True, False]


def test_weights_repair_what_the_journey_explains() -> None:
    off, held = [], 0
    for seed in range(40):
        x, answered, score, _ = survey(seed, by_journey=0.8)
        customer = np.arange(len(x))
        hidden = np.where(answered, score, np.nan)
        completed = completed_ratings(x, answered, hidden, np.ones(len(x), dtype=bool))
        mean = mean_of_everybody(
            completed, 0 * customer, customer, cells=1, answers=[answered.sum()]
        )
        off.append(score[answered].mean() - score.mean())
        held += bool(mean.low[0] <= score.mean() <= mean.high[0])
    assert np.mean(off) > 0.3  # the plain mean is off
    assert held >= 35


def test_completed_ratings_are_weighted_by_the_chance_to_answer_of_their_group() -> None:
    group = np.repeat([0, 1, 2], 2_000)
    features = np.column_stack([group == 1, group == 2]).astype(float)
    answered = np.random.default_rng(4).random(6_000) < np.array([0.1, 0.3, 0.6])[group]
    score = np.where(answered, np.random.default_rng(5).normal(size=6_000), np.nan)
    everybody = np.ones(6_000, dtype=bool)
    completed = completed_ratings(features, answered, score, everybody)
    for g in range(3):
        own = (group == g) & answered
        weighted = np.diff(completed[own][:2])[0] / np.diff(score[own][:2])[0]
        assert 1 / weighted == pytest.approx(answered[group == g].mean(), rel=0.03)
    some = everybody & (np.arange(6_000) % 2 == 0)
    assert completed_ratings(features, answered, score, some).mean() == pytest.approx(
        completed.mean(), abs=0.05
    )


def test_completed_ratings_are_those_of_scikit_learn() -> None:
    """Both regressions, of a few rows that begin at nothing and of many that begin at a part."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    for rows in (120, 9_000):
        x, answered, score, _ = survey(rows, rows=rows, by_journey=0.8)
        x = np.column_stack([x * [1, 100, 0.01, 1], np.full(rows, 3.3)])
        hidden, fitted = np.where(answered, score, np.nan), np.arange(rows) % 3 > 0
        scaled = StandardScaler().fit(x[fitted]).transform(x)
        model = Ridge().fit(scaled[answered], hidden[answered]).predict(scaled)
        checked = ~answered
        for one in np.flatnonzero(answered)[:40]:  # each answer by all others
            others = answered & (np.arange(rows) != one)
            model[one] = Ridge().fit(scaled[others], hidden[others]).predict(scaled[[one]])[0]
            checked[one] = True
        chance = LogisticRegression(solver="newton-cholesky", tol=1e-12)
        chance = chance.fit(scaled[fitted], answered[fitted]).predict_proba(scaled)[:, 1]
        expected = model + np.where(answered, hidden - model, 0) / np.maximum(chance, 0.001)
        found = completed_ratings(x, answered, hidden, fitted)
        assert found[checked] == pytest.approx(expected[checked], rel=1e-9)


def test_where_everybody_answered_nothing_has_to_be_told() -> None:
    score = np.arange(50.0)
    features, everybody = score[:, None] % 7, np.ones(50, dtype=bool)
    assert completed_ratings(features, everybody, score, everybody) == pytest.approx(score)


def test_answers_of_nobody_who_is_fitted_count_alike() -> None:
    answered = np.arange(60) >= 50
    score = np.where(answered, 4.0, np.nan)
    found = completed_ratings(np.arange(60.0)[:, None], answered, score, ~answered)
    assert found == pytest.approx(np.full(60, 4.0))


def test_points_to_change_move_the_near_end_to_the_other() -> None:
    high, response, other = 2.6, 0.3, 3.1
    points = float(points_to_change([other - high], [response])[0])
    assert high + (1 - response) * points == pytest.approx(other)
    assert np.isinf(points_to_change([1.1], [1.0])[0])
    assert np.isnan(points_to_change([np.nan], [1.0])[0])
