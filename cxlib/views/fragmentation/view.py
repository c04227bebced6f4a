"""Which handoffs break, as a view: the answer, the findings ranked, and the one that is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from cxlib.figures.finding_detail import of_finding, plot_finding_detail, plot_finding_trend
from cxlib.figures.fragmentation import (
    affected_text,
    describe_findings,
    effect_text,
    figure_text,
    finding_key,
    handoff,
    observed_text,
    plot_findings,
    signal_name,
)
from cxlib.fragmentation.details import KEYS, ON_TRANSITIONS
from cxlib.fragmentation.findings import Q_LIMIT
from cxlib.fragmentation.sentences import headline, say_advice, say_reasons
from cxlib.numbers import chance, day, decimal, people, plural
from cxlib.signals import signal_named
from cxlib.views.fragmentation import words
from cxlib.views.fragmentation.behind import behind_detail, behind_matrix, behind_trend
from cxlib.views.fragmentation.foresight import foresight_section
from cxlib.views.shared import words as shared
from cxlib.views.shared.changes import changes_section, since
from cxlib.views.shared.filters import Filter, Option, column, segment, segment_label
from cxlib.views.shared.links import finding_text, link_to_finding
from cxlib.views.shared.parts import Closes, Figure, Group, List, Words, heading
from cxlib.views.shared.templates import render
from cxlib.views.shared.view import View, of_state

if TYPE_CHECKING:
    from cxlib.fragmentation.details import FindingDetails

_OPEN = ("finding",)


_COLUMNS = (
    column("source_channel", words.FROM_CHANNEL, words.FROM_ANY, address="from"),
    column("target_channel", words.TO_CHANNEL, words.TO_ANY, address="to"),
    column("stage", shared.STAGE, shared.ALL_STAGES),
    column("owner", shared.OWNER, shared.ALL_OWNERS),
)
_PICTURES = Group(
    css="cx-pictures",
    parts=(
        Words(name="facts", css="cx-facts", also=_OPEN, template="fragmentation/facts.html"),
        Group(
            css="cx-picture",
            painted=False,
            parts=(
                heading(words.AFTER_HEADING, small=True),
                Figure(
                    name="detail",
                    css="cx-curve",
                    also=_OPEN,
                    text=words.AFTERWARDS,
                    draw=lambda view: plot_finding_detail(view.whole, view.opened_row, title=""),
                    data=lambda view: behind_detail(view.whole, view.opened_row),
                ),
            ),
        ),
        Group(
            name="since_when",
            css="cx-picture",
            painted=False,
            shown=lambda view: view.has_trend,
            parts=(
                heading(words.TREND_HEADING, small=True),
                Figure(
                    name="trend",
                    css="cx-trend",
                    also=_OPEN,
                    text=words.TREND,
                    draw=lambda view: plot_finding_trend(view.whole, view.opened_row, title=""),
                    data=lambda view: behind_trend(view.whole, view.opened_row),
                ),
            ),
        ),
        Words(name="whom", css="cx-for-whom", also=_OPEN, template="fragmentation/for_whom.html"),
    ),
)


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
        ),
        *_COLUMNS,
        # The worst is open unless another one is chosen; names in an address outlive a snapshot.
        Filter(
            trait="finding",
            label=words.FINDING,
            options=lambda view: [
                Option(finding_text(row), handoff(row), finding_key(row)) for row in view.rows
            ],
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
            parts=(
                Group(
                    css="cx-ranked",
                    parts=(
                        Words(
                            name="calm", css="cx-nothing", template="fragmentation/above_list.html"
                        ),
                        List(
                            name="ranked",
                            trait="finding",
                            label=words.RANKED_LABEL,
                            items=lambda view: [
                                (finding_key(row), view.entry(n, row))
                                for n, row in enumerate(view.rows, start=1)
                            ],
                        ),
                        Words(name="others", css="cx-others", template="fragmentation/others.html"),
                    ),
                ),
                Figure(
                    name="figure",
                    css="cx-map",
                    shown=lambda view: len(view.whole.table) > 0,
                    highlights=_OPEN,
                    text=words.MATRIX,
                    draw=lambda view: view.draw_matrix(),
                    data=lambda view: behind_matrix(view.result),
                    clicks="finding",
                ),
            ),
        ),
        Group(
            name="opened",
            css="cx-opened cx-closes cx-opens",
            shown=lambda view: view.opened_row is not None,
            parts=(
                Words(name="head", css="cx-head", also=_OPEN, template="fragmentation/opened.html"),
                Closes(
                    name="close",
                    css="cx-closing",
                    trait="finding",
                    also=_OPEN,
                    leads_to=".cx-choices button",
                ),
                _PICTURES,
            ),
        ),
        foresight_section(),
        changes_section(findings=True),
        Group(
            css="cx-more",
            shown=lambda view: view.whole.tests > 0,
            parts=(
                Words(
                    name="tested",
                    css="cx-text",
                    painted=False,
                    template="fragmentation/tested.html",
                ),
            ),
        ),
    )

    def settle(self) -> None:
        """Open the worst, where what was open is no longer shown."""
        self.open_first("finding", self.keys)

    @property
    def everybody(self) -> FindingDetails:
        """The findings of all customers."""
        return self.ask("findings", segment=None)

    @property
    def whole(self) -> FindingDetails:
        """The findings of the customers selected."""
        return self.ask("findings", segment=self.state.segment)

    @of_state
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
    def unmeasured(self) -> list[str]:
        """Why signals could not be judged, each reason once."""
        return say_reasons(self.whole.signals)

    @of_state
    def rows(self) -> list[dict[str, Any]]:
        """The findings shown, the worst first; ``said`` goes on from the name of the handoff."""
        few = words.FOUND_FEW
        return [
            row
            | {
                "said": row["sentence"].removeprefix(handoff(row)).strip()
                if row["sentence"]
                else few.format(signal=signal_name(row["signal"]))
            }
            for row in self.result.found.to_dicts()
        ]

    @of_state
    def keys(self) -> list[str]:
        """The names of the findings shown."""
        return [finding_key(row) for row in self.result.found.to_dicts()]

    @of_state
    def opened_row(self) -> dict[str, Any] | None:
        """The finding that is open."""
        return next((r for r in self.rows if finding_key(r) == self.state.finding), None)

    @property
    def has_trend(self) -> bool:
        """Whether there is more than one period of the finding that is open."""
        row = self.opened_row
        return row is not None and of_finding(self.whole.trend, row).height > 1

    @property
    def until(self) -> datetime:
        """End of the data shown."""
        return self.whole.observed_until

    def names_in(self, trait: str) -> list[str]:
        """Return what may be chosen of a column, in the order of the journey map."""
        table, places = self.everybody.table, self.everybody.places
        order = {"stage": places["stage"], "owner": table["owner"].drop_nulls().sort()}
        known = order.get(trait, places["channel"]).unique(maintain_order=True)
        return [name for name in known if name in set(table[trait])]

    def headline(self) -> str:
        """Say how many handoffs break, and which is the worst."""
        result, of = self.result, self.of
        filters = [s[:1].lower() + s[1:] for s in self.said_of(but=("segment",))]
        found = len(result.found)
        sure = (words.SURE if found else words.TESTS) if result.tests else ""
        filled = self.filled()
        basis = words.BASIS.format(
            customers=self.counted(result.customers),
            until=day(result.observed_until),
            sure=sure.format(tests=filled["tests"], false=filled["mistaken"]),
        )
        if filters:
            part = words.PART.format(shown=found, all=plural(of, "finding"))
            basis = f"{part} {basis}"
        said = describe_findings(result)
        if not found and filters and of:
            said = words.NOTHING_HERE
        elif not found and not filters and self.on_other_grounds:
            said = headline(self.whole).sentence
        return self.sentence(title=" · ".join([words.TITLE, *filters]), said=said, basis=basis)

    def draw_matrix(self) -> go.Figure:
        """Draw the findings among all that was judged."""
        return plot_findings(
            self._narrowed(*(f.trait for f in _COLUMNS)),
            signal=self.state.signal,
            selected=self.state.finding,
            title="",
        )

    def filled(self) -> Mapping[str, str]:
        """Return what the texts below the figures leave open."""
        whole, row = self.whole, self.opened_row
        n = None if row is None else row["n"]
        return {
            "tests": decimal(whole.tests),
            "limit": f"{Q_LIMIT:g}",
            "mistaken": words.IN_HUNDRED.format(n=round(100 * Q_LIMIT)),
            "days": str(whole.silence.days),
            "until": day(whole.observed_until),
            "cases": words.FEW_CASES if n is None else plural(n, "case"),
            "k": str(self.k),
        }

    def entry(self, number: int, row: Mapping[str, Any]) -> str:
        """Write one finding as an entry of the list."""
        affected = affected_text(row, k=self.k)
        return render("fragmentation/entry.html", number=number, row=row, affected=affected)

    @property
    def on_other_grounds(self) -> list[dict[str, Any]]:
        """What was found against its own past, other groups or the plan, what is mended last."""
        found = set(self.whole.found.select(KEYS).rows())
        return [
            row | {"address": link_to_finding(self.whole, row, self.way)}
            for row in headline(self.whole).table.to_dicts()
            if row["sentence"]
            and not (row["ground"] in ON_TRANSITIONS and tuple(row[key] for key in KEYS) in found)
        ]

    @property
    def opened_facts(self) -> list[tuple[str, str]]:
        """All that is known about the finding that is open."""
        row, tests = self.opened_row or {}, decimal(self.result.tests)
        places = {
            p["place"]: f"{p['channel']}, {p['stage']}" for p in self.result.places.to_dicts()
        }
        stable = words.STABLE[signal_named(row["signal"]).family == "rating", bool(row["stable"])]
        weighted = {"effect": row.get("weighted")} | {
            end: row.get(f"weighted_{end}") for end in ("low", "high")
        }
        known = {
            words.OBSERVED: observed_text(row),
            words.EXPECTED: words.OF_LIKE.format(figure=figure_text(row, row["expected"])),
            words.EFFECT: effect_text(row, interval=True),
            words.AFFECTED: words.CUSTOMERS.format(n=affected_text(row, k=self.k)),
            words.CAME: words.CUSTOMERS.format(n=people(row["customers"])),
            words.Q: words.OF_TESTS.format(q=chance(row["q"]), tests=tests),
            words.FROM: places.get(row["source_place"]),
            words.TO: places.get(row["target_place"]),
            words.OWNER: row["owner"],
            words.STABILITY: row["stable"] is not None and stable,
            words.IF_ALL_ANSWERED: weighted["effect"] is not None
            and effect_text({**row, **weighted}, interval=True),
            words.CRUDE: row.get("simpson") and words.CRUDE_FACT,
            words.OVER_TIME: row["status"],
        }
        return [(name, value) for name, value in known.items() if value]

    @property
    def todo(self) -> str:
        """What to do about the finding that is open."""
        row = self.opened_row or {}
        return say_advice(row["signal"], row["owner"], otherwise=words.ADVICE)

    @property
    def in_segments(self) -> list[tuple[str, str]]:
        """What the finding that is open is in every other group of customers."""
        row = self.opened_row or {}
        same = [pl.col(key) == row[key] for key in KEYS]
        return [
            (segment_label(segment), effect_text(found, interval=True))
            for segment in self.answers.segments
            for found in self.ask("findings", segment=tuple(segment)).table.filter(*same).to_dicts()
        ]


VIEW = Fragmentation
