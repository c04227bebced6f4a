"""The dashboards a folder holds: which notebooks are served, and what the home page calls them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from cxlib.errors import InputError
from cxlib.views import VIEWS, entry

__all__ = ["Dashboard", "read_catalogue"]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; `name` is the last part of its address."""

    name: str
    title: str
    summary: str
    path: Path


def read_catalogue(folder: Path) -> tuple[Dashboard, ...]:
    """Read the dashboards in `folder`: every notebook there whose name does not start with ``_``.

    Title and summary are those of the view of the same name (`cxlib.views`), which also come first;
    of other notebooks `title` and `summary` under ``cx`` in the metadata, else the first heading
    and the first paragraph of the first text cell. InputError: there is none, or one that cannot be
    read or has an unusable name.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder of dashboards {folder}; give the folder that holds them."
        )
    paths = sorted(p for p in folder.glob("*.ipynb") if not p.name.startswith(("_", ".")))
    if not paths:
        raise InputError(f"{folder} holds no dashboard: no notebook (.ipynb) is in it.")
    order = {name: place for place, name in enumerate(VIEWS)}
    return tuple(
        _read_dashboard(path) for path in sorted(paths, key=lambda p: order.get(p.stem, len(VIEWS)))
    )


def _read_dashboard(path: Path) -> Dashboard:
    if not NAME.fullmatch(path.stem):
        raise InputError(
            f"{path.name}: a dashboard's name may hold a-z, 0-9, - and _ only; rename it."
        )
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        told = notebook.get("metadata", {}).get("cx", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is not a notebook: {error}.") from error
    if path.stem in VIEWS:
        view = entry(path.stem)
        return Dashboard(view.name, view.title, view.summary, path)
    text = next((_source(c) for c in cells if c.get("cell_type") == "markdown"), "")
    heading = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    paragraph = re.search(r"^(?!#|\s*$|[<*>-])(.+)$", text, re.MULTILINE)
    title = told.get("title") or (heading.group(1) if heading else _from_name(path.stem))
    summary = told.get("summary") or (paragraph.group(1) if paragraph else "")
    return Dashboard(path.stem, str(title).strip(), str(summary).strip(), path)


def _source(cell: dict[str, object]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def _from_name(name: str) -> str:
    words = re.sub(r"[_-]+", " ", name).strip()
    return words[:1].upper() + words[1:]
