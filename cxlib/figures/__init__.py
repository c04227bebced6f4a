"""A result -> a plotly figure, in one theme; figures compute nothing.

`plot_x` takes what `measure_x` returns, `describe_x` says the same in one sentence: it is the
figure's default title and its text alternative.

============================  ===================================================================
`plot_touchpoints`            the journey map: stages, channels, touchpoints, moves
`plot_touchpoint_list`        touchpoints of one stage: customers, what comes next, rating
`touchpoint_cards`            the same as HTML cards, for narrow pages
`plot_first_contacts`         where journeys begin, and whether they lead to the goal
`plot_stage_funnel`           how many journeys come to each stage, and what becomes of them
`plot_funnel`                 chosen steps in order, and where journeys stop
`plot_transitions`            what directly follows what: a matrix
`plot_waits`                  how long from one contact to the next
`plot_paths`                  the most frequent paths
`plot_step_matrix`            where journeys are at their first, second, third … contact
`use_theme`                   light, dark or print
============================  ===================================================================

Examples
--------
>>> from cxlib.figures import use_theme
>>> use_theme("print").paper
'#ffffff'
>>> use_theme("light").name
'light'
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.figures.cards import page_style, touchpoint_cards
    from cxlib.figures.first_contacts import describe_first_contacts, plot_first_contacts
    from cxlib.figures.funnels import describe_funnel, plot_funnel
    from cxlib.figures.paths import describe_paths, plot_paths
    from cxlib.figures.stage_funnel import describe_stage_funnel, plot_stage_funnel
    from cxlib.figures.step_matrix import describe_step_matrix, plot_step_matrix
    from cxlib.figures.theme import use_theme
    from cxlib.figures.touchpoint_list import plot_touchpoint_list
    from cxlib.figures.touchpoints import describe_touchpoints, plot_touchpoints
    from cxlib.figures.transitions import describe_transitions, plot_transitions
    from cxlib.figures.waits import describe_waits, plot_waits

_HOME = {
    "describe_first_contacts": "first_contacts",
    "describe_funnel": "funnels",
    "describe_paths": "paths",
    "describe_stage_funnel": "stage_funnel",
    "describe_step_matrix": "step_matrix",
    "describe_touchpoints": "touchpoints",
    "describe_transitions": "transitions",
    "describe_waits": "waits",
    "page_style": "cards",
    "plot_first_contacts": "first_contacts",
    "plot_funnel": "funnels",
    "plot_paths": "paths",
    "plot_stage_funnel": "stage_funnel",
    "plot_step_matrix": "step_matrix",
    "plot_touchpoint_list": "touchpoint_list",
    "plot_touchpoints": "touchpoints",
    "plot_transitions": "transitions",
    "plot_waits": "waits",
    "touchpoint_cards": "cards",
    "use_theme": "theme",
}

__all__ = [
    "describe_first_contacts",
    "describe_funnel",
    "describe_paths",
    "describe_stage_funnel",
    "describe_step_matrix",
    "describe_touchpoints",
    "describe_transitions",
    "describe_waits",
    "page_style",
    "plot_first_contacts",
    "plot_funnel",
    "plot_paths",
    "plot_stage_funnel",
    "plot_step_matrix",
    "plot_touchpoint_list",
    "plot_touchpoints",
    "plot_transitions",
    "plot_waits",
    "touchpoint_cards",
    "use_theme",
]

__getattr__, __dir__ = load_lazily(__name__, _HOME)
