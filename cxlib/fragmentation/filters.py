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

_LEFT = {"not_followed": "_n", "nothing_after": "onward"}
"""What counts the arrivals that a filter leaves, where another one follows it."""


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
    for name in FILTERS:
        for of, kind in kinds.items():
            if name in kind.filters:
                taken = _taken(kind.filters, name)
                before = removed.get(name, pl.lit(0))
                removed[name] = pl.when(pl.col("signal") == of).then(taken).otherwise(before)
    wide = here.select(*_KEYS, **{n: e.cast(pl.Int64) for n, e in removed.items()})
    long = wide.unpivot(index=_KEYS, variable_name="filter", value_name="removed")
    return filled["transitions"], long.filter(pl.col("removed") != 0)


def _taken(filters: tuple[str, ...], name: str) -> pl.Expr:
    """How many of those that the filters before leave one takes away: the last one all but n."""
    left = [pl.col("transitions") - pl.sum_horizontal(SET_ASIDE), *map(pl.col, _LEFT.values())]
    at = filters.index(name)
    return left[at] - (left[at + 1] if at + 1 < len(filters) else pl.col("n"))
