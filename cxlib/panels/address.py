"""What is selected on a dashboard, kept in the address of its page, so that a link shows the same.

The page says what its address asks for, as one string; here it is compared with what is published,
and whatever is not among that is left out with a calm note. From then on the address follows the
selection. A page cannot send anything else this way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anywidget
import traitlets

from cxlib.panels import texts
from cxlib.panels.calm import SpeaksCalmly, paragraph

__all__ = ["Address", "LinkedState", "Parameter", "period_texts", "segment_texts"]

#: Longest selection that is read, characters.
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One part of a selection as it stands in an address.

    Attributes
    ----------
    name
        Name in the address; `cxlib.panels.texts.UNKNOWN` has what is said where its value is not
        known.
    trait
        Trait of the state it sets.
    choices
        Every value that may be chosen now, by its text in the address. Asked for when the
        parameters before it have been set.
    usual
        The value that need not be written down.
    """

    name: str
    trait: str
    choices: Callable[[], Mapping[str, Any]]
    usual: Callable[[], Any] = lambda: None


class Address(anywidget.AnyWidget):
    """The address of the page, and a button that copies it.

    Attributes
    ----------
    names
        Parameters of the address that are ours.
    asked
        What the address asked for when the page was opened; set by the page.
    answered
        The last `asked` that has been answered.
    selected
        What the address should say now.
    active
        Whether the page is a served dashboard; the address of JupyterLab is left alone.
    """

    _esm = Path(__file__).parent / "address.js"

    names: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    asked = traitlets.Unicode().tag(sync=True)
    answered = traitlets.Unicode().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    active = traitlets.Bool().tag(sync=True)
    longest = traitlets.Int(LONGEST).tag(sync=True)
    words = traitlets.Dict().tag(sync=True)

    def __init__(self, names: Sequence[str]) -> None:
        words = {
            "copy": texts.COPY_LINK,
            "copied": texts.LINK_COPIED,
            "byHand": texts.LINK_BY_HAND,
        }
        super().__init__(names=list(names), active="VOILA_BASE_URL" in os.environ, words=words)
        self.add_class("cx-link")


class LinkedState:
    """Ties the state of a panel to the address of its page.

    Parameters
    ----------
    panel
        Has the place for messages.
    state
        The state; its traits are set one after the other in the order of the parameters, and tell
        of it when all are set.
    parameters
        What the address may say.
    """

    def __init__(
        self, panel: SpeaksCalmly, state: traitlets.HasTraits, parameters: Sequence[Parameter]
    ) -> None:
        self.message = panel.message
        self.widget = Address([p.name for p in parameters])
        self._state = state
        self._parameters = tuple(parameters)
        self.widget.observe(self._read, "asked")

    def write(self) -> None:
        """Let the address say what is selected now."""
        said = []
        for parameter in self._parameters:
            value = getattr(self._state, parameter.trait)
            if value == parameter.usual():
                continue
            said += [(parameter.name, t) for t, v in parameter.choices().items() if v == value][:1]
        self.widget.selected = urlencode(said)

    def _read(self, change: Mapping[str, Any]) -> None:
        notes: list[str] = []
        self._select(change["new"], notes)
        if notes and not self.message.value:
            self.message.value = "".join(paragraph(note) for note in notes)
        self.widget.answered = change["new"]

    def _select(self, asked: str, notes: list[str]) -> None:
        try:
            if len(asked) > LONGEST:
                raise ValueError("longer than any selection")
            given = dict(parse_qsl(asked, max_num_fields=len(self._parameters)))
        except ValueError:
            notes.append(texts.UNREADABLE)
            return
        with self._state.hold_trait_notifications():
            for parameter in self._parameters:
                text = given.get(parameter.name)
                if text is None:
                    continue
                choices = parameter.choices()
                if text in choices:
                    setattr(self._state, parameter.trait, choices[text])
                else:
                    # What was asked for is not repeated: a link must not put words on our page.
                    notes.append(texts.UNKNOWN[parameter.name])


def segment_texts(segments: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Write every segment as in an address: ``persona:planner``."""
    return {f"{dimension}:{value}": (dimension, value) for dimension, value in segments}


def period_texts(periods: Sequence[date], unit: str) -> dict[str, tuple[int, int]]:
    """Write every range of periods as in an address; a single one by its name alone.

    Examples
    --------
    >>> period_texts([date(2025, 6, 1), date(2025, 7, 1)], "month")
    {'2025-06': (0, 0), '2025-06..2025-07': (0, 1), '2025-07': (1, 1)}
    """
    names = [_period_text(start, unit) for start in periods]
    return {
        first if a == b else f"{first}..{names[b]}": (a, b)
        for a, first in enumerate(names)
        for b in range(a, len(names))
    }


def _period_text(start: date, unit: str) -> str:
    if unit == "month":
        return f"{start:%Y-%m}"
    return f"{start.year}-Q{(start.month + 2) // 3}" if unit == "quarter" else start.isoformat()
