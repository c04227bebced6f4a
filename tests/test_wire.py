"""The wire between a page and its session, as a visitor with a websocket client would attack it."""

import contextlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from jupyter_client.manager import KernelManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from serving import START, Served, serving, write_dashboard, write_toy_site
from visiting import CONTROL, PROTOCOL, Visitor, pack, unpack, visiting

from cxlib.serve.wire import TOLD, SureConnection, is_permitted, may_leave

pytestmark = pytest.mark.timeout(240)

CALLBACKS = """
import ipywidgets as widgets
from IPython.display import display

secret_name = 1
text = widgets.Text(description="Text")
shown = widgets.HTML("shown")
output = widgets.Output()

def fail(change):
    print("secret_print")
    raise ValueError("secret_detail " + __import__("os").getcwd())

def echo(change):
    shown.value = "set to " + change["new"]

with output:
    display("fine")
number = widgets.IntSlider(description="Number")
number.observe(fail, "value")
text.observe(echo, "value")
widgets.VBox([text, shown, number, output])
"""
INSIDE = ("Traceback", "secret_", "site-packages", "ipykernel", 'File \\"', "cell line")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace, dashboards = write_toy_site(tmp_path_factory.mktemp("site"))
    write_dashboard(dashboards / "callbacks.ipynb", "# Callbacks", CALLBACKS)
    with serving(workspace, dashboards, settings={"ready_kernels": 0}) as running:
        yield running


@pytest.fixture
def visitor(served: Served) -> Iterator[Visitor]:
    with visiting(served.url, "callbacks") as visits:
        yield visits


def model(visitor: Visitor, kind: str) -> str:
    return next(m for m, w in visitor.models.items() if w["model_name"] == kind)


def runs(file: Path) -> dict[str, object]:
    code = f"open({str(file)!r}, 'w')"
    return {"code": code, "silent": False, "store_history": False, "allow_stdin": False}


def attacks(file: Path) -> list[tuple[str, object, str]]:
    """What asks a kernel for something that no page asks for."""
    code = runs(file)
    widget = {"state": {"value": 1}, "buffer_paths": []}
    upload = {"state": {"_model_name": "FileUploadModel", "_model_module": "os"}}
    element = {"state": {"_esm": "export default {render(){}}", "_model_module": "anywidget"}}
    shell: list[tuple[str, object]] = [
        ("execute_request", code),
        ("complete_request", {"code": "imp", "cursor_pos": 3}),
        ("inspect_request", {"code": "open", "cursor_pos": 4, "detail_level": 1}),
        ("history_request", {"hist_access_type": "tail", "n": 10}),
        ("is_complete_request", {"code": "1"}),
        ("create_subshell_request", {}),
        ("list_subshell_request", {}),
        ("usage_request", {}),
        ("connect_request", {}),
        ("abort_request", {}),
        ("comm_open", {"comm_id": "1", "target_name": "made.up", "data": {}}),
        ("comm_open", {"comm_id": "2", "target_name": "jupyter.widget", "data": widget}),
        ("comm_open", {"comm_id": "3", "target_name": "jupyter.widget", "data": upload}),
        ("comm_open", {"comm_id": "4", "target_name": "jupyter.widget", "data": element}),
        ("comm_open", {"comm_id": "5", "target_name": ["jupyter.widget.control"], "data": {}}),
        ("comm_open", {"comm_id": "6", "target_name": "os", "target_module": "os", "data": {}}),
        ("comm_msg", {"comm_id": "7", "data": {"method": "run", "state": {}}}),
        ("comm_msg", {"comm_id": "8", "data": {"method": ["update"], "state": {}}}),
        ("comm_msg", {"comm_id": "9", "data": "no dictionary"}),
        ("comm_msg", {"comm_id": "10", "data": {"method": "update", "state": "none"}}),
        ("made_up_request", {}),
    ]
    control: list[tuple[str, object]] = [
        ("execute_request", code),
        ("debug_request", {"type": "request", "seq": 1, "command": "evaluate"}),
        ("interrupt_request", {}),
        ("shutdown_request", {"restart": True}),
    ]
    return [
        *((kind, content, "shell") for kind, content in shell),
        *((kind, content, "control") for kind, content in control),
        ("execute_request", code, "iopub"),
        ("comm_msg", {"comm_id": "1", "data": {"method": "update", "state": {}}}, "iopub"),
        ("input_reply", {"value": "x"}, "stdin"),
        ("comm_info_request", {}, "stdin"),
    ]


