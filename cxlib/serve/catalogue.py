"""The dashboards a folder holds: which notebooks are served, and what the home page calls them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from cxlib.errors import InputError
from cxlib.views import VIEWS, entry

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

    Those called as a view come first, with its title and summary; others have them as heading and
    first paragraph. InputError: none, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder of dashboards {folder}; give the folder that holds them."
        )
    paths = sorted(p for p in folder.glob("*.ipynb") if not p.name.startswith(("_", ".")))
    if not paths:
        raise InputError(f"{folder} holds no dashboard: no notebook (.ipynb) is in it.")
    views = list(VIEWS)
    paths.sort(key=lambda p: views.index(p.stem) if p.stem in views else len(views))
    return tuple(map(_read_dashboard, paths))


def _read_dashboard(path: Path) -> Dashboard:
    if not NAME.fullmatch(path.stem):
        raise InputError(
            f"{path.name}: a dashboard's name may hold a-z, 0-9, - and _ only; rename it."
        )
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        texts = [c["source"] for c in notebook["cells"] if c.get("cell_type") == "markdown"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} is not a notebook: {error}.") from error
    if path.stem in VIEWS:
        view = entry(path.stem)
        return Dashboard(view.name, view.title, view.summary, path)
    text = "".join(texts[0]) if texts else ""  # one text, or its lines
    heading = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    paragraph = re.search(r"^(?!#|\s*$|[<*>-])(.+)$", text, re.MULTILINE)
    named = re.sub(r"[_-]+", " ", path.stem).strip().capitalize()
    title, summary = heading.group(1) if heading else named, paragraph.group(1) if paragraph else ""
    return Dashboard(path.stem, title.strip(), summary.strip(), path)
