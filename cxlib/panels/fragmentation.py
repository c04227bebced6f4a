"""The fragmentation dashboard: which handoffs break, for whom, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets
import polars as pl
import traitlets

from cxlib.figures.cards import page_style
from cxlib.figures.finding_detail import plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import (
    affected_text,
    describe_findings,
    effect_text,
    figure_text,
    finding_key,
    plot_findings,
    signal_name,
)
from cxlib.figures.numbers import people, plural
from cxlib.figures.theme import use_theme
from cxlib.panels.calm import calmly
from cxlib.panels.choice_list import ChoiceList
from cxlib.panels.disclosure import Disclosure
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.filters import ALL, segment_filter, select
from cxlib.panels.tables import Column, csv_link, html_table

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = ["Answers", "FragmentationPanel", "FragmentationState", "draw_findings_first_paint"]

_REMEMBERED = 64
_AFTER = "What happened, against what like handoffs let expect"
_RANKED = "<h2>Ranked by customers affected</h2>"


class Answers(Protocol):
    """What the panel asks; `cxlib.publish.Snapshot` answers it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Where the answers come from."""
        ...

    @property
    def segments(self) -> Sequence[tuple[str, str]]:
        """Dimension and value of every segment that can be chosen."""
        ...

    def findings(self, *, segment: tuple[str, str] | None = None) -> FindingDetails:
        """Return the findings of everybody or of a segment."""
        ...


class FragmentationState(traitlets.HasTraits):
    """What is selected on the dashboard.

    Attributes
    ----------
    segment
        Dimension and value; None: everybody.
    signal
        The findings of one signal; None: all.
    finding
        Key of the finding whose details are shown (`cxlib.figures.fragmentation.finding_key`);
        empty: none.
    """

    segment = traitlets.Tuple(default_value=None, allow_none=True)
    signal = traitlets.Unicode(default_value=None, allow_none=True)
    finding = traitlets.Unicode("")


class FragmentationPanel:
    """The dashboard; shows itself where it is the last line of a cell.

    Parameters
    ----------
    answers
        Finished answers: a published snapshot.
    theme
        ``light``, ``dark`` or ``print``.

    Attributes
    ----------
    state
        What is selected; set a trait and the panel follows.
    widget
        The whole dashboard.
    """

    def __init__(self, answers: Answers, *, theme: str = "light") -> None:
        colours = use_theme(theme)
        self._answers = answers
        self._findings = lru_cache(_REMEMBERED)(lambda segment: answers.findings(segment=segment))
        everybody = self._findings(None)
        self.state = FragmentationState()
        self.message = widgets.HTML()
        self.message.add_class("cx-message")
        self.answer, self.calm, self.head, self.facts = (widgets.HTML() for _ in range(4))
        self.ranked = ChoiceList(label="Findings, those with most customers affected first")
        self.figure, self.detail, self.trend = (FigureWidget() for _ in range(3))
        self.table = Disclosure(heading="Every handoff that was judged, as a table")
        self.tested = Disclosure(heading="What was tested, and what could not be")
        self.meaning = Disclosure(heading="What does this mean?", html=_MEANING)
        self.sureness = Disclosure(heading="How sure is this?")
        self.segment = segment_filter(answers.segments)
        signals = [(signal_name(s).capitalize(), s) for s in everybody.signals["signal"]]
        self.signal = select("Signal", [("All signals", ALL), *signals], css="cx-signal")
        self.widget = self._assemble(page_style(colours))
        self._connect()
        self._show_selection()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def _assemble(self, style: str) -> widgets.VBox:
        sheet = widgets.HTML(f"<style>{style}\n{_own_style()}</style>")
        sheet.add_class("cx-style")
        filters = widgets.HBox([self.segment, self.signal])
        side = widgets.VBox([self.calm, self.ranked])
        main = widgets.HBox([side, self.figure])
        self.after = widgets.VBox([widgets.HTML(f"<h3>{_AFTER}</h3>"), self.detail])
        self.since = widgets.VBox([widgets.HTML("<h3>Since when</h3>"), self.trend])
        self.pictures = widgets.HBox([self.facts, self.after, self.since])
        self.opened = widgets.VBox([self.head, self.pictures])
        more = widgets.VBox([self.table, self.tested, self.meaning, self.sureness])
        for part, name in (
            (self.answer, "cx-answer"),
            (filters, "cx-filters"),
            (side, "cx-ranked"),
            (self.calm, "cx-nothing"),
            (self.figure, "cx-map"),
            (main, "cx-breaks"),
            (self.head, "cx-head"),
            (self.facts, "cx-facts"),
            (self.detail, "cx-curve"),
            (self.trend, "cx-trend"),
            (self.after, "cx-picture"),
            (self.since, "cx-picture"),
            (self.pictures, "cx-pictures"),
            (self.opened, "cx-opened"),
            (more, "cx-more"),
            (self.tested, "cx-text"),
            (self.meaning, "cx-text"),
            (self.sureness, "cx-text"),
        ):
            part.add_class(name)
        whole = widgets.VBox([sheet, self.answer, filters, self.message, main, self.opened, more])
        whole.add_class("cx-panel")
        whole.add_class("cx-page-style")
        return whole

    def _connect(self) -> None:
        for widget, trait in ((self.segment, "segment"), (self.signal, "signal")):
            outward, inward = (
                (lambda v: ALL if v is None else v),
                (lambda v: None if v == ALL else v),
            )
            traitlets.link((self.state, trait), (widget, "value"), transform=(outward, inward))
        traitlets.link((self.state, "finding"), (self.ranked, "chosen"))
        self.state.observe(self._selected, ["segment", "signal"])
        self.state.observe(self._opened, "finding")
        self.figure.observe(self._clicked, "clicked")

    @calmly
    def _selected(self, change: object) -> None:
        self._show_selection()

    @calmly
    def _opened(self, change: object) -> None:
        self._show_matrix()
        self._show_details()

    @calmly
    def _clicked(self, change: Mapping[str, Any]) -> None:
        key = change["new"]["key"]
        self.state.finding = "" if key == self.state.finding else key

    def _current(self) -> tuple[FindingDetails, pl.DataFrame]:
        """Return the answer for the customers selected, and its findings of the signal selected."""
        result = self._findings(self.state.segment)
        found = result.found
        if self.state.signal is not None:
            found = found.filter(pl.col("signal") == self.state.signal)
        return result, found

    def _show_selection(self) -> None:
        result, found = self._current()
        rows = found.to_dicts()
        keys = [finding_key(row) for row in rows]
        if self.state.finding not in keys:
            # The worst is open from the start: a page that has to be clicked to tell something
            # tells most of its readers nothing.
            self.state.set_trait("finding", keys[0] if keys else "")
        self.answer.value = _answer(result)
        self.ranked.items = [
            [key, _entry(number, row, self._k)]
            for number, (key, row) in enumerate(zip(keys, rows, strict=True), start=1)
        ]
        self.calm.value = _nothing(result, self.state.signal) if not rows else _RANKED
        self.table.html = _table(result)
        self.tested.html = _tested(result)
        self.sureness.html = _sureness(result, self._k)
        self._show_matrix()
        self._show_details()

    @property
    def _k(self) -> int:
        return int(self._answers.manifest.get("k", 1))

    def _show_matrix(self) -> None:
        result, _ = self._current()
        self.figure.draw(
            plot_findings(result, signal=self.state.signal, selected=self.state.finding, title="")
        )

    def _show_details(self) -> None:
        result, found = self._current()
        row = next((r for r in found.to_dicts() if finding_key(r) == self.state.finding), None)
        self.opened.layout.display = None if row else "none"
        if row is None:
            return
        self.head.value = (
            f"<h2>{escape(row['source'])} → {escape(row['target'])}</h2>"
            f"<p>It {escape(_said(row))}.</p>"
        )
        self.facts.value = _facts(result, row, self._k) + _whom(self._in_segments(row))
        self.detail.draw(plot_finding_detail(result, row, title=""))
        trend = plot_finding_trend(result, row, title="")
        known = len(trend.data[0].x or ()) > 1
        self.since.layout.display = None if known else "none"
        self.trend.draw(trend)

    def _in_segments(self, row: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return what the same handoff and signal are in every other group of customers."""
        keys = ("source_place", "target_place", "signal")
        same = [pl.col(key) == row[key] for key in keys]
        return [
            (f"{dimension.replace('_', ' ')} {value}", found)
            for dimension, value in self._answers.segments
            for found in self._findings((dimension, value)).table.filter(*same).to_dicts()
        ]


