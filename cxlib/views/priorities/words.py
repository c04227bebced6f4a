"""Every text of the view of what to do first."""

from cxlib.views.shared.words import FigureText

TITLE = "What to do first"
SUMMARY = (
    "One backlog over everything that was found: what to mend, who owns it, what it would gain, "
    "and how to know whether it worked."
)
ASKS = ("priorities", "findings")

TEAM, ALL_TEAMS, LINE = "Team", "All teams", "Line"
MENDED = "How far it is mended"

NOTHING = "There is nothing in the backlog for this selection"
BASIS = "{gain}{lines}: {basis}. Data to {until}."
FIRST_GAIN = "Gain, {part} of it mended: {gain}. "
SURE, REST = "{findings} found beyond chance{rest}", "; the rest says where to look next"
UNSURE = "not sure beyond chance, but where to look first"
MENDED_ALREADY = "nothing left to gain: it is mended"
LIST_LABEL = "The backlog, what gains most first"
AFFECTED = "at least {n} customers affected"
OWNER, NO_OWNER, TEAM_OF = "Owner: {owner}", "No owner in the map", "team: {team}"

RESTS_HEADING = "What it rests on"
GAIN, GAIN_UNKNOWN = "Gain, {part} mended", "not known"
CUSTOMERS, EFFECT, AGAINST, CASES = "Customers affected", "How far off", "Compared with", "Cases"
STATUS, CONFIDENCE, EFFORT, STABLE = "Status", "Confidence", "Effort", "Other settings"
AT_LEAST = "at least {n}"
SAME, CHANGES_SIGN = "say the same", "can change its sign"
TODO_HEADING, TEST_HEADING = "What to do", "How to know whether it worked"

TABLE_CAPTION = "The backlog; 95 % intervals in brackets."
BACKLOG = FigureText("The backlog", "priorities/texts/backlog.html")
