"""Every text of the path explorer."""

from cxlib.views.shared.words import WITHIN, FigureText

TITLE = "Which ways they take"
SUMMARY = (
    "From any touchpoint onwards, or back from it: where customers go, how many reach the goal, "
    "get lost or are still open."
)
ASKS = ("path_trees",)

START, DIRECTION = "Touchpoint", "Direction"
DIRECTIONS = {"after": "Comes after it", "before": "Came before it"}

NONE, ANY = "Too few journeys come through {start} to be shown", "any touchpoint"
BASIS = f"Of {{journeys}} through {{start}}{{ends}}. Data to {{until}}. {WITHIN}"
END = {
    "goal": "{share} reach the goal right after it",
    "lost": "{share} end there, and the customer is lost",
    "open": "{share} are still open there",
}
REST = "{share} are not drawn"
HINT = "Choose another touchpoint to go on from there."
LIST_HEADING = "Step by step"
OF = "{share} of {of}"
TABLE = "Every way that is shown, each branch followed by its own; 95 % intervals in brackets."
TREE = FigureText("Ways from or to a touchpoint", "paths/texts/ways.html")
