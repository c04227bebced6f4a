"""Reading a published snapshot: what dashboards see, and all they see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cxlib.errors import WorkspaceError
from cxlib.publish.pointer import FOLDER, current_folder, read_manifest

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One published set of finished answers.

    Attributes
    ----------
    folder
        Where it lies.
    manifest
        What it was made from: names of the source files, journey map, period, counts, code version,
        time, k, checks.
    """

    folder: Path
    manifest: dict[str, Any] = field(compare=False, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Snapshot:
        """Open the newest snapshot of a workspace, or one snapshot by its own folder.

        Raises
        ------
        WorkspaceError
            Nothing is published there, or the snapshot is not whole.
        """
        path = Path(path)
        if path.parent.name == FOLDER:
            return cls(path, read_manifest(path))
        folder = current_folder(path)
        if folder is None:
            raise WorkspaceError(
                f"nothing is published in {path.name}; run: cx publish {path.name}"
            )
        return cls(folder, read_manifest(folder))

    @classmethod
    def newest(cls, workspace: Path) -> Snapshot | None:
        """Return the newest snapshot of a workspace, or None where there is no whole one."""
        try:
            return cls.open(workspace)
        except WorkspaceError:
            return None

    @property
    def published_at(self) -> datetime:
        """When it was published, UTC."""
        return datetime.fromisoformat(self.manifest["published_at"])

    def line(self) -> str:
        """Return the one line about this snapshot that stands on every page."""
        return f"{self._data_to()} · published {_day(self.published_at)}"

    def facts(self) -> tuple[str, ...]:
        """Return what a visitor may want to know about the figures, in sentences."""
        manifest = self.manifest
        return (
            f"{manifest['name']}: {manifest['customers']:,} customers. {self._data_to()}.",
            f"Published {_day(self.published_at)}. Figures about fewer than "
            f"{manifest['k']} customers are not shown, and counts are rounded to {manifest['k']}.",
        )

    def _data_to(self) -> str:
        return f"Data to {_day(datetime.fromisoformat(self.manifest['observed_until']))}"

    def first_paint(self, view: str) -> str | None:
        """Return the picture of a view that its page shows until it is live, as HTML, or None."""
        path = self.folder / "first_paint" / f"{view}.html"
        return path.read_text(encoding="utf-8") if path.is_file() else None


def _day(instant: datetime) -> str:
    return f"{instant.day} {instant:%B %Y}"
