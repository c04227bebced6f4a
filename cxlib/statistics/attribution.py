"""Credit for conversions: how much stands beside each channel, and whether it means anything.

Every rule of credit mostly copies exposure, so credit is given together with what the same touches
would get if who converts had nothing to do with which channels they met (`noise_null`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxlib.statistics.absorbing import removal_effects, transition_shares
from cxlib.statistics.resampling import Estimates

METHODS = ("first", "last", "linear", "position", "time_decay", "markov", "shapley")
"""Rules of credit, the simplest first."""

HALF_LIFE = 7 * 86_400.0
"""Seconds after which a touch has half the credit, for time decay: seven days, as usual."""

MAX_CHANNELS = 40
"""Channels at most; whoever has more puts the rarest together."""

MAX_EXACT = 12
"""Channels up to which Shapley values are taken over all sets; above, over drawn orders."""

_ORDERS = 400
_PRIOR = 20.0
_LENGTHS = (1, 2, 3, 4, 6, 10)

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Touches of journeys before they converted or ended, path after path, in order of time.

    ``channel`` and ``before_end`` (seconds) are by touch, the others by path; those of one customer
    stand together.
    """

    channel: Ints
    first: Ints
    before_end: NDArray[np.float64]
    converted: NDArray[np.bool_]
    customer: Ints
    bucket: Ints
    channels: int

    @property
    def lengths(self) -> Ints:
        """Touches of each path."""
        return np.diff(self.first, append=len(self.channel))

    @property
    def path(self) -> Ints:
        """Path of every touch."""
        return np.repeat(np.arange(len(self.first)), self.lengths)


def _touch_credit(paths: Paths, method: str) -> Estimates:
    """Credit of every touch if its path converts: sums to 1 over each path."""
    n, path = paths.lengths, paths.path
    place = np.arange(len(path)) - paths.first[path]
    is_first, is_last = place == 0, place == n[path] - 1
    if method == "first":
        return is_first.astype(np.float64)
    if method == "last":
        return is_last.astype(np.float64)
    if method == "linear":
        return 1.0 / n[path]
    if method == "position":  # 40 % each to the first and the last, the rest shared
        weight = np.where(is_first | is_last, 0.4, 0.2 / np.maximum(n[path] - 2, 1))
        weight = np.where(n[path] == 2, 0.5, weight)
    else:
        weight = 0.5 ** (paths.before_end / HALF_LIFE)
    weight = np.maximum(weight, 1e-300)
    whole: Estimates = weight / np.bincount(path, weight, minlength=len(n))[path]
    return whole


