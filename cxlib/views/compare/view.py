"""Two parts of what was published side by side, as a view: the clearest difference, and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.errors import CxError
from cxlib.figures import plot_comparison
from cxlib.numbers import day
from cxlib.summary import Selection
from cxlib.views.compare import words
from cxlib.views.shared import words as shared
from cxlib.views.shared.filters import ALL, Filter, Option, names, period_options, segment_options
from cxlib.views.shared.parts import Figure, Words
from cxlib.views.shared.view import View, of_state

if TYPE_CHECKING:
    from cxlib.comparing import Comparison


_MOST_PAIRS = 12


@lru_cache(maxsize=8)
def _clearest_pair(answers: Any) -> tuple[Any, ...]:
    """Return the two groups of one dimension that differ most clearly in who is lost, of a few."""

    def differ(pair: tuple[Any, ...]) -> tuple[int, float]:
        first, second = (Selection(segment=group) for group in pair)
        try:
            found = answers.compare(measure="touchpoints", first=first, second=second)
        except CxError:
            return 0, 0.0
        lost = replace(found, table=found.table.filter(pl.col("figure") == "lost"))
        apart = pl.col("difference").abs() / (pl.col("difference_high") - pl.col("difference_low"))
        clearest = lost.clearest.head(1).select(apart).to_series()
        return len(lost.details), next(iter(clearest.drop_nulls()), 0.0)

    pairs = (p for p in combinations(answers.segments, 2) if p[0][0] == p[1][0])
    return max(islice(pairs, _MOST_PAIRS), key=differ, default=tuple(answers.segments[:2]))


def _customers(view: View, side: str) -> Sequence[Option]:
    """Return every group, and everybody; the two sides begin with those that differ most."""
    groups = segment_options(view.answers.segments)
    options = [*groups, Option("all", shared.ALL_CUSTOMERS, ALL)]
    first = (*_clearest_pair(view.answers), ALL, ALL)[list(words.SIDES).index(side)]
    at = next(n for n, option in enumerate(options) if option.value == first)
    return [*options[at:], *options[:at]]


def _periods(view: View) -> Sequence[Option]:
    """Return every single period."""
    ranges = period_options(view.answers.periods, view.answers.period_unit)
    return [option for option in ranges if option.value[0] == option.value[1]]


def _environments(view: View) -> Sequence[Option]:
    """Return every environment that is published; those of an older snapshot are none."""
    if "environments" not in view.answers.manifest.get("measures", ()):
        return []
    whole = view.ask("table", measure="environments").whole
    return segment_options(whole.drop_nulls("customers").select("environment", "value").rows())


def _side(side: str) -> tuple[Filter, ...]:
    """Declare what can be chosen of one side."""
    label = words.SIDES[side]
    return (
        Filter(
            trait=f"{side}_segment",
            address=side,
            label=words.CUSTOMERS.format(side=label),
            options=lambda view: _customers(view, side),
        ),
        Filter(
            trait=f"{side}_channel",
            label=words.CHANNEL.format(side=label),
            every=shared.ALL_CHANNELS,
            options=lambda view: names(view.ask("touchpoints").channels),
        ),
        Filter(
            trait=f"{side}_period",
            label=words.PERIOD.format(side=label),
            every=words.WHOLE_TIME,
            options=_periods,
        ),
        Filter(
            trait=f"{side}_environment",
            label=words.ENVIRONMENT.format(side=label),
            every=words.ANYWHERE,
            options=_environments,
        ),
    )


_WHOLE = {
    "channel": shared.ALL_CHANNELS,
    "period": words.WHOLE_TIME,
    "segment": shared.ALL_CUSTOMERS,
    "environment": words.ANYWHERE,
}


class Compare(View):
    """How two groups, channels or periods differ, and how sure that is."""

    filters = (
        Filter(
            trait="what",
            label=words.WHAT,
            options=lambda view: names(view.figures),
        ),
        *_side("a"),
        *_side("b"),
    )
    parts = (
        Figure(
            name="figure",
            css="cx-sides",
            text=words.COMPARISON,
            shown=lambda view: view.result is not None and len(view.result.clearest) > 0,
            draw=lambda view: plot_comparison(
                view.result, figure=view.column, names=(view.side("a"), view.side("b")), title=""
            ),
            data=lambda view: view.written(view.result, caption=words.TABLE),
        ),
        Words(name="sides", css="cx-narrow", template="compare/sides.html"),
    )

    @cached_property
    def figures(self) -> dict[str, str]:
        """What can be compared, in words: what is known of no row of everybody's is left out."""
        return {
            key: label
            for key, (measure, column, label) in words.FIGURES.items()
            if measure in self.answers.manifest.get("measures", ())
            and self.ask(measure, segment=None).table[column].count()
        } or {key: label for key, (*_, label) in words.FIGURES.items()}

    @property
    def column(self) -> str:
        """The column compared."""
        return words.FIGURES[self.state.what][1]

    @of_state
    def result(self) -> Comparison | None:
        """The rows of both sides; None where there is nothing to compare."""
        first, second = (self._selection(side) for side in words.SIDES)
        around = tuple(getattr(self.state, f"{side}_environment") for side in words.SIDES)
        if (first, around[0]) == (second, around[1]) or self.cuts_environments:
            return None
        asked = {"first": first, "second": second} | (
            {"environments": around} if any(around) else {}
        )
        found: Comparison = self.ask("compare", measure=words.FIGURES[self.state.what][0], **asked)
        return replace(found, table=found.table.filter(found.table["figure"] == self.column))

    @property
    def cuts_environments(self) -> bool:
        """Whether an environment is asked for together with what is not known of it."""
        state, sides = self.state, words.SIDES
        around = any(getattr(state, f"{side}_environment") for side in sides)
        in_time = any(getattr(state, f"{side}_period") is not None for side in sides)
        return around and (in_time or words.FIGURES[state.what][0] != "touchpoints")

    def _selection(self, side: str) -> Selection:
        segment, channel, period = (
            getattr(self.state, f"{side}_{trait}") for trait in ("segment", "channel", "period")
        )
        return Selection(segment=segment or None, channel=channel, period=period)

    def side(self, side: str) -> str:
        """Name one side by what was chosen for it; what both have in common is not said."""
        said = []
        for trait in ("environment", "channel", "period", "segment"):
            chosen, other = (
                self.chosen(f"{s}_{trait}") for s in (side, *words.SIDES.keys() - side)
            )
            if chosen != other:
                said.append(_WHOLE[trait] if chosen is None else chosen.label)
        return ", ".join(said)

    def headline(self) -> str:
        """Say what differs most clearly."""
        found, sides = self.result, {side: self.side(side) for side in words.SIDES}
        title = f"{words.TITLE} · {words.FIGURES[self.state.what][-1]}"
        basis = words.BASIS.format(until=day(self.until))
        if found is None:
            can_choose = any(f.control(self) for f in self.filters[1:])
            said = words.SAME if can_choose else words.ALONE
            said = words.ONLY_TOUCHPOINTS if self.cuts_environments else said
            return self.sentence(title=title, said=said, basis=basis)
        clear = found.clearest
        said = words.NOTHING if len(clear) else words.NONE
        written: dict[str, str] = {}
        if found.details:
            row, said = clear.row(0, named=True), words.CLEAREST
            written = {"what": row["what"]} | {
                part: found.columns[part].cell(row, part, found.columns.ends(part))
                for part in ("first", "second")
            }
        counted = f"{found.sentence}. " if len(clear) else ""
        said = said.format(**written, **sides)
        return self.sentence(title=title, said=said, basis=counted + basis)


VIEW = Compare
