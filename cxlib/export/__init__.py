"""Dashboards as files: one HTML file that can be mailed and opened without a server.

`export_dashboard` records a dashboard with every filter set once, and writes what it said into one
file with a small script that shows it. No figure and no sentence is made anew for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxlib.errors import InputError
from cxlib.lazy import make_callable
from cxlib.views import view_named

if TYPE_CHECKING:
    from cxlib.publish import Snapshot

__all__ = ["export_dashboard"]

make_callable(__name__, "cxlib.front.sharing")


def export_dashboard(
    snapshot: Snapshot,
    view: str,
    out: Path | str,
    *,
    beside: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a dashboard of a snapshot as one HTML file (3 MB), to a folder or a file ``….html``.

    It holds the finished answer of every filter (where their combinations are more than
    `cxlib.export.recording.MOST_TOGETHER`, of every filter alone) and asks no host for anything.
    `beside` are the files of the dashboards that lie in one folder with it and its ``index.html``:
    it leads to them.
    UnknownNameError, InputError: it is not published, or the file cannot be written.
    """
    from cxlib.export.page import write_page
    from cxlib.export.recording import record

    made = view_named(view)
    if not snapshot.shows(view):
        raise InputError(
            f"the snapshot was published without the dashboard {view}; publish it: cx publish "
            f"WORKSPACE --view {view}."
        )
    out = Path(out)
    path = out if out.suffix == ".html" else out / f"{view}.html"
    try:
        # Before the work, which takes a while.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        text = write_page(
            record(made(snapshot), progress=progress), snapshot, view=view, beside=beside or {}
        )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path
