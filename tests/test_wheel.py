"""The wheel is the product: built, installed beside nothing of the repository, and used.

The packages it depends on are those of this environment, so that nothing is fetched.
"""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest

from cxlib.simulate.sample import write_sample

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def build(source, out, kind):
    command = [sys.executable, "-m", "uv", "build", "--quiet", kind, "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(out), str(source)]
    subprocess.run(command, check=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with the built wheel, its sample made smaller, and an empty folder."""
    made = tmp_path_factory.mktemp("wheel")
    build(ROOT, made, "--sdist")
    # from the source distribution, which has to hold all that a wheel needs
    (source,) = made.glob("*.tar.gz")
    again = made / "again"
    build(source, again, "--wheel")
    (wheel,) = again.glob("*.whl")
    venv.create(made / "venv", with_pip=False, symlinks=True)
    python = made / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline"]
    subprocess.run([*install, "--python", python, wheel], check=True, timeout=300)
    site = next((made / "venv" / "lib").glob("python*/site-packages"))
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    write_sample(site / "cxlib" / "_shipped" / "data" / "sample", customers=400, seed=3)
    folder = made / "empty"
    folder.mkdir()
    return made / "venv" / "bin" / "cx", folder


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CX_", "JUPYTER", "PYTHON"))}
    shared = str(Path(sys.prefix) / "share" / "jupyter")
    return {**kept, "JUPYTER_PATH": shared, **more}


def run(cx, folder, *arguments):
    done = subprocess.run(
        [cx, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(cx, folder, *arguments, address):
    """Start a server, and return what it answers at the address that it prints."""
    log = folder / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [cx, *arguments],
            cwd=folder,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            found = re.search(address, log.read_text())
            if found:
                try:
                    with urllib.request.urlopen(found[0], timeout=60) as page:
                        return page.read().decode()
                except urllib.error.URLError as error:
                    # an address may be printed a moment before anybody listens there
                    if not isinstance(error.reason, ConnectionRefusedError):
                        raise
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        raise AssertionError(log.read_text())
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_the_sample_goes_from_raw_log_to_published_dashboards_in_an_empty_folder(installed):
    cx, folder = installed
    where = run(cx.with_name("python"), folder, "-c", "import cxlib; print(cxlib.__file__)")
    assert str(ROOT / "cxlib") not in where
    assert "Published:" in run(cx, folder, "demo", "--no-serve")
    assert "display ad" in run(cx, folder, "map", "workspace")


def test_dashboards_are_served(installed):
    cx, folder = installed
    page = answers(cx, folder, "serve", "workspace", address=r"http://127\.0\.0\.1:\d+/\S*")
    assert "journey" in page.lower()


def test_lab_has_the_notebooks_in_the_analysts_own_folder(installed):
    cx, folder = installed
    root = ["--allow-root"] if os.geteuid() == 0 else []
    page = answers(
        cx,
        folder,
        *("lab", "workspace", "--no-browser", *root),
        address=r"http://127\.0\.0\.1:\d+/lab\?token=\w+",
    )
    assert "JupyterLab" in page
    assert len(list((folder / "notebooks").glob("*.ipynb"))) >= 6
