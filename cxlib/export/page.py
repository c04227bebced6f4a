"""Writing a recorded dashboard as one HTML file that needs nothing but a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from markupsafe import Markup

from cxlib.export import texts
from cxlib.export.recording import Recording, Slot, Values, is_hidden, is_own, walk
from cxlib.publish import Snapshot
from cxlib.serve.texts import DARK_COLOURS, LIGHT_COLOURS, SITE, VIEWS
from cxlib.views import entry
from cxlib.views.shared.figure_widget import plotly_script
from cxlib.views.shared.templates import environment

_SHARED = Path(str(files("cxlib.serve"))) / "jupyter" / "voila" / "templates" / "cx" / "static"
_HERE = Path(__file__).parent
_NOSCRIPT = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


def write_page(
    recording: Recording, snapshot: Snapshot, *, view: str, beside: Mapping[str, str]
) -> str:
    """Return the file of a dashboard that was recorded from a snapshot."""
    panel, script = recording.panel.widget, _script(recording)
    numbers = {id(widget): number for number, widget in enumerate(walk(panel))}
    template = environment().from_string(_read(_HERE / "page.html"))
    return template.render(
        policy=Markup(_policy(script)),
        title=Markup(_title(recording)) or view,
        site=SITE,
        views=[(entry(name).title, file, name == view) for name, file in beside.items()],
        views_label=VIEWS,
        style=Markup(_read(_SHARED / "cx.css") + _read(_HERE / "export.css")),
        published=snapshot.line(),
        light=LIGHT_COLOURS,
        dark=DARK_COLOURS,
        failed=texts.FAILED,
        no_script=texts.NO_SCRIPT,
        # what stands in a noscript holds none itself, and there is nobody to send a form to
        first_paint=Markup(_NOSCRIPT.sub("", snapshot.first_paint(view) or "")),
        panel=_part(panel, recording, numbers),
        about=texts.about(snapshot),
        recording=Markup(_packed(write_recording(recording).encode())),
        plotly=Markup(_packed_plotly()),
        script=Markup(script),
    )


def _policy(script: str) -> str:
    """Forbid every connection, and every script but the page's own and what it unpacks."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )


def _title(recording: Recording) -> str:
    shown = [w for w in walk(recording.panel.widget) if isinstance(w, widgets.HTML)]
    return next((m.group(1) for w in shown if (m := _HEADING.search(w.value))), "")


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
        f"{_read(_HERE / 'replay.js')}"
    )


def _part(widget: widgets.Widget, recording: Recording, numbers: dict[int, int]) -> dict[str, Any]:
    """Return what the template writes of a widget, in the classes that the style sheet knows."""
    choices = {choice.number: choice for choice in recording.choices}
    number = numbers[id(widget)]
    is_html = isinstance(widget, widgets.HTML)
    # What has one option only, or is a widget of ours, fills its place by itself.
    choice = choices.get(number) if not is_own(widget) else None
    kind = "widget-html" if is_html else "widget-dropdown" if choice else ""
    return {
        "number": number,
        "classes": " ".join(filter(None, (kind, *widget._dom_classes))),
        "kind": type(widget).__name__ if is_own(widget) else None,
        "hidden": is_hidden(widget),
        "html": Markup(widget.value) if is_html else None,  # written by the dashboard
        "children": [_part(w, recording, numbers) for w in getattr(widget, "children", ())],
        "choice": choice,
        "note": _note(recording) if "cx-filters" in widget._dom_classes else None,
    }


def _note(recording: Recording) -> str | None:
    *names, last = [c.widget.description for c in recording.choices if c.is_filter] or [""]
    filters = f"{', '.join(names)} and {last}"
    return None if recording.together else texts.ONE_AT_A_TIME.format(filters=filters)


def write_recording(recording: Recording) -> str:
    """Return a recording as JSON, as replay.js reads it: slots by their place in one list."""
    slots: dict[Slot, int] = {}

    def numbered(values: Values) -> list[Any]:
        return [[slots.setdefault(slot, len(slots)), value] for slot, value in values.items()]

    selections = {
        json.dumps(key, separators=(",", ":")): {
            "shown": numbered(selection.shown),
            "chosen": selection.chosen,
            "changes": {
                number: {option: numbered(values) for option, values in options.items()}
                for number, options in selection.changes.items()
            },
        }
        for key, selection in recording.selections.items()
    }
    choices = [
        {
            "widget": choice.number,
            "filter": choice.is_filter,
            "first": next(iter(choice.options)),
            "nothing": choice.nothing,
        }
        for choice in recording.choices
    ]
    whole = {
        "choices": choices,
        "together": recording.together,
        "slots": [slot[:3] for slot in slots],
        "selections": selections,
        "nodes": recording.nodes.values,
    }
    return json.dumps(whole, separators=(",", ":"), allow_nan=False)
