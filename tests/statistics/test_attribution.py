"""Credit for conversions: every rule against plain loops, and a null that keeps its level."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cxlib.statistics.attribution import (
    HALF_LIFE,
    METHODS,
    Paths,
    _exchangeable,
    credit_shares,
    noise_null,
)

DAY = 86_400.0


def world(
    seed: int, journeys: int = 1_500, channels: int = 5, lift: float = 0.0, a_customer: float = 1.0
) -> Paths:
    """Simulate journeys whose conversion depends on nothing, or on having met channel 2."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, channels + 1) / np.arange(1, channels + 1).sum()
    n = np.minimum(rng.geometric(0.35, journeys), 12)
    channel = rng.choice(channels, n.sum(), p=share)
    first = np.concatenate([[0], n.cumsum()[:-1]])
    path = np.repeat(np.arange(journeys), n)
    met = np.bincount(path, channel == 2, minlength=journeys) > 0
    customer = np.sort(rng.integers(0, max(int(journeys / a_customer), 1), journeys))
    lean = rng.normal(size=journeys)[customer] * (1.2 if a_customer > 1 else 0)
    odds = np.log(0.15 / 0.85) + lift * met + lean
    return Paths(
        channel=channel,
        first=first,
        before_end=(n[path] - 1 - np.arange(len(path)) + first[path]) * 1.5 * DAY,
        converted=rng.random(journeys) < 1 / (1 + np.exp(-odds)),
        customer=customer,
        bucket=rng.integers(0, 8, journeys)[customer],
        channels=channels,
    )


def touches(paths: Paths) -> list[tuple[list[int], list[float], bool]]:
    ends = [*paths.first[1:].tolist(), len(paths.channel)]
    return [
        (paths.channel[a:b].tolist(), paths.before_end[a:b].tolist(), bool(c))
        for a, b, c in zip(paths.first.tolist(), ends, paths.converted, strict=True)
    ]


def by_hand(paths: Paths, method: str) -> np.ndarray:
    credit = np.zeros(paths.channels)
    for channels, before, converted in touches(paths):
        if not converted:
            continue
        n = len(channels)
        if method == "first":
            weight = [1.0] + [0.0] * (n - 1)
        elif method == "last":
            weight = [0.0] * (n - 1) + [1.0]
        elif method == "linear":
            weight = [1.0] * n
        elif method == "position":
            weight = [1.0] if n == 1 else [0.5, 0.5]
            if n > 2:
                weight = [0.4, *[0.2 / (n - 2)] * (n - 2), 0.4]
        else:
            weight = [0.5 ** (seconds / HALF_LIFE) for seconds in before]
        for channel, w in zip(channels, weight, strict=True):
            credit[channel] += w / sum(weight)
    return credit / credit.sum()


@pytest.mark.parametrize("method", METHODS[:5])
def test_rules_by_position_equal_a_plain_loop(method: str) -> None:
    paths = world(1)
    shares, _ = credit_shares(paths, buckets=8)
    assert shares[METHODS.index(method)] == pytest.approx(by_hand(paths, method))


def test_shapley_equals_all_orders() -> None:
    paths = world(2)
    sets = [(frozenset(channels), c) for channels, _, c in touches(paths)]
    usual = np.mean([c for _, c in sets])

    def worth(chosen: frozenset[int]) -> float:
        if not chosen:
            return 0.0
        inside = [c for met, c in sets if met <= chosen]
        return float((sum(inside) + 20 * usual) / (len(inside) + 20))

    gains = np.zeros(5)
    orders = list(itertools.permutations(range(5)))
    for order in orders:
        for j in range(5):
            before = frozenset(order[: order.index(j)])
            gains[j] += (worth(before | {j}) - worth(before)) / len(orders)
    shares, _ = credit_shares(paths, buckets=8)
    assert shares[METHODS.index("shapley")] == pytest.approx(gains / gains.sum())


def test_drawn_orders_come_near_all_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = world(2)
    exact, _ = credit_shares(paths, buckets=8)
    monkeypatch.setattr("cxlib.statistics.attribution.MAX_EXACT", 2)
    drawn, _ = credit_shares(paths, buckets=8)
    assert drawn[-1] == pytest.approx(exact[-1], abs=0.02)


