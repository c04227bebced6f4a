"""Recording a dashboard: every filter is set once, and what the page then says is written down.

It is cut into slots (a text, one trace of a figure), of which a selection has the values' numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from math import prod
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as widgets

from cxlib.errors import CxError
from cxlib.export.nodes import Nodes
from cxlib.figures.map_labels import place_key
from cxlib.figures.map_layout import Place
from cxlib.views.shared.figure_widget import FigureWidget
from cxlib.views.shared.filters import ALL
from cxlib.views.shared.widgets import ChoiceList

if TYPE_CHECKING:
    from cxlib.views.shared.view import View

MOST_TOGETHER = 60
"""Combinations of filters that are all recorded; of more only one filter at a time is."""

_CHOSEN_WITH = (widgets.Dropdown, widgets.SelectionSlider, widgets.SelectionRangeSlider)
_NOT_SHOWN = {"chosen", "clicked", "comm", "layout", "pressed", "tabbable", "tooltip"}
Slot = tuple[Any, ...]
Values = Mapping[Slot, int | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be chosen on a dashboard; `number` is its place among all widgets.

    A filter changes what all is about; anything else opens or colours something within that.
    """

    number: int
    widget: widgets.Widget
    is_filter: bool

    @property
    def options(self) -> dict[str, str]:
        """Label of every option by its key, the first one first; of a list as it stands now."""
        return {key: label for key, (label, _) in self._settings().items()}

    @property
    def nothing(self) -> str | None:
        """Key of the option by which nothing is chosen; None where something always is."""
        if isinstance(self.widget, ChoiceList):
            return ""
        if isinstance(self.widget, widgets.Dropdown) and self.widget._options_values[0] == ALL:
            return next(iter(self.options))
        return None

    @property
    def chosen(self) -> str:
        """Key of the option chosen."""
        if isinstance(self.widget, ChoiceList):
            return str(self.widget.chosen)
        now = self.widget.index
        return next(key for key, (_, index) in self._settings().items() if index == now)

    def choose(self, key: str) -> None:
        """Choose an option."""
        if isinstance(self.widget, ChoiceList):
            self.widget.chosen = key
        else:
            self.widget.index = self._settings()[key][1]

    def _settings(self) -> dict[str, tuple[str, Any]]:
        if isinstance(self.widget, ChoiceList):
            # No entry at all can be chosen too: by choosing the chosen one again.
            return {key: ("", key) for key in ["", *(key for key, _ in self.widget.items)]}
        labels = list(self.widget._options_labels)
        if isinstance(self.widget, widgets.SelectionRangeSlider):
            # the whole range, and each single step: every range would be too many
            spans = [(0, len(labels) - 1)]
            spans += [(i, i) for i in range(len(labels)) if len(labels) > 1]
            return {
                f"{a}-{b}": (labels[a] if a == b else f"{labels[a]} – {labels[b]}", (a, b))
                for a, b in spans
            }
        order = list(enumerate(zip(labels, self.widget._options_values, strict=True)))
        if isinstance(self.widget, widgets.SelectionSlider):  # it stands at its end at first
            order.reverse()
        return {
            place_key(value) if isinstance(value, Place) else str(i): (label, i)
            for i, (label, value) in order
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """What a dashboard shows while its filters stand still: the number of the value of every slot.

    `chosen` is of choices that are no filter, `changes` of their other options: slots that change.
    """

    shown: Values
    chosen: dict[int, str]
    changes: dict[int, dict[str, Values]]


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything a dashboard can say: its `selections` by the options of the filters.

    `together` tells whether filters were recorded in all combinations, or one at a time.
    """

    panel: View
    choices: tuple[Choice, ...]
    together: bool
    selections: dict[tuple[str, ...], Selection]
    nodes: Nodes = field(repr=False)


def walk(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """Return a widget and all within it, in the order of the page."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def is_own(widget: widgets.Widget) -> bool:
    """Whether a widget brings its own script; the link to a served page has no place in a file."""
    return isinstance(widget, anywidget.AnyWidget) and "cx-link" not in widget._dom_classes


def is_hidden(widget: widgets.Widget) -> bool:
    """Whether a widget is left out of the page at the moment."""
    return bool(widget.layout.display == "none")


def find_choices(panel: View) -> tuple[Choice, ...]:
    """Return what can be chosen on a dashboard; what is hidden or has one option only is not."""
    numbers = {id(widget): number for number, widget in enumerate(walk(panel.widget))}
    found = []
    for box in walk(panel.widget):
        for widget in getattr(box, "children", ()):
            is_filter = "cx-filters" in box._dom_classes and "cx-colour" not in widget._dom_classes
            choice = Choice(numbers[id(widget)], widget, is_filter)
            can_be_set = isinstance(widget, _CHOSEN_WITH) and not is_hidden(widget)
            if isinstance(widget, ChoiceList) or (can_be_set and len(choice.options) > 1):
                found.append(choice)
    return tuple(sorted(found, key=lambda choice: choice.number))


def record(panel: View, *, progress: Callable[[str], None] | None = None) -> Recording:
    """Set every filter of a dashboard, open everything that opens, and write down what it says.

    CxError: it could not show a selection, or two choices change the same part of it.
    """
    tell = progress or (lambda _: None)
    choices = find_choices(panel)
    filters = [choice for choice in choices if choice.is_filter]
    options = [list(choice.options) for choice in filters]
    together = prod(map(len, options)) <= MOST_TOGETHER
    whole = tuple(keys[0] for keys in options)
    one_at_a_time = [whole] + [
        (*whole[:i], key, *whole[i + 1 :]) for i, keys in enumerate(options) for key in keys[1:]
    ]
    keys = list(product(*options)) if together else one_at_a_time
    for widget in walk(panel.widget):
        if isinstance(widget, FigureWidget):
            widget.wanted = True
    recorder = _Recorder(panel, [c for c in choices if not c.is_filter])
    selections = {}
    for number, key in enumerate(keys):
        tell(f"selection {number + 1} of {len(keys)}")
        if number:
            recorder.forget_details()
        for choice, option in zip(filters, key, strict=True):
            choice.choose(option)
        selections[key] = recorder.read_selection()
    recorder.forget_details()
    for choice, option in zip(filters, whole, strict=True):
        choice.choose(option)
    return Recording(panel, choices, together, selections, recorder.nodes)


class _Recorder:
    def __init__(self, panel: View, details: list[Choice]) -> None:
        self.nodes = Nodes()
        self._panel = panel
        self._details = details
        self._first = {d.number: d.chosen for d in details if not isinstance(d.widget, ChoiceList)}
        self._widgets = list(walk(panel.widget))

    def forget_details(self) -> None:
        """Choose what was chosen at first; nothing of lists, so that the dashboard does."""
        for detail in self._details:
            detail.choose(self._first.get(detail.number, ""))

    def read_selection(self) -> Selection:
        """Read what is shown, and what changes with every choice that is no filter."""
        shown = self._read()
        chosen = {detail.number: detail.chosen for detail in self._details}
        changes: dict[int, dict[str, Values]] = {}
        for detail in self._details:
            mine = changes[detail.number] = {}
            before = self._read()  # what is hidden now may still hold what was opened last
            for option in detail.options:
                if option != chosen[detail.number]:
                    detail.choose(option)
                    after = self._read()
                    # None for what is gone, as the last trace of a figure may
                    changed = {slot: v for slot, v in after.items() if before.get(slot) != v}
                    mine[option] = dict.fromkeys(before.keys() - after.keys()) | changed
            detail.choose(chosen[detail.number])
        # only where what one choice changes no other does can they be put together
        touched = [{slot for slots in of.values() for slot in slots} for of in changes.values()]
        for first, second in combinations(touched, 2):
            if first & second:
                both = sorted(first & second, key=str)
                raise CxError(f"two choices of the dashboard change {both}")
        return Selection(shown, chosen, changes)

    def _read(self) -> dict[Slot, int]:
        if self._panel.message.value:
            raise CxError(f"the dashboard could not be recorded: {self._panel.message.value}")
        now = list(walk(self._panel.widget))
        if [id(w) for w in now] != [id(w) for w in self._widgets]:
            raise CxError("the dashboard changes its parts; only their contents can be recorded")
        return {
            (number, *slot): self.nodes.add(value)
            for number, widget in enumerate(now)
            for slot, value in _slots(widget)
        }


def _slots(widget: widgets.Widget) -> Iterator[tuple[Slot, Any]]:
    """Yield what a widget shows, in pieces that change apart."""
    yield ("hidden",), is_hidden(widget)
    if isinstance(widget, widgets.HTML):
        yield ("value",), widget.value
    if not is_own(widget):
        return
    for name in sorted(widget.traits(sync=True)):
        if name.startswith("_") or name in _NOT_SHOWN:
            continue
        value = getattr(widget, name)
        if name != "figure":
            yield (name,), value
        elif value:  # else not drawn yet
            for i, trace in enumerate(value["data"]):
                yield (name, "data", i), trace
            yield (name, "layout"), value["layout"]
