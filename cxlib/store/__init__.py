"""The workspace on disk, the one walk over it, and the additive tables it is summed into.

==============  ============================================================================
`workspace`     the folder: contacts sorted by customer and time, numbered, written once
`walk`          what came before and after every contact: the one definition of a transition
`counting`      what one bucket of customers adds to the summary
`engines`       where buckets are counted: in this process, or by Spark
`tables`        how additive tables are declared, added up, selected, written and read
==============  ============================================================================
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.store.workspace import FORMAT, Workspace, build_workspace

__all__ = ["FORMAT", "Workspace", "build_workspace"]

__getattr__, __dir__ = load_lazily(__name__)
