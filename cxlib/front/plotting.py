"""The figure of any result, and figures as files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlib.errors import CxError, InputError, UnknownNameError

if TYPE_CHECKING:
    import plotly.graph_objects as go


SIZES = {"slide": (1280, 720), "half": (640, 720), "page": (900, 1200), "square": (900, 900)}
"""Width and height of a picture in pixels, before `_SHARP`."""

_LEAST_WIDTH = 900
"""What the figures are made for, pixels: on less, legends and headings run into one another."""

_SHARP = 2
_CONFIG = {"showSendToCloud": False, "displaylogo": False, "responsive": True}
_PICTURES = (".png", ".svg", ".pdf", ".jpg", ".webp")
_TITLE, _SUBTITLE = 17, 13
"""Sizes of the fonts of title and subtitle (`cxlib.figures.theme`), pixels."""


def plot(result: Any, *, kind: str | None = None, **options: Any) -> go.Figure:
    """Draw any result: the same figure as on the dashboards.

    Parameters
    ----------
    result
        What a measure, a search or a forecast returned.
    kind
        Another figure of the same result than the usual one: "touchpoint_list", "finding_list".
    options
        Of the figure, such as ``title``; see `cxlib.figures`.

    Raises
    ------
    InputError
        There is no figure of such a result.

    Examples
    --------
    >>> plot(42)
    Traceback (most recent call last):
    cxlib.errors.InputError: there is no figure of int; cx.plot takes what the measures return
    """
    from cxlib import figures

    shown = drawable(result)
    name = f"plot_{kind or snake(type(shown).__name__)}"
    if name not in dir(figures):
        what = type(result).__name__ if kind is None else f"kind {kind!r}"
        raise InputError(f"there is no figure of {what}; cx.plot takes what the measures return")
    return getattr(figures, name)(shown, **options)


def drawable(result: Any) -> Any:
    """Return a result with what its figure and its words need beside the table."""
    from cxlib.fragmentation.details import detail_findings
    from cxlib.fragmentation.findings import Findings

    return detail_findings(result) if isinstance(result, Findings) else result


def snake(name: str) -> str:
    """Write the name of a class as that of a function.

    Examples
    --------
    >>> snake("FirstContacts")
    'first_contacts'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def save(figure: go.Figure, path: str | Path, *, size: str | tuple[int, int] = "slide") -> Path:
    """Save a figure as a picture, or as a page of its own that can be moved over (``.html``).

    Title and notes are broken into lines anew for the width, and a figure that needs more room than
    the size gives is drawn larger and scaled down: nothing of it is cut off.

    Parameters
    ----------
    figure
        From `plot`.
    path
        The file; its ending says the format: html, png, svg, pdf, jpg or webp.
    size
        One of `SIZES`, or width and height in pixels.

    Raises
    ------
    UnknownNameError
        There is no such size.
    InputError
        The ending is unknown, or pictures cannot be made here; says what is missing.
    """
    import plotly.io

    file = Path(path)
    if isinstance(size, str) and size not in SIZES:
        raise UnknownNameError("size", size, SIZES)
    if file.suffix not in (".html", *_PICTURES):
        raise InputError(f"{file} must end in one of .html, {', '.join(_PICTURES)}")
    width, height = SIZES[size] if isinstance(size, str) else size
    whole, larger = _fitted(figure, width, height)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".html":
        whole.layout.width = None
        whole.write_html(file, include_plotlyjs=True, config=_CONFIG)
        return file
    try:
        size_now = {"width": whole.layout.width, "height": whole.layout.height}
        plotly.io.write_image(whole, file, **size_now, scale=_SHARP / larger)
    except (ImportError, ValueError) as error:
        if "kaleido" not in str(error).lower():
            raise
        raise InputError(
            f"{file.name}: pictures need the package kaleido (pip install 'cxlib[pictures]'); "
            "without it save the figure as .html"
        ) from None
    except Exception as error:
        if "chrome" not in type(error).__name__.lower():
            raise
        raise CxError(
            f"{file.name}: pictures are drawn by Chrome or Chromium, and none is installed here; "
            "install it, or save the figure as .html"
        ) from None
    return file


def _fitted(figure: go.Figure, width: int, height: int) -> tuple[go.Figure, float]:
    """Return a copy laid out for a size, and by how much larger than that it has to be drawn."""
    import plotly.graph_objects as go

    from cxlib.figures.canvas import wrap

    whole = go.Figure(figure)
    layout, title = whole.layout, whole.layout.title
    larger = max(1.0, (layout.height or height) / height, _LEAST_WIDTH / width)
    layout.width, layout.height = round(width * larger), math.ceil(height * larger)
    room = width * larger - 48
    if text := (title.text or "").replace("<br>", " "):
        below = (title.subtitle.text or "").replace("<br>", " ")
        heading = wrap(text, int(room / (0.55 * _TITLE)))
        notes = wrap(below, int(room / (0.52 * _SUBTITLE))) if below else ""
        added, more_notes = (
            new.count("<br>") - (old or "").count("<br>")
            for new, old in ((heading, title.text), (notes, title.subtitle.text))
        )
        title.text, title.subtitle.text = heading, notes
        title.pad.t = (title.pad.t or 16) + 10 * added
        top = layout.margin.t if layout.margin.t is not None else 76
        layout.margin.t = max(60, top + 22 * added + 18 * more_notes)
    return whole, larger
