"""Dashboards: for each one a state (traits) and a panel (widgets) that shows it.

A panel reads finished answers only, changes nothing, and keeps no state but its traits, so that a
test can drive it by setting one, and a reader can link it to widgets of their own.

Nothing is loaded before it is used: a dashboard does not pay for the others.
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.panels.figure_widget import FigureWidget
    from cxlib.panels.fragmentation import (
        FragmentationPanel,
        FragmentationState,
        draw_findings_first_paint,
    )
    from cxlib.panels.journey_map import JourneyMapPanel, JourneyMapState, draw_first_paint

__all__ = [
    "FigureWidget",
    "FragmentationPanel",
    "FragmentationState",
    "JourneyMapPanel",
    "JourneyMapState",
    "draw_findings_first_paint",
    "draw_first_paint",
]

__getattr__, __dir__ = load_lazily(__name__)
