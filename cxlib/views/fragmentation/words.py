"""Every text of the view of what breaks."""

from cxlib.views.shared.words import FigureText

TITLE = "Which handoffs break"
SUMMARY = (
    "The handoffs between touchpoints that break: how many customers each affects, how sure that "
    "is, what to do, and what could break next."
)
ASKS = ("findings", "predictions", "first_contacts", "stage_funnel")

SIGNAL, ALL_SIGNALS, FINDING = "Signal", "All signals", "Finding"
FROM_CHANNEL, FROM_ANY = "From channel", "Any channel"
TO_CHANNEL, TO_ANY = "To channel", "Any channel"

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
NOTHING_STANDS_OUT = (
    "{tests} judgements were made; held against similar handoffs none shows harm beyond what "
    "chance and natural differences between handoffs explain."
)
JUDGED_TABLE = "Findings first, then by how clearly they stand out; 95 % intervals in brackets."
CURVE_TABLE = "The curve: what happened, and what similar handoffs let expect."
ONWARD_TABLE = "Where customers went next, by this handoff and coming from elsewhere."
FIGURES_TABLE = "What happened, and what similar handoffs let expect."
TREND_TABLE = "The finding by period; 95 % intervals in brackets."

ADVICE = "Ask {owner} to follow ten customers along this handoff."

MATRIX = FigureText("Matrix of handoffs", "fragmentation/texts/handoffs.html")

AFTERWARDS = FigureText(
    "What happened after the handoff", "fragmentation/texts/handoff-detail.html"
)

TREND = FigureText("The finding over time", "fragmentation/texts/handoff-trend.html")

FORESIGHT_HEADING = "What could break next"
FORESIGHT_WHOM = "About all customers: filters do not change it."
FORESIGHT_TABLE = (
    "Handoffs by the cases to expect beyond similar handoffs; 95 % intervals in brackets."
)
FORESIGHT_UNTESTED = (
    "Nobody knows yet: the log is too short to hold such forecasts against what came."
)
FORESIGHT = FigureText("What could break next", "fragmentation/texts/what-could-break-next.html")
