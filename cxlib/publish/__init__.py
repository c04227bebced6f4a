"""Publishing: finished answers without small groups, for people who must not see customers.

`publish` writes a snapshot of a workspace; `Snapshot` reads it, and is all that dashboards read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxlib.publish.snapshot import Snapshot

if TYPE_CHECKING:
    from cxlib.publish.write import publish

__all__ = ["Snapshot", "publish"]


def __getattr__(name: str) -> Any:
    # The server reads snapshots only and stays small: what publishing needs is loaded when used.
    if name == "publish":
        from cxlib.publish.write import publish

        return publish
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
