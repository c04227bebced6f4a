"""Folders that come with the package: notebooks, dashboards, and the sample's files.

In the repository they stand at the top, where people look for them; in an installed package they
lie inside it (`tools/ship.py` puts them there when a wheel is built).
"""

from __future__ import annotations

from pathlib import Path

from cxlib.errors import InputError

__all__ = ["shipped_folder"]

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Return a folder that comes with the package: "notebooks", "dashboards" or "data/sample"."""
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise InputError(f"the folder {name!r} of cxlib is missing; install the package again")
