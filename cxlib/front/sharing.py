"""Publishing, serving and exporting a workspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxlib.errors import InputError, UnknownNameError
from cxlib.results import of_workspace, require_log
from cxlib.shipped import shipped_folder
from cxlib.store import Workspace
from cxlib.views import VIEWS, entry, view_named

if TYPE_CHECKING:
    from cxlib.publish import Snapshot


Tell = Callable[[str], None]


@of_workspace
def publish(
    workspace: Workspace,
    *,
    k: int = 10,
    views: Sequence[str] | None = None,
    predictions: bool = True,
    progress: Tell | None = None,
) -> Snapshot:
    """Publish a snapshot for the dashboards: finished answers in which no small group can be seen.

    Parameters
    ----------
    workspace
        The workspace.
    k
        Smallest number of customers a figure may be about.
    views
        Names of the dashboards to publish; None: all of them.
    predictions
        Whether to publish what could break next.
    progress
        Called with a line of text now and then.

    Raises
    ------
    UnknownNameError
        There is no dashboard of that name.
    InputError
        `k` is too small.
    """
    from cxlib.publish import publish as publish_snapshot
    from cxlib.serve.launch import read_catalogue
    from cxlib.views.home.brief import write_home

    drawn = {name: view_named(name).first_paint for name in VIEWS}
    known = sorted({*drawn, *(d.name for d in read_catalogue(dashboards_folder()))})
    chosen = tuple(dict.fromkeys(views)) if views else None
    for name in chosen or ():
        if name not in known:
            raise UnknownNameError("dashboard", name, known)
    return publish_snapshot(
        workspace,
        k=k,
        views={n: draw for n, draw in drawn.items() if chosen is None or n in chosen}
        | {"home": write_home},
        only=chosen,
        answers=_answers(chosen, predictions=predictions),
        progress=progress,
    )


@of_workspace
def serve(workspace: Workspace, *, port: int | None = None, open_browser: bool = False) -> None:
    """Serve the published dashboards on this machine, until interrupted.

    For other machines, tokens and proxies see ``cx serve --help``.

    Parameters
    ----------
    workspace
        The workspace; what was published last is shown.
    port
        The first free one from 8866 by default.
    open_browser
        Show the home page in this machine's browser.
    """
    from cxlib.publish import Snapshot
    from cxlib.serve import serve_dashboards

    if Snapshot.newest(workspace.path) is None:
        raise InputError("nothing is published yet; cx.publish(ws) first")
    serve_dashboards(
        workspace.path, port=port, dashboards_dir=dashboards_folder(), open_browser=open_browser
    )


def export(
    workspace: Workspace | str | Path,
    folder: str | Path,
    *,
    views: Sequence[str] | None = None,
    progress: Tell | None = None,
) -> list[Path]:
    """Write the published dashboards as HTML files that need no server.

    Parameters
    ----------
    workspace
        The workspace, or a folder with its snapshots; what was published last is written.
    folder
        Where the files go: one of about 3 MB for each dashboard, and ``index.html``.
    views
        Names of the dashboards; None: all that were published.
    progress
        Called with a line of text now and then.

    Raises
    ------
    UnknownNameError
        There is no dashboard of that name.
    """
    from cxlib.export import export_dashboard
    from cxlib.publish import Snapshot
    from cxlib.views.home.brief import write_index

    if not isinstance(workspace, str | Path):
        require_log(workspace)
        workspace = workspace.path
    snapshot = Snapshot.open(workspace)
    for name in views or ():
        if name not in VIEWS:
            raise UnknownNameError("dashboard", name, VIEWS)
    chosen = views or [name for name in VIEWS if snapshot.shows(name)]
    files = {name: f"{name}.html" for name in chosen}
    written = [
        export_dashboard(snapshot, name, folder, beside=files, progress=progress) for name in chosen
    ]
    index = Path(folder) / "index.html"
    index.write_text(write_index(snapshot, files), encoding="utf-8")
    return [index, *written]


@of_workspace
def report(
    workspace: Workspace,
    path: str | Path,
    *,
    k: int | None = None,
    pdf: bool = False,
    progress: Tell | None = None,
) -> Path:
    """Write the brief: one page of HTML that loads nothing, at most four pages of paper.

    It is handed out, so it says what was published last, small groups protected; where nothing was
    published, that is done first.

    Parameters
    ----------
    workspace
        The workspace.
    path
        The HTML file.
    k
        Publish anew, with this as the smallest number of customers a figure may be about.
    pdf
        Whether to print it beside that, as ``.pdf``, with a Chromium that is installed.
    progress
        Called with a line of text now and then.

    Returns
    -------
    pathlib.Path
        The HTML file.

    Raises
    ------
    InputError
        The file cannot be written there, or no Chromium is there to print it.
    """
    from cxlib.publish import Snapshot
    from cxlib.views.report.content import write_report
    from cxlib.views.report.printing import check_paths, print_pdf

    page = Path(path)
    check_paths(page, pdf=pdf)
    snapshot = Snapshot.newest(workspace.path) if k is None else None
    if snapshot is None:
        snapshot = publish(workspace, k=k or 10, predictions=False, progress=progress)
    write_report(snapshot, page)
    if pdf:
        print_pdf(page, page.with_suffix(".pdf"))
    return page


def dashboards_folder() -> Path:
    """Return the folder of dashboards: the one here, where there is one, else the package's."""
    own = Path.cwd() / "dashboards"
    return own if any(own.glob("*.ipynb")) else shipped_folder("dashboards")


def _answers(views: Sequence[str] | None, *, predictions: bool) -> tuple[str, ...]:
    """Return what the views ask together."""
    from cxlib.publish.write import ANSWERS

    # a dashboard of the folder that is none of our views may ask everything
    everything = views is None or any(view not in VIEWS for view in views)
    asked = {a for view in views or () if view in VIEWS for a in entry(view).asks}
    kept = ANSWERS if everything else [name for name in ANSWERS if name in asked]
    return tuple(name for name in kept if predictions or name != "predictions")
