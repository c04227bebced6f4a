"""How often 95 % intervals of ratings and drivers hold the truth: `intervals.md`.

Answers on several scales by customers who answer once, several times, or a few of whom very often;
a mood that is theirs makes their answers alike. Run: ``python benchmarks/intervals.py [logs]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from cxlib.measures.drivers import explain_differences
from cxlib.statistics.nonresponse import completed_ratings, mean_of_everybody
from cxlib.statistics.scores import (
    independent_answers,
    mean_of_group,
    mean_score,
    net_promoter_score,
    top_box,
)

SIZES = (20, 50, 100, 250, 1_000, 2_000)
Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _cut(*shares: float) -> Draw:
    """Answers 1, 2, … in these shares, the higher the better the mood."""
    from scipy.stats import norm

    ends = norm.ppf(np.cumsum(shares)[:-1])

    def draw(rng: np.random.Generator, mood: np.ndarray) -> np.ndarray:
        pleased = np.sqrt(0.5) * mood + np.sqrt(0.5) * rng.normal(size=len(mood))
        return 1.0 + np.searchsorted(ends, pleased)

    return draw


SCALES: dict[str, tuple[Draw, tuple[float, float]]] = {
    "stars, J-shaped": (_cut(0.12, 0.03, 0.07, 0.18, 0.60), (1, 5)),
    "stars, U-shaped": (_cut(0.40, 0.10, 0.05, 0.10, 0.35), (1, 5)),
    "satisfaction": (_cut(0.05, 0.15, 0.30, 0.35, 0.15), (1, 5)),
    "like or dislike": (_cut(0.15, 0.85), (1, 2)),
    "0 to 10": (
        lambda rng, mood: np.clip(
            np.round(8.3 + 1.3 * mood + 1.8 * rng.normal(size=len(mood))), 0, 10
        ),
        (0, 10),
    ),
}


def customers(rng: np.random.Generator, kind: str, n: int) -> np.ndarray:
    """Customer of each of about ``n`` answers."""
    if kind == "once":
        return np.arange(n)
    often = rng.geometric(1 / 3, n) if kind == "several" else np.where(rng.random(n) < 0.1, 10, 1)
    return np.repeat(np.arange(n), often)[:n]


def of_answers(name: str, kind: str, n: int, logs: int) -> Iterator[tuple[str, float]]:
    """Coverage of the mean, of the share of the best answer, and of the net promoter score."""
    draw, (low, high) = SCALES[name]
    rng = np.random.default_rng([n, len(kind), len(name)])
    everybody = draw(rng, rng.normal(size=1_000_000))
    # all logs at once: each is a cell
    log = np.repeat(np.arange(logs), n)
    who = np.concatenate([customers(rng, kind, n) + n * i for i in range(logs)])
    said = draw(rng, rng.normal(size=n * logs)[who])
    best, of = said == high, np.where(said >= 9, 1.0, np.where(said <= 6, -1.0, 0.0))

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(log, values, minlength=logs)

    def size(values: np.ndarray) -> np.ndarray:
        return independent_answers(log, who, values, cells=logs)

    each = np.full(logs, n)
    found = {
        "mean": mean_score(each, sums(said), sums(said**2), scale=(low, high), size=size(said)),
        "best": top_box(each, sums(best), size=size(best)),
        "nps": net_promoter_score(*(sums(of == s) for s in (-1, 0, 1)), size=size(of)),
    }
    truth = {
        "mean": everybody.mean(),
        "best": (everybody == high).mean(),
        "nps": 100 * ((everybody >= 9).mean() - (everybody <= 6).mean()),
    }
    for what, all_of in found.items():
        if what != "nps" or (low, high) == (0, 10):
            held = (all_of.low <= truth[what]) & (truth[what] <= all_of.high)
            yield what, float(held.mean())


def _meets(rng: np.random.Generator, n: int) -> np.ndarray:
    """Five drivers: three that go together, one that half meet, and one that does nothing."""
    together = rng.normal(size=n)
    counts = [np.log1p(rng.poisson(np.exp(0.4 * together + at))) for at in (0.0, 0.5, 1.0)]
    return np.column_stack([*counts, rng.random(n) < 0.3, rng.normal(size=n)]).astype(float)


EFFECTS = np.array([-0.8, 0.0, 0.5, -1.0, 0.0])


def _outcome(
    rng: np.random.Generator, x: np.ndarray, mood: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    latent = (x - np.array([0.7, 0.95, 1.3, 0.3, 0.0])) @ EFFECTS
    return np.searchsorted(ends, latent + 0.7 * mood + rng.normal(size=len(x))) + 1.0


def of_drivers(kind: str, n: int, logs: int) -> Iterator[tuple[str, float]]:
    """Coverage of shares and slopes, driver by driver; stars are J-shaped."""
    rng = np.random.default_rng([n, len(kind), 7])
    ends = np.array([-1.9, -1.6, -1.1, -0.4])
    many = 1_000_000
    x = _meets(rng, many)
    names = ["a", "b", "c", "met", "nothing"]
    truth = _explained(x, _outcome(rng, x, rng.normal(size=many), ends), np.arange(many), names)
    held = {(w, d): 0 for w in ("share", "slope") for d in names}
    for _ in range(logs):
        who = customers(rng, kind, n)
        x = _meets(rng, n)
        y = _outcome(rng, x, rng.normal(size=n)[who], ends)
        for driver, row in _explained(x, y, who * 7_919 + rng.integers(32), names).items():
            for what in ("share", "slope"):
                low, high = row[f"{what}_low"], row[f"{what}_high"]
                if low is None or high is None:
                    held[what, driver] += 1
                else:
                    held[what, driver] += bool(low - 1e-4 <= truth[driver][what] <= high)
    for (what, driver), times in held.items():
        yield f"{what} of {driver}", times / logs


def _explained(
    x: np.ndarray, y: np.ndarray, who: np.ndarray, names: list[str]
) -> dict[str, dict[str, float]]:
    bucket = (who * 2_654_435_761 >> 7) % 32
    cases = pl.DataFrame(x, schema=names).with_columns(
        customer=pl.Series(who),
        bucket=pl.Series(bucket),
        occurred_at=pl.int_range(len(y)),
        value=pl.Series(y),
    )
    return {row["driver"]: row for row in explain_differences(cases, names)}


def of_everybody(n: int, logs: int) -> Iterator[tuple[str, float]]:
    """Coverage of the weighted mean; who waited less answers more often, a quarter of all."""
    rng = np.random.default_rng([n, 3])
    held = 0

    def world(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        wait, left = rng.normal(size=size), rng.random(size) < 0.3
        said = np.clip(np.round(7.5 - 0.8 * wait - left + 1.6 * rng.normal(size=size)), 0, 10)
        chance = 1 / (1 + np.exp(1.1 + 0.7 * wait))
        return np.column_stack([wait, left]).astype(float), said, rng.random(size) < chance

    truth = world(1_000_000)[1].mean()
    for _ in range(logs):
        x, said, answered = world(4 * n)
        score = np.where(answered, said, np.nan)
        terms = completed_ratings(x, answered, score, np.ones(len(x), dtype=bool))
        one = np.zeros(len(x), dtype=int)
        found = mean_of_everybody(
            terms, one, np.arange(len(x)), cells=1, answers=[float(answered.sum())]
        )
        own = mean_of_group(said[answered], np.arange(int(answered.sum())), scale=(0, 10))
        # as it is shown: never narrower than that of the mean
        half = max(found.high[0] - found.estimate[0], (own.high[0] - own.low[0]) / 2)
        held += bool(abs(found.estimate[0] - truth) <= half)
    yield "weighted", held / logs


def main(logs: int) -> None:
    """Print one line per cell."""
    print(
        "| what | customers answer | n | of | holds the truth |\n|---|---|---|---|---|", flush=True
    )
    for n in SIZES:
        for kind in ("once", "several", "a few often"):
            for name in SCALES:
                for what, share in of_answers(name, kind, n, 4 * logs):
                    print(f"| {name} | {kind} | {n:,} | {what} | {share:.1%} |", flush=True)
            for what, share in of_drivers(kind, n, logs):
                print(f"| drivers | {kind} | {n:,} | {what} | {share:.1%} |", flush=True)
        for what, share in of_everybody(n, logs):
            print(f"| everybody | once | {n:,} | {what} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
