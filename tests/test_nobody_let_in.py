"""Attacks on the door: other names, guessed tokens, stolen cookies, and what the log says."""

import asyncio
import base64
import logging
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Served, serving, write_toy_site
from tornado.httputil import HTTPHeaders

from cxlib.errors import InputError
from cxlib.serve.hosts import Hosts, host_name, public_origin
from cxlib.serve.log import SafeFormatter
from cxlib.serve.signin import (
    ADDRESSES,
    WAITING_OF_ALL,
    WAITING_OF_ONE,
    Attempts,
    TooManyAttemptsError,
)

pytestmark = pytest.mark.timeout(240)

TOKEN = "a-long token/ü"
PUBLIC = "https://figures.example"
OTHER = "http://second.example:8080"
KERNEL = "00fa3599-2eb4-4a52-8fee-8ebd859171a1"
KEY = base64.b64encode(b"0123456789abcdef").decode()
UPGRADE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_toy_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def opened(site) -> Iterator[Served]:
    with serving(*site, settings={"ready_kernels": 0}) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(site) -> Iterator[Served]:
    settings = {"ready_kernels": 0, "public_url": [PUBLIC, OTHER]}
    with serving(*site, token=TOKEN, settings=settings) as running:
        yield running


def port_of(served: Served) -> int:
    return int(re.search(r":(\d+)/", served.url).group(1))


def raw(served: Served, path: str, *lines: str, method: str = "GET", body: str = "") -> str:
    """Send a request as it stands; return the whole answer."""
    head = [f"{method} {path} HTTP/1.1", *lines, "Connection: close"]
    if body:
        head += [
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body.encode())}",
        ]
    with socket.create_connection(("127.0.0.1", port_of(served)), timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", body]).encode())
        return read_all(connection)


def read_all(connection: socket.socket) -> str:
    parts = b""
    while part := connection.recv(65536):
        parts += part
        head, ended, body = parts.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if ended and length and len(body) >= int(length[1]):
            break
    return parts.decode("utf-8", "replace")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


def cookies(answer: str) -> SimpleCookie:
    found = SimpleCookie()
    for line in re.findall(r"(?im)^set-cookie: (.*?)\r$", answer):
        found.load(line)
    return found


# ---- names ---------------------------------------------------------------------------------------

FOREIGN = [
    ["Host: evil.example"],
    ["Host: evil.example:{port}"],
    ["Host: localhost.evil.example"],
    ["Host: evil.example.localhost"],
    ["Host: 127.0.0.1.evil.example"],
    ["Host: 127.0.0.1@evil.example"],
    ["Host: localhost@evil.example:80"],
    ["Host: user@localhost"],
    ["Host: localhost:x"],
    ["Host: localhost:99999"],
    ["Host: localhost:0"],
    ["Host: localhost/evil.example"],
    ["Host: localhost, evil.example"],
    ["Host: localhost", "Host: evil.example"],
    ["Host: evil.example", "Host: localhost"],
    ["Host: localhost", "Host: localhost"],
    ["Host: [::ffff:192.0.2.1]"],
    ["Host: [::1%25eth0]"],
    ["Host: 192.0.2.1"],
    ["Host: 0.0.0.0:{port}"],
    ["Host: 2130706433"],
    ["Host: 127.1"],
    ["Host: 0x7f000001"],
    ["Host: "],
    ["Host: ."],
    ["Host: [::1"],
    ["Host: LOCALHOST.."],
    ["X-Forwarded-Host: localhost"],
    ["X-Forwarded-Host: localhost", "Host: evil.example"],
    [],
]
OWN = [
    "localhost",
    "LocalHost.",
    "localhost:{port}",
    "127.0.0.1:{port}",
    "127.0.0.2",
    "[::1]:{port}",
]
WIRE = f"/api/kernels/{KERNEL}/channels"


@pytest.mark.parametrize("lines", FOREIGN, ids=repr)
@pytest.mark.parametrize("known", [False, True], ids=["without token", "with token"])
def test_no_other_name_is_answered(opened: Served, guarded: Served, lines, known: bool) -> None:
    served = guarded if known else opened
    query = "?token=" + urllib.parse.quote(TOKEN, "") if known else ""
    sent = [line.replace("{port}", str(port_of(served))) for line in lines]
    for path, more in (("/", []), ("/view/toy", []), ("/nothing", []), (WIRE, UPGRADE)):
        answer = raw(served, path + query, *sent, *more)
        assert status(answer) == 421, path
        assert "Toy" not in answer
        assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "http://localhost/", "evil.example:80", "*"]
)
def test_a_name_in_the_first_line_is_not_believed(opened: Served, target: str) -> None:
    assert status(raw(opened, target, "Host: localhost")) in (400, 421)


