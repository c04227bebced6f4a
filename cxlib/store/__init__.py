"""The workspace on disk, the one walk over it, and the additive tables it is summed into."""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.store.workspace import FORMAT, Workspace, build_workspace

__all__ = ["FORMAT", "Workspace", "build_workspace"]

__getattr__, __dir__ = load_lazily(__name__)
