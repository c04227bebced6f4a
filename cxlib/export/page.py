"""Writing a recorded dashboard as one HTML file that needs nothing but a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import ipywidgets as widgets

from cxlib.export import texts
from cxlib.export.recording import Choice, Recording, Slot, is_hidden, is_own, walk
from cxlib.publish import Snapshot
from cxlib.serve.texts import DARK_COLOURS, LIGHT_COLOURS, SITE
from cxlib.views.shared.figure_widget import plotly_script

__all__ = ["write_page", "write_recording"]

_SHARED = Path(str(files("cxlib.serve"))) / "jupyter" / "voila" / "templates" / "cx" / "static"
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


def write_page(recording: Recording, snapshot: Snapshot, *, view: str) -> str:
    """Return the file of a recorded dashboard.

    Parameters
    ----------
    recording
        From `cxlib.export.recording.record`.
    snapshot
        The snapshot it was recorded from.
    view
        Name of the dashboard.
    """
    panel = recording.panel.widget
    script = _script(recording)
    paragraphs = [f"<p>{escape(line)}</p>" for line in texts.about(snapshot)]
    return Template((files("cxlib.export") / "page.html").read_text("utf-8")).substitute(
        policy=_policy(script),
        title=_title(recording) or view,
        site=SITE,
        style=_read(_SHARED / "cx.css") + _read(Path(__file__).parent / "export.css"),
        published=escape(snapshot.line()),
        light=LIGHT_COLOURS,
        dark=DARK_COLOURS,
        failed=texts.FAILED,
        no_script=texts.NO_SCRIPT,
        first_paint=snapshot.first_paint(view) or "",
        panel=_Skeleton(recording).write(panel),
        about="\n".join(paragraphs),
        recording=_packed(write_recording(recording).encode()),
        plotly=_packed_plotly(),
        script=script,
    )


def _policy(script: str) -> str:
    """Forbid every connection, and every script but the page's own and what it unpacks."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'sha256-{digest}' blob:",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ]
    )


def _title(recording: Recording) -> str:
    said = (_HEADING.search(w.value) for w in walk(recording.panel.widget) if _is_text(w))
    return next((found.group(1) for found in said if found), "")


def _is_text(widget: widgets.Widget) -> bool:
    return isinstance(widget, widgets.HTML)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _packed(content: bytes) -> str:
    # Without the time: the same answers make the same file.
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


@lru_cache(maxsize=1)
def _packed_plotly() -> str:
    return _packed(plotly_script().read_bytes())


def _script(recording: Recording) -> str:
    """Put the scripts of the widgets in front of the one that answers them."""
    sources = {
        type(widget).__name__: str(widget._esm)
        for widget in walk(recording.panel.widget)
        if is_own(widget)
    }
    modules = []
    for name, source in sorted(sources.items()):
        if source.count("export default") != 1 or re.search(r"^import\b", source, re.MULTILINE):
            raise TypeError(f"the script of {name} is not one module with one default export")
        modules.append(f"{name}: (() => {{\n{source.replace('export default', 'return')}\n}})(),\n")
    return (
        f"{_read(_SHARED / 'scheme.js')}\nconst WIDGETS = {{\n{''.join(modules)}}};\n"
        f"{_read(Path(__file__).parent / 'replay.js')}"
    )


class _Skeleton:
    """Writes the widgets of a dashboard as plain HTML, in the classes its style sheet knows."""

    def __init__(self, recording: Recording) -> None:
        self._numbers = {id(w): n for n, w in enumerate(walk(recording.panel.widget))}
        self._choices = {choice.number: choice for choice in recording.choices}
        self._together = recording.together

    def write(self, widget: widgets.Widget) -> str:
        """Write a widget and all within it."""
        number = self._numbers[id(widget)]
        kind, contents = self._contents(widget, number)
        classes = " ".join(escape(c) for c in (*kind.split(), *widget._dom_classes))
        own = f' data-kind="{type(widget).__name__}"' if is_own(widget) else ""
        hidden = " hidden" if is_hidden(widget) else ""
        note = self._note() if "cx-filters" in widget._dom_classes else ""
        return f'<div class="{classes}" data-widget="{number}"{own}{hidden}>{contents}</div>{note}'

    def _note(self) -> str:
        """Say that filters apply one at a time, where they do."""
        names = [c.widget.description for c in self._choices.values() if c.is_filter]
        if self._together:
            return ""
        filters = f"{', '.join(names[:-1])} and {names[-1]}"
        return f'<p class="cx-one-at-a-time">{texts.ONE_AT_A_TIME.format(filters=filters)}</p>'

    def _contents(self, widget: widgets.Widget, number: int) -> tuple[str, str]:
        if isinstance(widget, widgets.HTML):
            return "widget-html", f'<div class="widget-html-content">{widget.value}</div>'
        if isinstance(widget, widgets.Box):
            below = "".join(self.write(child) for child in widget.children)
            return "", below
        if number in self._choices and not is_own(widget):
            return "widget-dropdown", _select(self._choices[number])
        # What has one option only, or is a widget of ours, which fills its place by itself.
        return "", ""


def _select(choice: Choice) -> str:
    """Write a choice; a range of periods is chosen from a list of all ranges."""
    name = f"cx-choice-{choice.number}"
    options = "".join(
        f'<option value="{escape(key)}"{" selected" if key == choice.chosen else ""}>'
        f"{escape(label)}</option>"
        for key, label in choice.options.items()
    )
    return (
        f'<label class="widget-label" for="{name}">{escape(choice.widget.description)}</label>'
        f'<select id="{name}" autocomplete="off">{options}</select>'
    )


def write_recording(recording: Recording) -> str:
    """Return a recording as JSON, as replay.js reads it: slots by their place in one list."""
    slots: dict[Slot, int] = {}
    selections = {}
    for key, selection in recording.selections.items():
        shown = _numbered(selection.shown, slots)
        changes = {
            number: {option: _numbered(slot, slots) for option, slot in options.items()}
            for number, options in selection.changes.items()
        }
        selections[json.dumps(key, separators=(",", ":"))] = {
            "shown": shown,
            "chosen": selection.chosen,
            "changes": changes,
        }
    whole = {
        "choices": [
            {
                "widget": choice.number,
                "filter": choice.is_filter,
                "first": next(iter(choice.options)),
                "nothing": choice.nothing,
            }
            for choice in recording.choices
        ],
        "together": recording.together,
        "slots": [slot[:3] for slot in slots],
        "selections": selections,
        "nodes": recording.nodes.values,
    }
    return json.dumps(whole, separators=(",", ":"), allow_nan=False)


def _numbered(values: Mapping[Slot, int | None], slots: dict[Slot, int]) -> list[Any]:
    return [[slots.setdefault(slot, len(slots)), value] for slot, value in values.items()]
