"""The pictures of README and docs/images, from the sample that ships: `make pictures`.

Every dashboard is opened in Chromium as a visitor would, from a server of its own.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from cxlib.views import VIEWS
from cxlib.views.report.printing import ARGUMENTS, HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LIVE_MS, COLOURS = 120_000, 64
WIDTH, HEIGHT = 1280, 900


def take(browser: Browser, address: str, out: Path, *, live: bool) -> None:
    """Write the first screen of a page as a small picture."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce", locale="en-GB"
    )
    page.goto(address)
    if live:
        page.wait_for_selector("html[data-cx=live]", timeout=LIVE_MS)
        page.wait_for_selector(".js-plotly-plot .main-svg, .cx-choices", timeout=LIVE_MS)
        page.wait_for_timeout(1500)
    shown = Image.open(io.BytesIO(page.screenshot()))
    # A palette makes the picture a third of its size, and no one sees it.
    shown.convert("RGB").quantize(COLOURS).save(out, optimize=True)
    page.close()


def main(workspace: str) -> None:
    """Serve what was published last in a workspace, and write a picture of every page."""
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HOW_TO_GET_ONE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cxlib", "serve", workspace, "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(address)
                break
            except OSError:
                time.sleep(1)
        IMAGES.mkdir(parents=True, exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(chromium), args=list(ARGUMENTS)
            )
            take(browser, address, IMAGES / "home.png", live=False)
            for view in VIEWS:
                take(browser, f"{address}/view/{view}", IMAGES / f"{view}.png", live=True)
                print(IMAGES / f"{view}.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
