"""Which snapshot of a workspace is the published one, and the switch between snapshots.

``WORKSPACE/published/current`` names the folder beside it that counts, and is replaced in one step.
Its manifest has the SHA-256 of each file and of its own text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cxlib.durable import check_files, hash_file, read_sealed, write_over
from cxlib.errors import WorkspaceError

FOLDER = "published"
CURRENT = "current"
MANIFEST = "manifest.json"
FORMAT = 2
NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_POINTER = re.compile(rf"(?P<name>{NAME.pattern})( (?P<digest>[0-9a-f]{{64}}))?\n?")


def current_folder(workspace: Path) -> Path | None:
    """Return the folder of the published snapshot, or None where nothing is published.

    WorkspaceError: what names it cannot be read, or names another manifest than the one there.
    """
    published = workspace / FOLDER
    try:
        text = (published / CURRENT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    told = _POINTER.fullmatch(text)
    name, digest = (told["name"], told["digest"]) if told else ("", None)
    manifest = published / name / MANIFEST
    if not told or not manifest.is_file():
        raise WorkspaceError(
            f"{published / CURRENT} names no whole snapshot: nothing is published; run: cx publish "
            f"{workspace.name}"
        )
    if digest and digest != hash_file(manifest):
        raise WorkspaceError(f"{name} is not the snapshot that was published; publish again.")
    return published / name


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One snapshot of a workspace; of one that is not `whole`, times and customers are None.

    `served` says whether it is the one that dashboards show.
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
    """List the snapshots of a workspace, whole or broken, oldest first."""
    published = Path(workspace) / FOLDER
    if not published.is_dir():
        return ()
    try:
        current = current_folder(Path(workspace))
    except WorkspaceError:
        current = None
    folders = [f for f in published.iterdir() if NAME.fullmatch(f.name) and f.is_dir()]
    folders.sort(key=lambda f: (f.name[:16], len(f.name), f.name))  # …-2 before …-10
    return tuple(_record(f, served=f == current) for f in folders)


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
    """Read the manifest of a snapshot, and check its files.

    WorkspaceError: it cannot be read, is of another version, or a file is not as it was published.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = read_sealed(text, formats=range(FORMAT, FORMAT + 1))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{folder.name} is not a whole snapshot; publish again.") from error
    if manifest["format"] != FORMAT:
        raise WorkspaceError(
            f"snapshot {folder.name} was written by another version of cxlib; publish again."
        )
    try:
        states = [(*file, (folder / file[0]).stat()) for file in manifest["files"].items()]
        _check_once(folder, tuple((n, h, s.st_mtime_ns, s.st_ctime_ns) for n, h, s in states))
    except (OSError, WorkspaceError) as error:
        why = str(error) if isinstance(error, WorkspaceError) else f"{error.filename} is missing"
        raise WorkspaceError(
            f"{folder.name} is not a whole snapshot: {why}; publish again."
        ) from error
    return manifest


@lru_cache(maxsize=64)
def _check_once(folder: Path, files: tuple[tuple[str, str, int, int], ...]) -> None:
    """Check files by their hash, anew only when one of them was written again."""
    check_files(folder, {name: known for name, known, *_ in files})


def switch_to(folder: Path, *, draft: Path) -> None:
    """Make a finished snapshot the one that is served, in one step.

    `draft` is a folder on the same disk for what is written on the way.
    """
    named = f"{folder.name} {hash_file(folder / MANIFEST)}\n"
    write_over(folder.parent / CURRENT, named, draft=draft / CURRENT)
