"""Ten visitors at once, over HTTP and websocket: no errors, small sessions, nothing left behind."""

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from serving import START, Served, serving, write_toy_site
from visiting import Visitor

from cxlib.serve import texts

VISITORS = 10
STAYS = float(os.environ.get("CX_VISIT_SECONDS", "10"))
"""How long ten visitors stay; ten minutes before a release: CX_VISIT_SECONDS=600."""
LIMITS = {
    "ready_kernels": 1,
    "max_per_visitor": VISITORS,
    "kernel_memory_mb": 256,
    "wire_seconds": 30,
}

pytestmark = [
    pytest.mark.timeout(240 + 3 * STAYS),
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = write_toy_site(tmp_path_factory.mktemp("site"))
    with serving(*site, settings=LIMITS) as running:
        assert running.wait_for_kernels(2) == 2
        yield running


def memory_mb(process: psutil.Process) -> float:
    """Its memory, what it shares divided by those who share it."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE).group(1)) / 1024


def visit(served: Served) -> Visitor:
    visitor = Visitor(served.url, "toy")
    visitor.come()
    dropdown = next(m for m, w in visitor.models.items() if w["model_name"] == "DropdownModel")
    visitor.set(dropdown, index=1)
    visitor.settle()
    return visitor


def test_ten_at_once(served: Served) -> None:
    with ThreadPoolExecutor(VISITORS) as pool:
        came = list(pool.map(lambda _: visit(served), range(VISITORS)))
    assert all("Toy: north" in str(visitor.models) for visitor in came)
    assert not any("cx-error" in visitor.page for visitor in came)
    assert len({visitor.kernel for visitor in came}) == VISITORS, "a session each"
    assert served.wait_for_kernels(VISITORS + 2, seconds=30) == VISITORS + 2
    # A session of its own would take some 150 MB; what is shared is most of it.
    assert max(memory_mb(process) for process in served.kernels()) < 100
    with ThreadPoolExecutor(VISITORS) as pool:
        assert set(pool.map(Visitor.leave, came)) == {204}
    assert served.wait_for_kernels(2, seconds=30) == 2


def test_ten_at_once_for_as_long_as_they_like(served: Served) -> None:
    """No error, nobody cut off, and no memory that grows with the time spent."""

    def stay(visitor: Visitor) -> int:
        dropdown = next(m for m, w in visitor.models.items() if w["model_name"] == "DropdownModel")
        until, turns = time.monotonic() + STAYS, 0
        while time.monotonic() < until:
            for index, title in ((0, "Toy: all"), (1, "Toy: north")):
                visitor.set(dropdown, index=index)
                visitor.settle()
                assert title in str(visitor.models)
            visitor.frames.clear()
            turns += 1
            time.sleep(0.2)
        return turns

    def memory() -> float:
        family = psutil.Process(served.process.pid)
        return sum(memory_mb(one) for one in [family, *family.children(recursive=True)])

    with ThreadPoolExecutor(VISITORS) as pool:
        came = list(pool.map(lambda _: visit(served), range(VISITORS)))
        used = []
        for _ in range(2):
            turns = list(pool.map(stay, came))
            assert min(turns) > 0
            used.append(memory())
        assert used[1] < used[0] * 1.05 + 5, f"the second stay is as long as the first: {used}"
        assert set(pool.map(Visitor.leave, came)) == {204}
    assert served.wait_for_kernels(2, seconds=30) == 2
    assert "[ERROR]" not in served.log.split("secret_detail")[-1]


def test_visitors_are_served_when_the_process_they_are_forked_from_dies(served: Served) -> None:
    visit(served).leave()
    assert served.wait_for_kernels(2) == 2
    waiting = {session.pid for session in served.kernels()}
    for child in psutil.Process(served.process.pid).children():
        if "cxlib.serve.warm" in str(child.cmdline()):
            child.kill()
    until = time.monotonic() + 60
    while not waiting.isdisjoint(session.pid for session in served.kernels()):
        assert time.monotonic() < until, "the dead still wait"
        time.sleep(0.2)
    assert served.wait_for_kernels(2) == 2, "others wait in their place"
    late = visit(served)
    assert "Toy: north" in str(late.models)
    assert late.leave() == 204


def test_without_forks_sessions_start_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "import os; del os.pidfd_open\n"
    monkeypatch.setattr("serving.START", start + START)
    with serving(*write_toy_site(tmp_path), settings={"ready_kernels": 0}) as served:
        visitor = visit(served)
        assert "from cxlib.serve.kernel" in str(served.kernel(visitor.kernel).cmdline())
        assert visitor.leave() == 204


def test_a_session_that_does_not_start_is_told_of_and_leaves_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Voila waits for ever for what cannot be rendered; its signs of life are counted, not time."""
    start = """
from cxlib.serve import launch

async def fail(*_):
    raise RuntimeError("it did not start")
    yield

def prepare(names, ordinary=launch.skip_imports):
    ordinary(names)
    from voila.notebook_renderer import NotebookRenderer
    NotebookRenderer.generate_content_generator = fail

launch.skip_imports = prepare
launch.HEARTBEAT_SECONDS = 0
"""
    monkeypatch.setattr("serving.START", start + START)
    limits = {"ready_kernels": 0, "max_visitors": 1}
    with serving(*write_toy_site(tmp_path), settings=limits) as served:
        for _ in range(2):
            visitor = Visitor(served.url, "toy")
            assert visitor.ask("view/toy")[0] == 200
            status, body = visitor.ask_for_session()
            assert (status, texts.BROKEN_OFF[0] in body.decode()) == (500, True)
        assert served.wait_for_kernels(0, seconds=60) == 0