class _Counted:
    """What all rules need of the touches, worked out once; linear in the outcomes, so that one
    sparse product gives it for many permuted ones at a time.
    """

    def __init__(self, paths: Paths, *, seed: int) -> None:
        from scipy.sparse import csr_array, vstack

        k, n, path = paths.channels, len(paths.first), paths.path
        rows = np.arange(n)

        def grouped(group: Ints, size: int, at: Ints, weight: Estimates | None = None) -> Any:
            values = np.ones(len(group)) if weight is None else weight
            return csr_array((values, (group, at)), shape=(size, n))

        last = paths.channel[np.append(paths.first[1:], len(path)) - 1]
        code = np.bitwise_or.reduceat(np.left_shift(1, paths.channel), paths.first)
        self.code, set_of = np.unique(code, return_inverse=True)
        self.sets = (self.code[:, None] >> np.arange(k) & 1).astype(bool)
        simple = [_touch_credit(paths, m) for m in METHODS[:5]]
        ends = [grouped(last, k, rows), grouped(set_of, len(self.code), rows)]
        self.map = vstack([grouped(paths.channel, k, path, w) for w in simple] + ends).tocsr()
        step = np.flatnonzero(path[1:] == path[:-1])
        moves = paths.channel[step] * k + paths.channel[step + 1]
        # moves among channels and the sizes of sets do not depend on the outcome
        self.fixed = vstack(
            [
                grouped(paths.channel[paths.first], k, rows),
                grouped(moves, k * k, path[step]),
                *ends,
            ]
        ).tocsr()
        self.k, self.n = k, n
        self.orders = _draw_orders(k, seed)

    def shares(self, outcome: Estimates, kept: Estimates | None = None) -> Estimates:
        """Shares of credit ``[methods, channels, outcomes]``; `kept`: the paths there are."""
        k = self.k
        there = np.ones((self.n, 1)) if kept is None else kept
        summed, fixed = np.asarray(self.map @ outcome), np.asarray(self.fixed @ there)
        simple = summed[: 5 * k].reshape(5, k, -1)
        last, by_set = summed[5 * k : 6 * k], summed[6 * k :]
        start, among, ends_at, sizes = np.split(fixed, np.cumsum([k, k * k, k]))
        usual = outcome.sum(axis=0) / there.sum(axis=0)
        raw = [*simple, self._markov(start, among, ends_at, last)]
        stacked = np.stack([*raw, self._shapley(sizes, by_set, usual)])
        total = stacked.sum(axis=1, keepdims=True)
        shares: Estimates = np.divide(
            stacked, total, out=np.full_like(stacked, np.nan), where=np.abs(total) > 1e-12
        )
        return shares

    def _markov(
        self, start: Estimates, among: Estimates, ends_at: Estimates, last: Estimates
    ) -> Estimates:
        k, draws = self.k, last.shape[1]
        moves = np.zeros((draws, 1 + k, k + 2))
        moves[:, 0, :k] = start.T
        moves[:, 1:, :k] = among.T.reshape(-1, k, k)
        moves[:, 1:, k] = last.T
        moves[:, 1:, k + 1] = (ends_at - last).T
        found = removal_effects(transition_shares(moves), end=0, lost=1)
        return np.nan_to_num(found, nan=0.0).T

    def _shapley(self, sizes: Estimates, by_set: Estimates, usual: Estimates) -> Estimates:
        """Mean gain in the conversion rate of journeys within a set; small sets are shrunk."""
        if self.k <= MAX_EXACT:
            return self._shapley_exact(sizes, by_set, usual)
        from scipy.sparse import csr_array

        gains = np.zeros((self.k, by_set.shape[1]))
        ones, at = np.ones(len(self.code)), np.arange(len(self.code))
        for order in self.orders:
            rank = np.empty(self.k, dtype=np.int64)
            rank[order] = np.arange(self.k)
            # a path lies within the first m channels of the order once its latest is among them
            latest = np.where(self.sets, rank, -1).max(axis=1)
            folded = csr_array((ones, (latest, at)), shape=(self.k, len(at)))
            n, hits = ((folded @ x).cumsum(axis=0) for x in (sizes, by_set))
            worth = (hits + _PRIOR * usual) / (n + _PRIOR)
            gains[order] += np.diff(worth, axis=0, prepend=usual[None, :])
        return _from_zero(gains / len(self.orders), usual)

    def _shapley_exact(self, sizes: Estimates, by_set: Estimates, usual: Estimates) -> Estimates:
        k = self.k
        n, hits = (np.zeros((1 << k, x.shape[1])) for x in (sizes, by_set))
        n[self.code], hits[self.code] = sizes, by_set
        for j in range(k):  # sums over subsets
            holds = np.flatnonzero(np.arange(1 << k) >> j & 1)
            n[holds] += n[holds ^ 1 << j]
            hits[holds] += hits[holds ^ 1 << j]
        worth = (hits + _PRIOR * usual) / (n + _PRIOR)
        size = np.array([int(s).bit_count() for s in range(1 << k)])
        weight = np.array([1 / (k * comb(k - 1, s)) if s < k else 0.0 for s in range(k + 1)])
        gains = np.zeros((k, by_set.shape[1]))
        for j in range(k):
            without = np.flatnonzero((np.arange(1 << k) >> j & 1) == 0)
            step = worth[without | 1 << j] - worth[without]
            gains[j] = weight[size[without]] @ step
        return _from_zero(gains, usual)


def _from_zero(gains: Estimates, usual: Estimates) -> Estimates:
    """Credit of the whole rate: the worth of no channel at all is shared equally."""
    return gains + usual / len(gains)


