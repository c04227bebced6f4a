"""A plotly figure as a widget that stays right and stays small.

`plotly.graph_objects.FigureWidget` copies the figure into its synced state only once, so that a
page opened or reloaded later shows the figure as it was made, not as it is; and every instance
carries five megabytes of JavaScript. `FigureWidget` here keeps the whole figure in one synced
trait, which is right for whoever asks for it whenever, and lets the page load plotly.js once.
"""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets

from cxlib.figures.theme import CONFIG

#: Where the server of the dashboards offers plotly.js, below its base address.
PLOTLY_PATH = "voila/templates/cx/static/plotly.min.js"


def plotly_script() -> Path:
    """Return the file plotly.js of the installed plotly, for a server to offer at `PLOTLY_PATH`."""
    return Path(str(files("plotly") / "package_data" / "plotly.min.js"))


class FigureWidget(anywidget.AnyWidget):
    """Shows a `plotly.graph_objects.Figure` in JupyterLab and Voila.

    Parameters
    ----------
    figure
        The figure to show; replace it with `draw`.

    Attributes
    ----------
    clicked
        Key of the last point clicked (its ``customdata``, where that is a string) and the number of
        clicks so far: ``{"key": …, "count": …}``.
    alt
        Text alternative of the figure.
    """

    _esm = Path(__file__).parent / "figure_widget.js"

    figure = traitlets.Dict().tag(sync=True)
    config = traitlets.Dict().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    plotly_url = traitlets.Unicode().tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)

    def __init__(self, figure: go.Figure | None = None, **kwargs: Any) -> None:
        base = os.environ.get("VOILA_BASE_URL")  # set by Voila, absent in JupyterLab
        address = f"{base.rstrip('/')}/{PLOTLY_PATH}" if base else ""
        super().__init__(config=dict(CONFIG), plotly_url=address, **kwargs)
        self.on_msg(self._answer)
        if figure is not None:
            self.draw(figure)

    def draw(self, figure: go.Figure) -> None:
        """Show this figure from now on; what did not change is not redrawn."""
        with self.hold_sync():
            meta = figure.layout.meta
            self.alt = meta["alt"] if isinstance(meta, dict) and "alt" in meta else ""
            self.figure = json.loads(figure.to_json(validate=False))

    def _answer(self, widget: object, content: dict[str, Any], buffers: list[bytes]) -> None:
        """Hand plotly.js to a page that could not load it from the server."""
        if content.get("type") == "plotly.js":
            self.send({"type": "plotly.js"}, [plotly_script().read_bytes()])
