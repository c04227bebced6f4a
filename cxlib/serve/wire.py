"""The wire between a page's widgets and their session, and what may travel on it.

Whatever a page does not need ends here: a visitor's browser is not trusted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import tornado.web
from jupyter_core.utils import ensure_async
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.concurrent import Future
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from cxlib.serve.handlers import SameSite

PROTOCOL = "v1.kernel.websocket.jupyter.org"
LEAST_PARTS, MOST_PARTS = 6, 256
PERMITTED = frozenset(
    {"comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request"}
)
"""What widgets send."""
TOLD = frozenset(
    {"clear_output", "comm_close", "comm_info_reply", "comm_msg", "comm_open", "display_data"}
) | {"kernel_info_reply", "status", "update_display_data"}
"""What a session tells its page: not the text of an error, nor what it writes to its log."""
WIDGET_CONTROL = "jupyter.widget.control"
WIDGET_METHODS = frozenset({"update", "request_state", "request_states", "custom"})


class SureConnection(ZMQChannelsWebsocketConnection):
    """A wire that is open only once what its session tells arrives.

    Jupyter asks no session that it takes for busy. The first answer, with all widgets in it, could
    then be told before anybody listened: on a busy machine some pages never came to life.
    """

    def nudge(self) -> asyncio.Future[None]:
        """Ask the session until it is heard, whatever it is taken for."""
        if self.kernel_manager.execution_state == "busy":
            self.kernel_manager.execution_state = "idle"
        heard: asyncio.Future[None] = super().nudge()
        return heard


class FilteredSocketHandler(SameSite, VoilaKernelWebsocketHandler):
    """The wire of one page."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Refuse without a word: no page is shown where a wire was asked for."""
        self.finish()

    async def get(self, kernel_id: str) -> None:
        """Open the wire to a page of ours that speaks the one protocol that is understood here."""
        if not self.check_origin():
            raise tornado.web.HTTPError(403)
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if PROTOCOL not in (name.strip() for name in offered.split(",")):
            raise tornado.web.HTTPError(400)
        # Counted from here on: until a busy session answers, Jupyter does not count it.
        with self.server.places.wired(kernel_id):
            await ensure_async(super().get(kernel_id))

    def on_message(self, message: str | bytes) -> None:
        """Pass on a message that widgets send."""
        if self.connection is not None and is_permitted(message):
            super().on_message(message)
        else:
            self.log.warning("dropped a message that a dashboard page does not send")

    def write_message(
        self, message: bytes | str | dict[str, Any], binary: bool = False
    ) -> Future[None] | None:
        """Send a message that a page needs."""
        if not may_leave(message):
            return None
        sent: Future[None] = super().write_message(message, binary)
        return sent


def is_permitted(message: str | bytes) -> bool:
    """Whether a message from a browser is one that the widgets of a page send.

    Only widget messages and the questions that precede them pass; running, completing or inspecting
    code, restarting, debugging and answering prompts do not, nor does anything that cannot be read.
    Of a widget only what a visitor sets may change: traits whose names start with ``_`` say what
    the widget is, its code among them.
    """
    try:
        channel, parts = _parts(message)
        kind = _read(parts[0])["msg_type"]
        content = _read(parts[3])
        if channel not in ("shell", "control") or kind not in PERMITTED:
            return False
        if kind == "comm_open":
            return bool(content["target_name"] == WIDGET_CONTROL)
        if kind == "comm_msg":
            data, state = content["data"], content["data"].get("state", {})
            if data["method"] not in WIDGET_METHODS or data.get("buffer_paths"):
                return False
            return isinstance(state, dict) and not any(name.startswith("_") for name in state)
    except Exception:
        # What cannot be read is not passed on, whatever is wrong with it.
        return False
    return True


def may_leave(message: object) -> bool:
    """Whether a message from a session is one that its page needs."""
    try:
        return _read(_parts(message)[1][0])["msg_type"] in TOLD
    except Exception:
        return False


def _read(part: bytes) -> Any:
    # Not by `json.loads` alone: it would guess at encodings that nobody further on guesses at.
    return json.loads(part.decode("utf-8"))


def _parts(message: object) -> tuple[str, list[bytes]]:
    """Take a binary message apart; what jupyter_server does believes any number of parts.

    It would count to 2**64, and stand still, on eight bytes of 255.
    """
    if not isinstance(message, bytes):
        raise TypeError("text where bytes were agreed on")
    count = int.from_bytes(message[:8], "little")
    if not MOST_PARTS >= count >= LEAST_PARTS or len(message) < 8 * (count + 1):
        raise ValueError("not a kernel message")
    ends = [int.from_bytes(message[8 * i : 8 * (i + 1)], "little") for i in range(1, count + 1)]
    if ends != sorted(ends) or ends[-1] > len(message):
        raise ValueError("not a kernel message")
    cut = [message[a:b] for a, b in itertools.pairwise(ends)]
    return cut[0].decode("utf-8"), cut[1:]
