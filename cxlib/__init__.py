"""Customer journeys: where they fragment, how sure that is, and what to mend first.

The path of the data, one module or package each:

==================  ========================================================================
`journey_map`       the journey map (YAML): stages, touchpoints, owners, planned handoffs
`ingest`            exports, logs and databases -> events; what does not fit is set aside
`store`             the workspace: events sorted by customer and time, encoded, written once
`summary`           the one pass over it: additive counts that answer every later question
`measures`          typed results with intervals, one topic per module
`fragmentation`     findings: handoffs worse than their expectation, with effect and q value
`opportunities`     which to mend first, and what that is worth
`figures`           a result -> a plotly figure
`publish`           small groups suppressed: the snapshot that the dashboards read
`panels`            the dashboards
`cli`               `cx`
==================  ========================================================================

Nothing heavy is loaded before it is used; the names below are imported at first access.

Examples
--------
>>> import cxlib
>>> cxlib.Workspace.__name__
'Workspace'
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.errors import CxError
    from cxlib.journey_map import JourneyMap, read_journey_map
    from cxlib.store import Workspace, build_workspace
    from cxlib.summary import Selection

__version__ = "0.1.0"

_HOME = {
    "CxError": "errors",
    "JourneyMap": "journey_map",
    "Selection": "summary",
    "Workspace": "store",
    "build_workspace": "store",
    "read_journey_map": "journey_map",
}

__all__ = [
    "CxError",
    "JourneyMap",
    "Selection",
    "Workspace",
    "__version__",
    "build_workspace",
    "read_journey_map",
]

__getattr__, __dir__ = load_lazily(__name__, _HOME)
