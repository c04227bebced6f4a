"""A process that has imported everything a dashboard needs, and of which sessions are forked.

It and its sessions end when the server closes the socket between them. Threads are not copied by a
fork, the locks they hold are: nothing here computes with Polars, whose threads start with the first
query, and the process serves only beside threads that are known to hold nothing.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from cxlib.views import VIEWS

READY = b"ready"
"""Said once; then a request (JSON) is answered by a process id and a handle, in one packet each."""

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


def main() -> None:
    """Import, say so, and fork a session for every request until the server is gone."""
    server = socket.socket(fileno=int(sys.argv[1]))
    # Forked sessions are collected by the system; the server watches them by their handle.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_everything()
    if unknown := threads() - IDLE_THREADS:
        raise SystemExit(f"cannot be forked beside the threads {', '.join(sorted(unknown))}")
    gc.collect()
    # What is there now stays for good: collections in a session must not write to shared pages.
    gc.freeze()
    with contextlib.suppress(ConnectionError):  # the server is gone
        server.send(READY)
        while request := server.recv(1 << 20):
            _fork(server, json.loads(request))


def _import_everything() -> None:
    from cxlib.serve.kernel import skip_imports

    skip_imports()
    for name in IMPORTED:
        # What cannot be imported fails again, and is told, in the session that asks for it.
        with contextlib.suppress(Exception):
            module = importlib.import_module(name)
            for part in getattr(module, "__all__", ()):
                getattr(module, part)  # some are imported only when asked for
    _draw_once()


def _draw_once() -> None:
    """Draw one figure: the first of a process loads what draws it, another second."""
    from plotly import graph_objects as go

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


def _fork(server: socket.socket, request: dict[str, Any]) -> None:
    # Asked for before: a session must end even if this process does while it is being started.
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns of forking beside any thread; `main` has looked at which there are.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        server.close()
        _become_session(parent, **request)
    handles = []
    with contextlib.suppress(ProcessLookupError):  # ended already: the server gets no handle
        # Both sides set the group: whoever is first, it is set before the server may signal it.
        os.setpgid(pid, pid)
        handles.append(os.pidfd_open(pid))
    socket.send_fds(server, [b"%d" % pid], handles)
    for handle in handles:
        os.close(handle)


def _become_session(
    parent: int, arguments: list[str], environment: dict[str, str], folder: str
) -> NoReturn:
    """Run one session in the forked process, which never returns to the loop above."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        Path("/proc/self/comm").write_text("cx-session")
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        from cxlib.serve.kernel import run_kernel

        run_kernel(arguments, parent=parent)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
