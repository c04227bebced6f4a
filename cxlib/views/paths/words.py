"""Every text of the path explorer."""

from __future__ import annotations

from cxlib.views.shared.words import INTERVALS, SMALL, FigureText

TITLE = "Which ways customers take"
SUMMARY = (
    "From any touchpoint onwards, or back from it: where customers go, how many reach the goal, "
    "get lost or are still open."
)
ASKS = ("path_trees",)

START, DIRECTION = "Touchpoint", "Direction"
DIRECTIONS = {"after": "What comes after it", "before": "What came before it"}
UNKNOWN_START = "This link asks for a touchpoint that is not published."
UNKNOWN_DIRECTION = "This link asks for a direction that does not exist."

NONE = "Too few journeys come through {start} to be shown"
BASIS = "{ends}Of {journeys} through {start}; {rest} of them not drawn. Data to {until}."
ENDS = "Right after it {ends}. "
END = {"goal": "goal reached", "lost": "lost", "open": "still open"}
HINT = "Select a touchpoint in the picture to go on from there."
LIST_HEADING = "Step by step"
OF = "{share} of {of}"
TABLE = "Every way that is shown, each branch followed by its own; 95 % intervals in brackets."
TREE = FigureText(
    "Ways from or to a touchpoint",
    "ways",
    meaning="""
<p><b>The picture.</b> The touchpoint chosen stands at one side; beside it what comes directly next
(or came before), beside that the step after. The higher a field, the more journeys take that way.
Ends have the colours of goal, lost and still open. A journey counts once: from its first contact
there going forwards, to its last one going backwards.</p>
<p><b>Not drawn</b> are ways that few take: their room stays empty, and its share is said above.</p>
<p><b>When it misleads.</b> That many who come by a way get lost does not prove that the way loses
them: they may have come with less intent.</p>""",
    sureness=f"""
<p>{INTERVALS}</p>
<p>Journeys that are still open at the end of the log are told apart, and never lost.</p>
<p>{SMALL}</p>""",
)
