"""Every text of the view of two parts side by side."""

from cxlib.views.shared.words import WITHIN, FigureText

TITLE = "How groups differ"
SUMMARY = (
    "Any two groups of customers, channels, periods or environments side by side: where they "
    "differ, by how much, and how sure that is."
)
ASKS = ("touchpoints", "environments", "first_contacts", "stage_funnel")

WHAT = "What is compared"
FIGURES = {
    "lost": ("touchpoints", "lost", "Lost after a touchpoint"),
    "go_on": ("touchpoints", "go_on", "Go on after a touchpoint"),
    "rating": ("touchpoints", "rating", "Rating of a touchpoint"),
    "begin": ("first_contacts", "share", "Where journeys begin"),
    "goal": ("first_contacts", "goal", "Reach the goal, by first contact"),
    "stages": ("stage_funnel", "lost", "Lost after a stage"),
}
"""What can be compared: the measure, its column, and what it is called."""

SIDES = {"a": "A", "b": "B"}
WHOLE_TIME, ANYWHERE = "Whole time", "Everywhere"
CUSTOMERS, CHANNEL, PERIOD = "{side}: customers", "{side}: channel", "{side}: period"
ENVIRONMENT = "{side}: environment"

SAME = "Both sides are the same: choose two different ones"
ONLY_TOUCHPOINTS = (
    "Environments are compared by touchpoint and over the whole time: choose another figure, the "
    "whole time, or no environment"
)
ALONE = (
    "There is nothing to compare: one group of customers, one channel and one period are all that "
    "is large enough to be shown"
)
NONE = "No figure is known of both sides: choose larger groups, or another figure"
NOTHING = "Nothing differs beyond chance between {a} and {b}"
CLEAREST = "{what}: {first} of {a}, {second} of {b}"
BASIS = (
    f"Data to {{until}}. {WITHIN} A difference is an association: the two may differ in more than "
    "their name."
)
TABLE = "Every row of both sides; 95 % intervals in brackets."
COMPARISON = FigureText("Side by side", "compare/texts/side-by-side.html")
