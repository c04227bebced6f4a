"""Any result as a figure and in words, as the dashboards show and say it; and figures as files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlib.errors import CxError, InputError, UnknownNameError
from cxlib.markup import markdown_text
from cxlib.numbers import day, decimal, duration, plural
from cxlib.results import Result
from cxlib.store import Workspace

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIZES = {"slide": (1280, 720), "half": (640, 720), "page": (900, 1200), "square": (900, 900)}
"""Width and height of a picture in pixels, before `_SHARP`."""

_LEAST_WIDTH = 900
"""What the figures are made for, pixels: on less, legends and headings run into one another."""

_SHARP = 2
_CONFIG = {"showSendToCloud": False, "displaylogo": False, "responsive": True}
_PICTURES = (".png", ".svg", ".pdf", ".jpg", ".webp")
_TITLE, _SUBTITLE = 17, 13
"""Sizes of the fonts of title and subtitle (`cxlib.figures.theme`), pixels."""


def plot(result: Any, *, kind: str | None = None, **options: Any) -> go.Figure:
    """Draw any result: the same figure as on the dashboards.

    Parameters
    ----------
    result
        What a measure, a search or a forecast returned.
    kind
        Another figure of the same result than the usual one: "touchpoint_list", "finding_list".
    options
        Of the figure, such as ``title``; see `cxlib.figures`.

    Raises
    ------
    InputError
        There is no figure of such a result.
    """
    from cxlib import figures

    shown = drawable(result)
    name = f"plot_{kind or snake(type(shown).__name__)}"
    if name not in dir(figures):
        if kind is not None or not isinstance(shown, Result):
            what = type(result).__name__ if kind is None else f"kind {kind!r}"
            raise InputError(f"there is no figure of {what}; cx.plot takes what measures return")
        name = "plot_result"
    return getattr(figures, name)(shown, **options)


def drawable(result: Any) -> Any:
    """Return a result with what its figure and its words need beside the table."""
    from cxlib.fragmentation.details import detail_findings
    from cxlib.fragmentation.findings import Findings

    return detail_findings(result) if isinstance(result, Findings) else result


def snake(name: str) -> str:
    """Write the name of a class as that of a function.

    >>> snake("FirstContacts")
    'first_contacts'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def save(figure: go.Figure, path: str | Path, *, size: str | tuple[int, int] = "slide") -> Path:
    """Save a figure as a picture, or as a page of its own that can be moved over (``.html``).

    Title and notes are broken into lines anew for the width, and a figure that needs more room than
    the size gives is drawn larger and scaled down: nothing of it is cut off.

    Parameters
    ----------
    figure
        From `plot`.
    path
        The file; its ending says the format: html, png, svg, pdf, jpg or webp.
    size
        One of `SIZES`, or width and height in pixels.

    Raises
    ------
    UnknownNameError
        There is no such size.
    InputError
        The ending is unknown, or pictures cannot be made here; says what is missing.
    """
    import plotly.io

    file = Path(path)
    if isinstance(size, str) and size not in SIZES:
        raise UnknownNameError("size", size, SIZES)
    if file.suffix not in (".html", *_PICTURES):
        raise InputError(f"{file} must end in one of .html, {', '.join(_PICTURES)}")
    width, height = SIZES[size] if isinstance(size, str) else size
    whole, larger = _fitted(figure, width, height)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".html":
        whole.layout.width = None
        whole.write_html(file, include_plotlyjs=True, config=_CONFIG)
        return file
    try:
        size_now = {"width": whole.layout.width, "height": whole.layout.height}
        plotly.io.write_image(whole, file, **size_now, scale=_SHARP / larger)
    except (ImportError, ValueError) as error:
        if "kaleido" not in str(error).lower():
            raise
        raise InputError(
            f"{file.name}: pictures need the package kaleido (pip install 'cxlib[pictures]'); "
            "without it save the figure as .html"
        ) from None
    except Exception as error:
        if "chrome" not in type(error).__name__.lower():
            raise
        raise CxError(
            f"{file.name}: pictures are drawn by Chrome or Chromium, and none is installed here; "
            "install it, or save the figure as .html"
        ) from None
    return file