@pytest.mark.parametrize("host", OWN)
def test_own_names_are_answered(opened: Served, guarded: Served, host: str) -> None:
    line = "Host: " + host.replace("{port}", str(port_of(opened)))
    assert "Toy dashboard" in raw(opened, "/", line)
    assert status(raw(opened, WIRE, line, *UPGRADE)) == 404, "it answers, and has no such session"
    assert status(raw(guarded, "/", line)) == 302, "to the sign-in"


def test_public_names_are_answered_where_they_are_given(opened: Served, guarded: Served) -> None:
    for host in ("figures.example", "FIGURES.example.:443", "second.example:8080"):
        assert status(raw(guarded, "/login", f"Host: {host}")) == 200
        assert status(raw(opened, "/", f"Host: {host}")) == 421


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        (PUBLIC, "figures.example", 404),
        (OTHER, "second.example", 404),
        ("http://localhost:1", "localhost:1", 404),
        ("http://localhost:1", "localhost:2", 403),
        ("http://figures.example", "figures.example", 403),
        ("https://evil.example", "figures.example", 403),
        ("https://figures.example.evil.example", "figures.example", 403),
        ("null", "figures.example", 403),
        ("", "figures.example", 403),
    ],
)
def test_a_wire_opens_to_own_pages_only_token_or_not(
    guarded: Served, origin: str, host: str, expected: int
) -> None:
    query = "?token=" + urllib.parse.quote(TOKEN, "")
    answer = raw(guarded, WIRE + query, f"Host: {host}", f"Origin: {origin}", *UPGRADE)
    assert status(answer) == expected
    assert "Access-Control-Allow-Origin" not in raw(
        guarded, "/" + query, f"Host: {host}", f"Origin: {origin}"
    )


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_only_what_is_a_name_is_one(text: str) -> None:
    for authority in (text, f"localhost{text}", f"{text}localhost", f"[::1]{text}"):
        if host_name(authority) in ("localhost", "::1"):
            assert re.fullmatch(r"(localhost\.?|\[[:01]+\])(:[0-9]{1,5})?", authority.lower())
    hosts = Hosts.of("127.0.0.1", [], [])
    assert not hosts.permits(HTTPHeaders({"Host": f"{text}.evil.example"}), "127.0.0.1")


def test_the_address_listened_on_is_its_own_name() -> None:
    hosts = Hosts.of("0.0.0.0", [], [])
    for host in ("192.0.2.7", "192.0.2.7:80", "0.0.0.0:8866"):
        assert hosts.permits(HTTPHeaders({"Host": host}), "192.0.2.7")
    assert not hosts.permits(HTTPHeaders({"Host": "192.0.2.8"}), "192.0.2.7")
    assert Hosts.of("::", [], []).permits(HTTPHeaders({"Host": "[2001:DB8:0::7]"}), "2001:db8::7")


@pytest.mark.parametrize(
    "url", ["figures.example", "ftp://a.example", "https://", "https://u@a.example", "https://a:x"]
)
def test_a_public_address_must_be_one(url: str) -> None:
    with pytest.raises(InputError, match="no address of a site"):
        public_origin(url)
    assert public_origin("HTTPS://Bücher.example:443/x/") == "https://xn--bcher-kva.example"


