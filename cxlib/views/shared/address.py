"""What is selected on a dashboard, kept in the address of its page, so that a link shows the same.

The page says what its address asks for, as one string; here it is compared with what is published,
and whatever is not among that is left out with a calm note. From then on the address follows the
selection. A page cannot send anything else this way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anywidget
import ipywidgets as widgets
import traitlets

from cxlib.views.shared import words
from cxlib.views.shared.templates import render

__all__ = ["Address", "LinkedState", "Parameter"]

LONGEST = 2000
"""Longest selection that is read, characters."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One part of a selection as it stands in an address.

    `choices` are the values that may be chosen once the parameters before it have been set, by
    their text in the address; `usual` is the one that need not be written down.
    """

    name: str
    trait: str
    unknown: str  #: what is said where its value is not among the choices
    choices: Callable[[], Mapping[str, Any]]
    usual: Callable[[], Any] = lambda: None


class Address(anywidget.AnyWidget):
    """The address of the page, and a button that copies it.

    The page sets `asked` to what its address asks for among the `names` that are ours, and writes
    `selected` into it once `answered` is the same. Only a served page is `active`: the address of
    JupyterLab is left alone.
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
        said = {
            "copy": words.COPY_LINK,
            "copied": words.LINK_COPIED,
            "byHand": words.LINK_BY_HAND,
        }
        super().__init__(names=list(names), active="VOILA_BASE_URL" in os.environ, words=said)
        self.add_class("cx-link")


class LinkedState:
    """Ties the state of a view to the address of its page.

    The traits are set one after the other in the order of the parameters, and tell of it when all
    are set; what the address asks for in vain is said in the message.
    """

    def __init__(
        self, message: widgets.HTML, state: traitlets.HasTraits, parameters: Sequence[Parameter]
    ) -> None:
        self.message = message
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
            self.message.value = "".join(render("shared/alert.html", text=note) for note in notes)
        self.widget.answered = change["new"]

    def _select(self, asked: str, notes: list[str]) -> None:
        try:
            if len(asked) > LONGEST:
                raise ValueError("longer than any selection")
            given = dict(parse_qsl(asked, max_num_fields=len(self._parameters)))
        except ValueError:
            notes.append(words.UNREADABLE)
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
                    notes.append(parameter.unknown)
