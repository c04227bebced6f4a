"""Every text a visitor reads on a dashboard, in one place, so that another language can be added.

Sentences about a single result (what breaks, how much) are written with the figures, in
`cxlib.figures`. Names in braces are filled in where a text is used; HTML in a text is ours, and
what is filled in has been escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxlib.figures.touchpoints import ColourBy

# ---- filters -------------------------------------------------------------------------------------

CUSTOMERS, ALL_CUSTOMERS = "Customers", "All customers"
CHANNEL, ALL_CHANNELS = "Channel", "All channels"
PERIOD = "Period"
COLOUR = "Colour"
COLOURS: Mapping[str, ColourBy] = {
    "Lost": "lost",
    "Go on": "go_on",
    "Still open": "open",
    "Rating": "rating",
}
TOUCHPOINT, NO_TOUCHPOINT = "Touchpoint", "None selected"
SIGNAL, ALL_SIGNALS = "Signal", "All signals"
FROM_CHANNEL, FROM_ANY = "From channel", "Any channel"
TO_CHANNEL, TO_ANY = "To channel", "Any channel"
STAGE, ALL_STAGES = "Stage", "All stages"
OWNER, ALL_OWNERS = "Owner", "All owners"

# ---- links, downloads, disclosures ---------------------------------------------------------------

COPY_LINK = "Copy link to this view"
LINK_COPIED = "Link copied."
LINK_BY_HAND = "Copy this address:"
DOWNLOAD = "Download"
TABLE = "As a table"
MEANING = "What does this mean?"
SURENESS = "How sure is this?"
CLOSE = "Close"
NOT_DRAWN = "The figure could not be drawn. Reload the page, or read the table below."
CREDIT = "{name}, data to {until}, published {published}; groups below {k} customers not shown"

#: What is said where the address asks for something that is not published.
UNKNOWN: Mapping[str, str] = {
    "segment": "This link asks for a group of customers that is not published; all are shown.",
    "channel": "This link asks for a channel that is not published; all are shown.",
    "period": "This link asks for a period that is not published; the whole time is shown.",
    "colour": "This link asks for a colouring that does not exist.",
    "touchpoint": "This link asks for a touchpoint that is not published.",
    "signal": "This link asks for a signal that is not known; all are shown.",
    "from": "This link asks for a channel that no handoff starts from; all are shown.",
    "to": "This link asks for a channel that no handoff leads to; all are shown.",
    "stage": "This link asks for a stage that is not published; all are shown.",
    "owner": "This link asks for an owner that is not published; all are shown.",
    "finding": "The finding of this link is not among the findings shown now.",
    "since": "The earlier snapshot of this link is no longer there.",
}
UNREADABLE = "This link cannot be read; the page is shown without its selection."
FAILED = (
    "This selection could not be shown. What you see below is the selection before. Try another "
    "one; if it stays like this, tell whoever published this page."
)

# ---- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FigureText:
    """What stands below a figure, and the name of the file when it is taken away."""

    name: str
    file: str
    meaning: str
    sureness: str


_INTERVALS = (
    "Ranges in brackets are 95 % intervals: with other customers of the same kind the figure would "
    "fall within them 19 times out of 20. They count customers, not clicks, since the same "
    "person's contacts are alike."
)
_SMALL = (
    "Figures about fewer than {k} customers are not shown, to protect single people; counts are "
    "rounded to {k}."
)

JOURNEY_MAP = FigureText(
    "Journey map",
    "journey-map",
    meaning="""
<p><b>The map.</b> Columns are the stages of the journey, rows are channels, circles are
touchpoints: the larger the circle, the more customers. The colour shows one figure at a time; its
legend stands below the map. Bands are moves from one touchpoint to the next; the arrow heads point
the way.</p>
<p><b>Go on</b>: share of contacts after which the customer comes back within the same journey.
<b>Lost</b>: nothing more comes for longer than the pause that ends a journey, or the journey ends
in one of the outcomes the map calls a loss. <b>Still open</b>: too recent to say.
<b>Goal reached</b>: nothing was left to come.</p>
<p><b>Weakest links</b> (numbered on the map) are the touchpoints where most customers get lost for
certain: customers times the lower end of the interval of “lost”.</p>
<p><b>When it misleads.</b> That many customers get lost after a touchpoint does not prove that it
drives them away: many come to an ad with little intent.</p>""",
    sureness=f"""
