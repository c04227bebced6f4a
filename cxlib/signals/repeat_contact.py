"""Repeat contact: another assisted contact soon after an assisted one."""

from __future__ import annotations

from functools import partial

from cxlib.arrivals.later import flags_of
from cxlib.grounds.cells import judge_again, judge_windows
from cxlib.grounds.faults import AGAIN, Fault, come_again
from cxlib.grounds.kinds import Counts, Signal

_UNMARKED = "the map marks no touchpoint `assisted: true`"

REPEAT_CONTACT = Signal(
    name="repeat_contact",
    number=5,
    title="contact again",
    unit="share of arrivals",
    needs=lambda part: "" if flags_of(part.places, "assisted").any() else _UNMARKED,
    counts=Counts("repeat_history", "contact_n", "contact", around="environment_repeats"),
    judge=partial(judge_again, name="contact"),
    settings=partial(judge_windows, name="contact"),
    says="makes {} more contact you again",
    advice="Ask {owner} what stays open after the first contact, and settle it there.",
    tells="made to contact us again",
    fault=Fault(AGAIN, come_again, highest=1 - 2 * AGAIN),
    follows_customers=True,
    repeats=True,
)