def draw_findings_first_paint(answers: Answers) -> str:
    """Draw what the page shows before it is live: the answer, and the findings in words.

    Parameters
    ----------
    answers
        Finished answers, as of the panel.

    Returns
    -------
    str
        An HTML fragment with its style; no script.
    """
    result = answers.findings()
    k = int(answers.manifest.get("k", 1))
    rows = result.found.to_dicts()
    entries = "".join(
        f'<li class="cx-entry">{_entry(number, row, k)}</li>'
        for number, row in enumerate(rows, start=1)
    )
    below = f'{_RANKED}<ol class="cx-choices">{entries}</ol>' if rows else _nothing(result, None)
    return (
        f"<style>{page_style()}\n{_own_style()}</style>"
        f'<div class="cx-panel cx-page-style"><div class="cx-answer">{_answer(result)}</div>'
        f"{below}</div>"
    )


def _own_style() -> str:
    return (Path(__file__).parent / "fragmentation.css").read_text(encoding="utf-8")


def _said(row: Mapping[str, Any]) -> str:
    """Say what a finding is, below a heading that names its handoff."""
    handoff = f"{row['source']} → {row['target']}"
    if row["sentence"] is None:
        return f"stands out ({signal_name(row['signal'])}), by figures too small to be shown"
    return str(row["sentence"]).removeprefix(handoff).strip()