<p>This selection rests on {{customers}}. {_INTERVALS}</p>
<p>The log ends on {{until}}. Whoever was in touch shortly before may still come back: such contacts
are “still open”, and never counted as lost.</p>
<p>That many customers get lost after a touchpoint does not prove that the touchpoint drives them
away: they may have come with less intent.</p>
<p>{_SMALL}</p>""",
)

MATRIX = FigureText(
    "Matrix of handoffs",
    "handoffs",
    meaning="""
<p><b>A handoff</b> is one touchpoint directly followed by another on a different channel or with a
different owner. It breaks where customers who take it fare worse than those who take like handoffs:
they leave, wait longer, are sent back, have to do something again or to call for help, or rate what
they find lower.</p>
<p><b>The matrix.</b> Rows are where customers come from, columns where they go, both in the order
of the journey. Each dot is a handoff or transition that was judged, larger where more customers
take it. Grey is quiet; red is a finding, with its effect beside it.</p>
<p><b>Customers affected</b> is cautious: customers times the lower end of the excess.</p>
<p><b>When it misleads.</b> “More than like handoffs” is an association. Only a change tried on part
of the customers shows the cause.</p>""",
    sureness=f"""
<p>{{tests}} tests were made. With so many, some would stand out by chance, so q values allow for
their number (Benjamini-Hochberg): among findings, whose q is at most {{limit}}, at most {{false}}
are expected to be false.</p>
<p>Each handoff is compared with like handoffs: others that lead to the same touchpoint, leave the
same one, or join the same stages, with customers of the same segment, period and number of earlier
contacts. Intervals (95 %) allow for natural differences between handoffs, and findings too small to
matter are left out.</p>
<p>A customer counts as gone after {{days}} days of silence; whoever was in touch later than
{{days}} days before {{until}} is not judged yet.</p>
<p>A finding marked <b>unstable</b> changes sign under other reasonable settings, or, where ratings
are low, could come from who answers: look before you act on it. Where the crude comparison points
the other way, who takes the handoff makes much of the difference.</p>
<p>{_SMALL}</p>""",
)

AFTERWARDS = FigureText(
    "What happened after the handoff",
    "handoff-detail",
    meaning="""
<p>Red is what happened to customers who took this handoff; grey is what like handoffs let expect.
The further apart, the larger the effect.</p>
<p>For customers who leave, the curve is the share not in touch again within so many days; for waits
the share that has arrived by then, in open hours where the journey map gives opening hours; for
customers sent back, where they went next.</p>
<p><b>When it misleads.</b> Customers who take this handoff may have had a harder case to begin
with. They are compared with like customers as far as the log tells, and no further.</p>""",
    sureness=f"""
<p>This finding rests on {{cases}}. The grey band, or the whisker, is the 95 % interval of the
expectation; it allows for natural differences between handoffs.</p>
<p>Customers whose silence is still shorter than {{days}} days on {{until}} are not counted as
gone.</p>
<p>{_SMALL}</p>""",
)

TREND = FigureText(
    "The finding over time",
    "handoff-trend",
    meaning="""
<p>Each point is the same figure in one period; the dashed line is what like handoffs let expect.
Points that stay on one side of the line say that the handoff has been broken for long; a step says
since when.</p>
<p><b>When it misleads.</b> Single points move by chance. Look for several in a row.</p>""",
    sureness=f"""
