"""Sessions are given to pages that ask for them, a few to each visitor, and taken back."""

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Served, serving, write_toy_site
from visiting import Visitor

from cxlib.serve.launch import ServerSettings
from cxlib.serve.sessions import Places, machine_memory

pytestmark = pytest.mark.timeout(240)

LIMITS = {
    "ready_kernels": 0,
    "max_visitors": 3,
    "max_per_visitor": 2,
    "wire_seconds": 3,
    "public_url": "http://figures.example",
}
NEAR, FAR = "198.51.100.1", "203.0.113.5"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = write_toy_site(tmp_path_factory.mktemp("site"))
    with serving(*site, settings=LIMITS, token="a-long-token") as running:
        yield running


def visitor(served: Served, address: str = NEAR) -> Visitor:
    """Somebody who signed in and is on the page, but was given no session yet."""
    came = Visitor(served.url, "toy")
    came.opener.addheaders = [("X-Forwarded-For", f"192.0.2.1, {address}")]
    assert came.ask("view/toy?token=a-long-token")[0] == 200
    return came


def test_looking_starts_no_process(served: Served) -> None:
    came = visitor(served)
    for path in ("view/toy", "view/toy/", "view/broken", "", "view/toy?region=north") * 12:
        status, body = came.ask(path)
        assert status == 200
        assert b"kernelId" not in body
    assert came.ask("voila/api/session/toy")[0] in (403, 404, 405), "nor does asking by a GET"
    assert came.ask("voila/render/toy.ipynb")[0] == 404
    time.sleep(1)
    assert served.kernels() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Cookie": "_xsrf=guessed"},
        {"Host": "evil.example"},
    ],
    ids=repr,
)
def test_only_the_page_itself_may_ask(served: Served, headers: dict[str, str]) -> None:
    came = visitor(served)
    given = {"Cookie": "; ".join(f"{c.name}={c.value}" for c in came.jar)} | headers
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | given).items()]
    body = f"_xsrf={came.xsrf}"
    lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    host, port = served.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        path = "POST /voila/api/session/toy HTTP/1.1"
        connection.sendall("\r\n".join([path, *lines, "", body]).encode())
        status = int(connection.recv(4096).split()[1])
    assert status in (403, 404, 421)
    assert came.ask("voila/api/session/toy", _xsrf="")[0] == 403
    assert Visitor(served.url, "toy").ask_for_session()[0] == 403
    assert served.kernels() == []


def test_a_session_whose_page_opens_no_wire_is_ended_within_seconds(served: Served) -> None:
    came = visitor(served)
    assert came.ask_for_session()[0] == 200
    assert served.wait_for_kernels(1, seconds=5) == 1
    asked = time.monotonic()
    assert served.wait_for_kernels(0, seconds=20) == 0
    assert time.monotonic() - asked < 15


def test_a_page_with_a_wire_keeps_its_session(served: Served) -> None:
    came = visitor(served)
    came.come()
    time.sleep(8)
    came.settle()
    assert len(served.kernels()) == 1
    assert came.leave() == 204
    assert served.wait_for_kernels(0) == 0


def test_who_goes_before_the_answer_leaves_no_process(served: Served) -> None:
    came = visitor(served)
    cookies = "; ".join(f"{c.name}={c.value}" for c in came.jar)
    host, port = served.url.split("/")[2].split(":")
    for _ in range(2):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = (
                "POST /voila/api/session/toy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                f"Cookie: {cookies}\r\nX-XSRFToken: {came.xsrf}\r\n\r\n"
            )
            connection.sendall(head.encode())
            time.sleep(0.2)
    assert served.wait_for_kernels(0, seconds=30) == 0
    came.come()
    assert came.leave() == 204


def test_no_visitor_takes_all_places(served: Served) -> None:
    with ExitStack() as leaving:

        def come(address: str) -> Visitor:
            came = visitor(served, address)
            came.come()
            leaving.callback(came.leave)
            return came

        come(NEAR)
        come(NEAR)
        greedy = visitor(served, NEAR)
        status, body = greedy.ask_for_session()
        assert status == 503
        assert b"All places are taken" in body
        come(FAR)
        assert visitor(served, FAR).ask_for_session()[0] == 503, "all three are taken"
        assert greedy.ask("view/toy")[0] == 200, "the published view is there for everybody"
        assert len(served.kernels()) == 3
    assert served.wait_for_kernels(0) == 0


def test_signing_out_ends_the_sessions_of_its_pages(served: Served) -> None:
    one, other = visitor(served), visitor(served, FAR)
    one.come()
    other.come()
    assert one.ask("logout")[0] == 200
    assert served.wait_for_kernels(1, seconds=10) == 1
    other.settle()
    assert other.leave() == 204


def test_a_flood_of_looks_leaves_the_server_free(served: Served) -> None:
    """What 24 of them once did: everybody else was shut out for a minute."""
    flood = []
    for _ in range(40):
        flood.append(socket.create_connection(served.url.split("/")[2].split(":"), timeout=60))
        flood[-1].sendall(b"GET /view/toy?token=a-long-token HTTP/1.1\r\nHost: localhost\r\n\r\n")
    came = visitor(served, FAR)
    came.come()
    assert len(served.kernels()) == 1
    for connection in flood:
        connection.close()
    assert came.leave() == 204
    with urllib.request.urlopen(served.url + "login", timeout=60) as answer:
        assert answer.status == 200


# ---- counting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory_gb", "each_mb", "waiting", "most"),
    [
        (64, 512, 2, 20),
        (8, 512, 2, 10),
        (4, 512, 2, 4),
        (1, 512, 2, 1),
        (8, 0, 2, 20),
        (None, 9, 0, 20),
    ],
)
def test_the_machine_holds_all_sessions(memory_gb, each_mb, waiting, most) -> None:
    memory = None if memory_gb is None else memory_gb << 30
    places = Places(ServerSettings(kernel_memory_mb=each_mb), waiting=waiting, memory=memory)
    assert places.most == most
    assert places.most_of_one == (most + 1) // 2
    if each_mb and memory and most > 1:
        assert (most + waiting) * each_mb << 20 <= memory * 0.75


def test_the_memory_of_this_machine_is_known() -> None:
    found = machine_memory()
    assert found is None or found > 1 << 28


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=40))
def test_never_more_than_there_may_be_and_none_alone_for_long(steps) -> None:
    now = [0.0]
    settings = ServerSettings(max_visitors=4, max_per_visitor=2, wire_seconds=3, grace_seconds=7)
    places = Places(settings, clock=lambda: now[0])
    running: dict[str, tuple[str, float, bool]] = {}
    wires = ExitStack()
    for number, (who, passes, opens) in enumerate(steps):
        now[0] += passes
        ended = places.abandoned(set(running))
        due = {k for k, (_, at, wire) in running.items() if not wire and now[0] - at > 3}
        assert set(ended) == due
        for kernel in ended:
            places.free(kernel)
            del running[kernel]
        mine = sum(visitor == who for visitor, _, _ in running.values())
        assert places.are_left(who) == (len(running) < 4 and mine < 2)
        if places.are_left(who):
            with places.arriving(who):
                places.give(str(number), visitor=who, user=who)
            if opens:
                wires.enter_context(places.wired(str(number)))
            running[str(number)] = (who, now[0], opens)
    wires.close()
    places.abandoned(set(running))
    now[0] += 8
    assert set(places.abandoned(set(running))) == set(running), "all pages have gone"