def _fitted(figure: go.Figure, width: int, height: int) -> tuple[go.Figure, float]:
    """Return a copy laid out for a size, and by how much larger than that it has to be drawn."""
    import plotly.graph_objects as go

    from cxlib.figures.canvas import wrap

    whole = go.Figure(figure)
    layout, title = whole.layout, whole.layout.title
    larger = max(1.0, (layout.height or height) / height, _LEAST_WIDTH / width)
    layout.width, layout.height = round(width * larger), math.ceil(height * larger)
    room = width * larger - 48
    if text := (title.text or "").replace("<br>", " "):
        below = (title.subtitle.text or "").replace("<br>", " ")
        heading = wrap(text, int(room / (0.55 * _TITLE)))
        notes = wrap(below, int(room / (0.52 * _SUBTITLE))) if below else ""
        added, more_notes = (
            new.count("<br>") - (old or "").count("<br>")
            for new, old in ((heading, title.text), (notes, title.subtitle.text))
        )
        title.text, title.subtitle.text = heading, notes
        title.pad.t = (title.pad.t or 16) + 10 * added
        top = layout.margin.t if layout.margin.t is not None else 76
        layout.margin.t = max(60, top + 22 * added + 18 * more_notes)
    return whole, larger


_CAUTION = {
    "Touchpoints": "Contacts not followed for long enough are open, and never counted as lost. "
    "Touchpoints differ in who comes: a high loss does not prove a bad touchpoint.",
    "FirstContacts": '"Begins with" is an association: who begins with an advice call may differ '
    "from who begins with an ad. Journeys still running are allowed for.",
    "StageFunnel": "Journeys still running are open, and never counted as lost.",
    "Funnel": "Journeys that can still take the next step are open, and never counted as lost.",
    "Transitions": "Recent contacts that nothing has followed yet are allowed for.",
    "Handoffs": "Recent contacts that nothing has followed yet are allowed for.",
    "Waits": "Waits that have not ended are not in it, so recent ones look quicker than they are.",
    "Paths": "Journeys still running count with the path taken so far.",
    "FindingDetails": "More than similar handoffs do is an association, not yet a cause.",
    "Comparison": "The parts may differ in more than their name: a difference is an association. "
    "Each interval is for itself: of a hundred figures without any difference five differ so.",
    "Segments": "Segments may differ in more than their name: a difference is an association.",
}


_HTML = """\
<div role="status"><p><b>{{ said.answer }}</b></p>
{%- if said.details %}<ul>
{%- for line in said.details %}<li>{{ line }}</li>{% endfor -%}
</ul>{% endif -%}
{%- if said.caution %}<p><small>{{ said.caution | join(" ") }}</small></p>{% endif %}</div>"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` returns: it shows itself in a notebook and prints as text.

    Attributes
    ----------
    answer
        The answer in one sentence.
    details
        Sentences that go on from there.
    caution
        What the answer rests on, and what it does not say.
    """

    answer: str
    details: tuple[str, ...] = ()
    caution: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.answer, *(f"- {line}" for line in self.details), *self.caution]
        return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")

    __repr__ = __str__

    def to_html(self) -> str:
        """Write it as HTML, for a widget."""
        from jinja2 import Environment

        return Environment(autoescape=True).from_string(_HTML).render(said=self)

    def _repr_markdown_(self) -> str:
        parts = [f"**{markdown_text(self.answer)}**"]
        if self.details:
            parts.append("\n".join(f"- {markdown_text(line)}" for line in self.details))
        if self.caution:
            parts.append(f"*{markdown_text(' '.join(self.caution))}*")
        return "\n\n".join(parts)


def explain(result: Any) -> Explanation:
    """Say a result in words, the same as on the dashboards.

    Parameters
    ----------
    result
        What a measure, a search or a forecast returned; or a workspace.

    Raises
    ------
    InputError
        Nothing can be said about such an object.
    """
    if isinstance(result, Workspace):
        return _explain_workspace(result)
    shown = drawable(result)
    kind = type(shown).__name__
    answer, *details = _sentences(shown, kind)
    return Explanation(_ended(answer), tuple(map(_ended, details)), tuple(cautions(shown)))


