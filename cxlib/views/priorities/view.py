"""What to do first, as a view: the backlog, the line that is open, and how far it is mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxlib.errors import WorkspaceError
from cxlib.figures.fragmentation import effect_text
from cxlib.numbers import day, decimal, people, plural, share
from cxlib.opportunities.beside_findings import PARTS
from cxlib.opportunities.priorities import say_gain
from cxlib.publish.key_figures import is_mended, said_lines
from cxlib.views.priorities import words
from cxlib.views.shared import words as shared
from cxlib.views.shared.filters import Filter, Option, column, segment
from cxlib.views.shared.parts import Figure, Group, List, Words
from cxlib.views.shared.templates import render
from cxlib.views.shared.view import View, of_state


class Backlog(View):
    """One backlog over everything that was found: what, where, whose, what it gains."""

    styles = (Path(__file__).parent / "style.css",)
    filters = (
        segment(),
        column("owner", shared.OWNER, shared.ALL_OWNERS),
        column("team", words.TEAM, words.ALL_TEAMS),
        Filter(
            trait="mended",
            label=words.MENDED,
            kind="slider",
            options=lambda _: [
                Option(f"{part:.0%}", share(part), name) for name, part in reversed(PARTS.items())
            ],
            css="cx-period",
            named=True,
            usual=lambda _: "gain",
        ),
        Filter(
            trait="line",
            label=words.LINE,
            options=lambda view: [Option(key, key, key) for key in view.lines],
            kind="",
            narrows=False,
            moves=True,
            usual=lambda view: next(iter(view.lines), None),
        ),
    )
    parts = (
        Group(
            css="cx-backlog",
            parts=(
                List(
                    name="ranked",
                    trait="line",
                    label=words.LIST_LABEL,
                    items=lambda view: [
                        (key, render("priorities/entry.html", row=row, gain=view.gain(row)))
                        for key, row in view.lines.items()
                    ],
                ),
                Words(
                    name="opened",
                    css="cx-line cx-opens",
                    also=("line",),
                    shown=lambda view: view.opened_row is not None,
                    template="priorities/opened.html",
                ),
            ),
        ),
        Figure(
            name="table",
            text=words.BACKLOG,
            shown=lambda view: bool(view.lines),
            data=lambda view: view.written(view.result, caption=words.TABLE_CAPTION),
        ),
    )

    def settle(self) -> None:
        """Open the first line, where what was open is no longer there."""
        self.open_first("line", list(self.lines))

    def names_in(self, trait: str) -> list[str]:
        """Return what may be chosen of a column, of all customers."""
        everybody = self.ask("table", measure="priorities", segment=None).table
        return list(everybody[trait].drop_nulls().unique().sort())

    @of_state
    def result(self) -> Any:
        """The backlog of what is selected."""
        whole = self.ask("table", measure="priorities", segment=self.state.segment)
        chosen = {n: getattr(self.state, n) for n in ("owner", "team")}
        return whole.only(**{n: v for n, v in chosen.items() if v is not None})

    @of_state
    def lines(self) -> dict[str, dict[str, Any]]:
        """Every line by what names it, in the words of the finding that it mends."""
        try:
            details = self.ask("findings", segment=self.state.segment)
        except WorkspaceError:
            details = None
        rows = said_lines(self.result.table, details)
        keys = [" > ".join(row[n] for n in _NAMING if row[n]) for row in rows]
        return {
            key if keys.count(key) == 1 else f"{key}, {row['rank']}": row
            for key, row in zip(keys, rows, strict=True)
        }

    @property
    def opened_row(self) -> dict[str, Any] | None:
        """The line that is open."""
        return self.lines.get(self.state.line)

    def gain(self, row: dict[str, Any]) -> str | None:
        """Say what a line gains as far as it is mended."""
        return words.MENDED_ALREADY if is_mended(row) else say_gain(row, self.state.mended)

    def headline(self) -> str:
        """Say what comes first, and what the backlog rests on."""
        rows = list(self.lines.values())
        if not rows:
            basis = shared.UNTIL.format(until=day(self.until))
            return self.sentence(title=words.TITLE, said=words.NOTHING, basis=basis)
        sure = sum(row["finding"] is not None for row in rows)
        gain = None if is_mended(rows[0]) else self.gain(rows[0])
        part = share(PARTS[self.state.mended])
        rest = words.REST if sure < len(rows) else ""
        basis = words.BASIS.format(
            gain="" if gain is None else words.FIRST_GAIN.format(part=part, gain=gain),
            lines=plural(len(rows), "line"),
            basis=words.SURE.format(findings=decimal(sure), rest=rest) if sure else words.UNSURE,
            until=day(self.until),
        )
        return self.sentence(title=words.TITLE, said=rows[0]["what"], basis=basis)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What the line that is open rests on."""
        row = self.opened_row or {}
        gain = words.GAIN.format(part=share(PARTS[self.state.mended]))
        affected, found = row["customers_affected"], row["finding"]
        facts = {gain: self.gain(row) or words.GAIN_UNKNOWN}
        if affected is not None:
            facts[words.CUSTOMERS] = words.AT_LEAST.format(n=people(affected))
        if found is not None:
            facts |= {
                words.EFFECT: effect_text(found | {"unit": found["effect_unit"]}, interval=True),
                words.AGAINST: found["compared_with"],
                words.CASES: decimal(found["n"]),
                words.STABLE: words.CHANGES_SIGN if found["stable"] is False else words.SAME,
            }
        named = {words.STATUS: "status", words.CONFIDENCE: "confidence", words.EFFORT: "effort"}
        facts |= {said: row[name] for said, name in named.items() if row[name]}
        return list(facts.items())


_NAMING = ("source", "target", "signal", "ground")

VIEW = Backlog
