"""Dashboards: for each one a state (traits) and a panel (widgets) that shows it.

A panel reads finished answers only, changes nothing, and keeps no state but its traits, so that a
test can drive it by setting one, and a reader can link it to widgets of their own.
"""

from __future__ import annotations

from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.fragmentation import FragmentationPanel, FragmentationState
from cxlib.panels.journey_map import JourneyMapPanel, JourneyMapState, draw_first_paint

__all__ = [
    "FigureWidget",
    "FragmentationPanel",
    "FragmentationState",
    "JourneyMapPanel",
    "JourneyMapState",
]
