"""How much a few customers can weigh: what any k-1 of them together add to a sum, at most.

A count of customers changes by one when one customer comes or goes. A count of contacts changes by
as many contacts as that customer had. To hide k-1 customers in such a sum it is rounded to more
than the k-1 heaviest of them add to it; this module finds that number, in one pass over the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cxlib.publish.rare import Folded
from cxlib.store.walk import around

__all__ = ["Influence", "measure_influence"]

_END = 65_535
"""Stands for "no further contact" where a contact's successor is asked for."""


@dataclass(frozen=True, slots=True)
class Influence:
    """What the k-1 heaviest customers add, for every kind of row that is published.

    Every frame has the row's key and ``contacts``, ``ratings``, ``comments``, ``dwells`` (numbers),
    ``dwell_seconds``, ``cost`` (the map's currency) or ``journeys``; `whole` has one row
    and no key. ``total`` is what they add to the whole that a row is a share of: contacts at the
    source of a move, journeys begun. ``labels`` has the names of the places.
    """

    places: pl.DataFrame
    stages: pl.DataFrame
    channels: pl.DataFrame
    whole: pl.DataFrame
    moves: pl.DataFrame
    first_places: pl.DataFrame
    first_channels: pl.DataFrame
    labels: pl.DataFrame

    def at(self, rows: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
        """Bound what they add to rows about some of the places, told by their names.

        Parameters
        ----------
        rows
            Names by column; no two rows are the same.
        columns
            For each of their columns what it holds: "touchpoint", "channel", "stage" or "owner".
            Without columns, all places are meant.
        """
        everywhere = self.whole.drop("total").select(pl.all().cast(pl.Float64))
        if not columns:
            return self.whole
        # a sum over places of what k-1 customers add at each is no less than what they add to all
        named = self.labels.select("place", *(pl.col(v).alias(c) for c, v in columns.items()))
        there = (
            named.join(self.places, on="place")
            .with_columns(journeys="contacts")
            .group_by(*columns)
            .agg(pl.col(everywhere.columns).sum().cast(pl.Float64))
        )
        found = rows.join(there, on=list(columns), how="left")
        # other names than those of the map: anything may stand behind them
        return found.with_columns(
            pl.min_horizontal(pl.col(c).fill_null(v), pl.lit(v))
            for c, v in everywhere.row(0, named=True).items()
        )


def measure_influence(log: Folded, *, k: int) -> Influence:
    """Find what the k-1 heaviest customers add to every sum that may be published.

    Customers are counted over the whole log, so that the answer bounds every part of it too.
    """
    parts: dict[str, list[pl.DataFrame]] = {}
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
    for file in log.files:
        for name, frame in _of_bucket(log.rows(file), places, rated, k=k).items():
            parts.setdefault(name, []).append(frame)
    # Every customer is in one bucket only, so the heaviest of all are among the heaviest of each.
    merged = {name: _sum_of_heaviest(pl.concat(found), k=k) for name, found in parts.items()}
    at_source = merged["places"].select(source="place", total="contacts")
    merged["moves"] = merged["moves"].join(at_source, on="source", how="left")
    for name in ("first_places", "first_channels", "whole"):
        merged[name] = merged[name].with_columns(total=merged["whole"]["journeys"].item())
    return Influence(**merged, labels=log.places)


_KEYS: dict[str, tuple[str, ...]] = {
    "places": ("place",),
    "stages": ("stage",),
    "channels": ("channel",),
    "whole": (),
    "moves": ("source", "target"),
    "first_places": ("place",),
    "first_channels": ("channel",),
}


def _of_bucket(
    rows: pl.DataFrame, places: pl.DataFrame, rated: pl.DataFrame, *, k: int
) -> dict[str, pl.DataFrame]:
    """Return the k-1 heaviest customers of one bucket for every row, one line each."""
    cost = pl.col("cost").sum() if "cost" in rows.columns else pl.lit(0.0)
    said = pl.col("comment").count() if "comment" in rows.columns else pl.lit(0)
    dwells, seconds = pl.lit(0), pl.lit(0.0)
    if "ended_at" in rows.columns:
        dwells = pl.col("ended_at").count()
        seconds = (pl.col("ended_at") - pl.col("occurred_at")).dt.total_microseconds().sum() / 1e6
    per_place = (
        rows.group_by("customer", "place")
        .agg(
            contacts=pl.len().cast(pl.Int64),
            said=said.cast(pl.Int64),
            dwells=dwells.cast(pl.Int64),
            dwell_seconds=seconds.cast(pl.Float64),
            cost=cost.cast(pl.Float64),
        )
        .join(rated, on=["customer", "place"], how="left")
        .with_columns(
            pl.col("ratings").fill_null(0),
            comments=pl.col("comments").fill_null(0) + pl.col("said"),
        )
        .drop("said")
        .join(places, on="place", how="left")
    )
    sums = [
        pl.col(c).sum()
        for c in ("contacts", "ratings", "comments", "dwells", "dwell_seconds", "cost")
    ]
    journeys = pl.col("journey").n_unique().cast(pl.Int64).alias("journeys")
    whole = (
        per_place.group_by("customer")
        .agg(sums)
        .join(rows.group_by("customer").agg(journeys), on="customer")
    )
    # A journey rises to a stage at most once, and only by a contact in it.
    per_stage = (
        per_place.group_by("customer", "stage")
        .agg(sums)
        .join(
            rows.join(places, on="place").group_by("customer", "stage").agg(journeys),
            on=["customer", "stage"],
        )
    )
    moves = (
        rows.select(
            "customer",
            source="place",
            target=around("place", 1).fill_null(_END),
        )
        .group_by("customer", "source", "target")
        .agg(contacts=pl.len().cast(pl.Int64))
    )
    begun = rows.filter(pl.col("journey").is_first_distinct()).join(places, on="place")
    number = pl.len().cast(pl.Int64).alias("journeys")
    found = {
        "places": per_place.drop("stage", "channel"),
        "stages": per_stage,
        "channels": per_place.group_by("customer", "channel").agg(sums),
        "whole": whole,
        "moves": moves,
        "first_places": begun.group_by("customer", "place").agg(number),
        "first_channels": begun.group_by("customer", "channel").agg(number),
    }
    return {name: _heaviest(frame, _KEYS[name], k=k) for name, frame in found.items()}


def _heaviest(frame: pl.DataFrame, key: Sequence[str], *, k: int) -> pl.DataFrame:
    """Return, for every row, lists of the k-1 largest contributions."""
    values = [c for c in frame.columns if c not in {*key, "customer"}]
    top = [pl.col(c).top_k(k - 1) for c in values]
    if key:
        return frame.group_by(*key).agg(top)
    return frame.select(pl.col(c).top_k(k - 1).implode() for c in values)


def _sum_of_heaviest(lists: pl.DataFrame, *, k: int) -> pl.DataFrame:
    key = [c for c, dtype in lists.schema.items() if not isinstance(dtype, pl.List)]
    values = [c for c in lists.columns if c not in key]
    top = [pl.col(c).explode().top_k(k - 1).sum() for c in values]
    return lists.group_by(*key).agg(top).sort(key) if key else lists.select(top)
