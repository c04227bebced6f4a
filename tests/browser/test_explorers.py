"""Paths and comparison in a browser: chosen, read on a phone, kept in the address."""

import re

import pytest
from playwright.sync_api import expect
from serving import Served


@pytest.mark.parametrize("width", [375, 1280])
def test_paths_are_followed_forwards_and_backwards(
    dashboard_server: Served, visit, width: int
) -> None:
    paths = visit(f"{dashboard_server.url}view/paths", width=width)
    answer = paths.page.locator(".cx-answer p").first
    expect(answer).to_have_text(re.compile(r"^After .* comes .* most often"))
    paths.page.get_by_label("Direction", exact=True).select_option("What came before it")
    expect(answer).to_have_text(re.compile(r"^Before "))
    paths.page.wait_for_url("**direction=before**")
    expect(paths.page.locator(".cx-ways li").first).to_be_visible()
    expect(paths.page.locator(".cx-tree .cx-plot")).to_be_visible(visible=width > 1000)
    assert paths.overflow() == 0
    assert paths.violations() == []


@pytest.mark.parametrize("width", [375, 1280])
def test_two_parts_stand_side_by_side_and_a_link_shows_the_same(
    dashboard_server: Served, visit, width: int
) -> None:
    asked = "a_channel=web&b_channel=app&a=all&b=all&what=go_on"
    compared = visit(f"{dashboard_server.url}view/compare?{asked}", width=width)
    answer = compared.page.locator(".cx-answer")
    expect(answer).to_contain_text("of web")
    expect(answer).to_contain_text("of app")
    shown = ".cx-sides .main-svg" if width > 1000 else ".cx-narrow li"
    expect(compared.page.locator(shown).first).to_be_visible()
    compared.page.get_by_label("B: channel", exact=True).select_option("web")
    expect(answer).to_contain_text("Both sides are the same")
    assert compared.overflow() == 0
    assert compared.violations() == []
