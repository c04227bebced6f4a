"""Every text of the view of what breaks."""

from __future__ import annotations

from cxlib.views.shared.words import SMALL, FigureText

TITLE = "Which handoffs break"
SUMMARY = (
    "The handoffs between touchpoints that break: how many customers each affects, how sure that "
    "is, what to do, and what could break next."
)
ASKS = ("findings", "predictions", "first_contacts", "stage_funnel")

SIGNAL, ALL_SIGNALS = "Signal", "All signals"
FROM_CHANNEL, FROM_ANY = "From channel", "Any channel"
TO_CHANNEL, TO_ANY = "To channel", "Any channel"
UNKNOWN_SIGNAL = "This link asks for a signal that is not known; all are shown."
UNKNOWN_FROM = "This link asks for a channel that no handoff starts from; all are shown."
UNKNOWN_TO = "This link asks for a channel that no handoff leads to; all are shown."
UNKNOWN_FINDING = "The finding of this link is not among the findings shown now."

BASIS = "{customers}, data to {until}. {sure}"
IN_HUNDRED = "{n} in 100"
TESTS = "{tests} tests, corrected for their number."
SURE = (
    "{tests} tests, corrected for their number: of such findings at most {false} are expected to "
    "be false."
)
PART = "Shown: {shown} of {all}."
FEW_CASES = "few cases"
RANKED = "Ranked by customers affected"
RANKED_LABEL = "Findings, those with most customers affected first"
AFTER_HEADING = "What happened, against what similar handoffs let expect"
TREND_HEADING = "Since when"
WHOM_HEADING = "For whom"
TODO_HEADING = "What to do"
TODO_THEN = "Then test the change on part of the customers: this is an association."
TESTED_HEADING = "What was tested, and what could not be"
TESTED = "{tests} judgements: every signal on every transition with enough customers."
UNSTABLE = "unstable"
STABLE = {
    (False, True): "same sign at other settings",
    (False, False): "changes sign with the setting: unstable",
    (True, True): "as low when weighed by who answered",
    (True, False): "who answers could explain it: unstable",
}
"""By whether it is about ratings, and whether it is stable."""
FOUND_FEW = "stands out ({signal}), by figures too small to be shown"
JUDGED = "{tested} judged, {found}"
IF_ALL_ANSWERED = "If all had answered"
CRUDE, CRUDE_FACT = "Crude comparison", "points the other way"
FROM, TO, OWNER = "From", "To", "Owner"
OBSERVED, EXPECTED, EFFECT = "Observed", "Expected", "Effect"
AFFECTED, CAME, Q = "Affected", "Came this way", "q value"
STABILITY, OVER_TIME = "Stability", "Over time"
OF_LIKE = "{figure} (similar handoffs)"
OF_TESTS, CUSTOMERS = "{q} of {tests} tests", "{n} customers"
AFFECTS, OWNED = "{n} customers affected", "Owner: {owner}"
OTHERS_HEADING = "Found against its own past, other groups or the plan"
IT = "It {said}."
NOTHING_HERE = "No finding among what you chose."
NOTHING_HERE_HINT = "Without these filters there are {all}."
NOTHING_JUDGED = "Nothing could be judged."
NOTHING_STANDS_OUT = "No handoff stands out from similar handoffs."
NOTHING_STANDS_OUT_WHY = (
    "{tests} judgements were made; none shows harm beyond what chance and natural differences "
    "between handoffs explain."
)
JUDGED_TABLE = "Findings first, then by how clearly they stand out; 95 % intervals in brackets."
CURVE_TABLE = "The curve: what happened, and what similar handoffs let expect."
ONWARD_TABLE = "Where customers went next, by this handoff and coming from elsewhere."
FIGURES_TABLE = "What happened, and what similar handoffs let expect."
TREND_TABLE = "The finding by period; 95 % intervals in brackets."

ADVICE = "Ask {owner} to follow ten customers along this handoff."

# ---- figures -------------------------------------------------------------------------------------