<p>Whiskers are 95 % intervals of each period by itself. Hollow points rest on fewer than 30 cases.
Grey points are of customers who have not been watched for the whole {{days}} days before {{until}}:
they will still change.</p>
<p>{_SMALL}</p>""",
)

# ---- the journey map dashboard -------------------------------------------------------------------

MAP_TITLE = "Where customers get lost"
MAP_HINT = "Select a touchpoint on the map, or here, to see what happens after it."
NO_CONTACTS = "No contacts in this selection."
MAP_BASIS = "{overall}{who}, data to {until}. In brackets: 95 % interval."
MAP_OVERALL = "After a contact: go on {go_on} · lost {lost} · still open {open}. "
TOO_FEW_TO_COUNT = "too few customers to count"
MAP_TABLE = "Touchpoints in the order of the journey map; 95 % intervals in brackets."

# ---- the fragmentation dashboard -----------------------------------------------------------------

BREAKS_TITLE = "Which handoffs break"
BREAKS_BASIS = "{customers}, data to {until}. {sure}"
IN_HUNDRED = "{n} in 100"
BREAKS_TESTS = "{tests} tests, corrected for their number."
BREAKS_SURE = (
    "{tests} tests, corrected for their number: of such findings at most {false} are expected to "
    "be false."
)
BREAKS_PART = "Shown: {shown} of {all}."
FEW_CASES = "few cases"
RANKED = "Ranked by customers affected"
RANKED_LABEL = "Findings, those with most customers affected first"
AFTER_HEADING = "What happened, against what like handoffs let expect"
TREND_HEADING = "Since when"
WHOM_HEADING = "For whom"
TODO_HEADING = "What to do"
TODO_THEN = "Then test the change on part of the customers: this is an association."
TESTED_HEADING = "What was tested, and what could not be"
TESTED = "{tests} judgements: every signal on every transition with enough customers."
UNSTABLE = "unstable"
UNSTABLE_FACT = "changes sign with the setting: unstable"
STABLE_FACT = "same sign at other settings"
ANSWERS_UNSTABLE = "who answers could explain it: unstable"
ANSWERS_STABLE = "as low when weighed by who answered"
IF_ALL_ANSWERED = "If all had answered"
CRUDE, CRUDE_FACT = "Crude comparison", "points the other way"
NOTHING_HERE = "No finding among what you chose."
NOTHING_HERE_HINT = "Without these filters there are {all}."
NOTHING_JUDGED = "Nothing could be judged."
NOTHING_STANDS_OUT = "No handoff stands out from like handoffs."
NOTHING_STANDS_OUT_WHY = (
    "{tests} judgements were made; none shows harm beyond what chance and natural differences "
    "between handoffs explain."
)
JUDGED_TABLE = "Findings first, then by how clearly they stand out; 95 % intervals in brackets."
CURVE_TABLE = "The curve: what happened, and what like handoffs let expect."
ONWARD_TABLE = "Where customers went next, by this handoff and coming from elsewhere."
FIGURES_TABLE = "What happened, and what like handoffs let expect."
TREND_TABLE = "The finding by period; 95 % intervals in brackets."

ADVICE = "Ask {owner} to follow ten customers along this handoff."
SOME_OWNER = "whoever owns it"

# ---- what changed --------------------------------------------------------------------------------

CHANGES_HEADING = "What changed"
CHANGES_SINCE, CHANGES_NONE = "Compared with the snapshot of", "Choose an earlier snapshot"
CHANGES_OPTION = "{published}, {time} (data to {until})"
CHANGES_HINT = "Choose an earlier snapshot to read what has changed since."
CHANGES_FIRST = "This is the first snapshot. When there is a second, this says what has changed."
CHANGES_MORE = "{n} more changes are in the table."
CHANGES_TABLE = "What was compared, what changed first; 95 % intervals in brackets."
CHANGES = FigureText(
    "What changed",
    "what-changed",
    meaning="""
<p>Two published snapshots are compared: the figures of the one with data to {since} with those of
the one shown, with data to {until}. A finding is new, growing, shrinking, mended (at most half of
what it was, or surely less), faded (no longer a finding, but not surely less), or steady.</p>
<p><b>When it misleads.</b> A change says that something is different, and not why: other customers,
another season or another way of logging change figures too.</p>""",
    sureness=f"""