def _draw_orders(channels: int, seed: int) -> list[Ints]:
    rng = np.random.default_rng(seed)
    half = [rng.permutation(channels) for _ in range(_ORDERS // 2)]
    return [*half, *(order[::-1].copy() for order in half)]


def credit_shares(
    paths: Paths, *, buckets: int, seed: int = 0, worth: Estimates | None = None
) -> tuple[Estimates, Estimates]:
    """Shares of conversions ``[methods, channels]``, and those without each bucket.

    ``worth`` is that of each path's conversion, for shares of the value; None: all the same.
    """
    kept = np.ones((len(paths.first), buckets + 1))
    kept[np.arange(len(kept)), 1 + paths.bucket] = 0.0
    outcome = paths.converted.astype(np.float64)
    if worth is not None:  # at most 1 a path, as the chain needs it
        outcome = outcome * np.maximum(worth, 0.0) / max(float(worth.max(initial=0.0)), 1e-300)
    found = _Counted(paths, seed=seed).shares(kept * outcome[:, None], kept)
    return found[..., 0], found[..., 1:]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseNull:
    """Distance of the observed credits from what chance gives, in standard deviations ``[methods,
    channels]``; and p by channel: of as large a distance of any, given those that differ more.
    """

    z: Estimates
    p: Estimates


def noise_null(paths: Paths, *, draws: int = 399, seed: int = 0, level: float = 0.05) -> NoiseNull:
    """Permute outcomes among customers, and see whether the credits are any different.

    Customers change with customers of as many journeys and touches; the observed credits count
    among the draws. What one channel has more the others have less, and what is met together with
    it has more as well. So the surest that differs is held constant: from then on outcomes change
    among customers who met it as often, and as the last, and the others are asked again; at the end
    each that differs is asked alone, given the other ones.

    References
    ----------
    Phipson & Smyth (2010), doi:10.2202/1544-6115.1585 (the observed among the draws); Westfall &
    Young (1993) (the largest of many, step-down); Berrett, Wang, Barber & Samworth (2020),
    doi:10.1111/rssb.12340 (permuting given what else was met); Marcus, Peritz & Gabriel (1976),
    doi:10.1093/biomet/63.3.655 (a test that is gone on with only after the one before keeps the
    level).
    """
    counted = _Counted(paths, seed=seed)
    rng = np.random.default_rng(seed)

    def ask(asked: list[int], given: list[int]) -> tuple[Estimates, Estimates]:
        return _permuted(counted, paths, asked, _exchangeable(paths, given), draws, rng)

    rest, given = list(range(paths.channels)), list[int]()
    z, p = ask(rest, given)
    apart, now = z, p
    while len(rest) > 1 and now.min() <= level:
        # of two that are as far from chance, the one that has more
        far = np.where(now <= level, np.abs(apart).max(axis=0) + 1e-9 * np.sign(_widest(apart)), -1)
        given.append(rest.pop(int(far.argmax())))
        apart, now = ask(rest, given)
        p[rest] = np.maximum(p[rest], now)
    for one in given[:-1]:
        p[one] = max(p[one], ask([one], [other for other in given if other != one])[1][0])
    return NoiseNull(z, p)


def _widest(z: Estimates) -> Estimates:
    """Of each channel the distance by the method that it is largest by."""
    widest: Estimates = np.take_along_axis(z, np.abs(z).argmax(axis=0)[None, :], axis=0)[0]
    return widest


Exchangeable = list[tuple[Ints, Ints]]
"""For each number of journeys: the first of each customer, and which may change outcomes."""


def _permuted(
    counted: _Counted,
    paths: Paths,
    asked: list[int],
    groups: Exchangeable,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Estimates, Estimates]:
    """Distances of the observed credits of the channels `asked`, and p of the largest of them."""
    base = paths.converted.astype(np.float64)
    found = [counted.shares(base[:, None])[:, asked]]
    chunk = max(1, min(draws, 40_000_000 // max(len(base), 1)))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        outcome = np.repeat(base[:, None], size, axis=1)
        for draw in range(size):
            for rows, group in groups:
                order = np.argsort(group + rng.random(len(group)))
                outcome[rows, draw] = base[rows[order]]
        found.append(counted.shares(outcome)[:, asked])
    every = np.concatenate(found, axis=-1)
    mean, spread = every.mean(axis=-1), every.std(axis=-1, ddof=1)
    apart = every - mean[..., None]
    moves = spread > 1e-12
    distance = np.where(moves[..., None], apart / np.where(moves, spread, 1.0)[..., None], 0.0)
    largest = np.abs(distance).max(axis=(0, 1))
    own = np.abs(distance[..., 0]).max(axis=0)
    return distance[..., 0], (largest[None, :] >= own[:, None] - 1e-12).mean(axis=1)


def _exchangeable(paths: Paths, given: list[int]) -> Exchangeable:
    """Rows of paths ``[customers, journeys]``, sorted by the group in which outcomes may change.

    A group has as many journeys and touches, and met each of the channels `given` as often (never,
    once, more) and as the last or not, in every journey.
    """
    _, begin, journeys = np.unique(paths.customer, return_index=True, return_counts=True)
    touches = np.add.reduceat(paths.lengths, begin) / journeys
    length = np.searchsorted(_LENGTHS, touches, side="right")
    last = paths.channel[np.append(paths.first[1:], len(paths.channel)) - 1]
    met = np.zeros(len(last), dtype=np.int64)
    for one in given:
        times = np.add.reduceat(paths.channel == one, paths.first, dtype=np.int64)
        met = np.unique(met * 6 + np.minimum(times, 2) * 2 + (last == one), return_inverse=True)[1]
    groups: Exchangeable = []
    for count in np.unique(journeys):
        chosen = np.flatnonzero(journeys == count)
        rows = begin[chosen, None] + np.arange(count)
        alike = np.column_stack([length[chosen], met[rows]])
        group = np.unique(alike, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(group, kind="stable")
        groups.append((rows[order], group[order]))
    return groups
