"""What can be chosen on a view, declared once: trait, widget and part of the address follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import ipywidgets as widgets
import traitlets

from cxlib.numbers import spelled
from cxlib.views.shared import words

ALL = ""
"""Value of the first option of every filter: no filter. (None would leave a dropdown blank.)"""


class Option(NamedTuple):
    """One value that can be chosen: as it stands in an address, as people read it, and itself."""

    text: str
    label: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filter:
    """Something that can be chosen on a view: None of its trait is "nothing chosen"."""

    trait: str
    options: Callable[[Any], Sequence[Option]]  #: asked for once, unless it `moves`
    label: str
    every: str | None = None  #: what "nothing chosen" is called; None: at first the first is
    address: str = ""  #: its name in the address, where that is not the trait's
    css: str = ""  #: class of its widget, where that is not named after the trait
    narrows: bool = True  #: whether it changes what all is about; else something within that
    kind: str = "select"  #: or slider (at first the last), range of periods, or empty: no widget
    in_row: bool = True  #: in the row of filters; else where a `Chosen` part puts it
    named: bool = False  #: whether its label is said too: ``from channel: web``
    moves: bool = False  #: whether the options depend on what else is chosen
    usual: Callable[[Any], Any] | None = None  #: the value that an address need not say

    @property
    def parameter(self) -> str:
        """Name in the address."""
        return self.address or self.trait

    @property
    def css_class(self) -> str:
        """Class of its widget."""
        return self.css or f"cx-filter-{self.trait.replace('_', '-')}"

    @property
    def hides(self) -> bool:
        """Whether it is not shown where there is nothing to choose."""
        return self.narrows and self.trait != "segment"

    @property
    def unknown(self) -> str:
        """What is said where a link asks for something that is not among its options."""
        return words.UNKNOWN.format(name=self.label)

    def widget(self, view: Any) -> widgets.Widget:
        """Make its widget, tied to the state of the view both ways."""
        if self.kind == "range":
            made = period_filter(view.answers.periods, view.answers.period_unit)
            last = len(view.answers.periods) - 1
            traitlets.link(
                (view.state, self.trait),
                (made, "index"),
                # The whole range is no filter: its answers are there already.
                transform=(
                    lambda p: p or (0, last),
                    lambda i: None if tuple(i) == (0, last) else i,
                ),
            )
            return made
        options = [(option.label, option.value) for option in view.options(self)]
        if self.kind == "slider":
            slider = _slider(widgets.SelectionSlider, self.label, options, self.css_class)
            follow(view.state, self.trait, slider)
            return slider
        made = select(self.label, options, every=self.every, css=self.css_class, hides=self.hides)
        follow(view.state, self.trait, made)
        return made

    def control(self, view: Any) -> dict[str, Any] | None:
        """Say what a form shows of it, which needs no session; None: nothing.

        Of ranges of periods the whole, each single one, and the one that is chosen.
        """
        options, chosen = view.options(self), getattr(view.state, self.trait)
        if not (self.kind and self.narrows and self.in_row) or (self.hides and len(options) < 2):
            return None
        first = [] if self.every is None else [Option("", self.every, None)]
        if self.kind == "range":
            last = len(view.answers.periods) - 1
            first = [Option("", o.label, None) for o in options if o.value == (0, last)]
            options = [o for o in options if o.value[0] == o.value[1] or o.value == chosen]
        elif self.kind == "slider":
            options = options[::-1]
        return {
            "name": self.parameter,
            "label": self.label,
            "css": self.css_class,
            "options": [(o.text, o.label, o.value == chosen) for o in [*first, *options]],
        }


def segment() -> Filter:
    """Choose a group of customers: its value is ``(dimension, value)``."""
    return Filter(
        trait="segment",
        label=words.CUSTOMERS,
        every=words.ALL_CUSTOMERS,
        options=lambda view: segment_options(view.answers.segments),
    )


def period() -> Filter:
    """Choose the first and the last period: its value is a pair of their positions."""
    return Filter(
        trait="period",
        label=words.PERIOD,
        options=lambda view: period_options(view.answers.periods, view.answers.period_unit),
        kind="range",
    )


def column(trait: str, label: str, every: str, *, address: str = "") -> Filter:
    """Keep the rows with one value in a column: the view knows the `names_in` it."""
    return Filter(
        trait=trait,
        address=address,
        label=label,
        every=every,
        options=lambda view: names(view.names_in(trait)),
        named=True,
    )


def names(known: Iterable[str] | Mapping[str, str]) -> list[Option]:
    """Return options that are called what they are, or what a mapping calls them."""
    called = known if isinstance(known, Mapping) else {name: name for name in known}
    return [Option(name, label, name) for name, label in called.items()]


def segment_options(segments: Sequence[tuple[str, str]]) -> list[Option]:
    """Return every segment, in an address as ``persona:planner``."""
    return [Option(f"{d}:{v}", segment_label((d, v)), (d, v)) for d, v in segments]


def segment_label(chosen: tuple[str, str]) -> str:
    """Name a segment as people write it: ``customer type: regular``."""
    return f"{spelled(chosen[0])}: {chosen[1]}"


def period_options(periods: Sequence[date], unit: str) -> list[Option]:
    """Return every range of periods; a single one is written by its name alone: ``2025-06``."""
    texts = [_period_text(start, unit) for start in periods]
    labels = [period_label(start, unit) for start in periods]
    return [
        Option(
            texts[a] if a == b else f"{texts[a]}..{texts[b]}",
            labels[a] if a == b else f"{labels[a]}–{labels[b]}",
            (a, b),
        )
        for a in range(len(texts))
        for b in range(a, len(texts))
    ]


def _period_text(start: date, unit: str) -> str:
    if unit == "month":
        return f"{start:%Y-%m}"
    return f"{start.year}-Q{(start.month + 2) // 3}" if unit == "quarter" else start.isoformat()


def period_label(start: date, unit: str) -> str:
    """Name a period by its first day, as shortly as its length allows."""
    if unit == "month":
        return f"{start:%b %Y}"
    if unit == "quarter":
        return f"Q{(start.month + 2) // 3} {start.year}"
    if unit == "week":
        end = start + timedelta(days=6)
        first = f"{start.day}" if start.month == end.month else f"{start.day} {start:%b}"
        return f"{first}–{end.day} {end:%b} {end.year}"
    return f"{start.day} {start:%b} {start.year}"


# ---- widgets -------------------------------------------------------------------------------------


def select(
    label: str,
    options: Sequence[tuple[str, object]],
    *,
    every: str | None = None,
    css: str = "",
    hides: bool = False,
) -> widgets.Dropdown:
    """Make a dropdown that stands below its label.

    With `every` its first option is `ALL`, called so; with `hides` it is not shown where there is
    nothing to choose.
    """
    first = [] if every is None else [(every, ALL)]
    dropdown = widgets.Dropdown(
        options=[*first, *options], description=label, style={"description_width": "initial"}
    )
    if css:
        dropdown.add_class(css)
    if hides and len(options) < 2:
        dropdown.layout.display = "none"
    return dropdown


def period_filter(periods: Sequence[date], unit: str) -> widgets.SelectionRangeSlider:
    """Choose the first and the last period, by position; hidden where there is only one."""
    options = [(period_label(start, unit), i) for i, start in enumerate(periods)]
    ends = (0, len(options) - 1)
    slider = _slider(widgets.SelectionRangeSlider, words.PERIOD, options, "cx-period", index=ends)
    if len(options) < 2:
        slider.layout.display = "none"
    return slider


def _slider(
    kind: type[Any], label: str, options: Sequence[Any], css: str, **more: Any
) -> widgets.Widget:
    """Make a slider; while it is dragged it would ask for answers nobody wants to see."""
    style = {"description_width": "initial"}
    made = kind(options=options, description=label, continuous_update=False, style=style, **more)
    made.add_class(css)
    return made


def follow(state: traitlets.HasTraits, trait: str, widget: Any, value: str = "value") -> None:
    """Tie a widget to a trait, both ways: None is `ALL`, its first option."""
    traitlets.link(
        (state, trait),
        (widget, value),
        transform=(lambda v: ALL if v is None else v, lambda v: None if v == ALL else v),
    )
