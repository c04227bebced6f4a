"""Starting the server: the dashboards it serves, what is checked before, and its settings."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxlib.errors import CxError, InputError
from cxlib.serve.hosts import public_origin
from cxlib.serve.kernel import MEMORY_VARIABLE, VALIDATORS, skip_imports
from cxlib.views import VIEWS, entry

if TYPE_CHECKING:
    from traitlets.config import Config

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; `name` is the last part of its address."""

    name: str
    title: str
    summary: str
    path: Path


def read_catalogue(folder: Path) -> tuple[Dashboard, ...]:
    """Read the dashboards in `folder`: every notebook there whose name does not start with ``_``.

    Those called as a view come first, with its title and summary; others have them as heading and
    first paragraph. InputError: none, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder of dashboards {folder}; give the folder that holds them."
        )
    paths = sorted(p for p in folder.glob("*.ipynb") if not p.name.startswith(("_", ".")))
    if not paths:
        raise InputError(f"{folder} holds no dashboard: no notebook (.ipynb) is in it.")
    views = list(VIEWS)
    paths.sort(key=lambda p: views.index(p.stem) if p.stem in views else len(views))
    return tuple(map(_read_dashboard, paths))


def _read_dashboard(path: Path) -> Dashboard:
    if not NAME.fullmatch(path.stem):
        raise InputError(
            f"{path.name}: a dashboard's name may hold a-z, 0-9, - and _ only; rename it."
        )
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        texts = [c["source"] for c in notebook["cells"] if c.get("cell_type") == "markdown"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} is not a notebook: {error}.") from error
    if path.stem in VIEWS:
        view = entry(path.stem)
        return Dashboard(view.name, view.title, view.summary, path)
    text = "".join(texts[0]) if texts else ""  # one text, or its lines
    heading = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    paragraph = re.search(r"^(?!#|\s*$|[<*>-])(.+)$", text, re.MULTILINE)
    named = re.sub(r"[_-]+", " ", path.stem).strip().capitalize()
    title, summary = heading.group(1) if heading else named, paragraph.group(1) if paragraph else ""
    return Dashboard(path.stem, title.strip(), summary.strip(), path)


JUPYTER = Path(__file__).parent / "jupyter"
FIRST_PORT = 8866
SECRETS = ("CX_TOKEN", "JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE")
MATH_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
HEARTBEAT_SECONDS = 5
PING_MS = 30_000
"""Milliseconds between two pings on a wire."""
PLOTLY_PATH = "voila/templates/cx/static/plotly.min.js"
"""Where plotly.js is given out, once for all figures; that of the views asks there."""
EXTENSIONS = [
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
]
"""The only JupyterLab extensions a page loads: without them no widget is drawn."""


class ServeError(CxError, OSError):
    """The dashboards cannot be served as asked."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a deployment may want to set (``docs/deploying.md``); it suits one small machine."""

    base_url: str = "/"
    public_url: str | Sequence[str] = ()
    proxies: Sequence[str] = ("127.0.0.1", "::1")
    ready_kernels: int = 1
    max_visitors: int = 20
    max_per_visitor: int | None = None
    kernel_memory_mb: int = 512
    wire_seconds: float = 10.0
    grace_seconds: float = 60.0
    idle_seconds: int = 3600

    @property
    def public_urls(self) -> tuple[str, ...]:
        """The public addresses, however many were given."""
        given = self.public_url
        return (given,) if isinstance(given, str) else tuple(given)


def serve_dashboards(
    workspace: Path | str,
    *,
    port: int | None = None,
    ip: str = "127.0.0.1",
    token: str | None = None,
    dashboards_dir: Path | str = "dashboards",
    open_browser: bool = False,
    settings: ServerSettings | None = None,
) -> None:
    """Serve the dashboards of a folder on the published views of a workspace, until interrupted.

    On the first free port from 8866, where none is given. Any but the loopback address needs a
    `token`, which visitors give in the address (``?token=…``) or on the sign-in page.
    ServeError, InputError: it cannot be served as asked.
    """
    settings = settings or ServerSettings()
    dashboards = read_catalogue(Path(dashboards_dir))
    check_address(ip, token)
    for url in settings.public_urls:
        public_origin(url)
    with (
        contextlib.closing(take_port(ip, port)) as listening,
        tempfile.TemporaryDirectory(prefix="cx_serve_") as scratch,
    ):
        set_environment(Path(workspace), settings, scratch=Path(scratch))
        skip_imports(VALIDATORS)
        # Imported late: it loads Voila, and Jupyter reads the environment set above while being
        # imported.
        from cxlib.serve.server import DashboardServer

        port = listening.getsockname()[1]
        server = DashboardServer(config=voila_config(port, ip, token, settings, dashboards))
        server.open_on(
            Path(workspace), dashboards, settings, listening=listening, open_browser=open_browser
        )


