"""No text that a visitor reads stands in a template: all come from the words of the view."""

import re
from pathlib import Path

import pytest

import cxlib.views

FOLDER = Path(cxlib.views.__file__).parent
TEMPLATES = sorted(FOLDER.glob("*/*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_template_says_nothing_by_itself(template):
    source = re.sub(
        r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", template.read_text("utf-8"), flags=re.DOTALL
    )
    spoken = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', source)
    assert not re.findall(r"[A-Za-z]{2,}", " ".join([re.sub(r"<[^>]*>", " ", source), *spoken]))


def test_every_word_of_a_view_is_said_somewhere():
    """A text that nothing shows any more would be translated for nobody."""
    for words in FOLDER.glob("*/words.py"):
        names = re.findall(r"^([A-Z][A-Z_]+)\b", words.read_text("utf-8"), flags=re.MULTILINE)
        names += re.findall(
            r"^[A-Z_, ]+?, ([A-Z_]+) =", words.read_text("utf-8"), flags=re.MULTILINE
        )
        folders = FOLDER if words.parent.name == "shared" else words.parent
        used = " ".join(
            path.read_text("utf-8")
            for path in [*folders.rglob("*.py"), *folders.rglob("*.html"), FOLDER / "__init__.py"]
            if path != words
        )
        own = words.read_text("utf-8")
        known = {name for name in names if re.search(rf"\bwords\.{name}\b|\b{name}\b", used)}
        unsaid = {n for n in names if n not in known and len(re.findall(rf"\b{n}\b", own)) < 2}
        assert not unsaid, words
