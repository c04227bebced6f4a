"""What is published from: rare touchpoints put together, and what few customers add to a sum.

Touchpoints of one stage and channel that too few customers met are counted as "other touchpoints",
where enough are behind them all. To hide k-1 customers in a sum, it is rounded to more than the k-1
heaviest of them add to it; that is found in one pass over the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from cxlib.publish.small_groups import smallest_shown
from cxlib.store import Workspace
from cxlib.store.engines import Count, Frames, count_here
from cxlib.store.walk import around
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


_END = 65_535
"""Stands for "no further contact" where a contact's successor is asked for."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "places": ("place",),
    "stages": ("stage",),
    "channels": ("channel",),
    "whole": (),
    "moves": ("source", "target"),
    "first_places": ("place",),
    "first_channels": ("channel",),
}
"""What rows may be about, and what names them then."""

_ADDED = ("contacts", "ratings", "comments", "dwells")


@dataclass(frozen=True, slots=True)
class Influence:
    """What the k-1 heaviest customers add, for every kind of row that is published (`KEYS`).

    Each frame has the row's key and some of ``contacts``, ``ratings``, ``comments``, ``dwells``,
    ``journeys``; and ``total``, what they add to the whole that a row is a share of: contacts at
    the source of a move, journeys begun. `labels` names the places.
    """

    rows: Mapping[str, pl.DataFrame]
    labels: pl.DataFrame

    @property
    def whole(self) -> pl.DataFrame:
        """What they add to the whole log: one row."""
        return self.rows["whole"]

    def at(self, rows: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
        """Bound what they add to rows about some of the places, told by their names.

        `columns` says what each holds: "touchpoint", "channel", "stage", "owner"; none: all places.
        """
        if not columns:
            return self.whole
        everywhere = self.whole.drop("total").select(pl.all().cast(pl.Float64))
        # a sum over places of what k-1 customers add at each is no less than what they add to all
        named = self.labels.select("place", *(pl.col(v).alias(c) for c, v in columns.items()))
        there = (
            named.join(self.rows["places"], on="place")
            .with_columns(journeys="contacts")
            .group_by(*columns)
            .agg(pl.col(everywhere.columns).sum().cast(pl.Float64))
        )
        # other names than those of the map: anything may stand behind them
        return rows.join(there, on=list(columns), how="left").with_columns(
            pl.min_horizontal(pl.col(c).fill_null(v), pl.lit(v))
            for c, v in everywhere.row(0, named=True).items()
        )


def measure_influence(log: Folded, *, k: int) -> Influence:
    """Find what the k-1 heaviest customers add to every sum that may be published.

    Customers are counted over the whole log, so that the answer bounds every part of it too.
    """
    places = log.places.select("place", "stage", "channel")
    rated = (
        log.ratings.filter(pl.col("place").is_not_null())
        .group_by("customer", place=log.number_of("place"))
        .agg(
            ratings=(pl.col("is_counted") & pl.col("rating").is_not_null()).sum().cast(pl.Int64),
            comments=pl.col("comment").count().cast(pl.Int64),
        )
        .collect()
    )
    buckets = [
        _of_bucket(log.fold(pl.read_parquet(file)), places, rated, k=k) for file in log.files
    ]
    # Every customer is in one bucket only, so the heaviest of all are among the heaviest of each.
    found = {
        n: _sum_of_heaviest(pl.concat(b[n] for b in buckets), key, k=k) for n, key in KEYS.items()
    }
    at_source = found["places"].select(source="place", total="contacts")
    found["moves"] = found["moves"].join(at_source, on="source", how="left")
    journeys = found["whole"]["journeys"].item()
    for name in ("first_places", "first_channels", "whole"):
        found[name] = found[name].with_columns(total=journeys)
    return Influence(found, log.places)


def _of_bucket(
    rows: pl.DataFrame, places: pl.DataFrame, rated: pl.DataFrame, *, k: int
) -> dict[str, pl.DataFrame]:
    """Return the k-1 heaviest customers of one bucket for every row, one line each."""
    said, dwells = (
        (pl.col(name).count() if name in rows.columns else pl.lit(0)).cast(pl.Int64)
        for name in ("comment", "ended_at")
    )
    number = pl.len().cast(pl.Int64)
    per_place = (
        rows.group_by("customer", "place")
        .agg(contacts=number, said=said, dwells=dwells)
        .join(rated, on=["customer", "place"], how="left")
        .with_columns(
            pl.col("ratings").fill_null(0),
            comments=pl.col("comments").fill_null(0) + pl.col("said"),
        )
        .drop("said")
        .join(places, on="place", how="left")
    )
    named = rows.join(places, on="place")
    begun = rows.filter(pl.col("journey").is_first_distinct()).join(places, on="place")

    def with_journeys(*keys: str) -> pl.DataFrame:
        journeys = pl.col("journey").n_unique().cast(pl.Int64).alias("journeys")
        added = per_place.group_by(*keys).agg(pl.col(_ADDED).sum())
        return added.join(named.group_by(*keys).agg(journeys), on=list(keys))

    moves = rows.select("customer", source="place", target=around("place", 1).fill_null(_END))
    found = {
        "places": per_place.drop("stage", "channel"),
        # a journey rises to a stage at most once, and only by a contact in it
        "stages": with_journeys("customer", "stage"),
        "channels": per_place.group_by("customer", "channel").agg(pl.col(_ADDED).sum()),
        "whole": with_journeys("customer"),
        "moves": moves.group_by("customer", "source", "target").agg(contacts=number),
        "first_places": begun.group_by("customer", "place").agg(journeys=number),
        "first_channels": begun.group_by("customer", "channel").agg(journeys=number),
    }
    return {name: _heaviest(frame, KEYS[name], k=k) for name, frame in found.items()}


def _heaviest(frame: pl.DataFrame, key: Sequence[str], *, k: int) -> pl.DataFrame:
    """Return, for every row, lists of the k-1 largest contributions."""
    top = pl.exclude("customer", *key).top_k(k - 1)
    return frame.group_by(*key).agg(top) if key else frame.select(top.implode())


def _sum_of_heaviest(lists: pl.DataFrame, key: Sequence[str], *, k: int) -> pl.DataFrame:
    top = (pl.exclude(*key) if key else pl.all()).explode().top_k(k - 1).sum()
    return lists.group_by(*key).agg(top).sort(key) if key else lists.select(top)
