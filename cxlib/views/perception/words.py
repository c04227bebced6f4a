"""Every text of the view of what customers say."""

from cxlib.views.shared.words import FigureText

TITLE = "How it feels"
SUMMARY = (
    "What customers say along the journey: which touchpoints are rated lower than the others, and "
    "whether those who answer speak for the rest."
)
ASKS = ("perception", "experience_curve", "spectrum", "findings")

SCALE = "Scale"

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
UNTIL = (
    "Answers to a survey, or ratings in the log, are shown here for every touchpoint that enough "
    "customers rated. Data to {until}."
)

DIPS_HEADING = "Where ratings break"
DIPS_NONE = "No handoff is rated clearly lower than it should be: there is no finding of this kind."
OWNED = "Owner: {owner}"

TABLE_HEADING = "Touchpoint by touchpoint"
TABLE = "In the order of the journey map; 95 % intervals in brackets."
NPS_WITHIN = "{score} ({low} to {high})"
HEADINGS = {"group": "touchpoint", "nps": "NPS", "n": "answers", "verdict": "against the others"}
NEITHER, UNKNOWN = "alike", "–"
TABLE_NOTE = (
    "Bound: by how many points those who did not answer would have to differ from those like them "
    "who did, for another verdict. Trusted: who answers seems to explain neither the mean nor the "
    "verdict."
)
CURVE_DATA = "Ratings in the order of the journey map; 95 % intervals in brackets."
SPECTRUM_DATA = "Each answer of the scale by touchpoint; 95 % intervals in brackets."

CURVE = FigureText("Along the journey", "perception/texts/experience-curve.html")

SPECTRUM = FigureText("From dislike to like", "perception/texts/spectrum.html")
