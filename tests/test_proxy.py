"""The example configuration of docs/deploying.md, run: nginx with TLS before the server."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from serving import Served, serving, write_toy_site
from visiting import Visitor

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "deploying" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
ORIGIN = "https://figures.example"

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate"),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"base_url": "/dashboards/", "public_url": ORIGIN, "ready_kernels": 0}
    site = write_toy_site(tmp_path_factory.mktemp("site"))
    with serving(*site, token="a-long-token", settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The example as it stands in the page, but for ports, files and what root alone may do."""
    folder = tmp_path_factory.mktemp("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=figures.example"
    subprocess.run(
        ["openssl", *make.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    port = free_port()
    example = EXAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/figures.example.pem", str(certificate)),
        ("/etc/ssl/figures.example.key", str(key)),
        ("http://127.0.0.1:8866", re.match(r"http://[^/]+", served.url).group()),
    ):
        assert example.count(old) == 1
        example = example.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    whole = f"pid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
    whole += f"http {{\naccess_log off;\n{paths}{example}}}\n"
    (folder / "nginx.conf").write_text(whole)
    (folder / "error.log").touch()
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    if os.geteuid() == 0:
        command[-1] += " user root;"
    process = subprocess.Popen(command)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class ProxyVisitor(Visitor):
    """A visitor at the public address, which leads to the proxy on this machine."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(f"{ORIGIN}/dashboards/", name)
        self.port = port
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE

        class Here(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> object:
                request.host = f"127.0.0.1:{port}"
                request.add_unredirected_header("Host", "figures.example")
                return super().https_open(request)

        self.opener = urllib.request.build_opener(
            Here(context=self.trust), urllib.request.HTTPCookieProcessor(self.jar)
        )

    def connect(self, **options: object) -> websockets.sync.client.ClientConnection:
        options = {"origin": ORIGIN, "ssl": self.trust, "server_hostname": "figures.example"} | {
            "sock": socket.create_connection(("127.0.0.1", self.port)),
            **options,
        }
        return super().connect(**options)


@pytest.fixture
def visitor(proxy: int) -> ProxyVisitor:
    return ProxyVisitor(proxy, "toy")


def test_the_page_shows_the_example_that_is_tested() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    assert EXAMPLE.read_text(encoding="utf-8").strip() in page


def test_a_visit_through_the_proxy(visitor: ProxyVisitor, served: Served) -> None:
    status, page = visitor.ask("view/toy")
    assert status == 200
    assert b"Sign in" in page, "not an endless way back and forth"
    xsrf = next(c.value for c in visitor.jar if c.name == "_xsrf")
    status, page = visitor.ask("login?next=/dashboards/", _xsrf=xsrf, password="a-long-token")
    assert (status, b"Toy dashboard" in page) == (200, True)
    assert all(c.secure for c in visitor.jar if c.name.startswith("username")), "by https only"
    visitor.come()
    dropdown = next(m for m, w in visitor.models.items() if w["model_name"] == "DropdownModel")
    visitor.set(dropdown, index=1)
    visitor.settle()
    assert "Toy: north" in str(visitor.models)
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        visitor.connect(origin="https://evil.example")
    assert visitor.leave() == 204
    assert served.wait_for_kernels(0) == 0


def test_scripts_are_compressed_and_kept(visitor: ProxyVisitor) -> None:
    visitor.ask("?token=a-long-token")
    path = "voila/templates/cx/static/plotly.min.js"
    request = urllib.request.Request(visitor.url + path, headers={"Accept-Encoding": "gzip"})
    with visitor.opener.open(request, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "max-age=31536000" in answer.headers["Cache-Control"]
        assert "immutable" in answer.headers["Cache-Control"]
        assert len(answer.read()) < 2_000_000
