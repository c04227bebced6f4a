"""What a visitor waits for, and what a visit costs the machine that serves it.

    python benchmarks/visit.py WORKSPACE [WORKSPACE …] [--out benchmarks/visit.md]

Every workspace has a published snapshot. Pages are opened in a real browser (Chromium, one at a
time), ten visitors at once come over HTTP and websocket, as ten browsers on this machine would
measure the browsers. Beside it stands, from the same minutes, what a stock Voila page of one figure
takes, and a fixed task of one processor: machines differ, ratios less.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from serving import Served, serving, write_dashboard  # noqa: E402
from visiting import Visitor  # noqa: E402

VIEWS = ("journey_map", "fragmentation")
VISITS = 4
VISITORS = 10
CHANGES = 40
LIVE = "html[data-cx=live]"
PAINTED = "() => document.querySelector('#loading .cx-answer, .cx-answer')?.innerText.length > 20"
STOCK = """
import plotly.graph_objects as go
figure = go.FigureWidget(go.Scatter(x=[1, 2, 3], y=[2, 1, 3]))
figure
"""
#: Choose a group where the page is not live yet; seconds until another answer is there.
EARLY = """() => new Promise((done) => {
  const answer = () => document.querySelector('.cx-answer').innerText;
  const box = document.querySelector('#loading select'), before = answer();
  const asked = performance.now();
  box.selectedIndex = 1;
  box.dispatchEvent(new Event('change', { bubbles: true }));
  const look = () => {
    if (answer() === before) requestAnimationFrame(look);
    else done((performance.now() - asked) / 1000);
  };
  look();
})"""
#: Select an option, and wait until the page has stood still for two frames after its last change.
CHANGE = """([choose, index]) => new Promise((done) => {
  const box = document.querySelector(choose);
  const panel = document.querySelector('.cx-panel');
  let last = 0, asked = performance.now();
  const seen = new MutationObserver(() => { last = performance.now(); });
  seen.observe(panel, { childList: true, subtree: true, characterData: true, attributes: true });
  box.selectedIndex = index;
  box.dispatchEvent(new Event('change', { bubbles: true }));
  const look = () => {
    const now = performance.now();
    if (last && now - last > 250) { seen.disconnect(); done(last - asked); }
    else if (now - asked > 10000) { seen.disconnect(); done(last ? last - asked : -1); }
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def fixed_task() -> float:
    """Return the seconds one processor takes for a fixed piece of Python."""
    start = time.perf_counter()
    sum(i * i % 7 for i in range(5_000_000))
    return time.perf_counter() - start


def proportional_memory(process: psutil.Process) -> float:
    """Return a process's memory in MB, shared pages divided by those who share them."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE).group(1)) / 1024


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    try:
        yield context.new_page()
    finally:
        context.close()


def time_visits(browser: Browser, served: Served, view: str) -> dict[str, list[float]]:
    """Open a page cold, then warm (scripts kept by the browser, session ready); seconds."""
    times: dict[str, list[float]] = {"answer": [], "live": [], "cold": []}
    ready = len(served.kernels())
    with page_of(browser) as page:
        for visit in range(VISITS + 1):
            start = time.perf_counter()
            page.goto(f"{served.url}view/{view}", wait_until="commit")
            page.wait_for_function(PAINTED)
            answer = time.perf_counter() - start
            page.wait_for_selector(LIVE, timeout=90_000)
            live = time.perf_counter() - start
            if visit:
                times["answer"].append(answer)
                times["live"].append(live)
            else:
                times["cold"].append(live)
            page.goto("about:blank")
            served.wait_for_kernels(ready, seconds=20)
            time.sleep(1)
    return times


def time_early_filter(browser: Browser, served: Served, view: str) -> list[float]:
    """Choose a group as soon as the answer is painted, which no session is waited for; seconds."""
    ready, took = len(served.kernels()), []
    for _ in range(VISITS):
        with page_of(browser) as page:
            page.goto(f"{served.url}view/{view}", wait_until="commit")
            page.wait_for_function(PAINTED)
            took.append(page.evaluate(EARLY))
        served.wait_for_kernels(ready, seconds=20)
    return took


def time_changes(browser: Browser, served: Served, view: str) -> list[float]:
    """Change a filter in the browser; milliseconds until the last thing on the page has changed."""
    choose = ".cx-filter-segment select"
    with page_of(browser) as page:
        page.goto(f"{served.url}view/{view}", wait_until="commit")
        page.wait_for_selector(LIVE, timeout=90_000)
        page.wait_for_selector(choose)
        options = page.locator(f"{choose} option").count()
        took = []
        for change in range(CHANGES):
            took.append(page.evaluate(CHANGE, [choose, (change + 1) % options]))
        page.goto("about:blank")
    return [ms for ms in took if ms >= 0]


def come_together(served: Served, view: str) -> dict[str, float]:
    """Ten visitors at once; until each has its widgets' state, and their memory after a filter."""

    def come(_: int) -> tuple[Visitor, float]:
        start = time.perf_counter()
        visitor = Visitor(served.url, view)
        visitor.come()
        return visitor, time.perf_counter() - start

    before = len(served.kernels())
    start = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as pool:
        came = list(pool.map(come, range(VISITORS)))
        everybody = time.perf_counter() - start

        def use(visitor: Visitor) -> bool:
            for model, state in list(visitor.choices())[:5]:
                visitor.set(model, **state)
            visitor.settle()
            return "cx-error" not in visitor.page

        whole = sum(pool.map(use, [visitor for visitor, _ in came]))
    sessions = [proportional_memory(process) for process in served.kernels()]
    family = psutil.Process(served.process.pid)
    everything = [family, *family.children(recursive=True)]
    total = sum(proportional_memory(process) for process in everything)
    with ThreadPoolExecutor(VISITORS) as pool:
        list(pool.map(lambda one: one[0].leave(), came))
    start = time.perf_counter()
    served.wait_for_kernels(before, seconds=60)
    return {
        "errors": VISITORS - whole,
        "first": min(took for _, took in came),
        "everybody": everybody,
        "session": max(sessions),
        "total": total,
        "sessions": len(sessions),
        "gone": time.perf_counter() - start,
        "left": len(served.kernels()) - before,
    }


def time_stock(browser: Browser, folder: Path) -> str:
    """Return what a stock Voila page of one figure takes until the figure is drawn, warm."""
    write_dashboard(folder / "stock.ipynb", "# Stock", STOCK)
    command = [str(Path(sys.executable).with_name("voila")), "stock.ipynb", "--no-browser"]
    command += ["--port=8997", "--Voila.ip=127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen("http://127.0.0.1:8997/voila/static/voila.js").close()
                break
            except OSError:
                time.sleep(0.2)
        with page_of(browser) as page:
            for _ in range(2):
                start = time.perf_counter()
                page.goto("http://127.0.0.1:8997/", wait_until="commit")
                page.wait_for_selector(".main-svg", timeout=45_000)
                took = time.perf_counter() - start
    except TimeoutError:
        return "more than 45 s"
    finally:
        process.terminate()
        process.wait(20)
    return f"{took:.1f} s"


def measure(browser: Browser, workspace: Path) -> list[str]:
    """Return the rows of one workspace."""
    rows = []
    limits = {"max_per_visitor": VISITORS}  # all of them come from this machine
    with serving(workspace, ROOT / "dashboards", settings=limits) as served:
        served.wait_for_kernels(len(VIEWS))
        time.sleep(5)
        for view in VIEWS:
            visits = time_visits(browser, served, view)
            early = time_early_filter(browser, served, view)
            changes = time_changes(browser, served, view)
            served.wait_for_kernels(len(VIEWS), seconds=20)
            time.sleep(2)
            ten = come_together(served, view)
            rows += [
                f"| {workspace.name} | {view} | {statistics.median(visits['answer']):.2f} | "
                f"{statistics.median(early):.2f} | "
                f"{visits['cold'][0]:.1f} | {statistics.median(visits['live']):.1f} | "
                f"{quantile(changes, 0.5):.0f} | {quantile(changes, 0.95):.0f} | "
                f"{ten['first']:.1f} | {ten['everybody']:.1f} | {ten['errors']:.0f} | "
                f"{ten['session']:.0f} | {ten['total'] / ten['sessions']:.0f} | {ten['gone']:.1f} |"
            ]
            print(rows[-1], flush=True)
            assert ten["left"] <= 0, "sessions outlived their pages"
    return rows


HEADER = """# What a visitor waits for

Written by `python benchmarks/visit.py`; see there for how it is measured.

| snapshot | dashboard | answer visible, s | first filter, s | live, first visit, s \
| live, warm, s | filter p50, ms | filter p95, ms | ten at once: first live, s | all live, s \
| errors | memory of a session, MB | all memory / session, MB | sessions gone after, s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| *target* | | *0.5* | *1* | | *4* | | *150* | | | *0* | *150* | *150* | |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("workspaces", nargs="*", type=Path, default=[ROOT / "workspace"])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "visit.md")
    given = parser.parse_args()
    start, load = time.perf_counter(), os.getloadavg()[0]
    rows, tasks = [], [fixed_task()]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        stock = time_stock(browser, Path(folder))
        for workspace in given.workspaces:
            rows += measure(browser, workspace)
            tasks.append(fixed_task())
        browser.close()
    lines = [
        "",
        f"- A stock Voila page of one figure, warm, in the same run: {stock} until drawn.",
        f"- A fixed task of one processor took {min(tasks):.2f} to {max(tasks):.2f} s.",
        f"- {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; load "
        f"{load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end (the browser included); "
        f"{datetime.now(UTC):%d %B %Y}; the whole run took {time.perf_counter() - start:.0f} s.",
        "- Memory counts shared pages once (PSS); “all memory” adds that of the server and of the "
        "process that sessions are forked from, divided by the sessions, waiting ones included.",
    ]
    given.out.write_text(HEADER + "\n".join([*rows, *lines]) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
