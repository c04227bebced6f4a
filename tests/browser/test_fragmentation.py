"""The fragmentation dashboard as a stakeholder meets it: at a desk, on a phone, by keyboard."""

from pathlib import Path

import pytest
from serving import Served

DRAWN = "(part) => document.querySelector(`.${part} .js-plotly-plot .main-svg`) !== null"
CHANGED = "([part, before]) => document.querySelector(part).innerText !== before"


@pytest.fixture(scope="module")
def url(dashboard_server: Served) -> str:
    return f"{dashboard_server.url}view/fragmentation"


def test_the_answer_the_matrix_and_a_finding_by_keyboard(url: str, visit, tmp_path: Path) -> None:
    board = visit(url)
    page = board.page
    page.wait_for_function(DRAWN, arg="cx-map")
    assert "handoffs break, affecting at least" in page.inner_text(".cx-answer")
    assert "tests" in page.inner_text(".cx-answer small")
    assert board.overflow() <= 0
    entries = page.locator(".cx-choices button")
    assert entries.count() >= 2
    assert entries.nth(0).get_attribute("aria-pressed") == "true"
    facts = page.inner_text(".cx-facts")
    entries.nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(CHANGED, arg=[".cx-facts", facts])
    assert entries.nth(1).get_attribute("aria-pressed") == "true"
    page.wait_for_function(DRAWN, arg="cx-curve")
    assert board.violations() == []
    page.screenshot(path=tmp_path / "fragmentation-1280.png", full_page=True)


def test_filters_change_the_answer_and_the_list(url: str, visit) -> None:
    page = visit(url).page
    page.wait_for_function(DRAWN, arg="cx-map")
    before = page.inner_text(".cx-answer")
    page.get_by_label("Customers", exact=True).select_option(label="region: east")
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    assert "region east" in page.inner_text(".cx-answer")
    page.get_by_label("Customers", exact=True).select_option(label="All customers")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.cx-choices button').length > n", arg=1
    )
    entries = page.locator(".cx-choices button").all_inner_texts()
    rated = [e for e in entries if "rated" in e]
    assert 0 < len(rated) < len(entries)
    page.get_by_label("Signal", exact=True).select_option(label="Low rating")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.cx-choices button').length === n", arg=len(rated)
    )


def test_on_a_phone_the_findings_stand_as_a_list(url: str, visit, tmp_path: Path) -> None:
    board = visit(url, width=375, height=800)
    page = board.page
    assert board.overflow() <= 0
    assert page.locator(".cx-choices button").first.is_visible()
    assert not page.locator(".cx-map").is_visible()
    page.wait_for_function(DRAWN, arg="cx-curve")
    assert board.overflow() <= 0
    assert board.violations() == []
    page.screenshot(path=tmp_path / "fragmentation-375.png", full_page=True)
