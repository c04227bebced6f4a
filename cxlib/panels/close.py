"""A button that closes what stands around it; Escape does the same."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from cxlib.panels import texts

__all__ = ["Close"]


class Close(anywidget.AnyWidget):
    """Closes the widget around it that has the class ``cx-closes``.

    Attributes
    ----------
    shown
        Whether there is something to close.
    pressed
        How often it was closed; observe it.
    leads_to
        Selector of the element that has the focus afterwards.
    """

    _esm = Path(__file__).parent / "close.js"

    label = traitlets.Unicode(texts.CLOSE).tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
    pressed = traitlets.Int(0).tag(sync=True)
    leads_to = traitlets.Unicode().tag(sync=True)
