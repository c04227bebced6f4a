"""Which handoffs break, as a view: the answer, the findings ranked, and the one that is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.finding_detail import plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import finding_key, plot_findings, signal_name
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.numbers import day, plural
from cxlib.views.fragmentation import words, written
from cxlib.views.fragmentation.foresight import foresight_section
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_section, since
from cxlib.views.shared.filters import Filter, Option, names, segment, segment_label
from cxlib.views.shared.links import finding_text
from cxlib.views.shared.parts import Closes, Figure, Group, List, Opens, Words
from cxlib.views.shared.view import View

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

__all__ = ["VIEW", "Fragmentation"]

_OPEN = ("finding",)


def _column(trait: str, address: str, label: str, every: str, unknown: str) -> Filter:
    """Declare a filter that keeps the findings with one value in a column."""
    return Filter(
        trait=trait,
        address=address,
        label=label,
        every=every,
        unknown=unknown,
        options=lambda view: names(view.names_in(trait)),
        css=f"cx-filter-{address}",
        named=True,
    )


_COLUMNS = (
    _column("source_channel", "from", words.FROM_CHANNEL, words.FROM_ANY, words.UNKNOWN_FROM),
    _column("target_channel", "to", words.TO_CHANNEL, words.TO_ANY, words.UNKNOWN_TO),
    _column("stage", "stage", shared.STAGE, shared.ALL_STAGES, shared.UNKNOWN_STAGE),
    _column("owner", "owner", shared.OWNER, shared.ALL_OWNERS, shared.UNKNOWN_OWNER),
)


def _is_open(view: Any) -> bool:
    return view.opened_row is not None


class Fragmentation(View):
    """Which handoffs break: for whom, how sure that is, and what to do."""

    styles = (Path(__file__).parent / "style.css",)
    filters = (
        segment(),
        Filter(
            trait="signal",
            label=words.SIGNAL,
            every=words.ALL_SIGNALS,
            options=lambda view: [
                Option(s, signal_name(s).capitalize(), s) for s in view.everybody.signals["signal"]
            ],
            unknown=words.UNKNOWN_SIGNAL,
            css="cx-signal",
        ),
        *_COLUMNS,
        # The worst is open unless another one is chosen.
        Filter(
            trait="finding",
            options=lambda view: view.finding_options(),
            unknown=words.UNKNOWN_FINDING,
            kind="",
            narrows=False,
            moves=True,
            usual=lambda view: next(iter(view.keys), None),
        ),
        since(),
    )
    parts = (
        Group(
            css="cx-breaks",
            row=True,
            parts=(
                Group(
                    css="cx-ranked",
                    parts=(
                        Words(
                            name="calm",
                            css="cx-nothing",
                            write=lambda view: written.above_list(view.result, of=view.of),
                        ),
                        List(
                            name="ranked",
                            trait="finding",
                            label=words.RANKED_LABEL,
                            items=lambda view: [
                                (finding_key(row), written.entry(n, row, view.k))
                                for n, row in enumerate(view.rows, start=1)
                            ],
                        ),
                        Words(
                            name="others",
                            css="cx-others",
                            write=lambda view: written.on_other_grounds(view.whole, view.way),
                        ),
                    ),
                ),
                Figure(
                    name="figure",
                    css="cx-map",
                    highlights=_OPEN,
                    text=words.MATRIX,
                    draw=lambda view: view.draw_matrix(),
                    data=lambda view: written.behind_matrix(view.result),
                    filled=lambda view: view.filled(),
                    clicks="finding",
                ),
            ),
        ),
        Group(
            name="opened",
            css="cx-opened cx-closes",
            shown=_is_open,
            parts=(
                Words(
                    name="head",
                    css="cx-head",
                    also=_OPEN,
                    write=lambda view: written.heading(view.opened_row),
                ),
                Closes(name="close", trait="finding", also=_OPEN, leads_to=".cx-choices button"),
                Group(
                    css="cx-pictures",
                    row=True,
                    parts=(
                        Words(
                            name="facts",
                            css="cx-facts",
                            also=_OPEN,
                            write=lambda view: written.facts(view.result, view.opened_row, view.k),
                        ),
                        Group(
                            css="cx-picture",
                            painted=False,
                            parts=(
                                written.small_heading(words.AFTER_HEADING),
                                Figure(
                                    name="detail",
                                    css="cx-curve",
                                    also=_OPEN,
                                    text=words.AFTERWARDS,
                                    draw=lambda view: plot_finding_detail(
                                        view.whole, view.opened_row, title=""
                                    ),
                                    data=lambda view: written.behind_detail(
                                        view.whole, view.opened_row
                                    ),
                                    filled=lambda view: view.filled(view.opened_row["n"]),
                                ),
                            ),
                        ),
                        Group(
                            name="since_when",
                            css="cx-picture",
                            painted=False,
                            shown=lambda view: view.has_trend,
                            parts=(
                                written.small_heading(words.TREND_HEADING),
                                Figure(
                                    name="trend",
                                    css="cx-trend",
                                    also=_OPEN,
                                    text=words.TREND,
                                    draw=lambda view: plot_finding_trend(
                                        view.whole, view.opened_row, title=""
                                    ),
                                    data=lambda view: written.behind_trend(
                                        view.whole, view.opened_row
                                    ),
                                    filled=lambda view: view.filled(),
                                ),
                            ),
                        ),
                        Words(
                            name="whom",
                            css="cx-for-whom",
                            also=_OPEN,
                            write=lambda view: written.for_whom(view.in_segments()),
                        ),
                    ),
                ),
            ),
        ),
        foresight_section(),
        changes_section(findings=True),
        Group(
            css="cx-more",
            parts=(
                Opens(
                    name="tested",
                    css="cx-text",
                    heading=words.TESTED_HEADING,
                    write=lambda view: written.tested(view.result),
                ),
            ),
        ),
    )

    def settle(self) -> None:
        """Open the worst, where what was open is no longer shown.

        A page that has to be clicked to tell something tells most of its readers nothing.
        """
        keys, narrowed = self.keys, self._key(self.parts[0])
        moved, self._settled = narrowed != self._settled, narrowed
        if self.state.finding not in keys and (moved or self.state.finding is not None):
            self.state.finding = next(iter(keys), None)

    _settled: tuple[object, ...] = ("nothing yet",)

    @property
    def everybody(self) -> FindingDetails:
        """The findings of all customers."""
        found: FindingDetails = self.ask("findings", segment=None)
        return found

    @property
    def whole(self) -> FindingDetails:
        """The findings of the customers selected."""
        found: FindingDetails = self.ask("findings", segment=self.state.segment)
        return found

    @property
    def result(self) -> FindingDetails:
        """The findings of the customers selected, narrowed to what is filtered for."""
        return self._narrowed("signal", *(f.trait for f in _COLUMNS))

    def _narrowed(self, *columns: str) -> FindingDetails:
        chosen = {c: getattr(self.state, c) for c in columns if getattr(self.state, c) is not None}
        if not chosen:
            return self.whole
        table = self.whole.table.filter(pl.col(c) == v for c, v in chosen.items())
        return replace(self.whole, table=table)

    @property
    def of(self) -> int:
        """How many findings there are without the filters."""
        return len(self.whole.found)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The findings shown, the worst first."""
        return self.result.found.to_dicts()

    @property
    def keys(self) -> list[str]:
        """The names of the findings shown."""
        return [finding_key(row) for row in self.rows]

    @property
    def opened_row(self) -> dict[str, Any] | None:
        """The finding that is open."""
        return next((r for r in self.rows if finding_key(r) == self.state.finding), None)

    @property
    def has_trend(self) -> bool:
        """Whether there is more than one period of the finding that is open."""
        row = self.opened_row
        return row is not None and written.trend_of(self.whole, row).height > 1

    @property
    def until(self) -> datetime:
        """End of the data shown."""
        return self.whole.observed_until

    def names_in(self, column: str) -> list[str]:
        """Return what may be chosen of a column, in the order of the journey map."""
        table, places = self.everybody.table, self.everybody.places
        order = {"stage": places["stage"], "owner": table["owner"].drop_nulls().sort()}
        known = order.get(column, places["channel"]).unique(maintain_order=True)
        return [name for name in known if name in set(table[column])]

    def finding_options(self) -> list[Option]:
        """Return every finding shown, in an address by names that outlive a snapshot."""
        return [
            Option(
                finding_text(row),
                f"{row['source']} → {row['target']}",
                finding_key(row),
            )
            for row in self.rows
        ]

    def headline(self) -> str:
        """Say how many handoffs break, and which is the worst."""
        said = [s[:1].lower() + s[1:] for s in self.said_of(but=("segment",))]
        return written.answer(self.result, of=self.of, filters=said)

    def draw_matrix(self) -> go.Figure:
        """Draw the findings among all that was judged."""
        columns = [f.trait for f in _COLUMNS]
        return plot_findings(
            self._narrowed(*columns),
            signal=self.state.signal,
            selected=self.state.finding,
            title="",
        )

    def filled(self, n: int | None = None) -> Mapping[str, str]:
        """Return what the texts below the figures leave open."""
        whole = self.whole
        return {
            "tests": f"{whole.tests:,}",
            "limit": f"{Q_LIMIT:g}",
            "false": words.IN_HUNDRED.format(n=round(100 * Q_LIMIT)),
            "days": str(whole.silence.days),
            "until": day(whole.observed_until),
            "cases": words.FEW_CASES if n is None else plural(n, "case"),
            "k": str(self.k),
        }

    def in_segments(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what the finding that is open is in every other group of customers."""
        row = self.opened_row or {}
        same = [pl.col(key) == row[key] for key in ("source_place", "target_place", "signal")]
        return [
            (segment_label(segment), found)
            for segment in self.answers.segments
            for found in self.ask("findings", segment=tuple(segment)).table.filter(*same).to_dicts()
        ]


VIEW = Fragmentation
