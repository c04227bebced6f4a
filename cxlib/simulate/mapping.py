"""The journey map that belongs to a simulated log, as YAML text."""

from __future__ import annotations

from typing import Any

import yaml

from cxlib.map_model import format_duration
from cxlib.simulate.world import Contact, World

_COLUMNS = ("customer", "occurred_at", "touchpoint", "channel", "stage", "owner")
_FLAGS = {"initiated_by": "customer", "repeatable": True, "assisted": False, "self_service": False}
"""What the journey map takes for granted."""


def write_map(world: World) -> str:
    """Return the journey map of a world's log, in the words of `cxlib.journey_map`."""
    contacts = world.contacts
    asked = any(c.rating is not None for c in contacts)
    has = {
        "ended_at": any(c.dwell is not None for c in contacts),
        "rating": asked and not world.ratings_apart,
        "environment": bool(world.environments),
        "issue": bool(world.issues),
        "cost": any(c.cost for c in contacts),
    }
    columns = [*_COLUMNS, *(name for name, present in has.items() if present)]
    journey: dict[str, Any] = {"gap": format_duration(world.gap)}
    content = {
        "version": 1,
        "name": world.name,
        "columns": {name: name for name in columns},
        "time_zone": "UTC",
        **({"rating_scale": {"name": "csat", "min": 0, "max": 10}} if asked else {}),
        "observed_until": world.observed_until.isoformat(),
        "journey": journey | ({"goal": [*world.goal]} if world.goal else {}),
        "stages": [*world.stages],
        "touchpoints": [_touchpoint(contact) for contact in contacts],
        "planned_handoffs": [
            {"source": source, "target": target, "deadline": format_duration(deadline)}
            for source, target, deadline in world.planned_handoffs
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _touchpoint(contact: Contact) -> dict[str, Any]:
    plain = {name: getattr(contact, name) for name in ("name", "stage", "channel", "owner")}
    flags = {name: getattr(contact, name) for name in _FLAGS}
    return plain | {name: value for name, value in flags.items() if value != _FLAGS[name]}
