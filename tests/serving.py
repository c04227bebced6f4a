"""A server of dashboards in a process of its own, for tests that visit it."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import psutil

from cxlib.durable import seal
from cxlib.publish.snapshot import FORMAT

START = """
import json, sys
from cxlib.serve import serve_dashboards
from cxlib.serve.launch import ServerSettings
given = json.loads(sys.argv[1])
serve_dashboards(given.pop("workspace"), settings=ServerSettings(**given.pop("settings")), **given)
"""


class Served:
    """A running server: its address, its process, and what it wrote."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def kernels(self) -> list[psutil.Process]:
        """The sessions that run, those ready for a visit among them."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                # Forked, or started as a program of its own.
                if child.name() == "cx-session" or "cxlib.serve.kernel" in str(child.cmdline()):
                    found.append(child)
        return found

    def kernel(self, kernel_id: str) -> psutil.Process:
        """The session of this id: the one that listens on the sockets named so."""
        for process in self.kernels():
            with suppress(psutil.NoSuchProcess):
                if kernel_id in str(process.net_connections("unix")):
                    return process
        raise LookupError(kernel_id)

    def wait_for_kernels(self, count: int, *, seconds: float = 60) -> int:
        """Wait until that many sessions run; return how many do."""
        until = time.monotonic() + seconds
        while len(self.kernels()) != count and time.monotonic() < until:
            time.sleep(0.2)
        return len(self.kernels())


@contextmanager
def serving(
    workspace: Path, dashboards: Path, *, settings: dict | None = None, **given: object
) -> Iterator[Served]:
    """Serve until the block ends; the server must then end by itself, in peace."""
    options = {
        "workspace": str(workspace),
        "dashboards_dir": str(dashboards),
        "settings": settings or {},
        **given,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", START, json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    served = Served(process)
    until = time.monotonic() + 120
    while not (found := re.search(r"served at (http\S+)", served.log)):
        assert process.poll() is None, served.log
        assert time.monotonic() < until, served.log
        time.sleep(0.1)
    served.url = found.group(1)
    kernels = served.kernels
    try:
        yield served
    finally:
        left = kernels()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        served.reader.join(10)
        _gone, alive = psutil.wait_procs(left, timeout=10)
        assert not alive, "sessions outlived their server"
        assert process.returncode == 0, served.log


def write_dashboard(path: Path, text: str, *cells: str) -> None:
    """Write a dashboard of one text cell and code cells."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    notebook.cells = [
        nbformat.v4.new_markdown_cell(text),
        *(nbformat.v4.new_code_cell(cell) for cell in cells),
    ]
    nbformat.write(notebook, path)


TOY = """
import ipywidgets as widgets
import plotly.graph_objects as go
from cxlib.views.shared.figure_widget import FigureWidget

def draw(name):
    height = {"all": 3, "north": 5}[name]
    bars = go.Bar(x=["visit", "basket"], y=[height, 1], customdata=["visit", "basket"])
    layout = {"title": {"text": "Toy: " + name}, "height": 360, "meta": {"alt": "Contacts"}}
    return go.Figure([bars], layout)

figure = FigureWidget(draw("all"))
segment = widgets.Dropdown(options=["all", "north"], description="Segment")
details = widgets.HTML("Nothing chosen")
segment.observe(lambda change: figure.draw(draw(change.new)), "value")
figure.observe(lambda c: setattr(details, "value", "Chosen: " + c.new["key"]), "clicked")
widgets.VBox([segment, figure, details])
"""


def write_toy_site(folder: Path) -> tuple[Path, Path]:
    """Write a workspace with a snapshot of no content, and dashboards that work, fail, are slow."""
    snapshot = folder / "workspace" / "published" / "20260101T000000Z"
    (snapshot / "first_paint").mkdir(parents=True)
    manifest = {
        "format": FORMAT,
        "files": {},
        "views": None,
        "name": "Toy shop",
        "k": 10,
        "customers": 12340,
        "published_at": "2026-01-01T00:00:00+00:00",
        "observed_until": "2025-12-31T00:00:00+00:00",
    }
    (snapshot / "manifest.json").write_text(seal(manifest))
    figure = {"data": [{"type": "bar", "x": ["visit"], "y": [3]}], "layout": {"height": 360}}
    (snapshot / "first_paint" / "toy.html").write_text(
        "<h1>Toy dashboard</h1><p>Most customers visit.</p>"
        '<div class="cx-paint" role="img" aria-label="Contacts" style="min-height:360px">'
        f'<script type="application/json">{json.dumps(figure)}</script></div>'
    )
    (snapshot.parent / "current").write_text(snapshot.name)
    dashboards = folder / "dashboards"
    dashboards.mkdir()
    write_dashboard(dashboards / "toy.ipynb", "# Toy dashboard\n\nMost customers visit.", TOY)
    write_dashboard(
        dashboards / "broken.ipynb",
        "# Broken dashboard\n\nFails on purpose.",
        "secret_name = 1",
        "raise ValueError('secret_detail')",
    )
    return folder / "workspace", dashboards
