"""A ranked list of which one entry can be chosen, by mouse, finger or keyboard."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

__all__ = ["ChoiceList"]


class ChoiceList(anywidget.AnyWidget):
    """Entries in their order, each a button.

    Attributes
    ----------
    items
        Key and HTML (escaped by whoever sets it) of every entry.
    chosen
        Key of the entry chosen; empty: none. Choosing it again lets go of it.
    label
        What the list is, for those who cannot see it.
    """

    _esm = Path(__file__).parent / "choice_list.js"

    items: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