<p>A figure is said to have changed only where the 95 % interval of the change leaves out zero and
the change is more than rounding makes. Many customers are in both snapshots, which makes the true
interval narrower: what is said to have changed has changed.</p>
<p>{_SMALL}</p>""",
)

# ---- what could break next -----------------------------------------------------------------------

FORESIGHT_HEADING = "What could break next"
FORESIGHT_WHOM = "About all customers: filters do not change it."
FORESIGHT_NONE = "No forecast of handoffs: {reason}."
FORESIGHT_QUIET = "No handoff is more likely than not to break in the next period ({signal})."
FORESIGHT_COULD = "{n} could break in the next period ({signal}):"
FORESIGHT_HANDOFF = (
    "{handoff}{owner}: {chance} likely to be more than 5 points worse than like handoffs; expected "
    "are {excess}."
)
FORESIGHT_MORE = "{n} more are in the table."
FORESIGHT_CUSTOMERS = (
    "{n} are under way now; most cases are to be expected after {where}: {here} stand there, and "
    "{risk} of them are expected to fall silent or to go back a stage."
)
FORESIGHT_RECORD = "How good such forecasts have been"
FORESIGHT_HITS = (
    "Of the {of} handoffs that turned out worst at past dates, this forecast had named {hits}; by "
    "chance it would have been {chance:.0f}{rival}."
)
FORESIGHT_RIVAL = ", and {method} would have named {hits}"
FORESIGHT_METHODS: Mapping[str, str] = {
    "forecast": "this forecast",
    "same as last period": "going by last period",
    "raw drop-off": "a list of the highest drop-off rates",
    "most drop-offs": "a list of the most drop-offs",
}
#: What the comparison with chance means for whoever reads the forecast.
FORESIGHT_VERDICT: Mapping[str, str] = {
    "better": "That is better than chance: a good place to look first.",
    "alike": "That is no better than chance: a hint where to look, and no reason to act.",
    "worse": "That is worse than chance: do not go by it.",
}
FORESIGHT_EXPECTED = (
    "Of customers under way at past dates {predicted} were expected to fall silent or to go back, "
    "and {came} did. {skill}"
)
FORESIGHT_SKILL = "That is {skill} closer than going by how long they had been silent."
FORESIGHT_NO_SKILL = "That is no closer than going by how long they had been silent."
FORESIGHT_NO_CUSTOMERS = "No forecast for customers under way: {reason}."
FORESIGHT_FEW = "too few customers are under way"
FORESIGHT_TABLE = (
    "Handoffs by the cases to expect beyond like handoffs; 95 % intervals in brackets."
)
FORESIGHT_NAMED = "{hits} of {of} named by {method}"
FORESIGHT_BRIER = (
    "Brier score for customers under way: {brier:.2f} (0 is perfect, 0.25 is tossing a coin)"
)
FORESIGHT_UNTESTED = (
    "Nobody knows yet: the log is too short to hold such forecasts against what came."
)
FORESIGHT = FigureText(
    "What could break next",
    "what-could-break-next",
    meaning="""
<p>A handoff could break where, of the customers it will see in the next period, more than 5 in 100
beyond those at like handoffs are likely to fare badly. The forecast draws what was measured towards
what like handoffs do, the more so the fewer customers it rests on.</p>
<p><b>When it misleads.</b> It carries the past on. A campaign, a change of the site or a new
partner is not in it.</p>""",
    sureness=f"""
<p>The same forecast was made as of past dates, from what was known then, and held against what
came. The handoffs that turned out worst:</p>
<ul>{{backtest}}</ul>
<p>Which handoffs turn out worst is largely chance where few break: no way of naming them finds all.
</p>
<p>Made on {{until}}. A customer counts as gone after {{days}} days of silence.</p>
<p>{_SMALL}</p>""",
)
