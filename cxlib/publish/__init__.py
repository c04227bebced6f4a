"""Publishing: finished answers without small groups, for people who must not see customers.

`publish` writes a snapshot of a workspace; `Snapshot` reads it, and is all that dashboards read;
`list_snapshots` lists those of a workspace, and `compare_snapshots` says what changed between two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily, make_callable
from cxlib.publish.snapshot import Snapshot, SnapshotRecord, find_snapshot, list_snapshots

if TYPE_CHECKING:
    from cxlib.publish.compare import SnapshotChanges, compare_snapshots
    from cxlib.publish.write import publish

__all__ = [
    "Snapshot",
    "SnapshotChanges",
    "SnapshotRecord",
    "compare_snapshots",
    "find_snapshot",
    "list_snapshots",
    "publish",
]

# The server reads snapshots only and stays small: the rest is loaded when used.
__getattr__, __dir__ = load_lazily(__name__)
make_callable(__name__, "cxlib.front.sharing")
