"""Of how many transitions a figure about a handoff speaks: transitions − removed = n."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cxlib.arrivals.arrivals import SET_ASIDE, Arrivals
from cxlib.signals import signal_named

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

_LEFT = {"not_followed": "n", "nothing_after": "onward"}
"""Column of ``arrivals`` that counts what a filter leaves, where another one follows it."""


def count_filters(arrivals: Arrivals, judged: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Transitions of every row that was judged, and a row for every filter that took some away."""
    pair = ["source", "target"]
    counted = arrivals.transitions.group_by(pair).agg(pl.col("transitions", *SET_ASIDE).sum())
    left = arrivals.arrivals.group_by(pair).agg(pl.col(name).sum() for name in _LEFT.values())
    ends = {"source": "source_place", "target": "target_place"}
    about = counted.join(left.rename({"n": "_n"}), on=pair, how="left").rename(ends)
    typed = about.with_columns(pl.col(c).cast(judged.schema[c]) for c in _KEYS[:2])
    rows = judged.select(*_KEYS, "n").join(typed, on=_KEYS[:2], how="left", maintain_order="left")
    filled = rows.with_columns(pl.exclude(*_KEYS, "n").fill_null(0))
    frames = [_removed(filled, SET_ASIDE[0]).clear()]
    for (signal,), part in filled.group_by("signal"):
        kind = signal_named(str(signal))
        if kind.plan is not None:  # judged on the contacts at its source, whatever came next
            continue
        frames += [_removed(part, why) for why in SET_ASIDE]
        remaining = pl.col("transitions") - pl.sum_horizontal(SET_ASIDE)
        *steps, last = kind.filters
        for step in steps:
            leaves = pl.col("_n" if _LEFT[step] == "n" else _LEFT[step])
            frames.append(_removed(part, step, remaining - leaves))
            remaining = leaves
        frames.append(_removed(part, last, remaining - pl.col("n")))
    return filled["transitions"], pl.concat(frames).filter(pl.col("removed") != 0)


def _removed(rows: pl.DataFrame, name: str, number: pl.Expr | None = None) -> pl.DataFrame:
    removed = pl.col(name) if number is None else number
    return rows.select(*_KEYS, filter=pl.lit(name), removed=removed.cast(pl.Int64))
