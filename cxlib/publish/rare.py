"""Rare touchpoints: too few customers met them, so they are put together and totals still add up.

Those of one stage and channel are counted as "other touchpoints", where enough are behind them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from cxlib.publish.rounding import smallest_shown
from cxlib.store import Workspace
from cxlib.store.engines import Count, Frames, count_here
from cxlib.summary import NONE, Summary, summarise

OTHER = "other touchpoints"

_GROUP = ("stage", "channel")


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """The log as it is published: `number` has for each place the one that it is counted as.

    Places are numbered as in the workspace; the first of each group stands for the group.
    """

    places: pl.DataFrame
    summary: Summary
    number: pl.Series
    files: tuple[Path, ...]
    ratings: pl.LazyFrame

    def number_of(self, place: str) -> pl.Expr:
        """Return the places of a column, as they are counted."""
        return pl.lit(self.number).gather(pl.col(place).cast(pl.UInt32))

    def rows(self, file: Path) -> pl.DataFrame:
        """Read the contacts of one bucket, each at the place that it is counted as."""
        return self.fold(pl.read_parquet(file))

    def fold(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Count contacts at the places that they are counted as."""
        return rows.with_columns(place=self.number_of("place"))


def fold_rare_touchpoints(workspace: Workspace, *, k: int) -> Folded:
    """Put together the touchpoints of a stage and channel that too few customers met.

    The log is counted once more where any are; the workspace stays as it is.
    """
    places, files = workspace.places, tuple(workspace.bucket_files())
    summary = workspace.summary()
    groups = _groups(summary, files, places, k=k)
    counted_as = {place: group[0] for group in groups for place in group}
    is_other = pl.col("place").is_in([group[0] for group in groups])
    told = {
        "touchpoint": pl.lit(OTHER),
        "owner": pl.lit(None, pl.String),
        # a mixture is not called weak, as nothing that the company initiates is
        "initiated_by": pl.lit("company"),
    }
    folded = Folded(
        places=places.with_columns(
            pl.when(is_other).then(value).otherwise(pl.col(name)).alias(name)
            for name, value in told.items()
        ),
        summary=summary,
        number=pl.Series([counted_as.get(n, n) for n in range(len(places))], dtype=pl.UInt16),
        files=files,
        ratings=workspace.ratings(),
    )
    if not groups:
        return folded

    def run(paths: Sequence[Path], count: Count) -> list[Frames]:
        return count_here(paths, lambda rows: count(folded.fold(rows)), at_once=2)

    scope = replace(workspace.scope, places=folded.places)
    return replace(folded, summary=summarise(workspace, run=run, scope=scope))


def _groups(
    summary: Summary, files: tuple[Path, ...], places: pl.DataFrame, *, k: int
) -> list[list[int]]:
    first = (pl.col("level") == "place") & (pl.col("previous_period") == NONE)
    met = summary.reach.filter(first).group_by(place="key").agg(pl.col("customers").sum())
    rare = places.join(met.filter(pl.col("customers") < smallest_shown(k)), on="place")
    taken = places.filter(pl.col("touchpoint") == OTHER)
    rare = rare.join(taken, on=_GROUP, how="anti").select("place", *_GROUP)
    if rare.is_empty():
        return []
    enough = (
        pl.scan_parquet(list(files))
        .select("customer", "place")
        .join(rare.lazy(), on="place")
        .group_by(_GROUP)
        .agg(pl.col("customer").n_unique())
        .filter(pl.col("customer") >= smallest_shown(k))
        .collect()
    )
    kept = rare.join(enough, on=_GROUP).sort("place")
    return kept.group_by(_GROUP, maintain_order=True).agg("place")["place"].to_list()