def test_only_a_proxy_is_believed_and_only_its_own_word() -> None:
    headers = HTTPHeaders(
        {"X-Forwarded-For": "198.51.100.1, 203.0.113.5", "X-Forwarded-Proto": "https"}
    )
    headers["X-Real-IP"] = "198.51.100.9"
    believed = Hosts.of("127.0.0.1", [PUBLIC], ["127.0.0.1", "10.0.0.2"])
    assert believed.visitor("127.0.0.1", headers) == "203.0.113.5"
    assert believed.visitor("192.0.2.66", headers) == "192.0.2.66"
    headers["X-Forwarded-For"] = "198.51.100.1, 203.0.113.5, 10.0.0.2"
    assert believed.visitor("::ffff:127.0.0.1", headers) == "203.0.113.5", "two proxies"
    assert believed.protocol("127.0.0.1", headers) == "https"
    assert believed.protocol("192.0.2.66", headers) == "http"
    alone = Hosts.of("127.0.0.1", [], ["127.0.0.1"])
    assert alone.visitor("127.0.0.1", headers) == "127.0.0.1"
    assert alone.protocol("127.0.0.1", headers) == "http"


# ---- guesses -------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def test_wrong_attempts_take_longer_and_longer_and_are_forgotten() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock, sleep=clock.sleep)

    async def takes(address: str, right: bool) -> float:
        before = clock.now
        assert await attempts.is_right(address, lambda: right) is right
        return round(clock.now - before, 6)

    async def visit() -> None:
        took = [await takes("192.0.2.1", False) for _ in range(12)]
        assert took == sorted(took)
        assert took[0] < 0.2
        assert took[-1] > 1
        assert await takes("192.0.2.1", True) == 0, "the right one waits for nothing"
        assert await takes("192.0.2.2", False) == took[0], "others are not punished for it"
        assert await takes("2001:db8::1", False) == took[0]
        assert await takes("2001:db8::ffff:1", False) > took[0], "one network, one visitor"
        clock.now += 601
        assert await takes("192.0.2.1", False) == took[0]
        for i in range(3 * ADDRESSES):
            await takes(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", False)
        assert len(attempts) <= ADDRESSES

    asyncio.run(visit())


def test_the_right_one_comes_in_while_all_others_guess() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock, sleep=clock.sleep)
    checked = refused = 0

    async def guess(address: str) -> None:
        nonlocal checked, refused

        def check() -> bool:
            nonlocal checked
            checked += 1
            return False

        try:
            assert not await attempts.is_right(address, check)
        except TooManyAttemptsError:
            refused += 1

    async def attack() -> None:
        others = [f"10.0.0.{i}" for i in range(12)]
        flood = [asyncio.create_task(guess(a)) for a in others for _ in range(100)]
        await asyncio.sleep(0)
        assert attempts._waiting <= WAITING_OF_ALL
        started = clock.now
        assert await attempts.is_right("192.0.2.1", lambda: True)
        assert clock.now - started < WAITING_OF_ALL * 0.05
        await asyncio.gather(*flood)

    asyncio.run(attack())
    assert checked == 12 * WAITING_OF_ONE
    assert refused == 12 * (100 - WAITING_OF_ONE)
    assert clock.now > checked * 0.05, "all together no faster than the pause of all"


def test_guesses_are_slowed_in_every_way_they_can_be_made(guarded: Served) -> None:
    line = "Host: localhost"
    started = time.monotonic()
    for path, more in (
        ("/?token=a-wrong-token", []),
        ("/view/toy?token=a-wrong-token", []),
        (WIRE + "?token=a-wrong-token", UPGRADE),
        ("/", ["Authorization: token a-wrong-token"]),
        ("/", ["Authorization: Bearer a-wrong-token"]),
        ("/login?token=a-wrong-token", []),
    ):
        answer = raw(guarded, path, line, *more)
        assert "Toy" not in answer
    assert time.monotonic() - started > 3
    with ThreadPoolExecutor(40) as pool:
        tries = [pool.submit(raw, guarded, "/?token=guess", line) for _ in range(40)]
        time.sleep(1)
        sent = time.monotonic()
        right = sign_in(guarded)
        assert time.monotonic() - sent < 40
        statuses = {status(t.result()) for t in tries}
    assert "username" in str(right)
    assert statuses == {302, 429}


def sign_in(served: Served, *lines: str, host: str = "localhost") -> SimpleCookie:
    """Come in by the form, however long the queue is; return the cookies."""
    first = cookies(raw(served, "/login", f"Host: {host}", *lines))
    xsrf = first["_xsrf"].value
    form = urllib.parse.urlencode({"_xsrf": xsrf, "password": TOKEN})
    for _ in range(60):
        given = [f"Host: {host}", f"Cookie: _xsrf={xsrf}", *lines]
        answer = raw(served, "/login", *given, method="POST", body=form)
        if status(answer) != 429:
            break
        assert "Retry-After" in answer
        time.sleep(0.5)
    assert status(answer) == 302, answer
    return cookies(answer)


