"""How often who answers is noticed, where it matters and where it does not: `answering.md`.

Customers meet up to four touchpoints. A mood that is theirs and chance make the rating of each; who
is less pleased leaves sooner and waits longer. A quarter answers: by chance, or the more often the
more pleased (log odds of 0.2 or 0.3 a point of eleven). Run: ``python benchmarks/answering.py``
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from cxlib.statistics.nonresponse import Tilt, tilt_of_answers

ANSWERS = (20, 50, 100, 250, 500, 1_000, 2_000)
SLOPES = (0.0, 0.2, 0.3)
RESPONSE = 0.25


def survey(seed: int, answers: int, slope: float) -> tuple[Tilt | None, float, float, bool]:
    """One survey: what is told of it, everybody's mean, the mean of the answers, and the oracle."""
    rng = np.random.default_rng([seed, answers, int(10 * slope)])
    people = round(answers / RESPONSE / 2.6)
    mood = rng.normal(size=people)
    shown = np.clip(np.round(7 + 1.3 * mood[:, None] + 1.6 * rng.normal(size=(people, 4))), 0, 10)
    goes_on = rng.random((people, 4)) < 0.5 + 0.04 * shown
    there = np.column_stack([np.ones(people, bool), goes_on[:, :3].cumprod(axis=1).astype(bool)])
    who, place = np.nonzero(there)
    y, left = shown[there], ~goes_on[there]
    wait = np.where(left, 0.0, np.log1p(rng.lognormal(3.5 - 0.2 * y, 0.7)))

    def chances(constant: float) -> np.ndarray:
        return 1 / (1 + np.exp(-constant - slope * (y - 7)))

    constant = brentq(lambda a: chances(a).mean() - RESPONSE, -20, 20)
    answered = rng.random(len(y)) < chances(constant)
    off = np.where(answered, y - y[answered].mean(), 0.0)
    others = np.bincount(who, off)[who] - off
    count = np.bincount(who, answered)[who] - answered
    known = np.column_stack([left, wait, others / (count + 1)]).astype(float)
    score = np.where(answered, y, np.nan)
    told = tilt_of_answers(known, place, answered, score, who, who % 32)
    return told, float(y.mean()), float(y[answered].mean()), _oracle(known, place, y, answered, who)


def _oracle(
    known: np.ndarray, place: np.ndarray, y: np.ndarray, answered: np.ndarray, who: np.ndarray
) -> bool:
    """Whether somebody notices it who knows what everybody would say of what the log knows.

    The regression of the rating on all that is known, its squares and products, is fitted to the
    ratings of everybody, the silent among them; the test is the same score of answering.
    """
    here = (place[:, None] == np.arange(4)).astype(float)
    pairs = [known[:, i] * known[:, j] for i in range(3) for j in range(i, 3)]
    x = np.column_stack([here, known, *pairs])
    shadow = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    mean_of = here @ (here.T @ shadow / here.sum(0))
    rate = here @ (here.T @ answered / here.sum(0))
    terms = np.bincount(who, (shadow - mean_of) * (answered - rate))
    return bool(abs(terms.sum()) > 1.96 * np.sqrt((terms**2).sum()))


def main() -> None:
    """Print the table."""
    print("| answers | too high by | doubted | ruled out | oracle | mean held | at most |")
    print("|---|---|---|---|---|---|---|")
    for n in ANSWERS:
        for slope in SLOPES:
            runs = [survey(seed, n, slope) for seed in range(200 if n <= 500 else 100)]
            told = [(t, truth) for t, truth, *_ in runs if t is not None]
            off = np.mean([plain - truth for _, truth, plain, _ in runs])
            oracle = np.mean([noticed for *_, noticed in runs])
            flagged = sum(t.depends for t, _ in told) / len(runs)
            held = np.mean([t.mean_low <= truth <= t.mean_high for t, truth in told])
            most = np.array([t.at_most for t, _ in told])
            ruled = sum(t.at_most <= 0.5 and not t.depends for t, _ in told) / len(runs)
            print(
                f"| {n:,} | {off:.2f} | {flagged:.1%} | {ruled:.1%} | {oracle:.1%} | {held:.0%} | "
                f"{np.median(most):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