def check_address(ip: str, token: str | None) -> None:
    """Refuse to listen where others can reach the server unless a token protects it."""
    try:
        is_local = ip == "localhost" or ipaddress.ip_address(ip).is_loopback
    except ValueError as error:
        raise ServeError(
            f"{ip!r} is not an address to listen on; give one such as 127.0.0.1."
        ) from error
    if not is_local and not token:
        raise ServeError(
            f"listening on {ip} lets other machines see the dashboards: give a token "
            "(and better, keep 127.0.0.1 and put a reverse proxy in front)."
        )
    if token is not None and len(token) < 8:
        raise ServeError("the token is too short to protect anything; give at least 8 characters.")


def take_port(ip: str, port: int | None) -> socket.socket:
    """Listen on `port`, or on the first free one from 8866; the socket is kept, and so the port."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    ports = range(FIRST_PORT, FIRST_PORT + 20) if port is None else [port]
    for wanted in (p for p in ports if 0 <= p < 1 << 16):
        try:
            listening = socket.create_server((ip, wanted), family=family)
        except OSError:  # taken, or not allowed
            continue
        listening.setblocking(False)
        return listening
    if port is not None:
        raise ServeError(
            f"port {port} on {ip} cannot be used; another program may have it. Give another port."
        )
    raise ServeError(f"no free port from {FIRST_PORT} on; name one.")


def set_environment(workspace: Path, settings: ServerSettings, *, scratch: Path) -> None:
    """Point this process and its kernels to the package's template and kernel, not the user's."""
    paths = [str(JUPYTER), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ.update(
        JUPYTER_PATH=os.pathsep.join(paths),
        JUPYTER_CONFIG_DIR=str(scratch),
        IPYTHONDIR=str(scratch / "ipython"),
        CX_WORKSPACE=str(workspace.absolute()),
    )
    for secret in SECRETS:  # no business of the sessions'
        os.environ.pop(secret, None)
    os.environ[MEMORY_VARIABLE] = str(settings.kernel_memory_mb)
    # A session answers one visitor from small tables; a thread per core in each only costs memory,
    # and a process with threads of BLAS could not be forked.
    os.environ.update(MATH_THREADS)
    os.environ.setdefault("POLARS_MAX_THREADS", "1")


def voila_config(
    port: int,
    ip: str,
    token: str | None,
    settings: ServerSettings,
    dashboards: tuple[Dashboard, ...],
) -> Config:
    """Return the whole configuration of Voila; no configuration file is read."""
    from traitlets.config import Config

    from cxlib.serve.log import log_request

    path, config = settings.base_url.strip("/"), Config()
    # A wire is closed when three pings are not answered. A timeout no longer than the interval
    # would close every wire at its first one: nothing has been answered yet.
    headers: dict[str, object] = {"ws_ping_interval": PING_MS, "ws_ping_timeout": 3 * PING_MS}
    headers |= {"websocket_max_message_size": 1 << 20, "log_function": log_request}
    config.Voila.update(
        ip=ip,
        port=port,
        token=token or "",
        identity_provider_class="cxlib.serve.signin.TokenIdentity",
        kernel_websocket_connection_class="cxlib.serve.wire.SureConnection",
        base_url=f"/{path}/" if path else "/",
        root_dir=str(dashboards[0].path.parent.absolute()),
        open_browser=False,
        config_file_paths=[],
        log_level=40,
        tornado_settings=headers,
    )
    config.VoilaConfiguration.update(
        template="cx",
        theme="light",
        allow_template_override="NO",
        allow_theme_override="NO",
        extension_allowlist=EXTENSIONS,
        show_tracebacks=False,
        strip_sources=True,
        attempt_fix_notebook=True,
        preheat_kernel=settings.ready_kernels > 0,
        default_pool_size=max(settings.ready_kernels, 0),
        http_keep_alive_timeout=HEARTBEAT_SECONDS,
    )
    config.VoilaExecutor.timeout = 120
    config.AsyncMappingKernelManager.update(
        cull_idle_timeout=settings.idle_seconds, cull_connected=True, cull_interval=60
    )
    # Sockets in a private folder instead of open ports; also silences the warning about unencrypted
    # kernels.
    config.KernelManager.transport = "ipc" if os.name == "posix" else "tcp"
    # A session started anew would know nothing of the page that still shows the old one.
    config.KernelManager.autorestart = False
    config.KernelManager.client_class = "cxlib.serve.sessions.WatchfulClient"
    return config
