"""What can be seen on a page in the browser, once it has been drawn."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Page

AXE = Path(find_spec("axe_playwright_python").origin).parent / "axe.min.js"
Seen = TypeVar("Seen")


def violations(page: Page) -> list[str]:
    """What axe-core finds that keeps people out: serious and critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def look() -> list[str]:
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{v['id']}: {v['nodes'][0]['html'][:200]}"
            for v in found["violations"]
            if v["impact"] in ("serious", "critical")
        ]

    return settled(page, look, good=[])


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    look = "Math.max(0, document.documentElement.scrollWidth - innerWidth)"
    return settled(page, lambda: page.evaluate(look), good=0)


def settled(page: Page, look: Callable[[], Seen], *, good: Seen) -> Seen:
    """What is seen in the end: a figure, for one, takes its new width a moment later."""
    for _ in range(20):
        if (seen := look()) == good:
            break
        page.wait_for_timeout(250)
    return seen
