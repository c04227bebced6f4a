"""Every text of the view of what customers say."""

from __future__ import annotations

from cxlib.views.shared.words import INTERVALS, SMALL, FigureText

TITLE = "How it feels"
SUMMARY = (
    "What customers say along the journey: which touchpoints are rated lower than the others, and "
    "whether those who answer speak for the rest."
)
ASKS = ("perception", "experience_curve", "spectrum", "findings")

SCALE = "Scale"
UNKNOWN_SCALE = "This link asks for a scale that is not published; the most used one is shown."

WEAKEST = (
    "{group} pulls ratings down most: {mean} of {highest} on {scale}, against {others} elsewhere"
)
DOUBTED = (
    "{group} is rated lower, {mean} of {highest} on {scale} against {others} elsewhere, but who "
    "answers may explain it"
)
ALIKE = "No touchpoint is clearly rated lower than the others on {scale}"
TOO_FEW = "Too few answers on {scale} to compare touchpoints"
NO_RATINGS = "There are no ratings that could be shown"
NONE_HERE = "There are no ratings on {scale} that could be shown for these customers"
ANSWERS = "{n} there ({response} of the contacts that could be rated). "
WHOLE = "{n} in all, mean {mean} ({response} of the contacts that could be rated). "
COUNTED = "{n} in all. "
UNTRUSTED = "Who answers may explain every mean here. "
BASIS = "{said}Data to {until}. In brackets: 95 % interval."
UNTIL = "Data to {until}."

DIPS_HEADING = "Where ratings break"
DIPS_NONE = "No handoff is rated clearly lower than it should be: there is no finding of this kind."
DIPS_OWNER = "Owner: {owner}"

TABLE_HEADING = "Touchpoint by touchpoint"
TABLE = "In the order of the journey map; 95 % intervals in brackets."
TOUCHPOINT, MEAN, NPS, COUNT, RESPONSE = "Touchpoint", "Mean", "NPS", "Answers", "Response"
NPS_WITHIN = "{score} ({low} to {high})"
VERDICT, BOUND, TRUSTED = "Against the others", "Bound", "Trusted"
NEITHER, UNKNOWN = "alike", "–"
TABLE_NOTE = (
    "Bound: by how many points those who did not answer would have to differ from those like them "
    "who did, for another verdict. Trusted: who answers seems to explain neither the mean nor the "
    "verdict."
)
CURVE_DATA = "Ratings in the order of the journey map; 95 % intervals in brackets."
SPECTRUM_DATA = "Each answer of the scale by touchpoint; 95 % intervals in brackets."

CURVE = FigureText(
    "Along the journey",
    "experience-curve",
    meaning="""
<p><b>The curve.</b> Touchpoints from the first to the last of the journey map, each with the mean
of the answers about it and its interval; beside it, how many answered. An answer counts for the
touchpoint it names, or else for the customer's last contact before it.</p>
<p><b>When it misleads.</b> Only those who answer are heard. A low mean at a touchpoint to
which unhappy customers come, such as a complaint desk, does not prove that it made them so.</p>""",
    sureness=f"""
<p>{INTERVALS}</p>
<p>Intervals say nothing of those who did not answer: the table below does, touchpoint by touchpoint
(response, bound, trusted).</p>
<p>{SMALL}</p>""",
)

SPECTRUM = FigureText(
    "From dislike to like",
    "spectrum",
    meaning="""
<p><b>The bars.</b> How the answers at each touchpoint spread: low, middle and high on the scale.
The same mean can hide that half of the customers love it and half cannot bear it.</p>""",
    sureness=f"""
<p>An answer that few customers gave at a touchpoint is not shown. A touchpoint stands here only
where at least nine of ten of its answers are shown, so that what is missing moves a bar by a tenth
at most.</p>
<p>{INTERVALS}</p>
<p>{SMALL}</p>""",
)
