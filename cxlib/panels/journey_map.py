"""The journey map dashboard: where customers get lost, for whom, by which channel, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, cast

import ipywidgets as widgets
import polars as pl
import traitlets

from cxlib.figures.cards import next_moves, page_style, touchpoint_cards, touchpoint_details
from cxlib.figures.map_layout import Place
from cxlib.figures.map_traces import place_of
from cxlib.figures.numbers import duration, people, plural, rating, share
from cxlib.figures.theme import use_theme
from cxlib.figures.touchpoints import (
    COLOURS,
    ColourBy,
    describe_touchpoints,
    map_positions,
    plot_touchpoints,
    weakest_marks,
)
from cxlib.panels.calm import calmly
from cxlib.panels.disclosure import Disclosure
from cxlib.panels.figure_widget import FigureWidget
from cxlib.panels.filters import ALL, channel_filter, period_filter, segment_filter, select
from cxlib.panels.tables import Column, csv_link, html_table
from cxlib.summary import Selection

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["Answers", "JourneyMapPanel", "JourneyMapState", "draw_first_paint"]

_COLOUR_NAMES = {"Lost": "lost", "Go on": "go_on", "Still open": "open", "Rating": "rating"}

#: Selections whose answers are kept, so that going back and forth costs nothing.
_REMEMBERED = 32


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


class JourneyMapState(traitlets.HasTraits):
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
    """

    segment = traitlets.Tuple(default_value=None, allow_none=True)
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
        everything = self._touchpoints(segment=None, period=None)
        self._positions = map_positions(everything)
        self.state = JourneyMapState()
        self.message = widgets.HTML()
        self.message.add_class("cx-message")
        self.answer, self.cards, self.details = (widgets.HTML() for _ in range(3))
        self.table = Disclosure(heading="All touchpoints as a table")
        self.meaning = Disclosure(heading="What does this mean?", html=_MEANING)
        self.sureness = Disclosure(heading="How sure is this?")
        self.figure = FigureWidget()
        self._make_filters(everything)
        self.widget = self._assemble(page_style(colours))
        self._connect()
        self._show_selection()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def _make_filters(self, everything: Touchpoints) -> None:
        self.segment = segment_filter(self._answers.segments)
        self.channel = channel_filter(everything.channels)
        self.period = period_filter(self._answers.periods, self._answers.period_unit)
        self.colour_by = select("Colour", list(_COLOUR_NAMES.items()), css="cx-colour")
        places: list[tuple[str, object]] = [("None selected", ALL)]
        places += [(f"{p.touchpoint} ({p.channel})", p) for p in self._positions.spots]
        self.touchpoint = select("Touchpoint", places, css="cx-choose")

    def _assemble(self, style: str) -> widgets.VBox:
        sheet = widgets.HTML(f"<style>{style}</style>")
        sheet.add_class("cx-style")
        filters = widgets.HBox([self.segment, self.channel, self.period, self.colour_by])
        side = widgets.VBox([self.touchpoint, self.details])
        main = widgets.HBox([self.figure, self.cards, side])
        more = widgets.VBox([self.table, self.meaning, self.sureness])
        for part, name in (
            (self.answer, "cx-answer"),
            (filters, "cx-filters"),
            (self.figure, "cx-map"),
            (self.cards, "cx-cards"),
            (self.details, "cx-details"),
            (side, "cx-side"),
            (main, "cx-main"),
            (more, "cx-more"),
            (self.meaning, "cx-text"),
            (self.sureness, "cx-text"),
        ):
            part.add_class(name)
        whole = widgets.VBox([sheet, self.answer, filters, self.message, main, more])
        whole.add_class("cx-panel")
        whole.add_class("cx-page-style")
        return whole

    def _connect(self) -> None:
        traitlets.link((self.state, "colour_by"), (self.colour_by, "value"))
        for widget, trait in (
            (self.segment, "segment"),
            (self.channel, "channel"),
            (self.touchpoint, "touchpoint"),
        ):
            # A dropdown shows nothing at all for None; `ALL` is its first option.
            outward, inward = (
                (lambda v: ALL if v is None else v),
                (lambda v: None if v == ALL else v),
            )
            traitlets.link((self.state, trait), (widget, "value"), transform=(outward, inward))
        last = len(self._answers.periods) - 1
        traitlets.link(
            (self.state, "period"),
            (self.period, "index"),
            # The whole range is no filter: answers for "all" are the same, and already there.
            transform=(lambda p: p or (0, last), lambda i: None if tuple(i) == (0, last) else i),
        )
        self.state.observe(self._selected, ["segment", "channel", "period"])
        self.state.observe(self._highlighted, ["colour_by", "touchpoint"])
        self.figure.observe(self._clicked, "clicked")

    @calmly
    def _selected(self, change: object) -> None:
        self._show_selection()

    @calmly
    def _highlighted(self, change: object) -> None:
        self._show_map()
        self._show_details()

    @calmly
    def _clicked(self, change: Mapping[str, Any]) -> None:
        place = place_of(change["new"]["key"])
        # A second click on the same touchpoint lets go of it.
        self.state.touchpoint = None if place == self.state.touchpoint else place

    def _current(self) -> tuple[Touchpoints, Transitions]:
        where = {"segment": self.state.segment, "period": self.state.period}
        result, moves = self._touchpoints(**where), self._transitions(**where)
        if self.state.channel is None:
            return result, moves
        return _in_channel(result, self.state.channel), _touching(moves, self.state.channel)

    def _show_selection(self) -> None:
        result, moves = self._current()
        self._show_map()
        self._show_details()
        self.answer.value = _answer(result)
        self.cards.value = touchpoint_cards(result, transitions=moves)
        self.table.html = _table(result)
        self.sureness.html = _sureness(result, self._answers.manifest)

    def _show_map(self) -> None:
        result, moves = self._current()
        figure = plot_touchpoints(
            result,
            transitions=moves,
            colour_by=cast(ColourBy, self.state.colour_by),
            selected=self.state.touchpoint,
            marks=weakest_marks(result),
            positions=self._positions,
            title="",
        )
        self.figure.draw(figure)

    def _show_details(self) -> None:
        place = self.state.touchpoint
        if place is None:
            self.details.value = (
                "<p>Select a touchpoint on the map, or here, to see what happens after it.</p>"
            )
            return
        result, moves = self._current()
        rows = [row for row in result.table.to_dicts() if _place(row) == place]
        if not rows:
            self.details.value = "<p>No contacts in this selection.</p>"
            return
        where = f"{escape(place.channel)}, {escape(place.stage)}"
        head = f"<h3>{escape(place.touchpoint)}</h3><p>{where}</p>"
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
        whole=whole,
        customers=customers,
    )


