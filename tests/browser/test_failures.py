"""What a visitor sees when something fails: calm words, and what to do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from serving import Served, serving, write_toy_site
from visiting import visiting

KERNEL = "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
INSIDE = ("Traceback", "Error", "site-packages", "ipykernel", "/tmp", ".ipynb", ".py")


class Site:
    """A toy server whose folders a test may damage."""

    def __init__(self, served: Served, workspace: Path, dashboards: Path) -> None:
        self.served, self.dashboards = served, dashboards
        self.current = workspace / "published" / "current"
        self.snapshot = self.current.parent / self.current.read_text().strip()
        self.view = f"{served.url}view/toy"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folders = write_toy_site(tmp_path)
    with serving(*folders, settings={"ready_kernels": 0, "max_visitors": 1}) as served:
        yield Site(served, *folders)


def is_calm(visited, title: str, what_to_do: str, picture: Path) -> None:
    """The page says what is wrong and what to do, in a page like the others."""
    page = visited.page.locator("body")
    expect(page).to_contain_text(title, use_inner_text=True)
    expect(page).to_contain_text(what_to_do, use_inner_text=True)
    body = page.inner_text()
    for inside in INSIDE:
        assert inside not in body
    assert visited.overflow() == 0
    assert visited.violations() == []
    visited.page.screenshot(path=picture, full_page=True)
    # The browser itself reports the status, or the lost wire, to its console.
    visited.problems.clear()


def test_a_full_server_asks_to_come_back(site: Site, visit, tmp_path: Path) -> None:
    with visiting(site.served.url, "toy"):
        late = visit(site.view, live=False)
        is_calm(late, "All places are taken", "try again in a minute", tmp_path / "full.png")
    site.served.wait_for_kernels(0)
    late.page.get_by_role("link", name="Try again").click()
    late.wait_until_live()


@pytest.mark.parametrize("damage", ["none published", "half written"])
def test_without_a_whole_snapshot_it_is_said_who_can_help(
    site: Site, visit, tmp_path: Path, damage: str
) -> None:
    toy = visit(site.view)
    if damage == "none published":
        site.current.unlink()
    else:
        whole = (site.snapshot / "manifest.json").read_text()
        assert json.loads(whole)
        (site.snapshot / "manifest.json").write_text(whole[: len(whole) // 2])
    toy.page.get_by_label("Segment", exact=True).select_option("north")
    toy.page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')?.layout?.title?.text === 'Toy: north'"
    )
    assert toy.failures_shown() == [], "who is on a page may stay there"
    late = visit(site.view, live=False, width=375)
    is_calm(late, "Nothing is published yet", "cx publish", tmp_path / "unpublished.png")


def test_a_session_that_cannot_be_had_leaves_the_published_view(
    site: Site, visit, tmp_path: Path
) -> None:
    (site.dashboards / "toy.ipynb").unlink()
    toy = visit(site.view, live=False)
    toy.fails_on_purpose = True
    toy.page.get_by_role("alert").wait_for()
    expect(toy.page.locator("#loading")).to_contain_text("Most customers visit.")
    expect(toy.page.get_by_text("Filters appear in a moment")).to_be_hidden()
    words = "The figures could not be started"
    is_calm(toy, words, "try again in a minute", tmp_path / "broken-off.png")


def test_a_page_whose_session_died_says_so(site: Site, visit, tmp_path: Path) -> None:
    toy = visit(site.view)
    site.served.kernel(toy.page.evaluate(KERNEL)).kill()
    told = "can no longer be filtered"
    toy.page.wait_for_function(
        """(told) => {
          document.dispatchEvent(new Event("visibilitychange"));
          return document.getElementById("cx-notice").innerText.includes(told);
        }""",
        arg=told,
        polling=1000,
    )
    is_calm(toy, told, "Reload", tmp_path / "vanished.png")
    toy.page.get_by_role("button", name="Reload").click()
    toy.page.wait_for_selector("html:not([data-cx])")
    toy.wait_until_live()
    toy.problems.clear()
