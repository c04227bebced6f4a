"""`cx serve`: the dashboards for everyone's browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cxlib.cli.selecting import WorkspaceFolder
from cxlib.cli.terminal import say
from cxlib.errors import WorkspaceError

__all__ = ["serve", "serve_workspace"]

Port = Annotated[int | None, typer.Option(help="Port to serve at; the first free one from 8866.")]


def serve(
    workspace: WorkspaceFolder,
    *,
    port: Port = None,
    ip: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(envvar="CX_TOKEN", help="What visitors must know; better given in CX_TOKEN."),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Show the home page in this machine's browser.")
    ] = False,
    base_url: Annotated[
        str, typer.Option(help="Path under which a reverse proxy shows the dashboards.")
    ] = "/",
    public_url: Annotated[
        list[str] | None,
        typer.Option(
            help="Address visitors see behind a proxy, such as https://figures.example; may be "
            "repeated. Other names are not answered to."
        ),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Serve this older snapshot (see cx snapshots), not the newest."
        ),
    ] = None,
) -> None:
    """Serve the dashboards, until Ctrl-C."""
    from cxlib.publish import Snapshot, find_snapshot
    from cxlib.store import Workspace

    if not (workspace / "published").is_dir():
        # Where dashboards are shown there may be the published snapshots and nothing else.
        Workspace.open(workspace)
    served = workspace if snapshot is None else find_snapshot(workspace, snapshot).folder
    try:
        Snapshot.open(served)
    except WorkspaceError as error:  # one that is published later is taken up
        say(f"Nothing to show yet: {error}")
    serve_workspace(
        served,
        port=port,
        ip=ip,
        token=token,
        open_browser=open_browser,
        base_url=base_url,
        public_url=public_url or (),
    )


def serve_workspace(
    folder: Path,
    *,
    port: int | None = None,
    ip: str = "127.0.0.1",
    token: str | None = None,
    open_browser: bool = False,
    base_url: str = "/",
    public_url: Sequence[str] = (),
) -> None:
    """Serve the dashboards beside the package, or in the folder ``dashboards`` of this place."""
    from cxlib.front.sharing import dashboards_folder
    from cxlib.serve import serve_dashboards
    from cxlib.serve.launch import ServerSettings

    serve_dashboards(
        folder,
        port=port,
        ip=ip,
        token=token,
        dashboards_dir=dashboards_folder(),
        open_browser=open_browser,
        settings=ServerSettings(base_url=base_url, public_url=public_url),
    )