def cautions(shown: Any) -> list[str]:
    """Say what an answer rests on, and what it does not say."""
    said = []
    if (until := getattr(shown, "observed_until", None)) is not None:
        tests = getattr(shown, "tests", None)
        tested = f"; {decimal(tests)} tests, corrected for their number"
        said.append(f"Observed until {day(until)}{tested if isinstance(tests, int) else ''}.")
    return [*said, *filter(None, [_CAUTION.get(type(shown).__name__)])]


def _sentences(shown: Any, kind: str) -> list[str]:
    from cxlib import figures

    name = f"describe_{snake(kind)}"
    if name in dir(figures):
        answer = getattr(figures, name)(shown)
        found = shown.found["sentence"].drop_nulls() if hasattr(shown, "found") else ()
        return [answer, *found]
    said = getattr(shown, "headlines", ()) or [getattr(shown, "sentence", "")]
    if hasattr(shown, "sentences"):
        said = shown.sentences()
    if said and said[0]:
        return [*said, *getattr(shown, "details", ())]
    if hasattr(shown, "columns") and hasattr(shown, "title"):
        return [f"{shown.title}: {plural(len(shown.table), 'row')}", *_rows(shown)]
    raise InputError(
        f"{type(shown).__name__} cannot be explained; cx.explain takes what the measures return"
    )


def _rows(shown: Any) -> list[str]:
    """The first rows of a table, each as a sentence: its names, then its figures."""
    written = shown.columns.written(shown.table, most=8)
    lines = []
    for row in written.rows:
        cells = list(zip(written.headings, row, written.is_number, strict=True))
        names = [cell for _, cell, is_number in cells if not is_number]
        figures = [f"{heading} {cell}" for heading, cell, is_number in cells if is_number]
        lines.append(f"{', '.join(names)}: {', '.join(figures)}")
    return lines


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", ":")) else f"{sentence}."


def _explain_workspace(workspace: Workspace) -> Explanation:
    """Say what the log is, what became of every row, and what it cannot tell."""
    counts, rule = workspace.manifest["counts"], workspace.journey_map.journey
    first, last = (workspace.manifest[name][:10] for name in ("first_at", "last_at"))
    places = workspace.places
    answer = (
        f"{workspace.journey_map.name}: {decimal(counts['contacts'])} contacts of "
        f"{decimal(counts['customers'])} customers in {decimal(counts['journeys'])} journeys, "
        f"{first} to {last}, at {plural(places['touchpoint'].n_unique(), 'touchpoint')} on "
        f"{plural(places['channel'].n_unique(), 'channel')}."
    )
    report = workspace.report
    aside = sorted(report.get("set_aside", {}).items(), key=lambda item: (-item[1], item[0]))
    rows = report.get("rows_in", counts["contacts"])
    kept = f"Of {decimal(rows)} rows, {decimal(counts['contacts'])} are contacts"
    listed = ", ".join(f"{decimal(n)} ({reason})" for reason, n in aside)
    details = [
        f"{kept}; set aside: {listed}." if aside else f"{kept}.",
        *(
            f"The map does not know {u['name']!r}: {plural(u['contacts'], 'contact')}"
            + (f"; did you mean {u['nearest']!r}?" if u["nearest"] else ".")
            for u in report.get("unmapped", ())[:5]
        ),
        *_ends(rule),
    ]
    if not int(workspace.summary().contacts["rating_n"].sum()):
        details.append("What customers feel is not measurable: the log has no ratings.")
    if not workspace.segment_names:
        details.append("Segments are not measurable: there is no table of customers.")
    caution = (
        f"Customers were observed until {day(workspace.observed_until)}: what had not been settled "
        "by then is open, and never counted as lost."
    )
    return Explanation(answer, tuple(details), (caution,))


def _ends(rule: Any) -> list[str]:
    """Say what ends a journey."""
    ends = [f"at the goal ({', '.join(rule.goal)})"] if rule.goal else []
    ends += [f"at a loss ({', '.join(rule.lost)})"] if rule.lost else []
    ends += [f"after {duration(rule.gap)} of silence"] if rule.gap is not None else []
    said = [f"A journey ends {' or '.join(ends)}."] if ends else []
    if not rule.goal:
        said.append("The map names no goal: without it nothing is a success.")
    return said
