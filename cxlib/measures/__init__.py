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
`measure_path_tree`        where journeys go from a touchpoint, or come from before it
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
    from cxlib.measures.first_contacts import FirstContacts as FirstContacts
    from cxlib.measures.first_contacts import measure_first_contacts as measure_first_contacts
    from cxlib.measures.funnels import Funnel as Funnel
    from cxlib.measures.funnels import measure_funnel as measure_funnel
    from cxlib.measures.overview import Overview as Overview
    from cxlib.measures.overview import measure_overview as measure_overview
    from cxlib.measures.path_tree import PathTree as PathTree
    from cxlib.measures.path_tree import measure_path_tree as measure_path_tree
    from cxlib.measures.paths import Paths as Paths
    from cxlib.measures.paths import measure_paths as measure_paths
    from cxlib.measures.segments import Segments as Segments
    from cxlib.measures.segments import compare_segments as compare_segments
    from cxlib.measures.stage_funnel import StageFunnel as StageFunnel
    from cxlib.measures.stage_funnel import measure_stage_funnel as measure_stage_funnel
    from cxlib.measures.step_matrix import StepMatrix as StepMatrix
    from cxlib.measures.step_matrix import measure_step_matrix as measure_step_matrix
    from cxlib.measures.touchpoints import Touchpoints as Touchpoints
    from cxlib.measures.touchpoints import measure_touchpoints as measure_touchpoints
    from cxlib.measures.transitions import Handoffs as Handoffs
    from cxlib.measures.transitions import Transitions as Transitions
    from cxlib.measures.transitions import measure_handoffs as measure_handoffs
    from cxlib.measures.transitions import measure_transitions as measure_transitions
    from cxlib.measures.waits import Waits as Waits
    from cxlib.measures.waits import measure_waits as measure_waits

__getattr__, __dir__ = load_lazily(__name__)
