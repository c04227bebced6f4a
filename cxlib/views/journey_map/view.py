"""The journey map as a view: the answer, the map, and what is known of the touchpoint chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.map_layout import MapLayout, Place
from cxlib.figures.map_traces import place_of
from cxlib.figures.touchpoints import (
    describe_touchpoints,
    map_positions,
    plot_touchpoints,
    weakest_marks,
)
from cxlib.numbers import day, plural, share
from cxlib.summary import Selection
from cxlib.views.journey_map import words
from cxlib.views.journey_map.cards import card, next_moves, touchpoint_cards
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_section, since
from cxlib.views.shared.filters import Filter, Option, names, period, segment
from cxlib.views.shared.parts import Chosen, Closes, Figure, Group, Words
from cxlib.views.shared.templates import render
from cxlib.views.shared.view import View

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["VIEW", "JourneyMap"]


class JourneyMap(View):
    """Where customers get lost: for whom, by which channel, and when."""

    filters = (
        segment(),
        Filter(
            trait="channel",
            label=shared.CHANNEL,
            every=shared.ALL_CHANNELS,
            options=lambda view: names(view.everything.channels),
            unknown=shared.UNKNOWN_CHANNEL,
            css="cx-channel-filter",
        ),
        period(),
        Filter(
            trait="colour_by",
            address="colour",
            label=words.COLOUR,
            options=lambda view: [Option(n, label, n) for n, label in words.COLOURS.items()],
            unknown=words.UNKNOWN_COLOUR,
            css="cx-colour",
            narrows=False,
        ),
        Filter(
            trait="touchpoint",
            label=words.TOUCHPOINT,
            every=words.NO_TOUCHPOINT,
            options=lambda view: [
                Option(
                    f"{p.touchpoint}, {p.channel}, {p.stage}", f"{p.touchpoint} ({p.channel})", p
                )
                for p in view.positions.spots
            ],
            unknown=words.UNKNOWN_TOUCHPOINT,
            css="cx-choose",
            narrows=False,
            in_row=False,
        ),
        since(),
    )
    parts = (
        Group(
            css="cx-main",
            row=True,
            parts=(
                Figure(
                    name="figure",
                    css="cx-map",
                    also=("colour_by", "touchpoint"),
                    text=words.MAP,
                    draw=lambda view: view.draw_map(),
                    data=lambda view: view.touchpoint_data(),
                    filled=lambda view: {
                        "customers": view.who,
                        "until": day(view.until),
                        "k": str(view.k),
                    },
                    clicks="touchpoint",
                    key=place_of,
                ),
                Words(
                    name="cards",
                    css="cx-cards",
                    write=lambda view: touchpoint_cards(view.result, transitions=view.moves),
                ),
                Group(
                    css="cx-side cx-closes",
                    painted=False,
                    parts=(
                        Chosen(trait="touchpoint", name="touchpoint"),
                        Words(
                            name="details",
                            css="cx-details",
                            also=("touchpoint",),
                            write=lambda view: view.details_of(view.state.touchpoint),
                        ),
                        Closes(
                            name="close",
                            trait="touchpoint",
                            also=("touchpoint",),
                            leads_to=".cx-choose select",
                        ),
                    ),
                ),
            ),
        ),
        changes_section(findings=False),
    )

    @property
    def everything(self) -> Touchpoints:
        """The touchpoints of everybody and the whole time."""
        found: Touchpoints = self.ask("touchpoints", segment=None, period=None)
        return found

    @property
    def positions(self) -> MapLayout:
        """Where touchpoints stand, whatever is selected."""
        return map_positions(self.everything)

    @property
    def result(self) -> Touchpoints:
        """The touchpoints of what is selected."""
        found: Touchpoints = self.ask("touchpoints", **self._where)
        channel = self.state.channel
        return found if channel is None else _in_channel(found, channel)

    @property
    def moves(self) -> Transitions:
        """The moves of what is selected."""
        found: Transitions = self.ask("transitions", **self._where)
        channel = self.state.channel
        return found if channel is None else _touching(found, channel)

    @property
    def _where(self) -> dict[str, Any]:
        return {"segment": self.state.segment, "period": self.state.period}

    @property
    def until(self) -> datetime:
        """End of the data shown."""
        return self.result.observed_until

    @property
    def who(self) -> str:
        """How many customers the answer rests on."""
        # Where small groups are protected, a number that must not be told is 0.
        count = self.result.customers
        return plural(count, "customer") if count else words.TOO_FEW_TO_COUNT

    def headline(self) -> str:
        """Say where customers get lost, and what comes after a contact."""
        who = self.who[:1].upper() + self.who[1:]
        basis = words.BASIS.format(overall=_overall(self.result), who=who, until=day(self.until))
        said = describe_touchpoints(self.result)
        return self.sentence(title=words.TITLE, said=said, basis=basis)

    def draw_map(self) -> go.Figure:
        """Draw the map of what is selected."""
        return plot_touchpoints(
            self.result,
            transitions=self.moves,
            colour_by=self.state.colour_by,
            selected=self.state.touchpoint,
            marks=weakest_marks(self.result),
            positions=self.positions,
            title="",
        )

    def touchpoint_data(self) -> tuple[str, pl.DataFrame]:
        """Return the data behind the map."""
        html, frame = self.written(self.result, caption=words.TABLE)
        return html, frame.drop("place", strict=False)

    def details_of(self, place: Place | None) -> str:
        """Write what is known of a touchpoint."""
        rows = [row for row in self.result.table.to_dicts() if _place(row) == place]
        opened = card(rows[0], next_moves(self.moves, rows[0])) if rows else None
        hint = words.HINT if place is None else words.NO_CONTACTS
        return render("journey_map/opened.html", one=opened, hint=hint)


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["touchpoint"], row["channel"], row["stage"])


def _overall(result: Touchpoints) -> str:
    """Say what comes after a contact, all touchpoints together; open is never a part of lost."""
    for row in result.whole.iter_rows(named=True):
        if row["lost"] is not None:
            return words.OVERALL.format(
                go_on=share(row["go_on"], row["go_on_low"], row["go_on_high"]),
                lost=share(row["lost"], row["lost_low"], row["lost_high"]),
                open=share(row["open"]),
            )
    return ""


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


VIEW = JourneyMap
