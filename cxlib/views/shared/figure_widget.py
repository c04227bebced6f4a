"""A plotly figure as a widget that is right whenever it is opened, with what stands below it.

`plotly.graph_objects.FigureWidget` copies the figure into its synced state only once, and every
instance carries five megabytes of JavaScript; here the whole figure is one synced trait. What is
taken away (PNG, SVG, CSV) is made in the page, so that no server keeps a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets

from cxlib.figures.theme import CONFIG, dark_twins
from cxlib.views.shared import words
from cxlib.views.shared.templates import render_block
from cxlib.views.shared.words import FigureText

PLOTLY_PATH = "voila/templates/cx/static/plotly.min.js"
"""Where the server of the dashboards offers plotly.js, below its base address."""


def plotly_script() -> Path:
    """Return the file plotly.js of the installed plotly, for a server to offer at `PLOTLY_PATH`."""
    return Path(str(files("plotly") / "package_data" / "plotly.min.js"))


class FigureWidget(anywidget.AnyWidget):
    """Shows a `plotly.graph_objects.Figure` in JupyterLab and Voila.

    The page swaps colours for their twins in `dark` where it is dark, sets `clicked` to the key
    (``customdata``) of the last point clicked, and `wanted` where somebody asks for the data.
    """

    _esm = Path(__file__).parent / "figure_widget.js"

    figure = traitlets.Dict().tag(sync=True)
    config = traitlets.Dict().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    dark = traitlets.Dict().tag(sync=True)
    plotly_url = traitlets.Unicode().tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)
    notes: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    csv = traitlets.Unicode().tag(sync=True)
    wanted = traitlets.Bool(False).tag(sync=True)
    credit = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)

    def __init__(
        self, figure: go.Figure | None = None, *, text: FigureText | None = None, **kwargs: Any
    ) -> None:
        base = os.environ.get("VOILA_BASE_URL")  # set by Voila, absent in JupyterLab
        address = f"{base.rstrip('/')}/{PLOTLY_PATH}" if base else ""
        said = {"failed": words.NOT_DRAWN, "download": words.DOWNLOAD}
        super().__init__(config=dict(CONFIG), plotly_url=address, words=said, **kwargs)
        self.text = text
        self._drawn: go.Figure | None = None
        self._words: list[list[str]] = []
        self._write_data: Callable[[], tuple[str, str]] = lambda: ("", "")
        if text is not None:
            self.label, self.file = text.name, text.file
        self.on_msg(self._answer)
        self.observe(self._show_data, "wanted")
        if figure is not None:
            self.draw(figure)

    def draw(self, figure: go.Figure) -> None:
        """Show this figure from now on; the one that is shown already is left alone."""
        if figure is self._drawn:
            return
        self._drawn = figure
        with self.hold_sync():
            meta = figure.layout.meta
            self.alt = meta["alt"] if isinstance(meta, dict) and "alt" in meta else ""
            text = figure.to_json(validate=False)
            self.dark = dark_twins(text)
            self.figure = json.loads(text)

    def write_below(self, data: Callable[[], tuple[str, str]], **filled: str) -> None:
        """Write what stands below the figure, its texts filled in.

        `data` writes the data behind it as a table in HTML, and as CSV, when somebody asks.
        """
        if self.text is None:
            raise TypeError("a figure without a text has nothing below it")
        self._write_data = data
        self._words = [
            [words.MEANING, str(render_block(self.text.template, "meaning", **filled))],
            [words.SURENESS, str(render_block(self.text.template, "sureness", **filled))],
        ]
        self._show_data()

    def note(self, heading: str) -> str:
        """Return the HTML that opens below this heading."""
        return self._write_data()[0] if heading == words.TABLE else dict(self.notes)[heading]

    def _show_data(self, change: object = None) -> None:
        if not self._words:
            return
        table, csv = self._write_data() if self.wanted else ("", "")
        with self.hold_sync():
            self.csv = csv
            self.notes = [*self._words, [words.TABLE, table]]

    def _answer(self, widget: object, content: dict[str, Any], buffers: list[bytes]) -> None:
        """Hand plotly.js to a page that could not load it from the server."""
        if content.get("type") == "plotly.js":
            self.send({"type": "plotly.js"}, [plotly_script().read_bytes()])
