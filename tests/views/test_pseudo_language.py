"""In a pseudo-language every text of a view is marked: what is not is a name or a figure.

So a word that a visitor reads cannot be hard-coded in Python or in a template: it would stand there
without its mark.
"""

import importlib
import re
from datetime import date
from html import unescape

import figure_findings
import pytest
from figure_results import CHANNELS, PLACES, STAGES, UNTIL, touchpoints, transitions
from figure_results import first_contacts as first_contacts_of

from cxlib import numbers
from cxlib.comparing import ALL, side_by_side
from cxlib.errors import WorkspaceError
from cxlib.figures.fragmentation import (
    affected_text,
    describe_findings,
    effect_text,
    signal_name,
)
from cxlib.fragmentation.sentences import say_advice, say_subject
from cxlib.measures.touchpoints import Touchpoints
from cxlib.views.compare.view import Compare
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.journey_map.view import JourneyMap
from cxlib.views.shared import templates

OPEN, SHUT = "⟦", "⟧"
WORDS = [
    f"cxlib.views.{name}.words" for name in ("shared", "journey_map", "fragmentation", "compare")
]


FIXED = {
    value
    for name in WORDS
    for value in vars(importlib.import_module(name)).values()
    if isinstance(value, str)
}
"""Whole texts that a page declared when it was imported, before they were marked."""


class Answers:
    """What a snapshot of a small shop answers."""

    segments = (("persona", "planner"), ("persona", "guest"))
    periods = (date(2025, 1, 1),)
    period_unit = "month"
    manifest = {"observed_until": UNTIL.isoformat(), "name": "shop", "k": 10}  # noqa: RUF012

    def touchpoints(self, **_):
        return touchpoints()

    def transitions(self, **_):
        return transitions()

    def first_contacts(self, **_):
        return first_contacts_of()

    def findings(self, **_):
        return figure_findings.details()

    def predictions(self):
        raise WorkspaceError("none")

    def compare(self, *, measure, first, second):
        places = [("web basket", "web", "conversion", 1200, lost, 1) for lost in (0.1, 0.6)]
        return side_by_side(*(touchpoints((place,)) for place in places))


def marked(value):
    """A text with its mark; the names that are filled in stand outside of it."""
    if isinstance(value, str):
        parts = re.split(r"(\{\w+\})", value)
        return "".join(
            part if part.startswith("{") or not part.strip() else f"{OPEN}{part}{SHUT}"
            for part in parts
        )
    if isinstance(value, dict):
        return {key: marked(text) if isinstance(text, str) else text for key, text in value.items()}
    return value


@pytest.fixture
def pseudo(monkeypatch):
    for name in WORDS:
        module = importlib.import_module(name)
        for constant, value in vars(module).items():
            if constant.isupper() and constant not in ("ASKS", "FIGURES", "SIDES"):
                monkeypatch.setattr(module, constant, marked(value))
    templates._template.cache_clear()
    yield
    templates._template.cache_clear()


def spoken(view):
    """What the page says, tag by tag, without what stands in marks."""
    html = [w.value for w in view.widgets.values() if type(w).__name__ == "HTML"]
    html += [entry for w in view.widgets.values() for _, entry in getattr(w, "items", ())]
    html = [re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL) for text in html]
    for text in re.split(r"<[^>]*>", " <> ".join(html)):
        if text.strip() in FIXED:
            continue
        yield re.sub(rf"{OPEN}[^{SHUT}]*{SHUT}", " ", unescape(text))


def known():
    """Names of the shop, what findings say, and how numbers, times and columns are written."""
    said = [*CHANNELS, *STAGES, *(name for name, *_ in PLACES), "persona planner guest", "shop"]
    details = figure_findings.details()
    for frame in (details.table, details.bands, details.signals):
        for row in frame.to_dicts():
            said += [str(value) for value in row.values() if isinstance(value, str)]
    for row in details.table.to_dicts():
        said += [effect_text(row, interval=True), signal_name(row["signal"]), affected_text(row)]
        said += [affected_text(row, k=10), str(row["owner"])]
        said += [say_advice(row["signal"], row["owner"]), say_subject(row)]
    said += [signal_name(signal) for signal in details.signals["signal"]]
    said += [describe_findings(details), numbers.answered(0.3), ALL]
    said += [Answers().compare(measure="", first=None, second=None).sentence]
    said += touchpoints().table["owner"].drop_nulls().to_list()
    columns = Touchpoints.tables["table"]
    said += [name.replace("_", " ") + f" {column.heading}" for name, column in columns.items()]
    said += [numbers.plural(n, noun) for n in (1, 2) for noun in ("customer", "finding", "handoff")]
    said += [
        numbers.plural(2, "test"),
        numbers.day(UNTIL),
        numbers.duration(99),
        "h d min k x lost",
    ]
    return {word for text in said for word in re.findall(r"[a-z]{3,}", text.lower())}


@pytest.mark.parametrize("kind", [JourneyMap, Fragmentation, Compare])
def test_no_word_that_a_visitor_reads_is_hard_coded(pseudo, kind):
    view, names = kind(Answers()), known()
    texts = list(spoken(view))
    assert any(OPEN in w.value for w in view.widgets.values() if type(w).__name__ == "HTML")
    unmarked = {word for t in texts for word in re.findall(r"[a-z]{3,}", t.lower())} - names
    assert not unmarked
