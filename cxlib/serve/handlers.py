"""What the server answers: home page, dashboards, sign-in, and what the page of a dashboard needs.

Every answer carries the security headers, and every refusal is a calm page in the visitor's words.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import tornado.web
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from markupsafe import Markup
from tornado.escape import url_escape
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.utils import create_include_assets_functions

from cxlib.numbers import sentence_case
from cxlib.serve import texts
from cxlib.serve.launch import PLOTLY_PATH, Dashboard

if TYPE_CHECKING:
    from cxlib.serve.server import DashboardServer

# blob: is how anywidget loads a widget's own few lines; no inline script, no other host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "cxlib",
}
KERNEL_NAMED = re.compile(r'"kernelId": "([0-9a-f-]{36})"')
HEARTBEAT = "<script>window.voila_heartbeat()</script>\n"
"""What Voila sends where nothing came for `HEARTBEAT_SECONDS` (`cxlib.serve.launch`)."""
MOST_HEARTBEATS = 26
"""In a row: a session that is silent for longer than a cell may take comes no more. Voila waits on,
and for ever where it could not be started."""
A_YEAR = "public, max-age=31536000, immutable"


class SameSite(tornado.web.RequestHandler):
    """Comes before Jupyter's handlers, whose ways with origins and cookies it replaces."""

    @property
    def server(self) -> DashboardServer:
        """The server this answer comes from."""
        server: DashboardServer = self.settings["dashboards"]
        return server

    def check_origin(self, origin: str | None = None) -> bool:
        """Whether the page that asks is one of ours; knowing the token makes it none."""
        headers = self.request.headers
        given = headers.get("Origin", headers.get("Sec-WebSocket-Origin"))
        return self.server.hosts.may_speak(given, headers.get("Host", ""), self.request.protocol)

    def set_cors_headers(self) -> None:
        """Open no answer to the scripts of other sites."""

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        """Set a cookie that other sites' pages do not send along, and that TLS does not leave."""
        kwargs.setdefault("samesite", "Lax")
        if self.request.protocol == "https":
            kwargs.setdefault("secure", True)
        super().set_cookie(name, value, *args, **kwargs)

    def _request_summary(self) -> str:
        # Without the query, which may hold a token.
        return f"{self.request.method} {self.request.path} ({self.request.remote_ip})"

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what went wrong inside; a refusal has its line in the log already."""
        if not isinstance(value, tornado.web.HTTPError):
            log = logging.getLogger("cxlib.serve")
            log.error("failed: %s", self._request_summary(), exc_info=value)


class CalmPages(SameSite):
    """Security headers on every answer, and pages without technical detail for every refusal."""

    def set_default_headers(self) -> None:
        """Set the security headers."""
        super().set_default_headers()
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)

    def page(self, name: str, **words: object) -> str:
        """Fill in a page template; what is published is told to those let in."""
        environment = self.settings["voila_jinja2_env"]
        snapshot = self.server.snapshot
        known = getattr(self, "_jupyter_current_user", None) and self.current_user
        words |= {"texts": texts, "base_url": self.settings["base_url"]}
        words |= {"published": snapshot.line() if known and snapshot else None}
        return str(environment.get_template(name).render(words))

    def shown(self) -> list[Dashboard]:
        """Return the dashboards that the snapshot shows."""
        snapshot = self.server.snapshot
        known = self.server.catalogue.values()
        return [d for d in known if snapshot is None or snapshot.shows(d.name)]

    def answer(self, html: str, status: int = 200) -> None:
        """Send a page that no browser keeps."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(html)

    def refuse(self, status: int, said: tuple[str, str], *, retry: bool = False) -> None:
        """Answer with a message page."""
        back = self.request.uri if retry else self.settings["base_url"]
        words = {"title": said[0], "text": said[1], "back": back, "is_same": retry}
        self.answer(self.page("message.html", **words), status)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer an error with a page that says nothing about the inside."""
        known = {403: texts.FORBIDDEN, 404: texts.NOT_FOUND, 405: texts.NOT_FOUND}
        if status_code == 429:
            self.set_header("Retry-After", "10")
        self.refuse(status_code, (known | {429: texts.TOO_MANY}).get(status_code, texts.FAILED))


class HomeHandler(CalmPages, TornadoVoilaHandler):
    """The list of dashboards, and what the published figures are about."""

    @tornado.web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Show the list."""
        await self.server.follow_snapshot()
        snapshot = self.server.snapshot
        brief = snapshot.first_paint("home") if snapshot else None
        title = sentence_case(snapshot.manifest["name"]) if snapshot else texts.SITE
        facts = snapshot.facts() if snapshot else texts.NO_SNAPSHOT[1:]
        written = Markup(brief) if brief else None  # by publish, not by a visitor
        words = {"title": title, "facts": facts, "brief": written, "dashboards": self.shown()}
        self.answer(self.page("home.html", **words))


class _OfDashboard(CalmPages, TornadoVoilaHandler):
    """What is asked for by the name of a dashboard."""

    async def dashboard(self, name: str) -> Dashboard | None:
        """Return the dashboard that is published by this name; None where none is published."""
        found = self.server.catalogue.get(name)
        if found is None:
            raise tornado.web.HTTPError(404)
        await self.server.follow_snapshot()
        if self.server.snapshot is None:
            return None
        if not self.server.snapshot.shows(name):
            raise tornado.web.HTTPError(404)
        return found


