"""Every text of the home page."""

NUMBERS = {
    "customers": "customers",
    "goal": "of journeys reach the goal",
    "lost": "of journeys end without it",
    "rating": "mean rating",
}
"""What the key figures of a snapshot are called."""

CHANGE = "{change} since {day}"
FOUND_HEADING = "What to do first"
DESCRIBED_HEADING = "What there is to see: described, not a finding"
AFFECTED = "at least {n} customers affected"
FEW_AFFECTED = "few customers affected"
GAIN = "mending it gains {gain}"
OWNER, NO_OWNER = "Owner: {owner}", "No owner in the map"
MORE = "more finding"
CHANGES_HEADING = "New, growing or mended since {day}"
NO_CHANGES = "No finding is new, growing or mended since {day}."
VIEWS_HEADING = "The views"
