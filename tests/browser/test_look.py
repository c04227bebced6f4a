"""Served pages at three widths, light, dark and on paper: nothing cut off, everything readable."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from serving import Served

from cxlib.views import VIEWS

DRAWN = "() => document.querySelector('.js-plotly-plot .main-svg') !== null"
PAGE_ONE = (".cx-answer", ".cx-map .main-svg", ".cx-side .cx-found-list")
A4_PX = (703, 1031)  # within its margins of 12 mm
LEAST_PX = 8  # 6 pt
SMALLEST = """() => Math.min(...[...document.querySelectorAll('.js-plotly-plot .main-svg text')]
    .filter((one) => one.checkVisibility() && one.textContent.trim())
    .map((one) => [parseFloat(getComputedStyle(one).fontSize), one.getScreenCTM()])
    .map(([size, { a, b }]) => size * Math.hypot(a, b)))"""
INK = {"light": "rgb(27, 37, 48)", "dark": "rgb(233, 237, 240)"}
SETTLED = """(ink) => {
    const paper = [...document.querySelectorAll('.js-plotly-plot .main-svg:first-child')];
    const dark = (colour) => /rgb\\(18, 23, 28\\)/.test(colour);
    const wanted = ink === 'rgb(233, 237, 240)';
    return getComputedStyle(document.querySelector('.cx-page-style')).color === ink
        && paper.every((svg) => dark(svg.style.background) === wanted);
}"""


@pytest.mark.parametrize("view", ["journey_map", "fragmentation"])
def test_dashboards(dashboard_server: Served, visit, view: str, tmp_path: Path) -> None:
    board = visit(f"{dashboard_server.url}view/{view}")
    page = board.page
    page.wait_for_function(DRAWN)
    for width in (375, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, ink in INK.items():
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(SETTLED, arg=ink)
            page.screenshot(path=tmp_path / f"{view}-{width}-{scheme}.png", full_page=True)
            assert board.overflow() == 0, (width, scheme)
            if width != 1280:  # the other tests look there, and looking takes seconds
                assert board.violations() == [], (width, scheme)
    here, switch = page.locator(".cx-views [aria-current]"), page.locator(".cx-scheme")
    for width in (375, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        top = page.locator(".cx-home").bounding_box()
        assert abs(switch.bounding_box()["y"] - top["y"]) < top["height"], "in the first row"
    page.set_viewport_size({"width": 375, "height": 900})
    page.reload()
    expect(here).to_be_in_viewport(ratio=0.9)
    page.wait_for_selector("html[data-cx=live]")
    page.wait_for_function(DRAWN)
    page.set_viewport_size({"width": A4_PX[0], "height": A4_PX[1]})
    page.emulate_media(media="print")
    page.wait_for_function(SETTLED, arg="rgb(0, 0, 0)")
    expect(page.locator(".cx-filters")).to_be_hidden()
    for told in page.locator(".cx-hint, .cx-below").all():
        expect(told).to_be_hidden()  # paper cannot be clicked
    if view == "journey_map":
        # on one page: the sentence, then the map, then three actions of what breaks
        third = page.locator(".cx-side .cx-found-list li").nth(2)
        expect(third.locator(".cx-todo")).to_be_visible()
        box = third.bounding_box()
        assert box["y"] + box["height"] <= A4_PX[1]
        tops = [page.locator(f".cx-panel {one}").first.bounding_box()["y"] for one in PAGE_ONE]
        assert tops == sorted(tops)


@pytest.mark.parametrize("view", VIEWS)
def test_figures_on_paper_are_as_wide_as_it_and_can_be_read(
    dashboard_server: Served, visit, view: str
) -> None:
    page = visit(f"{dashboard_server.url}view/{view}", width=1920).page
    page.locator(".cx-panel").wait_for()
    page.emulate_media(media="print")
    assert page.locator(".cx-panel").bounding_box()["width"] == pytest.approx(A4_PX[0], abs=1)
    plots = page.locator(".js-plotly-plot:visible")
    if plots.count():
        page.wait_for_function(f"(least) => ({SMALLEST})() >= least", arg=LEAST_PX)
    for plot in plots.all():
        box = plot.locator(".main-svg").first.bounding_box()
        assert box["width"] <= A4_PX[0] + 1
        assert box["height"] <= A4_PX[1]


def test_home_and_what_is_not_there(dashboard_server: Served, visit, tmp_path: Path) -> None:
    for address in ("", "nowhere"):
        shown = visit(dashboard_server.url + address, live=False)
        shown.page.wait_for_load_state()
        for width in (375, 1280, 1920):
            shown.page.set_viewport_size({"width": width, "height": 900})
            for scheme in INK:
                shown.page.emulate_media(color_scheme=scheme)
                shown.page.screenshot(path=tmp_path / f"page{address}-{width}-{scheme}.png")
                assert shown.overflow() == 0, (address, width, scheme)
                assert shown.violations() == [], (address, width, scheme)
        # The browser reports the page that is not there, which is what was asked for.
        shown.problems[:] = [p for p in shown.problems if "404" not in p]


def test_a_long_number_on_the_home_page_stays_in_its_box(dashboard_server: Served, visit) -> None:
    page = visit(dashboard_server.url, live=False, width=375).page
    page.wait_for_load_state()
    box = page.locator(".cx-brief-numbers > div").nth(1)
    wider = box.evaluate("""(box) => {
        box.querySelector("dd").textContent = "96.5\N{NO-BREAK SPACE}% (96.0–96.5)";
        return box.scrollWidth - box.clientWidth;
    }""")
    assert wider <= 0


def test_the_switch_turns_the_page_and_is_remembered(dashboard_server: Served, visit) -> None:
    page = visit(dashboard_server.url, live=False).page
    page.wait_for_load_state()
    body = page.locator("body")
    expect(body).to_have_css("color", INK["light"])
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(body).to_have_css("color", INK["dark"])
    page.reload()
    expect(body).to_have_css("color", INK["dark"])
    page.emulate_media(media="print")
    expect(body).to_have_css("color", INK["light"])
    expect(page.get_by_role("heading", name="What to do first")).to_be_visible()
    expect(page.locator(".cx-list")).to_be_hidden()
