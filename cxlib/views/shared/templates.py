"""The HTML of the views: Jinja2 templates beside each view, everything put into them escaped."""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cxlib import numbers
from cxlib.markup import html_text
from cxlib.signals import signal_named

__all__ = ["environment", "render"]

_FOLDER = Path(__file__).parents[1]
_WRITERS = ("share", "people", "plural", "rating", "answered", "decimal", "sentence_case")


@cache
def environment() -> Environment:
    """Return the one environment: autoescape, and the one formatter of numbers as filters."""
    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(_FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_escaped,
    )
    made.filters |= {name: getattr(numbers, name) for name in _WRITERS}
    made.filters["signal_name"] = lambda signal: signal_named(signal).title
    return made


def render(template: str, /, **given: Any) -> Markup:
    """Fill in a template, such as ``journey_map/cards.html``; it knows its view's ``words``."""
    return Markup(_template(template)(**given))


@cache
def _template(name: str) -> Any:
    view = name.split("/", maxsplit=1)[0]
    words = import_module(f"cxlib.views.{view}.words")
    return partial(environment().get_template(name).render, words=words)


def _escaped(value: object) -> object:
    """Escape text as `html_text` does: dollars are no formulas in a notebook."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return Markup(html_text(str(value))) if is_text else value
