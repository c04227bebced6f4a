"""A row of the findings table period by period: how many cases, what was observed, how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
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
    summed = {"n": counts.n, "cases": counts.total}
    if signal.family != "share":
        summed["squares"] = counts.squares
    sums = part.group_by("period").agg(pl.col(c).sum().alias(n) for n, c in summed.items())
    return _share(sums) if signal.family == "share" else _mean(sums)


def count_customers(arrivals: Arrivals, row: Mapping[str, Any]) -> int:
    """Distinct customers where a row is, of its group, at least: those of the busiest way there."""
    name = "steps" if row["unit"] == "stage_step" else "histories"
    table = getattr(arrivals, name)
    part = _of_group(arrivals, table.filter(_here(arrivals, row, table)), row)
    if part is None:
        around = getattr(arrivals, {"steps": "environment_steps"}.get(name, "environments"))
        around = around.filter(column=row["group"], value=row["value"])
        part = around.filter(_here(arrivals, row, around))
    ways = part.group_by("source" if name == "histories" else "target")
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
        return pl.col("target").is_in(source)
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


def _share(counts: pl.DataFrame) -> pl.DataFrame:
    """Share with half the width of its interval; one case more and one less keep it off zero."""
    n, share = pl.col("n"), pl.col("cases") / pl.col("n")
    soft = (pl.col("cases") + 1) / (n + 2)
    se = (soft * (1 - soft) / (n + 2)).sqrt()
    return counts.filter(n > 0).select("period", "n", observed=share, half=Z95 * se, se=se)


def _mean(counts: pl.DataFrame) -> pl.DataFrame:
    n, mean = pl.col("n"), pl.col("cases") / pl.col("n")
    variance = pl.col("squares") / n - mean**2
    return counts.filter(n > 0).select(
        "period",
        "n",
        observed=mean,
        half=Z95 * (variance.clip(0.0) / n).sqrt(),
        se=(variance.clip(0.25) / n).sqrt(),
    )


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
