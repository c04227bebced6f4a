"""A real browser on a real server: every page is watched for errors and for requests elsewhere."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlparse

import looking
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Served, serving, write_toy_site

from cxlib.datasets import sample_paths
from cxlib.ingest import read_customers, read_events, read_ratings
from cxlib.journey_map import read_journey_map
from cxlib.publish import Snapshot, publish
from cxlib.store import Workspace, build_workspace
from cxlib.views import VIEWS as NAMES
from cxlib.views import view_named
from cxlib.views.report.printing import ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]
VIEWS = {name: view_named(name).first_paint for name in NAMES}
LIVE = "html[data-cx=live]"
TAKES_MS = 90_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser(chromium_path: Path) -> Iterator[Browser]:
    # On a busy machine everything comes later, and is right all the same.
    expect.set_options(timeout=TAKES_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(chromium_path), args=list(ARGUMENTS)
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def sample_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, published: the one that `make` has made, else one made here."""
    named = Path(os.environ.get("CX_WORKSPACE", ROOT / "workspace"))
    newest = Snapshot.newest(named)
    if newest is not None and all(newest.first_paint(view) for view in VIEWS):
        return named
    paths = sample_paths()
    journey_map = read_journey_map(paths.journey_map)
    out = tmp_path_factory.mktemp("sample") / "workspace"
    if (named / "workspace.json").is_file():
        shutil.copytree(named, out, ignore=shutil.ignore_patterns("published"))
        workspace = Workspace.open(out)
    else:
        workspace = build_workspace(
            read_events([paths.contacts], journey_map),
            out,
            customers=read_customers(paths.customers, journey_map),
            ratings=read_ratings(paths.ratings, journey_map),
        )
    publish(workspace, views=VIEWS)
    return out


@pytest.fixture(scope="session")
def dashboard_server(sample_workspace: Path) -> Iterator[Served]:
    """The dashboards of the repository, on the sample."""
    with serving(sample_workspace, ROOT / "dashboards") as served:
        yield served


@pytest.fixture(scope="session")
def toy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two small dashboards, one of which fails on purpose."""
    with serving(*write_toy_site(tmp_path_factory.mktemp("toys"))) as served:
        yield served


class Visit:
    """One page in the browser, and what went wrong on it."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self.fails_on_purpose = self.left = False
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error.message}"))
        page.on("console", self._heard)
        page.on("request", lambda request: self._asked(request.url, host))
        page.on("response", self._answered)

    def _heard(self, message: object) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _asked(self, url: str, host: str) -> None:
        parts = urlparse(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != host:
            self.problems.append(f"request to another host: {url}")

    def _answered(self, response: object) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} for {response.url}")

    def leave(self) -> None:
        """Close the page as a person does, so that it can say goodbye."""
        if not self.left:
            self.left = True
            self.page.close(run_before_unload=True)

    def wait_until_live(self) -> None:
        self.page.wait_for_selector(LIVE, timeout=TAKES_MS)

    def failures_shown(self) -> list[str]:
        """Cells and figures that failed: the page is answered with 200 all the same."""
        shown = self.page.locator(".cx-error, .jp-RenderedText[data-mime-type*=stderr]")
        texts = shown.all_inner_texts()
        body = self.page.inner_text("body")
        words = ("Traceback", "could not be drawn", "Error displaying widget", "Loading widget")
        return texts + [word for word in words if word in body]

    def violations(self) -> list[str]:
        return looking.violations(self.page)

    def overflow(self) -> int:
        return looking.overflow(self.page)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open pages; when the test ends none of them may have shown a problem."""
    opened: list[Visit] = []

    def open_page(url: str, *, width: int = 1280, height: int = 900, live: bool = True) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(TAKES_MS)
        visited = Visit(context.new_page(), urlparse(url).netloc)
        opened.append(visited)
        visited.page.goto(url, wait_until="commit", timeout=TAKES_MS)
        visited.page.wait_for_selector("body", state="attached", timeout=TAKES_MS)
        if live:
            visited.wait_until_live()
        return visited

    yield open_page
    problems = [p for v in opened for p in v.problems]
    shown = [v for v in opened if not v.left and not v.fails_on_purpose]
    failures = [failure for v in shown for failure in v.failures_shown()]
    for visited in opened:
        visited.leave()
        visited.page.context.close()
    assert problems == []
    assert failures == []
