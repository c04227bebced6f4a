"""Every text that several views share, in one place, so that another language can be added.

What belongs to one view stands in its own ``words``, and what is longer than a sentence in its
``texts``. Names in braces are filled in, and escaped, where a text is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxlib.fragmentation.sentences import Headline

UNTIL = "Data to {until}."
CUSTOMERS, ALL_CUSTOMERS = "Customers", "All customers"
CHANNEL, ALL_CHANNELS = "Channel", "All channels"
STAGE, ALL_STAGES = "Stage", "All stages"
OWNER, ALL_OWNERS = "Owner", "All owners"
PERIOD = "Period"

COPY_LINK = "Copy link to this view"
LINK_COPIED = "Link copied."
LINK_BY_HAND = "Copy this address:"
DOWNLOAD = "Download"
TABLE, NO_ROWS = "As a table", "There is nothing here that could be shown."
MEANING = "What does this mean?"
SURENESS = "How sure is this?"
CLOSE, SHOW = "Close", "Show"
NOT_DRAWN = "The figure could not be drawn. Reload the page, or read the table below."
CREDIT = "{name}, data to {until}, published {published}; groups below {k} customers not shown"

UNKNOWN = "This link asks for something under “{name}” that is not there now; it is left out."
UNREADABLE = "This link cannot be read; the page is shown without its selection."
FAILED = (
    "This selection could not be shown. What you see below is the selection before. Try another "
    "one; if it stays like this, tell whoever published this page."
)


@dataclass(frozen=True, slots=True)
class FigureText:
    """What stands below a figure: its name, and what it means and how sure it is, as a template."""

    name: str
    template: str

    @property
    def file(self) -> str:
        """Name of the file when it is taken away."""
        return Path(self.template).stem


TOO_FEW_TO_COUNT = "Too few customers to count"
INTERVALS = (
    "Ranges in brackets are 95 % intervals: with other customers of the same kind the figure would "
    "fall within them 19 times out of 20. They count customers, not clicks, since the same "
    "person's contacts are alike."
)
DESCRIBED = "{sentence}; described, not a finding: nothing stands out from what is usual here"
SUSPECTED = "{sentence}, not a finding: touchpoints may differ so much by nature"
LEADS = {"described": DESCRIBED, "suspected": SUSPECTED}
"""How the first thing to do is said where it is no finding."""
WITHIN = "In brackets: 95 % interval, widened to the steps in which small figures are shown."
SMALL = (
    "Figures about fewer than {k} customers are not shown, to protect single people; counts are "
    "rounded to {k}."
)

CHANGES_HEADING = "What changed"
CHANGES_SINCE, CHANGES_NONE = "Compared with the snapshot of", "Choose an earlier snapshot"
CHANGES_OPTION = "{published}, {time} (data to {until})"
CHANGES_HINT = "Choose an earlier snapshot to read what has changed since."
CHANGES_FIRST = "This is the first snapshot. When there is a second, this says what has changed."


def say_first(first: Headline) -> str:
    """Say the first thing to do, and where it is no finding, that it is none."""
    return LEADS.get(first.kind, "{sentence}").format(sentence=first.sentence)
