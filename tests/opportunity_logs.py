"""Journeys of two hidden kinds of customers to a goal, with a loss of known size on the way."""

import numpy as np
from journey_oracle import contact

NAMES = ["newsletter", "ad", "page", "visit", "basket", "pay"]
PAGE, BASKET, PAY = 2, 4, 5


def world(seed):
    """Two hidden kinds of customers, each with ways and exits of its own."""
    dice = np.random.default_rng(seed)
    ways = dice.gamma(1.0, size=(2, 6, 6)) * np.where(np.arange(6) == PAY, 0.3, 1.0)
    ways[:, BASKET, PAY] += 1.5
    ways[:, np.arange(6), np.arange(6)] = 0
    exits = dice.uniform(0.05, 0.3, (2, 6)) * np.array([[1.0], [1.6]])
    return (ways / ways.sum(2, keepdims=True)).cumsum(2), exits


def walk(made, customers, seed, *, fault):
    """Rows (customer, day, place) up to the goal; conversions; usual exit of those struck."""
    ways, exits = made
    dice = np.random.default_rng(seed)
    kind, here = dice.integers(0, 2, customers), dice.integers(0, 5, customers)
    came, day = np.full(customers, -1), dice.uniform(0, 200, customers)
    alive, rows, usual, conversions = np.arange(customers), [], [], 0
    while len(alive):
        place, k = here[alive], kind[alive]
        rows.append(np.column_stack([alive, day[alive], place]))
        hit = (came[alive] == PAGE) & (place == BASKET)
        usual.append(exits[k, place][hit])
        conversions += int((place == PAY).sum())
        lost = dice.random(len(alive)) < exits[k, place] + np.where(hit, fault, 0.0)
        alive = alive[(place != PAY) & ~lost]
        place, k = here[alive], kind[alive]
        following = (ways[k, place] < dice.random(len(alive))[:, None]).sum(1).clip(0, PAY)
        came[alive], here[alive] = place, following
        day[alive] += dice.exponential(1.0, len(alive)) + 0.001
    return np.concatenate(rows), conversions, float(np.concatenate(usual).mean())


def as_log(rows):
    return [
        contact(f"c{int(who):05}", round(day * 1440) / 1440, NAMES[int(place)])
        for who, day, place in rows
    ]
