"""Described, not findings: what there is to see where nothing stands out.

The longest waits, the commonest loops, the largest differences between groups and between times,
and the weakest ratings, each with its interval and how many it rests on. Nothing is tested here,
and raw drop-off is not ranked: who leaves after an ad has not been lost by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cxlib.arrivals.arrivals import Arrivals
from cxlib.arrivals.histories import NONE
from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.fragmentation.sentences import say_subject
from cxlib.grounds.judged import Z95
from cxlib.signals import SIGNALS, signal_named

if TYPE_CHECKING:
    from cxlib.fragmentation.findings import Findings

__all__ = ["describe_standouts"]

MOST = 3
"""Lines of each kind."""

_LEAST = 50

_SCHEMA: dict[str, Any] = {
    "kind": pl.String,
    "source": pl.String,
    "target": pl.String,
    "group": pl.String,
    "value": pl.String,
    "n": pl.Int64,
    "observed": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "sentence": pl.String,
}


def describe_standouts(findings: Findings) -> pl.DataFrame:
    """Describe what is largest of its kind.

    Returns
    -------
    polars.DataFrame
        ``kind`` (wait, loop, group difference, rating), ``source``, ``target``, ``group`` and
        ``value``, ``n``, ``observed`` with ``low`` and ``high`` (95 %) in ``unit`` (hours, share,
        rating), ``sentence``.
    """
    part = findings.arrivals
    rows = [*_groups(findings), *_waits(part), *_loops(part), *_ratings(part)]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(kind: str, unit: str, sentence: str, **known: Any) -> dict[str, Any]:
    empty = dict.fromkeys(_SCHEMA)
    return {**empty, "kind": kind, "unit": unit, "sentence": sentence, **known}


def _names(part: Arrivals, row: dict[str, Any]) -> dict[str, str]:
    names = part.places["touchpoint"]
    return {"source": names[row["source"]], "target": names[row["target"]]}


def _waits(part: Arrivals) -> list[dict[str, Any]]:
    """The longest median waits between touchpoints of the customers' own."""
    if SIGNALS["delay"].needs(part) if "delay" in SIGNALS else True:
        return []
    table = part.waits.group_by("source", "target", "bin").agg(pl.col("n").sum())
    if table.is_empty():
        return []
    size = len(part.places)
    cell = table["source"].to_numpy().astype(np.int64) * size + table["target"].to_numpy()
    counts = np.bincount(
        cell * N_BINS + table["bin"].to_numpy(), table["n"].to_numpy(), size * size * N_BINS
    ).reshape(-1, N_BINS)
    whole = counts.sum(1)
    edges = np.append(np.array(BIN_EDGES), BIN_EDGES[-1] * 1.3) / 3600
    known = np.flatnonzero(whole >= _LEAST)
    reached = counts[known].cumsum(1) / whole[known, None]
    # an order statistic's interval, out to the edges of its bins
    half = Z95 * 0.5 / np.sqrt(whole[known])
    middle, low, high = (
        np.argmax(reached >= np.clip(0.5 + step, 0, 1)[:, None] - 1e-12, axis=1)
        for step in (np.zeros(len(known)), -half, half)
    )
    before = np.take_along_axis(np.pad(reached, ((0, 0), (1, 0))), middle[:, None], 1)[:, 0]
    here = np.take_along_axis(reached, middle[:, None], 1)[:, 0] - before
    inside = np.clip((0.5 - before) / np.maximum(here, 1e-9), 0, 1)
    value = edges[middle] + inside * (edges[middle + 1] - edges[middle])
    rows = []
    for i in np.argsort(-value, kind="stable")[:MOST]:
        ends = {"source": int(known[i] // size), "target": int(known[i] % size)}
        names = _names(part, ends)
        ci = (float(edges[low[i]]), float(edges[high[i] + 1]))
        n = int(whole[known[i]])
        rows.append(
            _row(
                "wait", "hours",
                f"{names['source']} → {names['target']} takes {_time(float(value[i]))} "
                f"(median; 95 %: {_time(ci[0])} to {_time(ci[1])}; {n:,} waits)",
                **names, n=n, observed=float(value[i]), low=ci[0], high=ci[1],
            )
        )  # fmt: skip
    return rows


def _time(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _loops(part: Arrivals) -> list[dict[str, Any]]:
    """The commonest returns straight to where customers came from."""
    table = (
        part.histories.filter(pl.col("source") != NONE)
        .group_by("source", "target")
        .agg(n=pl.col("came").sum(), cases=pl.col("pinged").sum())
        .filter(pl.col("n") >= _LEAST, pl.col("cases") > 0)
        .sort("cases", "source", "target", descending=[True, False, False])
        .head(MOST)
    )
    rows = []
    for r in table.iter_rows(named=True):
        names = _names(part, r)
        share, low, high = _wilson(r["cases"], r["n"])
        rows.append(
            _row(
                "loop", "share",
                f"{names['source']} → {names['target']}: {100 * share:.0f} % of those who went on "
                f"went straight back (95 %: {100 * low:.0f} to {100 * high:.0f} %; {r['n']:,})",
                **names, n=r["n"], observed=share, low=low, high=high,
            )
        )  # fmt: skip
    return rows


def _wilson(cases: float, n: float) -> tuple[float, float, float]:
    share, z2 = cases / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5 / (1 + z2 / n)
    return share, middle - half, middle + half


def _ratings(part: Arrivals) -> list[dict[str, Any]]:
    """The weakest mean ratings, ranked by the upper end of their interval."""
    n, total = pl.col("rating_n"), pl.col("rating_sum")
    table = (
        part.histories.group_by("target")
        .agg(n.sum(), total.sum(), pl.col("rating_sq").sum())
        .filter(n >= _LEAST)
        .with_columns(mean=total / n)
        .with_columns(
            half=Z95 * ((pl.col("rating_sq") / n - pl.col("mean") ** 2).clip(0) / n).sqrt()
        )
        .sort(pl.col("mean") + pl.col("half"), "target")
        .head(MOST)
    )
    rows = []
    for r in table.iter_rows(named=True):
        name, low, high = (
            part.places["touchpoint"][r["target"]],
            r["mean"] - r["half"],
            r["mean"] + r["half"],
        )
        rows.append(
            _row(
                "rating", "rating",
                f"{name} is rated {r['mean']:.1f} (95 %: {low:.1f} to {high:.1f}; "
                f"{r['rating_n']:,} ratings)",
                source=name, n=r["rating_n"], observed=r["mean"], low=low, high=high,
            )
        )  # fmt: skip
    return rows


def _groups(findings: Findings) -> list[dict[str, Any]]:
    """The largest differences between groups, ranked by the lower end of their effect."""
    table = findings.table.filter((pl.col("ground") == "groups") & ~pl.col("finding"))
    shares = [name for name in SIGNALS if SIGNALS[name].family == "share"]
    ranked = (
        table.filter(pl.col("signal").is_in(shares) & pl.col("echo_of").is_null())
        .filter((pl.col("low") > 0) & (pl.col("n") >= _LEAST))
        .sort(pl.col("n") * pl.col("low"), "source", "value", descending=[True, False, False])
        .unique(["source", "target", "group"], keep="first", maintain_order=True)
        .head(MOST)
    )
    rows = []
    for r in ranked.iter_rows(named=True):
        seen, usual = 100 * r["observed"], 100 * r["expected"]
        title = signal_named(r["signal"]).title
        rows.append(
            _row(
                "group difference", "share",
                f"{say_subject(r)}: {title}, {seen:.0f} % against {usual:.0f} % of "
                f"{r['compared_with']} (difference 95 %: {100 * r['low']:.0f} to "
                f"{100 * r['high']:.0f} points; {r['n']:,})",
                **{k: r[k] for k in ("source", "target", "group", "value", "n", "observed")},
                low=usual / 100 + r["low"], high=usual / 100 + r["high"],
            )
        )  # fmt: skip
    return rows
