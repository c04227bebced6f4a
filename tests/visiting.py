"""A visitor without a browser: opens a page over HTTP, its wire over the websocket, and keeps
every byte that comes.
"""

import contextlib
import itertools
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import CookieJar
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROTOCOL = "v1.kernel.websocket.jupyter.org"
CONTROL = "jupyter.widget.control"
NAMES = ("header", "parent_header", "metadata", "content")


def pack(kind: str, content: object, *, channel: str = "shell", name: str = "") -> bytes:
    """Write a kernel message as a browser sends it."""
    header = {
        "msg_id": name or uuid.uuid4().hex,
        "username": "",
        "session": uuid.uuid4().hex,
        "date": "2026-01-01T00:00:00Z",
        "msg_type": kind,
        "version": "5.3",
    }
    metadata = {"version": "1.0.0" if kind == "comm_open" else "2.1.0"}
    said = {"header": header, "parent_header": {}, "metadata": metadata, "content": content}
    parts = [channel.encode(), *(json.dumps(said[name]).encode() for name in NAMES)]
    start = 8 * (len(parts) + 2)
    ends = [start, *(start + end for end in itertools.accumulate(len(p) for p in parts))]
    numbers = [len(ends), *ends]
    return b"".join([*(n.to_bytes(8, "little") for n in numbers), *parts])


def unpack(frame: bytes) -> dict[str, Any]:
    """Read a kernel message as a browser gets it."""
    count = int.from_bytes(frame[:8], "little")
    ends = [int.from_bytes(frame[8 * i : 8 * (i + 1)], "little") for i in range(1, count + 1)]
    parts = [frame[a:b] for a, b in itertools.pairwise(ends)]
    return {name: json.loads(part) for name, part in zip(NAMES, parts[1:5], strict=True)}


class Visitor:
    """Somebody on one dashboard."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.page = ""
        self.kernel = ""
        self.frames: list[bytes] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.wire: ClientConnection | None = None
        self._wires = contextlib.ExitStack()

    def ask(self, path: str, **form: str) -> tuple[int, bytes]:
        """Ask for a page, or send a form; return status and body, whatever the status."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self.opener.open(self.url + path, data, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def come(self) -> None:
        """Open the page, have it given a session, open its wire, and read its widgets' state."""
        status, body = self.ask(f"view/{self.name}")
        self.page = body.decode()
        assert status == 200, self.page
        status, body = self.ask_for_session()
        self.page += body.decode()
        assert status == 200, self.page
        self.kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', self.page).group(1)
        self.connect()
        control = uuid.uuid4().hex
        self.send("comm_open", {"comm_id": control, "target_name": CONTROL, "data": {}})
        self.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}})
        self.read_until(lambda: bool(self.models))

    def ask_for_session(self) -> tuple[int, bytes]:
        """Ask for a session as the script of the page does."""
        return self.ask(f"voila/api/session/{self.name}", _xsrf=self.xsrf)

    @property
    def xsrf(self) -> str:
        """What the page of the visitor may know, and no other site's."""
        return next((c.value for c in self.jar if c.name == "_xsrf"), "")

    def connect(self, **options: Any) -> ClientConnection:
        """Open the wire."""
        path = f"api/kernels/{self.kernel}/channels?session_id=1"
        address = self.url.replace("http", "ws", 1) + path
        options.setdefault("subprotocols", [PROTOCOL])
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)
        options.setdefault("additional_headers", {"Cookie": cookies})
        # As a browser does, it takes in what comes, and answers pings, though nobody reads it yet.
        opened = connect(address, max_size=None, max_queue=None, open_timeout=60, **options)
        self.wire = self._wires.enter_context(opened)
        return self.wire

    def send(self, kind: str, content: object, *, channel: str = "shell") -> None:
        self.wire.send(pack(kind, content, channel=channel))

    def set(self, model: str, **state: object) -> None:
        """Set traits of a widget, as the page does when a visitor changes it."""
        self.models[model]["state"].update(state)
        data = {"method": "update", "state": state, "buffer_paths": []}
        self.send("comm_msg", {"comm_id": model, "data": data})

    def read(self, seconds: float) -> dict[str, Any] | None:
        """Read one message and keep what it says of the widgets; None where none came in time."""
        try:
            frame = self.wire.recv(timeout=seconds)
        except TimeoutError:
            return None
        self.frames.append(frame)
        message = unpack(frame)
        content = message["content"]
        data = content.get("data", {})
        if data.get("method") == "update_states":
            self.models.update(data["states"])
        elif data.get("method") in ("update", "echo_update") and content["comm_id"] in self.models:
            self.models[content["comm_id"]]["state"].update(data["state"])
        return message

    def read_until(self, reached: Callable[[], bool], *, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < until, "it did not come"
            self.read(until - time.monotonic())

    def settle(self, *, seconds: float = 60) -> None:
        """Read until the session has done all that was asked of it, and told of it."""
        name = uuid.uuid4().hex
        self.wire.send(pack("kernel_info_request", {}, name=name))
        until = time.monotonic() + seconds
        while (message := self.read(until - time.monotonic())) is not None:
            ended = message["content"].get("execution_state") == "idle"
            if ended and message["parent_header"].get("msg_id") == name:
                return
        raise AssertionError("the session does not answer")

    def choices(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Everything a visitor could choose on the page, one change after the other."""
        for model, widget in list(self.models.items()):
            state = widget["state"]
            if "_options_labels" in state:
                count = len(state["_options_labels"])
                if isinstance(state.get("index"), list):
                    pairs = [(a, b) for a in range(count) for b in range(a, count)]
                    yield from ((model, {"index": pair}) for pair in pairs)
                    yield model, {"index": (0, count - 1)}
                else:
                    yield from ((model, {"index": i}) for i in [*range(count), 0])
            for key, *_ in state.get("items", []):
                yield from ((model, {"chosen": key}), (model, {"chosen": ""}))
            for name in ("wanted",):
                if name in state:
                    yield model, {name: True}

    def leave(self) -> int:
        """Close the page as a browser does; return the status of its goodbye."""
        self._wires.close()
        return self.ask(f"voila/api/shutdown/{self.kernel}", _xsrf=self.xsrf)[0]


@contextlib.contextmanager
def visiting(url: str, name: str) -> Iterator[Visitor]:
    """Visit a dashboard until the block ends."""
    visitor = Visitor(url, name)
    visitor.come()
    try:
        yield visitor
    finally:
        visitor.leave()
