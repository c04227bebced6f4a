"""The base of all views: what they declare becomes state, address, widgets and first paint."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import ipywidgets as widgets
import plotly.graph_objects as go
import polars as pl
import traitlets

from cxlib.errors import CxError
from cxlib.numbers import day, plural
from cxlib.results import Result
from cxlib.views.shared import words
from cxlib.views.shared.address import LinkedState, select
from cxlib.views.shared.figure_widget import FigureWidget
from cxlib.views.shared.filters import Filter, Option
from cxlib.views.shared.links import Way, beside
from cxlib.views.shared.parts import Figure, Painted, Part
from cxlib.views.shared.templates import page_style, render

if TYPE_CHECKING:
    from cxlib.publish import Snapshot

T = TypeVar("T")
_log = logging.getLogger("cxlib.views")

_REMEMBERED, _DRAWN, _KEPT = 64, 32, 200
"""Answers, pictures and properties that are kept, so that going back and forth costs nothing."""


class View:
    """A view of finished answers (a snapshot); shows itself where it is the last line of a cell.

    It says what can be chosen (`filters`), what stands on its page (`parts`) and its `headline`.
    Every part's and filter's widget is in `widgets` by its name, and an attribute of the view.
    """

    filters: ClassVar[tuple[Filter, ...]] = ()
    """What can be chosen: set a trait of `state` and the page follows."""
    parts: ClassVar[tuple[Part, ...]] = ()  #: what stands below the answer, from top to bottom
    styles: ClassVar[tuple[Path, ...]] = ()
    """Style sheets of its own, on top of the one all views share."""

    def __init__(self, answers: Snapshot, *, live: bool = True) -> None:
        self.answers, self.live = answers, live
        self.widgets: dict[str, Any] = {}
        self._asked = lru_cache(_REMEMBERED)(self._ask)
        self._pictures = lru_cache(_DRAWN)(lambda part, key: part.draw(self))
        self._options: dict[str, list[Option]] = {}
        self.known: dict[object, Any] = {}  #: see `of_state`
        self._read: dict[int, object] = {}
        self._made: list[_Made] = []
        self._within: tuple[Part, ...] = ()
        # In a notebook, and in a file of its own, there is no page beside this one.
        served = not live or "VOILA_BASE_URL" in os.environ
        self.way: Way = beside if served else lambda view, chosen: ""
        traits = {f.trait: traitlets.Any(self._at_first(f)) for f in self.filters}
        self.state = type("State", (traitlets.HasTraits,), traits)()
        self.settle()
        self.message = _classed(widgets.HTML(), "cx-message")
        self.widget: Any = self._assemble() if live else None

    def headline(self) -> str:
        """Answer the question of the view: what stands at the top of its page, as HTML."""
        raise NotImplementedError

    def settle(self) -> None:
        """Choose what has to be chosen after something else was; nothing, unless a view says so."""

    def open_first(self, trait: str, keys: Sequence[str]) -> None:
        """Open the first, where what was open is no longer among the keys.

        A page that has to be clicked to tell something tells most of its readers nothing. What was
        closed stays closed until the view is narrowed to something else.
        """
        narrowed = self._narrowed_to()
        moved, self._settled = narrowed != self._settled, narrowed
        chosen = getattr(self.state, trait)
        if chosen not in keys and (moved or chosen is not None):
            setattr(self.state, trait, next(iter(keys), None))

    _settled: tuple[object, ...] | None = None

    def filled(self) -> Mapping[str, str]:
        """Return what the texts below the figures leave open."""
        return {"k": str(self.k)}

    @property
    def until(self) -> datetime:
        """End of the data shown."""
        return datetime.fromisoformat(self.answers.manifest["observed_until"])

    def sentence(self, *, title: str, said: str, basis: str) -> str:
        """Write an answer: a title, the sentence, and what it rests on."""
        return render("shared/answer.html", title=title, said=said.removesuffix("."), basis=basis)

    def written(self, result: Result, *, caption: str = "") -> tuple[str, pl.DataFrame]:
        """Write a declared result as a table for people, and return its frame."""
        table = result.columns.written(result.table)
        return table.to_html(caption=caption, scrolls=True), result.table

    def chosen_now(self) -> tuple[object, ...]:
        """Return the values of all that can be chosen."""
        return tuple(getattr(self.state, f.trait) for f in self.filters)

    def ask(self, what: str, **where: Any) -> Any:
        """Return an answer of the snapshot; what was asked before is not asked again."""
        return self._asked(what, tuple(where.items()))

    def filter(self, trait: str) -> Filter:
        """Return the filter of that trait."""
        return next(f for f in self.filters if f.trait == trait)

    def options(self, of: Filter) -> list[Option]:
        """Return what may be chosen of a filter."""
        if of.moves:
            return list(of.options(self))
        if of.trait not in self._options:
            self._options[of.trait] = list(of.options(self))
        return self._options[of.trait]

    def chosen(self, trait: str) -> Option | None:
        """Return the option chosen of a filter; None: none is."""
        value = getattr(self.state, trait)
        if value is None:
            return None
        return next((o for o in self.options(self.filter(trait)) if o.value == value), None)

    def said_of(self, *, but: Sequence[str] = ()) -> list[str]:
        """Say in words what the view is narrowed to."""
        said = []
        for one in self.filters:
            option = self.chosen(one.trait) if one.narrows and one.trait not in but else None
            if option is not None:
                said.append(f"{one.label.lower()}: {option.label}" if one.named else option.label)
        return said

    @property
    def selection(self) -> str:
        """What is selected, in words, for what is taken away from the page."""
        said = self.said_of()
        everybody = getattr(self.state, "segment", None) is None
        return ", ".join([words.ALL_CUSTOMERS, *said] if everybody else said)

    def counted(self, customers: int) -> str:
        """Write a number of customers; of a small group it is published as 0, and not told."""
        return plural(customers, "customer") if customers else words.TOO_FEW_TO_COUNT

    @property
    def k(self) -> int:
        """Fewest customers a figure may be about."""
        return int(self.answers.manifest.get("k", 1))

    @property
    def credit(self) -> str:
        """The line below the title of a picture that is taken away: of what, and from when."""
        said = words.CREDIT.format(
            name=self.answers.manifest.get("name", ""),
            until=day(self.until),
            published=day(self._published_at),
            k=self.k,
        )
        return f"{self.selection}. {said}"

    @property
    def origin(self) -> dict[str, str]:
        """The columns that say it in every row of a table that is taken away."""
        published = self._published_at
        return {
            "selection": self.selection,
            "data_to": self.until.date().isoformat(),
            "published": published.date().isoformat() if published else "",
            "fewest_customers": str(self.k),
        }

    @property
    def _published_at(self) -> datetime | None:
        at = self.answers.manifest.get("published_at")
        return datetime.fromisoformat(at) if at else None

    def picture(self, part: Figure) -> go.Figure:
        """Draw a figure for what is chosen now, or return the one that was drawn before."""
        return self._pictures(part, self._key(part))

    def turn(self, trait: str, value: object) -> None:
        """Choose a value; let go of it where it is chosen already."""
        setattr(self.state, trait, None if getattr(self.state, trait) == value else value)

    def _assemble(self) -> widgets.VBox:
        style = page_style(self.styles)
        sheet = _classed(widgets.HTML(str(render("shared/style.html", style=style))), "cx-style")
        self.widgets["answer"] = answer = _classed(widgets.HTML(), "cx-answer")
        self.widgets["link"] = link = LinkedState(self)
        row = [self._filter_widget(f) for f in self.filters if f.kind and f.in_row]
        filters = _classed(widgets.HBox(row), "cx-filters")
        top = [sheet, answer, link.widget, filters, self.message]
        whole = widgets.VBox([*top, *(self.make(part) for part in self.parts)])
        named = [one for one in self.widgets.values() if isinstance(one, widgets.Widget)]
        link.widget.others = [one.model_id for one in named]
        self._show()
        self.state.observe(self._changed)
        vars(self).update(self.widgets)
        return _classed(whole, "cx-panel cx-page-style")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs) if self.widget else None

    def make(self, part: Part) -> widgets.Widget:
        """Make the widget of a part, and those of what is in it."""
        around, self._within = self._within, (*self._within, part)
        made = _classed(part.widget(self), part.css)
        self._made.append(_Made(part, made, self._within))
        self._within = around
        if part.name:
            self.widgets[part.name] = made
        return made

    @classmethod
    def first_paint(cls, answers: Snapshot, asked: str = "") -> str:
        """Write what the page shows before it is live, as HTML with its style; no script.

        `asked` is what its address says of the selection. It is a form: choosing in it asks for
        another address, which needs neither a script nor a session.
        """
        view = cls(answers, live=False)
        notes = select(view, asked)
        view.settle()
        kept = [f for f in view.filters if not f.narrows and not f.moves]
        return render(
            "shared/paint.html",
            style=page_style(view.styles),
            answer=view.headline(),
            notes=notes,
            names=" ".join(f.parameter for f in view.filters),
            controls=[shown for f in view.filters if (shown := f.control(view))],
            kept=[
                (f.parameter, chosen.text)
                for f in kept
                if (chosen := view.chosen(f.trait)) and chosen.value != view.usual(f)
            ],
            parts=view.painted(view.parts),
        )

    def painted(self, parts: Sequence[Part]) -> list[Painted]:
        """Return what parts show before the page is live; those that show nothing left out."""
        found = []
        for part in parts:
            painted = part.paint(self) if part.painted and part.shown(self) else None
            if painted is not None:
                found.append({"css": part.css, "parts": (), "entries": (), "html": ""} | painted)
        return found

    def _ask(self, what: str, where: tuple[tuple[str, Any], ...]) -> Any:
        return getattr(self.answers, what)(**dict(where))

    def _at_first(self, of: Filter) -> object:
        if of.every is not None or of.kind not in ("select", "slider"):
            return None
        return self.options(of)[-1 if of.kind == "slider" else 0].value

    def usual(self, of: Filter) -> object:
        """Return the value of a filter that an address need not say."""
        return of.usual(self) if of.usual else self._at_first(of)

    def _filter_widget(self, of: Filter) -> widgets.Widget:
        self.widgets[of.trait] = made = of.widget(self)
        return made

    def _key(self, part: Part) -> tuple[object, ...]:
        """Return the values of the traits that a part follows."""
        follows = part.also + (part.highlights if isinstance(part, Figure) else ())
        values = tuple(getattr(self.state, trait) for trait in (part.on or ()) + follows)
        return values if part.on is not None else self._narrowed_to() + values

    def _narrowed_to(self) -> tuple[object, ...]:
        return tuple(getattr(self.state, f.trait) for f in self.filters if f.narrows)

    def _changed(self, change: object) -> None:
        """Follow the state; what goes wrong is said calmly on the page, and kept in the log.

        An exception in a widget's callback is otherwise seen by nobody. What the package says on
        purpose is shown as it stands; anything else may say more than a visitor should know.
        """
        try:
            self.settle()
            self._show()
        except CxError as error:
            self.message.value = str(render("shared/alert.html", text=f"{error}"))
        except Exception:
            _log.exception("a callback of %s failed", type(self).__name__)
            self.message.value = str(render("shared/alert.html", text=words.FAILED))
        else:
            self.message.value = ""

    def _show(self) -> None:
        """Fill every part whose traits changed: first all are read, then all are written."""
        shown = [one for one in self._made if all(part.shown(self) for part in one.within)]
        keys = {id(one): self._key(one.part) for one in shown}
        stale = [one for one in shown if self._read.get(id(one), self) != keys[id(one)]]
        narrowed = self._narrowed_to()
        answer = None if self._read.get(0, self) == narrowed else str(self.headline())
        writes = [one.part.read(self, one.widget) for one in stale]
        with ExitStack() as each_once:
            for one in stale:
                if isinstance(one.widget, FigureWidget):
                    each_once.enter_context(one.widget.hold_sync())
            if answer is not None:
                self.widgets["answer"].value = answer
            for one in self._made:
                one.widget.layout.display = None if one.part.shown(self) else "none"
            for write in writes:
                write()
        self._read = {**keys, 0: narrowed}
        self.widgets["link"].write()


class of_state(Generic[T]):  # noqa: N801 - it stands where ``property`` does
    """A property of a view that is worked out once for what is chosen."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self.read, self.__doc__ = read, read.__doc__

    def __get__(self, view: Any, owner: object = None) -> T:
        if view is None:
            return self  # type: ignore[return-value]
        key = (self.read, view.chosen_now())
        if key not in view.known:
            if len(view.known) >= _KEPT:
                view.known.clear()
            view.known[key] = self.read(view)
        found: T = view.known[key]
        return found


class _Made(NamedTuple):
    """A part with its widget, and the parts it stands in."""

    part: Part
    widget: Any
    within: tuple[Part, ...]


def _classed(widget: Any, css: str) -> Any:
    for name in css.split():
        widget.add_class(name)
    return widget
