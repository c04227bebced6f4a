"""Published views: what a stakeholder sees of a snapshot, one folder a view.

Nothing is loaded before it is used: a view does not pay for the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlib.errors import UnknownNameError

if TYPE_CHECKING:
    from cxlib.views.shared.view import View

__all__ = ["VIEWS", "Entry", "entry", "open_view", "view_named"]

VIEWS = ("journey_map", "fragmentation", "priorities", "perception", "paths", "compare")
"""The views, in the order in which the home page lists them: each a folder here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a view without loading it."""

    name: str  #: of its folder, and last part of its address
    title: str  #: the question it answers
    summary: str  #: its line on the home page
    asks: tuple[str, ...]  #: answers that must be published for it, see `cxlib.publish`


def entry(name: str) -> Entry:
    """Return what the words of a view say about it."""
    words = _module(name, "words")
    return Entry(name, words.TITLE, words.SUMMARY, tuple(words.ASKS))


def view_named(name: str) -> type[View]:
    """Return the class of a view."""
    found: type[View] = _module(name, "view").VIEW
    return found


def _module(name: str, part: str) -> Any:
    if name not in VIEWS:
        raise UnknownNameError("dashboard", name, VIEWS)
    return import_module(f"cxlib.views.{name}.{part}")


def open_view(name: str, workspace: str | Path | None = None) -> View:
    """Open a view of what was published last: the one line of a dashboard's notebook.

    The workspace is the folder given, or what the server names (``CX_WORKSPACE``), else
    ``workspace`` beside the folder of the notebook.
    """
    from cxlib.publish import Snapshot

    folder = workspace or os.environ.get("CX_WORKSPACE", "../workspace")
    return view_named(name)(Snapshot.open(folder))