class DashboardHandler(_OfDashboard):
    """The page of a dashboard as its address asks for it; its script asks for a session."""

    @tornado.web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Send what the snapshot says; no process is started for it."""
        dashboard = await self.dashboard(path or "")
        if dashboard is None:
            self.refuse(503, texts.NO_SNAPSHOT, retry=True)
            return
        _ = self.xsrf_token  # reading it sets the cookie without which no session is given
        given = parse_qsl(self.request.query)
        asked = urlencode([(name, value) for name, value in given if name != "token"])
        paint = await self.server.paint(dashboard.name, asked)
        words: dict[str, object] = {"title": dashboard.title, "current": dashboard.name}
        words |= {"dashboards": self.shown()} | create_include_assets_functions("cx", self.base_url)
        words |= {"first_paint": Markup(paint) if paint else None}  # by publish, not by a visitor
        self.answer(self.page("dashboard.html", plotly=self.base_url + PLOTLY_PATH, **words))


class SessionHandler(_OfDashboard):
    """The live part of a dashboard, and the session behind it."""

    gone = False

    def on_connection_close(self) -> None:
        """Note that nobody waits any more."""
        self.gone = True
        super().on_connection_close()

    @tornado.web.authenticated
    async def post(self, path: str) -> None:
        """Give a session to the page that asks for it, unless there are enough already."""
        if self.request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise tornado.web.HTTPError(403)
        dashboard = await self.dashboard(path)
        if dashboard is None:
            self._say_no(503, texts.NO_SNAPSHOT)
            return
        places, visitor = self.server.places, str(self.request.remote_ip)
        if not places.are_left(visitor):
            self._say_no(503, texts.FULL)
            return
        kernel, parts, silent = None, [], 0
        with places.arriving(visitor):
            try:
                async for html in self.get_generator(path=dashboard.path.name):
                    silent = silent + 1 if html == HEARTBEAT else 0
                    if silent > MOST_HEARTBEATS or self.gone:
                        raise TimeoutError("nothing came of the session, or nobody waits for it")
                    if kernel is None and (named := KERNEL_NAMED.search(html)):
                        kernel = named.group(1)
                    if not silent:
                        parts.append(html)
            except Exception:
                self.log.exception("the dashboard %s could not be made", dashboard.name)
                if kernel is not None:
                    await self.server.end(kernel)
                self._say_no(500, texts.BROKEN_OFF)
                return
            if kernel is not None:
                user = getattr(self.current_user, "username", "")
                places.give(kernel, visitor=visitor, user=user)
        if self.gone:
            await self.server.end(kernel)
            return
        self.answer("".join(parts))

    def _say_no(self, status: int, said: tuple[str, str]) -> None:
        """Answer with what the page then shows below its first paint."""
        if status == 503:
            self.set_header("Retry-After", "60")
        self.answer(self.page("broken_off.html", title=said[0], text=said[1]), status)


class SignInHandler(CalmPages, LoginFormHandler):
    """The sign-in page, where a token protects the server."""

    def _render(self, message: dict[str, str] | None = None) -> None:
        following = url_escape(self.get_argument("next", default=self.base_url))
        words = {"title": texts.SIGN_IN[0], "wrong": bool(message), "next": following}
        page = self.page("sign_in.html", xsrf=self.xsrf_token.decode("ascii"), **words)
        self.answer(page, 401 if message else 200)

    @allow_unauthenticated
    async def post(self) -> None:
        """Let in who knows the token."""
        if await self.server.identity_provider.sign_in(self) is None:
            self._render({"error": ""})
        else:
            self._redirect_safe(self.get_argument("next", default=self.base_url))


class SignOutHandler(CalmPages, JupyterHandler):
    """Ends the session of sign-in."""

    @allow_unauthenticated
    async def get(self) -> None:
        """End it, with the sessions of its pages, and say so."""
        user = getattr(self.current_user, "username", None)
        for kernel in self.server.places.of(user) if user else ():
            await self.server.end(kernel)
        self.server.identity_provider.end(self)
        self.current_user = None
        self.refuse(200, texts.SIGNED_OUT)


class KernelStateHandler(CalmPages, KernelHandler):
    """Whether the session behind a page still runs; asking is all that is allowed."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        """Tell whether the session runs."""
        await ensure_async(super().get(kernel_id))

    async def delete(self, kernel_id: str) -> None:
        """Refuse: a page ends its session by `ShutdownHandler`."""
        raise tornado.web.HTTPError(405)


class ShutdownHandler(CalmPages, VoilaShutdownKernelHandler):
    """Ends the session of a page that goes; a second word about the same one is no error."""

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        """End the session."""
        await self.server.end(kernel_id)
        self.set_status(204)
        self.finish()


class _Versioned(CalmPages):
    """Files whose address holds their version, so that a browser asks for each only once."""

    def set_extra_headers(self, path: str) -> None:
        """Let the browser keep the file."""
        self.set_header("Cache-Control", A_YEAR)


class StaticHandler(_Versioned, MultiStaticFileHandler):
    """Voila's own scripts, styles and fonts."""


class ExtensionHandler(_Versioned, FileFindHandler):
    """The scripts of the widget extensions."""


class TemplateHandler(CalmPages, TemplateStaticFileHandler):
    """The scripts and styles of the page template; the address holds a hash of the content."""


class BundleHandler(_Versioned, tornado.web.StaticFileHandler):
    """plotly.js out of the installed plotly: one file for all figures of all pages."""

    async def get(self, path: str = "", include_body: bool = True) -> None:
        """Send the file."""
        await super().get("plotly.min.js", include_body)


class NotFoundHandler(CalmPages):
    """Everything else."""

    @allow_unauthenticated
    def prepare(self) -> None:
        """Refuse."""
        raise tornado.web.HTTPError(404)
