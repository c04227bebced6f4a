"""What sessions are forked from: a process that has imported everything a dashboard needs.

Python's fork server imports this module first of all, which does the work. Threads are not copied
by a fork, the locks they hold are: nothing here computes with Polars, whose threads start with the
first query, and a process with threads that are not known to hold nothing forks no session.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from pathlib import Path

from cxlib.serve.kernel import skip_unused_imports
from cxlib.views import VIEWS

IMPORTED = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipywidgets",
    *(f"cxlib.views.{name}.view" for name in VIEWS),
    "cxlib.publish.answers",
    "cxlib.publish.rules",
)
IDLE_THREADS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
"""Threads that importing Polars starts: they sleep, and a fork can do without or starts its own."""


def _import_everything() -> None:
    skip_unused_imports()
    for name in IMPORTED:
        # What cannot be imported fails again, and is told, in the session that asks for it.
        with contextlib.suppress(Exception):
            module = importlib.import_module(name)
            for part in getattr(module, "__all__", ()):
                getattr(module, part)  # some are imported only when asked for


def _draw_once() -> None:
    """Draw one figure: the first of a process loads what draws it, another second."""
    from plotly import graph_objects as go

    from cxlib.figures.theme import use_theme

    use_theme("light")
    font = {"color": "black", "size": 10}
    axis = {"title": {"text": "", "font": font}, "tickfont": font}
    marker = {"color": [0], "line": {"color": "black"}, "colorbar": {"title": {"text": ""}}}
    dot = go.Scatter(x=[0], y=[0], marker=marker, line={"width": 1}, textfont=font)
    drawn = {"shapes": [{"line": {"width": 1}}], "annotations": [{"text": "", "font": font}]}
    fonts = {"hoverlabel": {"font": font}, "legend": {"font": font}, "font": font}
    page = {"title": axis["title"], "xaxis": axis, "yaxis": axis, "margin": {"t": 0}}
    go.Figure([dot, go.Bar(x=[0])], drawn | fonts | page).to_json(validate=False)


def threads() -> set[str]:
    """Return the names of this process's other threads, those unknown to Python included."""
    here = str(os.getpid())
    tasks = (task for task in Path("/proc/self/task").iterdir() if task.name != here)
    return {(task / "comm").read_text().strip() for task in tasks}


FORKED_FROM = os.getpid()
"""The process that all this was imported in; in a session, the one that it was forked from."""
_import_everything()
_draw_once()
if unknown := threads() - IDLE_THREADS:
    raise SystemExit(f"cannot be forked beside the threads {', '.join(sorted(unknown))}")
gc.collect()
# What is there now stays for good: collections in a session must not write to shared pages.
gc.freeze()
