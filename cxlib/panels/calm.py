"""Errors inside a dashboard: said calmly on the page, written in full to the log."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import ipywidgets as widgets

from cxlib.errors import CxError
from cxlib.markup import html_text
from cxlib.panels import texts

__all__ = ["SpeaksCalmly", "calmly", "paragraph"]

_log = logging.getLogger("cxlib.panels")

P = ParamSpec("P")


class SpeaksCalmly(Protocol):
    """A panel that has a place for messages."""

    message: widgets.HTML


Panel = TypeVar("Panel", bound=SpeaksCalmly)


def calmly(method: Callable[Concatenate[Panel, P], None]) -> Callable[Concatenate[Panel, P], None]:
    """Show what goes wrong in a callback as a message on the panel.

    An exception in a widget's callback is otherwise seen by nobody: the page just stops answering.
    What the package says on purpose (`CxError`) is shown as it stands; of anything else only that
    it happened, since its text may say more than a visitor should know.
    """

    @functools.wraps(method)
    def guarded(self: Panel, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except CxError as error:
            self.message.value = paragraph(f"{error}")
        except Exception:
            _log.exception("a callback of %s failed", type(self).__name__)
            self.message.value = paragraph(texts.FAILED)
        else:
            self.message.value = ""

    return guarded


def paragraph(text: str) -> str:
    """Write a message as HTML that is read out at once."""
    return f'<p role="alert">{html_text(text[:1].upper() + text[1:])}</p>'
