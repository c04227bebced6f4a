"""Which snapshot of a workspace is the published one: the folder layout and the switch between
snapshots.

``WORKSPACE/published/<name>/`` holds one snapshot each, ``WORKSPACE/published/current`` the name of
the one that counts. A snapshot is written under a name that nobody reads, checked, renamed, and
only then named by `current`, which is replaced in one step: whoever reads sees the old snapshot or
the new one, whole.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from cxlib.errors import WorkspaceError

__all__ = [
    "FOLDER",
    "FORMAT",
    "MANIFEST",
    "current_folder",
    "read_manifest",
    "snapshot_folders",
    "switch_to",
]

FOLDER = "published"
CURRENT = "current"
MANIFEST = "manifest.json"
FORMAT = 1
NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


def current_folder(workspace: Path) -> Path | None:
    """Return the folder of the published snapshot, or None where nothing is published."""
    published = workspace / FOLDER
    try:
        name = (published / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if not NAME.fullmatch(name) or not (published / name / MANIFEST).is_file():
        return None
    return published / name


def snapshot_folders(workspace: Path) -> tuple[Path, ...]:
    """Return the folders of all whole snapshots of a workspace, oldest first."""
    published = workspace / FOLDER
    if not published.is_dir():
        return ()
    return tuple(
        sorted(
            f for f in published.iterdir() if NAME.fullmatch(f.name) and (f / MANIFEST).is_file()
        )
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a snapshot.

    Raises
    ------
    WorkspaceError
        It is missing, cannot be read, or was written by another version of this package.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{folder.name} is not a whole snapshot; publish again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise WorkspaceError(
            f"snapshot {folder.name} was written by another version of cxlib; publish again."
        )
    return manifest


def switch_to(folder: Path) -> None:
    """Make a finished snapshot the one that is served, in one step."""
    descriptor, temporary = tempfile.mkstemp(dir=folder.parent, prefix=".current-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(folder.name + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(folder.parent / CURRENT)
