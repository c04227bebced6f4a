"""Filters every dashboard shares: whom, by which channel, when; each with its label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import ipywidgets as widgets
import traitlets

from cxlib.panels import texts

__all__ = [
    "ALL",
    "choice_filter",
    "follow",
    "period_filter",
    "period_label",
    "segment_filter",
    "select",
]

#: Value of the first option of every filter: no filter. (None would leave a dropdown blank.)
ALL = ""


def select(
    label: str, options: Sequence[tuple[str, object]], *, css: str, hint: str = ""
) -> widgets.Dropdown:
    """Make a dropdown that stands below its label."""
    dropdown = widgets.Dropdown(
        options=list(options), description=label, style={"description_width": "initial"}
    )
    if hint:
        dropdown.description_tooltip = hint
    dropdown.add_class(css)
    return dropdown


def segment_filter(segments: Sequence[tuple[str, str]]) -> widgets.Dropdown:
    """Choose a segment: its value is ``(dimension, value)``, or `ALL`."""
    options: list[tuple[str, object]] = [(texts.ALL_CUSTOMERS, ALL)]
    options += [(f"{dimension}: {value}", (dimension, value)) for dimension, value in segments]
    return select(texts.CUSTOMERS, options, css="cx-segment")


def choice_filter(label: str, every: str, names: Sequence[str], *, css: str) -> widgets.Dropdown:
    """Choose one of these names, or `ALL`; hidden where there is nothing to choose."""
    options: list[tuple[str, object]] = [(every, ALL), *((name, name) for name in names)]
    dropdown = select(label, options, css=css)
    if len(names) < 2:
        dropdown.layout.display = "none"
    return dropdown


def follow(state: traitlets.HasTraits, trait: str, dropdown: widgets.Dropdown) -> None:
    """Tie a dropdown to a trait, both ways: None is `ALL`, its first option."""
    traitlets.link(
        (state, trait),
        (dropdown, "value"),
        transform=(lambda v: ALL if v is None else v, lambda v: None if v == ALL else v),
    )


def period_filter(periods: Sequence[date], unit: str) -> widgets.SelectionRangeSlider:
    """Choose the first and the last period: its value is a pair of positions in `periods`.

    Hidden where there is only one period to choose from.
    """
    options = [(period_label(start, unit), i) for i, start in enumerate(periods)]
    slider = widgets.SelectionRangeSlider(
        options=options,
        index=(0, len(options) - 1),
        description=texts.PERIOD,
        # A filter that is still being dragged would ask for answers nobody wants to see.
        continuous_update=False,
        style={"description_width": "initial"},
    )
    slider.add_class("cx-period")
    if len(options) < 2:
        slider.layout.display = "none"
    return slider


def period_label(start: date, unit: str) -> str:
    """Name a period by its first day, as shortly as its length allows.

    Examples
    --------
    >>> [period_label(date(2026, 3, 30), unit) for unit in ("day", "week", "month", "quarter")]
    ['30 Mar 2026', '30 Mar–5 Apr 2026', 'Mar 2026', 'Q1 2026']
    """
    if unit == "month":
        return f"{start:%b %Y}"
    if unit == "quarter":
        return f"Q{(start.month + 2) // 3} {start.year}"
    if unit == "week":
        end = start + timedelta(days=6)
        first = f"{start.day}" if start.month == end.month else f"{start.day} {start:%b}"
        return f"{first}–{end.day} {end:%b} {end.year}"
    return f"{start.day} {start:%b} {start.year}"
