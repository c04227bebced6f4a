"""What can stand on the page of a view: words, figures with their data, lists, what opens them.

Filling comes in two steps, so that a page never shows half of one selection and half of another:
`read` asks and may fail; what it returns writes, and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go
import polars as pl
from markupsafe import Markup

from cxlib.tables import csv_text
from cxlib.views.shared.figure_widget import FigureWidget
from cxlib.views.shared.filters import follow
from cxlib.views.shared.templates import render
from cxlib.views.shared.widgets import ChoiceList, Close
from cxlib.views.shared.words import FigureText

Write = Callable[[], None]
Painted = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What stands in one place of a page."""

    name: str = ""  #: of its widget in `View.widgets`; empty: it needs none
    css: str = ""
    also: tuple[str, ...] = ()  #: traits it follows, beside those that narrow the whole view
    on: tuple[str, ...] | None = None
    """All the traits it follows, where they are others than that."""
    shown: Callable[[Any], bool] = lambda _: True
    """Of the view: whether it is there at the moment."""
    painted: bool = True  #: whether the page shows it before it is live

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        raise NotImplementedError

    def read(self, view: Any, widget: Any) -> Write:
        """Ask for what it shows now; return what writes it."""
        return lambda: None

    def paint(self, view: Any) -> Painted | None:
        """Return what the page shows of it before it is live."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words(Part):
    """HTML: what a template makes of the view, or what `write` does."""

    template: str = ""
    write: Callable[[Any], str] | None = None

    def html(self, view: Any) -> str:
        """Write it for what is selected."""
        return str(self.write(view) if self.write else render(self.template, view=view))

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        return widgets.HTML()

    def read(self, view: Any, widget: Any) -> Write:
        """Ask for what it says now."""
        html = self.html(view)
        return lambda: setattr(widget, "value", html)

    def paint(self, view: Any) -> Painted | None:
        """Return what it says."""
        html = Markup(self.html(view))
        return {"html": html} if html else None


def heading(text: str, *, small: bool = False, **part: Any) -> Words:
    """Return a heading that stays as it is."""
    template = "shared/small_heading.html" if small else "shared/heading.html"
    return Words(on=(), write=lambda _: render(template, heading=text), **part)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class List(Part):
    """A ranked list (key and HTML of every entry) of which one is chosen by its trait."""

    items: Callable[[Any], Sequence[tuple[str, str]]]
    trait: str
    label: str  #: what the list is, for those who cannot see it

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        made = ChoiceList(label=self.label)
        follow(view.state, self.trait, made, "chosen")
        return made

    def read(self, view: Any, widget: Any) -> Write:
        """Ask for the entries."""
        items = [[key, str(html)] for key, html in self.items(view)]
        return lambda: setattr(widget, "items", items)

    def paint(self, view: Any) -> Painted | None:
        """Return the entries, each with what an address says of it."""
        chosen = getattr(view.state, self.trait)
        texts = {o.value: o.text for o in view.options(view.filter(self.trait))}
        items = [(texts[key], html, key == chosen) for key, html in self.items(view)]
        return {"entries": items, "name": view.filter(self.trait).parameter} if items else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure(Part):
    """A figure with what stands below it: its data, what it means, how sure it is."""

    text: FigureText
    data: Callable[[Any], tuple[str, pl.DataFrame]]
    """Of the view: the data behind it as HTML, and as a frame."""
    draw: Callable[[Any], go.Figure] | None = None
    """Of the view: the figure; None: there is only what stands below."""
    filled: Callable[[Any], Mapping[str, str]] = lambda view: view.filled()
    """Of the view: what the text leaves open."""
    clicks: str = ""
    """Trait that a click on a point sets; a second click on the same lets go of it."""
    key: Callable[[str], Any] = str  #: what the key of a point stands for
    highlights: tuple[str, ...] = ()
    """Traits that change the drawing alone: what stands below it stays as it is."""
    painted: bool = False

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        made = FigureWidget(text=self.text)
        if self.clicks:
            made.observe(
                lambda change: view.turn(self.clicks, self.key(change["new"]["key"])), "clicked"
            )
        return made

    def read(self, view: Any, widget: Any) -> Write:
        """Draw it, or take it from where it was drawn before."""
        figure = None if self.draw is None else view.picture(self)
        below = self.filled(view)

        def data() -> tuple[str, str]:
            html, frame = self.data(view)
            nothing = render("shared/nothing.html") if frame.is_empty() else html
            return str(nothing), csv_text(frame, view.origin)

        def write() -> None:
            if figure is not None:
                widget.draw(figure)
            widget.credit = view.credit
            widget.write_below(data, **below)

        return write


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen(Part):
    """The dropdown of a filter that stands outside the row of filters."""

    trait: str
    on: tuple[str, ...] | None = ()
    painted: bool = False

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        return view.filter(self.trait).widget(view)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Closes(Part):
    """The button that lets go of what is open; the focus then goes to `leads_to`."""

    trait: str
    leads_to: str
    painted: bool = False

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget."""
        made = Close(leads_to=self.leads_to)
        made.observe(lambda _: setattr(view.state, self.trait, None), "pressed")
        return made

    def read(self, view: Any, widget: Any) -> Write:
        """See whether there is something to close."""
        shown = getattr(view.state, self.trait) is not None
        return lambda: setattr(widget, "shown", shown)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group(Part):
    """Parts that stand together: below one another, or as the style sheet has their class."""

    parts: tuple[Part, ...]

    def widget(self, view: Any) -> widgets.Widget:
        """Make a box of the widgets of its parts."""
        return widgets.VBox([view.make(part) for part in self.parts])

    def paint(self, view: Any) -> Painted | None:
        """Return what its parts show."""
        painted = view.painted(self.parts)
        return {"parts": painted} if painted else None
