"""Typed answers with intervals, one topic per module; each says what it measures and how.

From the journey summary, in milliseconds:

=========================  ======================================================================
`measure_overview`         customers, journeys, contacts, and what became of the journeys
`measure_touchpoints`      every touchpoint by stage and channel: what comes next, how it is
`measure_first_contacts`   where journeys begin, how often and how soon they reach the goal
`measure_stage_funnel`     how many journeys rise to each stage, and get further from there
`measure_transitions`      what directly follows what, how often, after how long
`measure_handoffs`         the transitions that change the channel or the owner
`compare_segments`         who reaches the goal more or less often than all others
=========================  ======================================================================

From the store, in seconds for ten million contacts:

=========================  ======================================================================
`measure_funnel`           who takes chosen steps in order, and who stops where
`measure_paths`            the most frequent paths from the first contact to the last
`measure_step_matrix`      where journeys are at their first, second, third … contact
`measure_waits`            exact medians of the waits seen
=========================  ======================================================================

All take ``where``, a `cxlib.summary.Selection` of segment, periods and channel.

Examples
--------
>>> from cxlib.measures import measure_touchpoints
>>> measure_touchpoints.__module__
'cxlib.measures.touchpoints'
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.measures.first_contacts import FirstContacts, measure_first_contacts
    from cxlib.measures.funnels import Funnel, measure_funnel
    from cxlib.measures.overview import Overview, measure_overview
    from cxlib.measures.paths import Paths, measure_paths
    from cxlib.measures.segments import Segments, compare_segments
    from cxlib.measures.stage_funnel import StageFunnel, measure_stage_funnel
    from cxlib.measures.step_matrix import StepMatrix, measure_step_matrix
    from cxlib.measures.touchpoints import Touchpoints, measure_touchpoints
    from cxlib.measures.transitions import (
        Handoffs,
        Transitions,
        measure_handoffs,
        measure_transitions,
    )
    from cxlib.measures.waits import Waits, measure_waits

_HOME = {
    "FirstContacts": "first_contacts",
    "Funnel": "funnels",
    "Handoffs": "transitions",
    "Overview": "overview",
    "Paths": "paths",
    "Segments": "segments",
    "StageFunnel": "stage_funnel",
    "StepMatrix": "step_matrix",
    "Touchpoints": "touchpoints",
    "Transitions": "transitions",
    "Waits": "waits",
    "compare_segments": "segments",
    "measure_first_contacts": "first_contacts",
    "measure_funnel": "funnels",
    "measure_handoffs": "transitions",
    "measure_overview": "overview",
    "measure_paths": "paths",
    "measure_stage_funnel": "stage_funnel",
    "measure_step_matrix": "step_matrix",
    "measure_touchpoints": "touchpoints",
    "measure_transitions": "transitions",
    "measure_waits": "waits",
}

__all__ = [
    "FirstContacts",
    "Funnel",
    "Handoffs",
    "Overview",
    "Paths",
    "Segments",
    "StageFunnel",
    "StepMatrix",
    "Touchpoints",
    "Transitions",
    "Waits",
    "compare_segments",
    "measure_first_contacts",
    "measure_funnel",
    "measure_handoffs",
    "measure_overview",
    "measure_paths",
    "measure_stage_funnel",
    "measure_step_matrix",
    "measure_touchpoints",
    "measure_transitions",
    "measure_waits",
]

__getattr__, __dir__ = load_lazily(__name__, _HOME)
