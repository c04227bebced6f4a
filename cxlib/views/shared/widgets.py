"""The small widgets of a page: a ranked list, and a button that closes.

ipywidgets has none of them that can be reached by keyboard and read out.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from cxlib.views.shared import words

_HERE = Path(__file__).parent


class ChoiceList(anywidget.AnyWidget):
    """Entries (key and escaped HTML), each a button; the chosen one, pressed again, is let go."""

    _esm = _HERE / "choice_list.js"

    items: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)


class Close(anywidget.AnyWidget):
    """Closes the widget around it of class ``cx-closes``, as Escape does; observe `pressed`."""

    _esm = _HERE / "close.js"

    label = traitlets.Unicode(words.CLOSE).tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
    pressed = traitlets.Int(0).tag(sync=True)
    leads_to = traitlets.Unicode().tag(sync=True)