def _answer(result: FindingDetails) -> str:
    until = result.observed_until
    sure = (
        f"{result.tests:,} tests, corrected for their number: of such findings at most 1 in 20 is "
        "expected to be false. "
        if result.tests
        else ""
    )
    basis = f"{plural(result.customers, 'customer')}, data to {until.day} {until:%B %Y}. {sure}"
    return (
        '<div role="status"><h1>Which handoffs break</h1>'
        f"<p>{escape(describe_findings(result))}.</p><small>{escape(basis)}</small></div>"
    )


def _entry(number: int, row: Mapping[str, Any], k: int) -> str:
    owner = f" · owner: {row['owner']}" if row["owner"] else ""
    return (
        f"<b>{number}. {escape(row['source'])} → {escape(row['target'])}</b>"
        f"<span>{escape(_said(row))}</span>"
        f"<small>{escape(affected_text(row, k=k).capitalize())} customers affected"
        f"{escape(owner)}</small>"
    )


def _nothing(result: FindingDetails, signal: str | None) -> str:
    if signal is not None and not result.found.is_empty():
        return (
            f'<div class="cx-calm"><b>No finding: {escape(signal_name(signal))}.</b> '
            "Other signals have some: choose “All signals”.</div>"
        )
    if not result.tests:
        return f'<div class="cx-calm"><b>Nothing could be judged.</b>{_signals(result)}</div>'
    return (
        f'<div class="cx-calm"><b>No handoff stands out from like handoffs.</b> '
        f"{result.tests:,} judgements were made; none shows harm beyond what chance and natural "
        f"differences between handoffs explain.{_signals(result)}</div>"
    )


def _signals(result: FindingDetails) -> str:
    lines = [
        f"<li>{escape(signal_name(row['signal']).capitalize())}: {escape(_verdict(row))}</li>"
        for row in result.signals.to_dicts()
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _verdict(row: Mapping[str, Any]) -> str:
    if not row["measurable"]:
        return str(row["reason"])
    return f"{plural(row['tested'], 'handoff')} judged, {plural(row['findings'], 'finding')}"


def _facts(result: FindingDetails, row: Mapping[str, Any], k: int) -> str:
    places = {p["place"]: p for p in result.places.to_dicts()}
    source, target = places.get(row["source_place"]), places.get(row["target_place"])
    facts = [
        ("Observed", figure_text(row, row["observed"])),
        ("Expected", f"{figure_text(row, row['expected'])} (like handoffs)"),
        ("Effect", effect_text(row, interval=True)),
        ("Affected", f"{affected_text(row, k=k)} customers"),
        ("Came this way", f"{people(row['customers'])} customers"),
        ("q value", f"{row['q']:.1g} of {result.tests:,} tests"),
    ]
    if source and target:
        facts.append(("From", f"{source['channel']}, {source['stage']}"))
        facts.append(("To", f"{target['channel']}, {target['stage']}"))
    if row["owner"]:
        facts.append(("Owner", row["owner"]))
    if row["stable"] is not None:
        said = "same sign at 7, 14 and 30 days" if row["stable"] else "changes sign: unstable"
        facts.append(("Stability", said))
    if row["status"] is not None:
        facts.append(("Over time", row["status"]))
    listed = "".join(f"<div><dt>{n}</dt><dd>{escape(str(v))}</dd></div>" for n, v in facts)
    asked = escape(row["owner"]) if row["owner"] else "whoever owns it"
    return (
        f'<dl class="cx-facts-list">{listed}</dl><h3>What to do</h3>'
        f"<p>{_ADVICE.get(row['signal'], _ADVICE['']).format(owner=asked)} "
        "Then test the change on part of the customers: this is an association.</p>"
    )


def _whom(rows: list[tuple[str, dict[str, Any]]]) -> str:
    if not rows:
        return ""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(effect_text(row, interval=True))}</dd></div>"
        for name, row in rows
    )
    return f'<h3>For whom</h3><dl class="cx-facts-list cx-whom">{items}</dl>'


