"""The server without a browser: what it opens to whom, and what it does not."""

import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from serving import Served, serving, write_dashboard, write_toy_site

from cxlib.durable import seal
from cxlib.errors import InputError
from cxlib.publish import Snapshot
from cxlib.serve import ServeError, launch, serve_dashboards
from cxlib.serve.launch import read_catalogue
from cxlib.views.shared import figure_widget

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_toy_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def served(site):
    with serving(
        *site, settings={"ready_kernels": 0, "max_visitors": 2, "max_per_visitor": 2}
    ) as running:
        yield running


def ask(url: str, *, opener=None, data: bytes | None = None, method: str | None = None):
    """Ask for a page; return status, headers and text, whatever the status."""
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with (opener or urllib.request.build_opener()).open(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def start_session(served: Served, name: str = "toy"):
    """Open a dashboard, and ask for its session; return its kernel and its cookies."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    status, _, page = ask(f"{served.url}view/{name}", opener=opener)
    assert status == 200, page
    assert "kernelId" not in page
    status, _, live = ask_for_session(served, name, jar, opener)
    assert status == 200, live
    kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', live).group(1)
    return kernel, jar, opener, page + live


def ask_for_session(served: Served, name: str, jar: CookieJar, opener):
    cookie = next(c.value for c in jar if c.name == "_xsrf")
    form = urllib.parse.urlencode({"_xsrf": cookie}).encode()
    return ask(f"{served.url}voila/api/session/{name}", opener=opener, data=form)


def end_session(served: Served, kernel: str, jar: CookieJar, opener) -> int:
    cookie = next(c.value for c in jar if c.name == "_xsrf")
    form = urllib.parse.urlencode({"_xsrf": cookie}).encode()
    return ask(f"{served.url}voila/api/shutdown/{kernel}", opener=opener, data=form)[0]


@pytest.mark.parametrize("ip", ["0.0.0.0", "192.0.2.1", "::"])
def test_other_machines_need_a_token(site, ip: str) -> None:
    with pytest.raises(ServeError, match="give a token"):
        serve_dashboards(site[0], ip=ip, dashboards_dir=site[1])


def test_a_short_token_is_none(site) -> None:
    with pytest.raises(ServeError, match="at least 8 characters"):
        serve_dashboards(site[0], ip="0.0.0.0", token="abc", dashboards_dir=site[1])


def test_an_address_must_be_one(site) -> None:
    with pytest.raises(ServeError, match="'here' is not an address"):
        serve_dashboards(site[0], ip="here", dashboards_dir=site[1])


def test_a_port_in_use_is_said_so(site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServeError, match="cannot be used"):
            serve_dashboards(site[0], port=taken.getsockname()[1], dashboards_dir=site[1])


def test_two_servers_that_start_together_get_a_port_each() -> None:
    """A port is taken when it is chosen, seconds before the server answers there."""
    with (
        closing(launch.take_port("127.0.0.1", None)) as first,
        closing(launch.take_port("127.0.0.1", None)) as second,
    ):
        port = first.getsockname()[1]
        assert port != second.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port} on 127.0.0.1 cannot be used"):
            launch.take_port("127.0.0.1", port)
        # Who comes early waits instead of being turned away.
        socket.create_connection(second.getsockname(), timeout=5).close()
    with pytest.raises(ServeError, match="port 70000"):
        launch.take_port("127.0.0.1", 70000)


def test_a_folder_without_dashboards_is_said_so(site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no dashboard"):
        serve_dashboards(site[0], dashboards_dir=tmp_path)
    write_dashboard(tmp_path / "Not good.ipynb", "# x")
    with pytest.raises(InputError, match=r"Not good\.ipynb"):
        read_catalogue(tmp_path)


def test_widgets_and_server_agree_on_the_address_of_plotly() -> None:
    assert launch.PLOTLY_PATH == figure_widget.PLOTLY_PATH


def test_home_lists_the_dashboards_and_the_date(served: Served) -> None:
    status, headers, page = ask(served.url)
    assert status == 200
    assert "Toy dashboard" in page
    assert "Most customers visit." in page
    assert "Data to 31 December 2025 · published 1 January 2026" in page
    assert "12,340 customers" in page
    assert not re.search(r"<script>", page), "no inline script"
    for name, value in {
        "Content-Security-Policy": "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
    }.items():
        assert value in headers[name]
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in headers["Content-Security-Policy"].split("style-src")[0]
    assert "ornado" not in headers["Server"]


@pytest.mark.parametrize(
    "path",
    [
        "view/nothing",
        "view/..%2f..%2fetc%2fpasswd",
        "voila/files/toy.ipynb",
        "voila/tree/",
        "voila/api/contents",
        "voila/render/toy.ipynb",
        "voila/templates/lab/static/index.css",
        "voila/templates/cx/static/../index.html.j2",
        "voila/labextensions/",
        "api/kernels",
        "api/kernels/00fa3599-2eb4-4a52-8fee-8ebd859171a1",
        "api/contents",
        "api/sessions",
        "terminals/websocket/1",
    ],
)
def test_nothing_else_is_served(served: Served, path: str) -> None:
    status, headers, page = ask(served.url + path)
    assert status in (404, 405)
    assert "Content-Security-Policy" in headers
    for inside in ("Traceback", "site-packages", "/work", "/tmp", "tornado"):
        assert inside not in page


def test_a_dashboard_shows_no_source_and_sets_the_cookie(served: Served) -> None:
    kernel, jar, opener, page = start_session(served)
    assert "Most customers visit." in page
    assert "first_paint" not in page
    assert "FigureWidget(draw" not in page
    assert "jupyter-config-data" in page
    assert not re.search(r"<script>", page), "no inline script"
    assert not re.findall(r'(?:src|href)="https?://', page)
    assert ask(f"{served.url}api/kernels/{kernel}", opener=opener)[0] == 200
    assert ask(f"{served.url}api/kernels/{kernel}", opener=opener, method="DELETE")[0] in (403, 405)
    assert ask(f"{served.url}voila/api/shutdown/{kernel}", data=b"")[0] == 403
    assert end_session(served, kernel, jar, opener) == 204
    assert end_session(served, kernel, jar, opener) == 204, "said twice is no error"
    assert ask(f"{served.url}api/kernels/{kernel}", opener=opener)[0] == 404
    assert served.wait_for_kernels(0) == 0


def test_a_failing_cell_tells_nothing_of_the_inside(served: Served) -> None:
    kernel, jar, opener, page = start_session(served, "broken")
    assert "This part of the dashboard could not be made" in page
    for inside in ("secret_name", "secret_detail", "ValueError", "Traceback", "site-packages"):
        assert inside not in page
    assert end_session(served, kernel, jar, opener) == 204


def test_when_full_the_next_visitor_is_asked_to_wait(served: Served) -> None:
    first = start_session(served)
    kernel, jar, opener, _ = start_session(served, "broken")
    assert "Most customers visit." in ask(f"{served.url}view/toy", opener=opener)[2]
    status, headers, page = ask_for_session(served, "toy", jar, opener)
    assert status == 503
    assert headers["Retry-After"] == "60"
    assert "All places are taken" in page
    assert end_session(served, kernel, jar, opener) == 204
    assert end_session(served, *first[:3]) == 204
    assert ask(f"{served.url}")[0] == 200


# ---- settings ------------------------------------------------------------------------------------


def test_a_token_protects_everything_but_the_look(site) -> None:
    settings = {"ready_kernels": 0, "base_url": "/dash/"}
    with serving(*site, token="a-long-token", settings=settings) as served:
        assert served.url.endswith("/dash/")
        for path in ("", "view/toy", "api/kernels/" + str(uuid.uuid4())):
            status, _, page = ask(served.url + path)
            assert status in (200, 403)
            assert "Toy" not in page
        assert "Sign in" in ask(served.url)[2]
        assert "Toy dashboard" in ask(served.url + "?token=a-long-token")[2]
        assert "Toy dashboard" not in ask(served.url + "?token=a-wrong-token")[2]
        jar = CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        ask(served.url + "login?next=/dash/", opener=opener)
        cookie = next(c.value for c in jar if c.name == "_xsrf")
        for password, expected in (("wrong", False), ("a-long-token", True)):
            form = urllib.parse.urlencode({"_xsrf": cookie, "password": password}).encode()
            page = ask(served.url + "login?next=/dash/", opener=opener, data=form)[2]
            assert ("Toy dashboard" in page) is expected
        assert "a-long-token" not in served.log


def test_an_abandoned_session_ends_and_a_new_snapshot_is_taken_up(site) -> None:
    settings = {"ready_kernels": 1, "grace_seconds": 1}
    workspace, dashboards = site
    with serving(workspace, dashboards, settings=settings) as served:
        assert served.wait_for_kernels(2) == 2, "one ready for each dashboard"
        start_session(served)
        assert served.wait_for_kernels(3, seconds=20) == 3
        assert served.wait_for_kernels(2) == 2, "nobody came back for it"
        ready = {k.pid for k in served.kernels()}
        current = workspace / "published" / "current"
        newer = workspace / "published" / "20260202T000000Z"
        newer.mkdir()
        manifest = Snapshot.open(workspace).manifest
        later = {"published_at": "2026-02-02T00:00:00+00:00"}
        (newer / "manifest.json").write_text(seal(manifest | later))
        current.write_text(newer.name)
        try:
            assert "published 2 February 2026" in ask(served.url)[2]
            assert served.wait_for_kernels(2) == 2
            for _ in range(100):
                if ready.isdisjoint(k.pid for k in served.kernels()):
                    break
                served.wait_for_kernels(-1, seconds=0.5)
            assert ready.isdisjoint(k.pid for k in served.kernels())
            current.write_text("nonsense")
            status, _, page = ask(f"{served.url}view/toy")
            assert status == 503
            assert "Nothing is published yet" in page
        finally:
            current.write_text("20260101T000000Z")
