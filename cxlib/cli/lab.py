"""`cx lab`: JupyterLab with the notebooks, in a folder of the analyst's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import cxlib as cx
from cxlib.cli.terminal import working
from cxlib.errors import InputError

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
        Argument(
            metavar="[WORKSPACE]",
            envvar="CX_WORKSPACE",
            help="Folder made by cx ingest; ./workspace, or else the sample, where not given.",
            show_default=False,
        ),
    ] = None,
    notebooks: Path = Option(
        Path("notebooks"),
        metavar="FOLDER",
        help="Where your notebooks are; missing ones are copied.",
    ),
    port: int | None = Option(None, help="Port of JupyterLab."),
    ip: str | None = Option(None, help="Address to listen on, such as 0.0.0.0 in a container."),
    no_browser: bool = Option(False, "--no-browser", help="Print the address, open no browser."),
    allow_root: bool = Option(
        False, "--allow-root", help="Run as root, as in a container that is yours alone."
    ),
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
    options = {
        f"--ServerApp.port={port}": port is not None,
        f"--ServerApp.ip={ip}": ip is not None,
        "--no-browser": no_browser,
        "--allow-root": allow_root,
    }
    command = [sys.executable, "-m", "jupyterlab", *(name for name in options if options[name])]
    with tempfile.TemporaryDirectory(prefix="cx_lab_") as config:
        folder = Path(config) / "labconfig"
        folder.mkdir()
        (folder / "default_setting_overrides.json").write_text(json.dumps(_QUIET_LAB), "utf-8")
        paths = [config, *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
        environment = {
            **os.environ,
            "CX_WORKSPACE": str(opened.resolve()),
            "JUPYTER_CONFIG_PATH": os.pathsep.join(paths),
        }
        code = subprocess.call(command, cwd=notebooks, env=environment)
    raise typer.Exit(code)


def _workspace(named: Path | None) -> Path:
    """Return the workspace named, or the one here, or else the sample's, made where missing."""
    here = Path("workspace")
    if named is not None or (here / "workspace.json").is_file():
        return cx.open(named or here).path
    with working("No workspace is named, so this is the sample shop"):
        return cx.sample().path


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks that come with cxlib; what is there stays as it is."""
    from cxlib.shipped import shipped_folder

    source = shipped_folder("notebooks")
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in source.glob("*.ipynb"):
        own = folder / notebook.name
        if not own.exists():
            shutil.copyfile(notebook, own)
