"""The keyboard: whoever tabs through a dashboard sees where they are; what a slider says."""

import pytest
from playwright.sync_api import expect
from serving import Served

from cxlib.views import VIEWS

MOST_STOPS = 24
FOCUSED = """() => {
    const at = document.activeElement;
    if (!at || at === document.body || !at.closest('.cx-panel')) return null;
    at.scrollIntoView({ block: 'nearest' });
    const { x, y, width, height } = at.getBoundingClientRect();
    const name = at.getAttribute('aria-label') ?? at.textContent.trim().slice(0, 40);
    return { x, y, width, height, name: `${at.tagName.toLowerCase()} ${name}` };
}"""
KEEP = "() => { globalThis.cxAt = document.activeElement; globalThis.cxAt.blur(); }"
BACK = "() => globalThis.cxAt.focus({ focusVisible: true, preventScroll: true })"


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_shows_that_it_has_the_focus(
    dashboard_server: Served, visit, view: str
) -> None:
    page = visit(f"{dashboard_server.url}view/{view}").page
    page.wait_for_selector(".cx-panel .cx-filters select")
    page.locator(".cx-panel .cx-filters select").first.focus()
    unseen, stops = [], 0
    for _ in range(MOST_STOPS):
        at = page.evaluate(FOCUSED)
        if at is None:
            break
        stops += 1
        room = {
            "x": max(at["x"] - 6, 0),
            "y": max(at["y"] - 6, 0),
            "width": at["width"] + 12,
            "height": min(at["height"], 300) + 12,
        }
        with_focus = page.screenshot(clip=room)
        page.evaluate(KEEP)
        without = page.screenshot(clip=room)
        page.evaluate(BACK)
        if with_focus == without:
            unseen.append(at["name"])
        page.keyboard.press("Tab")
    assert stops >= 4
    assert unseen == []


def test_a_slider_says_its_values(dashboard_server: Served, visit) -> None:
    page = visit(f"{dashboard_server.url}view/journey_map").page
    handles = page.locator(".cx-period .noUi-handle")
    expect(handles.first).to_have_attribute("aria-valuetext", "Jan 2025")
    expect(handles.last).to_have_attribute("aria-valuetext", "Sep 2025")
    handles.first.focus()
    page.keyboard.press("ArrowRight")
    expect(handles.first).to_have_attribute("aria-valuetext", "Feb 2025")


def test_on_a_phone_a_finger_finds_everything(dashboard_server: Served, visit) -> None:
    page = visit(f"{dashboard_server.url}view/journey_map", width=375).page
    page.wait_for_selector(".cx-cards summary")
    small = page.evaluate(
        """() => [...document.querySelectorAll('.cx-panel :is(select, button, summary)')]
            .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 44)
            .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert small == []
