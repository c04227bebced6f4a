"""What is selected on a dashboard, kept in the address of its page, so that a link shows the same.

What an address asks for and is not published is left out with a calm note.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anywidget
import traitlets
from markupsafe import Markup

from cxlib.views.shared import words
from cxlib.views.shared.templates import render

LONGEST = 2000
"""Longest selection that is read, characters."""


class Address(anywidget.AnyWidget):
    """The address of the page, and a button that copies it.

    The page sets `asked` to what its address asks for among the `names` that are ours, once it
    knows the `others`, which would miss the answer; it writes `selected` into the address once
    `answered` is the same. Only a served page is `active`: the address of
    JupyterLab is left alone.
    """

    _esm = Path(__file__).parent / "address.js"

    names: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    others: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
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
    """Ties the state of a view to the address of its page; it tells of a whole link at once."""

    def __init__(self, view: Any) -> None:
        self.widget = Address([of.parameter for of in view.filters])
        self._view = view
        self.widget.observe(self._read, "asked")

    def write(self) -> None:
        """Let the address say what is selected now."""
        view, said = self._view, []
        for of in view.filters:
            value = getattr(view.state, of.trait)
            if value != view.usual(of):
                said += [(of.parameter, o.text) for o in view.options(of) if o.value == value][:1]
        self.widget.selected = urlencode(said)

    def _read(self, change: Mapping[str, Any]) -> None:
        notes, message = select(self._view, change["new"]), self._view.message
        message.value = message.value or notes
        self.widget.answered = change["new"]


def select(view: Any, asked: str) -> str:
    """Choose what a link asks for, one filter after the other; return what it asks in vain."""
    try:
        if len(asked) > LONGEST:
            raise ValueError("longer than any selection")
        given = dict(parse_qsl(asked, max_num_fields=len(view.filters)))
    except ValueError:
        return render("shared/alert.html", text=words.UNREADABLE)
    notes = Markup()
    with view.state.hold_trait_notifications():
        for of in view.filters:
            if (text := given.get(of.parameter)) is None:
                setattr(view.state, of.trait, view.usual(of))
                continue
            choices = {option.text: option.value for option in view.options(of)}
            if text in choices:
                setattr(view.state, of.trait, choices[text])
            else:
                # What was asked for is not repeated: a link must not put words on our page.
                notes += render("shared/alert.html", text=of.unknown)
    return notes
