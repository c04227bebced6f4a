"""Sessions that are forked from a process with everything imported: whole, watched, and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cxlib.serve.launch import MATH_THREADS
from cxlib.serve.sessions import ForkedSession, Forks

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="sessions are forked on Linux"),
]

FORK_AND_COMPUTE = """
import io, os
from cxlib.serve import warm
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


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in MATH_THREADS.items():
            patch.setenv(name, value)
        made = Forks()
        made.prepare()
        yield made


def fork(forks: Forks, code: str, folder: Path, **variables: str) -> ForkedSession:
    """Fork a kernel that runs `code` and then waits for a server that never asks."""
    (folder / "startup.py").write_text(code)
    connection = f"--IPKernelApp.exec_files={folder / 'startup.py'}"
    environment = {**os.environ, "IPYTHONDIR": str(folder), **variables}
    return forks.fork(["-f", str(folder / "connection.json"), connection], environment, str(folder))


def wait_for(path: Path) -> str:
    until = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < until, f"{path.name} did not come"
        time.sleep(0.05)
    return path.read_text()


def test_a_fork_can_compute_and_only_sleeping_threads_are_beside_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORK_AND_COMPUTE],
        env={**os.environ, **MATH_THREADS},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stdout) == (0, "computed\n"), ran.stderr


def test_a_session_has_its_own_variables_and_folder(forks: Forks, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "view = 'cxlib.views.shared.view' in sys.modules\n"
        "told = f\"{os.getcwd()}|{os.environ['CX_ASKED']}|{view}\"\n"
        "Path('written').write_text(told)\n"
    )
    session = fork(forks, code, tmp_path, CX_ASKED="yes")
    assert wait_for(tmp_path / "written") == f"{tmp_path}|yes|True"
    assert psutil.Process(session.pid).name() == "cx-session"
    assert os.getpgid(session.pid) == session.pid, "a signal to it goes to nobody else"
    assert session.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        session.wait(0.1)
    session.kill()
    assert session.wait(10) == -signal.SIGKILL
    session.kill()  # of one that is gone is no error


def test_a_session_ends_with_the_process_and_another_is_started(
    forks: Forks, tmp_path: Path
) -> None:
    session = fork(forks, "open('up', 'w').write('up')", tmp_path)
    wait_for(tmp_path / "up")
    running = psutil.Process(session.pid)
    os.kill(running.ppid(), signal.SIGKILL)
    assert running.wait(10) is None or not running.is_running()
    assert session.wait(10) != 0
    second = fork(forks, "", tmp_path)
    assert second.poll() is None
    second.kill()


def test_sessions_end_at_once_by_the_dozen_and_all_are_seen_to_end(
    forks: Forks, tmp_path: Path
) -> None:
    """Forked and killed in every state of starting: each is watched, none is waited for in vain."""
    folders = [tmp_path / str(number) for number in range(24)]
    for folder in folders:
        folder.mkdir()
    began = [fork(forks, "", folder) for folder in folders]
    for session in began[::2]:
        session.kill()
    assert {session.wait(30) for session in began[::2]} == {-signal.SIGKILL}
    assert all(session.poll() is None for session in began[1::2])
    for session in began[1::2]:
        session.terminate()
        session.kill()
    assert all(session.wait(30) is not None for session in began)
