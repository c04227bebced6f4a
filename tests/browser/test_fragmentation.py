"""The fragmentation dashboard as a stakeholder meets it: at a desk, on a phone, by keyboard."""

import io
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect
from serving import Served

DRAWN = "(part) => document.querySelector(`.${part} .js-plotly-plot .main-svg`) !== null"
CHANGED = "([part, before]) => document.querySelector(part).innerText !== before"
SAYS = "(word) => location.search.includes(word)"


@pytest.fixture(scope="module")
def url(dashboard_server: Served) -> str:
    return f"{dashboard_server.url}view/fragmentation"


def taken(page: Page, part: str, kind: str) -> tuple[str, bytes]:
    """Take something away, and return its name and content."""
    with page.expect_download() as download:
        page.locator(f"{part} .cx-take-away button", has_text=kind).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_the_answer_the_matrix_and_a_finding_by_keyboard(url: str, visit, tmp_path: Path) -> None:
    board = visit(url)
    page = board.page
    page.wait_for_function(DRAWN, arg="cx-map")
    expect(page.locator(".cx-answer")).to_contain_text("handoffs break, affecting at least")
    expect(page.locator(".cx-answer small")).to_contain_text("tests")
    assert board.overflow() == 0
    entries = page.locator(".cx-choices button")
    assert entries.count() >= 2
    expect(entries.nth(0)).to_have_attribute("aria-pressed", "true")
    facts = page.inner_text(".cx-facts")
    entries.nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(CHANGED, arg=[".cx-facts", facts])
    expect(entries.nth(1)).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(DRAWN, arg="cx-curve")
    assert board.violations() == []
    page.screenshot(path=tmp_path / "fragmentation-1280.png", full_page=True)

    page.locator(".cx-close").focus()
    page.keyboard.press("Escape")
    page.locator(".cx-opened").wait_for(state="hidden")
    page.wait_for_function("() => document.activeElement.closest('.cx-choices')")


def test_below_a_figure_stand_its_data_its_meaning_and_what_takes_it_away(url: str, visit) -> None:
    board = visit(url)
    page = board.page
    for part in (".cx-map", ".cx-curve", ".cx-trend"):
        page.wait_for_function(DRAWN, arg=part[1:])
        headings = page.locator(f"{part} summary")
        expect(headings).to_have_text(["What does this mean?", "How sure is this?", "As a table"])
    meaning = page.locator(".cx-map details").first
    meaning.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(meaning.get_by_text("A handoff", exact=False).first).to_be_visible()
    before = page.inner_text(".cx-answer")
    page.get_by_label("Customers", exact=True).select_option(label="region: east")
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    expect(meaning, "it stays open while the filter changes").to_have_attribute("open", "")
    assert board.violations() == []
    meaning.locator("summary").focus()
    page.keyboard.press("Escape")
    expect(meaning).not_to_have_attribute("open", "")
    expect(meaning.locator("summary")).to_be_focused()

    name, picture = taken(page, ".cx-map", "PNG")
    assert (name, picture[:4]) == ("handoffs.png", b"\x89PNG")
    name, drawing = taken(page, ".cx-curve", "SVG")
    assert name == "handoff-detail.svg"
    assert b"region: east. " in drawing, "it says by itself what it is of"
    name, table = taken(page, ".cx-map", "CSV")
    assert name == "handoffs.csv"
    rows = page.locator(".cx-map tbody tr")
    expect(rows).to_have_count(0)
    page.locator(".cx-map summary", has_text="As a table").click()
    expect(rows, "the table comes when it is opened").to_have_count(table.count(b"\n") - 1)
    before = page.inner_text(".cx-answer")
    page.get_by_label("Customers", exact=True).select_option(label="region: north")
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    expect(rows, "and follows the filter").not_to_have_count(table.count(b"\n") - 1)
    expect(rows.first).to_be_visible()
    assert set(pl.read_csv(io.BytesIO(table))["selection"]) == {"region: east"}


def test_filters_change_the_answer_and_the_list(url: str, visit) -> None:
    page = visit(url).page
    page.wait_for_function(DRAWN, arg="cx-map")
    entries = page.locator(".cx-choices button").all_inner_texts()
    rated = [e for e in entries if "rated" in e]
    assert 0 < len(rated) < len(entries)
    page.get_by_label("Signal", exact=True).select_option(label="Low rating")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.cx-choices button').length === n", arg=len(rated)
    )
    expect(page.locator(".cx-answer small")).to_contain_text("Shown: ")


def test_a_link_shows_what_its_sender_saw(url: str, visit) -> None:
    sender = visit(url).page
    sender.wait_for_function(DRAWN, arg="cx-map")
    before = sender.inner_text(".cx-answer")
    sender.get_by_label("Customers", exact=True).select_option(label="region: east")
    sender.wait_for_function(CHANGED, arg=[".cx-answer", before])
    sender.get_by_label("Owner", exact=True).select_option(label="retail")
    sender.wait_for_function(SAYS, arg="owner=retail")
    said, link = sender.inner_text(".cx-answer"), sender.url
    assert "segment=region%3Aeast" in link
    sender.get_by_role("button", name="Copy link to this view").click()
    told = sender.locator(".cx-link")
    told.get_by_text("Link copied.").or_(told.get_by_label("Copy this address:")).first.wait_for()

    reader = visit(f"{link}&token=not-to-be-passed-on", live=False)
    page = reader.page
    # Before it is live, and from then on, the page says what the link says, and nothing else.
    assert page.locator(".cx-answer").first.inner_text() == said
    page.evaluate(
        """() => new MutationObserver((_, all) => {
             if (document.documentElement.dataset.cx !== "live") return;
             window.saidAtFirst = document.querySelector(".cx-answer").innerText;
             all.disconnect();
           }).observe(document.documentElement, { attributes: true })"""
    )
    reader.wait_until_live()
    assert page.evaluate("window.saidAtFirst") == said
    expect(page.get_by_label("Owner", exact=True)).to_have_value("retail")
    expect(page).to_have_url(link)


