"""Publishing: finished answers without small groups, for people who must not see customers."""

from __future__ import annotations

from cxlib.publish.snapshot import Snapshot

__all__ = ["Snapshot"]
