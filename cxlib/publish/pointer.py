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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cxlib.errors import WorkspaceError

__all__ = [
    "FOLDER",
    "FORMAT",
    "MANIFEST",
    "SnapshotRecord",
    "current_folder",
    "is_snapshot_folder",
    "list_files",
    "list_snapshots",
    "read_manifest",
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


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One snapshot of a workspace, as `list_snapshots` returns it.

    Attributes
    ----------
    name
        Of its folder; ``Snapshot.open(folder)`` opens it.
    folder
        Where it lies.
    whole
        Whether it can be read; what follows is None where it cannot.
    served
        Whether it is the one that dashboards show.
    published_at, observed_until
        When it was published, and the end of what it was published from; UTC.
    customers
        Customers in it, rounded as everything published is.
    """

    name: str
    folder: Path
    whole: bool
    served: bool
    published_at: datetime | None = None
    observed_until: datetime | None = None
    customers: int | None = None


def is_snapshot_folder(path: Path) -> bool:
    """Whether a path is that of one snapshot, and not of a workspace."""
    return path.parent.name == FOLDER and NAME.fullmatch(path.name) is not None


def list_snapshots(workspace: Path | str) -> tuple[SnapshotRecord, ...]:
    """List the snapshots of a workspace, whole or broken, oldest first.

    Parameters
    ----------
    workspace
        The workspace's folder.
    """
    published = Path(workspace) / FOLDER
    if not published.is_dir():
        return ()
    current = current_folder(Path(workspace))
    folders = [f for f in published.iterdir() if NAME.fullmatch(f.name) and f.is_dir()]
    return tuple(_record(f, served=f == current) for f in sorted(folders, key=_age))


def _age(folder: Path) -> tuple[str, int]:
    time, _, number = folder.name.partition("-")
    return time, int(number or 1)


def _record(folder: Path, *, served: bool) -> SnapshotRecord:
    try:
        manifest = read_manifest(folder)
        return SnapshotRecord(
            name=folder.name,
            folder=folder,
            whole=True,
            served=served,
            published_at=datetime.fromisoformat(manifest["published_at"]),
            observed_until=datetime.fromisoformat(manifest["observed_until"]),
            customers=int(manifest["customers"]),
        )
    except (WorkspaceError, KeyError, ValueError, TypeError):
        return SnapshotRecord(folder.name, folder, whole=False, served=False)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a snapshot.

    Raises
    ------
    WorkspaceError
        It is missing, cannot be read, or was written by another version of this package; or one of
        the snapshot's files is missing or has been cut off.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{folder.name} is not a whole snapshot; publish again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise WorkspaceError(
            f"snapshot {folder.name} was written by another version of cxlib; publish again."
        )
    for name, size in manifest.get("files", {}).items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise WorkspaceError(
                f"{folder.name} is not a whole snapshot, {name} is missing or cut off; publish "
                "again."
            )
    return manifest


def list_files(folder: Path) -> dict[str, int]:
    """List the files of a finished draft with their sizes in bytes, for its manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder).as_posix()): path.stat().st_size for path in files}


def switch_to(folder: Path) -> None:
    """Make a finished snapshot the one that is served, in one step."""
    descriptor, temporary = tempfile.mkstemp(dir=folder.parent, prefix=".current-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(folder.name + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(folder.parent / CURRENT)
