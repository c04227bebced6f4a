"""A result -> a plotly figure, in one theme; figures compute nothing.

`plot_x` takes what `measure_x` returns, `describe_x` says the same in one sentence: it is the
figure's default title and its text alternative.
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.figures.any_result import plot_result as plot_result
    from cxlib.figures.finding_detail import plot_finding_detail as plot_finding_detail
    from cxlib.figures.finding_detail import plot_finding_trend as plot_finding_trend
    from cxlib.figures.fragmentation import describe_findings as describe_finding_details
    from cxlib.figures.fragmentation import plot_finding_list as plot_finding_list
    from cxlib.figures.fragmentation import plot_findings as plot_finding_details
    from cxlib.figures.lists import describe_first_contacts as describe_first_contacts
    from cxlib.figures.lists import describe_funnel as describe_funnel
    from cxlib.figures.lists import describe_paths as describe_paths
    from cxlib.figures.lists import describe_stage_funnel as describe_stage_funnel
    from cxlib.figures.lists import describe_waits as describe_waits
    from cxlib.figures.lists import plot_comparison as plot_comparison
    from cxlib.figures.lists import plot_experience_curve as plot_experience_curve
    from cxlib.figures.lists import plot_first_contacts as plot_first_contacts
    from cxlib.figures.lists import plot_funnel as plot_funnel
    from cxlib.figures.lists import plot_paths as plot_paths
    from cxlib.figures.lists import plot_prediction as plot_prediction
    from cxlib.figures.lists import plot_spectrum as plot_spectrum
    from cxlib.figures.lists import plot_stage_funnel as plot_stage_funnel
    from cxlib.figures.lists import plot_touchpoint_list as plot_touchpoint_list
    from cxlib.figures.lists import plot_waits as plot_waits
    from cxlib.figures.matrices import describe_transitions as describe_handoffs
    from cxlib.figures.matrices import describe_transitions as describe_transitions
    from cxlib.figures.matrices import plot_transitions as plot_handoffs
    from cxlib.figures.matrices import plot_transitions as plot_transitions
    from cxlib.figures.path_tree import plot_path_tree as plot_path_tree
    from cxlib.figures.touchpoints import describe_touchpoints as describe_touchpoints
    from cxlib.figures.touchpoints import plot_touchpoints as plot_touchpoints

__getattr__, __dir__ = load_lazily(__name__)
