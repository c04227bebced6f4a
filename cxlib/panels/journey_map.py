"""The journey map dashboard: where customers get lost, for whom, by which channel, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import ipywidgets as widgets
import plotly.graph_objects as go
import polars as pl
import traitlets

from cxlib.figures.cards import next_moves, page_style, touchpoint_cards, touchpoint_details
from cxlib.figures.map_layout import Place
from cxlib.figures.map_traces import place_of
from cxlib.figures.theme import use_theme
from cxlib.figures.touchpoints import (
    COLOURS,
    ColourBy,
    map_positions,
    plot_touchpoints,
    weakest_marks,
)
from cxlib.markup import html_text
from cxlib.panels import texts
from cxlib.panels.address import LinkedState, Parameter, period_texts, segment_texts
from cxlib.panels.calm import calmly
from cxlib.panels.changes import Changes, Comparable
from cxlib.panels.close import Close
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.filters import (
    ALL,
    choice_filter,
    follow,
    period_filter,
    period_label,
    segment_filter,
    select,
)
from cxlib.panels.map_words import answer, customers, touchpoint_table
from cxlib.panels.origin import Origin, day
from cxlib.panels.style import panel_style
from cxlib.summary import Selection
from cxlib.tables import csv_text

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["Answers", "JourneyMapPanel", "JourneyMapState", "draw_first_paint"]

#: Answers and pictures that are kept, so that going back and forth costs nothing.
_REMEMBERED, _DRAWN = 32, 16


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

    @property
    def periods(self) -> Sequence[date]:
        """First days of the periods."""
        ...

    @property
    def period_unit(self) -> str:
        """day, week, month or quarter."""
        ...

    def touchpoints(
        self, *, segment: tuple[str, str] | None = None, period: tuple[int, int] | None = None
    ) -> Touchpoints:
        """Return the touchpoints of a selection."""
        ...

    def transitions(
        self, *, segment: tuple[str, str] | None = None, period: tuple[int, int] | None = None
    ) -> Transitions:
        """Return the transitions of a selection."""
        ...


class JourneyMapState(Comparable):
    """What is selected on the dashboard.

    Attributes
    ----------
    segment
        Dimension and value; None: everybody.
    channel
        One channel; None: all.
    period
        Positions of the first and the last period; None: all.
    colour_by
        What the colour stands for, see `cxlib.figures.touchpoints.COLOURS`.
    touchpoint
        The touchpoint whose details are shown; None: none.
    since
        Name of the earlier snapshot that is compared with; None: none.
    """

    channel = traitlets.Unicode(default_value=None, allow_none=True)
    period = traitlets.Tuple(default_value=None, allow_none=True)
    colour_by = traitlets.Enum(list(COLOURS), default_value="lost")
    touchpoint = traitlets.Instance(Place, default_value=None, allow_none=True)


class JourneyMapPanel:
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
        self._touchpoints = lru_cache(_REMEMBERED)(answers.touchpoints)
        self._transitions = lru_cache(_REMEMBERED)(answers.transitions)
        self._map = lru_cache(_DRAWN)(self._draw_map)
        everything = self._touchpoints(segment=None, period=None)
        self._positions = map_positions(everything)
        self.state = JourneyMapState()
        self._shown: tuple[object, ...] | None = None
        self.message = widgets.HTML()
        self.message.add_class("cx-message")
        self.answer, self.cards, self.details = (widgets.HTML() for _ in range(3))
        self.close = Close(leads_to=".cx-choose select")
        self.figure = FigureWidget(text=texts.JOURNEY_MAP)
        self._make_filters(everything)
        self.changes = Changes(answers, self.state, findings=False)
        self.link = LinkedState(self, self.state, self._parameters(everything))
        self.widget = self._assemble(page_style(colours))
        self._connect()
        self._show_selection()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def _make_filters(self, everything: Touchpoints) -> None:
        self.segment = segment_filter(self._answers.segments)
        self.channel = choice_filter(
            texts.CHANNEL, texts.ALL_CHANNELS, everything.channels, css="cx-channel-filter"
        )
        self.period = period_filter(self._answers.periods, self._answers.period_unit)
        self.colour_by = select(texts.COLOUR, list(texts.COLOURS.items()), css="cx-colour")
        places: list[tuple[str, object]] = [(texts.NO_TOUCHPOINT, ALL)]
        places += [(f"{p.touchpoint} ({p.channel})", p) for p in self._positions.spots]
        self.touchpoint = select(texts.TOUCHPOINT, places, css="cx-choose")

    def _parameters(self, everything: Touchpoints) -> list[Parameter]:
        segments = segment_texts(self._answers.segments)
        periods = period_texts(self._answers.periods, self._answers.period_unit)
        channels = {name: name for name in everything.channels}
        colours = {name: name for name in COLOURS}
        places = {f"{p.touchpoint}, {p.channel}, {p.stage}": p for p in self._positions.spots}
        return [
            Parameter("segment", "segment", lambda: segments),
            Parameter("channel", "channel", lambda: channels),
            Parameter("period", "period", lambda: periods),
            Parameter("colour", "colour_by", lambda: colours, usual=lambda: "lost"),
            Parameter("touchpoint", "touchpoint", lambda: places),
            self.changes.parameter(),
        ]

    def _assemble(self, style: str) -> widgets.VBox:
        sheet = widgets.HTML(f"<style>{style}\n{panel_style()}</style>")
        filters = widgets.HBox([self.segment, self.channel, self.period, self.colour_by])
        side = widgets.VBox([self.touchpoint, self.details, self.close])
        main = widgets.HBox([self.figure, self.cards, side])
        top = [sheet, self.answer, self.link.widget, filters, self.message]
        whole = widgets.VBox([*top, main, self.changes.widget])
        for part, name in (
            (sheet, "cx-style"),
            (self.answer, "cx-answer"),
            (filters, "cx-filters"),
            (self.figure, "cx-map"),
            (self.cards, "cx-cards"),
            (self.details, "cx-details"),
            (side, "cx-side"),
            (side, "cx-closes"),
            (main, "cx-main"),
            (whole, "cx-panel"),
            (whole, "cx-page-style"),
        ):
            part.add_class(name)
        return whole

    def _connect(self) -> None:
        traitlets.link((self.state, "colour_by"), (self.colour_by, "value"))
        for trait in ("segment", "channel", "touchpoint"):
            follow(self.state, trait, getattr(self, trait))
        last = len(self._answers.periods) - 1
        traitlets.link(
            (self.state, "period"),
            (self.period, "index"),
            # The whole range is no filter: answers for "all" are the same, and already there.
            transform=(lambda p: p or (0, last), lambda i: None if tuple(i) == (0, last) else i),
        )
        self.state.observe(self._selected, ["segment", "channel", "period"])
        self.state.observe(self._highlighted, ["colour_by", "touchpoint"])
        self.state.observe(self._compared, "since")
        self.figure.observe(self._clicked, "clicked")
        self.close.observe(self._closed, "pressed")

    @calmly
    def _selected(self, change: object) -> None:
        self._show_selection()
        self.changes.show()

    @calmly
    def _highlighted(self, change: object) -> None:
        self._show_map()
        self._show_details()
        self.link.write()

    @calmly
    def _compared(self, change: object) -> None:
        self.changes.show()
        self.link.write()

    @calmly
    def _clicked(self, change: Mapping[str, Any]) -> None:
        place = place_of(change["new"]["key"])
        # A second click on the same touchpoint lets go of it.
        self.state.touchpoint = None if place == self.state.touchpoint else place

    @calmly
    def _closed(self, change: object) -> None:
        self.state.touchpoint = None

    def _current(self) -> tuple[Touchpoints, Transitions]:
        where = {"segment": self.state.segment, "period": self.state.period}
        result, moves = self._touchpoints(**where), self._transitions(**where)
        if self.state.channel is None:
            return result, moves
        return _in_channel(result, self.state.channel), _touching(moves, self.state.channel)

    def _show_selection(self) -> None:
        chosen = (self.state.segment, self.state.channel, self.state.period)
        if chosen == self._shown:
            return
        result, moves = self._current()
        self.answer.value = answer(result)
        self._show_map()
        self._show_details()
        self.cards.value = touchpoint_cards(result, transitions=moves)
        self._write_below(result)
        self._shown = chosen
        self.link.write()

    def _write_below(self, result: Touchpoints) -> None:
        origin = Origin.of(self._answers.manifest, result.observed_until)
        table, selection = result.table.drop("place", strict=False), self._selection()
        self.figure.credit = f"{selection}. {origin.credit()}"
        self.figure.write_below(
            lambda: (touchpoint_table(result), csv_text(table, origin.columns(selection))),
            customers=customers(result),
            until=day(result.observed_until),
            k=str(origin.k),
        )

    def _selection(self) -> str:
        """Say in words what is selected, for what is taken away."""
        state, periods = self.state, self._answers.periods
        said = [": ".join(state.segment) if state.segment else texts.ALL_CUSTOMERS]
        said += [state.channel] if state.channel else []
        if state.period:
            names = [period_label(periods[i], self._answers.period_unit) for i in state.period]
            said.append("–".join(dict.fromkeys(names)))
        return ", ".join(said)

    def _show_map(self) -> None:
        state = self.state
        chosen = (state.segment, state.channel, state.period)
        self.figure.draw(self._map(chosen, state.colour_by, state.touchpoint))

    def _draw_map(
        self, chosen: tuple[object, ...], colour_by: str, selected: Place | None
    ) -> go.Figure:
        result, moves = self._current()
        return plot_touchpoints(
            result,
            transitions=moves,
            colour_by=cast(ColourBy, colour_by),
            selected=selected,
            marks=weakest_marks(result),
            positions=self._positions,
            title="",
        )

    def _show_details(self) -> None:
        place = self.state.touchpoint
        self.close.shown = place is not None
        if place is None:
            self.details.value = f"<p>{texts.MAP_HINT}</p>"
            return
        result, moves = self._current()
        rows = [row for row in result.table.to_dicts() if _place(row) == place]
        if not rows:
            self.details.value = f"<p>{texts.NO_CONTACTS}</p>"
            return
        where = f"{html_text(place.channel)}, {html_text(place.stage)}"
        head = f"<h2>{html_text(place.touchpoint)}</h2><p>{where}</p>"
        self.details.value = head + touchpoint_details(rows[0], moves=next_moves(moves, rows[0]))


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["touchpoint"], row["channel"], row["stage"])


def _in_channel(result: Touchpoints, channel: str) -> Touchpoints:
    """Keep one channel's touchpoints; figures per stage are about other people, and left out."""
    whole = result.by_channel.filter(pl.col("channel") == channel)
    customers = int(whole["customers"].sum())
    table = result.table.filter(pl.col("channel") == channel)
    return replace(
        result,
        table=table.with_columns(pl.col("weakest").rank("ordinal")),
        where=replace(result.where or Selection(), channel=channel),
        by_stage=result.by_stage.clear(),
        whole=whole.drop("channel"),
        customers=customers,
    )


def _touching(moves: Transitions, channel: str) -> Transitions:
    """Keep the moves that start or end in a channel."""
    ends = (pl.col("source_channel") == channel) | (pl.col("target_channel") == channel)
    return replace(moves, table=moves.table.filter(ends))


def draw_first_paint(answers: Answers) -> str:
    """Draw what the page shows before it is live: the answer, and the map as cards.

    Parameters
    ----------
    answers
        Finished answers, as of the panel.

    Returns
    -------
    str
        An HTML fragment with its style; no script.
    """
    result, moves = answers.touchpoints(), answers.transitions()
    return (
        f"<style>{page_style()}\n{panel_style()}</style>"
        f'<div class="cx-panel cx-page-style"><div class="cx-answer">{answer(result)}</div>'
        f"{touchpoint_cards(result, transitions=moves)}</div>"
    )
