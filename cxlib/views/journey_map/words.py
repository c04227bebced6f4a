"""Every text of the journey map."""

from cxlib.views.shared.words import FigureText

TITLE = "Where customers get lost"
SUMMARY = (
    "The journey map: how many customers meet you where, where they go next, and after which "
    "touchpoints they get lost."
)
ASKS = (
    *("touchpoints", "transitions", "findings", "first_contacts", "stage_funnel"),
    "experience_curve",
)

OVERALL_DONE = " goal reached {share} ·"

COLOUR = "Colour"
COLOURS = {"lost": "Lost", "go_on": "Go on", "open": "Still open", "rating": "Rating"}
TOUCHPOINT, NO_TOUCHPOINT = "Touchpoint", "None selected"
SHOW = "Show"
SHOWN = {"all": "All moves", "breaks": "Only what breaks"}

OWNER = "owner"
GO_ON, LOST, DONE, ROUNDED = "Go on", "Lost", "Goal reached", "Lost to rounding"
LOST_SHORT, LOST_SHORT_UNKNOWN = "lost {share}", "lost: not known"
RATED = "rating {rating}"
FINDING = "Finding {rank}"
ADDS_UP = "Of contacts followed to their end; a bar is all of them."
NEXT_HEADING, AGAIN = "Where they go next", "again"
TOO_FEW = "Too few customers to be shown."
NOTHING_THERE = "Nothing on {where} stands out from what is usual here"
WHOLE_TIME = "Findings are of the whole time. "
MARK = "{rank} · {affected} affected"
FOUND_FEW = "{handoff} stands out, by figures too small to be shown"
FOUND_HEADING = "What breaks"
OWNED = "Owner: {owner}"
HINT = "Select a touchpoint on the map, or here, to see what happens after it."
NO_CONTACTS = "No contacts in this selection."
BASIS = "{overall}{time}{who}, data to {until}. In brackets: 95 % interval."
OVERALL = (
    "After a contact followed to its end: go on {go_on} ·{done} lost {lost}. Still "
    "open are {open} of all. "
)
TABLE = "Touchpoints in the order of the journey map; 95 % intervals in brackets."

MAP = FigureText("Journey map", "journey_map/texts/journey-map.html")
