"""Voila with its routes, its sessions and its page settings under our control."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
import shutil
import signal
import socket
import sys
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tornado.ioloop
from jupyter_core.utils import ensure_async, run_sync
from jupyter_server.utils import url_path_join
from tornado.httpserver import HTTPServer
from voila.app import Voila

from cxlib.publish import Snapshot
from cxlib.serve import handlers, texts
from cxlib.serve.hosts import Gate, Hosts
from cxlib.serve.launch import EXTENSIONS, PLOTLY_PATH, Dashboard, ServerSettings
from cxlib.serve.log import log_safely
from cxlib.serve.sessions import Places, machine_memory, use_warm_sessions
from cxlib.serve.wire import FilteredSocketHandler
from cxlib.views import VIEWS, view_named

KERNEL = r"(?P<kernel_id>[0-9a-f-]{36})"
TICK_MS = 2000


class DashboardServer(Voila):
    """The server behind `serve_dashboards`."""

    def open_on(
        self,
        workspace: Path,
        dashboards: tuple[Dashboard, ...],
        settings: ServerSettings,
        *,
        listening: socket.socket,
        open_browser: bool,
    ) -> None:
        """Serve on a socket that listens already, until interrupted."""
        self.listening = listening
        self.workspace = workspace
        self.catalogue = {d.name: d for d in dashboards}
        self.snapshot = Snapshot.newest(workspace)
        self.show_in_browser = open_browser
        waiting = max(settings.ready_kernels, 0) * len(dashboards)
        # One: whoever asks for many looks waits for them, and nobody else's session does.
        self.painter = ThreadPoolExecutor(1)
        self.places = Places(settings, waiting=waiting, memory=machine_memory())
        # Short for the installed JavaScript, so that browsers may keep it until it changes.
        packages = ("voila", "jupyterlab-widgets", "anywidget", "plotly")
        names = "|".join(f"{p}={version(p)}" for p in packages)
        self.assets = hashlib.sha256(names.encode()).hexdigest()[:12]
        # First of all: it imports what sessions need while this process imports what it needs.
        self.warm = use_warm_sessions()
        self.initialize([])
        self.hosts = Hosts.of(self.ip, settings.public_urls, settings.proxies)
        log_safely([self.token or ""], self.log)
        self.voila_configuration.page_config_hook = self._page_settings
        self.start()

    # ---- sessions -------------------------------------------------------------------------------

    @property
    def _waiting(self) -> dict[str, list[asyncio.Task[dict[str, Any]]]]:
        """The sessions started ahead of a visit, by notebook."""
        pools: dict[str, list[Any]] = getattr(self.kernel_manager, "_pools", {})
        return pools

    async def follow_snapshot(self) -> None:
        """Take up a newly published snapshot; sessions started ahead still hold the old one."""
        newest = Snapshot.newest(self.workspace)
        if newest == self.snapshot:
            return
        self.snapshot = newest
        for notebook, pool in self._waiting.items():
            stale, pool[:] = list(pool), []
            for task in stale:
                tornado.ioloop.IOLoop.current().spawn_callback(self._end_waiting, task)
            self.kernel_manager.fill_if_needed(delay=0, notebook_name=notebook)

    async def _end_waiting(self, task: asyncio.Task[dict[str, Any]]) -> None:
        session = await task
        await session["task"]
        await self.end(session["kernel_id"])

    async def end(self, kernel: str | None) -> None:
        """End a session; one that has ended is what was wanted."""
        if kernel is not None:
            self.places.free(kernel)
            manager = self.kernel_manager
            if kernel in manager and not manager.get_kernel(kernel).shutting_down:
                await ensure_async(self.kernel_manager.shutdown_kernel(kernel, now=True))

    async def end_abandoned(self) -> None:
        """End the sessions whose page never came or has gone, and forget those that died."""
        await self.follow_snapshot()
        await self._forget_dead()
        running = set(self.kernel_manager.list_kernel_ids())
        for kernel in (*self.places.abandoned(running), *self._unclaimed(running)):
            await self.end(kernel)

    def _unclaimed(self, running: set[str]) -> set[str]:
        """Return what was started for a visitor and given to none; nothing while any may be."""
        waiting = [task for pool in self._waiting.values() for task in pool]
        if self.places.are_arriving or not all(task.done() for task in waiting):
            return set()
        return running - self.places.given - {_session_of(task) for task in waiting}

    async def _forget_dead(self) -> None:
        """Tell pages that their session ended by itself; give no visitor one that died waiting."""
        dead = []
        for kernel in list(self.kernel_manager.list_kernel_ids()):
            manager = self.kernel_manager.get_kernel(kernel)
            is_gone = manager.has_kernel and not await ensure_async(manager.is_alive())
            if is_gone and not manager.shutting_down:  # one that is being ended has not died
                dead.append(kernel)
        for notebook, pool in self._waiting.items():
            # one that could not be started would keep Voila from ending any other
            gone = {None, *dead}
            pool[:] = [task for task in pool if not (task.done() and _session_of(task) in gone)]
            self.kernel_manager.fill_if_needed(delay=0, notebook_name=notebook)
        for kernel in dead:
            self.log.error("the session %s has died", kernel)
            await self.end(kernel)

    # ---- pages ----------------------------------------------------------------------------------

    async def paint(self, name: str, asked: str) -> str | None:
        """Return what the snapshot says of a dashboard, as its address asks; None: nothing."""
        snapshot = self.snapshot
        if snapshot is None:
            return None
        if not asked or name not in VIEWS:
            return snapshot.first_paint(name)
        try:
            return await self.ioloop.run_in_executor(self.painter, _paint, snapshot, name, asked)
        except Exception:
            self.log.exception("the dashboard %s could not be painted", name)
            return snapshot.first_paint(name)

    def _page_settings(self, page_config: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Give the page template its words, and the page's scripts their versioned addresses."""
        return page_config | {
            "cx": dict(zip(("error_title", "error_text"), texts.CELL_FAILED, strict=True)),
            "fullStaticUrl": f"{self.base_url}voila/static/{self.assets}",
            "fullLabextensionsUrl": f"{self.base_url}voila/labextensions/{self.assets}",
            # Stock Voila would fetch MathJax from another host.
            "disabledExtensions": ["@jupyterlab/mathjax2-extension:plugin"],
        }

    def init_settings(self) -> dict[str, Any]:
        """Return the settings of the web server: Voila's, and our sign-in and refusals."""
        settings: dict[str, Any] = super().init_settings()
        self.identity_provider.login_handler_class = handlers.SignInHandler
        self.identity_provider.logout_handler_class = handlers.SignOutHandler
        return settings | {
            "dashboards": self,
            "default_handler_class": handlers.NotFoundHandler,
            "login_url": url_path_join(self.base_url, "login"),
        }

    def init_handlers(self) -> list[Any]:
        """Return every route: none to Voila's file, contents, tree and execution services."""
        at = self.base_url
        render = {
            "voila_configuration": self.voila_configuration,
            "template_paths": self.template_paths,
            "config": self.config,
        }
        plotly = importlib.util.find_spec("plotly")  # found, not imported
        folder = Path(str(plotly and plotly.origin)).parent / "package_data"
        static, extensions = f"{at}voila/static/", f"{at}voila/labextensions/"
        allowed = "|".join(EXTENSIONS)
        return [
            (at, handlers.HomeHandler, render),
            (rf"{at}view/([a-z0-9_-]+)/?", handlers.DashboardHandler, render),
            (rf"{at}voila/api/session/([a-z0-9_-]+)", handlers.SessionHandler, render),
            (re.escape(at + PLOTLY_PATH), handlers.BundleHandler, {"path": str(folder)}),
            (rf"{at}voila/templates/(cx/static/[\w.-]+)", handlers.TemplateHandler),
            (rf"{static}{self.assets}/(.+)", handlers.StaticHandler, {"paths": self.static_paths}),
            (
                rf"{extensions}{self.assets}/((?:{allowed})/.+)",
                handlers.ExtensionHandler,
                {"path": self.labextensions_path},
            ),
            (rf"{at}api/kernels/{KERNEL}", handlers.KernelStateHandler),
            (rf"{at}api/kernels/{KERNEL}/channels", FilteredSocketHandler),
            (rf"{at}voila/api/shutdown/{KERNEL}", handlers.ShutdownHandler),
            *(
                (url_path_join(at, path), handler)
                for path, handler in self.identity_provider.get_handlers()
            ),
        ]

    # ---- up and down ----------------------------------------------------------------------------

    def listen(self) -> None:
        """Answer on the port, say so, and run until interrupted."""
        server = HTTPServer(Gate(self.app, self.hosts))
        server.add_socket(self.listening)
        self.ioloop = tornado.ioloop.IOLoop.current()
        signal.signal(signal.SIGINT, self._handle_signal_stop)
        tornado.ioloop.PeriodicCallback(self.end_abandoned, TICK_MS).start()
        self.ioloop.add_callback(self._announce)
        # Loads what painting needs before somebody waits for it: the first of each takes longer.
        self.painter.submit(lambda: [view_named(name) for name in VIEWS])
        for name in VIEWS if self.snapshot is not None else ():
            self.painter.submit(_paint, self.snapshot, name, "")
        try:
            self.ioloop.start()
        finally:
            _say("Stopping: ending the open sessions.")
            self.stop()

    def stop(self) -> None:
        """End all sessions, those that are only just starting too."""
        self.painter.shutdown(cancel_futures=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)
        run_sync(self._end_all)()
        if self.warm is not None:
            self.warm.stop()

    async def _end_all(self) -> None:
        starting = [task for pool in self._waiting.values() for task in pool if not task.done()]
        self._waiting.clear()
        if starting:
            await asyncio.wait(starting, timeout=10)
        ids = list(self.kernel_manager.list_kernel_ids())
        ends = (ensure_async(self.kernel_manager.shutdown_kernel(i, now=True)) for i in ids)
        # One that has gone by itself in the meantime is what was wanted.
        await asyncio.gather(*ends, return_exceptions=True)

    def _announce(self) -> None:
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        address = f"http://{host}:{self.port}{self.base_url}"
        _say(f"Dashboards are served at {address}  (Ctrl-C stops)")
        if self.show_in_browser:
            webbrowser.open(address + (f"?token={self.token}" if self.token else ""))


@lru_cache(maxsize=256)
def _paint(snapshot: Snapshot, name: str, asked: str) -> str:
    return view_named(name).first_paint(snapshot, asked)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _session_of(task: asyncio.Task[dict[str, Any]]) -> str | None:
    failed = task.cancelled() or task.exception() is not None
    return None if failed else str(task.result()["kernel_id"])