def test_markov_is_what_a_walk_without_the_channel_loses() -> None:
    paths = world(3)
    k = paths.channels
    count = np.zeros((k + 1, k + 2))
    for channels, _, converted in touches(paths):
        states = [0, *(c + 1 for c in channels)]
        for a, b in itertools.pairwise(states):
            count[a, b - 1] += 1
        count[states[-1], k if converted else k + 1] += 1
    share = count / count.sum(axis=1, keepdims=True)

    def converts(without: int | None) -> float:
        p = np.zeros(k + 1)
        for _ in range(500):  # value iteration
            inside = p[1:].copy()
            if without is not None:
                inside[without] = 0
            p = share[:, :k] @ inside + share[:, k]
        return float(p[0])

    effect = np.array([1 - converts(j) / converts(None) for j in range(k)])
    shares, _ = credit_shares(paths, buckets=8)
    assert shares[METHODS.index("markov")] == pytest.approx(effect / effect.sum(), abs=1e-9)


def test_without_a_bucket_is_the_log_without_its_customers() -> None:
    paths = world(4)
    _, without = credit_shares(paths, buckets=8)
    kept = [i for i in range(len(paths.first)) if paths.bucket[i] != 3]
    told = touches(paths)
    channel = [c for i in kept for c in told[i][0]]
    lengths = [len(told[i][0]) for i in kept]
    alone = Paths(
        np.array(channel),
        np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        np.array([s for i in kept for s in told[i][1]]),
        paths.converted[kept],
        paths.customer[kept],
        paths.bucket[kept],
        paths.channels,
    )
    assert without[..., 3] == pytest.approx(credit_shares(alone, buckets=8)[0])


@pytest.mark.parametrize("a_customer", [1.0, 2.5])
def test_pure_noise_is_called_different_in_one_log_of_twenty(a_customer: float) -> None:
    called = sum(
        bool((noise_null(world(s, 400, a_customer=a_customer), draws=59, seed=s).p <= 0.05).any())
        for s in range(80)
    )
    # 4 expected of 80; more than 9 in one case of a hundred
    assert called <= 9


def test_a_channel_that_works_is_found() -> None:
    found = [noise_null(world(s, 3_000, lift=0.9), draws=59, seed=s) for s in range(8)]
    assert sum(n.p[2] <= 0.05 for n in found) >= 7
    # shares add up to 1: what the one has more the others have less, never more
    assert all(n.z[:, 2].max() == n.z.max() for n in found)


def test_a_null_that_permuted_journeys_would_call_persons_channels() -> None:
    """The guard: where one customer's journeys are alike in channel and in outcome, their outcomes
    move together or not at all."""
    rng = np.random.default_rng(0)
    called = alone = 0
    for _ in range(25):
        customer = np.repeat(np.arange(150), 10)
        favourite = rng.integers(0, 4, 150)[customer]
        odds = (rng.random(150) < 0.3)[customer]
        paths = Paths(
            favourite,
            np.arange(1_500),
            np.zeros(1_500),
            odds & (rng.random(1_500) < 0.9),
            customer,
            customer % 8,
            4,
        )
        called += bool((noise_null(paths, draws=59).p <= 0.05).any())
        single = replace(paths, customer=np.arange(1_500))
        alone += bool((noise_null(single, draws=59).p <= 0.05).any())
    assert called <= 5  # 1 expected
    assert alone >= 15


def together(seed: int, journeys: int = 2_500) -> Paths:
    """Channel 0 works; channel 1 is met where it is, and does nothing."""
    rng = np.random.default_rng(seed)
    plain = world(seed, journeys)
    beside = rng.random(journeys)[plain.path] < 0.4
    channel = np.where(beside, rng.integers(0, 2, len(plain.path)), 2 + plain.channel % 3)
    met = np.bincount(plain.path, channel == 0, minlength=journeys) > 0
    chance = np.where(met, 0.3, 0.12)
    return replace(plain, channel=channel, converted=rng.random(journeys) < chance)


def test_what_is_met_together_with_what_works_is_not_called_different() -> None:
    found = [noise_null(together(s), draws=99).p <= 0.05 for s in range(12)]
    assert sum(p[0] for p in found) >= 11
    # 0.6 of 12 expected; asked without what else was met, all of them
    assert sum(p[1:].any() for p in found) <= 3


def test_outcomes_change_among_those_who_met_what_is_given_as_often_and_as_the_last() -> None:
    paths = world(5, 800, a_customer=1.6)
    for rows, group in _exchangeable(paths, [2, 4]):
        assert (np.diff(group) >= 0).all()
        for one in (2, 4):
            ends = [*paths.first[1:], len(paths.channel)]
            met = [
                tuple(
                    (min(int((of == one).sum()), 2), bool(of[-1] == one))
                    for of in (paths.channel[paths.first[r] : ends[r]] for r in own)
                )
                for own in rows
            ]
            for chosen in np.unique(group):
                assert len({m for m, g in zip(met, group, strict=True) if g == chosen}) == 1
