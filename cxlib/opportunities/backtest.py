"""Would the backlog of then have pointed at what hurt afterwards? Held against simpler rankings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl

from cxlib.arrivals.arrivals import Arrivals, read_arrivals
from cxlib.columns import Amount, Columns, Count, Day, Label, Share, Tables
from cxlib.fragmentation import measure_fragmentation
from cxlib.grounds.strata import with_strata
from cxlib.numbers import plural, share
from cxlib.opportunities.what_if import MENDABLE
from cxlib.results import Result, result
from cxlib.signals import SIGNALS
from cxlib.store import Workspace
from cxlib.store.selection import Selection

LINES = 3
"""First lines of a ranking that are held against what came."""

DATES = 3
RANKED = [name for name in MENDABLE if SIGNALS[name].judge is not None]
"""Signals whose findings are ranked: mendable, and judged against similar handoffs."""

LEAVING = [name for name in RANKED if SIGNALS[name].draws == "silence"]
_LEAST_HANDOFFS = 10
_KEYS = ["source_place", "target_place", "signal"]
_CASES = pl.col("n") * pl.col("effect")

RANKINGS: dict[str, Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]] = {
    "backlog": lambda past, _: _rank(past, "finding", pl.col("n") * pl.col("low")),
    "same as last period": lambda _, last: _rank(last, _CASES),
    "raw drop-off": lambda past, _: _rank(
        past.filter(pl.col("signal").is_in(LEAVING)), pl.col("n") * pl.col("observed")
    ),
}
"""How handoffs are ranked, from what was judged before a date and in the last period before it."""


@result
class BacklogBacktest(Result):
    """What `backtest_priorities` returns; ``reason``: why nothing could be tested, if so."""

    reason: str | None

    title = "The backlog of then, held against what came"
    tables = Tables(
        table=Columns(
            "one row per date and ranking",
            at=Day("what had been followed by then is ranked"),
            until=Day("end of the time it is held against"),
            ranking=Label("backlog, same as last period, or raw drop-off"),
            handoffs=Count("judged before and after, by signal"),
            hits=Count(f"of its first {LINES} among the {LINES} worst that came"),
            cases=Amount(f"above expectation that came at its first {LINES}"),
            worst=Amount(f"the same of the {LINES} worst that came: the most there was to name"),
            share=Share("cases / worst; below 0 where fewer came than expected"),
        )
    )

    def sentences(self) -> list[str]:
        """Say how the three rankings did, whichever was best."""
        if self.reason is not None:
            return [f"the backlog could not be held against what came: {self.reason}"]
        added = self.table.group_by("ranking", maintain_order=True).agg(
            pl.col("cases", "worst", "hits").sum(), dates=pl.len()
        )
        dates = added["dates"][0]
        told = ", ".join(
            f"{row['ranking']} {share(row['cases'] / row['worst'])} ({row['hits']} of "
            f"{LINES * dates} lines)"
            for row in added.to_dicts()
        )
        ours, last, _ = added["cases"].to_list()
        verdict = "" if ours > last else "; it did no better than the last period's own ranking"
        return [
            f"held against what came after {plural(dates, 'past date')}: of the cases that the "
            f"{LINES} worst handoffs then had above expectation, the first {LINES} lines of each "
            f"ranking held: {told}{verdict}"
        ]


def backtest_priorities(log: Workspace | Arrivals) -> BacklogBacktest:
    """Rank handoffs as of past dates, and hold the rankings against what came.

    Cases are arrivals times the excess over similar handoffs, as measured after the date by itself:
    what came is itself uncertain, so that no ranking can name it all.
    """
    arrivals = with_strata(log if isinstance(log, Arrivals) else read_arrivals(log))
    starts, until = arrivals.periods.starts, arrivals.settings.observed_until.date()
    silence = timedelta(days=arrivals.settings.silence.days)
    ends = [*starts[1:], until]
    width = max(len(starts) // 6, 1)
    rows = []
    cuts = [c for c in range(1, len(starts) - width + 1) if ends[c + width - 1] + silence <= until]
    for cut in cuts[::-width][:DATES]:
        known = sum(end + silence <= starts[cut] for end in ends)
        if known:
            spans = [(0, known - 1), (max(known - width, 0), known - 1), (cut, cut + width - 1)]
            rows += _compare(arrivals, spans, starts[cut], ends[cut + width - 1])
    few = (
        f"it takes {_LEAST_HANDOFFS} handoffs judged before and after a date, in periods that were "
        f"followed for {silence.days} days"
    )
    return BacklogBacktest(
        table=BacklogBacktest.tables["table"].frame(rows[::-1]),
        reason=None if rows else few,
        observed_until=arrivals.settings.observed_until,
    )


def _rank(judged: pl.DataFrame, *by: str | pl.Expr) -> pl.DataFrame:
    """Largest first, then by the keys."""
    return judged.sort(*by, *_KEYS, descending=[True] * len(by) + [False] * len(_KEYS))


def _compare(
    arrivals: Arrivals, spans: list[tuple[int, int]], at: date, until: date
) -> list[dict[str, object]]:
    """One row per ranking, the last first; none where too little was judged."""
    past, last, came = (
        measure_fragmentation(
            arrivals, where=Selection(period=span), grounds=("like",), signals=RANKED
        ).table
        for span in spans
    )
    cases = _rank(came.select(*_KEYS, cases=_CASES), "cases")
    both = past.join(cases, on=_KEYS, how="inner")
    worst = float(cases["cases"].head(LINES).sum())
    if len(both) < _LEAST_HANDOFFS or worst <= 0:
        return []
    rows = []
    for name, rank in reversed(RANKINGS.items()):
        named = rank(past, last).select(_KEYS).head(LINES)
        held = named.join(cases, on=_KEYS, how="inner")["cases"].sum()
        hits = len(named.join(cases.head(LINES), on=_KEYS, how="semi"))
        rows.append(
            {"at": at, "until": until, "ranking": name, "handoffs": len(both), "hits": hits}
            | {"cases": float(held), "worst": worst, "share": float(held) / worst}
        )
    return rows
