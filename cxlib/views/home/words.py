"""Every text of the home page."""

from __future__ import annotations

CUSTOMERS = "customers"
GOAL, LOST = "of journeys reach the goal", "of journeys are lost"
RATING = "mean rating"
BEFORE = "{figure} on {day}"
FOUND_HEADING = "What to do first"
DESCRIBED_HEADING = "What there is to see: described, not a finding"
AFFECTED = "at least {n} customers affected"
FEW_AFFECTED = "few customers affected"
OWNER, NO_OWNER, SOME_OWNER = "Owner: {owner}", "No owner in the map", "whoever owns it"
ADVICE = "Ask {owner} to follow ten customers there."
MORE = "{n} more findings"
CHANGES_HEADING = "New, growing or mended since {day}"
NO_CHANGES = "No finding is new, growing or mended since {day}."
VIEWS_HEADING = "The views"
