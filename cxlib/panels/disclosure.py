"""A heading that opens and closes what stands below it.

The accordion of ipywidgets cannot be reached by keyboard, and HTML put into a widget anew is closed
anew; this one can, and is not.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

__all__ = ["Disclosure"]


class Disclosure(anywidget.AnyWidget):
    """HTML below a heading that opens it.

    Attributes
    ----------
    heading
        Text of the heading.
    html
        What it opens; may change while it is open.
    opened
        Whether it is open.
    """

    _esm = Path(__file__).parent / "disclosure.js"

    heading = traitlets.Unicode().tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)