def _touching(moves: Transitions, channel: str) -> Transitions:
    """Keep the moves that start or end in a channel."""
    ends = (pl.col("source_channel") == channel) | (pl.col("target_channel") == channel)
    return replace(moves, table=moves.table.filter(ends))


def _answer(result: Touchpoints) -> str:
    return (
        '<div role="status"><h1>Where customers get lost</h1>'
        f"<p>{escape(describe_touchpoints(result))}.</p><small>{escape(_basis(result))}</small></div>"
    )


def _basis(result: Touchpoints) -> str:
    until = result.observed_until
    who = _people(result)
    return (
        f"{_overall(result)}{who[:1].upper()}{who[1:]}, data to {until.day} {until:%B %Y}. "
        "In brackets: 95 % interval."
    )


def _overall(result: Touchpoints) -> str:
    """Say what comes after a contact, all touchpoints together; open is never a part of lost."""
    for row in result.whole.iter_rows(named=True):
        if row["lost"] is not None:
            go_on = share(row["go_on"], row["go_on_low"], row["go_on_high"])
            lost = share(row["lost"], row["lost_low"], row["lost_high"])
            waiting = share(row["open"])
            return f"After a contact: go on {go_on} · lost {lost} · still open {waiting}. "
    return ""


def _people(result: Touchpoints) -> str:
    # Where small groups are protected, a number that must not be told is 0.
    return (
        plural(result.customers, "customer") if result.customers else "too few customers to count"
    )


def _table(result: Touchpoints) -> str:
    def with_interval(name: str) -> Any:
        return lambda row: share(row[name], row[f"{name}_low"], row[f"{name}_high"])

    columns = [
        Column("Stage", lambda row: row["stage"], number=False),
        Column("Touchpoint", lambda row: row["touchpoint"], number=False),
        Column("Channel", lambda row: row["channel"], number=False),
        Column("Owner", lambda row: row["owner"] or "–", number=False),
        Column("Customers", lambda row: people(row["customers"])),
        Column("Contacts", lambda row: people(row["contacts"])),
        Column("Go on", with_interval("go_on")),
        Column("Lost", with_interval("lost")),
        Column("Still open", lambda row: share(row["open"])),
        Column("Next contact after", lambda row: duration(row["next_wait"])),
        Column("Rating", lambda r: rating(r["rating"], r["rating_low"], r["rating_high"])),
        Column("Answers", lambda row: people(row["rating_n"])),
    ]
    caption = "Touchpoints in the order of the journey map; 95 % intervals in brackets."
    table = html_table(result.table, columns, caption=caption)
    return csv_link(result.table.drop("place", strict=False), file="touchpoints.csv") + table


def _sureness(result: Touchpoints, manifest: Mapping[str, Any]) -> str:
    until = result.observed_until
    fewest = manifest.get("k")
    small = (
        f"<p>Figures about fewer than {fewest} customers are not shown, to protect single people; "
        f"counts are rounded to {fewest}.</p>"
        if fewest
        else ""
    )
    return (
        f"<p>This selection rests on {_people(result)}. Ranges in brackets "
        "are 95 % intervals: with other customers of the same kind the figure would fall within "
        "them 19 times out of 20. They count customers, not clicks, since the same person's "
        "contacts are alike.</p>"
        f"<p>The log ends on {until.day} {until:%B %Y}. Whoever was in touch shortly before may "
        "still come back: such contacts are “still open”, and never counted as lost.</p>"
        "<p>That many customers get lost after a touchpoint does not prove that the touchpoint "
        f"drives them away: they may have come with less intent.</p>{small}"
    )


_MEANING = """
<p><b>The map.</b> Columns are the stages of the journey, rows are channels, circles are
touchpoints: the larger the circle, the more customers. The colour shows one figure at a time; its
legend stands below the map. Bands are moves from one touchpoint to the next; the arrow heads point
the way.</p>
<p><b>Go on</b>: share of contacts after which the customer comes back within the same journey.
<b>Lost</b>: nothing more comes for longer than the pause that ends a journey, or the journey ends
in one of the outcomes the map calls a loss. <b>Still open</b>: too recent to say.
<b>Goal reached</b>: nothing was left to come.</p>
<p><b>Weakest links</b> (numbered on the map) are the touchpoints where most customers get lost for
certain: customers times the lower end of the interval of “lost”.</p>
"""


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
        f"<style>{page_style()}</style>"
        f'<div class="cx-panel cx-page-style"><div class="cx-answer">{_answer(result)}</div>'
        f"{touchpoint_cards(result, transitions=moves)}</div>"
    )
