"""The path explorer: ways from a touchpoint, or to it, with goal, lost and open at the end."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from cxlib.figures.path_tree import plot_path_tree
from cxlib.measures.path_tree import PathTree, PathTrees
from cxlib.numbers import day, plural, share
from cxlib.views.paths import words
from cxlib.views.shared import words as shared
from cxlib.views.shared.filters import Filter, Option, names, segment
from cxlib.views.shared.parts import Figure, Words
from cxlib.views.shared.view import View, of_state

_MOST, _LEAST = 7, 0.01
"""Branches of a branch that are drawn beside ends, and their least share of it."""

_ENDS = {"goal": ("goal",), "lost": ("silent", "declined"), "open": ("open",)}


class PathExplorer(View):
    """Where journeys go from a touchpoint, or where they came from, and how they end."""

    filters = (
        Filter(
            trait="start",
            label=words.START,
            options=lambda view: names(view.starts) or [Option("", "–", "")],
        ),
        Filter(
            trait="direction",
            label=words.DIRECTION,
            options=lambda _: names(words.DIRECTIONS),
        ),
        segment(),
    )
    parts = (
        Figure(
            name="figure",
            css="cx-tree",
            text=words.TREE,
            shown=lambda view: bool(view.tree.journeys),
            draw=lambda view: plot_path_tree(view.tree, title=""),
            data=lambda view: view.written(view.tree, caption=words.TABLE),
            clicks="start",
        ),
        Words(name="steps", css="cx-steps", template="paths/steps.html"),
    )

    def turn(self, trait: str, value: object) -> None:
        """Go on from a touchpoint that was clicked; what is no published start is let be."""
        if value in self.starts:
            setattr(self.state, trait, value)

    @property
    def starts(self) -> list[str]:
        """Every touchpoint that is published, those on most ways first."""
        table = self._trees(None).table.filter(pl.col("step") == 1)
        busy = table.group_by("start").agg(pl.col("before").max()).drop_nulls()
        return busy.sort("before", "start", descending=[True, False])["start"].to_list()

    def _trees(self, segment: tuple[str, str] | None) -> PathTrees:
        return self.ask("table", measure="path_trees", segment=segment)

    @of_state
    def tree(self) -> PathTree:
        """The ways that are drawn, of what is selected."""
        trees = self._trees(self.state.segment)
        return _tree_of(trees, self.state.start, self.state.direction == "after")

    def headline(self) -> str:
        """Say what comes next most often, how many end there, and what is not drawn."""
        tree = self.tree
        first = tree.table.filter(pl.col("step") == 1)
        ended = [
            words.END[name].format(share=share(sum(parts)))
            for name, ends in _ENDS.items()
            if (parts := first.filter(pl.col("end").is_in(ends))["share"].to_list())
        ]
        rest = 1 - sum(first["journeys"]) / max(tree.journeys, 1)
        said_of = [*(ended if tree.forwards else ())]
        said_of += [words.REST.format(share=share(rest))] if rest > 0 else []
        basis = words.BASIS.format(
            ends=f": {' · '.join(said_of)}" if said_of else "",
            journeys=plural(tree.journeys, "journey"),
            start=tree.start,
            until=day(self.until),
        )
        if first.is_empty():
            said = words.NONE.format(start=tree.start or words.ANY)
            basis = shared.UNTIL.format(until=day(self.until))
            return self.sentence(title=words.TITLE, said=said, basis=basis)
        said = tree.sentences()[0]
        return self.sentence(title=words.TITLE, said=said, basis=basis)


@lru_cache(maxsize=64)
def _tree_of(trees: PathTrees, start: str, forwards: bool) -> PathTree:
    """Return the ways of one touchpoint: of each branch its ends, and the commonest others."""
    way = "after" if forwards else "before"
    here = trees.table.filter(pl.col("start") == start, pl.col("direction") == way)
    here = here.drop_nulls("journeys").rename({"before": "of"})
    step, is_end = pl.col("step"), pl.col("end").is_not_null()
    numbered = here.with_columns(branch=(step == 1).cum_sum())
    siblings = pl.when(step == 1).then(0).otherwise("branch")
    rank = (~is_end).cum_sum().over("step", siblings)
    common = (rank <= _MOST) & (pl.col("share") >= _LEAST)
    drawn = numbered.with_columns(drawn=is_end | common)
    table = drawn.filter("drawn", pl.col("drawn").first().over("branch"))
    unknown = pl.lit(None, pl.Float64)
    overall = {f"overall{end}": unknown for end in ("", "_low", "_high")}
    return PathTree(
        table=table.with_columns(**overall).select(PathTree.tables["table"].names),
        start=start,
        forwards=forwards,
        journeys=max(here.filter(pl.col("step") == 1)["of"].to_list(), default=0),
        all_journeys=trees.all_journeys,
        observed_until=trees.observed_until,
        where=trees.where,
    )


VIEW = PathExplorer
