"""The fragmentation dashboard: which handoffs break, for whom, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets
import plotly.graph_objects as go
import polars as pl
import traitlets

from cxlib.figures.cards import page_style
from cxlib.figures.finding_detail import plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import finding_key, plot_findings, signal_name
from cxlib.figures.theme import use_theme
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.numbers import plural
from cxlib.panels import finding_words as words
from cxlib.panels import texts
from cxlib.panels.address import LinkedState, Parameter, segment_texts
from cxlib.panels.calm import calmly
from cxlib.panels.changes import Changes, Comparable
from cxlib.panels.choice_list import ChoiceList
from cxlib.panels.close import Close
from cxlib.panels.disclosure import Disclosure
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.filters import ALL, choice_filter, follow, segment_filter, select
from cxlib.panels.foresight import Foresight
from cxlib.panels.origin import Origin, day
from cxlib.panels.style import panel_style
from cxlib.tables import csv_text

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = ["Answers", "FragmentationPanel", "FragmentationState", "draw_findings_first_paint"]

#: Answers and pictures that are kept, so that going back and forth costs nothing.
_REMEMBERED, _DRAWN = 64, 16

#: Columns of the findings that a filter can narrow, and their name in the address.
_NARROWED = {"source_channel": "from", "target_channel": "to", "stage": "stage", "owner": "owner"}


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


class FragmentationState(Comparable):
    """What is selected on the dashboard; None is no filter.

    Attributes
    ----------
    segment
        Dimension and value.
    signal, source_channel, target_channel, stage, owner
        The findings with that value alone.
    finding
        Key of the finding whose details are shown (`cxlib.figures.fragmentation.finding_key`);
        empty: none.
    since
        Name of the earlier snapshot that is compared with.
    """

    signal = traitlets.Unicode(default_value=None, allow_none=True)
    source_channel = traitlets.Unicode(default_value=None, allow_none=True)
    target_channel = traitlets.Unicode(default_value=None, allow_none=True)
    stage = traitlets.Unicode(default_value=None, allow_none=True)
    owner = traitlets.Unicode(default_value=None, allow_none=True)
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
        self._matrix = lru_cache(_DRAWN)(self._draw_matrix)
        self._pictures = lru_cache(_DRAWN)(self._draw_pictures)
        everybody = self._findings(None)
        self.state = FragmentationState()
        self._shown: tuple[object, ...] | None = None
        self._shown_finding: tuple[object, str] | None = None
        self.message = widgets.HTML()
        self.message.add_class("cx-message")
        self.answer, self.calm, self.head = (widgets.HTML() for _ in range(3))
        self.facts, self.whom = widgets.HTML(), widgets.HTML()
        self.ranked = ChoiceList(label=texts.RANKED_LABEL)
        self.figure = FigureWidget(text=texts.MATRIX)
        self.detail = FigureWidget(text=texts.AFTERWARDS)
        self.trend = FigureWidget(text=texts.TREND)
        self.tested = Disclosure(heading=texts.TESTED_HEADING)
        self.close = Close(leads_to=".cx-choices button")
        self._make_filters(everybody)
        self.changes = Changes(answers, self.state, findings=True)
        self.foresight = Foresight(answers)
        self.link = LinkedState(self, self.state, self._parameters(everybody))
        self.widget = self._assemble(page_style(colours))
        self._connect()
        self._show_selection()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def _make_filters(self, everybody: FindingDetails) -> None:
        self.segment = segment_filter(self._answers.segments)
        signals = [(signal_name(s).capitalize(), s) for s in everybody.signals["signal"]]
        self.signal = select(texts.SIGNAL, [(texts.ALL_SIGNALS, ALL), *signals], css="cx-signal")
        names = _names(everybody)
        for column, label, every in (
            ("source_channel", texts.FROM_CHANNEL, texts.FROM_ANY),
            ("target_channel", texts.TO_CHANNEL, texts.TO_ANY),
            ("stage", texts.STAGE, texts.ALL_STAGES),
            ("owner", texts.OWNER, texts.ALL_OWNERS),
        ):
            css = f"cx-filter-{_NARROWED[column]}"
            setattr(self, column, choice_filter(label, every, names[column], css=css))

    def _parameters(self, everybody: FindingDetails) -> list[Parameter]:
        segments = segment_texts(self._answers.segments)
        signals = {signal: signal for signal in everybody.signals["signal"]}
        names = {column: {n: n for n in known} for column, known in _names(everybody).items()}
        return [
            Parameter("segment", "segment", lambda: segments),
            Parameter("signal", "signal", lambda: signals),
            *(
                Parameter(name, column, lambda column=column: names[column])  # type: ignore[misc]
                for column, name in _NARROWED.items()
            ),
            # The worst is open unless another one is chosen.
            Parameter("finding", "finding", self._finding_texts, usual=lambda: self._keys()[0]),
            self.changes.parameter(),
        ]

    def _finding_texts(self) -> dict[str, str]:
        """Write every finding shown as in an address, by names that outlive a snapshot."""
        return {
            f"{row['source']} ({row['source_channel']}) > "
            f"{row['target']} ({row['target_channel']}): {row['signal']}": finding_key(row)
            for row in self._narrowed().found.to_dicts()
        }

    def _keys(self) -> list[str]:
        return [finding_key(row) for row in self._narrowed().found.to_dicts()] or [""]

    def _assemble(self, style: str) -> widgets.VBox:
        sheet = widgets.HTML(f"<style>{style}\n{panel_style('fragmentation')}</style>")
        narrow = [getattr(self, column) for column in _NARROWED]
        filters = widgets.HBox([self.segment, self.signal, *narrow])
        side = widgets.VBox([self.calm, self.ranked])
        main = widgets.HBox([side, self.figure])
        self.after = widgets.VBox([widgets.HTML(f"<h3>{texts.AFTER_HEADING}</h3>"), self.detail])
        self.since = widgets.VBox([widgets.HTML(f"<h3>{texts.TREND_HEADING}</h3>"), self.trend])
        self.pictures = widgets.HBox([self.facts, self.after, self.since, self.whom])
        self.opened = widgets.VBox([self.head, self.close, self.pictures])
        more = widgets.VBox([self.tested])
        top = [sheet, self.answer, self.link.widget, filters, self.message]
        sections = [self.opened, self.foresight.widget, self.changes.widget, more]
        whole = widgets.VBox([*top, main, *sections])
        for part, *names in (
            (sheet, "cx-style"),
            (self.answer, "cx-answer"),
            (filters, "cx-filters"),
            (side, "cx-ranked"),
            (self.calm, "cx-nothing"),
            (self.figure, "cx-map"),
            (main, "cx-breaks"),
            (self.head, "cx-head"),
            (self.facts, "cx-facts"),
            (self.whom, "cx-for-whom"),
            (self.detail, "cx-curve"),
            (self.trend, "cx-trend"),
            (self.after, "cx-picture"),
            (self.since, "cx-picture"),
            (self.pictures, "cx-pictures"),
            (self.opened, "cx-opened", "cx-closes"),
            (more, "cx-more"),
            (self.tested, "cx-text"),
            (whole, "cx-panel", "cx-page-style"),
        ):
            for name in names:
                part.add_class(name)
        return whole

    def _connect(self) -> None:
        filters = ["segment", "signal", *_NARROWED]
        for trait in filters:
            follow(self.state, trait, getattr(self, trait))
        traitlets.link((self.state, "finding"), (self.ranked, "chosen"))
        self.state.observe(self._selected, filters)
        self.state.observe(self._opened, "finding")
        self.state.observe(self._compared, "since")
        self.figure.observe(self._clicked, "clicked")
        self.close.observe(self._closed, "pressed")

    @calmly
    def _selected(self, change: object) -> None:
        with self._in_one_message_each():
            self._show_selection()
        self.changes.show()

    @calmly
    def _opened(self, change: object) -> None:
        with self._in_one_message_each():
            self._show_selection()
            self._show_finding()

    @contextmanager
    def _in_one_message_each(self) -> Iterator[None]:
        """Send each figure once, with what stands below it, and after the words."""
        with self.figure.hold_sync(), self.detail.hold_sync(), self.trend.hold_sync():
            yield

    @calmly
    def _compared(self, change: object) -> None:
        self.changes.show()
        self.link.write()

    @calmly
    def _clicked(self, change: Mapping[str, Any]) -> None:
        key = change["new"]["key"]
        self.state.finding = "" if key == self.state.finding else key

    @calmly
    def _closed(self, change: object) -> None:
        self.state.finding = ""

    def _narrowed(self, *, by_signal: bool = True) -> FindingDetails:
        """Return the answer for the customers selected, narrowed to what is filtered for."""
        result = self._findings(self.state.segment)
        columns = (["signal"] if by_signal else []) + list(_NARROWED)
        chosen = {c: getattr(self.state, c) for c in columns if getattr(self.state, c) is not None}
        if not chosen:
            return result
        return replace(result, table=result.table.filter(pl.col(c) == v for c, v in chosen.items()))

    def _filters(self) -> list[str]:
        """Say in words what the findings are narrowed to."""
        state = self.state
        said = [signal_name(state.signal)] if state.signal is not None else []
        for column, label in (
            ("source_channel", texts.FROM_CHANNEL),
            ("target_channel", texts.TO_CHANNEL),
            ("stage", texts.STAGE),
            ("owner", texts.OWNER),
        ):
            if getattr(state, column) is not None:
                said.append(f"{label.lower()}: {getattr(state, column)}")
        return said

    def _show_selection(self) -> None:
        chosen = tuple(getattr(self.state, t) for t in ("segment", "signal", *_NARROWED))
        if chosen == self._shown:
            return
        result, every = self._narrowed(), len(self._findings(self.state.segment).found)
        rows = result.found.to_dicts()
        keys = [finding_key(row) for row in rows]
        self.answer.value = words.answer(result, of=every, filters=self._filters())
        self.ranked.items = [
            [key, words.entry(number, row, self._k)]
            for number, (key, row) in enumerate(zip(keys, rows, strict=True), start=1)
        ]
        self.calm.value = words.ranked() if rows else words.nothing(result, of=every)
        self._shown = chosen
        if self.state.finding not in keys:
            # The worst is open from the start: a page that has to be clicked to tell something
            # tells most of its readers nothing.
            self.state.finding = keys[0] if keys else ""
        self._show_finding()
        self.tested.html = words.tested(result)
        self._write_below(self.figure, lambda: words.behind_matrix(result))

    @property
    def _k(self) -> int:
        return int(self._answers.manifest.get("k", 1))

    def _show_finding(self) -> None:
        if (self._shown, self.state.finding) == self._shown_finding:
            return
        result = self._narrowed()
        row = next((r for r in result.found.to_dicts() if finding_key(r) == self.state.finding), {})
        self.figure.draw(self._matrix(self._shown, self.state.finding))
        self.opened.layout.display = None if row else "none"
        self.close.shown = bool(row)
        if row:
            self._show_details(result, row)
        self._shown_finding = (self._shown, self.state.finding)
        self.link.write()

    def _show_details(self, result: FindingDetails, row: Mapping[str, Any]) -> None:
        detail, trend = self._pictures(self.state.segment, self.state.finding)
        self.head.value = words.heading(row)
        self.detail.draw(detail)
        self.since.layout.display = None if len(trend.data[0].x or ()) > 1 else "none"
        self.trend.draw(trend)
        self.facts.value = words.facts(result, row, self._k)
        self.whom.value = words.for_whom(self._in_segments(row))
        self._write_below(self.detail, lambda: words.behind_detail(result, row), n=row["n"])
        self._write_below(self.trend, lambda: words.behind_trend(result, row))

    def _draw_matrix(self, chosen: tuple[object, ...], finding: str) -> go.Figure:
        return plot_findings(
            self._narrowed(by_signal=False), signal=self.state.signal, selected=finding, title=""
        )

    def _draw_pictures(
        self, segment: tuple[str, str] | None, finding: str
    ) -> tuple[go.Figure, go.Figure]:
        result = self._findings(segment)
        row = next(r for r in result.found.to_dicts() if finding_key(r) == finding)
        return plot_finding_detail(result, row, title=""), plot_finding_trend(result, row, title="")

    def _write_below(
        self,
        figure: FigureWidget,
        behind: Callable[[], tuple[str, pl.DataFrame]],
        n: int | None = None,
    ) -> None:
        result = self._findings(self.state.segment)
        origin = Origin.of(self._answers.manifest, result.observed_until)
        segment = ": ".join(self.state.segment) if self.state.segment else texts.ALL_CUSTOMERS
        selection = ", ".join([segment, *self._filters()])

        def write() -> tuple[str, str]:
            table, frame = behind()
            return table, csv_text(frame, origin.columns(selection))

        figure.credit = f"{selection}. {origin.credit()}"
        figure.write_below(
            write,
            tests=f"{result.tests:,}",
            limit=f"{Q_LIMIT:g}",
            false=texts.IN_HUNDRED.format(n=round(100 * Q_LIMIT)),
            days=str(result.silence.days),
            until=day(result.observed_until),
            cases=texts.FEW_CASES if n is None else plural(n, "case"),
            k=str(self._k),
        )

    def _in_segments(self, row: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return what the same handoff and signal are in every other group of customers."""
        keys = ("source_place", "target_place", "signal")
        same = [pl.col(key) == row[key] for key in keys]
        return [
            (f"{dimension.replace('_', ' ')} {value}", found)
            for dimension, value in self._answers.segments
            for found in self._findings((dimension, value)).table.filter(*same).to_dicts()
        ]


def _names(everybody: FindingDetails) -> dict[str, list[str]]:
    """Return what may be chosen of each narrowed column: in the order of the journey map."""
    table, places = everybody.table, everybody.places
    order = {"stage": places["stage"], "owner": table["owner"].drop_nulls().sort()}
    return {
        column: [
            name
            for name in order.get(column, places["channel"]).unique(maintain_order=True)
            if name in set(table[column])
        ]
        for column in _NARROWED
    }


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
        f'<li class="cx-entry">{words.entry(number, row, k)}</li>'
        for number, row in enumerate(rows, start=1)
    )
    listed = f'{words.ranked()}<ol class="cx-choices">{entries}</ol>' if rows else ""
    listed = listed or words.nothing(result)
    return (
        f"<style>{page_style()}\n{panel_style('fragmentation')}</style>"
        '<div class="cx-panel cx-page-style">'
        f'<div class="cx-answer">{words.answer(result, of=len(rows))}</div>'
        '<div class="cx-filters-come"></div>'
        f'<div class="cx-breaks"><div class="cx-ranked">{listed}</div></div></div>'
    )
