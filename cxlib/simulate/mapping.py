"""The journey map that belongs to a simulated log, as YAML text."""

from __future__ import annotations

from cxlib.map_model import JourneyMap, JourneyRule, PlannedHandoff, RatingScale, Touchpoint
from cxlib.simulate.world import World

_COLUMNS = ("customer", "occurred_at", "touchpoint", "channel", "stage", "owner")
_FLAGS = ("initiated_by", "repeatable", "assisted", "self_service")
_SAME = ("name", "stage", "channel", "owner", *_FLAGS)


def write_map(world: World) -> str:
    """Return the journey map of a world's log, in the words of `cxlib.journey_map`."""
    contacts = world.contacts
    asked = any(c.rating is not None for c in contacts)
    has = {
        "ended_at": any(c.dwell is not None for c in contacts),
        "rating": asked and not world.ratings_apart,
        "environment.environment": bool(world.environments),
        "issue": bool(world.issues),
        "cost": any(c.cost for c in contacts),
    }
    columns = [*_COLUMNS, *(name for name, present in has.items() if present)]
    return JourneyMap(
        name=world.name,
        columns={name: name.partition(".")[2] or name for name in columns},
        time_zone="UTC",
        rating_scales=(RatingScale("csat", 0, 10),) if asked else (),
        observed_until=world.observed_until,
        journey=JourneyRule(gap=world.gap, goal=world.goal),
        stages=world.stages,
        touchpoints=tuple(Touchpoint(**{n: getattr(c, n) for n in _SAME}) for c in contacts),
        planned_handoffs=tuple(PlannedHandoff(*planned) for planned in world.planned_handoffs),
    ).to_yaml()
