"""Sessions that are forked from a process with everything imported: whole, watched, and ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cxlib.serve import sessions, warm
from cxlib.serve.sessions import ForkedSession, WarmProcess

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system cannot watch forks"),
]

FORK_AND_COMPUTE = """
import io, os, sys
sys.argv = ["warm", "0"]
from cxlib.serve import warm
warm._import_everything()
print("threads", *sorted(warm.threads()))
import polars as pl
table = {"key": list(range(1000)), "value": [1.0] * 1000}
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        stored = io.BytesIO()
        frame = pl.DataFrame(table)
        frame.write_parquet(stored)
        stored.seek(0)
        total = pl.read_parquet(stored).lazy().filter(pl.col("key") < 10).collect()["value"].sum()
        os._exit(0 if total == 10 else 1)
    assert os.waitpid(pid, 0)[1] == 0
print("computed")
"""


@pytest.fixture
def process() -> Iterator[WarmProcess]:
    started = WarmProcess()
    started.start()
    yield started
    started.stop()


def fork(process: WarmProcess, code: str, folder: Path, **variables: str) -> ForkedSession:
    """Fork a kernel that runs `code` and then waits for a server that never asks."""
    (folder / "startup.py").write_text(code)
    connection = f"--IPKernelApp.exec_files={folder / 'startup.py'}"
    environment = {**os.environ, "IPYTHONDIR": str(folder), **variables}
    return process.fork(
        ["-f", str(folder / "connection.json"), connection], environment, str(folder)
    )


def wait_for(path: Path) -> str:
    until = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < until, f"{path.name} did not come"
        time.sleep(0.05)
    return path.read_text()


def test_a_fork_can_compute_and_only_sleeping_threads_are_beside_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORK_AND_COMPUTE],
        env={**os.environ, **sessions.MATH_THREADS},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    named, computed = ran.stdout.splitlines()
    assert set(named.split()[1:]) <= warm.IDLE_THREADS
    assert computed == "computed"


def test_a_session_has_its_own_variables_and_folder(process: WarmProcess, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "view = 'cxlib.views.shared.view' in sys.modules\n"
        "told = f\"{os.getcwd()}|{os.environ['CX_ASKED']}|{view}\"\n"
        "Path('written').write_text(told)\n"
    )
    session = fork(process, code, tmp_path, CX_ASKED="yes")
    assert wait_for(tmp_path / "written") == f"{tmp_path}|yes|True"
    assert psutil.Process(session.pid).name() == "cx-session"
    assert os.getpgid(session.pid) == session.pid, "a signal to it goes to nobody else"
    assert session.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        session.wait(0.1)
    session.kill()
    session.wait(10)
    assert session.poll() is not None
    session.kill()  # of one that is gone is no error


def test_a_session_ends_with_the_process_and_the_process_with_the_server(tmp_path: Path) -> None:
    process = WarmProcess()
    session = fork(process, "open('up', 'w').write('up')", tmp_path)
    wait_for(tmp_path / "up")
    forked_from = psutil.Process(psutil.Process(session.pid).ppid())
    process._wire.close()  # as when the server is killed
    forked_from.wait(10)
    session.wait(10)
    process.stop()


def test_a_process_that_is_gone_is_started_anew(process: WarmProcess, tmp_path: Path) -> None:
    first = fork(process, "open('up', 'w').write('up')", tmp_path)
    wait_for(tmp_path / "up")
    os.kill(psutil.Process(first.pid).ppid(), signal.SIGKILL)
    first.wait(10)
    with contextlib.suppress(OSError):  # it may have been asked while it went
        fork(process, "", tmp_path).kill()
    second = fork(process, "", tmp_path)
    assert second.poll() is None
    second.kill()


def test_what_cannot_be_forked_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.sys, "executable", "/bin/false")
    process = WarmProcess()
    with pytest.raises(OSError):
        process.fork([], {}, ".")
    monkeypatch.setattr(process, "start", lambda: pytest.fail("tried again"))
    with pytest.raises(OSError, match="cannot be forked here"):
        process.fork([], {}, ".")


def test_a_session_that_ends_at_once_is_no_running_one() -> None:
    assert ForkedSession(1, None).poll() == 0
    assert ForkedSession(1, None).wait() == 0
