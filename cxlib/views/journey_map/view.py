"""The journey map as a view: the answer, the map, and what is known of the touchpoint chosen."""

from __future__ import annotations

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
from cxlib.figures.touchpoints import describe_touchpoints, map_positions, plot_touchpoints
from cxlib.figures.wording import estimate
from cxlib.fragmentation.sentences import Headline, headline, say_advice, say_subject
from cxlib.numbers import day, people, share
from cxlib.publish.key_figures import first_thing, said_lines
from cxlib.summary import Selection
from cxlib.views.journey_map import words
from cxlib.views.journey_map.cards import next_moves, touchpoint_cards, touchpoint_details
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_section, since
from cxlib.views.shared.filters import Filter, Option, names, period, segment
from cxlib.views.shared.links import link_to_finding, place_text
from cxlib.views.shared.parts import Chosen, Closes, Figure, Group, Words
from cxlib.views.shared.view import View, of_state

if TYPE_CHECKING:
    from cxlib.measures.experience import ExperienceCurve
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

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
        ),
        period(),
        Filter(
            trait="colour_by",
            address="colour",
            label=words.COLOUR,
            options=lambda _: names(words.COLOURS),
            css="cx-colour",
            narrows=False,
        ),
        Filter(
            trait="show",
            label=words.SHOW,
            options=lambda _: names(words.SHOWN),
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
            css="cx-choose",
            narrows=False,
            in_row=False,
        ),
        since(),
    )
    parts = (
        Group(
            css="cx-main",
            shown=lambda view: bool(view.positions.spots),
            parts=(
                Figure(
                    name="figure",
                    css="cx-map",
                    highlights=("colour_by", "show", "touchpoint"),
                    text=words.MAP,
                    draw=lambda view: view.draw_map(),
                    data=lambda view: view.touchpoint_data(),
                    clicks="touchpoint",
                    key=place_of,
                ),
                Words(name="breaks", css="cx-found", template="journey_map/found.html"),
                Words(
                    name="cards",
                    css="cx-cards",
                    write=lambda view: touchpoint_cards(
                        view.result,
                        transitions=view.moves,
                        found=view.found_at,
                        opened=None if view.live else view.state.touchpoint,
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
                            template="journey_map/opened.html",
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
        return self.ask("touchpoints", segment=None, period=None)

    @cached_property
    def positions(self) -> MapLayout:
        """Where touchpoints stand, whatever is selected; all at which something was found do."""
        felt = self.feeling is not None
        try:
            bands = self.ask("findings", segment=None).bands
        except WorkspaceError:
            return map_positions(self.everything, feeling=felt)
        ends = {*bands["source_place"], *bands["target_place"]}
        kept = {self._places.get(end) for end in ends}
        return map_positions(self.everything, keep=kept, feeling=felt)

    @of_state
    def feeling(self) -> ExperienceCurve | None:
        """How touchpoints are rated; of a part of the time or one channel nothing is published."""
        if "experience_curve" not in self.answers.manifest.get("measures", ()):
            return None
        found = self.ask("table", measure="experience_curve", segment=self.state.segment)
        whole = self.state.channel is None and self.state.period is None
        return found if whole else replace(found, table=found.table.clear())

    @of_state
    def result(self) -> Touchpoints:
        """The touchpoints of what is selected.

        Of one channel, figures per stage are about other people, and left out.
        """
        found: Touchpoints = self.ask("touchpoints", **self._where)
        if (channel := self.state.channel) is None:
            return found
        here = pl.col("channel") == channel
        whole = found.by_channel.filter(here)
        return replace(
            found,
            table=found.table.filter(here).with_columns(pl.col("weakest").rank("ordinal")),
            where=replace(found.where or Selection(), channel=channel),
            by_stage=found.by_stage.clear(),
            whole=whole.drop("channel"),
            customers=int(whole["customers"].sum()),
        )

    @of_state
    def moves(self) -> Transitions:
        """The moves of what is selected; of one channel those that start or end in it."""
        found: Transitions = self.ask("transitions", **self._where)
        if (channel := self.state.channel) is None:
            return found
        ends = (pl.col(f"{end}_channel") == channel for end in ("source", "target"))
        return replace(found, table=found.table.filter(pl.any_horizontal(ends)))

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
        return self.counted(self.result.customers)

    @of_state
    def found(self) -> Headline | None:
        """What to do first for the customers selected; None: no findings were published."""
        segment = self.state.segment
        try:
            details = self.ask("findings", segment=segment)
        except WorkspaceError:
            return None
        if "priorities" not in self.answers.manifest.get("measures", ()):
            return headline(details)
        backlog = self.ask("table", measure="priorities", segment=segment)
        return first_thing(said_lines(backlog.table, details), details)

    @property
    def said(self) -> str:
        """The answer in one sentence: from findings of all grounds, and never raw drop-off."""
        found, channel = self.found, self.state.channel
        if found is None:
            return describe_touchpoints(self.result)
        if channel is not None and len(found.table):
            here = self._bands["sentence"].drop_nulls()
            return here[0] if len(here) else words.NOTHING_THERE.format(where=channel)
        return shared.say_first(found)

    @of_state
    def _bands(self) -> pl.DataFrame:
        """The findings that touch what is selected, what to do first before the others."""
        found, channel = self.found, self.state.channel
        if found is None:
            return pl.DataFrame()
        bands = found.table.with_columns(pl.col("source_place", "target_place").cast(pl.Int64))
        if channel is None:
            return bands
        here = [number for number, place in self._places.items() if place.channel == channel]
        ends = pl.col("source_place").is_in(here) | pl.col("target_place").is_in(here)
        return bands.filter(ends)

    @of_state
    def _places(self) -> dict[int, Place]:
        places = self.ask("findings", segment=self.state.segment).places
        return {row["place"]: Place.of(row) for row in places.to_dicts()}

    @of_state
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
                "label": words.MARK.format(rank=rank, affected=people(affected))
                if (affected := row["customers_affected"])
                else str(rank),
                "sentence": row["sentence"] or words.FOUND_FEW.format(handoff=say_subject(row)),
                "todo": say_advice(row["signal"], row["owner"]),
                "address": link_to_finding(details, row, self.way),
            }
            rows.append(row | more)
        return rows

    @of_state
    def found_at(self) -> dict[Place, list[dict[str, Any]]]:
        """What breaks at each touchpoint, on either end of a move."""
        found: dict[Place, list[dict[str, Any]]] = {}
        for row in self.marked:
            for place in row["ends"]:
                found.setdefault(place, []).append(row)
        return found

    def headline(self) -> str:
        """Say what breaks, and what comes after a contact; open is never a part of lost."""
        in_part = self.state.period is not None and self.found is not None
        known = self.result.whole.drop_nulls("lost").to_dicts()
        overall = [
            words.OVERALL.format(
                go_on=estimate(row, "go_on"),
                done=words.OVERALL_DONE.format(share=share(row["done"])) if row["done"] else "",
                lost=estimate(row, "lost"),
                open=share(row["open"]),
            )
            for row in known[:1]
        ]
        basis = words.BASIS.format(
            overall="".join(overall),
            time=words.WHOLE_TIME if in_part else "",
            who=self.who,
            until=day(self.until),
        )
        return self.sentence(title=words.TITLE, said=self.said, basis=basis)

    def filled(self) -> dict[str, str]:
        """Return what the texts below the figures leave open."""
        return {"customers": self.who, "until": day(self.until), "k": str(self.k)}

    def draw_map(self) -> go.Figure:
        """Draw the map of what is selected."""
        moves, labels = self.moves, dict[Any, str]()
        for row in self.marked:
            labels.setdefault(row["ends"], row["label"])
        marks = [Mark(source, label, target) for (source, target), label in labels.items()]
        if self.state.show == "breaks":
            kept = [
                (Place.of(row, "source_"), Place.of(row, "target_")) in labels
                for row in moves.table.to_dicts()
            ]
            moves = replace(moves, table=moves.table.filter(pl.Series(kept, dtype=pl.Boolean)))
        figure = plot_touchpoints(
            self.result,
            transitions=moves,
            feeling=self.feeling,
            colour_by=self.state.colour_by,
            selected=self.state.touchpoint,
            marks=marks,
            positions=self.positions,
            title="",
        )
        return lay_out(figure, meta={"alt": self.said})

    def touchpoint_data(self) -> tuple[str, pl.DataFrame]:
        """Return the data behind the map."""
        html, frame = self.written(self.result, caption=words.TABLE)
        return html, frame.drop("place", strict=False)

    @property
    def opened_row(self) -> dict[str, Any] | None:
        """The touchpoint that is open; None where none is, or there is nothing of it."""
        rows = self.result.table.to_dicts()
        return next((row for row in rows if Place.of(row) == self.state.touchpoint), None)

    @property
    def opened_details(self) -> str:
        """What is known of the touchpoint that is open."""
        moves = next_moves(self.moves).get(self.state.touchpoint, ())
        return touchpoint_details(self.opened_row or {}, moves=moves, found=self.found_at)


VIEW = JourneyMap
