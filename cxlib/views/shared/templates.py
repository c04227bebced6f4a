"""The HTML of the views, from Jinja2 templates that escape what is put in; and its style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cxlib import numbers
from cxlib.figures.theme import DARK, LIGHT, PRINT
from cxlib.markup import html_text
from cxlib.signals import signal_named

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
    made.filters["exactly"] = lambda text: Markup(html_text(text))  # what a form sends back
    made.filters["signal_name"] = lambda signal: signal_named(signal).title
    return made


def render(template: str, /, **given: Any) -> Markup:
    """Fill in a template, such as ``journey_map/cards.html``; it knows its view's ``words``."""
    return Markup(_template(template)(**given))


def render_block(template: str, block: str, /, **given: Any) -> Markup:
    """Fill in one block of a template; it knows the ``shared`` words."""
    found = environment().get_template(template)
    shared = import_module("cxlib.views.shared.words")
    return Markup("".join(found.blocks[block](found.new_context({"shared": shared, **given}))))


@cache
def _template(name: str) -> Any:
    view = name.split("/", maxsplit=1)[0]
    words = import_module(f"cxlib.views.{view}.words")
    return partial(environment().get_template(name).render, words=words)


def _escaped(value: object) -> object:
    """Escape text as `html_text` does: dollars are no formulas in a notebook."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return Markup(html_text(numbers.unbroken(str(value)))) if is_text else value


_VARIABLES = ("paper", "band", "ink", "muted", "rule", "accent", "finding", "go_on", "lost")
_SHARED = tuple(Path(__file__).parent / name for name in ("page.css", "views.css"))


def page_style(files: Sequence[Path] = ()) -> str:
    """Return the style sheet of the views, and what a view adds, in the colours of the theme.

    It follows its reader's browser: dark where that is dark, and on paper the one for printing.
    """
    rules = "\n".join(file.read_text("utf-8") for file in (*_SHARED, *files))
    colours = {n: f"light-dark({getattr(LIGHT, n)}, {getattr(DARK, n)})" for n in _VARIABLES}
    paper = {n: getattr(PRINT, n) for n in _VARIABLES}
    return (
        f".cx-page-style {{ {_declared(colours)}}}\n{rules}\n"
        f"@media print {{ .cx-page-style {{ {_declared(paper)}color-scheme: light; }} }}\n"
    )


def _declared(colours: Mapping[str, str]) -> str:
    return "".join(f"--cx-{name.replace('_', '-')}: {c}; " for name, c in colours.items())
