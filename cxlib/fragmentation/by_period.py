"""The counts behind a row of the findings table: period by period, and of how many transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import SET_ASIDE, Arrivals
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.grounds.additive import add_up
from cxlib.grounds.cases import touchpoint_codes
from cxlib.grounds.judged import Z95
from cxlib.segments import segment_codes, segment_names
from cxlib.signals import signal_named
from cxlib.store.tables import NONE


def count_history(arrivals: Arrivals, row: Mapping[str, Any]) -> pl.DataFrame:
    """Count one row of the findings table by period; empty where its signal has no periods.

    ``observed`` (waits: the median, in hours), ``half`` of a plain 95 % interval, and ``se`` on the
    scale of the effect.
    """
    signal = signal_named(row["signal"])
    counts = signal.counts
    empty = dict.fromkeys(("observed", "half", "se"), pl.Float64)
    nothing = pl.DataFrame(schema={"period": pl.UInt16, "n": pl.Int64, **empty})
    if counts is None:
        return nothing
    table = getattr(arrivals, counts.steps if row["unit"] == "stage_step" else counts.table)
    part = _of_group(arrivals, table.filter(_here(arrivals, row, table)), row)
    if part is None:
        return nothing
    if signal.family == "wait":
        return _median_waits(part)
    summed = {"n": counts.n, "cases": counts.total, "squares": counts.squares or counts.total}
    sums = part.group_by("period").agg(pl.col(c).sum().alias(n) for n, c in summed.items())
    n, cases = pl.col("n"), pl.col("cases")
    if signal.family == "share":  # one case more and one less keep the interval off zero
        soft = (cases + 1) / (n + 2)
        ses = [(soft * (1 - soft) / (n + 2)).sqrt()] * 2
    else:
        variance = pl.col("squares") / n - (cases / n) ** 2
        ses = [(variance.clip(least) / n).sqrt() for least in (0.0, 0.25)]
    return sums.filter(n > 0).select(
        "period", "n", observed=cases / n, half=Z95 * ses[0], se=ses[1]
    )


def count_customers(arrivals: Arrivals, row: Mapping[str, Any]) -> int:
    """Distinct customers where a row is, of its group, at least: those of the busiest way there."""
    is_step = row["unit"] == "stage_step"
    table = arrivals.steps if is_step else arrivals.histories
    part = _of_group(arrivals, table.filter(_here(arrivals, row, table)), row)
    if part is None:
        table = arrivals.environment_steps if is_step else arrivals.environments
        around = table.filter(column=row["group"], value=row["value"])
        part = around.filter(_here(arrivals, row, around))
    ways = part.group_by("target" if is_step else "source")
    return max(ways.agg(pl.col("customers").sum())["customers"].to_list(), default=0)


def _here(arrivals: Arrivals, row: Mapping[str, Any], table: pl.DataFrame) -> pl.Expr:
    """Rows of the table that are about the unit of a row: places by name, or as they are."""
    places = arrivals.places
    if row["unit"] == "stage_step":
        stages = dict(places.select("stage", "stage_index").iter_rows())
        return pl.col("stage") == stages.get(row["source"], NONE)
    if row["ground"] in ("like", "plan"):
        source, target = ([row[f"{end}_place"]] for end in ("source", "target"))
    else:
        touch, names = touchpoint_codes(arrivals)
        of = {name: np.flatnonzero(touch == i).tolist() for i, name in enumerate(names)}
        source, target = of[row["source"]], of.get(row["target"] or "", [])
    if row["unit"] == "place":
        wait = "bin" in table.columns
        return pl.col("source" if wait else "target").is_in(source)
    if "source" not in table.columns:
        return pl.lit(value=False)
    return pl.col("source").is_in(source) & pl.col("target").is_in(target)


def _of_group(
    arrivals: Arrivals, table: pl.DataFrame, row: Mapping[str, Any]
) -> pl.DataFrame | None:
    """Rows of the group that a row is about; None where they are counted in another table."""
    group = row.get("group")
    if group is None:
        return table
    if group in segment_names(arrivals.segments):
        codes = segment_codes(arrivals.segments, group, row["value"])
        return table.filter(pl.col("segment").is_in(codes))
    if group in ("channel", "owner"):
        named = arrivals.places[group].fill_null("unknown") == row["value"]
        return table.filter(pl.lit(named).gather(pl.col("target").cast(pl.UInt32)))
    return None


def _median_waits(waits: pl.DataFrame) -> pl.DataFrame:
    """Median wait by period, hours, evenly spread within its bin on a logarithmic scale."""
    periods, number = np.unique(waits["period"].to_numpy(), return_inverse=True)
    edges = np.log(np.maximum(np.array(BIN_EDGES), 0.5) / 3600)
    low, high = edges, np.append(edges[1:], edges[-1])
    cell = number * N_BINS + waits["bin"].to_numpy()
    counts = add_up(waits["n"].to_numpy(), cell, len(periods) * N_BINS).reshape(-1, N_BINS)
    whole, middle, row = counts.sum(1), (low + high) / 2, np.arange(len(periods))
    rank = counts.cumsum(1)
    at = np.argmax(rank >= whole[:, None] / 2, axis=1)
    part = 1 - (rank[row, at] - whole / 2) / counts[row, at]
    spread = (counts * middle**2).sum(1) / whole - ((counts * middle).sum(1) / whole) ** 2
    return pl.DataFrame(
        {
            "period": pl.Series(periods, dtype=waits.schema["period"]),
            "n": whole.astype(np.int64),
            "observed": np.exp(low[at] + part * (high[at] - low[at])),
            "half": pl.Series([None] * len(periods), dtype=pl.Float64),
            # the standard error of a median is about a quarter larger than that of a mean
            "se": 1.25 * np.sqrt(np.maximum(spread, 0.01) / whole),
        }
    )


_KEYS = ["source_place", "target_place", "signal"]

FILTERS: Mapping[str, str] = {
    "reload": "the same touchpoint again within a minute",
    "tied": "both contacts at one instant, so that their order is not known",
    "slow": "more than the silence between the two",
    "beyond": "after the customer's first few contacts",
    "often": "more than three times by one customer",
    "source_not_followed": "left less than the silence before the end of the log",
    "not_followed": "not followed for long enough afterwards",
    "nothing_after": "nothing came after it in the journey within the silence",
    "itself_a_return": "itself a way back to where the customer had come from",
    "not_rated": "not rated",
}
"""Why transitions do not count, by name."""

_LEFT = ("_n", "onward")
"""What counts the arrivals that "not_followed" and "nothing_after" leave."""


def count_filters(arrivals: Arrivals, judged: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Transitions of every row that was judged, and a row for every filter that took some away."""
    pair = ["source", "target"]
    counted = arrivals.transitions.group_by(pair).agg(pl.col("transitions", *SET_ASIDE).sum())
    left = arrivals.arrivals.group_by(pair).agg(_n=pl.col("n").sum(), onward=pl.col("onward").sum())
    ends = {"source": "source_place", "target": "target_place"}
    about = counted.join(left, on=pair, how="left").rename(ends)
    typed = about.with_columns(pl.col(c).cast(judged.schema[c]) for c in _KEYS[:2])
    rows = judged.select(*_KEYS, "n").join(typed, on=_KEYS[:2], how="left", maintain_order="left")
    filled = rows.with_columns(pl.exclude(*_KEYS, "n").fill_null(0))
    kinds = {name: signal_named(name) for name in judged["signal"].unique()}
    # what is held against the plan is judged on the contacts at its source, whatever came next
    here = filled.filter(pl.col("signal").is_in([n for n in kinds if kinds[n].plan is None]))
    removed = {name: pl.col(name) for name in SET_ASIDE}
    left_by = [pl.col("transitions") - pl.sum_horizontal(SET_ASIDE), *map(pl.col, _LEFT)]
    for name in FILTERS:
        for of, filters in ((of, kind.filters) for of, kind in kinds.items()):
            if name in filters:
                # those that the filters before leave: the last one takes away all but n
                at = filters.index(name)
                taken = left_by[at] - (left_by[at + 1] if at + 1 < len(filters) else pl.col("n"))
                before = removed.get(name, pl.lit(0))
                removed[name] = pl.when(pl.col("signal") == of).then(taken).otherwise(before)
    wide = here.select(*_KEYS, **{n: e.cast(pl.Int64) for n, e in removed.items()})
    long = wide.unpivot(index=_KEYS, variable_name="filter", value_name="removed")
    return filled["transitions"], long.filter(pl.col("removed") != 0)
