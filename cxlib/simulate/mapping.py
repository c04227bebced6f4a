"""The journey map that belongs to a simulated log, as YAML text."""

from __future__ import annotations

from cxlib.journey_map import format_duration
from cxlib.simulate.world import Contact, World

_COLUMNS = ("customer", "occurred_at", "touchpoint", "channel", "stage", "owner")


def write_map(world: World) -> str:
    """Return the journey map of a world's log, in the words of `cxlib.journey_map`."""
    columns = [*_COLUMNS]
    contacts = world.contacts
    has = {
        "ended_at": any(c.dwell is not None for c in contacts),
        "rating": any(c.rating is not None for c in contacts) and not world.ratings_apart,
        "environment": bool(world.environments),
        "issue": bool(world.issues),
        "cost": any(c.cost for c in contacts),
    }
    columns += [name for name, present in has.items() if present]
    lines = [
        "version: 1",
        f"name: {world.name}",
        f"columns: {{{', '.join(f'{name}: {name}' for name in columns)}}}",
        "time_zone: UTC",
    ]
    if any(c.rating is not None for c in contacts):
        lines.append("rating_scale: {name: csat, min: 0, max: 10}")
    goal = f", goal: [{', '.join(world.goal)}]" if world.goal else ""
    lines += [
        f'observed_until: "{world.observed_until.isoformat()}"',
        f"journey: {{gap: {format_duration(world.gap)}{goal}}}",
        f"stages: [{', '.join(world.stages)}]",
        "touchpoints:",
        *(f"  - {{{_line(contact)}}}" for contact in contacts),
    ]
    if world.planned_handoffs:
        lines.append("planned_handoffs:")
        lines += [
            f"  - {{source: {source}, target: {target}, deadline: {format_duration(deadline)}}}"
            for source, target, deadline in world.planned_handoffs
        ]
    return "\n".join(lines) + "\n"


def _line(contact: Contact) -> str:
    parts = [f"name: {contact.name}", f"stage: {contact.stage}", f"channel: {contact.channel}"]
    parts.append(f"owner: {contact.owner}")
    if contact.initiated_by != "customer":
        parts.append(f"initiated_by: {contact.initiated_by}")
    if not contact.repeatable:
        parts.append("repeatable: false")
    if contact.assisted:
        parts.append("assisted: true")
    if contact.self_service:
        parts.append("self_service: true")
    return ", ".join(parts)
