"""What holds for every answer, pages and wires alike: who may ask, and what a cookie is for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import tornado.web

if TYPE_CHECKING:
    from cxlib.serve.server import DashboardServer

__all__ = ["SameSite"]


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