def test_filters_answer_before_there_is_a_session_and_the_live_page_goes_on(
    dashboard_server: Served, url: str, visit
) -> None:
    visited = visit(dashboard_server.url, live=False)
    page, held = visited.page, []
    page.route("**/voila/api/session/*", lambda route: held.append(route))  # noqa: PLW0108 (an attribute is set on it)
    page.goto(url)
    before, customers = page.inner_text(".cx-answer"), page.get_by_label("Customers", exact=True)
    customers.focus()
    customers.select_option(label="region: east")
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    expect(customers).to_be_focused()
    head = page.inner_text(".cx-head")
    page.locator(".cx-choices button").nth(1).press("Enter")
    page.wait_for_function(CHANGED, arg=[".cx-head", head])
    page.wait_for_function(SAYS, arg="finding=")
    said = [page.inner_text(part) for part in (".cx-answer", ".cx-head")]
    assert page.locator("html").get_attribute("data-cx") is None, "all that without a session"
    assert visited.violations() == []
    held[0].continue_()
    visited.wait_until_live()
    assert [page.inner_text(part) for part in (".cx-answer", ".cx-head")] == said
    expect(customers.locator("option:checked")).to_have_text("region: east")


def test_what_is_chosen_before_the_script_is_there_is_asked_for(url: str, visit) -> None:
    visited = visit(url, live=False)
    page, held = visited.page, []
    page.route("**/cx.js*", lambda route: held.append(route))  # noqa: PLW0108 (as above)
    page.goto(url, wait_until="commit")
    customers = page.get_by_label("Customers", exact=True)
    customers.select_option(label="region: east")
    before = page.inner_text(".cx-answer")
    assert "segment=" not in page.url
    held[0].continue_()
    page.wait_for_function(CHANGED, arg=[".cx-answer", before])
    page.wait_for_function(SAYS, arg="segment=")
    visited.wait_until_live()
    expect(customers.locator("option:checked")).to_have_text("region: east")


def test_without_a_script_the_filters_are_a_form(url: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Customers", exact=True).select_option(label="region: east")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".cx-answer")).to_contain_text("region east")
    context.close()


def test_a_list_leads_on_a_phone_to_what_it_opens(url: str, visit) -> None:
    page = visit(url, width=375, height=800).page
    page.locator(".cx-choices button").nth(1).click()
    page.wait_for_function("() => document.activeElement.matches('.cx-opens')")
    expect(page.locator(".cx-opens h2").first).to_be_in_viewport()
    ends = [page.locator(part) for part in (".cx-closing", ".cx-head h2")]
    for end in ends:
        expect(end).to_be_visible()
    close, text = (end.bounding_box() for end in ends)
    assert text["x"] + text["width"] <= 375
    ends = page.evaluate(
        """() => { const range = document.createRange();
            range.selectNodeContents(document.querySelector('.cx-head'));
            return Math.max(...[...range.getClientRects()]
                .filter((box) => box.width < 300).map((box) => box.right)); }"""
    )
    assert ends <= close["x"], "the button covers no word"


def test_on_a_phone_the_findings_stand_as_a_list(url: str, visit, tmp_path: Path) -> None:
    board = visit(url, width=375, height=800)
    page = board.page
    assert board.overflow() == 0
    expect(page.locator(".cx-choices button").first).to_be_visible()
    expect(page.locator(".cx-map .cx-plot")).to_be_hidden()
    expect(page.locator(".cx-map summary").first).to_be_visible()
    page.wait_for_function(DRAWN, arg="cx-curve")
    assert board.overflow() == 0
    assert board.violations() == []
    page.screenshot(path=tmp_path / "fragmentation-375.png", full_page=True)


@pytest.mark.parametrize("view", ["fragmentation", "priorities"])
def test_on_a_phone_what_is_opened_stands_under_its_entry(
    dashboard_server: Served, visit, view: str
) -> None:
    page = visit(f"{dashboard_server.url}view/{view}", width=375).page
    entries = page.locator(".cx-choices li")
    entries.nth(1).get_by_role("button").click()
    expect(entries.nth(1).get_by_role("button")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".cx-opens:visible")).to_be_visible()
    # measured at once, and again until the figures in it are drawn
    page.wait_for_function("""() => {
        const [, entry, after] = document.querySelectorAll(".cx-choices li");
        const all = [...document.querySelectorAll(".cx-opens")];
        const opened = all.find((one) => one.checkVisibility());
        const boxes = [entry, opened, after].map((one) => one.getBoundingClientRect());
        const near = boxes[0].bottom <= boxes[1].top && boxes[1].top <= boxes[0].bottom + 40;
        return near && boxes[1].bottom <= boxes[2].top;
    }""")
