"""The journey map dashboard as a stakeholder meets it: on a desk, on a phone, with the keyboard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from serving import Served

DRAWN = "() => document.querySelector('.cx-map .js-plotly-plot .main-svg') !== null"


@pytest.fixture(scope="module")
def url(dashboard_server: Served) -> str:
    return f"{dashboard_server.url}view/journey_map"


def test_the_answer_is_there_before_the_session(url: str, visit) -> None:
    early = visit(url, live=False)
    early.page.locator("#loading h1").wait_for()
    assert "lost" in early.page.inner_text("#loading")
    early.wait_until_live()
    expect(early.page.locator(".cx-answer")).to_contain_text("customers")


def test_filters_change_the_figures_and_a_touchpoint_opens(url: str, visit, tmp_path: Path) -> None:
    board = visit(url)
    page = board.page
    page.wait_for_function(DRAWN)
    assert board.overflow() == 0
    assert board.violations() == []
    before = page.inner_text(".cx-answer")
    drawn = page.get_attribute(".cx-map .js-plotly-plot", "data-drawn")
    page.get_by_label("Customers", exact=True).select_option(label="region: east")
    page.wait_for_function(
        "(before) => document.querySelector('.cx-answer').innerText !== before", arg=before
    )
    page.wait_for_function(
        "(drawn) => document.querySelector('.cx-map .js-plotly-plot').dataset.drawn !== drawn",
        arg=drawn,
    )
    details = page.inner_text(".cx-details")
    page.get_by_label("Touchpoint", exact=True).select_option(index=2)
    page.wait_for_function(
        "(before) => document.querySelector('.cx-details').innerText !== before", arg=details
    )
    page.screenshot(path=tmp_path / "journey-map-1280.png", full_page=True)
    page.wait_for_function("() => location.search.includes('touchpoint=')")
    expect(page).to_have_url(re.compile("segment=region%3Aeast"))
    page.locator(".cx-map summary", has_text="As a table").click()
    expect(page.locator(".cx-map table")).to_be_visible()
    assert board.overflow() == 0
    page.locator(".cx-side .cx-close").focus()
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('touchpoint=')")
    page.wait_for_function("() => document.activeElement.closest('.cx-choose')")


def test_on_a_phone_nothing_is_cut_off(url: str, visit, tmp_path: Path) -> None:
    board = visit(url, width=375, height=800)
    assert board.overflow() == 0
    for part in (".cx-answer", ".cx-cards", ".cx-map summary"):
        expect(board.page.locator(part).first).to_be_visible()
    assert board.violations() == []
    board.page.screenshot(path=tmp_path / "journey-map-375.png", full_page=True)