def updates(comm: str, **state: object) -> dict[str, object]:
    return {"comm_id": comm, "data": {"method": "update", "state": state, "buffer_paths": []}}


def malformed() -> list[str | bytes]:
    good = pack("kernel_info_request", {})
    other = json.dumps({"channel": "shell", "header": {"msg_type": "execute_request"}})
    cut = [good[: len(good) * part // 7] for part in range(7)]
    utf16 = pack("kernel_info_request", {}).replace(b'{"msg_id"', '{"msg_id"'.encode("utf-16"))
    deep = b'{"msg_type": "kernel_info_request", "a": ' + b"[" * 100_000
    nested = b"".join([good[:56], b"shell", deep])
    return ["", "{", "[]", "null", other, b"\x00" * 7, b"\xff" * 64, *cut, utf16, nested, good * 2]


# ---- what may pass -------------------------------------------------------------------------------


def test_what_widgets_send_may_pass() -> None:
    for kind, content in [
        ("comm_msg", updates("1", value=1)),
        ("comm_msg", {"comm_id": "1", "data": {"method": "request_states"}}),
        ("comm_msg", {"comm_id": "1", "data": {"method": "custom", "content": {}}}),
        ("comm_open", {"comm_id": "2", "target_name": CONTROL, "data": {}}),
        ("kernel_info_request", {}),
        ("comm_info_request", {"target_name": "jupyter.widget"}),
    ]:
        assert is_permitted(pack(kind, content))
        assert not is_permitted(pack(kind, content).decode("latin-1")), "text is not the protocol"


def test_what_nobody_sends_on_a_page_may_not() -> None:
    for kind, content, channel in attacks(Path("x")):
        assert not is_permitted(pack(kind, content, channel=channel)), (kind, content, channel)
    for message in malformed()[:-1]:
        assert not is_permitted(message), message[:80]


@pytest.mark.parametrize("trait", ["_esm", "_css", "_model_module", "_view_name", "_dom_classes"])
def test_what_a_widget_is_may_not_change(trait: str) -> None:
    assert is_permitted(pack("comm_msg", updates("1", value=1)))
    assert not is_permitted(pack("comm_msg", updates("1", **{trait: "alert(1)", "value": 1})))
    hidden = updates("1", value=1)
    hidden["data"]["buffer_paths"] = [[trait]]
    assert not is_permitted(pack("comm_msg", hidden)), "by the way of its binary parts"


def test_only_what_a_page_needs_leaves() -> None:
    for kind in TOLD:
        assert may_leave(pack(kind, {}, channel="iopub"))
    for kind in ("error", "stream", "execute_input", "execute_reply", "input_request"):
        assert not may_leave(pack(kind, {}, channel="iopub"))
    assert not may_leave("text")
    assert not may_leave(b"")


# ---- tried on a running session ------------------------------------------------------------------


def test_a_visitor_can_run_nothing(visitor: Visitor, tmp_path: Path) -> None:
    written = tmp_path / "pwned"
    for kind, content, channel in attacks(written):
        visitor.send(kind, content, channel=channel)
    for message in malformed()[:-1]:
        visitor.wire.send(message)
    visitor.set(model(visitor, "TextModel"), value="still here")
    visitor.settle()
    assert "set to still here" in str(visitor.models)
    assert not written.exists()
    kinds = {unpack(frame)["header"]["msg_type"] for frame in visitor.frames}
    assert kinds <= TOLD
    before = list(visitor.models)
    visitor.models.clear()
    visitor.connect()
    visitor.send("comm_open", {"comm_id": "again", "target_name": CONTROL, "data": {}})
    visitor.send("comm_msg", {"comm_id": "again", "data": {"method": "request_states"}})
    visitor.read_until(lambda: bool(visitor.models))
    assert sorted(visitor.models) == sorted(before), "no widget was made"


def test_widgets_keep_what_they_are(visitor: Visitor) -> None:
    html, text = model(visitor, "HTMLModel"), model(visitor, "TextModel")
    for trait in ("_view_name", "_model_module", "_dom_classes"):
        visitor.send("comm_msg", updates(html, **{trait: ["alert(1)"]}))
    # Values no page would send: the widget refuses them, or shows them to their sender only.
    for value in (5, None, [1] * 50_000, {"a": {}}, math.inf, "<script>alert(1)</script>" * 1000):
        visitor.send("comm_msg", updates(text, value=value))
    content = {"type": "plotly.js", "path": "../../../../etc/passwd", "event": ["click"]}
    for comm in (html, text, "unknown"):
        data = {"method": "custom", "content": content}
        visitor.send("comm_msg", {"comm_id": comm, "data": data})
    visitor.set(text, value="last")
    visitor.settle()
    assert visitor.models[html]["state"]["value"] == "set to last"
    assert visitor.models[html]["state"]["_view_name"] == "HTMLView"
    traffic = b"".join(visitor.frames).decode("utf-8", "replace")
    assert "root:" not in traffic
    for inside in INSIDE:
        assert inside not in traffic


def test_a_failing_callback_tells_the_page_nothing_of_the_inside(
    served: Served, visitor: Visitor
) -> None:
    visitor.set(model(visitor, "IntSliderModel"), value=5)
    visitor.set(model(visitor, "TextModel"), value="on it goes")
    visitor.settle()
    assert "set to on it goes" in str(visitor.models)
    traffic = b"".join(visitor.frames).decode("utf-8", "replace") + visitor.page
    for inside in (*INSIDE, str(Path.cwd())):
        assert inside not in traffic


def test_one_visitor_cannot_end_or_ask_for_the_session_of_another(
    served: Served, visitor: Visitor
) -> None:
    with visiting(served.url, "callbacks") as other:
        stranger = Visitor(served.url, "callbacks")
        assert stranger.ask(f"voila/api/shutdown/{visitor.kernel}", _xsrf="made-up")[0] == 403
        other.send("shutdown_request", {"restart": False}, channel="control")
        other.set(model(other, "TextModel"), value="mine alone")
        other.settle()
        visitor.settle()
        assert "mine alone" not in str(visitor.frames)
        assert other.kernel not in visitor.page
    assert visitor.ask(f"api/kernels/{visitor.kernel}")[0] == 200
    assert visitor.ask(f"api/kernels/{other.kernel}")[0] == 404


def test_an_oversized_message_ends_the_wire_only(visitor: Visitor) -> None:
    # The server may close while the message is still being sent.
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        visitor.wire.send(b"x" * (2 << 20))
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        while visitor.read(20):
            pass
    assert visitor.wire.close_code == 1009
    assert visitor.ask(f"api/kernels/{visitor.kernel}")[0] == 200
    visitor.connect()
    visitor.settle()


def test_another_site_cannot_open_the_wire(visitor: Visitor) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        visitor.connect(origin="https://evil.example")


@pytest.mark.parametrize("offered", [[], ["made.up"]])
def test_there_is_one_protocol(visitor: Visitor, offered: list[str]) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus, match="400"):
        visitor.connect(subprotocols=offered)
    assert visitor.connect(subprotocols=["made.up", PROTOCOL]).subprotocol == PROTOCOL


def test_a_wire_outlives_its_pings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was once closed at its first ping, which nobody could have answered yet."""
    start = "from cxlib.serve import launch; launch.PING_MS = 1000\n"
    monkeypatch.setattr("serving.START", start + START)
    with (
        serving(*write_toy_site(tmp_path), settings={"ready_kernels": 0}) as served,
        visiting(served.url, "toy") as visitor,
    ):
        until = time.monotonic() + 4
        while time.monotonic() < until:
            visitor.read(0.2)
        visitor.settle()


def test_a_session_that_is_taken_for_busy_is_heard_before_its_wire_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(
        ZMQChannelsWebsocketConnection,
        "nudge",
        lambda self: asked.append(self.kernel_manager.execution_state),
    )
    session = KernelManager()
    session.execution_state = "busy"  # which Jupyter would not ask
    SureConnection(parent=session).nudge()
    assert asked == ["idle"]
