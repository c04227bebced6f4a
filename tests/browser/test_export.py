"""A dashboard opened as a file, by somebody without a server and without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from looking import overflow, violations
from playwright.sync_api import Browser, Page, expect

from cxlib.export import export_dashboard, recording
from cxlib.front.sharing import export
from cxlib.publish import Snapshot

DRAWN = "() => document.querySelector('.cx-map .js-plotly-plot .main-svg') !== null"
CHANGED = "([part, before]) => document.querySelector(part).innerText !== before"
INK = ".cx-answer p"
PAPER = "(colour) => document.querySelector('.cx-map .main-svg').style.background.includes(colour)"
PLACE_OF_A_FINDING = """() => {
    const plot = document.querySelector('.cx-map .js-plotly-plot');
    const { xaxis, yaxis, _size } = plot._fullLayout, box = plot.getBoundingClientRect();
    for (const trace of plot._fullData) {
        const i = (trace.customdata ?? []).findIndex((key) => typeof key === 'string');
        if (i < 0) continue;
        return [box.x + _size.l + xaxis.d2p(trace.x[i]), box.y + _size.t + yaxis.d2p(trace.y[i])];
    }
}"""


@pytest.fixture(scope="module")
def file(sample_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "MOST_TOGETHER", 1)
        return export_dashboard(
            Snapshot.open(sample_workspace), "fragmentation", tmp_path_factory.mktemp("exported")
        )


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Callable[..., Page]]:
    """Open the file; when the test ends it may have shown no problem, and asked nobody."""
    problems: list[str] = []
    contexts = []

    def open_file(*, width: int = 1280, **given: object) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, reduced_motion="reduce", **given
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(error.message))
        page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.on(
            "request",
            lambda r: r.url.split(":")[0] in ("file", "blob", "data") or problems.append(r.url),
        )
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-cx=live]")
        page.wait_for_selector(".cx-curve .main-svg")
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert problems == []


def test_filters_and_findings_answer_without_a_server(opened) -> None:
    page = opened()
    page.wait_for_function(DRAWN)
    before = page.inner_text(".cx-answer")
    drawn = page.get_attribute(".cx-map .js-plotly-plot", "data-drawn")
    page.get_by_label("Customers", exact=True).select_option(label="region: east")
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    expect(page.locator(".cx-answer")).to_contain_text("region east")
    page.wait_for_function(
        "(drawn) => document.querySelector('.cx-map .js-plotly-plot').dataset.drawn !== drawn",
        arg=drawn,
    )
    page.get_by_label("Signal", exact=True).select_option(index=1)
    expect(page.get_by_label("Customers", exact=True), "one at a time").to_have_value("0")
    page.get_by_label("Signal", exact=True).select_option(index=0)
    page.wait_for_function("() => document.querySelectorAll('.cx-choices button').length > 1")
    head = page.inner_text(".cx-head")
    entry = page.locator(".cx-choices button").nth(1)
    entry.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(CHANGED, arg=[".cx-head", head])
    expect(entry).to_have_attribute("aria-pressed", "true")
    entry.press("Enter")  # what was opened may have the focus, where it was out of sight
    page.wait_for_selector(".cx-opened", state="hidden")
    assert violations(page) == []


def test_a_click_in_the_figure_opens_a_finding(opened) -> None:
    page = opened()
    page.wait_for_function(DRAWN)
    first = page.locator(".cx-choices button[aria-pressed=true]")
    first.press("Enter")
    page.wait_for_selector(".cx-opened", state="hidden")
    page.mouse.click(*page.evaluate(PLACE_OF_A_FINDING))
    page.wait_for_selector(".cx-opened", state="visible")
    expect(page.locator(".cx-head h2")).to_contain_text("→")


def test_what_opens_and_what_is_taken_away(opened) -> None:
    page = opened()
    page.wait_for_function(DRAWN)
    for name in ("PNG", "SVG", "CSV"):
        button = page.locator(".cx-map").get_by_role("button", name=name)
        with page.expect_download() as download:
            button.click()
        assert download.value.suggested_filename.endswith(f".{name.lower()}")
    page.locator(".cx-map summary").get_by_text("As a table").click()
    table = page.locator(".cx-map table")
    expect(table).to_be_visible()
    heading = table.locator("th", has_text="customers")
    for direction in ("descending", "ascending"):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", direction)
        cells = table.locator("td:nth-child(5)").all_inner_texts()
        known = [int(cell.replace(",", "")) for cell in cells if cell != "–"]
        assert known == sorted(known, reverse=direction == "descending")
        assert cells[len(known) :] == ["–"] * (len(cells) - len(known)), "not known: at the end"
        assert len(set(known)) > 1


def test_light_and_dark_follow_the_reader(opened) -> None:
    page = opened(color_scheme="dark")
    page.wait_for_function(DRAWN)
    expect(page.locator(INK).first).to_have_css("color", "rgb(233, 237, 240)")
    page.wait_for_function(PAPER, arg="18, 23, 28")
    assert violations(page) == []
    page.get_by_role("button", name="Light", exact=True).click()
    expect(page.locator(INK).first).to_have_css("color", "rgb(27, 37, 48)")
    page.wait_for_function(PAPER, arg="255, 255, 255")
    page.emulate_media(media="print")
    expect(page.locator(INK).first).to_have_css("color", "rgb(0, 0, 0)")


def test_on_a_phone_and_on_a_wide_screen(opened) -> None:
    for width in (375, 1920):
        page = opened(width=width)
        assert overflow(page) == 0
        expect(page.locator(".cx-choices button").first).to_be_visible()
        assert violations(page) == []


def test_without_scripts_the_words_are_there(opened, browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    text = page.inner_text("main")
    context.close()
    assert "handoffs break" in text
    assert "customers affected" in text
    assert "save the file and open it in a browser" in text


def test_what_was_exported_together_leads_home_and_from_view_to_view(
    browser: Browser, sample_workspace: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "MOST_TOGETHER", 1)
        export(sample_workspace, tmp_path, views=["priorities", "paths"])
    page = browser.new_page()
    page.goto((tmp_path / "priorities.html").as_uri())
    expect(page.locator(".cx-views [aria-current=page]")).to_have_text("What to do first")
    page.get_by_role("link", name="Which ways they take").click()
    page.wait_for_url("**/paths.html")
    page.locator(".cx-home").click()
    page.wait_for_url("**/index.html")
    expect(page.locator(".cx-brief-said")).to_be_visible()
    page.close()
