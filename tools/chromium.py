"""Where a Chromium is that tests and the pictures in notebooks can use."""

import os
import shutil
from pathlib import Path

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
