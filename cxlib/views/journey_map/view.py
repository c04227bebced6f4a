"""The journey map as a view: the answer, the map, and what is known of the touchpoint chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.errors import WorkspaceError
from cxlib.figures.canvas import lay_out
from cxlib.figures.map_labels import Mark, place_of
from cxlib.figures.map_layout import MapLayout, Place
from cxlib.figures.touchpoints import (
    describe_touchpoints,
    map_positions,
    plot_touchpoints,
)
from cxlib.fragmentation.headlines import Headline, headline
from cxlib.fragmentation.sentences import say_advice, say_subject
from cxlib.numbers import day, people, plural, sentence_case, share
from cxlib.summary import Selection
from cxlib.views.journey_map import words
from cxlib.views.journey_map.cards import next_moves, touchpoint_cards, touchpoint_details
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_section, since
from cxlib.views.shared.filters import Filter, Option, names, period, segment
from cxlib.views.shared.links import link_to_finding, place_text
from cxlib.views.shared.parts import Chosen, Closes, Figure, Group, Words
from cxlib.views.shared.templates import render
from cxlib.views.shared.view import View

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

__all__ = ["VIEW", "JourneyMap"]

MOST_MARKS = 8
"""Findings that are marked; the rest stands in the view of what breaks."""


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
            trait="show",
            label=words.SHOW,
            options=lambda view: [Option(n, label, n) for n, label in words.SHOWN.items()],
            unknown=words.UNKNOWN_SHOW,
            css="cx-show",
            narrows=False,
        ),
        Filter(
            trait="touchpoint",
            label=words.TOUCHPOINT,
            every=words.NO_TOUCHPOINT,
            options=lambda view: [
                Option(place_text(p._asdict()), f"{p.touchpoint} ({p.channel})", p)
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
                    highlights=("colour_by", "show", "touchpoint"),
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
                Words(name="breaks", css="cx-found", write=lambda view: view.found_list()),
                Words(
                    name="cards",
                    css="cx-cards",
                    write=lambda view: touchpoint_cards(
                        view.result, transitions=view.moves, found=view.found_at
                    ),
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

    @cached_property
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

    @property
    def found(self) -> Headline | None:
        """What stands out for the customers selected; None where it was not published."""
        try:
            return headline(self.ask("findings", segment=self.state.segment))
        except WorkspaceError:
            return None

    @property
    def said(self) -> str:
        """The answer in one sentence: from findings of all grounds, and never raw drop-off."""
        found, channel = self.found, self.state.channel
        if found is None:
            return describe_touchpoints(self.result)
        if channel is not None and found.kind == "finding":
            here = self._bands.filter(pl.col("sentence").is_not_null())
            return here["sentence"][0] if len(here) else words.NOTHING_THERE.format(where=channel)
        described = found.kind == "described"
        return words.DESCRIBED.format(sentence=found.sentence) if described else found.sentence

    @property
    def _bands(self) -> pl.DataFrame:
        """The findings that touch what is selected, those that affect most customers first."""
        found, channel = self.found, self.state.channel
        if found is None:
            return pl.DataFrame()
        bands = found.table.with_columns(pl.col("source_place", "target_place").cast(pl.Int64))
        if channel is None:
            return bands
        here = [number for number, place in self._places.items() if place.channel == channel]
        ends = pl.col("source_place").is_in(here) | pl.col("target_place").is_in(here)
        return bands.filter(ends)

    @property
    def _places(self) -> dict[int, Place]:
        places = self.ask("findings", segment=self.state.segment).places
        return {row["place"]: _place(row) for row in places.to_dicts()}

    @property
    def marked(self) -> list[dict[str, Any]]:
        """What breaks, in the order of the sentence; ``rank`` numbers places and moves."""
        if self.found is None:
            return []
        details, places = self.ask("findings", segment=self.state.segment), self._places
        ranks: dict[tuple[Place, Place | None], int] = {}
        rows = []
        for row in self._bands.to_dicts():
            source = places.get(row["source_place"])
            target = places.get(row["target_place"]) if row["unit"] == "transition" else None
            if source is None or source == target:
                continue
            rank = ranks.setdefault((source, target), len(ranks) + 1)
            if rank > MOST_MARKS:
                continue
            more = {
                "rank": rank,
                "ends": (source, target),
                "sentence": row["sentence"] or words.FOUND_FEW.format(handoff=say_subject(row)),
                "todo": say_advice(row["signal"], row["owner"]),
                "address": link_to_finding(details, row, self.way),
            }
            rows.append(row | more)
        return rows

    @property
    def marks(self) -> list[Mark]:
        """What is drawn in red."""
        marks: dict[object, Mark] = {}
        for row in self.marked:
            affected = row["customers_affected"]
            label = (words.MARK if affected else words.MARK_FEW).format(
                rank=row["rank"], affected=people(affected)
            )
            source, target = row["ends"]
            marks.setdefault(row["ends"], Mark(source, label, target=target, finding=True))
        return list(marks.values())

    @property
    def found_at(self) -> dict[Place, list[dict[str, Any]]]:
        """What breaks at each touchpoint, on either end of a move."""
        found: dict[Place, list[dict[str, Any]]] = {}
        for row in self.marked:
            for place in row["ends"]:
                found.setdefault(place, []).append(row)
        return found

    def headline(self) -> str:
        """Say what breaks, and what comes after a contact."""
        in_part = self.state.period is not None and self.found is not None
        basis = words.BASIS.format(
            overall=_overall(self.result),
            time=words.WHOLE_TIME if in_part else "",
            who=sentence_case(self.who),
            until=day(self.until),
        )
        return self.sentence(title=words.TITLE, said=self.said, basis=basis)

    def draw_map(self) -> go.Figure:
        """Draw the map of what is selected."""
        marks = self.marks
        moves = self.moves
        if self.state.show == "breaks":
            pairs = {(mark.place, mark.target) for mark in marks}
            rows = [(_end(r, "source"), _end(r, "target")) in pairs for r in moves.table.to_dicts()]
            moves = replace(moves, table=moves.table.filter(pl.Series(rows, dtype=pl.Boolean)))
        figure = plot_touchpoints(
            self.result,
            transitions=moves,
            colour_by=self.state.colour_by,
            selected=self.state.touchpoint,
            marks=marks,
            positions=self.positions,
            title="",
        )
        return lay_out(figure, meta={"alt": self.said})

    def found_list(self) -> str:
        """Write what breaks as a list, for whoever sees no map."""
        return render("journey_map/found.html", rows=self.marked)

    def touchpoint_data(self) -> tuple[str, pl.DataFrame]:
        """Return the data behind the map."""
        html, frame = self.written(self.result, caption=words.TABLE)
        return html, frame.drop("place", strict=False)

    def details_of(self, place: Place | None) -> str:
        """Write what is known of a touchpoint."""
        rows = [row for row in self.result.table.to_dicts() if _place(row) == place]
        row = rows[0] if rows else None
        told = ""
        if row:
            told = touchpoint_details(row, moves=next_moves(self.moves, row), found=self.found_at)
        hint = words.HINT if place is None else words.NO_CONTACTS
        rows = self.marked if place is None else []
        return render("journey_map/opened.html", row=row, details=told, hint=hint, rows=rows)


def _end(row: Mapping[str, Any], end: str) -> Place:
    return Place(row[f"{end}_touchpoint"], row[f"{end}_channel"], row[f"{end}_stage"])


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
