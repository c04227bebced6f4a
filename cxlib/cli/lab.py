"""`cx lab`: JupyterLab with the notebooks, in a folder of the analyst's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cxlib.cli.terminal import say, working
from cxlib.durable import hash_file
from cxlib.errors import InputError

__all__ = ["copy_notebooks", "lab_command", "lab_environment", "open_lab"]

_RECORD = ".from_cxlib.json"
"""In the folder of notebooks: the hash of each one as it came, which tells an edited one."""

_QUIET_LAB = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}
"""Without this JupyterLab asks at its first start whether it may fetch news."""


def open_lab(
    workspace: Annotated[
        Path | None,
        typer.Argument(
            metavar="[WORKSPACE]",
            envvar="CX_WORKSPACE",
            help="Folder made by cx ingest; ./workspace, or else the sample, where not given.",
            show_default=False,
        ),
    ] = None,
    notebooks: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where your notebooks are; missing ones are copied."),
    ] = Path("notebooks"),
    port: Annotated[int | None, typer.Option(help="Port of JupyterLab.")] = None,
    ip: Annotated[
        str | None, typer.Option(help="Address to listen on, such as 0.0.0.0 in a container.")
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open no browser.")
    ] = False,
    allow_root: Annotated[
        bool,
        typer.Option("--allow-root", help="Run as root, as in a container that is yours alone."),
    ] = False,
) -> None:
    """Open JupyterLab with the stage-by-stage notebooks.

    They are copied to a folder of your own, where what you change stays as it is.
    """
    opened = _workspace(workspace)
    if _is_root() and not allow_root:
        raise InputError(
            "JupyterLab does not run as root unless it is told to. In a container that is yours "
            "alone: cx lab --allow-root --ip 0.0.0.0 --no-browser; elsewhere start cx lab as "
            "yourself"
        )
    copy_notebooks(notebooks)
    command = lab_command(port=port, ip=ip, no_browser=no_browser, allow_root=allow_root)
    with tempfile.TemporaryDirectory(prefix="cx_lab_") as config:
        environment = lab_environment(opened, Path(config))
        code = subprocess.call(command, cwd=notebooks, env=environment)
    raise typer.Exit(code)


def _workspace(named: Path | None) -> Path:
    """Return the workspace named, or the one here, or else the sample's, made where missing."""
    from cxlib.store import Workspace

    here = Path("workspace")
    if named is not None or (here / "workspace.json").is_file():
        return Workspace.open(named or here).path
    from cxlib.front.data import sample

    with working("No workspace is named, so this is the sample shop"):
        return sample().path


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks that come with cxlib; one that was edited stays as it is.

    Parameters
    ----------
    folder
        Where to; made where it is missing.
    """
    from cxlib.shipped import shipped_folder

    source = shipped_folder("notebooks")
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() == source.resolve():
        return
    record = folder / _RECORD
    came: dict[str, str] = json.loads(record.read_text("utf-8")) if record.is_file() else {}
    kept = []
    for notebook in sorted(source.glob("*.ipynb")):
        name, own = notebook.name, folder / notebook.name
        fresh = hash_file(notebook)
        if own.is_file() and hash_file(own) not in (came.get(name), fresh):
            if came.get(name) != fresh:
                kept.append(name)
            continue
        if not own.is_file() or hash_file(own) != fresh:
            shutil.copyfile(notebook, own)
        came[name] = fresh
    record.write_text(json.dumps(came, indent=1), "utf-8")
    if kept:
        say(
            f"Kept as you changed them, though cxlib now brings others: {', '.join(kept)}. "
            "For the new ones name another folder: cx lab --notebooks FOLDER"
        )


def lab_command(
    *,
    port: int | None = None,
    ip: str | None = None,
    no_browser: bool = False,
    allow_root: bool = False,
) -> Sequence[str]:
    """Return the command that starts JupyterLab in the present folder."""
    options = {
        f"--ServerApp.port={port}": port is not None,
        f"--ServerApp.ip={ip}": ip is not None,
        "--no-browser": no_browser,
        "--allow-root": allow_root,
    }
    chosen = [option for option, is_set in options.items() if is_set]
    return [sys.executable, "-m", "jupyterlab", *chosen]


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