MATRIX = FigureText(
    "Matrix of handoffs",
    "handoffs",
    meaning="""
<p><b>A handoff</b> is one touchpoint directly followed by another on a different channel or with a
different owner. It breaks where customers who take it fare worse than those who take similar
handoffs: they leave, wait longer, are sent back, have to do something again or to call for help, or
rate what they find lower.</p>
<p><b>The matrix.</b> Rows are where customers come from, columns where they go, both in the order
of the journey. Each dot is a handoff or transition that was judged, larger where more customers
take it. Grey is quiet; red is a finding, with its effect beside it.</p>
<p><b>Customers affected</b> is cautious: customers times the lower end of the excess.</p>
<p><b>When it misleads.</b> “More than similar handoffs” is an association. Only a change tried on
part of the customers shows the cause.</p>""",
    sureness=f"""
<p>{{tests}} tests were made. With so many, some would stand out by chance, so q values allow for
their number (Benjamini-Hochberg): among findings, whose q is at most {{limit}}, at most {{false}}
are expected to be false.</p>
<p>Each handoff is compared with similar handoffs: others that lead to the same touchpoint, leave
the same one, or join the same stages, with customers of the same segment, period and number of
earlier contacts. Intervals (95 %) allow for natural differences between handoffs, and findings too
small to matter are left out.</p>
<p>A customer counts as gone after {{days}} days of silence; whoever was in touch later than
{{days}} days before {{until}} is not judged yet.</p>
<p>A finding marked <b>unstable</b> changes sign under other reasonable settings, or, where ratings
are low, could come from who answers: look before you act on it. Where the crude comparison points
the other way, who takes the handoff makes much of the difference.</p>
<p>{SMALL}</p>""",
)

AFTERWARDS = FigureText(
    "What happened after the handoff",
    "handoff-detail",
    meaning="""
<p>Red is what happened to customers who took this handoff; grey is what similar handoffs let
expect. The further apart, the larger the effect.</p>
<p>For customers who leave, the curve is the share not in touch again within so many days; for waits
the share that has arrived by then, in open hours where the journey map gives opening hours; for
customers sent back, where they went next.</p>
<p><b>When it misleads.</b> Customers who take this handoff may have had a harder case to begin
with. They are compared with similar customers as far as the log tells, and no further.</p>""",
    sureness=f"""
<p>This finding rests on {{cases}}. The grey band, or the whisker, is the 95 % interval of the
expectation; it allows for natural differences between handoffs.</p>
<p>Customers whose silence is still shorter than {{days}} days on {{until}} are not counted as
gone.</p>
<p>{SMALL}</p>""",
)

TREND = FigureText(
    "The finding over time",
    "handoff-trend",
    meaning="""
<p>Each point is the same figure in one period; the dashed line is what similar handoffs let expect.
Points that stay on one side of the line say that the handoff has been broken for long; a step says
since when.</p>
<p><b>When it misleads.</b> Single points move by chance. Look for several in a row.</p>""",
    sureness=f"""
<p>Whiskers are 95 % intervals of each period by itself. Hollow points rest on fewer than 30 cases.
Grey points are of customers who have not been watched for the whole {{days}} days before {{until}}:
they will still change.</p>
<p>{SMALL}</p>""",
)

# ---- what could break next -----------------------------------------------------------------------

FORESIGHT_HEADING = "What could break next"
FORESIGHT_WHOM = "About all customers: filters do not change it."
FORESIGHT_TABLE = (
    "Handoffs by the cases to expect beyond similar handoffs; 95 % intervals in brackets."
)
FORESIGHT_UNTESTED = (
    "Nobody knows yet: the log is too short to hold such forecasts against what came."
)
FORESIGHT = FigureText(
    "What could break next",
    "what-could-break-next",
    meaning="""
<p>A handoff could break where, of the customers it will see in the next period, more than 5 in 100
beyond those at similar handoffs are likely to fare badly. The forecast draws what was measured
towards what similar handoffs do, the more so the fewer customers it rests on.</p>
<p><b>When it misleads.</b> It carries the past on. A campaign, a change of the site or a new
partner is not in it.</p>""",
    sureness=f"""
<p>The same forecast was made as of past dates, from what was known then, and held against what
came. A prediction that was not surely closer to it than going by the past is not told:</p>
<ul>{{record}}</ul>
<p>Made on {{until}}. A customer counts as gone after {{days}} days of silence.</p>
<p>{SMALL}</p>""",
)
