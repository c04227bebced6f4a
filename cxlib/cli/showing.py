"""Commands that show: `cx serve`, `cx lab`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cxlib.cli.selecting import WorkspaceFolder
from cxlib.cli.terminal import say
from cxlib.errors import InputError, WorkspaceError

__all__ = ["find_folder", "open_lab", "serve", "serve_workspace"]

_REPOSITORY = Path(__file__).resolve().parents[2]

_QUIET_LAB = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}
"""Without this JupyterLab asks at its first start whether it may fetch news."""

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
    from cxlib.serve import serve_dashboards
    from cxlib.serve.launch import ServerSettings

    serve_dashboards(
        folder,
        port=port,
        ip=ip,
        token=token,
        dashboards_dir=find_folder("dashboards"),
        open_browser=open_browser,
        settings=ServerSettings(base_url=base_url, public_url=public_url),
    )


def find_folder(name: str) -> Path:
    """Return the folder of notebooks or dashboards: here, else in the repository.

    Raises
    ------
    InputError
        There is neither.
    """
    for folder in (Path.cwd() / name, _REPOSITORY / name):
        if any(folder.glob("*.ipynb")):
            return folder
    raise InputError(
        f"there is no folder {name!r} with notebooks here; run cx in the repository, or copy its "
        f"folder {name} to this place"
    )


def open_lab(
    workspace: Annotated[
        Path,
        typer.Argument(
            metavar="[WORKSPACE]",
            envvar="CX_WORKSPACE",
            help="Folder made by cx ingest; the sample's where not given.",
        ),
    ] = Path("workspace"),
    port: Annotated[int | None, typer.Option(help="Port of JupyterLab.")] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open no browser.")
    ] = False,
) -> None:
    """Open JupyterLab with the stage-by-stage notebooks."""
    from cxlib.store import Workspace

    Workspace.open(workspace)
    with tempfile.TemporaryDirectory(prefix="cx_lab_") as config:
        code = subprocess.call(
            lab_command(port=port, no_browser=no_browser),
            cwd=find_folder("notebooks"),
            env=lab_environment(workspace, Path(config)),
        )
    raise typer.Exit(code)


def lab_command(*, port: int | None, no_browser: bool) -> list[str]:
    """Return the command that starts JupyterLab in the present folder."""
    command = [sys.executable, "-m", "jupyterlab"]
    command += [f"--ServerApp.port={port}"] if port is not None else []
    command += ["--no-browser"] if no_browser else []
    return command


def lab_environment(workspace: Path, config: Path) -> dict[str, str]:
    """Return the environment of JupyterLab: the workspace, and `config` with no news asked for."""
    folder = config / "labconfig"
    folder.mkdir(parents=True)
    (folder / "default_setting_overrides.json").write_text(json.dumps(_QUIET_LAB), "utf-8")
    paths = [str(config), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {
        **os.environ,
        "CX_WORKSPACE": str(workspace.resolve()),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(paths),
    }