def _table(result: FindingDetails) -> str:
    columns = [
        Column("From", lambda row: row["source"], number=False),
        Column("To", lambda row: row["target"], number=False),
        Column("Signal", lambda row: signal_name(row["signal"]), number=False),
        Column("Owner", lambda row: row["owner"] or "–", number=False),
        Column("Customers", lambda row: people(row["customers"])),
        Column("Observed", lambda row: figure_text(row, row["observed"])),
        Column("Expected", lambda row: figure_text(row, row["expected"])),
        Column("Effect", lambda row: effect_text(row, interval=True)),
        Column("q", lambda row: f"{row['q']:.1g}"),
        Column("Finding", _says_finding, number=False),
    ]
    caption = "Findings first, then by how clearly they stand out; 95 % intervals in brackets."
    shown = html_table(result.table, columns, caption=caption)
    names = ("source_place", "target_place")
    return csv_link(result.table.drop(*names), file="handoffs.csv") + shown


def _says_finding(row: Mapping[str, Any]) -> str:
    if row["finding"]:
        return "yes"
    return f"follows from {row['echo_of']}" if row["echo_of"] else "no"


def _tested(result: FindingDetails) -> str:
    return (
        f"<p>{result.tests:,} judgements: every signal on every transition with enough "
        f"customers.</p>{_signals(result)}"
    )


def _sureness(result: FindingDetails, k: int) -> str:
    until, days = result.observed_until, result.silence.days
    return (
        f"<p>{result.tests:,} tests were made. With so many, some would stand out by chance, so q "
        "values allow for their number (Benjamini-Hochberg): among findings with q below 0.05 at "
        "most 1 in 20 is expected to be false.</p>"
        "<p>Each handoff is compared with like handoffs: others that lead to the same touchpoint, "
        "leave the same one, or join the same stages, with customers of the same segment, period "
        "and number of earlier contacts. Intervals (95 %) allow for natural differences between "
        "handoffs, and findings too small to matter are left out.</p>"
        f"<p>A customer counts as gone after {days} days of silence; whoever was in touch later "
        f"than {days} days before {until.day} {until:%B %Y} is not judged yet.</p>"
        "<p>“More than like handoffs” is an association. Only a change tried on part of the "
        "customers shows the cause.</p>"
        f"<p>Figures about fewer than {k} customers are not shown; all are rounded.</p>"
    )


_ADVICE = {
    "abandonment": "Ask {owner} what a customer finds on arrival, and what is missing to go on.",
    "delay": "Ask {owner} what customers wait for between the two, and who could shorten it.",
    "backtracking": "Ask {owner} what customers have to do again, and carry it over.",
    "ping_pong": "Ask {owner} what could not be settled here, and settle it or do not send them.",
    "perception_dip": "Ask {owner} what customers who came this way say, and read their comments.",
    "": "Ask {owner} to follow ten customers along this handoff.",
}

_MEANING = """
<p><b>A handoff</b> is one touchpoint directly followed by another on a different channel or with a
different owner. It breaks where customers who take it fare worse than those who take like handoffs:
they leave, wait longer, are sent back, or rate what they find lower.</p>
<p><b>The matrix.</b> Rows are where customers come from, columns where they go, both in the order
of the journey. Each dot is a handoff or transition that was judged, larger where more customers
take it. Grey is quiet; red is a finding, with its effect beside it.</p>
<p><b>Customers affected</b> is cautious: customers times the lower end of the excess.</p>
"""
