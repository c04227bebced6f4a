"""The words of the notebooks: each answer as sentences that a stakeholder could repeat.

A notebook measures, draws, and lets this package say what came out, so that its prose is true of
every workspace it is run on. All functions take results and return Markdown; none measures
anything. ``opening`` opens the workspace, ``quality`` is about the log, ``beginnings`` about first
contacts, ``stage`` about the touchpoints of a stage, ``goal`` about reaching the goal, ``again``
about what comes after it; ``markdown`` writes tables.
"""

from cxlib.chapters.again import say_again, say_again_sure, say_what_to_mend_after
from cxlib.chapters.beginnings import (
    channel_table,
    say_beginnings,
    say_beginnings_sure,
    say_what_to_do_first,
)
from cxlib.chapters.goal import (
    say_goal,
    say_goal_sure,
    say_largest_loss,
    say_what_to_do_about_goal,
    segment_table,
)
from cxlib.chapters.opening import (
    find_stages,
    from_touchpoints,
    open_workspace,
    say_data,
    within_stages,
)
from cxlib.chapters.quality import (
    measurable_table,
    say_log_sure,
    say_rows,
    say_what_to_mend,
    set_aside_table,
)
from cxlib.chapters.stage import (
    say_stage,
    say_stage_sure,
    say_weakest,
    say_what_to_do_in_stage,
    touchpoint_table,
)

__all__ = [
    "channel_table",
    "find_stages",
    "from_touchpoints",
    "measurable_table",
    "open_workspace",
    "say_again",
    "say_again_sure",
    "say_beginnings",
    "say_beginnings_sure",
    "say_data",
    "say_goal",
    "say_goal_sure",
    "say_largest_loss",
    "say_log_sure",
    "say_rows",
    "say_stage",
    "say_stage_sure",
    "say_weakest",
    "say_what_to_do_about_goal",
    "say_what_to_do_first",
    "say_what_to_do_in_stage",
    "say_what_to_mend",
    "say_what_to_mend_after",
    "segment_table",
    "set_aside_table",
    "touchpoint_table",
    "within_stages",
]
