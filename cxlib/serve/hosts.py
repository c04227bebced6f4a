"""To which names this server answers, and whose page may speak to it.

A page of another site can make its own name lead to this machine (DNS rebinding): a request for any
other name than the server's own is refused before it is read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado import httputil
from tornado.log import access_log

from cxlib.errors import InputError
from cxlib.visible import visible

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
REFUSED = b"This server does not answer to that name.\n"
_REFUSAL = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": str(len(REFUSED)),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "cxlib",
    "Connection": "close",
}


def host_name(authority: str) -> str | None:
    """Return the name or address in a Host header, written in one way only; None for no such.

    >>> host_name("LocalHost.:80"), host_name("[0:0::1]:80"), host_name("user@localhost")
    ('localhost', '::1', None)
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None or (found[2] and not 0 < int(found[2]) < 1 << 16):
        return None
    name = found[1].lower()
    if (address := _address(name.strip("[]"))) is not None:
        return address
    return name.removesuffix(".") or None if name[0] != "[" else None


def _address(text: str) -> str | None:
    """Return an address written in one way only, IPv4 in IPv6 as itself; None: it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def public_origin(url: str) -> str:
    """Return the origin of a public address as a browser names it; InputError: it is none."""
    try:
        parts = urlsplit(url.strip())
        name = (parts.hostname or "").encode("idna").decode("ascii")
        authority = f"[{name}]" if ":" in name else name
        port = parts.port or _PORTS[parts.scheme]
        if "@" in parts.netloc or host_name(authority) is None:
            raise ValueError(url)
    except (KeyError, ValueError):
        raise InputError(
            f"--public-url {url!r} is no address of a site; write https://figures.example."
        ) from None
    return f"{parts.scheme}://{authority}" + f":{port}" * (port != _PORTS[parts.scheme])


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names of one server: the address it listens on, and the origins that visitors see.

    `proxies` are addresses that are believed who a request came from, and how.
    """

    bound: str
    origins: frozenset[str]
    proxies: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bound: str, public_urls: Iterable[str], proxies: Iterable[str]) -> Hosts:
        """Return the names of a server; proxies are believed only where there is a public name."""
        origins = frozenset(map(public_origin, public_urls))
        known = frozenset(filter(None, map(_address, proxies if origins else ())))
        return cls(bound, origins, known)

    def permits(self, headers: httputil.HTTPHeaders, local: str) -> bool:
        """Whether a request to an address of this machine names it, once and unmistakably."""
        given = headers.get_list("Host")
        name = host_name(given[0]) if len(given) == 1 else None
        if name is None:
            return False
        public = {host_name(urlsplit(origin).netloc) for origin in self.origins}
        own = {_address(local), _address(self.bound), self.bound, "localhost"}
        is_address = _address(name) is not None
        return name in own | public or (is_address and ipaddress.ip_address(name).is_loopback)

    def may_speak(self, origin: str | None, host: str, protocol: str) -> bool:
        """Whether a page of this origin may send to this server and open a wire to it.

        No origin, as of programs that are no browsers, may: they carry nobody's cookies.
        """
        if origin is None:
            return True
        try:
            return public_origin(origin) in {*self.origins, public_origin(f"{protocol}://{host}")}
        except InputError:
            return False

    def visitor(self, peer: str, headers: httputil.HTTPHeaders) -> str:
        """Return the address a request came from: the last hop that is no proxy we believe."""
        hops = headers.get("X-Forwarded-For", "").split(",")
        address = _address(peer) or peer
        while address in self.proxies and hops and (hop := _address(hops.pop().strip())):
            address = hop
        return address

    def protocol(self, peer: str, headers: httputil.HTTPHeaders) -> str:
        """Return how a visitor came: by TLS, where a public name of his or a proxy says so."""
        name = host_name(headers.get("Host", ""))
        public = [urlsplit(origin) for origin in self.origins]
        if any(o.scheme == "https" and host_name(o.netloc) == name for o in public):
            return "https"
        told = headers.get("X-Forwarded-Proto", headers.get("X-Scheme", ""))
        by_tls = told.split(",")[-1].strip().lower() == "https"
        return "https" if by_tls and _address(peer) in self.proxies else "http"


class Gate(httputil.HTTPServerConnectionDelegate):
    """Stands in front of the whole application: what is not for this server does not reach it."""

    def __init__(self, app: httputil.HTTPServerConnectionDelegate, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    def start_request(self, server_conn: object, request_conn: Any) -> _Request:
        """Look at a request's head before anything else does."""
        inner = self._app.start_request(server_conn, request_conn)
        return _Request(inner, request_conn, self._hosts)

    def on_close(self, server_conn: object) -> None:
        """Pass it on."""
        self._app.on_close(server_conn)


class _Request(httputil.HTTPMessageDelegate):
    def __init__(self, inner: httputil.HTTPMessageDelegate, connection: Any, hosts: Hosts) -> None:
        self._inner: httputil.HTTPMessageDelegate | None = inner
        self._connection, self._hosts = connection, hosts

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Any:
        context = self._connection.context
        peer, local = context.address[0], self._connection.stream.socket.getsockname()[0]
        # The whole address in the first line would count instead of the Host header.
        target = getattr(start_line, "path", "")
        if self._inner and target.startswith("/") and self._hosts.permits(headers, local):
            context.remote_ip = self._hosts.visitor(peer, headers)
            context.protocol = self._hosts.protocol(peer, headers)
            return self._inner.headers_received(start_line, headers)
        self._inner = None
        access_log.warning("421 %s (%s)", visible(headers.get("Host", "no name")[:100]), peer)
        line = httputil.ResponseStartLine("HTTP/1.1", 421, "Misdirected Request")
        self._connection.write_headers(line, httputil.HTTPHeaders(_REFUSAL), REFUSED)
        self._connection.finish()
        return None

    def data_received(self, chunk: bytes) -> Any:
        return self._inner.data_received(chunk) if self._inner else None

    def finish(self) -> None:
        if self._inner:
            self._inner.finish()

    def on_connection_close(self) -> None:
        if self._inner:
            self._inner.on_connection_close()
