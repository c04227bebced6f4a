"""The small widgets of a page: a ranked list, a heading that opens, a button that closes.

ipywidgets has none of them that can be reached by keyboard and read out.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from cxlib.views.shared import words

__all__ = ["ChoiceList", "Close", "Disclosure"]

_HERE = Path(__file__).parent


class ChoiceList(anywidget.AnyWidget):
    """Entries in their order, each a button, of which one can be chosen.

    Attributes
    ----------
    items
        Key and HTML (escaped by whoever sets it) of every entry.
    chosen
        Key of the entry chosen; empty: none. Choosing it again lets go of it.
    label
        What the list is, for those who cannot see it.
    """

    _esm = _HERE / "choice_list.js"

    items: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)


class Close(anywidget.AnyWidget):
    """Closes the widget around it that has the class ``cx-closes``; Escape does the same.

    Attributes
    ----------
    shown
        Whether there is something to close.
    pressed
        How often it was closed; observe it.
    leads_to
        Selector of the element that has the focus afterwards.
    """

    _esm = _HERE / "close.js"

    label = traitlets.Unicode(words.CLOSE).tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
    pressed = traitlets.Int(0).tag(sync=True)
    leads_to = traitlets.Unicode().tag(sync=True)


class Disclosure(anywidget.AnyWidget):
    """HTML below a heading that opens it; it may change while it is open.

    Attributes
    ----------
    heading
        Text of the heading.
    html
        What it opens.
    opened
        Whether it is open.
    """

    _esm = _HERE / "disclosure.js"

    heading = traitlets.Unicode().tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)
