"""Logs whose risk is known, for the tests of predictions."""

from datetime import timedelta
from random import Random

from journey_oracle import START, contact, journey_map, make_workspace

DAYS = 240
EXPLORING = ("page", "visit", "page in store")
"""Touchpoints of one stage, so that nobody goes back one; the last is on another channel."""


def walk_customers(seed, risk, *, customers=2_500, days=DAYS, ways=EXPLORING):
    """Walk customers among touchpoints; after each contact they fall silent with a known risk.

    `risk(source, touchpoint, day)` is the true probability of silence; source is None at first.
    """
    dice = Random(seed)
    log = []
    for number in range(customers):
        day, source = dice.uniform(0, days), None
        here = dice.choice(ways)
        while day < days:
            name, _, channel = here.partition(" in ")
            at = round(day * 1440) / 1440
            log.append(contact(f"c{number:05}", at, name, channel or None))
            if dice.random() < risk(source, here, day):
                break
            day += 0.01 + dice.expovariate(1 / 1.5)
            source, here = here, dice.choice(ways)
    return log


def place_names(workspace):
    """The names that `walk_customers` gives to the places."""
    own = {"page": "web", "visit": "store"}
    rows = workspace.places.select("touchpoint", "channel").iter_rows()
    return [name if own[name] == channel else f"{name} in {channel}" for name, channel in rows]


def workspace_of(folder, log, *, goal=(), days=DAYS):
    until = START + timedelta(days=days)
    return make_workspace(folder, log, rule=journey_map(goal=goal, lost=(), until=until))
