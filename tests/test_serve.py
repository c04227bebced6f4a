"""The server without a browser: what it opens to whom, and what it does not."""

import asyncio
import contextlib
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import websockets
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from serving import Served, serving, write_dashboard, write_toy_site

from cxlib.errors import InputError
from cxlib.panels import figure_widget
from cxlib.serve import ServeError, launch, serve_dashboards
from cxlib.serve.catalogue import read_catalogue
from cxlib.serve.handlers import BINARY_PROTOCOL, is_permitted

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_toy_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def served(site):
    with serving(*site, settings={"ready_kernels": 0, "max_visitors": 2}) as running:
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
    """Open a dashboard as a browser without scripts would; return its kernel and its cookies."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    status, _, page = ask(f"{served.url}view/{name}", opener=opener)
    assert status == 200, page
    kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', page).group(1)
    return kernel, jar, opener, page


@pytest.fixture(scope="module")
def session(served: Served):
    """One session that the tests of the wire share; none of them may end it."""
    kernel, jar, opener, _ = start_session(served)
    yield kernel, opener
    assert end_session(served, kernel, jar, opener) == 204


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
    assert "script" not in page
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
        "voila/render/nothing.ipynb",
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


# ---- what a visitor's browser could send ---------------------------------------------------------


def message(kind: str, content: object, *, channel: str = "shell") -> dict:
    header = {
        "msg_id": uuid.uuid4().hex,
        "username": "",
        "session": uuid.uuid4().hex,
        "date": "2026-01-01T00:00:00Z",
        "msg_type": kind,
        "version": "5.3",
    }
    return {
        "channel": channel,
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
    }


MALFORMED = ("", "{", "[]", "null", '{"channel": "shell"}', b"\x00" * 7, b"\xff" * 64)
CODE = {
    "code": "open('{file}', 'w')",
    "silent": False,
    "store_history": False,
    "allow_stdin": False,
}


def attacks(file: Path) -> list[dict]:
    code = {**CODE, "code": CODE["code"].format(file=file)}
    widget = {"state": {"value": 1}, "buffer_paths": []}
    return [
        message("execute_request", code),
        message("execute_request", code, channel="control"),
        message("execute_request", code, channel="iopub"),
        message("complete_request", {"code": "imp", "cursor_pos": 3}),
        message("inspect_request", {"code": "open", "cursor_pos": 4, "detail_level": 1}),
        message("history_request", {"hist_access_type": "tail", "n": 10}),
        message("is_complete_request", {"code": "1"}),
        message(
            "debug_request", {"type": "request", "seq": 1, "command": "evaluate"}, channel="control"
        ),
        message("interrupt_request", {}, channel="control"),
        message("shutdown_request", {"restart": True}, channel="control"),
        message("input_reply", {"value": "x"}, channel="stdin"),
        message("comm_open", {"comm_id": "1", "target_name": "made.up", "data": {}}),
        message("comm_open", {"comm_id": "2", "target_name": "jupyter.widget", "data": widget}),
        message("comm_msg", {"comm_id": "3", "data": {"method": "run", "state": {}}}),
        message("comm_msg", {"comm_id": "4", "data": "no dictionary"}),
    ]


def test_only_what_widgets_send_is_permitted() -> None:
    def binary(one: dict) -> bytes:
        names = ("header", "parent_header", "metadata", "content")
        return serialize_msg_to_ws_v1([json.dumps(one[n]).encode() for n in names], one["channel"])

    state = {"comm_id": "1", "data": {"method": "update", "state": {"value": 1}}}
    control = {"comm_id": "2", "target_name": "jupyter.widget.control", "data": {}}
    good = [
        message("comm_msg", state),
        message("comm_open", control),
        message("kernel_info_request", {}),
        message("comm_info_request", {"target_name": "jupyter.widget"}),
    ]
    for one in good:
        assert is_permitted(json.dumps(one), None)
        assert is_permitted(binary(one), BINARY_PROTOCOL)
        assert not is_permitted(json.dumps(one).encode(), None), "read otherwise further on"
        assert not is_permitted(json.dumps(one), BINARY_PROTOCOL)
    for one in attacks(Path("x")):
        assert not is_permitted(json.dumps(one), None)
        assert not is_permitted(binary(one), BINARY_PROTOCOL)
    for malformed in MALFORMED:
        assert not is_permitted(malformed, None)
        assert not is_permitted(malformed, BINARY_PROTOCOL)


@pytest.mark.parametrize("protocol", [None, "v1.kernel.websocket.jupyter.org"])
def test_a_visitor_can_run_nothing(
    served: Served, session, tmp_path: Path, protocol: str | None
) -> None:
    kernel, opener = session
    written = tmp_path / "pwned"
    address = served.url.replace("http", "ws") + f"api/kernels/{kernel}/channels"

    def packed(one: dict) -> str | bytes:
        if protocol is None:
            return json.dumps(one)
        parts = [
            json.dumps(one[p]).encode() for p in ("header", "parent_header", "metadata", "content")
        ]
        return serialize_msg_to_ws_v1(parts, one["channel"])

    async def attack() -> list[str]:
        answers = []
        subprotocols = [protocol] if protocol else None
        async with websockets.connect(address, subprotocols=subprotocols) as socket_:
            for one in attacks(written):
                await socket_.send(packed(one))
            for malformed in MALFORMED:
                await socket_.send(malformed)
            # What a page does ask is answered: the wire is alive, and the rest was dropped.
            asked = message("kernel_info_request", {})
            await socket_.send(packed(asked))
            while True:
                answer = await asyncio.wait_for(socket_.recv(), 30)
                text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
                answers.append(text)
                if "kernel_info_reply" in text:
                    break
            await asyncio.sleep(1)
        return answers

    answers = "\n".join(asyncio.run(attack()))
    assert not written.exists()
    for reply in (
        "execute_reply",
        "complete_reply",
        "inspect_reply",
        "history_reply",
        "debug_reply",
        "shutdown_reply",
        "execute_input",
    ):
        assert reply not in answers
    assert ask(f"{served.url}api/kernels/{kernel}", opener=opener)[0] == 200, "and still running"


def test_an_oversized_message_ends_the_wire_only(served: Served, session) -> None:
    kernel, opener = session
    address = served.url.replace("http", "ws") + f"api/kernels/{kernel}/channels"

    async def send() -> int:
        async with websockets.connect(address) as wire:
            # the server may close while the message is still being sent
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                await wire.send("x" * (2 << 20))
            await asyncio.wait_for(wire.wait_closed(), 20)
            return wire.close_code

    assert asyncio.run(send()) == 1009
    assert ask(f"{served.url}api/kernels/{kernel}", opener=opener)[0] == 200


def test_another_site_cannot_open_the_wire(served: Served, session) -> None:
    kernel, _ = session
    address = served.url.replace("http", "ws") + f"api/kernels/{kernel}/channels"

    async def connect() -> None:
        async with websockets.connect(address, origin="https://evil.example"):
            pass

    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        asyncio.run(connect())


def test_when_full_the_next_visitor_is_asked_to_wait(served: Served, session) -> None:
    kernel, jar, opener, _ = start_session(served, "broken")
    status, headers, page = ask(f"{served.url}view/toy")
    assert status == 503
    assert headers["Retry-After"] == "60"
    assert "All places are taken" in page
    assert end_session(served, kernel, jar, opener) == 204
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
    settings = {"ready_kernels": 1, "grace_seconds": 5}
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
        manifest = (workspace / "published" / "20260101T000000Z" / "manifest.json").read_text()
        (newer / "manifest.json").write_text(manifest.replace("2026-01-01", "2026-02-02"))
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
