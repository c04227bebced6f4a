"""Every text of the view of what customers say."""

from cxlib.views.shared.words import FigureText

TITLE = "How it feels"
SUMMARY = (
    "What customers say along the journey: which touchpoints are rated lower than the others, and "
    "whether those who answer speak for the rest."
)
ASKS = ("perception", "experience_curve", "spectrum", "findings", "drivers", "loyalty", "comments")

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

NEITHER, UNKNOWN = "alike", "–"
DRIVERS_HEADING = "What goes with it"
DRIVERS = (
    "All customers; the share of the differences in the answers, and in who comes back, that goes "
    "with each; 95 % intervals in brackets."
)
DRIVERS_NOTE = (
    "Kinds of contact, waits, repeats and environments side by side. All together go with {r2} of "
    "the differences on {scale}. Associated, which is not to say that they cause it."
)
DRIVERS_REST = "{outcome}: {n} more, with which {most} go at most."
WAYS = {None: UNKNOWN, True: "more with more of it", False: "less with more of it"}
DRIVER_HEADINGS = {"outcome": "of", "slope": "direction, the others alike"}
UP_TO = "up to {share}"
LOYALTY_HEADING = "Who comes back"
LOYALTY = (
    "All customers, followed from the end of their first journey: {share} are back within {days} "
    "days. Below, groups that clearly differ from all others in this; 95 % intervals in brackets."
)
LOYALTY_ALIKE = (
    "All customers, followed from the end of their first journey: {share} are back within {days} "
    "days. No group clearly differs from the others in this."
)
LOYALTY_NOTE = (
    "Who was not followed so long counts for as long as he was. Ratings are those given before "
    "coming back. It goes with the group; no cause is shown."
)
LOYALTY_HEADINGS = {
    "by": "told apart by",
    "share": "back",
    "difference": "more or less than others",
}
TOPICS_HEADING = "What they write about"
TOPICS = (
    "All customers, whatever the scale; a topic is named by the words that tell it best. 95 % "
    "intervals in brackets."
)
TOPICS_REST = " {n} rarer topics are left out."
TOPICS_NOTE = (
    "Sentiment: from −1 (displeased) to 1 (pleased). More at: the touchpoint where clearly more of "
    "the comments in the language are about it. No comment is shown, and no word that few "
    "customers use."
)
TOPIC_HEADINGS = {"group": "more at", "n": "comments", "share": "of the language's"}
TABLE_HEADING = "Touchpoint by touchpoint"
TABLE = "In the order of the journey map; 95 % intervals in brackets."
NPS_WITHIN = "{score} ({low} to {high})"
HEADINGS = {"group": "touchpoint", "nps": "NPS", "n": "answers", "verdict": "against the others"}
TABLE_NOTE = (
    "Bound: by how many points those who did not answer would have to differ from those like them "
    "who did, for another verdict. Trusted: who answers seems to explain neither the mean nor the "
    "verdict."
)
CURVE_DATA = "Ratings in the order of the journey map; 95 % intervals in brackets."
SPECTRUM_DATA = "Each answer of the scale by touchpoint; 95 % intervals in brackets."

CURVE = FigureText("Along the journey", "perception/texts/experience-curve.html")

SPECTRUM = FigureText("From dislike to like", "perception/texts/spectrum.html")
