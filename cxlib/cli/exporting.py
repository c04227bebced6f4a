"""`cx export` and `cx report`: files for people without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxlib.cli.selecting import WorkspaceFolder
from cxlib.cli.terminal import echo, say, working

__all__ = ["export_views", "write_report"]


def export_views(
    workspace: WorkspaceFolder,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="NAME", help="Only this dashboard; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path(
        "exported"
    ),
) -> None:
    """Write the published dashboards as HTML files that need no server.

    Each is one file of about 3 MB with every filter's answer in it; mail it, or put it on a share.
    """
    from cxlib.front.sharing import export

    with working("Recording") as tell:
        written = export(workspace, out, views=view, progress=tell)
    for path in written:
        echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    say("Open a file in any browser of 2024 or later; it loads nothing and sends nothing.")


def write_report(
    workspace: WorkspaceFolder,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The HTML file.")] = Path("brief.html"),
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it as PDF beside that, with a Chromium.")
    ] = False,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Publish anew, with this smallest number of customers."),
    ] = None,
) -> None:
    """Write the brief: one page for people who open no dashboard, at most four of paper.

    It says what was published last; where nothing was, it is published first.
    """
    from cxlib.front.sharing import report
    from cxlib.store import Workspace

    opened = Workspace.open(workspace)
    with working("Publishing") as tell:
        page = report(opened, out, k=k, pdf=pdf, progress=tell)
    for path in (page, page.with_suffix(".pdf"))[: 1 + pdf]:
        echo(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
