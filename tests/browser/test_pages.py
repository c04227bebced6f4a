"""The pages around and under every dashboard: home, loading, failing, leaving."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect
from serving import Served

TITLE_IS = """(title) => [...document.querySelectorAll('.js-plotly-plot')]
    .some(p => p.layout?.title?.text === title && p.querySelector('.main-svg'))"""


@pytest.mark.parametrize("width", [375, 1280])
def test_home_names_the_dashboards_and_the_date(
    dashboard_server: Served, visit, width: int, tmp_path: Path
) -> None:
    home = visit(dashboard_server.url, width=width, live=False)
    home.page.wait_for_load_state()
    expect(home.page.get_by_role("link", name="Where customers get lost")).to_be_visible()
    expect(home.page.locator("header").first).to_contain_text("Data to 30 September 2025")
    assert home.overflow() == 0
    assert home.violations() == []
    home.page.screenshot(path=tmp_path / f"home-{width}.png", full_page=True)


def test_the_first_paint_stands_until_the_page_is_live(toy_server: Served, visit) -> None:
    toy = visit(f"{toy_server.url}view/toy", live=False)
    toy.page.get_by_text("Most customers visit.").first.wait_for()
    toy.page.wait_for_selector("#loading .cx-paint .main-svg, html[data-cx=live]")
    toy.wait_until_live()
    expect(toy.page.locator("#loading")).to_have_count(0)
    painted = toy.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    live = toy.page.evaluate("performance.getEntriesByName('cx-live')[0].startTime")
    assert painted < live
    assert toy.violations() == []


def test_a_filter_redraws_and_a_click_is_answered(toy_server: Served, visit) -> None:
    toy = visit(f"{toy_server.url}view/toy")
    toy.page.wait_for_function(TITLE_IS, arg="Toy: all")
    toy.page.get_by_label("Segment", exact=True).select_option("north")
    toy.page.wait_for_function(TITLE_IS, arg="Toy: north")
    bar = toy.page.locator(".js-plotly-plot .bars .point").first.bounding_box()
    toy.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    toy.page.get_by_text("Chosen: visit").wait_for()


def test_the_session_ends_with_its_page(toy_server: Served, visit) -> None:
    ready = toy_server.wait_for_kernels(2)
    assert ready == 2, "one ready for each dashboard"
    toy = visit(f"{toy_server.url}view/toy")
    assert toy_server.wait_for_kernels(3) == 3
    toy.leave()
    gone_by = time.monotonic() + 20
    assert toy_server.wait_for_kernels(2, seconds=20) == 2
    assert time.monotonic() < gone_by, "by the page's own word, not by the minute of grace"


def test_a_failing_cell_is_calm_and_noticed(toy_server: Served, visit) -> None:
    broken = visit(f"{toy_server.url}view/broken")
    broken.fails_on_purpose = True
    assert broken.failures_shown(), "this is what fails every other test here"
    alert = broken.page.get_by_role("alert")
    expect(alert).to_contain_text("This part of the dashboard could not be made")
    body = broken.page.inner_text("body")
    for inside in ("Traceback", "ValueError", "secret", "/tmp", "site-packages"):
        assert inside not in body
    assert broken.violations() == []


def test_a_vanished_session_is_said_calmly(toy_server: Served, visit) -> None:
    toy = visit(f"{toy_server.url}view/toy")
    kernel = toy.page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    toy_server.kernel(kernel).kill()
    toy_server.wait_for_kernels(2, seconds=15)
    toy.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    heading = toy.page.get_by_role("heading", name="Toy dashboard")
    expect(heading, "what is there stays readable").to_be_visible()
    toy.problems.clear()  # the browser reports the lost connection to its console
