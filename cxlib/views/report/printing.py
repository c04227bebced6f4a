"""Printing a page to PDF with a Chromium that is installed, without a network."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cxlib.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
BUNDLED = (
    ".cache/ms-playwright/chromium-*/chrome-linux*/chrome",
    "Library/Caches/ms-playwright/chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium",
    "AppData/Local/ms-playwright/chromium-*/chrome-win*/chrome.exe",
)
HOW_TO_GET_ONE = (
    "no Chromium found: install one (Debian and Ubuntu: apt-get install chromium; elsewhere: "
    ".venv/bin/playwright install chromium), or name it in CHROMIUM=/path/to/chrome"
)
# What keeps a headless Chromium quiet without a network, and working as root in a container.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()),
)
_SECONDS = 180


def find_chromium() -> Path | None:
    """Return the browser that CHROMIUM names, else one on PATH, else Playwright's own, or None."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named) if Path(named).exists() else None
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    for pattern in BUNDLED:
        if matches := sorted(Path.home().glob(pattern)):
            return matches[-1]
    return None


def check_paths(page: Path, *, pdf: bool) -> None:
    """Refuse, before any work, a file that could not be written or printed."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{page.name}: the brief is a page; call it {page.stem or 'brief'}.html")
    if not page.parent.is_dir():
        raise InputError(f"{page}: the folder {page.parent} does not exist")
    if pdf and find_chromium() is None:
        raise InputError(f"{HOW_TO_GET_ONE}; or open {page.name} in any browser and print it there")


def print_pdf(page: Path, pdf: Path) -> None:
    """Print an HTML file as PDF."""
    browser = find_chromium()
    if browser is None:
        raise InputError(HOW_TO_GET_ONE)
    with tempfile.TemporaryDirectory(dir=pdf.resolve().parent, prefix=".printing-") as folder:
        made = Path(folder) / "page.pdf"
        command = [
            str(browser), "--headless", *ARGUMENTS, f"--user-data-dir={folder}/profile",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer",
            f"--print-to-pdf={made}", page.resolve().as_uri(),
        ]  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        if not made.is_file():
            raise InputError(
                f"{browser.name} did not print {page.name} within {_SECONDS} seconds; open it in "
                "a browser and print it there"
            )
        made.replace(pdf)