# ---- cookies, and the way out --------------------------------------------------------------------


def test_cookies_stay_on_the_site_and_on_tls(guarded: Served) -> None:
    for host, lines, secure in (
        ("localhost", [], False),
        ("second.example", [], False),
        ("second.example", ["X-Forwarded-Proto: https"], True),
        ("figures.example", [], True),
        ("figures.example", ["X-Forwarded-Proto: http"], True),
    ):
        page = raw(guarded, "/login", f"Host: {host}", *lines)
        for jar in (cookies(page), sign_in(guarded, *lines, host=host)):
            assert jar, host
            for cookie in jar.values():
                assert cookie["samesite"] == "Lax"
                assert bool(cookie["secure"]) is secure
                assert cookie["httponly"] or cookie.key == "_xsrf"


def test_signing_out_ends_the_session_and_every_copy_of_its_cookie(guarded: Served) -> None:
    jar = sign_in(guarded)
    stolen = "Cookie: " + "; ".join(f"{c.key}={c.coded_value}" for c in jar.values())
    other = sign_in(guarded)
    kept = "Cookie: " + "; ".join(f"{c.key}={c.coded_value}" for c in other.values())
    assert "Toy dashboard" in raw(guarded, "/", "Host: localhost", stolen)
    answer = raw(guarded, "/logout", "Host: localhost", stolen)
    assert status(answer) == 200
    assert "You are signed out" in answer
    assert re.search(r"(?i)set-cookie: username[^\r]*expires", answer)
    assert status(raw(guarded, "/", "Host: localhost", stolen)) == 302
    assert status(raw(guarded, WIRE, "Host: localhost", stolen, *UPGRADE)) == 403
    assert "Toy dashboard" in raw(guarded, "/", "Host: localhost", kept), "not anybody else's"


def test_signing_out_is_answered_where_nobody_has_to_sign_in(
    opened: Served, guarded: Served
) -> None:
    for served in (opened, guarded):
        assert status(raw(served, "/logout", "Host: localhost")) == 200


# ---- the log -------------------------------------------------------------------------------------


def test_no_token_stands_in_the_log(guarded: Served) -> None:
    quoted = [urllib.parse.quote(TOKEN, ""), urllib.parse.quote_plus(TOKEN)]
    for value in (*quoted, "a-lost-secret"):
        for path in ("/nothing", "/view/nothing", f"/api/kernels/{KERNEL}", "/voila/templates/cx/"):
            lines = [
                "Host: localhost",
                f"Referer: http://localhost/?token={value}",
                f"Authorization: token {value}",
            ]
            assert status(raw(guarded, f"{path}?token={value}", *lines)) in (302, 403, 404, 429)
        raw(guarded, f"/%00?token={value}", "Host: localhost")
        raw(guarded, f"/?token={value}", "Host: evil.example")
        raw(guarded, f"/?token={value}&token=%ff", "Host: localhost", method="POST")
        raw(guarded, WIRE + f"?token={value}", "Host: localhost", "Origin: null", *UPGRADE)
    raw(guarded, "/nothing%1b%5b31m%0aforged", "Host: localhost")
    time.sleep(0.5)
    assert re.search(r"404 GET /nothing", guarded.log), "refusals are logged"
    assert re.search(r"421 evil.example", guarded.log)
    for secret in (TOKEN, *quoted, "a-lost-secret"):
        assert secret not in guarded.log
    assert "\x1b" not in guarded.log


def test_tracebacks_too_are_written_without_secrets() -> None:
    written = SafeFormatter([TOKEN])
    try:
        raise ValueError(f"/?token={TOKEN}&x=1 password='other' \x1b[31m")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", 40, "x", 1, "at %s", (f"?token={TOKEN}",), info)
    text = written.format(record)
    assert "ValueError" in text
    assert TOKEN not in text
    assert "other" not in text
    assert "\x1b" not in text
